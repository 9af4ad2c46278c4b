"""The core array that ZigZag prices: the adapter between tiles and ZigZag's single layers (docs/core-arrays.md#zigzag).

To ZigZag a matrix tile is a convolution, and the highest memory is the GBUF. A vector tile costs as much as on the
paper's vector unit. Pricing a tile takes seconds, so tiles alike in all loops are priced once, and costs are kept on
disk.
"""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, Future, as_completed
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.core_array.cost_store import CostStore, StoredCost, cache_folder
from soma_cp.model.hardware.core_array.earlier_plug_ins import network_may_come_first
from soma_cp.model.hardware.core_array.options import one_of, require_known, whole_number
from soma_cp.model.hardware.core_array.protocol import CoreArray
from soma_cp.model.hardware.core_array.tile_work import TileWork, tile_work
from soma_cp.model.hardware.core_array.unit_energies import unit_energies
from soma_cp.model.hardware.core_array.zigzag_accelerator import BITS, accelerator_of_platform, read_accelerator
from soma_cp.model.hardware.core_array.zigzag_engine import Engine, LoopSizes, ZigZagPool, ZigZagSettings
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_table import NetworkTable

OPTIONS = (
    "accelerator",
    "mapping",
    "cache",
    "optimise",
    "loop_factors",
    "spatial_mappings",
    "partial_sum_bits",
    "processes",
)
BITS_BEGIN = LoopSizes._fields.index("w_bits")
KEY_VERSION = 1
"""Increase it when a change of the code changes the cost of the same settings and loops."""

_log = logging.getLogger(__name__)


def zigzag_core_array(platform: Platform, options: Mapping[str, str]) -> "ZigZagCoreArray":
    """Make the core array of a hardware file.

    Parameters
    ----------
    platform
        ZigZag gets a description of its PE array, unless the option ``accelerator`` names another; its vector unit runs
        the vector tiles.
    options
        See docs/core-arrays.md#zigzag.

    Raises
    ------
    UserError
        If ZigZag is not installed, or an option, or a file that an option names, is wrong.
    """
    require_known("zigzag", options, OPTIONS)
    try:
        zigzag_version = version("zigzag-dse")
    except PackageNotFoundError:
        raise UserError(
            "core array 'zigzag' needs the package zigzag-dse, which is not installed: pip install 'soma-cp[zigzag]'"
        ) from None
    number = partial(whole_number, "zigzag", options)
    if "accelerator" in options:
        mapping = Path(options["mapping"]) if "mapping" in options else None
        accelerator = read_accelerator(Path(options["accelerator"]), mapping)
    elif "mapping" in options:
        raise UserError("core array 'zigzag': mapping goes with accelerator; give both, or neither")
    else:
        accelerator = accelerator_of_platform(platform)
    settings = ZigZagSettings(
        accelerator=accelerator,
        optimise=one_of("zigzag", options, "optimise", ("EDP", "latency", "energy")),
        loop_factors=number("loop_factors", 5),
        spatial_mappings=number("spatial_mappings", 3),
        partial_sum_bits=number("partial_sum_bits", BITS),
    )
    cache = Path(options["cache"]).absolute() if "cache" in options else cache_folder() / "zigzag.sqlite3"
    pool = ZigZagPool(settings, number("processes", os.cpu_count() or 1))
    return ZigZagCoreArray(platform, settings, zigzag_version, CostStore(cache), pool)


class ZigZagCoreArray(CoreArray):
    """Prices matrix tiles with an `Engine`, vector tiles by the paper's formula.

    Several threads may use it at the same time; a tile that two of them need is priced once.

    Parameters
    ----------
    platform
        Its vector unit is used.
    settings
        Settings of the engine; stored costs are valid for the same settings and version.
    zigzag_version
        Version of the engine.
    store
        Costs of earlier runs.
    engine
        Prices the tiles that are not in the store.
    """

    name: ClassVar[str] = "zigzag"
    takes_long: ClassVar[bool] = True

    def __init__(
        self, platform: Platform, settings: ZigZagSettings, zigzag_version: str, store: CostStore, engine: Engine
    ) -> None:
        self._platform = platform
        self._settings = settings
        # In the order of the file: memories are listed from the lowest to the highest.
        self._key_begin = json.dumps([KEY_VERSION, zigzag_version, asdict(settings)], default=str)
        self._store = store
        self._engine = engine
        self._lock = threading.Lock()
        self._costs: dict[LoopSizes, Future[StoredCost]] = {}
        self._told = False

    @network_may_come_first
    def tile_costs(self, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        """Price many tiles; see `CoreArray.tile_costs`.

        Raises
        ------
        UserError
            If ZigZag fails, for any reason but that a tile has no mapping.
        """
        rows = np.ascontiguousarray(tiles, dtype=np.int64)
        work = tile_work(table.layers, rows)
        cycles, energy_pj = self._vector_costs(work)
        sizes = _loop_sizes(table.layers, rows, work)
        costs = self._priced(set(sizes.values()))
        for place, wanted in sizes.items():
            cycles[place], energy_pj[place] = costs[wanted].cycles, costs[wanted].energy_pj
        return cycles, energy_pj

    @network_may_come_first
    def least_costs(self, table: NetworkTable, tiles: IntArray) -> tuple[IntArray, FloatArray]:
        """Return a bound on all mappings: every multiplier is busy in every cycle, and only multipliers use energy."""
        work = tile_work(table.layers, np.ascontiguousarray(tiles, dtype=np.int64))
        cycles, energy_pj = self._vector_costs(work)
        accelerator = self._settings.accelerator
        least_cycles = -(-work.operations // accelerator.macs_per_cycle)
        least_pj: FloatArray = np.where(work.is_matrix, work.operations * accelerator.mac_pj, energy_pj)
        return np.where(work.is_matrix, least_cycles, cycles), least_pj

    def least_per_channel(self, table: NetworkTable, tiles: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the bound of `least_costs` by channel, cycles not rounded up; see `CoreArray.least_per_channel`."""
        operations = tile_work(table.layers, np.ascontiguousarray(tiles, dtype=np.int64)).operations / tiles[:, 2]
        accelerator = self._settings.accelerator
        return operations / accelerator.macs_per_cycle, operations * accelerator.mac_pj

    def explain_infeasible(self, network: Network, tile_row: IntArray) -> str:
        """Return the reason that the engine gave."""
        layer, b, k, h, w = map(int, tile_row)
        rows = np.asarray(tile_row, dtype=np.int64).reshape(1, 5)
        layers = nt.network_table(network).layers
        sizes = _loop_sizes(layers, rows, tile_work(layers, rows))
        reason = self._priced(set(sizes.values()))[sizes[0]].reason if sizes else "it runs on the vector unit"
        tile = f"layer '{network.layers[layer].name}', tile of {b} samples × {k} channels × {h} rows × {w} columns"
        return f"{tile}: ZigZag finds no mapping: {reason}; use an accelerator with larger memories"

    def _vector_costs(self, work: TileWork) -> tuple[IntArray, FloatArray]:
        cycles = -(-work.operations // self._platform.vector_ops_per_cycle)
        energy_pj = work.operations.astype(np.float64) * unit_energies(self._platform).vector_operation
        return cycles, energy_pj

    def _priced(self, wanted: set[LoopSizes]) -> dict[LoopSizes, StoredCost]:
        """Return the costs of layers: from memory, else from the store, else from the engine."""
        ordered = sorted(wanted)
        with self._lock:
            unknown = [sizes for sizes in ordered if sizes not in self._costs]
            stored = self._store.get([self._key(sizes) for sizes in unknown]) if unknown else {}
            begun = [sizes for sizes in unknown if self._key(sizes) not in stored]
            for sizes in unknown:
                known = stored.get(self._key(sizes))
                self._costs[sizes] = self._submitted(sizes) if known is None else _done(known)
            futures = {sizes: self._costs[sizes] for sizes in ordered}
            if begun and not self._told:
                self._told = True
                _log.warning(
                    "core array zigzag: each new tile takes seconds; what it costs is kept in '%s', so that a search "
                    "that is run again gets further",
                    self._store.path,
                )
        of_future = {futures[sizes]: sizes for sizes in begun}
        for future in as_completed(of_future):  # stored one by one, so that an interrupt loses no cost
            sizes = of_future[future]
            self._store.put([(self._key(sizes), _result(sizes, future))])
        return {sizes: _result(sizes, future) for sizes, future in futures.items()}

    def _submitted(self, sizes: LoopSizes) -> Future[StoredCost]:
        try:
            return self._engine.submit(sizes)
        except BrokenExecutor as error:
            future: Future[StoredCost] = Future()
            future.set_exception(error)
            return future

    def _key(self, sizes: LoopSizes) -> str:
        # Bits are named only where they differ from INT8's: costs that were kept before there were others stay valid.
        named = sizes[:BITS_BEGIN] if set(sizes[BITS_BEGIN:]) == {BITS} else sizes
        return hashlib.sha256(f"{self._key_begin}{tuple(named)}".encode()).hexdigest()


def _loop_sizes(layers: IntArray, rows: IntArray, work: TileWork) -> dict[int, LoopSizes]:
    """Return the loops of the matrix tiles, by index in `rows`."""
    layer = layers[rows[:, 0]]
    columns = np.column_stack(
        [
            work.samples,
            work.groups,
            work.channels,
            work.in_channels,
            work.rows,
            work.columns,
            layer[:, [nt.R, nt.S, nt.STRIDE_H, nt.STRIDE_W]],
            layer[:, [nt.WEIGHT_BITS, nt.IFMAP_BITS, nt.OFMAP_BITS, nt.SUM_BITS]],
        ]
    )
    return {int(place): LoopSizes(*columns[place].tolist()) for place in np.flatnonzero(work.is_matrix)}


def _done(cost: StoredCost) -> Future[StoredCost]:
    future: Future[StoredCost] = Future()
    future.set_result(cost)
    return future


def _result(sizes: LoopSizes, future: Future[StoredCost]) -> StoredCost:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise UserError(
            "core array zigzag: a process of ZigZag's ended suddenly; it may have run out of memory, or a script "
            "lacks its if __name__ == '__main__': before the search"
        ) from error
    except Exception as error:  # for an accelerator or mapping that it can't handle, ZigZag may raise anything
        loops = ", ".join(f"{name} {size}" for name, size in sizes.loops().items())
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"core array zigzag: ZigZag fails on a tile of {loops}: {said}; check the accelerator and its mapping"
        ) from error
