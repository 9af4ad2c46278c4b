"""Data types in the Python API: networks, the builder, schedules and their files, tables, notes."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from support.twins import examples
from support.typed_networks import NAMES, data_types, weight_formats

import soma_cp as sc
from soma_cp.model.data_types import DataType, WeightFormat, data_type, weight_format
from soma_cp.model.network.network import Division
from soma_cp.model.network.network_file import write_network_file
from soma_cp.model.network.rewrites.channels import divided_as
from soma_cp.model.network.rewrites.types import with_types

UNSCALED = "weights are int4 without scales; int4/128 counts a 16-bit scale for each 128 weights"


@given(weight_formats(), data_types(), data_types())
@examples(20)
def test_types_by_name_are_those_of_the_model(weights: WeightFormat, activations: DataType, sums: DataType) -> None:
    for name in NAMES:
        found = sc.load_network(
            name,
            weights=weights.text,
            activations=activations.name,
            accumulators=sums.name,
            weight_ratio=float(weights.ratio),
        )
        wanted = with_types(sc.load_network(name), weights, activations, sums, weights.ratio)
        assert found == wanted
    assert sc.load_network(found) == found


def test_types_of_files_and_divided_networks(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    typed = sc.load_network("tiny-chain", weights="int4/64", weight_ratio=0.7)
    write_network_file(typed, path)
    assert sc.load_network(path) == typed
    other = sc.load_network(path, weights="int8")
    assert {layer.types.weights for layer in other.layers} == {WeightFormat(ratio=Fraction(7, 10))}
    divided = divided_as(sc.load_network("tiny-chain"), [Division("conv4", (64, 64))])
    again = sc.load_network(divided, weights="int4/64", weight_ratio=0.7)
    assert again.divisions == divided.divisions
    assert again.whole == typed


def test_notes_on_types() -> None:
    network = sc.load_network("tiny-chain", weights="int4", activations="fp16")
    assert network.notes == (UNSCALED,)
    result = sc.solve(network, "edge", stage2="none", time_limit=1)
    assert result.schedule.notes[0] == UNSCALED
    assert len(result.schedule.notes) == 2
    assert result.schedule.notes[1].startswith(
        "edge does not say what fp16 costs: 4,096 multiply-accumulates per cycle"
    )
    assert sc.load_network("tiny-chain").notes == ()
    assert sc.load_network(network, weights="int4/128").notes == ()


def test_a_typed_schedule_makes_the_round_trip(tmp_path: Path) -> None:
    network = sc.load_network("gpt2-small-decode", weights="int4/128", activations="fp16", weight_ratio=0.7)
    edge = sc.load_hardware("edge", macs_per_cycle_by_type={"fp16": 4096}, mac_pj_by_type={"fp16": "0.1 pJ"})
    result = sc.solve(network, edge, stage2="greedy", time_limit=2)
    result.save(tmp_path / "x.json")
    read = sc.read_schedule(tmp_path / "x.json")
    assert read == result.schedule
    assert (read.network, read.hardware) == (network, edge)
    assert sc.evaluate(tmp_path / "x.json").differences == ()
    tensors = read.tensors
    assert tensors.dtype.names is not None
    assert tensors.dtype.names[-1] == "dram_bytes"
    is_weight = tensors["kind"] == "wgt"
    assert (tensors["dram_bytes"][is_weight] == -(-tensors["bytes"][is_weight] * 7 // 10)).all()
    assert (tensors["dram_bytes"][~is_weight] == tensors["bytes"][~is_weight]).all()
    moved = int(tensors["dram_bytes"].sum())
    assert read.figures["dram_energy_pj"] == pytest.approx(moved * edge.dram_pj_per_byte)
    document = json.loads((tmp_path / "x.json").read_text())
    assert document["hardware"]["mac_pj_by_type"] == {"fp16": 0.1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": "int4/0"}, "weights='int4/0' (must be a type such as int4"),
        ({"weights": 4}, "weights='4' (must be a type such as int4"),
        ({"activations": "fp15"}, "activations='fp15' (must be one of int1"),
        ({"accumulators": "float"}, "accumulators='float' (must be one of int1"),
        ({"weight_ratio": 0}, "weight_ratio=0 (must be a number from 0.000001 to 1"),
        ({"weight_ratio": "0.5"}, "weight_ratio='0.5' (must be a number from 0.000001 to 1"),
        ({"weight_ratio": True}, "weight_ratio=True (must be a number from 0.000001 to 1"),
    ],
)
def test_wrong_types_are_refused_in_the_words_of_python(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(sc.UserError) as error:
        sc.load_network("tiny-chain", **arguments)  # type: ignore[arg-type]
    assert str(error.value).startswith(words)


# The builder


def typed_builder() -> sc.NetworkBuilder:
    """Two convolutions, and a product of what they make."""
    builder = sc.NetworkBuilder("typed", weights="int4/128", activations="fp16", accumulators="fp32", weight_ratio=0.5)
    image = builder.input("image", (8, 4, 1))
    first = builder.linear("first", image, channels=4)
    second = builder.linear("second", image, channels=4)
    turned = builder.transpose("turned", second)
    builder.matmul("product", first, turned)
    return builder


def test_a_builder_has_types_for_all_layers() -> None:
    network = typed_builder().build()
    stored = weight_format("int4/128")
    assert stored is not None
    half = stored._replace(ratio=Fraction(1, 2))
    assert [layer.types.weights for layer in network.layers] == [half, half, WeightFormat(), WeightFormat()]
    assert {layer.types.ofmap for layer in network.layers} == {network.inputs[0].type} == {data_type("fp16")}
    assert [layer.types.accumulators for layer in network.layers] == [*[data_type("fp32")] * 2, None, data_type("fp32")]


def test_a_layer_or_input_may_have_types_of_its_own() -> None:
    builder = typed_builder()
    builder.set_types("first", weights="int8")
    builder.set_types("product", activations="fp32", accumulators="fp64")
    builder.set_types("image", activations="int8")
    network = builder.build()
    assert network.layers[0].types.weights == WeightFormat(ratio=Fraction(1, 2))
    assert network.layers[1] == typed_builder().build().layers[1]
    assert network.layers[3].types.ofmap == data_type("fp32")
    assert network.layers[3].types.accumulators == data_type("fp64")
    assert network.inputs[0].type == data_type("int8")


def test_types_of_a_builder_are_checked() -> None:
    with pytest.raises(sc.UserError, match=r"^activations=fp15 \(must be one of"):
        sc.NetworkBuilder("x", activations="fp15")
    builder = typed_builder()
    for name, types, words in (
        ("first", {"weights": "int44"}, "layer 'first': weights=int44 (must be a type such as int4"),
        ("image", {"weights": "int4"}, "input 'image': weights=int4 (an input has activations alone)"),
        ("image", {"activations": "x"}, "input 'image': activations=x (must be one of"),
        ("frist", {"weights": "int4"}, "no layer or input is called 'frist'; did you mean 'first'?"),
    ):
        with pytest.raises(sc.NetworkError) as error:
            builder.set_types(name, **types)
        assert error.value.problems[0].startswith(words)
    builder.set_types("product", weights="int4")
    with pytest.raises(sc.NetworkError, match="has weights of type int4, but no stored weights"):
        builder.build()
