"""Schedules as callers hold them: figures, tables, files, reports; made by hand, read, and checked."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from soma_cp.api.hardware import load_hardware, platform_of
from soma_cp.api.networks import load_network
from soma_cp.api.preparation import prepare
from soma_cp.api.reporting import write_report
from soma_cp.api.tables import Table, html_table, layers_table, tensors_table, tiles_table
from soma_cp.api.transfers import Transfer, dlsa_of, transfers_of
from soma_cp.api.values import whole
from soma_cp.api.wording import speaks_python
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.core_array.type_notes import type_notes
from soma_cp.model.hardware.core_array.unit_energies import doubtful_gbuf_energy
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.network.builtin.catalogue import usual_platform
from soma_cp.model.network.network import Network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import MAX_BATCH, Problem
from soma_cp.model.soma import schedule as soma
from soma_cp.model.soma.execution.execution import Execution, make_execution
from soma_cp.model.soma.figures import json_figures
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.result import reaches_bound, relative_gap
from soma_cp.model.soma.validity import require_valid

NetworkLike = str | os.PathLike[str] | Network
HardwareLike = str | os.PathLike[str] | Platform


@dataclass(frozen=True, eq=False)
class Schedule:
    """A valid schedule, its figures, and a proven lower bound on the latency of its LFA.

    Schedules are equal if they are of the same network, hardware and batch, and have the same LFA and DLSA. They can be
    pickled.

    Parameters
    ----------
    priced
        The schedule as the model holds it, evaluated; for those who go deeper (docs/code.md).
    lower_bound_cycles, lower_bound_source
        No DLSA of this LFA has a lower latency; and where that is known from.
    provenance
        How it was made; empty if unknown.
    """

    priced: soma.Schedule
    lower_bound_cycles: int
    lower_bound_source: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        """What is scheduled; no layer of it is divided."""
        return self.priced.problem.network.whole

    @property
    def hardware(self) -> Platform:
        """The platform."""
        return self.priced.problem.platform

    @property
    def batch(self) -> int:
        """Samples that run together."""
        return self.priced.problem.samples

    @property
    def lfa(self) -> LFA:
        """Layer-Fusion-related Attributes: order, groups, tiling numbers, DRAM Cuts, shared loads, divisions."""
        return self.priced.lfa

    @cached_property
    def transfers(self) -> tuple[Transfer, ...]:
        """The DLSA: every load and store in DRAM Tensor Order, with its Living Duration."""
        return transfers_of(self.priced.plan, self.priced.dlsa)

    @property
    def latency_cycles(self) -> int:
        """Cycles until all is computed and stored."""
        return self.priced.latency

    @property
    def latency_seconds(self) -> float:
        """Seconds until all is computed and stored, at the clock of the platform."""
        return self.hardware.seconds(self.priced.latency)

    @property
    def energy_pj(self) -> float:
        """Energy (pJ)."""
        return self.priced.energy_pj

    @property
    def edp(self) -> float:
        """Energy × delay (pJ·cycles)."""
        return self.priced.evaluation.edp

    @property
    def peak_buffer_bytes(self) -> int:
        """The most bytes that are in the buffer at once."""
        return int(self.priced.evaluation.peak_buffer_bytes)

    @property
    def proven_optimal(self) -> bool:
        """Whether it is proven that no DLSA of this LFA is faster."""
        return reaches_bound(self.latency_cycles, self.lower_bound_cycles)

    @property
    def gap(self) -> float:
        """Share by which the latency exceeds the lower bound of this LFA."""
        return relative_gap(self.latency_cycles, self.lower_bound_cycles)

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each approximation or doubt about the network and the hardware."""
        doubt = doubtful_gbuf_energy(self.hardware)
        on_types = type_notes(self.network, self.hardware)
        return tuple(dict.fromkeys((*self.network.notes, *on_types, *(() if doubt is None else (doubt,)))))

    @property
    def figures(self) -> dict[str, Any]:
        """All figures, by the names that ``--json`` has (docs/reading-the-output.md)."""
        return json_figures(self.priced, self.lower_bound_cycles)

    @cached_property
    def layers(self) -> Table:
        """A row for each layer: cycles, stalls, bytes, energy."""
        return layers_table(self._execution)

    @cached_property
    def tiles(self) -> Table:
        """A row for each tile: when it runs, and what it waits for."""
        return tiles_table(self._execution)

    @cached_property
    def tensors(self) -> Table:
        """A row for each tensor that touches DRAM: when it moves, and how long it holds buffer."""
        return tensors_table(self._execution)

    @cached_property
    def _execution(self) -> Execution:
        return make_execution(self.priced)

    def cost(self, energy_exponent: float = 1.0, delay_exponent: float = 1.0) -> float:
        """Return energy^n · delay^m (pJ, cycles)."""
        return self.priced.cost(Objective(energy_exponent, delay_exponent))

    @speaks_python
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a schedule file (docs/file-formats.md), which `read_schedule` and the command line read.

        Raises
        ------
        UserError
            If it can't be written.
        """
        # Imported late: pydantic takes a while.
        from soma_cp.model.soma.schedule_document import write_schedule

        write_schedule(self.priced, Path(path), self.lower_bound_cycles, self.provenance)

    @speaks_python
    def report(
        self, path: str | os.PathLike[str], *others: "ScheduleLike", format: str | None = None
    ) -> tuple[Path, ...]:
        """Write a report, and return the files written.

        Parameters
        ----------
        path
            The ending decides: ``.html`` a page, ``.svg``, ``.png``, ``.pdf`` a picture, ``.csv`` two tables, ``.json``
            a trace for Perfetto.
        others
            Schedules, or results, that the report shows, too.
        format
            ``"html"``, ``"svg"``, ``"png"``, ``"pdf"``, ``"csv"`` or ``"perfetto"``, whatever the ending.

        Raises
        ------
        UserError
            If the format is unknown, needs a package that is missing, or the file can't be written.
        """
        named = []
        for number, one in enumerate((self, *map(schedule_of, others)), start=1):
            name = one.network.name if not others else f"{number} {one.network.name}"
            named.append((name, one.priced, dict(one.provenance), one.lower_bound_cycles))
        return write_report(named, path, format)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schedule):
            return NotImplemented
        same_parts = (self.priced.problem, self.lfa) == (other.priced.problem, other.lfa)
        pairs = zip(self.priced.dlsa, other.priced.dlsa, strict=True)
        return same_parts and all(np.array_equal(one, another) for one, another in pairs)

    def __hash__(self) -> int:
        return hash((self.network.name, self.batch, self.lfa, self.latency_cycles))

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the fields alone; tables are made again when they are asked for."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def __repr__(self) -> str:
        proven = "fastest of its LFA" if self.proven_optimal else f"at most {self.gap:.2%} above the fastest of its LFA"
        return (
            f"<Schedule of '{self.network.name}', batch {self.batch}: {self.latency_cycles:,} cycles, "
            f"{self.energy_pj:.4g} pJ, {proven}>"
        )

    def _repr_html_(self) -> str:
        return html_table(("figure", "value"), self.summary())

    def summary(self) -> list[tuple[str, str]]:
        """Return the main figures as texts, each with its name."""
        return [
            ("network", f"{self.network.name}, batch {self.batch}"),
            ("hardware", self.hardware.name or "changed"),
            ("latency", f"{self.latency_cycles:,} cycles, {self.latency_seconds * 1e3:.4g} ms"),
            ("energy", f"{self.energy_pj / 1e9:.4g} mJ"),
            ("peak of the buffer", f"{self.peak_buffer_bytes:,} of {self.hardware.gbuf_bytes:,} bytes"),
            ("bound of its LFA", f"{self.lower_bound_cycles:,} cycles ({self.lower_bound_source})"),
        ]


@runtime_checkable
class HasSchedule(Protocol):
    """What holds a schedule: a result, an evaluated schedule."""

    @property
    def schedule(self) -> Schedule:
        """The schedule."""


ScheduleLike = Schedule | HasSchedule
"""A schedule, or what holds one."""


def schedule_of(value: Any) -> Any:
    """Return the schedule of what holds one; anything else as it is."""
    return value.schedule if isinstance(value, HasSchedule) else value


def problem_of(network: NetworkLike, hardware: HardwareLike | None, batch: int) -> Problem:
    """Return what is to be scheduled, from what a caller names."""
    found = load_network(network).whole
    return Problem(found, platform_of(hardware, usual_platform(found)), whole("batch", batch, 1, MAX_BATCH))


def with_bound(priced: soma.Schedule, provenance: Mapping[str, Any]) -> Schedule:
    """Return a schedule with the bound that needs no solver."""
    # Imported late: it loads numba.
    from soma_cp.solver.second_stage.windows import best_combinatorial_bound

    bound, source = best_combinatorial_bound(priced.plan)
    return Schedule(priced, bound, source, provenance)


@speaks_python
def make_schedule(
    network: NetworkLike,
    hardware: HardwareLike | None = None,
    *,
    lfa: LFA,
    transfers: Iterable[Transfer] | None = None,
    batch: int = 1,
) -> Schedule:
    """Return the schedule that an LFA and a DLSA of your own make, checked against every rule, and priced.

    Parameters
    ----------
    network, hardware, batch
        As in `solve`.
    lfa
        Made by `make_lfa`, or that of another schedule.
    transfers
        All loads and stores in DRAM Tensor Order; by default, a greedy DLSA, whose `Schedule.transfers` shows which
        transfers the LFA has.

    Raises
    ------
    LFAError
        If the LFA does not suit the network.
    InvalidScheduleError
        If a rule is broken: `violations` has the rule, the tile, the tensors and the values of each.
    BufferTooSmallError
        If no DLSA of the LFA fits into the buffer.

    Examples
    --------
    >>> import soma_cp as sc
    >>> network = sc.load_network("tiny-chain")
    >>> lfa = sc.make_lfa([layer.name for layer in network.layers], dram_cuts=["conv3"], tiling_numbers=2)
    >>> mine = sc.make_schedule(network, "edge", lfa=lfa)
    >>> mine == sc.make_schedule(network, "edge", lfa=lfa, transfers=mine.transfers)
    True
    >>> late = [one._replace(end=one.end + 1) if one.kind == "wgt" else one for one in mine.transfers]
    >>> try:
    ...     sc.make_schedule(network, "edge", lfa=lfa, transfers=late)
    ... except sc.InvalidScheduleError as error:
    ...     print(error.violations[0].rule.name)
    FIXED_END
    """
    if not isinstance(lfa, LFA):
        raise UserError(f"lfa is of the type {type(lfa).__name__} (must be an LFA; make_lfa makes one)")
    prepare()
    from soma_cp.annealing.second_stage.greedy import greedy_dlsa

    plan = make_plan(problem_of(network, hardware, batch), lfa)
    dlsa = greedy_dlsa(plan) if transfers is None else dlsa_of(plan, transfers)
    return with_bound(soma.make_schedule(plan, dlsa), {})


@speaks_python
def read_schedule(path: str | os.PathLike[str], network: NetworkLike | None = None) -> Schedule:
    """Read a schedule file, check it against every rule, and price it.

    Parameters
    ----------
    path
        Written by `Schedule.save` or ``soma-cp solve -o``, or a published schedule.
    network
        The network, if the file names one that is not built in.

    Raises
    ------
    UserError
        If the file can't be read or holds no schedule.
    InvalidScheduleError
        If the schedule breaks a rule.
    """
    return evaluate(path, network).schedule


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A schedule that was checked and priced again.

    Parameters
    ----------
    schedule
        Every rule is kept.
    claimed_lower_bound_cycles
        The bound that a file gives, which is not checked; None if it gives none.
    differences
        A sentence for each figure of a file that is not as computed here.
    """

    schedule: Schedule
    claimed_lower_bound_cycles: int | None = None
    differences: tuple[str, ...] = ()

    @property
    def figures(self) -> dict[str, Any]:
        """All figures of the schedule, by name."""
        return self.schedule.figures

    def __repr__(self) -> str:
        said = f", {len(self.differences)} figures of the file differ" if self.differences else ""
        return f"<Evaluated: valid{said}; {self.schedule!r}>"


@speaks_python
def evaluate(
    schedule: ScheduleLike | str | os.PathLike[str],
    network: NetworkLike | None = None,
    *,
    hardware: HardwareLike | None = None,
) -> Evaluated:
    """Check a schedule against every rule and price it, on its own hardware or on another.

    Parameters
    ----------
    schedule
        A schedule, a result, or the path of a schedule file.
    network
        The network, if a file names one that is not built in.
    hardware
        Other hardware on which the same LFA and DLSA run; by default the schedule's own.

    Raises
    ------
    UserError
        If the file can't be read or holds no schedule.
    InvalidScheduleError
        If the schedule breaks a rule; `violations` has the rule, the tile, the tensors and the values of each.

    Examples
    --------
    >>> import soma_cp as sc
    >>> schedule = sc.solve("tiny-chain", stage2="greedy").schedule
    >>> evaluated = sc.evaluate(schedule, hardware=sc.load_hardware("edge", dram="8GB/s"))
    >>> evaluated.schedule.latency_cycles > schedule.latency_cycles
    True
    """
    prepare()
    claimed: int | None = None
    differences: tuple[str, ...] = ()
    schedule = schedule_of(schedule)
    if not isinstance(schedule, Schedule | str | os.PathLike):
        raise UserError(f"schedule is of the type {type(schedule).__name__} (must be a Schedule, a Result or a path)")
    if isinstance(schedule, Schedule):
        plan, dlsa, provenance = schedule.priced.plan, schedule.priced.dlsa, dict(schedule.provenance)
    else:
        # Imported late: pydantic takes a while.
        from soma_cp.model.soma.schedule_file import read_schedule as read
        from soma_cp.model.soma.stored_schedule import claim_differences

        stored = read(Path(schedule), None if network is None else load_network(network))
        require_valid(stored.plan, stored.dlsa)
        plan, dlsa, provenance = stored.plan, stored.dlsa, dict(stored.provenance)
        claimed = stored.claimed_lower_bound
        differences = tuple(claim_differences(stored, soma.priced(plan, dlsa)))
    if hardware is not None:
        plan = make_plan(replace(plan.problem, platform=load_hardware(hardware)), plan.lfa)
        claimed, differences = None, ()
    made = with_bound(soma.make_schedule(plan, dlsa), provenance)
    return Evaluated(made, claimed, differences)
