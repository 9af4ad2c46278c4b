"""What the schemas of all files share: strict forms, names, numbers, and the sentences about their faults.

An error message quotes a field's description as what is allowed.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from soma_cp.model.errors import nearest_name_hint

_SHOWN_CHARACTERS = 60


class Form(BaseModel):
    """An object of a file: it has no field but those of the form, and no number in place of text."""

    model_config = ConfigDict(strict=True, extra="forbid")


def whole_number(least: int, most: int) -> Any:
    """Return the field of a whole number."""
    return Field(ge=least, le=most, description=f"a whole number from {least} to {most}, in digits alone")


def is_name(value: object) -> bool:
    """Return whether `value` can name something in a message or a table: no line breaks, no lone surrogates."""
    return isinstance(value, str) and value != "" and value.isprintable()


def _checked_name(value: str) -> str:
    if not is_name(value):
        raise ValueError
    return value


Name = Annotated[str, AfterValidator(_checked_name), Field(description="printable text, not empty")]
"""The type of a field that names something."""


def form_problems(error: ValidationError, form: type[Form], item: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence for each faulty field; a list with several faulty elements counts as one fault."""
    fields = form.model_fields
    for field in dict.fromkeys(str(fault["loc"][0]) for fault in error.errors(include_url=False)):
        if field not in fields:
            present = [name for name, known in fields.items() if not known.deprecated]
            hint = nearest_name_hint(field, present)
            yield f"{shown(field)} is not a field (must be one of {', '.join(present)}){hint}"
        elif field not in item:
            yield f"{field} is missing (must be {_allowed(form, field)})"
        else:
            yield f"{field}={shown(item[field])} (must be {_allowed(form, field)})"


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
