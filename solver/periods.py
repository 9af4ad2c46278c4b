"""LFAs in periods: where alike layers repeat, one copy is searched and written out (docs/first-stage.md#periods).

A network of alike blocks in a row gets two candidates:

- *One by one*: the best LFAs of one block, with a DRAM Cut before every block but the first.
- *On chip*: a search that prices several blocks in a row, no cut between them, and changes all of them alike.

Both are priced by the greedy DLSA of the whole run. With few blocks, an ordinary search follows that begins at the best
of them; with many it is left out, since it takes minutes and ends higher.
"""

from collections.abc import Callable
from dataclasses import replace

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, divided_to_fit
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, LFASearchResult, search_lfas
from soma_cp.annealing.first_stage.periods import Folding
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.network.network import Network
from soma_cp.model.network.repeats import Repeat, find_repeats
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import BufferTooSmallError
from soma_cp.model.soma.lfa import LFA, LFAError
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import priced

ON_CHIP_ROUNDS = 0.25
"""The search on chip has this share of the rounds of others: it is over as few layers, and each candidate has three
times the tiles. From 0.1 on, more rounds gain 0.1 %."""
ONE_BY_ONE_SHARE, ON_CHIP_SHARE = 0.4, 0.7
"""Shares of the time left that the searches one by one and on chip may take, each when it begins."""
WRITTEN_OUT = 3
"""So many LFAs of each search are written out: over 48 blocks, pricing one takes half a second."""
FEW_BLOCKS = 3
"""With at most so many blocks, the ordinary search follows."""


def blocks_of(network: Network) -> Repeat | None:
    """Return the repeat that `network` consists of; None if there is none, or other layers besides."""
    repeats = find_repeats(network)
    whole = len(repeats) == 1 and repeats[0].first == 0 and repeats[0].end == len(network.layers)
    return repeats[0] if whole else None


def search_one_pass(
    problem: Problem,
    start: LFA,
    seed: int,
    objective: Objective,
    settings: LFASearchParameters,
    threads: int | None,
    enough: float,
    monitor: Monitor,
    own_start: LFA | None,
    periods: bool,
) -> LFASearchResult:
    """Search LFAs in one pass: in periods if the problem has them, else as `search_lfas` does.

    Parameters
    ----------
    problem, start, seed, objective, settings, threads, enough, monitor, own_start
        As for `search_lfas`.
    periods
        Whether LFAs in periods are searched.
    """
    blocks = blocks_of(problem.network.whole) if periods else None
    found: list[LFASearchResult] = []
    if blocks is not None:
        search = _PeriodicSearch(problem.whole, blocks, seed, objective, settings, threads)
        found = search.run(monitor)
    best = min((item for one in found for item in one.lfas), key=lambda item: item[0], default=None)
    if blocks is None or best is None or blocks.count <= FEW_BLOCKS or own_start is not None:
        begin = own_start if own_start is not None or best is None else best[1]
        found.append(search_lfas(problem, start, seed, objective, settings, threads, enough, monitor, begin))
    return joined(found, settings.archive_size)


def joined(searches: list[LFASearchResult], most: int | None = None) -> LFASearchResult:
    """Return what several searches have found together, as one; at most so many LFAs."""
    found: dict[float, LFA] = {}
    for searched in searches:
        for cost, lfa in searched.lfas:
            found.setdefault(cost, lfa)
    return LFASearchResult(
        tuple(sorted(found.items(), key=lambda item: item[0])[:most]),
        sum(searched.rounds for searched in searches),
        any(searched.out_of_time for searched in searches),
        sum(searched.seconds for searched in searches),
    )


class _PeriodicSearch:
    """Searches blocks in a row. Parameters as those of `search_one_pass`."""

    def __init__(
        self,
        problem: Problem,
        blocks: Repeat,
        seed: int,
        objective: Objective,
        settings: LFASearchParameters,
        threads: int | None,
    ) -> None:
        self.problem = problem
        self.blocks = blocks
        self.seed = seed
        self.objective = objective
        self.settings = settings
        self.threads = threads

    def run(self, monitor: Monitor) -> list[LFASearchResult]:
        """Return what the searches one by one and on chip found, with costs of the whole run."""
        one_by_one = Folding(self.problem, (self.blocks,), cut=True)
        alone = self._search(one_by_one, self.settings, monitor.part(ONE_BY_ONE_SHARE), "one block", None)
        found = [self._written_out(one_by_one, alone)]
        if not monitor.budget.over:
            on_chip = replace(one_by_one, cut=False)
            short = replace(self.settings, rounds=round(self.settings.rounds * ON_CHIP_ROUNDS))
            best = min((cost for cost, _ in found[0].lfas), default=None)
            together = self._search(on_chip, short, monitor.part(ON_CHIP_SHARE), "blocks on chip", on_chip, best)
            found.append(self._written_out(on_chip, together))
        return found

    def _search(
        self,
        folding: Folding,
        settings: LFASearchParameters,
        monitor: Monitor,
        stage: str,
        priced_over: Folding | None,
        best_cost: float | None = None,
    ) -> LFASearchResult:
        """Search LFAs of one block."""
        block = divided_to_fit(folding.folded)
        return search_lfas(
            block,
            coarse_lfa(block),
            self.seed,
            self.objective,
            settings,
            self.threads,
            monitor=replace(monitor, progress=_as_stage(monitor.progress, stage, best_cost)),
            folding=priced_over,
        )

    def _written_out(self, folding: Folding, searched: LFASearchResult) -> LFASearchResult:
        """Return what a search of one block found as LFAs of all blocks, with their costs."""
        found: dict[float, LFA] = {}
        for _, lfa in searched.lfas[:WRITTEN_OUT]:
            written = folding.written_out(lfa)
            try:
                plan = make_plan(self.problem, written)
                cost = priced(plan, greedy_dlsa(plan)).cost(self.objective)
            except (BufferTooSmallError, LFAError):  # as one block it fits, but not beside what the next one reads
                continue
            found.setdefault(cost, written)
        return replace(searched, lfas=tuple(sorted(found.items(), key=lambda item: item[0])))


def _as_stage(
    progress: Callable[[ProgressEvent], None], stage: str, best_cost: float | None
) -> Callable[[ProgressEvent], None]:
    """Return a function that reports a search of one block as part of the search; its costs are none of the whole."""
    return lambda event: progress(replace(event, stage=f"{event.stage}, {stage}", best_cost=best_cost))
