"""Tables of a sweep: ratios of methods by family, surfaces in numbers, and Fig. 7 in the published script's columns."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.findings.cases import FAMILIES, Case, Cases, Rule, family_cases
from soma_cp.solver.sweep.findings.ratios import mean_over, ratio, speedup, value_of
from soma_cp.solver.sweep.findings.surface import Cell, Surface, envelope, printed, shared_exponent

Table = list[dict[str, Any]]
"""Rows with the same keys."""

PAIRS = (
    ("paper-2", "cocco"),
    ("paper-1", "cocco"),
    ("paper-2", "paper-1"),
    ("ours", "cocco"),
    ("ours", "paper-2"),
    ("cocco-exact", "cocco"),
)
"""Methods that are compared, and what with."""
RULE_PAIRS = tuple((new, old) for old in ("cocco", "cocco-exact") for new in ("paper-2", "ours"))
"""Methods that are held against those with a rule of tiling numbers."""
EVERY = "all"
_STAGES = {"baseline": ("cocco", "cocco"), "ours": ("paper-1", "paper-2")}


def ratio_table(cases: Cases) -> Table:
    """Return, for each pair of methods and each family, means over the cases that have both: how many times as fast,
    and by how many percent the energy falls."""
    groups = {name: family_cases(name) for name in FAMILIES} | {EVERY: tuple(cases)}
    found = []
    for new, old in PAIRS:
        for name, over in groups.items():
            means = _means(cases, over, new, old)
            if means["cases"]:
                found.append({"method": new, "over": old, "networks": name, **means})
    return found


def tiling_table(by_rule: Mapping[Rule, Cases]) -> Table:
    """Return the sensitivity to the rule of tiling numbers: ratios as in `ratio_table`, for each rule.

    Of each pair of methods and rule, means are over the cases that have both; LGs and tiles are means of the method
    with the rule over these cases. The table is empty if there are not two rules.
    """
    found = []
    for new, old in RULE_PAIRS if len(by_rule) > 1 else ():
        for rule, cases in by_rule.items():
            both = [case for case, methods in cases.items() if speedup(new, old)(methods) is not None]
            if both:
                counts = {name: mean_over(cases, both, value_of(old, name)).arithmetic for name in ("lgs", "tiles")}
                means = _means(cases, both, new, old)
                found.append({"method": new, "over": old, **rule._asdict(), **means, **counts})
    return found


def _means(cases: Cases, over: Iterable[Case], new: str, old: str) -> dict[str, Any]:
    listed = list(over)
    faster = mean_over(cases, listed, speedup(new, old))
    energy = mean_over(cases, listed, ratio(new, old, "energy_pj"))
    return {
        "cases": faster.cases,
        "speedup_arithmetic": faster.arithmetic,
        "speedup_geometric": faster.geometric,
        "energy_saved_percent_arithmetic": 100 * (1 - energy.arithmetic),
        "energy_saved_percent_geometric": 100 * (1 - energy.geometric),
    }


def surface_table(surfaces: Mapping[Case, Sequence[Surface]]) -> Table:
    """Return what each map of Fig. 7 says, in numbers; None where a buffer never comes near the least latency."""
    found = []
    for case, methods in surfaces.items():
        exponent = shared_exponent(methods)
        for one in methods:
            least = {
                f"least_gb_per_s_at_{size / MIB:g}_mib": None if math.isinf(bandwidth) else bandwidth / 1e9
                for size, bandwidth in zip(one.buffers, one.least_bandwidths, strict=True)
            }
            found.append(
                {
                    "network": case.net,
                    "hw": case.hw,
                    "batch": case.batch,
                    "method": one.method,
                    "cells": int(one.known.sum()),
                    "speedup_per_doubling_of_bandwidth": one.gain_of_bandwidth,
                    "speedup_per_doubling_of_buffer": one.gain_of_buffer,
                    "envelope_cells": int(envelope(printed(one, exponent)).sum()),
                    "is_triangle": one.is_triangle,
                    **least,
                }
            )
    return with_same_keys(found)


def artifact_times(surfaces: Mapping[Case, Sequence[Surface]]) -> Table:
    """Return Fig. 7 in the columns of the published script: MiB, GB/s, ns of what is scheduled (of GPT-2 a block)."""
    found = []
    for case, methods in surfaces.items():
        maps = {one.method: one for one in methods}
        for kind, (first, second) in _STAGES.items():
            if first in maps and second in maps:
                found += _times(case, kind, maps[first], maps[second])
    return found


def _times(case: Case, kind: str, first: Surface, second: Surface) -> Table:
    cells = [Cell(bandwidth, size) for size in first.buffers for bandwidth in first.bandwidths]
    found = []
    for cell in cells:
        times = [one.cells[cell]["latency_ns"] if cell in one.cells else None for one in (first, second)]
        if None not in times:
            found.append(
                {
                    "network": case.net,
                    "baseline_type": kind,
                    "buffer_size": cell.buffer_bytes / MIB,
                    "batch_size": case.batch,
                    "dram_bandwidth": cell.dram_bytes_per_s / 1e9,
                    "s1_real_time": times[0],
                    "s2_real_time": times[1],
                }
            )
    return found


def with_same_keys(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return rows that all have the keys of any; None where a row lacks one."""
    listed = list(rows)
    keys = dict.fromkeys(key for row in listed for key in row)
    return [{key: row.get(key) for key in keys} for row in listed]
