"""Lower bounds over every LFA of the wide space in one pass: a shortest path over the downsets of the network.

What `soma_cp.solver.every_lfa.downset_paths` says holds here, too, but for what follows: layers may be divided by
output channels, and readers may share loads (docs/model.md#divided-layers, #shared-loads).

*One part stands for all.* Of each divided layer v look at the last part in the Computing Order alone, with the parts of
v in its FLG, and leave all others out. What is left is a chain of downsets of the network that is not divided: the last
part of v comes after all parts of its producers, and before all its consumers. Its FLGs and LGs are those of the LFA in
which a layer is left. The conditions on the buffer look at fewer tensors, so they are still necessary. Of v, let
v ∈ S be its last part in the FLG S. Then

- *All parts of v are in S if a producer of v is.* (The last part of that producer is in S and comes before all parts of
  v.) So v has all its weights there. It costs what it does undivided, or what its parts do with the same Tiling Number:
  at least K times the least cost per channel of a tile of a part of any size (`LayerPrices.per_channel`), cycles and
  energy each by itself. Its tiles have K channels. At the tile of its last part all weights of v are alive if n ≥ 2,
  and all tiles of v of this round if a layer of S reads v; otherwise the last part's tile alone.
- *Otherwise v is a source of S, and a share y of its channels may be elsewhere*, in an FLG before: 0, or from s to 1 −
  s, where s is the share of its smallest part. Those channels cost at least y times the least of all tilings of parts,
  and need none of the weights and tiles in S. Who reads v in S loads them, n tiles each, or finds them: then y of all
  bytes of v are held. Stores of these parts are not counted.
- *Loads of v.* If v is in another LG than its reader, so are all its parts, and the reader loads all of v. If v is in
  the LG, but in an FLG before, a share y of its channels may be loaded, 0 or from s to 1 − s, and need no room.
- *Parts in an LG before.* All producers of v come before its first part. So if any part of v is in an LG before that of
  its last part, which begins at A, all producers of v are in A. If one is not, no channels of v are loaded.
- *Residents and kept layers.* Let the last part of a layer in the same LG, but in an FLG after, read v. Then all tiles
  of the parts of v in the LG are alive from their FLGs on until that part has run. So v is a resident with all its
  bytes if a producer of it is not in A; otherwise with those of its smallest part, or, if S reads it, with all but the
  share that is loaded. If v ∈ S is kept, so are n − 1 or n − 2 tiles, as in the paper's space, of its channels in S;
  those that are elsewhere in the LG are held in whole, whether S reads v or not.
- *Stores of v.* If v is in an LG that ends and has a consumer after it, all parts of v are stored.

*Guests.* Tiles depend on consumers in the FLG, also on those that are left out: a part of g is in S, but its last part
is later. All producers of g come before; so if one of them is in S, then J with g is a downset J', and the tiles of S
are those of the FLG J' \\ I. No other consumer of g is in S, and parts that are left out and have no producer in S
change no tile. So the step I → J is priced once for each set of such g, by the tiles of J', each with the weights and a
tile of the smallest part of g, and without any cost of g. At the last position of round 0 (n = 2) a part may run that
is left out; then W + R ≤ G alone is asked for.

*Shared loads.* All readers of a source in S have one load. If a reader in the LG, but in an FLG before, shares its load
with S, all tiles of the source are held, and they are together at least as large as it. So a source that is in no FLG
of the LG is loaded, n times as much as the reader needs that needs most; or it is held, and nothing is loaded, if a
layer of the LG before S reads it. If none does, its owner may be a part that is left out, of a reader that is divided
and whose last part is still to come; then it is held, and the bytes of the source are loaded once. *No load is counted
twice:* Take the reader in S that needs most. If the owner of its load is in S, that is the load counted there. If not,
the source is held. The first FLG of the LG that has a reader counts the owner's load if the owner was left out; an FLG
after counts none. ∎ Of a source that is divided each part has loads of its own, so a share may be loaded though others
are held. Weights that several layers have count once, and need no room but in the first such layer.

*LGs that keep nothing.* An LG that goes on at J though it keeps nothing may be cut there for nothing, as in the paper's
space, unless a layer of J \\ A and one outside of J may share a load. Where it is cut, more layers are in A, so what
holds for any A before J holds for J.

*Many channels elsewhere.* At a Tiling Number let x be the bytes by which S exceeds the buffer (less than 0 if there is
room), with all channels of all v in S. The shares y save bytes and cost something; so the least cost is at least that
of a linear program with one condition. Its dual has one variable λ, the worth of a byte: for any λ ≥ 0,

    λ x + Σ over v of (1 − s) · min(0, c_loaded − λ g_loaded, c_held − λ g_held)

is at most the least change of the cost, where c and g are the cost and the bytes saved if all of v is elsewhere. Its
largest value is at a λ where one way of some v becomes better than another; these are tried.

*FLGs of one tile* are taken apart as in the paper's space: its layers in order, each an FLG of its own. A layer that
may be divided costs the least over all divisions and tilings then, and needs room for its smallest part. What a reader
finds may be as little as what it needs of the source, since readers in one FLG may share a load of less than all.

*Heads* may stand for each other if they are not divided. Their loads of the producer that all of them have may be
shared, so they count once, and a head that was left out may be the owner.

*Theorem.* The shortest path, and the cost of all weights, are at most a·Energy + μ·Σ tile cycles + ν·Σ transfer cycles
of every LFA of one pass that has a schedule. *Passes.* p passes of b = B/p samples are p times the transfers and tiles
of one, whose tensors alone fit; so p times the shortest path at a batch of b bounds them. ∎
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.data_types import packed
from soma_cp.model.network import network_table as nt
from soma_cp.model.problem import Problem
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.solver.every_lfa import layer_bounds
from soma_cp.solver.every_lfa.downset_paths import (
    STEPS_AT_ONCE,
    PathTiles,
    crossings,
    cuts_of,
    edges_of,
    least_bytes,
    least_costs,
    may_be_fine,
    store_costs,
)
from soma_cp.solver.every_lfa.downsets import all_downsets
from soma_cp.solver.every_lfa.heads import Head, alike_heads, left_out
from soma_cp.solver.every_lfa.layer_bounds import LayerPrices, divisors
from soma_cp.solver.every_lfa.lg_classes import lg_classes
from soma_cp.solver.every_lfa.path_kernel import close_paths
from soma_cp.solver.every_lfa.path_tiles import CutTiles, kept_whole
from soma_cp.solver.every_lfa.wide_path_kernel import extend_wide_paths
from soma_cp.solver.every_lfa.wide_steps import WideEnd, WideInput, WideLayers


class WideSteps(NamedTuple):
    """FLGs that end at a downset: the downsets `before` them, int64[P], and what their layers cost."""

    before: IntArray
    flgs: WideEnd


class WidePaths:
    """The shortest paths, for all multipliers at once; they go on where a budget ended.

    Parameters
    ----------
    problem
        A problem without divided layers and passes.
    prices
        The prices of all layers and their parts.
    multipliers
        float64[M, 3]: of energy, of cycles of tiles, of cycles of transfers.
    """

    def __init__(self, problem: Problem, prices: LayerPrices, multipliers: FloatArray) -> None:
        self.problem = problem
        self.multipliers = multipliers
        table, count = problem.table, len(problem.table.layers)
        self._times = np.ones(count, np.int64)
        self._heads: list[list[Head]] = []
        self._member = all_downsets(table)
        if self._member is None:
            self._member = self._with_one_head(prices)
        self._known = PathTiles(problem, prices)
        self._done = 1
        if self._member is None or not self._known.listed:
            self._member = None
            return
        self._place = {row.tobytes(): place for place, row in enumerate(self._member)}
        inner = table.source >= 0
        self.uses = np.zeros((count, count), np.bool_)  # by producer and consumer
        self.uses[table.source[inner], table.reader[inner]] = True
        self._has_producer = self.uses.any(axis=0)
        depends = np.zeros((count, count), np.bool_)  # by layer and ancestor
        for layer, needed in enumerate(prices.needs):
            depends[layer, list(needed)] = True
        self.share = _least_shares(problem, prices)
        self.weights = _weights(problem, self._heads)
        self._of_parts = _costs_of_parts(problem, prices)
        self._figures = self.priced(prices, multipliers)
        self.stores = store_costs(problem, self._figures.whole[:count], self._times)
        self.untracked = np.array([s < 0 and not self._figures.tracked[-1 - s] for s in table.source.tolist()], bool)
        reads = np.zeros((len(problem.network.inputs), count), np.bool_)  # by external input and layer
        reads[-1 - table.source[~inner], table.reader[~inner]] = True
        self.input = WideInput(
            table=table,
            layers=self._figures,
            classes=lg_classes(self._member, self.uses, reads[self._figures.tracked]),
            member=self._member,
            depends=depends,
            capacity=problem.platform.gbuf_bytes,
            multipliers=multipliers,
        )
        self._least = np.full((self.input.classes.state_first[-1], len(multipliers)), np.inf)
        self._least[self._states(0)] = 0.0

    def priced(self, prices: LayerPrices, multipliers: FloatArray) -> WideLayers:
        """Return what is known of the layers whatever the FLG, with the costs at such multipliers."""
        return _wide_layers(self.problem, prices, multipliers, self._times, self.share, self.weights, self._heads)

    def _states(self, downset: int) -> slice:
        """Return where the states of a downset stand."""
        first: IntArray = self.input.classes.state_first
        return slice(first[downset], first[downset + 1])

    def _with_one_head(self, prices: LayerPrices) -> BoolArray | None:
        """Return the downsets if one head stands for all that are alike."""
        table = self.problem.table
        alike = alike_heads(table, prices.extents)
        self._heads = [heads for heads in alike if not prices.part_sizes.keys() & {conv for conv, _ in heads}]
        for first, *others in self._heads:
            self._times[list(first)] = 1 + len(others)
        return all_downsets(table, left_out(self._heads)) if self._heads else None

    @property
    def can_go_on(self) -> bool:
        """Whether more time could find more: there are few enough downsets, and some are left."""
        return self._member is not None and self._done < len(self._member)

    @property
    def found_of_all(self) -> bool:
        """Whether all paths are found, and none of the layers is left out."""
        return self._member is not None and not self._heads and not self.can_go_on

    def costs(self, budget: Budget) -> FloatArray | None:
        """Return float64[M]: costs that no LFA is below; None if `budget` ends first, or if they are not known."""
        if self._member is None:
            return None
        while self._done < len(self._member):
            if budget.over or not self._end_at(self._done, budget):
                return None
            self._done += 1
        cycles = float(transfer_cycles(self._weight_bytes(), self.problem.platform.dram_rate))
        costs: FloatArray = self._least[-1] + self.multipliers @ np.array([self.weights_pj(), 0.0, cycles])
        return costs if np.isfinite(costs).all() else None

    def weights_pj(self) -> float:
        """Return the least energy of loading all weights."""
        return self._weight_bytes() * self.problem.platform.dram_pj_per_byte

    def _weight_bytes(self) -> int:
        table = self.problem.table
        first = table.stored_weights == np.arange(len(table.layers))
        return int(table.layers[first, nt.DRAM_WEIGHT_BYTES].sum())

    def _end_at(self, after: int, budget: Budget) -> bool:
        """Find the least costs of the paths to one downset; return False if `budget` ends first."""
        for steps in self.steps_to(after, budget):
            if steps is None:
                self._least[self._states(after)] = np.inf
                return False
            extend_wide_paths(self.input, after, steps.before, steps.flgs, self._least)
        close_paths(self.input.classes, after, self.multipliers, *self.stores, self._least)
        return True

    def steps_to(self, after: int, budget: Budget) -> Iterator[WideSteps | None]:
        """Yield all steps to a downset, a few at a time; None, and no more, if `budget` ends first."""
        assert self._member is not None
        table, member = self.problem.table, self._member
        before, flgs = self._that_fit(after)
        ready = self._ready_parts(after)
        for chosen in range(1 << len(ready)):
            guests = [layer for place, layer in enumerate(ready) if chosen >> place & 1]
            joined = member[after].copy()
            joined[guests] = True
            end = self._place[joined.tobytes()]
            fused = (flgs.astype(np.float32) @ self.uses[:, guests].astype(np.float32) > 0).all(axis=1)
            whole = kept_whole(table, member, before[fused], end)
            for kept in np.unique(whole).tolist():
                some = before[fused][whole == kept]
                gaps = self._may_end_with_another(after, guests)
                figures = self._end_figures(end, some, kept, guests, gaps, budget)
                for first in range(0, len(some), STEPS_AT_ONCE):
                    if figures is None or budget.over:
                        yield None
                        return
                    yield WideSteps(some[first : first + STEPS_AT_ONCE], figures)

    def _that_fit(self, after: int) -> tuple[IntArray, BoolArray]:
        """Return the downsets from which an FLG to one may fit by its weights; and bool[P, L]: these FLGs."""
        assert self._member is not None
        inside = self._member[after]
        before = np.flatnonzero(~(self._member[:after] & ~inside).any(axis=1))
        flgs: BoolArray = inside & ~self._member[before]
        fused = flgs.astype(np.float32) @ self.uses.astype(np.float32) > 0
        least = np.where(fused, self.weights, np.floor(self.weights * self.share))
        fits = (flgs * least).sum(axis=1) <= self.problem.platform.gbuf_bytes
        fits &= [np.isfinite(self._least[self._states(one), 0]).any() for one in before.tolist()]
        return before[fits], flgs[fits]

    def _ready_parts(self, after: int) -> list[int]:
        """Return the layers outside of a downset of which a part may come with a producer in it."""
        assert self._member is not None
        outside = self._member[-1] & ~self._member[after]
        waits = self.uses[outside].any(axis=0)
        found: list[int] = np.flatnonzero(outside & ~waits & self._has_producer & (self.share < 1)).tolist()
        return found

    def _may_end_with_another(self, after: int, guests: list[int]) -> bool:
        """Return whether a part or head that was left out may be the last layer of an FLG that ends at a downset."""
        assert self._member is not None
        outside = self._member[-1] & ~self._member[after]
        ready = outside & ~self.uses[outside].any(axis=0) & (self.share < 1)
        ready[guests] = False
        return bool(self._heads) or bool(ready.any())

    def _end_figures(
        self, end: int, before: IntArray, kept: int, guests: list[int], gaps: bool, budget: Budget
    ) -> WideEnd | None:
        """Return what the FLGs from these downsets to one cost; None if `budget` ends first."""
        assert self._member is not None
        problem, table, member = self.problem, self.problem.table, self._member
        order = np.flatnonzero(member[end] & ~member[before].all(axis=0))
        cuts = cuts_of(problem, order, kept)
        tiles = self._known.cut(order, cuts)
        if self._known.too_many:
            self._member = None  # no more time could help
            return None
        if not self._known.price(budget):
            return None
        number = problem.batch // cuts.samples * cuts.parts
        at_samples = np.searchsorted(divisors(problem.batch), cuts.samples)
        of_parts = self._of_parts[:, order][:, :, at_samples, cuts.parts - 1]
        core = np.stack(self._known.costs(tiles.which)).astype(np.float64)
        core = np.minimum(np.where(core[0] >= 0, number * core, np.inf), of_parts)
        can: BoolArray = np.isfinite(core).all(axis=0) & (tiles.which != -1)
        share, divisible = self.share[order][:, None], self.share[order][:, None] < 1
        channels, bits = table.layers[order][:, [nt.K, nt.OFMAP_BITS]].T[:, :, None]
        most = packed(self._known.area(tiles) * channels, bits)
        held: IntArray = np.where(divisible, np.minimum(tiles.held, most), tiles.held)
        inside = np.ix_(order, order)
        uses, depends = self.uses[inside], self.input.depends[inside]
        fused: BoolArray = uses.any(axis=1)  # type: ignore[assignment]
        guest = np.isin(order, guests)
        alone = (divisible & ~fused[:, None]) | guest[:, None]
        live = np.where(alone, np.floor(held * share), held).astype(np.int64)
        weights = np.where(guest, np.floor(self.weights[order] * share[:, 0]), self.weights[order]).astype(np.int64)
        costs, edges, read = self._costs_of_tiles(order, number, np.where(can, core, 0.0), held, tiles, live)
        costs[:, guest] = 0.0
        return WideEnd(
            order=order,
            edge_begin=edges,
            number=number,
            can=can | (guest[:, None] & (tiles.which != -1)),
            cycles=costs[0],
            energy_pj=costs[1],
            dram_cycles=costs[2],
            held=held,
            live=live,
            brought=tiles.brought,
            crosses=crossings(uses, depends),
            last=~fused,
            fine=(fused & ~table.is_output[order]) | may_be_fine(table, order, kept),
            gaps=gaps,
            weights=weights,
            read=read,
            guest=guest,
            rate=problem.platform.dram_rate,
        )

    def _costs_of_tiles(
        self, order: IntArray, number: IntArray, core: FloatArray, held: IntArray, tiles: CutTiles, live: IntArray
    ) -> tuple[FloatArray, IntArray, IntArray]:
        """Return what tiles cost with transfers that are certain, the first edge of each layer, and what is read of it.

        float64[3, m, O]: cycles, pJ, transfer cycles; int64[m]; int64[m, O]. What is loaded for certain is added to
        `live`.
        """
        problem, table = self.problem, self.problem.table
        rate, dram_pj = problem.platform.dram_rate, problem.platform.dram_pj_per_byte
        edges, place, edge_begin = edges_of(table, order)
        times = self._times[order][:, None]
        costs: FloatArray = np.stack([core[0], core[1], np.zeros(core[0].shape)]) * times
        stored = table.is_output[order][:, None]
        costs[1] += np.where(stored, times * number * held * dram_pj, 0.0)
        costs[2] += np.where(stored, times * number * transfer_cycles(held, rate), 0.0)
        certain = self.untracked[edges]
        brought = tiles.brought[certain]
        np.add.at(costs[1], place[certain], number * brought * dram_pj)
        np.add.at(costs[2], place[certain], (number * transfer_cycles(brought, rate)).astype(np.float64))
        np.add.at(live, place[certain], brought)
        place_of = np.full(len(table.layers) + 1, -1)
        place_of[order] = np.arange(len(order))
        made = place_of[np.maximum(table.source[edges], -1)]
        read: IntArray = np.zeros(held.shape, np.int64)
        np.maximum.at(read, made[made >= 0], tiles.brought[made >= 0])
        return costs, edge_begin, read


# What is known of the layers whatever the FLG


def _least_shares(problem: Problem, prices: LayerPrices) -> FloatArray:
    """Return float64[L]: the share of a layer's channels in its smallest part; 1 if it is not divided."""
    share = np.ones(len(problem.table.layers))
    for layer, sizes in prices.part_sizes.items():
        share[layer] = sizes.fewest_channels / sizes.all_channels
    return share


def _weights(problem: Problem, heads: list[list[Head]]) -> IntArray:
    """Return int64[L]: bytes of weights in the buffer, as far as no other layer may have brought them."""
    table = problem.table
    first, times = table.stored_weights, np.bincount(table.stored_weights, minlength=len(table.layers))
    of_heads = np.isin(np.arange(len(first)), [conv for alike in heads for conv, _ in alike])
    brought = (first != np.arange(len(first))) | (of_heads & (times[first] > 1))
    weights: IntArray = np.where(brought, 0, table.layers[:, nt.WEIGHT_BYTES])
    return weights


def _costs_of_parts(problem: Problem, prices: LayerPrices) -> FloatArray:
    """Return float64[2, L, divisors of the batch, `MOST_PARTS`]: see `LayerPrices.per_channel`; infinite of others."""
    found = np.full((2, len(problem.table.layers), len(divisors(problem.batch)), layer_bounds.MOST_PARTS), np.inf)
    wide = prices.choices(Budget(0.0), wide=True)
    for layer in prices.part_sizes:
        known = prices.per_channel(layer)
        if known is not None:
            found[:, layer] = known[0]
        elif len(wide[layer].cycles):
            found[:, layer] = np.array([wide[layer].cycles[0], wide[layer].energy_pj[-1]])[:, None, None]
    return found


def _wide_layers(
    problem: Problem,
    prices: LayerPrices,
    multipliers: FloatArray,
    times: IntArray,
    share: FloatArray,
    weights: IntArray,
    heads: list[list[Head]],
) -> WideLayers:
    table, platform, network = problem.table, problem.platform, problem.network
    layers, rate, dram_pj = table.layers, platform.dram_rate, platform.dram_pj_per_byte
    count, inputs = len(layers), len(network.inputs)
    divisible = share < 1
    channels = np.array([one[0][0] for one in prices.extents.values])
    channels = np.where(divisible, np.minimum(channels, layers[:, nt.K]), channels)
    held, whole, alone_bytes, fine_bytes = least_bytes(problem, prices, channels)
    index = np.where(table.source >= 0, table.source, count - 1 - table.source)
    readers: list[list[int]] = [table.reader[index == source].tolist() for source in range(count + inputs)]
    others = left_out(heads)
    tracked = np.array([len(some) > 1 or divisible[some].any() for some in readers[count:]], np.bool_)
    untracked = np.array([source < 0 and not tracked[-1 - source] for source in table.source.tolist()], np.bool_)
    seen = [[layer for layer in some if layer not in others] for some in readers]
    of_inputs = [packed(problem.batch * int(np.prod(one.shape)), one.type.bits) for one in network.inputs]
    made = packed(problem.batch * layers[:, nt.K] * layers[:, nt.H] * layers[:, nt.W], layers[:, nt.OFMAP_BITS])
    stored = np.where(table.is_output, whole, 0)
    moved, cycles = {}, {}
    for name, size in (("alone", alone_bytes), ("fine", fine_bytes)):
        moved[name], cycles[name] = stored.copy(), transfer_cycles(stored, rate)
        np.add.at(moved[name], table.reader[untracked], size[untracked])
        np.add.at(cycles[name], table.reader[untracked], transfer_cycles(size[untracked], rate))
    alone = np.floor((weights + held) * share).astype(np.int64)
    np.add.at(alone, table.reader[untracked], alone_bytes[untracked])
    wide = prices.choices(Budget(0.0), wide=True)
    one_by_one, fine = map(list, zip(*prices.whole_and_fine(wide=True), strict=True))
    elsewhere = list(wide)
    for layer in prices.part_sizes:
        one_by_one[layer] = wide[layer]
        known = prices.per_channel(layer)
        elsewhere[layer] = wide[layer] if known is None else known[1]
    by_cost = partial(least_costs, multipliers, dram_pj)
    any_cost = by_cost(wide, moved["fine"], cycles["fine"])
    elsewhere_cost: FloatArray = times[:, None] * by_cost(elsewhere, moved["fine"], cycles["fine"])
    elsewhere_cost[np.isinf(elsewhere_cost)] = 0.0
    return WideLayers(
        whole=np.concatenate([whole, np.array(of_inputs, np.int64)]),
        fine_kept=whole * (layer_bounds.MOST_PARTS - 1) // (layer_bounds.MOST_PARTS + 1),
        full=np.concatenate([made, np.array(of_inputs, np.int64)]),
        share=share,
        any_cost=times[:, None] * any_cost,
        elsewhere_cost=elsewhere_cost,
        fine_cost=times[:, None] * by_cost(fine, moved["fine"], cycles["fine"]),
        alone_cost=times[:, None] * by_cost(one_by_one, moved["alone"], cycles["alone"]),
        alone=alone,
        alone_bytes=alone_bytes,
        fine_bytes=fine_bytes,
        tracked=tracked,
        served=np.array([bool(others & {*some}) for some in readers], np.bool_),
        reader_begin=np.cumsum([0, *map(len, seen)]),
        reader=np.array([layer for some in seen for layer in some], np.int64),
        times=np.concatenate([times, np.ones(inputs, np.int64)]),
        pj_per_byte=np.array([dram_pj]),
        cycles_per_byte=np.array([rate.cycles / rate.bytes]),
    )
