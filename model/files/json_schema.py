"""Parts of JSON Schema: documents, objects, descriptions.

JSON Schema can't say all that readers check: it takes a whole number that is written 16.0, for instance.
"""

from collections.abc import Iterable, Mapping
from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]
"""A JSON Schema, or a part of one."""


def document_schema(title: str, description: str, body: Mapping[str, Any]) -> Schema:
    """Return the schema of a whole document: `body` with a head."""
    return {"$schema": DIALECT, "title": title, "description": description, **body}


def object_schema(properties: Mapping[str, Mapping[str, Any]], required: Iterable[str]) -> Schema:
    """Return the schema of an object that has no property but those, and must have those of `required`."""
    needed = list(required)
    return {
        "type": "object",
        "properties": dict(properties),
        **({"required": needed} if needed else {}),
        "additionalProperties": False,
    }


def described(meaning: str, allowed: str = "") -> Schema:
    """Return the description of a property: what it means, and what is allowed; nothing if both are empty."""
    must = f"must be {allowed}" if allowed else ""
    text = "; ".join(filter(None, (meaning, must)))
    return {"description": text[0].upper() + text[1:]} if text else {}
