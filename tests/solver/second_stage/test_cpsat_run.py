"""Runs of CP-SAT: a solver that does not stop in time, and the end of the process beside it."""

import subprocess
import sys

LEFT_BEHIND = """
import atexit
import threading
from ortools.sat.python import cp_model

def say():
    print("running at the end:", [thread.name for thread in threading.enumerate() if thread.name == "cp-sat"])

atexit.register(say)  # called last
from soma_cp.annealing.budget import Budget
from soma_cp.solver.parameters import CpSatParameters
from soma_cp.solver.second_stage import cpsat_run

cpsat_run.GRACE_SECONDS = 0.0
model = cp_model.CpModel()
begins = [model.new_int_var(0, 100_000, "") for _ in range(400)]
sizes = [5 + 37 * n % 45 for n in range(400)]
model.add_no_overlap(
    [model.new_fixed_size_interval_var(begin, size, "") for begin, size in zip(begins, sizes, strict=True)]
)
end = model.new_int_var(0, 200_000, "")
for n, begin in enumerate(begins):
    model.add(end >= begin + 91 * n % 500)
model.minimize(end)
stop, cp_model.CpSolver.stop_search = cp_model.CpSolver.stop_search, lambda solver: None
budget = Budget()
budget.request_stop()
run = cpsat_run.run_cpsat(model, CpSatParameters(workers=1), None, budget, lambda *_: None, 200_000)
cp_model.CpSolver.stop_search = stop
print(run.status, run.ended, run.objective)
"""


def test_the_process_waits_for_a_solver_that_is_left_behind() -> None:
    """A solver that calls the interpreter while that ends aborts it: "terminate called", exit code 134."""
    ended = subprocess.run([sys.executable, "-c", LEFT_BEHIND], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "did not stop in time; its last answer was dropped False None",
        "running at the end: []",
    ]
