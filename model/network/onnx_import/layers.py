"""The layers of an imported network while it grows: add layers, join them, replace one by several."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from soma_cp.model.data_types import DataType, LayerTypes, WeightFormat
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Layer, PointToPoint, Shape, Transpose
from soma_cp.model.network.onnx_import.graph import printable
from soma_cp.model.network.onnx_import.views import Axis

Sources = tuple[str, ...]

Arrangement = tuple[Sources, Shape, tuple[Axis, ...]]
"""What a layer arranges: its sources, their shape, and their atoms in the layer's channels, rows and columns."""


class Layers:
    """Layers and external inputs by name, in an order in which they can run."""

    def __init__(self) -> None:
        self.added: list[str] = []
        """The names of all layers that were ever added, in this order."""
        self._layers: dict[str, Layer] = {}
        self._reads: dict[str, Sources] = {}  # by layer: ifmaps and inputs, in the order of their concatenation
        self._inputs: dict[str, ExternalInput] = {}
        self.tensors: dict[str, str] = {}
        """By external input that is no arrangement of another: the ONNX tensor that it is, or has the type of."""
        self._shared_weights: dict[str, tuple[int, ...]] = {}  # shapes by name
        self._parts: dict[str, Sources] = {}  # by layer or input that was divided
        self._joined: dict[Sources, str] = {}
        self._row_lots: dict[str, list[Sources]] = {}
        self._rearranged: dict[tuple[Sources, Hashable], tuple[str, str]] = {}  # names and orders
        self._orders: dict[str, tuple[Sources, str]] = {}  # by rearranged input: of which inputs, and how
        self._constants: dict[Hashable, str] = {}
        self._arranges: dict[str, Arrangement] = {}  # by layer that has all elements of its sources
        self.arrangements: dict[Hashable, Sources] = {}
        """Sources that were arranged for a reader, by what was wanted."""

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
        """Inputs that layers read in another arrangement than the graph's."""
        read = {source.name for source in self.inputs_read}
        made = ((sources, self.resolved((name,))) for (sources, _), (name, _) in self._rearranged.items())
        return tuple(dict.fromkeys(source for sources, names in made if read & set(names) for source in sources))

    def is_input(self, name: str) -> bool:
        """Whether `name` is an external input, divided or not."""
        return all(part in self._inputs for part in self.resolved((name,)))

    def shape(self, name: str) -> Shape:
        """Return the shape of a layer's ofmap or of an external input."""
        source = self._inputs.get(name)
        return source.shape if source is not None else self._layers[name].ofmap

    def resolved(self, sources: Sequence[str]) -> Sources:
        """Return `sources`, with each divided one replaced by its parts."""
        names: list[str] = []
        for name in sources:
            names += self.resolved(self._parts[name]) if name in self._parts else (name,)
        return tuple(names)

    def unique(self, name: str) -> str:
        """Return `name` in printable letters, with a number appended if it is taken."""
        name = printable(name) or "unnamed"
        taken = (self._layers, self._inputs, self._parts)
        candidate, number = name, 1
        while any(candidate in names for names in taken):
            number += 1
            candidate = f"{name}_{number}"
        return candidate

    def add_input(self, name: str, shape: Shape, tensor: str = "") -> str:
        """Add an external input, which is `tensor` or has its type; return its name."""
        name = self.unique(name)
        self._inputs[name] = ExternalInput(name, shape)
        if tensor:
            self.tensors[name] = tensor
        return name

    def add_constant(self, name: str, shape: Shape, view: Hashable) -> str:
        """Add a stored tensor as an external input, once for all layers that read it in one arrangement."""
        key = (name, shape, view)
        if key not in self._constants:
            self._constants[key] = self.add_input(name, shape, name)
        return self._constants[key]

    def shape_of_all(self, sources: Sequence[str]) -> Shape:
        """Return the shape of sources that are concatenated."""
        shapes = [self.shape(source) for source in self.resolved(sources)]
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])

    def rearranged_input(self, sources: Sources, wanted: Hashable, shape: Shape, order: str) -> Sources:
        """Return an external input in another arrangement: DRAM may hold it in any, but only in one.

        Parameters
        ----------
        sources
            External inputs that are concatenated.
        wanted
            The arrangement: equal ones are one input.
        shape
            Its channels, rows and columns.
        order
            For each of them the dimension of the inputs that it is, ``*`` if it is none.
        """
        before = self._orders.get(sources[0]) if len(sources) == 1 else None
        if before is not None:
            wanted, (sources, earlier) = (sources, wanted), before
            order = composed(order, earlier)
        key = (sources, wanted)
        if key not in self._rearranged:
            name = self.add_input(f"{sources[0]}_rearranged", shape)
            self._rearranged[key] = (name, order)
            self._orders[name] = (sources, order)
        return self.resolved((self._rearranged[key][0],))

    @property
    def arranged_inputs(self) -> dict[str, Sources]:
        """The external inputs of which each other arrangement of external inputs has the elements."""
        return {name: sources for name, (sources, _) in self._orders.items()}

    def origins(self, sources: Sources) -> Sources:
        """Return the external inputs of which some are other arrangements."""
        return tuple(origin for name in sources for origin in self._orders.get(name, ((name,), ""))[0])

    def remember_arrangement(self, made: Sources, sources: Sources, shape: Shape, wanted: tuple[Axis, ...]) -> Sources:
        """Remember that the layer `made` has all elements of its sources in another arrangement; return it."""
        self._arranges[made[0]] = (sources, shape, wanted)
        return made

    def only_arranges(self, name: str) -> bool:
        """Whether a layer is remembered to have all elements of its sources."""
        return name in self._arranges

    def arrangement(self, sources: Sources) -> Arrangement | None:
        """Return what a layer arranges; None if it does more."""
        found = self._arranges.get(sources[0]) if len(sources) == 1 else None
        return (self.resolved(found[0]), *found[1:]) if found is not None else None

    def remember_rows(self, source: str, lots: list[Sources]) -> None:
        """Remember that the rows of `source` are the rows of several lots, one lot after another."""
        self._row_lots[source] = lots

    def rows_joined(self, sources: Sources) -> list[Sources]:
        """Return the lots whose rows make up `sources`; empty if there are none."""
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
        if fields.get("weights"):
            fields["weights"] = self._weights_of_one_shape(fields)
        self._layers[name] = kind(
            name=name,
            ifmaps=tuple(source for source in read if source not in self._inputs),
            inputs=tuple(source for source in read if source in self._inputs),
            weight_operands=second,
            **fields,
        )
        self._reads[name] = read
        self.added.append(name)
        return (name,)

    def _weights_of_one_shape(self, fields: dict[str, Any]) -> str:
        """Return the name of shared weights, with their shape appended if the first of this name have another."""
        name: str = fields["weights"]
        shape = (fields["K"], fields["C"] // fields.get("G", 1), fields.get("R", 1), fields.get("S", 1))
        if self._shared_weights.setdefault(name, shape) == shape:
            return name
        return f"{name} {'×'.join(map(str, shape))}"

    def _read_once(self, sources: Sources) -> Sources:
        """Add a copying layer for each repeated source: a layer names a source once."""
        read: dict[str, None] = {}
        for source in sources:
            read[self._copy((source,)) if source in read else source] = None
        return tuple(read)

    def _as_layers(self, sources: Sources) -> Sources:
        """Add a copying layer for each external input: only layers make second operands."""
        return tuple(self._copy((name,)) if name in self._inputs else name for name in sources)

    def _copy(self, sources: Sources) -> str:
        return self.point_to_point(f"{sources[0]}_copy", sources)[0]

    def joined(self, sources: Sequence[str], name: str = "") -> str:
        """Return the one source that holds all of `sources`; a `ptp` layer joins several.

        Parameters
        ----------
        sources
            Sources that are concatenated.
        name
            Name of the layer; by default derived from the first source.
        """
        read = self.resolved(sources)
        if len(read) == 1:
            return read[0]
        known = self._joined.get(read)
        if known is None or known in self._parts:
            (known,) = self.point_to_point(name or f"{read[0]}_concat", read)
            self._joined[read] = known
        return known

    def point_to_point(self, name: str, sources: Sequence[str]) -> Sources:
        """Add a `ptp` layer whose ofmap has all channels of `sources`; return it as a source."""
        K, H, W = self.shape_of_all(sources)
        return self.add(PointToPoint, name, sources, K=K, H=H, W=W)

    def regroup(self, name: str, sources: Sequence[str], ofmap: Shape, order: str) -> Sources:
        """Add a regrouping transpose; `order` says for each dimension of `ofmap` what it is in the ifmap."""
        K, H, W = ofmap
        return self.add(Transpose, name, sources, K=K, H=H, W=W, order=order, ifmap=self.shape_of_all(sources))

    def keep_needed(self, outputs: Sequence[str]) -> Sources:
        """Remove layers that lead to none of the `outputs`; return those of them that are parts of matrix layers."""
        needed = set(self.resolved(outputs))
        for layer in reversed(list(self._layers.values())):
            if layer.name in needed:
                needed.update((*layer.ifmaps, *layer.weight_operands))
        unneeded = {part for parts in self._parts.values() for part in parts} - needed
        unread = tuple(name for name, layer in self._layers.items() if name in unneeded and layer.is_matrix)
        self._layers = {name: layer for name, layer in self._layers.items() if name in needed}
        return unread

    def arrange_inputs_once(self) -> None:
        """Make all arrangements of an external input but one by layers: the input is one tensor, whatever reads it."""
        read = {name for layer in self._layers.values() for name in layer.inputs}
        by_sources: dict[Sources, list[tuple[str, str]]] = {}
        for (sources, _), (name, order) in self._rearranged.items():
            if name in read:
                by_sources.setdefault(sources, []).append((name, order))
        for sources, made in by_sources.items():
            first: tuple[Sources, str] = (self.resolved(sources), "CHW")
            if read.isdisjoint(first[0]):
                first, made = ((made[0][0],), made[0][1]), made[1:]
            for name, order in made:
                self._arrange_by_layer(name, order, first)

    def _arrange_by_layer(self, name: str, order: str, source: tuple[Sources, str]) -> None:
        """Replace a rearranged input by a layer that arranges another input with the same elements."""
        inputs, known = source
        K, H, W = self._inputs.pop(name).shape
        letters = "".join("CHW"[known.index(letter)] if letter in known else "*" for letter in order.replace("*", "?"))
        layer = Transpose(name=name, K=K, H=H, W=W, **ordered(letters, self.shape_of_all(inputs)))
        self._layers = {name: layer, **self._layers}
        self._set_reads(name, inputs)
        for reader in self.readers(name):
            self._set_reads(reader, self._reads[reader])

    def readers(self, name: str) -> list[str]:
        """Return the layers that read a layer or external input."""
        return [
            reader.name
            for reader in self._later(name)
            if name in self._reads[reader.name] or name in reader.weight_operands
        ]

    def layer(self, name: str) -> Layer:
        """Return a layer."""
        return self._layers[name]

    def find(self, name: str) -> Layer | None:
        """Return a layer; None for an external input and for a layer that was removed."""
        return self._layers.get(name)

    def put(self, layer: Layer, read: Sources) -> None:
        """Put a layer in place of that of its name; it reads `read`."""
        self._layers[layer.name] = layer
        self._set_reads(layer.name, read)

    def remove(self, name: str, stand_in: str = "") -> None:
        """Remove a layer; those that read it read `stand_in`, if it is given."""
        if stand_in:
            self._rewire(name, (stand_in,))
        del self._layers[name]

    def reads(self, name: str) -> Sources:
        """Return the sources of a layer, in the order of their concatenation."""
        return self._reads[name]

    def divide_input(self, name: str, sizes: Sequence[int]) -> Sources:
        """Replace one external input by several with these numbers of channels."""
        _, rows, columns = self._inputs[name].shape
        parts = tuple(self.add_input(f"{name}_{i}", (size, rows, columns)) for i, size in enumerate(sizes))
        del self._inputs[name]
        self._rewire(name, parts)
        return parts

    def divide_layer(self, name: str, parts: Sequence[Layer], reads: Sequence[Sources]) -> Sources:
        """Replace one layer by several that together make the same.

        Parameters
        ----------
        name
            The layer to replace.
        parts
            The layers that replace it, by consecutive channels.
        reads
            Sources of each part; they replace its `ifmaps` and `inputs`.
        """
        named = {self.unique(f"{name}_{i}"): part for i, part in enumerate(parts)}
        later = self._later(name)
        del self._layers[name]
        self._layers |= {new: replace(part, name=new) for new, part in named.items()}
        self._put_last(later)
        for new, read in zip(named, reads, strict=True):
            self._set_reads(new, self.resolved(read))
        self._rewire(name, tuple(named))
        return tuple(named)

    def set_types(self, layers: Mapping[str, LayerTypes], inputs: Mapping[str, DataType]) -> None:
        """Set the types of layers and external inputs; layers whose weights then differ no longer share them."""
        formats: dict[str, WeightFormat] = {}
        others: dict[tuple[str, WeightFormat], str] = {}  # the names of weights that differ from the first
        taken = {layer.weights for layer in self._layers.values() if isinstance(layer, Conv)}
        for name, types in layers.items():
            layer = replace(self._layers[name], types=types)
            if isinstance(layer, Conv) and layer.weights:
                shared, own = layer.weights, types.weights
                if formats.setdefault(shared, own) != own:
                    apart = others.get((shared, own), f"{shared} {own.text}")
                    while (shared, own) not in others and apart in taken:
                        apart += "_2"
                    taken.add(others.setdefault((shared, own), apart))
                    layer = replace(layer, weights=apart)
            self._layers[name] = layer
        self._inputs |= {name: replace(self._inputs[name], type=kind) for name, kind in inputs.items()}

    def _set_reads(self, name: str, read: Sources) -> None:
        self._reads[name] = read
        self._layers[name] = replace(
            self._layers[name],
            ifmaps=tuple(source for source in read if source not in self._inputs),
            inputs=tuple(source for source in read if source in self._inputs),
        )

    def _rewire(self, name: str, parts: Sources) -> None:
        """Make the readers of `name` read its parts; an `eltwise` can't read parts, so it reads them joined."""
        self._parts[name] = parts
        for reader in self._later(parts[-1]):
            if name in self._reads[reader.name]:
                put = (self._joined_before(parts, reader.name),) if isinstance(reader, Eltwise) else parts
                self._set_reads(reader.name, _replaced(self._reads[reader.name], name, put))
            if name in reader.weight_operands:
                operands = _replaced(reader.weight_operands, name, parts)
                self._layers[reader.name] = replace(self._layers[reader.name], weight_operands=operands)

    def _joined_before(self, parts: Sources, reader: str) -> str:
        """Join `parts` by a layer that comes before `reader`."""
        name = self.joined(parts)
        later = self._later(reader)
        if self._layers[name] in later:
            self._put_last([self._layers[reader], *(layer for layer in later if layer.name != name)])
        return name

    def _later(self, name: str) -> list[Layer]:
        """Return the layers after a layer, which alone may read it; all layers if it is an external input."""
        later = list(takewhile(lambda layer: layer.name != name, reversed(self._layers.values())))
        return later[::-1]

    def _put_last(self, layers: Sequence[Layer]) -> None:
        for layer in layers:
            self._layers[layer.name] = self._layers.pop(layer.name)


def composed(outer: str, inner: str) -> str:
    """Return the order of one arrangement after another; ``*`` is a dimension that is no whole dimension before."""
    return "".join(inner["CHW".index(letter)] if letter != "*" else "*" for letter in outer)


def ordered(order: str, ifmap: Shape) -> dict[str, Any]:
    """Return the fields of a transpose; one of whole dimensions needs no shape of its ifmap."""
    return {"order": order} if sorted(order) == sorted("CHW") else {"order": order, "ifmap": ifmap}


def _replaced(names: Sources, name: str, parts: Sources) -> Sources:
    """Replace `name` by `parts`."""
    place = names.index(name)
    return (*names[:place], *parts, *names[place + 1 :])
