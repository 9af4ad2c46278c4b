"""Cases: which rows are one, and which row of several stands for it."""

import pytest
from support.sweep_rows import made_row
from support.sweep_store import ruled_rows

from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.artifact import artifact_rows
from soma_cp.solver.sweep.findings.cases import (
    Case,
    Rule,
    as_in_paper,
    cases_by_rule,
    cases_of,
    middle,
    newest,
)
from soma_cp.solver.sweep.findings.tables import ratio_table, tiling_table
from soma_cp.solver.sweep.marks import beaten_by
from soma_cp.solver.sweep.rows import sorted_rows

CASE = ("resnet50", "edge", 1)


def test_points_of_other_hardware_or_objectives_are_no_cases() -> None:
    own = made_row(*CASE, "ours", latency_cycles=5)
    others = [
        made_row(*CASE, "ours", latency_cycles=4, **values)
        for values in (
            {"buffer_bytes": 4 * MIB},
            {"dram_bytes_per_s": 8e9},
            {"seq": 64},
            {"blocks": 2},
            {"types": "INT4 weights"},
            {"delay_exponent": 2.0},
        )
    ]
    others.append({**own, "hw": "mine"})
    assert cases_of([*others, own]) == {Case(*CASE): {"ours": own}}


def test_rows_with_other_limits_are_left_out() -> None:
    quick = made_row(*CASE, "ours", latency_cycles=4, effort=0.1)
    timed = made_row(*CASE, "ours", latency_cycles=4, limit_s=9.0)
    whole = made_row(*CASE, "ours", latency_cycles=5)
    assert as_in_paper([quick, timed, whole]) == ([whole], 2)


def test_of_several_seeds_the_middle_one_counts() -> None:
    seeds = [made_row(*CASE, "ours", latency_cycles=latency, seed=seed) for seed, latency in enumerate((9, 7, 8, 6))]
    none = made_row(*CASE, "ours", seed=9)
    assert middle([none, *seeds])["latency_cycles"] == 7
    assert middle([none]) is none
    assert cases_of(seeds)[Case(*CASE)]["ours"]["latency_cycles"] == 7


def test_the_newest_row_of_a_point_counts() -> None:
    old = made_row(*CASE, "ours", latency_cycles=5, date="2026-01-01")
    new = {**made_row(*CASE, "ours", latency_cycles=6, date="2026-01-02"), "key": "0"}
    other = made_row(*CASE, "cocco", latency_cycles=7, date="2025-01-01")
    assert newest([new, old, other]) == [other, new]
    alone = made_row(*CASE, "ours-alone", latency_cycles=6, date="2026-01-03")
    assert newest([new, alone]) == [new]
    assert newest([alone]) == [alone]


def test_ratios_by_family() -> None:
    """Two batches: 400/100 and 100/100: 2.5 and geometric 2; energies 1/4 and 1: 37.5 % and 50 %."""
    rows = [
        made_row("resnet50", "edge", batch, method, latency_cycles=latency, energy_pj=energy)
        for batch, method, latency, energy in (
            (1, "cocco", 400, 8.0),
            (1, "ours", 100, 2.0),
            (4, "cocco", 100, 8.0),
            (4, "ours", 100, 8.0),
        )
    ]
    family, every = ratio_table(cases_of(rows))
    assert (family["networks"], every["networks"], family["cases"]) == ("ResNet-50", "all", 2)
    assert (family["speedup_arithmetic"], family["speedup_geometric"]) == (2.5, 2)
    assert (family["energy_saved_percent_arithmetic"], family["energy_saved_percent_geometric"]) == (37.5, 50)


def test_cases_have_the_usual_rule_alone() -> None:
    rows = ruled_rows()
    assert as_in_paper(rows) == (rows[:4], 0)
    assert cases_of(reversed(rows))[Case("resnet101", "edge", 1)] == {"cocco": rows[2], "paper-2": rows[0]}
    by_rule = cases_by_rule(reversed(rows))
    assert list(by_rule) == [Rule("output", False), Rule("largest", False), Rule("output", True)]
    for rule, cocco in zip(by_rule.values(), (rows[2], rows[4], rows[6]), strict=True):
        assert rule[Case("resnet101", "edge", 1)] == {"cocco": cocco, "paper-2": rows[0]}
    assert cases_by_rule(rows[:2]) == {}


def test_ratios_by_rule_of_tiling_numbers() -> None:
    """By the usual rule 200/100 and 800/100: 5 and geometric 4; energies 2/4 and 3/12: 62.5 % and, of √⅛, 64.6 %."""
    found = tiling_table(cases_by_rule(ruled_rows()))
    assert [(row["method"], row["over"], row["tiling"], row["uncapped"], row["cases"]) for row in found] == [
        ("paper-2", "cocco", "output", False, 2),
        ("paper-2", "cocco", "largest", False, 1),
        ("paper-2", "cocco", "output", True, 1),
    ]
    assert (found[0]["speedup_arithmetic"], found[0]["speedup_geometric"]) == (5, pytest.approx(4))
    assert found[0]["energy_saved_percent_arithmetic"] == 62.5
    assert found[0]["energy_saved_percent_geometric"] == pytest.approx(100 * (1 - 0.125**0.5))
    assert [(row["lgs"], row["tiles"]) for row in found] == [(7.5, 250), (7, 150), (2, 50_000)]
    assert [row["speedup_arithmetic"] for row in found[1:]] == [3, 0.5]
    assert found[2]["energy_saved_percent_arithmetic"] == -100


def test_one_rule_makes_no_table_of_rules() -> None:
    assert tiling_table(cases_by_rule(ruled_rows()[:4])) == []


def test_rules_are_told_apart_wherever_rows_are_grouped() -> None:
    rows = ruled_rows()
    assert sorted(row["key"] for row in newest(rows)) == sorted(row["key"] for row in rows)
    assert [row["key"] for row in sorted_rows(reversed(rows), ("cocco", "paper-2"))] == [
        rows[place]["key"] for place in (2, 4, 6, 0, 3, 5, 1)
    ]
    less = made_row("resnet101", "edge", 1, "cocco", latency_cycles=150, buffer_bytes=4 * MIB, hardware_key="less")
    assert beaten_by([*rows, less]) == {rows[2]["key"]: less["key"]}
    three = [*rows, made_row("resnet101", "edge", 1, "paper-1", latency_cycles=5)]
    assert [row["s1_total_energy"] for row in artifact_rows(three) if row["baseline_type"] == "baseline"] == [4, 12]


def test_columns_of_the_published_script() -> None:
    rows = [made_row(*CASE, method, latency_cycles=5) for method in ("cocco", "paper-1", "paper-2")]
    found = artifact_rows(rows)
    assert [row["baseline_type"] for row in found] == ["baseline", "ours"]
    assert list(found[0]) == [
        "network",
        "baseline_type",
        "buffer_size",
        "batch_size",
        "dram_bw",
        "tops",
        "s1_avg_buffer_usage",
        "s2_avg_buffer_usage",
        "s1_core_energy",
        "s1_dram_energy",
        "s1_total_energy",
        "s1_real_util",
        "s2_real_util",
        "s1_ideal_util",
    ]
