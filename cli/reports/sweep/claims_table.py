"""The claims table as Markdown and CSV."""

from collections.abc import Sequence

from soma_cp.cli.formats import markdown_text
from soma_cp.solver.sweep.findings.claims import Verdict

HEADERS = (
    "#",
    "claim",
    "paper",
    "ours",
    "geometric mean",
    "cases",
    "tolerance",
    "answer",
    "why",
)
NOTE = (
    "Ours is the arithmetic mean over cases, as the paper's figure is, with the geometric mean beside it. A claim is "
    "judged if all its cases have schedules; tolerances were fixed before any run."
)


def claims_cells(claims: Sequence[Verdict]) -> list[tuple[str, ...]]:
    """Return the cells of each row, by HEADERS."""
    return [
        (
            one.number,
            one.text,
            one.paper,
            one.ours or "–",
            one.geometric,
            f"{one.cases} of {one.wanted}",
            one.tolerance,
            one.answer.value,
            one.why,
        )
        for one in claims
    ]


def claims_markdown(claims: Sequence[Verdict]) -> str:
    """Return the table with its explanation."""
    return (
        f"# Claims of the paper, and what this sweep says\n\n{NOTE}\n\n{markdown_text(HEADERS, claims_cells(claims))}"
    )


def claims_rows(claims: Sequence[Verdict]) -> list[dict[str, str]]:
    """Return the table for CSV."""
    names = [header.replace(" ", "_") for header in HEADERS]
    names[0] = "number"
    return [dict(zip(names, cells, strict=True)) for cells in claims_cells(claims)]
