"""Searches as callers run them: silent, stopped and watched, alike in threads, with proven bounds."""

import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

import soma_cp as sc
from soma_cp.api import solving
from soma_cp.api.preparation import prepare

ALONE = partial(sc.solve, time_limit=None, deterministic=True)
"""The same result at each run, however long it takes."""


def facts(result: sc.Result) -> tuple[Any, ...]:
    """What must be the same at each run."""
    return (
        result.schedule,
        result.schedule.lower_bound_cycles,
        result.status,
        result.bounds,
        result.iterations,
        result.rounds,
        result.history[["cost", "bound"]][-1].tolist(),  # when a search reports depends on the clock
    )


def test_a_result_says_what_is_proven(branch: sc.Result) -> None:
    assert branch.bounds.cost <= branch.cost
    assert branch.bounds.latency_cycles <= branch.schedule.lower_bound_cycles <= branch.schedule.latency_cycles
    assert branch.gap == branch.cost / branch.bounds.cost - 1
    assert branch.status in (sc.Status.OPTIMAL, sc.Status.OPTIMAL_OF_LFA)
    assert branch.schedule.proven_optimal
    assert not branch.interrupted
    assert not branch.out_of_time
    assert branch.parameters["seed"] == 1


def test_all_lfas_are_gone_through_where_it_is_asked_for() -> None:
    result = ALONE("tiny-chain", "edge", exact=True)
    assert result.status is sc.Status.OPTIMAL
    assert result.gap <= 1e-9
    assert result.cost == pytest.approx(result.bounds.cost)


def test_the_history_ends_with_the_result_and_goes_one_way(branch: sc.Result) -> None:
    history = branch.history
    assert history.dtype.names == ("seconds", "cost", "bound")
    assert history["cost"][-1] == branch.cost
    assert history["bound"][-1] == branch.bounds.cost
    for before, after in pairwise(history):
        assert before["seconds"] <= after["seconds"]
        assert before["cost"] >= after["cost"]
        assert before["bound"] <= after["bound"]


def test_two_solves_in_threads_give_the_results_of_two_in_a_row() -> None:
    runs = [
        partial(ALONE, "tiny-branch", "edge", seed=3),
        partial(ALONE, "tiny-attention", sc.load_hardware("edge", buffer="128KiB"), seed=4),
    ]
    in_a_row = [facts(run()) for run in runs]
    with ThreadPoolExecutor(2) as pool:
        at_once = [facts(future.result()) for future in [pool.submit(run) for run in runs]]
    assert at_once == in_a_row


def test_a_result_comes_back_from_another_process(branch: sc.Result) -> None:
    run = partial(sc.solve, "tiny-branch", branch.schedule.hardware, time_limit=None, seed=1, deterministic=True)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert facts(pool.submit(run).result()) == facts(branch)


def test_errors_are_pickled_with_what_they_say() -> None:
    with pytest.raises(sc.LayerTooLargeError) as error:
        sc.solve("vgg19", sc.load_hardware("edge", buffer="1MiB"), space="paper")
    again = pickle.loads(pickle.dumps(error.value))
    assert (str(again), again.layer, again.needed_bytes) == (
        str(error.value),
        error.value.layer,
        error.value.needed_bytes,
    )


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    for stage in ("cpsat", "sa", "greedy", "none"):
        sc.solve("tiny-chain", "edge", stage2=stage, time_limit=20)
    sc.compare("tiny-chain", "edge", time_limit=5)
    assert capfd.readouterr() == ("", "")


# Stopped and watched.


def test_a_search_that_is_cancelled_before_it_begins_has_a_valid_schedule() -> None:
    cancel = sc.Cancel()
    cancel.stop()
    result = sc.solve("resnet50", "edge", time_limit=None, cancel=cancel)
    assert result.interrupted
    assert not result.out_of_time
    assert sc.evaluate(result.schedule).schedule == result.schedule
    assert repr(cancel) == "<Cancel: stopped>"


def test_a_search_is_cancelled_from_another_thread() -> None:
    cancel, begun = threading.Event(), threading.Event()
    canceller = threading.Thread(target=lambda: begun.wait() and cancel.set())
    canceller.start()
    result = sc.solve("resnet50", "edge", time_limit=None, cancel=cancel, on_progress=lambda _: begun.set())
    canceller.join()
    assert result.interrupted


def test_a_search_is_cancelled_from_the_progress_function() -> None:
    cancel, seen = sc.Cancel(), []

    def watch(event: sc.ProgressEvent) -> None:
        seen.append(event)
        if event.best_cost is not None:
            cancel.stop()

    result = sc.solve("resnet50", "edge", time_limit=None, cancel=cancel, on_progress=watch)
    assert result.interrupted
    assert seen


def test_what_the_progress_function_raises_is_raised() -> None:
    def fail(_: sc.ProgressEvent) -> None:
        raise RuntimeError("enough")

    for run in (sc.solve, sc.compare):
        with pytest.raises(RuntimeError, match="enough"):
            run("resnet50", "edge", time_limit=None, on_progress=fail)


def interrupt(_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_ends_a_search_with_the_best_so_far() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    sent = []

    def once(_: sc.ProgressEvent) -> None:
        if not sent:
            sent.append(True)
            interrupt(None)

    assert sc.solve("resnet50", "edge", time_limit=None, on_progress=once).interrupted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_handler_of_the_callers_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    cancel, taken = sc.Cancel(), []

    def handle(*_: object) -> None:
        taken.append(True)
        cancel.stop()

    earlier = signal.signal(signal.SIGINT, handle)
    try:
        result = sc.solve("resnet50", "edge", time_limit=None, cancel=cancel, on_progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert taken
    assert result.interrupted


SECOND = """
import os, signal
import soma_cp as sc
try:
    sc.solve("resnet50", "edge", time_limit=None, on_progress=lambda _: os.kill(os.getpid(), signal.SIGINT))
except KeyboardInterrupt:
    print("raised")
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_second_ctrl_c_is_a_keyboard_interrupt() -> None:
    """The function of the caller sends one signal for each event; two reach the search before it can end."""
    code = SECOND.replace("os.kill(os.getpid(), signal.SIGINT)", "[os.kill(os.getpid(), signal.SIGINT) for _ in 'ab']")
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert (run.stdout, run.stderr) == ("raised\n", "")


def test_kernels_are_prepared_before_the_clock_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Clock(solving.CancellableBudget):
        def __init__(self, *arguments: Any) -> None:
            order.append("clock")
            super().__init__(*arguments)

    def prepared(*runs: Any) -> None:
        order.append("kernels")
        prepare(*runs)

    monkeypatch.setattr(solving, "CancellableBudget", Clock)
    monkeypatch.setattr(solving, "prepare", prepared)
    sc.solve("tiny-chain", "edge", stage2="greedy")
    assert order == ["kernels", "clock"]


# Starts.


def test_a_search_begins_from_a_schedule_a_file_or_an_lfa(branch: sc.Result, tmp_path: Path) -> None:
    branch.save(tmp_path / "start.json")
    hardware = branch.schedule.hardware
    for start in (branch.schedule, tmp_path / "start.json", branch.schedule.lfa):
        kept = ALONE("tiny-branch", hardware, start=start, fix_lfa=True)
        assert kept.schedule.lfa == branch.schedule.lfa
        assert kept.schedule.latency_cycles == branch.schedule.latency_cycles
    again = ALONE("tiny-branch", hardware, start=branch.schedule, stage2="greedy", seed=9)
    assert again.cost <= branch.cost


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"time_limit": 0}, r"time_limit=0 \(must be more than 0 seconds; None is no limit\)"),
        ({"time_limit": float("nan")}, "time_limit=nan"),
        ({"seed": -1}, r"seed=-1 \(must be from 0"),
        ({"batch": 0}, "batch"),
        ({"workers": 0}, "workers=0"),
        ({"workers": 2, "deterministic": True}, "workers=2 with deterministic=True"),
        ({"space": "wdie"}, r"space='wdie' \(must be one of 'paper', 'wide'\); did you mean 'wide'|space='wdie'"),
        ({"energy_exponent": -1}, "energy_exponent=-1"),
        ({"energy_exponent": 0, "delay_exponent": 0}, "both 0"),
        ({"lfa": "greeedy"}, "greeedy"),
        ({"stage2": "cp-sat"}, "cp-sat"),
        ({"fix_lfa": True}, "fix_lfa keeps the LFA of a start"),
        ({"exact": True, "stage2": "greedy"}, "exact needs the exact second stage: stage2='cpsat'"),
        ({"lfa": "paper", "space": "wide"}, "lfa='paper' searches the paper's space.*space='paper'"),
        ({"start": 3}, "start"),
    ],
)
def test_an_argument_that_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(sc.UserError, match=message) as error:
        sc.solve("tiny-attention", "edge", **arguments)
    assert "--" not in str(error.value)


def test_the_platform_of_a_network_is_the_usual_one() -> None:
    assert sc.solve("tiny-chain", stage2="greedy").schedule.hardware.name == "edge"


def test_the_objective_is_the_one_that_is_asked_for() -> None:
    by_latency = ALONE("tiny-branch", "edge", energy_exponent=0, stage2="greedy")
    assert by_latency.cost == by_latency.schedule.latency_cycles
    assert by_latency.schedule.cost(0, 1) == by_latency.cost


# Bounds and comparisons.


def test_bounds_without_a_search_hold(branch: sc.Result) -> None:
    found = sc.bounds("tiny-branch", branch.schedule.hardware, time_limit=None)
    assert found.complete
    assert found.cost <= branch.cost
    assert found.latency_cycles <= branch.schedule.latency_cycles
    assert found.energy_pj <= branch.schedule.energy_pj * (1 + 1e-12)
    assert sc.bounds("tiny-branch", branch.schedule.hardware, space="paper").space is sc.Space.PAPER
    small = sc.load_hardware("edge", buffer="1MiB")
    with pytest.raises(sc.LayerTooLargeError):
        sc.bounds("vgg19", small, space="paper")
    assert sc.bounds("vgg19", small).latency_cycles > sc.bounds("vgg19", "edge").latency_cycles // 2


def test_second_stages_side_by_side(branch: sc.Result) -> None:
    comparison = sc.compare(branch.schedule, time_limit=10, deterministic=True)
    assert len(comparison) == len(comparison.table) == len(list(comparison)) >= 4
    assert comparison.lower_bound_cycles == branch.schedule.latency_cycles
    assert not comparison.interrupted
    for one in comparison:
        assert one.schedule.lfa == branch.schedule.lfa
        assert one.schedule.latency_cycles >= comparison.lower_bound_cycles or not one.fits
    assert repr(comparison).startswith("<Comparison: ")
    assert comparison._repr_html_().startswith("<table>")
    with pytest.raises(sc.UserError, match="hardware is given, but the schedule has its own"):
        sc.compare(branch.schedule, "edge")


def test_every_argument_of_solve_reaches_the_result(branch: sc.Result) -> None:
    given = set(inspect.signature(sc.solve).parameters)
    assert given - set(branch.parameters) == {"network", "hardware", "start", "on_progress", "cancel"}
