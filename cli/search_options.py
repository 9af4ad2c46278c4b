"""The options that all searching commands share."""

from dataclasses import dataclass

from soma_cp.cli.inputs import checked_seed, cpsat_from, objective_from
from soma_cp.solver.choices import Space
from soma_cp.solver.parameters import SolveParameters


@dataclass(frozen=True)
class SearchOptions:
    """The options of all searching commands, as typed."""

    energy_exponent: float
    delay_exponent: float
    time_limit: float | None
    seed: int
    workers: int | None
    deterministic: bool
    space: Space | None = None


def parameters_from(options: SearchOptions) -> SolveParameters:
    """Check all options but the time limit, and return the parameters of a search."""
    seed = checked_seed(options.seed)
    return SolveParameters(
        objective=objective_from(options.energy_exponent, options.delay_exponent),
        seed=seed,
        cpsat=cpsat_from(options.workers, options.deterministic, seed),
        space=options.space,
    )
