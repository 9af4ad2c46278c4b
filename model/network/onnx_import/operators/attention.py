"""Attention in one operator: softmax(Q·Kᵀ)·V for every head.

All forms are one chain of layers, the same as if the model had a node for each: [projections] → [rotation of positions]
→ [cached keys and values joined to the new ones] → Q·Kᵀ → [sums with biases] → softmax → ·V. The forms differ in where
Q, K, V, the cached tensors and the numbers of heads are found: `Places` says it. Products that a causal mask or a
window hides are counted, as they are where a mask is a node of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Node
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.elementwise import combined, leave_out, operands_of, vector
from soma_cp.model.network.onnx_import.operators.matrices import multiplied_by_weights, multiplied_together
from soma_cp.model.network.onnx_import.operators.parts import concat, parts
from soma_cp.model.network.onnx_import.operators.registry import (
    Channels,
    Extents,
    Facts,
    ShapeRule,
    Signature,
    operator,
)
from soma_cp.model.network.onnx_import.operators.steps import Step, made_by, signature_of
from soma_cp.model.network.onnx_import.values import Tensor, in_order, transposed
from soma_cp.model.network.onnx_import.views import REPEAT, Atom, reshaped, shape_of, whole, without_batch

_SWAPPED = (0, 2, 1, 3)
"""The order that brings (batch, tokens, heads, width) to (batch, heads, tokens, width), and back."""

_ROWS = {"axis": 2}
"""The axis of (batch, heads, tokens, width) along which cached tokens and new ones are joined."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where an operator has what attention needs: numbers of inputs, names of attributes.

    Parameters
    ----------
    heads, key_heads
        Attributes with the heads of Q, and of K and V; both are the same if `key_heads` is empty.
    weights
        The weights of all three projections; input 0 is then projected. None if inputs 0 to 2 are Q, K and V.
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
    """

    heads: str = "num_heads"
    key_heads: str = ""
    weights: int | None = None
    bias: int | None = None
    added: tuple[int, ...] = ()
    past: tuple[int, ...] = ()
    rotary: tuple[int, ...] = ()
    scores_output: int | None = None


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
    parts_made = _projections(signature.node, made)
    heads = _heads(signature.node, places.heads)
    width, key_width, value_width = (_part_of(part, heads) for part in parts_made)
    if width != key_width:
        raise UnsupportedError(f"queries have {width} channels in a head, and keys {key_width} (must be the same)")
    return Sizes(
        batch=batch,
        tokens=tokens,
        new=tokens,
        heads=heads,
        key_heads=heads,
        width=width,
        value_width=value_width,
    )


def _projections(node: Node, made: int) -> list[int]:
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
        if (key_heads, new) != value[1:3]:
            raise UnsupportedError(f"keys are {list(key)} and values {list(value)} (must be as many)")
    else:
        value = signature.shape(2, 3)
        _, new, made = signature.shape(1, 3)
        key_heads = _heads(node, places.key_heads or places.heads)
        key_width, value_width = _part_of(made, key_heads), _part_of(value[2], key_heads)
        if new != value[1]:
            raise UnsupportedError(f"keys are {list(key)} and values {list(value)} (must be as many)")
    if key_width != width:
        raise UnsupportedError(f"queries have {width} channels in a head, and keys {key_width} (must be the same)")
    return Sizes(
        batch=batch,
        tokens=tokens,
        new=new,
        heads=heads,
        key_heads=key_heads,
        width=width,
        value_width=value_width,
    )


def _heads(node: Node, attribute: str) -> int:
    heads = int(node.attributes.get(attribute) or 0)
    if heads < 1:
        raise UnsupportedError(f"{attribute}={heads} (must be 1 at least)")
    return heads


def _part_of(channels: int, parts_made: int) -> int:
    if channels % parts_made or not channels:
        raise UnsupportedError(f"{channels} channels are not {parts_made} equal parts")
    return channels // parts_made


def _shapes(places: Places) -> ShapeRule:
    """Return the rule for the shapes of the outputs: the result, present keys and values, scores."""

    def rule(signature: Signature) -> Sequence[Extents | None]:
        sizes = sizes_of(places, signature)
        made: Extents = (sizes.batch, sizes.tokens, sizes.heads * sizes.value_width)
        if places.weights is None and len(signature.shape(0)) == 4:
            made = (sizes.batch, sizes.heads, sizes.tokens, sizes.value_width)
        present = _present_shapes(sizes)
        if len(places.past) == 1:
            return [made, (2, *present[0])]
        return [made, *present, (sizes.batch, sizes.heads, sizes.tokens, sizes.keys)]

    return rule


def _present_shapes(sizes: Sizes) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    places = (sizes.batch, sizes.key_heads, sizes.keys)
    return (*places, sizes.width), (*places, sizes.value_width)


_CHAIN = "`conv` or `group_conv`, `ptp` and `conv` or `group_conv`"
_STANDARD = Places(heads="q_num_heads", key_heads="kv_num_heads", added=(3,), past=(4, 5), scores_output=3)
_PROJECTING = Places(weights=1, bias=2, added=(5,), past=(4,))
_QUANTISED = Places(weights=1, bias=2, past=(8,))
_MULTI_HEAD = Places(bias=3, added=(5,), past=(6, 7))
_GROUPED = Places(key_heads="kv_num_heads", added=(10,), past=(3, 4), rotary=(7, 8))
_DECODER = Places(bias=10, added=(4,), past=(5, 6))


@operator("Attention", _CHAIN, Facts(channels=Channels.LAST, shapes=_shapes(_STANDARD)))
def attention(node: NodeImport) -> None:
    """Attention of ONNX: of (batch, tokens, heads × channels), or of (batch, heads, tokens, channels)."""
    _attend(node, _STANDARD)


@operator(
    "com.microsoft.Attention com.microsoft.DecoderMaskedSelfAttention",
    f"three projections, {_CHAIN}",
    Facts(channels=Channels.LAST, has_weights=True, shapes=_shapes(_PROJECTING)),
)
def projecting_attention(node: NodeImport) -> None:
    """Attention with the weights of its projections; cached keys and values are one tensor."""
    _attend(node, _PROJECTING)


@operator(
    "com.microsoft.QAttention",
    f"three projections, {_CHAIN}",
    Facts(channels=Channels.LAST, has_weights=True, shapes=_shapes(_QUANTISED)),
)
def quantised_attention(node: NodeImport) -> None:
    """Attention with quantised weights of its projections."""
    _attend(node, _QUANTISED)


@operator(
    "com.microsoft.MultiHeadAttention",
    _CHAIN,
    Facts(channels=Channels.LAST, shapes=_shapes(_MULTI_HEAD)),
)
def multi_head_attention(node: NodeImport) -> None:
    """Attention of three tensors, or of one or two that are packed."""
    _attend(node, _MULTI_HEAD)


@operator(
    "com.microsoft.GroupQueryAttention",
    f"`ptp` for each rotation, {_CHAIN}",
    Facts(channels=Channels.LAST, shapes=_shapes(_GROUPED)),
)
def group_query_attention(node: NodeImport) -> None:
    """Attention whose keys and values are shared by groups of heads."""
    _attend(node, _GROUPED)


@operator(
    "com.microsoft.DecoderMaskedMultiHeadAttention",
    _CHAIN,
    Facts(channels=Channels.LAST, shapes=_shapes(_DECODER)),
)
def decoder_attention(node: NodeImport) -> None:
    """Attention of one token."""
    _attend(node, _DECODER)


def _attend(node: NodeImport, places: Places) -> None:
    """Add the layers of an attention, and give its outputs."""
    sizes = sizes_of(places, signature_of(node))
    if places.bias is not None:
        node.check_bias(places.bias)
    query, key, value = _queries_keys_values(node, places, sizes)
    if node.attribute("do_rotary", 0):
        leave_out(node, places.rotary, "sines and cosines of positions")
        query, key = _function(node, query, "rotary_q"), _function(node, key, "rotary_k")
    key, value = _with_cached(node, places, sizes, key, value)
    _give_present(node, places, key, value)
    query, key, value = _grouped(sizes, query, key, value)
    by_group = shape_of(query.view)[:-2]
    scores = multiplied_together(Step(node, name="qk"), query, transposed(key))
    shape = (sizes.batch, sizes.heads, sizes.tokens, sizes.keys)
    scores = _reshaped(scores, shape)
    biased = node.state.settled(combined(node, operands_of(node, places.added, shape, given=[scores]), shape, "bias"))
    weights = _function(node, biased, "softmax")
    if places.scores_output is not None:
        before = scores if node.attribute("qk_matmul_output_mode", 0) == 0 else biased
        if node.attribute("softcap", 0) and node.attribute("qk_matmul_output_mode", 0) == 2:
            raise UnsupportedError("has an output of the scores between two steps of one ptp layer (mode 2)")
        node.give(weights if node.attribute("qk_matmul_output_mode", 0) == 3 else before, places.scores_output)
    weights = _reshaped(weights, (*by_group, sizes.tokens, sizes.keys))
    made = multiplied_together(Step(node, name="av"), weights, value)
    made = _reshaped(made, (sizes.batch, sizes.heads, sizes.tokens, sizes.value_width))
    out = node.out_shape()
    node.give(made if len(out) == 4 else _reshaped(in_order(made, _SWAPPED), out))


def _function(node: NodeImport, tensor: Tensor, name: str) -> Tensor:
    """Return a function of a tensor, as the layer called `name`."""
    return node.state.settled(made_by(vector, Step(node, [tensor], name, shape=shape_of(tensor.view))))


def _reshaped(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    view = reshaped(tensor.view, shape)
    if view is None:
        raise UnsupportedError(
            f"regroups {list(shape_of(tensor.view))} into {list(shape)} across axes that don't divide one another"
        )
    return replace(tensor, view=view)


# Q, K and V, each of (batch, heads, tokens, channels of a head)


def _queries_keys_values(node: NodeImport, places: Places, sizes: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    first = node.tensor(0)
    by_place = (sizes.heads, sizes.key_heads, sizes.key_heads)
    if places.weights is not None:
        node.check_constant((places.weights,), "computed weights")
        made = node.shape(places.weights)[1]
        shared = node.shared_weights(places.weights)
        projected = multiplied_by_weights(Step(node, name="qkv"), first, -1, made, shared)
        tensors = parts(node, projected, 2, _projections(node.node, made))
    elif not node.has(1) and len(first.view) == 5:
        tensors = _unpacked(node, first)
    elif not node.has(1):
        tensors = parts(node, first, 2, [heads * sizes.width for heads in by_place])
    elif len(node.shape(1)) == 5:
        tensors = [first, *_unpacked(node, node.tensor(1))]
    else:
        tensors = [first, node.tensor(1), node.tensor(2)]
    query, key, value = (_by_head(tensor, heads) for tensor, heads in zip(tensors, by_place, strict=True))
    return query, key, value


def _by_head(tensor: Tensor, heads: int) -> Tensor:
    """Return a tensor of (batch, tokens, heads × channels) by heads; one of four axes has them already."""
    shape = shape_of(tensor.view)
    if len(shape) == 4:
        return tensor
    return in_order(_reshaped(tensor, (*shape[:2], heads, shape[2] // heads)), _SWAPPED)


def _unpacked(node: NodeImport, tensor: Tensor) -> list[Tensor]:
    """Return the tensors that are packed as (batch, tokens, heads, tensors, channels of a head)."""
    batch, rows, heads, packed, inner = tensor.view
    channels = without_batch((*packed, *heads, *inner))
    sources = node.arranged(tensor, channels, without_batch(rows))
    _, tokens, number, several, width = shape_of(tensor.view)
    flat = whole("C", several * number * width)
    together = Tensor(sources, (several * number * width, tokens, 1), (batch, whole("H", tokens), flat))
    return parts(node, together, 2, [number * width] * several)


# Cached keys and values


def _with_cached(node: NodeImport, places: Places, sizes: Sizes, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return all keys and values: the cached ones, then the new ones."""
    if not sizes.cached:
        return key, value
    key_shape, value_shape = _present_shapes(sizes)
    if len(places.past) == 1:
        both = parts(node, node.tensor(places.past[0]), 0, [1, 1])
        past_key, past_value = (replace(part, view=part.view[1:]) for part in both)
        outputs = (1, 1)
    else:
        past_key, past_value = (node.tensor(place) for place in places.past)
        outputs = (1, 2)
    keys = Step(
        node, (_kept(node, sizes, past_key), key), "present_key", output=outputs[0], shape=key_shape, attributes=_ROWS
    )
    values = Step(
        node,
        (_kept(node, sizes, past_value), value),
        "present_value",
        output=outputs[1],
        shape=value_shape,
        attributes=_ROWS,
    )
    return _joined(keys), _joined(values)


def _kept(node: NodeImport, sizes: Sizes, past: Tensor) -> Tensor:
    """Return the cached rows without the last ones of a buffer for the longest sequence, which the new tokens take."""
    length = shape_of(past.view)[2]
    return parts(node, past, 2, [sizes.cached, length - sizes.cached])[0] if length > sizes.cached else past


def _joined(step: Step) -> Tensor:
    return step.state.settled(made_by(concat, step))


def _give_present(node: NodeImport, places: Places, key: Tensor, value: Tensor) -> None:
    if len(places.past) > 1:
        node.give(key, 1)
        node.give(value, 2)
        return
    if len(node.outputs) < 2 or not node.outputs[1]:
        return
    if key.shape != value.shape or key.view != value.view:
        raise UnsupportedError("stores keys and values of different arrangements as one tensor (must be alike)")
    channels, rows, columns = key.shape
    view = ((Atom("C", 2, channels),), *key.view)
    node.give(Tensor((*key.sources, *value.sources), (2 * channels, rows, columns), view), 1)


def _grouped(sizes: Sizes, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return Q as (batch, heads of keys, heads that share one, …), and K and V repeated alike."""
    shared = sizes.heads // sizes.key_heads
    if shared == 1:
        return query, key, value
    query = _reshaped(query, (sizes.batch, sizes.key_heads, shared, sizes.tokens, sizes.width))
    repeat = (Atom(REPEAT, shared, 0),)
    key, value = (replace(tensor, view=(*tensor.view[:2], repeat, *tensor.view[2:])) for tensor in (key, value))
    return query, key, value
