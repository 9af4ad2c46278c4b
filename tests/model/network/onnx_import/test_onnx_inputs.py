"""What inputs of a graph are: their batch, their layout, whether they are data; with figures counted by hand."""

from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto
from support.onnx_imports import Import, faults, kinds, only
from support.onnx_models import Model

from soma_cp.model.network.layers import Conv, FullyConnected, GroupConv
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.folding import folded_graph
from soma_cp.model.network.onnx_import.layouts import input_tensor
from soma_cp.model.network.onnx_import.options import OnnxOptions, Role
from soma_cp.model.network.onnx_import.reading import read_model


def macs(network: Network) -> int:
    return sum(layer.operations for layer in network.layers if layer.is_matrix)


def weight_bytes(network: Network) -> int:
    return sum(layer.weight_bytes for layer in network.layers)


def shapes(network: Network) -> dict[str, tuple[int, int, int]]:
    return {source.name: source.shape for source in network.inputs}


# The batch


def gemm(rows: int | str = 512) -> tuple[Model, str]:
    model = Model()
    x = model.input("activations", [rows, 768])
    return model, model.node("MatMul", x, model.weight(768, 3072), name="matmul")


def test_a_matrix_alone_has_no_batch(imported: Import) -> None:
    result = imported(*gemm())
    assert macs(result.network) == 512 * 768 * 3072 == 1_207_959_552
    assert weight_bytes(result.network) == 768 * 3072 == 2_359_296
    assert shapes(result.network) == {"activations": (768, 512, 1)}
    assert result.notes == (
        "input 'activations' is taken for one sample of 512 rows; --batch-axis activations=0 takes these for samples",
    )


def test_the_rows_of_a_matrix_are_samples_if_the_user_says_so(imported: Import) -> None:
    result = imported(*gemm(), batch_axes={"activations": 0})
    assert only(result.network) == FullyConnected(name="matmul", C=768, R=1, S=1, K=3072, inputs=("activations",))
    assert macs(result.network) == 768 * 3072
    assert result.notes == ()


@pytest.mark.parametrize("rows", [1, "batch", "rows"])
def test_one_row_or_rows_without_a_number_are_the_batch(imported: Import, rows: int | str) -> None:
    assert macs(imported(*gemm(rows)).network) == 768 * 3072


def test_rows_without_a_number_are_no_batch_if_the_user_says_so(imported: Import) -> None:
    network = imported(*gemm("batch"), dims={"batch": 512}, batch_axes={"activations": None}).network
    assert macs(network) == 512 * 768 * 3072


def test_two_matrices_that_are_multiplied_have_no_batch(imported: Import) -> None:
    model = Model()
    left, right = model.input("left", [64, 32]), model.input("right", [32, 48])
    result = imported(model, model.node("MatMul", left, right, name="m"))
    assert macs(result.network) == 64 * 32 * 48
    assert result.notes == (
        "input 'left' is taken to have no batch, since the model can't be scheduled by samples of axis 0; "
        "--batch-axis says otherwise",
    )


def attention(model: Model, q: str, k: str, v: str, name: str = "") -> str:
    order = [0, 2, 1] if name == "" else [1, 0]
    scores = model.node("Softmax", model.node("MatMul", q, model.node("Transpose", k, perm=order), name="qk"))
    return str(model.node("MatMul", scores, v, name="av"))


def test_heads_without_a_batch(imported: Import) -> None:
    """8 heads of 128 tokens and 64 channels; scores and their product with the values are 8·128·128·64 each."""
    model = Model()
    q, k, v = (model.input(name, [8, 128, 64]) for name in "qkv")
    result = imported(model, attention(model, q, k, v))
    assert macs(result.network) == 2 * 8 * 128 * 128 * 64
    assert [layer.G for layer in result.network.layers if isinstance(layer, GroupConv)] == [8, 8]
    assert "input 'q' is taken for one sample of 8 heads; --batch-axis q=0 takes these for samples" in result.notes


def test_heads_are_samples_if_the_user_says_so(imported: Import) -> None:
    model = Model()
    q, k, v = (model.input(name, [8, 128, 64]) for name in "qkv")
    network = imported(model, attention(model, q, k, v), batch_axes=dict.fromkeys("qkv", 0)).network
    assert macs(network) == 2 * 128 * 128 * 64


def test_attention_among_the_rows_of_a_matrix(imported: Import) -> None:
    """Three projections of 32 tokens and 64 channels, then 32·32·64 for the scores and for the values."""
    model = Model()
    x = model.input("x", [32, 64])
    q, k, v = (model.node("MatMul", x, model.weight(64, 64), name=name) for name in "qkv")
    network = imported(model, attention(model, q, k, v, "matrices")).network
    assert macs(network) == 3 * 32 * 64 * 64 + 2 * 32 * 32 * 64


def sequence_first(model: Model, x: str, tokens: int, samples: int) -> str:
    """Attention as PyTorch's transformer has it: tokens × samples × 64 channels, four heads."""
    made = []
    for name in "qkv":
        flat = model.node("MatMul", x, model.weight(64, 64), name=name)
        split = model.node("Reshape", flat, model.constant([tokens, samples * 4, 16]))
        made.append(model.node("Transpose", split, perm=[1, 0, 2]))
    mixed = model.node("Transpose", attention(model, *made), perm=[1, 0, 2])
    return str(model.node("Reshape", mixed, model.constant([tokens, samples, 64])))


SEQUENCE_MACS = 3 * 10 * 64 * 64 + 2 * 4 * 10 * 10 * 16
"""Three projections of ten tokens, and attention of four heads of 16 channels: one sample."""


@pytest.mark.parametrize(
    ("samples", "options"),
    [(5, {"batch_axes": {"src": 1}}), (5, {}), (1, {}), (5, {"layouts": {"src": "LNC"}})],
)
def test_the_batch_may_be_the_second_axis(imported: Import, samples: int, options: dict[str, Any]) -> None:
    model = Model()
    x = model.input("src", [10, samples, 64])
    network = imported(model, sequence_first(model, x, 10, samples), **options).network
    assert macs(network) == SEQUENCE_MACS
    assert weight_bytes(network) == 3 * 64 * 64
    assert shapes(network) == {"src": (64, 10, 1)}


@pytest.mark.parametrize("dims", [("tokens", "batch", 64), (7, "N", 64), ("tokens", "batch_size", 64)])
def test_the_axis_that_is_named_like_a_batch_is_it(imported: Import, dims: tuple[int | str, ...]) -> None:
    model = Model()
    made = model.node("MatMul", model.input("x", dims), model.weight(64, 32), name="p")
    result = imported(model, made, dims={"tokens": 7} if "tokens" in dims else {})
    assert only(result.network) == Conv(name="p", C=64, K=32, H=7, W=1, inputs=("x",))
    assert result.notes == ()


def test_other_inputs_follow_the_batch_that_the_user_gives(imported: Import) -> None:
    """Both have five samples at axis 1."""
    model = Model()
    src, tgt = model.input("src", [10, 5, 64]), model.input("tgt", [7, 5, 64])
    made = [model.node("MatMul", x, model.weight(64, 8), name=name) for x, name in ((src, "a"), (tgt, "b"))]
    network = imported(model, *made, batch_axes={"src": 1}).network
    assert [layer.ofmap for layer in network.layers] == [(8, 10, 1), (8, 7, 1)]


def test_a_recurrent_node_says_where_the_batch_is(imported: Import) -> None:
    """Whatever becomes of the recurrent node itself: the projection beside it has six tokens of one sample."""
    model = Model()
    x = model.input("x", ["tokens", "", 16])
    cell = model.node("LSTM", x, model.weight(1, 32, 16), model.weight(1, 32, 8), outputs=3, hidden_size=8, name="l")
    model.output(model.node("Relu", cell[0]))
    model.output(model.node("MatMul", x, model.weight(16, 4), name="p"))
    ends = {"ends": ("p",)}
    network = imported(model, dims={"tokens": 6}, **ends).network
    assert only(network) == Conv(name="p", C=16, K=4, H=6, W=1, inputs=("x",))


@pytest.mark.parametrize(("axis", "tokens"), [(0, 5), (1, 10), (None, 50)])
def test_indices_have_a_batch_too(imported: Import, axis: int | None, tokens: int) -> None:
    model = Model()
    ids = model.input("ids", [10, 5], TensorProto.INT64)
    embedded = model.node("Gather", model.weight(100, 64), ids)
    network = imported(model, model.node("MatMul", embedded, model.weight(64, 8)), batch_axes={"ids": axis}).network
    assert macs(network) == tokens * 64 * 8


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"batch_axes": {"y": 0}}, "--batch-axis y: the model has no such input (there are 'activations')"),
        (
            {"batch_axes": {"activations": 2}},
            "--batch-axis activations=2: the input has 2 axes (must be from 0 to 1, or none)",
        ),
        ({"layouts": {"activations": "NHWC"}}, "--layout activations=NHWC: the input has 2 axes (must have 4)"),
        (
            {"layouts": {"activations": "NX"}},
            "--layout activations=NX (must be a letter for each axis: C for channels, H and W for rows and columns or "
            "L for a length, N for the batch; such as NHWC, NCHW, NLC, NCL)",
        ),
        (
            {"layouts": {"activations": "NC"}, "batch_axes": {"activations": 1}},
            "--layout activations=NC and --batch-axis activations name different axes; leave one out",
        ),
        (
            {"roles": {"activation": Role.DATA}},
            "--input activation: the model has no such input (there are 'activations'); did you mean 'activations'?",
        ),
    ],
)
def test_what_an_input_cannot_be_is_refused(imported: Import, options: dict[str, Any], fault: str) -> None:
    assert faults(lambda: imported(*gemm(), **options)) == [fault]


# The layout


def test_a_normalisation_of_the_last_axis_decides_the_layout(imported: Import) -> None:
    """A projection of 28×28 pixels, from 64 channels to 64: 784·64·64 multiply-accumulates, 64·64 weights."""
    model = Model()
    x = model.input("x", [1, 28, 28, 64])
    normal = model.node("LayerNormalization", x, model.weight(64), model.weight(64), axis=-1)
    back = model.node("Slice", normal, model.constant([3]), model.constant([28]), model.constant([1]))
    front = model.node("Slice", normal, model.constant([0]), model.constant([3]), model.constant([1]))
    rolled = model.node("Concat", back, front, axis=1, name="roll")
    projected = model.node("MatMul", rolled, model.weight(64, 64), name="project")
    network = imported(model, model.node("Add", x, projected)).network
    assert shapes(network) == {"x": (64, 28, 28)}
    assert macs(network) == 784 * 64 * 64 == 3_211_264
    assert weight_bytes(network) == 4_096


def project(model: Model, x: str) -> str:
    return str(model.node("MatMul", x, model.weight(6, 3)))


def normalise_all(model: Model, x: str) -> str:
    return str(model.node("LayerNormalization", x, model.weight(5, 4, 6), axis=1))


def add_vector(model: Model, x: str) -> str:
    return str(model.node("Add", x, model.weight(6)))


def add_channels(model: Model, x: str) -> str:
    return str(model.node("Sub", x, model.weight(5, 1, 1)))


def transposed_pool(model: Model, x: str) -> str:
    return str(model.node("GlobalAveragePool", model.node("Transpose", x, perm=[0, 3, 1, 2])))


def sliced_pool(model: Model, x: str) -> str:
    part = model.node("Slice", x, model.constant([1]), model.constant([4]), model.constant([2]))
    return str(model.node("GlobalAveragePool", model.node("Transpose", part, perm=[0, 3, 1, 2])))


def as_heads(model: Model, x: str) -> str:
    return str(model.node("MatMul", x, model.node("Transpose", x, perm=[0, 1, 3, 2])))


@pytest.mark.parametrize(
    ("read", "shape"),
    [
        (project, (6, 5, 4)),  # channels last
        (normalise_all, (5, 4, 6)),  # of no single axis: channels first, by default
        (add_vector, (6, 5, 4)),
        (add_channels, (5, 4, 6)),
        (transposed_pool, (6, 5, 4)),
        (sliced_pool, (6, 5, 4)),
        (as_heads, (5 * 6, 4, 1)),  # five heads of six channels, four tokens
    ],
)
def test_the_readers_decide_the_layout(imported: Import, read: Any, shape: tuple[int, int, int]) -> None:
    model = Model()
    network = imported(model, model.node("Sigmoid", read(model, model.input("x", [1, 5, 4, 6])))).network
    assert shapes(network)["x"] == shape


def test_a_normalisation_of_heads_is_not_one_of_an_image(imported: Import) -> None:
    """Keys are transposed head by head: the five heads of six channels and four tokens are read one by one."""
    model = Model()
    x = model.node("LayerNormalization", model.input("x", [1, 5, 4, 6]), model.weight(6), axis=3)
    network = imported(model, as_heads(model, x)).network
    assert shapes(network) == {f"x_{head}": (6, 4, 1) for head in range(5)}


@pytest.mark.parametrize(("letters", "shape"), [("NHWC", (6, 5, 4)), ("NCHW", (5, 4, 6)), ("NWHC", (6, 4, 5))])
def test_the_user_may_give_the_layout(imported: Import, letters: str, shape: tuple[int, int, int]) -> None:
    model = Model()
    made = model.node("Sigmoid", model.input("x", [1, 5, 4, 6]))
    assert shapes(imported(model, made, layouts={"x": letters}).network) == {"x": shape}


def volume_first(model: Model, x: str) -> str:
    return str(model.node("GlobalAveragePool", x))


def volume_last(model: Model, x: str) -> str:
    return str(model.node("MatMul", x, model.weight(7, 3)))


def groups_of_heads(model: Model, x: str) -> str:
    return str(model.node("MatMul", x, model.node("Transpose", x, perm=[0, 1, 2, 4, 3])))


@pytest.mark.parametrize(
    ("read", "shape"),
    [(volume_first, (4, 5 * 6, 7)), (volume_last, (7, 4 * 5, 6)), (groups_of_heads, (4 * 5 * 7, 6, 1))],
)
def test_of_more_axes_those_before_the_last_are_rows(read: Any, shape: tuple[int, int, int], tmp_path: Path) -> None:
    """Of (batch, 4, 5, 6, 7), whatever becomes of the reader."""
    model = Model()
    model.output(read(model, model.input("x", [1, 4, 5, 6, 7])))
    graph = folded_graph(read_model(model.save(tmp_path / "net.onnx")), OnnxOptions())
    assert input_tensor(graph, graph.inputs[0], "x").shape == shape


@pytest.mark.parametrize(("letters", "shape"), [("NLC", (6, 5, 1)), ("NCL", (5, 6, 1)), ("LNC", (6, 3, 1))])
def test_the_user_may_give_the_layout_of_a_sequence(
    imported: Import, letters: str, shape: tuple[int, int, int]
) -> None:
    model = Model()
    made = model.node("Sigmoid", model.input("x", [3, 5, 6]))
    assert shapes(imported(model, made, layouts={"x": letters}).network) == {"x": shape}


def test_the_batch_is_not_taken_for_channels_after_a_transpose(imported: Import) -> None:
    """Of (batch, rows, columns, channels), the transpose makes (channels, batch, rows, columns) and the next undoes it.

    The convolution reads 6 channels: 6·8 weights, and 5·4 pixels.
    """
    model = Model()
    x = model.input("x", ["batch", 5, 4, 6])
    turned = model.node("Relu", model.node("Transpose", x, perm=[3, 0, 1, 2]))
    back = model.node("Transpose", turned, perm=[1, 0, 2, 3])
    network = imported(model, model.node("Conv", back, model.weight(8, 6, 1, 1), name="c")).network
    assert shapes(network) == {"x": (6, 5, 4)}
    assert (macs(network), weight_bytes(network)) == (20 * 48, 48)


# Data, masks, indices


def weighted(name: str = "depth") -> tuple[Model, str]:
    """Eight channels of 32×32, multiplied by one channel, then a 3×3 convolution to eight."""
    model = Model()
    rgb, depth = model.input("rgb", [1, 8, 32, 32]), model.input(name, [1, 1, 32, 32])
    weighed = model.node("Mul", rgb, depth, name="weigh")
    return model, model.node("Conv", weighed, model.weight(8, 8, 3, 3), pads=[1, 1, 1, 1], name="conv")


def test_a_smaller_input_that_is_multiplied_is_data(imported: Import) -> None:
    result = imported(*weighted())
    assert kinds(result.network) == ["upsample", "eltwise", "conv"]
    assert shapes(result.network) == {"rgb": (8, 32, 32), "depth": (1, 32, 32)}  # 8,192 and 1,024 bytes
    assert (macs(result.network), weight_bytes(result.network)) == (1024 * 8 * 72, 576) == (589_824, 576)
    assert result.notes == ()


@pytest.mark.parametrize(
    ("name", "roles"), [("valid_mask", {}), ("rope_cos", {}), ("cos", {}), ("depth", {"depth": Role.MASK})]
)
def test_a_mask_is_left_out(imported: Import, name: str, roles: dict[str, Role]) -> None:
    result = imported(*weighted(name), roles=roles)
    assert shapes(result.network) == {"rgb": (8, 32, 32)}
    assert kinds(result.network) == ["conv"]
    (note,) = result.notes
    assert f"'{name}'" in note


def test_a_name_that_only_begins_like_a_sine_is_no_mask(imported: Import) -> None:
    assert "cosmos" in shapes(imported(*weighted("cosmos")).network)


def test_a_mask_by_its_name_is_data_if_the_user_says_so(imported: Import) -> None:
    result = imported(*weighted("mask"), roles={"mask": Role.DATA})
    assert shapes(result.network) == {"rgb": (8, 32, 32), "mask": (1, 32, 32)}
    assert result.notes == ()


@pytest.mark.parametrize(("operator", "loaded"), [("Softmax", False), ("Relu", True)])
def test_what_is_added_before_a_softmax_is_a_mask(imported: Import, operator: str, loaded: bool) -> None:
    model = Model()
    x, bias = model.input("x", [1, 7, 64]), model.input("bias", [1, 7, 1])
    result = imported(model, model.node(operator, model.node("Add", model.node("Tanh", x), bias)))
    assert ("bias" in shapes(result.network)) == loaded


def test_a_single_number_is_too_small_to_load(imported: Import) -> None:
    model = Model()
    x, scale = model.input("x", [1, 7, 64]), model.input("scale", [1])
    result = imported(model, model.node("Tanh", model.node("Mul", x, scale)))
    assert shapes(result.network) == {"x": (64, 7, 1)}


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, TensorProto.INT64])
def test_an_image_of_whole_numbers_is_data(imported: Import, kind: int) -> None:
    """A 3×3 convolution of 3×16×16 to 8 channels: 256·8·27 multiply-accumulates."""
    model = Model()
    image = model.node("Cast", model.input("image", [1, 3, 16, 16], kind), to=TensorProto.FLOAT)
    scaled = model.node("Div", image, model.scalar(255.0))
    result = imported(model, model.node("Conv", scaled, model.weight(8, 3, 3, 3), pads=[1, 1, 1, 1], name="c"))
    assert shapes(result.network) == {"image": (3, 16, 16)}
    assert macs(result.network) == 256 * 8 * 27
    assert result.notes == ()


def test_quantised_activations_are_data(imported: Import) -> None:
    model = Model(21)
    x = model.input("x", [1, 7, 64], TensorProto.INT16)
    real = model.node("DequantizeLinear", x, model.scalar(0.5), model.constant(0, "int16"))
    network = imported(model, model.node("Tanh", real)).network
    assert shapes(network) == {"x": (64, 7, 1)}


def test_a_mask_of_whole_numbers_is_multiplied_in_but_not_loaded(imported: Import) -> None:
    """What it is multiplied into is multiplied by weights; the mask is not."""
    model = Model()
    x, valid = model.input("x", [1, 7, 64]), model.input("valid", [1, 7], TensorProto.INT64)
    floats = model.node("Unsqueeze", model.node("Cast", valid, to=TensorProto.FLOAT), model.constant([2]))
    result = imported(model, model.node("MatMul", model.node("Mul", x, floats), model.weight(64, 8), name="p"))
    assert shapes(result.network) == {"x": (64, 7, 1)}
    assert macs(result.network) == 7 * 64 * 8


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT64])
def test_the_sines_of_a_time_are_data(imported: Import, kind: int) -> None:
    """A time becomes 16 sines and 16 cosines of multiples, then 32·8 multiply-accumulates."""
    model = Model()
    time = model.node("Cast", model.input("time", ["batch"], kind), to=TensorProto.FLOAT)
    angles = model.node("Mul", model.node("Unsqueeze", time, model.constant([1])), model.weight(1, 16), name="angles")
    waves = model.node("Concat", model.node("Sin", angles), model.node("Cos", angles), axis=-1)
    network = imported(model, model.node("Gemm", waves, model.weight(32, 8), name="p")).network
    assert shapes(network) == {"time": (1, 1, 1)}
    assert kinds(network) == ["upsample", "ptp", "ptp", "fc"]
    assert macs(network) == 32 * 8


def test_positions_that_are_multiplied_by_a_vector_are_no_data(imported: Import) -> None:
    """The frequencies of a rotary embedding: a column times a row, both of one axis."""
    model = Model()
    x = model.input("x", [1, 16, 7])
    positions = model.node("Cast", model.input("positions", [1, 1, 7], TensorProto.INT64), to=TensorProto.FLOAT)
    angles = model.node("MatMul", model.weight(1, 16, 1), positions)
    result = imported(model, model.node("Mul", model.node("Tanh", x), model.node("Cos", angles)))
    assert list(shapes(result.network)) == ["x"]
    assert result.notes[0] == (
        "input 'positions' holds whole numbers: indices or a mask, never loaded; if they are data, say "
        "--input positions=data"
    )
