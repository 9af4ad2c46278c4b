"""Profiles of hypothesis for all tests, and what several files need; ``support/division.py`` divides a run.

========  =========================  ==============================================================
profile   examples of a plain test   for
========  =========================  ==============================================================
quick     20                         every run: the same at each, so a red test stays red
thorough  1000                       new ones at each run: ``pytest --hypothesis-profile=thorough``
========  =========================  ==============================================================

A test that sets its number of examples sets it for a profile of 100; the profiles scale it: see `examples` in
``support/twins.py``.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from support import forked
from support.division import pytest_cmdline_main, pytest_sessionstart, pytest_xdist_node_collection_finished

from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.annealing.first_stage.paper_search import anneal_lfas
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.plan import Plan, make_plan

__all__ = ["pytest_cmdline_main", "pytest_sessionstart", "pytest_xdist_node_collection_finished", "resnet_plan"]

settings.register_profile("quick", derandomize=True, deadline=None, max_examples=20)
settings.register_profile("thorough", derandomize=False, deadline=None, max_examples=1000, print_blob=True)
settings.load_profile("quick")


@pytest.fixture(scope="session")
def resnet_plan() -> Plan:
    """ResNet-50 on edge, with the LFA that the paper's first stage finds."""
    problem = Problem(builtin_network("resnet50"), PLATFORMS["edge"])
    found = anneal_lfas(problem, initial_lfa(problem), problem.platform.gbuf_bytes, np.random.default_rng(0))
    return make_plan(problem, found.lfa)


@pytest.fixture(scope="session")
def command_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The address of a process that runs `soma-cp` in forks."""
    address = tmp_path_factory.mktemp("server") / "socket"
    with forked.server(address):
        yield address
