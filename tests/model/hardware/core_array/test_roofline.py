"""The roofline core array against its plain-Python twin and against arithmetic by hand."""

import math
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support import slow_core_array, slow_roofline
from support.strategies import TileCase, batches, hardware, matrix_tile_cases, networks, type_costs
from support.twins import examples, problem_of

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.hardware.core_array.roofline import RooflineCoreArray
from soma_cp.model.hardware.core_array.tile_work import tile_work
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput, PointToPoint
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_file import network_from_document
from soma_cp.model.network.network_table import network_table


def close(figure: float) -> object:
    return pytest.approx(figure, rel=1e-12, abs=0)


@examples(120)
@given(document=networks() | networks(types=True), machine=hardware(), batch=batches, draw=st.data())
def test_roofline_equals_its_twin(document: dict, machine: dict, batch: int, draw: st.DataObject) -> None:
    machine |= draw.draw(type_costs(machine))
    problem = problem_of(document, batch, {**machine, "core_array": "roofline"})
    network = problem.network
    tiles = [
        (i, batch, layer.K, draw.draw(st.integers(1, layer.H)), draw.draw(st.integers(1, layer.W)))
        for i, layer in enumerate(network.layers)
    ]
    cycles, energy_pj = problem.core_array.tile_costs(problem.table, np.array(tiles))
    assert (cycles.dtype, energy_pj.dtype) == (np.int64, np.float64)
    layer_of = {layer["name"]: layer for layer in document["layers"]}
    for (i, *tile), found_cycles, found_pj in zip(tiles, cycles, energy_pj, strict=True):
        layer = layer_of[network.layers[i].name]
        expected = slow_roofline.tile_cost(document, layer, tuple(tile), machine)
        assert found_cycles == expected.cycles
        assert found_pj == close(expected.energy_pj)


@examples(60)
@given(matrix_tile_cases())
def test_operations_are_those_of_the_published_model(case: TileCase) -> None:
    network = network_from_document(case.network, "network")
    row = np.array([[network.layer_id[case.layer["name"]], *case.tile]])
    try:
        cost = slow_core_array.tile_cost(case.layer, case.tile, case.hardware)
    except slow_core_array.NoMapping:
        return
    work = tile_work(network_table(network).layers, row)
    assert work.is_matrix.tolist() == [True]
    mac_pj = slow_core_array.unit_energy(case.hardware, "MAC", slow_core_array.MAC_PJ)
    assert work.operations[0] * mac_pj == pytest.approx(cost.mac_pj, rel=1e-9)


def test_a_convolution_by_hand() -> None:
    # 2 of 8 rows of a 3×3 kernel on 16 channels, stride 1, padded: 2·8·32·16·9 = 73,728 MACs of 8192 a cycle: 9 cycles.
    # Read: 2 + 3 − 1 − 1 = 3 rows by 8 columns by 16 channels and 32·16·9 weights; written: 2·8·32.
    # 384 + 4608 + 512 = 5504 bytes of 256 a cycle: 22 cycles.
    layer = Conv(name="conv", C=16, K=32, H=8, W=8, R=3, S=3, inputs=("x",))
    network = Network("one", (ExternalInput("x", (16, 8, 8)),), (layer,))
    cycles, energy_pj = RooflineCoreArray(PLATFORMS["edge"]).tile_costs(
        network_table(network), np.array([[0, 1, 32, 2, 8]])
    )
    growth = 1.1**4
    assert cycles.tolist() == [22]
    read_pj, write_pj = 0.217125 * 4.8 * growth, 0.234025 * 4.8 * growth
    assert energy_pj.tolist() == [close(73_728 * 0.018 + (384 + 4608) * read_pj + 512 * write_pj)]


# A 16×8 array of single MACs: 128 a cycle; its vector unit does 128/16 = 8 operations; 32 bytes of GBUF a cycle.
RECTANGLE = replace(PLATFORMS["edge"], gbuf_bytes=1 << 20, pe_grid=(16, 8), macs_per_pe=1, gbuf_bytes_per_cycle=32)


def test_tiles_on_a_rectangle_of_single_macs_by_hand() -> None:
    # tiny-chain, whole layers: 28·28 positions, the last layer 14·14.
    # conv1 32·64·9·784 = 14,450,688 MACs, conv2 64·64·9·784 = 28,901,376, conv3 64·128·784 = 6,422,528,
    # conv4 128·128·9·196 = 28,901,376; each over 128. Bytes are far fewer: conv4 reads 128·784 + 147,456, makes 25,088.
    network = builtin_network("tiny-chain")
    rows = np.array([[i, 1, layer.K, layer.H, layer.W] for i, layer in enumerate(network.layers)])
    cycles, energy_pj = RooflineCoreArray(RECTANGLE).tile_costs(network_table(network), rows)
    assert (RECTANGLE.macs_per_cycle, RECTANGLE.vector_ops_per_cycle) == (128, 8)
    assert cycles.tolist() == [112_896, 225_792, 50_176, 225_792]
    # A GBUF below 2 MiB costs as in the paper's table, a MAC 0.018 pJ whatever the PE.
    read_pj, write_pj = 0.217125 * 4.8, 0.234025 * 4.8
    conv4_pj = 28_901_376 * 0.018 + (128 * 784 + 147_456) * read_pj + 25_088 * write_pj
    assert energy_pj[3] == close(conv4_pj)


def test_a_vector_layer_on_a_rectangle_by_hand() -> None:
    # 16·10·10 elements: 1600 operations, 8 a cycle: 200 cycles; 3200 bytes, 32 a cycle: 100 cycles.
    network = Network(
        "one", (ExternalInput("x", (16, 10, 10)),), (PointToPoint(name="ptp", K=16, H=10, W=10, inputs=("x",)),)
    )
    assert RooflineCoreArray(RECTANGLE).tile_costs(network_table(network), np.array([[0, 1, 16, 10, 10]]))[0] == [200]


@pytest.mark.parametrize("macs", [1, 3, 7, 100, 2048, 1_048_573, 1 << 24])
def test_any_number_of_macs_is_priced(macs: int) -> None:
    # 64·64·9·784 = 28,901,376 MACs; 2·64·784 + 36,864 = 137,216 bytes, 256 a cycle: 536 cycles at least.
    network = builtin_network("tiny-chain")
    array = RooflineCoreArray(replace(PLATFORMS["edge"], pe_grid=(2, 3), macs_per_pe=macs))
    cycles, energy_pj = array.tile_costs(network_table(network), np.array([[1, 1, 64, 28, 28]]))
    assert cycles == [max(-(-28_901_376 // (6 * macs)), 536)]
    assert 0 < energy_pj[0] < math.inf


@pytest.mark.parametrize("name", ["resnet50", "gpt2-small"])
def test_no_matrix_layer_of_the_published_model_has_less_energy(name: str) -> None:
    network = builtin_network(name)
    table = network_table(network)
    rows = np.array([[i, 1, layer.K, layer.H, layer.W] for i, layer in enumerate(network.layers) if layer.is_matrix])
    roofline = RooflineCoreArray(PLATFORMS["edge"]).tile_costs(table, rows)
    published = PublishedCoreArray(PLATFORMS["edge"]).tile_costs(table, rows)
    assert (roofline[1] <= published[1]).all()


def test_every_tile_runs() -> None:
    # The published array can't run this kernel: see test_published.py.
    layer = Conv(name="huge", C=1 << 14, K=1, H=1, W=1, R=31, S=31, inputs=("x",))
    network = Network("one", (ExternalInput("x", (1 << 14, 31, 31)),), (layer,))
    row = np.array([0, 1, 1, 1, 1])
    table = network_table(network)
    assert PublishedCoreArray(PLATFORMS["edge"]).tile_costs(table, row[None])[0].tolist() == [-1]
    array = RooflineCoreArray(PLATFORMS["edge"])
    array.require_feasible(network, table, row)
    assert array.explain_infeasible(network, row) == "layer 'huge': a roofline takes any tile"
