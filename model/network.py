"""Networks: a DAG of layers in a topological order, and the external inputs (specification: section 1).

All data is INT8: one element is one byte. A feature map (fmap) has a shape ``(channels, rows, columns)``
for each sample of the batch. Names are unique; layers refer to one another by name.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from soma_cp.model.errors import UserError

Shape = tuple[int, int, int]
"""Channels, rows, columns of one sample's fmap."""


class NetworkError(UserError):
    """A network whose layers contradict one another; `problems` has one sentence for each fault."""

    def __init__(self, network: str, problems: list[str]) -> None:
        self.problems = problems
        shown = "; ".join(problems[:5])
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        super().__init__(f"network '{network}': {shown}{more}")
        self._network = network

    def __reduce__(self) -> tuple[object, ...]:  # process pools pickle errors
        return type(self), (self._network, self.problems)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What all kinds of layers have; the kinds below add their own fields.

    Parameters
    ----------
    name
        Unique within the network, inputs included.
    K, H, W
        Channels, rows and columns of the ofmap.
    ifmaps
        Layers whose ofmaps are read: concatenated along channels, or the operands of an `Eltwise`.
    weight_operands
        Layers whose ofmaps are the second operand of a matrix multiplication (attention).
    inputs
        External inputs that are read, as ifmaps are.
    """

    kind: ClassVar[str] = ""

    name: str
    K: int
    H: int
    W: int
    ifmaps: tuple[str, ...] = ()
    weight_operands: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    @property
    def ofmap(self) -> Shape:
        """Shape of the ofmap."""
        return (self.K, self.H, self.W)

    @property
    def operand_bytes(self) -> int:
        """Bytes of the second operand, whether stored weights or another layer's ofmap."""
        return 0

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights that the layer loads from DRAM: none when another layer makes its second operand."""
        return 0 if self.weight_operands else self.operand_bytes

    @property
    def operations(self) -> int:
        """Operations for one sample: multiply-accumulates of a matrix layer, element operations of a vector layer."""
        return self.K * self.H * self.W

    @property
    def is_matrix(self) -> bool:
        """Whether the PE array runs it (conv, group_conv, fc) rather than the vector unit."""
        return False

    def wanted_ifmap(self) -> Shape:
        """Shape that the ifmap would have without padding: what the kernel touches for the whole ofmap."""
        return self.ofmap


@dataclass(frozen=True, kw_only=True)
class _Windowed(Layer):
    """A layer that slides an R×S window with strides sH, sW."""

    R: int = 1
    S: int = 1
    sH: int = 1
    sW: int = 1

    def _wanted_rows_columns(self) -> tuple[int, int]:
        return (self.H - 1) * self.sH + self.R, (self.W - 1) * self.sW + self.S


@dataclass(frozen=True, kw_only=True)
class Conv(_Windowed):
    """Convolution, or a matrix multiplication with the token dimension on H (R = S = W = 1)."""

    kind: ClassVar[str] = "conv"
    C: int

    @property
    def operand_bytes(self) -> int:
        return self.C * self.K * self.R * self.S

    @property
    def operations(self) -> int:
        return self.C * self.K * self.R * self.S * self.H * self.W

    @property
    def is_matrix(self) -> bool:
        return True

    def wanted_ifmap(self) -> Shape:
        return (self.C, *self._wanted_rows_columns())


@dataclass(frozen=True, kw_only=True)
class GroupConv(Conv):
    """Convolution in G groups, C/G input and K/G output channels each; also multi-head matrix multiplication."""

    kind: ClassVar[str] = "group_conv"
    G: int

    @property
    def operand_bytes(self) -> int:
        return self.C // self.G * self.K * self.R * self.S

    @property
    def operations(self) -> int:
        return self.C * self.K * self.R * self.S * self.H * self.W // self.G


@dataclass(frozen=True, kw_only=True)
class FullyConnected(Conv):
    """Fully connected layer over an ifmap of R×S; its ofmap is K×1×1."""

    kind: ClassVar[str] = "fc"
    H: int = 1
    W: int = 1


@dataclass(frozen=True, kw_only=True)
class Pool(_Windowed):
    """Pooling over R×S windows."""

    kind: ClassVar[str] = "pool"

    @property
    def operations(self) -> int:
        return self.K * self.H * self.W * self.R * self.S

    def wanted_ifmap(self) -> Shape:
        return (self.K, *self._wanted_rows_columns())


@dataclass(frozen=True, kw_only=True)
class Eltwise(Layer):
    """Element-wise operation on N operands of the ofmap's shape."""

    kind: ClassVar[str] = "eltwise"
    N: int = 2

    @property
    def operations(self) -> int:
        return self.N * self.K * self.H * self.W

    def wanted_ifmap(self) -> Shape:
        return (self.N * self.K, self.H, self.W)


@dataclass(frozen=True, kw_only=True)
class PointToPoint(Layer):
    """Activation, normalisation, softmax or concatenation: every element from its own place."""

    kind: ClassVar[str] = "ptp"


@dataclass(frozen=True, kw_only=True)
class Transpose(Layer):
    """Permutation of dimensions.

    `order` names, for the ofmap's C, H, W in this sequence, the ifmap dimension that each came from:
    ``"HCW"`` swaps channels and rows.
    """

    kind: ClassVar[str] = "transpose"
    order: str

    def wanted_ifmap(self) -> Shape:
        ifmap = [0, 0, 0]
        for extent, origin in zip(self.ofmap, self.order, strict=True):
            ifmap["CHW".index(origin)] = extent
        return (ifmap[0], ifmap[1], ifmap[2])


@dataclass(frozen=True, kw_only=True)
class Upsample(Layer):
    """Enlargement by the factors sK, sH, sW."""

    kind: ClassVar[str] = "upsample"
    sK: int = 1
    sH: int = 1
    sW: int = 1

    def wanted_ifmap(self) -> Shape:
        return (-(-self.K // self.sK), -(-self.H // self.sH), -(-self.W // self.sW))


LAYER_KINDS: dict[str, type[Layer]] = {
    cls.kind: cls for cls in (Conv, GroupConv, FullyConnected, Pool, Eltwise, PointToPoint, Transpose, Upsample)
}
"""The layer classes by the name of their kind in files."""


@dataclass(frozen=True)
class ExternalInput:
    """A tensor that comes from outside the network, one for each sample, of shape (channels, rows, columns)."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Network:
    """A network; its parts are checked against one another on creation.

    Parameters
    ----------
    name
        What the network is called in files and reports.
    inputs
        External inputs.
    layers
        In topological order: a layer reads only earlier layers. The place in this tuple is the layer's id.
    blocks
        How many times the network stands one after another in the whole model (GPT-2 networks are one
        transformer block); reports multiply by it, schedules don't.

    Raises
    ------
    NetworkError
        If names clash or are unknown, or shapes don't fit.
    """

    name: str
    inputs: tuple[ExternalInput, ...]
    layers: tuple[Layer, ...]
    blocks: int = field(default=1)

    def __post_init__(self) -> None:
        # Imported here because the checks need this module's types.
        from soma_cp.model.network_checks import network_problems

        problems = network_problems(self)
        if problems:
            raise NetworkError(self.name, problems)

    @cached_property
    def layer_id(self) -> dict[str, int]:
        """Place of every layer in `layers`, by name."""
        return {layer.name: i for i, layer in enumerate(self.layers)}

    @cached_property
    def input_id(self) -> dict[str, int]:
        """Place of every external input in `inputs`, by name."""
        return {source.name: i for i, source in enumerate(self.inputs)}

    def source_shape(self, name: str) -> Shape:
        """Shape of what the layer or external input called `name` provides."""
        if name in self.layer_id:
            return self.layers[self.layer_id[name]].ofmap
        return self.inputs[self.input_id[name]].shape

    def available_ifmap(self, layer: Layer) -> tuple[int, int]:
        """Rows and columns that the sources of `layer` really make, at most what its kernel wants.

        The difference to `Layer.wanted_ifmap` is padding (specification: section 1).
        """
        _, wanted_rows, wanted_columns = layer.wanted_ifmap()
        sources = [self.source_shape(name) for name in (*layer.ifmaps, *layer.inputs)]
        rows = min(max(shape[1] for shape in sources), wanted_rows)
        columns = min(max(shape[2] for shape in sources), wanted_columns)
        return rows, columns
