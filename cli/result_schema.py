"""The JSON Schema of what ``--json`` prints or writes: an alternative for each command, and two where it has two forms.

Figures come from `FIGURES`; what a command adds to them is listed here, and tests hold the lists against what commands
print.
"""

from collections.abc import Iterable, Mapping

from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.cli.json_output import FORMER_NAMES, VERSION
from soma_cp.model.data_types import TYPE_CODE
from soma_cp.model.files.json_schema import Schema, described, document_schema, object_schema
from soma_cp.model.hardware.platform_schema import platform_part
from soma_cp.model.network.layers import LAYER_KINDS
from soma_cp.model.network.onnx_import.checking import Becomes
from soma_cp.model.network.onnx_import.options import Role
from soma_cp.model.soma.figures import FIGURES, OF_THE_PROBLEM, Figure, Unit, figure, former_names
from soma_cp.model.soma.tensors import KIND_NAMES
from soma_cp.solver.advice.advice import Basis, Topic
from soma_cp.solver.choices import Space
from soma_cp.solver.sweep.marks import BEATEN_BY, BEATEN_BY_MEANS
from soma_cp.solver.sweep.methods import METHODS
from soma_cp.solver.sweep.outcome import Status
from soma_cp.solver.sweep.rows import COLUMNS

_DESCRIPTION = (
    "What a command of soma-cp prints, or sweep writes, with --json. Times are in cycles of the platform's clock "
    "unless a name says otherwise, sizes in bytes, energies in pJ; shares are fractions, 0.1 is 10 %."
)
_TEXT: Schema = {"type": "string"}
_VERDICT: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_AMOUNT: Schema = {"type": "number", "minimum": 0}
_SHARE: Schema = {"type": "number"}

TYPES: dict[Unit, Schema] = {
    Unit.NAME: _TEXT,
    Unit.CYCLES: _COUNT,
    Unit.MILLISECONDS: _AMOUNT,
    Unit.PJ: _AMOUNT,
    Unit.PJ_CYCLES: _AMOUNT,
    Unit.BYTES: _COUNT,
    Unit.AVERAGE_BYTES: _AMOUNT,
    Unit.MOVED_BYTES: _COUNT,
    Unit.HERTZ: _COUNT,
    Unit.BYTES_PER_SECOND: _AMOUNT,
    Unit.COUNT: _COUNT,
    Unit.SHARE: _SHARE,
    Unit.VERDICT: _VERDICT,
}
"""What JSON objects hold for a figure of a unit."""

_INTERRUPTED = _VERDICT | described("whether the user ended the search")
_OUT_OF_TIME = _VERDICT | described("whether the time limit ended the search for the LFA")
_SECONDS: Schema = {"type": ["number", "null"], "minimum": 0} | described(
    "wall-clock time (seconds); null with --deterministic"
)

_Properties = dict[str, Schema]
_NOTHING: Mapping[str, Schema] = {}


def result_schema() -> Schema:
    """Return the schema of what any command prints with ``--json``."""
    alternatives = [
        _result("solve", _solved(), optional=_types() | _parts_of_some_searches()),
        _result("compare", _comparison(), optional=_types(), title="compare, one LFA"),
        _result("compare", _comparisons(), title="compare, several LFAs"),
        _result("compare", _baselines(), title="compare --baselines"),
        _result("gap", {"ladders": _list("a ladder for each network and batch", _object(_ladder(), _types()))}),
        _result("evaluate", _evaluated(), optional=_types()),
        _result("nets", {"nets": _list("the built-in networks", _object(_listed_network()))}),
        _result("nets --check", _checked_model()),
        _result("sweep", {"rows": _list("a row for each point and method", _object(_row()))}),
        _result("hw", {"platforms": _by_name("the fields of a hardware file, version 1", platform_part())}),
    ]
    return document_schema("soma-cp result", _DESCRIPTION, {"oneOf": alternatives})


def _result(
    command: str, properties: _Properties, optional: Mapping[str, Schema] = _NOTHING, title: str = ""
) -> Schema:
    """Return the alternative of a command; its `title` is the command's name unless it has several."""
    head = _head(command)
    return {"title": title or command} | object_schema(head | properties | dict(optional), [*head, *properties])


def _head(command: str) -> _Properties:
    """Return what an object begins with: whose result it is, the version of its form, the version of soma-cp."""
    return {
        "result": {"const": command, **described("the command whose result this is")},
        "version": {"const": VERSION, **described("version of the form of this object")},
        "tool_version": _is(_TEXT, "version of soma-cp"),
    }


# Figures


def _figures(rows: Iterable[Figure]) -> _Properties:
    found = {row.name: (_or_null if row.may_be_null else _is)(TYPES[row.unit], row.description) for row in rows}
    return _with_former_names(found)


def _with_former_names(properties: _Properties) -> _Properties:
    """Return the properties, and after them the former names that objects have, too."""
    names = former_names() | FORMER_NAMES
    former = {
        name: {**properties[present], "deprecated": True, **described(f"former name of {present}")}
        for name, present in names.items()
        if present in properties
    }
    return properties | former


def _figures_of_a_schedule() -> _Properties:
    return _figures(row for row in FIGURES if row.in_json)


def _figures_named(*names: str) -> _Properties:
    return _figures(map(figure, names))


# Commands


def _solved() -> _Properties:
    bound = {
        "latency_cycles": _is(_COUNT, "no schedule is faster (cycles)"),
        "latency_source": _is(_TEXT, "what proves that latency"),
        "energy_pj": _is(_AMOUNT, "no schedule needs less energy (pJ)"),
        "cost": _is(_AMOUNT, "no schedule costs less, by the objective"),
    }
    others = {
        "lfa_search": _is(_TEXT, "first stage, as named by --lfa"),
        "space": _one_of((space.value for space in Space), "space of schedules that was searched"),
        "stage2": _is(_TEXT, "second stage, as named by --stage2"),
        "second_stage": _is(_TEXT, "what made the DLSA"),
        "proven_lower_bound_source": _is(_TEXT, "what proves the lower bound"),
        "bound_over_every_lfa": _is(
            _object(_with_former_names(bound)), "lower bounds on every schedule, whatever its LFA"
        ),
        "proven_optimal_over_every_lfa": _is(_VERDICT, "whether the cost meets that bound"),
        "exact": _or_null(_object(_proof()), "outcome of --exact; null without it"),
        "first_stage_latency_cycles": _is(_COUNT, "latency of the LFA under double buffering (cycles)"),
        "first_stage_energy_delay_pj_cycles": _is(_AMOUNT, "the same of energy × latency (pJ·cycles)"),
        "iterations": _is(_COUNT, "LFAs that got a second stage; iterations of the Buffer Allocator with --lfa paper"),
        "first_stage_rounds": _is(_COUNT, "LFAs that were tried"),
        "interrupted": _INTERRUPTED,
        "out_of_time": _OUT_OF_TIME,
        "seed": _is({"type": "integer"}, "seed of the search"),
        "seconds": _SECONDS,
        "advice": _list("what limits the schedule, the most important first", _object(_advice())),
    }
    return _figures_of_a_schedule() | _with_former_names(others)


def _types() -> _Properties:
    """Return what stands only where not all data is INT8."""
    accumulators: Schema = {"enum": [*TYPE_CODE, None]}
    properties = {
        "weights": _list("how stored weights are held: a type, a scale for each group of weights", _TEXT),
        "weight_ratios": _list("bytes of weights in DRAM for each byte in the buffer", _AMOUNT),
        "activations": _list("types of external inputs and ofmaps", {"enum": list(TYPE_CODE)}),
        "accumulators": _list("types of partial sums; null: that of the ofmap", accumulators),
        "weight_bytes": _is(_COUNT, "all stored weights in the buffer (bytes)"),
        "dram_weight_bytes": _is(_COUNT, "all stored weights in DRAM (bytes)"),
    }
    return {"data_types": _is(_object(properties), "data types that occur; only if not all is INT8")}


def _parts_of_some_searches() -> _Properties:
    """Return what ``solve`` adds where it applies."""
    start = {
        "latency_cycles": _is(_COUNT, "its latency (cycles)"),
        "energy_pj": _is(_AMOUNT, "its energy (pJ)"),
    }
    repeated = {
        "blocks": _is(_COUNT, "how many times the block runs"),
        "latency_cycles": _is(_COUNT, "latency of all runs (cycles)"),
        "energy_pj": _is(_AMOUNT, "energy of all runs (pJ)"),
        "latency_as_one": _is(_SHARE, "latency of the blocks as one network, as a share of that of all runs"),
        "energy_as_one": _is(_SHARE, "energy of the blocks as one network, as a share of that of all runs"),
        "cost_as_one": _is(_SHARE, "cost of the blocks as one network, as a share of that of all runs"),
    }
    return {
        "run": _is(_COUNT, "how often the search ran before, with --resume"),
        "deterministic": _is(_VERDICT, "whether the search was deterministic"),
        "tiling": _one_of((rule.value for rule in TilingRule), "the rule of tiling numbers, with --lfa cocco"),
        "uncapped": _is(_VERDICT, "whether layers may have more than 16 tiles for each sample, with --lfa cocco"),
        "fix_lfa": _is(_VERDICT, "whether the LFA was that of the start"),
        "lfa_from": _is(_TEXT, "what found the LFA, if it is another than lfa_search"),
        "start": _is(_object(start), "the schedule from which the search began"),
        "one_block_repeated": _is(
            _object(_with_former_names(repeated)), "with --blocks: one block alone, run several times"
        ),
    }


def _proof() -> _Properties:
    return {
        "complete": _is(_VERDICT, "whether all LFAs were searched"),
        "improved": _is(_VERDICT, "whether a better schedule was found"),
        "computing_orders": _is(_COUNT, "computing orders gone through"),
        "beginnings": _is(_COUNT, "beginnings of LFAs looked at closely"),
        "lfas": _is(_COUNT, "whole LFAs that no bound dropped"),
        "lfas_solved": _is(_COUNT, "LFAs that went through the second stage"),
        "seconds": _SECONDS,
    }


def _advice() -> _Properties:
    return {
        "lever": _one_of((topic.value for topic in Topic), "what the line speaks of"),
        "basis": _one_of((basis.value for basis in Basis), "how the figure is known"),
        "text": _is(_TEXT, "the line"),
        "change_bytes": _or_null({"type": "integer"}, "change of the buffer (bytes)"),
        "change_bytes_per_second": _or_null(_SHARE, "change of the DRAM bandwidth (bytes per second)"),
        "estimated_gain_share": _or_null(_SHARE, "gain of the objective, at least"),
        "estimated_latency_gain_share": _or_null(_SHARE, "gain of the latency, at least"),
        "checked_gain_share": _or_null(_SHARE, "gain of the objective after solving again"),
        "checked_latency_gain_share": _or_null(_SHARE, "gain of the latency after solving again"),
        "most_latency_gain_share": _or_null(_SHARE, "the most that DRAM bandwidth gains with this LFA"),
        "most_latency_gain_of_any_share": _or_null(_SHARE, "the most that DRAM bandwidth gains with any LFA"),
        "stall_cycles": _or_null(_COUNT, "what the core array waits (cycles)"),
        "stall_share": _or_null(_SHARE, "share of the latency in which it waits"),
        "tensor": _one_of((*KIND_NAMES, None), "kind of the tensors for which it waits"),
        "layer": _or_null(_TEXT, "layer of these tensors"),
        "compute_share": _or_null(_SHARE, "share of the latency in which the core array computes"),
    }


def _comparison() -> _Properties:
    stage = _figures_of_a_schedule() | {
        "second_stage": _is(_TEXT, "name of the second stage"),
        "fits": _is(_VERDICT, "whether the schedule fits into the buffer"),
        "seconds": _SECONDS,
    }
    return _figures_named(*OF_THE_PROBLEM, "theoretical_maximum_cycles", "proven_lower_bound_cycles") | {
        "lfa": _is(_TEXT, "where the LFA comes from"),
        "out_of_time": _OUT_OF_TIME,
        "proven_lower_bound_source": _is(_TEXT, "what proves the lower bound"),
        "second_stages": _list("the second stages on that LFA", _object(stage)),
        "interrupted": _INTERRUPTED,
    }


def _comparisons() -> _Properties:
    return {"comparisons": _list("a comparison for each LFA", _object(_comparison(), _types()))}


def _baselines() -> _Properties:
    method = _figures_of_a_schedule() | {
        "method": _is(_TEXT, "first and second stage"),
        "fits": _is(_VERDICT, "whether the schedule fits into the buffer"),
        "seconds": _SECONDS,
    }
    case = _figures_named(*OF_THE_PROBLEM) | {
        "baseline": _is(_TEXT, "the rule of tiling numbers and the seed of the Cocco baseline"),
        "methods": _list("the methods, the baseline first", _object(method)),
    }
    cases = _list("all methods for each network and batch", _object(case, _types()))
    return {"baselines": cases, "interrupted": _INTERRUPTED}


def _ladder() -> _Properties:
    step = _figures_named("network", "batch") | {
        "step": _is(_TEXT, "name of the schedule or bound"),
        "kind": _one_of(("schedule", "bound"), "what it is"),
        "latency_cycles": _is(_COUNT, "latency (cycles)"),
        "energy_pj": _is(_AMOUNT, "energy (pJ)"),
        "cost": _is(_AMOUNT, "the objective"),
        "latency_above_lfa_bound": _or_null(_SHARE, "share above the bound of this LFA; null for bounds"),
        "cost_above_every_lfa": _is(_SHARE, "share above the bound over every LFA"),
        "how": _is(_TEXT, "how it was obtained, and what it proves"),
        "seconds": _SECONDS,
    }
    return _figures_named(*OF_THE_PROBLEM, "lgs", "flgs", "tiles", "dram_tensors") | {
        "energy_exponent": _is(_SHARE, "exponent of the energy in the objective"),
        "delay_exponent": _is(_SHARE, "exponent of the latency in the objective"),
        "space": _one_of((space.value for space in Space), "space of schedules that was searched"),
        "interrupted": _INTERRUPTED,
        "out_of_time": _OUT_OF_TIME,
        "steps": _list("schedules of the best LFA found, then bounds", _object(step)),
    }


def _evaluated() -> _Properties:
    others = {
        "proven_lower_bound_source": _is(_TEXT, "what proves the lower bound"),
        "claimed_proven_lower_bound_cycles": _or_null(_COUNT, "lower bound that the file claims (cycles)"),
        "differences_to_file": _list("figures in the file that differ from the evaluator's", _TEXT),
        "seconds": _SECONDS,
    }
    return _figures_of_a_schedule() | _with_former_names(others)


def _listed_network() -> _Properties:
    return {
        "name": _is(_TEXT, "name"),
        "aliases": _list("other names", _TEXT),
        "description": _is(_TEXT, "what it is"),
        "layers": _is(_COUNT, "layers"),
        "operations": _is(_COUNT, "operations for one sample"),
        "macs": _is(_COUNT, "multiply-accumulates for one sample"),
        "weight_bytes": _is(_COUNT, "weights (bytes)"),
        **_figures_named("blocks"),
        "tokens": _or_null(_COUNT, "tokens unless --seq is given"),
        "platform": _is(_TEXT, "platform on which it is usually scheduled"),
    }


def _checked_model() -> _Properties:
    summary = {
        name: _is(_COUNT, f"{meaning}, for one sample")
        for name, meaning in (
            ("nodes", "nodes of the graph"),
            ("layers", "layers of the network"),
            ("macs", "multiply-accumulates"),
            ("weight_bytes", "weights (bytes)"),
            ("loaded_bytes", "inputs (bytes)"),
            ("stored_bytes", "outputs (bytes)"),
        )
    }
    layer = object_schema(
        {
            "name": _is(_TEXT, "name in the network"),
            "kind": _one_of(LAYER_KINDS, "kind of layer"),
            "type": _is(_TEXT, "type of its ofmap, if not INT8"),
            "weights": _is(_TEXT, "name of its stored weights, if it has any"),
            "weights_type": _is(_TEXT, "type of its weights, if not INT8 alone: int4/32:20 has scales of 20 bits"),
        },
        ("name", "kind"),
    )
    node = {
        "name": _is(_TEXT, "name in messages"),
        "operator": _is(_TEXT, "operator, with the domain if that is not ONNX's own"),
        "becomes": _one_of((becomes.value for becomes in Becomes), "what it becomes"),
        "layers": _list("the layers that it makes", layer),
        "macs": _is(_COUNT, "multiply-accumulates of its layers for one sample"),
        "weight_bytes": _is(_COUNT, "weights of its layers (bytes)"),
        "reason": _is(_TEXT, "why it is refused, left out or not reached"),
    }
    source = {
        "name": _is(_TEXT, "name in the model"),
        "shape": _list(
            "shape in the model; names stand for dimensions without a number", {"type": ["integer", "string"]}
        ),
        "role": _one_of((*(role.value for role in Role), None), "what it is"),
        "batch_axis": _or_null(_COUNT, "axis that is the batch"),
    }
    tensor = object_schema(
        {
            "name": _is(_TEXT, "name in the network"),
            "shape": _list("channels, rows and columns of one sample", _COUNT),
            "type": _is(_TEXT, "type, if not INT8"),
            "bytes": _is(_COUNT, "size of one sample (bytes)"),
        },
        ("name", "shape", "bytes"),
    )
    counts = _by_name("nodes of that operator by what they become", _COUNT)
    return {
        "model": _is(_TEXT, "name of the network"),
        "supported": _is(_VERDICT, "whether the model can be imported"),
        "summary": _or_null(_object(summary), "figures of the network; null if the model is refused"),
        "operators": _by_name("what nodes become, by operator", counts),
        "nodes": _list("the nodes in the model's order", _object(node)),
        "inputs": _list("inputs of the graph", _object(source)),
        "loaded": _list("tensors that are loaded", tensor),
        "stored": _list("tensors that are stored", tensor),
        "problems": _list("faults that are no fault of a single node", _TEXT),
        "notes": _list("approximations, omissions and assumptions", _TEXT),
        "advice": _is(_TEXT, "a way out of a refusal; empty if there is none"),
    }


def _row() -> _Properties:
    """Return the columns of sweeps, as files have them."""
    kinds: dict[type, Schema] = {str: _TEXT, int: {"type": "integer"}, float: {"type": "number"}, bool: _VERDICT}
    named: dict[str, list[str | None]] = {
        "method": [*METHODS],
        "status": [status.value for status in Status],
        "tiling": [*(rule.value for rule in TilingRule), None],
    }
    properties = {
        column.name: _one_of(named[column.name], column.meaning)
        if column.name in named
        else (_or_null if column.may_be_null else _is)(kinds[column.kind], column.meaning)
        for column in COLUMNS
        if not column.is_of_run
    }
    return properties | {BEATEN_BY: _or_null(_TEXT, BEATEN_BY_MEANS)}


# Notation


def _is(schema: Schema, meaning: str) -> Schema:
    return schema | described(meaning)


def _or_null(schema: Schema, meaning: str) -> Schema:
    return {**schema, "type": [schema["type"], "null"], **described(meaning)}


def _one_of(values: Iterable[str | None], meaning: str) -> Schema:
    return {"enum": list(values), **described(meaning)}


def _list(meaning: str, items: Schema) -> Schema:
    return {"type": "array", "items": items, **described(meaning)}


def _by_name(meaning: str, values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values, **described(meaning)}


def _object(properties: _Properties, optional: Mapping[str, Schema] = _NOTHING) -> Schema:
    """Return an object that has all these properties, may have the optional ones, and has no others."""
    return object_schema(properties | dict(optional), properties)
