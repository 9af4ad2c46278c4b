"""Lower bounds on every schedule of a network on some hardware."""

import math
from dataclasses import dataclass

from soma_cp.api.parameters import checked_exponents, checked_seconds
from soma_cp.api.preparation import prepare
from soma_cp.api.schedules import HardwareLike, NetworkLike, problem_of
from soma_cp.api.tables import html_table
from soma_cp.api.values import choice
from soma_cp.api.wording import speaks_python
from soma_cp.solver.choices import SecondStage, Space
from soma_cp.solver.parameters import SolveParameters


@dataclass(frozen=True)
class Bounds:
    """What no schedule of a network, platform and batch can beat, whatever its LFA and DLSA.

    Parameters
    ----------
    latency_cycles, energy_pj
        Lower bounds on latency and energy.
    cost
        Lower bound on energy^n · delay^m; at least as high as the cost of both bounds together.
    latency_source
        Which argument gives the bound on the latency.
    space
        Over which schedules they hold: WIDE, or PAPER (docs/model.md#spaces).
    complete
        Whether the time was enough for all that can raise them.
    """

    latency_cycles: int
    energy_pj: float
    cost: float
    latency_source: str
    space: Space
    complete: bool

    def _repr_html_(self) -> str:
        rows = [
            ("latency", f"at least {self.latency_cycles:,} cycles ({self.latency_source})"),
            ("energy", f"at least {self.energy_pj / 1e9:.4g} mJ"),
            ("cost", f"at least {self.cost:.5g}"),
            ("holds", self.space.text),
        ]
        return html_table(("bound", "value"), rows)


@speaks_python
def bounds(
    network: NetworkLike,
    hardware: HardwareLike | None = None,
    *,
    batch: int = 1,
    time_limit: float | None = 60.0,
    space: Space | str = Space.WIDE,
    energy_exponent: float = 1.0,
    delay_exponent: float = 1.0,
) -> Bounds:
    """Return lower bounds on every schedule, without searching for one.

    Parameters
    ----------
    network, hardware, batch
        As in `solve`.
    time_limit
        Seconds; None for no limit. A shorter time gives lower bounds, which hold as well.
    space
        ``"wide"``, or ``"paper"``: schedules in which every reader loads by itself and no layer is divided.
    energy_exponent, delay_exponent
        n and m of the cost energy^n · delay^m.

    Raises
    ------
    UserError
        If no schedule can exist, since a layer can't fit into the buffer or run on the core array.

    Examples
    --------
    >>> import soma_cp as sc
    >>> lowest = sc.bounds("tiny-chain", "edge")
    >>> lowest.latency_cycles <= sc.solve("tiny-chain", "edge", stage2="greedy").schedule.latency_cycles
    True
    """
    # Imported late: they load numba.
    from soma_cp.annealing.budget import Budget
    from soma_cp.annealing.first_stage.initial_lfa import check_layers_fit, divided_to_fit
    from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa

    objective, seconds = checked_exponents(energy_exponent, delay_exponent), checked_seconds(time_limit)
    over = choice("space", Space, space)
    problem = problem_of(network, hardware, batch)
    prepare(SolveParameters(second_stage=SecondStage.GREEDY))
    check_layers_fit(divided_to_fit(problem) if over is Space.WIDE else problem)
    budget = Budget(None if math.isinf(seconds) else seconds)
    found = bound_every_lfa(problem, objective, budget, wide=over is Space.WIDE)
    return Bounds(found.latency, found.energy_pj, found.cost, found.latency_source, over, found.complete)
