"""Matrices that several nodes multiply by are stored once."""

from pathlib import Path

from support.onnx_models import Model

from soma_cp.model.network.layers import Conv
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.importing import import_onnx


def imported(built: Model, output: str, folder: Path) -> Network:
    built.output(output)
    return import_onnx(built.save(folder / "tied.onnx")).network


def test_a_matrix_used_twice_is_stored_once(tmp_path: Path) -> None:
    """16 tokens, twice 32 → 32 channels: 2·16·32·32 multiply-accumulates, once 32·32 weights."""
    built = Model()
    x, w = built.input("x", [1, 16, 32]), built.weight(32, 32)
    once = built.node("Sigmoid", built.node("MatMul", x, w))
    network = imported(built, built.node("MatMul", once, w), tmp_path)
    assert network.operations[0] == 2 * 16 * 32 * 32
    assert network.weight_bytes == 32 * 32


def test_matrices_used_once_are_not_shared(tmp_path: Path) -> None:
    built = Model()
    x = built.input("x", [1, 16, 32])
    once = built.node("MatMul", x, built.weight(32, 32))
    network = imported(built, built.node("MatMul", once, built.weight(32, 32)), tmp_path)
    assert network.weight_bytes == 2 * 32 * 32
    assert all(isinstance(layer, Conv) and not layer.weights for layer in network.layers)


def test_a_matrix_used_in_two_shapes_is_stored_in_each(tmp_path: Path) -> None:
    """32×48 makes 48 channels of 32 and, transposed by Einsum, 32 of 48: two arrangements of one matrix."""
    built = Model()
    x, w = built.input("x", [1, 16, 32]), built.weight(32, 48)
    wide = built.node("MatMul", x, w)
    network = imported(built, built.node("Einsum", wide, w, equation="btk,ck->btc"), tmp_path)
    assert network.operations[0] == 2 * 16 * 32 * 48
    assert network.weight_bytes == 2 * 32 * 48
