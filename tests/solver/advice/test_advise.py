"""Which lines are given, how they read, and what solving again adds."""

import pickle
from dataclasses import replace

import pytest
from support.divided_cases import DIVIDED_LFA, divided_schedule
from support.divided_cases import PROBLEM as DIVIDED
from support.execution_cases import GPT2

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.quantities import KIB, MIB
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.execution.execution import make_execution
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import Schedule, priced
from soma_cp.model.soma.schedule_file import read_schedule
from soma_cp.solver.advice import checks
from soma_cp.solver.advice.advice import Advice, Basis, Topic
from soma_cp.solver.advice.advise import MOST_LINES, advise
from soma_cp.solver.advice.checks import checked_advice
from soma_cp.solver.advice.estimates import searched
from soma_cp.solver.advice.levers import bandwidth_step, buffer_step, levers
from soma_cp.solver.advice.limits import longest_wait
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import SolveResult, solve

EDP = Objective()
GREEDY = SolveParameters(second_stage=SecondStage.GREEDY, search=LFASearchParameters(rounds=1000), threads=1)


@pytest.fixture(scope="module")
def stored() -> Schedule:
    """The published schedule of GPT-2 Small on the edge platform."""
    file = read_schedule(GPT2)
    return priced(file.plan, file.dlsa)


@pytest.fixture(scope="module")
def result() -> SolveResult:
    """A schedule of tiny-chain."""
    return solve(Problem(builtin_network("tiny-chain"), PLATFORMS["edge"]), GREEDY)


def test_a_schedule_from_a_file_gets_advice_that_can_be_sent_elsewhere(stored: Schedule) -> None:
    advice = advise(stored)
    assert 1 <= len(advice) <= MOST_LINES
    assert pickle.loads(pickle.dumps(advice)) == advice
    assert advise(stored) == advice
    assert all(one.text for one in advice)


def test_there_is_no_advice_on_what_cannot_run(stored: Schedule) -> None:
    too_small = replace(stored.problem, platform=replace(stored.problem.platform, gbuf_bytes=1000))
    assert advise(Schedule(replace(stored.plan, problem=too_small), stored.dlsa, stored.evaluation)) == ()


def test_the_longest_wait_is_counted_in_the_schedule(result: SolveResult) -> None:
    schedule = result.schedule
    wait = longest_wait(schedule, EDP)
    assert wait is not None
    transfers = make_execution(schedule).transfers
    network = schedule.problem.network
    stalls: dict[tuple[str, str], int] = {}
    for kind, layer, stall in zip(transfers.kind, transfers.layer, transfers.stall, strict=True):
        key = (("ifm", "wgt", "ofm")[kind], network.layers[layer].name)
        stalls[key] = stalls.get(key, 0) + int(stall)
    assert wait.tensor is not None
    assert wait.layer is not None
    assert wait.stall_cycles == max(stalls.values()) == stalls[wait.tensor, wait.layer]
    assert wait.stall_share == wait.stall_cycles / schedule.latency
    assert longest_wait(schedule, Objective(1.0, 0.0)) is None


def test_a_wait_for_a_part_of_a_layer_names_the_part() -> None:
    """At 1 B per cycle, DRAM is the limit: the two parts of conv4 have the largest weights."""
    problem = replace(DIVIDED, platform=replace(DIVIDED.platform, dram_bytes_per_cycle=1))
    plan = make_plan(problem, DIVIDED_LFA)
    wait = longest_wait(priced(plan, greedy_dlsa(plan)), EDP)
    assert wait is not None
    assert (wait.layer, wait.tensor) == ("conv4/1", "ifm")
    assert "waits for the input of layer conv4/1" in wait.text


def test_changes_are_priced_and_solved_again_with_divided_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = divided_schedule()
    other = replace(schedule.problem.platform, gbuf_bytes=schedule.problem.platform.gbuf_bytes // 2)
    found = searched(schedule, other, EDP, 0, Budget())
    assert found is not None
    assert found.lfa.divisions == DIVIDED_LFA.divisions
    slow = replace(DIVIDED, platform=replace(DIVIDED.platform, dram_bytes_per_cycle=2))
    fixed = solve(slow, replace(GREEDY, fix_lfa=True), start=DIVIDED_LFA)
    networks = []

    def recording(problem: Problem, *rest: object) -> SolveResult:
        networks.append(problem.network)
        return solve(problem, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(checks, "solve", recording)
    assert any(one.checked_gain is not None for one in checked_advice(fixed, Monitor()))
    assert set(networks) == {DIVIDED.network}


@pytest.mark.parametrize(
    ("name", "buffer", "rate"),
    [("edge", MIB, 4e9), ("cloud", 4 * MIB, 32e9), ("ethos-u85", 64 * KIB, 6e9), ("eyeriss", 8 * KIB, 60e6)],
)
def test_steps_are_those_that_a_designer_would_take(name: str, buffer: int, rate: float) -> None:
    platform = PLATFORMS[name]
    assert buffer_step(platform.gbuf_bytes) == buffer
    assert bandwidth_step(platform.dram_bytes_per_second) == rate


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_platform_has_levers_that_change_one_thing(name: str) -> None:
    platform = PLATFORMS[name]
    found = [lever for group in levers(platform) for lever in group]
    assert len(found) >= 5
    for lever in found:
        other = lever.platform
        names = {"gbuf_bytes"} if lever.topic is Topic.BUFFER else {"dram_bytes_per_cycle"}
        changed = {
            field for field in platform.__dataclass_fields__ if getattr(platform, field) != getattr(other, field)
        }
        assert changed == names
        (field,) = names
        assert (getattr(other, field) < getattr(platform, field)) == lever.saves


def line(**fields: object) -> Advice:
    given = {"topic": Topic.BUFFER, "basis": Basis.SEARCHED, "objective": EDP, "change_bytes": MIB}
    return Advice(**{**given, "becomes_bytes": 9 * MIB, **fields})  # type: ignore[arg-type]


def test_lines_say_what_is_known_and_how() -> None:
    gain = {"estimated_gain": 0.031, "estimated_latency_gain": 0.022}
    text = "+1 MiB buffer: at least −3.1 % energy × delay, −2.2 % latency (short search)"
    assert line(**gain).text == text
    checked = line(**gain, checked_gain=0.04, checked_latency_gain=0.0401)
    assert checked.text == "+1 MiB buffer: −4.0 % energy × delay (re-solved; short search: −3.1 %)"
    half = {"change_bytes": -4 * MIB, "becomes_bytes": 4 * MIB}
    assert line(**half, estimated_gain=-0.003, estimated_latency_gain=-0.003).text == (
        "half the buffer (4 MiB) would do: at most +0.3 % energy × delay (short search)"
    )
    assert line(**half, estimated_gain=0.0).text == "half the buffer (4 MiB) would do: no loss (short search)"
    assert line(**half, estimated_gain=0.02).text == (
        "half the buffer (4 MiB): at least −2.0 % energy × delay (short search)"
    )
    dram = {
        "topic": Topic.DRAM,
        "basis": Basis.REPRICED,
        "change_bytes": None,
        "change_bytes_per_second": 4e9,
        "becomes_bytes_per_second": 20e9,
        "objective": Objective(0.0, 1.0),
    }
    assert line(**dram, estimated_gain=0.07).text == (
        "+4 GB/s DRAM bandwidth: at least −7.0 % latency (same schedule re-priced)"
    )
    wait = {"topic": Topic.STALL, "basis": Basis.MEASURED, "stall_share": 0.123, "tensor": "wgt", "layer": "fc1"}
    assert line(**wait, kind_stall_share=0.301).text == (
        "waits for the weights of layer fc1: 12.3 % of the latency (all weights: 30.1 %)"
    )
    assert line(**wait, kind_stall_share=0.124).text == "waits for the weights of layer fc1: 12.3 % of the latency"


def test_json_has_units_in_its_keys() -> None:
    document = line(estimated_gain=0.031, estimated_latency_gain=0.022).document()
    assert document["lever"] == "buffer"
    assert document["change_bytes"] == MIB
    assert document["estimated_gain_share"] == 0.031
    assert document["checked_gain_share"] is None
    assert document["stall_cycles"] is None


def test_solving_again_gains_at_least_the_estimate(result: SolveResult) -> None:
    estimated = advise(result.schedule, EDP, result.network_bound)
    checked = checked_advice(result, Monitor())
    assert [one.topic for one in checked] == [one.topic for one in estimated]
    levers_checked = [one for one in checked if one.topic in (Topic.BUFFER, Topic.DRAM)]
    assert levers_checked
    for one in levers_checked:
        assert one.checked_gain is not None
        assert one.estimated_gain is not None
        assert one.checked_gain >= one.estimated_gain
    assert checked_advice(result, Monitor()) == checked


@pytest.mark.parametrize("share", [0.25, 4.0])
def test_the_better_of_the_estimate_and_the_new_search_counts(
    result: SolveResult, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = result.schedule
    evaluation = replace(schedule.evaluation, latency=round(schedule.latency * share))
    found = replace(result, best=replace(result.best, schedule=replace(schedule, evaluation=evaluation)))
    monkeypatch.setattr(checks, "solve", lambda *_: found)
    gains = [(one.checked_gain, one.estimated_gain) for one in checked_advice(result, Monitor())]
    for checked, estimated in gains:
        assert checked is None or checked == pytest.approx(0.75 if share < 1 else estimated, abs=1e-3)
    assert any(checked is not None for checked, _ in gains)


def test_a_stop_keeps_the_estimates(result: SolveResult) -> None:
    budget = Budget()

    def stop(event: ProgressEvent) -> None:
        budget.request_stop()

    checked = checked_advice(result, Monitor(budget, stop))
    assert checked == advise(result.schedule, EDP, result.network_bound)
    assert all(one.checked_gain is None for one in checked)
    assert advise(result.schedule, EDP, result.network_bound, budget=budget)


def test_a_search_that_was_cut_short_is_said_so_and_credited_to_no_hardware() -> None:
    problem = Problem(builtin_network("gpt2-small"), PLATFORMS["edge"])
    poor = solve(problem, replace(GREEDY, search=LFASearchParameters(rounds=8))).schedule
    advice = advise(poor)
    assert Topic.SEARCH in [one.topic for one in advice]
