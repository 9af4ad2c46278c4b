"""What is stored with a schedule to make it again."""

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.provenance import LIBRARIES, provenance
from soma_cp.solver.solve import solve


def test_the_record_says_what_was_asked_for_and_what_came_of_it() -> None:
    problem = Problem(builtin_network("tiny-chain"), PLATFORMS["edge"])
    result = solve(problem, SolveParameters(seed=3, second_stage=SecondStage.GREEDY))
    record = provenance(result, 7.5)
    assert (record["seed"], record["stage2"], record["time_limit_seconds"]) == (3, "greedy", 7.5)
    assert record["second_stage"] == result.best.method
    assert record["libraries"].keys() == set(LIBRARIES)
    assert provenance(result, None) | {"time_limit_seconds": 7.5} == record
