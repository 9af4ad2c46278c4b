"""The adapter to ZigZag: all tests have a quick engine in place of ZigZag, some the real one if it is installed."""

import hashlib
import importlib.metadata
import logging
import os
import re
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.strategies import networks
from support.twins import examples

from soma_cp.model.data_types import DATA_TYPES, TYPE_CODE, LayerTypes
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array import zigzag
from soma_cp.model.hardware.core_array.cost_store import CostStore, StoredCost
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.hardware.core_array.registry import make_core_array
from soma_cp.model.hardware.core_array.type_notes import type_notes
from soma_cp.model.hardware.core_array.unit_energies import unit_energies
from soma_cp.model.hardware.core_array.zigzag import ZigZagCoreArray, zigzag_core_array
from soma_cp.model.hardware.core_array.zigzag_accelerator import BITS, accelerator_of_platform, read_accelerator
from soma_cp.model.hardware.core_array.zigzag_engine import LoopSizes, ZigZagSettings, layer_document, layer_pricer
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput, GroupConv, PointToPoint
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_file import network_from_document
from soma_cp.model.network.network_table import network_table
from soma_cp.model.network.rewrites.types import with_named_types
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa.network_bounds import bound_every_lfa

EDGE = PLATFORMS["edge"]
SETTINGS = ZigZagSettings(accelerator_of_platform(EDGE), "EDP", 6, 3, BITS)
needs_zigzag = pytest.mark.skipif(
    find_spec("zigzag") is None, reason="zigzag-dse is not installed (pip install 'soma-cp[zigzag]')"
)


def price(sizes: LoopSizes) -> StoredCost:
    """Return a cost that differs for different loops; loops with a 13 have no mapping."""
    if 13 in sizes:
        return StoredCost(-1, 0.0, "thirteen is too many")
    return StoredCost(int(np.prod(sizes[:8])), float(hash(sizes) % 1000))


@dataclass
class QuickEngine:
    """Prices immediately, and remembers what it priced."""

    asked: list[LoopSizes] = field(default_factory=list)

    def submit(self, sizes: LoopSizes) -> Future[StoredCost]:
        self.asked.append(sizes)
        future: Future[StoredCost] = Future()
        try:
            future.set_result(price(sizes))
        except ZeroDivisionError as error:
            future.set_exception(error)
        return future


def array_in(folder: Path, engine: QuickEngine, platform: Platform = EDGE, **changes: object) -> ZigZagCoreArray:
    settings = replace(SETTINGS, **changes)  # type: ignore[arg-type]
    return ZigZagCoreArray(platform, settings, "3.9.1", CostStore(folder / "costs.sqlite3"), engine)


@pytest.fixture
def engine() -> QuickEngine:
    return QuickEngine()


def grouped_network(samples_have_weights: bool) -> Network:
    """Return a vector layer, then a group convolution or a product of two heads, of 4 and 6 channels a group."""
    inputs = (ExternalInput("x", (8, 9, 5)), ExternalInput("y", (12, 4, 6)))
    maker = PointToPoint(name="maker", K=12, H=4, W=6, inputs=("y",))
    operands = ("maker",) if samples_have_weights else ()
    layer = GroupConv(
        name="layer", C=8, K=12, H=4, W=2, R=3, S=2, sH=2, sW=3, G=2, weight_operands=operands, inputs=("x",)
    )
    return Network("grouped", inputs, (maker, layer))


# Tiles and loops.


@pytest.mark.parametrize(
    ("samples_have_weights", "tile", "loops"),
    [
        (False, (3, 12, 4, 2), LoopSizes(B=3, G=2, K=6, C=4, OY=4, OX=2, FY=3, FX=2, stride_y=2, stride_x=3)),
        (True, (3, 12, 4, 2), LoopSizes(B=1, G=6, K=6, C=4, OY=4, OX=2, FY=3, FX=2, stride_y=2, stride_x=3)),
        (False, (1, 5, 1, 2), LoopSizes(B=1, G=1, K=5, C=4, OY=1, OX=2, FY=3, FX=2, stride_y=2, stride_x=3)),
    ],
)
def test_loops_of_a_tile(
    samples_have_weights: bool, tile: tuple[int, ...], loops: LoopSizes, engine: QuickEngine, tmp_path: Path
) -> None:
    network = grouped_network(samples_have_weights)
    rows = np.array([[1, *tile], [0, *tile]])
    cycles, energy_pj = array_in(tmp_path, engine).tile_costs(network_table(network), rows)
    assert engine.asked == [loops]
    assert (int(cycles[0]), float(energy_pj[0])) == price(loops)[:2]
    # The vector layer: operations of 512 a cycle, 0.0873 pJ each.
    operations = int(np.prod(tile))
    assert cycles[1] == -(-operations // 512)
    assert energy_pj[1] == pytest.approx(operations * 0.0873, rel=1e-12)


@pytest.mark.parametrize(
    ("weights", "activations", "accumulators", "bits"),
    [
        ("int4/128", "fp16", "fp32", (4, 16, 16, 32)),
        ("int4", "int8", None, (4, 8, 8, 8)),
        ("int8", "int16", None, (8, 16, 16, 16)),
    ],
)
def test_bits_of_a_tile(
    weights: str, activations: str, accumulators: str | None, bits: tuple[int, ...], engine: QuickEngine, tmp_path: Path
) -> None:
    """ZigZag gets the bits of weights without their scales; the rates are those of INT8, which a note says."""
    network = with_named_types(grouped_network(False), weights, activations, accumulators)
    rows = np.array([[1, 3, 12, 4, 2], [0, 3, 12, 4, 6]])
    array = array_in(tmp_path, engine)
    cycles, _ = array.tile_costs(network_table(network), rows)
    (loops,) = engine.asked
    assert loops[-4:] == bits
    assert cycles[1] == -(-3 * 12 * 4 * 6 // 512)
    noted = type_notes(network, replace(EDGE, core_array="zigzag"))
    said = f"the core array zigzag computes {activations} at the rate and the energy of INT8"
    assert (said in noted) is (activations != "int8")
    # What INT8 costs is kept under the key that it had before there were other types, other bits under their own.
    bare = LoopSizes(*loops[:-4])
    before = hashlib.sha256(f"{array._key_begin}{tuple(loops[:-4])}".encode()).hexdigest()
    assert array._key(bare) == before
    assert array._key(loops) != before
    precision = layer_document(loops, 24)["operand_precision"]
    assert precision == {"W": bits[0], "I": bits[1], "O": max(bits[3], 24), "O_final": bits[2]}


def test_a_vector_layer_of_another_type_is_noted() -> None:
    network = grouped_network(False)
    vector = replace(network.layers[0], types=LayerTypes(DATA_TYPES[TYPE_CODE["fp32"]]))
    layers = (vector, network.layers[1])
    typed = Network("grouped", network.inputs, layers)
    assert type_notes(typed, replace(EDGE, core_array="zigzag")) == (
        "the core array zigzag computes fp32 at the rate and the energy of INT8",
    )


@examples(25)
@given(document=networks(), batch=st.integers(1, 3))
def test_operations_and_vector_costs_are_those_of_the_published_array(
    document: dict, batch: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    network = network_from_document(document, "network")
    table = network_table(network)
    rows = np.array([[i, batch, layer.K, layer.H, layer.W] for i, layer in enumerate(network.layers)])
    array = array_in(tmp_path_factory.mktemp("zigzag"), QuickEngine())
    cycles, energy_pj = array.tile_costs(table, rows)
    expected_cycles, expected_pj = PublishedCoreArray(EDGE).tile_costs(table, rows)
    least_cycles, least_pj = array.least_costs(table, rows)
    for i, layer in enumerate(network.layers):
        if layer.is_matrix:
            assert cycles[i] in (-1, batch * layer.operations)
            assert least_cycles[i] == -(-batch * layer.operations // EDGE.macs_per_cycle)
            assert least_pj[i] == pytest.approx(batch * layer.operations * 0.018)
            each_cycles, each_pj = array.least_per_channel(table, rows[i : i + 1])
            assert each_cycles[0] * rows[i, 2] == pytest.approx(batch * layer.operations / EDGE.macs_per_cycle)
            assert each_pj[0] * rows[i, 2] == pytest.approx(least_pj[i])
        else:
            found = (cycles[i], energy_pj[i]), (least_cycles[i], least_pj[i])
            assert found == ((expected_cycles[i], expected_pj[i]),) * 2


def test_a_tile_without_mapping(engine: QuickEngine, tmp_path: Path) -> None:
    layer = Conv(name="odd", C=13, K=4, H=2, W=2, inputs=("x",))
    network = Network("one", (ExternalInput("x", (13, 2, 2)),), (layer,))
    row = np.array([0, 1, 4, 2, 2])
    for _ in range(2):  # from the engine, and from the store
        array = array_in(tmp_path, engine)
        assert array.tile_costs(network_table(network), row[None])[0].tolist() == [-1]
        with pytest.raises(
            NoMappingError, match=r"layer 'odd', tile of 1 samples × 4 channels × 2 rows × 2 columns: Zig"
        ):
            array.require_feasible(network, network_table(network), row)
        assert "thirteen is too many" in array.explain_infeasible(network, row)
    assert len(engine.asked) == 1


def test_a_failure_of_the_engine_is_one_sentence(
    engine: QuickEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "price", lambda sizes: 1 // 0)
    network = grouped_network(False)
    with pytest.raises(UserError) as raised:
        array_in(tmp_path, engine).tile_costs(network_table(network), np.array([[1, 1, 12, 4, 2]]))
    assert str(raised.value) == (
        "core array zigzag: ZigZag fails on a tile of B 1, G 2, K 6, C 4, OY 4, OX 2, FY 3, FX 2: integer division or "
        "modulo by zero; check the accelerator and its mapping"
    )


def test_processes_that_end_suddenly_are_one_sentence(tmp_path: Path) -> None:
    class Broken(QuickEngine):
        def submit(self, sizes: LoopSizes) -> Future[StoredCost]:
            raise BrokenProcessPool("a child process terminated abruptly")

    network = grouped_network(False)
    with pytest.raises(
        UserError, match="a process of ZigZag's ended suddenly; it may have run out of memory, or a script"
    ):
        array_in(tmp_path, Broken()).tile_costs(network_table(network), np.array([[1, 1, 12, 4, 2]]))


def test_threads_that_want_one_tile_have_it_priced_once(tmp_path: Path) -> None:
    class Late(QuickEngine):
        def submit(self, sizes: LoopSizes) -> Future[StoredCost]:
            self.asked.append(sizes)
            return Future()

    engine, network, row = Late(), grouped_network(False), np.array([[1, 1, 12, 4, 2]])
    array = array_in(tmp_path, engine)
    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(array.tile_costs, network_table(network), row) for _ in range(2)]
        while not array._costs:
            time.sleep(0.001)
        (future,) = array._costs.values()
        future.set_result(StoredCost(5, 6.0))
        assert [job.result()[0].tolist() for job in jobs] == [[5], [5]]
    assert len(engine.asked) == 1


# What is priced once.


def test_tiles_alike_are_priced_once(engine: QuickEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = builtin_network("resnet50")
    table = network_table(network)
    matrix = [(i, layer) for i, layer in enumerate(network.layers) if layer.is_matrix]
    rows = np.array([[i, 1, layer.K, layer.H, layer.W] for i, layer in matrix])
    array = array_in(tmp_path, engine)
    with caplog.at_level(logging.WARNING):
        first = array.tile_costs(table, rows)
        again = array.tile_costs(table, rows)
    different = {(layer.C, *layer.ofmap, layer.R, layer.S, layer.sH, layer.sW) for _, layer in matrix}
    assert len(engine.asked) == len(set(engine.asked)) == len(different) < len(matrix)
    assert [part.tolist() for part in again] == [part.tolist() for part in first]
    assert caplog.text.count("each new tile takes seconds") == 1

    later = QuickEngine()
    found = array_in(tmp_path, later).tile_costs(table, rows)
    assert [part.tolist() for part in found] == [part.tolist() for part in first]
    assert later.asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"optimise": "energy"},
        {"loop_factors": 5},
        {"spatial_mappings": 1},
        {"partial_sum_bits": 16},
        {"accelerator": accelerator_of_platform(replace(EDGE, macs_per_pe=256))},
    ],
)
def test_costs_of_other_settings_are_not_taken(
    engine: QuickEngine, tmp_path: Path, changes: Mapping[str, object]
) -> None:
    network = grouped_network(False)
    for given_changes in ({}, changes, changes):
        array = array_in(tmp_path, engine, **given_changes)
        array.tile_costs(network_table(network), np.array([[1, 1, 12, 4, 2]]))
    assert len(engine.asked) == 2


def test_a_bound_asks_the_engine_for_nothing(engine: QuickEngine, tmp_path: Path) -> None:
    problem = Problem(builtin_network("resnet50"), EDGE)
    published = bound_every_lfa(problem)
    problem.__dict__["core_array"] = array_in(tmp_path, engine)  # in place of the platform's core array
    bound = bound_every_lfa(problem)
    assert engine.asked == []
    assert 0 < bound.compute_cycles <= published.compute_cycles
    assert 0 < bound.cost <= published.cost


def test_a_rectangle_of_any_pes_is_described() -> None:
    # 48 MACs are 6 input channels × 8 kernels. Each of 16·4 PEs can write 8 outputs of 8 bits: 4096 bits a cycle.
    platform = replace(EDGE, pe_grid=(16, 4), macs_per_pe=48, gbuf_bytes_per_cycle=32)
    described = accelerator_of_platform(platform)
    assert described.accelerator["operational_array"]["sizes"] == [8, 6, 16, 4]
    assert described.macs_per_cycle == platform.macs_per_cycle == 3072
    ports = {port["name"]: port["bandwidth_max"] for port in described.accelerator["memories"]["GBUF"]["ports"]}
    assert ports == {"r_port_1": 256, "w_port_1": 4096}


# Options.


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave as if ZigZag were installed: nothing here prices a tile."""
    real = importlib.metadata.version
    monkeypatch.setattr(zigzag, "version", lambda name: "3.9.1" if name == "zigzag-dse" else real(name))


def test_without_zigzag(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(zigzag, "version", missing)
    with pytest.raises(UserError, match=re.escape("not installed: pip install 'soma-cp[zigzag]'")):
        make_core_array(EDGE, "zigzag", {})


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"acelerator": "x"}, "core array 'zigzag' has no option 'acelerator'; it takes accelerator, mapping, cache, "),
        ({"optimise": "speed"}, "optimise=speed (must be EDP or latency or energy)"),
        ({"loop_factors": "0"}, "loop_factors=0 (must be a whole number from 1 to"),
        ({"mapping": "m.yaml"}, "mapping goes with accelerator; give both, or neither"),
        ({"accelerator": "nowhere.yaml"}, "nowhere.yaml: there is no such file"),
    ],
)
def test_wrong_options(options: Mapping[str, str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(problem)):
        zigzag_core_array(EDGE, {"cache": str(tmp_path / "costs"), **options})


TWO_LEVELS = """
name: small
memories:
  registers: {size: 64, r_cost: 0.1, w_cost: 0.1, area: 0, latency: 1, operands: [O], served_dimensions: [], ports: [
    {name: rw_port_1, type: read_write, bandwidth_min: 8, bandwidth_max: 8, allocation: ["O, tl", "O, fl", "O, th",
    "O, fh"]}]}
  buffer: {size: 8000000, r_cost: 20.0, w_cost: 22.0, area: 0, latency: 1, operands: [I1, I2, O],
    served_dimensions: [D1, D2], ports: [
    {name: r_port_1, type: read, bandwidth_min: 8, bandwidth_max: 512, allocation: ["I1, tl", "I2, tl", "O, tl",
    "O, th"]},
    {name: w_port_1, type: write, bandwidth_min: 8, bandwidth_max: 512, allocation: ["I1, fh", "I2, fh", "O, fh",
    "O, fl"]}]}
operational_array: {unit_energy: 0.5, unit_area: 1, dimensions: [D1, D2], sizes: [4, 8]}
"""
MAPPING = "- {name: default, spatial_mapping: {D1: ['K, 4'], D2: ['C, 8']}}\n"


def yaml_file(folder: Path, text: str, name: str = "accelerator.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_an_accelerator_file(tmp_path: Path) -> None:
    found = read_accelerator(yaml_file(tmp_path, TWO_LEVELS), yaml_file(tmp_path, MAPPING, "mapping.yaml"))
    assert (found.macs_per_cycle, found.mac_pj) == (32, 0.5)
    assert [item["name"] for item in found.mapping] == ["default"]
    assert read_accelerator(yaml_file(tmp_path, TWO_LEVELS), None).mapping == [{"name": "default"}]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not an accelerator of ZigZag's"),
        ("- 1\n", "not an accelerator of ZigZag's"),
        ("memories: {a: 5}\n", "not an accelerator of ZigZag's"),
        (TWO_LEVELS.replace("sizes: [4, 8]", "sizes: [4, 0]"), "not an accelerator of ZigZag's"),
        (TWO_LEVELS.replace("unit_energy: 0.5", "unit_energy: much"), "not an accelerator of ZigZag's"),
        ("memories: [\n", "not usable YAML"),
        (
            TWO_LEVELS.replace("buffer:", "DRAM_1:"),
            "memory 'DRAM_1' is a DRAM, but what a tile costs begins and ends in",
        ),
        (
            TWO_LEVELS.replace("[I1, I2, O]", "[I1, O]"),
            "the last memory, 'buffer', stands for the GBUF and must hold I1, ",
        ),
    ],
)
def test_faults_of_an_accelerator_file(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UserError, match=re.escape(problem)):
        read_accelerator(yaml_file(tmp_path, text), None)


@pytest.mark.parametrize("text", ["", "name: default\n", "- name: Conv\n"])
def test_faults_of_a_mapping_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"mapping\.yaml: not a mapping of ZigZag's \(must be a YAML list with an item"):
        read_accelerator(yaml_file(tmp_path, TWO_LEVELS), yaml_file(tmp_path, text, "mapping.yaml"))


# The description of a platform.


def test_units_of_the_described_platform() -> None:
    accelerator, energies = accelerator_of_platform(EDGE), unit_energies(EDGE)
    assert accelerator.macs_per_cycle == EDGE.macs_per_cycle
    assert accelerator.mac_pj == energies.MAC
    memories = accelerator.accelerator["memories"]
    for memory, kibibytes in (("AL1", 16), ("WL1", 32), ("OL1", 8)):
        assert memories[memory]["size"] == kibibytes * 1024 * 8
    for memory in ("AL1", "WL1", "OL1", "GBUF"):
        for way in ("read", "write"):
            port = next(port for port in memories[memory]["ports"] if port["type"] == way)
            pj_per_byte = memories[memory][f"{way[0]}_cost"] / (port["bandwidth_max"] / 8)
            expected = getattr(energies, f"{memory}_{way}")
            if (memory, way) == ("GBUF", "write"):
                expected += energies.OL2_read + energies.OL2_write
            assert pj_per_byte == pytest.approx(expected, rel=1e-12)
    (from_gbuf,) = (port for port in memories["GBUF"]["ports"] if port["type"] == "read")
    assert from_gbuf["bandwidth_max"] == 8 * 256


def test_a_layer_in_zigzags_words() -> None:
    document = layer_document(LoopSizes(B=1, G=2, K=6, C=4, OY=5, OX=7, FY=3, FX=2, stride_y=2, stride_x=3), 16)
    assert dict(zip(document["loop_dims"], document["loop_sizes"], strict=True)) == {
        "B": 1, "G": 2, "K": 6, "C": 4, "OY": 5, "OX": 7, "FY": 3, "FX": 2,
    }  # fmt: skip
    assert document["dimension_relations"] == ["ix=3*ox+1*fx", "iy=2*oy+1*fy"]
    assert document["operand_precision"] == {"W": 8, "I": 8, "O": 16, "O_final": 8}


# The real one.

FULLY_CONNECTED = LoopSizes(B=1, G=1, K=250, C=512, OY=1, OX=1, FY=1, FX=1, stride_y=1, stride_x=1)
POINTWISE = LoopSizes(B=1, G=1, K=64, C=64, OY=14, OX=14, FY=1, FX=1, stride_y=1, stride_x=1)


@needs_zigzag
def test_zigzag_on_a_described_platform() -> None:
    quick = layer_pricer(replace(SETTINGS, loop_factors=4, spatial_mappings=2))
    network = Network(
        "one", (ExternalInput("x", (64, 14, 14)),), (Conv(name="layer", C=64, K=64, H=14, W=14, inputs=("x",)),)
    )
    row = np.array([[0, 1, 64, 14, 14]])
    published = PublishedCoreArray(EDGE).tile_costs(network_table(network), row)
    found = quick(POINTWISE)
    # 64 · 64 · 14 · 14 multiply-accumulates of 8192 a cycle.
    assert 98 <= found.cycles <= 4 * int(published[0][0])
    assert 0.5 * float(published[1][0]) <= found.energy_pj <= 2 * float(published[1][0])
    # The bandwidth of the GBUF limits this one: 250 · 512 weights, 256 bytes a cycle.
    assert 450 <= quick(FULLY_CONNECTED).cycles <= 1000
    assert quick(FULLY_CONNECTED) == quick(FULLY_CONNECTED)


@needs_zigzag
def test_zigzag_on_an_accelerator_of_its_own(tmp_path: Path) -> None:
    accelerator = read_accelerator(yaml_file(tmp_path, TWO_LEVELS), yaml_file(tmp_path, MAPPING, "mapping.yaml"))
    price = layer_pricer(replace(SETTINGS, accelerator=accelerator, loop_factors=4))
    found = price(POINTWISE)
    assert found.cycles >= 64 * 64 * 14 * 14 // 32
    assert found.energy_pj >= 64 * 64 * 14 * 14 * 0.5
    too_small = {
        **accelerator.accelerator["memories"],
        "buffer": {**accelerator.accelerator["memories"]["buffer"], "size": 999},
    }
    small = replace(accelerator, accelerator={**accelerator.accelerator, "memories": too_small})
    assert layer_pricer(replace(SETTINGS, accelerator=small))(POINTWISE) == StoredCost(
        -1, 0.0, "in no order of its loops does it fit the memories"
    )


@needs_zigzag
def test_zigzag_in_processes_of_its_own_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"cache": "costs.sqlite3", "loop_factors": "4", "spatial_mappings": "1", "processes": "1"}
    array = make_core_array(EDGE, "zigzag", options)
    layer = Conv(name="layer", C=64, K=64, H=4, W=4, inputs=("x",))
    network = Network("one", (ExternalInput("x", (64, 4, 4)),), (layer,))
    cycles, _ = array.tile_costs(network_table(network), np.array([[0, 1, 64, 4, 4]]))
    assert cycles[0] >= 8
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") <= 1  # the line that says that it takes long
    assert os.listdir(tmp_path) == ["costs.sqlite3"]
