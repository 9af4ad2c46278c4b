"""Every LFA of a tiny problem, in the paper's and in the wide space, and the cheapest schedule of all, by brute force.

A Tiling Number that is too large for the largest fmap of an FLG and the batch is left out, since no LFA may have it.
Parts of a layer that only change places are taken once: which of two equal ones is the first does not matter.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

from soma_cp.model.errors import UserError
from soma_cp.model.network.layers import weights_key
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA, LFAError, SharedLoad
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly
from soma_cp.solver.second_stage.windows import best_combinatorial_bound
from support.divided_lfas import every_division


def every_lfa(problem: Problem) -> Iterator[LFA]:
    """Yield every LFA of a network that shares no loads; a few Tiling Numbers may be impossible."""
    layers = problem.network.layers
    divisions = problem.network.divisions
    for order in itertools.permutations(layers):
        names = [layer.name for layer in order]
        needs = [{*layer.ifmaps, *layer.weight_operands} for layer in order]
        if not all(need <= set(names[:place]) for place, need in enumerate(needs)):
            continue
        for cuts in itertools.product((None, False, True), repeat=len(order) - 1):
            begins = [0, *(place for place, cut in enumerate(cuts, start=1) if cut is not None)]
            dram_cuts = [True, *(cut for cut in cuts if cut is not None)]
            groups = [order[begin:end] for begin, end in itertools.pairwise([*begins, len(order)])]
            most = [problem.batch * max(one.H for one in group) * max(one.W for one in group) for group in groups]
            for numbers in itertools.product(*(range(1, number + 1) for number in most)):
                members = (tuple(layer.name for layer in group) for group in groups)
                flgs = tuple(itertools.starmap(FLG, zip(members, numbers, dram_cuts, strict=True)))
                yield LFA(flgs, divisions=divisions)


def _every_lfa_in_passes(problem: Problem, number: int) -> Iterator[LFA]:
    for lfa in every_lfa(replace(problem, batch=problem.batch // number)):
        yield replace(lfa, passes=number)


def plans_of(problem: Problem, lfa: LFA, wide: bool) -> Iterator[Plan]:
    """Yield the plan of an LFA and, in the wide space, those with every set of shared loads that is not refused."""
    try:
        yield make_plan(problem, lfa)
    except UserError:
        return
    readers = _that_may_share(problem, lfa) if wide else []
    for chosen in itertools.product((False, True), repeat=len(readers)):
        if any(chosen):
            try:
                yield make_plan(problem, replace(lfa, shared_loads=tuple(itertools.compress(readers, chosen))))
            except LFAError:
                continue


def _that_may_share(problem: Problem, lfa: LFA) -> list[SharedLoad]:
    """Return the layers that read a source from DRAM, or weights, after another layer of their LG."""
    layers = {layer.name: layer for layer in problem.divided_as(lfa.divisions).network.layers}
    found, read_before, members = [], set[object](), set[str]()
    for place, flg in enumerate(lfa.flgs):
        if flg.dram_cut:
            read_before, members = set(), set()
            for other in itertools.takewhile(lambda one: not one.dram_cut, lfa.flgs[place + 1 :]):
                members |= {*other.layers}
            members |= {*flg.layers}
        for name in flg.layers:
            layer = layers[name]
            sources: list[tuple[str, object]] = [
                (one, one) for one in (*layer.ifmaps, *layer.weight_operands, *layer.inputs) if one not in members
            ]
            if layer.weight_bytes:
                sources.append(("", weights_key(layer)))
            found += [SharedLoad(name, source) for source, key in sources if key in read_before]
            read_before |= {key for _, key in sources}
    return found


def cheapest(
    problem: Problem, objectives: Sequence[Objective], wide: bool, most_parts: int = 3, passes: bool = False
) -> tuple[list[float], int]:
    """Return the least cost of any schedule for each objective, infinite if none fits; and the number of plans.

    In the wide space, layers are divided into at most `most_parts` parts. With `passes`, there are two passes or more.
    """
    divided = list(every_division(problem, most_parts)) if wide else [()]
    numbers = [number for number in range(2, problem.batch + 1) if problem.batch % number == 0] if passes else [1]
    count, plans, rough = 0, [], []
    for lfa in itertools.chain.from_iterable(
        _every_lfa_in_passes(problem.divided_as(divisions), number) for number in numbers for divisions in divided
    ):
        for plan in plans_of(problem, lfa, wide):
            count += 1
            if least_peak_bytes(plan) <= problem.platform.gbuf_bytes:
                plans.append(plan)
                rough.append((plan_figures(plan).energy_pj, best_combinatorial_bound(plan)[0]))

    @cache
    def latency_of(index: int) -> int:
        exact = solve_dlsa_exactly(plans[index], CpSatParameters(workers=1))
        assert exact.proven_optimal
        return exact.schedule.latency

    best = [math.inf] * len(objectives)
    for place, one in enumerate(objectives):
        bounds = [one.cost(*figures) for figures in rough]
        for index in sorted(range(len(plans)), key=bounds.__getitem__):
            if bounds[index] >= best[place]:
                break
            best[place] = min(best[place], one.cost(rough[index][0], latency_of(index)))
    return best, count
