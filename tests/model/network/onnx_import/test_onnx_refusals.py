"""Ways out of a refusal: ends that work, operators that are taken for element-wise; and what can't be."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_imports import Import, faults, kinds
from support.onnx_models import Model

from soma_cp.model.network.layers import PointToPoint
from soma_cp.model.network.onnx_import.errors import OnnxFileError

# Ends that work


def advice(call: Any) -> str:
    with pytest.raises(OnnxFileError) as error:
        call()
    return error.value.advice


def detector(model: Model) -> list[str]:
    """Two levels of a detector: a convolution each, then boxes and classes, joined along channels.

    Of a 3×64×64 image: 8×8 windows of stride 8 to 32 channels (64 pixels), 16×16 of stride 16 (16 pixels), and 1×1
    convolutions to 64 and 18 channels.
    """
    x, pairs = model.input("images", [1, 3, 64, 64]), []
    for level, stride in enumerate((8, 16)):
        weight = model.weight(32, 3, stride, stride)
        f = model.node("Conv", x, weight, strides=[stride, stride], name=f"level_{level}")
        both = [model.node("Conv", f, model.weight(n, 32, 1, 1), name=f"{n}_{level}") for n in (64, 18)]
        pairs.append(model.node("Concat", *both, axis=1, name=f"pair_{level}"))
    return pairs


DETECTOR_MACS = 64 * 32 * 3 * 64 + 16 * 32 * 3 * 256 + (64 + 16) * 32 * 82
DETECTOR_WEIGHTS = 32 * 3 * 64 + 32 * 3 * 256 + 2 * 32 * 82


def test_the_refusal_of_a_tail_names_ends_that_work(imported: Import) -> None:
    """Sorting is refused; before it are reshapes, which move nothing, so the model ends at what they read."""
    model = Model()
    sorted_pairs = []
    for pair in detector(model):
        row = model.node("Reshape", pair, model.constant([1, 82, -1]))
        values, _ = model.node(
            "TopK", model.node("Sigmoid", row, name=f"s{len(sorted_pairs)}"), model.constant([5]), outputs=2
        )
        sorted_pairs.append(values)
    said = advice(lambda: imported(model, *sorted_pairs))
    assert said.endswith("ends that work, with what comes before them: --end s0 --end s1")
    network = imported(model, ends=("s0", "s1")).network
    matrix = [layer for layer in network.layers if layer.is_matrix]
    assert sum(layer.operations for layer in matrix) == DETECTOR_MACS == 996_352
    assert sum(layer.weight_bytes for layer in matrix) == DETECTOR_WEIGHTS == 35_968
    assert sorted(kinds(network)) == ["conv"] * 6 + ["ptp"] * 2


def test_views_before_an_end_are_left_out(imported: Import) -> None:
    model = Model()
    rows = [model.node("Reshape", pair, model.constant([1, 82, -1])) for pair in detector(model)]
    selected = model.node("NonMaxSuppression", rows[0], rows[1], name="nms")
    said = advice(lambda: imported(model, selected))
    assert said.endswith("ends that work, with what comes before them: --end pair_0 --end pair_1")
    network = imported(model, ends=("pair_0", "pair_1")).network
    assert len(network.layers) == 6
    assert sum(layer.operations for layer in network.layers) == DETECTOR_MACS


def test_outputs_that_can_be_imported_are_among_the_ends(imported: Import) -> None:
    model = Model()
    first, second = detector(model)
    model.output(model.node("Relu", second))
    said = advice(lambda: imported(model, model.node("Det", first)))
    assert said.endswith("ends that work, with what comes before them: --end pair_0 --end pair_1")


def test_a_node_that_makes_several_tensors_is_named_by_the_tensor(imported: Import) -> None:
    model = Model()
    first, _ = detector(model)
    boxes, classes = model.node("Split", first, model.constant([64, 18]), axis=1, name="divide", outputs=2)
    said = advice(lambda: imported(model, model.node("Det", boxes), model.node("Relu", classes)))
    assert "ends that work" in said
    assert f"--end {boxes}" in said or "--end 64_0" in said


def test_no_ends_are_named_for_the_middle_of_a_model(imported: Import) -> None:
    """After the refused node there are weights: what is left would not be the model."""
    model = Model()
    first, _ = detector(model)
    hidden = model.node("Det", first)
    said = advice(lambda: imported(model, model.node("Conv", hidden, model.weight(8, 82, 1, 1))))
    assert "ends that work" not in said


def test_no_ends_are_named_if_nothing_is_multiplied_before_them(imported: Import) -> None:
    model = Model()
    x = model.node("Sigmoid", model.input("x", [1, 8, 16, 16]))
    assert "ends that work" not in advice(lambda: imported(model, model.node("Det", x)))


# Operators that are taken for element-wise


def foreign(model: Model, *inputs: str, name: str = "f", **attributes: Any) -> str:
    made = model.node("Fancy", *inputs, name=name, **attributes)
    model.nodes[-1].domain = "own"
    return str(made)


def image(channels: int = 8) -> tuple[Model, str]:
    model = Model()
    return model, model.input("x", [1, channels, 16, 16])


def test_a_vector_for_each_channel_may_be_read(imported: Import) -> None:
    model, x = image()
    made = foreign(model, x, model.weight(8), model.scalar(0.5))
    network = imported(model, model.node("Conv", made, model.weight(4, 8, 1, 1)), ignore=True).network
    assert network.layers[0] == PointToPoint(name="f", K=8, H=16, W=16, inputs=("x",))


@pytest.mark.parametrize("shape", [(8, 16, 1, 1), (8, 2), (17,), (1, 3, 3)])
def test_an_operator_with_a_stored_matrix_is_not_element_wise(imported: Import, shape: tuple[int, ...]) -> None:
    model, x = image()
    weight = model.weight(*shape)
    (fault,) = faults(lambda: imported(model, foreign(model, x, weight), ignore=True))
    assert fault == (
        "'f' (own.Fancy) is an operator of the domain 'own', which is not known, and --ignore-unsupported can't take "
        f"it for element-wise: it reads '{weight}', a constant of shape {list(shape)} (must be a vector with at most "
        "one value for each channel)"
    )


def test_a_matrix_among_the_attributes_is_stored_too(imported: Import) -> None:
    model, x = image()
    table = numpy_helper.from_array(np.zeros((8, 8), np.float32))
    (fault,) = faults(lambda: imported(model, foreign(model, x, table=table), ignore=True))
    assert "its attribute 'table', a constant of shape [8, 8]" in fault


def test_an_operator_that_contains_a_graph_is_not_element_wise(imported: Import) -> None:
    model, x = image()
    body = helper.make_graph([], "body", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])])
    (fault,) = faults(lambda: imported(model, foreign(model, x, body=body), ignore=True))
    assert fault.endswith("can't take it for element-wise: it contains a graph")


@pytest.mark.parametrize(
    ("stated", "fits"),
    [((1, 8, 16, 16), True), (("batch", 8, 16, "width"), True), ((1, 72, 16, 16), False), (("batch", 8, 16), False)],
)
def test_the_shape_that_the_model_states_is_compared(
    imported: Import, stated: tuple[int | str, ...], fits: bool
) -> None:
    model, x = image()
    made = foreign(model, x)
    model.outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, stated))
    if fits:
        assert kinds(imported(model, ignore=True).network) == ["ptp"]
        return
    (fault,) = faults(lambda: imported(model, ignore=True))
    listed = ", ".join("?" if isinstance(extent, str) else str(extent) for extent in stated)
    assert fault.startswith("'f' (own.Fancy) ")
    assert fault.endswith(f", but it makes [{listed}] of [1, 8, 16, 16], as the model states")


def test_the_refusal_names_the_nodes_at_fault(imported: Import) -> None:
    """Convolutions with an activation inside: what reads their results is not at fault."""
    model, x = image()
    for name, weight in (("expand", (72, 8, 1, 1)), ("depthwise", (72, 1, 3, 3))):
        x = foreign(model, x, model.weight(*weight), name=name)
    last = model.node("Conv", x, model.weight(24, 72, 1, 1), name="squeeze")
    problems = faults(lambda: imported(model, last, ignore=True))
    assert [problem.split(" ")[0] for problem in problems] == ["'expand'", "'depthwise'"]
    assert advice(lambda: imported(model)) == ""  # the option would not help
