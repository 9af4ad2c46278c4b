"""The timed path of ``wide_times`` as its docstring states it, by sets of names: the slow twin of its kernel.

Labels are kept one by one: none is merged with another that is only nearly the same; and each pass is gone through. The
paths, their steps and what these hold are those of ``slow_wide_paths``.
"""

import math
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from soma_cp.model.network import network_table as nt
from soma_cp.model.problem import Problem
from soma_cp.solver.every_lfa.layer_bounds import LayerPrices
from support.slow_model import producers
from support.slow_wide_paths import SPARE_BYTES, SlowStep, SlowTiles, SlowWidePaths, inputs_of
from support.strategies import Case

ENERGY = 0


class _Way(NamedTuple):
    """What is known of an FLG that is cut in one way.

    Parameters
    ----------
    energy, cycles
        Of all its tiles, and the energy of its transfers.
    after_loads
        Cycles that follow the last load of its weights at least.
    ahead
        So much earlier than its end all its loads may be done at most, but for parts that come early.
    """

    energy: float
    cycles: float
    after_loads: float
    ahead: float


class _Label(NamedTuple):
    """Energy, the end of the last tile without early parts, and the time when all loads are done: w and d."""

    energy: float
    end: float
    loaded: float


def slow_wide_times(
    case: Case,
    problem: Problem,
    prices: LayerPrices,
    multipliers: list[tuple[float, float]],
    most_parts: int,
    passes: int = 1,
) -> list[float]:
    """Return the least costs of all timed paths; `problem` is that of a pass, multipliers of energy and of latency."""
    paths = _WideTimes(case, problem, prices, most_parts)
    return [paths.cheapest(*prices_of, passes) for prices_of in multipliers]


class _WideTimes(SlowWidePaths):
    def __init__(self, case: Case, problem: Problem, prices: LayerPrices, most_parts: int) -> None:
        super().__init__(case, problem, prices, np.eye(3)[:2], most_parts, [])
        layers, rate = problem.table.layers, problem.platform.dram_rate
        least_ratio = min(1.0, *(layers[:, nt.RATIO_OVER] / layers[:, nt.RATIO_UNDER]).tolist())
        self.per_byte = least_ratio * rate.cycles / rate.bytes
        self.most, self.loads_beyond = {}, {}  # by divisible layer: most cycles; cycles of loads that its parts lack
        for name in self.share:
            known = prices.per_channel(self.ids[name])
            ways = [self.any[self.ids[name]], *([] if known is None else [known[1]])]
            self.most[name] = max(float(way.cycles[-1]) if len(way.cycles) else 0.0 for way in ways)
            least = float(ways[-1].cycles[0]) if len(ways[-1].cycles) else math.inf
            self.loads_beyond[name] = (1 - self.share[name]) * max(0.0, self.loads_of_weights(name) - least)

    def loads_of_weights(self, name: str) -> float:
        return self.per_byte * self.weights(name)

    # Labels

    def cheapest(self, energy_price: float, cycle_price: float, passes: int) -> float:
        labels = [_Label(0.0, 0.0, 0.0)]
        for _ in range(passes):
            labels = self.after_a_pass(labels, energy_price, cycle_price)
        weights = passes * sum(self.moved_weights()) * self.problem.platform.dram_pj_per_byte
        return min((energy_price * (one.energy + weights) + cycle_price * one.end for one in labels), default=math.inf)

    def after_a_pass(self, before: list[_Label], energy_price: float, cycle_price: float) -> list[_Label]:
        """Return the labels when all layers have run, from those when none of them has."""

        def costs_of(label: _Label) -> tuple[float, float]:
            of_energy = energy_price * label.energy
            return of_energy + cycle_price * label.end, of_energy + cycle_price * label.loaded

        def undominated(labels: Iterator[_Label]) -> list[_Label]:
            found: list[_Label] = []
            for label in sorted(labels, key=costs_of):
                if not found or costs_of(label)[1] < costs_of(found[-1])[1]:
                    found.append(label)
            return found

        @cache
        def within(begin: frozenset[str], after: frozenset[str], end: frozenset[str]) -> list[_Label]:
            """Return the labels before `after` in an LG from `begin` to `end`."""
            if begin == after:
                return closed(begin)
            return undominated(
                self.next_label(label, way, begin, start, after, end)
                for start in self.downsets()
                if begin <= start < after
                for label in within(begin, start, end)
                for way in self.ways(begin, start, after, end)
            )

        @cache
        def closed(end: frozenset[str]) -> list[_Label]:
            if not end:
                return before
            return undominated(
                label._replace(energy=label.energy + self.stores(begin, end))
                for begin in self.downsets()
                if begin < end
                for label in within(begin, end, end)
            )

        return closed(frozenset(self.stays))

    def stores(self, begin: frozenset[str], end: frozenset[str]) -> float:
        """Return the energy of storing what an LG has made and later ones read."""
        read_later = self.read_by(frozenset(self.stays) - end, end - begin) - self.outputs
        return sum(self.whole(name) for name in read_later) * self.problem.platform.dram_pj_per_byte

    def next_label(
        self,
        label: _Label,
        way: _Way,
        begin: frozenset[str],
        start: frozenset[str],
        after: frozenset[str],
        end: frozenset[str],
    ) -> _Label:
        """Return the label after an FLG."""
        flg = after - start
        held = self.least_held(begin, start, end)
        all_loads = sum(map(self.loads_of_weights, flg))
        loaded = max(label.loaded, label.end - self.per_byte * (self.room - held) - self.early(start))
        last_tile = max(label.end + way.cycles, loaded + all_loads + way.after_loads)
        if not any(self.may_have_run(name, start, flg) for name in flg):
            heads = [name for name in flg if not self.has_producer(name, flg)]
            first = min(self.share.get(name, 1.0) * self.loads_of_weights(name) for name in heads)
            last_tile = max(last_tile, loaded + first + way.cycles)
        outside = sum(self.most[name] for name in self.ready(after))
        return _Label(
            energy=label.energy + way.energy,
            end=max(label.end + way.cycles, last_tile - outside),
            loaded=max(loaded + all_loads, last_tile - way.ahead - self.early(after)),
        )

    def has_producer(self, name: str, flg: frozenset[str]) -> bool:
        return any(p in flg for p in producers(self.layers[name]))

    def may_have_run(self, name: str, start: frozenset[str], flg: frozenset[str]) -> bool:
        """Whether parts of a layer of an FLG may have run before the last tile of what comes before."""
        return name in self.share and not self.has_producer(name, flg) and not start <= self.ancestors[name]

    @cache  # noqa: B019
    def ready(self, inside: frozenset[str]) -> list[str]:
        """Return the layers outside of a downset parts of which may run before its last tile."""
        return [
            name
            for name in self.stays
            if name not in inside
            and name in self.share
            and inside.issuperset(producers(self.layers[name]))
            and not self.ancestors[name] >= inside
        ]

    def early(self, inside: frozenset[str]) -> float:
        return sum(self.loads_beyond[name] for name in self.ready(inside))

    # Ways

    @cache  # noqa: B019
    def ways(
        self, begin: frozenset[str], start: frozenset[str], after: frozenset[str], end: frozenset[str]
    ) -> list[_Way]:
        """Return all ways to run an FLG."""
        found = []
        remain = self.read_by(end - after, start - begin)
        of_residents = sum(self.held_of(begin, name) for name in remain)
        for paid, step in self.steps(begin, start, after, end):
            energy = paid * self.problem.platform.dram_pj_per_byte
            ways = self.of_one_tile(step) if len(step.own) == 1 else []
            if self.least_with_guests(step) <= self.room:
                ways += self.of_many_parts(step)
                ways += [
                    way for tiles in self.every_tiles(step) for way in self.of_tiles(step, tiles, remain, of_residents)
                ]
            found += [way._replace(energy=way.energy + energy) for way in ways]
        return found

    def of_one_tile(self, step: SlowStep) -> list[_Way]:
        (name,) = step.own
        if np.isinf(self.alone_or_never(step)).any():
            return []
        i, divided = self.ids[name], name in self.share
        choices = self.any[i] if divided else self.one_and_fine[i][0]
        moved_pj = float(self.alone_or_never(step)[ENERGY] - choices.energy_pj.min())
        left = (self.room - self.alive_alone(step)) * self.per_byte
        ways = []
        for at, (cycles, energy) in enumerate(zip(choices.cycles.tolist(), choices.energy_pj.tolist(), strict=True)):
            fewest = float(choices.cycles[max(0, at - 1)]) if divided else float(cycles)
            ways.append(_Way(energy + moved_pj, fewest, self.last_tile(name) if divided else fewest, left))
        return ways

    def last_tile(self, name: str) -> float:
        """Return the least cycles of the only tile of a layer's last part."""
        known = self.prices.per_channel(self.ids[name])
        undivided = self.prices.whole_and_fine()[self.ids[name]][0].cycles
        if known is None:
            return 0.0
        least = min([float(known[0][0, -1, 0]), *undivided[:1].tolist()])
        return self.share[name] * least if least < math.inf else 0.0

    def of_many_parts(self, step: SlowStep) -> list[_Way]:
        needed = self.least_with_guests(step) + self.fine_kept(step)
        if needed > self.room or not self.may_be_fine([*step.own]) or np.isinf(self.fine(step)).any():
            return []
        energy, cycles = self.fine(step).tolist()
        capable, number = self.capable(step), self.most_parts + 1
        here, most = 0.0, 0.0
        for name in step.own:
            if name in capable:
                most += self.most[name]
            elif name not in step.guests:
                of_layer = self.one_and_fine[self.ids[name]][1].cycles
                here, most = here + float(of_layer[0]), most + float(of_layer[-1])
        left = self.room - needed + self.weights_of_guests(step)
        return [_Way(energy, cycles, here * (1 - 1 / number), most / number + left * self.per_byte)]

    def weights_of_guests(self, step: SlowStep) -> int:
        return sum(math.floor(self.weights(name) * self.share[name]) for name in step.guests)

    def of_tiles(self, step: SlowStep, tiles: SlowTiles, remain: frozenset[str], of_residents: int) -> list[_Way]:
        energy, cycles = self.cost_of_tiles(step, tiles).tolist()
        if math.isinf(energy):
            return []
        capable, number = self.capable(step), tiles.number
        of_layer = {name: float(tiles.costs[name][0]) for name in step.own if name not in step.guests}
        most = sum(max(c, self.most[n]) if n in capable else c for n, c in of_layer.items())
        # Of layers parts of which may be elsewhere, the tiles that are here for certain.
        here = sum(self.share[n] * c if n in capable else c for n, c in of_layer.items())
        tile = {name: one / number for name, one in of_layer.items()}
        followers = {name: [other for other in tile if name in self.ancestors[other]] for name in tile}
        after_loads = min(
            self.share.get(name, 1.0) * tile[name] + sum(tile[other] for other in followers[name]) for name in tile
        )
        reliefs = self.reliefs(step, tiles)
        relief = sum(part * size for part, _, size, _ in reliefs) + (SPARE_BYTES if reliefs else 0.0)
        at_turn = self.need(step, tiles)[1] + sum(map(self.whole, step.found)) + step.skipped
        free = self.room - (at_turn - self.weights_of_guests(step) - relief)
        ahead = most / number + free * self.per_byte
        for name in tile:
            beside = [n for n in tile if n != name and n not in followers[name] and n not in self.ancestors[name]]
            may_follow = sum(max(0.0, tile[other] - self.loads_of_weights(other)) for other in beside)
            held = of_residents + self.held_at_last_tile(step, tiles, name, followers[name], remain)
            cycles_after = sum(tile[other] for other in followers[name]) + may_follow
            ahead = min(ahead, cycles_after + (self.room - held) * self.per_byte)
        return [_Way(energy, cycles, after_loads + (number - 1) * here / number, ahead)]

    def held_at_last_tile(
        self, step: SlowStep, tiles: SlowTiles, name: str, followers: list[str], remain: frozenset[str]
    ) -> float:
        """Return the bytes at the last tile of a layer's last part, but for residents that stay after the FLG."""
        capable = self.capable(step)
        held: float = math.floor(self.weights(name) * self.share.get(name, 1.0)) + sum(map(self.weights, followers))
        held += self.live(step, tiles, name)
        for source in step.found - remain:
            if any(source in self.sources_read(reader) for reader in (name, *followers)):
                held += self.surely_found(step, source)
        for other in step.own:
            rounds = tiles.number - 1 if other in step.kept else 0
            held += rounds * tiles.held[other]
            if other in capable:  # `live` has a tile of all channels, unless nothing reads it
                counted = rounds + self.is_read(other, step.own)
                held -= (1 - self.share[other]) * counted * tiles.held[other]
        return held

    def sources_read(self, name: str) -> list[str]:
        return [*producers(self.layers[name]), *inputs_of(self.layers[name])]
