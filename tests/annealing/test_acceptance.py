"""What both annealing stages share: cooling, acceptance, budgets, chunks of rounds."""

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given
from support.annealing_cases import builtin_problem, close
from support.twins import examples

from soma_cp.annealing import chunks
from soma_cp.annealing.acceptance import Cooling, accepts, highest_accepted, temperature
from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.paper_search import PaperSearchParameters
from soma_cp.annealing.second_stage.annealing import AnnealingParameters
from soma_cp.model.errors import UserError


def test_the_temperature_falls_from_the_initial_one_to_zero() -> None:
    # T0·(1 − n/N)^power/(1 + α·n/N)
    assert temperature(0.1, 8.0, 1.0, 0, 1000) == close(0.1)
    assert temperature(0.1, 8.0, 1.0, 250, 1000) == close(0.1 * 0.75 / 3)
    assert temperature(0.1, 8.0, 1.0, 500, 1000) == close(0.1 * 0.5 / 5)
    assert temperature(0.1, 0.0, 1.0, 500, 1000) == close(0.05)
    assert temperature(0.1, 8.0, 1.0, 1000, 1000) == 0
    assert temperature(0.1, 8.0, 2.0, 0, 1000) == close(0.1)
    assert temperature(0.1, 8.0, 2.0, 250, 1000) == close(0.1 * 0.75**2 / 3)
    assert temperature(0.1, 0.0, 3.0, 500, 1000) == close(0.1 / 8)
    assert temperature(0.1, 8.0, 2.0, 1000, 1000) == 0


def test_a_worse_cost_is_accepted_by_its_share_and_the_temperature() -> None:
    # 10 % worse at T = 0.05: exp(−0.1 / 0.05)
    chance = math.exp(-2)
    for scale in (1.0, 1e15):
        assert accepts(scale, 1.1 * scale, 0.05, chance * 0.999)
        assert not accepts(scale, 1.1 * scale, 0.05, chance * 1.001)


def test_no_worse_cost_is_accepted_at_temperature_zero() -> None:
    assert accepts(1.0, 1.0, 0.0, 0.999999)
    assert accepts(1.0, 0.5, 0.0, 0.999999)
    assert not accepts(1.0, 1.0 + 1e-12, 0.0, 0.0)


@examples(200)
@given(st.floats(1e-3, 1e30), st.sampled_from([0.0, 1e-6, 0.01, 0.1, 2.0]), st.floats(1e-15, 1 - 1e-15))
def test_the_highest_accepted_cost_parts_what_is_accepted_from_what_is_not(
    current: float, heat: float, chance: float
) -> None:
    highest = highest_accepted(current, heat, chance)
    assert highest >= current
    assert highest == close(current * (1 - heat * math.log(chance)))
    for share in (1 + 1e-9, 1.1, 2.0):
        assert not accepts(current, highest * share, heat, chance)
        assert accepts(current, max(highest / share, current), heat, chance)


def test_the_published_cooling() -> None:
    assert Cooling() == Cooling(initial_temperature=0.1, alpha=8.0, power=1.0, return_to_best_at=0.9)
    assert PaperSearchParameters().rounds_per_layer == 100
    assert AnnealingParameters().rounds_per_tensor == 1000
    # N = 100 · layers · √batch
    assert PaperSearchParameters().rounds(builtin_problem("resnet50", batch=4)) == 100 * 72 * 2
    assert PaperSearchParameters().rounds(builtin_problem("resnet50", batch=2)) == 10183
    for wrong in ({"initial_temperature": -0.1}, {"alpha": -1.0}, {"power": -1.0}, {"return_to_best_at": 1.1}):
        with pytest.raises(UserError, match="must be"):
            Cooling(**wrong)


def test_a_budget_ends_at_its_deadline_or_when_asked() -> None:
    assert not Budget().over
    assert Budget().seconds_left == math.inf
    assert Budget(0).over
    whole = Budget(100)
    part = whole.part(0.5)
    assert 40 < part.seconds_left <= 50
    assert Budget(200, parent=whole).seconds_left <= 100
    assert math.isinf(Budget().part(0.5).seconds_left)
    part.request_stop()
    assert part.over
    assert not whole.over
    whole.request_stop()
    assert whole.part(0.5).over


@pytest.mark.parametrize("chunk_seconds", [-1.0, 0.05, 1e9])
def test_chunks_follow_one_another_whatever_their_sizes(chunk_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_SECONDS", chunk_seconds)
    ranges: list[tuple[int, int]] = []
    told: list[int] = []
    done = chunks.run_in_chunks(lambda *part: ranges.append(part), 1000, Budget(), told.append)
    assert done == 1000
    assert [last for _, last in ranges] == told
    assert [first for first, _ in ranges] == [0, *told[:-1]]
    assert told[-1] == 1000
    assert (len(ranges) > 500) == (chunk_seconds < 0)  # slow pieces get smaller, quick ones larger


def test_no_chunk_begins_when_the_budget_is_over() -> None:
    budget = Budget()
    ranges: list[tuple[int, int]] = []
    done = chunks.run_in_chunks(
        lambda *part: ranges.append(part), 1000, budget, lambda done: done < 100 or budget.request_stop()
    )
    assert 100 <= done < 1000
    assert ranges[-1][1] == done
    assert chunks.run_in_chunks(lambda *part: ranges.append(part), 1000, Budget(0), lambda _: None) == 0
