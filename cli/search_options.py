"""From the options of a search to its parameters."""

from soma_cp.cli.inputs import checked_passes, checked_seed, cpsat_from, objective_from
from soma_cp.cli.option_groups import SearchOptions
from soma_cp.solver.parameters import SolveParameters


def parameters_from(options: SearchOptions) -> SolveParameters:
    """Check all options but the time limit, and return the parameters of a search."""
    seed = checked_seed(options.seed)
    return SolveParameters(
        objective=objective_from(options.energy_exponent, options.delay_exponent),
        seed=seed,
        cpsat=cpsat_from(options.workers, options.deterministic, seed),
        space=options.space,
        passes=checked_passes(options.passes),
        divisions=options.divisions,
        shared_loads=options.shared_loads,
        periods=options.periods,
    )
