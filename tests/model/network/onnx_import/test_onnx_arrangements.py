"""Rows × columns as tokens and windows, shuffled parts, caches: multiplications, weights, inputs, and few layers."""

from collections import Counter
from collections.abc import Callable, Sequence
from math import prod

import pytest
from support.onnx_imports import Import, faults
from support.onnx_models import Model, heads_of, linear

from soma_cp.model.network.layers import Conv, GroupConv, Pool, Transpose
from soma_cp.model.network.network import Network

END = 2**62


def reshape(model: Model, x: str, *shape: int, name: str = "") -> str:
    return str(model.node("Reshape", x, model.constant(shape), name=name))


def turned(model: Model, x: str, *order: int) -> str:
    return str(model.node("Transpose", x, perm=list(order)))


def cut(model: Model, x: str, axis: int, start: int, end: int = END, step: int = 1) -> str:
    return str(model.node("Slice", x, *(model.constant([number]) for number in (start, end, axis, step))))


def rolled(model: Model, x: str, shift: int) -> str:
    """Shift rows and columns of (batch, rows, columns, channels) cyclically."""
    for axis in (1, 2):
        x = model.node("Concat", cut(model, x, axis, shift), cut(model, x, axis, 0, shift), axis=axis)
    return x


def attention(model: Model, q: str, k: str, v: str, last: Sequence[int] = (0, 1, 3, 2)) -> str:
    scores = model.node("MatMul", q, turned(model, k, *last), name="qk")
    return str(model.node("MatMul", model.node("Softmax", scores, axis=-1), v, name="av"))


def macs(network: Network, computed: bool | None = None) -> int:
    """Multiply-accumulates: of all matrix layers, or of those whose second operand is computed or not."""
    layers = [layer for layer in network.layers if layer.is_matrix]
    return sum(layer.operations for layer in layers if computed in (None, bool(layer.weight_operands)))


def weights(network: Network) -> int:
    return sum(layer.weight_bytes for layer in network.layers)


def input_bytes(network: Network) -> int:
    return sum(prod(source.shape) for source in network.inputs)


def output_bytes(network: Network) -> int:
    return sum(prod(network.layers[network.layer_id[name]].ofmap) for name in network.outputs)


def kinds(network: Network) -> Counter[str]:
    return Counter(layer.kind for layer in network.layers)


# Tokens


def image_tokens(heads: int = 1) -> Model:
    """Self-attention over the pixels of a computed feature map, with a residual (DETR, Stable Diffusion)."""
    model = Model()
    x = model.node("Conv", model.input("x", [1, 64, 16, 16]), model.weight(64, 64, 1, 1), name="before")
    tokens = turned(model, reshape(model, x, 1, 64, 256), 0, 2, 1)
    q, k, v = (model.node("MatMul", tokens, model.weight(64, 64), name=name) for name in "qkv")
    if heads == 1:
        mixed = attention(model, q, k, v, (0, 2, 1))
    else:
        q, k, v = (heads_of(model, part, heads, 64, (0, 2, 1, 3)) for part in (q, k, v))
        mixed = reshape(model, turned(model, attention(model, q, k, v), 0, 2, 1, 3), 1, 256, 64)
    o = turned(model, model.node("MatMul", mixed, model.weight(64, 64), name="o"), 0, 2, 1)
    model.output(model.node("Add", x, reshape(model, o, 1, 64, 16, 16), name="residual"))
    return model


def test_pixels_become_tokens_once(imported: Import) -> None:
    """Five projections of 256·64·64 = 1,048,576, and two products of 256·256·64 = 4,194,304; 5·64·64 weights."""
    network = imported(image_tokens()).network
    assert (macs(network), macs(network, computed=True)) == (13_631_488, 8_388_608)
    assert (weights(network), input_bytes(network), output_bytes(network)) == (20_480, 16_384, 16_384)
    transposes = [layer for layer in network.layers if isinstance(layer, Transpose)]
    assert [(layer.order, layer.ofmap) for layer in transposes] == [("C**", (64, 256, 1)), ("HCW", (256, 64, 1))]
    assert kinds(network) == {"conv": 7, "transpose": 2, "ptp": 1, "eltwise": 1}


def test_heads_of_pixels_are_divided_as_those_of_tokens(imported: Import) -> None:
    network = imported(image_tokens(heads=4)).network
    assert (macs(network), macs(network, computed=True), weights(network)) == (13_631_488, 8_388_608, 20_480)
    assert kinds(network)["transpose"] == 1 + 4


def test_pixels_that_are_not_multiplied_with_one_another_stay_pixels(imported: Import) -> None:
    model = Model()
    x = model.node("Conv", model.input("x", [1, 8, 16, 16]), model.weight(8, 8, 3, 3), pads=[1] * 4)
    tokens = linear(model, turned(model, reshape(model, x, 1, 8, 256), 0, 2, 1), 8, 8, "p")
    back = reshape(model, turned(model, tokens, 0, 2, 1), 1, 8, 16, 16)
    assert kinds(imported(model, model.node("Add", x, back)).network) == {"conv": 2, "eltwise": 1}


# Windows


def windows(batch: int = 1, heads: int = 1, shift: int = 0) -> Model:
    """Self-attention in 7×7 windows of a 28×28 feature map, as Swin has it; with a shift also a mask and biases."""
    model = Model()
    x = model.node("Conv", model.input("x", [batch, 64, 28, 28]), model.weight(64, 64, 1, 1), name="before")
    x = turned(model, x, 0, 2, 3, 1)
    y = rolled(model, x, shift) if shift else x
    y = turned(model, reshape(model, y, batch, 4, 7, 4, 7, 64), 0, 1, 3, 2, 4, 5)
    y = reshape(model, y, batch * 16, 49, 64)
    q, k, v = (model.node("MatMul", y, model.weight(64, 64), name=name) for name in "qkv")
    q, k, v = (turned(model, reshape(model, z, batch * 16, 49, heads, 64 // heads), 0, 2, 1, 3) for z in (q, k, v))
    scores = model.node("MatMul", q, turned(model, k, 0, 1, 3, 2), name="qk")
    if shift:
        scores = model.node("Add", scores, model.weight(1, heads, 49, 49))
        scores = reshape(model, scores, batch, 16, heads, 49, 49)
        scores = model.node("Add", scores, model.weight(1, 16, 1, 49, 49))
        scores = reshape(model, scores, batch * 16, heads, 49, 49)
    mixed = model.node("MatMul", model.node("Softmax", scores, axis=-1), v, name="av")
    mixed = reshape(model, turned(model, mixed, 0, 2, 1, 3), batch * 16, 49, 64)
    o = reshape(model, model.node("MatMul", mixed, model.weight(64, 64), name="o"), batch, 4, 4, 7, 7, 64)
    o = reshape(model, turned(model, o, 0, 1, 3, 2, 4, 5), batch, 28, 28, 64)
    o = rolled(model, o, -shift) if shift else o
    model.output(model.node("Add", x, o, name="residual"))
    return model


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("heads", "shift"), [(1, 0), (2, 3), (4, 3)])
def test_attention_in_windows(imported: Import, batch: int, heads: int, shift: int) -> None:
    """Five projections of 784·64·64, and two products of 16 windows · 49·49·64, whatever the number of heads.

    Queries, keys, values and the result change their arrangement once each; shifts are part of that.
    """
    network = imported(windows(batch, heads, shift)).network
    assert macs(network, computed=False) == 5 * 784 * 64 * 64
    assert macs(network, computed=True) == 2 * 16 * 49 * 49 * 64 == 4_917_248
    assert (weights(network), input_bytes(network), output_bytes(network)) == (20_480, 64 * 784, 64 * 784)
    assert kinds(network) == {"conv": 5, "group_conv": 2, "transpose": 4, "ptp": 1, "eltwise": 1}
    products = [layer for layer in network.layers if isinstance(layer, GroupConv)]
    assert [(layer.G, layer.H) for layer in products] == [(16 * heads, 49)] * 2


def test_windows_of_several_samples_that_mix_the_batch_are_refused(imported: Import) -> None:
    model = Model()
    x = model.node("Conv", model.input("x", [6, 4, 5, 5]), model.weight(4, 4, 1, 1))
    mixed = reshape(model, x, 4, 6, 5, 5, name="r")
    made = model.node("Conv", mixed, model.weight(4, 6, 1, 1), name="c")
    assert faults(lambda: imported(model, made, batch_axes={"x": 0})) == [
        "'r' (Reshape) mixes samples of the batch with their elements (must keep samples apart)"
    ]


def test_merged_patches_are_one_layer(imported: Import) -> None:
    """Four strided slices joined along channels, in Swin's sequence, and in that of YOLO's focus along axis 1."""
    model = Model()
    x = model.node("Conv", model.input("x", [1, 3, 28, 28]), model.weight(64, 3, 1, 1), name="c")
    tokens = turned(model, x, 0, 2, 3, 1)
    parts = [cut(model, cut(model, tokens, 1, i, step=2), 2, j, step=2) for j in (0, 1) for i in (0, 1)]
    merged = model.node("Concat", *parts, axis=3, name="merge")
    network = imported(model, model.node("MatMul", merged, model.weight(256, 128), name="reduce")).network
    assert [type(layer) for layer in network.layers] == [Conv, Transpose, Conv]
    assert network.layers[1].ofmap == (256, 196, 1)
    assert network.layers[2].operations == 14 * 14 * 256 * 128

    model = Model()
    x = model.node("Conv", model.input("x", [1, 3, 28, 28]), model.weight(4, 3, 1, 1), name="c")
    parts = [cut(model, cut(model, x, 2, i, step=2), 3, j, step=2) for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))]
    focus = model.node("Concat", *parts, axis=1)
    network = imported(model, model.node("Conv", focus, model.weight(8, 16, 3, 3), name="d")).network
    assert [layer.ofmap for layer in network.layers] == [(4, 28, 28), (16, 14, 14), (8, 12, 12)]


def test_patches_in_any_sequence_are_one_layer(imported: Import) -> None:
    model = Model()
    x = model.node("Conv", model.input("x", [1, 3, 28, 28]), model.weight(4, 3, 1, 1), name="c")
    parts = [cut(model, cut(model, x, 2, i, step=2), 3, j, step=2) for i, j in ((1, 0), (0, 0), (0, 1), (1, 1))]
    network = imported(model, model.node("Conv", model.node("Concat", *parts, axis=1), model.weight(8, 16, 3, 3)))
    assert [layer.ofmap for layer in network.network.layers] == [(4, 28, 28), (16, 14, 14), (8, 12, 12)]


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_a_pixel_shuffle_is_one_layer(imported: Import, mode: str) -> None:
    model = Model()
    x = model.node("Conv", model.input("x", [1, 3, 8, 8]), model.weight(16, 3, 1, 1), name="c")
    large = model.node("DepthToSpace", x, blocksize=2, mode=mode)
    network = imported(model, model.node("Conv", large, model.weight(8, 4, 3, 3), pads=[1] * 4, name="d")).network
    assert [layer.ofmap for layer in network.layers] == [(16, 8, 8), (4, 16, 16), (8, 16, 16)]
    assert network.layers[1].wanted_ifmap() == (16, 8, 8)


def test_a_pixel_shuffle_there_and_back_is_none(imported: Import) -> None:
    model = Model()
    x = model.node("Conv", model.input("x", [1, 3, 8, 8]), model.weight(16, 3, 1, 1), name="c")
    back = model.node("SpaceToDepth", model.node("DepthToSpace", x, blocksize=2), blocksize=2)
    network = imported(model, model.node("Conv", back, model.weight(8, 16, 3, 3), name="d")).network
    assert [type(layer) for layer in network.layers] == [Conv, Conv]


def test_mobile_vit_unfolds_its_pixels_once_for_each_operand(imported: Import) -> None:
    """Patches of 2×2 of 16×16 pixels, 8 channels: four groups of 64 tokens, each attends within its group."""
    model = Model()
    x = model.node("Conv", model.input("x", [1, 8, 16, 16]), model.weight(8, 8, 3, 3), pads=[1] * 4, name="local")
    y = turned(model, reshape(model, x, 64, 2, 8, 2), 0, 2, 1, 3)
    y = reshape(model, turned(model, reshape(model, y, 1, 8, 64, 4), 0, 3, 2, 1), 4, 64, 8)
    q, k, v = (linear(model, y, 8, 8, name) for name in "qkv")
    y = model.node("Add", y, linear(model, attention(model, q, k, v, (0, 2, 1)), 8, 8, "o"))
    y = reshape(model, turned(model, reshape(model, y, 1, 4, 64, 8), 0, 3, 2, 1), 64, 8, 2, 2)
    y = reshape(model, turned(model, y, 0, 2, 1, 3), 1, 8, 16, 16)
    joined = model.node("Concat", x, model.node("Conv", y, model.weight(8, 8, 1, 1), name="project"), axis=1)
    network = imported(model, model.node("Conv", joined, model.weight(8, 16, 3, 3), pads=[1] * 4)).network
    assert macs(network, computed=True) == 2 * 4 * 64 * 64 * 8
    assert kinds(network) == {"conv": 7, "group_conv": 2, "transpose": 4, "ptp": 1, "eltwise": 1}


def test_a_shuffle_network_moves_half_of_its_channels_twice_a_unit(imported: Import) -> None:
    """ShuffleNetV2: the first unit takes two parts of a convolution; later ones take parts of shuffled channels.

    A unit has three convolutions; the half that a convolution reads, and the half that passes, are a layer each. The
    weights say in what sequence the last convolution reads channels, so only the half that passes moves there.
    """
    model = Model()
    x = model.node("Conv", model.input("x", [1, 24, 28, 28]), model.weight(116, 24, 1, 1), name="stem")
    for unit in range(3):
        left, y = model.node("Split", x, model.constant([58, 58]), outputs=2, axis=1)
        y = model.node("Conv", y, model.weight(58, 58, 1, 1), name=f"in{unit}")
        y = model.node("Conv", y, model.weight(58, 1, 3, 3), group=58, pads=[1] * 4, name=f"deep{unit}")
        y = model.node("Conv", y, model.weight(58, 58, 1, 1), name=f"out{unit}")
        x = reshape(model, model.node("Concat", left, y, axis=1), 1, 2, 58, 28, 28)
        x = reshape(model, turned(model, x, 0, 2, 1, 3, 4), 1, 116, 28, 28)
    network = imported(model, model.node("Conv", x, model.weight(32, 116, 1, 1), name="end")).network
    unit_weights = 2 * 58 * 58 + 58 * 9
    assert weights(network) == 24 * 116 + 3 * unit_weights + 32 * 116
    assert macs(network) == 784 * weights(network)
    assert kinds(network) == {"conv": 2 + 6 + 1, "group_conv": 3, "transpose": 4}
    assert {layer.order for layer in network.layers if isinstance(layer, Transpose)} == {"*HW"}


# Parts and joins


def test_queries_keys_and_values_of_each_head_after_one_another(imported: Import) -> None:
    """BLOOM's projection has 3 · 16 channels for each of 4 heads: each operand is one layer."""
    model = Model()
    x = model.input("x", [1, 32, 64])
    y = reshape(model, linear(model, x, 64, 192, "qkv"), 1, 32, 4, 3, 16)
    q, k, v = (turned(model, model.node("Gather", y, model.constant(i), axis=3), 0, 2, 1, 3) for i in range(3))
    mixed = reshape(model, turned(model, attention(model, q, k, v), 0, 2, 1, 3), 1, 32, 64)
    network = imported(model, linear(model, mixed, 64, 64, "o")).network
    assert weights(network) == 64 * 192 + 64 * 64
    assert macs(network, computed=True) == 2 * 4 * 32 * 32 * 16
    assert kinds(network) == {"conv": 2, "transpose": 3, "group_conv": 2, "ptp": 1}


def test_scaled_parts_of_every_head_are_parts(imported: Import) -> None:
    """GPT-NeoX splits each head's 3 · 16 channels, and scales queries."""
    model = Model()
    x = model.input("x", [1, 32, 64])
    y = turned(model, reshape(model, linear(model, x, 64, 192, "qkv"), 1, 32, 4, 48), 0, 2, 1, 3)
    q, k, v = model.node("Split", y, model.constant([16] * 3), outputs=3, axis=3)
    q = model.node("Mul", q, model.scalar(0.25))
    network = imported(model, attention(model, q, k, v)).network
    assert macs(network) == 32 * 64 * 192 + 2 * 4 * 32 * 32 * 16
    assert kinds(network) == {"conv": 1, "transpose": 3, "group_conv": 2, "ptp": 1}


def test_a_function_of_a_part_of_every_head_is_computed_of_the_part(imported: Import) -> None:
    model = Model()
    x = model.input("x", [1, 32, 64])
    y = reshape(model, linear(model, x, 64, 64, "p"), 1, 32, 4, 16)
    half = model.node("Sigmoid", cut(model, y, 3, 8), name="s")
    network = imported(model, half).network
    assert [layer.ofmap for layer in network.layers] == [(64, 32, 1), (32, 32, 1), (32, 32, 1)]


def test_a_crop_of_rows_and_columns_is_one_pooling(imported: Import) -> None:
    model = Model()
    x = model.node("Conv", model.input("x", [1, 3, 16, 16]), model.weight(8, 3, 1, 1), name="c")
    part = cut(model, cut(model, x, 2, 1, 9), 3, 2, 16, 2)
    network = imported(model, model.node("Conv", part, model.weight(8, 8, 3, 3), name="d")).network
    assert isinstance(network.layers[1], Pool)
    assert (network.layers[1].ofmap, network.layers[1].sH, network.layers[1].sW) == ((8, 8, 7), 1, 2)


def test_rejoined_parts_are_nothing(imported: Import) -> None:
    model = Model()
    x = model.node("Conv", model.input("x", [1, 3, 16, 16]), model.weight(8, 3, 1, 1), name="c")
    joined = model.node("Concat", cut(model, x, 2, 0, 5), cut(model, x, 2, 5), axis=2)
    network = imported(model, model.node("Conv", joined, model.weight(8, 8, 3, 3), name="d")).network
    assert [type(layer) for layer in network.layers] == [Conv, Conv]


def test_rows_of_two_layers_are_joined_by_three(imported: Import) -> None:
    model = Model()
    x = model.input("x", [1, 8, 16, 16])
    parts = [model.node("Conv", x, model.weight(8, 8, size, 1), name=f"c{size}") for size in (1, 3)]
    network = imported(model, model.node("Conv", model.node("Concat", *parts, axis=2), model.weight(4, 8, 1, 1)))
    assert kinds(network.network) == {"conv": 3, "transpose": 3}
    assert network.network.layers[-1].operations == (16 + 14) * 16 * 8 * 4


def test_columns_of_alike_layers_are_joined_by_one(imported: Import) -> None:
    model = Model()
    x = model.input("x", [1, 8, 16, 16])
    parts = [model.node("Conv", x, model.weight(8, 8, 1, 1), name=f"c{i}") for i in range(3)]
    network = imported(model, model.node("Conv", model.node("Concat", *parts, axis=3), model.weight(4, 8, 3, 3)))
    assert [layer.ofmap for layer in network.network.layers[3:]] == [(8, 16, 48), (4, 14, 46)]
    assert network.network.layers[3].ifmaps == ("c0", "c1", "c2")


def test_boxes_of_a_detector_are_joined_and_divided(imported: Import) -> None:
    """Two levels of 8×8 and 4×4 boxes, 64 + 18 channels each: 996,352 multiply-accumulates before the joint.

    3·8·8·32·64 + 3·16·16·32·16 in the levels, 32·82·(64 + 16) in the heads.
    """
    model = Model()
    x = model.input("images", [1, 3, 64, 64])
    rows = []
    for level, stride in enumerate((8, 16)):
        y = model.node("Conv", x, model.weight(32, 3, stride, stride), name=f"level{level}", strides=[stride] * 2)
        both = [model.node("Conv", y, model.weight(n, 32, 1, 1), name=f"{level}of{n}") for n in (64, 18)]
        rows.append(reshape(model, model.node("Concat", *both, axis=1), 1, 82, -1))
    joined = model.node("Concat", *rows, axis=2, name="join")
    boxes, classes = model.node("Split", joined, model.constant([64, 18]), outputs=2, axis=1)
    network = imported(model, boxes, model.node("Sigmoid", classes)).network
    assert macs(network) == 3 * 64 * 32 * 64 + 3 * 256 * 32 * 16 + 32 * 82 * 80 == 996_352
    assert (weights(network), output_bytes(network)) == (35_968, 80 * 82)
    assert kinds(network) == {"conv": 6, "transpose": 4, "ptp": 1}


def test_a_reshape_across_axes_that_do_not_divide_is_a_layer(imported: Import) -> None:
    model = Model()
    x = model.node("Conv", model.input("x", [1, 6, 4, 10]), model.weight(6, 6, 1, 1), name="c")
    network = imported(model, model.node("Conv", reshape(model, x, 1, 4, 6, 10), model.weight(4, 4, 1, 1))).network
    assert [layer.ofmap for layer in network.layers] == [(6, 4, 10), (4, 6, 10), (4, 6, 10)]
    assert isinstance(network.layers[1], Transpose)
    assert network.layers[1].order == "**W"


def test_an_input_in_two_arrangements_is_loaded_in_one(imported: Import) -> None:
    model = Model()
    x = model.input("x", [1, 8, 16])
    rows = model.node("MatMul", x, model.weight(16, 4), name="rows")
    columns = model.node("MatMul", turned(model, x, 0, 2, 1), model.weight(8, 4), name="columns")
    network = imported(model, rows, columns).network
    assert input_bytes(network) == 8 * 16
    assert kinds(network) == {"conv": 2, "transpose": 1}


def test_a_constant_that_two_layers_read_is_one_input(imported: Import) -> None:
    model = Model()
    x = model.node("Conv", model.input("x", [1, 8, 4, 4]), model.weight(8, 8, 1, 1), name="c")
    position = model.weight(1, 8, 4, 4, name="position")
    added = [model.node("Add", part, position) for part in (x, model.node("Sigmoid", x))]
    network = imported(model, *added).network
    assert input_bytes(network) == 2 * 8 * 16
    assert [layer.inputs for layer in network.layers if layer.kind == "eltwise"] == [("position",)] * 2


def test_a_shift_before_a_projection_is_one_layer_after_it(imported: Import) -> None:
    """LayerNorm, shift, projection, residual of 28×28×64 elements: 2 · 784 · 64 · 64 with the convolution before."""
    model = Model()
    x = model.node("Conv", model.input("x", [1, 64, 28, 28]), model.weight(64, 64, 1, 1), name="before")
    x = turned(model, x, 0, 2, 3, 1)
    y = model.node("LayerNormalization", x, model.weight(64), model.weight(64), axis=-1, name="norm")
    y = model.node(
        "Add", model.node("MatMul", rolled(model, y, 3), model.weight(64, 64), name="project"), model.weight(64)
    )
    network = imported(model, model.node("Add", x, y, name="residual")).network
    assert (macs(network), weights(network)) == (6_422_528, 8_192)
    assert [layer.name for layer in network.layers] == ["before", "norm", "project", "project_regroup", "residual"]
    assert network.layers[3].wanted_ifmap() == network.layers[3].ofmap == (64, 28, 28)


# Caches


def rotated(model: Model, x: str, cosine: str, sine: str, width: int) -> str:
    left, right = cut(model, x, 3, 0, width // 2), cut(model, x, 3, width // 2)
    turn = model.node("Concat", model.node("Neg", right), left, axis=3)
    return str(model.node("Add", model.node("Mul", x, cosine), model.node("Mul", turn, sine)))


def angles(model: Model, kind: str, tokens: int) -> tuple[str, str]:
    """Cosines and sines of rotations: inputs, constants, or computed from positions."""
    if kind == "inputs":
        return model.input("cos", [1, 1, tokens, 32]), model.input("sin", [1, 1, tokens, 32])
    if kind == "constants":
        return model.weight(1, 1, tokens, 32), model.weight(1, 1, tokens, 32)
    places = model.node("Unsqueeze", model.input("positions", [1, tokens], 7), model.constant([1]))
    angle = model.node("MatMul", model.weight(1, 16, 1), model.node("Cast", places, to=1))
    angle = turned(model, angle, 0, 2, 1)
    both = model.node("Concat", angle, angle, axis=2)
    cosine, sine = (model.node("Unsqueeze", model.node(name, both), model.constant([1])) for name in ("Cos", "Sin"))
    return cosine, sine


def decoding(kind: str = "", tokens: int = 1, cached: int = 127, outputs: bool = True) -> Model:
    """Eight heads of queries and two of keys and values, 32 channels each, of new tokens and cached ones."""
    model = Model()
    x = model.input("x", [1, tokens, 256])
    past = [model.input(name, [1, 2, cached, 32]) for name in ("past_k", "past_v")] if cached else []
    q = heads_of(model, model.node("MatMul", x, model.weight(256, 256), name="q"), 8, 256, (0, 2, 1, 3))
    k, v = (
        heads_of(model, model.node("MatMul", x, model.weight(256, 64), name=name), 2, 64, (0, 2, 1, 3)) for name in "kv"
    )
    if kind:
        cosine, sine = angles(model, kind, tokens)
        q, k = (rotated(model, part, cosine, sine, 32) for part in (q, k))
    if cached:
        k, v = (model.node("Concat", old, new, axis=2) for old, new in zip(past, (k, v), strict=True))
    total = tokens + cached
    repeated = []
    for part in (k, v):
        wide = model.node(
            "Expand", model.node("Unsqueeze", part, model.constant([2])), model.constant([1, 2, 4, total, 32])
        )
        repeated.append(reshape(model, wide, 1, 8, total, 32))
    mixed = reshape(model, turned(model, attention(model, q, *repeated), 0, 2, 1, 3), 1, tokens, 256)
    model.output(model.node("MatMul", mixed, model.weight(256, 256), name="o"))
    for part in (k, v) if outputs else ():
        model.output(part)
    return model


@pytest.mark.parametrize("kind", ["", "inputs", "constants", "positions"])
def test_a_token_with_cached_keys_and_values(imported: Import, kind: str) -> None:
    """163,840 multiply-accumulates with as many weights, and 2 products of 8·128·32 = 32,768.

    Each cache of 2·127·32 = 8,128 bytes is loaded once. Stored are the result and 2·128·32 = 8,192 bytes each of keys
    and values. A rotation is a layer for queries and one for keys.
    """
    result = imported(decoding(kind))
    network = result.network
    assert [note for note in result.notes if "--present new stores" in note]
    assert sum("taken to lie in DRAM in the arrangement" in note for note in result.notes) <= 1
    assert (macs(network), macs(network, computed=True), weights(network)) == (229_376, 65_536, 163_840)
    assert input_bytes(network) == 256 + 2 * 8_128
    assert output_bytes(network) == 256 + 2 * 8_192
    assert len(network.layers) == 12 + (2 if kind else 0)
    products = [layer for layer in network.layers if layer.weight_operands]
    assert [(layer.H, layer.K) for layer in products] == [(4, 2 * 128), (4, 2 * 32)]


@pytest.mark.parametrize("cached", [127, 1])
def test_the_new_token_alone_may_be_stored(imported: Import, cached: int) -> None:
    result = imported(decoding(cached=cached), present="new")
    network = result.network
    assert not [note for note in result.notes if "--present" in note]
    assert output_bytes(network) == 256 + 2 * 64
    assert set(network.outputs) == {"o", "k", "v"}
    assert input_bytes(network) == 256 + 2 * 64 * cached


@pytest.mark.parametrize("tokens", [1, 16])
def test_cached_keys_and_values_that_are_no_outputs(imported: Import, tokens: int) -> None:
    network = imported(decoding("positions", tokens, 112, outputs=False)).network
    assert macs(network, computed=True) == 2 * 8 * tokens * (tokens + 112) * 32
    assert (weights(network), input_bytes(network)) == (163_840, 256 * tokens + 2 * 64 * 112)
    assert output_bytes(network) == 256 * tokens


def test_grouped_queries_of_a_prompt(imported: Import) -> None:
    """The prompt's keys and values are stored as the projections make them."""
    network = imported(decoding("constants", 128, 0)).network
    assert (macs(network), macs(network, computed=True)) == (29_360_128, 8_388_608)
    assert (input_bytes(network), output_bytes(network)) == (32_768, 32_768 + 2 * 8_192)
    assert kinds(network)["upsample"] == 0


@pytest.mark.parametrize("make", [image_tokens, windows, decoding, lambda: windows(2, 4, 3)])
def test_outputs_and_names_are_those_of_the_network(imported: Import, make: Callable[[], Model]) -> None:
    network = imported(make()).network
    assert set(network.outputs) <= {layer.name for layer in network.layers}
