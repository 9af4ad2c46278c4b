"""What the charts of a page show, as columns: one row for each item, taken from the events of an execution.

Times are in cycles. Every item of a lane has ``left`` and ``right`` (cycles), a full ``name``, and a ``label``, without
the prefix that all layers have in common, that is written into it if there is room. Items that hold buffer also have
the columns of `holding`.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from soma_cp.cli.reports.html.names import prefix_of
from soma_cp.model.arrays import IntArray
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.execution.events import (
    CHANNEL,
    LOAD_START,
    NONE,
    OCCUPANCY_NAMES,
    TILE,
    Groups,
    OnChip,
    Transfers,
    Use,
)
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.tensors import OFM, WGT

Columns = dict[str, Any]
"""Lists and arrays of the same length."""

KIND_COLUMNS = tuple(f"kind{row}" for row in range(len(OCCUPANCY_NAMES)))
"""Columns of `buffer_columns` by kind."""
IN_DRAM = "dram_bytes"
"""The column of bytes that transfers move, where some differ from those in the buffer."""
MOST_READERS = 4
"""At most this many layers that read a tensor are named."""


def transfer_columns(execution: Execution, kind: int) -> Columns:
    """Return the DRAM tensors of one kind, in DRAM Tensor Order."""
    transfers = execution.transfers
    places = np.flatnonzero(transfers.kind == kind)
    layers, tiles = transfers.layer[places].tolist(), transfers.tile[places].tolist()
    network = execution.schedule.plan.problem.network.layers
    verb = "store" if kind == OFM else "load"
    prefix = prefix_of(execution)
    return {
        "left": transfers.begin[places],
        "right": transfers.finish[places],
        "name": [f"{verb} {execution.transfer_label(place)}" for place in places.tolist()],
        "label": [
            (network[layer].name if kind == WGT else _tile_name(execution, layer, tile)).removeprefix(prefix)
            + _sharers(execution, place)
            for place, layer, tile in zip(places.tolist(), layers, tiles, strict=True)
        ],
        "layer": transfers.layer[places],
        "place": places,
        "cycles": transfers.finish[places] - transfers.begin[places],
        "began": [_began(execution, place) for place in places.tolist()],
        "gated": [_gated(execution, place) for place in places.tolist()],
        **holding(execution, transfers, places, execution.transfer_uses),
        **_bytes_in_dram(transfers, places),
    }


def _bytes_in_dram(transfers: Transfers, places: IntArray) -> Columns:
    """Return the bytes that transfers move, if they are others than those in the buffer: of compressed weights."""
    moved = transfers.moved[places]
    return {IN_DRAM: moved} if (moved != transfers.bytes[places]).any() else {}


def tile_columns(execution: Execution) -> Columns:
    """Return the tiles by position; the columns of `holding` describe the ofmap that each makes."""
    tiles, prefix = execution.tiles, prefix_of(execution)
    names = [
        _tile_name(execution, layer, index)
        for layer, index in zip(tiles.layer.tolist(), tiles.index.tolist(), strict=True)
    ]
    return {
        "left": tiles.begin,
        "right": tiles.end,
        "name": [f"tile {position}: {name}" for position, name in enumerate(names)],
        "label": [name.removeprefix(prefix) for name in names],
        "layer": tiles.layer,
        "cycles": tiles.end - tiles.begin,
        "group": [_group_text(execution, flg) for flg in tiles.flg.tolist()],
        "odd": tiles.flg % 2,
        "waited": [
            f"{cycles:,} cycles for {execution.transfer_label(cause)}" if cause != NONE else "not at all"
            for cycles, cause in zip(tiles.stall.tolist(), tiles.cause.tolist(), strict=True)
        ],
        **_ofmap_columns(execution),
    }


def stall_columns(execution: Execution) -> Columns:
    """Return the stalls of the core array, in order of time."""
    tiles, plan, prefix = execution.tiles, execution.schedule.plan, prefix_of(execution)
    stalled = np.flatnonzero(tiles.stall > 0)
    causes = [execution.transfer_label(place) for place in tiles.cause[stalled].tolist()]
    is_store = execution.transfers.kind[tiles.cause[stalled]] == OFM
    return {
        "left": tiles.begin[stalled] - tiles.stall[stalled],
        "right": tiles.begin[stalled],
        "name": [f"stall before {plan.tile_label(position)}" for position in stalled.tolist()],
        "label": [f"waits for {_shortened(cause, prefix)}" for cause in causes],
        "cycles": tiles.stall[stalled],
        "cause": causes,
        "why": ["it must have left the buffer" if store else "the tile reads it" for store in is_store.tolist()],
    }


def idle_columns(execution: Execution) -> Columns:
    """Return the gaps of the DRAM channel, in order of time."""
    gaps, tiles, plan = execution.gaps, execution.tiles, execution.schedule.plan
    prefix = prefix_of(execution)
    labels = [execution.transfer_label(place) for place in gaps.rank.tolist()]
    ends = [plan.tile_label(tile) for tile in gaps.tile.tolist()]
    return {
        "left": gaps.begin,
        "right": gaps.end,
        "name": ["DRAM channel idle"] * len(labels),
        "label": [
            f"until {_tile_name(execution, int(tiles.layer[tile]), int(tiles.index[tile])).removeprefix(prefix)} ends"
            for tile in gaps.tile.tolist()
        ],
        "cycles": gaps.end - gaps.begin,
        "why": [
            f"load {label} waits for its Start: {tile} must end first"
            if cause == LOAD_START
            else f"store {label} waits for {tile}, which makes it"
            for label, tile, cause in zip(labels, ends, gaps.cause.tolist(), strict=True)
        ],
    }


def flg_columns(execution: Execution) -> Columns:
    """Return the FLGs in computing order."""
    flgs = execution.flgs
    numbers, lgs = flgs.tiling_number.tolist(), flgs.lg.tolist()
    return _group_columns(
        flgs,
        names=[f"FLG {flg} of LG {lg}" for flg, lg in enumerate(lgs)],
        labels=[f"FLG {flg} ×{number}" for flg, number in enumerate(numbers)],
        layers=[flg.layers for flg in execution.schedule.plan.run.flgs],
    )


def lg_columns(execution: Execution) -> Columns:
    """Return the LGs in computing order."""
    lgs, flgs = execution.lgs, execution.schedule.plan.run.flgs
    of_flg = execution.flgs.lg.tolist()
    count = len(lgs.first)
    layers = [
        [name for flg, its in zip(flgs, of_flg, strict=True) if its == lg for name in flg.layers] for lg in range(count)
    ]
    names = [f"LG {lg}" for lg in range(count)]
    cuts = np.where(np.arange(count) > 0, lgs.begin, np.nan)  # none before the first LG
    return _group_columns(lgs, names, names, layers) | {"cut": cuts}


def buffer_columns(execution: Execution) -> Columns:
    """Return what the buffer holds at each position, in MiB by kind, from ``left`` to ``right``."""
    edges, plan = execution.handover, execution.schedule.plan
    return {
        "left": edges[:-1],
        "right": edges[1:],
        "name": [plan.tile_label(position) for position in range(plan.tile_count)],
        **{name: held / MIB for name, held in zip(KIND_COLUMNS, execution.occupancy, strict=True)},
        "total": execution.occupancy.sum(axis=0) / MIB,
    }


def holding(
    execution: Execution, held: Transfers | OnChip, rows: IntArray, uses: Callable[[int], tuple[Use, ...]]
) -> Columns:
    """Return size, Living Duration and readers of tensors.

    Parameters
    ----------
    held, rows
        The tensors, and the rows of those that are wanted.
    uses
        Returns the tiles that read the tensor of a row.
    """
    all_uses = [uses(row) for row in rows.tolist()]
    return {
        "bytes": held.bytes[rows],
        "start": held.start[rows],
        "end": held.end[rows],
        "hold_begin": held.hold_begin[rows],
        "hold_end": held.hold_end[rows],
        "reading": [[[use.tiles.start, use.tiles.stop, use.tiles.step] for use in of_one] for of_one in all_uses],
        "readers": [_readers(execution, of_one) for of_one in all_uses],
    }


def _ofmap_columns(execution: Execution) -> Columns:
    """Return the columns of `holding` for the ofmap of every tile."""
    transfers, chip = execution.transfers, execution.on_chip
    stores = np.flatnonzero(transfers.kind == OFM)
    stored = holding(execution, transfers, stores, execution.transfer_uses)
    chips = np.arange(len(chip.layer))
    kept = holding(execution, chip, chips, execution.on_chip_uses)
    makers = np.append(transfers.start[stores], chip.start)  # an ofmap's Start is the tile that makes it
    by_position = np.argsort(makers)
    stored["kept"] = ["stored to DRAM"] * len(stores)
    kept["kept"] = ["stays on chip"] * len(chips)
    columns: Columns = {}
    for name, values in stored.items():
        if isinstance(values, np.ndarray):
            columns[name] = np.append(values, kept[name])[by_position]
        else:
            both = values + kept[name]
            columns[name] = [both[i] for i in by_position.tolist()]
    return columns


def _tile_name(execution: Execution, layer: int, index: int) -> str:
    return f"{execution.schedule.plan.problem.network.layers[layer].name}[{index}]"


def _shortened(label: str, prefix: str) -> str:
    """Return the label of a DRAM tensor with the names of its layers cut short."""
    return re.sub(rf"(^|of |ofmap |from ){re.escape(prefix)}", r"\1", label) if prefix else label


def _sharers(execution: Execution, place: int) -> str:
    """Say how many other layers use a load."""
    more = execution.sharers(place)
    return f" +{more}" if more else ""


def _began(execution: Execution, place: int) -> str:
    """Say what a transfer waited for."""
    transfers = execution.transfers
    waited_for = transfers.waited_for[place]
    if waited_for == TILE:
        tile = execution.schedule.plan.tile_label(int(transfers.after_tile[place]))
        return f"after {int(transfers.gap[place]):,} idle cycles, at the end of {tile}"
    return "as the transfer before it ends" if waited_for == CHANNEL else "at once"


def _gated(execution: Execution, place: int) -> str:
    """Say what waits for a transfer."""
    transfers, plan = execution.transfers, execution.schedule.plan
    gate = int(transfers.gates[place])
    if gate == plan.tile_count:
        return "no tile"
    tile = plan.tile_label(gate)
    stall = int(transfers.stall[place])
    return f"{tile}, which stalls {stall:,} cycles for it" if stall else f"{tile}, without a stall"


def _group_text(execution: Execution, flg: int) -> str:
    flgs = execution.flgs
    return f"FLG {flg} of LG {int(flgs.lg[flg])}, tiling number {int(flgs.tiling_number[flg])}"


def _group_columns(groups: Groups, names: list[str], labels: list[str], layers: Sequence[Sequence[str]]) -> Columns:
    return {
        "left": groups.begin,
        "right": groups.end,
        "name": names,
        "label": labels,
        "tiling_number": groups.tiling_number,
        "tiles": groups.last - groups.first + 1,
        "layers": [_some(names_of_one) for names_of_one in layers],
        "odd": np.arange(len(groups.first)) % 2,
    }


def _readers(execution: Execution, uses: tuple[Use, ...]) -> str:
    """Name the layers that read a tensor, and their tiles."""
    layers = execution.schedule.plan.problem.network.layers
    texts = []
    for use in uses:
        texts.append(
            f"{layers[use.layer].name} ({tile_numbers(use.tiles)}{', through DRAM' if use.through_dram else ''})"
        )
    return _some(texts) or "no layer: it is an output of the network"


def tile_numbers(tiles: range) -> str:
    """Name tiles by their numbers; tiles of other layers between them do not count."""
    if len(tiles) == 1:
        return f"tile {tiles[0]}"
    if len(tiles) <= MOST_READERS:
        return f"tiles {', '.join(map(str, tiles))}"
    steps = "" if tiles.step == 1 else f", one of {tiles.step}" if tiles.step > 2 else ", every other"
    return f"tiles {tiles[0]} … {tiles[-1]}{steps}"


def _some(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:MOST_READERS])
    rest = len(texts) - MOST_READERS
    return f"{shown} and {rest} more" if rest > 0 else shown
