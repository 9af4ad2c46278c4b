"""Sizes and bandwidths as people write them."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from soma_cp.model.quantities import bytes_of, bytes_per_cycle_of


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
        ("500MB/s", None),
        ("16000MB/s", 16),
        ("1.5GB/s", None),
        ("32GB", None),
        ("32GiB/s", None),
        ("32Gb/s", None),
    ],
)
def test_bandwidths(text: str, expected: int | None) -> None:
    assert bytes_per_cycle_of(text) == expected


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for parse in (bytes_of, bytes_per_cycle_of):
        value = parse(text)
        assert value is None or value >= 0
