"""Attention in one operator: softmax(Q·Kᵀ)·V for every head.

All forms are one chain of layers, the same as if the model had a node for each: [projections] → [rotation of positions]
→ [cached keys and values joined to the new ones] → Q·Kᵀ → [sums with biases] → softmax → ·V. The forms differ in where
Q, K, V, the cached tensors and the numbers of heads are found: `Places` says it, and the table at the end has them all.
Products that a causal mask or a window hides are counted, as they are where a mask is a node of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.attention_sizes import (
    Places,
    Sizes,
    present_shapes,
    projections,
    shapes_of,
    sizes_of,
)
from soma_cp.model.network.onnx_import.operators.elementwise import combined, leave_out, operands_of, vector
from soma_cp.model.network.onnx_import.operators.matrices import multiplied_by_weights, multiplied_together
from soma_cp.model.network.onnx_import.operators.parts import concat, parts
from soma_cp.model.network.onnx_import.operators.registry import Channels, Facts, Importer, enter
from soma_cp.model.network.onnx_import.operators.steps import Step, made_by, signature_of
from soma_cp.model.network.onnx_import.values import Tensor, in_order, transposed
from soma_cp.model.network.onnx_import.views import REPEAT, Atom, reshaped, shape_of, whole, without_batch

_SWAPPED = (0, 2, 1, 3)
"""The order that brings (batch, tokens, heads, width) to (batch, heads, tokens, width), and back."""

_ROWS = {"axis": 2}
"""The axis of (batch, heads, tokens, width) along which cached tokens and new ones are joined."""


def _attend(places: Places, node: NodeImport) -> None:
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
        mode = node.attribute("qk_matmul_output_mode", 0)
        if node.attribute("softcap", 0) and mode == 2:
            raise UnsupportedError("has an output of the scores between two steps of one ptp layer (mode 2)")
        node.give({0: scores, 3: weights}.get(mode, biased), places.scores_output)
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
        tensors = parts(node, projected, 2, projections(node.node, made))
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
    key_shape, value_shape = present_shapes(sizes)
    if len(places.past) == 1:
        both = parts(node, node.tensor(places.past[0]), 0, [1, 1])
        past_key, past_value = (replace(part, view=part.view[1:]) for part in both)
        value_output = 1
    else:
        past_key, past_value = (node.tensor(place) for place in places.past)
        value_output = 2

    def joined(past: Tensor, new: Tensor, name: str, output: int, shape: tuple[int, ...]) -> Tensor:
        step = Step(node, (_kept(node, sizes, past), new), name, output=output, shape=shape, attributes=_ROWS)
        return node.state.settled(made_by(concat, step))

    return (
        joined(past_key, key, "present_key", 1, key_shape),
        joined(past_value, value, "present_value", value_output, value_shape),
    )


def _kept(node: NodeImport, sizes: Sizes, past: Tensor) -> Tensor:
    """Return the cached rows without the last ones of a buffer for the longest sequence, which the new tokens take."""
    length = shape_of(past.view)[2]
    return parts(node, past, 2, [sizes.cached, length - sizes.cached])[0] if length > sizes.cached else past


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


# The forms: (batch, tokens, heads × channels) in and out; ONNX's own has (batch, heads, tokens, channels), too

_CHAIN = "`conv` or `group_conv`, `ptp` and `conv` or `group_conv`"


def _form(places: Places) -> tuple[Facts, Importer]:
    """Return the facts about a form of attention, and its importer."""
    weights = () if places.weights is None else (places.weights,)
    facts = Facts(
        channels=Channels.LAST,
        weights=weights,
        scales=places.scales,
        typed_by=places.typed_by,
        shapes=shapes_of(places),
    )
    return facts, partial(_attend, places)


enter(
    "Attention",
    _CHAIN,
    *_form(Places(heads="q_num_heads", key_heads="kv_num_heads", added=(3,), past=(4, 5), scores_output=3)),
)
enter(
    "com.microsoft.Attention com.microsoft.DecoderMaskedSelfAttention",
    f"three projections, {_CHAIN}",
    *_form(Places(weights=1, bias=2, added=(5,), past=(4,))),
)
enter(
    "com.microsoft.QAttention",
    f"three projections, {_CHAIN}",
    *_form(Places(weights=1, scales=(4, 7), bias=2, past=(8,), typed_by=(3,))),
)
enter("com.microsoft.MultiHeadAttention", _CHAIN, *_form(Places(bias=3, added=(5,), past=(6, 7))))
enter(
    "com.microsoft.GroupQueryAttention",
    f"`ptp` for each rotation, {_CHAIN}",
    *_form(Places(key_heads="kv_num_heads", added=(10,), past=(3, 4), rotary=(7, 8))),
)
enter("com.microsoft.DecoderMaskedMultiHeadAttention", _CHAIN, *_form(Places(bias=10, added=(4,), past=(5, 6))))
