"""Sizes and bandwidths as people write them."""

from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import given

from soma_cp.model.hardware.quantities import bandwidth_of, bytes_of, hertz_of, picojoules_of, picojoules_per_byte_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4MiB", 4 << 20),
        (" 4 MiB ", 4 << 20),
        ("1.5KiB", 1536),
        ("2GiB", 2 << 30),
        ("4MB", 4_000_000),
        ("3kB", 3000),
        ("7B", 7),
        ("8388608", 8388608),
        ("0.5B", None),
        ("0.3KiB", None),
        ("4mib", None),
        ("4MB/s", None),
        ("-4MiB", None),
        ("1e6", None),
        ("٤MiB", None),
        ("MiB", None),
        ("", None),
        ("9" * 50, None),
    ],
)
def test_sizes(text: str, expected: int | None) -> None:
    assert bytes_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("32GB/s", 32),
        ("32 GB/s", 32),
        ("32B/cycle", 32),
        ("1.5kB/cycle", 1500),
        ("32", 32),
        ("500MB/s", Fraction(1, 2)),
        ("16000MB/s", 16),
        ("25.6GB/s", Fraction(128, 5)),
        ("1GiB/s", Fraction(1073741824, 10**9).limit_denominator(1000)),
        ("32GB", None),
        ("32Gb/s", None),
        ("", None),
    ],
)
def test_bandwidths(text: str, expected: Fraction | None) -> None:
    bandwidth = bandwidth_of(text)
    assert (None if bandwidth is None else bandwidth.per_cycle(10**9)) == expected


def test_only_what_is_written_per_second_changes_with_the_clock() -> None:
    for text, expected in (("16GB/s", 20), ("16B/cycle", 16), ("16", 16), ("25.6 GB/s", 32)):
        bandwidth = bandwidth_of(text)
        assert bandwidth is not None
        assert bandwidth.per_cycle(800_000_000) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1GHz", 10**9), ("1.2 GHz", 1_200_000_000), ("940MHz", 940_000_000), ("1000", None), ("0.5Hz", None)],
)
def test_frequencies(text: str, expected: int | None) -> None:
    assert hertz_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.018 pJ", 0.018), ("18fJ", 0.018), ("1nJ", 1000), ("2", 2), ("2pJ/B", None), ("2 J", None)],
)
def test_energies(text: str, expected: float | None) -> None:
    assert picojoules_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("84 pJ/B", 84), ("10.5pJ/bit", 84), ("1fJ/bit", 0.008), ("2", 2), ("2pJ", None), ("2pJ/byte", None)],
)
def test_energies_of_a_byte(text: str, expected: float | None) -> None:
    assert picojoules_per_byte_of(text) == expected


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for parse in (bytes_of, hertz_of, picojoules_of, picojoules_per_byte_of):
        value = parse(text)
        assert value is None or value >= 0
    bandwidth = bandwidth_of(text)
    assert bandwidth is None or bandwidth.bytes >= 0
