"""Commands give the figures, fields and schedules that were recorded: see ``support/recorded.py``."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from support import recorded

ORTOOLS = "9.15"
"""The release that recorded the outputs; another one may find another of several optimal schedules."""


@pytest.mark.skipif(not version("ortools").startswith(ORTOOLS), reason=f"recorded with ortools {ORTOOLS}")
@pytest.mark.parametrize("case", recorded.CASES)
def test_output_is_as_recorded(case: str, tmp_path: Path) -> None:
    found = recorded.observe(case, tmp_path)
    assert list(found) == list(recorded.COMMANDS)
    for command, text in found.items():
        expected = json.loads(recorded.recorded(case, command))
        assert list(recorded.differences(expected, json.loads(text))) == [], command


def test_a_difference_is_found() -> None:
    expected = {"latency": 5, "energy_pj": 1.0, "tiles": [1, 2]}
    assert list(recorded.differences(expected, {"latency": 5, "energy_pj": 1.0 + 1e-15, "tiles": [1, 2]})) == []
    for found in (
        {"latency": 6, "energy_pj": 1.0, "tiles": [1, 2]},
        {"latency": 5.0, "energy_pj": 1.0, "tiles": [1, 2]},
        {"latency": 5, "energy_pj": 1.1, "tiles": [1, 2]},
        {"latency": 5, "energy_pj": 1.0, "tiles": [1]},
        {"latency": 5, "energy_pj": 1.0, "tiles": [1, 3]},
        {"energy_pj": 1.0, "latency": 5, "tiles": [1, 2]},
    ):
        assert len(list(recorded.differences(expected, found))) == 1
