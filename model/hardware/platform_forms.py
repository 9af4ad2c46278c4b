"""The forms of hardware files, of both versions, made of the rows of `FIELDS`.

A field's description is what an error message says is allowed.
"""

from dataclasses import MISSING, fields
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, create_model

from soma_cp.model.files.forms import Form, Name
from soma_cp.model.hardware.field_kinds import Written
from soma_cp.model.hardware.fields import FIELDS, KIND
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
    """Return a form with the fields of `base` and more: how one is written, and what it holds where it is left out."""
    more: Any = {  # create_model's overloads can't say it
        field: (Annotated[Any, BeforeValidator(written.read), Field(description=written.allowed)], default)
        for field, (written, default) in types.items()
        if field not in base.model_fields
    }
    form: type[_Base] = create_model(name, __base__=base, **more)
    return form


_USUAL = {field.name: ... if field.default is MISSING else field.default for field in fields(Platform)}

PlatformForm = _form("PlatformForm", _JsonForm, {name: (KIND[name].json, usual) for name, usual in _USUAL.items()})
"""Version 1, what schedule files hold as well."""

YamlForm = _form("YamlForm", _YamlForm, {field.yaml: (field.kind.yaml, None) for field in FIELDS})
"""Version 2; what is left out comes from what is extended."""

NESTED_FORMS = {
    field.yaml: _form(field.yaml, Form, {name: (kind.yaml, None) for name, kind in field.kind.items.items()})
    for field in FIELDS
    if field.kind.items
}
"""Objects of quantities within version 2, by field."""
