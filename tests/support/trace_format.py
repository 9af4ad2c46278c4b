"""A checker of traces in the JSON trace-event format, for the events that the project writes.

The format is the "Trace Event Format" of the Catapult project. In addition, times must be whole nanoseconds, and slices
of a track must nest.
"""

from collections import defaultdict
from typing import Any

REQUIRED = {
    "X": {"name", "cat", "pid", "tid", "ts", "dur", "args"},
    "C": {"name", "pid", "ts", "args"},
    "M": {"name", "pid", "args"},
    "s": {"name", "cat", "id", "pid", "tid", "ts"},
    "f": {"name", "cat", "id", "pid", "tid", "ts", "bp"},
}
TYPES = {"ph": str, "name": str, "cat": str, "bp": str, "pid": int, "tid": int, "id": int, "args": dict}
METADATA = {"process_name": str, "process_sort_index": int, "thread_name": str, "thread_sort_index": int}

Event = dict[str, Any]
Track = tuple[int, int]
Slice = tuple[int, int, str]


def nanoseconds(microseconds: float) -> int:
    rounded = round(microseconds * 1000)
    assert abs(microseconds * 1000 - rounded) < 1e-3, microseconds
    return rounded


def check_trace(document: dict[str, Any]) -> dict[Track, list[Slice]]:
    """Fail if `document` is no valid trace; return begin, end (ns) and name of the slices of every track."""
    assert document.keys() == {"displayTimeUnit", "traceEvents"}
    assert document["displayTimeUnit"] in ("ns", "ms")
    events = document["traceEvents"]
    for event in events:
        _check_form(event)
    slices: dict[Track, list[Slice]] = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            begin = nanoseconds(event["ts"])
            slices[event["pid"], event["tid"]].append((begin, begin + nanoseconds(event["dur"]), event["name"]))
    named = {(event["pid"], event.get("tid")) for event in events if event["name"] == "thread_name"}
    assert slices.keys() <= named
    for track in slices.values():
        _check_nesting(track)
    _check_counters(events)
    _check_flows(events, slices)
    return slices


def _check_form(event: Event) -> None:
    assert event["ph"] in REQUIRED, event
    assert event.keys() >= REQUIRED[event["ph"]], event
    for key, value in event.items():
        if key in ("ts", "dur"):
            assert isinstance(value, int | float)
            assert value >= 0, event
        else:
            assert type(value) is TYPES[key], event
    if event["ph"] == "M":
        assert event["name"] in METADATA, event
        assert [type(value) for value in event["args"].values()] == [METADATA[event["name"]]], event
    if event["ph"] == "C":
        assert len(event["args"]) == 1, event  # some versions of Perfetto refuse several
        assert all(type(value) in (int, float) for value in event["args"].values()), event
        assert "tid" not in event, event


def _check_nesting(track: list[Slice]) -> None:
    """Check that slices are sorted by begin, the outer one first, and that none ends within another."""
    open_ends: list[int] = []
    previous = 0
    for begin, end, name in track:
        assert begin >= previous, name
        previous = begin
        while open_ends and open_ends[-1] <= begin:
            open_ends.pop()
        assert not open_ends or end <= open_ends[-1], name
        open_ends.append(end)


def _check_counters(events: list[Event]) -> None:
    last: dict[tuple[int, str], tuple[int, Any]] = {}
    for event in events:
        if event["ph"] == "C":
            counter = (event["pid"], event["name"])
            time, keys = last.get(counter, (-1, event["args"].keys()))
            assert nanoseconds(event["ts"]) > time, event
            assert event["args"].keys() == keys, event
            last[counter] = (nanoseconds(event["ts"]), event["args"].keys())


def _check_flows(events: list[Event], slices: dict[Track, list[Slice]]) -> None:
    """Check that every flow begins once and ends once, in this order, and both when a slice begins."""
    ends: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        if event["ph"] in ("s", "f"):
            ends[event["id"]].append(event)
            begins = {begin for begin, _, _ in slices[event["pid"], event["tid"]]}
            assert nanoseconds(event["ts"]) in begins, event
    for first, second in ends.values():
        assert (first["ph"], second["ph"], second["bp"]) == ("s", "f", "e")
        assert (first["name"], first["cat"]) == (second["name"], second["cat"])
        assert first["ts"] <= second["ts"]
