"""Divisions of layers by output channels, and random LFAs of networks with divided layers."""

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from unittest.mock import patch

from soma_cp.model.errors import UserError
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.network.layers import Conv, GroupConv
from soma_cp.model.network.network import Division, Network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA, LFAError, SharedLoad
from soma_cp.model.soma.plan import Plan, make_plan


def divisions_of(channels: int, granule: int) -> Iterator[tuple[int, ...]]:
    """Yield the channels of the parts of every division, in one order only, of which (channels,) is none."""
    granules, rest = divmod(channels, granule)
    for beside in range(granules + 1) if rest else [0]:
        first = (rest + beside * granule,) if rest else ()
        for counts in _partitions(granules - beside, granules - beside):
            parts = (*first, *(count * granule for count in counts))
            if len(parts) > 1:
                yield parts


def _partitions(number: int, largest: int) -> Iterator[tuple[int, ...]]:
    """Yield the ways to write a number as a sum of numbers that do not rise."""
    if number == 0:
        yield ()
    for first in range(min(number, largest), 0, -1):
        for others in _partitions(number - first, first):
            yield (first, *others)


def divisible(network: Network) -> list[Conv]:
    """Return the layers that may be divided, as far as their kind goes."""
    return [
        layer
        for layer in network.layers
        if isinstance(layer, Conv) and not isinstance(layer, GroupConv) and not layer.weight_operands
    ]


def every_division(problem: Problem, most_parts: int) -> Iterator[tuple[Division, ...]]:
    """Yield the divisions of the network's layers, that of none first; no layer has more than so many parts."""
    options = [
        [(), *((Division(layer.name, parts),) for parts in divisions_of(layer.K, problem.core_array.granule))]
        for layer in divisible(problem.network)
    ]
    for chosen in itertools.product(*options):
        divisions = tuple(itertools.chain.from_iterable(chosen))
        if all(len(division.channels) <= most_parts for division in divisions):
            yield divisions


def random_divided_plan(problem: Problem, rng: random.Random) -> Plan | None:
    """Return a plan in which some layers are divided and some loads are shared; None if the LFA that is drawn fails."""
    divisions = _random_divisions(problem, rng)
    lfa = replace(_random_lfa(problem.divided_as(divisions).network, rng), divisions=divisions)
    try:
        plan = make_plan(problem, lfa)
    except UserError:  # a tiling number is too large, or the core array can't run a tile
        return None
    for layer in plan.problem.network.layers:
        for source in (*layer.ifmaps, *layer.weight_operands, *layer.inputs):
            if rng.random() < 0.5:
                with suppress(LFAError):  # no other reader may share it
                    lfa = replace(plan.lfa, shared_loads=(*plan.lfa.shared_loads, SharedLoad(layer.name, source)))
                    plan = make_plan(problem, lfa)
    return plan


SMALL_PARTS = (("published", 1), ("published", 2), ("published", 3), ("roofline", 1))
"""Core arrays, and granules by which layers of few channels can be divided."""


@contextmanager
def small_parts(problem: Problem, core_array: tuple[str, int], seed: int) -> Iterator[Plan | None]:
    """Within the block a core array has another granule; yield what `random_divided_plan` draws for it."""
    name, granule = core_array
    with patch.object(PublishedCoreArray, "granule", granule):
        problem = replace(problem, platform=replace(problem.platform, core_array=name))
        yield random_divided_plan(problem, random.Random(seed))


def _random_divisions(problem: Problem, rng: random.Random) -> tuple[Division, ...]:
    """Draw divisions of layers of few channels, into at most four parts."""
    chosen = []
    for layer in divisible(problem.network):
        options = list(divisions_of(layer.K, problem.core_array.granule)) if layer.K <= 16 else []
        options = [parts for parts in options if len(parts) <= 4]
        if options and rng.random() < 0.7:
            parts = list(rng.choice(options))
            rng.shuffle(parts)
            chosen.append(Division(layer.name, tuple(parts)))
    return tuple(chosen)


def _random_lfa(network: Network, rng: random.Random) -> LFA:
    order: list[str] = []
    left = list(network.layers)
    while left:
        layer = rng.choice([one for one in left if {*one.ifmaps, *one.weight_operands} <= set(order)])
        left.remove(layer)
        order.append(layer.name)
    flgs: list[FLG] = []
    for name in order:
        if flgs and rng.random() < 0.6:
            flgs[-1] = replace(flgs[-1], layers=(*flgs[-1].layers, name))
        else:
            flgs.append(FLG((name,), rng.choice([1, 1, 2, 3, 4, 6]), not flgs or rng.random() < 0.4))
    return LFA(tuple(flgs))
