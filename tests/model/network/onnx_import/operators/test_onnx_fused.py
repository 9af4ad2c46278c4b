"""Operators that stand for several others: the layers, multiply-accumulates and bytes of those others."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from support.onnx_figures import figures, loaded, products, stored, weights
from support.onnx_imports import Import, faults, kinds, only
from support.onnx_models import Model, bert_layer, linear

from soma_cp.model.network.layers import Conv, Eltwise, FullyConnected, GroupConv, PointToPoint, Pool

MICROSOFT = "com.microsoft"


def fused(model: Model, operator: str, *inputs: str, **attributes: Any) -> Any:
    return model.node(operator, *inputs, domain=MICROSOFT, **attributes)


def tokens(model: Model, width: int = 64, name: str = "x") -> str:
    return model.input(name, [1, 12, width])


# Normalisation


@pytest.mark.parametrize(
    ("operator", "parameters"), [("SkipLayerNormalization", 3), ("SkipSimplifiedLayerNormalization", 2)]
)
def test_normalisation_of_a_sum(imported: Import, operator: str, parameters: int) -> None:
    """The fourth output is the sum."""
    model = Model()
    made = linear(model, tokens(model), 64, 64, "p")
    vectors = [model.weight(64) for _ in range(parameters)]
    outputs = fused(model, operator, made, "x", *vectors, name="n", outputs=4)
    network = imported(model, outputs[0], outputs[3]).network
    assert network.layers[1:] == (
        Eltwise(name="n_sum", N=2, K=64, H=12, W=1, ifmaps=("p",), inputs=("x",)),
        PointToPoint(name="n", K=64, H=12, W=1, ifmaps=("n_sum",)),
    )
    assert stored(network) == {"n_sum": (64, 12, 1), "n": (64, 12, 1)}


def test_normalisation_of_a_sum_equals_its_parts(imported: Import) -> None:
    model, other = Model(), Model()
    made = [linear(m, tokens(m), 64, 64, "p") for m in (model, other)]
    one = fused(model, "SkipLayerNormalization", made[0], "x", model.weight(64), model.weight(64))
    two = other.node("LayerNormalization", other.node("Add", made[1], "x"), other.weight(64), other.weight(64), axis=-1)
    assert figures(imported(model, one).network) == figures(imported(other, two).network)


def test_a_sum_larger_than_the_first_operand_is_refused(imported: Import) -> None:
    model = Model()
    x, y = model.input("x", [1, 1, 64]), model.input("y", [1, 12, 64])
    made = fused(model, "SkipLayerNormalization", x, y, model.weight(64), name="n")
    assert faults(lambda: imported(model, made)) == [
        f"'n' (com.microsoft.SkipLayerNormalization) makes '{made}', whose shape can't be inferred: "
        "adds [1, 12, 64] to [1, 1, 64] (must not enlarge it)"
    ]


def test_embeddings_equal_their_parts(imported: Import) -> None:
    """As in BERT without its layer: words, positions and segments of 12 tokens, 64 channels."""
    model, other = Model(), Model()
    for m in (model, other):
        m.input("ids", ["batch", 12], TensorProto.INT32)
        m.input("segments", ["batch", 12], TensorProto.INT32)
    tables = [model.weight(n, 64, name=name) for n, name in ((3000, "words"), (12, "positions"), (2, "kinds"))]
    one, _, total = fused(
        model,
        "EmbedLayerNormalization",
        *("ids", "segments", *tables, model.weight(64), model.weight(64)),
        outputs=3,
        name="e",
    )
    words = other.node("Gather", other.weight(3000, 64, name="words"), "ids")
    segments = other.node("Gather", other.weight(2, 64, name="kinds"), "segments")
    parts = other.node("Add", other.node("Add", words, segments), other.weight(1, 12, 64, name="positions"))
    two = other.node("LayerNormalization", parts, other.weight(64), other.weight(64), axis=-1)
    network = imported(model, one, total).network
    assert figures(network) == figures(imported(other, two).network)
    assert kinds(network) == ["ptp", "ptp", "eltwise", "eltwise", "ptp"]
    assert loaded(network) == dict.fromkeys(("words", "positions", "kinds"), (64, 12, 1))


def test_a_fused_bert_layer_equals_its_parts(imported: Import) -> None:
    """A BERT layer of 128 tokens as ONNX Runtime's optimiser writes it, and as PyTorch exports it."""
    model = Model()
    ids = model.input("input_ids", ["batch", 128], TensorProto.INT32)
    mask = model.input("attention_mask", ["batch", 128], TensorProto.INT32)
    vector = [model.weight(768) for _ in range(8)]
    x, *_ = fused(
        model,
        "EmbedLayerNormalization",
        *(ids, "", model.weight(30522, 768), model.weight(128, 768), "", *vector[:2]),
        outputs=3,
    )
    a = fused(model, "Attention", x, model.weight(768, 2304), model.weight(2304), mask, num_heads=12)
    a = model.node("MatMul", a, model.weight(768, 768))
    s = fused(model, "SkipLayerNormalization", a, x, *vector[2:5])
    f = fused(model, "FusedMatMul", s, model.weight(768, 3072), alpha=1.0)
    f = fused(model, "BiasGelu", f, model.weight(3072))
    f = model.node("MatMul", f, model.weight(3072, 768))
    network = imported(model, fused(model, "SkipLayerNormalization", f, s, *vector[5:])).network
    assert sorted(map(str, figures(network))) == sorted(map(str, figures(imported(bert_layer()).network)))
    # Projections 4·128·768² and 2·128·768·3072; Q·Kᵀ and ·V 12·128·128·64 each.
    assert products(network) == (931_135_488, 25_165_824)
    assert weights(network) == 4 * 768 * 768 + 2 * 768 * 3072


def test_a_fused_transformer(imported: Import) -> None:
    """128 tokens of 256 channels, 4 heads, 1024 channels between: attention and a feed-forward network."""
    model = Model()
    x = model.input("x", [1, 128, 256])
    a = fused(model, "Attention", x, model.weight(256, 768), model.weight(768), name="a", num_heads=4)
    p = model.node("MatMul", a, model.weight(256, 256), name="p")
    vectors = [model.weight(256) for _ in range(5)]
    s = fused(model, "SkipLayerNormalization", p, x, *vectors[:3], name="n")
    f = fused(model, "FusedMatMul", s, model.weight(256, 1024), name="up", alpha=1.0)
    f = fused(model, "BiasGelu", f, model.weight(1024), name="g")
    f = model.node("MatMul", f, model.weight(1024, 256), name="down")
    network = imported(model, fused(model, "SkipLayerNormalization", f, s, *vectors[3:], name="m")).network
    # 128·256·(768 + 256 + 2·1024) = 100,663,296; Q·Kᵀ and ·V 4·128·128·64 = 4,194,304 each.
    assert products(network) == (109_051_904, 8_388_608)
    assert weights(network) == 256 * (768 + 256 + 2 * 1024) == 786_432
    vector_layers = [layer.name for layer in network.layers if not layer.is_matrix and "_qk_" not in layer.name]
    assert vector_layers == ["a_softmax", "n_sum", "n", "g", "m_sum", "m"]


# The same shape as the input, also where the onnx package can't infer it


@pytest.mark.parametrize("operator", ["GroupNormalization", "MeanVarianceNormalization", "Mish", "Swish"])
def test_functions_of_later_opsets_keep_the_shape(imported: Import, operator: str) -> None:
    model = Model(17)
    x = model.node("Conv", model.input("x", [1, 3, 8, 8]), model.weight(16, 3, 1, 1), name="c")
    vectors = [model.weight(16), model.weight(16)] if operator == "GroupNormalization" else []
    made = model.node(operator, x, *vectors, name="f")
    network = imported(model, model.node("Conv", made, model.weight(4, 16, 1, 1), name="d")).network
    assert network.layers[1:] == (
        PointToPoint(name="f", K=16, H=8, W=8, ifmaps=("c",)),
        Conv(name="d", C=16, K=4, H=8, W=8, ifmaps=("f",)),
    )


@pytest.mark.parametrize("rank", [3, 4])
def test_group_normalisation_of_any_rank(imported: Import, rank: int) -> None:
    model = Model(21)
    x = model.input("x", [1, 16, *[8] * (rank - 2)])
    made = model.node("GroupNormalization", x, model.weight(16), model.weight(16), num_groups=4, name="n")
    assert only(imported(model, made).network).ofmap == (16, 8, 8 if rank == 4 else 1)


@pytest.mark.parametrize(("attributes", "dims"), [({}, (8, 6, 16)), ({"channels_last": 0}, (16, 8, 6))])
def test_group_norm_has_channels_last_by_default(
    imported: Import, attributes: dict[str, int], dims: tuple[int, ...]
) -> None:
    model = Model()
    x = model.input("x", [1, *dims])
    made = fused(model, "GroupNorm", x, model.weight(16), model.weight(16), name="n", groups=4, **attributes)
    assert only(imported(model, made).network) == PointToPoint(name="n", K=16, H=8, W=6, inputs=("x",))


def test_group_normalisation_of_a_sum(imported: Import) -> None:
    model = Model()
    x, y = (model.input(name, [1, 8, 6, 16]) for name in "xy")
    made, total = fused(model, "SkipGroupNorm", x, model.weight(16), model.weight(16), y, name="n", groups=4, outputs=2)
    network = imported(model, made, total).network
    assert network.layers == (
        Eltwise(name="n_sum", N=2, K=16, H=8, W=6, inputs=("x", "y")),
        PointToPoint(name="n", K=16, H=8, W=6, ifmaps=("n_sum",)),
    )
    assert set(network.outputs) == {"n", "n_sum"}


# Activations


@pytest.mark.parametrize(
    ("operator", "bias"), [("BiasGelu", True), ("FastGelu", True), ("FastGelu", False), ("QuickGelu", False)]
)
def test_activations_are_one_layer(imported: Import, operator: str, bias: bool) -> None:
    model = Model()
    made = fused(model, operator, linear(model, tokens(model), 64, 32, "p"), *[model.weight(32)] * bias, name="g")
    network = imported(model, made).network
    assert network.layers[1:] == (PointToPoint(name="g", K=32, H=12, W=1, ifmaps=("p",)),)


def test_the_bias_of_a_gelu_lies_along_the_last_axis(imported: Import) -> None:
    """(1, 12, 64) from outside: 64 channels, also if a convolution reads it afterwards."""
    model = Model()
    x = fused(model, "BiasGelu", tokens(model), model.weight(64), name="g")
    assert imported(model, x).network.inputs[0].shape == (64, 12, 1)


def test_a_split_gelu_equals_its_parts(imported: Import) -> None:
    """Of 64 channels, the GELU of the last 32 is multiplied into the first 32."""
    model, other = Model(), Model()
    one = fused(model, "BiasSplitGelu", linear(model, tokens(model), 64, 64), model.weight(64))
    kept, gate = other.node("Split", linear(other, tokens(other), 64, 64), outputs=2, axis=2)
    two = other.node("Mul", kept, fused(other, "Gelu", gate))
    network = imported(model, one).network
    assert figures(network) == figures(imported(other, two).network)
    assert kinds(network) == ["conv", "conv", "ptp", "eltwise"]
    assert products(network) == (12 * 64 * 64, 0)


def test_softmax_of_a_sum(imported: Import) -> None:
    model = Model()
    both = [linear(model, tokens(model), 64, 64, "p"), linear(model, "x", 64, 64, "q")]
    network = imported(model, fused(model, "BiasSoftmax", *both, name="s", axis=2)).network
    assert network.layers[2:] == (
        Eltwise(name="s_sum", N=2, K=64, H=12, W=1, ifmaps=("p", "q")),
        PointToPoint(name="s", K=64, H=12, W=1, ifmaps=("s_sum",)),
    )


def test_sum_with_a_bias(imported: Import) -> None:
    model = Model()
    made = fused(model, "BiasAdd", linear(model, tokens(model), 64, 64, "p"), model.weight(64), "x", name="s")
    network = imported(model, made).network
    assert network.layers[1:] == (Eltwise(name="s", N=2, K=64, H=12, W=1, ifmaps=("p",), inputs=("x",)),)


@pytest.mark.parametrize("domain", ["", MICROSOFT])
def test_rotation_is_one_layer(imported: Import, domain: str) -> None:
    """Sines and cosines are computed from positions; ONNX has them before the positions, ONNX Runtime after."""
    model = Model(23)
    x = linear(model, tokens(model), 64, 64, "p")
    positions = model.input("positions", [1, 12], TensorProto.INT64)
    tables = [model.weight(512, 8), model.weight(512, 8)]
    inputs = [positions, *tables] if domain else [*tables, positions]
    network = imported(model, model.node("RotaryEmbedding", x, *inputs, name="r", num_heads=4, domain=domain)).network
    assert network.layers[1:] == (PointToPoint(name="r", K=64, H=12, W=1, ifmaps=("p",)),)


def test_sines_from_outside_are_left_out_with_a_note(imported: Import) -> None:
    model = Model(23)
    x = linear(model, tokens(model), 64, 64, "p")
    tables = [model.input(name, [1, 12, 8]) for name in ("cos", "sin")]
    result = imported(model, model.node("RotaryEmbedding", x, *tables, name="r", num_heads=4))
    assert kinds(result.network) == ["conv", "ptp"]
    assert (
        "'r' (RotaryEmbedding): sines and cosines of positions are computed or read from outside; they are left out"
        in (result.notes)
    )


# Matrix multiplications


@pytest.mark.parametrize("transposed", [0, 1])
def test_fused_matmul_with_weights(imported: Import, transposed: int) -> None:
    model = Model()
    matrix = model.weight(32, 64) if transposed else model.weight(64, 32)
    made = fused(model, "FusedMatMul", tokens(model), matrix, name="m", transB=transposed, alpha=0.5)
    network = imported(model, made).network
    assert only(network) == Conv(name="m", C=64, K=32, H=12, W=1, inputs=("x",))
    assert stored(network) == {"m": (32, 12, 1)}


def test_fused_matmul_of_two_tensors_equals_its_parts(imported: Import) -> None:
    """Q·Kᵀ of 4 heads with the transposition inside: 4·12·12·16 products."""
    model, other = Model(), Model()
    made = []
    for m in (model, other):
        x = tokens(m)
        shape = m.constant([1, 12, 4, 16])
        q, k = (m.node("Transpose", m.node("Reshape", linear(m, x, 64, 64), shape), perm=[0, 2, 1, 3]) for _ in "qk")
        if m is model:
            made.append(fused(m, "FusedMatMul", q, k, transB=1, alpha=0.25))
        else:
            made.append(m.node("MatMul", q, m.node("Transpose", k, perm=[0, 1, 3, 2])))
    network = imported(model, made[0]).network
    assert figures(network) == figures(imported(other, made[1]).network)
    assert products(network)[1] == 9_216


def test_fused_matmul_brings_the_first_axis_behind_the_batch(imported: Import) -> None:
    """transBatchA: (tokens, batch, channels) is multiplied as (batch, tokens, channels): 3 matrices of 12×64."""
    model = Model()
    one = model.node("Squeeze", model.input("x", [1, 12, 3, 64]), model.constant([0]))
    two = model.node("Squeeze", model.input("y", [1, 3, 64, 20]), model.constant([0]))
    network = imported(model, fused(model, "FusedMatMul", one, two, name="m", transBatchA=1)).network
    assert products(network)[1] == 3 * 12 * 64 * 20


@pytest.mark.parametrize(("activation", "layers"), [("Relu", ["fc"]), ("", ["fc"]), ("Tanh", ["fc", "ptp"])])
def test_fused_gemm(imported: Import, activation: str, layers: list[str]) -> None:
    model = Model()
    x = model.input("x", ["batch", 64])
    operands = [x, model.weight(10, 64), model.weight(10)]
    made = fused(model, "FusedGemm", *operands, name="g", transB=1, activation=activation)
    network = imported(model, made).network
    assert kinds(network) == layers
    assert network.layers[0] == FullyConnected(name="g", C=64, K=10, inputs=("x",))


def test_gemm_with_a_gelu(imported: Import) -> None:
    model = Model()
    made = fused(model, "GemmFastGelu", tokens(model), model.weight(64, 32), model.weight(32), name="g")
    assert imported(model, made).network.layers == (
        Conv(name="g", C=64, K=32, H=12, W=1, inputs=("x",)),
        PointToPoint(name="g_gelu", K=32, H=12, W=1, ifmaps=("g",)),
    )


def test_an_unknown_activation_is_refused(imported: Import) -> None:
    model = Model()
    made = fused(model, "FusedGemm", model.input("x", ["batch", 64]), model.weight(64, 10), name="g", activation="Foo")
    assert faults(lambda: imported(model, made)) == [
        "'g' (com.microsoft.FusedGemm) has the activation 'Foo', which is not known (must be a function of one tensor)"
    ]


# Convolution and pooling


def test_fused_convolutions(imported: Import) -> None:
    """Activations are part of the convolutions, with and without groups."""
    model = Model()
    x = model.input("image", [1, 3, 64, 64])
    x = model.node("Conv", x, model.weight(16, 3, 3, 3), name="stem", strides=[2, 2], pads=[1] * 4)
    x = fused(model, "FusedConv", x, model.weight(72, 16, 1, 1), name="expand", activation="Relu")
    x = fused(
        model, "FusedConv", x, model.weight(72, 1, 3, 3), name="depthwise", activation="Relu", group=72, pads=[1] * 4
    )
    network = imported(model, model.node("Conv", x, model.weight(24, 72, 1, 1), name="squeeze")).network
    assert [layer.name for layer in network.layers] == ["stem", "expand", "depthwise", "squeeze"]
    # 32·32·(16·3·9 + 72·16 + 72·9 + 24·72) products; as many weights without 32·32.
    assert products(network) == (4_055_040, 0)
    assert weights(network) == 3_960


def test_a_fused_convolution_adds_its_fourth_input_before_its_activation(imported: Import) -> None:
    model = Model()
    x = model.node("Conv", model.input("x", [1, 3, 8, 8]), model.weight(16, 3, 1, 1), name="a")
    made = fused(
        model,
        "FusedConv",
        *(x, model.weight(16, 16, 3, 3), model.weight(16), x),
        name="c",
        activation="Sigmoid",
        pads=[1] * 4,
    )
    assert imported(model, made).network.layers[1:] == (
        Conv(name="c", C=16, K=16, R=3, S=3, H=8, W=8, ifmaps=("a",)),
        Eltwise(name="c_sum", N=2, K=16, H=8, W=8, ifmaps=("c", "a")),
        PointToPoint(name="c_sigmoid", K=16, H=8, W=8, ifmaps=("c_sum",)),
    )


@pytest.mark.parametrize("operator", ["NhwcConv", "NhwcFusedConv"])
def test_convolution_with_channels_last(imported: Import, operator: str) -> None:
    """(batch, rows, columns, channels); weights are (kernels, channels of a group, rows, columns)."""
    model = Model()
    x = model.input("x", [1, 8, 6, 16])
    made = fused(model, operator, x, model.weight(32, 8, 3, 3), name="c", strides=[2, 2], pads=[1] * 4, group=2)
    made = fused(model, "NhwcMaxPool", made, name="m", kernel_shape=[2, 3], strides=[2, 3])
    network = imported(model, model.node("MatMul", made, model.weight(32, 5), name="p")).network
    assert network.layers == (
        GroupConv(name="c", C=16, K=32, G=2, R=3, S=3, H=4, W=3, sH=2, sW=2, inputs=("x",)),
        Pool(name="m", K=32, R=2, S=3, H=2, W=1, sH=2, sW=3, ifmaps=("c",)),
        Conv(name="p", C=32, K=5, H=2, W=1, ifmaps=("m",)),
    )


def test_weights_that_do_not_fit_are_refused(imported: Import) -> None:
    """The rule for shapes says why, also if a later node would not notice."""
    model = Model()
    made = fused(model, "FusedConv", model.input("x", [1, 3, 8, 8]), model.weight(16, 3, 3), name="c")
    (fault,) = faults(lambda: imported(model, made))
    assert fault.startswith(f"'c' (com.microsoft.FusedConv) makes '{made}', whose shape can't be inferred: ")


def test_attributes_of_another_kind_are_refused(imported: Import) -> None:
    model = Model()
    made = fused(model, "MatMulNBits", tokens(model), model.constant([[1]], np.uint8), name="m", K="a", N=4)
    assert faults(lambda: imported(model, made)) == [
        f"'m' (com.microsoft.MatMulNBits) makes '{made}', whose shape can't be inferred: "
        "its attributes don't fit inputs of [1, 12, 64], [1, 1]"
    ]
