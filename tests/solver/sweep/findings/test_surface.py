"""Surfaces: what each cell is, gains worked out by hand, the envelope of what is printed."""

import math
from typing import Any

import numpy as np
import pytest
from support.sweep_rows import made_row

from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.findings.cases import Case
from soma_cp.solver.sweep.findings.surface import Surface, envelope, printed, shared_exponent, surfaces_of
from soma_cp.solver.sweep.findings.tables import artifact_times, surface_table

NAN = math.nan


def rows_of(latencies: dict[tuple[int, int], int | None], method: str = "paper-2", net: str = "resnet50") -> list[Any]:
    """Return rows by GB/s and MiB; None is infeasible."""
    return [
        made_row(
            net,
            "edge",
            1,
            method,
            buffer_bytes=size * MIB,
            dram_bytes_per_s=bandwidth * 1e9,
            **({} if latency is None else {"latency_cycles": latency}),
        )
        for (bandwidth, size), latency in latencies.items()
    ]


def surface_of(latencies: dict[tuple[int, int], int | None]) -> Surface:
    (found,) = surfaces_of(rows_of(latencies))[Case("resnet50", "edge", 1)]
    return found


def test_cells() -> None:
    """Four bandwidths' steps would be two of four: 2 to 8 GB/s is two doublings, each of them √(80/20) = 2."""
    found = surface_of({(2, 4): 80, (2, 8): 60, (8, 4): 20, (8, 8): None})
    np.testing.assert_equal(found.latency_ns, [[80, 60], [20, NAN]])
    np.testing.assert_equal(found.infeasible, [[False, False], [False, True]])
    assert found.known.all()
    assert found.gain_of_bandwidth == pytest.approx(2)
    assert found.gain_of_buffer == pytest.approx(80 / 60)
    assert found.least_bandwidths == (8e9, math.inf)


def test_a_missing_cell_is_not_known() -> None:
    found = surface_of({(2, 4): 80, (2, 8): 60, (8, 4): 20})
    np.testing.assert_equal(found.known, [[True, True], [True, False]])
    assert not found.infeasible.any()


def test_latencies_are_of_the_whole_model() -> None:
    rows = rows_of({(2, 4): 5, (2, 8): 5, (4, 4): 5, (4, 8): 5}, net="gpt2-small-prefill")
    (found,) = surfaces_of(rows)[Case("gpt2-small-prefill", "edge", 1)]
    assert (found.latency_ns == 60).all()


def test_no_surface_without_two_of_each() -> None:
    assert surfaces_of(rows_of({(2, 4): 5, (2, 8): 5})) == {}


def test_triangles() -> None:
    lower = {(2, 4): 90, (2, 8): 90, (4, 4): 90, (4, 8): 10, (8, 4): 10, (8, 8): 10}
    assert surface_of(lower).is_triangle
    assert not surface_of(lower | {(4, 8): 90}).is_triangle  # a rectangle
    assert not surface_of(lower | {(4, 8): 90, (8, 8): 90}).is_triangle  # the larger buffer never gets there


def test_the_envelope_is_of_what_is_printed() -> None:
    """1,234,000 and 1,226,000 are both printed 1.23; the largest of both maps, 9,990,000, gives the power."""
    found = surface_of({(2, 4): 9_990_000, (2, 8): 1_240_100, (4, 4): 1_234_000, (4, 8): 1_226_000})
    assert shared_exponent([found]) == 6
    values = printed(found, 6)
    np.testing.assert_equal(values, [[9.99, 1.24], [1.23, 1.23]])
    np.testing.assert_equal(envelope(values), [[False, False], [True, True]])
    assert not envelope(np.full((2, 2), NAN)).any()


def test_tables() -> None:
    latencies = {(2, 4): 80, (2, 8): 60, (8, 4): 20, (8, 8): None}
    surfaces = surfaces_of([*rows_of(latencies), *rows_of(latencies, "paper-1"), *rows_of(latencies, "cocco")])
    table = artifact_times(surfaces)
    assert [
        (row["baseline_type"], row["buffer_size"], row["dram_bandwidth"], row["s2_real_time"]) for row in table
    ] == [
        (kind, size, bandwidth, time)
        for kind in ("baseline", "ours")
        for size, bandwidth, time in ((4, 2, 80), (4, 8, 20), (8, 2, 60))
    ]
    assert list(table[0]) == (
        ["network", "baseline_type", "buffer_size", "batch_size", "dram_bandwidth", "s1_real_time", "s2_real_time"]
    )
    numbers = surface_table(surfaces)[0]
    assert (numbers["cells"], numbers["envelope_cells"], numbers["is_triangle"]) == (4, 1, False)
    assert (numbers["least_gb_per_s_at_4_mib"], numbers["least_gb_per_s_at_8_mib"]) == (8, None)
