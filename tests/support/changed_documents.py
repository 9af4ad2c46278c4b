"""Changes one or two places of a document, to find out whether two checks agree on what they take."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis.strategies as st

Place = tuple[str | int, ...]
"""Keys and indices that lead to a part of a document."""

ODD_VALUES = (
    *(None, True, False, -1, 0, 1, 2, 3, 16.0, 0.9999, 1.5, 2**53, 2**53 + 1, "", " ", "x", "a\nb", "a\u00adb", "1"),
    *([], {}, [1], [16, 8], [1, 1, 1], ["x"], [""], [[]], {"x": 1}, {"x": "1"}),
    *("4 MiB", "1.5KiB", " 8MB ", "0B", "32GB/s", "12.8 B/cycle", "800 MHz", "1hz", "18 fJ", "84 pJ/B", "1nJ/bit"),
    *(
        "16x8",
        " 4 × 4 ",
        "0x1",
        "128/5",
        "1/2000",
        "0016/1",
        "٣",
        "HCW",
        "C**",
        "ccc",
        "edge",
        "roofline",
        "tiny-chain",
    ),
    *(
        {"model": "roofline"},
        {"model": "x", "option": 1.5},
        {"model": None},
        {"AL1": "1 KiB"},
        {"MAC": 1, "hop": "2pJ/B"},
    ),
)
ODD_KEYS = (
    "x",
    "version",
    "weights",
    "dH",
    "ifmap",
    "G",
    "expect",
    "shared_loads",
    "name",
    "extends",
    "macs_per_cycle",
)


def places(part: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the places of all parts of a document but the whole."""
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, item in items:
        yield (*place, key)
        yield from places(item, (*place, key))


def part_at(document: Any, place: Place) -> Any:
    for key in place:
        document = document[key]
    return document


@st.composite
def changed(draw: Callable, documents: st.SearchStrategy[Any]) -> Any:
    """Draw a document, and change up to two of its places: other values, no value, new fields, repeated items."""
    document = copy.deepcopy(draw(documents))
    for _ in range(draw(st.integers(0, 2))):
        known = list(places(document))
        if not known:
            break
        *way, key = draw(st.sampled_from(known))
        owner = part_at(document, tuple(way))
        change = draw(st.sampled_from(("value", "value", "removed", "added", "moved")))
        if change == "value":
            owner[key] = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
        elif change == "removed":
            del owner[key]
        elif isinstance(owner, list):
            owner.append(copy.deepcopy(owner[key]))
        else:
            other = draw(st.sampled_from(ODD_KEYS))
            owner[other] = owner.pop(key) if change == "moved" else copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
    return document
