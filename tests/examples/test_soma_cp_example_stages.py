"""The example package of stages: installed by pip as a user installs it, and run through the commands."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, reject
from support import forked
from support.paths import ROOT
from support.strategies import Case, cases
from support.twins import examples, lfa_of, problem_of_case

from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.objective import Objective
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import priced
from soma_cp.model.soma.validity import violations

EXAMPLE = ROOT / "examples" / "soma_cp_example_stages"
BUILDS = int(version("setuptools").partition(".")[0]) >= 77
NO_BUILDER = "setuptools below 77 can't build the example without fetching a newer one; pip install 'soma-cp[test]'"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables under which a command finds the example, installed offline into a folder of its own."""
    folder = tmp_path_factory.mktemp("example")
    source = shutil.copytree(EXAMPLE, folder / "source")  # the build leaves files beside what it builds
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run = subprocess.run(
        [*install, "--target", folder / "site", source], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    paths = [str(folder / "site"), os.environ.get("PYTHONPATH", ""), str(ROOT / "src")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def soma_cp(server: Path, environment: dict[str, str], folder: Path, *words: str) -> dict:
    run = subprocess.run(
        [*forked.command(server), *words, "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=folder,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.skipif(not BUILDS, reason=NO_BUILDER)
def test_the_package_runs_through_solve_and_compare(
    command_server: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    stages = ("--lfa", "joined-neighbours", "--stage2", "just-in-time", "--time-limit", "0")
    solved = soma_cp(command_server, environment, tmp_path, "solve", "--net", "tiny-branch", *stages, "-o", "a.json")
    assert (solved["lfa_search"], solved["second_stage"]) == ("joined-neighbours", "just-in-time")
    made = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["provenance"]
    assert made["plug_ins"] == [
        {"kind": kind, "name": name, "package": "soma-cp-example-stages", "version": "0.1.0"}
        for kind, name in (("first stage", "joined-neighbours"), ("second stage", "just-in-time"))
    ]
    again = soma_cp(command_server, environment, tmp_path, "solve", "--net", "tiny-branch", *stages)
    assert again["latency"] == solved["latency"]
    resumed = soma_cp(command_server, environment, tmp_path, "solve", "--resume", "a.json")
    assert resumed["latency"] * resumed["energy_pj"] <= solved["latency"] * solved["energy_pj"]
    compared = soma_cp(command_server, environment, tmp_path, "compare", "--net", "gpt2-small", "--time-limit", "10")
    latency = {row["second_stage"]: row["latency"] for row in compared["second_stages"]}
    assert latency["CP-SAT"] <= latency["just-in-time"] < latency["double buffering"]


# What the example promises, without a package.


def load_example():  # type: ignore[no-untyped-def]
    namespace: dict = {"__name__": "example"}
    exec((EXAMPLE / "soma_cp_example_stages.py").read_text(encoding="utf-8"), namespace)
    return namespace["just_in_time"], namespace["joined_neighbours"]


JUST_IN_TIME, JOINED_NEIGHBOURS = load_example()


@examples(200)
@given(cases(max_layers=5))
def test_just_in_time_is_valid_wherever_a_schedule_exists(case: Case) -> None:
    try:
        plan = make_plan(problem_of_case(case), lfa_of(case.lfa))
        greedy_dlsa(plan)
    except UserError:
        reject()
    assert violations(plan, JUST_IN_TIME(plan, Monitor())) == []


@examples(40)
@given(cases(max_layers=5), st.integers(0, 5))
def test_joined_neighbours_get_cheaper_and_cheaper(case: Case, seed: int) -> None:
    try:
        problem = problem_of_case(case)
        greedy_dlsa(make_plan(problem, coarse_lfa(problem)))
    except UserError:
        reject()
    lfas = []
    for lfa in JOINED_NEIGHBOURS(problem, Monitor(), seed=seed, objective=Objective()):
        lfas.append(lfa)
        if len(lfas) == 5:
            break
    costs = [priced(plan, greedy_dlsa(plan)).cost(Objective()) for plan in (make_plan(problem, lfa) for lfa in lfas)]
    assert costs == sorted(costs, reverse=True)
    assert lfas[0] == coarse_lfa(problem)
