"""What the schemas of all files share: strict forms, names, numbers, and the sentences about their faults.

An error message quotes a field's description as what is allowed; a field's title says what it means. The JSON Schema
of a file is made of its forms, so that it takes what the reader takes.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from soma_cp.model.errors import nearest_beginning_hint, nearest_name_hint
from soma_cp.model.files.json_schema import Schema, described, object_schema

_SHOWN_CHARACTERS = 60


class Form(BaseModel):
    """An object of a file: it has no field but those of the form, and no number in place of text."""

    model_config = ConfigDict(strict=True, extra="forbid")


def means(meaning: str) -> Any:
    """Return what says what a field means, with its unit."""
    return Field(title=meaning)


def whole_number(least: int, most: int) -> Any:
    """Return the field of a whole number."""
    return Field(ge=least, le=most, description=f"a whole number from {least} to {most}, in digits alone")


class NearestOf(NamedTuple):
    """Metadata of a field whose values are or begin with one of `names`, all in lower case; messages name it."""

    names: tuple[str, ...]

    def hint(self, value: object) -> str:
        """Return what a message on `value` ends with."""
        return nearest_beginning_hint(value, self.names) if isinstance(value, str) else ""


def is_name(value: object) -> bool:
    """Return whether `value` can name something in a message or a table: no line breaks, no lone surrogates."""
    return isinstance(value, str) and value != "" and value.isprintable()


def _checked_name(value: str) -> str:
    if not is_name(value):
        raise ValueError
    return value


_NAME_SCHEMA = {"type": "string", "pattern": r"^[^\u0000-\u001f\u007f-\u00a0\u00ad\u2028\u2029]+$"}
"""Without control characters and line breaks; `is_name` also refuses rarer characters that can't be printed."""

Name = Annotated[
    str,
    AfterValidator(_checked_name),
    WithJsonSchema(_NAME_SCHEMA),
    Field(description="printable text, not empty"),
]
"""The type of a field that names something."""


_NO_PARTS: Mapping[str, Schema] = {}


def form_schema(form: type[Form], parts: Mapping[str, Schema] = _NO_PARTS) -> Schema:
    """Return the JSON Schema of an object that `form` reads.

    Parameters
    ----------
    form
        The form.
    parts
        What the form itself does not say, by field: for an object or list that other forms check.
    """
    found = form.model_json_schema()["properties"]
    properties = {}
    for name, field in form.model_fields.items():
        keywords = {key: value for key, value in found[name].items() if key not in ("title", "description", "default")}
        given = {"default": field.default} if _can_be_given(field.default) else {}
        properties[name] = (
            described(field.title or "", field.description or "") | keywords | given | parts.get(name, {})
        )
    return object_schema(properties, _required(form))


def _can_be_given(default: object) -> bool:
    """Return whether a file could give this default; None and the empty text stand for no value."""
    return isinstance(default, bool | int | float | str) and default != ""


def _required(form: type[Form]) -> list[str]:
    return [name for name, field in form.model_fields.items() if field.is_required()]


NO_REASONS: Mapping[str, str] = {}
"""Of objects whose unknown fields need no reason."""


def form_problems(
    error: ValidationError, form: type[Form], item: Mapping[str, Any], reasons: Mapping[str, str] = NO_REASONS
) -> Iterator[str]:
    """Yield one sentence for each faulty field; a list with several faulty elements counts as one fault.

    Parameters
    ----------
    error
        What is wrong.
    form, item
        The form, and the object that does not fit it.
    reasons
        Why the object has no field of that name, and what to do, for fields that other objects have.
    """
    fields = form.model_fields
    for field in dict.fromkeys(str(fault["loc"][0]) for fault in error.errors(include_url=False)):
        if field not in fields and field in reasons:
            yield f"{shown(field)} is not a field {reasons[field]}"
        elif field not in fields:
            present = [name for name, known in fields.items() if not known.deprecated]
            hint = nearest_name_hint(field, present)
            yield f"{shown(field)} is not a field (must be one of {', '.join(present)}){hint}"
        elif field not in item:
            yield f"{field} is missing (must be {_allowed(form, field)})"
        else:
            hints = (known.hint(item[field]) for known in fields[field].metadata if isinstance(known, NearestOf))
            yield f"{field}={shown(item[field])} (must be {_allowed(form, field)}){''.join(hints)}"


def _allowed(form: type[Form], field: str) -> str:
    return form.model_fields[field].description or "another value"


def shown(value: object) -> str:
    """Return `value` as JSON writes it, shortened, in characters that any terminal can print."""
    return clipped(json_text(value).encode("utf-8", "backslashreplace").decode("utf-8"))


def clipped(text: str) -> str:
    """Return `text`, shortened."""
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


def json_text(value: object) -> str:
    """Return `value` as JSON writes it."""
    return json.dumps(value, ensure_ascii=False, default=repr)
