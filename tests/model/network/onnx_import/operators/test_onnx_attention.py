"""Attention in one operator is imported as its parts are: the same layers, multiply-accumulates and bytes.

Multiply-accumulates of two computed tensors: heads × queries × keys × channels of a head for Q·Kᵀ, and as many for ·V.
"""

from math import prod
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from support.onnx_figures import figures, loaded, loaded_bytes, products, stored, stored_bytes, weights
from support.onnx_imports import Import, faults, kinds
from support.onnx_models import Model, linear

MICROSOFT = "com.microsoft"
ROTARY = ("a_rotary_q", "a_rotary_k")


def by_head(model: Model, x: str, tokens: int, heads: int, width: int) -> str:
    shape = model.constant([1, tokens, heads, width])
    return str(model.node("Transpose", model.node("Reshape", x, shape), perm=[0, 2, 1, 3]))


def attend(model: Model, q: str, k: str, v: str, tokens: int, width: int) -> str:
    """The nodes of an attention of (batch, heads, tokens, channels of a head), without its projections."""
    scores = model.node("MatMul", q, model.node("Transpose", k, perm=[0, 1, 3, 2]))
    scores = model.node("Softmax", model.node("Mul", scores, model.scalar(0.125)), axis=-1)
    out = model.node("Transpose", model.node("MatMul", scores, v), perm=[0, 2, 1, 3])
    return str(model.node("Reshape", out, model.constant([1, tokens, width])))


# The operator of opset 23


def grouped_prompt(model: Model) -> tuple[str, str, str]:
    x = model.input("x", [1, 128, 256])
    q, k, v = (
        model.node("MatMul", x, model.weight(256, n), name=name) for name, n in zip("qkv", (256, 64, 64), strict=True)
    )
    return q, k, v


def test_grouped_queries_of_opset_23(imported: Import) -> None:
    """128 tokens, 8 heads of queries, 2 of keys, 32 channels each."""
    model = Model(23)
    made = model.node("Attention", *grouped_prompt(model), name="a", q_num_heads=8, kv_num_heads=2)
    network = imported(model, model.node("MatMul", made, model.weight(256, 256), name="o")).network
    # Projections 128·256·(256 + 64 + 64 + 256) = 20,971,520; Q·Kᵀ and ·V 8·128·128·32 = 4,194,304 each.
    assert products(network) == (29_360_128, 8_388_608)
    assert weights(network) == 256 * (256 + 64 + 64 + 256) == 163_840
    assert [layer.name for layer in network.layers if layer.is_matrix] == ["q", "k_0", "k_1", "v", "a_qk", "a_av", "o"]
    scores, result = (prod(layer.ofmap) for layer in network.layers if layer.weight_operands)
    assert (scores, result) == (8 * 128 * 128, 256 * 128)


def test_heads_may_be_an_axis_in_opset_23(imported: Import) -> None:
    """(batch, heads, tokens, channels of a head), and the result alike: the same layers as of three axes."""
    model, other = Model(23), Model(23)
    whole = model.node("Attention", *grouped_prompt(model), q_num_heads=8, kv_num_heads=2)
    heads = [by_head(other, x, 128, n, 32) for x, n in zip(grouped_prompt(other), (8, 2, 2), strict=True)]
    result = other.node("Attention", *heads)
    result = other.node("Reshape", other.node("Transpose", result, perm=[0, 2, 1, 3]), other.constant([1, 128, 256]))
    o, p = (m.node("MatMul", made, m.weight(256, 8), name="o") for m, made in ((model, whole), (other, result)))
    assert figures(imported(model, o).network) == figures(imported(other, p).network)


def test_attention_of_opset_23_equals_its_parts(imported: Import) -> None:
    model, other = Model(23), Model(23)
    made = []
    for m in (model, other):
        x = m.input("x", [1, 48, 64])
        q, k, v = (linear(m, x, 64, 64) for _ in range(3))
        if m is model:
            made.append(m.node("Attention", q, k, v, q_num_heads=4, kv_num_heads=4))
        else:
            made.append(attend(m, *(by_head(m, y, 48, 4, 16) for y in (q, k, v)), 48, 64))
    fused, parts = imported(model, made[0]).network, imported(other, made[1]).network
    assert figures(fused) == figures(parts)
    # Projections 3·48·64·64 = 589,824; 2·4·48·48·16 = 294,912.
    assert products(fused) == (884_736, 294_912)


def test_cached_keys_of_opset_23(imported: Import) -> None:
    """One new token after 127; the cached ones are loaded once, and all are stored."""
    model = Model(23)
    x = model.input("x", [1, 1, 256])
    past = [model.input(f"past_{name}", [1, 4, 127, 64]) for name in "kv"]
    q, k, v = (model.node("MatMul", x, model.weight(256, 256), name=name) for name in "qkv")
    made, *present = model.node(
        "Attention", q, k, v, "", *past, name="a", outputs=3, q_num_heads=4, kv_num_heads=4, is_causal=1
    )
    network = imported(model, made, *present).network
    # Projections 3·256·256 = 196,608; Q·Kᵀ and ·V 4·1·128·64 = 32,768 each.
    assert products(network) == (262_144, 65_536)
    assert weights(network) == 196_608
    assert loaded_bytes(network, "x") == 2 * 4 * 127 * 64
    assert stored(network)["a_av"] == (256, 1, 1)
    assert stored_bytes(network) == [256, 32_768, 32_768]


@pytest.mark.parametrize(("mode", "kind"), [(0, "group_conv"), (1, "group_conv"), (3, "ptp")])
def test_scores_may_be_an_output_of_opset_23(imported: Import, mode: int, kind: str) -> None:
    model = Model(23)
    outputs = model.node(
        "Attention", *grouped_prompt(model), outputs=4, q_num_heads=8, kv_num_heads=2, qk_matmul_output_mode=mode
    )
    network = imported(model, outputs[0], outputs[3]).network
    kinds_stored = [layer.kind for layer in network.layers if layer.name in network.outputs]
    assert sorted(kinds_stored) == sorted(["group_conv", kind])
    assert stored_bytes(network) == [128 * 256, 8 * 128 * 128]


def test_a_float_mask_from_outside_is_left_out(imported: Import) -> None:
    model = Model(23)
    q, k, v = grouped_prompt(model)
    mask = model.input("mask", [1, 1, 128, 128])
    result = imported(model, model.node("Attention", q, k, v, mask, q_num_heads=8, kv_num_heads=2))
    assert "eltwise" not in kinds(result.network)
    assert any("'mask'" in note and "taken for a mask and left out" in note for note in result.notes)


def test_a_bias_of_every_head_is_added(imported: Import) -> None:
    """A constant as large as the scores, 8·128·128, is loaded and added."""
    model = Model(23)
    q, k, v = grouped_prompt(model)
    bias = model.weight(1, 8, 128, 128, name="relative")
    network = imported(model, model.node("Attention", q, k, v, bias, name="a", q_num_heads=8, kv_num_heads=2)).network
    assert prod(loaded(network)["relative"]) == 8 * 128 * 128
    assert [layer.name for layer in network.layers if layer.kind == "eltwise"] == ["a_bias"]


def test_a_number_of_heads_that_does_not_fit_is_refused(imported: Import) -> None:
    model = Model(23)
    made = model.node("Attention", *grouped_prompt(model), name="a", q_num_heads=8, kv_num_heads=3)
    (fault,) = faults(lambda: imported(model, made))
    assert fault.startswith("'a' (Attention) makes")


# com.microsoft.Attention and its quantised form


def packed_attention(model: Model, x: str, **attributes: Any) -> Any:
    return model.node(
        "Attention",
        x,
        model.weight(64, 192),
        model.weight(192),
        name="a",
        domain=MICROSOFT,
        num_heads=4,
        **attributes,
    )


def split_attention(model: Model, x: str) -> str:
    packed = model.node("Add", model.node("MatMul", x, model.weight(64, 192)), model.weight(192))
    q, k, v = model.node("Split", packed, model.constant([64] * 3), outputs=3, axis=2)
    return attend(model, *(by_head(model, y, 48, 4, 16) for y in (q, k, v)), 48, 64)


def test_attention_with_weights_equals_its_parts(imported: Import) -> None:
    model, other = Model(), Model()
    fused = imported(model, packed_attention(model, model.input("x", [1, 48, 64]))).network
    parts = imported(other, split_attention(other, other.input("x", [1, 48, 64]))).network
    assert figures(fused) == figures(parts)
    # Projections 48·64·192 = 589,824; 2·4·48·48·16 = 294,912.
    assert products(fused) == (884_736, 294_912)
    assert weights(fused) == 64 * 192


def test_values_may_have_a_width_of_their_own(imported: Import) -> None:
    """Q and K have 4 heads of 16 channels, V has 4 of 8."""
    model = Model()
    x = model.input("x", [1, 48, 64])
    made = model.node(
        "Attention",
        x,
        model.weight(64, 160),
        model.weight(160),
        domain=MICROSOFT,
        num_heads=4,
        qkv_hidden_sizes=[64, 64, 32],
    )
    network = imported(model, made).network
    # 48·64·160 = 491,520; Q·Kᵀ 4·48·48·16 = 147,456; ·V 4·48·48·8 = 73,728.
    assert products(network) == (712_704, 221_184)
    assert stored(network) == {network.layers[-1].name: (32, 48, 1)}


@pytest.mark.parametrize("quantised", [False, True])
def test_cached_keys_and_values_in_one_tensor(imported: Import, quantised: bool) -> None:
    """One new token after 31: 4 heads of 16 channels; keys and values are one tensor of 2·4·31·16 elements."""
    model = Model()
    x, past = model.input("x", [1, 1, 64]), model.input("past", [2, 1, 4, 31, 16])
    inputs = [x, model.weight(64, 192), model.weight(192)]
    if quantised:
        inputs += [model.scalar(1), model.scalar(1), "", "", "", past]
    else:
        inputs += ["", past]
    operator = "QAttention" if quantised else "Attention"
    made, present = model.node(operator, *inputs, name="a", outputs=2, domain=MICROSOFT, num_heads=4)
    network = imported(model, made, present).network
    # Projections 64·192 = 12,288; Q·Kᵀ and ·V 4·32·16 = 2,048 each.
    assert products(network) == (16_384, 4_096)
    assert loaded_bytes(network, "x") == 2 * 4 * 31 * 16
    assert sum(stored_bytes(network)) == 64 + 2 * 4 * 32 * 16


def test_present_without_cached_is_the_projections(imported: Import) -> None:
    model = Model()
    x = model.input("x", [1, 48, 64])
    made, present = model.node(
        "Attention", x, model.weight(64, 192), model.weight(192), outputs=2, domain=MICROSOFT, num_heads=4
    )
    network = imported(model, made, present).network
    assert sum(stored_bytes(network)) == 3 * 48 * 64


def test_a_buffer_for_the_longest_sequence_holds_the_new_token(imported: Import) -> None:
    """Past and present share 32 rows: 31 of them are read, and the new token is the last."""
    model = Model()
    x, past = model.input("x", [1, 1, 64]), model.input("past", [2, 1, 4, 32, 16])
    made, present = model.node(
        "Attention",
        *(x, model.weight(64, 192), model.weight(192), "", past),
        outputs=2,
        domain=MICROSOFT,
        num_heads=4,
        past_present_share_buffer=1,
    )
    network = imported(model, made, present).network
    assert products(network) == (16_384, 4_096)


def test_widths_that_do_not_fit_are_refused(imported: Import) -> None:
    model = Model()
    x = model.input("x", [1, 48, 64])
    made = model.node("Attention", x, model.weight(64, 190), name="a", domain=MICROSOFT, num_heads=4)
    assert faults(lambda: imported(model, made)) == [
        f"'a' (com.microsoft.Attention) makes '{made}', whose shape can't be inferred: "
        "190 channels are not 3 equal parts"
    ]


def test_a_cache_of_another_shape_is_refused(imported: Import) -> None:
    model = Model()
    x, past = model.input("x", [1, 1, 64]), model.input("past", [3, 1, 4, 31, 16])
    inputs = [x, model.weight(64, 192), model.weight(192), "", past]
    made = model.node("Attention", *inputs, name="a", domain=MICROSOFT, num_heads=4)
    assert faults(lambda: imported(model, made)) == [
        f"'a' (com.microsoft.Attention) makes '{made}', whose shape can't be inferred: "
        "input 4 is of shape [3, 1, 4, 31, 16] (must be [2, 1, 4, 31, 16])"
    ]


# Attention of projections


def projected(model: Model, tokens: int = 48) -> list[str]:
    x = model.input("x", [1, tokens, 64])
    return [linear(model, x, 64, 64, name) for name in "qkv"]


@pytest.mark.parametrize("operator", ["MultiHeadAttention", "DecoderMaskedMultiHeadAttention"])
def test_attention_of_three_tensors_equals_its_parts(imported: Import, operator: str) -> None:
    tokens = 1 if operator.startswith("Decoder") else 48
    model, other = Model(), Model()
    made = model.node(operator, *projected(model, tokens), domain=MICROSOFT, num_heads=4)
    parts = attend(other, *(by_head(other, y, tokens, 4, 16) for y in projected(other, tokens)), tokens, 64)
    fused = imported(model, made).network
    assert figures(fused) == figures(imported(other, parts).network)
    assert products(fused)[1] == 2 * 4 * tokens * tokens * 16


@pytest.mark.parametrize("several", [2, 3])
def test_packed_heads(imported: Import, several: int) -> None:
    """(batch, tokens, heads, 3, channels of a head), or Q alone and (batch, tokens, heads, 2, channels)."""
    model = Model()
    x = model.input("x", [1, 48, 64])
    packed = model.node("MatMul", x, model.weight(64, 64 * several))
    packed = model.node("Reshape", packed, model.constant([1, 48, 4, several, 16]))
    inputs = [packed] if several == 3 else [model.node("MatMul", x, model.weight(64, 64)), packed]
    made = model.node("MultiHeadAttention", *inputs, domain=MICROSOFT, num_heads=4)
    network = imported(model, made).network
    assert products(network) == (884_736, 294_912)
    assert weights(network) == 64 * 192


def test_cross_attention_reads_keys_of_another_sequence(imported: Import) -> None:
    """8 queries; 20 keys and values that come by heads, as a decoder keeps those of its encoder."""
    model = Model()
    x = model.input("x", [1, 8, 64])
    cached = [model.input(name, [1, 4, 20, 16]) for name in ("keys", "values")]
    made = model.node("MultiHeadAttention", linear(model, x, 64, 64), *cached, domain=MICROSOFT, num_heads=4)
    network = imported(model, made).network
    # 8·64·64 = 32,768; Q·Kᵀ and ·V 4·8·20·16 = 10,240 each.
    assert products(network) == (53_248, 20_480)
    assert loaded_bytes(network, "x") == 2 * 4 * 20 * 16


@pytest.mark.parametrize("operator", ["MultiHeadAttention", "DecoderMaskedMultiHeadAttention"])
def test_cached_keys_of_three_tensors(imported: Import, operator: str) -> None:
    model = Model()
    past = [model.input(f"past_{name}", [1, 4, 31, 16]) for name in "kv"]
    before = ["", "", ""] if operator == "MultiHeadAttention" else ["", ""]
    made, *present = model.node(
        operator, *projected(model, 1), *before, *past, outputs=3, domain=MICROSOFT, num_heads=4
    )
    network = imported(model, made, *present).network
    assert products(network) == (16_384, 4_096)
    assert stored_bytes(network) == [64, 2_048, 2_048]


# Grouped queries


def test_grouped_queries_with_rotation(imported: Import) -> None:
    """One token after 127: 8 heads of queries, 2 of keys, 32 channels each; sines and cosines are not loaded."""
    model = Model()
    x = model.input("x", [1, 1, 256])
    past = [model.input(f"past_{name}", [1, 2, 127, 32]) for name in "kv"]
    lengths = [model.input("seqlens_k", [1], TensorProto.INT32), model.input("total", [], TensorProto.INT32)]
    q, k, v = (
        model.node("MatMul", x, model.weight(256, n), name=name) for name, n in zip("qkv", (256, 64, 64), strict=True)
    )
    tables = [model.weight(4096, 16), model.weight(4096, 16)]
    made, *present = model.node(
        "GroupQueryAttention",
        *(q, k, v, *past, *lengths, *tables),
        name="a",
        outputs=3,
        domain=MICROSOFT,
        num_heads=8,
        kv_num_heads=2,
        do_rotary=1,
    )
    result = imported(model, model.node("MatMul", made, model.weight(256, 256), name="o"), *present)
    network = result.network
    # Projections 256·(256 + 64 + 64 + 256) = 163,840; Q·Kᵀ and ·V 8·128·32 = 32,768 each.
    assert products(network) == (229_376, 65_536)
    assert weights(network) == 163_840
    rotated = {name: sum(layer.K for layer in network.layers if layer.name.startswith(name)) for name in ROTARY}
    assert rotated == {"a_rotary_q": 256, "a_rotary_k": 64}
    assert loaded_bytes(network, "x") == 2 * 8_128
    assert stored_bytes(network) == [256, 8_192, 8_192]


def test_grouped_queries_of_one_packed_tensor(imported: Import) -> None:
    """Eight heads of queries, then two of keys and two of values: the same as from three projections."""
    model, other = Model(), Model()
    x = model.input("x", [1, 128, 256])
    lengths = ["", "", model.constant([127], np.int32), model.constant(128, np.int32)]
    packed = model.node("MatMul", x, model.weight(256, 384))
    sizes = {"num_heads": 8, "kv_num_heads": 2, "domain": MICROSOFT}
    made = model.node("GroupQueryAttention", packed, "", "", *lengths, **sizes)
    lengths = ["", "", other.constant([127], np.int32), other.constant(128, np.int32)]
    apart = other.node("GroupQueryAttention", *grouped_prompt(other), *lengths, **sizes)
    fused = imported(model, made).network
    assert figures(fused) == figures(imported(other, apart).network)
    assert products(fused) == (20_971_520, 8_388_608)
