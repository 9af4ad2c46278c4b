"""Stages that packages bring: run like built-in ones, checked, and at fault in one sentence that names the package."""

import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.command_line import Run, assert_refused, run
from support.packages import install, site
from support.paths import DOCS

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.network import Division
from soma_cp.model.plug_ins import PlugInError
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.plan import make_plan
from soma_cp.model.soma.schedule import priced
from soma_cp.solver import plug_in_calls
from soma_cp.solver.choices import FIRST_STAGE_KIND, SECOND_STAGE_KIND, SecondStage, Space
from soma_cp.solver.comparison import compare_second_stages
from soma_cp.solver.first_stages import first_stage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.provenance import provenance
from soma_cp.solver.second_stages import run_second_stage, second_stage
from soma_cp.solver.solve import solve

__all__ = ["run", "site"]  # fixtures

PROBLEM = Problem(builtin_network("tiny-chain"), PLATFORMS["edge"])
HEAD = """
import threading
import numpy as np
from dataclasses import replace
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.errors import UserError
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.network.network import Division
from soma_cp.model.soma.lfa import FLG, LFA, SharedLoad, unfused_lfa
"""


def bring_second(site: Path, body: str, arguments: str = "plan, monitor") -> SolveParameters:
    """Install a second stage called mine with that body; return parameters that name it."""
    name = f"own_{site.parent.name.replace('-', '_')}"
    install(
        site,
        "own-stages",
        {name: f"{HEAD}\n\ndef mine({arguments}):\n    {body}\n"},
        f"[{SECOND_STAGE_KIND.group}]\nmine = {name}:mine\n",
    )
    return SolveParameters(second_stage="mine", first_stage="greedy")


def bring_first(site: Path, body: str, arguments: str = "problem, monitor") -> SolveParameters:
    """Install a first stage called mine with that body; return parameters that name it."""
    name = f"own_{site.parent.name.replace('-', '_')}"
    install(
        site,
        "own-stages",
        {name: f"{HEAD}\n\ndef mine({arguments}):\n    {body}\n"},
        f"[{FIRST_STAGE_KIND.group}]\nmine = {name}:mine\n",
    )
    return SolveParameters(second_stage="greedy", first_stage="mine")


def unfused_plan(problem: Problem = PROBLEM):  # type: ignore[no-untyped-def]
    return make_plan(problem, coarse_lfa(problem))


# Second stages.


def test_a_second_stage_of_a_package_makes_a_schedule(site: Path) -> None:
    parameters = bring_second(site, "return greedy_dlsa(plan)")
    result = run_second_stage(unfused_plan(), parameters)
    assert result.method == "mine"
    assert result.schedule.latency == priced(unfused_plan(), greedy_dlsa(unfused_plan())).latency
    assert result.details == {"package": "own-stages", "package_version": "1.0"}
    solved = solve(PROBLEM, parameters)
    record = provenance(solved, None)
    assert (record["stage2"], record["second_stage"]) == ("mine", "mine")
    brought = {"kind": "second stage", "name": "mine", "package": "own-stages", "version": "1.0"}
    assert record["plug_ins"] == [brought]
    assert not second_stage("mine").proves


def test_keywords_are_passed_if_they_are_named(site: Path) -> None:
    body = "assert (seed, objective.delay_exponent, incumbent) == (7, 1.0, None); return greedy_dlsa(plan)"
    parameters = bring_second(site, body, "plan, monitor, *, objective, seed, incumbent")
    assert run_second_stage(unfused_plan(), replace(parameters, seed=7)).method == "mine"


def test_arrays_of_a_plan_may_be_written(site: Path) -> None:
    """A package that sorts or clears what it gets does not change how it is checked and priced."""
    body = "made = greedy_dlsa(plan); plan.tensors.bytes[:] = 0; plan.tile_cycles[:] = 0; return made"
    plan = unfused_plan()
    result = run_second_stage(plan, bring_second(site, body))
    assert result.schedule.latency == priced(unfused_plan(), greedy_dlsa(unfused_plan())).latency
    assert result.schedule.plan is plan


FAULTS = {
    "return None": "returned nothing (must be a DLSA, three arrays: order, start, end)",
    "return 5": "returned an object of type int (must be a DLSA",
    "return (1, 2)": "returned a tuple of 2 (must be a DLSA",
    "return replace_(plan)": "failed: NameError: name 'replace_' is not defined; repair or uninstall the package",
    "return DLSA(*(a.astype(float) for a in greedy_dlsa(plan)))": "whose order is float64[12] (must be int64[12]",
    "return DLSA(*(a[:-1] for a in greedy_dlsa(plan)))": "whose order is int64[11] (must be int64[12]",
    "return greedy_dlsa(plan)._replace(end=None)": "whose end is object[] (must be int64[12]",
    "return greedy_dlsa(plan)._replace(end=[[1], [2, 3]])": "whose end is object[0] (must be int64[12]",
    "return greedy_dlsa(plan)._replace(order=np.zeros(12, int))": "not valid: the DRAM Tensor Order is not a",
    "return greedy_dlsa(plan)._replace(start=np.full(12, 2**63, np.uint64))": "is not valid: ",
    "return greedy_dlsa(plan)._replace(end=np.full(12, 99))": "[rule: a load's End is its last need + 1] (and ",
    "raise UserError('mine takes no chains; give another network')": "1.0: mine takes no chains; give another network",
    "raise SystemExit(3)": "failed: SystemExit: 3; repair",
    "raise ValueError('two\\n  lines')": "failed: ValueError: two lines; repair",
}


@pytest.mark.parametrize("body", FAULTS)
def test_a_faulty_second_stage_is_named(site: Path, body: str) -> None:
    with pytest.raises(PlugInError) as raised:
        run_second_stage(unfused_plan(), bring_second(site, body))
    message = str(raised.value)
    assert message.startswith("second stage 'mine' of package 'own-stages' 1.0")
    assert FAULTS[body] in message
    assert "\n" not in message


def test_a_dlsa_that_exceeds_the_buffer_is_refused(site: Path) -> None:
    """Built-in double buffering is marked in comparisons where it overflows; that of a package is refused."""
    parameters = bring_second(site, "from soma_cp.model.soma.dlsa import double_buffering as d; return d(plan.tensors)")
    peak = priced(unfused_plan(), greedy_dlsa(unfused_plan())).double_buffered.evaluation.peak_buffer_bytes
    tight = replace(PROBLEM, platform=replace(PROBLEM.platform, gbuf_bytes=peak - 1))
    with pytest.raises(PlugInError, match=r"the buffer overflows .*\[rule: the living tensors fit"):
        run_second_stage(make_plan(tight, coarse_lfa(PROBLEM)), parameters)


def test_lists_of_whole_numbers_are_taken(site: Path) -> None:
    parameters = bring_second(site, "return tuple(a.astype(np.int32).tolist() for a in greedy_dlsa(plan))")
    assert run_second_stage(unfused_plan(), parameters).method == "mine"


def test_a_second_stage_that_does_not_return_is_left_behind_at_a_stop(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ignores its budget for ever; the greedy schedule stands in once a stop is requested."""
    monkeypatch.setattr(plug_in_calls, "GRACE_SECONDS", 0.0)
    parameters = bring_second(site, "monitor.progress(ProgressEvent('mine', 0, 1, 0, None)); threading.Event().wait()")
    budget = Budget()

    def stop(event: ProgressEvent) -> None:
        budget.request_stop()

    result = run_second_stage(unfused_plan(), parameters, monitor=Monitor(budget, stop))
    assert result.method == "greedy (mine was interrupted)"
    assert threading.current_thread() is threading.main_thread()


def test_a_deadline_alone_does_not_end_a_second_stage(site: Path) -> None:
    parameters = bring_second(site, "assert monitor.budget.over; return greedy_dlsa(plan)")
    assert run_second_stage(unfused_plan(), parameters, monitor=Monitor(Budget(0))).method == "mine"


def test_comparisons_show_the_second_stages_of_packages(site: Path, run: Run) -> None:
    bring_second(site, "return greedy_dlsa(plan)")
    comparison = compare_second_stages(unfused_plan(), SolveParameters(), 2)
    assert [result.method for result in comparison.results][-2:] == ["CP-SAT", "mine"]
    rows = run("compare", "--net", "tiny-chain", "--time-limit", 2, "--json").document["second_stages"]
    assert rows[-1]["second_stage"] == "mine"
    assert rows[-1]["fits"]
    table = run("compare", "--net", "tiny-chain", "--net", "tiny-ffn", "--time-limit", 2).out
    assert table.splitlines()[1].split()[-1] != "mine"  # the last ones are seconds
    assert "mine" in table.splitlines()[1]


# First stages.


def test_a_first_stage_of_a_package_finds_the_lfa(site: Path) -> None:
    parameters = bring_first(site, "yield unfused_lfa(problem.network); yield coarse_lfa(problem)")
    result = solve(PROBLEM, parameters)
    assert result.lfa_from == "mine"
    assert result.schedule.lfa == coarse_lfa(PROBLEM)  # the same as the unfused one of tiny-chain
    assert result.rounds == 2
    record = provenance(result, None)
    assert record["lfa_search"] == "mine"
    assert record["plug_ins"][0]["kind"] == "first stage"
    assert first_stage("mine").description == "first stage 'mine' of package 'own-stages' 1.0"


def test_the_cheapest_lfa_wins(site: Path) -> None:
    found = solve(PROBLEM, SolveParameters(second_stage="greedy")).schedule.lfa
    body = f"yield coarse_lfa(problem); yield {found!r}; yield coarse_lfa(problem)"
    result = solve(PROBLEM, bring_first(site, body))
    assert result.schedule.lfa == found
    assert result.rounds == 3


def test_any_iterable_will_do_and_no_more_is_taken_than_the_budget_allows(site: Path) -> None:
    taken = solve(PROBLEM, bring_first(site, "return [coarse_lfa(problem)] * 3")).rounds
    assert taken == 3
    parameters = replace(SolveParameters(), first_stage="mine", second_stage="greedy")
    budget = Budget()
    budget.request_stop()
    stopped = solve(PROBLEM, parameters, Monitor(budget))
    assert stopped.lfa_from == "paper"  # nothing was taken, so the paper's search stands in
    assert stopped.interrupted


def test_an_endless_first_stage_ends_with_the_budget(site: Path) -> None:
    parameters = bring_first(site, "while True: yield coarse_lfa(problem)")
    budget = Budget()
    counts = []

    def stop_at_ten(event: ProgressEvent) -> None:
        counts.append(event.rounds_done)
        if event.rounds_done == 10:
            budget.request_stop()

    result = solve(PROBLEM, parameters, Monitor(budget, stop_at_ten))
    assert result.rounds == 10
    assert result.interrupted
    assert counts[:11] == list(range(11))  # 0: the bound before the search


def test_a_first_stage_that_does_not_return_keeps_the_best_so_far(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plug_in_calls, "GRACE_SECONDS", 0.0)
    parameters = bring_first(site, "yield coarse_lfa(problem); threading.Event().wait()")
    budget = Budget()

    def stop_at_one(event: ProgressEvent) -> None:
        if event.rounds_done == 1:
            budget.request_stop()

    result = solve(PROBLEM, parameters, Monitor(budget, stop_at_one))
    assert result.schedule.lfa == coarse_lfa(PROBLEM)
    assert result.lfa_from == "mine"
    assert result.interrupted


FIRST_FAULTS = {
    "yield 5": "LFA number 1 is an object of type int (must be a soma_cp.model.soma.lfa.LFA)",
    "yield None": "LFA number 1 is nothing (must be",
    "yield LFA(())": "LFA number 1 is not valid: the first FLG must begin an LG",
    "yield coarse_lfa(problem); yield LFA((FLG(('conv1',), 1, True),))": "LFA number 2 is not valid: the LFA leaves",
    "yield unfused_lfa(problem.network, 10**30)": "LFA number 1 is not valid: the LFA makes 4",
    "yield unfused_lfa(problem.network, 1000)": "tiling_number=1000 of the FLG that begins with 'conv1' is too large",
    "yield LFA((FLG('conv1', 1, True),))": "has a field of another type (layers='conv1'); FLG takes",
    "yield LFA((FLG(('conv1',), 1.0, True),))": "has a field of another type ('float' object cannot be",
    "yield LFA((FLG(('conv1',), 1, 'no'),))": "has a field of another type (dram_cut='no')",
    "yield replace(coarse_lfa(problem), divisions=(('conv4', (64, 64)),))": "layer 'conv4' can't be divided into 64 +",
    "yield replace(coarse_lfa(problem), divisions=(('conv4', 128),))": "has a field of another type ('int' object",
    "return 5": "failed: TypeError: 'int' object is not iterable; repair",
    "return []": "yielded no LFA; repair it, enlarge the buffer, or take another first stage",
    "yield coarse_lfa(problem); raise KeyError('k')": "failed: KeyError: 'k'; repair",
    "yield replace(coarse_lfa(problem), shared_loads=(SharedLoad('conv2', ''),))": "is not valid: ",
}


@pytest.mark.parametrize("body", FIRST_FAULTS)
def test_a_faulty_first_stage_is_named(site: Path, body: str) -> None:
    with pytest.raises(PlugInError) as raised:
        solve(PROBLEM, bring_first(site, body))
    message = str(raised.value)
    assert message.startswith("first stage 'mine' of package 'own-stages' 1.0")
    assert FIRST_FAULTS[body] in message
    assert "\n" not in message


def test_lfas_with_shared_loads_need_the_wide_space(site: Path) -> None:
    parameters = bring_first(site, "yield replace(coarse_lfa(problem), shared_loads=(SharedLoad('conv2', ''),))")
    with pytest.raises(PlugInError, match="LFA number 1 shares loads, which the paper's space does not have"):
        solve(PROBLEM, replace(parameters, space=Space.PAPER))


def test_lfas_with_divided_layers_need_the_wide_space(site: Path) -> None:
    parameters = bring_first(site, "yield replace(coarse_lfa(problem), divisions=(('conv4', (64, 64)),))")
    with pytest.raises(PlugInError, match="LFA number 1 divides layers, which the paper's space does not have"):
        solve(PROBLEM, replace(parameters, space=Space.PAPER))


def test_divided_layers_are_taken(site: Path) -> None:
    body = "yield unfused_lfa(problem.divided_as((Division('conv4', (64, 64)),)).network)"
    problem = replace(PROBLEM, platform=replace(PROBLEM.platform, pe_grid=2))
    assert solve(problem, bring_first(site, body)).schedule.lfa.divisions == (Division("conv4", (64, 64)),)


def test_lfas_that_do_not_fit_are_passed_over(site: Path) -> None:
    fused = LFA((replace(coarse_lfa(PROBLEM).flgs[0], layers=coarse_lfa(PROBLEM).computing_order),))
    plan = make_plan(PROBLEM, fused)
    small = replace(PROBLEM, platform=replace(PROBLEM.platform, gbuf_bytes=200 << 10))
    body = "yield LFA((FLG(coarse_lfa(problem).computing_order, 1, True),)); yield coarse_lfa(problem)"
    result = solve(small, bring_first(site, body))
    assert plan.dram_tensor_count > 0
    assert result.rounds == 2
    assert result.schedule.lfa == coarse_lfa(small)


def test_numbers_of_numpy_are_taken(site: Path) -> None:
    body = (
        "yield LFA(tuple(FLG(list(f.layers), np.int32(f.tiling_number), np.True_) for f in coarse_lfa(problem).flgs))"
    )
    flg = solve(PROBLEM, bring_first(site, body)).schedule.lfa.flgs[0]
    assert (type(flg.layers), type(flg.tiling_number), type(flg.dram_cut)) == (tuple, int, bool)


def test_the_examples_of_the_guide(site: Path) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", (DOCS / "plug-ins.md").read_text(encoding="utf-8"), re.DOTALL)
    codes = [text for language, text in blocks if language == "python"]
    points = "".join(
        re.sub(r"project.entry-points.\"(.*)\"", r"\1", text) for language, text in blocks if language == "toml"
    )
    modules = {code.removeprefix('"""').partition(".py:")[0]: code for code in codes}
    install(site, "my-stages", modules, points.replace('"', ""))
    problem = replace(PROBLEM, batch=4)
    result = solve(problem, SolveParameters(first_stage="even-tiles", second_stage="shortest-lives"))
    assert result.rounds == 3  # 1, 2 and 4 tiles
    assert result.best.method == "shortest-lives"
    assert result.schedule.latency > priced(result.schedule.plan, greedy_dlsa(result.schedule.plan)).latency


# The command line.


def test_an_unknown_stage_is_answered_with_all_names(site: Path, run: Run) -> None:
    bring_second(site, "return greedy_dlsa(plan)")
    outcome = run("solve", "--net", "tiny-chain", "--stage2", "mien")
    assert_refused(outcome, "no second stage is called 'mien' (there are cpsat, sa, greedy, none, mine)")
    assert outcome.err.rstrip().endswith("; did you mean 'mine'?")
    for command in ("solve", "compare"):
        outcome = run(command, "--net", "tiny-chain", "--lfa", "papre")
        assert_refused(
            outcome,
            "no first stage is called 'papre' (there are greedy, paper, cocco, cocco-ga); did you mean 'paper'?",
        )


def test_a_failing_package_ends_with_exit_code_2(site: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    bring_second(site, "return plan.nothing")
    command = ("solve", "--net", "tiny-chain", "--stage2", "mine", "--time-limit", 5)
    assert_refused(run(*command), "second stage 'mine' of package 'own-stages' 1.0 failed: AttributeError: ")
    monkeypatch.setenv("SOMA_CP_TRACEBACK", "1")
    outcome = run(*command)
    assert "return plan.nothing" in outcome.err
    assert outcome.code == 2


def test_help_lists_the_built_in_names_alone(site: Path, run: Run) -> None:
    bring_second(site, "return greedy_dlsa(plan)")
    text = run("solve", "--help").out
    assert all(name in text for name in (*FIRST_STAGE_KIND.built_in, *SECOND_STAGE_KIND.built_in))
    assert "mine" not in text


def test_a_package_can_not_replace_a_built_in_stage(site: Path) -> None:
    install(site, "sly", {}, f"[{SECOND_STAGE_KIND.group}]\ngreedy = nowhere:make\n")
    assert second_stage(SecondStage.GREEDY).plug_in is None
    assert SECOND_STAGE_KIND.installed == []


def test_broken_packages(site: Path) -> None:
    install(
        site,
        "broken",
        {"broken_stages": "NUMBER = 5\n"},
        f"[{FIRST_STAGE_KIND.group}]\na = nowhere:make\nb = broken_stages:NUMBER\n",
    )
    with pytest.raises(UserError, match="first stage 'a' of package 'broken' can't be loaded: ModuleNotFoundError"):
        first_stage("a")
    with pytest.raises(UserError, match=r"is not callable \(must be a function of a problem and a monitor\)"):
        first_stage("b")
