"""Searches that several files look at."""

import pytest

import soma_cp as sc


@pytest.fixture(scope="session")
def branch() -> sc.Result:
    """The network tiny-branch on edge with a small buffer, solved; the same at each run."""
    small = sc.load_hardware("edge", buffer="256KiB")
    return sc.solve("tiny-branch", small, time_limit=None, seed=1, deterministic=True)
