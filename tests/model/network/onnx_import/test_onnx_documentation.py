"""docs/onnx.md says what the operators become, and can't go stale."""

from support.paths import DOCS

from soma_cp.model.network.onnx_import.operators.table import ALL_OPERATORS

PAGE = DOCS / "onnx.md"


def operator_table() -> str:
    """A row for each sort of operators, in the sequence in which they are entered."""
    rows: dict[str, list[str]] = {}
    for name, operator in ALL_OPERATORS.items():
        rows.setdefault(operator.becomes, []).append(name)
    return "\n".join(f"| {', '.join(names)} | {becomes} |" for becomes, names in rows.items())


def test_the_page_has_every_operator() -> None:
    table = operator_table()
    assert f"| operators | become |\n|---|---|\n{table}\n" in PAGE.read_text(encoding="utf-8"), table
