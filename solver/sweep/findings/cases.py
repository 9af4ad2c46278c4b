"""Cases: what the paper compares methods on; of the rows of a store, those that are a network on a platform as it is.

Rows of other tokens, blocks, data types or objectives are no case of the paper, nor are those of another buffer or
bandwidth, which are points of a surface.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import built_in, builtin_names
from soma_cp.solver.sweep.methods import ALONE, OURS
from soma_cp.solver.sweep.rows import COLUMNS, USUAL_RULE, Row, has_usual_rule


class Case(NamedTuple):
    """A network on a platform, and how many samples run together."""

    net: str
    hw: str
    batch: int


class Rule(NamedTuple):
    """A rule of tiling numbers, as rows name it."""

    tiling: str
    uncapped: bool


ByMethod = Mapping[str, Row]
"""Rows by method."""
Cases = Mapping[Case, ByMethod]

BATCHES = (1, 4, 16, 64)
FAMILIES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "ResNet-50": (("resnet50", "edge"), ("resnet50", "cloud")),
    "ResNet-101": (("resnet101", "edge"), ("resnet101", "cloud")),
    "Inception-ResNet": (("inception-resnet-v1", "edge"), ("inception-resnet-v1", "cloud")),
    "RandWire": (("randwire-small", "edge"), ("randwire-small", "cloud")),
    "GPT-2 prefill": (("gpt2-small-prefill", "edge"), ("gpt2-xl-prefill", "cloud")),
    "GPT-2 decode": (("gpt2-small-decode", "edge"), ("gpt2-xl-decode", "cloud")),
}
"""Networks and platforms of Fig. 6 by the paper's names of families; each runs with every batch of `BATCHES`."""


def family_cases(*families: str) -> tuple[Case, ...]:
    """Return the cases of families of Fig. 6; of all 48 without a name."""
    names = families or tuple(FAMILIES)
    return tuple(Case(net, hw, batch) for name in names for net, hw in FAMILIES[name] for batch in BATCHES)


class Chosen(NamedTuple):
    """Rows of a kind, and how many others there are that differ in their limits alone."""

    rows: list[Row]
    left_out: int


def as_in_paper(rows: Iterable[Row]) -> Chosen:
    """Return the rows that have what the paper has: its tokens, one block, INT8, energy × delay.

    Rows of one report must have the same limits: those of the largest effort are taken, and among them those without a
    limit in time. Of a method with a rule of tiling numbers, those of the usual one are taken.
    """
    return _with_most_rounds(row for row in rows if has_usual_rule(row))


def _with_most_rounds(rows: Iterable[Row]) -> Chosen:
    plain = [
        row
        for row in rows
        if _has_usual_tokens(row)
        and row["blocks"] == 1
        and not row["types"]
        and row["energy_exponent"] == row["delay_exponent"] == 1
        and row["hw"] in PLATFORMS
    ]
    if not plain:
        return Chosen([], 0)
    limits = max((row["effort"], row["limit_s"] is None, row["limit_s"] or 0.0) for row in plain)
    alike = [row for row in plain if (row["effort"], row["limit_s"] is None, row["limit_s"] or 0.0) == limits]
    return Chosen(alike, len(plain) - len(alike))


def _has_usual_tokens(row: Row) -> bool:
    return row["seq"] is None or (row["net"] in builtin_names() and row["seq"] == built_in(row["net"]).tokens)


def cases_of(rows: Iterable[Row]) -> dict[Case, dict[str, Row]]:
    """Return rows by case and method, in their order; of several seeds the `middle` one."""
    return _by_case(as_in_paper(rows).rows)


def cases_by_rule(rows: Iterable[Row]) -> dict[Rule, Cases]:
    """Return the cases for each rule of tiling numbers of which there are any; methods without one stand in all."""
    listed = _with_most_rounds(rows).rows
    order = list(TilingRule)
    ruled = {Rule(row["tiling"], row["uncapped"]) for row in listed if row["tiling"] is not None}
    return {
        rule: _by_case(row for row in listed if row["tiling"] is None or Rule(row["tiling"], row["uncapped"]) == rule)
        for rule in sorted(ruled, key=lambda rule: (rule.uncapped, order.index(TilingRule(rule.tiling))))
    }


def _by_case(rows: Iterable[Row]) -> dict[Case, dict[str, Row]]:
    found: dict[Case, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        platform = PLATFORMS[row["hw"]]
        own = row["buffer_bytes"] == platform.gbuf_bytes and row["dram_bytes_per_s"] == platform.dram_bytes_per_second
        if own:
            found[Case(row["net"], row["hw"], row["batch"])][row["method"]].append(row)
    return {case: {method: middle(seeds) for method, seeds in methods.items()} for case, methods in found.items()}


def middle(rows: Sequence[Row]) -> Row:
    """Return the row of median cost, of two the cheaper one; without any schedule the first row."""
    done = sorted((row for row in rows if row["cost"] is not None), key=lambda row: (row["cost"], row["key"]))
    return done[(len(done) - 1) // 2] if done else rows[0]


def newest(rows: Iterable[Row]) -> list[Row]:
    """Return the row that was made last of each point and method: a store keeps those of former versions, too.

    Rows of `ours-alone`, of which `ours` is made, are left out where there are any of `ours`.
    """
    axes = [column.name for column in COLUMNS if column.is_axis]
    found: dict[tuple[Any, ...], Row] = {}
    for row in sorted(rows, key=lambda row: (row["date"] or "", row["key"])):
        found[(row["method"], *(row[name] for name in (*axes, *USUAL_RULE)))] = row
    methods = {row["method"] for row in found.values()}
    return [row for row in found.values() if row["method"] != ALONE or OURS not in methods]


def has_schedule(row: Mapping[str, Any] | None) -> bool:
    """Whether there is a row, and a schedule behind it."""
    return row is not None and row["latency_cycles"] is not None
