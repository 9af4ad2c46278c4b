"""Repeats: found in known networks, and in random ones where a brute force over all places and lengths finds them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from support.onnx_corpus.cases import CASES
from support.twins import examples

from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Eltwise, ExternalInput, Layer, PointToPoint, Pool
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.importing import import_onnx
from soma_cp.model.network.repeats import Repeat, find_repeats
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.network.rewrites.fewer_copies import with_fewer_copies

SHAPE = {"K": 4, "H": 4, "W": 4}


def found_in(network: Network, least_length: int = 2) -> list[tuple[str, int, int]]:
    """The first layer's name, the length and the count of each repeat."""
    repeats = find_repeats(network, least_length)
    return [(network.layers[one.first].name, one.length, one.count) for one in repeats]


@pytest.mark.parametrize("name", ["gpt2-small-prefill", "gpt2-small-decode", "llama2-70b-decode", "bert-base"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_blocks_in_a_row_are_a_repeat(name: str, count: int) -> None:
    block = builtin_network(name, 16)
    network = blocks_in_a_row(block, count)
    assert find_repeats(network) == (Repeat(0, len(block.layers), count),)
    assert find_repeats(block, 3) == ()


def test_stages_of_resnets_are_repeats_but_for_their_first_blocks() -> None:
    for name, counts in (("resnet50", (2, 3, 5, 2)), ("resnet101", (2, 3, 22, 2))):
        expected = [(f"conv_{stage}_1_a", 4, count) for stage, count in enumerate(counts, start=2)]
        assert found_in(builtin_network(name)) == expected


def test_encoder_and_decoder_are_repeats_where_all_blocks_read_the_encoder() -> None:
    assert found_in(builtin_network("transformer")) == [("encoder1_Q", 27, 6), ("decoder1_1_Q", 51, 6)]


@pytest.mark.parametrize(
    ("name", "length"),
    [("bert", 22), ("gpt2", 22), ("llama-decode", 23), ("vit", 22), ("t5-encoder", 21), ("mlp-mixer", 12)],
)
def test_blocks_of_imported_models_are_repeats(name: str, length: int, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(CASES[name].build().model().SerializeToString())
    network = import_onnx(path, CASES[name].extents, types="int8").network
    (repeat,) = find_repeats(network, 3)
    assert (repeat.length, repeat.count) == (length, 2)


def test_a_layer_that_reads_every_block_ends_the_repeat() -> None:
    """As in a network whose decoder reads what each stage of the encoder made: no copy but the last can be spared."""
    block = blocks_in_a_row(builtin_network("gpt2-small-prefill", 16), 4)
    reader = Eltwise(name="all", N=4, K=768, H=16, W=1, ifmaps=tuple(f"b{n}.res2" for n in range(1, 5)))
    assert found_in(replace(block, layers=(*block.layers, reader)), 3) == []


def test_fewer_copies_are_the_network_of_so_many_blocks() -> None:
    block = builtin_network("gpt2-small-decode", 16)
    five, two = (blocks_in_a_row(block, count) for count in (5, 2))
    fewer = with_fewer_copies(five, find_repeats(five), 2)
    assert (fewer.layers, fewer.inputs, fewer.outputs) == (two.layers, two.inputs, two.outputs)


def test_what_reads_the_last_copy_reads_the_last_one_kept() -> None:
    network = builtin_network("resnet50")
    fewer = with_fewer_copies(network, find_repeats(network), 1)
    layers = {layer.name: layer for layer in fewer.layers}
    assert len(fewer.layers) == len(network.layers) - 4 * (1 + 2 + 4 + 1)
    assert network.layers[network.layer_id["conv_4_0_a"]].ifmaps == ("conv_3_3_res",)
    assert layers["conv_4_0_a"].ifmaps == ("conv_3_1_res",)


@st.composite
def networks_with_periods(draw: st.DrawFn) -> Network:
    """Draw a chain of small layers with skips, part of which is written several times."""
    kinds = st.sampled_from([PointToPoint, PointToPoint, Pool, Eltwise])
    steps = st.tuples(kinds, st.integers(1, 2), st.integers(1, 6))
    prefix, period, suffix = (
        draw(st.lists(steps, min_size=least, max_size=most)) for least, most in ((0, 2), (1, 4), (0, 2))
    )
    written = [*prefix, *period * draw(st.integers(1, 4)), *suffix]
    layers: list[Layer] = []
    for number, (kind, back, further) in enumerate(written):
        # Sources are so many layers back; the external input stands before the first layer.
        places = {max(number - distance, -1) for distance in ((back, further) if kind is Eltwise else (back,))}
        ifmaps = tuple(f"l{place}" for place in sorted(places) if place >= 0)
        inputs = ("x",) if -1 in places else ()
        more: dict[str, Any] = {"N": len(places)} if kind is Eltwise else {"R": 1} if kind is Pool else {}
        layers.append(kind(name=f"l{number}", ifmaps=ifmaps, inputs=inputs, **SHAPE, **more))
    return Network("random", (ExternalInput("x", (4, 4, 4)),), tuple(layers))


def is_repeat(network: Network, repeat: Repeat) -> bool:
    """Whether renaming each copy to the one before changes nothing, as the module of repeats says."""
    copies = [[network.layers[i] for i in repeat.copy(number)] for number in range(repeat.count)]
    names = [[layer.name for layer in copy] for copy in copies]
    inside = {name for copy in names for name in copy}

    def reads(layer: Layer, renamed: dict[str, str]) -> list[str]:
        return [renamed.get(name, name) for name in (*layer.ifmaps, *layer.inputs)]

    def alike(layer: Layer) -> Layer:
        read = len(layer.ifmaps) + len(layer.inputs)
        return replace(layer, name=str(read), ifmaps=(), inputs=())

    for number in range(1, repeat.count):
        own = dict(zip(names[number], names[number - 1], strict=True))
        before = dict(zip(names[number - 1], names[number - 2], strict=True)) if number > 1 else {}
        for layer, like in zip(copies[number], copies[number - 1], strict=True):
            if alike(layer) != alike(like):
                return False
            if number > 1 and reads(layer, before | own) != reads(like, {}):
                return False
            if any(name in inside and name not in own and name not in names[number - 1] for name in layer.ifmaps):
                return False
            within = [own[name] for name in layer.ifmaps if name in own]
            if number == 1 and within != [name for name in like.ifmaps if name in inside]:
                return False
    for number, copy in enumerate(names[:-1]):
        readers = {layer.name for layer in network.layers if set(layer.ifmaps) & set(copy)}
        if not readers <= {*copy, *names[number + 1]}:
            return False
    return True


@examples(60)
@given(networks_with_periods())
def test_no_repeat_spares_more_layers_than_the_largest_that_is_found(network: Network) -> None:
    size = len(network.layers)
    every = [
        repeat
        for length in range(2, size // 2 + 1)
        for first in range(size - 2 * length + 1)
        for count in range(2, (size - first) // length + 1)
        if is_repeat(network, repeat := Repeat(first, length, count))
    ]
    found = find_repeats(network)
    assert all(repeat in every for repeat in found)
    assert max(Counter(i for one in found for i in range(one.first, one.end)).values(), default=1) == 1
    assert max((one.saved for one in found), default=0) == max((one.saved for one in every), default=0)
    # Nothing is left that does not overlap what was found.
    taken = {i for one in found for i in range(one.first, one.end)}
    assert not [one for one in every if not taken & set(range(one.first, one.end))]
