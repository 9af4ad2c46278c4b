"""The forms of hardware files of both versions, made of the rows of `FIELDS`.

An error message quotes a field's description as what is allowed.
"""

from dataclasses import MISSING, fields
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BeforeValidator, Field, WithJsonSchema, create_model

from soma_cp.model.files.forms import Form, Name, means
from soma_cp.model.hardware.field_kinds import Written
from soma_cp.model.hardware.fields import FIELDS, KIND, MACS_PER_CYCLE
from soma_cp.model.hardware.platform import Platform

_Base = TypeVar("_Base", bound=Form)

VERSION = 1
YAML_VERSION = 2
_VERSION_MEANS = means("version of the file's format")
_NAME_MEANS = means("name for people")
_NOT_GIVEN: Any = None


class _JsonForm(Form):
    version: Annotated[
        int, Field(ge=1, le=VERSION, description="1; version 2 is YAML, call the file .yaml"), _VERSION_MEANS
    ] = VERSION
    name: Annotated[Name, _NAME_MEANS] = ""


class _YamlForm(Form):
    version: Annotated[int, Field(ge=YAML_VERSION, le=YAML_VERSION, description="2; version 1 is JSON"), _VERSION_MEANS]
    name: Annotated[Name, _NAME_MEANS] = ""
    extends: Annotated[
        str,
        Field(description="a built-in platform or the path of a hardware file"),
        means("what gives the fields that are left out"),
    ] = _NOT_GIVEN


class _Entry(NamedTuple):
    """A field of a form: how it is written, its default, and what it means."""

    written: Written
    default: Any = _NOT_GIVEN
    meaning: str = ""


def _form(name: str, base: type[_Base], entries: dict[str, _Entry]) -> type[_Base]:
    """Return a form with the fields of `base` and those of `entries`."""
    more: Any = {  # create_model's overloads have no type for it
        field: (
            Annotated[
                Any,
                BeforeValidator(written.read),
                WithJsonSchema(written.schema),
                Field(description=written.allowed),
                means(meaning),
            ],
            default,
        )
        for field, (written, default, meaning) in entries.items()
        if field not in base.model_fields
    }
    form: type[_Base] = create_model(name, __base__=base, **more)
    return form


_USUAL = {field.name: ... if field.default is MISSING else field.default for field in fields(Platform)}


def _json_entries() -> dict[str, _Entry]:
    meanings = {field.name: field.meaning for field in FIELDS}
    units = {name: f" ({kind.unit})" if kind.unit else "" for name, kind in KIND.items()}
    return {name: _Entry(KIND[name].json, usual, meanings[name] + units[name]) for name, usual in _USUAL.items()}


PlatformForm = _form("PlatformForm", _JsonForm, _json_entries())
"""Version 1, which schedule files hold as well."""


def _yaml_entries() -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for field in FIELDS:
        entries.setdefault(field.yaml, _Entry(field.kind.yaml, meaning=field.meaning))
    entries[MACS_PER_CYCLE] = _Entry(
        KIND["macs_per_pe"].yaml, meaning="multiply-accumulates of the whole array per cycle, one PE with all of them"
    )
    return entries


YamlForm = _form("YamlForm", _YamlForm, _yaml_entries())
"""Version 2; fields that are left out come from the platform that the file extends."""

NESTED_FORMS = {
    field.yaml: _form(field.yaml, Form, {name: _Entry(kind.yaml) for name, kind in field.kind.items.items()})
    for field in FIELDS
    if field.kind.items
}
"""Objects of quantities within version 2, by field."""
