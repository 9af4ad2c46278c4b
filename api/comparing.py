"""All second stages on the same LFA, side by side."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from soma_cp.annealing.monitor import Monitor
from soma_cp.api.cancelling import CancellableBudget, Stopper, interruptible
from soma_cp.api.history import OnProgress, Recorder
from soma_cp.api.parameters import checked_seconds, search_parameters
from soma_cp.api.preparation import prepare
from soma_cp.api.schedules import HardwareLike, NetworkLike, Schedule, ScheduleLike, problem_of, schedule_of
from soma_cp.api.tables import Table, html_table, make_table
from soma_cp.api.wording import speaks_python
from soma_cp.model.errors import UserError
from soma_cp.model.soma.result import relative_gap
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.parameters import SolveParameters


@dataclass(frozen=True, eq=False)
class Compared:
    """What one second stage made of the LFA.

    Parameters
    ----------
    method
        The second stage.
    schedule
        Its schedule; double buffering may exceed the buffer, see `fits`.
    fits
        Whether the schedule fits into the buffer.
    seconds
        Wall-clock time.
    """

    method: str
    schedule: Schedule
    fits: bool
    seconds: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Second stages on one LFA; iterating gives one `Compared` after the other.

    Parameters
    ----------
    results
        One for each second stage, the simplest first.
    lower_bound_cycles, lower_bound_source
        The highest lower bound on the latency of this LFA that any of them proved, and how.
    interrupted
        Whether the caller ended the comparison early; then the bound, too, may be lower.
    """

    results: tuple[Compared, ...]
    lower_bound_cycles: int
    lower_bound_source: str
    interrupted: bool

    def __iter__(self) -> Iterator[Compared]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def table(self) -> Table:
        """A row for each second stage."""
        latencies = [one.schedule.latency_cycles for one in self.results]
        return make_table(
            {
                "second_stage": [one.method for one in self.results],
                "fits": [one.fits for one in self.results],
                "latency_cycles": latencies,
                "energy_pj": [one.schedule.energy_pj for one in self.results],
                "latency_above_bound": [relative_gap(latency, self.lower_bound_cycles) for latency in latencies],
                "peak_buffer_bytes": [one.schedule.peak_buffer_bytes for one in self.results],
                "seconds": [one.seconds for one in self.results],
            }
        )

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{one.method} {one.schedule.latency_cycles:,}{'' if one.fits else ' (exceeds the buffer)'}" for one in self
        )
        return f"<Comparison: {shown}; bound {self.lower_bound_cycles:,} cycles>"

    def _repr_html_(self) -> str:
        rows = [
            (
                one.method + ("" if one.fits else " (exceeds the buffer)"),
                f"{one.schedule.latency_cycles:,}",
                f"{relative_gap(one.schedule.latency_cycles, self.lower_bound_cycles):.2%}",
                f"{one.seconds:.2f}",
            )
            for one in self
        ]
        return html_table(("second stage", "latency (cycles)", "above the bound", "seconds"), rows)


@speaks_python
def compare(
    network: NetworkLike | ScheduleLike,
    hardware: HardwareLike | None = None,
    *,
    batch: int | None = None,
    time_limit: float | None = 60.0,
    seed: int = 0,
    lfa: str = "greedy",
    tiling: str = "output",
    uncapped: bool = False,
    energy_exponent: float = 1.0,
    delay_exponent: float = 1.0,
    workers: int | None = None,
    deterministic: bool = False,
    on_progress: OnProgress | None = None,
    cancel: Stopper | None = None,
) -> Comparison:
    """Run every second stage, plug-ins too, on one LFA; none starts from the result of another.

    Parameters
    ----------
    network
        A network, for which an LFA is searched first; or a schedule or result, whose LFA, hardware and batch are taken.
    time_limit
        Seconds for each second stage, and for the search before them; None for no limit.
    hardware, batch, seed, lfa, tiling, uncapped, energy_exponent, delay_exponent
        As in `solve`.
    workers, deterministic, on_progress, cancel
        As in `solve`.

    Raises
    ------
    UserError
        If an argument is out of range, or given beside a schedule that has its own.
    BufferTooSmallError
        If no DLSA of the LFA fits into the buffer.

    Examples
    --------
    >>> import soma_cp as sc
    >>> comparison = sc.compare("tiny-chain", "edge", time_limit=5)
    >>> [one.method for one in comparison][-1]
    'CP-SAT'
    >>> latency = comparison.table["latency_cycles"]
    >>> bool(latency[-1] == latency[comparison.table["fits"]].min())
    True
    """
    source = schedule_of(network)
    if isinstance(source, Schedule) and (hardware is not None or batch is not None):
        given = "hardware" if hardware is not None else "batch"
        raise UserError(f"{given} is given, but the schedule has its own; leave it out")
    searching = search_parameters(
        seed=seed,
        lfa=lfa,
        stage2=SecondStage.GREEDY,
        tiling=tiling,
        uncapped=uncapped,
        space=None,
        passes="auto",
        periods="auto",
        exact=False,
        fix_lfa=False,
        energy_exponent=energy_exponent,
        delay_exponent=delay_exponent,
        workers=workers,
        deterministic=deterministic,
    )
    seconds = checked_seconds(time_limit)
    problem = None if isinstance(source, Schedule) else problem_of(source, hardware, 1 if batch is None else batch)
    prepare(*(SolveParameters(first_stage=searching.first_stage, second_stage=stage) for stage in SecondStage))
    # Imported late: they load numba.
    from soma_cp.solver.comparison import compare_second_stages
    from soma_cp.solver.solve import solve as solve_problem

    each = None if math.isinf(seconds) else seconds
    budget = CancellableBudget(None, cancel)
    recorder = Recorder(on_progress, budget)
    monitor = Monitor(budget, recorder.record)
    with interruptible(budget):
        if problem is None:
            assert isinstance(source, Schedule)
            plan = source.priced.plan
        else:
            plan = solve_problem(problem, searching, monitor.within(each)).schedule.plan
        found = compare_second_stages(plan, searching, each, monitor)
    recorder.raise_again()
    results = tuple(
        Compared(
            one.method,
            Schedule(one.schedule, one.lower_bound, one.lower_bound_source, {"second_stage": one.method}),
            one.schedule.fits,
            one.seconds,
        )
        for one in found.results
    )
    return Comparison(results, found.lower_bound, found.lower_bound_source, budget.stop_requested)
