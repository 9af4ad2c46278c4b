"""Divides a run of tests among processes, and compiles the kernels for them.

A run of folders has one worker of pytest-xdist for each core. A run of named files or of a keyword has none, since
starting workers takes longer than such a run; ``-n 0`` or ``-n 4`` override this. Before the workers of a run begin,
one process compiles all kernels while they collect, so that no two workers compile the same kernel.
"""

import subprocess
import sys
from typing import Any

import pytest

COMPILE = "from soma_cp.solver.warm_up import warm_up; warm_up()"
COMPILATION = pytest.StashKey["subprocess.Popen[bytes]"]()


def divides_by_itself(config: pytest.Config) -> bool:
    """Return whether whole folders run, and the command line does not give the number of processes."""
    if hasattr(config, "workerinput") or not config.pluginmanager.has_plugin("xdist"):
        return False
    option = config.option
    folders = any((config.invocation_params.dir / argument).is_dir() for argument in config.args)
    return folders and not option.keyword and option.numprocesses is None and option.dist == "no" and not option.tx


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Set the options that xdist reads next."""
    if divides_by_itself(config):
        config.option.numprocesses = "auto"
        config.option.dist = "worksteal"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start to compile; the process that starts the workers does this."""
    if session.config.pluginmanager.has_plugin("dsession"):
        session.config.stash[COMPILATION] = subprocess.Popen([sys.executable, "-c", COMPILE])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    """Wait for the kernels before any worker begins."""
    node.config.stash[COMPILATION].wait()
