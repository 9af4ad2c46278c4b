"""Passes over parts of the batch, in Python."""

import pickle
from pathlib import Path

import pytest

import soma_cp as sc


def test_a_search_in_passes() -> None:
    platform = sc.load_hardware("edge", buffer="160KiB")
    result = sc.solve("tiny-attention", platform, batch=8, passes=4, stage2="greedy", time_limit=20)
    assert result.schedule.lfa.passes == 4
    assert result.schedule.batch == 8
    assert result.schedule.network == sc.load_network("tiny-attention")
    assert result.bounds.cost <= result.schedule.energy_pj * result.schedule.latency_cycles


def test_an_lfa_in_passes_by_hand(tmp_path: Path) -> None:
    lfa = sc.make_lfa(["conv1", "conv2", "conv3", "conv4"], passes=2)
    made = sc.make_schedule("tiny-chain", "edge", batch=4, lfa=lfa)
    assert made.figures["passes"] == 2
    assert {transfer.layer for transfer in made.transfers} >= {"conv1", "conv1 (pass 2)"}
    assert sc.make_schedule("tiny-chain", "edge", batch=4, lfa=lfa, transfers=list(made.transfers)) == made
    assert pickle.loads(pickle.dumps(made)) == made
    made.save(tmp_path / "s.json")
    assert sc.read_schedule(tmp_path / "s.json") == made
    slower = sc.evaluate(made, hardware=sc.load_hardware("edge", dram="8GB/s"))
    assert (slower.schedule.lfa, slower.schedule.batch) == (lfa, 4)


def test_passes_that_are_refused() -> None:
    with pytest.raises(sc.UserError, match=r"passes='many' \(must be 'auto' or a divisor of the batch\)"):
        sc.solve("tiny-chain", passes="many")
    with pytest.raises(sc.UserError, match=r"^passes=3 \(must be auto or a divisor of the batch, 4\)"):
        sc.solve("tiny-chain", batch=4, passes=3)
    with pytest.raises(sc.UserError, match="passes=0"):
        sc.make_lfa(["conv1"], passes=0)
