"""The JSON Schema of network files of all versions, made of their forms."""

from soma_cp.model.files.forms import form_schema
from soma_cp.model.files.json_schema import Schema, document_schema
from soma_cp.model.network.network_forms import (
    LAYER_FORMS,
    OUTPUTS_VERSION,
    TYPES,
    VERSION,
    InputForm,
    NetworkForm,
)

_DESCRIPTION = (
    "A network for soma-cp: JSON, or YAML with the same fields. Shapes are those of one sample; data is INT8, one "
    "element a byte, where no type is given."
)


def network_schema() -> Schema:
    """Return the schema of a network file."""
    return document_schema("soma-cp network file", _DESCRIPTION, network_part())


def network_part() -> Schema:
    """Return the schema of a network, which schedule files may hold as well."""
    layers = [
        {"title": f"{kind} layer"} | form_schema(form, {"kind": {"const": kind}}) for kind, form in LAYER_FORMS.items()
    ]
    parts = {"inputs": {"items": form_schema(InputForm)}, "layers": {"items": {"oneOf": layers}}}
    untyped: Schema = dict.fromkeys(TYPES, False)
    parts_untyped = {
        "inputs": {"items": {"properties": {"type": False}}},
        "layers": {"items": {"properties": untyped}},
    }
    return form_schema(NetworkForm, parts) | {
        "allOf": [
            {
                "if": {"properties": {"version": {"minimum": OUTPUTS_VERSION}}, "required": ["version"]},
                "then": {"required": ["outputs"]},
                "else": {"properties": {"outputs": False}},
            },
            {
                "if": {"properties": {"version": {"const": VERSION}}, "required": ["version"]},
                "else": {"properties": untyped | parts_untyped},
            },
        ]
    }
