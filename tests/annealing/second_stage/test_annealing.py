"""Whole runs of the second stage."""

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.annealing_cases import SEEDS, UNLIMITED, close, weighted_usage
from support.twins import Pair, examples, pairs, with_buffer

from soma_cp.annealing.monitor import Monitor
from soma_cp.annealing.progress import ProgressEvent
from soma_cp.annealing.second_stage.annealing import AnnealingParameters, anneal_dlsas
from soma_cp.annealing.second_stage.greedy import greedy_dlsa
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.footprint import BufferTooSmallError, least_peak_bytes
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.validity import violations

QUICK_DLSAS = AnnealingParameters(rounds_per_tensor=50)


def test_annealing_betters_double_buffering_and_then_smooths_the_buffer(resnet_plan: Plan) -> None:
    doubled = evaluate(resnet_plan, double_buffering(resnet_plan.tensors))
    rough = anneal_dlsas(resnet_plan, np.random.default_rng(1), parameters=replace(QUICK_DLSAS, smooth_buffer=False))
    smooth = anneal_dlsas(resnet_plan, np.random.default_rng(1), parameters=QUICK_DLSAS)
    for found, rounds in ((rough, 50), (smooth, 100)):
        assert violations(resnet_plan, found.dlsa) == []
        assert found.latency == evaluate(resnet_plan, found.dlsa).latency < doubled.latency
        assert found.rounds == rounds * resnet_plan.dram_tensor_count
    assert smooth.latency <= rough.latency
    assert weighted_usage(resnet_plan, smooth.dlsa) < weighted_usage(resnet_plan, rough.dlsa)


@examples(25)
@given(pairs(), SEEDS, st.data())
def test_annealed_dlsas_are_valid_within_any_capacity_that_some_dlsa_fits(
    pair: Pair, seed: int, data: st.DataObject
) -> None:
    plan = pair.plan
    least = least_peak_bytes(plan)
    doubled = evaluate(plan, double_buffering(plan.tensors))
    capacity = data.draw(st.sampled_from([least, (least + doubled.peak_buffer_bytes) // 2, UNLIMITED]))
    random = np.random.default_rng(seed)
    quick = AnnealingParameters(rounds_per_tensor=10)
    plan = with_buffer(plan, capacity)
    found = anneal_dlsas(plan, random, parameters=quick)
    assert violations(plan, found.dlsa) == []
    assert found.latency == evaluate(plan, found.dlsa).latency
    first = doubled if doubled.peak_buffer_bytes <= capacity else evaluate(plan, greedy_dlsa(plan))
    assert found.latency <= first.latency
    with pytest.raises(BufferTooSmallError):
        anneal_dlsas(with_buffer(plan, least - 1), random, parameters=quick)


def test_progress_of_the_second_stage(resnet_plan: Plan) -> None:
    events: list[ProgressEvent] = []
    monitor = Monitor(progress=events.append, iteration=3)
    found = anneal_dlsas(resnet_plan, np.random.default_rng(0), parameters=QUICK_DLSAS, monitor=monitor)
    done = [event.rounds_done for event in events]
    costs = [event.best_cost for event in events]
    assert done == sorted(set(done))
    assert costs == sorted(costs, reverse=True)
    assert done[-1] == events[-1].rounds == found.rounds
    assert {event.iteration for event in events} == {3}
    assert costs[-1] == close(evaluate(resnet_plan, found.dlsa).edp)
