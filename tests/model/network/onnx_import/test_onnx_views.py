"""Views: reshaping and transposing an fmap keeps track of every element."""

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from soma_cp.model.network.onnx_import.views import Atom, View, numbered, reshaped, shape_of, simplified, whole


def elements(view: View, shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """The flat index within the fmap of every element of a tensor, in the tensor's order."""
    place = np.zeros((), np.int64)
    strides = {"C": shape[1] * shape[2], "H": shape[2], "W": 1}
    for axis in view:
        for atom in axis:
            steps = np.arange(atom.extent) * atom.stride * strides[atom.dim]
            place = place[..., None] + steps
    return place.reshape(shape_of(view))


def divisors(number: int) -> list[int]:
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


@given(st.data())
def test_a_chain_of_reshapes_and_transposes_is_what_numpy_does(data: st.DataObject) -> None:
    extents = st.sampled_from((1, 2, 3, 4, 6, 8, 12))
    shape = data.draw(st.tuples(extents, extents, extents))
    view: View = tuple(whole(dim, extent) for dim, extent in zip("CHW", shape, strict=True))
    array = np.arange(prod(shape)).reshape(shape)
    for _ in range(data.draw(st.integers(1, 5))):
        if data.draw(st.booleans()):
            order = data.draw(st.permutations(range(array.ndim)))
            view = tuple(view[axis] for axis in order)
            array = array.transpose(order)
        else:
            target: list[int] = []
            while (left := array.size // prod(target)) > 1 and len(target) < 4:
                target.append(data.draw(st.sampled_from(divisors(left))))
            target.append(left)
            found = reshaped(view, target)
            if found is None:
                continue
            view, array = found, array.reshape(target)
        assert np.array_equal(elements(view, shape), array)


def test_an_axis_that_does_not_divide_is_refused() -> None:
    assert reshaped((whole("C", 6), whole("H", 4)), (4, 6)) is None
    assert reshaped((whole("C", 6),), (7,)) is None


def test_reshaping_back_gives_the_same_view() -> None:
    heads = (whole("H", 5), whole("C", 12))
    split = reshaped(heads, (5, 3, 4))
    assert split == ((Atom("H", 5, 1),), (Atom("C", 3, 4),), (Atom("C", 4, 1),))
    assert split is not None
    assert reshaped(split, (5, 12)) == heads


def test_neighbours_join_and_others_do_not() -> None:
    assert simplified([Atom("C", 3, 4), Atom("C", 4, 1)]) == (Atom("C", 12, 1),)
    assert simplified([Atom("C", 4, 1), Atom("C", 3, 4)]) == (Atom("C", 4, 1), Atom("C", 3, 4))
    assert simplified([Atom("H", 1, 1), Atom("C", 2, 1)]) == (Atom("C", 2, 1),)


def test_axes_make_up_a_dimension() -> None:
    assert numbered("C", [whole("H", 3), whole("W", 4)]) == [(Atom("C", 3, 4),), (Atom("C", 4, 1),)]
