from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.division import divides_by_itself
from support.paths import TESTS


def config(*arguments: str, xdist: bool = True, **said: Any) -> Any:
    """Return what the rule reads of the config of a run with `arguments` in the tests' folder."""
    plugins = SimpleNamespace(has_plugin=lambda name: xdist and name == "xdist")
    plain = {"keyword": "", "numprocesses": None, "dist": "no", "tx": []}
    place = SimpleNamespace(dir=Path(TESTS))
    return SimpleNamespace(
        args=arguments, invocation_params=place, pluginmanager=plugins, option=SimpleNamespace(**(plain | said))
    )


@pytest.mark.parametrize("arguments", [(".",), ("model", "solver"), ("test_structure.py", "model"), (str(TESTS),)])
def test_a_run_of_folders_is_divided(arguments: tuple[str, ...]) -> None:
    assert divides_by_itself(config(*arguments))


@pytest.mark.parametrize("argument", ["test_structure.py", "test_structure.py::test_every_floor_has_modules"])
def test_a_run_of_files_or_tests_is_not_divided(argument: str) -> None:
    assert not divides_by_itself(config(argument))


@pytest.mark.parametrize(
    "said", [{"keyword": "greedy"}, {"numprocesses": 0}, {"numprocesses": 4}, {"dist": "load"}, {"tx": ["popen"]}]
)
def test_what_the_command_line_says_is_left(said: dict[str, Any]) -> None:
    assert not divides_by_itself(config(".", **said))


def test_without_xdist_and_in_its_workers_nothing_is_divided() -> None:
    assert not divides_by_itself(config(".", xdist=False))
    worker = config(".")
    worker.workerinput = {}
    assert not divides_by_itself(worker)
