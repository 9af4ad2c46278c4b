"""Networks by name, file, ONNX model or object."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from soma_cp.api.values import choice
from soma_cp.api.wording import in_python, speaks_python
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.core_array.type_notes import weight_notes
from soma_cp.model.hardware.quantities import SIZE_EXAMPLE, bytes_of
from soma_cp.model.network.builtin.catalogue import builtin_names
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.options import OnnxOptions, Present, Role, Types
from soma_cp.model.network.rewrites.channels import divided
from soma_cp.model.network.rewrites.types import with_named_types
from soma_cp.model.network.sources import is_onnx
from soma_cp.model.network.sources import load_network as load_named

if TYPE_CHECKING:
    import onnx

_LOGGER = logging.getLogger("soma_cp")
_LOGGER.addHandler(logging.NullHandler())


def network_names() -> tuple[str, ...]:
    """Return the names of the built-in networks.

    Examples
    --------
    >>> import soma_cp as sc
    >>> "resnet50" in sc.network_names()
    True
    """
    return builtin_names()


@speaks_python
def load_network(
    network: "str | os.PathLike[str] | onnx.ModelProto | Network",
    *,
    tokens: int | None = None,
    name: str | None = None,
    weights: str | None = None,
    activations: str | None = None,
    accumulators: str | None = None,
    weight_ratio: float | None = None,
    divide: str | int | None = None,
    dims: Mapping[str, int] | None = None,
    ends: Sequence[str] = (),
    batch_axes: Mapping[str, int | None] | None = None,
    layouts: Mapping[str, str] | None = None,
    inputs: Mapping[str, str] | None = None,
    present: str = "whole",
    types: str = "auto",
    ignore_unsupported: bool = False,
) -> Network:
    """Return a network.

    Nothing is printed: `Network.notes` has a sentence for each approximation and likely mistake; the logger ``soma_cp``
    takes them, too, at the level INFO.

    Parameters
    ----------
    network
        Name of a built-in network, path of a network file or an ONNX model, an ONNX model in memory, or a network.
    tokens
        Sequence length of a built-in network; by default the network's own.
    name
        Another name for the network; a model in memory is called as its graph, or else ``model``.
    weights
        Type of all stored weights: ``"int4"``, ``"fp16"``, or ``"int4/128"`` with a 16-bit scale for each 128 weights
        of a kernel; ``"int4/32:20"`` has scales of 20 bits. None leaves what the network has, which is INT8 unless its
        file or model says otherwise.
    activations
        Type of all inputs and ofmaps, such as ``"fp16"``.
    accumulators
        Type of all partial sums, such as ``"fp32"``.
    weight_ratio
        Bytes of weights in DRAM for each byte in the buffer, where they are compressed in DRAM; in millionths.
    divide
        Layers with more weights than this, such as ``"2MiB"`` or bytes, are divided by output channels.
    dims
        ONNX: values of dimensions that have a name but no number in the model.
    ends
        ONNX: nodes or tensors at which the model ends.
    batch_axes
        ONNX: by input, the axis that is the batch, from 0; None if the input has no batch.
    layouts
        ONNX: by input, its axes, one letter each, such as ``"NHWC"``.
    inputs
        ONNX: by input, what it is: ``"data"``, ``"mask"`` or ``"index"``.
    present
        ONNX: what is stored of keys and values that are joined to cached ones: ``"whole"`` or ``"new"``.
    types
        ONNX: types of data: the model's own (``"model"``), the same with INT8 for those of 32 or 64 bits (``"auto"``),
        or INT8 for all (``"int8"``).
    ignore_unsupported
        ONNX: whether unknown operators that could be element-wise are taken as element-wise.

    Returns
    -------
    Network
        Of one sample; `solve` takes the batch.

    Raises
    ------
    UserError
        If there is no such network, the file or model has faults, or an option does not suit it.

    Examples
    --------
    >>> import soma_cp as sc
    >>> sc.load_network("tiny-chain")
    <Network 'tiny-chain': 4 layers, 78,675,968 operations a sample, 210,944 bytes of weights>
    >>> sc.load_network("tiny-chain", weights="int4", activations="fp16")
    <Network 'tiny-chain': 4 layers, 78,675,968 operations a sample, 105,472 bytes of weights>
    """
    roles = {key: choice("inputs", Role, value) for key, value in (inputs or {}).items()}
    options = OnnxOptions(
        dims=dims or {},
        ignore_unsupported=ignore_unsupported,
        ends=tuple(ends),
        batch_axes=batch_axes or {},
        layouts={key: letters.upper() for key, letters in (layouts or {}).items()},
        roles=roles,
        present=choice("present", Present, present),
        types=choice("types", Types, types),
    )
    if isinstance(network, str | os.PathLike):
        spec = os.fspath(network)
        if options != OnnxOptions() and not is_onnx(spec):
            raise UserError(f"options for ONNX models are given, but '{spec}' is none; leave them out")
        loaded = load_named(spec, tokens, options)
        found = _noted(loaded.network, loaded.notes)
    elif tokens is not None:
        raise UserError(f"tokens={tokens} is for built-in networks; this network has its own length")
    elif isinstance(network, Network):
        if options != OnnxOptions():
            raise UserError("options for ONNX models are given, but this is a network already; leave them out")
        found = network
    else:
        found = _of_model(network, name, options)
    typed = found
    if (weights, activations, accumulators, weight_ratio) != (None,) * 4:
        typed = with_named_types(found, weights, activations, accumulators, weight_ratio)
    notes = (*(note for note in found.notes if note not in weight_notes(found)), *weight_notes(typed))
    found = typed if typed.notes == notes else replace(typed, notes=notes)
    if divide is not None:
        found = replace(divided(found, _bytes(divide)), notes=found.notes)
    return found if name is None else replace(found, name=name)


def _noted(network: Network, notes: Iterable[str]) -> Network:
    """Return a network with notes, which are logged, too."""
    said = tuple(in_python(note) for note in notes)
    for note in said:
        _LOGGER.info("%s: %s", network.name, note)
    return replace(network, notes=said)


def _bytes(divide: str | int) -> int:
    """Return a size in bytes."""
    size = bytes_of(divide) if isinstance(divide, str) else divide
    if size is None or size < 1:
        raise UserError(f"divide={divide!r} (must be {SIZE_EXAMPLE}, or bytes)")
    return size


def _of_model(model: Any, name: str | None, options: OnnxOptions) -> Network:
    """Return the network of an ONNX model in memory."""
    if type(model).__name__ != "ModelProto":
        raise UserError(
            f"network is of the type {type(model).__name__} (must be a name, a path, an onnx.ModelProto or a Network)"
        )
    # Imported late: few runs need it.
    from soma_cp.model.network.onnx_import.importing import import_model

    imported = import_model(model, name or model.graph.name or "model", options)
    return _noted(imported.network, imported.notes)
