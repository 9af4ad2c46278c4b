"""Enlargement, reduction and padding."""

from typing import Any

import numpy as np
import pytest
from support.onnx_imports import Import, faults, only
from support.onnx_models import Model

from soma_cp.model.network.layers import Conv, Layer, PointToPoint, Pool, Transpose, Upsample


def resized(model: Model, x: str, sizes: list[int], **attributes: Any) -> str:
    return str(model.node("Resize", x, "", "", model.constant(sizes), name="r", **attributes))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize(
    ("extents", "layer"),
    [
        ((50, 30), Transpose(name="r", K=4, H=50, W=30, order="Chw", ifmap=(4, 20, 20), inputs=("x",))),
        ((50, 20), Transpose(name="r", K=4, H=50, W=20, order="ChW", ifmap=(4, 20, 20), inputs=("x",))),
        ((20, 15), Transpose(name="r", K=4, H=20, W=15, order="CHw", ifmap=(4, 20, 20), inputs=("x",))),
        ((40, 10), Transpose(name="r", K=4, H=40, W=10, order="Chw", ifmap=(4, 20, 20), inputs=("x",))),
        ((39, 60), Upsample(name="r", K=4, H=39, W=60, sH=2, sW=3, inputs=("x",))),
        ((10, 5), Pool(name="r", K=4, H=10, W=5, R=2, S=4, sH=2, sW=4, inputs=("x",))),
    ],
)
def test_resizing(imported: Import, mode: str, extents: tuple[int, int], layer: Layer) -> None:
    model = Model()
    x = model.input("x", ["N", 4, 20, 20])
    assert only(imported(model, resized(model, x, [1, 4, *extents], mode=mode)).network) == layer


def test_resizing_some_axes_with_their_ratio_kept(imported: Import) -> None:
    """32×20 within 24×24 keeps its ratio: 24×15."""
    model = Model(18)
    x = model.input("x", ["N", 4, 32, 20])
    made = resized(model, x, [24, 24], axes=[2, 3], keep_aspect_ratio_policy="not_larger")
    assert only(imported(model, made).network).ofmap == (4, 24, 15)


def test_a_sequence_has_rows_to_resize(imported: Import) -> None:
    model = Model()
    x = model.input("x", ["N", 4, 100])
    assert only(imported(model, resized(model, x, [1, 4, 250])).network) == Transpose(
        name="r", K=4, H=250, W=1, order="ChW", ifmap=(4, 100, 1), inputs=("x",)
    )


def test_a_volume_is_resized_frame_by_frame_or_in_all(imported: Import) -> None:
    """4 frames of 8×8 become 8×8 of twice the rows and columns, or 8 frames of them."""
    model = Model()
    x = model.input("x", ["N", 3, 4, 8, 8])
    made = model.node("Resize", x, "", model.constant([1, 1, 1, 2, 2], np.float32), name="frames")
    network = imported(model, made, resized(model, x, [1, 3, 8, 16, 16])).network
    assert network.layers == (
        Upsample(name="frames", K=3, H=64, W=16, sH=2, sW=2, inputs=("x",)),
        Transpose(name="r", K=3, H=128, W=16, order="Chw", ifmap=(3, 32, 8), inputs=("x",)),
    )


def test_frames_of_an_enlargement_keep_apart(imported: Import) -> None:
    """8 rows become 15, of 2·8: of four frames, 2·32 rows are not 4·15."""
    model = Model()
    x = model.input("x", ["N", 3, 4, 8, 8])
    layer = only(imported(model, resized(model, x, [1, 3, 4, 15, 16])).network)
    assert layer == Transpose(name="r", K=3, H=60, W=16, order="Chw", ifmap=(3, 32, 8), inputs=("x",))


def test_padding_is_enlarged_with_the_rest(imported: Import) -> None:
    model = Model()
    x = model.input("x", ["N", 4, 8, 8])
    padded = model.node("Pad", x, model.constant([0, 0, 4, 4, 0, 0, 4, 4]))
    assert imported(model, resized(model, padded, [1, 4, 32, 32])).network.layers == (
        Transpose(name="r_padded", K=4, H=16, W=16, order="Chw", ifmap=(4, 8, 8), inputs=("x",)),
        Upsample(name="r", K=4, H=32, W=32, sH=2, sW=2, ifmaps=("r_padded",)),
    )


def test_resizing_is_no_arrangement_that_the_next_layer_takes_over(imported: Import) -> None:
    """20×20 to 30×30, and from there to 50×50; and to tokens before a multiplication."""
    model = Model()
    x = model.input("x", ["N", 4, 20, 20])
    conv = model.node("Conv", x, model.weight(8, 4, 1, 1), name="c")
    larger = model.node("Resize", conv, "", "", model.constant([1, 8, 30, 30]), name="first")
    tokens = model.node("Reshape", larger, model.constant([1, 8, -1]))
    product = model.node("MatMul", tokens, model.node("Transpose", tokens, perm=[0, 2, 1]), name="m")
    network = imported(model, resized(model, larger, [1, 8, 50, 50]), product).network
    assert [layer.name for layer in network.layers if isinstance(layer, Transpose) and layer.order == "Chw"] == [
        "first",
        "r",
    ]
    assert network.operations[0] == 400 * 4 * 8 + 8 * 8 * 900


def test_a_part_of_what_is_resized(imported: Import) -> None:
    model = Model()
    x = model.input("x", ["N", 4, 20, 20])
    conv = model.node("Conv", x, model.weight(8, 4, 1, 1), name="c")
    cut = model.node(
        *("Slice", resized(model, conv, [1, 8, 30, 30]), model.constant([3]), model.constant([21]), model.constant([2]))
    )
    network = imported(model, model.node("Conv", cut, model.weight(2, 8, 1, 1))).network
    assert [layer.ofmap for layer in network.layers] == [(8, 20, 20), (8, 30, 30), (8, 18, 30), (2, 18, 30)]


def test_channels_are_not_resized(imported: Import) -> None:
    model = Model()
    x = model.input("x", ["N", 4, 20, 20])
    assert faults(lambda: imported(model, resized(model, x, [1, 8, 20, 20]))) == [
        "'r' (Resize) resizes channels (only rows and columns can be)"
    ]


# Padding


def test_padding_that_no_window_reads_is_part_of_an_fmap(imported: Import) -> None:
    model = Model()
    x = model.input("x", ["N", 4, 16, 16])
    conv = model.node("Conv", x, model.weight(8, 4, 1, 1), name="c")
    padded = model.node("Pad", conv, model.constant([0, 0, 1, 0, 0, 0, 1, 0]), name="p")
    network = imported(model, model.node("Sigmoid", padded, name="s"), model.node("Erf", padded, name="e")).network
    assert network.layers[1:] == (
        Transpose(name="p", K=8, H=18, W=16, order="ChW", ifmap=(8, 16, 16), ifmaps=("c",)),
        PointToPoint(name="s", K=8, H=18, W=16, ifmaps=("p",)),
        PointToPoint(name="e", K=8, H=18, W=16, ifmaps=("p",)),
    )


def test_channels_may_be_padded(imported: Import) -> None:
    """A residual block without a projection: 8 channels and 4 of zeros on both sides."""
    model = Model()
    x = model.input("x", ["N", 4, 16, 16])
    conv = model.node("Conv", x, model.weight(8, 4, 1, 1), name="c")
    padded = model.node("Pad", conv, model.constant([0, 4, 0, 0, 0, 4, 0, 0]), name="p")
    network = imported(model, model.node("Conv", padded, model.weight(2, 16, 1, 1), name="d")).network
    assert network.layers[1:] == (
        Transpose(name="p", K=16, H=16, W=16, order="cHW", ifmap=(8, 16, 16), ifmaps=("c",)),
        Conv(name="d", C=16, K=2, H=16, W=16, ifmaps=("p",)),
    )


def test_a_crop_of_rows_is_a_part(imported: Import) -> None:
    model = Model()
    x = model.input("x", ["N", 4, 16, 16])
    conv = model.node("Conv", x, model.weight(8, 4, 1, 1), name="c")
    cut = model.node("Pad", conv, model.constant([0, 0, 0, 0, 0, 0, -4, 0]), name="p")
    *_, cropped, d = imported(model, model.node("Conv", cut, model.weight(2, 8, 1, 1), name="d")).network.layers
    assert cropped == Transpose(name="p", K=8, H=12, W=16, order="ChW", ifmap=(8, 16, 16), ifmaps=("c",))
    assert d.ofmap == (2, 12, 16)


def test_padding_that_is_cut_again_is_nothing(imported: Import) -> None:
    model = Model()
    x = model.input("x", ["N", 4, 16, 16])
    padded = model.node("Pad", x, model.constant([0, 0, 1, 1, 0, 0, 1, 1]), name="p")
    cut = model.node("Pad", padded, model.constant([0, 0, -1, -1, 0, 0, -1, -1]), name="q")
    assert only(imported(model, model.node("Sigmoid", cut, name="s")).network) == PointToPoint(
        name="s", K=4, H=16, W=16, inputs=("x",)
    )


def test_tokens_as_rows_and_columns_are_padded(imported: Import) -> None:
    """14×14 tokens become 16×16, for windows of 4×4."""
    model = Model()
    x = model.input("x", ["N", 196, 32])
    tokens = model.node("MatMul", x, model.weight(32, 8), name="m")
    squares = model.node("Reshape", tokens, model.constant([-1, 14, 14, 8]))
    padded = model.node("Pad", squares, model.constant([0, 0, 0, 0, 0, 2, 2, 0]), name="p")
    network = imported(model, model.node("MatMul", padded, model.weight(8, 4), name="n")).network
    assert network.layers[1:] == (
        Transpose(name="p", K=8, H=16, W=16, order="C**", ifmap=(8, 196, 1), ifmaps=("m",)),
        Conv(name="n", C=8, K=4, H=16, W=16, ifmaps=("p",)),
    )


def test_frames_and_rows_are_padded_together(imported: Import) -> None:
    """Two frames before 8 of 12 rows, and a row on both sides of each: 10·14 rows."""
    model = Model()
    x = model.input("x", ["N", 3, 8, 12, 12])
    conv = model.node("Conv", x, model.weight(4, 3, 1, 1, 1), name="c")
    padded = model.node("Pad", conv, model.constant([0, 0, 2, 1, 1, 0, 0, 0, 1, 1]), name="p")
    network = imported(model, model.node("Sigmoid", padded)).network
    assert network.layers[1] == Transpose(name="p", K=4, H=140, W=14, order="Chw", ifmap=(4, 96, 12), ifmaps=("c",))


def test_reshaping_padding_makes_it_part_of_an_fmap(imported: Import) -> None:
    model = Model()
    x = model.input("x", ["N", 4, 6, 6])
    padded = model.node("Pad", x, model.constant([0, 0, 1, 1, 0, 0, 1, 1]), name="p")
    flat = model.node("Reshape", padded, model.constant([1, -1]))
    network = imported(model, model.node("Gemm", flat, model.weight(256, 10))).network
    assert [layer.ofmap for layer in network.layers] == [(4, 8, 8), (10, 1, 1)]


def test_the_batch_is_not_padded(imported: Import) -> None:
    model = Model()
    x = model.input("x", [2, 4, 16, 16])
    padded = model.node("Pad", x, model.constant([0, 0, 0, 0, 1, 0, 0, 0]), name="p")
    assert faults(lambda: imported(model, padded, batch_axes={"x": 0})) == [
        "'p' (Pad) pads the batch (must be within a sample)"
    ]
