"""Types of data come from ONNX models; figures of weights are counted by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from support.onnx_corpus.cases import CASES
from support.onnx_imports import COUNTS_AS_INT8, Import, faults, only, without_types
from support.onnx_models import Model, gpt2_block

from soma_cp.model.data_types import DataType, LayerTypes, WeightFormat, data_type
from soma_cp.model.network.layers import Conv
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.importing import ImportedNetwork, import_onnx

T = TensorProto
MICROSOFT = "com.microsoft"


def kind(name: str) -> DataType:
    found = data_type(name)
    assert found is not None
    return found


def ofmaps(network: Network) -> dict[str, str]:
    return {layer.name: layer.types.ofmap.name for layer in network.layers}


def inputs(network: Network) -> dict[str, str]:
    return {source.name: source.type.name for source in network.inputs}


def formats(network: Network) -> dict[str, str]:
    """How stored weights are stored, by layer."""
    return {layer.name: layer.types.weights.text for layer in network.layers if layer.weight_bytes}


def all_types(network: Network) -> set[str]:
    return {*ofmaps(network).values(), *inputs(network).values(), *formats(network).values()}


def quantised(model: Model, x: str, zero_point: Any = np.uint8) -> str:
    """A tensor after quantisation and its inverse."""
    scale, zero = model.scalar(0.5), model.constant(3, zero_point)
    return str(model.node("DequantizeLinear", model.node("QuantizeLinear", x, scale, zero), scale, zero))


# Quantisation


def qdq_convolution(scales: int) -> tuple[Model, str]:
    """16 kernels of 3×3 on 8 channels of 10×10, which have so many scales of fp32 and zero points of INT8."""
    model = Model(21)
    x = quantised(model, model.input("x", [1, 8, 10, 10]))
    shape = [scales] if scales > 1 else []
    scale, zero = model.constant(np.ones(shape), np.float32), model.constant(np.zeros(shape), np.int8)
    weights = model.node("DequantizeLinear", model.weight(16, 8, 3, 3, kind=T.INT8), scale, zero, axis=0)
    made = model.node("Relu", model.node("Conv", x, weights, name="conv"))
    return model, quantised(model, made)


@pytest.mark.parametrize(
    ("scales", "text", "size"),
    [
        (1, "int8", 16 * 72),
        (16, "int8/72:40", 16 * (72 + 5)),  # 32 bits and a zero point of 8
    ],
)
@pytest.mark.parametrize("types", ["auto", "model"])
def test_a_quantised_convolution_is_int8_with_its_scales(
    imported: Import, scales: int, text: str, size: int, types: str
) -> None:
    """Scales of the channels count, one for all weights doesn't; nothing is left in fp32."""
    model, made = qdq_convolution(scales)
    result = imported(model, made, types=types)
    assert formats(result.network) == {"conv": text}
    assert result.network.weight_bytes == size
    assert (ofmaps(result.network), inputs(result.network)) == ({"conv": "int8"}, {"x": "int8"})
    assert result.notes == ()


@pytest.mark.parametrize(
    ("bits", "weights"), [(T.INT4, "int4"), (T.UINT4, "int4"), (T.INT8, "int8"), (T.FLOAT8E4M3FN, "fp8")]
)
@pytest.mark.parametrize("scale", [T.FLOAT16, T.FLOAT])
def test_blocks_of_weights_have_scales_of_their_own(imported: Import, bits: int, weights: str, scale: int) -> None:
    """K = 70 in blocks of 32 has three scales a kernel, whichever axis the kernels have."""
    for axis, shape, scales in ((0, (70, 48), (3, 48)), (1, (48, 70), (48, 3))):
        model = Model(21)
        x = model.input("x", [1, 5, 70], scale)
        w = model.weight(*shape, kind=bits)
        w = model.node("DequantizeLinear", w, model.weight(*scales, kind=scale), axis=axis, block_size=32)
        w = w if axis == 0 else model.node("Transpose", w, perm=[1, 0])
        result = imported(model, model.node("MatMul", x, w, name="m"), types="auto")
        scale_bits = 16 if scale == T.FLOAT16 else 32
        layer = only(result.network)
        assert layer.types.weights == WeightFormat(kind(weights), 32, scale_bits)
        assert layer.weight_bytes == 48 * (70 * kind(weights).bits + 3 * scale_bits) // 8
        assert layer.types.ofmap.name == ("fp16" if scale == T.FLOAT16 else "int8")


def test_scales_of_channels_that_are_summed_over_count_where_a_kernel_has_several(imported: Import) -> None:
    """64 scales, one for each row of 64×16 weights, are four a kernel; of 16×64 there are 16, fewer than kernels."""
    found = {}
    for rows, columns in ((64, 16), (16, 64)):
        model = Model()
        scale, zero = model.weight(rows), model.constant(np.zeros(rows), np.int8)
        w = model.node("DequantizeLinear", model.weight(rows, columns, kind=T.INT8), scale, zero, axis=0)
        x = model.input("x", [1, 5, rows])
        found[rows] = formats(imported(model, model.node("MatMul", x, w, name="m"), types="auto").network)["m"]
    assert found == {64: "int8/16:40", 16: "int8"}


def test_weights_that_are_quantised_in_the_model_are_as_narrow(imported: Import) -> None:
    """Stored in fp32, quantised and dequantised: a tool computes that once."""
    model = Model()
    scale, zero = model.scalar(0.5), model.constant(0, np.int8)
    w = model.node("QuantizeLinear", model.weight(8, 8), scale, zero)
    w = model.node("DequantizeLinear", w, scale, zero)
    made = model.node("MatMul", model.input("x", [1, 5, 8]), w, name="m")
    assert formats(imported(model, made, types="model").network) == {"m": "int8"}


@pytest.mark.parametrize("stated", [{}, {"output_dtype": T.INT4}, {"output_dtype": T.INT16}])
def test_the_type_of_a_quantisation_is_said_by_its_attribute(imported: Import, stated: dict[str, int]) -> None:
    model = Model(21)
    x = model.node("Sigmoid", model.input("x", [1, 5, 8]), name="s")
    made = model.node("QuantizeLinear", x, model.scalar(0.5), **stated)
    expected = {T.INT4: "int4", T.INT16: "int16"}.get(stated.get("output_dtype", 0), "int8")
    assert ofmaps(imported(model, made, types="model").network) == {"s": expected}


@pytest.mark.parametrize("domain", ["", MICROSOFT])
@pytest.mark.parametrize(("zero", "expected"), [(np.uint8, "int8"), (np.int16, "int16")])
def test_the_type_of_a_quantisation_is_that_of_its_zero_point(
    imported: Import, domain: str, zero: Any, expected: str
) -> None:
    model = Model(21)
    x = model.node("Sigmoid", model.input("x", [1, 5, 8]), name="s")
    made = model.node("QuantizeLinear", x, model.scalar(0.5), model.constant(0, zero), domain=domain)
    back = model.node("DequantizeLinear", made, model.scalar(0.5), model.constant(0, zero), domain=domain)
    network = imported(model, model.node("MatMul", back, model.weight(8, 8), name="t"), types="model").network
    assert ofmaps(network) == {"s": expected, "t": "fp32"}


def test_a_quantised_convolution_of_one_node_has_its_scales(imported: Import) -> None:
    """QLinearConv with a scale for each of 16 kernels of 3×3 on 8 channels."""
    model = Model()
    x, one = model.input("x", [1, 8, 10, 10], T.UINT8), [model.scalar(0.5), model.constant(3, np.uint8)]
    kernels = [model.weight(16, 8, 3, 3, kind=T.INT8), model.weight(16), model.weight(16, kind=T.INT8)]
    made = model.node("QLinearConv", x, *one, *kernels, *one, name="conv")
    network = imported(model, made, types="model").network
    assert (formats(network), ofmaps(network)) == ({"conv": "int8/72:40"}, {"conv": "int8"})
    assert network.weight_bytes == 16 * (72 + 5)


@pytest.mark.parametrize("opset", [13, 19, 21, 23])
def test_a_dequantisation_makes_the_type_of_its_scale(imported: Import, opset: int) -> None:
    """Older versions make fp32 alone."""
    model = Model(opset)
    scale = model.constant(0.5, np.float32 if opset == 13 else np.float16)
    x = model.node("DequantizeLinear", model.input("x", [1, 5, 8], T.INT8), scale)
    made = model.node("Sigmoid", x, name="s")
    assert ofmaps(imported(model, made, types="model").network) == {"s": "fp32" if opset == 13 else "fp16"}


def test_one_kernel_has_one_scale_like_all_weights_which_counts_nothing(imported: Import) -> None:
    model = Model()
    x, one = model.input("x", [1, 8, 10, 10], T.UINT8), [model.scalar(0.5), model.constant(3, np.uint8)]
    made = model.node("QLinearConv", x, *one, model.weight(1, 8, 3, 3, kind=T.UINT8), *one, *one, name="conv")
    assert formats(imported(model, made, types="auto").network) == {"conv": "int8"}


def test_a_block_is_at_most_a_kernel(imported: Import) -> None:
    """Blocks of 128 for kernels of 70 weights: a scale for each kernel."""
    model = Model(21)
    w = model.node("DequantizeLinear", model.weight(70, 48, kind=T.INT4), model.weight(1, 48), axis=0, block_size=128)
    x = model.node("MatMul", model.input("x", [1, 5, 70]), w, name="m")
    packed_weights = [model.weight(16, 1, 64, kind=T.UINT8), model.weight(16)]
    sizes = {"K": 48, "N": 16, "bits": 4, "block_size": 128}
    made = model.node("MatMulNBits", x, *packed_weights, name="p", domain=MICROSOFT, **sizes)
    assert formats(imported(model, made, types="auto").network) == {"m": "int4/70:32", "p": "int4/48:32"}


@pytest.mark.parametrize("types", ["auto", "model"])
def test_the_steps_of_a_quantised_attention_are_in_the_type_that_it_makes(imported: Import, types: str) -> None:
    """It reads INT8 and makes floats of the type of the scale of what it reads."""
    model = Model()
    x, one = model.input("x", [1, 8, 64], T.INT8), model.constant(1.0, np.float16)
    stored = [model.weight(64, 192, kind=T.INT8), model.weight(192, kind=T.FLOAT16)]
    made = model.node("QAttention", x, *stored, one, one, name="a", domain=MICROSOFT, num_heads=4)
    network = imported(model, made, types=types).network
    assert inputs(network) == {"x": "int8"}
    assert set(ofmaps(network).values()) == {"fp16"}
    assert set(formats(network).values()) == {"int8"}


def test_a_step_before_a_function_is_not_as_narrow_as_the_function(imported: Import) -> None:
    """The product within a node has the node's type; only the GELU is quantised."""
    model = Model()
    made = model.node("GemmFastGelu", model.input("x", [1, 5, 8]), model.weight(8, 4), name="g", domain=MICROSOFT)
    made = model.node("QuantizeLinear", made, model.scalar(0.5))
    assert ofmaps(imported(model, made, types="model").network) == {"g": "fp32", "g_gelu": "int8"}


def test_what_is_padded_or_a_part_narrows_what_makes_it(imported: Import) -> None:
    model = Model()
    s = model.node("MatMul", model.input("x", [1, 6, 16]), model.weight(16, 16), name="s")
    heads = model.node("Reshape", s, model.constant([1, 6, 2, 8]))
    half = model.node("Slice", heads, model.constant([0]), model.constant([4]), model.constant([3]))
    half = model.node("Cast", half, to=T.FLOAT16)
    r = model.node("Conv", model.input("image", [1, 4, 8, 8]), model.weight(4, 4, 1, 1), name="r")
    padded = quantised(model, model.node("Pad", r, model.constant([0, 0, 1, 1, 0, 0, 1, 1])))
    made = model.node("Conv", padded, model.weight(4, 4, 3, 3), name="c")
    found = ofmaps(imported(model, half, made, types="model").network)
    assert {name: found[name] for name in "src"} == {"s": "fp16", "r": "int8", "c": "fp32"}


def test_sums_in_32_bits_count_as_int8_unless_the_model_is_asked(imported: Import) -> None:
    """A dynamic quantisation of what a layer makes, and a product of whole numbers."""
    found = {}
    for types in ("auto", "model"):
        model = Model()
        s = model.node("Sigmoid", model.input("x", [1, 5, 8]), name="s")
        q, _, zero = model.node("DynamicQuantizeLinear", s, outputs=3)
        made = model.node("MatMulInteger", q, model.weight(8, 4, kind=T.INT8), zero, name="m")
        found[types] = imported(model, made, types=types)
    assert ofmaps(found["auto"].network) == {"s": "int8", "m": "int8"}
    assert ofmaps(found["model"].network) == {"s": "int8", "m": "int32"}
    assert formats(found["model"].network) == {"m": "int8"}
    assert COUNTS_AS_INT8.replace("fp32", "fp32 and int32") in found["auto"].notes
    assert found["model"].notes == ()


# Weights of a few bits


def packed(
    imported: Import,
    scale: int,
    zero_point: int | None,
    types: str = "auto",
    bits: int = 4,
    operator: str = "MatMulNBits",
) -> ImportedNetwork:
    """16 tokens of 1000 channels to 4096; 32 weights have a scale of the activations' type."""
    model = Model()
    x = model.input("x", [1, 16, 1000], scale)
    stored = [model.weight(4096, 32, 16, kind=T.UINT8), model.weight(4096 * 32, kind=scale)]
    if zero_point is not None:
        stored.append(model.weight(4096 * 16, kind=zero_point))
    sizes = {"K": 1000, "N": 4096, "block_size": 32} | ({"bits": bits} if operator == "MatMulNBits" else {})
    made = model.node(operator, x, *stored, name="project", domain=MICROSOFT, **sizes)
    return imported(model, made, types=types)


@pytest.mark.parametrize(("scale", "activations", "scale_bits"), [(T.FLOAT16, "fp16", 16), (T.FLOAT, "int8", 32)])
@pytest.mark.parametrize(("zero_point", "more"), [(None, 0), (T.UINT8, 4), ("scale", "scale")])
def test_packed_weights_take_their_bits_and_scales(
    imported: Import, scale: int, activations: str, scale_bits: int, zero_point: Any, more: Any
) -> None:
    """W4A16 or W4A8: of 4096 kernels each has 1000 weights of 4 bits, and ⌈1000 / 32⌉ = 32 scales."""
    zero = scale if zero_point == "scale" else zero_point
    each = scale_bits + (scale_bits if more == "scale" else more)
    network = packed(imported, scale, zero).network
    layer = only(network)
    assert layer.types == LayerTypes(kind(activations), WeightFormat(kind("int4"), 32, each))
    assert network.weight_bytes == 4096 * (1000 * 4 + 32 * each) // 8
    assert inputs(network) == {"x": activations}


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_packed_weights_have_any_number_of_bits(imported: Import, bits: int) -> None:
    assert formats(packed(imported, T.FLOAT16, T.UINT8, bits=bits).network) == {
        "project": f"int{bits}/32" + (f":{16 + bits}")
    }


def test_packed_floats_of_four_bits(imported: Import) -> None:
    network = packed(imported, T.FLOAT16, None, operator="MatMulBnb4").network
    assert formats(network) == {"project": "fp4/32"}
    assert network.weight_bytes == 4096 * (1000 * 4 + 32 * 16) // 8


def test_the_byte_for_each_packed_weight_is_noted_where_it_counts(imported: Import) -> None:
    as_bytes = packed(imported, T.FLOAT16, None, "int8")
    assert as_bytes.network.weight_bytes == 4096 * 1000
    assert [note for note in as_bytes.notes if "count as one byte each" in note]
    assert packed(imported, T.FLOAT16, None).notes == ()


# Models in one type


def in_type(element: int, model: Model) -> Model:
    """A model of floats in another type: weights, constants and inputs."""
    made = Model(17)
    made.nodes, made.outputs = model.nodes, model.outputs
    for source in model.inputs:
        source.type.tensor_type.elem_type = element
    made.inputs = model.inputs
    for tensor in model.initializers:
        if tensor.data_type == T.FLOAT and tensor.data_location == T.EXTERNAL:
            tensor.data_type = element
        elif tensor.data_type == T.FLOAT:
            tensor.CopyFrom(helper.make_tensor(tensor.name, element, tensor.dims, [1.0]))
    made.initializers = model.initializers
    return made


@pytest.mark.parametrize(("element", "name"), [(T.FLOAT16, "fp16"), (T.BFLOAT16, "bf16"), (T.DOUBLE, "fp64")])
@pytest.mark.parametrize("decomposed", [True, False])
def test_a_transformer_is_in_the_type_of_its_export(
    imported: Import, element: int, name: str, decomposed: bool
) -> None:
    """Attention by heads: keys are transposed, projections divided; no layer is INT8 by accident."""
    model = in_type(element, gpt2_block(32, 64, 4, decomposed=decomposed))
    network = imported(model, types="model").network
    assert all_types(network) == {name}
    assert {layer.kind for layer in network.layers} >= {"conv", "ptp", "eltwise", "transpose"}


@pytest.mark.parametrize("types", ["auto", "model"])
def test_an_attention_in_one_node_is_fp16_throughout(imported: Import, types: str) -> None:
    """Projections, rotations, softmax and joined caches have no tensor of their own in the model."""
    model = Model(23)
    x = model.input("x", [1, 4, 64], T.FLOAT16)
    past = [model.input(key, [1, 2, 12, 16], T.FLOAT16) for key in ("past_k", "past_v")]
    q, k, v = (model.node("MatMul", x, model.weight(64, n, kind=T.FLOAT16)) for n in (64, 32, 32))
    made, key, value = model.node("Attention", q, k, v, "", *past, outputs=3, name="a", q_num_heads=4, kv_num_heads=2)
    result = imported(model, made, key, value, types=types)
    assert all_types(result.network) == {"fp16"}
    assert "fp32" not in " ".join(result.notes)


def test_fused_layers_are_in_the_type_of_their_node(imported: Import) -> None:
    """ONNX Runtime's operators have no schema in the package."""
    model = Model()
    x = model.input("x", [1, 8, 64], T.FLOAT16)
    vector = model.weight(64, kind=T.FLOAT16)
    qkv = [model.weight(64, 192, kind=T.FLOAT16), model.weight(192, kind=T.FLOAT16)]
    a = model.node("Attention", x, *qkv, name="a", domain=MICROSOFT, num_heads=4)
    s = model.node("SkipLayerNormalization", a, x, vector, vector, domain=MICROSOFT)
    made = model.node(
        "FusedGemm",
        model.node("Flatten", s, axis=2),
        model.weight(64, 8, kind=T.FLOAT16),
        domain=MICROSOFT,
        activation="Relu",
    )
    made = model.node("FastGelu", made, domain=MICROSOFT)
    assert all_types(imported(model, made, types="auto").network) == {"fp16"}


def test_recurrent_layers_are_in_the_type_of_their_node(imported: Import) -> None:
    """Gates, states before the first step and rows of the sequence."""
    model = Model()
    x = model.input("x", [5, 1, 8], T.FLOAT16)
    made = model.node(
        "GRU", x, model.weight(1, 18, 8, kind=T.FLOAT16), model.weight(1, 18, 6, kind=T.FLOAT16), hidden_size=6
    )
    network = imported(model, made, types="auto").network
    assert all_types(network) == {"fp16"}
    assert len(network.inputs) == 2


def test_the_phases_of_a_transposed_convolution_are_as_narrow_as_what_they_make(imported: Import) -> None:
    """Its quantised output is interleaved of the phases."""
    model = Model()
    x = quantised(model, model.input("x", [1, 4, 6, 6]))
    made = model.node("ConvTranspose", x, model.weight(4, 3, 5, 5, kind=T.FLOAT), strides=[3, 3], name="up")
    network = imported(model, quantised(model, made), types="model").network
    assert set(ofmaps(network).values()) == {"int8"}
    assert len(network.layers) > 2


def test_an_export_in_fp32_counts_as_int8_unless_the_model_is_asked(imported: Import) -> None:
    found = {types: imported(gpt2_block(32, 64, 4), types=types) for types in ("int8", "auto", "model")}
    assert found["auto"].network == found["int8"].network
    assert found["auto"].notes == (*found["int8"].notes, COUNTS_AS_INT8)
    assert found["model"].notes == found["int8"].notes
    assert all_types(found["model"].network) == {"fp32"}
    assert found["model"].network.weight_bytes == 4 * found["int8"].network.weight_bytes


# Models of several types


def test_a_cast_narrows_what_it_reads(imported: Import) -> None:
    """A sum in fp32 that is cast to fp16 is stored in fp16, as is a normalisation in fp32 of fp16 data."""
    model = Model()
    x = model.input("x", [1, 5, 8], T.FLOAT16)
    wide = model.node("Cast", model.node("MatMul", x, model.weight(8, 8, kind=T.FLOAT16), name="m"), to=T.FLOAT)
    normal = model.node("LayerNormalization", wide, model.weight(8), model.weight(8), name="n")
    narrow = model.node("Cast", normal, to=T.FLOAT16)
    last = model.node("MatMul", model.node("Cast", narrow, to=T.FLOAT), model.weight(8, 8), name="s")
    network = imported(model, last, types="model").network
    assert ofmaps(network) == {"m": "fp16", "n": "fp16", "s": "fp32"}
    assert formats(network) == {"m": "fp16", "s": "fp32"}


def test_weights_that_are_cast_are_as_the_model_stores_them(imported: Import) -> None:
    model = Model()
    x = model.input("x", [1, 5, 8])
    weights = model.node("Cast", model.weight(4, 8, kind=T.FLOAT16), to=T.FLOAT)
    made = model.node("MatMul", x, model.node("Transpose", weights, perm=[1, 0]), name="m")
    assert formats(imported(model, made, types="auto").network) == {"m": "fp16"}


def test_truth_values_narrow_nothing_and_take_a_byte(imported: Import) -> None:
    model = Model()
    x, y = model.input("x", [1, 5, 8], T.FLOAT16), model.input("y", [1, 5, 8], T.FLOAT16)
    s = model.node("Sigmoid", x, name="s")
    g = model.node("Greater", s, y, name="g")
    made = model.node("Cast", model.node("IsNaN", s), to=T.BOOL)
    assert ofmaps(imported(model, g, made, types="model").network) == {"s": "fp16", "g": "int8"}


def test_cached_keys_have_a_type_of_their_own(imported: Import) -> None:
    """Keys are cached in INT8 and joined to new ones in fp16."""
    model = Model(21)
    past = model.input("past", [1, 4, 12, 16], T.INT8)
    past = model.node("DequantizeLinear", past, model.constant(0.5, np.float16))
    x = model.node("Sigmoid", model.input("new", [1, 4, 1, 16], T.FLOAT16), name="s")
    made = model.node("Concat", past, x, axis=2, name="keys")
    network = imported(model, made, types="auto").network
    assert inputs(network) == {"past_rearranged": "int8", "new": "fp16"}
    assert set(ofmaps(network).values()) == {"fp16"}
    assert len(network.layers) > 1


def test_stored_tensors_have_the_type_of_their_constant(imported: Import) -> None:
    """Position embeddings in bf16, cast to the type of what they are added to; a table in INT8."""
    model = Model()
    ids = model.input("ids", ["batch", 5], T.INT64)
    table = model.weight(100, 8, name="table", kind=T.INT8)
    x = model.node("Gather", model.node("DequantizeLinear", table, model.scalar(0.5)), ids, name="look")
    positions = model.node("Cast", model.weight(5, 8, name="positions", kind=T.BFLOAT16), to=T.FLOAT)
    network = imported(model, model.node("Add", x, positions, name="sum"), types="model").network
    assert sorted(inputs(network).values()) == ["bf16", "int8"]
    assert ofmaps(network) == {"look": "fp32", "sum": "fp32"}


def test_patches_have_the_type_of_their_image(imported: Import) -> None:
    model = Model()
    x = quantised(model, model.input("image", [1, 3, 16, 16]))
    made = model.node("Conv", x, model.weight(8, 3, 4, 4), name="cut", strides=[4, 4])
    made = model.node("Transpose", model.node("Reshape", made, model.constant([1, 8, 16])), perm=[0, 2, 1])
    assert inputs(imported(model, made, types="model").network) == {"image_patches": "int8"}


def test_a_stated_type_is_taken(imported: Import) -> None:
    """An operator that is not known has the type that the model states for its output."""
    model = Model()
    made = model.node("Fancy", model.input("x", [1, 5, 8]), name="f", domain="own")
    model.outputs.append(helper.make_tensor_value_info(made, T.FLOAT16, [1, 5, 8]))
    assert ofmaps(imported(model, ignore=True, types="model").network) == {"f": "fp16"}


def test_an_operator_without_inputs_that_is_given_some_is_no_fault_of_the_program(imported: Import) -> None:
    model = Model()
    made = model.node("RandomNormal", model.input("x", [1, 5, 8]), shape=[1, 5, 8], name="r")
    assert [line for line in faults(lambda: imported(model, made)) if "'r' (RandomNormal)" in line]


def test_weights_that_are_stored_in_two_ways_are_not_shared(imported: Import) -> None:
    """One packed tensor is read in blocks of 32 and of 64: the layers store it each, with their scales."""
    model = Model()
    x, stored = model.input("x", [1, 16, 64], T.FLOAT16), model.weight(64, 2, 16, name="w", kind=T.UINT8)
    for size in (32, 64, 32):
        scales = model.weight(64 * 64 // size, kind=T.FLOAT16)
        x = model.node("MatMulNBits", x, stored, scales, domain=MICROSOFT, K=64, N=64, bits=4, block_size=size)
    network = imported(model, x, types="auto").network
    names = [layer.weights for layer in network.layers if isinstance(layer, Conv)]
    assert names == ["w", "w int4/64", "w"]
    assert network.weight_bytes == 64 * (64 * 4 + 2 * 16) // 8 + 64 * (64 * 4 + 16) // 8


# Known architectures

QUANTISED = [name for name in CASES if "qdq" in name or "qlinear" in name]
FLOATS = [name for name, case in CASES.items() if not case.refused and name not in QUANTISED]


def networks(name: str, folder: Path) -> dict[str, Network]:
    case = CASES[name]
    path = folder / "net.onnx"
    path.write_bytes(case.build().model().SerializeToString())
    modes = ("int8", "auto", "model")
    return {types: import_onnx(path, case.extents, ends=case.ends, types=types).network for types in modes}


@pytest.mark.parametrize("name", FLOATS)
def test_an_architecture_in_fp32_is_as_before(name: str, tmp_path: Path) -> None:
    found = networks(name, tmp_path)
    assert found["auto"] == found["int8"] == without_types(found["int8"])
    assert without_types(found["model"]) == found["int8"]
    assert all_types(found["model"]) == {"fp32"}


@pytest.mark.parametrize("name", QUANTISED)
def test_a_quantised_architecture_is_int8_with_scales(name: str, tmp_path: Path) -> None:
    """Every kernel of a convolution has a scale of 32 bits and a zero point of 8, the last layer one for all."""
    found = networks(name, tmp_path)
    kernels = sum(layer.K for layer in found["int8"].layers if layer.weight_bytes and layer.kind != "fc")
    assert without_types(found["auto"]) == without_types(found["int8"]) == found["int8"]
    assert set(ofmaps(found["auto"]).values()) == {"int8"}
    assert found["auto"].weight_bytes == found["int8"].weight_bytes + kernels * 5


def test_there_are_quantised_architectures() -> None:
    assert len(QUANTISED) == 2
