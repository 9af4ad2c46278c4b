"""Layers: the kinds of layer that a network has, their shapes and operations (docs/model.md#network).

A feature map (fmap) has a shape ``(channels, rows, columns)`` for each sample of the batch. An element is a byte
(INT8) unless another type is given (docs/model.md#data-types).
"""

from dataclasses import dataclass
from typing import ClassVar

from soma_cp.model.data_types import INT8, DataType, LayerTypes, packed

Shape = tuple[int, int, int]
"""Channels, rows, columns of one sample's fmap."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The fields that all kinds of layers share; the kinds below add their own.

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
        External inputs, read in the same way as ifmaps.
    types
        Of its ofmap, stored weights and partial sums.
    """

    kind: ClassVar[str] = ""

    name: str
    K: int
    H: int
    W: int
    ifmaps: tuple[str, ...] = ()
    weight_operands: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    types: LayerTypes = LayerTypes()

    @property
    def ofmap(self) -> Shape:
        """Shape of the ofmap."""
        return (self.K, self.H, self.W)

    @property
    def kernel_elements(self) -> int:
        """Elements of the second operand for one output channel; 0 if there is no second operand."""
        return 0

    @property
    def weight_bytes(self) -> int:
        """Bytes of stored weights in the buffer, scales included; none when another layer makes the second operand."""
        return self.weight_bytes_of(self.K)

    def weight_bytes_of(self, channels: int) -> int:
        """Return the bytes of stored weights that so many output channels have."""
        kernel = 0 if self.weight_operands else self.types.weights.kernel_bits(self.kernel_elements)
        return packed(channels, kernel)

    @property
    def dram_weight_bytes(self) -> int:
        """Bytes of stored weights in DRAM, where they may be compressed."""
        return self.types.weights.dram_bytes(self.weight_bytes)

    @property
    def operations(self) -> int:
        """Operations for one sample: multiply-accumulates of a matrix layer, element operations of a vector layer."""
        return self.K * self.H * self.W

    @property
    def is_matrix(self) -> bool:
        """Whether the PE array runs the layer (conv, group_conv, fc); the vector unit runs the others."""
        return False

    def wanted_ifmap(self) -> Shape:
        """Shape that the ifmap would have without padding: what the kernel touches for the whole ofmap."""
        return self.ofmap


@dataclass(frozen=True, kw_only=True)
class _Windowed(Layer):
    """A layer that slides an R×S window with strides sH, sW; its taps are dH, dW apart (dilation)."""

    R: int = 1
    S: int = 1
    sH: int = 1
    sW: int = 1
    dH: int = 1
    dW: int = 1

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns from the first tap to the last."""
        return (self.R - 1) * self.dH + 1, (self.S - 1) * self.dW + 1

    def _wanted_rows_columns(self) -> tuple[int, int]:
        rows, columns = self.window
        return (self.H - 1) * self.sH + rows, (self.W - 1) * self.sW + columns


@dataclass(frozen=True, kw_only=True)
class Conv(_Windowed):
    """Convolution, or a matrix multiplication with the token dimension on H (R = S = W = 1).

    Layers whose `weights` have the same name share one stored tensor; without a name, a layer has weights of its own.
    """

    kind: ClassVar[str] = "conv"
    C: int
    weights: str = ""

    @property
    def kernel_elements(self) -> int:
        return self.C * self.R * self.S

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
    def kernel_elements(self) -> int:
        return self.C // self.G * self.R * self.S

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
    """Activation, normalisation, softmax or concatenation: a tile of the ofmap needs the same tile of the ifmap."""

    kind: ClassVar[str] = "ptp"


@dataclass(frozen=True, kw_only=True)
class Transpose(Layer):
    """Another arrangement of the elements: a permutation of dimensions, or with `ifmap` a regrouping.

    `order` names the ifmap dimension that each of the ofmap's C, H, W comes from, in this order: ``"HCW"`` swaps
    channels and rows. A regrouping gives the shape of its ifmap. A ``*`` in `order` then stands for an ofmap dimension
    that comes from no single ifmap dimension: ``"C**"`` keeps channels and regroups rows and columns, into tokens for
    instance. Every tile reads the ifmap dimensions that `order` doesn't name whole. A small letter stands for a
    dimension that is stretched or shrunk, so that a tile reads its share of it: ``"chw"`` turns channels into rows and
    columns of every pixel, ``"Chw"`` resizes rows and columns. A regrouping may also take part of the elements, or
    repeat them.
    """

    kind: ClassVar[str] = "transpose"
    order: str
    ifmap: Shape | None = None

    def wanted_ifmap(self) -> Shape:
        if self.ifmap is not None:
            return self.ifmap
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
"""The layer classes, by the name of their kind in files."""


@dataclass(frozen=True)
class ExternalInput:
    """A tensor that comes from outside the network, one for each sample, of shape (channels, rows, columns)."""

    name: str
    shape: Shape
    type: DataType = INT8


def weights_key(layer: Layer) -> tuple[bool, str]:
    """Return what identifies a layer's stored weights: whether they have a name of their own, and that or the layer's.

    The two kinds of names are apart: shared weights may be called as a layer that has no part in them.
    """
    shared = layer.weights if isinstance(layer, Conv) else ""
    return bool(shared), shared or layer.name
