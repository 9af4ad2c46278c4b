"""From an ONNX file to a network (documentation: docs/onnx.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.ends import working_ends
from soma_cp.model.network.onnx_import.errors import OnnxFileError
from soma_cp.model.network.onnx_import.graph import printable
from soma_cp.model.network.onnx_import.graph_import import GraphImport
from soma_cp.model.network.onnx_import.options import OnnxOptions, Present, Role, Types
from soma_cp.model.network.onnx_import.reading import checked_model, read_model

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class ImportedNetwork:
    """A network made from an ONNX model.

    Parameters
    ----------
    network
        The network, for one sample; its name is that of the file, without the ending.
    notes
        One sentence for each approximation, omission and assumption.
    """

    network: Network
    notes: tuple[str, ...]


def import_onnx(
    path: Path,
    dims: Mapping[str, int] | None = None,
    ignore_unsupported: bool = False,
    ends: Sequence[str] = (),
    *,
    batch_axes: Mapping[str, int | None] | None = None,
    layouts: Mapping[str, str] | None = None,
    roles: Mapping[str, Role] | None = None,
    present: Present | str = Present.WHOLE,
    types: Types | str = Types.AUTO,
) -> ImportedNetwork:
    """Read an ONNX model as a network.

    Parameters
    ----------
    path
        The file. External files with the data of weights need not exist.
    dims, ignore_unsupported, ends, batch_axes, layouts, roles, present, types
        As in `OnnxOptions`.

    Raises
    ------
    UserError
        If the package ``onnx`` is missing or the file can't be read.
    OnnxFileError
        If no network can express the model; reports all such nodes at once.
    """
    options = OnnxOptions(
        dims=dims or {},
        ignore_unsupported=ignore_unsupported,
        ends=tuple(ends),
        batch_axes=batch_axes or {},
        layouts=layouts or {},
        roles=roles or {},
        present=Present(present),
        types=Types(types),
    )
    return import_with(path, options)


def import_with(path: Path, options: OnnxOptions) -> ImportedNetwork:
    """Read an ONNX model as a network; like `import_onnx`, with the options as one."""
    return _imported(read_model(path), path.stem, str(path), options)


def import_model(model: "onnx.ModelProto", name: str, options: OnnxOptions) -> ImportedNetwork:
    """Make a network of a model in memory, which stays as it is; errors as `import_with`."""
    copy = type(model)()
    copy.CopyFrom(model)
    return _imported(checked_model(copy, Path(name), Path()), name, name, options)


def _imported(model: "onnx.ModelProto", name: str, where: str, options: OnnxOptions) -> ImportedNetwork:
    run = imported_graph(model, name, options)
    if run.network is None:
        raise OnnxFileError(where, run.problems, advice(model, run, name, options))
    return ImportedNetwork(run.network, run.notes)


def imported_graph(model: "onnx.ModelProto", name: str, options: OnnxOptions) -> GraphImport:
    """Import the graph of a model; where the number of samples is a guess and the model is refused, guess again."""
    # Imported late: it needs the package ``onnx``; `read_model` raises an error if that is missing.
    from soma_cp.model.network.onnx_import.folding import folded_graph

    first = GraphImport(folded_graph(model, options), name, options)
    if first.network is not None or first.graph.problems:
        return first
    for other in first.graph.other_batches:
        said = replace(options, batch_axes={**options.batch_axes, **other})
        graph = folded_graph(model, said)
        run = GraphImport(replace(graph, notes=(*graph.notes, *_batch_notes(other))), name, said)
        if run.network is not None:
            return run
    return first


def _batch_notes(batch_axes: Mapping[str, int | None]) -> list[str]:
    """Say how the batch was found where the first axis can't be it."""
    return [
        f"input '{printable(name)}' is taken to have "
        + ("no batch" if axis is None else f"the batch at axis {axis}, which --batch sets")
        + ", since the model can't be scheduled by samples of axis 0; --batch-axis says otherwise"
        for name, axis in batch_axes.items()
    ]


def advice(model: "onnx.ModelProto", run: GraphImport, name: str, options: OnnxOptions) -> str:
    """Return a way out of a refusal; empty if there is none."""
    ends = working_ends(run, lambda ends: imported_graph(model, name, replace(options, ends=ends)).network)
    said: list[str] = []
    if run.may_be_element_wise:
        more = "" if ends else ", and --end NODE ends the model before others"
        said.append(f"for operators without a layer, --ignore-unsupported takes element-wise ones for ptp layers{more}")
    if ends:
        said.append(f"ends that work, with what comes before them: {' '.join(f'--end {end}' for end in ends)}")
    return "; ".join(said)
