"""LFAs in several passes: a part of the batch is searched, and what is found is repeated (docs/first-stage.md#passes).

For p passes the search for LFAs runs at a batch of B / p samples, as it does for any problem. p passes take about p
times the energy and p times the time of one, so p passes of an LFA cost about p^(n + m) times what it costs at that
batch; the exact cost is that of the greedy DLSA of the whole run. Few p are searched:

- None is if the best schedule in one pass has one LG and takes at most `NEAR` more than the theoretical maximum of its
  LFA: no fmap goes through DRAM, and nothing is left to hide.
- p passes load all weights p times. If even the cheapest tiles and this traffic cost as much as the best schedule so
  far, p is left out.
- The others are *probed* by a short search in the paper's space, from the fewest passes to the first whose best LFA has
  one LG: the more passes, the smaller the fmaps, and the more weights are loaded.
- The p of the best probe is searched in full, and the second one if it is about as good; neither if even the probe is
  far above the best schedule.
- An LFA in p passes that beats the best in one is *scaled*: with twice the Tiling Numbers, say, it has the same tiles,
  and p / 2 passes of twice the samples, for which searches from scratch may miss it. It is refined there, and scaled
  again as long as this gains, down to one pass.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, divided_to_fit
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters, LFASearchResult, refine_lfas
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.solver.every_lfa.layer_bounds import divisors
from soma_cp.solver.every_lfa.network_bounds import NetworkBound
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.periods import OnePassSearch

NEAR = 0.05
"""A schedule with one LG is left in one pass if its latency exceeds the theoretical maximum by at most this share."""
PROBE_ROUNDS = 0.25
"""A probe has this share of the rounds of the first phase of a search."""
PROBE_SHARE = 0.3
"""Share of the time that all probes together may take."""
PROMISING = 1.25
"""A number of passes is searched in full if its probe costs at most so many times the best schedule in one pass."""
ABOUT_AS_GOOD = 1.05
"""So is the second one if its probe costs at most so many times the best one's."""
SCALING_SHARE = 0.3
"""Share of the time that is kept for LFAs that are scaled to fewer passes."""


def numbers_of_passes(problem: Problem, parameters: SolveParameters, own: LFA | None) -> tuple[int, ...]:
    """Return the numbers of passes that a search may try, 1 among them if it may.

    Parameters
    ----------
    problem
        The problem in one pass.
    parameters
        Its `passes` is the only number, if it is given.
    own
        The user's LFA to begin from, whose passes come first; None without one.
    """
    if parameters.passes is not None:
        return (parameters.passes,)
    if not parameters.search.wide:
        return (1,)
    numbers = divisors(problem.batch).tolist()
    first = 1 if own is None else own.passes
    return tuple(sorted(numbers, key=lambda number: (number not in (1, first), number)))


def needs_no_passes(problem: Problem, lfa: LFA) -> bool:
    """Return whether an LFA in one pass is so good that passes are not tried."""
    if lfa.lg_count > 1:
        return False
    schedule = _greedy(problem, lfa)
    return schedule.latency <= schedule.evaluation.figures.bound * (1 + NEAR)


def search_passes(
    problem: Problem,
    numbers: Sequence[int],
    parameters: SolveParameters,
    bound: NetworkBound,
    best_cost: float,
    monitor: Monitor,
    own: LFA | None = None,
) -> LFASearchResult:
    """Search LFAs in several passes.

    Parameters
    ----------
    problem
        The problem in one pass.
    numbers
        Numbers of passes to try, in this order.
    parameters
        How to search.
    bound
        Over every LFA of the problem.
    best_cost
        Of the best schedule in one pass; infinite to leave out no number.
    monitor
        How the search is stopped and watched.
    own
        The user's LFA to begin from; used, and its number of passes tried in any case, if that is one of `numbers`.

    Returns
    -------
    LFASearchResult
        LFAs in passes, with their costs under the greedy DLSA of the whole run. If no number promises anything, there
        are none; but at least one, however early the budget ends, if `best_cost` is infinite.
    """
    search = _Search(problem, parameters, bound, monitor, own)
    free = not math.isinf(best_cost) and len(numbers) > 1
    chosen = search.promising(numbers, best_cost) if free else list(numbers)
    scales = free and parameters.search.refining_rounds > 0
    lfas = search.kept
    searching = monitor.part(1 - SCALING_SHARE) if scales else monitor
    for place, passes in enumerate(chosen):
        if not searching.budget.over:
            limit = searching.part(1 / (len(chosen) - place))
            search.file_away(search.lfas(passes, parameters.search, best_cost, limit))
    if scales and lfas and min(lfas) < best_cost:
        search.scale(lfas[min(lfas)])
    if not lfas and math.isinf(best_cost):
        lfa = replace(coarse_lfa(_part(problem, numbers[0])), passes=numbers[0])
        lfas[search.greedy(lfa).cost(parameters.objective)] = lfa
    best_ones = tuple(sorted(lfas.items())[: parameters.search.archive_size])
    return LFASearchResult(best_ones, search.rounds, search.out_of_time, search.seconds)


class _Search:
    """Searches at parts of the batch; it counts their rounds and seconds. Parameters as those of `search_passes`."""

    def __init__(
        self, problem: Problem, parameters: SolveParameters, bound: NetworkBound, monitor: Monitor, own: LFA | None
    ) -> None:
        self.problem = problem
        self.parameters = parameters
        self.bound = bound
        self.monitor = monitor
        self.own = own
        self.rounds = 0
        self.seconds = 0.0
        self.out_of_time = False
        self.kept: dict[float, LFA] = {}

    def promising(self, numbers: Sequence[int], best_cost: float) -> list[int]:
        """Return the numbers of passes that are worth a search, after a probe of each; the user's own among them."""
        begins = [number for number in numbers if self.own is not None and self.own.passes == number]
        settings = self.parameters.search
        short = replace(settings, rounds=round(settings.rounds * PROBE_ROUNDS), wide=False)
        least = best_cost
        probed: list[tuple[float, int]] = []
        probing = self.monitor.part(PROBE_SHARE)
        for place, passes in enumerate(numbers):
            if probing.budget.over:
                break
            if passes in begins or self._least_cost(passes) >= least:
                continue
            found = self.lfas(passes, short, least, probing.part(1 / (len(numbers) - place)))
            if found:
                lfa = found[0][1]
                cost = self.greedy(lfa).cost(self.parameters.objective)
                self.kept[cost] = lfa
                probed.append((cost, passes))
                least = min(least, cost)
                if lfa.lg_count == 1:
                    break
        probed.sort()
        most = min(probed[0][0] * ABOUT_AS_GOOD, best_cost * PROMISING) if probed else 0.0
        return [*begins, *(passes for cost, passes in probed[:2] if cost <= most)]

    def lfas(
        self, passes: int, settings: LFASearchParameters, best_cost: float, monitor: Monitor
    ) -> list[tuple[float, LFA]]:
        """Return the best LFAs in so many passes, with the cost of one pass."""
        part, own = _part(self.problem, passes), self.own
        found = OnePassSearch(
            part,
            coarse_lfa(part),
            self.parameters.draws,
            self.parameters.objective,
            settings,
            self.parameters.threads,
            -math.inf,
            _of_passes(monitor, passes, best_cost),
            replace(own, passes=1) if own is not None and own.passes == passes else None,
        ).run(self.parameters.searches_periods)
        self._count(found)
        return [(cost, replace(lfa, passes=passes)) for cost, lfa in found.lfas]

    def file_away(self, found: list[tuple[float, LFA]]) -> None:
        """Keep LFAs with their costs under the greedy DLSA of the whole run."""
        for _, lfa in found:
            self.kept.setdefault(self.greedy(lfa).cost(self.parameters.objective), lfa)

    def scale(self, lfa: LFA) -> None:
        """Scale an LFA to fewer and fewer passes, as long as each is better than the one before."""
        best_cost = min(self.kept)
        while lfa.passes > 1 and not self.monitor.budget.over:
            passes = max(number for number in divisors(lfa.passes).tolist() if number < lfa.passes)
            found = refine_lfas(
                _part(self.problem, passes),
                [with_fewer_passes(lfa, passes)],
                self.parameters.draws,
                self.parameters.objective,
                self.parameters.search,
                self.parameters.threads,
                self.bound.met_in_one_pass_at if passes == 1 else -math.inf,
                _of_passes(self.monitor, passes, best_cost),
            )
            self._count(found)
            self.file_away([(cost, replace(each, passes=passes)) for cost, each in found.lfas])
            if min(self.kept) >= best_cost:
                return
            best_cost = min(self.kept)
            lfa = self.kept[best_cost]

    def greedy(self, lfa: LFA) -> Schedule:
        """Return the greedy schedule of an LFA of the problem."""
        return _greedy(self.problem, lfa)

    def _count(self, found: LFASearchResult) -> None:
        self.rounds += found.rounds
        self.seconds += found.seconds
        self.out_of_time |= found.out_of_time

    def _least_cost(self, passes: int) -> float:
        """Return what schedules in so many passes cost at least: the cheapest tiles, all weights in every pass."""
        platform, bound = self.problem.platform, self.bound
        moved = bound.dram_bytes + (passes - 1) * self.problem.network.whole.dram_weight_bytes
        energy_pj = bound.core_energy_pj + moved * platform.dram_pj_per_byte
        latency = max(bound.compute_cycles, int(transfer_cycles(moved, platform.dram_rate)))
        return self.parameters.objective.cost(energy_pj, latency)


def with_fewer_passes(lfa: LFA, passes: int) -> LFA:
    """Return an LFA with the same tiles in fewer passes, a divisor of its own; `passes` is 1 in what it returns.

    A Tiling Number n cuts b samples into gcd(b, n) parts and each part of them into n / gcd(b, n). With s times the
    samples, s · n cuts them into s · gcd(b, n) parts of as many samples as before, and these as before.
    """
    times = lfa.passes // passes
    flgs = tuple(replace(flg, tiling_number=times * flg.tiling_number) for flg in lfa.flgs)
    return replace(lfa, flgs=flgs, passes=1)


def _part(problem: Problem, passes: int) -> Problem:
    """Return the problem of one of so many passes, with large layers divided if they do not fit."""
    return divided_to_fit(replace(problem.whole, batch=problem.batch // passes))


def _greedy(problem: Problem, lfa: LFA) -> Schedule:
    """Return the greedy schedule of an LFA that fits the buffer."""
    plan = make_plan(problem, lfa)
    return priced(plan, greedy_dlsa(plan))


def _of_passes(monitor: Monitor, passes: int, best_cost: float) -> Monitor:
    """Return a monitor of a search at a part of the batch, whose costs are none of the whole."""
    known = best_cost if math.isfinite(best_cost) else None

    def progress(event: ProgressEvent) -> None:
        monitor.progress(replace(event, stage=f"{event.stage} in {passes} passes", best_cost=known))

    return replace(monitor, progress=progress)
