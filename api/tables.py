"""Tables of a schedule as structured arrays: its layers, its tiles, its tensors, the history of a search."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from soma_cp.model.errors import UserError
from soma_cp.model.soma.execution.events import NONE, WAITED_FOR_NAMES
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.execution.execution_tables import layer_table
from soma_cp.model.soma.tensors import KIND_NAMES, OFM

if TYPE_CHECKING:
    import pandas

MOST_ROWS_SHOWN = 20
"""Rows that notebooks show of a table."""


class Table(np.ndarray[Any, np.dtype[Any]]):
    """A numpy structured array, one record a row; ``table["name"]`` is a column.

    Examples
    --------
    >>> import soma_cp as sc
    >>> layers = sc.solve("tiny-chain", stage2="greedy").layers
    >>> layers.dtype.names[:3]
    ('layer', 'kind', 'lg')
    >>> int(layers["compute_cycles"].sum()) > 0
    True
    """

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the table as a data frame.

        Raises
        ------
        UserError
            If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise UserError("to_pandas needs the package 'pandas'; install it with: pip install pandas") from None
        return pandas.DataFrame({name: np.asarray(self[name]) for name in self.dtype.names or ()})

    def _repr_html_(self) -> str:
        names = self.dtype.names
        if names is None or self.ndim != 1:
            return f"<pre>{escape(repr(self))}</pre>"
        rows = [[_shown(value) for value in row] for row in self[:MOST_ROWS_SHOWN].tolist()]
        left_out = len(self) - len(rows)
        return html_table(names, rows) + (f"<p>and {left_out:,} more rows</p>" if left_out else "")


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table of texts, which are escaped."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def make_table(columns: Mapping[str, npt.ArrayLike]) -> Table:
    """Return columns of the same length as a table."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    length = len(next(iter(arrays.values())))
    table = np.empty(length, [(name, values.dtype) for name, values in arrays.items()])
    for name, values in arrays.items():
        table[name] = values
    return table.view(Table)


def _texts(values: Sequence[str]) -> npt.NDArray[np.str_]:
    return np.array(values, dtype=np.str_ if len(values) else "U1")


def layers_table(execution: Execution) -> Table:
    """Return a row for each layer, in Computing Order; columns as in the CSV report (docs/reports.md)."""
    table = layer_table(execution)
    layers = execution.schedule.problem.network.layers
    return make_table(
        {
            "layer": _texts([layers[i].name for i in table.layer]),
            "kind": _texts([layers[i].kind for i in table.layer]),
            "lg": table.lg,
            "flg": table.flg,
            "tiles": table.tiles,
            "begin_cycle": table.begin,
            "end_cycle": table.end,
            "compute_cycles": table.compute_cycles,
            "stall_cycles": table.stall_cycles,
            "caused_stall_cycles": table.caused_stall_cycles,
            "dram_cycles": table.dram_cycles,
            "weight_bytes": table.weight_bytes,
            "ifmap_bytes": table.ifmap_bytes,
            "ofmap_bytes": table.ofmap_bytes,
            "core_energy_pj": table.core_energy_pj,
            "dram_energy_pj": table.dram_energy_pj,
        }
    )


def tiles_table(execution: Execution) -> Table:
    """Return a row for each tile, in the order in which they run; `cause` is the DRAM tensor waited for, or -1."""
    tiles = execution.tiles
    layers = execution.schedule.problem.network.layers
    return make_table(
        {
            "layer": _texts([layers[i].name for i in tiles.layer]),
            "index": tiles.index,
            "flg": tiles.flg,
            "lg": tiles.lg,
            "begin_cycle": tiles.begin,
            "end_cycle": tiles.end,
            "stall_cycles": tiles.stall,
            "cause": tiles.cause,
            "alive_bytes": execution.occupancy.sum(axis=0),
        }
    )


def tensors_table(execution: Execution) -> Table:
    """Return a row for each tensor that touches DRAM, in DRAM Tensor Order; columns as in the CSV report.

    `after_tile` and `gates_tile` are -1 where a transfer waits for no tile, or no tile for it.
    """
    plan, transfers = execution.schedule.plan, execution.transfers
    layers = plan.problem.network.layers
    readers = [
        ";".join(layers[i].name for i in execution.transfer_readers(rank)) for rank in range(len(transfers.tensor))
    ]
    return make_table(
        {
            "place": np.arange(len(transfers.tensor)),
            "kind": _texts([KIND_NAMES[kind] for kind in transfers.kind]),
            "transfer": np.where(transfers.kind == OFM, "store", "load"),
            "layer": _texts([layers[i].name for i in transfers.layer]),
            "tile": transfers.tile,
            "source": _texts([plan.source_name(int(i)) for i in transfers.tensor]),
            "consumers": _texts(readers),
            "bytes": transfers.bytes,
            "start_tile": transfers.start,
            "end_tile": transfers.end,
            "hold_begin_cycle": transfers.hold_begin,
            "hold_end_cycle": transfers.hold_end,
            "begin_cycle": transfers.begin,
            "finish_cycle": transfers.finish,
            "after_tile": transfers.after_tile,
            "gap_cycles": transfers.gap,
            "waited_for": _texts([WAITED_FOR_NAMES[code] for code in transfers.waited_for]),
            "gates_tile": np.where(transfers.gates < plan.tile_count, transfers.gates, NONE),
            "stall_cycles": transfers.stall,
            "dram_bytes": transfers.moved,
        }
    )
