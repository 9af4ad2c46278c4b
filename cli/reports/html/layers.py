"""The table of layers, as data: ``table.mjs`` makes it, sorts and searches it, and links it to the charts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soma_cp.cli.reports.html.names import common_prefix
from soma_cp.cli.reports.reported import Reported, SharedTime
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.execution.execution_tables import LayerTable, layer_table

PJ_PER_MICROJOULE = 1e6
Values = NDArray[Any]


@dataclass(frozen=True)
class Column:
    """A figure of a layer: its heading, its unit, decimals, and how it is taken from the table.

    Parameters
    ----------
    unit
        ``cycles`` are written in the unit of the shared axis.
    """

    title: str
    unit: str
    decimals: int
    values: Callable[[LayerTable], Values]


COLUMNS = (
    Column("begins", "cycles", 0, lambda table: table.begin),
    Column("computes", "cycles", 0, lambda table: table.compute_cycles),
    Column("stalls before its tiles", "cycles", 0, lambda table: table.stall_cycles),
    Column("stalls for its transfers", "cycles", 0, lambda table: table.caused_stall_cycles),
    Column("DRAM busy", "cycles", 0, lambda table: table.dram_cycles),
    Column("weights", "MiB", 3, lambda table: table.weight_bytes / MIB),
    Column("ifmaps loaded", "MiB", 3, lambda table: table.ifmap_bytes / MIB),
    Column("ofmaps stored", "MiB", 3, lambda table: table.ofmap_bytes / MIB),
    Column("energy", "µJ", 1, lambda table: (table.core_energy_pj + table.dram_energy_pj) / PJ_PER_MICROJOULE),
)
COMPARED_FIRST = "stalls before its tiles"
"""The figure by which several schedules are compared at first."""


def layers_document(reported: Sequence[Reported], shared: SharedTime) -> dict[str, Any]:
    """Return the layers of all schedules as JSON; layers in Computing Order."""
    names = [layer.name for one in reported for layer in one.execution.schedule.problem.network.layers]
    return {
        "prefix": common_prefix(list(dict.fromkeys(names))),
        "unit": shared.unit,
        "compared": next(index for index, column in enumerate(COLUMNS) if column.title == COMPARED_FIRST),
        "columns": [{"title": one.title, "unit": one.unit, "decimals": one.decimals} for one in COLUMNS],
        "schedules": [
            {"name": one.name, "per_cycle": per_cycle, **_layers(one.execution)}
            for one, per_cycle in zip(reported, shared.per_cycle, strict=True)
        ],
    }


def _layers(execution: Execution) -> dict[str, Any]:
    table, layers = layer_table(execution), execution.schedule.problem.network.layers
    tiles = zip(table.lg.tolist(), table.flg.tolist(), table.tiles.tolist(), strict=True)
    return {
        "id": table.layer.tolist(),
        "layer": [layers[i].name for i in table.layer],
        "kind": [layers[i].kind for i in table.layer],
        "group": [f"{lg} / {flg} ×{number}" for lg, flg, number in tiles],
        "begin": table.begin.tolist(),
        "end": table.end.tolist(),
        "values": [np.round(one.values(table), one.decimals + 3).tolist() for one in COLUMNS],
    }
