"""The figures of a schedule, a row for each: its names, its unit, how it is computed, where it is shown.

Schedule files and their schema, ``--json``, the CSV of ``compare``, the table in the terminal and the page take their
figures from `FIGURES`, in its order. A new figure is a new row here, and a name in docs/reading-the-output.md. Each
output decides how it writes a unit for people. Names say the unit, where the figure has one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

from soma_cp.model.hardware.builtin.catalogue import known_name
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.result import reaches_bound, relative_gap
from soma_cp.model.soma.schedule import Schedule


class Unit(Enum):
    """The unit of a figure; schedule files sort figures by it, in this order."""

    NAME = auto()
    CYCLES = auto()
    MILLISECONDS = auto()
    PJ = auto()
    PJ_CYCLES = auto()
    BYTES = auto()
    AVERAGE_BYTES = auto()
    """Bytes with fractions."""
    MOVED_BYTES = auto()
    HERTZ = auto()
    BYTES_PER_SECOND = auto()
    COUNT = auto()
    SHARE = auto()
    VERDICT = auto()


UNIT_NAMES = {
    Unit.CYCLES: "cycles",
    Unit.MILLISECONDS: "ms",
    Unit.PJ: "pJ",
    Unit.PJ_CYCLES: "pJ·cycles",
    Unit.BYTES: "bytes",
    Unit.AVERAGE_BYTES: "bytes",
    Unit.MOVED_BYTES: "bytes",
    Unit.HERTZ: "Hz",
    Unit.BYTES_PER_SECOND: "bytes per second",
    Unit.SHARE: "0.1 is 10 %",
}
"""How descriptions write the units that have a name."""


class Measured(NamedTuple):
    """What figures are computed from: a schedule, and a lower bound on the latency of any DLSA of its LFA, or None."""

    schedule: Schedule
    lower_bound: int | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A row of the table.

    Parameters
    ----------
    name
        Name in JSON objects and schedule files.
    unit
        Unit of the result of `compute`.
    compute
        Returns a number; text for `Unit.NAME`, true or false for `Unit.VERDICT`, None if the figure is not known.
    former
        Its name before the names had units, under which JSON objects and schedule files of this version also have it
        (docs/reading-the-output.md#former-names); empty if it has none.
    may_be_null
        Whether `compute` returns None where `Measured` is whole.
    in_file, in_json
        Whether schedule files, and the objects of ``--json``, hold it.
    csv
        Column in the CSV of ``compare``. Here and below, the empty text means that the output does not show the figure.
    table
        Label in the terminal's table, where ``{clock}`` stands for the clock. Here and below, a label that begins with
        a space is a part of the figure above it.
    page
        Label in the table of the page; figures of the same label share a row.
    meaning
        What it is, for the schemas of files and of ``--json``; `Figure.description` adds the unit.
    """

    name: str
    unit: Unit
    compute: Callable[[Measured], Any]
    former: str = ""
    may_be_null: bool = False
    in_file: bool = False
    in_json: bool = False
    csv: str = ""
    table: str = ""
    page: str = ""
    meaning: str = ""

    @property
    def description(self) -> str:
        """What it is, with its unit."""
        unit = UNIT_NAMES.get(self.unit)
        return f"{self.meaning} ({unit})" if unit else self.meaning


FIGURES = (
    Figure(
        name="network",
        unit=Unit.NAME,
        compute=lambda of: of.schedule.problem.network.name,
        in_json=True,
        csv="network",
        meaning="network that is scheduled",
    ),
    Figure(
        name="batch",
        unit=Unit.COUNT,
        compute=lambda of: of.schedule.problem.samples,
        in_json=True,
        csv="batch",
        meaning="samples that run together",
    ),
    Figure(
        name="blocks",
        unit=Unit.COUNT,
        compute=lambda of: of.schedule.problem.network.blocks,
        in_json=True,
        meaning="blocks of the whole model; the network is one of them",
    ),
    Figure(
        name="platform",
        unit=Unit.NAME,
        compute=lambda of: known_name(of.schedule.problem.platform),
        may_be_null=True,
        in_json=True,
        meaning="built-in platform that the platform equals, else its own name; null if it has none",
    ),
    Figure(
        name="clock_hz",
        unit=Unit.HERTZ,
        compute=lambda of: of.schedule.problem.platform.clock_hz,
        in_json=True,
        meaning="clock of the platform",
    ),
    Figure(
        name="dram_bytes_per_second",
        unit=Unit.BYTES_PER_SECOND,
        compute=lambda of: of.schedule.problem.platform.dram_bytes_per_second,
        in_json=True,
        meaning="bandwidth of the DRAM channel",
    ),
    Figure(
        name="gbuf_bytes",
        unit=Unit.BYTES,
        compute=lambda of: of.schedule.problem.platform.gbuf_bytes,
        in_json=True,
        meaning="capacity of the global buffer",
    ),
    Figure(
        name="core_array",
        unit=Unit.NAME,
        compute=lambda of: of.schedule.problem.platform.core_array,
        in_json=True,
        meaning="core array, which prices tiles",
    ),
    Figure(
        name="semantics",
        unit=Unit.NAME,
        compute=lambda of: of.schedule.problem.platform.semantics,
        in_json=True,
        meaning="semantics of the model",
    ),
    Figure(
        name="latency_cycles",
        former="latency",
        unit=Unit.CYCLES,
        compute=lambda of: of.schedule.latency,
        in_file=True,
        in_json=True,
        csv="latency_cycles",
        table="latency (cycles)",
        page="latency",
        meaning="latency: until the last tile and the last transfer have ended",
    ),
    Figure(
        name="double_buffer_latency_cycles",
        former="double_buffer_latency",
        unit=Unit.CYCLES,
        compute=lambda of: of.schedule.double_buffered.latency,
        in_file=True,
        meaning="latency of the same LFA under double buffering, whether or not it fits into the buffer",
    ),
    Figure(
        name="latency_ms",
        unit=Unit.MILLISECONDS,
        compute=lambda of: of.schedule.problem.platform.seconds(of.schedule.latency) * 1e3,
        in_json=True,
        table="latency (ms at {clock})",
        page="  in time",
        meaning="latency in time, at the platform's clock",
    ),
    Figure(
        name="compute_share",
        unit=Unit.SHARE,
        compute=lambda of: of.schedule.evaluation.figures.compute_cycles / of.schedule.latency,
        page="  core array computes",
        meaning="share of the latency in which the core array computes",
    ),
    Figure(
        name="stall_share",
        unit=Unit.SHARE,
        compute=lambda of: stall_cycles(of.schedule) / of.schedule.latency,
        page="  core array stalls",
        meaning="share of the latency in which the core array waits for DRAM",
    ),
    Figure(
        name="dram_share",
        unit=Unit.SHARE,
        compute=lambda of: of.schedule.evaluation.figures.dram_cycles / of.schedule.latency,
        page="  DRAM channel busy",
        meaning="share of the latency in which the DRAM channel is busy",
    ),
    Figure(
        name="energy_pj",
        unit=Unit.PJ,
        compute=lambda of: of.schedule.energy_pj,
        in_file=True,
        in_json=True,
        csv="energy_pj",
        table="energy (mJ)",
        page="energy",
        meaning="energy",
    ),
    Figure(
        name="core_energy_pj",
        unit=Unit.PJ,
        compute=lambda of: of.schedule.evaluation.figures.core_energy_pj,
        in_file=True,
        in_json=True,
        table="  core array",
        page="  core array",
        meaning="energy of the core array",
    ),
    Figure(
        name="dram_energy_pj",
        unit=Unit.PJ,
        compute=lambda of: of.schedule.evaluation.figures.dram_energy_pj,
        in_file=True,
        in_json=True,
        table="  DRAM",
        page="  DRAM",
        meaning="energy of DRAM",
    ),
    Figure(
        name="energy_delay_pj_cycles",
        former="edp",
        unit=Unit.PJ_CYCLES,
        compute=lambda of: of.schedule.evaluation.edp,
        in_file=True,
        in_json=True,
        csv="edp",
        table="energy × delay (pJ·cycles)",
        page="energy × delay",
        meaning="energy × latency",
    ),
    Figure(
        name="utilization",
        unit=Unit.SHARE,
        compute=lambda of: of.schedule.evaluation.utilization,
        in_json=True,
        table="utilization",
        page="utilization",
        meaning="share of the latency that fully used arrays would need for the operations",
    ),
    Figure(
        name="theoretical_maximum_cycles",
        former="bound",
        unit=Unit.CYCLES,
        compute=lambda of: of.schedule.evaluation.figures.bound,
        in_file=True,
        in_json=True,
        csv="theoretical_maximum",
        meaning="theoretical maximum: the larger of compute_cycles and dram_cycles, which no DLSA of the LFA beats",
    ),
    Figure(
        name="above_theoretical_maximum",
        former="gap_to_bound",
        unit=Unit.SHARE,
        compute=lambda of: relative_gap(of.schedule.latency, of.schedule.evaluation.figures.bound),
        in_json=True,
        table="above theoretical maximum",
        meaning="share by which the latency is above the theoretical maximum",
    ),
    Figure(
        name="compute_cycles",
        unit=Unit.CYCLES,
        compute=lambda of: of.schedule.evaluation.figures.compute_cycles,
        in_file=True,
        in_json=True,
        meaning="sum over all tiles",
    ),
    Figure(
        name="dram_cycles",
        unit=Unit.CYCLES,
        compute=lambda of: of.schedule.evaluation.figures.dram_cycles,
        in_file=True,
        in_json=True,
        meaning="sum over all DRAM tensors",
    ),
    Figure(
        name="proven_lower_bound_cycles",
        former="proven_lower_bound",
        unit=Unit.CYCLES,
        compute=lambda of: of.lower_bound,
        in_json=True,
        csv="proven_lower_bound",
        meaning="highest proven lower bound on the latency of any DLSA of the LFA",
    ),
    Figure(
        name="above_proven_lower_bound",
        former="gap_to_proven_lower_bound",
        unit=Unit.SHARE,
        compute=lambda of: None if of.lower_bound is None else relative_gap(of.schedule.latency, of.lower_bound),
        in_json=True,
        csv="latency_above_bound",
        meaning="share by which the latency is above the proven lower bound",
    ),
    Figure(
        name="proven_optimal",
        unit=Unit.VERDICT,
        compute=lambda of: reaches_bound(of.schedule.latency, of.lower_bound),
        in_json=True,
        meaning="whether the latency meets the proven lower bound",
    ),
    Figure(
        name="peak_buffer_bytes",
        unit=Unit.BYTES,
        compute=lambda of: of.schedule.evaluation.peak_buffer_bytes,
        in_file=True,
        in_json=True,
        csv="peak_buffer_bytes",
        table="peak buffer (MiB)",
        page="peak buffer",
        meaning="buffer in use at the fullest tile",
    ),
    Figure(
        name="peak_buffer_share",
        unit=Unit.SHARE,
        compute=lambda of: of.schedule.evaluation.peak_buffer_bytes / of.schedule.problem.platform.gbuf_bytes,
        page="  of the capacity",
        meaning="share of the capacity in use at the fullest tile",
    ),
    Figure(
        name="double_buffer_peak_bytes",
        unit=Unit.BYTES,
        compute=lambda of: of.schedule.double_buffered.evaluation.peak_buffer_bytes,
        in_file=True,
        meaning="buffer in use at the fullest tile under double buffering",
    ),
    Figure(
        name="average_buffer_bytes",
        unit=Unit.AVERAGE_BYTES,
        compute=lambda of: of.schedule.evaluation.average_buffer_bytes,
        in_file=True,
        in_json=True,
        table="average buffer (MiB)",
        page="  average",
        meaning="buffer in use, averaged over the cycles of the tiles",
    ),
    Figure(
        name="lgs",
        unit=Unit.COUNT,
        compute=lambda of: of.schedule.plan.run.lg_count,
        in_json=True,
        page="LGs / FLGs",
        meaning="layer-fusion groups",
    ),
    Figure(
        name="flgs",
        unit=Unit.COUNT,
        compute=lambda of: len(of.schedule.plan.run.flgs),
        in_json=True,
        page="LGs / FLGs",
        meaning="fine-grained layer-fusion groups",
    ),
    Figure(
        name="passes",
        unit=Unit.COUNT,
        compute=lambda of: of.schedule.lfa.passes,
        in_json=True,
        page="passes",
        meaning="passes in which the batch is run, each over an equal part of it",
    ),
    Figure(
        name="divided_layers",
        unit=Unit.COUNT,
        compute=lambda of: len(of.schedule.lfa.divisions),
        in_json=True,
        page="divided layers",
        meaning="layers divided by output channels",
    ),
    Figure(
        name="tiles",
        unit=Unit.COUNT,
        compute=lambda of: of.schedule.plan.tile_count,
        in_file=True,
        in_json=True,
        csv="tiles",
        page="tiles",
        meaning="tiles",
    ),
    Figure(
        name="dram_tensors",
        unit=Unit.COUNT,
        compute=lambda of: of.schedule.plan.dram_tensor_count,
        in_file=True,
        in_json=True,
        csv="dram_tensors",
        page="DRAM tensors",
        meaning="DRAM tensors: transfers from and to DRAM",
    ),
    Figure(
        name="shared_loads",
        unit=Unit.COUNT,
        compute=lambda of: len(of.schedule.lfa.shared_loads),
        in_json=True,
        page="  reads that share a load",
        meaning="reads that another layer's load serves",
    ),
    Figure(
        name="moved_bytes",
        unit=Unit.MOVED_BYTES,
        compute=lambda of: int(of.schedule.plan.tensors.moved.sum()),
        page="  bytes moved",
        meaning="bytes moved from and to DRAM",
    ),
)


def figure(name: str) -> Figure:
    """Return the row of that name."""
    return next(row for row in FIGURES if row.name == name)


def file_figures() -> list[Figure]:
    """Return the rows of schedule files, in the order of files."""
    return sorted((row for row in FIGURES if row.in_file), key=lambda row: row.unit.value)


def table_figures() -> list[Figure]:
    """Return the rows of the terminal's table."""
    return [row for row in FIGURES if row.table]


def page_figures() -> list[Figure]:
    """Return the rows of the page."""
    return [row for row in FIGURES if row.page]


def schedule_figures(schedule: Schedule) -> dict[str, int | float]:
    """Return the figures of a schedule under their names in schedule files: cycles, pJ, bytes, counts."""
    return {row.name: row.compute(Measured(schedule)) for row in file_figures()}


def json_figures(schedule: Schedule, lower_bound: int) -> dict[str, Any]:
    """Return the figures of ``--json``.

    Parameters
    ----------
    schedule
        The schedule.
    lower_bound
        No DLSA of its LFA has a lower latency (cycles).
    """
    return {row.name: row.compute(Measured(schedule, lower_bound)) for row in FIGURES if row.in_json}


OF_THE_PROBLEM = (
    *("network", "batch", "blocks"),
    *("platform", "clock_hz", "dram_bytes_per_second", "gbuf_bytes", "core_array", "semantics"),
)
"""The figures that say what is scheduled, on what."""


def problem_figures(schedule: Schedule) -> dict[str, Any]:
    """Return what is scheduled, on what, under the names of ``--json``."""
    return {name: figure(name).compute(Measured(schedule)) for name in OF_THE_PROBLEM}


def former_names() -> dict[str, str]:
    """Return the present names of figures by their former ones."""
    return {row.former: row.name for row in FIGURES if row.former}


def with_former_names(document: Mapping[str, Any], others: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a document in which values stand under their former names, too, after all others.

    Parameters
    ----------
    document
        Values by their present names.
    others
        Present names by former ones, of values that are no rows of the table.
    """
    names = former_names() | dict(others or {})
    return {**document, **{former: document[name] for former, name in names.items() if name in document}}


def csv_figures(schedule: Schedule, lower_bound: int) -> dict[str, Any]:
    """Return the figures of the CSV of ``compare``, by column; parameters as for `json_figures`."""
    return {row.csv: row.compute(Measured(schedule, lower_bound)) for row in FIGURES if row.csv}


def stall_cycles(schedule: Schedule) -> int:
    """Return the cycles in which the core array waits for DRAM before a tile."""
    begin, cycles = schedule.evaluation.tile_begin, schedule.plan.tile_cycles
    return int(begin[-1] + cycles[-1] - cycles.sum())


def tile_shapes(plan: Plan) -> dict[str, list[int]]:
    """Return samples, channels, rows and columns of the tiles of every layer of one pass, in computing order."""
    layer_id = plan.problem.network.layer_id
    return {name: plan.layers.extent[layer_id[name]].tolist() for name in plan.lfa.computing_order}
