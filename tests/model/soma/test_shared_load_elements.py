"""Shared loads and outputs element by element: no reader of another FLG misses an element, outputs are made whole."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from support.brute_lfas import every_lfa, plans_of
from support.elements import Box, cells, hull, made_boxes, touched_box
from support.twins import Pair, examples, pairs

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.layers import Conv, ExternalInput, Layer, Pool, Transpose, Upsample
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_file import network_document
from soma_cp.model.problem import Problem
from soma_cp.model.soma.plan import Plan


def elements_found(plan: Plan) -> int:
    """Assert that no element is missing; return how many readers find a source in the tiles of another FLG."""
    network, table, owner = network_document(plan.problem.network), plan.problem.table, plan.owners.edge
    layers, names = network["layers"], list(plan.problem.network.layer_id)
    made: dict[str, list[Box | None]] = {}
    for flg in plan.lfa.flgs:
        made |= made_boxes(network, plan.problem.batch, list(flg.layers), flg.tiling_number)
    for name in plan.problem.network.outputs:
        layer = layers[names.index(name)]
        assert len(cells(made[name])) == layer.get("H", 1) * layer.get("W", 1)
    found = 0
    for own in np.unique(owner[owner >= 0]).tolist():
        source = int(table.source[own])
        read = names[source] if source >= 0 else plan.problem.network.inputs[-1 - source].name
        readers = [names[i] for i in table.reader[owner == own].tolist()]
        touched = {
            name: [box and touched_box(network, layers[names.index(name)], read, box) for box in made[name]]
            for name in readers
        }
        flg = next(flg.layers for flg in plan.lfa.flgs if names[table.reader[own]] in flg.layers)
        tiles = zip(*(touched[name] for name in readers if name in flg), strict=True)
        held = cells([hull([box for box in boxes if box]) for boxes in tiles])
        for name in set(readers) - set(flg):
            assert cells(touched[name]) <= held
            found += 1
    return found


@examples(300)
@given(pairs(max_layers=5))
def test_no_element_is_missing_in_random_plans(pair: Pair) -> None:
    elements_found(pair.plan)


def conv(name: str, source: str = "x", **fields: int) -> Conv:
    where = {"inputs": (source,)} if source == "x" else {"ifmaps": (source,)}
    return Conv(name=name, C=1, K=1, **where, **fields)  # type: ignore[arg-type]


X = ExternalInput("x", (1, 4, 2))
WHOLE = conv("whole", H=4, W=2)
FORKS: dict[str, tuple[Layer, ...]] = {
    "windows": (conv("a", H=4, W=2, R=3, S=1), Pool(name="p", K=1, H=2, W=2, R=2, sH=2, inputs=("x",)), WHOLE),
    "skips": (conv("a", H=2, W=2, sH=2), WHOLE),
    "skips later": (conv("a", H=4, W=2), conv("b", "a", H=2, W=2, sH=2), WHOLE),
    "leaves out": (conv("a", H=3, W=2), WHOLE),
    "leaves out later": (conv("a", H=4, W=2), conv("b", "a", H=2, W=2, R=2), WHOLE),
    "dilated": (conv("a", H=2, W=2, R=2, dH=2), WHOLE),
    "turned": (
        Transpose(name="t", K=1, H=2, W=4, order="CWH", inputs=("x",)),
        Transpose(name="g", K=1, H=8, W=1, order="C**", ifmap=(1, 4, 2), inputs=("x",)),
        WHOLE,
    ),
    "larger": (
        Upsample(name="u", K=1, H=7, W=2, sH=2, inputs=("x",)),
        Transpose(name="s", K=1, H=3, W=2, order="ChW", ifmap=(1, 4, 2), inputs=("x",)),
    ),
}


@pytest.mark.parametrize("semantics", ["published", "corrected"])
@pytest.mark.parametrize("fork", FORKS)
def test_no_element_is_missing_in_any_lfa_of_a_fork(fork: str, semantics: str) -> None:
    platform = replace(PLATFORMS["edge"], semantics=semantics)
    problem = Problem(Network(fork, (X,), FORKS[fork]), platform)
    stride = 1 if len(FORKS[fork]) < 3 else 15  # three layers have thousands of LFAs
    plans = (
        plan for lfa in itertools.islice(every_lfa(problem), 0, None, stride) for plan in plans_of(problem, lfa, True)
    )
    assert sum(map(elements_found, plans)) > 0
