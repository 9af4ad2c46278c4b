"""Fig. 3's points: nothing is lost, and operations are those of the layers."""

import numpy as np
import pytest
from support.execution_cases import SCHEDULES, execution_in

from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.tensors import OFM
from soma_cp.solver.sweep.findings.imbalance import imbalance_of_layers, imbalance_of_tiles


@pytest.fixture(scope="module")
def execution() -> Execution:
    """ResNet-50 in two LGs, at batch 4."""
    return execution_in(SCHEDULES / "resnet50.b4.8MiB.16GBps.json")


def test_layers_by_themselves(execution: Execution) -> None:
    network = execution.schedule.problem.network
    found = imbalance_of_layers(execution.schedule.problem)
    assert found.operations == pytest.approx([4 * layer.operations for layer in network.layers])
    for layer, moved in zip(network.layers, found.dram_bytes, strict=True):
        channels = sum(network.source_shape(name)[0] for name in (*layer.ifmaps, *layer.inputs))
        rows, columns = network.available_ifmap(layer)
        ifmap = channels * rows * columns
        assert moved == layer.weight_bytes + 4 * (ifmap + layer.K * layer.H * layer.W), layer.name


def test_each_transfer_counts_at_one_tile(execution: Execution) -> None:
    plan = execution.schedule.plan
    found = imbalance_of_tiles(execution)
    assert found.dram_bytes.sum() == plan.tensors.moved.sum()
    last = plan.layers.first[plan.problem.network.layer_id["fc"]]
    assert found.operations[last] == 4 * 2048 * 1000
    assert found.dram_bytes[last] == 4 * 1000 + 2048 * 1000  # its weights and its ofmap; what it reads stays on chip


def test_a_store_counts_at_the_tile_that_makes_it(execution: Execution) -> None:
    """The first LG stores its last layer's ofmap, in one tile; all loads of the tile are those that wait for it."""
    plan, transfers = execution.schedule.plan, execution.transfers
    (rank,) = np.flatnonzero((transfers.kind == OFM) & (plan.layers.lg[transfers.layer] == 0))
    tile = plan.layers.first[transfers.layer[rank]]
    loads = transfers.moved[(transfers.kind != OFM) & (transfers.gates == tile)].sum()
    assert imbalance_of_tiles(execution).dram_bytes[tile] == transfers.moved[rank] + loads
