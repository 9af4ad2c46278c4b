"""From the options of a search to its parameters."""

from soma_cp.annealing.cocco.cocco_search import CoccoParameters
from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.cli.inputs import checked_passes, checked_seed, cpsat_from, objective_from
from soma_cp.cli.option_groups import NO_COCCO, CoccoOptions, SearchOptions
from soma_cp.model.errors import UserError
from soma_cp.solver.choices import COCCO_STAGES, FirstStage
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
        periods=options.periods,
    )


def cocco_from(options: CoccoOptions, first_stage: str) -> CoccoParameters:
    """Return the parameters of the Cocco baseline; refuse its options beside another first stage."""
    if first_stage not in COCCO_STAGES and options != NO_COCCO:
        given = "--uncapped" if options.uncapped else f"--tiling {options.tiling.value}"
        raise UserError(f"{given} with --lfa {first_stage}, which has no such rule; give --lfa cocco, or leave it out")
    if first_stage == FirstStage.COCCO_GA and options.tiling is TilingRule.INHERIT:
        raise UserError("--tiling inherit with --lfa cocco-ga, whose genomes have no tiling numbers; give --lfa cocco")
    return CoccoParameters(tiling=options.tiling, capped=not options.uncapped)
