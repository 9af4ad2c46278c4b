"""The shortest path of ``downset_paths`` as its docstring states it, by sets of names: the slow twin of the kernels.

Tiles and tensors are those of ``slow_model``; the least costs of one tile and of many parts come from the extents of
``slow_layer_bounds``. The core array of the problem prices tiles.
"""

import itertools
import math
from functools import cache

import numpy as np

from soma_cp.model.problem import Problem
from support import slow_types
from support.slow_layer_bounds import SlowExtents, _need, slow_tile_extents
from support.slow_model import InvalidLFA, flg_tile_shapes, forbidden_cuts, ofmap_shape, producers
from support.slow_model import _need as slow_need
from support.strategies import Case


def slow_costs(
    case: Case, problem: Problem, multipliers: list[tuple[float, float, float]], most_parts: int
) -> np.ndarray:
    """Return the least costs of all paths, infinite if none fits; `problem` is the case with the buffer to look at."""
    return _Paths(case, problem, np.array(multipliers), most_parts).shortest()


class _Paths:
    def __init__(self, case: Case, problem: Problem, multipliers: np.ndarray, most_parts: int) -> None:
        self.network, self.batch, self.hardware, _ = case
        self.problem, self.multipliers, self.most_parts = problem, multipliers, most_parts
        self.never = np.full(len(multipliers), np.inf)
        self.layers = {layer["name"]: layer for layer in self.network["layers"]}
        self.corrected = self.hardware.get("semantics") == "corrected"
        self.room = problem.platform.gbuf_bytes
        self.types = slow_types.source_types(self.network)
        self.channels = {source["name"]: source["shape"][0] for source in self.network["inputs"]}
        self.channels |= {name: ofmap_shape(layer)[0] for name, layer in self.layers.items()}
        read = {source for layer in self.layers.values() for source in producers(layer)}
        self.outputs = {*self.network.get("outputs", []), *(self.layers.keys() - read)}
        self.extents: SlowExtents = slow_tile_extents(problem)
        self.ids = {name: i for i, name in enumerate(self.layers)}
        self.ancestors: dict[str, set[str]] = {}
        for name, layer in self.layers.items():
            self.ancestors[name] = set().union(*({p} | self.ancestors[p] for p in producers(layer)))

    def cost(self, energy_pj: float, cycles: float, moved: list[int]) -> np.ndarray:
        """Return what tiles and transfers of so many bytes cost, by multipliers."""
        energy_pj += sum(moved) * self.problem.platform.dram_pj_per_byte
        return self.multipliers @ np.array([energy_pj, cycles, sum(map(self.cycles_of, moved))])

    def cycles_of(self, size: int) -> int:
        rate = self.problem.platform.dram_rate
        return -(-size * rate.cycles // rate.bytes)

    def shortest(self) -> np.ndarray:
        everything = frozenset(self.layers)

        @cache
        def within(begin: frozenset[str], after: frozenset[str], end: frozenset[str]) -> np.ndarray:
            """Return the least cost of the FLGs before `after` of an LG from `begin` to `end`."""
            if begin == after:
                return np.zeros(len(self.never))
            found = self.never
            for start in self.downsets():
                if begin <= start < after:
                    before = within(begin, start, end)
                    if np.isfinite(before).any():
                        found = np.minimum(found, before + self.step_from(begin, start, after, end))
            return found

        @cache
        def closed(end: frozenset[str]) -> np.ndarray:
            if not end:
                return np.zeros(len(self.never))
            found = self.never
            for begin in self.downsets():
                if begin < end:
                    stored = [
                        self.whole(name)
                        for name in end - begin - self.outputs
                        if any(name in producers(self.layers[c]) for c in everything - end)
                    ]
                    found = np.minimum(found, closed(begin) + within(begin, end, end) + self.cost(0, 0, stored))
            return found

        weights = [slow_types.dram_weight_bytes(layer) for layer in self.layers.values()]
        return closed(everything) + self.cost(0, 0, weights)

    @cache  # noqa: B019
    def downsets(self) -> list[frozenset[str]]:
        names = list(self.layers)
        found = []
        for held in itertools.product((False, True), repeat=len(names)):
            some = frozenset(itertools.compress(names, held))
            if all(set(producers(self.layers[name])) <= some for name in some):
                found.append(some)
        return found

    def step_from(
        self, begin: frozenset[str], start: frozenset[str], after: frozenset[str], end: frozenset[str]
    ) -> np.ndarray:
        """Return the least cost of an FLG from `start` to `after` in an LG from `begin` to `end`."""
        flg = after - start
        sources = {p for name in flg for p in producers(self.layers[name])}
        residents = self.read_by(end - start, start - begin)
        return self.step(
            flg, frozenset(sources & begin), sum(map(self.whole, residents)), self.read_by(end - after, flg)
        )

    def read_by(self, consumers: frozenset[str], some: frozenset[str]) -> frozenset[str]:
        """Return those of some layers that any of these consumers reads."""
        return some & {p for name in consumers for p in producers(self.layers[name])}

    @cache  # noqa: B019
    def step(self, flg: frozenset[str], begin: frozenset[str], found_bytes: int, kept: frozenset[str]) -> np.ndarray:
        """Return the least cost of an FLG, from the sources that it loads, residents, and layers that it keeps."""
        order = [name for name in self.layers if name in flg]
        weights = sum(slow_types.weight_bytes(self.layers[name]) for name in order)
        options = []
        if len(order) == 1:
            options.append(self.alone(order[0], begin, found_bytes))
        most = self.batch * max(ofmap_shape(self.layers[name])[1] for name in order)
        most *= max(ofmap_shape(self.layers[name])[2] for name in order)
        for number in range(2, most + 1):
            if number // math.gcd(number, self.batch) <= self.most_parts:
                options.append(self.tiled(order, number, begin, found_bytes, weights, kept))
        kept_fine = sum(self.whole(name) * (self.most_parts - 1) // (self.most_parts + 1) for name in kept)
        if weights + found_bytes + kept_fine <= self.room and self.may_be_fine(order):
            options.append(self.many_parts(order, begin))
        return np.min([self.never, *options], axis=0)

    def may_be_fine(self, order: list[str]) -> bool:
        """Whether each layer that is cut itself has more rows and columns than the listed parts."""
        forbidden = forbidden_cuts(self.network, order)
        for name in order:
            if name in self.outputs or not any(name in producers(self.layers[c]) for c in order):
                _, rows, columns = ofmap_shape(self.layers[name])
                if (1 if "H" in forbidden else rows) * (1 if "W" in forbidden else columns) <= self.most_parts:
                    return False
        return True

    def sources(self, name: str, begin: frozenset[str]) -> list[str]:
        """Return what a layer loads: external inputs, and layers of other LGs."""
        layer = self.layers[name]
        return [*(p for p in producers(layer) if p in begin), *layer.get("inputs", [])]

    def tiled(
        self,
        order: list[str],
        number: int,
        begin: frozenset[str],
        found_bytes: int,
        weights: int,
        kept: frozenset[str],
    ) -> np.ndarray:
        """Return the cost of an FLG with a Tiling Number of 2 or more."""
        try:
            tiles = flg_tile_shapes(self.network, self.batch, order, number, self.corrected)
        except InvalidLFA:
            return self.never
        rows = np.array([(self.ids[name], *tiles[name]) for name in order], np.int64)
        cycles, energy = self.problem.core_array.least_costs(self.problem.table, rows)
        if (cycles < 0).any():
            return self.never
        moved: list[int] = []
        alive, at_turn, held = {}, {}, {}
        for name in order:
            layer, (b, k, h, w) = self.layers[name], tiles[name]
            held[name] = slow_types.packed(b * k * h * w, slow_types.bits_of(slow_types.ofmap_type(layer)))
            loads = []
            for source in self.sources(name, begin):
                need = slow_need(self.network, layer, source, tiles[name], self.corrected)
                elements = b * need[0] * need[1] * self.channels[source]
                loads.append(slow_types.packed(elements, slow_types.bits_of(self.types[source])))
            moved += number * loads
            moved += number * [held[name]] if name in self.outputs else []
            made = {name}
            for other in order:
                if other in self.ancestors[name] and (
                    other in kept
                    or any(
                        other in producers(self.layers[c]) and (c == name or name in self.ancestors[c]) for c in order
                    )
                ):
                    made.add(other)
            alive[name] = sum(loads) + sum(held[other] for other in made)
            at_turn[name] = sum(loads) + sum(held[other] for other in made - kept)
        own = {name: slow_types.weight_bytes(self.layers[name]) for name in order}
        of_kept = sum(held[name] for name in kept)
        last = [n for n in order if not any(n in producers(self.layers[c]) for c in order)]
        room = self.room - found_bytes
        fits = any(weights + at_turn[name] + (number - 1) * of_kept <= room for name in last)
        if number >= 3:
            fits = fits and all(weights + alive[name] + (number - 2) * of_kept <= room for name in order)
        else:
            fits = fits and all(own[name] + alive[name] <= room for name in order)
        return self.cost(number * float(energy.sum()), number * int(cycles.sum()), moved) if fits else self.never

    # What is known of a layer whatever the FLG

    def bits(self, name: str) -> int:
        return slow_types.bits_of(slow_types.ofmap_type(self.layers[name]))

    def fewest_channels(self, name: str) -> int:
        fewest = min(self.extents.values[self.ids[name]][0])
        return max(fewest, ofmap_shape(self.layers[name])[0]) if name in self.outputs else fewest

    def whole(self, name: str) -> int:
        """Return the least bytes of all tiles of an ofmap."""
        rows, columns = self.extents.rows[self.ids[name]], self.extents.columns[self.ids[name]]
        least = min(f * h for f, h in enumerate(rows, 1)) * min(f * w for f, w in enumerate(columns, 1))
        return slow_types.packed(self.batch * self.fewest_channels(name) * least, self.bits(name))

    def reads(self, name: str, source: str, many: bool) -> int:
        """Return the least bytes that one tile of all samples reads of a source, or those of all of many parts."""
        layer, i = self.layers[name], self.ids[name]
        table = self.problem.table.layers
        role = 1 if source in layer.get("weight_operands", []) else 0
        k = min(self.extents.values[i][0])
        needs = [
            _need(table, i, role, k, h, w)[1:]
            for h, w in zip(self.extents.rows[i], self.extents.columns[i], strict=True)
        ]
        rows, columns = needs[0]
        if many:
            rows = min(f * need[0] for f, need in enumerate(needs, 1))
            columns = min(f * need[1] for f, need in enumerate(needs, 1))
        elements = self.batch * rows * columns * self.channels[source]
        return slow_types.packed(elements, slow_types.bits_of(self.types[source]))

    @cache  # noqa: B019
    def least_tiles(self, name: str, many: bool) -> np.ndarray:
        """Return the least price of all tiles at the multipliers, with one tile or with many parts."""
        i, batch = self.ids[name], self.batch
        samples = [b for b in range(1, batch + 1) if batch % b == 0] if many else [batch]
        shapes = itertools.product(samples, *map(sorted, self.extents.values[i]))
        tiles = np.array([(i, *shape) for shape in shapes], np.int64)
        cycles, energy = self.problem.core_array.least_costs(self.problem.table, tiles)
        costs = np.where(cycles < 0, np.inf, np.stack([cycles.astype(float), energy]))
        found = self.never
        rows, columns = self.extents.rows[i], self.extents.columns[i]
        # Extents no longer fall from len(rows) on, so as many parts as are wanted are possible there.
        factors = range(1, max(len(rows), self.most_parts + 1) + 1) if many else [1]
        for b, fh, fw in itertools.product(samples, factors, factors):
            if many and fh * fw <= self.most_parts:
                continue
            h, w = rows[min(fh, len(rows)) - 1], columns[min(fw, len(columns)) - 1]
            large = (tiles[:, 1] == b) & (tiles[:, 3] >= h) & (tiles[:, 4] >= w)
            count = batch // b * fh * fw
            least = count * costs[:, large].min(axis=1)
            if np.isfinite(least[1]):
                found = np.minimum(found, self.multipliers[:, 0] * least[1] + self.multipliers[:, 1] * least[0])
        return found

    def alone(self, name: str, begin: frozenset[str], found_bytes: int) -> np.ndarray:
        """Return the cost of an FLG of one layer and one tile."""
        i, layer = self.ids[name], self.layers[name]
        loads = [self.reads(name, source, many=False) for source in self.sources(name, begin)]
        one = self.batch * self.fewest_channels(name) * self.extents.rows[i][0] * self.extents.columns[i][0]
        alive = slow_types.packed(one, self.bits(name)) + slow_types.weight_bytes(layer) + sum(loads)
        if alive + found_bytes > self.room:
            return self.never
        stores = [self.whole(name)] if name in self.outputs else []
        return self.least_tiles(name, many=False) + self.cost(0, 0, loads + stores)

    def many_parts(self, order: list[str], begin: frozenset[str]) -> np.ndarray:
        """Return the least cost with more parts than are listed."""
        total = np.zeros(len(self.never))
        for name in order:
            loads = [self.reads(name, source, many=True) for source in self.sources(name, begin)]
            stores = [self.whole(name)] if name in self.outputs else []
            total = total + self.least_tiles(name, many=True) + self.cost(0, 0, loads + stores)
        return total
