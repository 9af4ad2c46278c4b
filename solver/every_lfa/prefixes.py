"""Lower bounds on all LFAs with the same prefix (for `soma_cp.solver.every_lfa.branch_and_bound`).

A prefix is the first FLGs of one Computing Order, with their Tiling Numbers and DRAM Cuts. It is bounded in two steps:

1. For all Tiling Numbers of its last FLG at once. Energy, compute, loads and the stores that are already certain are
   exact. Energy and latency of the suffix come from `soma_cp.solver.every_lfa.suffixes`. For each of its undominated
   triples, the latency is at least the end of the prefix's tiles plus the *compute path*, the end of the prefix's loads
   plus the *channel path*, and all transfers.
2. For the prefixes that remain, the window bound (`soma_cp.solver.second_stage.windows`) of the prefix as if no layer
   came after it. It knows the buffer, the stores and their readers. It bounds the end of the tiles more sharply, and
   also the end of the transfers.
"""

from dataclasses import dataclass

import numpy as np

from soma_cp.annealing.budget import Budget, OutOfTimeError
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.network import network_table as nt
from soma_cp.model.objective import Objective
from soma_cp.model.soma.lfa import FLG, LFA, LFAArrays
from soma_cp.model.soma.tensors import empty_tensor_places, empty_tensors
from soma_cp.model.soma.tiling import empty_layer_tiles
from soma_cp.solver.every_lfa.flg_options import FLGOptions, OptionTable
from soma_cp.solver.every_lfa.prefix_kernel import NOTHING_FITS, PrefixScratch, prefix_latency
from soma_cp.solver.every_lfa.suffixes import TRIPLES_AT_ONCE, Front, suffix_fronts

MOST_PREFIX_TILES = 2_000
"""A longer prefix gets no window bound, which takes O(T²) time."""


@dataclass(frozen=True)
class Prefix:
    """The first FLGs of an LFA, and what they cost at least.

    Parameters
    ----------
    flgs
        Place of the first layer, place after the last, Tiling Number, DRAM Cut.
    lg
        First place of the last LG.
    energy_pj
        Without the stores that are not certain yet.
    compute, transfers
        Cycles: of all tiles; of all loads and the certain stores.
    channel
        Cycles of the transfers before the next tile: all loads, and the stores that they read.
    lead
        The last tile ends at least this many cycles later than if all tiles ran without a stall.
    ofmaps
        By place: bytes and cycles of storing the layer's ofmap.
    read_back
        Places of the layers whose stores are read.
    tiles
        Number of tiles.
    """

    flgs: tuple[tuple[int, int, int, bool], ...] = ()
    lg: int = 0
    energy_pj: float = 0.0
    compute: int = 0
    transfers: int = 0
    channel: int = 0
    lead: int = 0
    ofmaps: tuple[tuple[int, int], ...] = ()
    read_back: frozenset[int] = frozenset()
    tiles: int = 0

    @property
    def place(self) -> int:
        """Place after the last layer."""
        return len(self.ofmaps)


@dataclass(frozen=True, eq=False)
class Children:
    """A prefix with one more FLG, by Tiling Number; O items each."""

    options: FLGOptions
    dram_cut: bool
    energy_pj: FloatArray
    compute: IntArray
    transfers: IntArray
    channel: IntArray
    lead: IntArray
    read_back: frozenset[int]
    latency: IntArray
    cost: FloatArray


class OrderBounds:
    """Bounds on all LFAs with one Computing Order.

    Parameters
    ----------
    table
        Options of the FLGs.
    order
        Layer ids.
    objective, cutoff
        Bounds need to hold only for LFAs that cost less than `cutoff`.
    budget
        No limit by default.

    Raises
    ------
    OutOfTimeError
        If the budget ends before the bounds of all suffixes are computed.
    """

    def __init__(
        self,
        table: OptionTable,
        order: tuple[int, ...],
        objective: Objective,
        cutoff: float,
        budget: Budget | None = None,
    ) -> None:
        self.table = table
        self.problem = table.problem
        self.order = order
        self.objective = objective
        self.budget = budget or Budget()
        self.fronts = suffix_fronts(table, order, objective, cutoff, budget)
        self._place_of = {layer: place for place, layer in enumerate(order)}
        self._placed_before = [frozenset(order[:place]) for place in range(len(order) + 1)]
        uses = self.problem.table
        self._last_use = [  # place of the last consumer; −1 for outputs, whose stores are certain anyway
            -1
            if uses.is_output[v]
            else max(self._place_of[int(i)] for i in uses.use_layer[uses.use_begin[v] : uses.use_begin[v + 1]])
            for v in order
        ]
        self._tiles = empty_layer_tiles(len(order))
        self._channels = uses.layers[:, nt.K].copy()
        self._no_shares = np.zeros(len(uses.source) + len(order), np.bool_)
        self._scratch = PrefixScratch(empty_tensor_places(table.problem.table), empty_tensors(0, 0))

    def children(self, prefix: Prefix, end: int, dram_cut: bool) -> Children:
        """Bound `prefix` with one more FLG, the layers before place `end`, for all Tiling Numbers."""
        begin, complete = prefix.place, end == len(self.order)
        options = self.table.options(self.order[begin:end])
        lg = begin if dram_cut else prefix.lg
        stored_bytes, stored_cycles = 0, 0
        if dram_cut:  # now the stores of the LG before are certain
            for place in range(prefix.lg, begin):
                if self._last_use[place] >= begin:
                    stored_bytes += prefix.ofmaps[place][0]
                    stored_cycles += prefix.ofmaps[place][1]
        moved = options.moved(self._placed_before[lg])
        energy = moved.energy_pj + (prefix.energy_pj + stored_bytes * self.problem.platform.dram_pj_per_byte)
        compute = options.compute + prefix.compute
        transfers = moved.loads + options.outputs[1] + (prefix.transfers + stored_cycles)
        reads, read_back = self._reads(prefix, options, lg)
        waits = moved.waits
        if reads.any():
            waits = (moved.needed + np.cumsum(reads) - options.before).max(axis=1)
        lead = np.maximum(waits + (prefix.channel - prefix.compute), prefix.lead)
        channel = moved.loads + (prefix.channel + int(reads.sum()))
        latency = transfers
        if complete:
            latency = np.maximum(latency, prefix.compute + lead + options.to_the_end_of_the_run[:, 0])
            latency = np.maximum(latency, channel + options.tile_cycles[:, -1] + options.store_cycles[:, -1])
        lead = np.maximum(lead, channel - (compute - options.tile_cycles[:, -1]))
        cost = self._cost(energy, latency, compute + lead, channel, self.fronts[end])
        return Children(options, dram_cut, energy, compute, transfers, channel, lead, read_back, latency, cost)

    def _reads(self, prefix: Prefix, options: FLGOptions, lg: int) -> tuple[IntArray, frozenset[int]]:
        """Return int64[m], cycles of the stores that each layer of the FLG is the first to read, and all places read.

        All tiles of an ofmap are stored before any of it is loaded.
        """
        reads = np.zeros(len(options.layers), np.int64)
        read_back = set(prefix.read_back)
        for load in options.loads:
            place = self._place_of[load.source] if load.source >= 0 else lg
            if place < lg and place not in read_back:
                read_back.add(place)
                reads[load.place] += prefix.ofmaps[place][1]
        return reads, frozenset(read_back)

    def _cost(
        self, energy: FloatArray, latency: IntArray, tiles_end: IntArray, channel: IntArray, behind: Front
    ) -> FloatArray:
        """Return the least cost over the triples of the suffix; infinite if there are none."""
        if len(behind.energy_pj) == 0:
            return np.full(len(energy), np.inf)
        least = np.empty(len(energy))
        rows = max(TRIPLES_AT_ONCE // len(behind.energy_pj), 1)
        for first in range(0, len(energy), rows):
            if self.budget.over:
                raise OutOfTimeError
            some = slice(first, first + rows)
            paths = np.maximum(tiles_end[some, None] + behind.compute_path, channel[some, None] + behind.channel_path)
            costs = self.objective.costs(energy[some, None] + behind.energy_pj, np.maximum(latency[some, None], paths))
            least[some] = costs.min(axis=1)
        return least

    def child(self, prefix: Prefix, children: Children, choice: int) -> Prefix:
        """Return `prefix` with the next FLG, at its Tiling Number with the index `choice`."""
        options = children.options
        begin, number = prefix.place, int(options.number[choice])
        ofmaps = zip(
            (number * options.store_bytes[choice]).tolist(),
            (number * options.store_cycles[choice]).tolist(),
            strict=True,
        )
        return Prefix(
            flgs=(*prefix.flgs, (begin, begin + len(options.layers), number, children.dram_cut)),
            lg=begin if children.dram_cut else prefix.lg,
            energy_pj=float(children.energy_pj[choice]),
            compute=int(children.compute[choice]),
            transfers=int(children.transfers[choice]),
            channel=int(children.channel[choice]),
            lead=int(children.lead[choice]),
            ofmaps=(*prefix.ofmaps, *ofmaps),
            read_back=children.read_back,
            tiles=prefix.tiles + number * len(options.layers),
        )

    def window_cost(self, prefix: Prefix, children: Children, choice: int) -> float:
        """Return the bound of step 2; infinite if the buffer is too small for any DLSA."""
        if prefix.tiles > MOST_PREFIX_TILES:
            return 0.0
        tiles_end, channel_end = self._windows(prefix, children.options, choice)
        if tiles_end == NOTHING_FITS:
            return float("inf")
        latency = np.array([max(channel_end, int(children.latency[choice]), tiles_end)])
        cost = self._cost(
            children.energy_pj[choice : choice + 1],
            latency,
            np.array([tiles_end]),
            children.channel[choice : choice + 1],
            self.fronts[prefix.place],
        )
        return float(cost[0])

    def _windows(self, prefix: Prefix, options: FLGOptions, choice: int) -> tuple[int, int]:
        """Lay out the last FLG of `prefix` after the earlier ones, which are laid out already; bound it by windows."""
        tiles, order = self._tiles, np.array(self.order, np.int64)
        begin, end, number, _ = prefix.flgs[-1]
        lg = sum(cut for *_, cut in prefix.flgs) - 1
        size = end - begin
        placed, rest = order[begin:end], order[end:]
        tiles.count[placed], tiles.step[placed] = number, size
        tiles.first[placed] = prefix.tiles - number * size + np.arange(size)
        tiles.flg[placed], tiles.lg[placed] = len(prefix.flgs), lg
        tiles.cycles[placed], tiles.extent[placed] = options.tile_cycles[choice], options.extent[choice]
        # Whether later layers read an ofmap of the last LG on chip or from DRAM is open: it lives for the prefix only.
        tiles.count[rest], tiles.step[rest], tiles.first[rest] = 0, 0, -1
        tiles.flg[rest], tiles.lg[rest] = -1, lg
        begins_flg, begins_lg = np.zeros(end, np.bool_), np.zeros(end, np.bool_)
        for first, _, _, cut in prefix.flgs:
            begins_flg[first], begins_lg[first] = True, cut
        lfa = LFAArrays(order[:end], begins_flg, begins_lg, np.ones(end, np.int64), self._no_shares, self._channels)
        self._make_room(prefix)
        tiles_end, channel_end = prefix_latency(
            self.problem.table,
            self.problem.platform.dram_rate,
            self.problem.platform.gbuf_bytes,
            lfa,
            tiles,
            prefix.tiles,
            self._scratch,
        )
        return int(tiles_end), int(channel_end)

    def _make_room(self, prefix: Prefix) -> None:
        sources = int(np.diff(self.problem.table.source_begin).max())
        needed = sum(number * (end - begin) * (sources + 1) + end - begin for begin, end, number, _ in prefix.flgs)
        if needed > len(self._scratch.tensors.kind):
            self._scratch = PrefixScratch(self._scratch.places, empty_tensors(2 * needed, 2 * needed))

    def lfa(self, prefix: Prefix) -> LFA:
        """Return the LFA of a complete prefix."""
        layers = self.problem.network.layers
        return LFA(
            tuple(
                FLG(tuple(layers[i].name for i in self.order[begin:end]), number, cut)
                for begin, end, number, cut in prefix.flgs
            )
        )
