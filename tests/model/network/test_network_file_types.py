"""Data types in network files: round trips, what a file's own types mean for its layers, and faults."""

import json
import pickle
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from jsonschema import Draft202012Validator
from support.twins import examples
from support.typed_networks import typed_networks

from soma_cp.model.data_types import LayerTypes, WeightFormat, data_type, weight_format
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.type_notes import type_notes
from soma_cp.model.network.builtin.catalogue import builtin_names, builtin_network
from soma_cp.model.network.layers import Layer
from soma_cp.model.network.network import Network, NetworkError
from soma_cp.model.network.network_file import (
    NetworkFileError,
    network_document,
    network_from_document,
    read_network_file,
    write_network_file,
)
from soma_cp.model.network.network_forms import TYPES
from soma_cp.model.network.network_schema import network_schema
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.network.rewrites.types import with_types

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    """A convolution of 300 into 10 channels, a pointwise layer, and a product of the two."""
    conv = {"kind": "conv", "R": 1, "S": 1, "H": 4, "W": 1, "sH": 1, "sW": 1}
    return {
        "version": 3,
        "name": "typed",
        "inputs": [{"name": "in", "shape": [300, 4, 1]}],
        "outputs": ["product"],
        "layers": [
            conv | {"name": "stored", "C": 300, "K": 10, "inputs": ["in"]},
            {"name": "relu", "kind": "ptp", "K": 10, "H": 4, "W": 1, "ifmaps": ["stored"]},
            {"name": "turned", "kind": "transpose", "order": "HCW", "K": 4, "H": 10, "W": 1, "ifmaps": ["stored"]},
            conv | {"name": "product", "C": 10, "K": 4, "ifmaps": ["relu"], "weight_operands": ["turned"]},
        ],
    }


def read(document: Document) -> Network:
    return network_from_document(document, "net")


def problems(document: object) -> list[str]:
    with pytest.raises(NetworkFileError) as error:
        network_from_document(document, "net")
    return [problem.removeprefix("net: ") for problem in error.value.problems]


def with_layer(document: Document, number: int, **fields: object) -> Document:
    layers = list(document["layers"])
    layers[number] = layers[number] | fields
    return document | {"layers": layers}


def typed(ofmap: str = "int8", weights: str = "int8", accumulators: str | None = None, ratio: float = 1) -> LayerTypes:
    found, stored = data_type(ofmap), weight_format(weights)
    assert found is not None
    assert stored is not None
    sums = None if accumulators is None else data_type(accumulators)
    return LayerTypes(found, stored._replace(ratio=Fraction(str(ratio))), sums)


# Round trips


@given(typed_networks())
@examples(200)
def test_any_typed_network_makes_the_round_trip(network: Network) -> None:
    text = json.dumps(network_document(network))
    found = read(json.loads(text))
    assert found == network
    assert json.dumps(network_document(found)) == text
    assert not list(Draft202012Validator(network_schema()).iter_errors(json.loads(text)))


def test_copies_of_an_int8_network_are_written_as_it_is() -> None:
    network = builtin_network("tiny-chain")
    for same in (deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert network_document(same) == network_document(network)
        assert type_notes(same, PLATFORMS["edge"]) == ()


@pytest.mark.parametrize("name", builtin_names())
def test_files_of_int8_networks_say_nothing_of_types(name: str) -> None:
    document = network_document(builtin_network(name))
    assert document["version"] < 3
    assert document.keys().isdisjoint(TYPES)
    assert all(layer.keys().isdisjoint(TYPES) for layer in document["layers"])
    assert all(source.keys() == {"name", "shape"} for source in document["inputs"])


def test_types_of_all_layers_stand_at_the_head(tmp_path: Path) -> None:
    network = with_types(
        builtin_network("gpt2-small-decode"),
        weight_format("int4/32:20"),
        data_type("fp16"),
        data_type("fp32"),
        Fraction(7, 10),
    )
    document = network_document(network)
    assert {field: document[field] for field in TYPES} == {
        "weight_type": "int4/32:20",
        "activation_type": "fp16",
        "accumulator_type": "fp32",
        "weight_ratio": 0.7,
    }
    assert document["version"] == 3
    assert all(layer.keys().isdisjoint(TYPES) for layer in document["layers"])
    path = tmp_path / "typed.json"
    write_network_file(network, path)
    assert read_network_file(path) == network
    yaml_path = tmp_path / "typed.yaml"
    yaml_path.write_text(yaml.safe_dump(document))
    assert read_network_file(yaml_path) == network


def test_types_of_some_layers_stand_with_them(document: Document) -> None:
    mixed = with_layer(document, 0, weight_type="int4/128", weight_ratio=0.7, activation_type="fp16")
    mixed = with_layer(mixed, 3, accumulator_type="int32")
    found = read(mixed)
    written = network_document(found)
    assert written.keys().isdisjoint(set(TYPES) - {"weight_type", "weight_ratio"})
    # The one layer with stored weights speaks for all of them.
    assert (written["weight_type"], written["weight_ratio"]) == ("int4/128", 0.7)
    assert [sorted(set(TYPES) & layer.keys()) for layer in written["layers"]] == [
        ["activation_type"],
        [],
        [],
        ["accumulator_type"],
    ]
    assert read(written) == found


# What types mean


def test_a_layer_has_its_own_types_or_those_of_the_file(document: Document) -> None:
    head = {"weight_type": "int4/128", "activation_type": "fp16", "accumulator_type": "fp32", "weight_ratio": 0.25}
    network = read(with_layer(document | head, 1, activation_type="bf16"))
    stored, relu, turned, product = network.layers
    assert stored.types == typed("fp16", "int4/128", "fp32", 0.25)
    assert relu.types == typed("bf16")
    assert turned.types == typed("fp16")
    assert product.types == typed("fp16", accumulators="fp32")
    assert network.inputs[0].type == data_type("fp16")
    # 10 kernels of 300 weights of 4 bits and 3 scales of 16: 1,248 bits each; a quarter of them in DRAM.
    assert (stored.weight_bytes, stored.dram_weight_bytes) == (1560, 390)
    # The second operand: 40 elements of 2 bytes.
    assert network_document(network)["layers"][3]["weight_bytes"] == 80


def test_a_layer_and_an_input_may_return_to_int8(document: Document) -> None:
    head = {"weight_type": "int4", "activation_type": "fp16", "weight_ratio": 0.5}
    back = document | head | {"inputs": [document["inputs"][0] | {"type": "int8"}]}
    network = read(with_layer(back, 0, weight_type="int8", activation_type="int8", weight_ratio=1))
    assert network.layers[0].types == LayerTypes()
    assert network.inputs[0].type == data_type("int8")


def test_a_ratio_is_one_of_millionths(document: Document) -> None:
    network = read(document | {"weight_ratio": 1 / 3})
    assert network.layers[0].types.weights.ratio == Fraction(333_333, 1_000_000)
    assert network_document(network)["weight_ratio"] == 0.333333
    assert read(document | {"weight_ratio": 1e-6}).layers[0].types.weights.ratio == Fraction(1, 1_000_000)


def test_blocks_in_a_row_keep_their_types() -> None:
    block = with_types(builtin_network("gpt2-small-prefill"), weight_format("int4"), data_type("fp16"))
    row = blocks_in_a_row(block, 2)
    assert {source.type.name for source in row.inputs} == {"fp16"}
    assert {layer.types.ofmap.name for layer in row.layers} == {"fp16"}
    assert row.weight_bytes == 2 * block.weight_bytes


# Faults


def test_an_unknown_type_is_refused_with_the_nearest(document: Document) -> None:
    (fault,) = problems(document | {"activation_type": "fp15"})
    assert fault.startswith('activation_type="fp15" (must be one of int1, int2')
    assert fault.endswith("; did you mean 'fp16'?")
    (fault,) = problems(with_layer(document, 0, weight_type="intt4/128"))
    assert fault.startswith("layer 'stored': weight_type=\"intt4/128\" (must be a type such as int4, fp16 or int4/128")
    assert fault.endswith("; did you mean 'int4'?")
    (fault,) = problems(document | {"inputs": [document["inputs"][0] | {"type": "float"}]})
    assert fault.startswith("input 'in': type=\"float\" (must be one of int1")


@pytest.mark.parametrize("text", ["int4/0", "int4/1048577", "int4/128:0", "int4/128:1025", "int4/", "int4:16", "", 4])
def test_weights_that_are_none(document: Document, text: object) -> None:
    (fault,) = problems(document | {"weight_type": text})
    assert fault.startswith(f"weight_type={json.dumps(text)} (must be a type such as int4")


@pytest.mark.parametrize("value", [0, 9e-7, -0.5, 1.001, "0.5", True, float("nan"), float("inf")])
def test_a_ratio_that_is_none(document: Document, value: object) -> None:
    (fault,) = problems(document | {"weight_ratio": value})
    assert fault == (
        f"weight_ratio={json.dumps(value)} (must be a number from 0.000001 to 1: bytes of weights in DRAM for each "
        "byte in the buffer, in steps of 0.000001)"
    )


@pytest.mark.parametrize("field", ["weight_type", "weight_ratio"])
def test_a_product_has_no_stored_weights(document: Document, field: str) -> None:
    value = {"weight_type": "int4", "weight_ratio": 0.5}[field]
    (fault,) = problems(with_layer(document, 3, **{field: value}))
    assert fault == (
        f"layer 'product': {field}={json.dumps(value)}, but weight_operands take the place of stored weights; "
        "leave it out"
    )


@pytest.mark.parametrize("field", ["weight_type", "weight_ratio", "accumulator_type"])
def test_a_vector_layer_has_neither_weights_nor_sums(document: Document, field: str) -> None:
    (fault,) = problems(with_layer(document, 1, **{field: "int8"}))
    lacks = "makes no partial sums" if field == "accumulator_type" else "has no stored weights"
    assert fault == f'layer \'relu\': "{field}" is not a field of the kind "ptp", which {lacks}; leave it out'


def test_fields_of_types_that_stand_elsewhere(document: Document) -> None:
    (fault,) = problems(document | {"inputs": [document["inputs"][0] | {"activation_type": "fp16"}]})
    assert fault == "input 'in': \"activation_type\" is not a field of an input, whose type is the field 'type'"
    (fault,) = problems(with_layer(document, 0, type="fp16"))
    assert fault == (
        "layer 'stored': \"type\" is not a field of a layer; the type of its ofmap is 'activation_type', and that of "
        "stored weights 'weight_type'"
    )


@pytest.mark.parametrize("version", [1, 2])
def test_earlier_versions_have_no_types(document: Document, version: int) -> None:
    early = document | {"version": version}
    if version == 1:
        del early["outputs"]
    assert read(early).layers
    rest = f"is given (version {version} has no data types; version 3 has them)"
    assert problems(early | {"weight_ratio": 0.5}) == [f"weight_ratio {rest}"]
    assert problems(with_layer(early, 1, activation_type="int8")) == [f"layer 'relu': activation_type {rest}"]
    assert problems(early | {"inputs": [early["inputs"][0] | {"type": "fp16"}]}) == [f"input 'in': type {rest}"]
    schema = Draft202012Validator(network_schema())
    assert schema.is_valid(early)
    assert not schema.is_valid(early | {"weight_ratio": 0.5})
    assert not schema.is_valid(with_layer(early, 1, activation_type="int8"))


def test_a_file_without_version_is_version_1(document: Document) -> None:
    del document["version"], document["outputs"]
    (fault,) = problems(document | {"weight_type": "int4"})
    assert fault == (
        "weight_type is given (a file without version is of version 1, which has no data types; version 3 has them)"
    )


def test_version_3_needs_outputs(document: Document) -> None:
    del document["outputs"]
    (fault,) = problems(document)
    assert fault == "outputs is missing (version 3 must have it: a list of the layers whose ofmaps are stored)"
    assert not Draft202012Validator(network_schema()).is_valid(document)


def test_faults_name_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(
        "version: 3\nname: n\nweight_type: int44\ninputs:\n- name: in\n  shape: [8, 1, 1]\n  type: fp17\n"
        "outputs: [a]\nlayers:\n- {name: a, kind: fc, C: 8, K: 8, inputs: [in],\n   weight_ratio: 2}\n"
    )
    with pytest.raises(NetworkFileError) as error:
        read_network_file(path)
    begun = [problem.removeprefix(f"{path}: ").partition("(")[0] for problem in error.value.problems]
    assert begun == [
        'line 3: weight_type="int44" ',
        "line 7: input 'in': type=\"fp17\" ",
        "line 11: layer 'a': weight_ratio=2 ",
    ]


# Networks that no file can hold


def replaced(layer: Layer, **types: object) -> Layer:
    return replace(layer, types=layer.types._replace(**types))


@pytest.mark.parametrize(
    ("number", "types", "words"),
    [
        (0, {"weights": WeightFormat(ratio=Fraction(1, 3))}, "has weights with ratio 1/3 (must be from 0.000001 to 1"),
        (0, {"weights": WeightFormat(ratio=Fraction(3, 2))}, "has weights with ratio 3/2 (must be from 0.000001 to 1"),
        (0, {"weights": WeightFormat(scale_bits=16)}, "has weights of type int8 with scales of 16 bits (must be a"),
        (0, {"weights": WeightFormat(group=4)}, "has weights of type int8/4:0 with scales of 0 bits (must be a"),
        (3, {"weights": weight_format("int4")}, "has weights of type int4, but no stored weights"),
        (1, {"weights": weight_format("int4")}, "has weights of type int4, but no stored weights"),
        (1, {"accumulators": data_type("fp32")}, "has partial sums of type fp32, but a layer of its kind makes none"),
    ],
)
def test_types_that_cannot_be(document: Document, number: int, types: dict[str, object], words: str) -> None:
    network = read(document)
    layers = list(network.layers)
    layers[number] = replaced(layers[number], **types)
    with pytest.raises(NetworkError) as error:
        Network("n", network.inputs, tuple(layers))
    (problem,) = error.value.problems
    assert problem.startswith(f"layer '{layers[number].name}': {words}")
