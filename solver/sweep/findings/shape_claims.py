"""The paper's claims about shapes: how figures grow, which cells of a surface are the fastest.

The paper gives no figures for these. What is held against them is fixed here, before any run (docs/sweeps.md#claims).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from string import ascii_lowercase

from soma_cp.solver.sweep.findings.cases import BATCHES, FAMILIES, Case, Cases, family_cases
from soma_cp.solver.sweep.findings.claims import Answer, Verdict
from soma_cp.solver.sweep.findings.ratios import mean_over, percent_of, speedup
from soma_cp.solver.sweep.findings.surface import Surface, envelope, printed, shared_exponent

FIG7_NETWORKS = {"resnet50": "ResNet-50", "gpt2-small-prefill": "GPT-2-Small prefill"}
FIG7_BATCHES = (1, 4, 16)
FIG7_CELLS = 28
HARDLY = 0.25
"""A buffer that hardly counts brings at most this share of what bandwidth brings, for each doubling."""
DECODE = "GPT-2 decode"


def decode_claims(cases: Cases) -> list[Verdict]:
    """Return claim 11: decode gains least, and its utilization grows less and less with the batch."""
    names = ("Small", "XL")
    grown = [_growth(cases, net, hw, name) for (net, hw), name in zip(FAMILIES[DECODE], names, strict=True)]
    return [_gains_least(cases), *grown]


def _gains_least(cases: Cases) -> Verdict:
    gain = speedup("paper-2", "cocco")
    means = {name: mean_over(cases, family_cases(name), gain) for name in FAMILIES}
    count = sum(mean.cases for mean in means.values())
    least = min(FAMILIES, key=lambda name: means[name].arithmetic if means[name].cases else math.inf)
    ours = f"{means[DECODE].arithmetic:.2f}×, least: {least}" if means[DECODE].cases else ""
    return _verdict(
        "11a",
        "decode gains least of all families",
        ours,
        count,
        len(family_cases()),
        least == DECODE,
        f"{least} gains less",
    )


def _growth(cases: Cases, net: str, hw: str, name: str) -> Verdict:
    """Return whether each step to a larger batch raises utilization, by less than the step before."""
    of = percent_of("paper-2", lambda row: row["utilization"])
    values = [of(cases.get(Case(net, hw, batch), {})) for batch in BATCHES]
    known = [value for value in values if value is not None]
    steps = [after / before for before, after in pairwise(known)]
    holds = all(step > 1 for step in steps) and all(one > other for one, other in pairwise(steps))
    letter = "b" if name == "Small" else "c"
    text = f"decode, {name}: four times the batch raises utilization less and less"
    complete = len(known) == len(values)
    ours = ", ".join(f"{step:.2f}×" for step in steps) if complete else ""
    return _verdict(
        f"11{letter}", text, ours, len(known), len(values), holds, "a step is no smaller than the one before"
    )


def fig7_claims(surfaces: Mapping[Case, Sequence[Surface]]) -> list[Verdict]:
    """Return the claims about Fig. 7."""
    maps = {(case, one.method): one for case, found in surfaces.items() for one in found}
    claims: list[Verdict] = []
    for net, name in FIG7_NETWORKS.items():
        ours = {batch: maps.get((Case(net, "edge", batch), "paper-2")) for batch in FIG7_BATCHES}
        cocco = {batch: maps.get((Case(net, "edge", batch), "cocco")) for batch in FIG7_BATCHES}
        claims.append(_bandwidth_counts(name, ours[1]))
        claims.append(_buffer_counts_more(name, ours))
        claims += [_triangle(name, batch, ours[batch], cocco[batch]) for batch in FIG7_BATCHES]
    return [replace(claim, number=f"F7{letter}") for claim, letter in zip(claims, ascii_lowercase, strict=False)]


def _bandwidth_counts(name: str, surface: Surface | None) -> Verdict:
    text = f"Fig. 7, {name}, batch 1: latency falls with bandwidth and hardly with the buffer"
    if surface is None:
        return _verdict("", text, "", 0, FIG7_CELLS, holds=False)
    bandwidth, buffer = surface.gain_of_bandwidth, surface.gain_of_buffer
    ours = f"each doubling of bandwidth {bandwidth:.2f}×, of the buffer {buffer:.2f}×"
    holds = bandwidth > 1 and buffer - 1 <= HARDLY * (bandwidth - 1)
    why = f"the buffer brings more than {HARDLY:.0%} of what bandwidth brings"
    return _verdict("", text, ours, _cells(surface), FIG7_CELLS, holds, why)


def _buffer_counts_more(name: str, ours: Mapping[int, Surface | None]) -> Verdict:
    text = f"Fig. 7, {name}: the larger the batch, the more the buffer counts"
    known = [one for one in ours.values() if one is not None]
    gains = [one.gain_of_buffer for one in known]
    shown = ", ".join(f"{gain:.2f}×" for gain in gains)
    holds = all(one < other for one, other in pairwise(gains))
    wanted = len(ours) * FIG7_CELLS
    complete = len(known) == len(ours)
    text_ours = f"each doubling of the buffer {shown}" if complete else ""
    why = "the gain does not rise with each batch"
    return _verdict("", text, text_ours, sum(_cells(one) for one in known), wanted, holds, why)


def _triangle(name: str, batch: int, ours: Surface | None, cocco: Surface | None) -> Verdict:
    text = f"Fig. 7, {name}, batch {batch}: the fastest cells of Ours form a lower triangle, those of Cocco do not"
    if ours is None or cocco is None:
        return _verdict("", text, "", 0, 2 * FIG7_CELLS, holds=False)
    exponent = shared_exponent([cocco, ours])
    parts = [
        f"{label}: {int(envelope(printed(one, exponent)).sum())} cells, within 1 % from {_bandwidths(one)} GB/s"
        for label, one in (("Ours", ours), ("Cocco", cocco))
    ]
    holds = ours.is_triangle and not cocco.is_triangle
    why = "those of Cocco form one, too" if ours.is_triangle else "those of Ours form none"
    return _verdict("", text, "; ".join(parts), _cells(ours) + _cells(cocco), 2 * FIG7_CELLS, holds, why)


def _bandwidths(surface: Surface) -> str:
    return ", ".join("–" if math.isinf(one) else f"{one / 1e9:g}" for one in surface.least_bandwidths)


def _cells(surface: Surface) -> int:
    """Return how many cells are known: a latency, or that there is none."""
    return int(surface.known.sum())


def _verdict(number: str, text: str, ours: str, count: int, wanted: int, holds: bool, why_not: str = "") -> Verdict:
    """Return a row of the table; `why_not` says what differs if the claim does not hold."""
    answer = Answer.UNKNOWN if count < wanted else Answer.MET if holds else Answer.NOT_MET
    lacking = f"{wanted - count:,} of {wanted:,} lack a schedule"
    why = {Answer.UNKNOWN: lacking, Answer.MET: "", Answer.NOT_MET: why_not}[answer]
    return Verdict(
        number=number,
        text=text,
        paper="the shape",
        ours=ours,
        geometric="",
        cases=count,
        wanted=wanted,
        tolerance="none",
        answer=answer,
        why=why,
    )
