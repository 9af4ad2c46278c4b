"""The network file: round trips, and a sentence for every kind of fault."""

import copy
import dataclasses
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import PUBLISHED as published
from support.twins import examples

from soma_cp.model.errors import UserError
from soma_cp.model.files.text_file import write_text_atomically
from soma_cp.model.network.builtin.catalogue import builtin_names, builtin_network
from soma_cp.model.network.builtin.randwire import randwire_network
from soma_cp.model.network.extents import ifmap_extent
from soma_cp.model.network.layers import LAYER_KINDS
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_file import (
    NetworkFileError,
    network_document,
    network_from_document,
    read_network_file,
    write_network_file,
)
from soma_cp.model.network.network_forms import LAYER_FORMS, TYPES
from soma_cp.model.network.network_table import network_table

PUBLISHED = published / "networks"
FILES = sorted(PUBLISHED.glob("*.json"))
DERIVED = ("ofmap", "ifmap_real", "weight_bytes", "operations")

Document = dict[str, Any]


def conv(name: str, source: str | None, **changes: Any) -> Document:
    """A 3×3 convolution of 8 into 8 channels at 16×16."""
    fields: Document = {"name": name, "kind": "conv", "C": 8, "K": 8, "R": 3, "S": 3, "H": 16, "W": 16}
    reads = {"ifmaps": [source]} if source else {"ifmaps": [], "inputs": ["image"]}
    return fields | {"sH": 1, "sW": 1} | reads | changes


@pytest.fixture
def document() -> Document:
    """Three convolutions in a row."""
    layers = [conv("first", None), conv("second", "first"), conv("third", "second")]
    return {"name": "sample", "inputs": [{"name": "image", "shape": [8, 16, 16]}], "layers": layers}


def problems(document: object) -> list[str]:
    """Every problem of a document, without the name of the file."""
    with pytest.raises(NetworkFileError) as error:
        network_from_document(document, "net.json")
    assert all(problem.startswith("net.json: ") for problem in error.value.problems)
    assert str(error.value).splitlines() == list(error.value.problems)
    return [problem.removeprefix("net.json: ") for problem in error.value.problems]


def changed(document: Document, layer: int, **changes: Any) -> Document:
    document["layers"][layer] |= changes
    return document


# Round trips


def test_there_are_sixteen_published_networks() -> None:
    assert len(FILES) == 16


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_published_file_comes_back_with_all_its_fields(path: Path) -> None:
    published = json.loads(path.read_text(encoding="utf-8"))
    document = network_document(read_network_file(path))
    assert document.pop("version") == 1
    assert document.pop("blocks") == 1
    assert json.dumps(document) == json.dumps(published)  # the order of the fields included


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_published_file_needs_no_derived_fields(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    for layer in document["layers"]:
        for field in DERIVED:
            del layer[field]
    assert network_from_document(document, "here") == read_network_file(path)


@pytest.mark.parametrize("name", [*builtin_names()])
def test_written_network_is_read_back(name: str, tmp_path: Path) -> None:
    network = builtin_network(name)
    path = tmp_path / "net.json"
    write_network_file(network, path)
    assert read_network_file(path) == network
    assert network_from_document(network_document(network), "here") == network


def test_layout_of_a_written_file(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    write_network_file(read_network_file(PUBLISHED / "vgg19.json"), path)
    published = (PUBLISHED / "vgg19.json").read_text(encoding="utf-8")
    head = '{"version": 1,\n "name": "vgg19",\n "blocks": 1,\n'
    assert path.read_text(encoding="utf-8") == published.replace('{"name": "vgg19",\n', head, 1)


@given(seed=st.integers(0, 10**6), tokens=st.integers(1, 10**6))
@examples(20)
def test_any_network_makes_the_round_trip(seed: int, tokens: int) -> None:
    for network in (randwire_network(seed), builtin_network("gpt2-small-decode", tokens)):
        text = json.dumps(network_document(network))
        assert network_from_document(json.loads(text), "here") == network


def test_names_of_any_language(document: Document, tmp_path: Path) -> None:
    document["layers"][2]["name"] = 'третий 层 "x"\\'
    network = network_from_document(document, "here")
    write_network_file(network, tmp_path / "net.json")
    assert read_network_file(tmp_path / "net.json") == network


def test_blocks_and_version(document: Document) -> None:
    assert network_from_document(document, "here").blocks == 1
    assert network_from_document(document | {"version": 1, "blocks": 12}, "here").blocks == 12


def test_outputs_make_version_2(document: Document) -> None:
    """A layer that another reads is an output, too: version 2. Without such outputs, version 1 says as much."""
    read = document["layers"][0]["name"]
    network = network_from_document(document, "here")
    assert read not in network.outputs
    assert network_document(network)["version"] == 1
    two = document | {"version": 2, "outputs": [*network.outputs, read]}
    stored = network_from_document(two, "here")
    assert set(stored.outputs) == {*network.outputs, read}
    written = network_document(stored)
    assert (written["version"], written["outputs"]) == (2, list(stored.outputs))
    assert network_from_document(written, "here") == stored


def test_faults_of_outputs(document: Document) -> None:
    (unread,) = network_from_document(document, "here").outputs
    read = document["layers"][0]["name"]
    (missing,) = problems(document | {"version": 2})
    assert missing == "outputs is missing (version 2 must have it: a list of the layers whose ofmaps are stored)"
    (early,) = problems(document | {"outputs": [unread]})
    assert early == "outputs is given (version 1 has none: a list of the layers whose ofmaps are stored)"
    (unknown,) = problems(document | {"version": 2, "outputs": [unread, "x"]})
    assert unknown.startswith("outputs names 'x', which is not a layer")
    (twice,) = problems(document | {"version": 2, "outputs": [unread, unread]})
    assert twice == f"outputs names '{unread}' twice; an output is listed once"
    (left_out,) = problems(document | {"version": 2, "outputs": [read]})
    assert left_out == f"outputs leaves out '{unread}', which no layer reads; name it there"


def test_layers_may_share_weights() -> None:
    """Two 3×3 convolutions of 4 to 4 channels share 4·4·9 = 144 B; a third of another shape may not."""
    conv = {"kind": "conv", "C": 4, "K": 4, "R": 3, "S": 3, "H": 8, "W": 8, "sH": 1, "sW": 1, "weights": "head"}
    layers = [{"name": f"level{i}", "inputs": [f"x{i}"], **conv} for i in range(2)]
    inputs = [{"name": f"x{i}", "shape": [4, 8, 8]} for i in range(2)]
    document = {
        "version": 2,
        "name": "tied",
        "inputs": inputs,
        "outputs": ["level0", "level1"],
        "layers": layers,
    }
    network = network_from_document(document, "here")
    assert network.weight_bytes == 144
    assert [layer.weight_bytes for layer in network.layers] == [144, 144]
    assert network_from_document(network_document(network), "here") == network
    own = {field: value for field, value in conv.items() if field != "weights"}
    alone = document | {"layers": [*layers, {"name": "head", "inputs": ["x0"], **own}]}
    named_alike = network_from_document(alone | {"outputs": ["level0", "level1", "head"]}, "here")
    assert named_alike.weight_bytes == 2 * 144  # a layer called as weights that it doesn't share
    layers[1]["K"] = 8
    (problem,) = problems(document)
    assert problem == (
        "layer 'level1': has weights 'head' of 8×4×3×3, but they are 4×4×3×3 in 'level0' "
        "(K×C/G×R×S must be the same in all layers that share them)"
    )


def test_a_regrouping_has_the_shape_of_its_ifmap() -> None:
    """64 channels of 16×16 become 64 channels of 256 tokens, or 256 channels of 64 rows."""
    tokens = {"name": "tokens", "kind": "transpose", "order": "C**", "ifmap": [64, 16, 16], "K": 64, "H": 256, "W": 1}
    turned = {"name": "turned", "kind": "transpose", "order": "*C*", "ifmap": [64, 16, 16], "K": 256, "H": 64, "W": 1}
    document = {
        "version": 2,
        "name": "pixels",
        "inputs": [{"name": "x", "shape": [64, 16, 16]}],
        "outputs": ["tokens", "turned"],
        "layers": [tokens | {"inputs": ["x"]}, turned | {"inputs": ["x"]}],
    }
    network = network_from_document(document, "here")
    assert network_from_document(network_document(network), "here") == network
    document["layers"][0]["K"] = 32
    (problem,) = problems(document)
    assert problem == (
        "layer 'tokens': C is 32, but comes from C of the ifmap, 64 "
        "(must be the same; write c if it is stretched or shrunk)"
    )
    document["layers"][0]["order"] = "C*C"
    (problem,) = problems(document)
    assert "(must be three of the letters C, H, W, large or small, each at most once, and *)" in problem
    del document["layers"][0]["ifmap"]
    (problem,) = problems(document)
    assert problem.endswith("regroups dimensions; give the shape of the ifmap in 'ifmap'")


def test_a_dilated_window_covers_more_rows_than_it_has_taps(document: Document) -> None:
    """Three taps, 4 rows apart, cover 9 rows: 16 rows of 16 want 24. Weights and operations are those of 3 taps."""
    plain, dilated = (network_from_document(changed(document, 1, **fields), "here") for fields in ({}, {"dH": 4}))
    assert dilated.layers[1].wanted_ifmap()[1:] == (24, 18)
    assert dilated.layers[1].weight_bytes == plain.layers[1].weight_bytes
    assert dilated.layers[1].operations == plain.layers[1].operations
    # The first 5 rows need (5 − 1) + 9 rows without the padding of 4; with 8 columns, 8 − 1 + 3 without that of 1.
    assert ifmap_extent(network_table(dilated).layers, 1, 1, 8, 5, 8) == (1, 8, 9, 9)
    written = network_document(dilated)
    assert written["layers"][1]["dH"] == 4
    assert "dW" not in written["layers"][1]
    assert network_from_document(written, "here") == dilated


def test_a_dimension_may_be_stretched_or_shrunk() -> None:
    """4 channels of 20 rows become one of 50, whose tiles of 10 rows need 4; written as ``"Chw"`` or ``"chw"``."""
    layer = {"name": "large", "kind": "transpose", "order": "chW", "ifmap": [4, 20, 6], "K": 1, "H": 50, "W": 6}
    document = {
        "version": 2,
        "name": "resized",
        "inputs": [{"name": "x", "shape": [4, 20, 6]}],
        "outputs": ["large"],
        "layers": [layer | {"inputs": ["x"]}],
    }
    network = network_from_document(document, "here")
    assert network_from_document(network_document(network), "here") == network
    table = network_table(network).layers
    assert ifmap_extent(table, 0, 1, 1, 10, 6) == (1, 4, 4, 6)
    assert ifmap_extent(table, 0, 1, 1, 11, 3) == (1, 4, 5, 3)  # 11 · 20 / 50 is 4.4, rounded up


def test_fields_of_fc_and_edges_may_be_left_out(document: Document) -> None:
    document["layers"] = [
        {"name": "pool", "kind": "pool", "K": 8, "R": 16, "S": 16, "H": 1, "W": 1, "sH": 1, "sW": 1}
        | {"inputs": ["image"]},
        {"name": "fc", "kind": "fc", "C": 8, "K": 10, "ifmaps": ["pool"]},
    ]
    assert network_from_document(document, "here").layers[1].weight_bytes == 80


def test_schema_has_the_fields_of_every_kind() -> None:
    # Only derived fields and the kind may differ: files could not hold a field that a form lacks.
    assert list(LAYER_FORMS) == list(LAYER_KINDS)
    for kind, form in LAYER_FORMS.items():
        fields = {field.name for field in dataclasses.fields(LAYER_KINDS[kind])} - {"types"}
        types = TYPES if "weights" in fields else ("activation_type",)
        assert set(form.model_fields) == fields | {"kind", *types, *DERIVED}


# Faults of form


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("3", '"3"'),
        (True, "true"),
        (1e3, "1000.0"),
        (3.5, "3.5"),
        (0, "0"),
        (-4, "-4"),
        (2**31, "2147483648"),
        (None, "null"),
        ([8], "[8]"),
        (float("nan"), "NaN"),
    ],
)
def test_a_number_that_is_none(document: Document, value: object, shown: str) -> None:
    expected = f"layer 'second': K={shown} (must be a whole number from 1 to 2147483647, in digits alone)"
    assert problems(changed(document, 1, K=value)) == [expected]


def test_a_huge_number_is_shortened(document: Document) -> None:
    (problem,) = problems(changed(document, 1, H=10**4000))
    assert problem.startswith("layer 'second': H=1000000")
    assert "(4001 characters) (must be a whole number from 1 to 2147483647" in problem
    assert len(problem) < 200


def test_a_missing_field(document: Document) -> None:
    del document["layers"][0]["R"]
    assert problems(document) == [
        "layer 'first': R is missing (must be a whole number from 1 to 2147483647, in digits alone)"
    ]


def test_an_unknown_field(document: Document) -> None:
    (problem,) = problems(changed(document, 2, weight_operand=["first"]))
    assert problem.startswith("layer 'third': \"weight_operand\" is not a field (must be one of name, kind, K")
    assert problem.endswith("did you mean 'weight_operands'?")


def test_a_field_of_another_kind(document: Document) -> None:
    (problem,) = problems(changed(document, 2, G=2))
    assert problem.startswith("layer 'third': \"G\" is not a field (must be one of ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"kind": "cnov"},
            'kind="cnov" (must be one of conv, group_conv, fc, pool, eltwise, ptp, transpose, ',
        ),
        ({"kind": "cnov"}, "did you mean 'conv'?"),
        ({"kind": 7}, "kind=7 (must be one of conv, "),
        ({"ifmaps": "first"}, 'ifmaps="first" (must be a list of names)'),
        ({"ifmaps": ["first", 3]}, 'ifmaps=["first", 3] (must be a list of names)'),
        (
            {"ofmap": [8, 16]},
            "ofmap=[8, 16] (must be a list of three whole numbers: channels, rows, columns)",
        ),
        ({"ifmaps": ["a\nb"]}, 'ifmaps=["a\\nb"] (must be a list of names)'),
        ({"weight_bytes": None}, "weight_bytes=null (must be a whole number from 0 to 9007199254740992"),
        ({"operations": "many"}, 'operations="many" (must be a whole number from 0 to 9007199254740992'),
    ],
)
def test_faults_of_a_layer(document: Document, changes: Document, words: str) -> None:
    (problem,) = problems(changed(document, 1, **changes))
    assert problem.startswith("layer 'second': ")
    assert words in problem


@pytest.mark.parametrize("order", ["HC", "hcw", "CHW\n", "HHW", 3])
def test_order_of_a_transpose(order: object) -> None:
    document = network_document(builtin_network("tiny-attention"))
    (problem,) = problems(changed(document, 2, order=order))
    assert problem.startswith("layer 'key_transposed': order=")
    assert "(must be a permutation of the letters C, H, W)" in problem


def test_a_layer_without_kind(document: Document) -> None:
    del document["layers"][1]["kind"]
    (problem,) = problems(document)
    assert problem.startswith("layer 'second': kind is missing (must be one of conv, group_conv, ")


@pytest.mark.parametrize(
    ("name", "shown"), [("", '""'), (5, "5"), ("a\nb", '"a\\nb"'), ("\ud800", '"\\ud800"'), ([], "[]")]
)
def test_a_bad_name(document: Document, name: object, shown: str) -> None:
    # Readers of "second" are not blamed: its name may be misspelled only here.
    assert problems(changed(document, 1, name=name)) == [
        f"layer number 2: name={shown} (must be printable text, not empty)"
    ]


def test_lists_of_wrong_things(document: Document) -> None:
    document["layers"][1] = "second"
    document["inputs"].append(["image"])
    assert problems(document) == [
        'input number 2: ["image"] (must be an object)',
        'layer number 2: "second" (must be an object)',
    ]


def test_faults_of_an_input(document: Document) -> None:
    document["inputs"][0] = {"name": "image", "shape": [8, 16, 0], "size": 3}
    assert problems(document) == [
        "input 'image': shape=[8, 16, 0] (must be a list of three whole numbers: channels, rows, columns)",
        "input 'image': \"size\" is not a field (must be one of name, shape, type)",
    ]


@pytest.mark.parametrize("value", [4, 0, "1", True, 1.0, None])
def test_another_version(document: Document, value: object) -> None:
    (problem,) = problems(document | {"version": value})
    assert problem == f"version={json.dumps(value)} (must be 1, 2 or 3)"


@pytest.mark.parametrize("value", [0, "12", 1.5])
def test_bad_blocks(document: Document, value: object) -> None:
    (problem,) = problems(document | {"blocks": value})
    assert problem.startswith(f"blocks={json.dumps(value)} (must be a whole number from 1 to ")


@pytest.mark.parametrize("value", [[], "text", 3, None])
def test_not_an_object(value: object) -> None:
    assert problems(value) == [f"holds {json.dumps(value)} (must be an object with name, inputs and layers)"]


def test_an_empty_object() -> None:
    assert [problem.split(" (")[0] for problem in problems({})] == [
        "name is missing",
        "inputs is missing",
        "layers is missing",
    ]


def test_unknown_field_of_the_network(document: Document) -> None:
    document["layer"] = []
    (problem,) = problems(document)
    assert problem.startswith('"layer" is not a field (must be one of version, name, blocks, weight_type, ')
    assert problem.endswith("did you mean 'layers'?")


def test_no_layers(document: Document) -> None:
    assert problems(document | {"layers": []}) == ["has no layers; give at least one"]


# Faults between layers, and many at once


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ifmaps": ["frist"]}, "ifmaps names 'frist', which is not a layer; did you mean 'first'?"),
        ({"ifmaps": ["third"]}, "ifmaps names 'third', which comes later"),
        ({"ifmaps": ["image"]}, "ifmaps names 'image', which is an external input"),
        ({"C": 9}, "reads 8 channels (8 of 'first'), but its fields want 9"),
        ({"name": "first"}, "the name 'first' is used twice"),
        ({"H": 30}, "the padding of 8 on a side must be less than R=3"),
        ({"H": 36, "dH": 4}, "the padding of 14 on a side must be less than R=3 with dH=4, 9 rows"),  # 35 + 9 − 16
    ],
)
def test_faults_between_layers(document: Document, changes: Document, words: str) -> None:
    assert any(words in problem for problem in problems(changed(document, 1, **changes)))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("ofmap", [8, 16, 15], [8, 16, 16]),
        ("ifmap_real", [8, 18, 18], [8, 16, 16]),
        ("weight_bytes", 575, 576),
        ("operations", 0, 147456),
    ],
)
def test_derived_field_that_is_wrong(document: Document, field: str, value: object, expected: object) -> None:
    assert problems(changed(document, 1, **{field: value})) == [
        f"layer 'second': {field}={value} (its other fields give {expected}; correct it or leave it out)"
    ]
    changed(document, 1, **{field: expected})
    network_from_document(document, "here")


def test_size_of_an_operand_is_its_weight_bytes() -> None:
    document = network_document(builtin_network("tiny-attention"))
    (scores,) = (layer for layer in document["layers"] if layer["name"] == "scores")
    assert scores["weight_bytes"] == 128 * 256  # though no weights are loaded
    scores["weight_bytes"] = 0
    assert problems(document) == [
        "layer 'scores': weight_bytes=0 (its other fields give 32768; correct it or leave it out)"
    ]


def test_all_faults_at_once(document: Document) -> None:
    """Faults of form, between layers and of derived fields, in every part of the file."""
    document |= {"blocks": 0, "nmae": "x"}
    document["layers"] += [
        conv("fourth", "first", K="8", R=0),
        conv("fifth", "fourth", C=999),  # depends on a broken layer: not blamed for C
        conv("sixth", "fifth", K=0),
        conv("seventh", "thrid", operations=1),
        conv("eighth", "first", C=4),
        conv("ninth", "fifth", weight_bytes=1),
    ]
    found = problems(document)
    beginnings = [
        "blocks=0 (must be",
        '"nmae" is not a field',
        "layer 'fourth': K=\"8\" (must be",
        "layer 'fourth': R=0 (must be",
        "layer 'sixth': K=0 (must be",
        "layer 'seventh': ifmaps names 'thrid', which is not a layer; did you mean 'third'?",
        "layer 'eighth': reads 8 channels",
        "layer 'seventh': operations=1 (its other fields give 147456",
        "layer 'ninth': weight_bytes=1 (its other fields give 576",
    ]
    assert len(found) == len(beginnings)
    for problem, beginning in zip(found, beginnings, strict=True):
        assert problem.startswith(beginning)


def test_layers_that_hang_on_a_broken_one_in_any_order_are_not_blamed(document: Document) -> None:
    document["layers"] = [
        conv("reader", "second"),  # may come too early, but that is not certain
        conv("first", None, H="16"),
        conv("second", "first"),
    ]
    assert [problem.split("=")[0] for problem in problems(document)] == ["layer 'first': H"]


def test_message_shows_the_first_fifty_faults(document: Document) -> None:
    document["layers"] = [conv(f"layer{i}", None, K=0) for i in range(120)]
    with pytest.raises(NetworkFileError) as error:
        network_from_document(document, "net.json")
    lines = str(error.value).splitlines()
    assert len(error.value.problems) == 120
    assert len(lines) == 51
    assert lines[-1] == "and 70 more faults"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLACES = st.sampled_from(["version", "name", "blocks", "inputs", "layers", "extra"])


@given(value=JSON_VALUES, place=PLACES, layer_field=st.sampled_from(["name", "kind", "K", "ifmaps", "x"]))
@examples(200)
def test_any_value_in_any_place_is_refused_in_words_or_accepted(value: Any, place: str, layer_field: str) -> None:
    sample: Document = {
        "name": "sample",
        "inputs": [{"name": "image", "shape": [8, 16, 16]}],
        "layers": [conv("first", None), conv("second", "first")],
    }
    in_layer, in_list = copy.deepcopy(sample), copy.deepcopy(sample)
    in_layer["layers"][1][layer_field] = value
    in_list["inputs"].append(value)
    for document in (value, sample | {place: value}, in_layer, in_list):
        try:
            network = network_from_document(document, "here")
        except NetworkFileError as error:
            message = str(error)
        else:
            assert isinstance(network, Network)
            continue
        assert message.startswith("here: ")
        message.encode("utf-8")


# Files


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_network_file(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "net.json") == "there is no such file"


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    assert refused(tmp_path) == "this is a folder; give the name of a file"


def test_file_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(tmp_path / "file" / "net.json") == "the file can't be read: not a directory"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; it must hold one JSON object"),
        (b" \n", "the file is empty; it must hold one JSON object"),
        (b'{"name": "x",\n "inputs": [}', "line 2, column 13: not valid JSON: Expecting value"),
        (b'{"name":\n\n"caf\xe9"}', "line 3: not UTF-8 text (byte 0xe9); save the file as UTF-8"),
        (b"[" * 200_000, "not usable JSON: lists or objects are nested too deeply"),
        (b"1" * 5000, "not usable JSON: a number has thousands of digits"),
        (b'{"name": "a", "K": 1, "K": 2}', "the field 'K' is given twice in the object named 'a'; keep one"),
        (b'{"K": 1, "K": 2}', "the field 'K' is given twice in one object; keep one"),
    ],
)
def test_not_json(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "net.json"
    path.write_bytes(content)
    assert refused(path) == message


def test_faults_in_a_file_name_the_file(document: Document, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(changed(document, 1, K="3")))
    assert refused(path).startswith("layer 'second': K=\"3\" (must be")


def test_byte_order_mark_is_ignored(document: Document, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(document), encoding="utf-8-sig")
    assert read_network_file(path).name == "sample"


# Writing


def test_text_replaces_a_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    write_text_atomically(path, "new ×\n")
    assert path.read_bytes() == "new ×\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_new_file_has_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    write_text_atomically(tmp_path / "file", "text")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_text_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_interrupted_writing_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises((UserError, KeyboardInterrupt)) as error:
        write_text_atomically(path, "new")
    if isinstance(fault, OSError):
        assert "no space left on device" in str(error.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (lambda folder: folder / "missing" / "net.json", "no such file or directory; choose a folder"),
        (lambda folder: folder / "file" / "net.json", "not a directory; choose a folder"),
        (lambda folder: folder, "it is a folder; give the name of a file"),
    ],
)
def test_file_that_cannot_be_written(tmp_path: Path, place: Callable[[Path], Path], words: str) -> None:
    (tmp_path / "file").write_text("")
    path = place(tmp_path)
    with pytest.raises(UserError) as error:
        write_network_file(builtin_network("tiny-chain"), path)
    assert f"can't write '{path}'" in str(error.value)
    assert words in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_folder_without_the_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="permission denied"):
        write_text_atomically(tmp_path / "file", "text")


def test_what_is_no_file_is_written_to_directly(tmp_path: Path) -> None:
    # A pipe stands for /dev/stdout and the like.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text_atomically(pipe, "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
