"""How parts are split over rows and columns, against all divisors; large primes take few steps."""

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given
from support.twins import examples

from soma_cp.model.soma.tiling import _divisor_from, _divisor_up_to, split_rows_columns


def by_all_divisors(parts: int, rows: int, columns: int) -> tuple[int, int]:
    """Split by the definition: of the divisors next to √(parts · columns / rows), the one with the nearest ratio."""
    divisors = [d for d in range(1, parts + 1) if parts % d == 0]
    middle = math.isqrt(parts * columns // rows)
    below = max((d for d in divisors if d <= middle), default=None)
    above = min((d for d in divisors if d > middle), default=None)
    if below is None or above is None:
        columns_cut = below or above or 1
        return parts // columns_cut, columns_cut
    if abs(parts * columns - rows * below**2) * above < abs(parts * columns - rows * above**2) * below:
        return parts // below, below
    return parts // above, above


@examples(2000)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 3000))
def test_parts_are_split_as_defined(parts: int, rows: int, columns: int) -> None:
    assert split_rows_columns(parts, rows, columns) == by_all_divisors(parts, rows, columns)


@pytest.mark.parametrize("number", [1, 2, 36, 97, 210])
def test_the_nearest_divisors(number: int) -> None:
    divisors = [d for d in range(1, number + 1) if number % d == 0]
    for limit in range(1, number + 3):
        assert _divisor_up_to(number, limit) == max(d for d in divisors if d <= limit)
        assert _divisor_from(number, limit) == min((d for d in divisors if d >= limit), default=number + 1)
    assert _divisor_up_to(number, 0) == 0


class Counted(int):
    """A number that counts how often a remainder is taken of it."""

    taken = 0

    def __mod__(self, other: int) -> int:
        Counted.taken += 1
        return int(self) % other


@pytest.mark.parametrize("limit", [2, 46_000, 47_000, 2**30])
def test_a_large_prime_takes_few_steps(limit: int) -> None:
    prime = 2**31 - 1
    Counted.taken = 0
    assert _divisor_up_to.py_func(Counted(prime), limit) == 1
    assert _divisor_from.py_func(Counted(prime), limit) == prime
    assert Counted.taken < 3 * 46_341  # √2³¹
