"""Imports ONNX models in tests."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from soma_cp.model.data_types import INT8, LayerTypes
from soma_cp.model.network.layers import Layer
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.errors import OnnxFileError
from soma_cp.model.network.onnx_import.importing import ImportedNetwork, import_onnx
from support.onnx_models import Model

COUNTS_AS_INT8 = (
    "data of fp32 counts as INT8, as exports have such types before they are quantised; --types model takes it as it is"
)
"""The note on a model that is not quantised."""

Import = Callable[..., ImportedNetwork]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Return a function that saves a model with the given outputs and imports it, with all data as INT8.

    If no types are asked for, the model is imported with its own types, too: they change nothing but types.
    """

    def call(
        model: Model,
        *outputs: str,
        dims: dict[str, int] | None = None,
        ignore: bool = False,
        ends: tuple[str, ...] = (),
        **options: Any,
    ) -> ImportedNetwork:
        for output in outputs:
            model.output(output)
        path = model.save(tmp_path / "net.onnx")
        if "types" in options:
            return import_onnx(path, dims, ignore, ends, **options)
        result = import_onnx(path, dims, ignore, ends, types="int8", **options)
        for types in ("auto", "model"):
            typed = import_onnx(path, dims, ignore, ends, types=types, **options)
            assert without_types(typed.network) == without_types(result.network)
        return result

    return call


def without_types(network: Network) -> Network:
    """Return a network in which all data is INT8."""
    return replace(
        network,
        inputs=tuple(replace(source, type=INT8) for source in network.inputs),
        layers=tuple(replace(layer, types=LayerTypes()) for layer in network.layers),
    )


def faults(call: Callable[[], Any]) -> list[str]:
    """Return the problems of a model that is refused; each begins with the file's name."""
    with pytest.raises(OnnxFileError) as error:
        call()
    assert all(line.split(": ")[0].endswith("net.onnx") for line in str(error.value).splitlines())
    return list(error.value.problems)


def only(network: Network) -> Layer:
    (layer,) = network.layers
    return layer


def kinds(network: Network) -> list[str]:
    return [layer.kind for layer in network.layers]
