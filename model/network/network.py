"""Networks: a DAG of layers in a topological order, and the external inputs (docs/model.md#network).

Names are unique; layers refer to one another by name.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import NamedTuple

from soma_cp.model.data_types import DataType, packed, widest
from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.network.layers import ExternalInput, Layer, Shape, weights_key
from soma_cp.model.network.network_checks import network_problems, unread_layers


class NetworkError(UserError):
    """A network whose layers contradict one another; `problems` has one sentence for each fault."""

    def __init__(self, network: str, problems: list[str]) -> None:
        self.problems = problems
        shown = "; ".join(problems[:5])
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        super().__init__(f"network '{network}': {shown}{more}")


class Division(NamedTuple):
    """A layer divided by output channels (docs/model.md#divided-layers).

    Parameters
    ----------
    layer
        Its name; its parts are called ``name/1``, ``name/2`` and so on.
    channels
        Output channels of each part, in channel order; two or more.
    """

    layer: str
    channels: tuple[int, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts."""
        return tuple(f"{self.layer}/{number}" for number in range(1, len(self.channels) + 1))


def name_in_pass(name: str, number: int) -> str:
    """Return the name of a layer's or an input's copy in a pass, counted from 1; in the first it is called as ever."""
    return name if number == 1 else f"{name} (pass {number})"


@dataclass(frozen=True)
class Network:
    """A network; its creation checks the parts against one another.

    Parameters
    ----------
    name
        Name of the network in files and reports.
    inputs
        External inputs.
    layers
        In topological order: a layer reads only earlier layers. The index in this tuple is the layer's id.
    blocks
        How many times the whole model repeats the network (GPT-2 networks are one transformer block); reports
        multiply by it, schedules don't.
    outputs
        Layers whose ofmaps are stored, whatever reads them. Layers that nothing reads are added, in the order of
        `layers`.
    notes
        One sentence for each approximation and likely mistake that its source made known; networks that differ in the
        notes alone are equal.

    Raises
    ------
    NetworkError
        If names clash or are unknown, or shapes don't fit.
    """

    name: str
    inputs: tuple[ExternalInput, ...]
    layers: tuple[Layer, ...]
    blocks: int = field(default=1)
    outputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        problems = network_problems(self.inputs, self.layers, self.blocks, self.outputs)
        if problems:
            raise NetworkError(self.name, problems)
        stored = {*self.outputs, *unread_layers(self.layers)}
        object.__setattr__(self, "outputs", tuple(layer.name for layer in self.layers if layer.name in stored))

    def __repr__(self) -> str:
        matrix, vector = self.operations
        return (
            f"<Network '{self.name}': {len(self.layers)} layers, {matrix + vector:,} operations a sample, "
            f"{self.weight_bytes:,} bytes of weights>"
        )

    @property
    def whole(self) -> "Network":
        """The network in which no layer is divided: this one, unless it is a `DividedNetwork`."""
        return self

    @property
    def divisions(self) -> tuple[Division, ...]:
        """The layers of `whole` that are divided in this network, in its order."""
        return ()

    @property
    def part_names(self) -> frozenset[str]:
        """The names of all parts of divided layers."""
        return frozenset()

    @property
    def one_pass(self) -> "Network":
        """The network of one pass: this one, unless it is a `RepeatedNetwork`."""
        return self

    @property
    def passes(self) -> int:
        """How many copies of `one_pass` this network consists of."""
        return 1

    def why_unknown(self, layer: str) -> str:
        """Return why there is no layer of that name, as a clause about it."""
        division = next((one for one in self.divisions if one.layer == layer), None)
        if division is not None:
            parts = ", ".join(f"'{part}'" for part in division.parts)
            return f"which is divided; name its parts {parts}"
        of_part, _, number = layer.rpartition("/")
        if number.isdecimal() and of_part in self.layer_id:
            return f"a part of '{of_part}', which no division names"
        return f"which '{self.name}' does not have{nearest_name_hint(layer, self.layer_id)}"

    @cached_property
    def layer_id(self) -> dict[str, int]:
        """Index of every layer in `layers`, by name."""
        return {layer.name: i for i, layer in enumerate(self.layers)}

    @cached_property
    def operations(self) -> tuple[int, int]:
        """Operations of one sample: multiply-accumulates of matrix layers, element operations of vector layers."""
        matrix = sum(layer.operations for layer in self.layers if layer.is_matrix)
        return matrix, sum(layer.operations for layer in self.layers if not layer.is_matrix)

    @cached_property
    def operations_by_type(self) -> dict[tuple[bool, DataType], int]:
        """Operations of one sample, by whether they are those of matrix layers, and by type (`computed_type`)."""
        found: dict[tuple[bool, DataType], int] = defaultdict(int)
        for layer in self.layers:
            found[layer.is_matrix, self.computed_type(layer)] += layer.operations
        return dict(found)

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of all stored weights; weights that several layers share count once."""
        stored = {weights_key(layer): layer.weight_bytes for layer in self.layers}
        return sum(stored.values())

    @cached_property
    def dram_weight_bytes(self) -> int:
        """Bytes of all stored weights in DRAM, where they may be compressed; shared ones count once."""
        stored = {weights_key(layer): layer.dram_weight_bytes for layer in self.layers}
        return sum(stored.values())

    @cached_property
    def input_id(self) -> dict[str, int]:
        """Index of every external input in `inputs`, by name."""
        return {source.name: i for i, source in enumerate(self.inputs)}

    def source_name(self, source: int) -> str:
        """Return the name of the layer `source`, or of the external input ``-1 - source``."""
        return self.layers[source].name if source >= 0 else self.inputs[-1 - source].name

    def source_shape(self, name: str) -> Shape:
        """Shape of the ofmap or external input called `name`."""
        if name in self.layer_id:
            return self.layers[self.layer_id[name]].ofmap
        return self.inputs[self.input_id[name]].shape

    def source_type(self, name: str) -> DataType:
        """Type of the elements of the ofmap or external input called `name`."""
        if name in self.layer_id:
            return self.layers[self.layer_id[name]].types.ofmap
        return self.inputs[self.input_id[name]].type

    def ifmap_type(self, layer: Layer) -> DataType:
        """Type that the core array computes the ifmap of `layer` in: the widest of its sources'."""
        return widest([self.source_type(name) for name in (*layer.ifmaps, *layer.inputs)])

    def operand_type(self, layer: Layer) -> DataType:
        """Type of the second operand of `layer`: of its stored weights, or the widest of the layers that make it."""
        if not layer.weight_operands:
            return layer.types.weights.type
        return widest([self.source_type(name) for name in layer.weight_operands])

    def computed_type(self, layer: Layer) -> DataType:
        """Type in which the core array computes `layer`.

        A matrix layer is computed in the wider type of its operands, a vector layer in that of its ifmap and ofmap; of
        two equally wide ones, in a float rather than in integers.
        """
        return widest([self.ifmap_type(layer), self.operand_type(layer) if layer.is_matrix else layer.types.ofmap])

    def operand_bytes(self, layer: Layer) -> int:
        """Bytes of the second operand of `layer` for one sample, whether stored weights or other layers' ofmaps."""
        makers = [self.layers[self.layer_id[name]] for name in layer.weight_operands]
        if not makers:
            return layer.weight_bytes
        return sum(packed(prod(maker.ofmap), maker.types.ofmap.bits) for maker in makers)

    def available_ifmap(self, layer: Layer) -> tuple[int, int]:
        """Rows and columns that the sources of `layer` make, at most as many as its kernel wants.

        The difference to `Layer.wanted_ifmap` is padding (docs/model.md#network).
        """
        _, wanted_rows, wanted_columns = layer.wanted_ifmap()
        sources = [self.source_shape(name) for name in (*layer.ifmaps, *layer.inputs)]
        rows = min(max(shape[1] for shape in sources), wanted_rows)
        columns = min(max(shape[2] for shape in sources), wanted_columns)
        return rows, columns


@dataclass(frozen=True)
class DividedNetwork(Network):
    """A network whose layers are those of another, some of them divided; `soma_cp.model.network.rewrites` makes it.

    Parameters
    ----------
    undivided
        The other network.
    made_by
        The layers that are divided, in the order of `undivided`.
    """

    undivided: Network = field(kw_only=True)
    made_by: tuple[Division, ...] = field(kw_only=True)

    @property
    def whole(self) -> Network:
        """The network in which no layer is divided."""
        return self.undivided

    @property
    def divisions(self) -> tuple[Division, ...]:
        """The layers of `whole` that are divided in this network, in its order."""
        return self.made_by

    @property
    def part_names(self) -> frozenset[str]:
        """The names of all parts of divided layers."""
        return frozenset(name for division in self.made_by for name in division.parts)


@dataclass(frozen=True)
class RepeatedNetwork(Network):
    """Copies of a network, one for each pass over a part of the batch; `soma_cp.model.network.rewrites` makes it.

    Layers and inputs of the first copy come first, then those of the second, and so on. No copy reads another.

    Parameters
    ----------
    copied
        The network of one pass, in which layers may be divided.
    copies
        Their number; at least 2.
    """

    copied: Network = field(kw_only=True)
    copies: int = field(kw_only=True)

    @property
    def whole(self) -> Network:
        """The network of one pass in which no layer is divided."""
        return self.copied.whole

    @property
    def divisions(self) -> tuple[Division, ...]:
        """The layers of `whole` that are divided in each pass, in its order."""
        return self.copied.divisions

    @property
    def part_names(self) -> frozenset[str]:
        """The names of all parts of divided layers, in all passes."""
        numbers = range(1, self.copies + 1)
        return frozenset(name_in_pass(name, number) for name in self.copied.part_names for number in numbers)

    @property
    def one_pass(self) -> Network:
        """The network of one pass."""
        return self.copied

    @property
    def passes(self) -> int:
        """How many copies of `one_pass` this network consists of."""
        return self.copies
