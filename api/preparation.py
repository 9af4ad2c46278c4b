"""Loads what a run needs before its clock starts: machine code of the kernels, and the solver."""

import threading
from importlib import import_module

from soma_cp.solver.choices import SecondStage
from soma_cp.solver.parameters import SolveParameters

_LOCK = threading.Lock()


def prepare(*runs: SolveParameters) -> None:
    """Compile or load the kernels that runs with these parameters call; threads wait for one another.

    Parameters
    ----------
    runs
        How to solve; without any, only what prices a schedule is prepared.
    """
    with _LOCK:
        # Imported late: they load numba.
        if not runs:
            from soma_cp.solver.pricing_warm_up import warm_up_pricing

            warm_up_pricing()
            return
        from soma_cp.solver.warm_up import warm_up

        if any(run.second_stage == SecondStage.CPSAT for run in runs):
            import_module("soma_cp.solver.second_stage.exact")
        warm_up(*runs)
