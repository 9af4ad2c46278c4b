"""Built-in networks without a published file: layers, multiply-accumulates and weights as in the papers."""

import re

import pytest

from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network import Network


def macs(network: Network) -> int:
    return sum(layer.operations for layer in network.layers if layer.is_matrix)


def weight_bytes(network: Network) -> int:
    return sum(layer.weight_bytes for layer in network.layers)


def kinds(network: Network) -> dict[str, int]:
    names = [layer.kind for layer in network.layers]
    return {kind: names.count(kind) for kind in dict.fromkeys(names)}


# Classifiers in a row


def test_darknet19_has_the_size_of_its_paper() -> None:
    # 5.58 G operations in the YOLO9000 paper, two for each multiply-accumulate; it is known to have 20.8 M parameters.
    network = builtin_network("darknet19")
    assert kinds(network) == {"conv": 19, "pool": 6}
    assert macs(network) == pytest.approx(5.58e9 / 2, rel=0.001)
    assert weight_bytes(network) == pytest.approx(20.8e6, rel=0.002)
    assert network.source_shape("conv18") == (1024, 7, 7)


def test_zfnet_has_the_weights_of_its_whole_layers() -> None:
    # Figure 3 of the paper; the cut fully connected layers have 6·6·256·4096 and 4096² weights as before.
    network = builtin_network("zfnet")
    convolutions = 7**2 * 3 * 96 + 5**2 * 96 * 256 + 3**2 * (256 * 384 + 384 * 384 + 384 * 256)
    full_connected = 6 * 6 * 256 * 4096 + 4096**2 + 4096 * 1000
    assert weight_bytes(network) == convolutions + full_connected
    assert weight_bytes(network) == pytest.approx(62.4e6, rel=0.002)  # known figure, biases included
    assert [network.source_shape(f"pool{stage}")[1] for stage in (1, 2, 5)] == [55, 13, 6]
    assert max(layer.weight_bytes for layer in network.layers) < 8 << 20  # the buffer of edge
    assert macs(network) == pytest.approx(1.17e9, rel=0.01)  # convolutions 1.109 G, the rest one for each weight


# PNASNet


def test_pnasnet_has_the_parameters_of_the_published_model() -> None:
    # 86.1 M parameters and 25.0 G multiply-adds in table 5 of the paper. Of the published model's 86,057,668
    # parameters, 177,988 are no weights of a layer here: scale and shift of a normalisation for each kernel of a
    # convolution that is not depthwise, and the classifier's biases.
    network = builtin_network("pnasnet")
    normalised = [layer for layer in network.layers if layer.kind == "conv"]
    assert weight_bytes(network) + sum(2 * layer.K for layer in normalised) + 1000 == 86_057_668
    assert macs(network) == pytest.approx(25.0e9, rel=0.003)  # without a multiply-add for each normalised element


def test_cells_of_pnasnet_halve_and_double() -> None:
    network = builtin_network("pnasnet")
    shapes = [network.source_shape(f"{cell}_0") for cell in ("stem0", "stem1", "cell0", "cell4", "cell8", "cell11")]
    assert shapes == [(54, 83, 83), (108, 42, 42), (216, 42, 42), (432, 21, 21), (864, 11, 11), (864, 11, 11)]
    assert network.source_shape("pool_avg") == (4320, 1, 1)


@pytest.mark.parametrize(
    ("cell", "convolutions", "pools", "sources"),
    [
        ("stem0", 6 * 4 + 3, 3, {"conv0"}),  # its left side is the stem; a 1×1 after the first pooling instead
        ("stem1", 6 * 4 + 4, 3, {"conv0", "stem0"}),  # the left side's reduction and the cell's stride
        ("cell0", 6 * 4 + 3, 3, {"stem0", "stem1"}),
        ("cell1", 6 * 4 + 2, 3, {"stem1", "cell0"}),
        ("cell4", 6 * 4 + 3, 3, {"cell2", "cell3"}),
        ("cell5", 6 * 4 + 3, 3, {"cell3", "cell4"}),
        ("cell11", 6 * 4 + 2, 3, {"cell9", "cell10"}),
    ],
)
def test_parts_of_a_pnasnet_cell(cell: str, convolutions: int, pools: int, sources: set[str]) -> None:
    network = builtin_network("pnasnet")
    layers = [layer for layer in network.layers if layer.name.startswith(f"{cell}_")]
    found = [layer.kind for layer in layers]
    assert found.count("eltwise") == 5
    assert found.count("pool") == pools
    assert found.count("conv") + found.count("group_conv") == convolutions
    assert found.count("group_conv") == 6 * 2
    read = {name.split("_")[0] for layer in layers for name in layer.ifmaps}
    assert read - {cell} == sources


# GPT-J


def test_gptj_has_the_parameters_of_the_published_model() -> None:
    # 12·width² weights in each of 28 blocks; the embeddings of 50,400 words before them and the matrix after them are
    # no part of a block. Of the published 6,053,381,344 parameters, 0.06 % are biases and normalisations.
    for name in ("gpt-j-6b-prefill", "gpt-j-6b-decode"):
        network = builtin_network(name)
        assert weight_bytes(network) == 12 * 4096**2
        whole = network.blocks * weight_bytes(network) + 2 * 50_400 * 4096
        assert whole == pytest.approx(6_053_381_344, rel=0.0006)
        assert max(layer.weight_bytes for layer in network.layers) == 16 << 20  # Q, V and projection


def test_gptj_computes_as_much_as_one_matrix_of_each_kind() -> None:
    # For every token 12·width² and, in QK and (QK)V, twice the width for each token that it attends to.
    for name, tokens, attended in (("gpt-j-6b-prefill", 100, 100), ("gpt-j-6b-decode", 1, 101)):
        assert macs(builtin_network(name, 100)) == tokens * (12 * 4096**2 + 2 * 4096 * attended)


def test_attention_and_feed_forward_part_of_gptj_are_parallel() -> None:
    network = builtin_network("gpt-j-6b-decode")
    reads = {layer.name: (*layer.ifmaps, *layer.inputs) for layer in network.layers}
    parts = range(1, 9)
    assert all(reads[f"ffn1_{part}"] == ("norm1",) for part in parts)
    assert reads["res"] == ("attention_Out_proj", *(f"ffn2_{part}" for part in parts), "input_q")
    assert network.blocks == 28


# The first transformer


def test_transformer_has_the_parameters_of_its_paper() -> None:
    # Table 3 of the paper: from 2 to 8 encoder and decoder blocks, 36 to 80 M parameters. For 6 it has 65 M: 2 M more
    # than here, as for every other depth; about 37,000 words, as the text has it, are 19 M parameters, not 21 M.
    network = builtin_network("transformer")
    words = 37_000 * 512
    blocks = weight_bytes(network) - words
    assert blocks == 6 * (12 + 16) * 512**2
    assert blocks / 6 == pytest.approx((80e6 - 36e6) / 6, rel=0.002)
    assert weight_bytes(network) == pytest.approx(65e6, rel=0.035)


def test_transformer_big_cell_is_a_sixth_of_the_big_transformer() -> None:
    # Table 3 of the paper: 213 M parameters with six blocks of each kind and about 37,000 words.
    network = builtin_network("transformer-big-cell")
    cell = weight_bytes(network) - 1000 * 1024
    assert cell == (12 + 16) * 1024**2
    assert 6 * cell + 37_000 * 1024 == pytest.approx(213e6, rel=0.006)
    assert network.source_shape("encoder_K") == (16 * 512, 64, 1)


def test_blocks_of_the_transformer_are_those_of_its_cell() -> None:
    network, cell = builtin_network("transformer", 9), builtin_network("transformer-cell", 9)
    layers = {layer.name: layer for layer in network.layers}
    for known in cell.layers:
        for block in range(1, 7):
            name = known.name.replace("coder", f"coder{block}", 1)
            if name != known.name:
                assert layers.pop(name).operations == known.operations
    assert set(layers) == {"word_embed_enc", "word_embed_dec", "proj"}
    reads = {layer.name: (*layer.ifmaps, *layer.inputs) for layer in network.layers}
    assert reads["encoder1_Q"] == ("word_embed_enc",)
    assert reads["encoder2_Q"] == ("encoder1_elt2",)
    assert reads["decoder2_1_V"] == ("decoder1_elt3",)
    assert all(reads[f"decoder{block}_2_V"] == ("encoder6_elt2",) for block in range(1, 7))
    assert reads["proj"] == ("decoder6_elt3",)


# RetinaNet


def test_retinanet_has_the_size_of_known_implementations() -> None:
    # 37.74 M parameters that are trained and 239.3 GMACs for 1280×800 pixels in the documentation of MMDetection. Its
    # first stage isn't trained (0.225 M); normalisations and biases (0.06 M) are no weights here; and its ResNet-50 has
    # the strides in the 3×3 convolutions, so that the 1×1 ones before them run on four times the pixels.
    network = builtin_network("retinanet-resnet50")
    once = [layer for layer in network.layers if not re.match("p[4567]_", layer.name)]
    assert sum(layer.weight_bytes for layer in once) == pytest.approx(37.74e6 + 0.225e6, rel=0.002)
    strided = sum(network.layers[network.layer_id[f"conv_{stage}_0_a"]].operations for stage in (3, 4, 5))
    assert macs(network) + 3 * strided == pytest.approx(239.3e9 * 640**2 / (1280 * 800), rel=0.005)


def test_every_level_of_retinanet_loads_the_heads() -> None:
    network = builtin_network("retinanet-resnet50")
    heads = 2 * 4 * 9 * 256**2 + 9 * 256 * (9 * 80 + 9 * 4)
    for level, side in zip((3, 4, 5, 6, 7), (80, 40, 20, 10, 5), strict=True):
        layers = [layer for layer in network.layers if layer.name.startswith(f"p{level}_")]
        assert sum(layer.weight_bytes for layer in layers) == heads
        assert network.source_shape(f"p{level}_class") == (720, side, side)
        assert network.source_shape(f"p{level}_box") == (36, side, side)


def test_pyramid_of_retinanet() -> None:
    network = builtin_network("retinanet-resnet50")
    reads = {layer.name: layer.ifmaps for layer in network.layers}
    stages = {"lateral3": (512, 80, 80), "lateral4": (1024, 40, 40), "lateral5": (2048, 20, 20), "p6": (2048, 20, 20)}
    for name, shape in stages.items():
        assert [network.source_shape(source) for source in reads[name]] == [shape]
    assert reads["merged4"] == ("lateral4", "up4")
    assert reads["up4"] == ("lateral5",)
    assert reads["up3"] == ("merged4",)  # what is enlarged is the sum, not P4
    assert (reads["p3"], reads["p5"], reads["p7"]) == (("merged3",), ("lateral5",), ("p6",))
    backbone, resnet = network.layers[: network.layer_id["lateral5"]], builtin_network("resnet50").layers[:-2]
    assert [(layer.name, layer.weight_bytes) for layer in backbone] == [
        (layer.name, layer.weight_bytes) for layer in resnet
    ]


# LSTMs


def test_lstm_has_the_size_of_the_language_model() -> None:
    # The medium model is known to have 20 M parameters; the embedding of 10,000 words is not in the network.
    network = builtin_network("lstm")
    assert weight_bytes(network) == 2 * 4 * (650 + 650) * 650 + 650 * 10_000
    assert weight_bytes(network) + 10_000 * 650 == pytest.approx(20e6, rel=0.015)
    assert macs(network) == weight_bytes(network)  # one step
    assert kinds(network) == {"conv": 9, "eltwise": 4}


def test_gnmt_has_the_size_of_the_published_model() -> None:
    # Shazeer et al. (ICLR 2017) list it with 214 M operations in a time step and 278 M parameters. The embeddings of
    # 32,000 words of either language are not in the network; the paper gives the number of words as 32K.
    network = builtin_network("gnmt")
    cell, wide_cell = 4 * 2 * 1024**2, 4 * 3 * 1024**2  # wide: reads two directions, or a layer and the context
    attention, words = 2 * 1024**2 + 1024, 32_000 * 1024
    assert weight_bytes(network) == (2 + 6) * cell + wide_cell + 8 * wide_cell + attention + words
    assert weight_bytes(network) + 2 * words == pytest.approx(278e6, rel=0.011)
    assert macs(network) == pytest.approx(214e6, rel=0.007)


def test_layers_of_gnmt_read_what_the_paper_says() -> None:
    network = builtin_network("gnmt", 9)
    reads = {layer.name: (*layer.ifmaps, *layer.inputs) for layer in network.layers}
    assert reads["encoder2_forget"] == (
        "encoder1_forward_hidden",
        "encoder1_backward_hidden",
        "encoder2_last_hidden",
    )
    assert reads["encoder3_residual"] == ("encoder3_hidden", "encoder2_hidden")
    assert reads["encoder4_input"] == ("encoder3_residual", "encoder4_last_hidden")
    assert reads["decoder1_input"] == ("target_word", "last_context", "decoder1_last_hidden")
    assert reads["decoder2_input"] == ("decoder1_hidden", "attention_context", "decoder2_last_hidden")
    assert reads["decoder3_residual"] == ("decoder3_hidden", "decoder2_hidden")
    assert reads["decoder8_output"] == ("decoder7_residual", "attention_context", "decoder8_last_hidden")
    assert reads["decoder8_state"] == ("decoder8_forget", "decoder8_input", "decoder8_candidate", "decoder8_last_state")
    assert reads["decoder8_hidden"] == ("decoder8_output", "decoder8_state")
    assert reads["proj"] == ("decoder8_residual",)
    assert not [name for name in reads if re.fullmatch(r"(en|de)coder[12]_residual", name)]


def test_gnmt_attends_to_the_words_before_and_the_last() -> None:
    network = builtin_network("gnmt", 9)
    assert network.source_shape("attention_keys") == network.source_shape("attention_words") == (1024, 10, 1)
    assert network.source_shape("attention_scores") == (1, 10, 1)
    context = network.layers[network.layer_id["attention_context"]]
    assert (context.operations, context.weight_operands) == (10 * 1024, ("attention_words",))
    assert network.layers[network.layer_id["attention_new_key"]].ifmaps == ("encoder8_residual",)
    assert network.layers[network.layer_id["attention_query"]].ifmaps == ("decoder1_hidden",)
