"""How the report on an ONNX model looks: a table, Markdown, JSON and CSV."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from rich.console import Console

from soma_cp.cli.formats import markdown_text
from soma_cp.cli.tables import console, plain_table
from soma_cp.model.data_types import INT8, DataType, WeightFormat
from soma_cp.model.network.layers import Layer, weights_key

if TYPE_CHECKING:
    from soma_cp.model.network.network import Network
    from soma_cp.model.network.onnx_import.checking import ModelReport, NodeReport, TensorReport

_SHOWN_LAYERS = 3
"""Most layers of a node that a row names."""


def node_rows(report: ModelReport) -> list[dict[str, Any]]:
    """Return a row for each node, with the keys of CSV files."""
    return [
        {
            "node": node.name,
            "operator": node.operator,
            "becomes": node.becomes.value,
            "layers": " ".join(layer.name for layer in node.layers),
            "macs": node.macs,
            "weight_bytes": node.weight_bytes,
            "reason": node.reason,
        }
        for node in report.nodes
    ]


def model_document(report: ModelReport) -> dict[str, Any]:
    """Return the report as one JSON object."""
    network = report.network
    return {
        "model": report.name,
        "supported": network is not None,
        "summary": None if network is None else _summary(report, network),
        "operators": {
            operator: {becomes.value: count for becomes, count in counts.items()}
            for operator, counts in report.operators.items()
        },
        "nodes": [
            {
                "name": node.name,
                "operator": node.operator,
                "becomes": node.becomes.value,
                "layers": [_layer_document(layer) for layer in node.layers],
                "macs": node.macs,
                "weight_bytes": node.weight_bytes,
                "reason": node.reason,
            }
            for node in report.nodes
        ],
        "inputs": [
            {
                "name": source.name,
                "shape": list(source.shape),
                "role": None if source.role is None else source.role.value,
                "batch_axis": source.batch_axis,
            }
            for source in report.inputs
        ],
        "loaded": [_tensor_document(made) for made in report.loaded],
        "stored": [_tensor_document(made) for made in report.stored],
        "problems": list(report.problems),
        "notes": list(report.notes),
        "advice": report.advice,
    }


def _layer_document(layer: Layer) -> dict[str, str]:
    document = {"name": layer.name, "kind": layer.kind, **_type_document(layer.types.ofmap)}
    if layer.weight_bytes:
        document["weights"] = weights_key(layer)[1]
        if _weights_text(layer):
            document["weights_type"] = _weights_text(layer)
    return document


def _tensor_document(made: TensorReport) -> dict[str, Any]:
    return {"name": made.name, "shape": list(made.shape), **_type_document(made.type), "bytes": made.size}


def _type_document(kind: DataType) -> dict[str, str]:
    return {} if kind == INT8 else {"type": kind.name}


def _weights_text(layer: Layer) -> str:
    """Return how the weights of a layer are stored; empty if they are INT8 or it has none."""
    stored = layer.types.weights
    return stored.text if layer.weight_bytes and stored != WeightFormat() else ""


def _summary(report: ModelReport, network: Network) -> dict[str, int]:
    return {
        "nodes": len(report.nodes),
        "layers": len(network.layers),
        "macs": network.operations[0],
        "weight_bytes": network.weight_bytes,
        "loaded_bytes": sum(source.size for source in report.loaded),
        "stored_bytes": sum(made.size for made in report.stored),
    }


def show_model(report: ModelReport, markdown: bool) -> None:
    """Print the report: the nodes, the operators, then what is loaded, stored and computed."""
    uses = Counter(weights_key(layer) for node in report.nodes for layer in node.layers if layer.weight_bytes)
    shared = {name for name, count in uses.items() if count > 1}
    _show(
        ("node", "operator", "becomes", "MACs", "weight bytes", "layers or reason"),
        [
            (
                node.name,
                node.operator,
                node.becomes.value,
                _count(node.macs),
                _count(node.weight_bytes),
                _said(node, shared),
            )
            for node in report.nodes
        ],
        markdown,
    )
    _show(
        ("operator", "nodes", "become"),
        [
            (operator, str(counts.total()), ", ".join(f"{count} {what.value}" for what, count in counts.items()))
            for operator, counts in report.operators.items()
        ],
        markdown,
    )
    _show(
        ("graph input", "shape", "is", "batch"),
        [
            (
                source.name,
                "×".join(map(str, source.shape)),
                "–" if source.role is None else source.role.value,
                "–" if source.batch_axis is None else f"axis {source.batch_axis}",
            )
            for source in report.inputs
        ],
        markdown,
    )
    if report.network is None:
        return
    rows = [("loaded", made) for made in report.loaded] + [("stored", made) for made in report.stored]
    _show(
        ("tensor", "is", "C×H×W", "bytes"),
        [(made.name, how, "×".join(map(str, made.shape)) + _named(made.type), f"{made.size:,}") for how, made in rows],
        markdown,
    )
    summary = _summary(report, report.network)
    _show(
        ("one sample", "in all"),
        [(name.replace("macs", "MACs").replace("_", " "), f"{value:,}") for name, value in summary.items()],
        markdown,
    )


def _said(node: NodeReport, shared: Collection[tuple[bool, str]]) -> str:
    """Return the layers of a node, or the reason why there are none; `shared` are weights of several layers."""
    shown = [
        f"{layer.kind} {layer.name}"
        + _named(layer.types.ofmap)
        + (f", weights {_weights_text(layer)}" if _weights_text(layer) else "")
        + (f" (shares weights {weights_key(layer)[1]})" if layer.weight_bytes and weights_key(layer) in shared else "")
        for layer in node.layers[:_SHOWN_LAYERS]
    ]
    more = len(node.layers) - len(shown)
    return node.reason or ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _named(kind: DataType) -> str:
    """Return the name of a type after a blank; empty for INT8."""
    return "" if kind == INT8 else f" {kind.name}"


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _show(headers: tuple[str, ...], rows: list[tuple[str, ...]], markdown: bool) -> None:
    """Print a table; names and reasons are folded to the width of a terminal, elsewhere lines have any length."""
    out = console()
    if markdown:
        cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
        out.print(markdown_text(headers, cells), soft_wrap=True, markup=False)
        return
    table = plain_table(*headers, gap=2)
    widths = [max(len(row[place]) for row in (headers, *rows)) for place in range(len(headers))]
    if not out.is_terminal:
        out = Console(width=sum(widths) + 2 * len(widths), highlight=False)
    for column, header in zip(table.columns, headers, strict=True):
        is_figure = header in ("MACs", "weight bytes", "nodes", "bytes", "in all")
        column.justify = "right" if is_figure else "left"
    for place in (0, 1, -1):
        table.columns[place].no_wrap = False
        table.columns[place].overflow = "fold"
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    out.print(table)
    out.print()


def _plain(cell: str) -> str:
    """Return a cell in which brackets are no markup."""
    return cell.replace("[", "\\[")
