"""Cases: which rows are one, and which row of several stands for it."""

from support.sweep_rows import made_row

from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.artifact import artifact_rows
from soma_cp.solver.sweep.findings.cases import Case, as_in_paper, cases_of, middle, newest
from soma_cp.solver.sweep.findings.tables import ratio_table

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
