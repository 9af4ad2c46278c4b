"""Repeats of a network: periods of alike layers in a row, such as transformer blocks (docs/first-stage.md#periods).

A repeat is N ≥ 2 *copies* of P layers, the *period*, that follow one another in the order of the network. Layers of
the same place in their copies are alike: same kind, shapes, types, and as many sources of each. From the second copy
on, what a copy reads is alike, too: its own layers and those of the copy before, shifted by the period; a layer or
input that stands outside and that all of them read; or an input of its own. The first copy reads anything of the same
shapes where the others read the copy before. Layers of all copies but the last are read by their own copy and the next
one alone. So all copies but the last can be left out, and what reads the last one can read another.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.network.layers import Conv
from soma_cp.model.network.network import Network

_NAMES = frozenset({"name", "ifmaps", "weight_operands", "inputs", "weights"})
"""Fields that name something, and may differ in alike layers."""


@dataclass(frozen=True)
class Repeat:
    """Copies of a period in a network.

    Parameters
    ----------
    first
        Id of the first layer of the first copy; those before it are no part of the repeat.
    length
        P, the layers of a period.
    count
        N, the number of copies, at least 2.
    """

    first: int
    length: int
    count: int

    @property
    def end(self) -> int:
        """Id of the first layer after the last copy."""
        return self.first + self.length * self.count

    @property
    def saved(self) -> int:
        """Layers of all copies but one."""
        return self.length * (self.count - 1)

    def copy(self, number: int) -> range:
        """Return the ids of the layers of a copy, counted from 0."""
        begin = self.first + number * self.length
        return range(begin, begin + self.length)


def find_repeats(network: Network, least_length: int = 2) -> tuple[Repeat, ...]:
    """Return repeats that do not overlap, by place: time and again the one that spares most layers.

    Of several that spare as many layers, that with the shortest period is taken, then that with the fewest fmaps from
    copy to copy, then the first.

    Parameters
    ----------
    network
        Any network.
    least_length
        Periods of fewer layers are not looked for.
    """
    alike = _Alike(network)
    found: list[Repeat] = []
    free = [(0, len(network.layers))]
    while free:
        begin, end = free.pop()
        repeat = _largest(alike, begin, end, least_length)
        if repeat is not None:
            found.append(repeat)
            free += [(begin, repeat.first), (repeat.end, end)]
    return tuple(sorted(found, key=lambda repeat: repeat.first))


def _largest(alike: "_Alike", begin: int, end: int, least_length: int) -> Repeat | None:
    """Return the repeat of layers ``begin … end − 1`` that spares most of them; None if there is none."""
    runs = [(most, -length, first, last) for first, length, last, most in _runs(alike.kinds, begin, end, least_length)]
    best: Repeat | None = None
    for most, minus_length, first, last in sorted(runs, reverse=True):
        length = -minus_length
        if best is not None and (most, minus_length) <= (best.saved, -best.length):
            continue
        reached: dict[int, int] = {}  # by place in the period: where the latest repeat ends
        for start in range(first, last - length + 1):
            if start + length < reached.get(start % length, 0):
                continue  # copies of a repeat that began before
            repeat = Repeat(start, length, alike.copies_from(start, length, last + length))
            reached[start % length] = repeat.end
            if repeat.count > 1 and (best is None or alike.rank(repeat) < alike.rank(best)):
                best = repeat
    return best


def _runs(kinds: IntArray, begin: int, end: int, least_length: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield each run of P layers or more that are of the kind of those P places later.

    Yields its first layer, P, the layer after its last, and how many layers a repeat there spares at most.
    """
    part = kinds[begin:end]
    for length in range(least_length, len(part) // 2 + 1):
        same = np.concatenate([[False], part[:-length] == part[length:], [False]])
        borders = np.flatnonzero(same[1:] != same[:-1])
        for first, last in zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True):
            if last - first >= length:
                yield begin + first, length, begin + last, (last - first) // length * length


class _Alike:
    """Says which layers of a network are alike; layers are ids, inputs ``-1 - id``."""

    def __init__(self, network: Network) -> None:
        known = network.layer_id | {name: -1 - number for name, number in network.input_id.items()}
        self._ifmaps = [[known[name] for name in (*layer.ifmaps, *layer.inputs)] for layer in network.layers]
        self._operands = [[known[name] for name in layer.weight_operands] for layer in network.layers]
        self._made: dict[int, Any] = {
            source: (network.source_shape(name), network.source_type(name)) for name, source in known.items()
        }
        self._readers: dict[int, list[int]] = defaultdict(list)
        for reader, sources in enumerate(zip(self._ifmaps, self._operands, strict=True)):
            for source in (*sources[0], *sources[1]):
                self._readers[source].append(reader)
        codes: dict[Any, int] = {}
        self.kinds: IntArray = np.array(
            [codes.setdefault(self._kind(network, number), len(codes)) for number in range(len(network.layers))],
            np.int64,
        )

    def copies_from(self, first: int, length: int, end: int) -> int:
        """Return how many copies the longest repeat has that begins at `first` and ends by `end`; 1 if there is none.

        The first copies of a repeat are a repeat, so that copies are added as long as they are alike.
        """
        count = 1
        while first + (count + 1) * length <= end and self._next_is_alike(first, length, count):
            count += 1
        return count

    def rank(self, repeat: Repeat) -> tuple[int, int, int, int]:
        """Return the sort key of a repeat, the best one first."""
        passed_on = sum(any(reader >= repeat.copy(1).start for reader in self._readers[i]) for i in repeat.copy(0))
        return -repeat.saved, repeat.length, passed_on, repeat.first

    def _kind(self, network: Network, number: int) -> Any:
        """Return what alike layers have in common, but for which layers and inputs they read."""
        layer = network.layers[number]
        stored = layer.name in network.outputs and bool(self._readers[number])
        own = tuple(getattr(layer, field.name) for field in fields(layer) if field.name not in _NAMES)
        named = isinstance(layer, Conv) and bool(layer.weights)
        made = [sorted(map(repr, map(self._made.get, sources[number]))) for sources in (self._ifmaps, self._operands)]
        return type(layer), own, named, stored, tuple(map(tuple, made))

    def _next_is_alike(self, first: int, length: int, number: int) -> bool:
        """Return whether copy `number` is alike to the copy before, and that copy is read by these two alone."""
        begin = first + number * length
        return all(
            self.kinds[layer] == self.kinds[layer - length]
            and all(begin - length <= reader < begin + length for reader in self._readers[layer - length])
            and all(
                self._reads_alike(sources[layer], sources[layer - length], first, length, number)
                for sources in (self._ifmaps, self._operands)
            )
            for layer in range(begin, begin + length)
        )

    def _reads_alike(self, reads: list[int], read_before: list[int], first: int, length: int, number: int) -> bool:
        """Return whether a layer of copy `number` and its like in the copy before read alike sources."""
        begin = first + number * length
        if number == 1:
            own = [source - length for source in reads if source >= begin]
            entering = [self._made[source] for source in reads if source < begin]
            own_before = [source for source in read_before if source >= first]
            entering_before = [self._made[source] for source in read_before if source < first]
            return own == own_before and Counter(entering) == Counter(entering_before)
        return len(reads) == len(read_before) and all(
            source == before + length and source >= begin - length
            if source >= first
            else source == before or (source < 0 and before < 0 and self._made[source] == self._made[before])
            for source, before in zip(reads, read_before, strict=True)
        )
