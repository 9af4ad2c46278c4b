"""All facts about an operator are in its record, and other modules use the record."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from onnx import defs
from support.onnx_imports import Import, faults
from support.onnx_models import Model
from support.paths import ROOT

from soma_cp.model.network.onnx_import.graph import Graph, GraphInput, Info, Node
from soma_cp.model.network.onnx_import.layouts import input_tensor
from soma_cp.model.network.onnx_import.operators.registry import NO_FACTS, Channels, Facts, channels_of, enter
from soma_cp.model.network.onnx_import.operators.table import ALL_OPERATORS, facts_of

FOLDER = ROOT / "model" / "network" / "onnx_import"
MODULES = sorted(FOLDER.rglob("*.py"))
ENTRIES = {"operator", "enter"}
"""The calls that make a record."""
NAMES = {*ALL_OPERATORS, *(name.rpartition(".")[2] for name in ALL_OPERATORS)}


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the strings of a module that are in no record."""
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in ENTRIES:
        return
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield tree
    for child in ast.iter_child_nodes(tree):
        yield from strings(child)


def operators_named(text: str) -> list[str]:
    """The lines of a module where a string is an operator's name, or a list of such names."""
    return [
        f"line {found.lineno}: {found.value!r}"
        for found in strings(ast.parse(text))
        if (words := str(found.value).split()) and NAMES.issuperset(words)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_operators_are_named_in_their_records_alone(path: Path) -> None:
    assert operators_named(path.read_text(encoding="utf-8")) == [], "say it in Facts, and ask facts_of"


def test_names_outside_records_are_found() -> None:
    assert operators_named('_WEIGHTED = {"Conv", "FastGelu"}')
    assert operators_named('_WEIGHTED = frozenset("Conv MatMul".split())')
    assert operators_named('if node.operator == "Gather": pass')
    assert not operators_named('@operator("Conv", "`conv`", Facts(random=True))\ndef f(node): raise E("has a Conv")')


@pytest.mark.parametrize("fact", [field.name for field in fields(Facts)])
def test_every_fact_is_asked_for(fact: str) -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MODULES]
    assert any(isinstance(node, ast.Attribute) and node.attr == fact for tree in trees for node in ast.walk(tree))


def test_an_operator_is_entered_once() -> None:
    with pytest.raises(ValueError, match="operator Conv is entered twice"):
        enter("Conv", "", NO_FACTS)


@pytest.mark.parametrize("kind", ["NoSuchOperator", "own.Conv", "com.microsoft.If"])
def test_of_an_operator_that_is_not_entered_no_fact_is_known(kind: str) -> None:
    """Operators of the same name in another domain are others."""
    assert facts_of(kind) == NO_FACTS


def test_an_operator_of_another_domain_has_no_facts_of_the_same_name(imported: Import) -> None:
    """`own.Shape` is no `Shape`: its output is no constant, and `own.If` isn't refused as control flow is."""
    model = Model()
    x = model.input("x", ["batch", 4, 8])
    made = model.node("Shape", x, domain="own", name="s")
    assert faults(lambda: imported(model, model.node("If", made, domain="own", name="i"))) == [
        f"'{name}' (own.{kind}) is an operator of the domain 'own', which is not known"
        for name, kind in (("s", "Shape"), ("i", "If"))
    ]


@pytest.mark.parametrize("kind", sorted(ALL_OPERATORS))
def test_the_record_says_where_an_input_has_its_channels(kind: str) -> None:
    """Of (batch, 5, 7), the channels are 5 if the first node that reads it has them first; 7 if last, or by default."""
    domain, _, operator = kind.rpartition(".")
    node = Node("node", operator, domain, ("x",), ("y",))
    graph = Graph((node,), (source := GraphInput("x", (1, 5, 7), 0),), ("y",), {"y": Info((1, 5, 7))})
    channels = 5 if channels_of(node) is Channels.FIRST else 7
    assert input_tensor(graph, source, "x").shape == (channels, 12 - channels, 1)


PROJECTING = {"Attention", "DecoderMaskedSelfAttention", "QAttention"}
"""Operators of ONNX Runtime that have the weights of their projections, which their names don't say."""


@pytest.mark.parametrize("kind", sorted(ALL_OPERATORS))
def test_an_operator_with_weights_in_its_signature_says_so(kind: str) -> None:
    """ONNX calls the weights of its convolutions and matrix multiplications W, w, B or b (B may be a bias)."""
    if ALL_OPERATORS[kind].importer is None:
        pytest.skip("no layer makes it")
    domain, _, name = kind.rpartition(".")
    multiplies = any(part in name for part in ("Mat", "Gemm", "Einsum", "Conv")) or (domain and name in PROJECTING)
    if not domain and defs.has(kind):
        names = {given.name for given in defs.get_schema(kind).inputs}
        multiplies = bool({"W", "w"} & names) or (multiplies and bool({"B", "b", "Inputs"} & names))
    assert facts_of(kind).has_weights == bool(multiplies)


@pytest.mark.parametrize("kind", sorted(kind for kind in ALL_OPERATORS if "." in kind))
def test_shapes_of_another_domain_are_known(kind: str) -> None:
    """The onnx package infers shapes of its own operators alone; the others keep their shape or have a rule."""
    facts = facts_of(kind)
    assert facts.keeps_shape != (facts.shapes is not None)


@pytest.mark.parametrize(
    ("between", "attributes", "extents", "shape"),
    [
        ("Relu", {}, (5, 7), (5, 7, 1)),  # channels first, as the convolution has them
        ("Reshape", {}, (5, 7), (5, 7, 1)),  # to the same shape
        ("Gather", {}, (5, 7), (7, 5, 1)),  # not followed: channels last, by default
        ("Flatten", {"axis": 0}, (5, 7), (5, 7, 1)),
        ("Einsum", {}, (5, 7), (7, 5, 1)),
        ("Relu", {}, (4, 5, 6), (4, 5, 6)),
        ("Transpose", {"perm": [0, 3, 1, 2]}, (4, 5, 6), (6, 4, 5)),  # channels are 6, the last axis
    ],
)
def test_an_input_is_followed_to_the_node_that_decides_its_layout(
    between: str, attributes: dict[str, list[int]], extents: tuple[int, ...], shape: tuple[int, int, int]
) -> None:
    """A node that keeps the number of axes stands between the input and a convolution."""
    nodes = (Node("a", between, "", ("x",), ("y",), attributes), Node("b", "Conv", "", ("y",), ("z",)))
    infos = {name: Info((1, *extents)) for name in "xyz"}
    source = GraphInput("x", (1, *extents), 0)
    assert input_tensor(Graph(nodes, (source,), ("z",), infos), source, "x").shape == shape


def test_random_numbers_are_never_folded(imported: Import) -> None:
    """They read constants or nothing, like folded nodes, but no layer makes them."""
    model = Model()
    x = model.input("x", ["batch", 4, 8])
    noise = model.node("RandomNormal", shape=[1, 4, 8], name="noise")
    like = model.node("Bernoulli", model.scalar(0.5), name="coin")
    made = model.node("Add", model.node("Add", x, noise), like)
    assert faults(lambda: imported(model, made)) == [
        "'noise' (RandomNormal) is an operator that no layer stands for",
        "'coin' (Bernoulli) is an operator that no layer stands for",
    ]
