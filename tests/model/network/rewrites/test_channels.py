"""Layers divided by output channels: the same work and weights, in layers that fit."""

import pytest

from soma_cp.model.errors import UserError
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, GroupConv, PointToPoint
from soma_cp.model.network.network import Network
from soma_cp.model.network.rewrites.channels import divided

MIB = 1 << 20


def feed_forward() -> Network:
    """The feed-forward network of a 7-billion-parameter Llama, 128 tokens: three matrices of 4096 × 11008."""
    up = {"C": 4096, "K": 11008, "H": 128, "W": 1, "inputs": ("tokens",)}
    return Network(
        "ffn",
        (ExternalInput("tokens", (4096, 128, 1)),),
        (
            Conv(name="gate", **up),  # type: ignore[arg-type]
            Conv(name="up", **up),  # type: ignore[arg-type]
            PointToPoint(name="act", K=11008, H=128, W=1, ifmaps=("gate",)),
            Eltwise(name="times", N=2, K=11008, H=128, W=1, ifmaps=("act", "up")),
            Conv(name="down", C=11008, K=4096, H=128, W=1, ifmaps=("times",)),
        ),
    )


def test_a_division_keeps_the_work_and_the_weights() -> None:
    """4 MiB hold 1,024 kernels of 4,096 B: 11 parts of gate and up; and 256 of 11,008 B: 16 parts of down."""
    whole, parts = feed_forward(), divided(feed_forward(), 4 * MIB)
    assert parts.operations == whole.operations
    assert parts.operations[0] == 17_314_086_912
    assert parts.weight_bytes == whole.weight_bytes == 135_266_304
    assert [layer.K for layer in parts.layers[:11]] == [1024] * 10 + [768]
    assert len(parts.layers) == 11 + 11 + 2 + 16
    assert max(layer.weight_bytes for layer in parts.layers) <= 4 * MIB
    assert parts.outputs == tuple(f"down/{number}" for number in range(1, 17))
    act = parts.layers[parts.layer_id["act"]]
    assert act.ifmaps == tuple(f"gate/{number}" for number in range(1, 12))


def test_what_fits_stays_whole() -> None:
    network = builtin_network("resnet50")
    assert divided(network, 3 * MIB) == network


def test_other_layers_are_never_divided() -> None:
    """A second operand that others make is no weight; groups stay together."""
    network = builtin_network("gpt2-small-prefill")
    parts = divided(network, MIB // 2)
    assert {layer.name for layer in network.layers if layer.weight_operands} <= set(parts.layer_id)
    grouped = GroupConv(name="g", C=64, K=64, G=2, H=1, W=1, inputs=("x",))
    alone = Network("grouped", (ExternalInput("x", (64, 1, 1)),), (grouped,))
    assert divided(alone, 100) == alone


def test_parts_below_a_granule_have_what_the_limit_allows() -> None:
    """10,000 B hold 2 kernels of 4,096 B."""
    assert divided(feed_forward(), 12_000).layers[0].K == 2


def test_shared_weights_are_divided_alike() -> None:
    layers = tuple(
        Conv(name=name, C=64, K=512, H=4, W=1, inputs=("x",), weights="tied") for name in ("first", "second")
    )
    parts = divided(Network("tied", (ExternalInput("x", (64, 4, 1)),), layers), 256 * 64)
    assert [layer.weights for layer in parts.layers if isinstance(layer, Conv)] == [
        "tied[0:256]",
        "tied[256:512]",
    ] * 2
    assert parts.weight_bytes == 64 * 512


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(UserError, match=r"one of its 11008 kernels alone has 4,096; allow at least that"):
        divided(feed_forward(), 4000)
    taken = Network(
        "taken",
        (ExternalInput("x", (64, 4, 1)),),
        (
            Conv(name="a", C=64, K=512, H=4, W=1, inputs=("x",)),
            Conv(name="a/1", C=64, K=8, H=4, W=1, inputs=("x",)),
        ),
    )
    with pytest.raises(UserError, match="its part 'a/1' would have the name of another layer"):
        divided(taken, 256 * 64)
    alike = Network(
        "alike",
        (ExternalInput("x", (64, 4, 1)),),
        (
            Conv(name="a", C=64, K=512, H=4, W=1, inputs=("x",), weights="w"),
            Conv(name="b", C=64, K=256, H=4, W=1, inputs=("x",), weights="w[0:256]"),
        ),
    )
    with pytest.raises(UserError, match=r"the weights 'w\[0:256\]' of a part would be those of another layer"):
        divided(alike, 256 * 64)
