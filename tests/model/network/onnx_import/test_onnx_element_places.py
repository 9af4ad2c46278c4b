"""Random parts, joins and arrangements: every element is where numpy says, whatever layers move it.

The test follows the elements of a computed tensor through the import. Each source that `arranged` or `compacted`
returns gets the elements that its caller asked for, so a wrong axis, offset or sequence of sources shows in the end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.onnx_models import Model
from support.twins import examples

from soma_cp.model.network.layers import Layer, Transpose
from soma_cp.model.network.onnx_import import arranging, node_import, regrouping
from soma_cp.model.network.onnx_import.importing import import_onnx
from soma_cp.model.network.onnx_import.layers import Layers, Sources
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators import joining, parts
from soma_cp.model.network.onnx_import.values import Tensor, Value
from soma_cp.model.network.onnx_import.views import Axis, View

Places = NDArray[np.int64]


@dataclass
class Elements:
    """The elements of each source, as numbers: channels × rows × columns."""

    of: dict[str, Places] = field(default_factory=dict)
    given: dict[str, Value] = field(default_factory=dict)

    def fmap(self, sources: Sources) -> Places:
        return np.concatenate([self.of[name] for name in sources])

    def along(self, tensor: Tensor, view: View) -> Places:
        """The elements of a tensor with these axes."""
        fmap = self.fmap(tensor.sources)
        assert fmap.shape == tensor.shape
        places = [np.array(start) for start in tensor.offset]
        for axis in view:
            steps = [np.zeros(1, np.int64) for _ in range(3)]
            for atom in axis:
                moved = [atom.stride * (atom.dim == dim) for dim in "CHW"]
                steps = [
                    (old[:, None] + np.arange(atom.extent) * stride).reshape(-1)
                    for old, stride in zip(steps, moved, strict=True)
                ]
            places = [place[..., None] + step for place, step in zip(places, steps, strict=True)]
        return fmap[tuple(place % extent for place, extent in zip(places, fmap.shape, strict=True))]

    def put(self, sources: Sources, fmap: Places) -> None:
        """Say what sources have; those that are known have it already."""
        start = 0
        if len(sources) == 1:
            self.of.setdefault(sources[0], fmap)
        for name in sources:
            end = start + len(self.of[name])
            assert np.array_equal(self.of[name], fmap[start:end])
            start = end
        assert start == len(fmap)


@contextmanager
def followed() -> Iterator[Elements]:
    """Follow the elements through an import that begins with a layer called ``begin``."""
    elements = Elements()
    arranged, compacted, joined, give = arranging.arranged, arranging.compacted, joining.joined, NodeImport.give
    divide = Layers.divide_layer

    def follow_arranged(
        layers: Layers, tensor: Tensor, channels: Axis, rows: Axis, columns: Axis, name: str
    ) -> Sources:
        sources = arranged(layers, tensor, channels, rows, columns, name)
        if "begin" in elements.of:
            elements.put(sources, elements.along(tensor, (channels, rows, columns)))
        return sources

    def follow_compacted(layers: Layers, tensor: Tensor, name: str) -> Tensor:
        made = compacted(layers, tensor, name)
        if "begin" not in elements.of:
            return made
        if made.sources not in ((name,) for name in elements.of) and len(made.sources) == 1:
            elements.of[made.sources[0]] = np.full(made.shape, -1)
            where = elements.of[made.sources[0]]
            marks = Elements({made.sources[0]: np.arange(where.size).reshape(where.shape)})
            places = marks.along(made, made.view)
            where.reshape(-1)[places.reshape(-1)] = elements.along(tensor, tensor.view).reshape(-1)
        assert np.array_equal(elements.along(made, made.view), elements.along(tensor, tensor.view))
        return made

    def follow_joined(node: NodeImport, tensors: list[Tensor], axis: int) -> Tensor:
        expected = np.concatenate([elements.along(tensor, tensor.view) for tensor in tensors], axis)
        made = joined(node, tensors, axis)
        if len(made.sources) == 1 and made.sources[0] not in elements.of:  # parts of one fmap, by one layer
            elements.of[made.sources[0]] = np.full(made.shape, -1)
            marks = Elements({made.sources[0]: np.arange(expected.size).reshape(made.shape)})
            elements.of[made.sources[0]].reshape(-1)[marks.along(made, made.view).reshape(-1)] = expected.reshape(-1)
        assert np.array_equal(elements.along(made, made.view), expected)
        return made

    def follow_divided(layers: Layers, name: str, pieces: list[Layer], reads: list[Sources]) -> Sources:
        made = divide(layers, name, pieces, reads)
        ends = np.cumsum([part.K for part in pieces])[:-1]
        elements.of |= dict(zip(made, np.split(elements.of[name], ends), strict=True))
        return made

    def follow_give(node: NodeImport, value: Value, place: int = 0) -> None:
        if node.name == "begin":
            assert isinstance(value, Tensor)
            elements.of["begin"] = np.arange(np.prod(value.shape)).reshape(value.shape)
        give(node, value, place)
        elements.given[node.outputs[place]] = value

    with (
        mock.patch.object(arranging, "arranged", follow_arranged),
        mock.patch.object(arranging, "compacted", follow_compacted),
        mock.patch.object(regrouping, "arranged", follow_arranged),
        mock.patch.object(node_import, "compacted", follow_compacted),
        mock.patch.object(node_import, "arranged", follow_arranged),
        mock.patch.object(joining, "compacted", follow_compacted),
        mock.patch.object(joining, "arranged", follow_arranged),
        mock.patch.object(parts, "joined", follow_joined),
        mock.patch.object(parts, "_put_together", return_value=False),  # a rotation would be a function, not a move
        mock.patch.object(Layers, "divide_layer", follow_divided),
        mock.patch.object(NodeImport, "give", follow_give),
    ):
        yield elements


@dataclass
class Pair:
    """A tensor of a model, and its elements."""

    name: str
    array: Places


def steps(draw: st.DrawFn, model: Model, pair: Pair) -> Pair:
    """Move, cut or rejoin the elements in one random way; axis 0 is the sample's alone."""
    array, axes = pair.array, pair.array.ndim
    axis = draw(st.integers(1, axes - 1))
    extent = array.shape[axis]
    way = draw(st.sampled_from(("reshape", "transpose", "slice", "roll", "split", "stack", "gather")))
    if way == "reshape":
        shape: list[int] = [1]
        while (left := array.size // int(np.prod(shape))) > 1 and len(shape) < 4:
            shape.append(draw(st.sampled_from([n for n in range(2, left + 1) if left % n == 0])))
        shape = shape if left == 1 else [*shape, left]
        shape = shape if len(shape) > 1 else [1, 1]
        return Pair(model.node("Reshape", pair.name, model.constant(shape)), array.reshape(shape))
    if way == "transpose":
        order = [0, *draw(st.permutations(range(1, axes)))]
        return Pair(model.node("Transpose", pair.name, perm=order), array.transpose(order))
    if way == "gather":
        place = draw(st.integers(0, extent - 1))
        made = model.node("Gather", pair.name, model.constant([place]), axis=axis)
        return Pair(made, np.take(array, [place], axis))
    start = draw(st.integers(0, extent - 1))
    if way == "slice":
        step = draw(st.integers(1, 3))
        taken = np.take(array, range(start, extent, step), axis)
        numbers = (model.constant([number]) for number in (start, extent, axis, step))
        return Pair(model.node("Slice", pair.name, *numbers), taken)
    if start == 0:
        return pair

    def cut(first: int, end: int) -> str:
        numbers = (model.constant([number]) for number in (first, end, axis))
        return str(model.node("Slice", pair.name, *numbers))

    if way == "roll":
        made = model.node("Concat", cut(start, extent), cut(0, start), axis=axis)
        return Pair(made, np.roll(array, -start, axis))
    if way == "split":
        sizes = model.constant([start, extent - start])
        _, right = model.node("Split", pair.name, sizes, outputs=2, axis=axis)
        return Pair(right, np.take(array, range(start, extent), axis))
    other = draw(st.integers(1, axes - 1))
    moved = np.swapaxes(array, axis, other)
    if moved.shape[:other] + moved.shape[other + 1 :] != array.shape[:other] + array.shape[other + 1 :]:
        return pair
    order = list(range(axes))
    order[axis], order[other] = other, axis
    turned = model.node("Transpose", pair.name, perm=order)
    return Pair(model.node("Concat", pair.name, turned, axis=other), np.concatenate([array, moved], other))


@st.composite
def chains(draw: st.DrawFn) -> tuple[Model, Pair]:
    """A product of two inputs, which no layer can be divided by channels, and up to seven steps."""
    model = Model(17)
    heads, rows, columns = (draw(st.sampled_from((1, 2, 3, 4, 6))) for _ in range(3))
    left, right = model.input("x", [1, heads, rows, 2]), model.input("y", [1, heads, 2, columns])
    product = model.node("MatMul", left, right, name="begin")
    fmap = np.arange(heads * columns * rows).reshape(heads, columns, rows)  # heads × columns are channels
    pair = Pair(product, fmap.transpose(0, 2, 1)[None])
    for _ in range(draw(st.integers(1, 7))):
        pair = steps(draw, model, pair)
    model.output(pair.name)
    return model, pair


def assert_keeps_dimensions(layer: Transpose, elements: Elements) -> None:
    """Every dimension that has a letter in the layer's order has the same places before and after it."""
    if not {layer.name, *layer.ifmaps} <= elements.of.keys():
        return  # reads the copy of a layer that is read twice
    before, after = elements.fmap(layer.ifmaps), elements.of[layer.name]
    if np.unique(before).size < before.size:
        return  # has an element twice
    assert (before.shape, after.shape) == (layer.wanted_ifmap(), layer.ofmap)
    where = {int(element): place for place, element in np.ndenumerate(before)}
    for place, element in np.ndenumerate(after):
        came_from = where[int(element)]
        for made, letter in enumerate(layer.order):
            assert letter == "*" or came_from["CHW".index(letter)] == place[made]


@examples(150)
@given(chains())
def test_every_element_is_where_numpy_says(tmp_path_factory: pytest.TempPathFactory, chain: tuple[Model, Pair]) -> None:
    model, pair = chain
    path = model.save(tmp_path_factory.getbasetemp() / "places.onnx")
    with followed() as elements:
        network = import_onnx(path).network
    for layer in network.layers:
        if isinstance(layer, Transpose):
            assert_keeps_dimensions(layer, elements)
    value = elements.given[pair.name]
    if isinstance(value, Tensor):
        assert np.array_equal(elements.along(value, value.view), pair.array)


@st.composite
def of_an_input(draw: st.DrawFn) -> tuple[Model, tuple[int, int, int]]:
    """An external input, up to seven steps, and a function."""
    model = Model(17)
    a, b, c = shape = tuple(draw(st.sampled_from((1, 2, 3, 4, 6))) for _ in range(3))
    pair = Pair(model.input("x", [1, *shape]), np.arange(a * b * c).reshape(1, *shape))
    for _ in range(draw(st.integers(1, 7))):
        pair = steps(draw, model, pair)
    model.output(model.node("Sigmoid", pair.name))
    return model, (a, b, c)


@examples(100)
@given(of_an_input())
def test_an_input_is_loaded_in_one_arrangement(
    tmp_path_factory: pytest.TempPathFactory, chain: tuple[Model, tuple[int, int, int]]
) -> None:
    model, shape = chain
    network = import_onnx(model.save(tmp_path_factory.getbasetemp() / "input.onnx")).network
    assert sum(int(np.prod(source.shape)) for source in network.inputs) <= np.prod(shape)
