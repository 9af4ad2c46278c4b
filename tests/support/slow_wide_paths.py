"""The shortest path of ``wide_paths`` as its docstring states it, by sets of names: the slow twin of its kernel.

What a layer costs whatever the FLG is taken from `LayerPrices`, which has tests of its own; extents and tiles come from
``slow_layer_bounds`` and ``slow_model``.
"""

import itertools
import math
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from soma_cp.model.data_types import packed
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa.layer_bounds import LayerPrices, divisors
from soma_cp.solver.every_lfa.layer_choices import LayerChoices
from support import slow_types
from support.slow_model import Extent, InvalidLFA, flg_tile_shapes, ofmap_shape, producers
from support.slow_model import _need as slow_need
from support.slow_paths import SlowPaths
from support.strategies import Case

SPARE_BYTES = 1e-3


def slow_wide_costs(
    case: Case,
    problem: Problem,
    prices: LayerPrices,
    multipliers: list[tuple[float, ...]],
    most_parts: int,
    heads: list[list[tuple[str, str]]],
) -> np.ndarray:
    """Return the least costs of all paths, infinite if none fits; the first of each list of heads stands for all."""
    return SlowWidePaths(case, problem, prices, np.array(multipliers), most_parts, heads).shortest()


class SlowStep(NamedTuple):
    """An FLG of `own` layers, of which `guests` are there with a part that is not the last, and some are `kept`.

    Each source in `loaded` is loaded, each in `found` is held: by the LG, if it is in `made`. Parts of the layers in
    `early` may be in an LG before. Residents that are no sources take `skipped` bytes.
    """

    own: tuple[str, ...]
    guests: frozenset[str]
    loaded: frozenset[str]
    found: frozenset[str]
    gaps: bool
    made: frozenset[str]
    early: frozenset[str]
    kept: frozenset[str]
    skipped: int


class SlowTiles(NamedTuple):
    """Of one Tiling Number: bytes of ofmap tiles, bytes read by (layer, source), [cycles, pJ] of all tiles of each."""

    number: int
    held: dict[str, int]
    read: dict[tuple[str, str], int]
    costs: dict[str, np.ndarray]


class SlowWidePaths(SlowPaths):
    def __init__(
        self,
        case: Case,
        problem: Problem,
        prices: LayerPrices,
        multipliers: np.ndarray,
        most_parts: int,
        heads: list[list[tuple[str, str]]],
    ) -> None:
        super().__init__(case, problem, multipliers, most_parts)
        self.heads = heads
        others = {name for alike in heads for head in alike[1:] for name in head}
        self.stays = [name for name in self.layers if name not in others]
        for alike in heads:
            self.times |= dict.fromkeys(alike[0], len(alike))
        sizes = {problem.network.layers[layer].name: size for layer, size in prices.part_sizes.items()}
        self.share = {name: size.fewest_channels / size.all_channels for name, size in sizes.items()}
        self.prices = prices
        self.any, self.one_and_fine = prices.choices(wide=True), prices.whole_and_fine(wide=True)
        self.inputs = {source["name"] for source in self.network["inputs"]}
        self.readers = {
            source: [name for name, layer in self.layers.items() if source in (*producers(layer), *inputs_of(layer))]
            for source in (*self.layers, *self.inputs)
        }

    def moved_weights(self) -> list[int]:
        """Return the bytes of all weights together, those that several layers have once."""
        return [
            sum(
                slow_types.dram_weight_bytes(self.layers[name]) for name in self.layers if self.first_with(name) == name
            )
        ]

    def first_with(self, name: str) -> str:
        first = int(self.problem.table.stored_weights[self.ids[name]])
        return [*self.layers][first]

    @cache  # noqa: B019
    def weights(self, name: str) -> int:
        """Return the bytes of weights that no other layer may have brought."""
        alike = [one for one in self.layers if self.first_with(one) == self.first_with(name)]
        in_head = any(name == conv for heads in self.heads for conv, _ in heads)
        if self.first_with(name) != name or (in_head and len(alike) > 1):
            return 0
        return slow_types.weight_bytes(self.layers[name])

    # Steps

    def step_from(
        self, begin: frozenset[str], start: frozenset[str], after: frozenset[str], end: frozenset[str]
    ) -> np.ndarray:
        """Return the least cost of an FLG, with any guests, and any of the sources that may be held."""
        found = self.never
        rate = self.problem.platform.dram_rate
        per_byte = self.multipliers[:, 0] * self.problem.platform.dram_pj_per_byte
        per_byte = per_byte + self.multipliers[:, 2] * (rate.cycles / rate.bytes)
        for paid, step in self.steps(begin, start, after, end):
            found = np.minimum(found, paid * per_byte + self.priced(step))
        return found

    def steps(
        self, begin: frozenset[str], start: frozenset[str], after: frozenset[str], end: frozenset[str]
    ) -> Iterator[tuple[int, SlowStep]]:
        """Yield all ways to find sources and guests, each with the bytes that are loaded beside the FLG's loads."""
        if self.least_held(begin, after, end) > self.room:
            return
        flg = after - start
        left = [name for name in self.stays if name not in after]
        ready = [
            name for name in left if name in self.share and not any(p in left for p in producers(self.layers[name]))
        ]
        fused = [name for name in ready if any(p in flg for p in producers(self.layers[name]))]
        sources = frozenset(self.sources_of(flg, start))
        made = sources & (start - begin)
        early = frozenset(name for name in self.layers if self.may_be_early(begin, name))
        skipped = sum(self.held_of(begin, name) for name in self.read_by(end - start, start - begin) - sources)
        for guests in subsets(fused):
            own = tuple(name for name in self.layers if name in flg or name in guests)
            for held in subsets(sorted(sources - made)):
                paid = self.paid_for(held, start - begin, start)
                if paid is not None:
                    yield (
                        paid,
                        SlowStep(
                            own=own,
                            guests=guests,
                            loaded=sources - made - held,
                            found=made | held,
                            gaps=bool(self.heads) or any(name not in guests for name in ready),
                            made=made,
                            early=early & (flg | made),
                            kept=self.read_by(end - after, flg),
                            skipped=skipped,
                        ),
                    )

    def may_be_early(self, begin: frozenset[str], name: str) -> bool:
        """Whether parts of a layer may be in an LG before one that begins here: all its producers are."""
        return all(p in begin or p not in self.stays for p in producers(self.layers[name]))

    def held_of(self, begin: frozenset[str], name: str) -> int:
        """Return the least bytes that are held of a layer that an LG makes and goes on to read."""
        if name in self.share and self.may_be_early(begin, name):
            return int(self.whole(name) * self.share[name])
        return self.whole(name)

    def least_held(self, begin: frozenset[str], after: frozenset[str], end: frozenset[str]) -> int:
        """Return the least bytes of fmaps that are held after an FLG."""
        return sum(self.held_of(begin, name) for name in self.read_by(end - after, after - begin))

    def tracked(self, source: str) -> bool:
        """Whether a load of an external input may be shared: several readers, or parts of one."""
        readers = self.readers[source]
        return len(readers) > 1 or any(name in self.share for name in readers)

    def sources_of(self, flg: frozenset[str], start: frozenset[str]) -> set[str]:
        layers = [self.layers[name] for name in flg]
        inputs = {source for layer in layers for source in inputs_of(layer) if self.tracked(source)}
        return inputs | {p for layer in layers for p in producers(layer) if p in start}

    def paid_for(self, held: frozenset[str], of_lg: frozenset[str], start: frozenset[str]) -> int | None:
        """Return the bytes of loads of these that no other FLG counts; None if another can't have brought them."""
        moved = 0
        for source in held:
            if any(name in of_lg for name in self.readers[source]):
                continue
            apart = [name for name in self.readers[source] if name in self.share and name not in start]
            if not apart and all(name in self.stays for name in self.readers[source]):
                return None
            moved += int(self.full(source) * self.share.get(source, 1.0))
        return moved

    def full(self, source: str) -> int:
        shapes = {one["name"]: one["shape"] for one in self.network["inputs"]}
        shapes |= {name: ofmap_shape(layer) for name, layer in self.layers.items()}
        return packed(self.batch * math.prod(shapes[source]), slow_types.bits_of(self.types[source]))

    def whole(self, name: str) -> int:
        return self.full(name) if name in self.inputs else super().whole(name)

    def fewest_channels(self, name: str) -> int:
        fewest = min(self.extents.values[self.ids[name]][0])
        channels = ofmap_shape(self.layers[name])[0]
        fewest = min(fewest, channels) if name in self.share else fewest
        return max(fewest, channels) if name in self.outputs else fewest

    def capable(self, step: SlowStep) -> list[str]:
        """Return the layers that may have parts elsewhere."""
        return [
            name
            for name in step.own
            if name in self.share
            and name not in step.guests
            and not any(p in step.own for p in producers(self.layers[name]))
        ]

    @cache  # noqa: B019
    def priced(self, step: SlowStep) -> np.ndarray:
        """Return the least cost of an FLG whose sources are as they are."""
        options = [self.never]
        if len(step.own) == 1:
            options.append(self.alone_or_never(step))
        if self.least_with_guests(step) > self.room:
            return np.min(options, axis=0)
        if self.may_be_fine([*step.own]) and self.least_with_guests(step) + self.fine_kept(step) <= self.room:
            options.append(self.fine(step))
        options += [self.cost_of_tiles(step, tiles) for tiles in self.every_tiles(step)]
        return np.min(options, axis=0)

    def least_with_guests(self, step: SlowStep) -> int:
        """Return the least bytes of weights, of sources that are found, and of residents."""
        shares = {n: self.share[n] for n in [*self.capable(step), *step.guests]}
        weights = sum(int(self.weights(n) * shares.get(n, 1.0)) for n in step.own)
        found = sum(self.surely_found(step, s) for s in step.found)
        return weights + found + step.skipped

    def may_be_loaded(self, step: SlowStep, source: str) -> bool:
        """Whether some channels of a source that is found may be loaded."""
        return source in self.share and (source not in step.made or source in step.early)

    def surely_found(self, step: SlowStep, source: str) -> int:
        """Return the bytes of a source that is found that are held for certain."""
        whole = self.whole(source)
        return int(whole * self.share[source]) if self.may_be_loaded(step, source) else whole

    def fine_kept(self, step: SlowStep) -> int:
        """Return the least bytes of layers that are kept, with more parts than are listed."""
        whole = {name: self.whole(name) * (self.most_parts - 1) // (self.most_parts + 1) for name in step.kept}
        return sum(int(size * (self.share[n] if n in self.capable(step) else 1)) for n, size in whole.items())

    def every_tiles(self, step: SlowStep) -> Iterator[SlowTiles]:
        """Yield the tiles of each Tiling Number of 2 or more that the FLG may have, as far as they are listed."""
        most = self.batch * max(ofmap_shape(self.layers[name])[1] for name in step.own)
        most *= max(ofmap_shape(self.layers[name])[2] for name in step.own)
        for number in range(2, most + 1):
            if number // math.gcd(number, self.batch) <= self.most_parts:
                tiles = self.tiles(step.own, step.guests, number)
                if tiles is not None:
                    yield tiles

    # Two tiles or more

    @cache  # noqa: B019
    def tiles(self, own: tuple[str, ...], guests: frozenset[str], number: int) -> SlowTiles | None:
        try:
            shapes = flg_tile_shapes(self.network, self.batch, [*own], number, self.corrected)
        except InvalidLFA:
            return None
        held, read, costs = {}, {}, {}
        for name in own:
            layer, (b, k, h, w) = self.layers[name], shapes[name]
            k = min(k, ofmap_shape(layer)[0]) if name in self.share else k
            held[name] = packed(b * k * h * w, self.bits(name))
            for source in (*producers(layer), *inputs_of(layer)):
                rows, columns = slow_need(self.network, layer, source, shapes[name], self.corrected)
                size = b * rows * columns * self.channels[source]
                read[name, source] = packed(size, slow_types.bits_of(self.types[source]))
            costs[name] = np.zeros(2) if name in guests else self.cost_of_layer(name, number, shapes[name])
            if np.isinf(costs[name]).any():
                return None
        return SlowTiles(number, held, read, costs)

    def cost_of_layer(self, name: str, number: int, tile: Extent) -> np.ndarray:
        """Return the least cycles and pJ of all tiles of a layer, undivided or in parts."""
        layer = self.ids[name]
        cycles, energy = self.problem.core_array.least_costs(self.problem.table, np.array([(layer, *tile)], np.int64))
        cost = number * np.array([float(cycles[0]), energy[0]]) if cycles[0] >= 0 else np.full(2, np.inf)
        if name in self.share:
            known = self.prices.per_channel(layer)
            parts = np.array([self.any[layer].cycles[0], self.any[layer].energy_pj[-1]])
            if known is not None:
                samples_parts = math.gcd(self.batch, number)
                at = divisors(self.batch).tolist().index(self.batch // samples_parts)
                parts = known[0][:, at, number // samples_parts - 1]
            cost = np.minimum(cost, parts)
        return cost

    def live(self, step: SlowStep, tiles: SlowTiles, name: str) -> int:
        """Return the bytes alive at the tile of a layer's last part, but for weights and found sources."""
        small = name in step.guests or (name in self.share and not self.is_read(name, step.own))
        alive = math.floor(tiles.held[name] * self.share[name]) if small else tiles.held[name]
        if name not in step.guests:
            alive += sum(tiles.read[name, s] for s in self.loads_of(name, step))
        alive += sum(tiles.read[name, s] for s in inputs_of(self.layers[name]) if not self.tracked(s))
        for other in step.own:
            crosses = any(
                other in producers(self.layers[c]) and (c == name or name in self.ancestors[c]) for c in step.own
            )
            if other in self.ancestors[name] and (crosses or other in step.kept):
                alive += tiles.held[other]
        return alive

    def is_read(self, name: str, own: tuple[str, ...]) -> bool:
        return any(name in producers(self.layers[c]) for c in own)

    def loads_of(self, name: str, step: SlowStep) -> list[str]:
        return [s for s in (*producers(self.layers[name]), *inputs_of(self.layers[name])) if s in step.loaded]

    def need(self, step: SlowStep, tiles: SlowTiles) -> tuple[int, int]:
        """Return the bytes of the FLG with all channels in it, without sources that are found; and at a round's end."""
        own = {
            n: math.floor(self.weights(n) * self.share[n]) if n in step.guests else self.weights(n) for n in step.own
        }
        live = {name: self.live(step, tiles, name) for name in step.own}
        weights, of_round = sum(own.values()), sum(tiles.held[name] for name in step.kept)
        at_end = [0] if step.gaps else []
        for name in step.own:
            if not self.is_read(name, step.own):
                kept = step.kept & {name, *self.ancestors[name]}
                at_end.append(max(0, live[name] - sum(tiles.held[one] for one in kept)))
        turn = weights + min(at_end) + (tiles.number - 1) * of_round
        if tiles.number == 2:
            return max(turn, *(own[name] + live[name] for name in step.own)), turn
        return max(turn, weights + max(live.values()) + (tiles.number - 2) * of_round), turn

    def excess(self, step: SlowStep, tiles: SlowTiles) -> int:
        """Return by how many bytes the FLG exceeds the buffer, with all channels in it."""
        return sum(map(self.whole, step.found)) + self.need(step, tiles)[0] + step.skipped - self.room

    def reliefs(self, step: SlowStep, tiles: SlowTiles) -> list[tuple[float, str, int, list[int]]]:
        """Return what may be elsewhere: the share, the layer, and the bytes that all of it takes less.

        At most so many; if it is loaded; if it is found.
        """
        found = []
        for source in step.found:
            if self.may_be_loaded(step, source):
                whole = self.whole(source)
                found.append((1 - self.share[source], source, whole, [whole, whole]))
        for name in self.capable(step):
            rounds = max(1, tiles.number - 1) if name in step.kept else 1
            here = self.weights(name) + rounds * tiles.held[name]
            needed_here = name in step.kept or self.is_read(name, step.own)
            if_held = here - self.whole(name) if needed_here else here
            found.append((1 - self.share[name], name, here, [here if name in step.early else if_held, if_held]))
        return found

    def moved_for_certain(self, name: str, step: SlowStep, tiles: SlowTiles) -> list[int]:
        """Return the transfers of a layer's inputs that no other may share, and of its ofmap if it is an output."""
        loads = [tiles.read[name, s] for s in inputs_of(self.layers[name]) if not self.tracked(s)]
        stores = self.times[name] * [tiles.held[name]] if name in self.outputs and name not in step.guests else []
        return tiles.number * (loads + stores)

    def cost_of_tiles(self, step: SlowStep, tiles: SlowTiles) -> np.ndarray:
        here = {}
        for name in step.own:
            cycles, energy = self.times[name] * tiles.costs[name]
            here[name] = self.cost(
                energy, cycles, [] if name in step.guests else self.moved_for_certain(name, step, tiles)
            )
        capable = self.capable(step)
        total = sum((cost for name, cost in here.items() if name not in capable), start=np.zeros(len(self.never)))
        load = {s: max(tiles.read[n, s] for n in step.own if s in self.loads_of(n, step)) for s in step.loaded}
        total = total + self.cost(
            0, 0, [size for s, size in load.items() for _ in range(tiles.number * self.times_of(s))]
        )
        excess, items = self.excess(step, tiles), self.reliefs(step, tiles)
        if SPARE_BYTES + sum(part * most for part, _, most, _ in items) < excess:
            return self.never
        total = total + sum((here[name] for name in capable), start=np.zeros(len(self.never)))
        options = [(part, gains, self.change(step, tiles, name, here)) for part, name, _, gains in items]
        return total + np.array([division(excess, options, mark) for mark in range(len(self.never))])

    def change(self, step: SlowStep, tiles: SlowTiles, name: str, here: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Return by how much the cost changes if all channels of a layer are loaded, or found."""
        platform = self.problem.platform
        per_byte = self.multipliers[:, 0] * platform.dram_pj_per_byte
        per_byte = per_byte + self.multipliers[:, 2] * (platform.dram_rate.cycles / platform.dram_rate.bytes)
        read = [size for (n, source), size in tiles.read.items() if source == name and n not in step.guests]
        if name in step.found:
            return 2 * [tiles.number * max(read) * per_byte]
        by_guests = [size for (_, source), size in tiles.read.items() if source == name]
        moved = tiles.number * max(by_guests, default=0) * per_byte
        elsewhere = self.elsewhere(name) - here[name]
        return [moved + elsewhere, elsewhere]

    def times_of(self, source: str) -> int:
        return self.times.get(source, 1)

    # What is known of a layer whatever the FLG

    def least_of(self, name: str, choices: LayerChoices, many: bool) -> np.ndarray:
        """Return the least cost of choices, with the transfers that are certain."""
        inputs = [s for s in inputs_of(self.layers[name]) if not self.tracked(s)]
        moved = [self.reads(name, source, many) for source in inputs]
        moved += [self.whole(name)] if name in self.outputs else []
        if len(choices.cycles) == 0:
            return self.never
        of_tiles = self.multipliers[:, :1] * choices.energy_pj + self.multipliers[:, 1:2] * choices.cycles
        return self.times[name] * (of_tiles.min(axis=1) + self.cost(0, 0, moved))

    def elsewhere(self, name: str) -> np.ndarray:
        known = self.prices.per_channel(self.ids[name])
        found = self.least_of(name, self.any[self.ids[name]] if known is None else known[1], many=True)
        return np.where(np.isinf(found), 0.0, found)

    def alone_or_never(self, step: SlowStep) -> np.ndarray:
        """Return the cost of a layer in an FLG of one tile."""
        (name,) = step.own
        if self.alive_alone(step) > self.room:
            return self.never
        choices = self.any[self.ids[name]] if name in self.share else self.one_and_fine[self.ids[name]][0]
        moved = [self.reads(name, s, many=False) for s in self.loads_of(name, step) for _ in range(self.times_of(s))]
        return self.least_of(name, choices, many=False) + self.cost(0, 0, moved)

    def alive_alone(self, step: SlowStep) -> int:
        """Return the bytes alive at the tile of a layer in an FLG of one tile, and those of residents."""
        (name,) = step.own
        i, share = self.ids[name], self.share.get(name, 1.0)
        one = self.batch * self.fewest_channels(name) * self.extents.rows[i][0] * self.extents.columns[i][0]
        alive = math.floor((packed(one, self.bits(name)) + self.weights(name)) * share)
        inputs = [s for s in inputs_of(self.layers[name]) if not self.tracked(s)]
        alive += sum(self.reads(name, s, many=False) for s in (*inputs, *self.loads_of(name, step)))
        for source in step.found:
            partly = source not in step.made or source in step.early
            whole = self.whole(source)
            alive += min(whole, self.reads(name, source, many=False)) if partly else whole
        return alive + step.skipped

    def fine(self, step: SlowStep) -> np.ndarray:
        """Return the least cost with more parts than are listed."""
        total = np.zeros(len(self.never))
        for name in step.own:
            if name not in step.guests:
                i = self.ids[name]
                choices = self.any[i] if name in self.capable(step) else self.one_and_fine[i][1]
                total = total + self.least_of(name, choices, many=True)
        moved = []
        for s in step.loaded:
            readers = [n for n in step.own if n not in step.guests and s in self.loads_of(n, step)]
            moved += self.times_of(s) * [max(self.reads(n, s, many=True) for n in readers)]
        return total + self.cost(0, 0, moved)


def inputs_of(layer: dict) -> list[str]:
    found: list[str] = layer.get("inputs", [])
    return found


def subsets(names: list[str]) -> list[frozenset[str]]:
    chosen = itertools.product((False, True), repeat=len(names))
    return [frozenset(itertools.compress(names, some)) for some in chosen]


def division(excess: int, items: list[tuple[float, list[int], list[np.ndarray]]], mark: int) -> float:
    """Return the least change of the cost by which so many bytes less are held: the largest value of the dual."""
    if not items:
        return 0.0
    worths = {0.0}
    for _, (a, b), (c, d) in items:
        ways = ((c[mark], a), (d[mark], b), (c[mark] - d[mark], a - b))
        worths |= {cost / gain for cost, gain in ways if cost * gain > 0}
    return max(
        worth * excess
        + sum(
            part * min(0.0, *(cost[mark] - worth * gain for cost, gain in zip(costs, gains, strict=True)))
            for part, gains, costs in items
        )
        for worth in worths
    )
