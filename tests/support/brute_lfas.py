"""Every LFA of a tiny problem, without and with shared loads, and the cheapest schedule of all, by brute force.

A Tiling Number that is too large for the largest fmap of an FLG and the batch is left out, since no LFA may have it.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from soma_cp.model.errors import UserError
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import plan_figures
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA, LFAError, SharedLoad
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly
from soma_cp.solver.second_stage.windows import best_combinatorial_bound


def every_lfa(problem: Problem) -> Iterator[LFA]:
    """Yield every LFA of the paper's space; a few Tiling Numbers may be impossible."""
    layers = problem.network.layers
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
                yield LFA(tuple(itertools.starmap(FLG, zip(members, numbers, dram_cuts, strict=True))))


def plans_of(problem: Problem, lfa: LFA, wide: bool) -> Iterator[Plan]:
    """Yield the plan of an LFA and, in the wide space, those with every set of shared loads that is not refused."""
    readers = [
        SharedLoad(layer.name, source)
        for layer in problem.network.layers
        for source in (*layer.ifmaps, *layer.weight_operands, *layer.inputs, *([""] if layer.weight_bytes else []))
    ]
    try:
        yield make_plan(problem, lfa)
    except UserError:
        return
    for chosen in itertools.product((False, True), repeat=len(readers) if wide else 0):
        if any(chosen):
            try:
                yield make_plan(problem, replace(lfa, shared_loads=tuple(itertools.compress(readers, chosen))))
            except LFAError:
                continue


def cheapest(problem: Problem, objectives: Sequence[Objective], wide: bool) -> tuple[list[float], int]:
    """Return the least cost of any schedule for each objective, infinite if none fits; and the number of plans."""
    best = [math.inf] * len(objectives)
    count = 0
    for lfa in every_lfa(problem):
        for plan in plans_of(problem, lfa, wide):
            count += 1
            if least_peak_bytes(plan) > problem.platform.gbuf_bytes:
                continue
            energy, latency = plan_figures(plan).energy_pj, best_combinatorial_bound(plan)[0]
            if any(one.cost(energy, latency) < known for one, known in zip(objectives, best, strict=True)):
                exact = solve_dlsa_exactly(plan, CpSatParameters(workers=1))
                assert exact.proven_optimal
                latency = exact.schedule.latency
                best = [min(known, one.cost(energy, latency)) for one, known in zip(objectives, best, strict=True)]
    return best, count
