"""Convolutions and pooling: dilation, padding, frames. One element is one byte."""

import pytest
from support.onnx_imports import Import, faults, only
from support.onnx_models import Model

from soma_cp.model.network.layers import Conv, FullyConnected, GroupConv, Pool, Transpose
from soma_cp.model.network.network import Network


def image(*dims: int | str) -> tuple[Model, str]:
    model = Model()
    return model, model.input("x", list(dims))


def weight_bytes(network: Network) -> int:
    """Bytes of the stored weights, those that layers share once."""
    matrices = [layer for layer in network.layers if isinstance(layer, Conv)]
    return sum({layer.weights or layer.name: layer.weight_bytes for layer in matrices}.values())


# Sequences


def test_a_dilated_convolution_of_a_sequence_pads_as_far_as_its_taps_lie(imported: Import) -> None:
    """A block of a TCN: 3 taps 8 rows apart, 16 rows of padding on both sides, of which the last 16 rows are cut."""
    model, x = image("N", 16, 100)
    made = model.node("Conv", x, model.weight(8, 16, 3), pads=[16, 16], dilations=[8], name="c")
    cut = model.node("Slice", made, model.constant([0]), model.constant([-16]), model.constant([2]), name="cut")
    network = imported(model, cut).network
    assert network.layers == (
        Conv(name="c", C=16, K=8, R=3, H=116, W=1, dH=8, inputs=("x",)),
        Pool(name="cut", K=8, H=100, W=1, ifmaps=("c",)),
    )
    assert network.operations[0] == 116 * 8 * 16 * 3
    assert network.layers[0].wanted_ifmap() == (16, 100 + 2 * 16, 1)


@pytest.mark.parametrize("by", ["Pad", "pads"])
def test_a_causal_convolution_pads_before_the_sequence(imported: Import, by: str) -> None:
    model, x = image("N", 16, 100)
    padded = model.node("Pad", x, model.constant([0, 0, 16, 0, 0, 0])) if by == "Pad" else x
    pads = [0, 0] if by == "Pad" else [16, 0]
    made = model.node("Conv", padded, model.weight(16, 1, 3), dilations=[8], group=16, pads=pads, name="c")
    assert only(imported(model, made).network) == GroupConv(
        name="c", C=16, K=16, G=16, R=3, H=100, W=1, dH=8, inputs=("x",)
    )


def test_a_sequence_with_channels_last_is_transposed_for_nothing(imported: Import) -> None:
    model, x = image("N", 100, 16)
    made = model.node("Conv", model.node("Transpose", x, perm=[0, 2, 1]), model.weight(8, 16, 3), pads=[1, 1], name="c")
    layer = only(imported(model, model.node("Transpose", made, perm=[0, 2, 1])).network)
    assert (layer.ofmap, layer.operations, layer.weight_bytes) == ((8, 100, 1), 100 * 8 * 16 * 3, 8 * 16 * 3)


# Windows of every sort


@pytest.mark.parametrize(
    ("attributes", "rows"),
    [
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, 8),
        ({"auto_pad": "SAME_LOWER"}, 16),
        ({"auto_pad": "VALID"}, 13),
        ({"pads": [1, 2, 1, 2]}, 15),  # 16 + 2 − 4 + 1 rows, 16 + 4 − 4 + 1 columns
    ],
)
def test_padding_of_an_even_window(imported: Import, attributes: dict[str, object], rows: int) -> None:
    model, x = image("N", 8, 16, 16)
    layer = only(imported(model, model.node("Conv", x, model.weight(4, 8, 4, 4), **attributes)).network)
    columns = 17 if "pads" in attributes else rows
    assert layer.ofmap == (4, rows, columns)
    assert layer.operations == rows * columns * 4 * 8 * 16


def test_a_stride_may_exceed_the_window(imported: Import) -> None:
    model, x = image("N", 8, 16, 16)
    layer = only(imported(model, model.node("Conv", x, model.weight(4, 8, 1, 1), strides=[3, 3], name="c")).network)
    assert layer == Conv(name="c", C=8, K=4, H=6, W=6, sH=3, sW=3, inputs=("x",))


def test_a_window_in_the_padding_alone_reads_an_fmap_with_padding(imported: Import) -> None:
    """One tap and a padding of 1: the 18×18 fmap, 16×16 and zeros, is multiplied. Columns need no padding."""
    model, x = image("N", 8, 16, 16)
    result = imported(model, model.node("Conv", x, model.weight(4, 8, 1, 3), pads=[1, 1, 1, 1], name="c"))
    padded, conv = result.network.layers
    assert padded == Transpose(name="c_padded", K=8, H=18, W=16, order="ChW", ifmap=(8, 16, 16), inputs=("x",))
    assert conv == Conv(name="c", C=8, K=4, S=3, H=18, W=16, ifmaps=("c_padded",))
    assert result.notes == (
        "'c' (Conv): some windows lie in the padding alone; so the padding is stored with the fmap",
    )


def test_dilation_of_a_pooling_spreads_its_window(imported: Import) -> None:
    """5 rows from the first tap to the last: 12 of 16 rows are made."""
    model, x = image("N", 8, 16, 16)
    result = imported(model, model.node("MaxPool", x, kernel_shape=[3, 3], dilations=[2, 2], name="p"))
    assert only(result.network) == Pool(name="p", K=8, R=3, S=3, H=12, W=12, dH=2, dW=2, inputs=("x",))
    assert result.notes == ()


@pytest.mark.parametrize("operator", ["GlobalLpPool", "LpPool"])
def test_pooling_by_a_norm(imported: Import, operator: str) -> None:
    model, x = image("N", 8, 16, 16)
    attributes = {"kernel_shape": [16, 16], "strides": [16, 16]} if operator == "LpPool" else {}
    layer = only(imported(model, model.node(operator, x, name="p", **attributes)).network)
    assert layer == Pool(name="p", K=8, R=16, S=16, H=1, W=1, sH=16, sW=16, inputs=("x",))


def test_indices_of_a_maximum_may_be_left_unread(imported: Import) -> None:
    model, x = image("N", 8, 16, 16)
    largest, indices = model.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], outputs=2, name="p")
    assert only(imported(model, largest).network).ofmap == (8, 8, 8)
    made = model.node("MaxUnpool", largest, indices, kernel_shape=[2, 2], strides=[2, 2], name="up")
    model.outputs.clear()
    assert any(
        "'up' (MaxUnpool) puts elements where computed" in line for line in faults(lambda: imported(model, made))
    )


def test_computed_weights_are_refused(imported: Import) -> None:
    model, x = image(1, 8, 16, 16)
    weights = model.input("w", [1, 8, 3, 3])
    assert faults(lambda: imported(model, model.node("Conv", x, weights, name="c"))) == [
        "'c' (Conv) has computed weights (must be constant)"
    ]


def test_nodes_with_the_same_weights_share_them(imported: Import) -> None:
    """A head on two levels of a pyramid: 4·8·9 bytes are stored once."""
    model, x = image("N", 8, 16, 16)
    small = model.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], name="p")
    weights = model.weight(4, 8, 3, 3, name="head.weight")
    heads = [model.node("Conv", of, weights, pads=[1, 1, 1, 1]) for of in (x, small)]
    network = imported(model, *heads).network
    assert [layer.weights for layer in network.layers if isinstance(layer, Conv)] == ["head.weight"] * 2
    assert weight_bytes(network) == 4 * 8 * 9
    assert network.operations[0] == (256 + 64) * 4 * 8 * 9


def test_parts_of_shared_weights_are_shared(imported: Import) -> None:
    """Both heads are split into 4 and 12 channels: the two parts of the weights are stored once each."""
    model, x = image("N", 8, 16, 16)
    small = model.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], name="p")
    weights = model.weight(16, 8, 3, 3, name="head.weight")
    parts = []
    for of in (x, small):
        made = model.node("Conv", of, weights, pads=[1, 1, 1, 1])
        parts += model.node("Split", made, model.constant([4, 12]), axis=1, outputs=2)
    assert weight_bytes(imported(model, *parts).network) == 16 * 8 * 9


# Frames


def test_a_volume_of_frames_that_no_window_joins_is_one_image(imported: Import) -> None:
    """8 frames of 16×16 lie one after another along 128 rows; each becomes 8×8."""
    model, x = image("N", 3, 8, 16, 16)
    made = model.node("Conv", x, model.weight(4, 3, 1, 3, 3), pads=[0, 1, 1] * 2, strides=[1, 2, 2], name="c")
    assert only(imported(model, made).network) == Conv(
        name="c", C=3, K=4, R=3, S=3, H=64, W=8, sH=2, sW=2, inputs=("x",)
    )


def test_a_window_of_several_frames_reads_them_side_by_side(imported: Import) -> None:
    """Each of 8 frames needs 3 of 16 rows: 384 rows, and windows of 3·3 rows, 3 rows apart."""
    model, x = image("N", 3, 8, 16, 16)
    network = imported(model, model.node("Conv", x, model.weight(4, 3, 3, 3, 3), pads=[1] * 6, name="c")).network
    frames, conv = network.layers
    assert frames == Transpose(name="c_frames", K=3, H=384, W=16, order="C*W", ifmap=(3, 128, 16), inputs=("x",))
    assert conv == Conv(name="c", C=3, K=4, R=9, S=3, H=128, W=16, sH=3, ifmaps=("c_frames",))
    assert conv.operations == 8 * 16 * 16 * 4 * 3 * 27
    assert conv.weight_bytes == 4 * 3 * 27


def test_a_depthwise_window_of_frames_with_dilation(imported: Import) -> None:
    """3 frames, 2 apart, of one row each; 8 frames with padding 2 stay 8."""
    model, x = image("N", 6, 8, 16, 16)
    made = model.node(
        *("Conv", x, model.weight(12, 1, 3, 1, 1)), pads=[2, 0, 0] * 2, dilations=[2, 1, 1], group=6, name="c"
    )
    _, conv = imported(model, made).network.layers
    assert conv == GroupConv(name="c", C=6, K=12, G=6, R=3, H=128, W=16, sH=3, ifmaps=("c_frames",))
    assert (conv.operations, conv.weight_bytes) == (8 * 256 * 12 * 3, 12 * 3)


def test_pooling_of_volumes(imported: Import) -> None:
    """An input's frames may lie side by side in DRAM; a global pooling needs no such thing."""
    model, x = image("N", 3, 8, 16, 16)
    pooled = model.node("MaxPool", x, kernel_shape=[2, 2, 2], strides=[2, 2, 2], name="p")
    network = imported(model, model.node("GlobalAveragePool", pooled, name="g")).network
    assert network.layers == (
        Pool(name="p", K=3, R=4, S=2, H=32, W=8, sH=4, sW=2, inputs=("x_rearranged",)),
        Pool(name="g", K=3, R=32, S=8, H=1, W=1, sH=32, sW=8, ifmaps=("p",)),
    )
    assert network.operations == (0, 3 * 4 * 8 * 8 * 8 + 3 * 4 * 64)


def test_frames_that_no_two_windows_share_are_moved_without_repetition(imported: Import) -> None:
    model, x = image("N", 3, 8, 16, 16)
    made = model.node("Conv", x, model.weight(4, 3, 1, 1, 1), name="c")
    pooled = model.node("AveragePool", made, kernel_shape=[2, 2, 2], strides=[2, 2, 2], name="p")
    assert imported(model, pooled).network.layers[1:] == (
        Transpose(name="p_frames", K=4, H=128, W=16, order="ChW", ifmap=(4, 128, 16), ifmaps=("c",)),
        Pool(name="p", K=4, R=4, S=2, H=32, W=8, sH=4, sW=2, ifmaps=("p_frames",)),
    )


def test_one_frame_among_padding_is_multiplied_as_often_as_the_window_is_deep(imported: Import) -> None:
    """The causal convolution of a video's first frame: three taps, two of which are zeros."""
    model, x = image("N", 3, 1, 16, 16)
    padded = model.node("Pad", x, model.constant([0, 0, 2, 1, 1, 0, 0, 0, 1, 1]))
    conv = imported(model, model.node("Conv", padded, model.weight(4, 3, 3, 3, 3), name="c")).network.layers[-1]
    assert (conv.ofmap, conv.operations, conv.weight_bytes) == ((4, 16, 16), 256 * 4 * 3 * 27, 4 * 3 * 27)


@pytest.mark.parametrize("stride", [1, 7])
def test_a_window_of_all_rows_keeps_its_stride(imported: Import, stride: int) -> None:
    model, x = image("N", 8, 7, 7)
    made = model.node("Conv", x, model.weight(4, 8, 7, 7), strides=[stride] * 2, name="c")
    layer = only(imported(model, made).network)
    assert layer == Conv(name="c", C=8, K=4, R=7, S=7, H=1, W=1, sH=stride, sW=stride, inputs=("x",))


def test_a_network_of_volumes_goes_on_to_a_classifier(imported: Import) -> None:
    model, x = image("N", 3, 4, 8, 8)
    made = model.node("Conv", x, model.weight(4, 3, 3, 3, 3), pads=[1] * 6, name="c")
    made = model.node("BatchNormalization", made, *(model.weight(4) for _ in range(4)))
    made = model.node("Add", model.node("Relu", made), model.node("Conv", x, model.weight(4, 3, 1, 1, 1), name="s"))
    made = model.node("Gemm", model.node("Flatten", made), model.weight(4 * 256, 10), name="fc")
    network = imported(model, made).network
    assert network.layers[-1] == FullyConnected(name="fc", C=4, K=10, R=32, S=8, ifmaps=(network.layers[-2].name,))
    assert network.operations[0] == 256 * (4 * 3 * 27 + 4 * 3) + 4 * 256 * 10


def test_rows_and_frames_with_dilation_are_refused(imported: Import) -> None:
    model, x = image("N", 3, 8, 16, 16)
    made = model.node("Conv", x, model.weight(4, 3, 3, 3, 3), dilations=[1, 2, 2], name="c")
    assert faults(lambda: imported(model, made)) == [
        "'c' (Conv) has a window of 3 frames and 3 rows with a dilation of 2 in rows (must be 1)"
    ]


def test_images_of_a_sample_are_frames(imported: Import) -> None:
    """8 frames of a video, one after another in the first axis: each is convolved, and pooled by itself."""
    model = Model()
    video = model.input("x", ["batch", 8, 3, 16, 16])
    frames = model.node("Reshape", video, model.constant([-1, 3, 16, 16]))
    made = model.node("Conv", frames, model.weight(4, 3, 3, 3), pads=[1] * 4, strides=[2, 2], name="c")
    pooled = model.node("Reshape", model.node("GlobalAveragePool", made, name="g"), model.constant([-1, 8, 4]))
    network = imported(model, model.node("MatMul", pooled, model.weight(4, 5), name="fc")).network
    conv, pool, fc = network.layers
    assert (conv.ofmap, conv.operations, conv.weight_bytes) == ((4, 64, 8), 8 * 64 * 4 * 27, 4 * 27)
    assert pool == Pool(name="g", K=4, R=8, S=8, H=8, W=1, sH=8, sW=8, ifmaps=("c",))
    assert fc == Conv(name="fc", C=4, K=5, H=8, W=1, ifmaps=("g",))


# Patches


def test_patches_of_a_video_are_multiplied(imported: Import) -> None:
    """4 frames of 28×28 are 2·2·2 patches of 3·2·14·14 elements."""
    model, x = image("N", 3, 4, 28, 28)
    made = model.node("Conv", x, model.weight(32, 3, 2, 14, 14), strides=[2, 14, 14], name="c")
    tokens = model.node("Transpose", model.node("Reshape", made, model.constant([1, 32, -1])), perm=[0, 2, 1])
    conv, _ = imported(model, model.node("MatMul", tokens, model.weight(32, 8))).network.layers
    assert conv == Conv(name="c", C=1176, K=32, H=8, W=1, inputs=("x_patches",))
    assert (conv.operations, conv.weight_bytes) == (8 * 1176 * 32, 1176 * 32)


def test_patches_that_were_cut_before_are_rows_of_a_matrix(imported: Import) -> None:
    """Qwen-VL reads a row of 1,176 elements for each patch, and convolves each row by a window of as many."""
    model = Model()
    x = model.input("x", ["patches", 1176])
    volumes = model.node("Reshape", x, model.constant([-1, 3, 2, 14, 14]))
    made = model.node("Conv", volumes, model.weight(32, 3, 2, 14, 14), strides=[2, 14, 14], name="c")
    tokens = model.node("Reshape", made, model.constant([-1, 32]))
    network = imported(model, model.node("MatMul", tokens, model.weight(32, 8)), dims={"patches": 64}).network
    assert network.layers[0] == Conv(name="c", C=1176, K=32, H=64, W=1, inputs=("x",))
