"""Genomes of the genetic search (kernels; docs/cocco.md#the-genetic-search).

A genome is int64[L]: P(layer), the number of the layer's group. It is valid if P(u) ≤ P(v) for each layer v that reads
u, and if every group may be one (`group_pricing.is_one_group`); numbers are 0, 1, … without gaps. Groups run in the
order of their numbers, layers within in that of the network, which is topological. Operators may leave any numbers
behind: `make_valid` divides what can't be one group, and numbers the groups anew.
"""

import numpy as np

from soma_cp.annealing.cocco.group_pricing import touch
from soma_cp.annealing.first_stage.groups import pick
from soma_cp.model.arrays import BoolArray, IntArray
from soma_cp.model.compiled import compiled, in_place
from soma_cp.model.network.network_table import NetworkTable
from soma_cp.model.soma.lfa import LFAArrays


@in_place
def fill_joins(table: NetworkTable, apart: IntArray, joins: BoolArray) -> None:
    """Fill bool[L, L]: whether two layers may be in one group, and are connected directly."""
    for one in range(len(joins)):
        for other in range(len(joins)):
            joins[one, other] = one != other and apart[one] == apart[other] and touch(table, one, other)


@compiled
def make_valid(table: NetworkTable, joins: BoolArray, genome: IntArray) -> int:
    """Make a genome valid; return the number of its groups.

    Groups fall into parts that are connected. Of the parts whose producers have all run, that of the lowest number runs
    next. If there is none, parts read one another: then the first layer that has not run does, and with it what is
    connected with it in its part and waits for no other part.
    """
    size = len(genome)
    part = np.full(size, -1, np.int64)
    number = np.full(size, -1, np.int64)
    # There are at most 2L parts in all. A part that is cut goes; one of its pieces runs, the others are parts. With n
    # parts at first, c cuts and r other groups, the pieces that wait are as many as c + r − n, and c + r ≤ L.
    ready = np.zeros(2 * size, np.bool_)  # by part
    group_of = np.zeros(2 * size, np.int64)  # by part, the number of its group before
    eligible = np.ones(size, np.bool_)
    stack = np.zeros(size, np.int64)
    parts = 0
    for layer in range(size):
        if part[layer] < 0:
            group_of[parts] = genome[layer]
            _spread(joins, genome, eligible, layer, parts, part, stack)
            parts += 1
    left, groups = size, 0
    while left > 0:
        for n in range(parts):
            ready[n] = False
        for layer in range(size):
            if number[layer] < 0:
                ready[part[layer]] = True
        for layer in range(size):
            if number[layer] < 0 and not _has_run(table, number, part, layer):
                ready[part[layer]] = False
        chosen = -1
        for n in range(parts):
            if ready[n] and (chosen < 0 or group_of[n] < group_of[chosen]):
                chosen = n
        if chosen < 0:
            chosen, parts = _cut_part(table, joins, number, part, group_of, eligible, stack, parts)
        for layer in range(size):
            if part[layer] == chosen and number[layer] < 0:
                number[layer] = groups
                left -= 1
        groups += 1
    for layer in range(size):
        genome[layer] = number[layer]
    return groups


@in_place
def _spread(
    joins: BoolArray, key: IntArray, eligible: BoolArray, first: int, mark: int, part: IntArray, stack: IntArray
) -> None:
    """Mark in `part` all that is connected with the layer `first` by eligible layers of the same key."""
    part[first] = mark
    stack[0] = first
    count, done = 1, 0
    while done < count:
        layer = stack[done]
        done += 1
        for other in range(len(key)):
            if joins[layer, other] and eligible[other] and key[other] == key[first] and part[other] != mark:
                part[other] = mark
                stack[count] = other
                count += 1


@in_place
def _has_run(table: NetworkTable, number: IntArray, part: IntArray, layer: int) -> bool:
    """Whether all that a layer reads has run, or is in its part."""
    for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
        source = table.source[edge]
        if source >= 0 and number[source] < 0 and part[source] != part[layer]:
            return False
    return True


@compiled
def _cut_part(
    table: NetworkTable,
    joins: BoolArray,
    number: IntArray,
    part: IntArray,
    group_of: IntArray,
    eligible: BoolArray,
    stack: IntArray,
    parts: int,
) -> tuple[int, int]:
    """Cut the part of the first layer that has not run; return the part that can run, and the number of parts."""
    size = len(part)
    first = 0
    while number[first] >= 0:
        first += 1
    old = part[first]
    waits = np.zeros(size, np.bool_)
    for layer in range(size):  # in topological order
        if part[layer] != old or number[layer] >= 0:
            continue
        waits[layer] = not _has_run(table, number, part, layer)
        for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
            source = table.source[edge]
            waits[layer] = waits[layer] or (source >= 0 and part[source] == old and waits[source])
    before = part.copy()
    for layer in range(size):
        eligible[layer] = before[layer] == old and not waits[layer]
    group_of[parts] = group_of[old]
    _spread(joins, before, eligible, first, parts, part, stack)
    chosen = parts
    parts += 1
    for layer in range(size):  # what is left of the part may be connected no more
        eligible[layer] = part[layer] == old
    for layer in range(size):
        if part[layer] == old:
            group_of[parts] = group_of[old]
            _spread(joins, before, eligible, layer, parts, part, stack)
            parts += 1
    for layer in range(size):
        eligible[layer] = True
    return chosen, parts


@compiled
def write_genome(genome: IntArray, lfa: LFAArrays) -> None:
    """Write a valid genome as an LFA whose FLGs are LGs."""
    size = len(genome)
    place = np.zeros(size + 1, np.int64)
    for layer in range(size):
        place[genome[layer] + 1] += 1
    for n in range(size):
        place[n + 1] += place[n]
    for at in range(size):
        lfa.begins_flg[at] = lfa.begins_lg[at] = False
    for n in range(size):
        if place[n] < size:  # groups past the last have none of their own
            lfa.begins_flg[place[n]] = lfa.begins_lg[place[n]] = True
    for layer in range(size):
        lfa.order[place[genome[layer]]] = layer
        place[genome[layer]] += 1


@compiled
def draw_genome(joins: BoolArray, table: NetworkTable, genome: IntArray, random: np.random.Generator) -> None:
    """Draw a genome: each layer joins, or begins, any group that keeps the genome valid so far."""
    size = len(genome)
    open_to = np.zeros(size + 1, np.bool_)
    groups = 0
    for layer in range(size):
        least = 0
        for edge in range(table.source_begin[layer], table.source_begin[layer + 1]):
            if table.source[edge] >= 0:
                least = max(least, genome[table.source[edge]])
        for n in range(groups + 1):
            open_to[n] = n == groups
        for other in range(layer):
            if joins[layer, other] and genome[other] >= least:
                open_to[genome[other]] = True
        count = 0
        for n in range(groups + 1):
            count += 1 if open_to[n] else 0
        left = pick(count, random)
        n = 0
        while not (open_to[n] and left == 0):
            left -= 1 if open_to[n] else 0
            n += 1
        genome[layer] = n
        groups = max(groups, n + 1)


@in_place
def cross(mother: IntArray, father: IntArray, child: IntArray, random: np.random.Generator) -> None:
    """Fill `child` with groups of its parents.

    Layer by layer, one that is not decided takes a parent's group. Where layers of that group are decided already, the
    others become a group of their own, or join that of one of the decided ones.
    """
    size = len(child)
    for layer in range(size):
        child[layer] = -1
    groups = 0
    for layer in range(size):
        if child[layer] >= 0:
            continue
        parent = mother if random.random() < 0.5 else father
        decided = 0
        for other in range(size):
            decided += 1 if parent[other] == parent[layer] and child[other] >= 0 else 0
        number = groups
        if decided > 0 and random.random() < 0.5:
            left = pick(decided, random)
            for other in range(size):
                if parent[other] == parent[layer] and child[other] >= 0:
                    if left == 0:
                        number = child[other]
                    left -= 1
        for other in range(size):
            if parent[other] == parent[layer] and child[other] < 0:
                child[other] = number
        groups = max(groups, number + 1)


@in_place
def free_odd_numbers(genome: IntArray) -> None:
    """Double all numbers, so that each group has a free one after its own."""
    for layer in range(len(genome)):
        genome[layer] *= 2


@in_place
def mutate(joins: BoolArray, genome: IntArray, random: np.random.Generator) -> None:
    """Move a layer to another group or one of its own, cut a group in two or three, or merge two, each a third."""
    size = len(genome)
    free_odd_numbers(genome)
    layer = pick(size, random)
    drawn = random.random()
    if drawn < 1 / 3:
        other = _connected_elsewhere(joins, genome, layer, random)
        genome[layer] = genome[other] if other >= 0 and random.random() < 0.5 else genome[layer] + 1
    elif drawn < 2 / 3:
        _cut_group_after(genome, layer)
        if random.random() < 0.5:
            free_odd_numbers(genome)
            _cut_group_after(genome, pick(size, random))
    else:
        other = _connected_elsewhere(joins, genome, layer, random)
        if other >= 0:
            taken, kept = max(genome[layer], genome[other]), min(genome[layer], genome[other])
            for one in range(size):
                if genome[one] == taken:
                    genome[one] = kept


@in_place
def _cut_group_after(genome: IntArray, layer: int) -> None:
    """Let the layers after `layer` in its group be a group of their own."""
    for other in range(layer + 1, len(genome)):
        if genome[other] == genome[layer]:
            genome[other] += 1


@in_place
def _connected_elsewhere(joins: BoolArray, genome: IntArray, layer: int, random: np.random.Generator) -> int:
    """Draw a layer of another group that is connected with `layer`; −1 if there is none."""
    count = 0
    for other in range(len(genome)):
        count += 1 if joins[layer, other] and genome[other] != genome[layer] else 0
    if count == 0:
        return -1
    left = pick(count, random)
    other = 0
    while not (joins[layer, other] and genome[other] != genome[layer] and left == 0):
        left -= 1 if joins[layer, other] and genome[other] != genome[layer] else 0
        other += 1
    return other
