"""The independent count of ONNX models against figures counted by hand."""

import numpy as np
import pytest

from support.onnx_corpus.graph import INT64, MICROSOFT, Graph
from support.onnx_count import Counts, counted


def conv_of_groups(g: Graph) -> None:
    x = g.input("x", ["batch", 6, 10, 10])
    g.output(g.conv(x, 6, 8, 3, 2, groups=2))


def shared_weights(g: Graph) -> None:
    for side in (8, 4):
        g.output(g.conv(g.input(f"x{side}", [1, 4, side, side]), 4, 4, 3))


def transposed_conv(g: Graph) -> None:
    x = g.input("x", [1, 3, 4, 4])
    g.output(g("ConvTranspose", x, g.weight("w", 3, 1, 5, 5), strides=[3, 3], pads=[2] * 4))


def tied_embedding(g: Graph) -> None:
    table = g.weight("table", 100, 16)
    x = g("Gather", table, g.input("ids", ["batch", "tokens"], INT64))
    g.output(g("MatMul", x, g.transpose(table, 1, 0)))


def attention_of_dynamic_tokens(g: Graph) -> None:
    x = g.input("x", ["batch", "tokens", 16])
    q = g.heads(g.linear(x, 16, 16), g.size(x, 0), g.size(x, 1), 4, 4)
    g.output(g.merged(g.attend(q, q, q, 4), g.size(x, 0), g.size(x, 1), 16))


def lstm(g: Graph) -> None:
    x = g.input("x", [5, 1, 8])
    y, _, _ = g("LSTM", x, g.weight("w", 1, 48, 8), g.weight("r", 1, 48, 12), outputs=3, hidden_size=12)
    g.output(y)


def quantised_weight(g: Graph) -> None:
    w = g("DequantizeLinear", g.weight("w", 10, 16, kind=3), g.scalar(0.1), g.const(0, np.int8))
    g.output(g("Gemm", g.input("x", [1, 16]), w, transB=1))


def fused_attention(g: Graph) -> None:
    x = g.input("x", [1, 5, 8])
    weights = g.weight("w", 8, 24), g.weight("b", 24)
    g.output(g("Attention", x, *weights, domain=MICROSOFT, shapes=[(1, 5, 8)], num_heads=2), dims=[1, 5, 8])


CASES = (
    # 8·5·5 elements of 3·3·3 products each; 8·3·3·3 weights
    (conv_of_groups, Counts(macs=8 * 25 * 27, weights=216, inputs=600, outputs=200)),
    # 4·4·9 products for each of 64 and 16 pixels; one weight
    (shared_weights, Counts(macs=144 * 80, weights=144, inputs=4 * 80, outputs=4 * 80)),
    # 3·16 elements, each multiplied by 25 weights; (4−1)·3+5−4 = 10 rows
    (transposed_conv, Counts(macs=1200, weights=75, inputs=48, outputs=100)),
    # 7 rows of 16 are looked up; 7·16·100 products with the same table
    (tied_embedding, Counts(macs=11200, weights=1600, inputs=112, outputs=700)),
    # 7·16·16 of the projection, 2·7·7·16 of the attention
    (attention_of_dynamic_tokens, Counts(macs=1792 + 1568, weights=256, inputs=112, outputs=112)),
    # 5 steps of 4·12·8 and 4·12·12; 5·12 outputs
    (lstm, Counts(macs=5 * (384 + 576), weights=960, inputs=40, outputs=60)),
    (quantised_weight, Counts(macs=160, weights=160, inputs=16, outputs=10)),
    # 5·8·24 of the projection, 2·5·5·8 of the attention
    (fused_attention, Counts(macs=960 + 400, weights=192, inputs=40, outputs=40)),
)


@pytest.mark.parametrize(("build", "expected"), CASES, ids=[build.__name__ for build, _ in CASES])
def test_the_count_is_as_by_hand(build: object, expected: Counts) -> None:
    g = Graph()
    build(g)
    assert counted(g.model(with_stated=True), {"tokens": 7}) == expected


def test_a_model_is_cut_at_its_ends() -> None:
    g = Graph()
    x = g.conv(g.input("x", [1, 4, 8, 8]), 4, 4, name="first")
    end = g.last()
    g.output(g.conv(x, 4, 4, 3, name="second"))
    assert counted(g.model(), {}, [end]) == Counts(macs=16 * 64, weights=16, inputs=256, outputs=256)
