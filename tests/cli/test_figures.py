"""Every output has the figures that the table says, and no others."""

import csv
import io
import json
from pathlib import Path

import pytest
from support.command_line import Run
from support.execution_cases import GPT2, execution_in
from support.paths import DOCS

from soma_cp.cli.reports.html.summary import FORMATS, figure_rows
from soma_cp.cli.reports.reported import Reported
from soma_cp.cli.tables import CELLS
from soma_cp.model.soma import figures
from soma_cp.model.soma.figures import FIGURES, Figure, Unit

HEAD_OF_JSON = ["result", "version", "tool_version"]
OTHERS_IN_JSON = [
    *("proven_lower_bound_source", "claimed_proven_lower_bound_cycles", "differences_to_file", "seconds"),
    *(row.former for row in FIGURES if row.former and row.in_json),
    "claimed_proven_lower_bound",
]
OTHERS_IN_CSV = {"second_stage", "fits", "proven_lower_bound_source", "seconds", "lfa", "out_of_time"}
OTHERS_IN_FILE = {
    *("version", "network", "batch", "hardware", "violations", "proven_optimal", "provenance"),
    *("proven_lower_bound_cycles", "proven_lower_bound", "tile_begin_cycles", "tile_shapes", "lfa", "dlsa"),
}


def json_of(run: Run) -> dict[str, object]:
    return run("evaluate", GPT2, "--json").document


def csv_of(run: Run) -> dict[str, str]:
    """Return the row of double buffering."""
    text = run("compare", "--schedule", GPT2, "--time-limit", 1, "--format", "csv").out
    return next(csv.DictReader(io.StringIO(text)))


def table_of(run: Run) -> dict[str, str]:
    lines = run("evaluate", GPT2).out.split("\n\n")[1].splitlines()[1:]
    cells = [line.rsplit("  ", 1) for line in lines]
    return {label.rstrip(): cell.strip() for label, cell in cells}


def page_of() -> dict[str, str]:
    return {row.label: row.cells[0] for row in figure_rows([Reported("gpt2", execution_in(GPT2))])}


def test_each_output_has_the_rows_that_say_so_and_no_others(run: Run) -> None:
    assert list(json_of(run)) == [*HEAD_OF_JSON, *(row.name for row in FIGURES if row.in_json), *OTHERS_IN_JSON]
    assert csv_of(run).keys() == {row.csv for row in FIGURES if row.csv} | OTHERS_IN_CSV
    assert list(table_of(run)) == [row.table.format(clock="1 GHz") for row in FIGURES if row.table]
    cells = execution_in(GPT2)
    labels = [(row.label, row.is_part) for row in figure_rows([Reported("gpt2", cells)])]
    assert labels == [
        (label.strip(), label.startswith(" ")) for label in dict.fromkeys(row.page for row in FIGURES if row.page)
    ]


def test_schedule_files_have_the_rows_that_say_so_and_no_others(run: Run) -> None:
    assert run("solve", "--net", "tiny-chain", "--stage2", "greedy", "--time-limit", 2, "-o", "x.json").code == 0
    written = json.loads(Path("x.json").read_text(encoding="utf-8"))
    names = {name for row in FIGURES if row.in_file for name in (row.name, row.former) if name}
    assert written.keys() == names | OTHERS_IN_FILE


def test_columns_of_the_csv_keep_their_order(run: Run) -> None:
    assert ",".join(csv_of(run)) == (
        "network,batch,tiles,dram_tensors,second_stage,fits,latency_cycles,energy_pj,edp,proven_lower_bound,"
        "proven_lower_bound_source,latency_above_bound,theoretical_maximum,peak_buffer_bytes,seconds,lfa,out_of_time"
    )


def test_a_new_row_is_in_every_output(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    new = Figure(
        name="made_up",
        unit=Unit.COUNT,
        compute=lambda of: 7000 + of.schedule.plan.tile_count,
        in_json=True,
        csv="made_up_column",
        table="made up (tables)",
        page="made up (page)",
    )
    tiles = json_of(run)["tiles"]
    assert isinstance(tiles, int)
    monkeypatch.setattr(figures, "FIGURES", (*FIGURES, new))
    assert json_of(run)["made_up"] == 7000 + tiles
    assert csv_of(run)["made_up_column"] == f"{7000 + tiles}"
    assert table_of(run)["made up (tables)"] == f"{7000 + tiles:,}"
    assert page_of()["made up (page)"] == f"{7000 + tiles:,}"


def test_every_row_is_somewhere_and_has_a_name_of_its_own() -> None:
    for row in FIGURES:
        assert row.in_file or row.in_json or row.csv or row.table or row.page, row.name
    for names in ([row.name for row in FIGURES], [row.csv for row in FIGURES if row.csv]):
        assert len(names) == len(set(names))


def test_every_unit_has_a_form_in_the_table_and_on_the_page() -> None:
    assert set(CELLS) == set(FORMATS) == set(Unit)


@pytest.mark.parametrize("row", FIGURES, ids=lambda row: row.name)
def test_docs_name_every_row(row: Figure) -> None:
    formats = (DOCS / "file-formats.md").read_text(encoding="utf-8")
    output = (DOCS / "reading-the-output.md").read_text(encoding="utf-8").split("## Figures by name")[1]
    assert not row.in_file or f"`{row.name}`" in formats
    assert not row.in_json or f"`{row.name}`" in output
    assert not row.csv or f"`{row.csv}`" in output
    assert not row.page or f"{row.page.strip()}" in output
