"""Attention in one operator: where each form has what it needs, the extents, and the shapes of the outputs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Node
from soma_cp.model.network.onnx_import.operators.registry import Extents, ShapeRule, Signature


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where an operator has what attention needs: numbers of inputs, names of attributes.

    Parameters
    ----------
    heads, key_heads
        Attributes with the heads of Q, and of K and V; both are the same if `key_heads` is empty.
    weights
        The weights of all three projections; input 0 is then projected. None if inputs 0 to 2 are Q, K and V.
    scales
        Scales of these weights, and their zero points.
    bias
        The bias of the projections, which must be constant.
    added
        What is added to the scores, if it is data.
    past
        Cached keys and values; if one, the keys and the values along its first axis.
    rotary
        Sines and cosines of positions.
    scores_output
        The output that has the scores; None if none has.
    typed_by
        The input whose type the outputs have, if that is not the first.
    """

    heads: str = "num_heads"
    key_heads: str = ""
    weights: int | None = None
    scales: tuple[int, ...] = ()
    bias: int | None = None
    added: tuple[int, ...] = ()
    past: tuple[int, ...] = ()
    rotary: tuple[int, ...] = ()
    scores_output: int | None = None
    typed_by: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Extents of one attention.

    Parameters
    ----------
    batch, tokens
        Samples, and queries of each.
    new, cached
        Keys and values that this node reads anew, and those that it keeps of the cached ones.
    heads, key_heads
        Heads of Q, and of K and V.
    width, value_width
        Channels of one head of Q and K, and of V.
    """

    batch: int
    tokens: int
    new: int
    cached: int = 0
    heads: int
    key_heads: int
    width: int
    value_width: int

    @property
    def keys(self) -> int:
        """All keys of one head."""
        return self.cached + self.new


def sizes_of(places: Places, signature: Signature) -> Sizes:
    """Return the extents of an attention.

    Raises
    ------
    UnsupportedError
        If inputs and attributes don't fit one another.
    UnknownShapeError
        If the shape of an input is unknown.
    """
    if places.weights is not None:
        sizes = _projected_sizes(places, signature)
    elif not signature.has(1):
        sizes = _packed_sizes(places, signature)
    else:
        sizes = _separate_sizes(places, signature)
    if sizes.heads % sizes.key_heads:
        raise UnsupportedError(f"{sizes.heads} heads can't share {sizes.key_heads} heads of keys (must be a multiple)")
    if not places.past or not signature.has(places.past[0]):
        return sizes
    length = signature.shape(places.past[0])[-2]
    of_keys = (sizes.batch, sizes.key_heads, length, sizes.width)
    wanted = [(2, *of_keys)] if len(places.past) == 1 else [of_keys, (*of_keys[:3], sizes.value_width)]
    for place, shape in zip(places.past, wanted, strict=True):
        if signature.shape(place) != shape:
            raise UnsupportedError(f"input {place} is of shape {list(signature.shape(place))} (must be {list(shape)})")
    shared = signature.node.attributes.get("past_present_share_buffer", 0) == 1
    return replace(sizes, cached=max(length - sizes.new, 0) if shared else length)


def _projected_sizes(places: Places, signature: Signature) -> Sizes:
    batch, tokens, _ = signature.shape(0, 3)
    assert places.weights is not None, "this form has weights"
    made = signature.shape(places.weights, 2)[1]
    parts_made = projections(signature.node, made)
    heads = _heads(signature.node, places.heads)
    width, key_width, value_width = (_part_of(part, heads) for part in parts_made)
    _check_width(width, key_width)
    return Sizes(
        batch=batch,
        tokens=tokens,
        new=tokens,
        heads=heads,
        key_heads=heads,
        width=width,
        value_width=value_width,
    )


def projections(node: Node, made: int) -> list[int]:
    """Return the channels of Q, K and V, which the weights make together."""
    stated = [int(size) for size in node.attributes.get("qkv_hidden_sizes") or [_part_of(made, 3)] * 3]
    if len(stated) != 3 or sum(stated) != made:
        raise UnsupportedError(f"weights make {made} channels, and qkv_hidden_sizes {stated} (must be three, as many)")
    return stated


def _packed_sizes(places: Places, signature: Signature) -> Sizes:
    """Return the extents where one input has Q, K and V: heads side by side, or (…, heads, 3, channels of a head)."""
    shape = signature.shape(0)
    heads = _heads(signature.node, places.heads)
    key_heads = _heads(signature.node, places.key_heads or places.heads)
    if len(shape) == 5 and shape[2:4] == (heads, 3) and key_heads == heads:
        batch, tokens, _, _, width = shape
    else:
        batch, tokens, made = signature.shape(0, 3)
        width = _part_of(made, heads + 2 * key_heads)
    return Sizes(
        batch=batch,
        tokens=tokens,
        new=tokens,
        heads=heads,
        key_heads=key_heads,
        width=width,
        value_width=width,
    )


def _separate_sizes(places: Places, signature: Signature) -> Sizes:
    node = signature.node
    query, key = signature.shape(0), signature.shape(1)
    if len(query) == 4:
        batch, heads, tokens, width = query
    else:
        batch, tokens, made = signature.shape(0, 3)
        heads = _heads(node, places.heads)
        width = _part_of(made, heads)
    if len(key) == 5:  # keys and values packed
        _, new, key_heads, two, key_width = key
        if two != 2:
            raise UnsupportedError(f"packed keys and values are {list(key)} (must have 2 before the last axis)")
        value_width = key_width
    elif len(key) == 4:
        value = signature.shape(2, 4)
        _, key_heads, new, key_width = key
        value_width = value[3]
        _check_number(key, value, (key_heads, new) == value[1:3])
    else:
        value = signature.shape(2, 3)
        _, new, made = signature.shape(1, 3)
        key_heads = _heads(node, places.key_heads or places.heads)
        key_width, value_width = _part_of(made, key_heads), _part_of(value[2], key_heads)
        _check_number(key, value, new == value[1])
    _check_width(width, key_width)
    return Sizes(
        batch=batch,
        tokens=tokens,
        new=new,
        heads=heads,
        key_heads=key_heads,
        width=width,
        value_width=value_width,
    )


def _check_width(width: int, key_width: int) -> None:
    if width != key_width:
        raise UnsupportedError(f"queries have {width} channels in a head, and keys {key_width} (must be the same)")


def _check_number(key: Extents, value: Extents, fits: bool) -> None:
    if not fits:
        raise UnsupportedError(f"keys are {list(key)} and values {list(value)} (must be as many)")


def _heads(node: Node, attribute: str) -> int:
    heads = int(node.attributes.get(attribute) or 0)
    if heads < 1:
        raise UnsupportedError(f"{attribute}={heads} (must be 1 at least)")
    return heads


def _part_of(channels: int, parts_made: int) -> int:
    if channels % parts_made or not channels:
        raise UnsupportedError(f"{channels} channels are not {parts_made} equal parts")
    return channels // parts_made


def shapes_of(places: Places) -> ShapeRule:
    """Return the rule for the shapes of the outputs: the result, present keys and values, scores."""

    def rule(signature: Signature) -> Sequence[Extents | None]:
        sizes = sizes_of(places, signature)
        made: Extents = (sizes.batch, sizes.tokens, sizes.heads * sizes.value_width)
        if places.weights is None and len(signature.shape(0)) == 4:
            made = (sizes.batch, sizes.heads, sizes.tokens, sizes.value_width)
        present = present_shapes(sizes)
        if len(places.past) == 1:
            return [made, (2, *present[0])]
        return [made, *present, (sizes.batch, sizes.heads, sizes.tokens, sizes.keys)]

    return rule


def present_shapes(sizes: Sizes) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    """Return the shapes of all keys and of all values: the cached ones, then the new ones."""
    places = (sizes.batch, sizes.key_heads, sizes.keys)
    return (*places, sizes.width), (*places, sizes.value_width)
