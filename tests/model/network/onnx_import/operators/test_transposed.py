"""Transposed convolutions: multiply-accumulates are elements of the ifmap times the kernels, and no zeros."""

from math import prod

import pytest
from support.onnx_imports import Import, faults, only
from support.onnx_models import Model

from soma_cp.model.network.layers import Conv, GroupConv, Transpose


@pytest.mark.parametrize(
    ("ifmap", "weights", "attributes"),
    [
        ((3, 4, 4), (3, 1, 5, 5), {"strides": [3, 3], "pads": [2, 2, 2, 2], "output_padding": [1, 1]}),
        ((8, 16, 16), (8, 4, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
        ((8, 16, 16), (8, 4, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ((8, 16, 16), (8, 2, 4, 4), {"strides": [2, 2], "group": 4}),
        ((8, 16, 16), (8, 1, 4, 4), {"strides": [2, 2], "group": 8}),
        ((8, 16, 16), (8, 4, 2, 3), {"strides": [4, 3]}),  # phases without taps
        ((8, 16, 16), (8, 4, 3, 3), {"strides": [2, 2], "dilations": [2, 3]}),
        ((8, 16, 16), (8, 4, 3, 3), {}),
        ((8, 16, 16), (8, 4, 3, 3), {"strides": [1, 2], "auto_pad": "SAME_UPPER"}),
        ((8, 16, 16), (8, 4, 3, 3), {"strides": [2, 2], "output_shape": [33, 32]}),
        ((100, 1, 1), (100, 64, 4, 4), {}),
        ((8, 100), (8, 4, 16), {"strides": [8], "pads": [4, 4]}),
        ((8, 4, 8, 8), (8, 4, 2, 2, 2), {"strides": [2, 2, 2]}),
        ((8, 4, 8, 8), (8, 4, 3, 3, 3), {"strides": [2, 2, 2], "pads": [1] * 6, "output_padding": [1] * 3}),
    ],
)
def test_no_zeros_are_multiplied(
    imported: Import, ifmap: tuple[int, ...], weights: tuple[int, ...], attributes: dict[str, object]
) -> None:
    model = Model()
    x = model.input("x", ["N", *ifmap])
    network = imported(model, model.node("ConvTranspose", x, model.weight(*weights), **attributes)).network
    assert sum(layer.weight_bytes for layer in network.layers) == prod(weights)
    assert network.operations[0] == prod(ifmap) * prod(weights[1:])


def test_a_kernel_larger_than_its_stride_has_phases_of_several_sizes(imported: Import) -> None:
    """5 taps and stride 3: two phases of 2 taps and one of 1. So 4, 2, 2 and 1 phases of 2×2, 2×1, 1×2 and 1×1 taps.

    4·4·3 elements are multiplied 4·4 + 2·2 + 2·2 + 1 = 25 times: 1,200 multiply-accumulates, and 75 B of weights.
    """
    model = Model()
    x = model.input("x", ["N", 3, 4, 4])
    made = model.node("ConvTranspose", x, model.weight(3, 1, 5, 5), strides=[3, 3], pads=[2, 2, 2, 2], name="up")
    result = imported(model, made)
    fields = {"C": 3, "H": 4, "W": 4, "inputs": ("x",)}
    convs = (
        Conv(name="up_2x2", K=4, R=2, S=2, **fields),
        Conv(name="up_2x1", K=2, R=2, S=1, **fields),
        Conv(name="up_1x2", K=2, R=1, S=2, **fields),
        Conv(name="up_1x1", K=1, R=1, S=1, **fields),
    )
    names = tuple(conv.name for conv in convs)
    interleaved = Transpose(name="up", K=1, H=10, W=10, order="*hw", ifmap=(9, 4, 4), ifmaps=names)
    assert result.network.layers == (*convs, interleaved)
    assert result.network.operations[0] == 1200
    assert sum(conv.weight_bytes for conv in convs) == 75
    assert result.notes == ()


def test_a_kernel_as_large_as_its_stride_is_one_convolution_of_a_tap(imported: Import) -> None:
    model = Model()
    x = model.input("x", ["N", 8, 16, 16])
    made = model.node("ConvTranspose", x, model.weight(8, 2, 2, 2), strides=[2, 2], group=2, name="up")
    assert imported(model, made).network.layers == (
        GroupConv(name="up_1x1", C=8, K=16, G=2, H=16, W=16, inputs=("x",)),
        Transpose(name="up", K=4, H=32, W=32, order="chw", ifmap=(16, 16, 16), ifmaps=("up_1x1",)),
    )


def test_without_a_stride_it_is_a_convolution(imported: Import) -> None:
    model = Model()
    x = model.input("x", ["N", 8, 16, 16])
    made = model.node("ConvTranspose", x, model.weight(8, 4, 3, 3), pads=[1, 1, 1, 1], name="c")
    assert only(imported(model, made).network) == Conv(name="c", C=8, K=4, R=3, S=3, H=16, W=16, inputs=("x",))


def test_of_one_element_it_is_a_product(imported: Import) -> None:
    """The first layer of a generator: 100 channels become 4×4 of 64, by one matrix of 1,024 kernels."""
    model = Model()
    x = model.input("x", ["N", 100, 1, 1])
    conv, spread = imported(
        model, model.node("ConvTranspose", x, model.weight(100, 64, 4, 4), name="up")
    ).network.layers
    assert conv == Conv(name="up_1x1", C=100, K=1024, H=1, W=1, inputs=("x",))
    assert spread == Transpose(name="up", K=64, H=4, W=4, order="chw", ifmap=(1024, 1, 1), ifmaps=("up_1x1",))


def test_a_sequence_keeps_one_column(imported: Import) -> None:
    """16 taps and stride 8: eight phases of 2 taps, and 8·99 + 16 − 8 = 800 rows."""
    model = Model()
    x = model.input("x", ["N", 8, 100])
    made = model.node("ConvTranspose", x, model.weight(8, 4, 16), strides=[8], pads=[4, 4], name="up")
    assert imported(model, made).network.layers == (
        Conv(name="up_2", C=8, K=32, R=2, H=100, W=1, inputs=("x",)),
        Transpose(name="up", K=4, H=800, W=1, order="chW", ifmap=(32, 100, 1), ifmaps=("up_2",)),
    )


def test_a_stride_and_a_crop_may_leave_the_extents(imported: Import) -> None:
    """4 elements become 2·3 + 2 − 4 = 4: the phases are interleaved, though the extents are the same."""
    model = Model()
    x = model.input("x", ["N", 8, 4, 4])
    made = model.node("ConvTranspose", x, model.weight(8, 3, 2, 2), strides=[2, 2], pads=[2] * 4, name="up")
    conv, interleaved = imported(model, made).network.layers
    assert conv.ofmap == (12, 4, 4)
    assert interleaved == Transpose(name="up", K=3, H=4, W=4, order="cHW", ifmap=(12, 4, 4), ifmaps=("up_1x1",))


def test_phases_of_a_dilated_kernel(imported: Import) -> None:
    """Stride 2. Rows are 2 apart: all three taps are in one phase, one row of the input apart.

    Columns are 3 apart: the taps 0 and 6 are in one phase, 3 columns of the input apart; the tap 3 is in the other.
    """
    model = Model()
    x = model.input("x", ["N", 8, 16, 16])
    made = model.node("ConvTranspose", x, model.weight(8, 4, 3, 3), strides=[2, 2], dilations=[2, 3], name="up")
    fields = {"C": 8, "K": 4, "R": 3, "H": 16, "W": 16, "inputs": ("x",)}
    assert imported(model, made).network.layers[:-1] == (
        Conv(name="up_3x2", S=2, dW=3, **fields),
        Conv(name="up_3x1", S=1, **fields),
    )


def test_padding_before_it_is_multiplied(imported: Import) -> None:
    """18×18 elements, those of the padding among them; as frames of a video, they lie one after another."""
    model = Model()
    video = model.input("x", ["batch", 5, 8, 16, 16])
    x = model.node("Reshape", video, model.constant([-1, 8, 16, 16]))
    padded = model.node("Pad", x, model.constant([0, 0, 1, 1, 0, 0, 1, 1]))
    made = model.node("ConvTranspose", padded, model.weight(8, 4, 2, 2), strides=[2, 2], name="up")
    network = imported(model, made).network
    assert [layer.ofmap for layer in network.layers] == [(8, 90, 18), (16, 90, 18), (4, 180, 36)]
    assert network.operations[0] == 5 * 18 * 18 * 8 * 4 * 4


def test_a_result_smaller_than_its_input_is_refused(imported: Import) -> None:
    """The package ``onnx`` infers no rows and columns for it."""
    model = Model()
    x = model.input("x", ["N", 8, 16, 16])
    made = model.node("ConvTranspose", x, model.weight(8, 4, 3, 3), output_shape=[8, 8], name="c")
    assert faults(lambda: imported(model, made)) == [
        "'c' (ConvTranspose) makes a tensor [1, 4] of one of 4 axes (must have as many)"
    ]
