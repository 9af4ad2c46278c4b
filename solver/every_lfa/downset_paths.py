"""Lower bounds over every LFA of the paper's space: a shortest path over the downsets of the network.

Cut the Computing Order of an LFA anywhere: what stands before is a downset, a set of layers that holds all producers of
its members. So an LFA is a chain ∅ = I₀ ⊂ I₁ ⊂ … ⊂ all layers: FLG k is Iₖ \\ Iₖ₋₁ and has a Tiling Number, and some
of the Iₖ are begins of LGs. For multipliers a, μ, ν ≥ 0 the paths below cost at most a·Energy + μ·Σ tile cycles +
ν·Σ transfer cycles of the LFA that they stand for; the shortest of them costs no more than any LFA.

*Tiles depend on the end of an FLG alone.* In the FLG J \\ I, the extent of the tiles of layer l depends on J and on how
the FLG is cut, not on I or on the order. *Proof.* Extents are made backwards from consumers in the FLG. A consumer of
l ∉ I is not in I, since I is a downset. So the consumers of l in J \\ I are those in J; induction backwards. ∎ A
transpose keeps rows or columns whole if a producer of it lies in J \\ I, too; so what is kept whole is a part of how
the FLG is cut. Where both are kept, more parts than one are copies, which cost more and, by the next lemma, need no
less room: they are left out.

*What must fit.* Let the FLG S = J \\ I with Tiling Number n lie in an LG from A to B, A ⊆ I, J ⊆ B. W are the bytes of
its weights; v(l) those of a tile of l. *Residents* are the layers of I \\ A that a layer of B \\ I reads; R are the
least bytes of all their tiles. The layers of S that a layer of B \\ J reads are *kept*; k is the sum of their v.
live(l) are the tiles that l reads of external inputs and of layers in A, v(l), and v(p) of each p in S that is an
ancestor of l and is kept, or is read by l or a descendant of l in S. late(l) is live(l) without v of kept layers. If
any DLSA fits into the buffer G:

- n ≥ 3: W + R + (n − 2) k + live(l) ≤ G for every l in S;
- n = 2: R + w(l) + live(l) ≤ G for every l in S, where w(l) are its own weights;
- n ≥ 2: W + R + (n − 1) k + late(l) ≤ G for some l that nothing in S reads;
- n = 1: R + w(l) + v(l) + the tiles that l loads ≤ G for every l in S, where R are the residents when only what stands
  before l has run.

*Proof.* Look at the position of tile n − 2 of l if n ≥ 3, of tile 0 otherwise. A resident is in the same LG and in
another FLG than a reader, so all its tiles are alive until the reader's last tile, which is still to come. So are,
until then, the tiles of kept layers that have run: those of all rounds before, and of this round those of ancestors of
l. The tile of l and its loads are alive. p stands before l in every order, the consumer of p that is l or a descendant
of l does not, and p's tile of this round is alive until the consumer's. If n ≥ 3, all weights of S are alive: tiles 0
have run, tiles n − 1 have not. If n = 2, those of l are. The last position of round n − 2 belongs to a layer that
nothing in S reads; there all tiles n − 2 but this one have run and all tiles n − 1 are to come: all weights are alive,
and n − 1 tiles of each kept layer. ∎

*FLGs of one tile.* An FLG with n = 1 costs no less than its layers one by one as FLGs with n = 1 in the same LG, each
at the least cost over all extents that are at least those of one part (`soma_cp.solver.every_lfa.tile_extents`), and
needs no less room. *Proof.* Before and after are the same downsets and more in between. Each layer loads and stores at
most as much, and what it needs at its only tile is what the condition for n = 1 counts: a producer's only tile is alive
until its consumer has run, and no tiling of the producer makes fewer bytes than R has. ∎ So FLGs of several layers need
n ≥ 2 alone, hence W ≤ G: that leaves few pairs I, J.

*Transfers.* Weights are loaded once at least (in the paper's space each layer loads its own). S loads n tiles for each
edge from A or from an external input. It stores n tiles of each output of the network. When an LG that began at A ends
at B, each other layer of B \\ A with a consumer outside of B has stored all its tiles: at least the fewest bytes of any
tiling. Each transfer of an LFA is counted once at most, with all its cycles, or several together with no more.

*Many parts.* Tilings of more than `MOST_PARTS` parts are one more way to cut an FLG: each layer costs the least over
all such tilings, loads the least over all tilings, and of the buffer only W + R and (n − 2) of n equal shares of all
tiles of kept layers are asked for. No layer of the FLG whose ofmap is cut itself has fewer rows and columns.

*Theorem.* Let f(S, loaded, R, kept) be the least cost over n of an FLG that loads a part of its sources and finds the
others on chip, beside residents of R bytes; D(J) the least cost of a beginning that ends an LG at J, and D(A, B, J)
that of a beginning that ends at J in an LG from A to B:

    D(A, B, J) = min over I, A ⊆ I ⊂ J, of D(A, B, I) + f(J \\ I, its sources in A, R(A, B, I), kept(A, B, I, J))
    D(A, B, A) = D(A);    D(B) = min over A of D(A, B, B) + stores(A, B);    D(∅) = 0

D(all) and the cost of all weights are at most a·Energy + μ·Σ tile cycles + ν·Σ transfer cycles of every LFA that has a
schedule. *Proof.* With its FLGs of one tile taken apart it is such a path; every step fits, so it costs at least f; the
transfers that are left are those of the stores. ∎

*States.* What D(A, B, J) needs to go on hangs on which layers of J are in A and which are read in B \\ J, of those
alone that a layer outside of J reads; `soma_cp.solver.every_lfa.lg_classes` lists how many cases that makes. Two ends
that read the same there are alike from J on back, so a path may take one of them before J and the other after; each LFA
is still one of the paths. An LG that goes on at J ⊂ B though nothing in B \\ J reads J \\ A may be cut there for
nothing: the FLGs from J on load what they did, since they read nothing of J \\ A; residents and kept layers are the
same; and the open layers of J \\ A are stored at J in place of B. So no path goes on from there.

An FLG with more than `MOST_SOURCES` sources counts the others as not loaded.

*Heads.* Where a network has too many downsets, one of its attention heads may stand for all: `times` says how often a
layer is counted (`soma_cp.solver.every_lfa.heads` has the proof).

*Rounding.* All terms are at least 0. Cycles are whole numbers, and exact up to 2⁵³. A sum of energies takes at most a
few additions per layer and FLG, each with a relative error of 2⁻⁵³: far less than `ROUNDING`.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from math import gcd
from typing import NamedTuple

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.chunks import run_in_chunks
from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.data_types import packed
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.problem import Problem
from soma_cp.model.soma.plan import MAX_TILES
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.solver.every_lfa import layer_bounds
from soma_cp.solver.every_lfa.downsets import all_downsets
from soma_cp.solver.every_lfa.heads import alike_heads, left_out
from soma_cp.solver.every_lfa.layer_bounds import LayerPrices, divisors
from soma_cp.solver.every_lfa.layer_choices import LayerChoices
from soma_cp.solver.every_lfa.lg_classes import lg_classes
from soma_cp.solver.every_lfa.path_kernel import close_paths, extend_paths
from soma_cp.solver.every_lfa.path_steps import EndFigures, LayerFigures, PathInput
from soma_cp.solver.every_lfa.path_tiles import EMPTY, Cuts, CutTiles, KnownTiles, fill_tiles, kept_whole
from soma_cp.solver.every_lfa.tile_extents import extents_read

ROUNDING = 1e-11
"""Rounding changes the cost of a path by less than this share."""
MOST_KNOWN = 1 << 22
"""Most different tiles that are priced."""
LARGEST_KEY = 1 << 62
STEPS_AT_ONCE = 16
"""FLGs between two looks at the budget; one of 100 layers may take 10 ms."""
ROWS_WHOLE, COLUMNS_WHOLE = 1, 2
"""Bits of `kept_whole`."""


class Steps(NamedTuple):
    """FLGs that end at a downset: the downsets `before` them, int64[P], and what their layers cost."""

    before: IntArray
    flgs: EndFigures


class DownsetPaths:
    """The shortest paths, for all multipliers at once; they go on where a budget ended.

    Parameters
    ----------
    problem
        A problem without divided layers.
    prices
        The prices of all layers.
    multipliers
        float64[M, 3]: of energy, of cycles of tiles, of cycles of transfers.
    """

    def __init__(self, problem: Problem, prices: LayerPrices, multipliers: FloatArray) -> None:
        self.problem = problem
        self.multipliers = multipliers
        self._prices = prices
        self._times = np.ones(len(problem.table.layers), np.int64)
        self._gaps = False
        self._member = all_downsets(problem.table)
        if self._member is None:
            self._member = self._with_one_head()
        self._known = PathTiles(problem, prices)
        self._done = 1
        if self._member is None or not self._known.listed:
            self._member = None
            return
        source = problem.table.source
        of_source = np.where(source >= 0, self._times[np.maximum(source, 0)], 1)
        self._edge_times = np.maximum(of_source, self._times[problem.table.reader])
        figures = _layer_figures(problem, prices, multipliers, self._times, self._edge_times)
        self.stores = store_costs(problem, figures.whole, self._times)
        uses = np.zeros((len(problem.table.layers),) * 2, np.bool_)  # by producer and consumer
        uses[problem.table.source[problem.table.source >= 0], problem.table.reader[problem.table.source >= 0]] = True
        self.uses = uses
        depends = np.zeros(uses.shape, np.bool_)  # by layer and ancestor
        for layer, needed in enumerate(prices.needs):
            depends[layer, list(needed)] = True
        self.input = PathInput(
            table=problem.table,
            layers=figures,
            classes=lg_classes(self._member, uses),
            member=self._member,
            depends=depends,
            capacity=problem.platform.gbuf_bytes,
            multipliers=multipliers,
        )
        self._least = np.full((self.input.classes.state_first[-1], len(multipliers)), np.inf)
        self._least[self._states(0)] = 0.0

    def _states(self, downset: int) -> slice:
        """Return where the states of a downset stand."""
        first: IntArray = self.input.classes.state_first
        return slice(first[downset], first[downset + 1])

    def _with_one_head(self) -> BoolArray | None:
        """Return the downsets if one head stands for all that are alike."""
        alike = alike_heads(self.problem.table, self._prices.extents)
        for first, *others in alike:
            self._times[list(first)] = 1 + len(others)
        self._gaps = bool(alike)
        return all_downsets(self.problem.table, left_out(alike)) if alike else None

    @property
    def can_go_on(self) -> bool:
        """Whether more time could find more: there are few enough downsets, and some are left."""
        return self._member is not None and self._done < len(self._member)

    @property
    def found_of_all(self) -> bool:
        """Whether all paths are found, and none of the layers is left out."""
        return self._member is not None and not self._gaps and not self.can_go_on

    def costs(self, budget: Budget) -> FloatArray | None:
        """Return float64[M]: costs that no LFA is below; None if `budget` ends first, or if they are not known."""
        if self._member is None:
            return None
        while self._done < len(self._member):
            if budget.over or not self._end_at(self._done, budget):
                return None
            self._done += 1
        weights = self.problem.table.layers[:, nt.DRAM_WEIGHT_BYTES]
        platform = self.problem.platform
        moved = float(weights.sum()) * platform.dram_pj_per_byte
        cycles = float(transfer_cycles(weights, platform.dram_rate).sum())
        costs: FloatArray = self._least[-1] + self.multipliers @ np.array([moved, 0.0, cycles])
        return costs if np.isfinite(costs).all() else None

    def _end_at(self, after: int, budget: Budget) -> bool:
        """Find the least costs of the paths to one downset; return False if `budget` ends first."""
        for steps in self.steps_to(after, budget):
            if steps is None:
                self._least[self._states(after)] = np.inf
                return False
            extend_paths(self.input, after, steps.before, steps.flgs, self._least)
        close_paths(self.input.classes, after, self.multipliers, *self.stores, self._least)
        return True

    def steps_to(self, after: int, budget: Budget) -> Iterator[Steps | None]:
        """Yield all steps to a downset, a few at a time; None, and no more, if `budget` ends first."""
        member, weights = self.input.member, self.input.member @ self.input.layers.weights
        before = np.flatnonzero(~(member[:after] & ~member[after]).any(axis=1))
        sizes = int(member[after].sum()) - member[before].sum(axis=1)
        fits = weights[after] - weights[before] <= self.problem.platform.gbuf_bytes
        reached = np.array([np.isfinite(self._least[self._states(one), 0]).any() for one in before.tolist()], np.bool_)
        before = before[(sizes > 0) & fits & reached]
        whole = kept_whole(self.problem.table, member, before, after)
        for kept in np.unique(whole).tolist():
            some = before[whole == kept]
            figures = self._end_figures(after, some, kept, budget)
            for first in range(0, len(some), STEPS_AT_ONCE):
                if figures is None or budget.over:
                    yield None
                    return
                yield Steps(some[first : first + STEPS_AT_ONCE], figures)

    def _end_figures(self, after: int, before: IntArray, kept: int, budget: Budget) -> EndFigures | None:
        """Return what the FLGs from these downsets to one cost; None if `budget` ends first."""
        problem, table, member = self.problem, self.problem.table, self.input.member
        order = np.flatnonzero(member[after] & ~member[before].all(axis=0))
        cuts = cuts_of(problem, order, kept)
        tiles = self._known.cut(order, cuts)
        if self._known.too_many:
            self._member = None  # no more time could help
            return None
        if not self._known.price(budget):
            return None
        cycles, energy = self._known.costs(tiles.which)
        number = problem.batch // cuts.samples * cuts.parts
        edges, place, edge_begin = edges_of(table, order)
        rate, dram_pj = problem.platform.dram_rate, problem.platform.dram_pj_per_byte
        edge_number = number * self._edge_times[edges][:, None]
        brought_pj = (edge_number * tiles.brought).astype(np.float64) * dram_pj
        brought_cycles = (edge_number * transfer_cycles(tiles.brought, rate)).astype(np.float64)
        external = table.source[edges] < 0
        times = number * self._times[order][:, None]
        core_pj, dram_cycles, live = times * energy, np.zeros(energy.shape), tiles.held.copy()
        np.add.at(core_pj, place[external], brought_pj[external])
        np.add.at(dram_cycles, place[external], brought_cycles[external])
        np.add.at(live, place[external], tiles.brought[external])
        stored = table.is_output[order][:, None]
        core_pj += np.where(stored, times * tiles.held * dram_pj, 0.0)
        dram_cycles += np.where(stored, times * transfer_cycles(tiles.held, rate), 0.0)
        inside = np.ix_(order, order)
        uses, depends = self.uses[inside], self.input.depends[inside]  # by producer and consumer; by layer and ancestor
        read: BoolArray = uses.any(axis=1)  # type: ignore[assignment]
        cut_themselves = ~read | table.is_output[order]
        return EndFigures(
            order=order,
            edge_begin=edge_begin,
            number=number,
            can=cycles >= 0,
            energy_pj=core_pj,
            cycles=(times * cycles).astype(np.float64),
            dram_cycles=dram_cycles,
            held=tiles.held,
            live=live,
            brought=tiles.brought,
            brought_pj=brought_pj,
            brought_cycles=brought_cycles,
            crosses=crossings(uses, depends),
            last=~read,
            fine=~cut_themselves | may_be_fine(table, order, kept),
            gaps=self._gaps,
        )


def edges_of(table: NetworkTable, order: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return the edges of these layers, the place in `order` of the layer of each, and the first edge of each layer."""
    begins, ends = table.source_begin[order], table.source_begin[order + 1]
    edges = np.concatenate([np.arange(a, b) for a, b in zip(begins.tolist(), ends.tolist(), strict=True)])
    place = np.repeat(np.arange(len(order)), ends - begins)
    return edges.astype(np.int64), place, np.cumsum(ends - begins) - (ends - begins)


def crossings(uses: BoolArray, depends: BoolArray) -> BoolArray:
    """Return `EndFigures.crosses` of layers: `uses` is by producer and consumer, `depends` by layer and ancestor."""
    reaches = depends.T | np.eye(len(depends), dtype=np.bool_)  # by layer, and itself or a descendant
    crosses = depends.T & (uses.astype(np.float64) @ reaches.T.astype(np.float64) > 0)
    return np.ascontiguousarray(crosses)


def may_be_fine(table: NetworkTable, order: IntArray, kept: int) -> BoolArray:
    """Return bool[m]: whether these layers have more parts than are listed, with some dimensions kept whole."""
    parts = np.where(kept & ROWS_WHOLE, 1, table.layers[order, nt.H])
    fine: BoolArray = parts * np.where(kept & COLUMNS_WHOLE, 1, table.layers[order, nt.W]) > layer_bounds.MOST_PARTS
    return fine


def cuts_of(problem: Problem, order: IntArray, kept: int) -> Cuts:
    """Return all ways to cut an FLG of some of these layers into 2 tiles or more, but those of too many parts."""
    batch, layers = problem.batch, problem.table.layers[order]
    most_rows = 1 if kept & ROWS_WHOLE else int(layers[:, nt.H].max(initial=1))
    most_columns = 1 if kept & COLUMNS_WHOLE else int(layers[:, nt.W].max(initial=1))
    most = min(layer_bounds.MOST_PARTS, most_rows * most_columns)
    ways = [
        (batch // fb, m)
        for fb in divisors(batch).tolist()
        for m in range(1, most + 1)
        if 2 <= fb * m <= MAX_TILES and gcd(batch, fb * m) == fb
    ]
    samples, parts = np.array(ways, np.int64).reshape(-1, 2).T.copy()
    return Cuts(samples, parts, bool(kept & ROWS_WHOLE), bool(kept & COLUMNS_WHOLE))


class PathTiles:
    """All different tiles of layers so far, and their prices."""

    def __init__(self, problem: Problem, prices: LayerPrices) -> None:
        self._problem = problem
        table = problem.table
        columns = (nt.K, nt.H, nt.W)
        most = [
            max(int(table.layers[:, column].max()), *(int(values[i][-1]) for values in prices.extents.values)) + 1
            for i, column in enumerate(columns)
        ]
        k, h, w = most
        strides = [(problem.batch + 1) * k * h * w, k * h * w, h * w, w]
        self.listed = all(prices.extents.listed) and strides[0] * (len(table.layers) + 1) < LARGEST_KEY
        self.listed &= bool((table.layers[:, nt.K] > 0).all())  # no absent parts
        self._strides = np.array(strides if self.listed else [0] * 4, np.int64)
        self._table = self._empty_table(1 << 12)
        self._rows = np.empty((1 << 12, 5), np.int64)
        self._cycles, self._energy = np.empty(0, np.int64), np.empty(0)
        self._count = 0
        self._extents = np.zeros((len(table.layers), 4), np.int64)

    def _empty_table(self, size: int) -> KnownTiles:
        return KnownTiles(np.full(size + 1, EMPTY, np.int64), np.empty(size + 1, np.int64), self._strides)

    def cut(self, order: IntArray, cuts: Cuts) -> CutTiles:
        """Return the tiles of these layers under each cut; some may not be priced yet."""
        table = self._problem.table
        options = len(cuts.samples)
        self._grow(self._count + len(order) * options)
        flg, place_of = np.zeros(len(table.layers), np.int64), np.zeros(len(table.layers), np.int64)
        flg[order], place_of[order] = 1, np.arange(len(order))
        edges = int((table.source_begin[order + 1] - table.source_begin[order]).sum())
        tiles = CutTiles(
            which=np.empty((len(order), options), np.int64),
            held=np.zeros((len(order), options), np.int64),
            brought=np.zeros((edges, options), np.int64),
        )
        self._count = fill_tiles(
            table, order, flg, place_of, cuts, self._table, self._count, self._rows, self._extents, tiles
        )
        return tiles

    def area(self, tiles: CutTiles) -> IntArray:
        """Return int64[m, O]: samples, rows and columns of each tile multiplied; of no tile anything."""
        _, samples, _, rows, columns = np.moveaxis(self._rows[np.maximum(tiles.which, 0)], -1, 0)
        area: IntArray = samples * rows * columns
        return area

    @property
    def too_many(self) -> bool:
        """Whether there are more tiles than are priced."""
        return self._count > MOST_KNOWN

    def price(self, budget: Budget) -> bool:
        """Price all tiles that are not priced yet; return False if `budget` ends first."""
        problem, first = self._problem, len(self._cycles)
        found: list[tuple[IntArray, FloatArray]] = []

        def price(begin: int, end: int) -> None:
            found.append(problem.core_array.least_costs(problem.table, self._rows[begin:end]))

        smallest = 1 if problem.core_array.takes_long else 256
        done = run_in_chunks(price, self._count, budget, lambda _: None, first, smallest)
        if found:
            cycles, energy = (np.concatenate(each) for each in zip(*found, strict=True))
            self._cycles = np.concatenate([self._cycles, cycles])
            self._energy = np.concatenate([self._energy, energy])
        return done == self._count

    def costs(self, which: IntArray) -> tuple[IntArray, FloatArray]:
        """Return the cycles, −1 where there is no tile or the core array can't run it, and the pJ of tiles."""
        if self._count == 0:
            return np.full(which.shape, -1, np.int64), np.zeros(which.shape)
        cycles = np.where(which == EMPTY, -1, self._cycles[which])
        return cycles, np.where(cycles < 0, 0.0, self._energy[which])

    def _grow(self, count: int) -> None:
        """Make room for so many tiles."""
        if count > len(self._rows):
            more = np.empty((2 * count - len(self._rows), 5), np.int64)
            self._rows = np.concatenate([self._rows, more])
        if 2 * count < len(self._table.keys):
            return
        old, self._table = self._table, self._empty_table(4 * count)
        taken = old.keys != EMPTY
        _put(self._table, old.keys[taken], old.index[taken])


def _put(table: KnownTiles, keys: IntArray, index: IntArray) -> None:
    """Put different keys into an empty hash table."""
    left = np.arange(len(keys))
    slot = keys % len(table.keys)
    while len(left):  # of those that want the same free slot, the last one gets it
        free = left[table.keys[slot[left]] == EMPTY]
        table.keys[slot[free]], table.index[slot[free]] = keys[free], index[free]
        left = left[table.keys[slot[left]] != keys[left]]
        slot[left] = (slot[left] + 1) % len(table.keys)


def _layer_figures(
    problem: Problem, prices: LayerPrices, multipliers: FloatArray, times: IntArray, edge_times: IntArray
) -> LayerFigures:
    """Return what is known of the layers whatever the FLG; layers and edges count several times."""
    table = problem.table
    layers, rate, dram_pj = table.layers, problem.platform.dram_rate, problem.platform.dram_pj_per_byte
    channels = np.array([one[0][0] for one in prices.extents.values])
    held, whole, alone_bytes, fine_bytes = least_bytes(problem, prices, channels)
    stored = np.where(table.is_output, whole, 0)
    external = table.source < 0
    moved, cycles = {}, {}
    for name, size in (("alone", alone_bytes), ("fine", fine_bytes)):
        moved[name], cycles[name] = stored.copy(), transfer_cycles(stored, rate)
        np.add.at(moved[name], table.reader[external], size[external])
        np.add.at(cycles[name], table.reader[external], transfer_cycles(size[external], rate))
    alive = layers[:, nt.WEIGHT_BYTES] + held
    np.add.at(alive, table.reader[external], alone_bytes[external])
    pj = [size.astype(np.float64) * dram_pj for size in (alone_bytes, fine_bytes)]
    one_by_one, fine_choices = zip(*prices.whole_and_fine(), strict=True)
    by_cost = partial(least_costs, multipliers, dram_pj)
    return LayerFigures(
        weights=np.ascontiguousarray(layers[:, nt.WEIGHT_BYTES]),
        whole=whole,
        fine_kept=whole * (layer_bounds.MOST_PARTS - 1) // (layer_bounds.MOST_PARTS + 1),
        alone=alive,
        alone_cost=times[:, None] * by_cost(one_by_one, moved["alone"], cycles["alone"]),
        fine_cost=times[:, None] * by_cost(fine_choices, moved["fine"], cycles["fine"]),
        alone_bytes=alone_bytes,
        alone_pj=edge_times * pj[0],
        alone_cycles=(edge_times * transfer_cycles(alone_bytes, rate)).astype(np.float64),
        fine_pj=edge_times * pj[1],
        fine_cycles=(edge_times * transfer_cycles(fine_bytes, rate)).astype(np.float64),
    )


def store_costs(problem: Problem, whole: IntArray, times: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return float64[L] each: pJ and cycles of storing all tiles of a layer; 0 of outputs, which are always stored.

    `whole` are the bytes, `times` says how often a layer counts; both are int64[L].
    """
    made, platform = ~problem.table.is_output, problem.platform
    return (
        np.where(made, times * (whole.astype(np.float64) * platform.dram_pj_per_byte), 0.0),
        np.where(made, times * transfer_cycles(whole, platform.dram_rate), 0).astype(np.float64),
    )


def least_bytes(
    problem: Problem, prices: LayerPrices, channels: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return the least bytes of a layer's only tile, of all its tiles, and what these read over an edge.

    Arguments and the first two are by layer, if a tile has at least so many channels; the others by edge.
    """
    table, batch = problem.table, problem.batch
    layers, bits = table.layers, table.layers[:, nt.OFMAP_BITS]
    rows, columns, values = prices.extents.rows, prices.extents.columns, prices.extents.values
    channels = np.where(table.is_output, np.maximum(channels, layers[:, nt.K]), channels)
    one_tile = np.array([a.extent[0] * b.extent[0] for a, b in zip(rows, columns, strict=True)])
    all_tiles = np.array([a.least_total * b.least_total for a, b in zip(rows, columns, strict=True)])
    held, whole = packed(batch * channels * one_tile, bits), packed(batch * channels * all_tiles, bits)
    alone_bytes, fine_bytes = np.zeros(len(table.source), np.int64), np.zeros(len(table.source), np.int64)
    for edge, layer in enumerate(table.reader.tolist()):
        role, factor = int(table.source_role[edge]), batch * int(table.source_channels[edge])
        read = extents_read(layers, layer, role, int(values[layer][0][0]), rows[layer], columns[layer])
        alone = factor * int(read[0].extent[0]) * int(read[1].extent[0])
        fine = factor * read[0].least_total * read[1].least_total
        alone_bytes[edge], fine_bytes[edge] = (packed(one, int(table.source_bits[edge])) for one in (alone, fine))
    return held, whole, alone_bytes, fine_bytes


def least_costs(
    multipliers: FloatArray, dram_pj: float, choices: Sequence[LayerChoices], moved: IntArray, dram_cycles: IntArray
) -> FloatArray:
    """Return float64[L, M]: the least cost of the layers' choices with these transfers, infinite if there is none."""
    costs = np.full((len(choices), len(multipliers)), np.inf)
    for layer, choice in enumerate(choices):
        if len(choice.cycles):
            of_tiles = multipliers[:, :1] * choice.energy_pj + multipliers[:, 1:2] * choice.cycles
            of_transfers = multipliers[:, 0] * (moved[layer] * dram_pj) + multipliers[:, 2] * dram_cycles[layer]
            costs[layer] = of_tiles.min(axis=1) + of_transfers
    return costs
