"""Slots: room for the parts of layers that a search may divide (docs/first-stage.md#divided-layers).

A search that divides layers runs on a network in which each such layer is divided into as many *slots* as it may get
parts. All output channels are in the first slot at first; a slot without channels is *absent*: it has no tile and no
tensor, and nothing reads it. `LFAArrays.channels` says how many channels each slot has, and `fit_table` makes a table
of the network fit them, so that all other kernels see an ordinary network.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from soma_cp.annealing.first_stage.groups import pick
from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import in_place
from soma_cp.model.data_types import packed, scaled_up
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.layers import Layer, weights_key
from soma_cp.model.network.network import Division
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.network.rewrites.channels import has_parts
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA, LFAArrays, SharedLoad
from soma_cp.model.soma.lfa_arrays import lfa_arrays, lfa_from_arrays

MOST_PARTS = 4
"""Parts that a search gives a layer at most; six took longer and found nothing better."""
LEAST_SHARE_OF_BUFFER = 64
"""A layer whose weights take less than the buffer divided by this is not divided: it hardly waits for them."""
MANY_LAYERS, LEAST_SHARE_OF_MANY = 24, 16
"""With more such layers than this, the buffer is divided by the second number: many slots drown the other moves."""


MOST_STEPS = 128
"""Parts get multiples of a granule, or of as many granules as make so many steps of a layer: where a granule is one
channel, a search would price few tiles twice."""


class Slots(NamedTuple):
    """The slots of G layers in a network of L layers, slots among them; G may be 0.

    Parameters
    ----------
    group
        int64[L]: the divided layer whose slot a layer is, 0 … G − 1; −1 if it is no slot.
    first, count
        int64[G]: ids of the slots are ``first … first + count − 1``.
    step
        int64[G]: channels move from part to part in multiples of it.
    kernel_bits
        int64[G]: weights of one output channel, with their scales.
    tile_channels
        int64[G]: `TILE_CHANNELS` of the layer as long as it is in one part.
    use_begin, uses
        int64[L + 1], int64: the items of ``table.use_layer`` that name a slot are ``uses[use_begin[l] …]``.
    edge_begin, edges
        int64[L + 1], int64: the edges that read a slot, likewise.
    """

    group: IntArray
    first: IntArray
    count: IntArray  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    step: IntArray
    kernel_bits: IntArray
    tile_channels: IntArray
    use_begin: IntArray
    uses: IntArray
    edge_begin: IntArray
    edges: IntArray


@in_place
def fit_table(table: NetworkTable, slots: Slots, channels: IntArray) -> None:
    """Make `table` that of a network whose slots have these channels; what named an absent slot names a sibling."""
    layers, use_layer = table.layers, table.use_layer
    sources, source_channels = table.source, table.source_channels
    for group in range(len(slots.first)):
        begin, end = slots.first[group], slots.first[group] + slots.count[group]
        fits = True
        present, parts = -1, 0
        for slot in range(begin, end):
            fits = fits and layers[slot, nt.K] == channels[slot]
            if channels[slot] > 0:
                present = slot if parts == 0 else present
                parts += 1
        if fits:
            continue
        for slot in range(begin, end):
            layers[slot, nt.K] = channels[slot]
            weights = packed(channels[slot], slots.kernel_bits[group])
            over, under = layers[slot, nt.RATIO_OVER], layers[slot, nt.RATIO_UNDER]
            layers[slot, nt.WEIGHT_BYTES] = weights
            layers[slot, nt.DRAM_WEIGHT_BYTES] = scaled_up(weights, over, under)
            layers[slot, nt.TILE_CHANNELS] = channels[slot] if parts > 1 else slots.tile_channels[group]
            named = slot if channels[slot] > 0 else present
            for n in range(slots.use_begin[slot], slots.use_begin[slot + 1]):
                use_layer[slots.uses[n]] = named
            for n in range(slots.edge_begin[slot], slots.edge_begin[slot + 1]):
                sources[slots.edges[n]] = named
                source_channels[slots.edges[n]] = channels[slot]


@in_place
def pick_part(slots: Slots, channels: IntArray, part: int, present: bool, random: np.random.Generator) -> int:
    """Draw another part of the same layer, or with `present` false the first absent slot; −1 if there is none."""
    group = slots.group[part]
    begin, end = slots.first[group], slots.first[group] + slots.count[group]
    count = 0
    for slot in range(begin, end):
        if slot != part and (channels[slot] > 0) == present:
            if not present:
                return slot
            count += 1
    if count == 0:
        return -1
    left = pick(count, random)
    for slot in range(begin, end):
        if slot != part and channels[slot] > 0:
            if left == 0:
                return slot
            left -= 1
    return -1


@dataclass(frozen=True, eq=False)
class SlottedProblem:
    """A problem in which layers have slots.

    Parameters
    ----------
    problem
        Its network is divided into the slots.
    slots
        The slots.
    """

    problem: Problem
    slots: Slots

    @property
    def divides(self) -> bool:
        """Whether there are slots."""
        return len(self.slots.first) > 0

    def table(self) -> NetworkTable:
        """Return a table for `fit_table` to change."""
        own = self.problem.table
        changed = {name: getattr(own, name).copy() for name in ("layers", "use_layer", "source", "source_channels")}
        return own._replace(**changed) if self.divides else own

    def arrays(self, lfa: LFA) -> LFAArrays:
        """Return an LFA of the problem as arrays of slots; it divides no layer that has no slots, nor into more."""
        network = self.problem.network
        slots_of = {division.layer: division.parts for division in network.divisions}
        parts_of = {division.layer: division for division in lfa.divisions}
        channels = self.problem.table.layers[:, nt.K].copy()
        follow: dict[str, tuple[str, ...]] = {}
        renamed: dict[str, str] = {}
        for layer, names in slots_of.items():
            division = parts_of.get(layer)
            given = (
                (int(sum(channels[network.layer_id[name]] for name in names)),)
                if division is None
                else division.channels
            )
            shown = (layer,) if division is None else division.parts
            renamed |= dict(zip(shown, names, strict=False))
            follow[shown[0]] = names[len(given) :]
            for slot, name in enumerate(names):
                channels[network.layer_id[name]] = given[slot] if slot < len(given) else 0
        flgs = tuple(
            replace(
                flg,
                layers=tuple(slot for name in flg.layers for slot in (renamed.get(name, name), *follow.get(name, ()))),
            )
            for flg in lfa.flgs
        )
        shared = tuple(
            SharedLoad(renamed.get(share.layer, share.layer), renamed.get(share.source, share.source))
            for share in lfa.shared_loads
        )
        arrays = lfa_arrays(LFA(flgs, shared), network, self.problem.table)
        arrays.channels[:] = channels
        return arrays

    def lfa(self, arrays: LFAArrays, table: NetworkTable) -> LFA:
        """Return arrays of slots as an LFA with divisions; `table` is changed to fit them."""
        if not self.divides:
            return lfa_from_arrays(arrays, self.problem.network, table)
        fit_table(table, self.slots, arrays.channels)
        network = self.problem.network
        found = lfa_from_arrays(arrays, network, table)
        names: dict[str, str] = {}
        divisions = []
        for division in network.divisions:
            given = {name: int(arrays.channels[network.layer_id[name]]) for name in division.parts}
            present = {name: channels for name, channels in given.items() if channels}
            made = Division(division.layer, tuple(present.values()))
            names |= dict.fromkeys(given, "")
            if len(present) == 1:
                names |= dict.fromkeys(present, division.layer)
            else:
                names |= dict(zip(present, made.parts, strict=True))
                divisions.append(made)
        flgs = tuple(_without_absent(found.flgs, names))
        shared = tuple(
            SharedLoad(names.get(share.layer, share.layer), names.get(share.source, share.source))
            for share in found.shared_loads
        )
        return LFA(flgs, shared, tuple(divisions))


def _without_absent(flgs: Iterable[FLG], names: dict[str, str]) -> Iterator[FLG]:
    """Yield FLGs with the present parts under their names; a DRAM Cut before absent parts alone moves on."""
    cut = False
    for flg in flgs:
        layers = tuple(filter(None, (names.get(name, name) for name in flg.layers)))
        cut = cut or flg.dram_cut
        if layers:
            yield FLG(layers, flg.tiling_number, cut)
            cut = False


def without_slots(problem: Problem) -> SlottedProblem:
    """Return `problem` for a search that divides nothing more."""
    return SlottedProblem(problem, _no_slots(len(problem.network.layers)))


def slotted(problem: Problem, starts: Iterable[LFA] = ()) -> SlottedProblem:
    """Return `problem` with slots for the layers that are worth dividing.

    Parameters
    ----------
    problem
        Network, platform, batch.
    starts
        LFAs that `SlottedProblem.arrays` is to take: the layers that they divide get slots, too.
    """
    whole = problem.divided_as(())
    granule = whole.core_array.granule
    parts = dict.fromkeys(_worth_dividing(whole, granule), MOST_PARTS)
    for division in (division for lfa in starts for division in lfa.divisions):
        parts[division.layer] = max(parts.get(division.layer, MOST_PARTS), len(division.channels))
    network = whole.network
    divisions = tuple(
        Division(layer.name, _even(layer.ofmap[0], parts[layer.name], granule))
        for layer in network.layers
        if layer.name in parts
    )
    return slotted_as(problem, divisions)


def slotted_as(problem: Problem, divisions: tuple[Division, ...]) -> SlottedProblem:
    """Return `problem` with a slot for each part of these divisions, and no others."""
    whole, divided = problem.divided_as(()), problem.divided_as(divisions)
    return SlottedProblem(divided, _slots(whole, divided, whole.core_array.granule))


def _worth_dividing(problem: Problem, granule: int) -> list[str]:
    """Return the layers with weights of their own alone, more than a granule of channels, and large weights.

    With a core array that takes long, there are none: a search would price each size of a part.
    """
    layers, limit = problem.network.layers, problem.platform.gbuf_bytes
    if problem.core_array.takes_long:
        return []
    users = Counter(weights_key(layer) for layer in layers)
    known = {*problem.network.layer_id, *problem.network.input_id}

    def large(share: int) -> list[Layer]:
        return [layer for layer in layers if has_parts(layer, granule) and layer.weight_bytes * share >= limit]

    found = large(LEAST_SHARE_OF_BUFFER)
    if len(found) > MANY_LAYERS:
        found = large(LEAST_SHARE_OF_MANY)
    return [
        layer.name
        for layer in found
        if users[weights_key(layer)] == 1
        and not any(f"{layer.name}/{number}" in known for number in range(1, MOST_PARTS + 1))
    ]


def _even(channels: int, parts: int, granule: int) -> tuple[int, ...]:
    """Return as many parts as there are granules for, about equal, the rest in the last."""
    granules = -(-channels // granule)
    parts = min(parts, granules)
    borders = [granules * part // parts * granule for part in range(parts)] + [channels]
    return tuple(end - begin for begin, end in pairwise(borders))


def _slots(whole: Problem, divided: Problem, granule: int) -> Slots:
    network, table = divided.network, divided.table
    if not network.divisions:
        return _no_slots(len(network.layers))
    size = len(network.layers)
    group = np.full(size, -1, np.int64)
    rows = [whole.network.layer_id[division.layer] for division in network.divisions]
    first = [network.layer_id[division.parts[0]] for division in network.divisions]
    count = [len(division.parts) for division in network.divisions]
    for number, (begin, parts) in enumerate(zip(first, count, strict=True)):
        group[begin : begin + parts] = number
    whole_rows = whole.table.layers[rows]
    use_begin, uses = _by_layer(table.use_layer, group >= 0)
    edge_begin, edges = _by_layer(table.source, group >= 0)
    return Slots(
        group=group,
        first=np.array(first, np.int64),
        count=np.array(count, np.int64),
        step=granule * -(-whole_rows[:, nt.K] // (granule * MOST_STEPS)),
        kernel_bits=whole_rows[:, nt.KERNEL_BITS].copy(),
        tile_channels=whole_rows[:, nt.TILE_CHANNELS].copy(),
        use_begin=use_begin,
        uses=uses,
        edge_begin=edge_begin,
        edges=edges,
    )


def _no_slots(layers: int) -> Slots:
    none, begins = np.zeros(0, np.int64), np.zeros(layers + 1, np.int64)
    return Slots(np.full(layers, -1, np.int64), none, none, none, none, none, begins, none, begins, none)


def _by_layer(named: IntArray, is_slot: BoolArray) -> tuple[IntArray, IntArray]:
    """Return, for each layer, where its items in `named` begin, and the items; those of slots alone."""
    size = len(is_slot)
    items = [np.flatnonzero(named == layer) if is_slot[layer] else np.zeros(0, np.int64) for layer in range(size)]
    begins = np.concatenate([[0], np.cumsum([len(one) for one in items])]).astype(np.int64)
    return begins, np.concatenate(items).astype(np.int64)
