"""Every error of the package survives pickling, as process pools need."""

import copy
import importlib
import pickle
import pkgutil
from collections.abc import Callable, Iterator

import pytest

import soma_cp
from soma_cp.model.errors import FileFaultsError, SomaError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.hardware.platform_file import PlatformFileError
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network import NetworkError
from soma_cp.model.network.onnx_import.errors import OnnxFileError
from soma_cp.model.network.onnx_import.operators.registry import UnknownShapeError
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import BufferTooSmallError, Footprint, LayerTooLargeError
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.validity import InvalidScheduleError, Rule, Violation


def _buffer_too_small() -> BufferTooSmallError:
    problem = Problem(builtin_network("tiny-chain"), PLATFORMS["edge"])
    return BufferTooSmallError(make_plan(problem, unfused_lfa(problem.network)), 1, 20, 10)


OWN_PARAMETERS: dict[type, Callable[[], Exception]] = {
    BufferTooSmallError: _buffer_too_small,
    InvalidScheduleError: lambda: InvalidScheduleError(
        [Violation(Rule.DATA, 1, (2,), 3, 4, "tile 1 begins early")] * 2
    ),
    LayerTooLargeError: lambda: LayerTooLargeError("a", Footprint(1, 2, 3), 4),
    NetworkError: lambda: NetworkError("net", ["first fault", "second fault"]),
    NoMappingError: lambda: NoMappingError("no mapping", "a", (1, 2, 3, 4)),
    OnnxFileError: lambda: OnnxFileError("m.onnx", ["first fault", "second fault"], "some advice"),
    UnknownShapeError: UnknownShapeError,
    PlatformFileError: lambda: PlatformFileError(["first fault", "second fault"]),
}


def subclasses(kind: type) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def errors_of_the_package() -> list[type[Exception]]:
    for module in pkgutil.walk_packages(soma_cp.__path__, "soma_cp."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {kind for kind in subclasses(Exception) if kind.__module__.startswith("soma_cp.")}
    return sorted(found, key=lambda kind: kind.__qualname__)


def example(kind: type[Exception]) -> Exception:
    if kind in OWN_PARAMETERS:
        return OWN_PARAMETERS[kind]()
    return kind(["first fault", "second fault"]) if issubclass(kind, FileFaultsError) else kind("a sentence")


@pytest.mark.parametrize("kind", errors_of_the_package(), ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_after_pickling(kind: type[Exception]) -> None:
    error = example(kind)
    for sent in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(sent) is kind
        assert str(sent) == str(error) != ""
        assert sent.args == error.args
        assert sent.__dict__ == error.__dict__


def test_errors_with_own_attributes_are_among_them() -> None:
    found = errors_of_the_package()
    assert len(found) >= 18
    assert set(OWN_PARAMETERS) <= set(found)
    assert all(issubclass(kind, SomaError) for kind in OWN_PARAMETERS)


def test_faults_stay_sentences() -> None:
    sent = pickle.loads(pickle.dumps(FileFaultsError([f"fault {n}" for n in range(60)])))
    assert sent.problems == tuple(f"fault {n}" for n in range(60))
    assert str(sent).endswith("fault 49\nand 10 more faults")
