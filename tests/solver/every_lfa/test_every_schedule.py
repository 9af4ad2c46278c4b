"""Bounds and proofs against every schedule of tiny networks: every LFA, every set of shared loads, exact DLSAs."""

import math
from dataclasses import replace
from functools import cache

import pytest
from support.brute_lfas import cheapest
from support.divided_lfas import every_division

from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.model.data_types import LayerTypes, data_type, rounded_ratio, weight_format
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Layer, PointToPoint, Pool, Transpose
from soma_cp.model.network.network import Network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.result import SecondStageResult
from soma_cp.solver.choices import Space
from soma_cp.solver.every_lfa.branch_and_bound import prove_over_every_lfa
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa
from soma_cp.solver.parameters import CpSatParameters, SolveParameters
from soma_cp.solver.second_stage.exact import solve_dlsa_exactly
from soma_cp.solver.solve import solve

OBJECTIVES = [Objective(1.0, 1.0), Objective(1.0, 0.0), Objective(0.0, 1.0), Objective(1.0, 2.0), Objective(2.0, 1.0)]
CPSAT = CpSatParameters(workers=1)


def conv(name: str, source: str = "x", C: int = 2, K: int = 2, H: int = 2, W: int = 2, **fields: int | str) -> Conv:
    where = {"inputs": (source,)} if source == "x" else {"ifmaps": (source,)}
    return Conv(name=name, C=C, K=K, H=H, W=W, **where, **fields)  # type: ignore[arg-type]


def typed(layer: Layer, ofmap: str, weights: str = "int8", ratio: float = 1) -> Layer:
    stored, kind = weight_format(weights), data_type(ofmap)
    assert stored is not None
    assert kind is not None
    return replace(layer, types=LayerTypes(kind, stored._replace(ratio=rounded_ratio(ratio))))


# By name: the shape of x, the layers, the outputs that another layer reads.
NETWORKS: dict[str, tuple[tuple[int, int, int], tuple[Layer, ...], tuple[str, ...]]] = {
    "three readers": ((2, 3, 1), (conv("q", H=3, W=1), conv("k", H=3, W=1), conv("v", H=2, W=1, R=2)), ()),
    "tied weights": (
        (2, 2, 2),
        (conv("a", weights="w"), conv("b", "a", weights="w"), PointToPoint(name="c", K=2, H=2, W=2, inputs=("x",))),
        ("a",),
    ),
    # The FLG of a and b makes and loads 1 of 4 pixels. If the loads of its tiles served u, they would be 2 of 8 bytes.
    "a consumer that skips": ((2, 2, 2), (conv("a"), conv("b", "a", H=1, W=1, sH=2, sW=2), conv("u")), ()),
    # Each of 3 tiles of 1×1 loads 1 of 4 rows, since the corner tile has a row of padding.
    "tiles in the padding": ((2, 4, 1), (conv("a", H=3, W=1, R=2, sH=2), conv("u", H=4, W=1)), ()),
    "an output that two read": (
        (1, 2, 2),
        (
            conv("a", C=1),
            Pool(name="b", K=2, H=1, W=1, R=2, S=2, ifmaps=("a",)),
            Transpose(name="c", K=2, H=4, W=1, order="C**", ifmap=(2, 2, 2), ifmaps=("a",)),
        ),
        ("a",),
    ),
    "a product of readers": (
        (2, 2, 1),
        (
            conv("q", H=2, W=1),
            Transpose(name="k", K=2, H=2, W=1, order="HCW", inputs=("x",)),
            Conv(name="p", C=2, K=2, H=2, W=1, ifmaps=("q",), weight_operands=("k",)),
            Eltwise(name="s", K=2, H=2, W=1, N=2, ifmaps=("p",), inputs=("x",)),
        ),
        ("q",),
    ),
    "compressed weights": (
        (2, 2, 1),
        (
            typed(conv("a", K=3, W=1), "fp16", "int8/4:20", 0.3),
            typed(conv("b", C=2, K=3, W=1), "int5", "fp16", 0.5),
            typed(PointToPoint(name="c", K=6, H=2, W=1, ifmaps=("a", "b")), "int4"),
        ),
        (),
    ),
}


# Layers of more than 8 channels may be divided: 8 is the granule of the platform below.
DIVISIBLE: dict[str, tuple[tuple[int, int, int], tuple[Layer, ...], tuple[str, ...]]] = {
    "two divisible layers": ((2, 1, 1), (conv("a", K=16, H=1, W=1), conv("b", "a", C=16, K=12, H=1, W=1)), ()),
    "parts of one input": ((2, 1, 1), (conv("a", K=20, H=1, W=1), conv("u", K=2, H=1, W=1)), ()),
    # Undivided, a makes 8 of its 16 channels in the FLG of s, since each operand is half of them; its parts make all.
    "operands in one ofmap": (
        (2, 2, 1),
        (conv("a", K=16, W=1), Eltwise(name="s", K=8, H=2, W=1, N=2, ifmaps=("a",))),
        (),
    ),
    # The first part may run while the second is loaded.
    "much to compute": (
        (1, 4, 1),
        (conv("a", C=1, K=16, H=4, W=1), Pool(name="p", K=16, H=1, W=1, R=4, ifmaps=("a",))),
        (),
    ),
    "a divisible output": ((2, 1, 1), (conv("a", K=12, H=1, W=1), conv("b", "a", C=12, K=10, H=1, W=1)), ("a",)),
    "packed parts": (
        (1, 1, 1),
        (
            typed(conv("a", C=1, K=19, H=1, W=1), "int3", "int3/1:5", 0.7),
            typed(conv("b", "a", C=19, K=9, H=1, W=1), "int5", "int4/7", 0.4),
        ),
        (),
    ),
    "a divisible layer that skips": ((2, 2, 1), (conv("a", K=16, W=1), conv("b", "a", C=16, K=9, H=1, W=1, sH=2)), ()),
}
NETWORKS |= DIVISIBLE


def problem_of(name: str, batch: int = 1, tight: bool = False, semantics: str = "published") -> Problem:
    shape, layers, outputs = NETWORKS[name]
    read = {source for layer in layers for source in (*layer.ifmaps, *layer.weight_operands)}
    stored = tuple(layer.name for layer in layers if layer.name in outputs or layer.name not in read)
    network = Network(name, (ExternalInput("x", shape),), layers, outputs=stored)
    platform = replace(PLATFORMS["edge"], dram_bytes_per_cycle=1, macs_per_pe=32, pe_grid=1, semantics=semantics)
    problem = Problem(network, platform, batch)
    if tight:  # the least buffer in which layers can run one by one, divided if they may be, and 2 bytes
        lfas = [
            replace(unfused_lfa(problem.divided_as(divisions).network), divisions=divisions)
            for divisions in every_division(problem, 3)
        ]
        room = min(least_peak_bytes(make_plan(problem, lfa)) for lfa in lfas) + 2
        problem = Problem(network, replace(platform, gbuf_bytes=room), batch)
    return problem


@cache
def optima(name: str, batch: int, tight: bool, semantics: str, wide: bool) -> list[float]:
    found, count = cheapest(problem_of(name, batch, tight, semantics), OBJECTIVES, wide)
    assert count > 20
    assert max(found) < math.inf
    return found


CASES = pytest.mark.parametrize(
    ("name", "batch", "tight", "semantics"),
    [
        ("three readers", 1, True, "published"),
        ("tied weights", 1, False, "published"),
        ("tied weights", 1, True, "published"),
        ("a consumer that skips", 1, False, "published"),
        ("a consumer that skips", 1, True, "published"),
        ("tiles in the padding", 1, False, "published"),
        ("tiles in the padding", 2, True, "published"),
        ("tiles in the padding", 1, True, "corrected"),
        ("an output that two read", 1, True, "published"),
        ("a product of readers", 1, True, "published"),
        ("compressed weights", 1, True, "published"),
        ("compressed weights", 2, True, "published"),
    ],
)


@CASES
def test_no_schedule_of_a_space_is_below_its_bound(name: str, batch: int, tight: bool, semantics: str) -> None:
    problem = problem_of(name, batch, tight, semantics)
    spaces = [optima(name, batch, tight, semantics, wide) for wide in (False, True)]
    # Shared loads are worth something, unless all readers fit into the LG of the layer that they read.
    assert (spaces[1][0] < spaces[0][0]) == (name != "an output that two read")
    for wide in (False, True):
        for objective, least in zip(OBJECTIVES, spaces[wide], strict=True):
            bound = bound_every_lfa(problem, objective, wide=wide)
            assert 0 < bound.cost <= least * (1 + 1e-9)
            if (objective.energy_exponent, objective.delay_exponent) == (1.0, 0.0):
                assert bound.energy_pj <= least * (1 + 1e-9)
            if (objective.energy_exponent, objective.delay_exponent) == (0.0, 1.0):
                assert bound.latency <= least


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize("name", DIVISIBLE)
def test_no_schedule_with_divided_layers_is_below_the_bound_of_the_wide_space(name: str, tight: bool) -> None:
    problem = problem_of(name, tight=tight)
    found, count = cheapest(problem, OBJECTIVES, wide=True)
    assert count > 20
    for objective, least in zip(OBJECTIVES, found, strict=True):
        bound = bound_every_lfa(problem, objective, wide=True)
        assert 0 < bound.cost <= least * (1 + 1e-9)


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize(
    ("name", "batch"), [("two divisible layers", 2), ("two divisible layers", 3), ("much to compute", 2)]
)
def test_no_schedule_in_passes_is_below_the_bound_of_the_wide_space(name: str, batch: int, tight: bool) -> None:
    problem = problem_of(name, batch, tight=tight)
    found, count = cheapest(problem, OBJECTIVES, wide=True, most_parts=2, passes=True)
    assert count > 5
    for objective, least in zip(OBJECTIVES, found, strict=True):
        bound = bound_every_lfa(problem, objective, wide=True)
        assert 0 < bound.cost <= least * (1 + 1e-9)


@CASES
def test_solve_claims_no_more_than_is_true(name: str, batch: int, tight: bool, semantics: str) -> None:
    problem = problem_of(name, batch, tight, semantics)
    for rounds, objective, least in zip(
        (4, 40, 200), OBJECTIVES, optima(name, batch, tight, semantics, True), strict=False
    ):
        parameters = SolveParameters(
            search=LFASearchParameters(rounds=rounds, chains=2),
            cpsat=CPSAT,
            objective=objective,
            threads=1,
            space=Space.WIDE,
        )
        result = solve(problem, parameters)
        cost = result.schedule.cost(objective)
        assert cost >= least * (1 - 1e-9)
        assert result.cost_bound <= least * (1 + 1e-9)
        assert not result.is_global_optimum or cost == pytest.approx(least)


@CASES
def test_branch_and_bound_finds_the_optimum(name: str, batch: int, tight: bool, semantics: str) -> None:
    """Of the paper's space, of networks with outputs that are read and with weights that layers share."""
    problem = problem_of(name, batch, tight, semantics)

    def exact(plan: Plan, latency_to_beat: int) -> SecondStageResult:
        return solve_dlsa_exactly(plan, CPSAT, cutoff_latency=latency_to_beat)

    for objective, least in zip(OBJECTIVES, optima(name, batch, tight, semantics, False), strict=True):
        proof = prove_over_every_lfa(problem, math.inf, 0.0, exact, objective)
        assert proof.complete
        assert proof.improved is not None
        assert proof.improved.schedule.cost(objective) == pytest.approx(least)
        assert proof.lower_bound == pytest.approx(least)
