"""Networks from names, files, models in memory and a caller's own graph."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.onnx_models import Model, linear
from support.strategies import networks
from support.twins import examples

import soma_cp as sc
from soma_cp.model.network.layers import Layer
from soma_cp.model.network.network_file import network_from_document, write_network_file


def fields_of(layer: Layer) -> dict[str, Any]:
    """The fields of a layer, but for its name and what it reads."""
    own = {name: getattr(layer, name) for name in layer.__dataclass_fields__}
    return {name: value for name, value in own.items() if name not in ("name", "kind", "ifmaps", "inputs")}


def rebuilt(network: sc.Network, faulty: bool = False) -> sc.Network:
    """The network, built again layer by layer; with `faulty`, each layer is refused once first."""
    builder = sc.NetworkBuilder(network.name, blocks=network.blocks)
    for source in network.inputs:
        builder.input(source.name, source.shape)
    for layer in network.layers:
        reads = [*layer.ifmaps, *layer.inputs]
        if faulty:
            with pytest.raises(sc.NetworkError, match=f"layer '{layer.name}'"):
                builder.layer(layer.kind, layer.name, reads, **{**fields_of(layer), "H": 0})
        assert builder.layer(layer.kind, layer.name, reads, **fields_of(layer)) == layer.name
        assert builder.shape(layer.name) == layer.ofmap
    builder.output(*network.outputs)
    return builder.build()


@pytest.mark.parametrize("name", sc.network_names())
def test_the_builder_makes_every_built_in_network(name: str) -> None:
    network = sc.load_network(name)
    assert rebuilt(network) == network


@given(networks(), st.booleans())
@examples(100)
def test_the_builder_makes_any_network_also_after_refusals(document: dict[str, Any], faulty: bool) -> None:
    network = network_from_document(document, "drawn")
    assert rebuilt(network, faulty) == network


def test_a_layer_is_checked_when_it_is_added() -> None:
    builder = sc.NetworkBuilder("mine")
    image = builder.input("image", (3, 32, 32))
    stem = builder.conv("stem", image, channels=8, kernel=3, stride=2)
    assert builder.shape(stem) == (8, 16, 16)
    assert builder.shape(builder.pool("pool", stem, kernel=3, stride=2, padding=1)) == (8, 8, 8)
    with pytest.raises(sc.NetworkError, match=r"layer 'sum': reads different shapes \(.*\[8, 8, 8\] of 'pool'\)"):
        builder.eltwise("sum", [stem, "pool"])
    with pytest.raises(sc.NetworkError, match="layer 'next': no layer or input is called 'stm'; did you mean 'stem'"):
        builder.conv("next", "stm", channels=8)
    with pytest.raises(sc.NetworkError, match="the name 'stem' is used twice"):
        builder.pointwise("stem", "pool")
    with pytest.raises(sc.NetworkError, match=r"layer 'p': kernel=\(0, 0\)"):
        builder.pool("p", stem, kernel=0)
    with pytest.raises(sc.NetworkError, match="did you mean 'conv'"):
        builder.layer("cnv", "next", stem)
    with pytest.raises(sc.NetworkError, match=r"layer 'next'.*unexpected keyword argument 'Q'"):
        builder.layer("conv", "next", stem, Q=1)
    with pytest.raises(sc.NetworkError, match="output names 'pol', which is not a layer; did you mean 'pool'"):
        builder.output("pol")
    assert [layer.name for layer in builder.build().layers] == ["stem", "pool"]
    assert repr(builder) == "<NetworkBuilder 'mine': 1 inputs, 2 layers>"


def test_the_builder_has_every_kind_of_layer() -> None:
    builder = sc.NetworkBuilder("all")
    tokens = builder.input("tokens", (64, 16, 1))
    query = builder.linear("query", tokens, channels=64)
    key = builder.linear("key", tokens, channels=64)
    turned = builder.transpose("turned", key)
    assert builder.shape(turned) == (16, 64, 1)
    scores = builder.matmul("scores", query, builder.layer("ptp", "operand", turned, K=16, H=64, W=1))
    builder.pointwise("softmax", scores)
    image = builder.input("image", (8, 16, 16))
    up = builder.upsample("up", image, factor=2)
    assert builder.shape(up) == (8, 32, 32)
    deep = builder.conv("depthwise", image, channels=8, kernel=3, groups=8)
    both = builder.concat("both", [deep, builder.conv("plain", image, channels=4)])
    assert builder.shape(both) == (12, 16, 16)
    assert builder.shape(builder.global_pool("pooled", both)) == (12, 1, 1)
    builder.fully_connected("classes", "pooled", channels=10)
    network = builder.build()
    assert {layer.kind for layer in network.layers} >= {"conv", "group_conv", "fc", "pool", "ptp"}


@pytest.fixture
def model() -> Model:
    """Two layers of 16 tokens, of which the batch is a name."""
    made = Model()
    x = made.input("x", ["n", 16, 64])
    made.output(made.node("Relu", linear(made, x, 64, 32)))
    return made


def test_a_model_in_memory_is_a_model_in_a_file(model: Model, tmp_path: Path) -> None:
    import onnx

    path = model.save(tmp_path / "mine.onnx")
    proto = onnx.load(str(path), load_external_data=False)
    before = proto.SerializeToString()
    assert sc.load_network(proto, name="mine") == sc.load_network(path)
    assert sc.load_network(proto).name == "graph"
    assert proto.SerializeToString() == before


def test_options_of_onnx_models(model: Model, tmp_path: Path) -> None:
    path = model.save(tmp_path / "mine.onnx")
    network = sc.load_network(path, batch_axes={"x": 0}, inputs={"x": "data"}, layouts={"x": "NHC"})
    assert network.inputs[0].shape[1] == 16
    with pytest.raises(sc.UserError, match=r"dims=\{'seq': 4}: no input has such a dimension") as error:
        sc.load_network(path, dims={"seq": 4})
    assert "--" not in str(error.value)
    with pytest.raises(sc.UserError, match=r"inputs='dta' \(must be one of"):
        sc.load_network(path, inputs={"x": "dta"})
    with pytest.raises(sc.UserError, match="'resnet50' is none"):
        sc.load_network("resnet50", dims={"n": 1})
    with pytest.raises(sc.UserError, match="'resnet50' is none"):
        sc.load_network("resnet50", types="model")


def test_types_of_onnx_models(model: Model, tmp_path: Path) -> None:
    """64×32 weights of fp32, which count as INT8 unless the model's own types are asked for."""
    path = model.save(tmp_path / "mine.onnx")
    bytes_of = {types: sc.load_network(path, types=types).weight_bytes for types in ("auto", "int8", "model")}
    assert bytes_of == {"auto": 2048, "int8": 2048, "model": 8192}
    assert any("types='model' takes it as it is" in note for note in sc.load_network(path).notes)
    with pytest.raises(sc.UserError, match=r"types='fp16' \(must be one of"):
        sc.load_network(path, types="fp16")


def test_notes_of_a_model_are_kept_and_logged_and_nothing_is_printed(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    model.input("never_read", ["n", 4])
    rows = Model()
    rows.output(rows.node("Relu", linear(rows, rows.input("x", [16, 64]), 64, 32)))
    path = rows.save(tmp_path / "rows.onnx")
    with caplog.at_level(logging.INFO, "soma_cp"):
        network = sc.load_network(path)
    assert network.notes
    assert "--" not in "".join(network.notes)
    assert [record.getMessage() for record in caplog.records] == [f"rows: {note}" for note in network.notes]
    assert capfd.readouterr() == ("", "")


def test_files_paths_and_networks(tmp_path: Path) -> None:
    network = sc.load_network("tiny-branch")
    write_network_file(network, tmp_path / "mine.json")
    assert sc.load_network(tmp_path / "mine.json") == network == sc.load_network(str(tmp_path / "mine.json"))
    assert sc.load_network(network) is network
    assert sc.load_network(network, name="other") == replace(network, name="other")
    assert sc.load_network("bert-base", tokens=64) != sc.load_network("bert-base")
    with pytest.raises(sc.UserError, match="did you mean 'resnet50'"):
        sc.load_network("resnet5")
    with pytest.raises(sc.UserError, match="of the type int"):
        sc.load_network(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", ["a lot", 0, "1MB/s"])
def test_a_size_of_parts_is_checked(size: object) -> None:
    with pytest.raises(sc.UserError, match=r"divide=.*must be a size such as 4MiB"):
        sc.load_network("vgg19", divide=size)  # type: ignore[arg-type]
