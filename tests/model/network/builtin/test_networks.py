"""The built-in networks: equal to the published ones, sound at any size, and found by name."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import PUBLISHED as published
from support.twins import examples

from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import (
    ALIASES,
    BUILT_INS,
    MOST_TOKENS,
    builtin_names,
    builtin_network,
    default_platform,
)
from soma_cp.model.network.builtin.llama2 import llama2_decode, llama2_prefill
from soma_cp.model.network.builtin.randwire import randwire_network
from soma_cp.model.network.layers import LAYER_KINDS, Conv, Eltwise, ExternalInput, GroupConv, Layer, Pool
from soma_cp.model.network.network import Network, NetworkError
from soma_cp.model.network.network_file import network_document

PUBLISHED = published / "networks"
GPT2 = [name for name in builtin_names() if name.startswith("gpt2")]
TINY = [name for name in builtin_names() if name.startswith("tiny")]
REPRODUCED = [
    *GPT2,
    "llama2-70b-decode",
    "bert-base",
    "transformer-cell",
    "resnet50",
    "resnet101",
    "resnext50",
    "vgg19",
    "googlenet",
    "densenet",
    "unet",
    "inception-resnet-v1",
    "randwire-small",
]


def published_document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((PUBLISHED / f"{name}.json").read_text(encoding="utf-8"))
    return document


def sources(layer: Layer) -> tuple[str, ...]:
    return (*layer.ifmaps, *layer.weight_operands, *layer.inputs)


# Against the published networks


@pytest.mark.parametrize("name", REPRODUCED)
def test_built_network_equals_the_published_one_layer_by_layer(name: str) -> None:
    built, published = network_document(builtin_network(name)), published_document(name)
    assert [layer["name"] for layer in built["layers"]] == [layer["name"] for layer in published["layers"]]
    for ours, theirs in zip(built["layers"], published["layers"], strict=True):
        assert ours == theirs  # fields, edges and derived fields
    assert built["inputs"] == published["inputs"]
    assert built["name"] == published["name"]


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("gpt2-small-prefill", 12),
        ("gpt2-small-decode", 12),
        ("gpt2-xl-prefill", 48),
        ("gpt2-xl-decode", 48),
        ("bert-base", 12),
        ("bert-large", 24),
        ("transformer-cell", 1),
        ("resnet50", 1),
    ],
)
def test_blocks(name: str, blocks: int) -> None:
    assert builtin_network(name).blocks == blocks


# GPT-2 at other lengths


@given(name=st.sampled_from(GPT2), tokens=st.integers(1, MOST_TOKENS))
@examples(30)
def test_gpt2_is_sound_at_any_length(name: str, tokens: int) -> None:
    network = builtin_network(name, tokens)  # its parts are checked on creation
    size = 12 if "small" in name else 25
    keys = tokens if name.endswith("prefill") else tokens + 1
    layer = network.layers[network.layer_id["attention_QK"]]
    assert size * keys == layer.K
    assert (tokens if name.endswith("prefill") else 1) == layer.H
    assert len(network.layers) == len(builtin_network(name).layers)


def test_weights_of_gpt2_do_not_depend_on_the_length() -> None:
    # 12·width² in a block: Q, K, V and projection 1 each, feed-forward 4 + 4.
    for name, width in (("gpt2-small-prefill", 768), ("gpt2-xl-decode", 1600)):
        for tokens in (1, 77):
            network = builtin_network(name, tokens)
            assert sum(layer.weight_bytes for layer in network.layers) == 12 * width**2


def test_decode_reads_a_cache_of_that_many_tokens() -> None:
    network = builtin_network("gpt2-small-decode", 100)
    assert network.source_shape("k_cache") == (12 * 100, 64, 1)
    assert network.source_shape("v_cache") == (100, 768, 1)
    assert network.source_shape("attention_V") == (768, 101, 1)


# Transformers at other lengths and sizes


@given(
    name=st.sampled_from([name for name, entry in BUILT_INS.items() if entry.tokens is not None]),
    tokens=st.integers(1, MOST_TOKENS),
)
@examples(30)
def test_transformers_keep_layers_and_weights_at_any_length(name: str, tokens: int) -> None:
    network, published = builtin_network(name, tokens), builtin_network(name)
    for ours, theirs in zip(network.layers, published.layers, strict=True):
        assert (ours.name, ours.kind, ours.weight_bytes) == (theirs.name, theirs.kind, theirs.weight_bytes)
        assert sources(ours) == sources(theirs)


def test_a_block_of_bert_has_the_weights_of_one_of_gpt2() -> None:
    # 12·width².
    for name, width, heads in (("bert-base", 768, 12), ("bert-large", 1024, 16)):
        network = builtin_network(name, 9)
        assert sum(layer.weight_bytes for layer in network.layers) == 12 * width**2
        assert network.source_shape("encoder_K") == (heads * 9, 64, 1)


# Llama 2


@pytest.mark.parametrize("build", [llama2_prefill, llama2_decode])
@given(tokens=st.integers(1, MOST_TOKENS))
@examples(10)
def test_llama2_has_the_same_weights_at_any_length(build: Callable[[int], Network], tokens: int) -> None:
    # In a block: Q and projection width² each, K and V 1/8 of that, feed-forward 4 + 4.
    network = build(tokens)
    assert sum(layer.weight_bytes for layer in network.layers) == (2 + 2 / 8 + 8) * 8192**2
    assert network.blocks == 80


def test_llama2_decode_reads_a_cache_of_eight_heads() -> None:
    network = llama2_decode(100)
    assert network.source_shape("k_cache") == (8 * 100, 128, 1)
    assert network.source_shape("v_cache") == (100, 8 * 128, 1)
    assert network.source_shape("attention_K") == (64 * 101, 128, 1)
    assert network.source_shape("attention_V") == (8192, 101, 1)


def test_llama2_prefill_is_gpt2_prefill_with_shared_heads() -> None:
    def parts(network: Network) -> list[str]:
        return [layer.name for layer in network.layers if not re.search(r"_Kt?\d+$", layer.name)]

    network = llama2_prefill(100)
    unshared = [name for name in parts(network) if not name.endswith("_expand")]
    assert unshared == parts(builtin_network("gpt2-xl-prefill"))
    assert network.source_shape("attention_K") == (8 * 100, 128, 1)
    assert network.source_shape("attention_K_expand") == (64 * 100, 128, 1)
    assert network.source_shape("attention_V") == (8 * 128, 100, 1)
    assert network.source_shape("attention_V_expand") == (8192, 100, 1)


def test_llama2_prefill_of_100_tokens_computes_what_decode_after_99_does_100_times() -> None:
    prefill, decode = llama2_prefill(100), llama2_decode(99)
    for name in ("attention_Q", "attention_QK", "attention_QKV", "ffn1", "ffn2"):
        in_prefill, in_decode = (network.layers[network.layer_id[name]] for network in (prefill, decode))
        assert in_prefill.operations == 100 * in_decode.operations


# ResNets


def test_resnet152_is_resnet101_with_more_blocks() -> None:
    deeper, known = builtin_network("resnet152"), builtin_network("resnet101")
    blocks = [name for name in deeper.layer_id if name.endswith("_res")]
    assert [sum(f"conv_{stage}_" in name for name in blocks) for stage in (2, 3, 4, 5)] == [3, 8, 36, 3]
    assert len(deeper.layers) == len(known.layers) + 4 * (4 + 13)
    for layer in known.layers:
        other = deeper.layers[deeper.layer_id[layer.name]]
        assert replace(other, ifmaps=()) == replace(layer, ifmaps=())  # a stage may read a later block


# Random wiring


def layer_graph(network: Network) -> "nx.DiGraph[str]":
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_edges_from((source, layer.name) for layer in network.layers for source in sources(layer))
    return graph


@given(
    seed=st.integers(0, 2**32),
    nodes=st.integers(4, 20),
    rewiring=st.floats(0, 1),
    stages=st.integers(1, 5),
    channels=st.integers(1, 70),
)
@examples(40)
def test_randwire_is_a_sound_network_from_input_to_classifier(
    seed: int, nodes: int, rewiring: float, stages: int, channels: int
) -> None:
    network = randwire_network(seed, nodes, 4, rewiring, channels, stages)
    graph = layer_graph(network)
    assert nx.is_directed_acyclic_graph(graph)
    assert set(graph) == {"input", *network.layer_id}
    assert nx.descendants(graph, "input") == set(network.layer_id)  # the input reaches every layer
    assert nx.ancestors(graph, "fc") == set(graph) - {"fc"}  # and every layer leads to the output
    nodes_of_stages = [layer for layer in network.layers if re.fullmatch(r"stage\d_node\d+", layer.name)]
    assert len(nodes_of_stages) == nodes * stages
    assert all(isinstance(layer, Conv) and (layer.R, layer.S) == (3, 3) for layer in nodes_of_stages)


def test_randwire_edges_are_those_of_a_watts_strogatz_graph() -> None:
    # Without rewiring the graph is a ring lattice: node i is joined to i ± 1 and i ± 2.
    network = randwire_network(seed=0, nodes=6, neighbours=4, rewiring=0, stages=1)
    reads = {layer.name: sources(layer) for layer in network.layers}
    node = [f"stage1_node{i}" for i in range(6)]
    assert reads[node[0]] == ("stem2",)
    assert reads[node[1]] == (node[0],)
    assert reads["stage1_node2_sum"] == (node[0], node[1])
    assert reads[node[2]] == ("stage1_node2_sum",)
    assert reads["stage1_node5_sum"] == (node[0], node[1], node[3], node[4])
    assert reads["head"] == (node[5],)  # the only node that no other reads


def test_randwire_stages_halve_the_side_and_double_the_channels() -> None:
    network = randwire_network(stages=3, channels=64)
    shapes = [network.source_shape(f"stage{stage}_node0") for stage in (1, 2, 3)]
    assert shapes == [(64, 28, 28), (128, 14, 14), (256, 7, 7)]
    for layer in network.layers:
        if isinstance(layer, Eltwise):
            assert layer.N == len(layer.ifmaps) > 1


def test_randwire_of_the_paper_has_its_size() -> None:
    layers = builtin_network("randwire-small").layers
    assert (len(layers), sum(layer.operations for layer in layers)) == (85, 930_225_408)
    assert default_platform("randwire-small") == "edge"


def test_randwire_is_fixed_by_its_seed() -> None:
    assert randwire_network(seed=7) == randwire_network(seed=7)
    drawn = {randwire_network(seed=seed).layers for seed in range(8)}
    assert len(drawn) == 8
    assert builtin_network("randwire") == randwire_network()


def test_built_in_randwire_does_not_change_with_versions_of_networkx() -> None:
    network = builtin_network("randwire")
    assert len(network.layers) == 52
    reads = {layer.name: layer.ifmaps for layer in network.layers}
    assert reads["stage1_sum"] == tuple(f"stage1_node{node}" for node in (6, 7, 8, 9))
    assert reads["stage3_node9_sum"] == tuple(f"stage3_node{node}" for node in (0, 4, 6, 7, 8))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": -1}, "seed=-1 (must be at least 0)"),
        ({"nodes": 1}, "nodes=1 (must be at least 2)"),
        ({"nodes": 4, "neighbours": 5}, "neighbours=5 (must be from 2 to nodes=4)"),
        ({"rewiring": 1.5}, "rewiring=1.5 (must be from 0 to 1)"),
        ({"channels": 0}, "channels=0 (must be at least 1)"),
        ({"stages": 6}, "stages=6 (must be from 1 to 5)"),
    ],
)
def test_randwire_refuses_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        randwire_network(**arguments)
    assert words in str(error.value)


def test_randwire_without_a_connected_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_draw(*arguments: object, **options: object) -> None:
        raise nx.NetworkXError("Maximum number of tries exceeded")

    monkeypatch.setattr(nx, "connected_watts_strogatz_graph", no_draw)
    with pytest.raises(UserError, match=r"nodes=60, neighbours=2, .*take more neighbours or less rewiring"):
        randwire_network(nodes=60, neighbours=2)


# Tiny networks


@pytest.mark.parametrize("name", TINY)
def test_tiny_networks_balance_computing_and_transfers(name: str) -> None:
    network = builtin_network(name)
    edge = PLATFORMS["edge"]
    assert 4 <= len(network.layers) <= 8
    assert f"{len(network.layers)} layers" in BUILT_INS[name].description
    cycles = []
    for layer in network.layers:
        speed = edge.macs_per_cycle if layer.is_matrix else edge.vector_ops_per_cycle
        computing = layer.operations / speed
        transfers = (layer.weight_bytes + layer.K * layer.H * layer.W) / edge.dram_bytes_per_cycle
        assert 60 < max(computing, transfers) < 11_000, layer.name
        cycles.append(computing)
    fused_bytes = sum(layer.weight_bytes for layer in network.layers) + network.layers[-1].K
    assert 0.3 < sum(cycles) / (fused_bytes / edge.dram_bytes_per_cycle) < 3


def test_tiny_networks_have_every_kind_of_layer() -> None:
    layers = [layer for name in TINY for layer in builtin_network(name).layers]
    assert {layer.kind for layer in layers} == set(LAYER_KINDS)
    assert any(layer.weight_operands for layer in layers)
    assert any(len(layer.ifmaps) > 1 and isinstance(layer, Conv) for layer in layers)  # a concatenation


@pytest.mark.parametrize("name", [*builtin_names()])
def test_every_layer_and_input_is_used(name: str) -> None:
    network = builtin_network(name)
    read = {source for layer in network.layers for source in sources(layer)}
    unread = [layer.name for layer in network.layers if layer.name not in read]
    outputs = [layer.name for layer in network.layers if re.fullmatch(r"p\d_(class|box)", layer.name)]  # RetinaNet's
    assert unread == (outputs or [network.layers[-1].name])
    assert {source.name for source in network.inputs} <= read


# The catalogue


def test_names_are_those_of_the_networks() -> None:
    assert len(set(builtin_names())) == len(builtin_names())
    for name in builtin_names():
        assert builtin_network(name).name == name == BUILT_INS[name].name
        assert BUILT_INS[name].description
    assert not set(ALIASES) & set(builtin_names())


def test_aliases_and_default_lengths() -> None:
    assert builtin_network("gpt2-small") == builtin_network("gpt2-small-prefill", 512)
    assert builtin_network("gpt2-xl") == builtin_network("gpt2-xl-prefill", 1024)
    assert builtin_network("gpt2-xl", 3) == builtin_network("gpt2-xl-prefill", 3)


def test_default_platforms() -> None:
    large = ("gpt2-xl", "gpt-j", "llama2", "unet")
    for name in (*builtin_names(), *ALIASES):
        expected = "cloud" if name.startswith(large) or name in ("transformer", "gnmt") else "edge"
        assert default_platform(name) == expected
    assert {entry.platform for entry in BUILT_INS.values()} <= set(PLATFORMS)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("resnet5", "resnet50"),
        ("ResNet101", "resnet101"),
        ("gpt2-xl-prefil", "gpt2-xl-prefill"),
        ("tiny-chian", "tiny-chain"),
    ],
)
@pytest.mark.parametrize("function", [builtin_network, default_platform])
def test_unknown_name(function: Any, name: str, nearest: str) -> None:
    with pytest.raises(UserError) as error:
        function(name)
    message = str(error.value)
    assert f"'{name}'" in message
    assert f"did you mean '{nearest}'?" in message
    assert "soma-cp nets" in message
    assert "\n" not in message


def test_unknown_name_unlike_any_other_has_no_hint() -> None:
    with pytest.raises(UserError, match="soma-cp nets") as error:
        builtin_network("???")
    assert "did you mean" not in str(error.value)


@pytest.mark.parametrize("tokens", [0, -5, MOST_TOKENS + 1])
def test_length_out_of_range(tokens: int) -> None:
    with pytest.raises(UserError) as error:
        builtin_network("gpt2-xl", tokens)
    assert str(error.value) == f"tokens={tokens} for 'gpt2-xl-prefill' (must be from 1 to 1048576)"


def test_length_of_a_network_without_a_sequence() -> None:
    with pytest.raises(UserError) as error:
        builtin_network("resnet50", 512)
    assert "tokens=512" in str(error.value)
    assert "'resnet50' has no sequence" in str(error.value)
    assert all(name in str(error.value) for name in GPT2)


def test_the_catalogue_does_not_import_networkx() -> None:
    code = (
        "import sys; from soma_cp.model.network.builtin import catalogue as c; c.builtin_network('gpt2-xl');"
        "sys.exit('networkx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# What the checks of a network refuse beyond single fields


def small_network(*layers: Layer, shape: tuple[int, int, int] = (8, 16, 16)) -> Network:
    return Network("small", (ExternalInput("input", shape),), layers)


@pytest.mark.parametrize(
    "layer",
    [
        Conv(name="layer", C=8, K=8, R=3, S=3, H=20, W=16, inputs=("input",)),  # pads 3 rows on a side
        Pool(name="layer", K=8, R=3, S=2, H=8, W=20, sH=2, sW=1, inputs=("input",)),  # pads 2 columns
    ],
)
def test_a_window_inside_the_padding_is_refused(layer: Layer) -> None:
    with pytest.raises(NetworkError, match=r"padding of [23] on a side must be less than [RS]="):
        small_network(layer)


def test_padding_less_than_the_window_is_accepted() -> None:
    # 19 rows of 3 want 21 of the 16: 2 on a side.
    small_network(Conv(name="layer", C=8, K=8, R=3, S=3, H=19, W=19, inputs=("input",)))


def test_sizes_that_overflow_the_kernels_are_refused() -> None:
    huge = Conv(name="huge", C=8, K=2**31, H=16, W=16, inputs=("input",))
    with pytest.raises(NetworkError, match=r"layer 'huge': K=2147483648 \(must be at most 2147483647\)"):
        small_network(huge)
    # 2^30 · 8 · 2^24 operations.
    slow = GroupConv(name="slow", C=8, G=1, K=2**30, H=2**12, W=2**12, inputs=("input",))
    with pytest.raises(NetworkError, match="layer 'slow': does 144115188075855872 operations"):
        small_network(slow, shape=(8, 2**12, 2**12))
    with pytest.raises(NetworkError, match=r"input 'input': \d+ bytes \(must be at most 9007199254740992\)"):
        small_network(replace(slow, K=1), shape=(2**20, 2**20, 2**20))
