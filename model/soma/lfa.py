"""LFA: the Layer-Fusion-related Attributes of a schedule (docs/model.md#lfa; SoMa paper, Sec. IV).

An LFA (Computing Order, FLC set, Tiling Numbers, DRAM Cut set) is written as its sequence of FLGs.
"""

from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.network.network import Division, Network, name_in_pass


class LFAError(UserError):
    """An LFA that breaks a rule."""


@dataclass(frozen=True)
class FLG:
    """A fine-grained layer-fusion group.

    Parameters
    ----------
    layers
        Names in computing order.
    tiling_number
        How many tiles every layer of the group is cut into.
    dram_cut
        Whether there is a DRAM Cut before this FLG, so that it begins a new LG (layer-fusion group).
    """

    layers: tuple[str, ...]
    tiling_number: int
    dram_cut: bool


class SharedLoad(NamedTuple):
    """A layer reads what another layer of its LG, which stands before it, loads from DRAM (docs/model.md#shared-loads).

    Parameters
    ----------
    layer
        The layer that loads nothing itself.
    source
        The layer or external input that both read; empty for stored weights that both have.
    """

    layer: str
    source: str


@dataclass(frozen=True)
class LFA:
    """The FLGs in computing order; the first one always begins an LG.

    `shared_loads`, sorted by place and source, `divisions`, in the order of the network, and several `passes` are
    outside of the paper's space. The parts of a divided layer stand in the FLGs in its place. An LFA in passes is that
    of one pass, over a part of the batch; all passes are alike (docs/model.md#passes).
    """

    flgs: tuple[FLG, ...]
    shared_loads: tuple[SharedLoad, ...] = ()
    divisions: tuple[Division, ...] = ()
    passes: int = 1

    @property
    def is_wide(self) -> bool:
        """Whether it is outside of the paper's space (docs/model.md#spaces)."""
        return bool(self.shared_loads or self.divisions or self.passes > 1)

    @property
    def wide_text(self) -> str:
        """What it does that an LFA of the paper's space does not, as a predicate."""
        if self.shared_loads:
            return "shares loads"
        return "divides layers" if self.divisions else "runs in passes"

    @property
    def run(self) -> "LFA":
        """All passes, one after another, over the copies that `Problem.arranged_as` makes; divisions are of a pass."""
        if self.passes == 1:
            return self
        numbers = range(1, self.passes + 1)
        flgs = tuple(
            replace(flg, layers=tuple(name_in_pass(name, n) for name in flg.layers))
            for n in numbers
            for flg in self.flgs
        )
        shares = tuple(
            SharedLoad(name_in_pass(layer, n), source and name_in_pass(source, n))
            for n in numbers
            for layer, source in self.shared_loads
        )
        return LFA(flgs, shares, self.divisions)

    @property
    def computing_order(self) -> tuple[str, ...]:
        """All layers in the order in which they run."""
        return tuple(chain.from_iterable(flg.layers for flg in self.flgs))

    @property
    def lg_count(self) -> int:
        """Number of LGs."""
        return sum(flg.dram_cut for flg in self.flgs)


def check_lfa(lfa: LFA, network: Network) -> None:
    """Refuse an LFA that does not fit `network`, that of one pass, divided as it says; tiles show if tilings fit.

    Raises
    ------
    LFAError
        If a layer is missing, unknown, repeated, or runs before one of its producers; if an FLG is empty or its
        tiling number is below 1; if the first FLG does not begin an LG; if a shared load names what its layer does not
        read. Whether another layer loads it shows when tensors are made.
    """
    if not lfa.flgs or not lfa.flgs[0].dram_cut:
        raise LFAError("the first FLG must begin an LG: set its dram_cut to true")
    done: set[str] = set()
    for flg in lfa.flgs:
        if not flg.layers:
            raise LFAError("an FLG has no layers; leave it out")
        if flg.tiling_number < 1:
            raise LFAError(f"tiling_number={flg.tiling_number} of the FLG of '{flg.layers[0]}' (must be at least 1)")
        for name in flg.layers:
            if name not in network.layer_id:
                raise LFAError(f"the LFA names the layer '{name}', {network.why_unknown(name)}")
            if name in done:
                raise LFAError(f"the LFA runs the layer '{name}' twice; a layer stands in one FLG")
            layer = network.layers[network.layer_id[name]]
            for producer in (*layer.ifmaps, *layer.weight_operands):
                if producer not in done:
                    raise LFAError(f"the LFA runs '{name}' before its producer '{producer}'; put producers first")
            done.add(name)
    missing = [layer.name for layer in network.layers if layer.name not in done]
    if missing:
        raise LFAError(f"the LFA leaves out {len(missing)} of {len(network.layers)} layers, first '{missing[0]}'")
    for name, source in lfa.shared_loads:
        if name not in network.layer_id:
            raise LFAError(f"a shared load names the layer '{name}', {network.why_unknown(name)}")
        layer = network.layers[network.layer_id[name]]
        read = (*layer.ifmaps, *layer.weight_operands, *layer.inputs, *([""] if layer.weight_bytes else []))
        if source not in read:
            said = f"'{source}', which it does not read{nearest_name_hint(source, read)}" if source else "no weights"
            raise LFAError(f"a shared load says that '{name}' reads {said}")


def unfused_lfa(network: Network, tiling_number: int = 1) -> LFA:
    """Return the LFA in which every layer is its own FLG and LG, in the network's order."""
    flgs = tuple(FLG((layer.name,), tiling_number, True) for layer in network.layers)
    return LFA(flgs, divisions=network.divisions)


class LFAArrays(NamedTuple):
    """An LFA over L layers; the index is the place in the Computing Order.

    Parameters
    ----------
    order
        int64[L]: layer ids.
    begins_flg, begins_lg
        bool[L]: whether an FLG (an LG) begins at the place; true at place 0. Where an LG begins, an FLG begins too.
    tiling
        int64[L]: the FLG's Tiling Number, at the place where the FLG begins; other items are unused.
    shares
        bool[E + L]: whether an edge, or a layer's weights, use the load of the reader before it, if there is one that
        they can use (`soma_cp.model.soma.shared_loads`).
    channels
        int64[L]: output channels by layer id; a search that divides layers changes them (`…first_stage.slots`), all
        others have those of the network.
    """

    order: IntArray
    begins_flg: BoolArray
    begins_lg: BoolArray
    tiling: IntArray
    shares: BoolArray
    channels: IntArray
