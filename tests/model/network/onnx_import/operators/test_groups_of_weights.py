"""Stored matrices by groups, and rows that computed indices select."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from support.onnx_models import Model

from soma_cp.model.network.layers import GroupConv, Pool
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.errors import OnnxFileError
from soma_cp.model.network.onnx_import.importing import import_onnx


def imported(built: Model, output: str, folder: Path) -> Network:
    built.output(output)
    return import_onnx(built.save(folder / "net.onnx")).network


def heads(built: Model, tokens: int, count: int, width: int) -> str:
    """A tensor of (batch, heads, tokens, width)."""
    x = built.input("x", [1, tokens, count * width])
    split = built.node("Reshape", x, built.constant([1, tokens, count, width]))
    return str(built.node("Transpose", split, perm=[0, 2, 1, 3]))


def test_every_head_has_a_matrix_of_its_own(tmp_path: Path) -> None:
    """4 heads, 10 tokens of 16 channels into 24: 4·10·16·24 multiply-accumulates, 4·16·24 weights."""
    built = Model()
    network = imported(built, built.node("MatMul", heads(built, 10, 4, 16), built.weight(4, 16, 24)), tmp_path)
    assert network.operations[0] == 4 * 10 * 16 * 24
    assert network.weight_bytes == 4 * 16 * 24
    (layer,) = (layer for layer in network.layers if layer.is_matrix)
    assert isinstance(layer, GroupConv)
    assert (layer.G, layer.C, layer.K, layer.H) == (4, 64, 96, 10)


def test_stored_queries_of_every_head_multiply_computed_keys(tmp_path: Path) -> None:
    """20 stored queries of 16 channels and 10 computed keys, 4 heads: 4·20·16·10 multiply-accumulates, 4·20·16 B."""
    built = Model()
    keys = built.node("Transpose", heads(built, 10, 4, 16), perm=[0, 1, 3, 2])
    scores = built.node("MatMul", built.weight(4, 20, 16), keys)
    rows = built.node("Reshape", scores, built.constant([1, 80, 10]))
    network = imported(built, built.node("Softmax", rows, axis=-1), tmp_path)
    assert network.operations[0] == 4 * 20 * 16 * 10
    assert network.weight_bytes == 4 * 20 * 16


def test_as_many_matrices_must_be_stored(tmp_path: Path) -> None:
    built = Model()
    with pytest.raises(OnnxFileError, match=r"multiplies 4 matrices by weights of shape \[2, 16, 24\]|Incompatible"):
        imported(built, built.node("MatMul", heads(built, 10, 4, 16), built.weight(2, 16, 24)), tmp_path)


def test_a_row_at_a_computed_index_is_one_row(tmp_path: Path) -> None:
    """The row of the last token: 1 of 10 rows of 8 channels, whichever it is."""
    built = Model()
    x, ids = built.input("x", [1, 10, 8]), built.input("ids", [1, 10], TensorProto.INT64)
    rows = built.node("Reshape", built.node("Sigmoid", x), built.constant([10, 8]))
    last = built.node("ArgMax", ids, axis=-1, keepdims=0)
    network = imported(built, built.node("Gather", rows, last, axis=0), tmp_path)
    (layer,) = (layer for layer in network.layers if layer.name in network.outputs)
    assert isinstance(layer, Pool)
    assert layer.ofmap == (8, 1, 1)


def test_a_quantised_sum_keeps_its_type(tmp_path: Path) -> None:
    """QLinearAdd of two convolutions of 8-bit data, then another convolution: 3 · 4·4·8·8 multiply-accumulates."""
    built = Model()
    x = built.input("x", [1, 4, 8, 8], TensorProto.UINT8)
    scale, zero = built.scalar(1.0), built.constant(0, np.uint8)

    def convolved(of: str) -> str:
        weights = built.constant(np.zeros((4, 4, 1, 1)), np.uint8)
        return str(built.node("QLinearConv", of, scale, zero, weights, scale, zero, scale, zero))

    added = (convolved(x), scale, zero, convolved(x), scale, zero, scale, zero)
    total = built.node("QLinearAdd", *added, domain="com.microsoft")
    network = imported(built, convolved(total), tmp_path)
    assert network.operations == (3 * 4 * 4 * 64, 2 * 4 * 64)
