"""Fronts against a look at every pair of points."""

import hypothesis.strategies as st
import numpy as np
from hypothesis import given
from support.sweep_rows import made_row
from support.twins import examples

from soma_cp.solver.sweep.findings.front import buffer_energy_cost, front_keys, on_front

points = st.integers(1, 4).flatmap(lambda columns: st.lists(st.tuples(*[st.integers(0, 4)] * columns), max_size=25))


def slow_front(values: list[tuple[int, ...]]) -> list[bool]:
    """Whether no other point is at least as good in all columns and better in one."""
    return [
        not any(all(a <= b for a, b in zip(other, one, strict=True)) and other != one for other in values)
        for one in values
    ]


@examples(300)
@given(points)
def test_the_front_is_what_nothing_beats(values: list[tuple[int, ...]]) -> None:
    array = np.array(values, np.float64).reshape(len(values), -1 if values else 1)
    assert on_front(array).tolist() == slow_front(values)


def test_rows_without_a_value_are_not_on_the_front() -> None:
    rows = [
        made_row("resnet50", "edge", batch, "ours", latency_cycles=latency, energy_pj=energy)
        for batch, latency, energy in ((1, 5, 5.0), (4, 6, 6.0), (16, 4, 9.0))
    ]
    rows.append(made_row("resnet50", "edge", 64, "ours"))
    found = front_keys(rows, ("latency_cycles", "energy_pj"))
    assert found == {rows[0]["key"], rows[2]["key"]}


def test_the_cost_of_cocco() -> None:
    row = made_row("resnet50", "edge", 1, "ours", latency_cycles=5, energy_pj=1e9)
    assert buffer_energy_cost(row) == 8 * 2**20 + 2.4e6
    assert buffer_energy_cost(row, 0.0005) == 8 * 2**20 + 5e5
    assert buffer_energy_cost(made_row("resnet50", "edge", 1, "ours")) is None
