"""Plan: everything that an LFA fixes, as arrays (docs/model.md#tiles, docs/model.md#tensors).

It is built once for an LFA; evaluation, searches and solvers all take a `Plan`. A position is the tile id, the index
in the tile sequence, 0 … T−1. A DRAM tensor is a load (ifmap or weights) or a store (ofmap).
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.rewrites.channels import DivisionError
from soma_cp.model.network.rewrites.passes import PassesError
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA, LFAArrays, LFAError, check_lfa
from soma_cp.model.soma.lfa_arrays import lfa_arrays, unused_share
from soma_cp.model.soma.occupancy import alive_bytes
from soma_cp.model.soma.shared_loads import LoadOwners
from soma_cp.model.soma.tensors import (
    KIND_NAMES,
    NO_SOURCE,
    Tensors,
    count_tensors,
    empty_tensor_places,
    empty_tensors,
    make_tensors,
)
from soma_cp.model.soma.tiling import LayerTiles, TileSequence, empty_layer_tiles, tile_layers

MAX_TILES = 2_000_000
"""More tiles than this are refused: a larger schedule can't be searched or stored in practice."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Tiles and tensors of one LFA: T tiles, D DRAM tensors in creation order, L layers.

    Parameters
    ----------
    problem, lfa
        What the plan is made of; in the problem, layers are divided and copied for passes as the LFA says. The index
        of a layer goes over all copies.
    layers
        Extents, positions and costs of the tiles, by layer id.
    tensors
        The D DRAM tensors in creation order, and the on-chip ones.
    tile_layer, tile_index
        int64[T]: layer id of the tile at each position, and its index within the layer.
    tile_cycles
        int64[T]: cycles that the core array takes.
    chip_usage
        int64[T]: bytes that on-chip ofmap tensors hold at each position.
    owners
        Which layer loads what for which others.
    """

    problem: Problem
    lfa: LFA
    layers: LayerTiles
    tensors: Tensors
    tile_layer: IntArray
    tile_index: IntArray
    tile_cycles: IntArray
    chip_usage: IntArray
    owners: LoadOwners

    @cached_property
    def run(self) -> LFA:
        """The FLGs and shared loads of all passes; the LFA, if there is one pass."""
        return self.lfa.run

    @property
    def sequence(self) -> TileSequence:
        """The tiles in the form that kernels take."""
        return TileSequence(self.tile_count, self.tile_cycles, self.chip_usage)

    @property
    def tile_count(self) -> int:
        """T."""
        return len(self.tile_cycles)

    @property
    def dram_tensor_count(self) -> int:
        """D."""
        return len(self.tensors.bytes)

    def tile_label(self, position: int) -> str:
        """Return the name of the tile at `position`, for people."""
        layer = int(self.tile_layer[position])
        name = self.problem.network.layers[layer].name
        return f"tile {position} ({name}[{int(self.tile_index[position])}])"

    def source_name(self, tensor: int) -> str:
        """Return the producer or external input that an ifmap load reads; empty for weights and stores."""
        source = int(self.tensors.source[tensor])
        if source == NO_SOURCE:
            return ""
        return self.problem.network.source_name(source)

    def load_readers(self, tensor: int) -> tuple[int, ...]:
        """Return the ids of the layers that use a load, its owner among them."""
        table, owner, source = self.problem.table, int(self.tensors.layer[tensor]), int(self.tensors.source[tensor])
        if source == NO_SOURCE:
            own = self.problem.table.layers[:, nt.WEIGHT_BYTES] > 0
            return tuple(np.flatnonzero(own & (self.owners.weights == owner)).tolist())
        begin, end = table.source_begin[owner], table.source_begin[owner + 1]
        edge = begin + np.flatnonzero(table.source[begin:end] == source)[0]
        return tuple(table.reader[self.owners.edge == edge].tolist())

    def tensor_key(self, tensor: int) -> tuple[str, str, int, str]:
        """Return kind, layer, tile index and source, which identify a DRAM tensor."""
        layer = self.problem.network.layers[int(self.tensors.layer[tensor])].name
        kind = KIND_NAMES[int(self.tensors.kind[tensor])]
        return kind, layer, int(self.tensors.tile[tensor]), self.source_name(tensor)

    def pass_of(self, tensor: int) -> int:
        """Return the pass of a DRAM tensor, from 0."""
        return int(self.tensors.layer[tensor]) // len(self.problem.network.one_pass.layers)

    def key_in_pass(self, tensor: int) -> tuple[str, str, int, str, int]:
        """Return kind, layer, tile index, source and pass, which identify a DRAM tensor in files."""
        kind, _, tile, _ = self.tensor_key(tensor)
        network, number = self.problem.network.one_pass, self.pass_of(tensor)
        layer = int(self.tensors.layer[tensor]) - number * len(network.layers)
        source = int(self.tensors.source[tensor])
        if source == NO_SOURCE:
            name = ""
        elif source >= 0:
            name = network.source_name(source - number * len(network.layers))
        else:
            name = network.source_name(source + number * len(network.inputs))
        return kind, network.layers[layer].name, tile, name, number

    def tensor_label(self, tensor: int) -> str:
        """Return the name of a DRAM tensor, for people."""
        kind, layer, tile, source = self.tensor_key(tensor)
        if kind == "wgt":
            return f"weights of {layer}"
        if kind == "ofm":
            return f"ofmap {layer}[{tile}]"
        return f"ifmap of {layer}[{tile}] from {source}"

    def chip_label(self, index: int) -> str:
        """Return the name of an ofmap tensor on chip, for people."""
        layer = self.problem.network.layers[int(self.tensors.chip_layer[index])]
        return f"ofmap {layer.name}[{int(self.tensors.chip_tile[index])}]"


def make_plan(problem: Problem, lfa: LFA) -> Plan:
    """Cut the layers into tiles according to `lfa`, price the tiles, and list the tensors.

    Parameters
    ----------
    problem
        Network, platform and batch.
    lfa
        Any LFA; this function checks it.

    Raises
    ------
    LFAError
        If the LFA breaks a rule, a layer can't be divided or the batch be run in passes as it says, or a tiling number
        is too large.
    UserError
        If a tile can't run on the core array.

    References
    ----------
    docs/model.md#tiles; SoMa paper (HPCA 2025), Sec. IV.
    """
    try:
        problem = problem.arranged_as(lfa.divisions, lfa.passes)
    except (DivisionError, PassesError) as error:
        raise LFAError(str(error)) from error
    lfa = replace(lfa, divisions=problem.network.divisions)  # in the order of the network
    check_lfa(lfa, problem.network.one_pass)
    _check_tile_count(lfa)
    arrays = lfa_arrays(lfa.run, problem.network, problem.table)
    layers = empty_layer_tiles(len(problem.network.layers))
    tile_count = tile_layers(problem.table, problem.batch, arrays, layers)
    if tile_count < 0:
        raise LFAError(_too_large(problem, arrays, -1 - tile_count))
    rows = np.column_stack([np.arange(len(layers.count)), layers.extent])
    cycles, energy_pj = problem.core_array.tile_costs(problem.table, rows)
    for layer in np.flatnonzero(cycles < 0):
        problem.core_array.require_feasible(problem.network, problem.table, rows[layer])
    layers.cycles[:] = cycles
    layers.energy_pj[:] = energy_pj
    return _plan_of_tiles(problem, lfa, arrays, layers, tile_count)


def _plan_of_tiles(problem: Problem, lfa: LFA, arrays: LFAArrays, layers: LayerTiles, tile_count: int) -> Plan:
    places = empty_tensor_places(problem.table)
    dram_count, chip_count = count_tensors(problem.table, arrays, layers, places)
    unused = unused_share(arrays, places.owners)
    if unused >= 0:
        raise LFAError(_no_share(problem, unused, places.owners))
    tensors = empty_tensors(dram_count, chip_count)
    make_tensors(problem.table, arrays, layers, places, problem.platform.dram_rate, tensors)
    tile_layer = np.empty(tile_count, np.int64)
    tile_index = np.empty(tile_count, np.int64)
    for layer, (count, first, step) in enumerate(zip(layers.count, layers.first, layers.step, strict=True)):
        positions = slice(first, first + count * step, step)
        tile_layer[positions] = layer
        tile_index[positions] = np.arange(count)
    return Plan(
        problem=problem,
        lfa=lfa,
        layers=layers,
        tensors=tensors,
        tile_layer=tile_layer,
        tile_index=tile_index,
        tile_cycles=layers.cycles[tile_layer],
        chip_usage=alive_bytes(tensors.chip_bytes, tensors.chip_start, tensors.chip_end, tile_count),
        owners=places.owners,
    )


def _no_share(problem: Problem, item: int, owners: LoadOwners) -> str:
    """Return why an edge, or the weights of a layer, shares no load."""
    table, network = problem.table, problem.network
    edges = len(table.source)
    layer = network.layers[table.reader[item] if item < edges else item - edges].name
    if item >= edges:
        return f"'{layer}' can't share the load of its weights: no layer before it in its LG has the same; load them"
    name = network.source_name(int(table.source[item]))
    if owners.edge[item] < 0:
        return f"'{layer}' can't share a load of '{name}', which it reads on chip; leave the shared load out"
    return (
        f"'{layer}' can't share the load of '{name}': no layer before it in its LG loads it, those in the same FLG cut "
        "it by another dimension, or the tiles of those in another FLG leave out rows or columns; let it load"
    )


def _check_tile_count(lfa: LFA) -> None:
    tiles = lfa.passes * sum(flg.tiling_number * len(flg.layers) for flg in lfa.flgs)
    if tiles > MAX_TILES:
        raise LFAError(f"the LFA makes {tiles:,} tiles (at most {MAX_TILES:,}); lower the tiling numbers")


def _too_large(problem: Problem, arrays: LFAArrays, place: int) -> str:
    names = [problem.network.layers[i].name for i in arrays.order[place:]]
    number = int(arrays.tiling[place])
    return (
        f"tiling_number={number} of the FLG that begins with '{names[0]}' is too large: batch {problem.batch} "
        f"and the rows and columns of its output layers can't be cut into {number} parts; take a smaller number"
    )
