"""docs/onnx.md says what the operators become and lists their facts; the page must match the table of operators."""

from dataclasses import fields

from support.paths import DOCS

from soma_cp.model.data_types import data_type
from soma_cp.model.network.onnx_import.operators.registry import Axes, Channels, Facts, Meaning
from soma_cp.model.network.onnx_import.operators.table import ALL_OPERATORS

PAGE = DOCS / "onnx.md"
WORDS = {
    "channels": {
        Channels.FIRST: "channels first",
        Channels.LAST: "channels last",
        Channels.LAST_OF_IMAGE: "image channels last",
    },
    "channels_last": {0: "or last", 1: "unless last"},
    "axes": {Axes.PERMUTED: "axes permuted", Axes.OTHER: "other axes"},
    "regroups_axes": {True: "axes regrouped"},
    "weights": dict.fromkeys(((0, 1), (0, 3), (1,), (1, 2), (3,)), "weights"),
    "table": {0: "looks up a table", 2: "looks up a table"},
    "keeps_shape": {True: "keeps the shape"},
    "quantised": {True: "keeps the type"},
    "scales": dict.fromkeys(((2,), (2, 3), (3, 5), (4, 5), (4, 7)), "scales"),
    "typed_by": {
        **dict.fromkeys(((1,), (1, 2)), "typed by input 1"),
        (2,): "typed by input 2",
        (3,): "typed by input 3",
        (7, 0): "typed by input 7",
        (8, 1): "typed by input 8",
    },
    "makes": {data_type(name): f"makes {name}" for name in ("int8", "int32", "fp32")},
    "meaning": {
        Meaning.SUM: "a sum",
        Meaning.CHOICE: "a choice",
        Meaning.SOFTMAX: "a softmax",
        Meaning.DEQUANTISATION: "dequantises",
    },
    "random": {True: "never constant"},
}
"""What the page calls each fact; a refusal stands there word for word."""
RULES = {"packed": "packed", "of_shape": "of the shape alone", "shapes": "shapes by a rule"}
"""What it calls facts that are functions."""


def said(facts: Facts) -> str:
    """What the page says about facts."""
    words = [facts.refusal, *(names.get(getattr(facts, fact), "") for fact, names in WORDS.items())]
    words += [said for fact, said in RULES.items() if getattr(facts, fact)]
    return ", ".join(word for word in words if word)


def operator_table() -> str:
    """A row for each group of operators with the same record, in the order in which they are entered."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name, operator in ALL_OPERATORS.items():
        rows.setdefault((operator.becomes, said(operator.facts)), []).append(name)
    return "\n".join(
        f"| {', '.join(names)} | {' | '.join(row)} |".replace("|  |", "| |") for row, names in rows.items()
    )


def test_the_page_has_every_operator() -> None:
    table = f"| operators | become | known besides |\n|---|---|---|\n{operator_table()}\n"
    assert table in PAGE.read_text(encoding="utf-8"), table


def test_the_page_explains_every_fact() -> None:
    assert {*WORDS, *RULES, "refusal"} == {field.name for field in fields(Facts)}
    text = PAGE.read_text(encoding="utf-8")
    words = [word for names in WORDS.values() for word in names.values()]
    assert [word for word in (*words, *RULES.values()) if f"*{word}*" not in text] == []
