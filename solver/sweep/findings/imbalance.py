"""Imbalance: DRAM bytes and operations of each layer by itself, and of each tile of a schedule (the paper's Fig. 3)."""

from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.problem import Problem
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.tensors import OFM


class Imbalance(NamedTuple):
    """Layers or tiles.

    Parameters
    ----------
    dram_bytes
        int64[n]: bytes moved from and to DRAM.
    operations
        float64[n]: as `Layer.operations` counts them.
    """

    dram_bytes: IntArray
    operations: FloatArray


def imbalance_of_layers(problem: Problem) -> Imbalance:
    """Return each layer by itself: it loads its weights and ifmaps, and stores its ofmap."""
    flgs = tuple(FLG((layer.name,), 1, dram_cut=True) for layer in problem.network.layers)
    plan = make_plan(problem, LFA(flgs))
    moved = np.zeros(len(problem.network.layers), np.int64)
    np.add.at(moved, plan.tensors.layer, plan.tensors.moved)
    return Imbalance(moved, _tile_operations(plan) * plan.layers.count)


def imbalance_of_tiles(execution: Execution) -> Imbalance:
    """Return the tiles by position.

    A transfer counts once: a load at the first tile that needs it, a store at the tile that makes it.
    """
    plan, transfers = execution.schedule.plan, execution.transfers
    place = np.where(transfers.kind == OFM, transfers.after_tile, transfers.gates)
    moved = np.zeros(plan.tile_count, np.int64)
    np.add.at(moved, place, transfers.moved)
    return Imbalance(moved, _tile_operations(plan)[plan.tile_layer])


def _tile_operations(plan: Plan) -> FloatArray:
    """Return float64[L]: operations of one tile of each layer, rows and columns that tiles share counted for each."""
    layers = plan.problem.network.layers
    of_sample = np.array([layer.operations for layer in layers], np.float64)
    elements = np.array([layer.K * layer.H * layer.W for layer in layers], np.float64)
    found: FloatArray = of_sample * plan.layers.extent.prod(axis=1) / elements
    return found
