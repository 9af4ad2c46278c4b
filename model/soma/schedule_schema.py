"""The JSON Schema of schedule files of both versions, made of their forms."""

from soma_cp.model.files.forms import Form, form_schema
from soma_cp.model.files.json_schema import Schema, document_schema
from soma_cp.model.hardware.platform_schema import platform_part
from soma_cp.model.network.network_checks import LARGEST_COUNT
from soma_cp.model.network.network_schema import network_part
from soma_cp.model.soma.schedule_form import (
    CELLS,
    FILE_COLUMNS,
    OPTIONAL_COLUMNS,
    PASS,
    DivisionForm,
    DLSAForm,
    FiguresForm,
    FLGForm,
    LFAForm,
    PassesForm,
    ScheduleForm,
    SharedLoadForm,
)
from soma_cp.model.soma.tensors import KIND_NAMES

_DESCRIPTION = (
    "A schedule of soma-cp: a network on a platform, what is fused and tiled, when every tensor moves, and figures. "
    "Times are in cycles of the platform's clock, sizes in bytes, energies in pJ."
)
_NUMBER = {"type": "integer", "minimum": -LARGEST_COUNT, "maximum": LARGEST_COUNT}
_CELLS: dict[str, Schema] = {column: {"type": "string"} if column in CELLS else _NUMBER for column in FILE_COLUMNS}
_CELLS["kind"] = {"enum": list(KIND_NAMES)}


def schedule_schema() -> Schema:
    """Return the schema of a schedule file."""
    items: dict[str, type[Form]] = {"flgs": FLGForm, "shared_loads": SharedLoadForm, "divisions": DivisionForm}
    lists = {name: {"items": form_schema(form)} for name, form in items.items()}
    lfa = form_schema(LFAForm, {**lists, "passes": form_schema(PassesForm)})
    parts: dict[str, Schema] = {
        "network": {"anyOf": [{"type": "string"}, network_part()]},
        "hardware": platform_part(),
        "expect": form_schema(FiguresForm),
        "lfa": lfa,
        "dlsa": _dlsa_part(),
    }
    return document_schema("soma-cp schedule file", _DESCRIPTION, form_schema(ScheduleForm, parts))


def _dlsa_part() -> Schema:
    """Return the schema of `dlsa`; columns in the usual order say what each cell holds."""
    columns = list(FILE_COLUMNS)
    needed = [column for column in columns if column not in (*OPTIONAL_COLUMNS, PASS)]
    row = {"type": "array", "minItems": len(needed), "maxItems": len(columns), "items": {"type": ["string", "integer"]}}
    usual = [columns[:-1], columns]  # in one pass, in several
    parts: dict[str, Schema] = {
        "columns": {
            "items": {"enum": columns},
            "uniqueItems": True,
            "allOf": [{"contains": {"const": column}} for column in needed],
        },
        "dram_tensor_order": {"items": row},
    }
    return form_schema(DLSAForm, parts) | {"allOf": [_usual_rows(names) for names in usual]}


def _usual_rows(columns: list[str]) -> Schema:
    """Return what rows hold whose columns are these."""
    row = {"prefixItems": [_CELLS[column] for column in columns], "minItems": len(columns)}
    return {
        "if": {"properties": {"columns": {"const": columns}}},
        "then": {"properties": {"dram_tensor_order": {"items": row}}},
    }
