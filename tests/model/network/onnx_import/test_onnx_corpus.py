"""Known architectures: the imported network has the multiply-accumulates and bytes of an independent count."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
from support.onnx_corpus.cases import CASES, Case
from support.onnx_count import Counts, counted

from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.layers import Conv
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.errors import OnnxFileError
from soma_cp.model.network.onnx_import.importing import import_onnx
from soma_cp.model.problem import Problem
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.validity import violations
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import solve

IMPORTED = [name for name, case in CASES.items() if not case.refused]
REFUSED = [name for name, case in CASES.items() if case.refused]
SOLVED = ("mobilenet-v3", "densenet", "convnext", "vit", "gpt2", "t5-encoder")
GREEDY = SolveParameters(
    second_stage=SecondStage.GREEDY, search=LFASearchParameters(rounds=40, chains=1), threads=1, prove_seconds=0
)


def import_case(case: Case, folder: Path, ends: tuple[str, ...] = (), types: str = "int8") -> Network:
    path = folder / "net.onnx"
    path.write_bytes(case.build().model().SerializeToString())
    return import_onnx(path, case.extents, ends=ends or case.ends, types=types).network


def figures(network: Network) -> Counts:
    """The figures of a network; weights that layers share count once."""
    matrices = [layer for layer in network.layers if isinstance(layer, Conv)]
    stored = {layer.weights or layer.name: layer.weight_bytes for layer in matrices}
    outputs = [layer for layer in network.layers if layer.name in network.outputs]
    return Counts(
        macs=network.operations[0],
        weights=sum(stored.values()),
        inputs=sum(source.shape[0] * source.shape[1] * source.shape[2] for source in network.inputs),
        outputs=sum(layer.K * layer.H * layer.W for layer in outputs),
    )


def count(case: Case, ends: tuple[str, ...] = ()) -> Counts:
    return counted(case.build().model(with_stated=True), case.extents, ends or case.ends)


def test_there_are_enough_architectures() -> None:
    assert len({case.build for case in CASES.values()}) >= 40


@pytest.mark.parametrize("name", IMPORTED)
def test_figures_are_those_of_an_independent_count(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    expected = asdict(count(case))
    for figure, (more, _) in case.apart.items():
        expected[figure] += more
    assert asdict(figures(import_case(case, tmp_path))) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_its_node_and_its_ends_work(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    with pytest.raises(OnnxFileError, match=case.refused) as error:
        import_case(case, tmp_path)
    ends = tuple(re.findall(r"--end (\S+?)[,;.]?(?=\s|$)", str(error.value)))
    ends = tuple(end for end in ends if end != "NODE")
    if "--end" in case.refused:
        assert ends
    if ends:
        names = {node.name.lstrip("/"): node.name for node in case.build().nodes}  # as messages name nodes
        nodes = tuple(names.get(end, end) for end in ends)
        assert figures(import_case(case, tmp_path, ends)).macs == count(case, nodes).macs > 0


@pytest.mark.parametrize("name", SOLVED)
def test_a_schedule_is_found_and_valid(name: str, tmp_path: Path) -> None:
    result = solve(Problem(import_case(CASES[name], tmp_path), PLATFORMS["edge"]), GREEDY)
    plan, dlsa = result.schedule.plan, result.schedule.dlsa
    assert not violations(plan, dlsa)
    assert evaluate(plan, dlsa).latency == result.schedule.latency > 0
