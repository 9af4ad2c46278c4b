"""From the arguments of a caller to the parameters of a search, each checked."""

import math
from enum import Enum

from soma_cp.annealing.cocco.cocco_search import CoccoParameters
from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.api.values import choice, real, whole
from soma_cp.cli.inputs import objective_from
from soma_cp.model.errors import UserError
from soma_cp.model.objective import Objective
from soma_cp.model.problem import MAX_BATCH
from soma_cp.solver.choices import COCCO_STAGES, FirstStage, SecondStage, Space, UsePeriods, usual_second_stage
from soma_cp.solver.parameters import MAX_SEED, MAX_WORKERS, CpSatParameters, SolveParameters


def checked_exponents(energy_exponent: float, delay_exponent: float) -> Objective:
    """Return the objective of these exponents."""
    return objective_from(real("energy_exponent", energy_exponent), real("delay_exponent", delay_exponent))


def checked_seconds(time_limit: float | None) -> float:
    """Return a time limit, infinite if it is None."""
    if time_limit is None:
        return math.inf
    seconds = real("time_limit", time_limit)
    if seconds <= 0:
        raise UserError(f"time_limit={time_limit} (must be more than 0 seconds; None is no limit)")
    return seconds


def stage(kind: type[Enum], name: str) -> str:
    """Return a stage as the solver takes it: a member of `kind` for a built-in one, else the name of a plug-in."""
    built_in = {str(member.value): member for member in kind}
    member = built_in.get(str(name))
    return str(name) if member is None else member  # type: ignore[return-value]  # the members are texts


def search_parameters(
    *,
    seed: int,
    lfa: str,
    stage2: str | None,
    tiling: str,
    uncapped: bool,
    space: Space | str | None,
    passes: int | str,
    periods: str,
    exact: bool,
    fix_lfa: bool,
    energy_exponent: float,
    delay_exponent: float,
    workers: int | None,
    deterministic: bool,
) -> SolveParameters:
    """Return the parameters of a search; see `soma_cp.api.solving.solve`."""
    seed = whole("seed", seed, 0, MAX_SEED)
    if isinstance(passes, str) and passes != "auto":
        raise UserError(f"passes={passes!r} (must be 'auto' or a divisor of the batch)")
    workers = None if workers is None else whole("workers", workers, 1, MAX_WORKERS)
    if deterministic and workers not in (None, 1):
        raise UserError(f"workers={workers} with deterministic=True: several threads are not deterministic; keep one")
    return SolveParameters(
        first_stage=stage(FirstStage, lfa),
        second_stage=usual_second_stage(lfa) if stage2 is None else stage(SecondStage, stage2),
        cocco=_cocco(lfa, tiling, uncapped),
        objective=checked_exponents(energy_exponent, delay_exponent),
        seed=seed,
        cpsat=CpSatParameters(workers=workers, seed=seed, deterministic=deterministic),
        threads=workers,
        prove_seconds=math.inf,  # the time limit decides
        space=None if space is None else choice("space", Space, space),
        passes=None if isinstance(passes, str) else whole("passes", passes, 1, MAX_BATCH),
        periods=choice("periods", UsePeriods, periods),
        fix_lfa=fix_lfa,
        exact=exact,
    )


def _cocco(lfa: str, tiling: str, uncapped: bool) -> CoccoParameters:
    """Return the parameters of the Cocco baseline; refuse them beside another first stage."""
    parameters = CoccoParameters(tiling=choice("tiling", TilingRule, tiling), capped=not uncapped)
    if lfa not in COCCO_STAGES and parameters != CoccoParameters():
        given = "uncapped=True" if uncapped else f"tiling={str(tiling)!r}"
        raise UserError(f"{given} with lfa={lfa!r}, which has no such rule; give lfa='cocco', or leave it out")
    return parameters
