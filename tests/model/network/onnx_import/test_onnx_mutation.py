"""Models with faults give a network or an error of the user: never another exception (the long run: docs/onnx.md)."""

from pathlib import Path

import pytest
from support.onnx_mutation import mutated
from support.onnx_mutation_run import outcome

COUNT = 300


@pytest.mark.parametrize("first", range(0, COUNT, 10))
def test_a_model_with_faults_is_imported_or_refused(first: int, tmp_path: Path) -> None:
    outcomes = {seed: outcome(seed, tmp_path) for seed in range(first, first + 10)}
    assert {seed: what for seed, (kind, what) in outcomes.items() if kind == "fault"} == {}


def test_mutations_are_the_same_for_a_seed() -> None:
    assert mutated(5) == mutated(5)


def test_mutations_reach_both_ends(tmp_path: Path) -> None:
    """Of the first models, some give a network, and some are refused."""
    kinds = {outcome(seed, tmp_path)[0] for seed in range(40)}
    assert kinds >= {"network", "refused"}
