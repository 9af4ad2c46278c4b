"""Which fmaps an LG may find and keep at each downset: classes of its begins and of its ends.

Let an LG begin at the downset A and end at B, and look at a downset I between them. What the layers of B \\ I read of I
depends on few layers: the *open* ones, those of I that a layer outside of I reads. An open layer in A is loaded. One in
I \\ A is kept if a layer of B \\ I reads it; all others are stored where the LG ends. So begins with the same open
layers are alike, and so are ends that read the same open layers; a path needs one state for each pair of such classes.
In the wide space, begins are alike only if layers of I \\ A read the same of the open layers and external inputs that a
layer outside of I reads, and if the same open layers have all their producers in A.
"""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import BoolArray, IntArray

MOST_OPEN = 62
"""Open layers of a downset that are told apart; others count as neither loaded, kept nor stored."""


class LGClasses(NamedTuple):
    """The classes of the begins A ⊆ I and of the ends B ⊇ I of LGs, for each of N downsets I.

    Masks have a bit for each open layer of the downset, in the order of `open_layer`. What is listed by downset stands
    from ``first[I]`` to ``first[I + 1]``.

    Parameters
    ----------
    open_first, open_layer
        int64[N + 1], int64: the open layers.
    begin_class, end_class
        int64[N, N]: by I and by A or B: its class, counted from 0 at each I; −1 if it is no subset or superset of I.
    begin_first, begin, begin_mask, begin_shares
        int64[N + 1], int64, int64, bool: of each class of begins: one of them, its open layers, and whether a load in
        the LG before I may serve a layer after it.
    end_first, end, end_mask
        int64[N + 1], int64, int64: of each class of ends: one of them, and the open layers that are read before it.
    state_first
        int64[N + 1]: the first state of each downset: there is one for each pair of classes, ends of a begin together.
    """

    open_first: IntArray
    open_layer: IntArray
    begin_class: IntArray
    end_class: IntArray
    begin_first: IntArray
    begin: IntArray
    begin_mask: IntArray
    begin_shares: BoolArray
    end_first: IntArray
    end: IntArray
    end_mask: IntArray
    state_first: IntArray


def lg_classes(member: BoolArray, uses: BoolArray, reads: BoolArray | None = None) -> LGClasses:
    """Return the classes for these downsets, bool[N, L].

    `uses` is bool[L, L], by producer and consumer. In the wide space, `reads` is bool[I, L], by external input and
    layer.
    """
    count, consumers = len(member), uses.T.astype(np.float32)
    begin_class, end_class = np.full((count, count), -1), np.full((count, count), -1)
    opens, begins, begin_masks, shares, ends, end_masks = [], [], [], [], [], []
    for at, inside in enumerate(member):
        is_open = inside & ((member[-1] & ~inside).astype(np.float32) @ consumers > 0)
        layers = np.flatnonzero(is_open)
        subsets = np.flatnonzero(~(member & ~inside).any(axis=1))
        supersets = np.flatnonzero((member | ~inside).all(axis=1))
        read = (member[supersets] & ~inside).astype(np.float32) @ consumers[:, layers] > 0
        rows = member[subsets][:, layers]
        shared = np.zeros((len(subsets), 0), np.bool_)
        if reads is not None:
            shared = _shared(member[-1], inside, member[subsets], uses[layers], reads)
            shared[:, : len(layers)] &= rows
            late = (member[-1] & ~member[subsets]).astype(np.float32) @ uses[:, layers].astype(np.float32) > 0
            rows = np.concatenate([rows, late, shared], axis=1)
        begin_class[at, subsets], some, masks = _classes(rows, len(layers))
        begins.append(subsets[some])
        begin_masks.append(masks)
        shares.append(shared[some].any(axis=1))
        end_class[at, supersets], some, masks = _classes(read, len(layers))
        ends.append(supersets[some])
        end_masks.append(masks)
        opens.append(layers)
    states = [len(a) * len(b) for a, b in zip(begins, ends, strict=True)]
    return LGClasses(
        open_first=_first([*map(len, opens)]),
        open_layer=np.concatenate(opens).astype(np.int64),
        begin_class=begin_class,
        end_class=end_class,
        begin_first=_first([*map(len, begins)]),
        begin=np.concatenate(begins),
        begin_mask=np.concatenate(begin_masks),
        begin_shares=np.concatenate(shares),
        end_first=_first([*map(len, ends)]),
        end=np.concatenate(ends),
        end_mask=np.concatenate(end_masks),
        state_first=_first(states),
    )


def _first(counts: list[int]) -> IntArray:
    return np.cumsum([0, *counts]).astype(np.int64)


def _shared(
    everything: BoolArray, inside: BoolArray, begins: BoolArray, uses: BoolArray, reads: BoolArray
) -> BoolArray:
    """Return whether layers of I \\ A read each open layer or external input that a layer outside of I reads."""
    read_by = np.concatenate([uses, reads])
    read_by = read_by[(read_by & everything & ~inside).any(axis=1)].T
    found: BoolArray = (inside & ~begins).astype(np.float32) @ read_by.astype(np.float32) > 0
    return found


def _classes(rows: BoolArray, opens: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return the class of each row, and by class one of its rows and the mask of its first items, the open layers."""
    _, some, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    bits = np.int64(1) << np.arange(min(opens, MOST_OPEN), dtype=np.int64)
    masks: IntArray = rows[some][:, : len(bits)].astype(np.int64) @ bits
    return which.reshape(-1), some, masks
