"""Several transformer blocks as one network."""

from dataclasses import replace

import pytest
from support.paths import ROOT

from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network_file import network_document, network_from_document, read_network_file
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa

GPT2 = ["gpt2-small-prefill", "gpt2-small-decode"]


@pytest.mark.parametrize("name", GPT2)
def test_every_block_is_the_one_block(name: str) -> None:
    one = builtin_network(name, 16)
    entry = one.inputs[0].name
    row = blocks_in_a_row(one, 3)
    assert len(row.layers) == 3 * len(one.layers)
    assert sum(layer.operations for layer in row.layers) == 3 * sum(layer.operations for layer in one.layers)
    assert sum(layer.weight_bytes for layer in row.layers) == 3 * sum(layer.weight_bytes for layer in one.layers)
    assert len(row.inputs) == 1 + 3 * (len(one.inputs) - 1)
    for number in (2, 3):
        prefix = f"b{number}."
        layers = {layer.name.removeprefix(prefix): layer for layer in row.layers if layer.name.startswith(prefix)}
        for layer in one.layers:
            copy = layers[layer.name]
            ifmaps = tuple(f"b{number}.{source}" for source in layer.ifmaps)
            if entry in layer.inputs:
                ifmaps = (*ifmaps, f"b{number - 1}.res2")
            inputs = tuple(f"b{number}.{source}" for source in layer.inputs if source != entry)
            operands = tuple(f"b{number}.{source}" for source in layer.weight_operands)
            expected = replace(layer, name=copy.name, ifmaps=ifmaps, inputs=inputs, weight_operands=operands)
            assert copy == expected
    first = {layer.name.removeprefix("b1."): layer for layer in row.layers if layer.name.startswith("b1.")}
    assert all(first[layer.name].inputs.count(entry) == layer.inputs.count(entry) for layer in one.layers)


def test_names_and_the_blocks_that_are_left() -> None:
    one = builtin_network("gpt2-small", 16)
    assert (blocks_in_a_row(one, 1).name, blocks_in_a_row(one, 1).blocks) == ("gpt2-small-prefill-1-blocks", 12)
    assert blocks_in_a_row(one, 4).blocks == 3
    assert blocks_in_a_row(one, 5).blocks == 1
    assert blocks_in_a_row(one, 12).blocks == 1
    row = blocks_in_a_row(one, 2)
    assert network_from_document(network_document(row), "here") == row


def test_one_block_in_a_row_costs_what_the_block_costs() -> None:
    one = builtin_network("gpt2-small", 64)
    edge = PLATFORMS["edge"]
    alone, row = bound_every_lfa(Problem(one, edge)), bound_every_lfa(Problem(blocks_in_a_row(one, 1), edge))
    assert (row.latency, row.energy_pj, row.cost) == (alone.latency, alone.energy_pj, alone.cost)
    two = bound_every_lfa(Problem(blocks_in_a_row(one, 2), edge))
    assert alone.latency < two.latency < 2 * alone.latency  # the weights of the second load while the first computes


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("gpt2-small", 0, "--blocks=0 \\(must be from 1 to 12"),
        ("gpt2-small", 13, "--blocks=13 \\(must be from 1 to 12"),
        ("resnet50", 2, "'resnet50' is a whole network"),
    ],
)
def test_what_is_no_row(name: str, count: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        blocks_in_a_row(builtin_network(name), count)


def test_a_block_that_can_not_be_joined() -> None:
    one = builtin_network("tiny-chain")
    with pytest.raises(UserError, match="1 layers at its end, 0 external inputs of that shape"):
        blocks_in_a_row(replace(one, blocks=3), 2)


def test_new_keys_and_values_are_outputs_of_every_block() -> None:
    """A block of Llama 7B: its last sum goes on, keys and values of the new token, of the same shape, are stored."""
    one = read_network_file(ROOT / "benchmarks" / "data" / "llama-7b-decode.json")
    row = blocks_in_a_row(one, 3)
    new = [f"b{block}.attention_new{which}" for block in (1, 2, 3) for which in "KV"]
    assert set(row.outputs) == {*new, "b3.res2"}
    assert row.layers[row.layer_id["b2.norm1"]].ifmaps == ("b1.res2",)
    assert [source.name for source in row.inputs if not source.name.startswith("b")] == ["x"]


def test_two_ends_alike_are_no_row() -> None:
    one = builtin_network("tiny-chain")
    last = one.layers[-1]
    twice = replace(one, layers=(*one.layers, replace(last, name="again")), outputs=(last.name, "again"), blocks=3)
    with pytest.raises(UserError, match="2 layers at its end"):
        blocks_in_a_row(twice, 2)
