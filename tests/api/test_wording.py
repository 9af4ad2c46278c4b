"""Messages of the Python API name its parameters, not options of the command line."""

import ast
import inspect
import re

import pytest
from support.paths import ROOT

import soma_cp as sc
from soma_cp.api.wording import in_python

OPTION = re.compile(r"(?<![-\w])--[a-z]")


def texts_with_options() -> list[str]:
    """Every text of the floors below the command line that names an option, without docstrings."""
    found = []
    for path in sorted(path for floor in ("model", "annealing", "solver") for path in (ROOT / floor).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not OPTION.search(text):
            continue
        tree = ast.parse(text)
        documentation = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
            if OPTION.search(node.value) and "--export" not in node.value  # goes on with a size, see below
        ]
    return found


PARAMETERS = {
    name
    for call in (sc.load_network, sc.load_hardware, sc.solve, sc.compare, sc.read_schedule)
    for name in inspect.signature(call).parameters
}
OF_NO_PARAMETER = {"blocks", "dask", "retry_failed"}
"""Options whose messages the API never gives: it repeats no blocks and runs no sweeps."""


@pytest.mark.parametrize("text", sorted(set(texts_with_options())))
def test_options_become_parameters(text: str) -> None:
    said = in_python(text)
    assert not OPTION.search(said)
    for option in re.findall(r"(?<![-\w])--([a-z0-9-]+)", text):
        name = in_python(f"--{option}")
        assert name in PARAMETERS | OF_NO_PARAMETER, name


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("--dim seq=…", "dims={'seq': …}"),
        ("set with --dim 'a b'=128", "set with dims={'a b': 128}"),
        ("say --batch-axis x=none", "say batch_axes={'x': None}"),
        ("say --input mask=data", "say inputs={'mask': 'data'}"),
        ("--end a:0: this is an input", "ends=['a:0']: this is an input"),
        ("ends that work: --end /x/Add --end y", "ends that work: ends=['/x/Add'] ends=['y']"),
        ("at least --buffer 257MiB, or", "at least buffer='257MiB', or"),
        ("--seq=4, but", "tokens=4, but"),
        ("give --space paper, or leave one out", "give space='paper', or leave one out"),
        (
            "needs the exact second stage: --stage2 cpsat, not sa",
            "needs the exact second stage: stage2='cpsat', not sa",
        ),
        ("soma-cp nets --export NET --divide 2MiB -o FILE", "load_network(..., divide='2MiB')"),
        ("a table -- of text", "a table -- of text"),
    ],
)
def test_options_with_values(text: str, wanted: str) -> None:
    assert in_python(text) == wanted


def test_messages_and_their_attributes_are_in_the_words_of_python() -> None:
    with pytest.raises(sc.UserError, match=r"^tokens=4, but 'tiny-chain' has no sequence; leave tokens out$"):
        sc.load_network("tiny-chain", tokens=4)
    advice = (
        r"buffer='3MiB', or divide .* space='wide' with divisions='auto', or load_network\(\.\.\., divide='256KiB'\)$"
    )
    with pytest.raises(sc.LayerTooLargeError, match=advice) as error:
        sc.solve("vgg19", sc.load_hardware("edge", buffer="1MiB"), stage2="greedy", space="paper")
    assert error.value.available_bytes == 1 << 20
    network = sc.load_network("vgg19", divide="256KiB")
    assert max(layer.weight_bytes for layer in network.layers) <= 256 << 10
    with pytest.raises(sc.UserError, match="stage2='cpsat'"):
        sc.solve("tiny-chain", stage2="greedy", exact=True)
