"""Tiny networks with something special each, and problems of them whose LFAs can all be gone through."""

from dataclasses import replace

from soma_cp.model.data_types import LayerTypes, data_type, rounded_ratio, weight_format
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Layer, PointToPoint, Pool, Transpose
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_file import network_document
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import least_peak_bytes
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import make_plan
from support.divided_lfas import every_division
from support.strategies import Case


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


def case_of(problem: Problem) -> Case:
    """Return the documents of a problem; the twin takes no costs from that of the platform."""
    return Case(network_document(problem.network), problem.batch, {"semantics": problem.platform.semantics}, {})
