"""LFAs in periods: where alike layers repeat, one copy is searched and written out (docs/first-stage.md#periods).

A network of alike blocks in a row gets two candidates:

- *One by one*: the best LFAs of one block, with a DRAM Cut before every block but the first.
- *On chip*: a search that prices several blocks in a row, no cut between them, and changes all of them alike.

Both are priced by the greedy DLSA of the whole run. With few blocks, an ordinary search follows that begins at the best
of them; with many it is left out, since it takes minutes and ends higher.

A network with other layers besides, such as a CNN whose stages repeat a block, gets the ordinary search, then one of
the folded network, in which all copies of a block change alike, and one of the whole network at a low temperature,
which begins at the best LFA of the folded one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, divided_to_fit
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, LFASearchResult, search_lfas
from soma_cp.annealing.first_stage.periods import Folding
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.network.repeats import Repeat, find_repeats
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import BufferTooSmallError
from soma_cp.model.soma.lfa import LFA, LFAError
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import priced

ON_CHIP_ROUNDS = 0.25
"""The search of blocks on chip has this share of the rounds of others: it is over as few layers, and each candidate has
three times the tiles. From 0.1 on, more rounds gain 0.1 %."""
ONE_BY_ONE_SHARE, ON_CHIP_SHARE = 0.4, 0.7
"""Shares of the time left that the searches of blocks may take, each when it begins."""
FEW_BLOCKS = 3
"""With at most so many blocks, the ordinary search follows."""
WRITTEN_OUT = 3
"""So many LFAs of each search are written out: over 48 blocks, pricing one takes half a second."""
LEAST_LENGTH = 3
"""Periods of fewer layers are searched as any layers."""
LEAST_SAVED = 0.7
"""A network with other layers is folded if that spares this share of its layers: ResNet-101 gains, Inception-ResNet,
with 0.64, does not."""
FOLDED_ROUNDS, REFINING_ROUNDS = 0.5, 0.25
"""Rounds of the searches of the folded network and at a low temperature, as shares of those of others."""
ORDINARY_SHARE, FOLDED_SHARE = 0.6, 0.6
"""Shares of the time left that the ordinary search and that of the folded network may take, when they begin."""


@dataclass(frozen=True)
class OnePassSearch:
    """A search of LFAs in one pass: in periods if the problem has them, else as `search_lfas` does.

    Parameters
    ----------
    problem, start, seed, objective, settings, threads, enough, monitor, own_start
        As for `search_lfas`.
    """

    problem: Problem
    start: LFA
    seed: int
    objective: Objective
    settings: LFASearchParameters
    threads: int | None
    enough: float
    monitor: Monitor
    own_start: LFA | None

    def run(self, periods: bool) -> LFASearchResult:
        """Search, in periods if they may be looked for."""
        network = self.problem.network.whole
        repeats = find_repeats(network, LEAST_LENGTH) if periods else ()
        if len(repeats) == 1 and repeats[0].saved + repeats[0].length == len(network.layers):
            found = self._of_blocks(repeats[0])
        elif self.settings.wide and sum(one.saved for one in repeats) >= LEAST_SAVED * len(network.layers):
            found = self._of_stages(repeats)
        else:
            found = [self._search(self.settings, self.monitor, self.own_start)]
        return joined(found, self.settings.archive_size)

    def _of_blocks(self, blocks: Repeat) -> list[LFASearchResult]:
        """Search alike blocks in a row."""
        monitor, settings = self.monitor, self.settings
        one_by_one = Folding(self.problem.whole, (blocks,), cut=True)
        alone = self._folded(one_by_one, settings, monitor.part(ONE_BY_ONE_SHARE), "one block", False, None)
        found = [alone]
        if not monitor.budget.over:
            on_chip = replace(one_by_one, cut=False)
            short = with_rounds(settings, ON_CHIP_ROUNDS)
            best = _best(found)
            cost = None if best is None else best[0]
            found.append(self._folded(on_chip, short, monitor.part(ON_CHIP_SHARE), "blocks on chip", True, cost))
        best = _best(found)
        if best is None or blocks.count <= FEW_BLOCKS or self.own_start is not None:
            begin = self.own_start if self.own_start is not None or best is None else best[1]
            found.append(self._search(settings, monitor, begin))
        return found

    def _of_stages(self, repeats: tuple[Repeat, ...]) -> list[LFASearchResult]:
        """Search a network of which a large share repeats."""
        monitor, settings = self.monitor, self.settings
        found = [self._search(settings, monitor.part(ORDINARY_SHARE), self.own_start)]
        ordinary = _best(found)
        if ordinary is None or ordinary[0] <= self.enough or monitor.budget.over:
            return found
        folding = Folding(self.problem.whole, repeats)
        short = with_rounds(settings, FOLDED_ROUNDS)
        found.append(self._folded(folding, short, monitor.part(FOLDED_SHARE), "folded", True, ordinary[0]))
        best = _best(found[1:])
        if best is not None and best[0] > self.enough and not monitor.budget.over:
            cooling = replace(settings.cooling, initial_temperature=settings.last_temperature)
            cold = replace(with_rounds(settings, REFINING_ROUNDS), cooling=cooling, mixed_starts=False)
            refined = replace(self, problem=self.problem.divided_as(best[1].divisions), start=best[1])
            found.append(refined._search(cold, monitor, None))
        return found

    def _search(self, settings: LFASearchParameters, monitor: Monitor, own_start: LFA | None) -> LFASearchResult:
        return search_lfas(
            self.problem, self.start, self.seed, self.objective, settings, self.threads, self.enough, monitor, own_start
        )

    def _folded(
        self,
        folding: Folding,
        settings: LFASearchParameters,
        monitor: Monitor,
        stage: str,
        together: bool,
        best_cost: float | None,
    ) -> LFASearchResult:
        """Return LFAs of a search of the folded problem, written out; it prices several copies `together`, or one."""
        folded = divided_to_fit(folding.folded)
        searched = search_lfas(
            folded,
            coarse_lfa(folded),
            self.seed,
            self.objective,
            settings,
            self.threads,
            monitor=replace(monitor, progress=_as_stage(monitor.progress, stage, best_cost)),
            folding=folding if together else None,
        )
        found: dict[float, LFA] = {}
        for _, lfa in searched.lfas[:WRITTEN_OUT]:
            written = folding.written_out(lfa)
            try:
                plan = make_plan(folding.problem, written)
                cost = priced(plan, greedy_dlsa(plan)).cost(self.objective)
            except (BufferTooSmallError, LFAError):  # alone it fits, but not beside what another copy reads
                continue
            found.setdefault(cost, written)
        return replace(searched, lfas=tuple(sorted(found.items(), key=lambda item: item[0])))


def with_rounds(settings: LFASearchParameters, share: float) -> LFASearchParameters:
    """Return settings with a share of the rounds."""
    return replace(settings, rounds=max(math.ceil(settings.rounds * share), 1))


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


def _best(searches: list[LFASearchResult]) -> tuple[float, LFA] | None:
    """Return the cheapest LFA that several searches found, with its cost."""
    return min((item for one in searches for item in one.lfas), key=lambda item: item[0], default=None)


def _as_stage(
    progress: Callable[[ProgressEvent], None], stage: str, best_cost: float | None
) -> Callable[[ProgressEvent], None]:
    """Return a function that reports a search of the folded problem under a name; its costs are none of the whole."""
    return lambda event: progress(replace(event, stage=f"{event.stage}, {stage}", best_cost=best_cost))
