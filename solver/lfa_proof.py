"""The global optimum of a small network: branch and bound over LFAs, CP-SAT over the DLSAs of what is left.

For every Computing Order, LFAs grow FLG by FLG from the front. A beginning is bounded in two steps:

1. For all Tiling Numbers of the next FLG at once. Its energy, compute, loads and the stores that its LG is known to
   make are exact. Energy and latency of the layers behind come from `soma_cp.solver.lfa_fronts`: for each of their
   undominated triples the latency is at least the *compute path* after the end of the beginning's tiles; the *channel
   path* after the beginning's loads; and all transfers.
2. For what that leaves, the window bound (`soma_cp.solver.bounds`) of the beginning as if nothing came behind it: it
   knows the buffer, stores and what reads them. It bounds the end of the tiles more sharply, and the channel.

A beginning whose bound reaches the cost of the best schedule known is left; so is a complete LFA by its window bound.
For the others the greedy DLSA and, where that does not meet the bound, CP-SAT decide.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import networkx as nx
import numpy as np

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.greedy import BufferTooSmallError
from soma_cp.model.errors import UserError
from soma_cp.model.evaluation import Objective, plan_figures
from soma_cp.model.lfa import FLG, LFA
from soma_cp.model.network_table import IntArray
from soma_cp.model.plan import MAX_TILES, Plan, make_plan
from soma_cp.model.platform import DRAM_PJ_PER_BYTE
from soma_cp.model.problem import Problem
from soma_cp.model.result import SecondStageResult
from soma_cp.model.tensors import empty_tensor_places, empty_tensors
from soma_cp.model.tiling import FloatArray, LFAArrays, empty_layer_tiles
from soma_cp.solver.bounds import best_combinatorial_bound
from soma_cp.solver.flg_options import FLGOptions, OptionTable
from soma_cp.solver.lfa_fronts import Front, cost_of, suffix_fronts
from soma_cp.solver.network_bounds import MET
from soma_cp.solver.prefix_kernel import NOTHING_FITS, PrefixScratch, prefix_latency

MOST_LAYERS = 12
"""Networks with more layers are refused: their LFAs could not be gone through in hours."""
MOST_PREFIX_TILES = 2_000
"""A longer beginning gets no window bound, which takes a time of T²."""

LATEST = 2**60
"""Cycles; no schedule takes so long."""

SecondStage = Callable[[Plan, int], SecondStageResult]
"""Finds the best DLSA of a plan that is faster than so many cycles, or proves that there is none."""


@dataclass(frozen=True, eq=False)
class LFAProof:
    """What branch and bound came to.

    Parameters
    ----------
    lower_bound
        No schedule costs less.
    complete
        Whether all LFAs were gone through.
    improved
        Plan and second stage of a schedule that is cheaper than the one to beat; None if none was found.
    orders, beginnings, lfas
        Computing Orders gone through, beginnings that were bounded by windows, complete LFAs that were.
    solved
        LFAs that went through the second stage.
    seconds
        Wall-clock time.
    """

    lower_bound: float
    complete: bool
    improved: tuple[Plan, SecondStageResult] | None
    orders: int
    beginnings: int
    lfas: int
    solved: int
    seconds: float


def check_provable(problem: Problem) -> None:
    """Refuse networks that are too large for branch and bound.

    Raises
    ------
    UserError
        With the number of layers and the most that are taken.
    """
    layers = len(problem.network.layers)
    if layers > MOST_LAYERS:
        raise UserError(
            f"--exact goes through all LFAs of a network of at most {MOST_LAYERS} layers; '{problem.network.name}' has "
            f"{layers}; leave --exact out, the bound over every LFA is then still given"
        )


def prove_over_every_lfa(
    problem: Problem,
    best_cost: float,
    known_bound: float,
    second_stage: SecondStage,
    objective: Objective = Objective(),  # noqa: B008  # immutable
    budget: Budget | None = None,
    progress: Callable[[int, float], None] = lambda orders, bound: None,
) -> LFAProof:
    """Find a schedule that is cheaper than the best one known, or prove that there is none.

    Parameters
    ----------
    problem
        Of at most `MOST_LAYERS` layers.
    best_cost
        Of the best schedule known.
    known_bound
        A bound on the cost that holds already.
    second_stage
        What decides on a complete LFA.
    objective
        What `best_cost` is.
    budget
        Deadline and stop request; no limit by default.
    progress
        Called with the number of Computing Orders done and the lowest cost known.

    Raises
    ------
    UserError
        If the network has too many layers.
    """
    check_provable(problem)
    begin = time.monotonic()
    if best_cost <= known_bound * (1 + MET):
        return LFAProof(known_bound, True, None, 0, 0, 0, 0, 0.0)
    search = _Search(problem, best_cost, second_stage, objective, budget or Budget())
    complete = True
    for order in computing_orders(problem):
        progress(search.orders, search.best_cost)
        if not search.go_through(order):
            complete = False
            search.left_open = known_bound  # other orders have not been looked at
            break
    return LFAProof(
        lower_bound=max(min(search.best_cost, search.left_open), known_bound),
        complete=complete and search.left_open >= search.best_cost,
        improved=search.improved,
        orders=search.orders,
        beginnings=search.beginnings,
        lfas=search.lfas,
        solved=search.solved,
        seconds=time.monotonic() - begin,
    )


def computing_orders(problem: Problem) -> Iterator[tuple[int, ...]]:
    """Yield all Computing Orders, as layer ids, always in the same sequence."""
    table = problem.table
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(table.layers)))
    for layer in range(len(table.layers)):
        sources = table.source[table.source_begin[layer] : table.source_begin[layer + 1]]
        graph.add_edges_from((source, layer) for source in sources.tolist() if source >= 0)
    for order in nx.all_topological_sorts(graph):
        yield tuple(order)


@dataclass(frozen=True)
class Beginning:
    """The first FLGs of an LFA, and what they cost at least.

    Parameters
    ----------
    flgs
        Place of the first layer, place behind the last, Tiling Number, DRAM Cut.
    lg
        Place where the last LG begins.
    energy_pj
        Without the stores of which it is not known yet whether they are made.
    compute, transfers
        Cycles: of all tiles, of all loads and the known stores.
    channel
        Cycles of what the channel has moved before the next tile begins: all loads, and the stores that they read.
    lead
        The last tile ends at least so many cycles later than if all tiles ran without a stop.
    ofmaps
        By place: bytes and cycles of storing the layer's ofmap.
    read_back
        Places whose stores are read.
    tiles
        Number of them.
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
        """Place behind the last layer."""
        return len(self.ofmaps)


@dataclass(frozen=True, eq=False)
class _Children:
    """A beginning with one more FLG, by Tiling Number; O items each."""

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
        What costs at least `cutoff` need not be told apart.
    """

    def __init__(self, table: OptionTable, order: tuple[int, ...], objective: Objective, cutoff: float) -> None:
        self.table = table
        self.problem = table.problem
        self.order = order
        self.objective = objective
        self.fronts = suffix_fronts(table, order, objective, cutoff)
        self._place_of = {layer: place for place, layer in enumerate(order)}
        self._placed_before = [frozenset(order[:place]) for place in range(len(order) + 1)]
        uses = self.problem.table
        self._last_use = [  # place of the last consumer; −1 if there is none
            max((self._place_of[int(i)] for i in uses.use_layer[uses.use_begin[v] : uses.use_begin[v + 1]]), default=-1)
            for v in order
        ]
        self._tiles = empty_layer_tiles(len(order))
        self._scratch = PrefixScratch(empty_tensor_places(len(order)), empty_tensors(0, 0))

    def children(self, beginning: Beginning, end: int, dram_cut: bool) -> _Children:
        """Bound a beginning with the layers up to place `end` as its next FLG, for all Tiling Numbers."""
        begin, complete = beginning.place, end == len(self.order)
        options = self.table.options(self.order[begin:end])
        lg = begin if dram_cut else beginning.lg
        stored_bytes, stored_cycles = 0, 0
        if dram_cut:  # it is known now what the LG before has to store
            for place in range(beginning.lg, begin):
                if self._last_use[place] >= begin:
                    stored_bytes += beginning.ofmaps[place][0]
                    stored_cycles += beginning.ofmaps[place][1]
        moved = options.moved(self._placed_before[lg])
        energy = moved.energy_pj + (beginning.energy_pj + stored_bytes * DRAM_PJ_PER_BYTE)
        compute = options.compute + beginning.compute
        transfers = moved.loads + options.finals[1] + (beginning.transfers + stored_cycles)
        reads, read_back = self._reads(beginning, options, lg)
        waits = moved.waits
        if reads.any():
            waits = (moved.needed + np.cumsum(reads) - options.before).max(axis=1)
        lead = np.maximum(waits + (beginning.channel - beginning.compute), beginning.lead)
        channel = moved.loads + (beginning.channel + int(reads.sum()))
        latency = transfers
        if complete:
            latency = np.maximum(latency, beginning.compute + lead + options.to_the_end_of_the_run[:, 0])
            latency = np.maximum(latency, channel + options.tile_cycles[:, -1] + options.store_cycles[:, -1])
        lead = np.maximum(lead, channel - (compute - options.tile_cycles[:, -1]))
        cost = self._cost(energy, latency, compute + lead, channel, self.fronts[end])
        return _Children(options, dram_cut, energy, compute, transfers, channel, lead, read_back, latency, cost)

    def _reads(self, beginning: Beginning, options: FLGOptions, lg: int) -> tuple[IntArray, frozenset[int]]:
        """Return int64[m]: cycles of the stores that each layer of the FLG is the first to read back, and all read.

        Before anything of an ofmap is loaded, all of it is stored.
        """
        reads = np.zeros(len(options.layers), np.int64)
        read_back = set(beginning.read_back)
        for load in options.loads:
            place = self._place_of[load.source] if load.source >= 0 else lg
            if place < lg and place not in read_back:
                read_back.add(place)
                reads[load.place] += beginning.ofmaps[place][1]
        return reads, frozenset(read_back)

    def _cost(
        self, energy: FloatArray, latency: IntArray, tiles_end: IntArray, channel: IntArray, behind: Front
    ) -> FloatArray:
        """Return the least cost over the triples of the suffix behind; infinite if there are none."""
        if len(behind.energy_pj) == 0:
            return np.full(len(energy), np.inf)
        paths = np.maximum(tiles_end[:, None] + behind.compute_path, channel[:, None] + behind.channel_path)
        total = cost_of(self.objective, energy[:, None] + behind.energy_pj, np.maximum(latency[:, None], paths))
        least: FloatArray = total.min(axis=1)
        return least

    def child(self, beginning: Beginning, children: _Children, choice: int) -> Beginning:
        """Return the beginning with the next FLG's `choice`-th Tiling Number."""
        options = children.options
        begin, number = beginning.place, int(options.number[choice])
        ofmaps = zip(
            (number * options.store_bytes[choice]).tolist(),
            (number * options.store_cycles[choice]).tolist(),
            strict=True,
        )
        return Beginning(
            flgs=(*beginning.flgs, (begin, begin + len(options.layers), number, children.dram_cut)),
            lg=begin if children.dram_cut else beginning.lg,
            energy_pj=float(children.energy_pj[choice]),
            compute=int(children.compute[choice]),
            transfers=int(children.transfers[choice]),
            channel=int(children.channel[choice]),
            lead=int(children.lead[choice]),
            ofmaps=(*beginning.ofmaps, *ofmaps),
            read_back=children.read_back,
            tiles=beginning.tiles + number * len(options.layers),
        )

    def window_cost(self, beginning: Beginning, children: _Children, choice: int) -> float:
        """Return the bound of step 2; infinite if the buffer is too small for any DLSA."""
        if beginning.tiles > MOST_PREFIX_TILES:
            return 0.0
        tiles_end, channel_end = self._windows(beginning, children.options, choice)
        if tiles_end == NOTHING_FITS:
            return float("inf")
        latency = np.array([max(channel_end, int(children.latency[choice]), tiles_end)])
        cost = self._cost(
            children.energy_pj[choice : choice + 1],
            latency,
            np.array([tiles_end]),
            children.channel[choice : choice + 1],
            self.fronts[beginning.place],
        )
        return float(cost[0])

    def _windows(self, beginning: Beginning, options: FLGOptions, choice: int) -> tuple[int, int]:
        """Lay out the last FLG of `beginning`, those before being laid out already, and bound it by windows."""
        tiles, order = self._tiles, np.array(self.order, np.int64)
        begin, end, number, _ = beginning.flgs[-1]
        lg = sum(cut for *_, cut in beginning.flgs) - 1
        size = end - begin
        placed, rest = order[begin:end], order[end:]
        tiles.count[placed], tiles.step[placed] = number, size
        tiles.first[placed] = beginning.tiles - number * size + np.arange(size)
        tiles.flg[placed], tiles.lg[placed] = len(beginning.flgs), lg
        tiles.cycles[placed], tiles.extent[placed] = options.tile_cycles[choice], options.extent[choice]
        # Not known yet: whether an ofmap of the last LG is read on chip later or stored; no more life than by then.
        tiles.count[rest], tiles.step[rest], tiles.first[rest] = 0, 0, -1
        tiles.flg[rest], tiles.lg[rest] = -1, lg
        begins_flg, begins_lg = np.zeros(end, np.bool_), np.zeros(end, np.bool_)
        for first, _, _, cut in beginning.flgs:
            begins_flg[first], begins_lg[first] = True, cut
        lfa = LFAArrays(order[:end], begins_flg, begins_lg, np.ones(end, np.int64))
        self._make_room(beginning)
        tiles_end, channel_end = prefix_latency(
            self.problem.table,
            self.problem.platform.dram_bytes_per_cycle,
            self.problem.platform.gbuf_bytes,
            lfa,
            tiles,
            beginning.tiles,
            self._scratch,
        )
        return int(tiles_end), int(channel_end)

    def _make_room(self, beginning: Beginning) -> None:
        sources = int(np.diff(self.problem.table.source_begin).max())
        needed = sum(number * (end - begin) * (sources + 1) + end - begin for begin, end, number, _ in beginning.flgs)
        if needed > len(self._scratch.tensors.kind):
            self._scratch = PrefixScratch(self._scratch.places, empty_tensors(2 * needed, 2 * needed))

    def lfa(self, beginning: Beginning) -> LFA:
        """Return the LFA that a complete beginning is."""
        layers = self.problem.network.layers
        return LFA(
            tuple(
                FLG(tuple(layers[i].name for i in self.order[begin:end]), number, cut)
                for begin, end, number, cut in beginning.flgs
            )
        )


class _Search:
    """The state of one branch and bound."""

    def __init__(
        self, problem: Problem, best_cost: float, second_stage: SecondStage, objective: Objective, budget: Budget
    ) -> None:
        self.table = OptionTable(problem)
        self.problem = problem
        self.best_cost = best_cost
        self.second_stage = second_stage
        self.objective = objective
        self.budget = budget
        self.improved: tuple[Plan, SecondStageResult] | None = None
        self.left_open = float("inf")
        self.orders = 0
        self.beginnings = 0
        self.lfas = 0
        self.solved = 0

    @property
    def _cutoff(self) -> float:
        return self.best_cost / (1 + MET)

    def go_through(self, order: tuple[int, ...]) -> bool:
        """Go through all LFAs with this Computing Order; False if the time was over before."""
        if self.budget.over:
            return False
        bounds = OrderBounds(self.table, order, self.objective, self._cutoff)
        if not self._extend(bounds, Beginning()):
            return False
        self.orders += 1
        return True

    def _extend(self, bounds: OrderBounds, beginning: Beginning) -> bool:
        """Go through all LFAs that begin so; False if the time was over before."""
        families = [
            bounds.children(beginning, end, dram_cut)
            for end in range(beginning.place + 1, len(bounds.order) + 1)
            for dram_cut in ((True, False) if beginning.flgs else (True,))
        ]
        costs = np.concatenate([family.cost for family in families])
        family_of = np.repeat(np.arange(len(families)), [len(family.cost) for family in families])
        choice_of = np.concatenate([np.arange(len(family.cost)) for family in families])
        worth_it = np.flatnonzero(costs < self._cutoff)
        for n in worth_it[np.argsort(costs[worth_it], kind="stable")].tolist():
            if self.budget.over:
                return False
            if costs[n] >= self._cutoff:
                break
            children, choice = families[family_of[n]], int(choice_of[n])
            child = bounds.child(beginning, children, choice)
            self.beginnings += 1
            if bounds.window_cost(child, children, choice) >= self._cutoff:
                continue
            if child.place < len(bounds.order):
                if not self._extend(bounds, child):
                    return False
            elif child.tiles <= MAX_TILES:
                self._decide(bounds.lfa(child))
        return True

    def _decide(self, lfa: LFA) -> None:
        """Find the best schedule of a complete LFA, as far as it is of use."""
        self.lfas += 1
        plan = make_plan(self.problem, lfa)
        energy = plan_figures(plan).energy_pj
        cost = self.objective.cost
        try:
            if cost(energy, best_combinatorial_bound(plan)[0]) >= self._cutoff:
                return
            result = self.second_stage(plan, self._latency_to_beat(energy))
        except BufferTooSmallError:
            return
        self.solved += 1
        if cost(energy, result.evaluation.latency) < self._cutoff:
            self.best_cost = cost(energy, result.evaluation.latency)
            self.improved = (plan, result)
        bound = cost(energy, result.lower_bound)
        if bound < self._cutoff and not result.proven_optimal:
            self.left_open = min(self.left_open, bound)

    def _latency_to_beat(self, energy_pj: float) -> int:
        """Return the lowest latency (cycles) at which a schedule of that energy is of no use."""
        exponent = self.objective.delay_exponent
        factor = self.best_cost / energy_pj**self.objective.energy_exponent
        latency = factor ** (1 / exponent) if exponent > 0 else float("inf")
        return int(min(latency, LATEST)) + 1
