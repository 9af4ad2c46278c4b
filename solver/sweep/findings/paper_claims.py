"""The claims of the SoMa paper (HPCA 2025, Sec. III, VI, VII), in its order; docs/sweeps.md#claims explains them."""

from collections.abc import Iterable, Sequence

from soma_cp.solver.sweep.findings.cases import BATCHES, FAMILIES, Case, cases_of, family_cases
from soma_cp.solver.sweep.findings.claims import Kind, MeanClaim, Verdict
from soma_cp.solver.sweep.findings.ratios import Quantity, bound_share, percent_of, ratio, speedup, value_of
from soma_cp.solver.sweep.findings.shape_claims import decode_claims, fig7_claims
from soma_cp.solver.sweep.findings.surface import surfaces_of
from soma_cp.solver.sweep.rows import Row

COCCO, FIRST, SECOND = "cocco", "paper-1", "paper-2"
ALL = family_cases()
RESNET_EDGE = tuple(case for case in family_cases("ResNet-50") if case.hw == "edge")

# Why a figure may differ from the paper's.
RULE = "the baseline's rule for tiling numbers is not published"
BASELINE = f"{RULE}, and decides this figure"
SEARCH = "another draw of the same search; the published program's search with several threads differs, too"
WHICH = "the paper does not say which Transformer-Large it is"
WHERE = "the paper does not say which cases its average is over; these are those on edge"


def _means(kind: Kind, cases: tuple[Case, ...], *rows: tuple[str, str, float, Quantity, str]) -> list[MeanClaim]:
    """Return claims of one kind over the same cases, of number, text, the paper's figure, quantity and reason."""
    return [
        MeanClaim(number, text, kind, paper, quantity, cases, reason) for number, text, paper, quantity, reason in rows
    ]


def _of_families(number: str, part: str, kind: Kind, quantity: Quantity, figures: Sequence[float]) -> list[MeanClaim]:
    """Return a claim for each family."""
    return [
        MeanClaim(
            f"{number}{letter}",
            f"{name}: {part}, Ours_2 over Cocco",
            kind,
            paper,
            quantity,
            family_cases(name),
            BASELINE,
        )
        for letter, name, paper in zip("abcdef", FAMILIES, figures, strict=True)
    ]


def _of_decode(letters: str, net: str, hw: str, name: str, figures: Sequence[float]) -> list[MeanClaim]:
    """Return a claim for each batch of a decode network."""
    quantity = percent_of(SECOND, lambda row: row["utilization"])
    return [
        MeanClaim(
            f"10{letter}",
            f"decode utilization, {name}, batch {batch}",
            Kind.UTILIZATION,
            paper,
            quantity,
            (Case(net, hw, batch),),
            SEARCH,
        )
        for letter, batch, paper in zip(letters, BATCHES, figures, strict=True)
    ]


def _busy(letters: str, net: str, name: str, reason: str, dram: float, compute: float) -> list[MeanClaim]:
    """Return the claims about Fig. 3c or 3d."""
    return _means(
        Kind.SHARE,
        (Case(net, "edge", 1),),
        (
            f"12{letters[0]}",
            f"DRAM busy under Cocco, {name}",
            dram,
            percent_of(COCCO, lambda row: row["dram_cycles"] / row["latency_cycles"]),
            reason,
        ),
        (
            f"12{letters[1]}",
            f"compute busy under Cocco, {name}",
            compute,
            percent_of(COCCO, lambda row: row["tile_cycles"] / row["latency_cycles"]),
            reason,
        ),
    )


MEANS: tuple[MeanClaim, ...] = (
    *_means(Kind.RATIO, ALL, ("1a", "performance, Ours_2 over Cocco", 2.11, speedup(SECOND, COCCO), BASELINE)),
    *_means(
        Kind.REDUCTION, ALL, ("1b", "energy, Ours_2 over Cocco", 37.3, ratio(SECOND, COCCO, "energy_pj"), BASELINE)
    ),
    *_means(Kind.RATIO, ALL, ("2a", "performance, Ours_1 over Cocco", 1.82, speedup(FIRST, COCCO), BASELINE)),
    *_means(Kind.REDUCTION, ALL, ("2b", "energy, Ours_1 over Cocco", 37.3, ratio(FIRST, COCCO, "energy_pj"), BASELINE)),
    *_means(Kind.RATIO, ALL, ("3", "performance, Ours_2 over Ours_1", 1.16, speedup(SECOND, FIRST), SEARCH)),
    *_means(Kind.DISTANCE, ALL, ("4", "distance of Ours_2 to its diamond", 3.1, bound_share(SECOND), SEARCH)),
    *_of_families("5", "performance", Kind.RATIO, speedup(SECOND, COCCO), (2.15, 2.18, 2.01, 2.61, 2.55, 1.14)),
    *_of_families(
        "6", "energy", Kind.REDUCTION, ratio(SECOND, COCCO, "energy_pj"), (39.5, 41.0, 46.0, 47.1, 47.0, 3.1)
    ),
    *_means(
        Kind.REDUCTION,
        ALL,
        ("7a", "energy of the core array, Ours_1 over Cocco", 34.8, ratio(FIRST, COCCO, "core_energy_pj"), BASELINE),
        ("7b", "energy of DRAM, Ours_1 over Cocco", 44.3, ratio(FIRST, COCCO, "dram_energy_pj"), BASELINE),
    ),
    *_means(
        Kind.COUNT,
        ALL,
        ("8a", "tiles per network, Cocco", 7962, value_of(COCCO, "tiles"), RULE),
        ("8b", "tiles per network, Ours", 751, value_of(FIRST, "tiles"), SEARCH),
        ("9a", "LGs per network, Cocco", 13.0, value_of(COCCO, "lgs"), RULE),
        ("9b", "LGs per network, Ours", 2.5, value_of(FIRST, "lgs"), SEARCH),
        ("9c", "FLGs per network, Ours", 3.9, value_of(FIRST, "flgs"), SEARCH),
    ),
    *_of_decode("abcd", "gpt2-small-decode", "edge", "Small", (0.66, 2.03, 4.26, 5.84)),
    *_of_decode("efgh", "gpt2-xl-decode", "cloud", "XL", (0.60, 1.90, 4.13, 5.83)),
    *_busy("ab", "resnet50", "ResNet-50, edge, batch 1", RULE, 52.69, 62.64),
    *_busy("cd", "transformer-big-cell", "Transformer-Large, edge, batch 1", WHICH, 72.45, 45.84),
    *_means(
        Kind.RATIO,
        RESNET_EDGE,
        ("13a", "ResNet-50: performance, Ours_1 over Cocco", 1.57, speedup(FIRST, COCCO), WHERE),
    ),
    *_means(
        Kind.REDUCTION,
        RESNET_EDGE,
        ("13b", "ResNet-50: energy, Ours_1 over Cocco", 36.1, ratio(FIRST, COCCO, "energy_pj"), WHERE),
    ),
    *_means(
        Kind.RATIO,
        RESNET_EDGE,
        ("13c", "ResNet-50: performance, Ours_2 over Ours_1", 1.25, speedup(SECOND, FIRST), WHERE),
        ("13d", "ResNet-50: performance, Ours_2 over Cocco", 1.96, speedup(SECOND, COCCO), WHERE),
    ),
)
"""Claims 1 to 10, 12 and 13."""


def verdicts(rows: Iterable[Row]) -> list[Verdict]:
    """Return the claims table of a sweep's rows."""
    listed = list(rows)
    cases, surfaces = cases_of(listed), surfaces_of(listed)
    means = [claim.judge(cases) for claim in MEANS]
    last = next(place for place, claim in enumerate(MEANS) if claim.number == "12a")
    return [*means[:last], *decode_claims(cases), *means[last:], *fig7_claims(surfaces)]
