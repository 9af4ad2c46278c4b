"""Einsum as a matrix multiplication: with weights, or of two computed tensors."""

from dataclasses import replace
from math import prod

from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.matrices import multiplied_by_weights, multiplied_together
from soma_cp.model.network.onnx_import.operators.registry import Axes, Facts, operator
from soma_cp.model.network.onnx_import.values import Tensor
from soma_cp.model.network.onnx_import.views import reshaped, shape_of, simplified, size


@operator("Einsum", "like MatMul, if it is one", Facts(axes=Axes.OTHER, weights=(0, 1)))
def einsum(node: NodeImport) -> None:
    """A sum over the letters that both operands have and the result lacks."""
    equation = str(node.attribute("equation", "")).replace(" ", "")
    terms, arrow, result = equation.partition("->")
    operands = terms.split(",")
    simple = all(term.isalpha() and len(set(term)) == len(term) for term in (*operands, result))
    if not arrow or len(operands) != 2 or not simple:
        raise UnsupportedError(f"computes '{equation}' (must have two operands, and every letter once in each)")
    places = (1, 0) if node.is_constant(0) else (0, 1)
    first, second = (operands[place] for place in places)
    if not set(first) ^ set(second) <= set(result):
        raise UnsupportedError(f"computes '{equation}', which sums over a letter of one operand (must be of both)")
    summed = [letter for letter in second if letter in first and letter not in result]
    if node.is_constant(places[1]):
        made, letters = _with_weights(node, places, first, second, summed)
    else:
        made, letters = _together(node, places, first, second, summed, result)
    node.give(replace(made, view=tuple(made.view[letters.index(letter)] for letter in result)))


def _with_weights(
    node: NodeImport, places: tuple[int, int], first: str, second: str, summed: list[str]
) -> tuple[Tensor, str]:
    """Multiply by weights; return the result and the letters of its axes."""
    shared = [letter for letter in second if letter in first and letter not in summed]
    if shared:
        raise UnsupportedError(f"has weights for every place of '{''.join(shared)}' (must be one matrix for all)")
    tensor = node.tensor(places[0])
    kept = [letter for letter in first if letter not in summed]
    new = [letter for letter in second if letter not in summed]
    extents = [node.shape(places[1])[second.index(letter)] for letter in new]
    inner = simplified(atom for letter in summed for atom in tensor.view[first.index(letter)])
    view = (*(tensor.view[first.index(letter)] for letter in kept), inner)
    shared_weights = node.shared_weights(places[1])
    made = multiplied_by_weights(node, replace(tensor, view=view), len(kept), prod(extents), shared_weights)
    split = reshaped(made.view, (*shape_of(made.view[:-1]), *extents))
    assert split is not None, "one axis of channels is cut into parts"
    return replace(made, view=split), "".join((*kept, *new))


def _together(
    node: NodeImport, places: tuple[int, int], first: str, second: str, summed: list[str], result: str
) -> tuple[Tensor, str]:
    """Multiply two computed tensors; return the result and the letters of its axes."""
    shared = [letter for letter in first if letter in second and letter in result]
    rows = [letter for letter in first if letter not in second]
    columns = [letter for letter in second if letter not in first]
    if len(rows) != 1 or len(columns) != 1 or len(summed) != 1:
        raise UnsupportedError(
            "multiplies tensors that are not matrices (each must have one letter of its own; the sum, one)"
        )
    left, right = node.tensor(places[0]), node.tensor(places[1])
    left_view = tuple(left.view[first.index(letter)] for letter in (*shared, *rows, *summed))
    right_view = tuple(right.view[second.index(letter)] for letter in (*shared, *summed, *columns))
    if size(left_view[-1]) != size(right_view[-2]):
        raise UnsupportedError("repeats an operand along the sum (must have as many elements in both)")
    made = multiplied_together(node, replace(left, view=left_view), replace(right, view=right_view))
    return made, "".join((*shared, *rows, *columns))
