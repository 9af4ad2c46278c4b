"""The JSON Schema of network files of both versions, made of their forms."""

from soma_cp.model.files.forms import form_schema
from soma_cp.model.files.json_schema import Schema, document_schema
from soma_cp.model.network.network_forms import LAYER_FORMS, VERSION, InputForm, NetworkForm

_DESCRIPTION = (
    "A network for soma-cp: JSON, or YAML with the same fields. Shapes are those of one sample; all data is INT8, one "
    "element is one byte."
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
    return form_schema(NetworkForm, parts) | {
        "if": {"properties": {"version": {"const": VERSION}}, "required": ["version"]},
        "then": {"required": ["outputs"]},
        "else": {"properties": {"outputs": False}},
    }
