"""The rules between the layers of a network; each broken rule is one sentence."""

from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from math import prod

from soma_cp.model.data_types import (
    LEAST_RATIO,
    RATIO_DENOMINATOR,
    WEIGHT_EXAMPLE,
    WeightFormat,
    packed,
    weight_format,
)
from soma_cp.model.errors import nearest_name_hint
from soma_cp.model.network.layers import Conv, ExternalInput, Layer, Shape, Transpose

_POSITIVE = ("C", "K", "R", "S", "H", "W", "sH", "sW", "dH", "dW", "G", "N", "sK")

LARGEST_EXTENT = 2**31 - 1
"""Largest value of a layer's field: the product of two fits into the kernels' int64."""
LARGEST_COUNT = 2**53
"""Most operations of a layer, and most bytes of an input: exact in a float64; times a batch, within an int64."""


def network_problems(
    inputs: Sequence[ExternalInput], layers: Sequence[Layer], blocks: int, outputs: Sequence[str]
) -> list[str]:
    """Return every fault of a network, in the order of its inputs and layers; the list is empty if there is none."""
    problems = list(_naming_problems([source.name for source in inputs] + [layer.name for layer in layers]))
    if not layers:
        problems.append("has no layers; give at least one")
    if blocks < 1:
        problems.append(f"blocks={blocks} (must be at least 1)")
    problems += [problem for source in inputs for problem in input_problems(source)]
    earlier = EarlierLayers({source.name: source.shape for source in inputs}, {layer.name for layer in layers})
    for layer in layers:
        problems += earlier.problems_of_next(layer)
    return problems + list(_output_problems(outputs, earlier.made))


def input_problems(source: ExternalInput) -> Iterator[str]:
    """Yield the faults of an external input."""
    if min(source.shape) < 1:
        yield f"input '{source.name}': shape={list(source.shape)} (every dimension must be at least 1)"
    elif (size := packed(prod(source.shape), source.type.bits)) > LARGEST_COUNT:
        yield f"input '{source.name}': {size} bytes (must be at most {LARGEST_COUNT})"


class EarlierLayers:
    """The layers before a layer, against which it is checked.

    Parameters
    ----------
    inputs
        Shapes of the external inputs, by name; later changes count.
    all_layers
        Names of all layers, where they are known before.
    """

    def __init__(self, inputs: dict[str, Shape], all_layers: set[str]) -> None:
        self.inputs = inputs
        self.all_layers = all_layers
        self.made: dict[str, Shape] = {}
        self._first_with: dict[str, Conv] = {}  # by name of shared weights

    def problems_of_next(self, layer: Layer) -> list[str]:
        """Return the faults of a layer against those before it, and take it as one of them."""
        faults = list(_field_problems(layer))
        if isinstance(layer, Conv) and layer.weights:
            faults += _shared_weights_problems(layer, self._first_with.setdefault(layer.weights, layer))
        faults += _reference_problems(layer, self.made, self.all_layers, self.inputs)
        if not faults:
            faults += _shape_problems(layer, self)
        self.made[layer.name] = layer.ofmap
        return [f"layer '{layer.name}': {fault}" for fault in faults]

    def forget(self, layer: Layer) -> None:
        """Take no layer of that name as made, after its faults were found."""
        self.made.pop(layer.name, None)
        self._first_with = {key: first for key, first in self._first_with.items() if first.name != layer.name}

    def __getitem__(self, name: str) -> Shape:
        """Return the shape that the layer or input called `name` makes."""
        return self.made[name] if name in self.made else self.inputs[name]


def unread_layers(layers: Sequence[Layer]) -> list[str]:
    """Return the names of the layers that no layer reads."""
    read = {name for layer in layers for name in (*layer.ifmaps, *layer.weight_operands)}
    return [layer.name for layer in layers if layer.name not in read]


def _output_problems(outputs: Sequence[str], made: Collection[str]) -> Iterator[str]:
    for name in dict.fromkeys(outputs):
        if name not in made:
            yield f"outputs names '{name}', which is not a layer{nearest_name_hint(name, sorted(made))}"
        elif outputs.count(name) > 1:
            yield f"outputs names '{name}' twice; an output is listed once"


def _shared_weights_problems(layer: Conv, first: Conv) -> Iterator[str]:
    """Refuse a layer whose weights differ in shape from those of the first layer that shares them."""
    if layer.weight_operands:
        yield f"weights='{layer.weights}' given, but another layer makes its second operand; leave one out"

    def shape(of: Conv) -> tuple[int, int, int, int]:
        return of.K, of.C // max(getattr(of, "G", 1), 1), of.R, of.S

    if shape(layer) != shape(first):
        own, others = ("×".join(map(str, shape(of))) for of in (layer, first))
        yield (
            f"has weights '{layer.weights}' of {own}, but they are {others} in '{first.name}' "
            "(K×C/G×R×S must be the same in all layers that share them)"
        )
    elif layer.types.weights != first.types.weights:
        yield (
            f"has weights '{layer.weights}' stored as {_stored_as(layer)}, but they are {_stored_as(first)} in "
            f"'{first.name}' (must be the same in all layers that share them)"
        )


def _type_problems(layer: Layer) -> Iterator[str]:
    """Yield the faults of a layer's types, which only a caller can make: files and options can't say them."""
    weights, ratio = layer.types.weights, layer.types.weights.ratio
    if weights != WeightFormat() and (not layer.is_matrix or layer.weight_operands):
        yield f"has weights of type {weights.text}, but no stored weights (must have no type of weights)"
    elif weight_format(weights.text) != weights._replace(ratio=Fraction(1)):
        yield f"has weights of type {weights.text} with scales of {weights.scale_bits} bits (must be {WEIGHT_EXAMPLE})"
    elif not 0 < ratio <= 1 or RATIO_DENOMINATOR % ratio.denominator:
        yield (
            f"has weights with ratio {ratio} (must be from {LEAST_RATIO:f} to 1, in steps of {LEAST_RATIO:f}; "
            "rounded_ratio gives such a ratio)"
        )
    if layer.types.accumulators is not None and not layer.is_matrix:
        yield f"has partial sums of type {layer.types.accumulators.name}, but a layer of its kind makes none"


def _stored_as(layer: Conv) -> str:
    weights = layer.types.weights
    return weights.text + (f" with ratio {float(weights.ratio):g}" if weights.ratio != 1 else "")


def _naming_problems(names: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if not name:
            yield "a layer or input has an empty name"
        elif name in seen:
            yield f"the name '{name}' is used twice; names of layers and inputs must be unique"
        seen.add(name)


def _field_problems(layer: Layer) -> Iterator[str]:
    for field in _POSITIVE:
        value = getattr(layer, field, 1)
        if value < 1:
            yield f"{field}={value} (must be at least 1)"
        elif value > LARGEST_EXTENT:
            yield f"{field}={value} (must be at most {LARGEST_EXTENT})"
    groups = getattr(layer, "G", 1)
    if layer.kind == "group_conv" and groups >= 1 and (getattr(layer, "C", 0) % groups or layer.K % groups):
        yield f"G={groups} must divide both C={getattr(layer, 'C', 0)} and K={layer.K}"
    if layer.kind == "fc" and (layer.H, layer.W) != (1, 1):
        yield f"H={layer.H}, W={layer.W} (an fc layer's ofmap is K×1×1)"
    if isinstance(layer, Transpose):
        yield from _order_problems(layer)
    if layer.weight_operands and not layer.is_matrix:
        yield f"weight_operands given, but a layer of kind '{layer.kind}' has no second operand"
    if not layer.ifmaps and not layer.inputs:
        yield "reads nothing; name its producers in 'ifmaps' or external inputs in 'inputs'"


def _order_problems(layer: Transpose) -> Iterator[str]:
    order, ifmap = layer.order, layer.ifmap
    if ifmap is None:
        if "*" in order:
            yield f"order='{order}' regroups dimensions; give the shape of the ifmap in 'ifmap'"
        elif sorted(order) != sorted("CHW"):
            yield f"order='{order}' (must be a permutation of the letters C, H, W)"
        return
    named = order.upper().replace("*", "")
    if len(order) != 3 or len(set(named)) != len(named) or not set(named) <= set("CHW"):
        yield f"order='{order}' (must be three of the letters C, H, W, large or small, each at most once, and *)"
        return
    for dim, extent, origin in zip("CHW", layer.ofmap, order, strict=True):
        if origin in "CHW" and ifmap["CHW".index(origin)] != extent:
            yield (
                f"{dim} is {extent}, but comes from {origin} of the ifmap, {ifmap['CHW'.index(origin)]} "
                f"(must be the same; write {origin.lower()} if it is stretched or shrunk)"
            )


def _reference_problems(
    layer: Layer, made: Collection[str], all_layers: Collection[str], inputs: Collection[str]
) -> Iterator[str]:
    for role, names in (("ifmaps", layer.ifmaps), ("weight_operands", layer.weight_operands)):
        for name in names:
            if name in made:
                continue
            if name in all_layers:
                yield f"{role} names '{name}', which comes later; list layers with producers first"
            elif name in inputs:
                yield f"{role} names '{name}', which is an external input; name it in 'inputs'"
            else:
                yield f"{role} names '{name}', which is not a layer{nearest_name_hint(name, sorted(made))}"
    for name in layer.inputs:
        if name not in inputs:
            yield f"inputs names '{name}', which is not an input{nearest_name_hint(name, sorted(inputs))}"
    for role, names in (
        ("ifmaps", layer.ifmaps),
        ("weight_operands", layer.weight_operands),
        ("inputs", layer.inputs),
    ):
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{role} names '{name}' twice; a source is listed once"
    for name in layer.weight_operands:
        if name in layer.ifmaps:
            yield f"reads '{name}' both as ifmap and as second operand; put a ptp layer between for one of them"


def _shape_problems(layer: Layer, known: "EarlierLayers") -> Iterator[str]:
    sources = [(name, known[name]) for name in (*layer.ifmaps, *layer.inputs)]
    wanted_channels, wanted_rows, wanted_columns = layer.wanted_ifmap()
    channels = sum(shape[0] for _, shape in sources)
    if channels != wanted_channels:
        listed = " + ".join(f"{shape[0]} of '{name}'" for name, shape in sources)
        yield f"reads {channels} channels ({listed}), but its fields want {wanted_channels}"
    extents = {shape[1:] for _, shape in sources}
    if len(extents) > 1:
        listed = ", ".join(f"'{name}' {shape[1]}×{shape[2]}" for name, shape in sources)
        yield f"its sources differ in rows×columns: {listed}"
    exact = layer.kind in ("eltwise", "ptp", "transpose", "upsample", "fc")
    for name, shape in sources:
        if exact and shape[1:] != (wanted_rows, wanted_columns):
            yield (
                f"wants an ifmap of {wanted_rows}×{wanted_columns} rows×columns, "
                f"but '{name}' makes {shape[1]}×{shape[2]}"
            )
    yield from _type_problems(layer)
    if layer.weight_bytes > LARGEST_COUNT:
        yield f"has {layer.weight_bytes} bytes of weights (must be at most {LARGEST_COUNT})"
    if layer.operations > LARGEST_COUNT:
        yield f"does {layer.operations} operations for each sample (must be at most {LARGEST_COUNT})"
    if len(extents) == 1:
        yield from _padding_problems(layer, *extents.pop())
    if layer.weight_operands:
        yield from _operand_problems(layer, known)


def _padding_problems(layer: Layer, rows: int, columns: int) -> Iterator[str]:
    """Refuse a window that lies entirely in the padding: its backward extent would be empty or negative."""
    window = getattr(layer, "window", None)
    if window is None:
        return
    _, wanted_rows, wanted_columns = layer.wanted_ifmap()
    dimensions = (("R", "dH", "rows", wanted_rows, rows), ("S", "dW", "columns", wanted_columns, columns))
    for (taps, dilation, what, wanted, real), size in zip(dimensions, window, strict=True):
        padding = max(wanted - real, 0) // 2
        if padding >= size:
            distance = getattr(layer, dilation)
            dilated = f" with {dilation}={distance}, {size} {what}" if distance > 1 else ""
            yield (
                f"wants an ifmap of {wanted} {what}, but its sources make {real}: "
                f"the padding of {padding} on a side must be less than {taps}={getattr(layer, taps)}{dilated}"
            )


def _operand_problems(layer: Layer, known: "EarlierLayers") -> Iterator[str]:
    shapes = [(name, known[name]) for name in layer.weight_operands]
    per_group = getattr(layer, "C", 0) // getattr(layer, "G", 1)
    window = getattr(layer, "R", 1) * getattr(layer, "S", 1)
    channels = sum(shape[0] for _, shape in shapes)
    if channels != layer.K or any(shape[1:] != (per_group, window) for _, shape in shapes):
        listed = ", ".join(f"'{name}' {'×'.join(map(str, shape))}" for name, shape in shapes)
        yield f"its second operand must be {layer.K}×{per_group}×{window} in all, but is made of {listed}"
