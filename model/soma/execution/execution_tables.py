"""Tables of an execution: what each layer costs and waits for, and which DRAM tensors stall the core array."""

from dataclasses import dataclass

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.tensors import IFM, KIND_NAMES, OFM, WGT


@dataclass(frozen=True, eq=False)
class LayerTable:
    """The L layers in Computing Order.

    Parameters
    ----------
    layer
        int64[L]: layer id.
    flg, lg
        int64[L]: indices of the FLG and the LG.
    tiles
        int64[L]: number of tiles.
    begin, end
        int64[L]: cycles: begin of the first tile, end of the last.
    compute_cycles
        int64[L]: sum over its tiles.
    stall_cycles
        int64[L]: cycles that the core array waits before tiles of the layer.
    caused_stall_cycles
        int64[L]: cycles that the core array waits for DRAM tensors of the layer (its loads and stores).
    dram_cycles
        int64[L]: cycles that the channel is busy with DRAM tensors of the layer.
    weight_bytes, ifmap_bytes, ofmap_bytes
        int64[L]: bytes of its weight loads, its ifmap loads and its ofmap stores.
    core_energy_pj, dram_energy_pj
        float64[L]: energy of its tiles, of its DRAM tensors.
    """

    layer: IntArray
    flg: IntArray
    lg: IntArray
    tiles: IntArray
    begin: IntArray
    end: IntArray
    compute_cycles: IntArray
    stall_cycles: IntArray
    caused_stall_cycles: IntArray
    dram_cycles: IntArray
    weight_bytes: IntArray
    ifmap_bytes: IntArray
    ofmap_bytes: IntArray
    core_energy_pj: FloatArray
    dram_energy_pj: FloatArray


def layer_table(execution: Execution) -> LayerTable:
    """Return what every layer costs and waits for."""
    plan, tiles, transfers = execution.schedule.plan, execution.tiles, execution.transfers
    layers = plan.layers
    network = plan.problem.network
    order = np.array([network.layer_id[name] for name in plan.run.computing_order], np.int64)

    def of_tiles(values: IntArray) -> IntArray:
        return _sums(tiles.layer, values, len(order))[order]

    def of_transfers(values: IntArray) -> IntArray:
        return _sums(transfers.layer, values, len(order))[order]

    weights, ifmaps, ofmaps = (of_transfers(transfers.moved * (transfers.kind == kind)) for kind in (WGT, IFM, OFM))
    first = layers.first[order]
    return LayerTable(
        layer=order,
        flg=layers.flg[order],
        lg=layers.lg[order],
        tiles=layers.count[order],
        begin=tiles.begin[first],
        end=tiles.end[first + (layers.count[order] - 1) * layers.step[order]],
        compute_cycles=of_tiles(plan.tile_cycles),
        stall_cycles=of_tiles(tiles.stall),
        caused_stall_cycles=of_transfers(transfers.stall),
        dram_cycles=of_transfers(transfers.finish - transfers.begin),
        weight_bytes=weights,
        ifmap_bytes=ifmaps,
        ofmap_bytes=ofmaps,
        core_energy_pj=layers.count[order] * layers.energy_pj[order],
        dram_energy_pj=(weights + ifmaps + ofmaps).astype(np.float64)
        * execution.schedule.plan.problem.platform.dram_pj_per_byte,
    )


@dataclass(frozen=True)
class StallCause:
    """The stalls that one kind of DRAM tensor causes: how many, and their cycles."""

    kind: int
    stalls: int
    cycles: int


def stalls_by_kind(execution: Execution) -> tuple[StallCause, ...]:
    """Return the stalls by the kind of DRAM tensor that causes them; the index is the code of the kind."""
    transfers = execution.transfers
    of_kind = (transfers.stall[transfers.kind == kind] for kind in range(len(KIND_NAMES)))
    return tuple(StallCause(kind, int(np.count_nonzero(stall)), int(stall.sum())) for kind, stall in enumerate(of_kind))


def longest_stalls(execution: Execution, count: int) -> IntArray:
    """Return the positions of the at most `count` tiles with the longest stalls before them, longest first."""
    stall = execution.tiles.stall
    longest: IntArray = np.argsort(-stall, kind="stable")[: min(count, np.count_nonzero(stall))]
    return longest


def _sums(index: IntArray, values: IntArray, size: int) -> IntArray:
    """Return int64[size]: for each index the sum of its values."""
    sums: IntArray = np.zeros(size, np.int64)
    np.add.at(sums, index, values)
    return sums
