"""Random chains of tokens whose axes move, come and go: every multiplication keeps the size that its shapes imply."""

from dataclasses import dataclass, field
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.onnx_models import Model
from support.twins import examples

from soma_cp.model.network.onnx_import.importing import import_onnx

MOST_AXES = 4


@dataclass
class Chain:
    """A model under construction: its last tensor, and the weight bytes and operations of its multiplications."""

    tensor: str
    shape: list[int]
    model: Model
    expected: dict[str, tuple[int, int]] = field(default_factory=dict)

    def then(self, tensor: str, shape: list[int]) -> None:
        self.tensor, self.shape = tensor, shape

    def multiplied(self, tensor: str, inner: int, made: int, shape: list[int]) -> None:
        self.expected[self.model.nodes[-1].name] = (inner * made, inner * prod(shape))
        self.then(tensor, shape)


def add_axes(chain: Chain, draw: st.DrawFn) -> None:
    more = draw(st.integers(0, MOST_AXES - len(chain.shape)))
    shape = [1] * more + chain.shape
    constant = chain.model.weight(*[1] * (len(shape) - 1), shape[-1])
    chain.then(chain.model.node(draw(st.sampled_from(("Add", "Pow"))), chain.tensor, constant), shape)


def transpose(chain: Chain, draw: st.DrawFn) -> None:
    order = draw(st.permutations(range(len(chain.shape))))
    chain.then(chain.model.node("Transpose", chain.tensor, perm=order), [chain.shape[axis] for axis in order])


def squeeze(chain: Chain, draw: st.DrawFn) -> None:
    shape = [extent for extent in chain.shape if extent > 1]
    chain.then(chain.model.node("Reshape", chain.tensor, chain.model.constant(shape)), shape)


def matmul(chain: Chain, draw: st.DrawFn) -> None:
    *rows, inner = chain.shape
    made = draw(st.integers(2, 5))
    more = draw(st.integers(0, MOST_AXES - len(chain.shape)))
    weight = chain.model.weight(*[1] * (len(rows) - 1 + more), inner, made)
    name = f"m{len(chain.expected)}"
    chain.multiplied(
        chain.model.node("MatMul", chain.tensor, weight, name=name), inner, made, [1] * more + [*rows, made]
    )


def gemm(chain: Chain, draw: st.DrawFn) -> None:
    matrix = [prod(chain.shape[:-1]), chain.shape[-1]]
    chain.then(chain.model.node("Reshape", chain.tensor, chain.model.constant(matrix)), matrix)
    made, name = draw(st.integers(2, 5)), f"m{len(chain.expected)}"
    turned, weight_turned, weight_first = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    sums_over_rows = turned != weight_first
    inner, others = chain.shape if sums_over_rows else chain.shape[::-1]
    weight = chain.model.weight(*((made, inner) if weight_turned != weight_first else (inner, made)))
    if weight_first:
        product = chain.model.node("Gemm", weight, chain.tensor, transA=weight_turned, transB=turned, name=name)
    else:
        product = chain.model.node("Gemm", chain.tensor, weight, transA=turned, transB=weight_turned, name=name)
    chain.multiplied(product, inner, made, [made, others] if weight_first else [others, made])


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Tokens of one sample, and up to seven nodes; a multiplication at the end."""
    model = Model(18)
    shape = [1, draw(st.integers(6, 9)), draw(st.integers(10, 12))]
    chain = Chain(model.input("x", shape), shape, model)
    for step in draw(st.lists(st.sampled_from((add_axes, transpose, squeeze, matmul, gemm)), max_size=6)):
        step(chain, draw)
    matmul(chain, draw)
    model.output(chain.tensor)
    return chain


@examples(100)
@given(chains())
def test_multiplications_keep_their_sizes(tmp_path_factory: pytest.TempPathFactory, chain: Chain) -> None:
    path = chain.model.save(tmp_path_factory.getbasetemp() / "chain.onnx")
    network = import_onnx(path).network
    found = {layer.name: (layer.weight_bytes, layer.operations) for layer in network.layers if layer.is_matrix}
    assert found == chain.expected
