"""`solve`: the search for a schedule, as callers run it."""

import math
import os
from typing import TYPE_CHECKING

from soma_cp.annealing.monitor import Monitor
from soma_cp.api.bounding import Bounds
from soma_cp.api.cancelling import CancellableBudget, Stopper, interruptible
from soma_cp.api.history import OnProgress, Recorder
from soma_cp.api.parameters import checked_seconds, search_parameters
from soma_cp.api.preparation import prepare
from soma_cp.api.results import Result, Status
from soma_cp.api.schedules import HardwareLike, NetworkLike, Schedule, ScheduleLike, problem_of, schedule_of
from soma_cp.api.schedules import read_schedule as read
from soma_cp.api.tables import Table
from soma_cp.api.wording import speaks_python
from soma_cp.model.errors import UserError
from soma_cp.model.soma.lfa import LFA
from soma_cp.solver.choices import Space, usual_second_stage

if TYPE_CHECKING:
    from soma_cp.solver.solve import SolveResult
    from soma_cp.solver.start import Start


@speaks_python
def solve(
    network: NetworkLike,
    hardware: HardwareLike | None = None,
    *,
    batch: int = 1,
    time_limit: float | None = 60.0,
    seed: int = 0,
    lfa: str = "greedy",
    stage2: str | None = None,
    tiling: str = "output",
    uncapped: bool = False,
    space: Space | str | None = None,
    passes: int | str = "auto",
    periods: str = "auto",
    exact: bool = False,
    start: ScheduleLike | LFA | str | os.PathLike[str] | None = None,
    fix_lfa: bool = False,
    energy_exponent: float = 1.0,
    delay_exponent: float = 1.0,
    workers: int | None = None,
    deterministic: bool = False,
    on_progress: OnProgress | None = None,
    cancel: Stopper | None = None,
) -> Result:
    """Find a schedule of low energy^n · delay^m.

    Nothing is printed, and several threads may solve at once. Kernels are compiled or loaded before the time limit
    begins. The first Ctrl-C in the main thread ends the search with the best so far (`Result.interrupted`); a second
    one raises KeyboardInterrupt.

    Parameters
    ----------
    network
        A network, or what `load_network` takes as a name or path.
    hardware
        A platform, or what `load_hardware` takes as a name or path; by default the one on which a built-in network
        usually runs, else ``"edge"``.
    batch
        Samples that run together.
    time_limit
        Seconds; None: the search ends by itself.
    seed
        Of all draws.
    lfa
        First stage: ``"greedy"``, ``"paper"``, ``"cocco"``, ``"cocco-ga"``, or the name of a plug-in.
    stage2
        Second stage: ``"cpsat"``, ``"sa"``, ``"greedy"``, ``"none"``, or the name of a plug-in; by default
        ``"cpsat"``, but ``"none"`` with the first stages of Cocco, whose baseline is double buffered.
    tiling, uncapped
        With the first stages of Cocco, the tiling number of a group: ``"output"``, ``"largest"`` or ``"inherit"``, and
        whether layers may have more than 16 tiles for each sample (docs/cocco.md#tiling-rules).
    space
        ``"wide"`` or ``"paper"`` (docs/model.md#spaces); by default the wide one, where the search knows it.
    passes
        In how many passes the batch is run, a divisor of it (docs/model.md#passes); by default what the search finds
        best, in the wide space.
    periods
        ``"off"``, unless alike blocks may be searched as periods (docs/first-stage.md#periods), in the wide space.
    exact
        Whether to go through all LFAs at the end and prove the schedule optimal; for small networks.
    start
        A schedule, a result, the path of a schedule, or an LFA, from which the search begins.
    fix_lfa
        Whether the LFA of `start` is kept and the second stage alone runs.
    energy_exponent, delay_exponent
        n and m.
    workers
        Threads; all cores by default.
    deterministic
        Whether the same arguments give the same schedule on every run, unless the time limit ends the search.
    on_progress
        Called with a `ProgressEvent` from time to time, in the thread of the search. What it raises ends the search,
        and is raised here.
    cancel
        A `Cancel` or `threading.Event`; once it is set, the search ends with the best so far.

    Returns
    -------
    Result
        Always has a valid schedule.

    Raises
    ------
    UserError
        If an argument is out of range, or no schedule can exist.
    LayerTooLargeError
        If a layer can't fit into the buffer.

    Examples
    --------
    >>> import soma_cp as sc
    >>> result = sc.solve("tiny-chain", "edge", time_limit=5, seed=1, stage2="greedy")
    >>> result.schedule.latency_cycles >= result.bounds.latency_cycles
    True
    """
    arguments = {
        "seed": seed,
        "lfa": str(lfa),
        "stage2": str(usual_second_stage(lfa) if stage2 is None else stage2),
        "tiling": str(tiling),
        "uncapped": uncapped,
        "space": space,
        "passes": passes,
        "periods": periods,
        "exact": exact,
        "fix_lfa": fix_lfa,
        "energy_exponent": energy_exponent,
        "delay_exponent": delay_exponent,
        "workers": workers,
        "deterministic": deterministic,
    }
    parameters = search_parameters(**arguments)  # type: ignore[arg-type]  # the values have the types above
    seconds = checked_seconds(time_limit)
    problem = problem_of(network, hardware, batch)
    origin = _origin(start)
    prepare(parameters)
    from soma_cp.solver.solve import solve as solve_problem

    budget = CancellableBudget(None if math.isinf(seconds) else seconds, cancel)
    recorder = Recorder(on_progress, budget)
    with interruptible(budget):
        found = solve_problem(problem, parameters, Monitor(budget, recorder.record), origin)
    history = recorder.finish(found.seconds, found.schedule.cost(parameters.objective), found.cost_bound)
    return _result(found, history, arguments | {"time_limit": time_limit, "batch": batch})


def _origin(start: ScheduleLike | LFA | str | os.PathLike[str] | None) -> "Start | None":
    """Return a start as the solver takes it."""
    if isinstance(start, str | os.PathLike):
        start = read(start)
    start = schedule_of(start)
    if start is None or isinstance(start, LFA):
        return start
    if not isinstance(start, Schedule):
        raise UserError(
            f"start is of the type {type(start).__name__} (must be a Schedule, a Result, a path, or an LFA)"
        )
    return start.priced


def _result(found: "SolveResult", history: Table, arguments: dict[str, object]) -> Result:
    # Imported late: it asks for the versions of libraries.
    from soma_cp.solver.provenance import provenance

    bound, best = found.network_bound, found.best
    limit = arguments["time_limit"]
    schedule = Schedule(
        found.schedule,
        best.lower_bound,
        best.lower_bound_source,
        provenance(found, limit),  # type: ignore[arg-type]
    )
    status = Status.FEASIBLE
    if found.is_global_optimum:
        status = Status.OPTIMAL
    elif best.proven_optimal:
        status = Status.OPTIMAL_OF_LFA
    return Result(
        schedule=schedule,
        status=status,
        bounds=Bounds(
            latency_cycles=bound.latency,
            energy_pj=bound.energy_pj,
            cost=found.cost_bound,
            latency_source=bound.latency_source,
            space=found.parameters.searched_space,
            complete=bound.complete,
        ),
        history=history,
        seconds=found.seconds,
        interrupted=found.interrupted,
        out_of_time=found.out_of_time,
        objective=found.parameters.objective,
        parameters=arguments,
        iterations=found.iterations,
        rounds=found.rounds,
    )
