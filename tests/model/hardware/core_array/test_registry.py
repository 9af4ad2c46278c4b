"""Core arrays by name: built-in ones, those of installed packages, and how hardware and schedule files name them."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.packages import install, site
from support.paths import DOCS

from soma_cp.cli.main import main
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.options import one_of, whole_number
from soma_cp.model.hardware.core_array.protocol import CoreArray
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.hardware.core_array.registry import core_array_names, make_core_array
from soma_cp.model.hardware.core_array.roofline import RooflineCoreArray
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.hardware.platform_file import read_platform_file
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.schedule_file import read_schedule

__all__ = ["site"]  # a fixture

EDGE = PLATFORMS["edge"]
GUIDE = DOCS / "core-arrays.md"


def problem_on(core_array: str, **options: str) -> Problem:
    platform = replace(EDGE, core_array=core_array, core_array_options=tuple(options.items()))
    return Problem(builtin_network("tiny-chain"), platform)


def test_a_problem_has_the_core_array_that_its_platform_names() -> None:
    assert isinstance(Problem(builtin_network("tiny-chain"), EDGE).core_array, PublishedCoreArray)
    assert isinstance(problem_on("roofline").core_array, RooflineCoreArray)


def test_an_unknown_name() -> None:
    with pytest.raises(UserError) as raised:
        _ = problem_on("rofline").core_array
    assert str(raised.value) == (
        "no core array is called 'rofline' (there are published, roofline, zigzag); did you mean 'roofline'?"
    )


@pytest.mark.parametrize("name", ["published", "roofline"])
def test_built_in_arrays_without_options(name: str) -> None:
    with pytest.raises(UserError, match=f"core array '{name}' has no option 'speed'; it takes none"):
        make_core_array(EDGE, name, {"speed": "11"})


def test_options() -> None:
    options = {"n": "12", "zero": "0", "word": "12 MiB", "huge": "9" * 5000, "way": "enegry"}
    assert whole_number("x", options, "n", 3) == 12
    assert whole_number("x", options, "m", 3) == 3
    for name in ("zero", "word", "huge"):
        with pytest.raises(
            UserError, match=re.escape(f"core array 'x': {name}={options[name]} (must be a whole number")
        ):
            whole_number("x", options, name, 3)
    assert one_of("x", {}, "way", ("latency", "energy")) == "latency"
    with pytest.raises(UserError, match=r"way=enegry \(must be latency or energy\); did you mean 'energy'\?"):
        one_of("x", options, "way", ("latency", "energy"))


# Packages


def test_the_example_of_the_guide(site: Path) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (text for language, text in blocks if language == "python" and "class SystolicCoreArray" in text)
    (entry_points,) = (text for language, text in blocks if language == "toml")
    (hardware,) = (text for language, text in blocks if language == "yaml" and "systolic" in text)
    (line,) = re.findall(r'^systolic = "(.*)"$', entry_points, re.MULTILINE)
    install(site, "my-arrays", {line.partition(":")[0]: code}, f"[soma_cp.core_arrays]\nsystolic = {line}\n")
    assert core_array_names() == ["published", "roofline", "zigzag", "systolic"]

    path = site / "my-chip.yaml"
    path.write_text(hardware, encoding="utf-8")
    problem = Problem(builtin_network("tiny-chain"), read_platform_file(path))
    assert problem.core_array.name == "systolic"
    # In each pass every position meets every element of the kernel; 2 · 32 cycles fill the array.
    row = np.array([[0, 1, 64, 32, 32]])
    layer = problem.network.layers[0]
    passes = -(-layer.C // 32) * -(-layer.K // 32)
    cycles, energy_pj = problem.core_array.tile_costs(problem.table, row)
    assert cycles.tolist() == [passes * (layer.R * layer.S * 32 * 32 + 64)]
    assert (energy_pj > 0).all()
    with pytest.raises(
        UserError, match="core array 'systolic' has no option 'sied'; it takes side; did you mean 'side'"
    ):
        make_core_array(EDGE, "systolic", {"sied": "8"})


BROKEN = {
    "missing_module": "can't be loaded: ModuleNotFoundError: No module named 'nowhere'; repair or uninstall the",
    "missing_name": "can't be loaded: AttributeError: ",
    "no_factory": "can't be loaded: 'broken_arrays:NUMBER' is not callable",
}


def test_broken_packages(site: Path) -> None:
    entries = "missing_module = nowhere:make\nmissing_name = broken_arrays:nothing\nno_factory = broken_arrays:NUMBER\n"
    install(site, "broken-arrays", {"broken_arrays": "NUMBER = 5\n"}, f"[soma_cp.core_arrays]\n{entries}")
    for name, problem in BROKEN.items():
        with pytest.raises(UserError) as raised:
            make_core_array(EDGE, name, {})
        assert str(raised.value).startswith(f"core array '{name}' of package 'broken-arrays' {problem}")


def test_two_packages_with_one_name(site: Path) -> None:
    for package in ("one", "two"):
        install(site, package, {}, "[soma_cp.core_arrays]\ntwice = nowhere:make\n")
    with pytest.raises(UserError, match=r"'twice' is brought by several packages \(one, two\); uninstall all but one"):
        make_core_array(EDGE, "twice", {})


def test_a_package_can_not_replace_a_built_in_array(site: Path) -> None:
    install(site, "sly", {}, "[soma_cp.core_arrays]\nroofline = nowhere:make\n")
    assert isinstance(make_core_array(EDGE, "roofline", {}), RooflineCoreArray)
    assert core_array_names() == ["published", "roofline", "zigzag"]


# Files


def test_a_path_among_the_options_is_relative_to_the_hardware_file(tmp_path: Path) -> None:
    (tmp_path / "chips").mkdir()
    path = tmp_path / "chips" / "base.yaml"
    path.write_text(
        "version: 2\nextends: edge\ncore_array: {model: zigzag, accelerator: ./a.yaml, mapping: ../m.yaml, cache: c}\n"
    )
    other = tmp_path / "other.yaml"
    other.write_text("version: 2\nextends: ./chips/base.yaml\n")
    for file in (path, other):
        assert dict(read_platform_file(file).core_array_options) == {
            "accelerator": str(tmp_path / "chips" / "a.yaml"),
            "mapping": str(tmp_path / "m.yaml"),
            "cache": "c",
        }


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process: exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["soma-cp", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capfd.readouterr())

    return call


def test_a_schedule_remembers_its_core_array(run: Run, tmp_path: Path) -> None:
    hardware, schedule = tmp_path / "chip.yaml", tmp_path / "schedule.json"
    hardware.write_text("version: 2\nextends: edge\ncore_array: roofline\n")
    code, out, err = run(
        "solve",
        "--net",
        "tiny-chain",
        "--hw",
        hardware,
        "-o",
        schedule,
        "--json",
        "--stage2",
        "greedy",
        "--time-limit",
        3,
    )
    assert code == 0, err
    solved = json.loads(out)
    hardware.unlink()
    code, out, err = run("evaluate", schedule, "--json")
    assert code == 0, err
    evaluated = json.loads(out)
    assert (evaluated["latency"], evaluated["energy_pj"]) == (solved["latency"], solved["energy_pj"])
    plan = read_schedule(schedule).plan
    assert isinstance(plan.problem.core_array, RooflineCoreArray)
    rows = np.column_stack([np.arange(len(plan.layers.extent)), plan.layers.extent])
    published = PublishedCoreArray(EDGE).tile_costs(plan.problem.table, rows)
    assert (plan.layers.energy_pj < published[1]).all()


def test_an_unknown_core_array_ends_with_exit_code_2(run: Run, tmp_path: Path) -> None:
    hardware = tmp_path / "chip.yaml"
    hardware.write_text("version: 2\nextends: edge\ncore_array: zigzga\n")
    code, out, err = run("solve", "--net", "tiny-chain", "--hw", hardware)
    assert (code, out) == (2, "")
    assert err.startswith("soma-cp: no core array is called 'zigzga'")
    assert err.count("\n") == 1


def test_an_array_prices_and_bounds_alike_unless_it_says_otherwise() -> None:
    class Own(CoreArray):
        name = "own"

        def __init__(self, platform: Platform) -> None:
            self._other = RooflineCoreArray(platform)

        def tile_costs(self, table, tiles):  # type: ignore[no-untyped-def]
            return self._other.tile_costs(table, tiles)

        def explain_infeasible(self, network, tile_row):  # type: ignore[no-untyped-def]
            return "never"

    problem = Problem(builtin_network("tiny-chain"), EDGE)
    rows = np.array([[0, 1, 64, 8, 32]])
    costs = Own(EDGE).tile_costs(problem.table, rows)
    least = Own(EDGE).least_costs(problem.table, rows)
    assert [part.tolist() for part in least] == [part.tolist() for part in costs]
