"""The layers of an imported network while it grows: adding, joining, and dividing along channels."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

from soma_cp.model.network import (
    Conv,
    Eltwise,
    ExternalInput,
    FullyConnected,
    GroupConv,
    Layer,
    PointToPoint,
    Pool,
    Shape,
    Upsample,
)
from soma_cp.model.onnx_import.errors import UnsupportedError
from soma_cp.model.onnx_import.graph import printable

Sources = tuple[str, ...]


class Layers:
    """Layers and external inputs by name, in an order in which they can run."""

    def __init__(self) -> None:
        self._layers: dict[str, Layer] = {}
        self._inputs: dict[str, ExternalInput] = {}
        self._parts: dict[str, Sources] = {}  # of what was divided
        self._joined: dict[Sources, str] = {}
        self._row_lots: dict[str, list[Sources]] = {}
        self._rearranged: dict[tuple[Sources, Shape], Sources] = {}

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers so far."""
        return tuple(self._layers.values())

    @property
    def inputs_read(self) -> tuple[ExternalInput, ...]:
        """The external inputs that a layer reads."""
        read = {name for layer in self._layers.values() for name in layer.inputs}
        return tuple(source for source in self._inputs.values() if source.name in read)

    @property
    def rearranged(self) -> tuple[str, ...]:
        """Inputs of the graph that are read in another arrangement than the graph has them."""
        read = {source.name for source in self.inputs_read}
        made = ((sources, self.resolved(names)) for (sources, _), names in self._rearranged.items())
        return tuple(dict.fromkeys(source for sources, names in made if read & set(names) for source in sources))

    def is_input(self, name: str) -> bool:
        """Whether `name` is an external input, or one that was divided."""
        return all(part in self._inputs for part in self.resolved((name,)))

    def shape(self, name: str) -> Shape:
        """Return the shape of what a layer or external input makes."""
        source = self._inputs.get(name)
        return source.shape if source is not None else self._layers[name].ofmap

    def resolved(self, sources: Sequence[str]) -> Sources:
        """Return `sources` with the parts in place of what was divided."""
        names: list[str] = []
        for name in sources:
            names += self.resolved(self._parts[name]) if name in self._parts else (name,)
        return tuple(names)

    def unique(self, name: str) -> str:
        """Return `name` in printable letters, with a number behind it if it is taken."""
        name = printable(name) or "unnamed"
        taken = (self._layers, self._inputs, self._parts)
        candidate, number = name, 1
        while any(candidate in names for names in taken):
            number += 1
            candidate = f"{name}_{number}"
        return candidate

    def add_input(self, name: str, shape: Shape) -> str:
        """Add an external input; return what it is called."""
        name = self.unique(name)
        self._inputs[name] = ExternalInput(name, shape)
        return name

    def shape_of_all(self, sources: Sequence[str]) -> Shape:
        """Return the shape of sources that are concatenated."""
        shapes = [self.shape(source) for source in self.resolved(sources)]
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def rearranged_input(self, sources: Sources, shape: Shape) -> Sources:
        """Return external inputs with their elements in another arrangement: they may lie in DRAM as is needed."""
        key = (sources, shape)
        if key not in self._rearranged:
            self._rearranged[key] = (self.add_input(f"{sources[0]}_rearranged", shape),)
        return self._rearranged[key]

    def remember_rows(self, source: str, lots: list[Sources]) -> None:
        """Remember that the rows of `source` are those of several lots, one after another."""
        self._row_lots[source] = lots

    def rows_joined(self, sources: Sources) -> list[Sources]:
        """Return the lots whose rows make up `sources`, or nothing."""
        return self._row_lots.get(sources[0], []) if len(sources) == 1 else []

    def add(self, kind: type[Layer], name: str, sources: Sequence[str], **fields: Any) -> Sources:
        """Add a layer that reads `sources`; return it as a source."""
        return self.multiply(kind, name, sources, (), **fields)

    def multiply(
        self, kind: type[Layer], name: str, sources: Sequence[str], operand: Sequence[str], **fields: Any
    ) -> Sources:
        """Add a layer that reads `sources`, and `operand` as its second operand; return it as a source."""
        read = self._read_once(self.resolved(sources))
        second = self._as_layers(self.resolved(operand))
        if not set(read).isdisjoint(second):
            read = (self._copy(read),)
        name = self.unique(name)
        self._layers[name] = kind(
            name=name,
            ifmaps=tuple(source for source in read if source not in self._inputs),
            inputs=tuple(source for source in read if source in self._inputs),
            weight_operands=second,
            **fields,
        )
        return (name,)

    def _read_once(self, sources: Sources) -> Sources:
        """Put a layer between for what is concatenated with itself: a layer names a source once."""
        read: list[str] = []
        for source in sources:
            read.append(self._copy((source,)) if source in read else source)
        return tuple(read)

    def _as_layers(self, sources: Sources) -> Sources:
        """Put a layer behind external inputs: a second operand is a layer's."""
        return tuple(self._copy((name,)) if name in self._inputs else name for name in sources)

    def _copy(self, sources: Sources) -> str:
        return self._point_to_point(f"{sources[0]}_copy", sources)

    def joined(self, sources: Sequence[str], name: str = "") -> str:
        """Return the one source that holds all of `sources`: a ptp layer if these are several.

        Parameters
        ----------
        sources
            Sources that are concatenated.
        name
            What the layer is called; by default after the first source.
        """
        read = self.resolved(sources)
        if len(read) == 1:
            return read[0]
        known = self._joined.get(read)
        if known is None or known in self._parts:
            known = self._point_to_point(name or f"{read[0]}_concat", read)
            self._joined[read] = known
        return known

    def _point_to_point(self, name: str, sources: Sources) -> str:
        channels = sum(self.shape(source)[0] for source in sources)
        _, rows, columns = self.shape(sources[0])
        return self.add(PointToPoint, name, sources, K=channels, H=rows, W=columns)[0]

    def prune(self, outputs: Sequence[str]) -> None:
        """Leave out layers that lead to none of the `outputs`."""
        needed = set(self.resolved(outputs))
        for layer in reversed(list(self._layers.values())):
            if layer.name in needed:
                needed.update((*layer.ifmaps, *layer.weight_operands))
        self._layers = {name: layer for name, layer in self._layers.items() if name in needed}

    # Dividing along channels

    def divided(self, sources: Sequence[str], sizes: Sequence[int]) -> list[Sources]:
        """Return sources for consecutive ranges of channels of `sizes`; layers are divided where need be.

        A matrix layer becomes several with fewer kernels, which together do the same; what is element-wise is
        divided with what it reads.

        Raises
        ------
        UnsupportedError
            If a layer can't be divided there.
        """
        ends = list(accumulate(sizes))
        ranges: list[list[str]] = [[] for _ in sizes]
        start = 0
        for source in self.resolved(sources):
            end = start + self.shape(source)[0]
            cuts = [start, *(cut for cut in ends if start < cut < end), end]
            pieces = (source,) if len(cuts) == 2 else self._divide(source, tuple(b - a for a, b in pairwise(cuts)))
            for piece, cut in zip(pieces, cuts[1:], strict=True):
                ranges[bisect_left(ends, cut)].append(piece)
            start = end
        return [tuple(names) for names in ranges]

    def _divide(self, name: str, sizes: tuple[int, ...]) -> Sources:
        if name in self._inputs:
            parts = self._divide_input(name, sizes)
        else:
            parts = self._divide_layer(self._layers[name], sizes)
        self._parts[name] = parts
        self._rewire(name, parts)
        return parts

    def _divide_input(self, name: str, sizes: tuple[int, ...]) -> Sources:
        _, rows, columns = self._inputs[name].shape
        parts = tuple(self.add_input(f"{name}_{i}", (size, rows, columns)) for i, size in enumerate(sizes))
        del self._inputs[name]
        return parts

    def _divide_layer(self, layer: Layer, sizes: tuple[int, ...]) -> Sources:
        reads = self._reads_of_parts(layer, sizes)
        names: list[str] = []
        made: list[Layer] = []
        for i, (size, read) in enumerate(zip(sizes, reads, strict=True)):
            names.append(self.unique(f"{layer.name}_{i}"))
            fields: dict[str, Any] = {
                "name": names[-1],
                "K": size,
                "ifmaps": tuple(source for source in read if source not in self._inputs),
                "inputs": tuple(source for source in read if source in self._inputs),
            }
            if isinstance(layer, GroupConv):
                groups = size * layer.G // layer.K
                fields |= {"C": layer.C // layer.G * groups, "G": groups}
            made.append(replace(layer, **fields))
        place = list(self._layers).index(layer.name)
        entries = list(self._layers.items())
        entries[place : place + 1] = zip(names, made, strict=True)
        self._layers = dict(entries)
        return tuple(names)

    def _reads_of_parts(self, layer: Layer, sizes: tuple[int, ...]) -> list[Sources]:
        sources = (*layer.ifmaps, *layer.inputs)
        if layer.weight_operands:
            raise UnsupportedError(
                f"takes a part of the channels of '{layer.name}', which multiplies two computed tensors"
            )
        if isinstance(layer, GroupConv):
            if any(size * layer.G % layer.K for size in sizes):
                raise UnsupportedError(f"takes channels of '{layer.name}' across the borders of its {layer.G} groups")
            per_kernel = layer.C / layer.K
            return self.divided(sources, [round(size * per_kernel) for size in sizes])
        if isinstance(layer, FullyConnected | Conv):
            return [sources] * len(sizes)
        if isinstance(layer, Eltwise):
            operands = [self.divided((source,), sizes) for source in sources]
            return [tuple(self.joined(operand[i]) for operand in operands) for i in range(len(sizes))]
        if isinstance(layer, PointToPoint | Pool) or (isinstance(layer, Upsample) and layer.sK == 1):
            return self.divided(sources, sizes)
        raise UnsupportedError(
            f"takes a part of the channels of '{layer.name}', a {layer.kind}, which can't be divided"
        )

    def _rewire(self, name: str, parts: Sources) -> None:
        """Let the layers that read `name` read its parts; an element-wise one, which can't, reads them joined."""
        for reader in list(self._layers.values()):
            if name not in (*reader.ifmaps, *reader.inputs, *reader.weight_operands):
                continue
            put = parts
            if isinstance(reader, Eltwise):
                put = (self._joined_before(parts, reader.name),)
            self._layers[reader.name] = replace(
                reader,
                ifmaps=_replaced(reader.ifmaps, name, tuple(part for part in put if part not in self._inputs)),
                inputs=_replaced(reader.inputs, name, tuple(part for part in put if part in self._inputs)),
                weight_operands=_replaced(reader.weight_operands, name, put),
            )

    def _joined_before(self, parts: Sources, reader: str) -> str:
        known = self._joined.get(parts)
        if known is not None:
            return known
        name = self.joined(parts)
        entries = list(self._layers.items())
        place = [entry[0] for entry in entries].index(reader)
        entries.insert(place, entries.pop())
        self._layers = dict(entries)
        return name


def _replaced(names: Sources, name: str, parts: Sources) -> Sources:
    """Put `parts` in the place of `name`, if it is there."""
    if name not in names:
        return names
    place = names.index(name)
    return (*names[:place], *parts, *names[place + 1 :])
