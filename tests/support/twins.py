"""Converts the documents and records of the plain-Python twins to the package's objects and back.

A `Pair` is a twin's plan and the package's plan of the same LFA; `pairs` draws one. DRAM tensors are matched by what
identifies them in schedule files: kind, layer, tile, source.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np
from hypothesis import reject, settings

from soma_cp.model.hardware.fields import FIELDS
from soma_cp.model.hardware.platform_file import platform_from_document
from soma_cp.model.network.network import Division
from soma_cp.model.network.network_file import network_from_document
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.lfa import FLG, LFA, SharedLoad
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.validity import Rule
from support import slow_model
from support.slow_core_array import NoMapping
from support.slow_model import Record, SlowDLSA, SlowPlan
from support.strategies import Case, cases

RULE_OF_TWIN = {
    Rule.PERMUTATION: "tensors",
    Rule.START_RANGE: "domain",
    Rule.FIXED_START: "domain",
    Rule.FIXED_END: "domain",
    Rule.END_RANGE: "domain",
    Rule.SPACE: "1a",
    Rule.DEADLOCK: "1b",
    Rule.DATA: "2",
    Rule.CAPACITY: "3",
}
"""The package's rules by the numbers under which the twin reports them."""


class Pair(NamedTuple):
    """Two plans of one LFA, and what both are made of."""

    case: Case
    slow: SlowPlan
    plan: Plan


def examples(count: int) -> settings:
    """Ask for `count` examples in a hypothesis profile of 100, fewer or more in others (see ``conftest.py``)."""
    return settings(max_examples=max(1, count * settings().max_examples // 100))


def problem_of(network: dict, batch: int, hardware: dict) -> Problem:
    return Problem(network_from_document(network, "network"), platform_from_document(hardware, "hardware"), batch)


def problem_of_case(case: Case) -> Problem:
    return problem_of(case.network, case.batch, case.hardware)


def lfa_of(document: dict) -> LFA:
    flgs = tuple(FLG(tuple(flg["layers"]), flg["tiling_number"], flg["dram_cut"]) for flg in document["flgs"])
    shares = tuple(SharedLoad(share["layer"], share["source"]) for share in document.get("shared_loads", []))
    parts = (Division(one["layer"], tuple(one["channels"])) for one in document.get("divisions", []))
    return LFA(flgs, shares, tuple(parts), document.get("passes", {"count": 1})["count"])


LARGEST_BUFFER = next(field.kind.most for field in FIELDS if field.name == "gbuf_bytes")


def with_buffer(plan: Plan, gbuf_bytes: int) -> Plan:
    """Return the plan with that buffer, but at most the largest that is allowed; the costs of tiles stay."""
    platform = replace(plan.problem.platform, gbuf_bytes=min(gbuf_bytes, LARGEST_BUFFER))
    return replace(plan, problem=replace(plan.problem, platform=platform))


def pair_of(case: Case) -> Pair:
    """Plan a case twice; raise what the twin raises."""
    return Pair(case, slow_model.plan(*case), make_plan(problem_of_case(case), lfa_of(case.lfa)))


def dlsa_of(plan: Plan, records: Sequence[Record]) -> DLSA:
    """Return the DLSA of records, each of which names a DRAM tensor of `plan`."""
    index = {plan.tensor_key(i): i for i in range(plan.dram_tensor_count)}
    dlsa = DLSA(
        np.array([index[record.key] for record in records], np.int64),
        np.zeros(plan.dram_tensor_count, np.int64),
        np.zeros(plan.dram_tensor_count, np.int64),
    )
    for record in records:
        dlsa.start[index[record.key]] = record.start
        dlsa.end[index[record.key]] = record.end
    return dlsa


def records_of(plan: Plan, dlsa: DLSA) -> SlowDLSA:
    """Return the rows of a DLSA in DRAM Tensor Order."""
    return [
        Record(*plan.tensor_key(i), int(plan.tensors.bytes[i]), int(dlsa.start[i]), int(dlsa.end[i]))
        for i in dlsa.order.tolist()
    ]


def shortest_lives(slow: SlowPlan) -> SlowDLSA:
    """Return every DRAM tensor with the shortest duration that its ranges allow, in creation order."""
    return [
        Record(*tensor.key, tensor.bytes, tensor.start_range[1], tensor.end_range[0]) for tensor in slow.dram_tensors
    ]


@st.composite
def pairs(
    draw: Callable,
    max_layers: int = 6,
    max_tiling_number: int = 8,
    wide: bool = True,
    divides: bool = False,
    types: bool | None = None,
    passes: bool = False,
) -> Pair:
    """Draw a valid LFA of a random network on a random platform, planned twice.

    Without `wide`, it shares no loads; if `divides` is set, it may divide layers; with `passes`, it has several. Data
    may have types of their own, if `types` is given always or never.
    """
    case = draw(cases(max_layers, max_tiling_number, wide=wide, divides=divides, types=types, passes=passes))
    try:
        return pair_of(case)
    except NoMapping:
        reject()
