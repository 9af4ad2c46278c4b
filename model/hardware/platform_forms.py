"""The forms of hardware files of both versions, made of the rows of `FIELDS`.

An error message quotes a field's description as what is allowed.
"""

from dataclasses import MISSING, fields
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, create_model

from soma_cp.model.files.forms import Form, Name
from soma_cp.model.hardware.field_kinds import Written
from soma_cp.model.hardware.fields import FIELDS, KIND, MACS_PER_CYCLE
from soma_cp.model.hardware.platform import Platform

_Base = TypeVar("_Base", bound=Form)

VERSION = 1
YAML_VERSION = 2


class _JsonForm(Form):
    version: Annotated[int, Field(ge=1, le=VERSION, description="1; version 2 is YAML, call the file .yaml")] = VERSION
    name: Name = ""


class _YamlForm(Form):
    version: Annotated[int, Field(ge=YAML_VERSION, le=YAML_VERSION, description="2; version 1 is JSON")]
    name: Name = ""
    extends: Annotated[str | None, Field(description="a built-in platform or the path of a hardware file")] = None


def _form(name: str, base: type[_Base], types: dict[str, tuple[Written, Any]]) -> type[_Base]:
    """Return a form with the fields of `base` and those of `types`: how each is written, and its default."""
    more: Any = {  # create_model's overloads have no type for it
        field: (Annotated[Any, BeforeValidator(written.read), Field(description=written.allowed)], default)
        for field, (written, default) in types.items()
        if field not in base.model_fields
    }
    form: type[_Base] = create_model(name, __base__=base, **more)
    return form


_USUAL = {field.name: ... if field.default is MISSING else field.default for field in fields(Platform)}

PlatformForm = _form("PlatformForm", _JsonForm, {name: (KIND[name].json, usual) for name, usual in _USUAL.items()})
"""Version 1, which schedule files hold as well."""

YamlForm = _form(
    "YamlForm",
    _YamlForm,
    {field.yaml: (field.kind.yaml, None) for field in FIELDS} | {MACS_PER_CYCLE: (KIND["macs_per_pe"].yaml, None)},
)
"""Version 2; fields that are left out come from the platform that the file extends."""

NESTED_FORMS = {
    field.yaml: _form(field.yaml, Form, {name: (kind.yaml, None) for name, kind in field.kind.items.items()})
    for field in FIELDS
    if field.kind.items
}
"""Objects of quantities within version 2, by field."""
