"""Imports ONNX models in tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from soma_cp.model.network.layers import (
    Layer,
)
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.errors import OnnxFileError
from soma_cp.model.network.onnx_import.importing import ImportedNetwork, import_onnx
from support.onnx_models import Model

Import = Callable[..., ImportedNetwork]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Return a function that saves a model with the given outputs and imports it."""

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
        return import_onnx(model.save(tmp_path / "net.onnx"), dims, ignore, ends, **options)

    return call


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
