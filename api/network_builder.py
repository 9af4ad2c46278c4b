"""A builder of networks from a compiler's own graph: layers by name, each checked when it is added.

Shapes are (channels, rows, columns) of one sample. Tokens stand on rows, with one column.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from soma_cp.api.values import whole
from soma_cp.model.data_types import (
    INT8,
    LayerTypes,
    WeightFormat,
    data_type_of_user,
    ratio_of_user,
    weight_format_of_user,
)
from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.network.layers import (
    LAYER_KINDS,
    Conv,
    Eltwise,
    ExternalInput,
    FullyConnected,
    GroupConv,
    Layer,
    PointToPoint,
    Pool,
    Shape,
    Transpose,
    Upsample,
)
from soma_cp.model.network.network import Network, NetworkError
from soma_cp.model.network.network_checks import EarlierLayers, input_problems

Sources = str | Sequence[str]
"""The name of a layer or input, or several."""
Pair = int | tuple[int, int]
"""Rows and columns; one number if they are equal."""
NUMBERS = frozenset(("C", "K", "H", "W", "R", "S", "sH", "sW", "dH", "dW", "G", "N", "sK"))
"""The fields of layers that are whole numbers."""


class NetworkBuilder:
    """Makes a network layer by layer; each method checks its layer at once and returns the layer's name.

    Parameters
    ----------
    name
        Name of the network.
    blocks
        How many times the whole model repeats the network.
    weights, activations, accumulators, weight_ratio
        Data types of all layers and inputs that have none of their own (`set_types`), as in `load_network`; INT8 unless
        given.

    Raises
    ------
    NetworkError
        By every method: the layer's name, what was found, and what is allowed.

    Examples
    --------
    >>> import soma_cp as sc
    >>> builder = sc.NetworkBuilder("residual")
    >>> image = builder.input("image", (32, 28, 28))
    >>> stem = builder.conv("stem", image, channels=64, kernel=3)
    >>> conv = builder.conv("conv", stem, channels=64, kernel=3)
    >>> total = builder.eltwise("total", [stem, conv])
    >>> builder.build()
    <Network 'residual': 3 layers, 43,452,416 operations a sample, 55,296 bytes of weights>
    """

    def __init__(
        self,
        name: str,
        *,
        blocks: int = 1,
        weights: str = INT8.name,
        activations: str = INT8.name,
        accumulators: str | None = None,
        weight_ratio: float = 1.0,
    ) -> None:
        self.name = name
        self.blocks = whole("blocks", blocks, 1)
        self._types = _types_of(LayerTypes(), weights, activations, accumulators, weight_ratio)
        self._inputs: dict[str, ExternalInput] = {}
        self._layers: dict[str, Layer] = {}
        self._outputs: list[str] = []
        self._shapes: dict[str, Shape] = {}
        self._earlier = EarlierLayers(self._shapes, set())

    def __repr__(self) -> str:
        return f"<NetworkBuilder '{self.name}': {len(self._inputs)} inputs, {len(self._layers)} layers>"

    def shape(self, name: str) -> Shape:
        """Return the channels, rows and columns of the layer or input called `name`."""
        if name not in self._layers and name not in self._inputs:
            hint = nearest_name_hint(name, (*self._layers, *self._inputs))
            raise NetworkError(self.name, [f"no layer or input is called '{name}'{hint}; add it first"])
        return self._earlier[name]

    def input(self, name: str, shape: Sequence[int]) -> str:
        """Add an external input of (channels, rows, columns) for each sample."""
        self._check_name(name)
        source = ExternalInput(name, self._shape(f"input '{name}'", shape), self._types.ofmap)
        self._refuse(list(input_problems(source)))
        self._inputs[name] = source
        self._shapes[name] = source.shape
        return name

    def conv(
        self,
        name: str,
        sources: Sources,
        *,
        channels: int,
        kernel: Pair = 1,
        stride: Pair = 1,
        padding: Pair | str = "same",
        dilation: Pair = 1,
        groups: int = 1,
        size: Pair | None = None,
        weights: str = "",
    ) -> str:
        """Add a convolution.

        Parameters
        ----------
        name, sources
            The layer, and what it reads; several sources are concatenated along channels.
        channels
            Channels of the output.
        kernel, stride, dilation
            Of rows and columns.
        padding
            On each side, of rows and columns; ``"same"``: the output has the input's rows and columns, divided by the
            stride and rounded up.
        groups
            Groups; as many as channels make a depthwise convolution.
        size
            Rows and columns of the output, instead of `padding`.
        weights
            Layers whose `weights` have the same name share one stored tensor.
        """
        fields = self._window(name, sources, kernel, stride, padding, dilation, size)
        return self._add_matrix(name, sources, groups, weights=weights, K=channels, **fields)

    def linear(self, name: str, sources: Sources, *, channels: int, weights: str = "") -> str:
        """Add a multiplication of every token (row and column) by stored weights, to `channels` channels."""
        return self.conv(name, sources, channels=channels, weights=weights)

    def matmul(self, name: str, source: Sources, operand: Sources, *, heads: int = 1) -> str:
        """Add a multiplication of every token by a matrix that other layers make, as attention does.

        Parameters
        ----------
        name, source
            The layer, and its first operand: for each head, its share of the channels.
        operand
            The second operand: a row for each channel that a head reads, a channel for each that all heads make.
            `transpose` turns a feature map into one.
        heads
            Heads, which are multiplied apart.
        """
        _, rows, columns = self._read(name, source)
        channels = sum(self.shape(one)[0] for one in _names(operand))
        return self._add_matrix(name, source, heads, K=channels, H=rows, W=columns, weight_operands=_names(operand))

    def fully_connected(self, name: str, sources: Sources, *, channels: int, weights: str = "") -> str:
        """Add a layer each of whose `channels` outputs reads the whole source; the output is channels×1×1."""
        read, rows, columns = self._read(name, sources)
        return self._add(FullyConnected, name, sources, C=read, K=channels, R=rows, S=columns, weights=weights)

    def pool(
        self,
        name: str,
        sources: Sources,
        *,
        kernel: Pair,
        stride: Pair | None = None,
        padding: Pair | str = 0,
        dilation: Pair = 1,
        size: Pair | None = None,
    ) -> str:
        """Add pooling over windows of `kernel`; the stride is the kernel if it is not given. See `conv`."""
        stride = kernel if stride is None else stride
        channels = self._read(name, sources)[0]
        fields = self._window(name, sources, kernel, stride, padding, dilation, size)
        return self._add(Pool, name, sources, K=channels, **fields)

    def global_pool(self, name: str, sources: Sources) -> str:
        """Add pooling over all rows and columns."""
        _, rows, columns = self._read(name, sources)
        return self.pool(name, sources, kernel=(rows, columns))

    def eltwise(self, name: str, sources: Sequence[str]) -> str:
        """Add an element-wise operation on sources of the same shape, such as a sum."""
        _, rows, columns = self._read(name, sources)
        shapes = {one: self.shape(one) for one in _names(sources)}
        if len(set(shapes.values())) > 1:
            listed = ", ".join(f"{list(shape)} of '{one}'" for one, shape in shapes.items())
            raise self._fault(name, f"reads different shapes ({listed}); they must be the same")
        channels = shapes[_names(sources)[0]][0]
        return self._add(Eltwise, name, sources, K=channels, H=rows, W=columns, N=len(_names(sources)))

    def pointwise(self, name: str, sources: Sources) -> str:
        """Add an activation, normalisation or softmax; several sources are concatenated along channels."""
        channels, rows, columns = self._read(name, sources)
        return self._add(PointToPoint, name, sources, K=channels, H=rows, W=columns)

    def concat(self, name: str, sources: Sequence[str]) -> str:
        """Add a layer that writes its sources side by side, along channels."""
        return self.pointwise(name, sources)

    def transpose(self, name: str, sources: Sources, *, order: str = "HCW", shape: Sequence[int] | None = None) -> str:
        """Add another arrangement of the elements.

        Parameters
        ----------
        name, sources
            The layer, and what it reads.
        order
            The source's dimension that each of the output's C, H, W comes from: ``"HCW"`` swaps channels and rows.
        shape
            Of the output, for a regrouping: `order` then has ``*`` for dimensions that come from no single one, and
            small letters for stretched ones.
        """
        read = self._read(name, sources)
        if shape is not None:
            extents = self._shape(f"layer '{name}'", shape)
            return self._add(Transpose, name, sources, **_extents(extents), order=order, ifmap=read)
        if not isinstance(order, str) or sorted(order) != ["C", "H", "W"]:
            raise self._fault(name, f"order={order!r} (must be a permutation of C, H, W; a regrouping has a shape)")
        made = [read["CHW".index(origin)] for origin in order]
        return self._add(Transpose, name, sources, **_extents(made), order=order)

    def upsample(self, name: str, sources: Sources, *, factor: Pair = 2, channel_factor: int = 1) -> str:
        """Add an enlargement of rows and columns by `factor`, of channels by `channel_factor`."""
        channels, rows, columns = self._read(name, sources)
        by_rows, by_columns = self._pair(name, "factor", factor)
        channel_factor = self._number(name, "channel_factor", channel_factor)
        made = {"K": channels * channel_factor, "H": rows * by_rows, "W": columns * by_columns}
        return self._add(Upsample, name, sources, **made, sK=channel_factor, sH=by_rows, sW=by_columns)

    def layer(self, kind: str, name: str, sources: Sources, **fields: Any) -> str:
        """Add a layer of any kind with the fields of network files, such as ``K``, ``H``, ``W``."""
        if kind not in LAYER_KINDS:
            hint = nearest_name_hint(kind, LAYER_KINDS)
            raise self._fault(name, f"kind={kind!r} (must be one of {', '.join(LAYER_KINDS)}){hint}")
        return self._add(LAYER_KINDS[kind], name, sources, **fields)

    def output(self, *names: str) -> None:
        """Mark layers as outputs, which are stored whatever reads them; those that nothing reads are outputs anyway."""
        for name in names:
            if name not in self._layers:
                hint = nearest_name_hint(name, self._layers)
                raise NetworkError(self.name, [f"output names '{name}', which is not a layer{hint}"])
            if name not in self._outputs:
                self._outputs.append(name)

    def set_types(
        self,
        name: str,
        *,
        weights: str | None = None,
        activations: str | None = None,
        accumulators: str | None = None,
        weight_ratio: float | None = None,
    ) -> None:
        """Give a layer or input types of its own; None leaves what it has. `build` checks them.

        Parameters
        ----------
        name
            The layer or input.
        weights, weight_ratio
            Of its stored weights, as in `load_network`.
        activations
            Type of its ofmap, or of the input.
        accumulators
            Type of its partial sums.
        """
        self.shape(name)  # refuses an unknown name
        if name in self._inputs:
            for said, value in (("weights", weights), ("accumulators", accumulators), ("weight_ratio", weight_ratio)):
                if value is not None:
                    raise NetworkError(self.name, [f"input '{name}': {said}={value} (an input has activations alone)"])
            if activations is not None:
                kind = self._named(f"input '{name}'", LayerTypes(), None, activations, None, None).ofmap
                self._inputs[name] = replace(self._inputs[name], type=kind)
            return
        layer = self._layers[name]
        types = self._named(f"layer '{name}'", layer.types, weights, activations, accumulators, weight_ratio)
        self._layers[name] = replace(layer, types=types)

    def _named(
        self,
        what: str,
        types: LayerTypes,
        weights: str | None,
        activations: str | None,
        accumulators: str | None,
        weight_ratio: float | None,
    ) -> LayerTypes:
        try:
            return _types_of(types, weights, activations, accumulators, weight_ratio)
        except UserError as error:
            raise NetworkError(self.name, [f"{what}: {error}"]) from None

    def build(self) -> Network:
        """Return the network."""
        return Network(
            name=self.name,
            inputs=tuple(self._inputs.values()),
            layers=tuple(self._layers.values()),
            blocks=self.blocks,
            outputs=tuple(self._outputs),
        )

    def _window(
        self,
        name: str,
        sources: Sources,
        kernel: Pair,
        stride: Pair,
        padding: Pair | str,
        dilation: Pair,
        size: Pair | None,
    ) -> dict[str, int]:
        """Return the fields of a layer that slides a window, its rows and columns among them."""
        _, *given = self._read(name, sources)
        taps, steps, apart = (
            self._pair(name, what, value)
            for what, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation))
        )
        for what, values in (("kernel", taps), ("stride", steps), ("dilation", apart)):
            if min(values) < 1:
                raise self._fault(name, f"{what}={values} (must be at least 1)")
        if size is not None:
            made = list(self._pair(name, "size", size))
        elif isinstance(padding, str):
            if padding != "same":
                raise self._fault(name, f"padding={padding!r} (must be 'same', a number, or rows and columns)")
            made = [-(-extent // step) for extent, step in zip(given, steps, strict=True)]
        else:
            spans = [(tap - 1) * by + 1 for tap, by in zip(taps, apart, strict=True)]
            sides = self._pair(name, "padding", padding)
            made = [(given[i] + 2 * sides[i] - spans[i]) // steps[i] + 1 for i in range(2)]
        fields = {"H": made[0], "W": made[1], "R": taps[0], "S": taps[1], "sH": steps[0], "sW": steps[1]}
        return fields | {"dH": apart[0], "dW": apart[1]}

    def _add_matrix(self, name: str, sources: Sources, groups: int, **fields: Any) -> str:
        read = self._read(name, sources)[0]
        if groups == 1:
            return self._add(Conv, name, sources, C=read, **fields)
        return self._add(GroupConv, name, sources, C=read, G=groups, **fields)

    def _add(self, kind: type[Layer], name: str, sources: Sources, **fields: Any) -> str:
        """Check a layer against those before it, and take it."""
        self._check_name(name)
        read = _names(sources)
        numbers = {field: self._number(name, field, value) for field, value in fields.items() if field in NUMBERS}
        is_matrix = issubclass(kind, Conv)
        stored = is_matrix and not fields.get("weight_operands")
        types = LayerTypes(
            ofmap=self._types.ofmap,
            weights=self._types.weights if stored else WeightFormat(),
            accumulators=self._types.accumulators if is_matrix else None,
        )
        try:
            layer = kind(
                name=name,
                ifmaps=tuple(one for one in read if one not in self._inputs),
                inputs=tuple(one for one in read if one in self._inputs),
                **{"types": types} | fields | numbers,
            )
        except TypeError as error:
            said = str(error).partition(" ")[2]
            raise self._fault(name, f"the fields of a layer of kind '{kind.kind}': it {said}") from None
        problems = self._earlier.problems_of_next(layer)
        if problems:
            self._earlier.forget(layer)
            self._refuse(problems)
        self._layers[name] = layer
        return name

    def _read(self, name: str, sources: Sources) -> Shape:
        """Return the shape of the sources together: their channels in all, and the rows and columns of the first."""
        names = _names(sources)
        if not names:
            raise self._fault(name, "reads nothing; name its sources")
        try:
            shapes = [self.shape(one) for one in names]
        except NetworkError as error:
            raise self._fault(name, error.problems[0]) from None
        return sum(shape[0] for shape in shapes), shapes[0][1], shapes[0][2]

    def _pair(self, name: str, what: str, value: Pair) -> tuple[int, int]:
        """Return rows and columns."""
        if not isinstance(value, Sequence):
            number = self._number(name, what, value)
            return number, number
        if len(value) != 2:
            raise self._fault(name, f"{what}={value!r} (must be a number, or rows and columns)")
        return self._number(name, what, value[0]), self._number(name, what, value[1])

    def _number(self, name: str, what: str, value: Any) -> int:
        try:
            return whole(what, value)
        except UserError as error:
            raise self._fault(name, str(error)) from None

    def _shape(self, what: str, shape: Sequence[int]) -> Shape:
        """Return channels, rows and columns."""
        try:
            channels, rows, columns = (whole("shape", extent) for extent in shape)
        except (TypeError, ValueError):  # a UserError is a ValueError, too
            raise NetworkError(self.name, [f"{what}: shape={shape!r} (must be channels, rows, columns)"]) from None
        return channels, rows, columns

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise NetworkError(self.name, [f"a layer or input is called {name!r} (must be a text that is not empty)"])
        if name in self._layers or name in self._inputs:
            raise NetworkError(self.name, [f"the name '{name}' is used twice; names must be unique"])

    def _fault(self, name: str, fault: str) -> UserError:
        return NetworkError(self.name, [f"layer '{name}': {fault}"])

    def _refuse(self, problems: list[str]) -> None:
        if problems:
            raise NetworkError(self.name, problems)


def _types_of(
    types: LayerTypes,
    weights: str | None,
    activations: str | None,
    accumulators: str | None,
    weight_ratio: float | None,
) -> LayerTypes:
    """Return `types` with those that a caller names."""
    return types.changed(
        None if weights is None else weight_format_of_user("weights", weights),
        None if activations is None else data_type_of_user("activations", activations),
        None if accumulators is None else data_type_of_user("accumulators", accumulators),
        None if weight_ratio is None else ratio_of_user("weight_ratio", weight_ratio),
    )


def _names(sources: Sources) -> tuple[str, ...]:
    return (sources,) if isinstance(sources, str) else tuple(sources)


def _extents(shape: Sequence[int]) -> dict[str, int]:
    return dict(zip("KHW", shape, strict=True))
