"""What an FLG of the wide space needs of the buffer, and what parts elsewhere save: kernels.

`soma_cp.solver.every_lfa.wide_paths` has the theorem.
"""

from typing import NamedTuple

from soma_cp.model.arrays import FloatArray
from soma_cp.model.compiled import in_place
from soma_cp.model.soma.tensors import transfer_cycles
from soma_cp.solver.every_lfa.path_steps import MOST_NEEDS, fill_alive, is_open
from soma_cp.solver.every_lfa.wide_steps import (
    WideCase,
    WideEnd,
    WideInput,
    WideLayers,
    WideStep,
    least_share,
    per_byte,
)

SPARE_BYTES = 1e-3
"""Sums of shares of bytes are too small by less than this."""
MOST_WORTH = 1e5
"""Terms that cancel each other are at most so many times the costs of which they are made."""


class FLGSizes(NamedTuple):
    """Bytes that an FLG needs whatever its Tiling Number.

    Parameters
    ----------
    weights, least_weights
        Of all its layers; of those that are in it for certain.
    of_guests
        Weights of guests, which both have.
    found, least_found
        Sources that it does not load; what is held of them for certain.
    fine_kept
        Least bytes of kept layers, if there are more parts than are listed.
    fine
        Whether there may be.
    """

    weights: int
    least_weights: int
    of_guests: int
    found: int
    least_found: int
    fine_kept: int
    fine: bool


@in_place
def sizes_of(
    paths: WideInput,
    target: int,
    figures: WideEnd,
    counts: tuple[int, int, int],
    loaded: int,
    kept: int,
    step: WideStep,
    case: WideCase,
) -> FLGSizes:
    """Return the bytes that the FLG needs if it loads these sources; mark the layers of the mask `kept` as kept."""
    layers = paths.layers
    weights, least_weights, of_guests, fine_kept, fine = 0, 0, 0, 0, True
    for i in range(counts[0]):
        place, share = step.places[i], 1.0
        layer = figures.order[place]
        weight = figures.weights[place]
        weights += weight
        if step.capable[i]:
            share = layers.share[layer]
        if figures.guest[place]:
            of_guests += weight
        least_weights += int(weight * share) if step.capable[i] else weight
        case.kept[i] = is_open(paths.classes, target, layer, kept)
        if case.kept[i]:
            fine_kept += int(layers.fine_kept[layer] * share)
        fine &= figures.fine[place]
    found, least_found = 0, 0
    for n in range(counts[1]):
        if not loaded >> n & 1:
            whole = layers.whole[step.sources[n]]
            found += whole
            least_found += int(whole * least_share(layers, step.sources[n])) if case.divided[n] else whole
    return FLGSizes(weights, least_weights, of_guests, found, least_found, fine_kept, fine)


@in_place
def need_of(
    paths: WideInput,
    figures: WideEnd,
    counts: tuple[int, int, int],
    weights: int,
    loaded: int,
    kept: int,
    step: WideStep,
    case: WideCase,
) -> int:
    """Return the place of what the FLG needs, which is found if it is not known."""
    for at in range(case.needs[0]):
        if case.need_key[at, 0] == loaded and case.need_key[at, 1] == kept:
            return at
    return _fill_need(paths, figures, counts, weights, loaded, kept, step, case)


@in_place
def _fill_need(
    paths: WideInput,
    figures: WideEnd,
    counts: tuple[int, int, int],
    weights: int,
    loaded: int,
    kept: int,
    step: WideStep,
    case: WideCase,
) -> int:
    """Fill the bytes, but for residents and held sources, that the FLG needs at least with all channels in it.

    Return the place of the row in ``case.need``.
    """
    at = case.needs[0] if case.needs[0] < MOST_NEEDS else 0
    case.needs[0] = at + 1
    case.need_key[at, 0], case.need_key[at, 1] = loaded, kept
    size, options = counts[0], len(figures.number)
    for option in range(options):
        case.most[option] = case.first[option] = case.of_kept[option] = 0
        case.turn[option] = 0 if figures.gaps else paths.capacity
    for i in range(size):
        place = step.places[i]
        fill_alive(paths.depends, figures, counts, i, loaded, step, case)
        for option in range(options):
            case.most[option] = max(case.most[option], case.alive[option])
            case.first[option] = max(case.first[option], figures.weights[place] + case.alive[option])
        if case.kept[i]:
            for option in range(options):
                case.of_kept[option] += figures.held[place, option]
        if figures.last[place]:
            for option in range(options):
                case.turn[option] = min(case.turn[option], max(0, case.alive[option] - case.counted[option]))
    for option in range(options):
        number, made = figures.number[option], case.of_kept[option]
        at_tile = case.first[option] if number == 2 else weights + case.most[option] + (number - 2) * made
        case.at_turn[at, option] = weights + case.turn[option] + (number - 1) * made
        case.need[at, option] = max(at_tile, case.at_turn[at, option])
    return at


@in_place
def alone_tile(
    layers: WideLayers, figures: WideEnd, counts: tuple[int, int, int], loaded: int, step: WideStep, case: WideCase
) -> tuple[int, float, float]:
    """Return the bytes alive at the only tile of an FLG of one layer, and pJ and cycles of its loads."""
    alive = layers.alone[figures.order[step.places[0]]]
    energy, dram = 0.0, 0.0
    for at in range(counts[2]):
        n, moved = step.edges[at, 2], layers.alone_bytes[step.edges[at, 0]]
        source = step.sources[n]
        if not loaded >> n & 1:
            if case.divided[n]:
                alive += min(layers.whole[source], moved)
            continue
        alive += moved
        times = layers.times[source]
        energy += times * moved * layers.pj_per_byte[0]
        dram += times * transfer_cycles(moved, figures.rate)
    for n in range(counts[1]):
        if not (loaded >> n & 1 or case.divided[n]):
            alive += layers.whole[step.sources[n]]
    return alive, energy, dram


@in_place
def fine_loads(
    layers: WideLayers, figures: WideEnd, counts: tuple[int, int, int], loaded: int, step: WideStep
) -> tuple[float, float]:
    """Return pJ and cycles of the FLG's loads if there are more parts than are listed."""
    energy, dram = 0.0, 0.0
    for n in range(counts[1]):
        if loaded >> n & 1 == 0:
            continue
        moved = 0
        for at in range(counts[2]):
            if step.edges[at, 2] == n:
                moved = max(moved, layers.fine_bytes[step.edges[at, 0]])
        times = layers.times[step.sources[n]]
        energy += times * moved * layers.pj_per_byte[0]
        dram += times * transfer_cycles(moved, figures.rate)
    return energy, dram


@in_place
def list_reliefs(
    layers: WideLayers,
    figures: WideEnd,
    size: int,
    sources: int,
    loaded: int,
    option: int,
    step: WideStep,
    case: WideCase,
) -> tuple[int, float]:
    """List what may be elsewhere; return how many there are, and the most bytes that they take less in the buffer.

    Each has two ways: its channels elsewhere are loaded, if they may be in another LG, or held in whole.
    """
    items, most = 0, SPARE_BYTES
    number = figures.number[option]
    for n in range(sources):
        source = step.sources[n]
        share = least_share(layers, source)
        if loaded >> n & 1 or share == 1 or not case.divided[n]:
            continue
        step.item[items] = -1
        step.part[items] = 1 - share
        step.gain[items, 0] = step.gain[items, 1] = layers.whole[source]
        step.moved[items] = number * step.load[n, option]
        most += step.part[items] * step.gain[items, 0]
        items += 1
    for i in range(size):
        if not step.capable[i]:
            continue
        place = step.places[i]
        layer = figures.order[place]
        rounds = max(1, number - 1) if case.kept[i] else 1
        kept = figures.weights[place] + rounds * figures.held[place, option]
        step.item[items] = place
        step.part[items] = 1 - layers.share[layer]
        step.gain[items, 1] = kept if figures.last[place] and not case.kept[i] else kept - layers.whole[layer]
        step.gain[items, 0] = kept if case.early[i] else step.gain[items, 1]
        step.moved[items] = 0 if figures.last[place] else number * figures.read[place, option]
        most += step.part[items] * kept
        items += 1
    return items, most


@in_place
def cost_of_division(
    excess: int,
    most: float,
    multipliers: FloatArray,
    mark: int,
    layers: WideLayers,
    figures: WideEnd,
    items: int,
    option: int,
    step: WideStep,
) -> float:
    """Return the least cost of all that may be elsewhere, such that so many bytes less are held: by duality.

    It may be any bound of at least `most` if it is more than that.
    """
    of_byte = per_byte(multipliers, mark, layers)
    base, simple = 0.0, excess <= 0
    for at in range(items):
        place = step.item[at]
        step.cost[at, 0] = step.moved[at] * of_byte
        step.cost[at, 1] = step.cost[at, 0]
        if place >= 0:
            here = multipliers[mark, 0] * figures.energy_pj[place, option]
            here += multipliers[mark, 1] * figures.cycles[place, option]
            here += multipliers[mark, 2] * figures.dram_cycles[place, option]
            elsewhere = layers.elsewhere_cost[figures.order[place], mark] - here
            base += here
            step.cost[at, 0] += elsewhere
            step.cost[at, 1] = elsewhere
            simple &= elsewhere >= 0 or step.gain[at, 1] >= 0
    best = _dual(0.0, excess, items, step)
    if simple or base + best >= most:  # with room to spare, a byte is worth nothing
        return base + best
    total, bytes_ = base, abs(float(excess))
    for at in range(items):
        total += abs(step.cost[at, 0]) + abs(step.cost[at, 1])
        bytes_ += abs(step.gain[at, 0]) + abs(step.gain[at, 1])
    for at in range(items):
        for way in range(3):  # where one of the three ways of an item becomes better than another
            cost = step.cost[at, way] if way < 2 else step.cost[at, 0] - step.cost[at, 1]
            gain = step.gain[at, way] if way < 2 else step.gain[at, 0] - step.gain[at, 1]
            if cost * gain > 0 and cost / gain * bytes_ < MOST_WORTH * total:
                best = max(best, _dual(cost / gain, excess, items, step))
    return base + best


@in_place
def _dual(worth: float, excess: int, items: int, step: WideStep) -> float:
    """Return what the parts elsewhere cost at least if a byte of the buffer is worth so much."""
    value = worth * excess
    for at in range(items):
        ways = min(step.cost[at, 0] - worth * step.gain[at, 0], step.cost[at, 1] - worth * step.gain[at, 1])
        value += step.part[at] * min(0.0, ways)
    return value
