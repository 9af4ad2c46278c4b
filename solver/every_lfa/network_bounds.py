"""Lower bounds on energy, latency and cost over *every* LFA and DLSA of a network on a platform.

Each bound counts what no schedule can avoid:

*Tiles.* The cheapest tiling of every layer, in cycles and in energy: see `soma_cp.solver.every_lfa.tile_extents` and
`soma_cp.solver.every_lfa.layer_bounds`.

*DRAM.* All weights are loaded at least once, external inputs are loaded as far as tiles read them, and ofmaps without
consumers are stored.

*Latency.* At least Σ tile cycles, and at least all transfers. Before the first tile of a layer v, the weights of v and
of all its ancestors are loaded, and the external inputs of their first tiles. An ancestor in v's FLG has as many parts
as v: at most one for each sample, row and column of a layer that depends on v, and fewer if a transpose on the way
keeps rows or columns whole. Any other ancestor is computed in full before. From then on v and all its descendants
compute, and the ofmap of the last tile is stored, since its layer has no consumers.

Before the last tile of v, everything that v and its ancestors load is loaded; this tile and the last tiles of all
descendants are still to come. Before the end of v, all its ancestors are computed. While the last tile of v runs, the
buffer holds the weights of v and a tile of its ofmap. It also holds every weight of a descendant whose load has begun,
since the last tile of that layer is still to come. Let w be a descendant. Of the weights of w and of all layers between
v and w, what exceeds the rest of the buffer is loaded after the end of v and before the first tile of w. Then w and all
its descendants compute. These steps add up from layer to layer: v ends no earlier than the bound on the begin of its
first tile, plus all its tiles.

*Shared loads.* In the wide space one load may serve several layers. An external input is then loaded at least as far as
the layer needs that needs most of it: a load that serves a tile is at least as large as what the tile needs, and a
layer of another FLG shares only loads whose tiles are together as large as the whole input or larger
(`soma_cp.model.soma.shared_loads`). This holds for all loads, and for those before the first tile of a layer. Of
weights that several layers have, the bounds count only those of the first such layer, and none where that layer is not
among the ones that are looked at: fewer weights make every bound lower. A shared load that has begun holds buffer until
the last tile that it serves, so the weights of a descendant whose load has begun are still in the buffer at the end of
v.

*Divided layers.* In the wide space a layer v may be divided by output channels (docs/model.md#divided-layers). Each
part reads all that v reads, and what reads v reads all parts. So of everything above this holds:

- "Before the first tile of v" is before the first tile of any part. All weights of v's ancestors are loaded, and those
  of one part of v, which may be the smallest. From then on all parts of v and of its descendants compute.
- "Before the last tile of v" is before the last tile of any part. All parts of v and of its ancestors are loaded. This
  tile is still to come, and so are the last tiles of all parts of all descendants: each comes after the last tile of
  each part that it depends on.
- While the last tile of v runs, the buffer holds the weights of one part of v, a tile of its ofmap, and what of its
  descendants is loaded. Before the first tile of w, one part of w and all layers between v and w are loaded.
- The last store may be a tile of the smallest part of a layer without consumers.

DRAM traffic is no less than that of the undivided network: the weights and ofmaps of the parts add up, and each part
needs as much of an external input as the layer. Parts of layers with the same weights may share them, too; those of the
first such layer load all. Nothing here asks that a layer fits into the buffer.

*Passes.* In the wide space a batch of B samples may be run in p passes of B / p samples, p a divisor of B
(docs/model.md#passes), which are alike. Bounds for p = 1 and for all p ≥ 2 are found apart; the lower of both holds. Of
p it is only used that q ≤ p ≤ B, where q is the least divisor of B above 1. For p ≥ 2:

- The tiles of a layer of all passes together are as many, and of the same extents, as those of a tiling of all of B
  with p times as many parts by samples. So the cheapest tilings of B bound them, too. A pass takes at least 1 / B of
  their cycles: all passes take the same, and there are at most B.
- All weights are loaded in every pass, so at least q times. Inputs and outputs move as in one pass: those of all passes
  add up.
- "Before the first tile of v" is before its first tile in the first pass. The weights of v's ancestors are loaded once.
  One sample of the external inputs is the most that is counted, and an ancestor outside of v's FLG has computed one
  pass, so at least one sample. From then on v and its descendants compute, in all passes.
- "Before the last tile of v" is before its last tile in the last pass. The weights of all layers are loaded in each of
  the p − 1 passes before, those of v and its ancestors once more, and their inputs for all passes. The last tiles of
  the descendants in the last pass are still to come.
- While the last tile of v in the first pass runs, the buffer holds what is said above, of the first pass; tensors of
  later passes only take more of it. So the steps from v to w are those of the first pass: v ends no earlier than the
  begin of its first tile and its tiles of one pass, no earlier than all tiles of its ancestors in one pass, and after
  the inputs of one pass, at least one sample, are loaded. From the first tile of w on, w and its descendants compute,
  in all passes.
- The last tile of the run is that of a layer without consumers, as in one pass.

*Data types.* Bytes are counted with all elements packed together, while tensors are rounded up one by one. Weights that
are compressed in DRAM count there with their ratio, in the buffer without. Of the weights that are loaded after the end
of v, at least the excess in buffer bytes, every byte takes at least the least ratio of the network in DRAM.

*Fused layers.* The shortest path over the downsets of the network knows which layers the buffer holds together, and
what the others cost in DRAM traffic (`soma_cp.solver.every_lfa.downset_paths`, and
`soma_cp.solver.every_lfa.wide_paths` for the wide space). It gives bounds on energy, on latency, and on sums of both.
Of each number of passes there is a path of its own; that of p passes looks at one of them, at a batch of B / p, and
counts it p times. The least of the bounds of all numbers bounds the cost. A number has a path only if its bound without
one is the least so far, and so for waits: nothing else could raise the bound on the cost.

*Waits.* The shortest path also knows how far the channel may be ahead of compute: see
`soma_cp.solver.every_lfa.path_times`, and `soma_cp.solver.every_lfa.wide_times` for the wide space. It bounds latency,
and sums of energy and latency, in each number of passes. In large networks it is left out where a known schedule is
close to the other bounds.

*Cost.* The fastest tiles and the tiles with the least energy may differ. For any μ ≥ 0, a schedule whose tiles take C
cycles has a core energy of at least Σ min(e + μ c) − μ C, hence a schedule of latency D has at least L(μ) − μ D. On an
interval of D, the cost (L − μ D)^n · D^m is log-concave in D, so its least value stands at an end. For each interval,
the best μ of a list is taken. Paths give such lines, too: a schedule of latency D has at most D cycles of tiles and at
most D of transfers, so if energy + μ · cycles of tiles + ν · cycles of transfers is at least L, its energy is at least
L − (μ + ν) D. On an interval, the best line is taken after the least value of each: the greater of two such costs need
not have its least value at an end.
"""

import math
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.model.arrays import BoolArray, FloatArray, IntArray
from soma_cp.model.data_types import packed, scaled_up
from soma_cp.model.hardware.platform import DramRate
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network_checks import LARGEST_COUNT
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.solver.every_lfa import downset_paths
from soma_cp.solver.every_lfa.downset_paths import DownsetPaths
from soma_cp.solver.every_lfa.layer_bounds import LayerPrices, divisors
from soma_cp.solver.every_lfa.layer_choices import LayerChoices
from soma_cp.solver.every_lfa.path_times import TimedPaths
from soma_cp.solver.every_lfa.tile_extents import TileExtents, ancestors, extents_read, tile_extents
from soma_cp.solver.every_lfa.wide_paths import WidePaths
from soma_cp.solver.every_lfa.wide_times import WideTimedPaths

COMPUTE = "cheapest tiles of every layer"
TRAFFIC = "compulsory DRAM traffic"
LOADS_BEFORE = "what must be loaded before a layer, and what computes after it"
LAST_TILES = "all that must be loaded before a layer's last tile, and the last tiles after it"
BUFFER = "weights that the buffer can't hold when a layer ends"
PATH = "cheapest way to fuse layers that the buffer may hold"
WAITS = "waits for loads that the buffer has no room for earlier, however layers are fused"

INTERVALS = 64
"""Number of latency intervals in which the cost is bounded."""
MULTIPLIERS = 200
"""Number of values of μ that are tried."""
ENERGY_ALONE, TIMES_ALONE = (1.0, 0.0, 0.0), ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.5, 0.5))
"""Multipliers of the paths that bound energy alone, and latency alone."""
SLOPES, SHARES = (0.3, 1.0, 3.0), (1.0, 0.5, 0.0)
"""Of the others: μ + ν in least energies for each least latency, and the share of μ in it."""
TIMED_SLOPES = (0.3, 1.0)
"""Of the paths that know when compute waits: the price of latency in the same unit."""
MET = 1e-9
"""A cost meets a bound if it lies above it by at most this share."""
CLOSE = 0.01
"""What takes long is looked for only if the best schedule known is above the other bounds by more than this share."""
FEW_DOWNSETS = 32
"""Timed paths of networks with so few take less than a second; those of resnet50, with 85, 3 to 6 s."""
COLUMNS_AT_ONCE = 128
"""Layers for which the weights between two layers are summed at a time."""
ROUNDING = 1e-12
"""The order of summation changes a sum of energies by less than this share."""


@dataclass(frozen=True)
class NetworkBound:
    """Lower bounds on every schedule of a problem.

    Parameters
    ----------
    latency
        Cycles.
    latency_source
        The argument that gives the bound, as printed.
    energy_pj
        pJ.
    cost
        Energy^n · Delay^m; at least as high as the cost of both bounds together.
    one_pass_cost
        A bound on the cost of schedules in one pass, at least as high as `cost`.
    compute_cycles, dram_cycles
        Σ of the least cycles over all layers; cycles of the compulsory traffic.
    core_energy_pj, dram_bytes
        Σ of the least energy over all layers; bytes of the compulsory traffic.
    complete
        Whether the time was enough for all that can raise the bounds, but waits that `known_cost` makes needless.
    seconds
        Wall-clock time.
    """

    latency: int
    latency_source: str
    energy_pj: float
    cost: float
    one_pass_cost: float
    compute_cycles: int
    dram_cycles: int
    core_energy_pj: float
    dram_bytes: int
    complete: bool
    seconds: float

    @property
    def met_at(self) -> float:
        """The highest cost at which a schedule counts as optimal over every LFA, up to rounding."""
        return self.cost * (1 + MET)

    @property
    def met_in_one_pass_at(self) -> float:
        """The highest cost at which a schedule in one pass counts as optimal over all in one pass, up to rounding."""
        return self.one_pass_cost * (1 + MET)


class NetworkPrices(LayerPrices):
    """The prices of the layers' tiles, and of the paths once these are begun."""

    paths: DownsetPaths | WidePaths | None = None
    timed: TimedPaths | WideTimedPaths | None = None
    _of_passes: "dict[int, NetworkPrices] | None" = None

    def in_passes(self, number: int, budget: Budget) -> "NetworkPrices":
        """Return the prices of one of so many passes."""
        if number == 1:
            return self
        if self._of_passes is None:
            self._of_passes = {}
        if number not in self._of_passes or not self._of_passes[number].extents.in_time:
            problem = replace(self.problem, batch=self.problem.batch // number)
            self._of_passes[number] = layer_prices(problem, budget)
        return self._of_passes[number]


def layer_prices(problem: Problem, budget: Budget | None = None) -> NetworkPrices:
    """Return the prices of the layers' tiles, none of them computed yet; see `bound_every_lfa`."""
    needs = ancestors(problem)
    return NetworkPrices(problem, needs, tile_extents(problem, needs, budget))


def bound_every_lfa(
    problem: Problem,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    budget: Budget | None = None,
    prices: NetworkPrices | None = None,
    wide: bool = False,
    with_paths: bool = True,
    known_cost: float = math.inf,
) -> NetworkBound:
    """Return lower bounds that hold for every LFA and DLSA of `problem`.

    Parameters
    ----------
    problem
        Network, platform and batch, such that any schedule exists; the layers need not fit into the buffer undivided.
        With `wide`, of a problem with divided layers or in passes the one without.
    objective
        The objective of `NetworkBound.cost`.
    budget
        When it ends, the bounds are what is proven by then; no limit by default.
    prices
        What `layer_prices` returns. Given again, the bounds go on where the last call with them ended.
    wide
        Whether they hold for LFAs with shared loads, divided layers and passes, too: the wide space.
    with_paths
        Whether to look for the shortest paths, which takes up to seconds.
    known_cost
        What a schedule costs. Where it is close to the bounds, waits are not looked for unless that takes no time.
    """
    begin = time.monotonic()
    if wide:
        problem = problem.divided_as(())
    if prices is None or not prices.extents.in_time:
        prices = layer_prices(problem, budget)
    needs, extents, choices = prices.needs, prices.extents, prices.choices(budget, wide)
    tiles = _tiles(prices, choices, wide)
    loads = _loads(problem, extents, tiles, wide)
    traffic = _compulsory_bytes(problem, loads)
    rate, pj_per_byte = problem.platform.dram_rate, problem.platform.dram_pj_per_byte
    found: list[tuple[int, str, int]] = []  # latency, its source and bytes moved: in one pass, in several
    complete = prices.complete(wide)
    for passes in (ONE_PASS, *([_several_passes(problem.batch)] if wide and problem.batch > 1 else [])):
        moved = traffic + (passes.least - 1) * int(loads.moved.sum())
        chains = _chain_bounds(problem, needs, tiles, loads, budget or Budget(), passes)
        bounds = [(int(tiles.cycles.sum()), COMPUTE), (transfer_cycles(moved, rate), TRAFFIC), *chains]
        latency, source = max(bounds, key=lambda bound: bound[0])
        found.append((latency, source, moved))
        complete &= len(chains) == 3 * len(needs)
    core_energy = float(sum(choice.energy_pj[-1] for choice in choices)) * (1 - ROUNDING)
    ways = [
        _Way(
            passes=1 if number == 0 else None,
            latency=least,
            source=source,
            energy_pj=core_energy + moved * pj_per_byte,
            cost=_least_cost(choices, moved * pj_per_byte, least, objective) * (1 - ROUNDING),
            moved=moved,
        )
        for number, (least, source, moved) in enumerate(found)
    ]
    if with_paths:
        each = _Each(problem, objective, choices, tiles, loads, traffic, core_energy, prices, wide, known_cost)
        ways, paths_complete = _with_paths(ways, each, budget or Budget())
        complete &= paths_complete
    latest = min(ways, key=lambda way: way.latency)
    return NetworkBound(
        latency=latest.latency,
        latency_source=latest.source,
        energy_pj=min(way.energy_pj for way in ways),
        cost=min(way.cost for way in ways),
        one_pass_cost=ways[0].cost,
        compute_cycles=int(tiles.cycles.sum()),
        dram_cycles=transfer_cycles(traffic, rate),
        core_energy_pj=core_energy,
        dram_bytes=traffic,
        complete=complete,
        seconds=time.monotonic() - begin,
    )


# Paths


class _Way(NamedTuple):
    """Bounds on the schedules in a number of passes.

    Parameters
    ----------
    passes
        The number; None for all numbers above one that have no bounds of their own.
    latency, source, energy_pj, cost
        As in `NetworkBound`.
    moved
        Bytes of the compulsory traffic.
    paths
        What the paths without waits prove, which is part of the bounds; None if they are not found yet.
    done
        Whether nothing more can raise the bounds.
    """

    passes: int | None
    latency: int
    source: str
    energy_pj: float
    cost: float
    moved: int
    paths: "_Paths | None" = None
    done: bool = False


class _Each(NamedTuple):
    """What the bounds of a number of passes are made of; see `bound_every_lfa`."""

    problem: Problem
    objective: Objective
    choices: list[LayerChoices]
    tiles: "_Tiles"
    loads: "_Loads"
    traffic: int
    core_energy: float
    prices: "NetworkPrices"
    wide: bool
    known_cost: float


def _with_paths(ways: list[_Way], each: _Each, budget: Budget) -> tuple[list[_Way], bool]:
    """Return the bounds with the paths where these can raise the least cost; and whether no more time could raise it.

    The first way is that in one pass. The others are taken apart by number once they have the least cost.
    """
    while not budget.over:
        least = min(range(len(ways)), key=lambda number: ways[number].cost)
        way = ways[least]
        if way.done:
            return ways, True
        if way.passes is None:
            numbers = [number for number in divisors(each.problem.batch).tolist() if number > 1]
            ways = [ways[0], *(_in_passes(number, way, each, budget) for number in numbers)]
            continue
        prices = each.prices.in_passes(way.passes, budget)
        if not _price(prices, each.wide, budget):
            return ways, False
        if way.paths is not None:
            ways[least] = _raised(way, _with_waits(way.paths, way.passes, prices, budget), each)
            if prices.timed is not None and prices.timed.can_go_on:
                return ways, False
            ways[least] = ways[least]._replace(done=True)
            continue
        paths = _paths(prices, way, each, budget)
        if paths is None:
            if prices.paths is not None and prices.paths.can_go_on:
                return ways, False
            ways[least] = way._replace(done=True)
            continue
        assert prices.paths is not None
        raised = _raised(way, paths, each)
        may_wait = _may_wait(prices.paths, raised.cost, each.known_cost)
        ways[least] = raised._replace(paths=paths, done=not may_wait)  # another number may have the least cost now
    return ways, min(ways, key=lambda way: way.cost).done


def _raised(way: _Way, paths: "_Paths", each: _Each) -> _Way:
    """Return the bounds raised to what the paths prove."""
    dram_energy = way.moved * each.problem.platform.dram_pj_per_byte
    latency = max(way.latency, paths.latency)
    cost = _least_cost(each.choices, dram_energy, latency, each.objective, paths) * (1 - ROUNDING)
    if each.wide:
        cost = max(cost, _least_cost(each.choices, dram_energy, latency, each.objective) * (1 - ROUNDING))
    return way._replace(
        latency=latency,
        source=paths.source if paths.latency > way.latency else way.source,
        energy_pj=max(way.energy_pj, paths.energy_pj),
        cost=max(way.cost, cost),  # more lines may move the end of the intervals
    )


def _may_wait(paths: DownsetPaths | WidePaths, cost: float, known_cost: float) -> bool:
    """Return whether to look for waits that raise a bound on the cost."""
    return known_cost > cost * (1 + CLOSE) or len(paths.input.member) <= FEW_DOWNSETS


def _in_passes(number: int, several: _Way, each: _Each, budget: Budget) -> _Way:
    """Return the bounds of schedules in so many passes, which are at least those in several."""
    problem = each.problem
    moved = each.traffic + (number - 1) * int(each.loads.moved.sum())
    dram_energy = moved * problem.platform.dram_pj_per_byte
    chains = _chain_bounds(problem, each.prices.needs, each.tiles, each.loads, budget, Passes(number, number))
    bounds = [(several.latency, several.source), (transfer_cycles(moved, problem.platform.dram_rate), TRAFFIC), *chains]
    latency, source = max(bounds, key=lambda bound: bound[0])
    cost = _least_cost(each.choices, dram_energy, latency, each.objective) * (1 - ROUNDING)
    return _Way(number, latency, source, each.core_energy + dram_energy, max(cost, several.cost), moved)


class _Paths(NamedTuple):
    """What the shortest paths prove.

    Parameters
    ----------
    energy_pj, latency
        No schedule has less energy, or fewer cycles.
    source
        The argument that gives the bound on latency.
    intercepts, slopes
        float64[P] each: a schedule of latency D has at least the energy intercept − slope · D.
    """

    energy_pj: float
    latency: int
    source: str
    intercepts: FloatArray
    slopes: FloatArray


def _price(prices: "NetworkPrices", wide: bool, budget: Budget) -> bool:
    """Price all tiles; return False if `budget` ends first."""
    if not prices.complete(wide):
        prices.choices(budget, wide)
    return not budget.over and prices.complete(wide)


def _paths(prices: "NetworkPrices", way: _Way, each: _Each, budget: Budget) -> _Paths | None:
    """Return what the paths of one pass prove of all of them; None if there is no time, or no paths."""
    number = way.passes or 1
    if prices.paths is None:
        slope = way.energy_pj / max(way.latency, 1)
        mixed = [(1.0, slope * part * share, slope * part * (1 - share)) for part in SLOPES for share in SHARES]
        multipliers = np.array([ENERGY_ALONE, *TIMES_ALONE, *mixed])
        prices.paths = (WidePaths if each.wide else DownsetPaths)(prices.problem, prices, multipliers)
    costs = prices.paths.costs(budget)
    if costs is None:
        return None
    costs = costs * number
    times = costs[1 : 1 + len(TIMES_ALONE)]
    if each.wide or (times > LARGEST_COUNT).any():  # not exact
        times = times * (1 - downset_paths.ROUNDING)
    with_energy = prices.paths.multipliers[:, 0] > 0
    intercepts = costs[with_energy] * (1 - downset_paths.ROUNDING)
    return _Paths(
        energy_pj=float(intercepts[0]),
        latency=int(np.ceil(times).max()),
        source=PATH,
        intercepts=intercepts,
        slopes=prices.paths.multipliers[with_energy, 1:].sum(axis=1),
    )


def _with_waits(found: _Paths, passes: int, prices: "NetworkPrices", budget: Budget) -> _Paths:
    """Return what the paths prove together with those that know when compute waits, if there is time for these."""
    paths = prices.paths
    assert paths is not None, "waits are looked for after the paths without"
    if prices.timed is None:
        slope = found.energy_pj / max(found.latency, 1)
        joint = TIMED_SLOPES if slope > 0 else ()  # where nothing takes energy, latency alone counts
        multipliers = np.array([(0.0, 1.0), *((1.0, slope * part) for part in joint)])
        if isinstance(paths, WidePaths):
            prices.timed = WideTimedPaths(paths, prices, multipliers, passes)
        else:
            prices.timed = TimedPaths(paths, prices, multipliers)
    costs = prices.timed.costs(budget)
    if costs is None:
        return found
    latency, *intercepts = (costs * (1 - downset_paths.ROUNDING)).tolist()
    latency = int(np.ceil(latency))
    return found._replace(
        latency=max(latency, found.latency),
        source=WAITS if latency > found.latency else found.source,
        intercepts=np.append(found.intercepts, intercepts),
        slopes=np.append(found.slopes, prices.timed.multipliers[1:, 1]),
    )


# DRAM and latency


class Passes(NamedTuple):
    """The numbers of passes for which a bound holds: any from `least` to `most`."""

    least: int
    most: int


ONE_PASS = Passes(1, 1)


def _several_passes(batch: int) -> Passes:
    """Return the passes in which a batch of two or more may be run, one aside."""
    return Passes(next(number for number in range(2, batch + 1) if batch % number == 0), batch)


class _Loads(NamedTuple):
    """What layers load at least.

    Parameters
    ----------
    inputs
        int64[L, I]: bytes of each external input that all tiles of each layer need together.
    weights, first_weights
        int64[L]: bytes in the buffer of the weights that no other layer can load for this one, and of those of the
        smallest part into which the layer may be divided.
    moved, first_moved
        int64[L]: bytes of their transfers.
    least_ratio
        No weights take fewer bytes in DRAM for each byte in the buffer.
    shared
        Whether layers may share loads of external inputs.
    """

    inputs: IntArray
    weights: IntArray
    first_weights: IntArray
    moved: IntArray
    first_moved: IntArray
    least_ratio: Fraction
    shared: bool

    def cycles(self, parts: dict[int, int], rate: DramRate) -> int:
        """Return the least cycles in which a part of the external inputs of some layers is loaded.

        Parameters
        ----------
        parts
            By layer: how many parts its need is cut into, of which one is loaded.
        rate
            Of the DRAM.
        """
        layers, cut = np.array(list(parts)), np.array(list(parts.values()))
        if self.shared:  # one load may serve all: as much as the layer that needs most
            need = (self.inputs[layers] // cut[:, None]).max(axis=0, initial=0)
            return int(transfer_cycles(int(need.sum()), rate))
        return int(transfer_cycles(-(-self.inputs[layers].sum(axis=1) // cut), rate).sum())


class _Tiles(NamedTuple):
    """What the tiles of each layer take at least, those of all its parts if it may be divided.

    Parameters
    ----------
    cycles
        int64[L]: cycles of all tiles.
    last
        int64[L]: cycles of one tile of each part.
    shortest
        int64[L]: cycles of any tile.
    fewest_channels
        int64[L]: channels of the smallest part.
    smallest_bytes
        int64[L]: bytes of any ofmap tile.
    """

    cycles: IntArray
    last: IntArray
    shortest: IntArray
    fewest_channels: IntArray
    smallest_bytes: IntArray


def _tiles(prices: LayerPrices, choices: list[LayerChoices], wide: bool) -> _Tiles:
    """Return what the tiles take, from the choices of the layers in the wide space or in the paper's."""
    fewest: IntArray = prices.problem.table.layers[:, nt.K].copy()
    if wide:
        for layer, sizes in prices.part_sizes.items():
            fewest[layer] = sizes.fewest_channels
    channels, rows, columns = (
        np.array([one[0] for one in values]) for values in zip(*prices.extents.values, strict=True)
    )
    return _Tiles(
        cycles=np.array([choice.cycles[0] for choice in choices]),
        last=np.array([choice.last_tiles for choice in choices]),
        shortest=np.array([choice.shortest_tile for choice in choices]),
        fewest_channels=fewest,
        smallest_bytes=packed(
            np.minimum(channels, fewest) * rows * columns, prices.problem.table.layers[:, nt.OFMAP_BITS]
        ),
    )


def _loads(problem: Problem, extents: TileExtents, tiles: _Tiles, wide: bool) -> _Loads:
    """Return what layers load; if weights may be shared, only the first layer that has them loads them."""
    layers = problem.table.layers
    loads_weights = layers[:, nt.WEIGHT_BYTES] > 0
    if wide:
        loads_weights &= problem.table.stored_weights == np.arange(len(layers))
    over, under = layers[:, nt.RATIO_OVER], layers[:, nt.RATIO_UNDER]
    first = packed(tiles.fewest_channels, layers[:, nt.KERNEL_BITS])
    ratios = (Fraction(int(a), int(b)) for a, b in zip(over, under, strict=True))
    return _Loads(
        inputs=_input_bytes(problem, extents),
        weights=np.where(loads_weights, layers[:, nt.WEIGHT_BYTES], 0),
        first_weights=np.where(loads_weights, first, 0),
        moved=np.where(loads_weights, layers[:, nt.DRAM_WEIGHT_BYTES], 0),
        first_moved=np.where(loads_weights, scaled_up(first, over, under), 0),
        least_ratio=min(ratios),
        shared=wide,
    )


def _input_bytes(problem: Problem, extents: TileExtents) -> IntArray:
    """Return int64[L, I]: bytes of external inputs that all tiles of each layer need together."""
    table = problem.table
    total = np.zeros((len(table.layers), len(problem.network.inputs)), np.int64)
    for layer in range(len(table.layers)):
        for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
            if table.source[edge] < 0:
                role, channels = int(table.source_role[edge]), int(table.source_channels[edge])
                k = int(extents.values[layer][0][0])
                rows, columns = extents_read(table.layers, layer, role, k, extents.rows[layer], extents.columns[layer])
                need = problem.batch * channels * rows.least_total * columns.least_total
                total[layer, -1 - table.source[edge]] += packed(need, int(table.source_bits[edge]))
    return total


def _final_layers(problem: Problem) -> IntArray:
    """Return the layers without consumers."""
    return np.flatnonzero(np.diff(problem.table.use_begin) == 0)


def _compulsory_bytes(problem: Problem, loads: _Loads) -> int:
    """Return the bytes of weights, of external inputs as far as tiles read them, and of outputs."""
    layers = problem.table.layers
    outputs = layers[problem.table.is_output]
    ofmaps = packed(problem.batch * outputs[:, [nt.K, nt.H, nt.W]].prod(axis=1), outputs[:, nt.OFMAP_BITS])
    inputs = loads.inputs.max(axis=0, initial=0) if loads.shared else loads.inputs
    return int(loads.moved.sum() + inputs.sum() + ofmaps.sum())


def _uncut_by_transposes(layers: IntArray) -> dict[int, tuple[bool, bool]]:
    """Return, for each transpose, whether an FLG with it and a producer of it keeps rows whole, and columns."""
    found = {}
    for layer in np.flatnonzero(layers[:, nt.KIND] == nt.TRANSPOSE).tolist():
        from_rows, from_columns = layers[layer, [nt.IFMAP_H_FROM, nt.IFMAP_W_FROM]]
        if (from_rows, from_columns) != (2, 1):  # not if it only exchanges rows and columns
            found[layer] = (bool(from_rows != 1), bool(from_columns != 2))
    return found


def _chain_bounds(
    problem: Problem,
    needs: list[set[int]],
    tiles: _Tiles,
    loads: _Loads,
    budget: Budget,
    passes: Passes = ONE_PASS,
) -> list[tuple[int, str]]:
    """Return the bounds from the loads before a layer, and from the weights that the buffer can't hold.

    `needs` has the ancestors of each layer; tiles and loads are those of all passes, but weights of one. There are
    three bounds of each layer; fewer if `budget` ends first.
    """
    bounds: list[tuple[int, str]] = []
    if budget.over:
        return bounds
    layers, batch, platform = problem.table.layers, problem.batch, problem.platform
    rate, size = platform.dram_rate, len(needs)
    load, first_load = transfer_cycles(loads.moved, rate), transfer_cycles(loads.first_moved, rate)
    final = _final_layers(problem)
    last_store = int(transfer_cycles(packed(tiles.fewest_channels[final], layers[final, nt.OFMAP_BITS]), rate).min())
    depends: BoolArray = np.zeros((size, size), np.bool_)  # by v and u: v depends on u
    for v, needed in enumerate(needs):
        depends[v, list(needed)] = True
    uncut = _uncut_by_transposes(layers)
    has_inputs: BoolArray = np.asarray(loads.inputs.any(axis=1))
    compute_from = np.zeros(size, np.int64)
    first_loads, all_loads = np.zeros(size, np.int64), np.zeros(size, np.int64)
    loads_of_pass = np.zeros(size, np.int64)
    loads_of_others = (passes.least - 1) * int(load.sum())
    for v in range(size):
        if budget.over:
            return bounds
        after, before = np.flatnonzero(depends[:, v]), np.flatnonzero(depends[v])
        at_least, up_to = np.append(after, v), np.append(before, v)
        most_rows, most_columns = (int(most) for most in layers[at_least][:, [nt.H, nt.W]].max(axis=0))
        parts = {}
        for u in up_to[has_inputs[up_to]].tolist():
            whole = [keeps for t, keeps in uncut.items() if depends[t, u] and (v == t or depends[v, t])]
            row_parts = 1 if any(keeps_rows for keeps_rows, _ in whole) else most_rows
            column_parts = 1 if any(keeps_columns for _, keeps_columns in whole) else most_columns
            parts[u] = batch * row_parts * column_parts
        first_loads[v] = int(load[before].sum()) + first_load[v]
        all_loads[v] = loads_of_pass[v] = int(load[up_to].sum())
        all_loads[v] += loads_of_others
        if parts:
            first_loads[v] += loads.cycles(parts, rate)
            all_loads[v] += loads.cycles(dict.fromkeys(parts, 1), rate)
            loads_of_pass[v] += loads.cycles(dict.fromkeys(parts, passes.most), rate)
        compute_from[v] = tiles.cycles[at_least].sum()
        bounds.append((int(first_loads[v] + compute_from[v]) + last_store, LOADS_BEFORE))
        bounds.append((int(all_loads[v] + tiles.shortest[v] + tiles.last[after].sum()) + last_store, LAST_TILES))
    tiles_of_pass = tiles._replace(cycles=tiles.cycles // passes.most)
    begin = _begins(problem, depends, tiles_of_pass, loads, first_loads, loads_of_pass, budget)
    bounds += [(first + rest + last_store, BUFFER) for first, rest in zip(begin, compute_from.tolist(), strict=False)]
    return bounds


def _begins(
    problem: Problem,
    depends: BoolArray,
    tiles: _Tiles,
    loads: _Loads,
    first_loads: IntArray,
    all_loads: IntArray,
    budget: Budget,
) -> list[int]:
    """Return a lower bound on the begin of each layer's first tile, from its loads and from the buffer.

    Arguments by layer: which layers it depends on, its tiles, what it loads, cycles of the loads before its first tile,
    cycles of the loads before its last tile; all in the first pass. If `budget` ends, the last layers are left out.
    """
    size = len(depends)
    # float64 is exact for such sums, and its products of matrices are much faster.
    follows = depends.T.astype(np.float64 if int(loads.weights.sum()) < LARGEST_COUNT else np.int64)
    weighed = follows * loads.weights
    room = problem.platform.gbuf_bytes - loads.first_weights - tiles.smallest_bytes
    begin, end = first_loads.copy(), np.zeros(size, np.int64)
    for w in range(size):  # in a topological order
        if budget.over:
            return [int(first) for first in begin[:w]]
        if w % COLUMNS_AT_ONCE == 0:
            between = (weighed @ follows[:, w : w + COLUMNS_AT_ONCE]).astype(np.int64)
        before = np.flatnonzero(depends[w])
        # By v: weights of w and of all layers between v and w, as far as the buffer can't hold them.
        excess = between[before, w % COLUMNS_AT_ONCE] + loads.first_weights[w] - room[before]
        late = excess > 0
        if late.any():
            moved = scaled_up(excess[late], loads.least_ratio.numerator, loads.least_ratio.denominator)
            loaded = end[before[late]] + transfer_cycles(moved, problem.platform.dram_rate)
            begin[w] = max(begin[w], loaded.max())
        ends = [
            begin[w] + tiles.cycles[w],
            tiles.cycles[w] + tiles.cycles[before].sum(),
            all_loads[w] + tiles.shortest[w],
        ]
        end[w] = max(*ends, end[before].max(initial=0) + (tiles.last[w] if len(before) else 0))
    return [int(first) for first in begin]


# Cost


def _least_cost(
    choices: list[LayerChoices], dram_energy: float, latency: int, objective: Objective, paths: _Paths | None = None
) -> float:
    """Return a lower bound on the cost over all latencies of at least `latency`."""
    end = float(sum(choice.cycles[-1] for choice in choices))  # cycles of the tiles with the least energy
    least_energy = float(sum(choice.energy_pj[-1] for choice in choices)) + dram_energy
    intercepts, slopes = _lines(choices, dram_energy)
    if paths is not None:
        least_energy = max(least_energy, paths.energy_pj)
        falls = paths.slopes > 0
        meets = (paths.intercepts[falls] - least_energy) / paths.slopes[falls]  # from there on the least energy is more
        end = max(end, float(meets.max(initial=0.0)))
        intercepts, slopes = np.append(intercepts, paths.intercepts), np.append(slopes, paths.slopes)
    beyond = objective.cost(least_energy, max(end, latency))
    if end <= latency or len(intercepts) == 0:
        return beyond
    costs = []
    for low, high in pairwise(np.linspace(latency, end, INTERVALS + 1).tolist()):
        energies = np.maximum(intercepts[:, None] - slopes[:, None] * np.array([low, high])[None, :], 0.0)
        at_ends = [
            [objective.cost(float(e), float(d)) for e, d in zip(pair, (low, high), strict=True)] for pair in energies
        ]
        costs.append(max(min(pair) for pair in at_ends))
    return min(beyond, *costs)


def _lines(choices: list[LayerChoices], dram_energy: float) -> tuple[FloatArray, FloatArray]:
    """Return intercepts and slopes of energies that no schedule is below at its latency, from the layers' choices.

    There are none if each layer has one choice.
    """
    # Slopes of the choices: energy saved per extra cycle.
    slopes = [-np.diff(choice.energy_pj) / np.diff(choice.cycles) for choice in choices if len(choice.cycles) > 1]
    if not slopes:
        return np.empty(0), np.empty(0)
    steepest = max(float(slope.max()) for slope in slopes)
    multipliers = np.concatenate([[0.0], np.geomspace(steepest * 1e-6, steepest * 1.01, MULTIPLIERS)])
    intercepts = np.full(len(multipliers), dram_energy)
    for choice in choices:
        intercepts += (choice.energy_pj[None, :] + multipliers[:, None] * choice.cycles[None, :]).min(axis=1)
    return intercepts, multipliers
