"""One annealing run over LFAs: owns the kernel's arrays, and does what the kernel can't do itself."""

import numpy as np

from soma_cp.annealing.acceptance import Cooling
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage import lfa_kernel, lfa_pricing
from soma_cp.annealing.first_stage.candidate_tiles import empty_cut_flgs
from soma_cp.annealing.first_stage.candidate_transfers import empty_outline
from soma_cp.annealing.first_stage.cost_cache import CostCache
from soma_cp.annealing.first_stage.lfa_pricing import LFAScratch, LFASettings, LFAState
from soma_cp.annealing.first_stage.moves import Move
from soma_cp.annealing.first_stage.periods import Folding, empty_lfa, without_periods
from soma_cp.annealing.first_stage.slots import SlottedProblem, without_slots
from soma_cp.annealing.second_stage.greedy_kernel import greedy_scratch
from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.compiled import calls_alike
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import empty_dlsa
from soma_cp.model.soma.evaluation_kernel import empty_times
from soma_cp.model.soma.lfa import LFA, LFAArrays
from soma_cp.model.soma.tensors import empty_tensor_places, empty_tensors
from soma_cp.model.soma.tiling import empty_layer_tiles

PUBLISHED_MOVES = {Move.PUBLISHED: 1.0}
"""The paper's moves, drawn with the shares of the published program."""


def lfa_settings(
    problem: Problem, limit_bytes: int, objective: Objective, cooling: Cooling, rounds: int, costing: int
) -> LFASettings:
    """Return the settings of a search as the kernel takes them."""
    return LFASettings(
        problem.batch,
        limit_bytes,
        problem.platform.dram_rate,
        problem.platform.dram_pj_per_byte,
        float(objective.energy_exponent),
        float(objective.delay_exponent),
        float(cooling.initial_temperature),
        float(cooling.alpha),
        float(cooling.power),
        float(cooling.return_to_best_at),
        rounds,
        costing,
    )


def move_weights(weights: dict[Move, float]) -> FloatArray:
    """Return the running sums of the weights of all moves; a move without a weight is never drawn."""
    return np.cumsum([weights.get(move, 0.0) for move in Move])


class Chain:
    """One annealing run.

    Parameters
    ----------
    problem
        Network, platform, batch.
    start
        The first LFA; `start_is_valid` says whether a search can start there.
    settings
        See `lfa_settings`.
    weights
        See `move_weights`.
    apart
        int64[L]: the group of each layer; no LG may mix groups.
    random
        Source of all draws.
    costs
        Tile costs; chains in different threads must not share them.
    archive_size
        How many of the cheapest LFAs with different costs to keep.
    shares
        Whether loads are shared wherever they can be at the start, besides the shared loads of `start`.
    slotted
        The problem with slots for the layers that may be divided, for which `apart` and `costs` are; by default none
        may.
    folding
        Where the problem is a folded one, what it is folded from: LFAs are priced over periods, and `apart` and `costs`
        are for the problem with the copies that are priced.
    """

    def __init__(
        self,
        problem: Problem,
        start: LFA,
        settings: LFASettings,
        weights: FloatArray,
        apart: IntArray,
        random: np.random.Generator,
        costs: CostCache,
        archive_size: int = 0,
        shares: bool = False,
        slotted: SlottedProblem | None = None,
        folding: Folding | None = None,
    ) -> None:
        self.slotted = slotted or without_slots(problem)
        problem = self.slotted.problem
        size = len(problem.network.layers)
        self.table = self.slotted.table()
        run, self.periods = self.slotted, without_periods(self.slotted, self.table)
        if folding is not None:
            run, self.periods = folding.priced(self.slotted)
        self.problem = run.problem
        candidate = self.slotted.arrays(start)
        self._anneal = calls_alike(lfa_kernel.anneal_lfa)
        self.costs = costs
        self.settings = settings
        self.weights = weights
        self.apart = apart
        self.random = random
        figures = np.zeros((3, lfa_pricing.FIGURES))
        figures[:, lfa_pricing.COST] = np.inf
        figures[:, lfa_pricing.OVERFLOW_BYTES] = np.inf
        self.state = LFAState(
            current=self.slotted.arrays(start),
            candidate=candidate,
            best=self.slotted.arrays(start),
            written=candidate if folding is None else empty_lfa(run),
            figures=figures,
            ceiling=np.full(1, np.inf),
            counters=np.zeros(lfa_pricing.COUNTERS, np.int64),
            missing=np.zeros(len(run.problem.network.layers), np.int64),
            archive=np.zeros((archive_size, 5, size), np.int64),
            archive_costs=np.full(archive_size, np.inf),
            archive_shares=np.zeros((archive_size, len(problem.table.source) + size), np.bool_),
        )
        if shares:
            for lfa in (self.state.current, self.state.candidate, self.state.best):
                lfa.shares[problem.table.shareable] = True
        size = len(self.problem.network.layers)
        self.scratch = _scratch(self.problem, tiles=4 * size, tensors=4 * size, chip=4 * size)
        self._evaluate_start()

    @property
    def best_figures(self) -> FloatArray:
        """float64[FIGURES] of the best LFA."""
        best: FloatArray = self.state.figures[lfa_pricing.BEST]
        return best

    @property
    def best_lfa(self) -> LFA:
        """The best LFA."""
        return self.slotted.lfa(self.state.best, self.table)

    @property
    def rounds_done(self) -> int:
        """Rounds done."""
        return int(self.state.counters[lfa_pricing.ROUND])

    def archived(self) -> list[tuple[float, LFA]]:
        """Return the archived LFAs with their costs, cheapest first."""
        found = []
        state = self.state
        for cost, rows, shares in zip(state.archive_costs.tolist(), state.archive, state.archive_shares, strict=True):
            if np.isfinite(cost):
                begins = rows[1].astype(np.bool_), rows[2].astype(np.bool_)
                arrays = LFAArrays(rows[0], *begins, rows[3], shares, rows[4])
                found.append((cost, self.slotted.lfa(arrays, self.table)))
        return found

    def run_to(self, last: int, heated: bool = True, budget: Budget | None = None) -> None:
        """Run until round `last`; without `heated`, accept a candidate only if it is no worse.

        Once `budget` is over, the run ends at the first tile whose cost is unknown, or at the next pause of the kernel.
        """
        while True:
            status = self._call(last, heated)
            if status == lfa_pricing.DONE:
                return
            if status != lfa_pricing.NEEDS_ROOM and budget is not None and budget.over:
                return
            if status != lfa_pricing.PAUSED:
                self._provide(status)

    def return_to_best(self) -> None:
        """Make the best LFA the current one."""
        lfa_kernel.copy_lfa(self.state.best, self.state.current)
        self.state.figures[lfa_pricing.CURRENT] = self.state.figures[lfa_pricing.BEST]

    def adopt(self, other: "Chain") -> None:
        """Take over the state of another chain of the same problem; the draws stay this chain's own."""
        lfa_kernel.copy_lfa(other.state.current, self.state.current)
        lfa_kernel.copy_lfa(other.state.best, self.state.best)
        self.state.figures[:] = other.state.figures

    def price_candidate(self) -> int:
        """Price ``state.candidate`` under ``state.ceiling``; return the verdict of `evaluate_candidate`."""
        while True:
            status = self._call(lfa_pricing.PRICE_ALONE, False)
            if status == lfa_pricing.DONE:
                return int(self.state.counters[lfa_pricing.VERDICT])
            self._provide(status)

    def _call(self, last: int, heated: bool) -> int:
        """Call the kernel, which says why it returned."""
        return self._anneal(
            self.table,
            self.slotted.slots,
            self.costs.table,
            self.apart,
            self.weights,
            self.settings,
            self.state,
            self.scratch,
            last,
            heated,
            self.random,
            self.periods,
        )

    def _evaluate_start(self) -> None:
        self.start_is_valid = self.price_candidate() == lfa_pricing.PRICED
        figures = self.state.figures
        figures[lfa_pricing.CURRENT] = figures[lfa_pricing.BEST] = figures[lfa_pricing.CANDIDATE]
        if figures[lfa_pricing.CANDIDATE, lfa_pricing.OVERFLOW_BYTES] == 0:
            lfa_kernel.file_away(self.state)

    def _provide(self, status: int) -> None:
        """Learn the costs that the kernel lacks, or enlarge its arrays."""
        counters = self.state.counters
        if status == lfa_pricing.UNKNOWN_COSTS:
            self.costs.learn(self.scratch.tiles, self.state.missing[: counters[lfa_pricing.UNKNOWN]])
            return
        needed = (lfa_pricing.NEEDED_TILES, lfa_pricing.NEEDED_TENSORS, lfa_pricing.NEEDED_CHIP_TENSORS)
        tiles, tensors, chip = (2 * int(counters[item]) for item in needed)
        self.scratch = _scratch(self.problem, tiles, tensors, chip)


def _scratch(problem: Problem, tiles: int, tensors: int, chip: int) -> LFAScratch:
    return LFAScratch(
        tiles=empty_layer_tiles(len(problem.network.layers)),
        places=empty_tensor_places(problem.table),
        cut=empty_cut_flgs(problem.table),
        outline=empty_outline(problem.table),
        tensors=empty_tensors(tensors, chip),
        dlsa=empty_dlsa(tensors),
        tile_cycles=np.zeros(tiles + 1, np.int64),
        chip_usage=np.zeros(tiles + 1, np.int64),
        usage=np.zeros(tiles + 1, np.int64),
        times=empty_times(tiles, tensors),
        greedy=(greedy_scratch(tiles, tensors), greedy_scratch(tiles, tensors)),
    )
