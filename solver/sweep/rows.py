"""The rows of a sweep, one for each point and method, and their columns: names, what they are, how they are computed.

The store, CSV, JSON and reports take their columns from `COLUMNS`, in its order. A new column is a row here, and a
new version of the store. Names say the unit, where a value has one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.model.network.types_in_use import types_in_use
from soma_cp.model.soma.evaluation import PlanFigures
from soma_cp.model.soma.schedule import Schedule
from soma_cp.solver.sweep.methods import has_rule
from soma_cp.solver.sweep.outcome import Measured
from soma_cp.solver.sweep.point import Point

Row = Mapping[str, Any]
"""Values by the names of `COLUMNS`; None where there is none."""


@dataclass(frozen=True)
class Column:
    """A column.

    Parameters
    ----------
    name
        Name in the store and in files.
    kind
        Of the values.
    compute
        Returns the value; None where there is none.
    meaning
        What it is, with its unit.
    is_axis
        Whether it is a part of the point, by which rows are sorted.
    is_of_run
        Whether it differs from run to run: files leave it out, so that they are the same to the byte.
    may_be_null
        Whether rows may have nothing there.
    """

    name: str
    kind: type
    compute: Callable[[Measured], Any]
    meaning: str
    is_axis: bool = False
    is_of_run: bool = False
    may_be_null: bool = True


def _axis(name: str, kind: type, compute: Callable[[Measured], Any], meaning: str, may_be_null: bool = False) -> Column:
    return Column(name, kind, compute, meaning, is_axis=True, may_be_null=may_be_null)


def _of_result(name: str, kind: type, compute: Callable[[Measured], Any], meaning: str) -> Column:
    return Column(name, kind, compute, meaning, may_be_null=False)


def _of_schedule(name: str, kind: type, compute: Callable[[Schedule], Any], meaning: str) -> Column:
    def value(of: Measured) -> Any:
        return None if of.outcome.schedule is None else compute(of.outcome.schedule)

    return Column(name, kind, value, meaning)


def _of_plan(name: str, kind: type, compute: Callable[[PlanFigures], Any], meaning: str) -> Column:
    return _of_schedule(name, kind, lambda schedule: compute(schedule.evaluation.figures), meaning)


def _of_rule(name: str, kind: type, compute: Callable[[Measured], Any], meaning: str) -> Column:
    return Column(name, kind, lambda of: compute(of) if has_rule(of.method) else None, meaning)


def _of_run(name: str, kind: type, compute: Callable[[Measured], Any], meaning: str) -> Column:
    return Column(name, kind, compute, meaning, is_of_run=True)


def _nanoseconds(schedule: Schedule) -> float:
    return schedule.problem.platform.seconds(schedule.latency) * 1e9


def published_average_buffer_bytes(schedule: Schedule) -> float:
    """Return the average buffer as the published program computes it.

    It weights what is held at each tile's begin with the time since the begin of the tile before, and divides by the
    latency.
    """
    evaluation = schedule.evaluation
    since = np.diff(evaluation.tile_begin, prepend=0)
    return float(evaluation.usage_bytes.astype(np.float64) @ since) / evaluation.latency


COLUMNS = (
    _of_result("key", str, lambda of: of.key, "what finds the result again: a hash of all that decides it"),
    _axis("net", str, lambda of: of.point.net, "network"),
    _axis("seq", int, lambda of: of.point.seq, "tokens of a built-in network", may_be_null=True),
    _axis("blocks", int, lambda of: of.point.blocks_in_a_row, "blocks scheduled as one network"),
    _axis("types", str, lambda of: types_in_use(of.point.problem.network).text, "data types; empty if all is INT8"),
    _axis("hw", str, lambda of: of.point.hw, "platform; buffer and bandwidth may be others than its own"),
    _axis("batch", int, lambda of: of.point.problem.batch, "samples that run together"),
    _axis("buffer_bytes", int, lambda of: of.point.problem.platform.gbuf_bytes, "capacity of the global buffer"),
    _axis(
        "dram_bytes_per_s",
        float,
        lambda of: of.point.problem.platform.dram_bytes_per_second,
        "bandwidth of the DRAM channel",
    ),
    _axis("clock_hz", int, lambda of: of.point.problem.platform.clock_hz, "clock"),
    _axis(
        "macs_per_cycle",
        int,
        lambda of: of.point.problem.platform.macs_per_cycle,
        "INT8 multiply-accumulates of the whole array per cycle",
    ),
    _axis("core_array", str, lambda of: of.point.problem.platform.core_array, "core array, which prices tiles"),
    _axis("semantics", str, lambda of: of.point.problem.platform.semantics, "semantics of the model"),
    _axis("hardware_key", str, lambda of: of.point.hardware_key, "a hash of every field of the platform"),
    _axis("energy_exponent", float, lambda of: of.point.objective.energy_exponent, "exponent of energy in the cost"),
    _axis("delay_exponent", float, lambda of: of.point.objective.delay_exponent, "exponent of latency in the cost"),
    _axis("effort", float, lambda of: of.point.effort, "rounds of searches, as a share of those by default"),
    _axis("limit_s", float, lambda of: of.point.seconds, "limit in wall-clock time", may_be_null=True),
    _axis("seed", int, lambda of: of.point.seed, "seed of all draws"),
    _of_result("method", str, lambda of: of.method, "method"),
    _of_rule(
        "tiling", str, lambda of: of.point.tiling.value, "rule of tiling numbers; empty if the method has no such rule"
    ),
    _of_rule(
        "uncapped",
        bool,
        lambda of: of.point.uncapped,
        "whether layers may have more than 16 tiles for each sample; likewise",
    ),
    _of_result("status", str, lambda of: of.outcome.status.value, "done, infeasible or failed"),
    _of_result("message", str, lambda of: of.outcome.message, "why there is no schedule"),
    _of_schedule("latency_cycles", int, lambda of: of.latency, "latency (cycles)"),
    _of_schedule("latency_ns", float, _nanoseconds, "latency (ns)"),
    _of_schedule("energy_pj", float, lambda of: of.energy_pj, "energy (pJ)"),
    _of_plan("core_energy_pj", float, lambda of: of.core_energy_pj, "energy of the core array (pJ)"),
    _of_plan("dram_energy_pj", float, lambda of: of.dram_energy_pj, "energy of DRAM (pJ)"),
    Column(
        "cost",
        float,
        lambda of: None if of.outcome.schedule is None else of.outcome.schedule.cost(of.point.objective),
        "what is minimised: energy (pJ) and latency (cycles), each to the power of its exponent",
    ),
    Column("cost_bound", float, lambda of: of.outcome.cost_bound, "no schedule at all costs less; empty if not proven"),
    Column(
        "latency_bound_cycles",
        int,
        lambda of: of.outcome.lower_bound,
        "no DLSA of this LFA is faster; empty if not proven (cycles)",
    ),
    _of_schedule(
        "model_blocks",
        int,
        lambda of: of.problem.network.blocks,
        "how many times the whole model repeats what is scheduled",
    ),
    _of_schedule(
        "model_latency_ns", float, lambda of: _nanoseconds(of) * of.problem.network.blocks, "of the whole model (ns)"
    ),
    _of_schedule(
        "model_energy_pj", float, lambda of: of.energy_pj * of.problem.network.blocks, "of the whole model (pJ)"
    ),
    _of_plan("tile_cycles", int, lambda of: of.compute_cycles, "sum over all tiles (cycles)"),
    _of_plan("dram_cycles", int, lambda of: of.dram_cycles, "sum over all DRAM transfers (cycles)"),
    _of_schedule(
        "utilization",
        float,
        lambda of: of.evaluation.utilization,
        "share of the latency that fully used arrays would need for the operations",
    ),
    _of_plan(
        "bound_utilization",
        float,
        lambda of: of.operation_cycles / of.bound,
        "utilization at the larger of tile_cycles and dram_cycles, which no DLSA of the LFA beats",
    ),
    _of_schedule(
        "average_buffer_bytes",
        float,
        lambda of: of.evaluation.average_buffer_bytes,
        "buffer in use, averaged over the cycles of the tiles",
    ),
    _of_schedule(
        "average_buffer_bytes_artifact",
        float,
        published_average_buffer_bytes,
        "buffer in use, averaged as the published program does",
    ),
    _of_schedule(
        "peak_buffer_bytes", int, lambda of: of.evaluation.peak_buffer_bytes, "buffer in use at the fullest tile"
    ),
    _of_schedule("lgs", int, lambda of: of.plan.run.lg_count, "layer-fusion groups"),
    _of_schedule("flgs", int, lambda of: len(of.plan.run.flgs), "fine-grained layer-fusion groups"),
    _of_schedule("tiles", int, lambda of: of.plan.tile_count, "tiles"),
    _of_schedule("dram_tensors", int, lambda of: of.plan.dram_tensor_count, "transfers from and to DRAM"),
    _of_schedule("dram_bytes", int, lambda of: int(of.plan.tensors.moved.sum()), "bytes moved from and to DRAM"),
    _of_schedule("passes", int, lambda of: of.lfa.passes, "passes in which the batch is run"),
    Column("rounds", int, lambda of: of.outcome.rounds, "rounds of the first stage"),
    _of_run("seconds", float, lambda of: round(of.outcome.seconds, 3), "wall-clock time of the run that found it"),
    _of_run("machine", str, lambda of: of.circumstances["machine"], "where it ran"),
    _of_run("versions", str, lambda of: of.circumstances["versions"], "versions of all that it was run with"),
    _of_run("date", str, lambda of: of.circumstances["date"], "when it ended (UTC)"),
)

USUAL_RULE: Mapping[str, Any] = {"tiling": Point.tiling.value, "uncapped": Point.uncapped}
"""The rule of tiling numbers by default, by its columns. Together with the axes and the method, they name a row."""


def rule_value(row: Row, column: str) -> Any:
    """Return a value of a row; of a column of the rule the usual one, if the method has no rule."""
    value = row[column]
    return USUAL_RULE[column] if value is None and column in USUAL_RULE else value


def has_usual_rule(row: Row) -> bool:
    """Whether tiling numbers follow the usual rule, or the method has none."""
    return all(rule_value(row, column) == usual for column, usual in USUAL_RULE.items())


def row_of(measured: Measured) -> dict[str, Any]:
    """Return the row of a result."""
    return {column.name: column.compute(measured) for column in COLUMNS}


def sorted_rows(rows: Iterable[Row], methods: Iterable[str]) -> list[Row]:
    """Return rows by point, within a point in the order of `methods`, and of a method by rule; None comes first."""
    places = {method: place for place, method in enumerate(methods)}
    axes = [column.name for column in COLUMNS if column.is_axis]
    rules = list(TilingRule)

    def place(row: Row) -> tuple[Any, ...]:
        values = [(row[name] is not None, row[name]) for name in axes]
        rule = (rule_value(row, "uncapped"), rules.index(rule_value(row, "tiling")))
        return (values, places.get(row["method"], len(places)), row["method"], rule, row["key"])

    return sorted(rows, key=place)
