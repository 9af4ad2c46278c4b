"""Cocco's space by brute force: what it says of a group, and the cheapest double-buffered LFA in all of it."""

import itertools
import math
from collections.abc import Iterator, Sequence

import networkx as nx

from soma_cp.annealing.cocco.tiling_rules import TilingRule
from soma_cp.annealing.first_stage.initial_lfa import initial_lfa
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.network.network import Network
from soma_cp.model.objective import Objective
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.lfa import FLG, LFA, LFAError
from soma_cp.model.soma.plan import make_plan


def sources_of(network: Network, name: str) -> set[str]:
    """Return all that a layer reads, external inputs, too."""
    layer = network.layers[network.layer_id[name]]
    return {*layer.ifmaps, *layer.weight_operands, *layer.inputs}


def may_be_a_group(network: Network, names: Sequence[str]) -> bool:
    """Whether layers are connected, by an edge or by what both read, and of one kind: FCs and their pools apart."""
    graph = nx.Graph()
    graph.add_nodes_from(names)
    for one, other in itertools.combinations(names, 2):
        reads_one, reads_other = sources_of(network, one), sources_of(network, other)
        if one in reads_other or other in reads_one or reads_one & reads_other:
            graph.add_edge(one, other)
    return nx.is_connected(graph) and len({_fc_of(network, name) for name in names}) == 1


def _fc_of(network: Network, name: str) -> str:
    """Return the FC layer that `name` is, or that it is pooled for; empty if there is none."""
    for layer in network.layers:
        before = layer
        if layer.kind != "fc":
            continue
        if layer.name == name:
            return name
        while len(before.ifmaps) == 1:
            before = network.layers[network.layer_id[before.ifmaps[0]]]
            if before.kind != "pool":
                break
            if before.name == name:
                return layer.name
    return ""


def number_by_rule(network: Network, names: Sequence[str], own: dict[str, int], rule: TilingRule) -> int:
    """Return the Tiling Number of a group, from those of its layers."""
    read = set[str]().union(*(sources_of(network, name) for name in names))
    outputs = [name for name in names if name not in read]
    return max(own[name] for name in (names if rule is TilingRule.LARGEST else outputs))


def own_numbers(problem: Problem, capped: bool = True) -> dict[str, int]:
    return {flg.layers[0]: flg.tiling_number for flg in initial_lfa(problem, capped).flgs}


def every_cocco_lfa(problem: Problem, rule: TilingRule, sorted_groups: bool) -> Iterator[LFA]:
    """Yield every LFA of the space; with `sorted_groups`, those whose groups have the network's order alone."""
    network, own = problem.network, own_numbers(problem)
    names = [layer.name for layer in network.layers]
    for order in itertools.permutations(names):
        if any(not sources_of(network, name) - network.input_id.keys() <= {*order[:n]} for n, name in enumerate(order)):
            continue
        for cuts in itertools.product((False, True), repeat=len(order) - 1):
            begins = [0, *(n for n, cut in enumerate(cuts, start=1) if cut), len(order)]
            groups = [order[begin:end] for begin, end in itertools.pairwise(begins)]
            if sorted_groups and any(list(group) != sorted(group, key=names.index) for group in groups):
                continue
            if all(may_be_a_group(network, group) for group in groups):
                yield LFA(tuple(FLG(group, number_by_rule(network, group, own, rule), True) for group in groups))


def cheapest_cocco(problem: Problem, rule: TilingRule, sorted_groups: bool = False) -> tuple[float, int]:
    """Return the least cost of all double-buffered schedules that fit, and how many LFAs there are."""
    best, count = math.inf, 0
    for lfa in every_cocco_lfa(problem, rule, sorted_groups):
        count += 1
        try:
            plan = make_plan(problem, lfa)
        except (LFAError, NoMappingError):
            continue
        doubled = evaluate(plan, double_buffering(plan.tensors))
        if doubled.peak_buffer_bytes <= problem.platform.gbuf_bytes:
            best = min(best, Objective().cost(doubled.energy_pj, doubled.latency))
    return best, count
