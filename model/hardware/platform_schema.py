"""The JSON Schema of hardware files of both versions, made of their forms."""

from dataclasses import MISSING, fields

from soma_cp.model.files.forms import form_schema
from soma_cp.model.files.json_schema import Schema, document_schema
from soma_cp.model.hardware.fields import FIELDS, MACS_PER_CYCLE
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.hardware.platform_forms import PlatformForm, YamlForm

_DESCRIPTION = (
    "A platform for soma-cp. Version 2 is YAML with units, and may extend another file; version 1 is JSON with plain "
    "numbers. Time is in cycles of the platform's clock; operations are those of INT8 where no data type is named."
)
_ARRAY = ("pe_grid", "macs_per_pe")
"""The fields for which `MACS_PER_CYCLE` stands."""


def platform_schema() -> Schema:
    """Return the schema of a hardware file."""
    versions = [{"title": "version 2 (YAML)"} | _yaml_part(), {"title": "version 1 (JSON)"} | platform_part()]
    return document_schema("soma-cp hardware file", _DESCRIPTION, {"oneOf": versions})


def platform_part() -> Schema:
    """Return the schema of a platform in version 1, which schedule files hold as well."""
    return form_schema(PlatformForm)


def _yaml_part() -> Schema:
    """Return the schema of version 2: all that a platform needs is given or extended, its array in one form."""
    usual = {field.name: field.default for field in fields(Platform)}
    needed = [field.yaml for field in FIELDS if usual[field.name] is MISSING]
    in_short = [name for name in needed if name not in _ARRAY] + [MACS_PER_CYCLE]
    return form_schema(YamlForm) | {
        "anyOf": [{"required": ["extends"]}, {"required": needed}, {"required": in_short}],
        "dependentSchemas": {MACS_PER_CYCLE: {"properties": dict.fromkeys(_ARRAY, False)}},
    }
