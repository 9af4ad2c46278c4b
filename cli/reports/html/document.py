"""Bokeh documents as JSON that is the same for the same charts."""

import re
from typing import Any

from bokeh.document import Document

_OWN_ID = re.compile(r"p\d+")


def document_json(document: Document) -> tuple[dict[str, Any], list[str]]:
    """Return the document as JSON, and the ids of its roots."""
    ids: dict[str, str] = {}
    json = _renumbered(document.to_json(deferred=False), ids)
    return json, [ids[root.id] for root in document.roots]


def _renumbered(value: Any, ids: dict[str, str]) -> Any:
    """Number models in the order in which they end: Bokeh's own count goes on from document to document."""
    if isinstance(value, dict):
        value = {name: _renumbered(item, ids) for name, item in value.items()}
        own = value.get("id")
        if isinstance(own, str) and _OWN_ID.fullmatch(own):
            value["id"] = ids.setdefault(own, f"p{len(ids) + 1}")
        return value
    if isinstance(value, list | tuple):
        return [_renumbered(item, ids) for item in value]
    return value
