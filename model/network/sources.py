"""Sources: a user names a built-in network, a network file or an ONNX model; here it becomes a network."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from soma_cp.model.errors import UserError
from soma_cp.model.network.builtin.catalogue import ALIASES, MOST_TOKENS, built_in, builtin_names, builtin_network
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.options import DEFAULT_OPTIONS, OnnxOptions
from soma_cp.model.network.onnx_import.reading import ENDING

__all__ = ["LoadedNetwork", "OnnxOptions", "is_onnx", "load_network", "rows_left_out"]

FILE_ENDINGS = (".json", ".yaml", ".yml")


@dataclass(frozen=True)
class LoadedNetwork:
    """A network, and notes for the user on how it was read.

    Parameters
    ----------
    network
        The network.
    notes
        One sentence for each approximation and each likely mistake.
    """

    network: Network
    notes: tuple[str, ...] = ()


def load_network(spec: str, tokens: int | None = None, onnx: OnnxOptions = DEFAULT_OPTIONS) -> LoadedNetwork:
    """Return the network that a user names.

    Parameters
    ----------
    spec
        The name of a built-in network, or the path of a network file or an ONNX model.
    tokens
        Sequence length of a built-in network; by default the network's own.
    onnx
        Options for ONNX models.

    Raises
    ------
    UserError
        If there is no such network, the file has faults, or it takes no sequence length.
    """
    if is_onnx(spec):
        return _onnx_model(spec, tokens, onnx)
    if spec.lower().endswith(FILE_ENDINGS) or "/" in spec or "\\" in spec:
        return _network_file(spec, tokens)
    if spec not in (*builtin_names(), *ALIASES) and os.path.isfile(spec):
        raise UserError(f"--net {spec}: a network file must be called .onnx, .json, .yaml or .yml; rename it")
    if tokens is not None:
        entry = built_in(spec)
        if entry.tokens is None:
            raise UserError(f"--seq={tokens}, but '{entry.name}' has no sequence; leave --seq out")
        if not 1 <= tokens <= MOST_TOKENS:
            raise UserError(f"--seq={tokens} (must be from 1 to {MOST_TOKENS})")
    return LoadedNetwork(builtin_network(spec, tokens))


def is_onnx(spec: str) -> bool:
    """Whether `spec` names an ONNX model."""
    return spec.lower().endswith(ENDING)


def _onnx_model(spec: str, tokens: int | None, options: OnnxOptions) -> LoadedNetwork:
    if tokens is not None:
        raise UserError(f"--seq is for built-in networks; the length in '{spec}' is set with --dim name={tokens}")
    # Imported late: few runs need it.
    from soma_cp.model.network.onnx_import.importing import import_with

    imported = import_with(Path(spec), options)
    return LoadedNetwork(imported.network, tuple(imported.notes))


def _network_file(spec: str, tokens: int | None) -> LoadedNetwork:
    if tokens is not None:
        raise UserError(f"--seq is for built-in networks; '{spec}' is a file and has its own length")
    # Imported late: pydantic is slow to import.
    from soma_cp.model.network.network_file import read_network_file

    network = read_network_file(Path(spec))
    return LoadedNetwork(
        network,
        tuple(
            f"layer '{layer}' reads {read[0]}×{read[1]} of the {given[0]}×{given[1]} rows×columns of '{source}'"
            for layer, source, read, given in rows_left_out(network)
        ),
    )


def rows_left_out(
    network: Network,
) -> Iterator[tuple[str, str, tuple[int, int], tuple[int, int]]]:
    """Name each layer that reads only some rows and columns of an external input: often a wrong shape or stride.

    A stride may skip the last few. Yields the layer, the input, the rows and columns read, and those that exist.
    """
    for layer in network.layers:
        _, rows, columns = layer.wanted_ifmap()
        for name in layer.inputs:
            _, given_rows, given_columns = network.source_shape(name)
            strides = getattr(layer, "sH", 1), getattr(layer, "sW", 1)
            if given_rows - rows >= strides[0] or given_columns - columns >= strides[1]:
                read = min(rows, given_rows), min(columns, given_columns)
                yield layer.name, name, read, (given_rows, given_columns)
