"""The tables of stages: every name has a row, and a row is all that a second stage needs to be run and shown."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.command_line import Run, run

from soma_cp.solver import second_stages
from soma_cp.solver.choices import FirstStage, SecondStage
from soma_cp.solver.first_stages import FIRST_STAGES
from soma_cp.solver.second_stages import SECOND_STAGES, SecondStageEntry

__all__ = ["run"]  # a fixture


def test_every_name_of_a_stage_has_a_row() -> None:
    assert set(FIRST_STAGES) == set(FirstStage)
    assert set(SECOND_STAGES) == set(SecondStage)


def test_one_second_stage_is_named_exact() -> None:
    assert [stage for stage, entry in SECOND_STAGES.items() if entry.proves] == [SecondStage.CPSAT]


def test_a_second_stage_more_is_a_row_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that no code names appears in the JSON, the CSV and both tables of ``compare``."""
    new = SecondStageEntry(SECOND_STAGES[SecondStage.GREEDY].run, "\nmade up", shows_seconds=True)
    table: Mapping[Any, SecondStageEntry] = {**SECOND_STAGES, "made up": new}
    monkeypatch.setattr(second_stages, "SECOND_STAGES", table)
    command = ("compare", "--net", "tiny-chain", "--time-limit", 2)
    methods = [row["second_stage"] for row in json.loads(run(*command, "--json").out)["second_stages"]]
    assert methods == ["double buffering", "greedy", "SA", "CP-SAT", "greedy"]
    assert len(run(*command, "--format", "csv").out.splitlines()) == 1 + len(table)
    two = run(*command, "--net", "tiny-wide").out
    header = two.splitlines()[1]
    assert "made up" in header
    assert "made up" in two.splitlines()[0]  # its seconds
