"""Kernels as Python calls them."""

import numpy as np
import pytest

from soma_cp.model.arrays import IntArray
from soma_cp.model.compiled import calls_alike, in_place


@in_place
def add_up(numbers: tuple[IntArray, IntArray], weight: int) -> int:
    total = 0
    for part in numbers:
        for n in range(len(part)):
            total += weight * part[n]
    return total


def test_calls_alike_return_what_the_kernel_returns_and_look_at_types_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(add_up.kernel)  # type: ignore[attr-defined]  # of what the decorator makes
    looked_at: list[object] = []
    find_type = kind.typeof_pyval
    monkeypatch.setattr(kind, "typeof_pyval", lambda own, value: looked_at.append(value) or find_type(own, value))
    given = [(np.arange(size), np.ones(size, np.int64)) for size in (3, 0, 5)]
    call = calls_alike(add_up)
    found = [call(numbers, 2) for numbers in given]
    assert len(looked_at) == 2
    assert found == [add_up(numbers, 2) for numbers in given] == [12, 0, 30]
