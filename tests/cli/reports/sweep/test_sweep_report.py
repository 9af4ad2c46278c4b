"""``soma-cp sweep --report``: files, the page, single figures, and what is refused."""

import csv
import re
from pathlib import Path

import pytest
from support.browser import browser, why_no_browser
from support.command_line import Run, assert_refused, run  # noqa: F401  # a fixture
from support.sweep_rows import made_row
from support.sweep_store import case_rows, map_rows, ruled_rows, write_store

from soma_cp.cli.reports.sweep.catalogue import Results, with_cost
from soma_cp.cli.reports.sweep.folder import points, write_report
from soma_cp.cli.reports.sweep.picked import column_named, rows_only
from soma_cp.cli.sweep_figures import FIGURE_NAMES, FigureOptions
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.quantities import MIB
from soma_cp.solver.sweep.rows import COLUMNS
from soma_cp.solver.sweep.store import Store, read_schedule


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of `write_store`."""
    return write_store(tmp_path_factory.mktemp("store") / "small.db")


@pytest.fixture(scope="module")
def report(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report of everything."""
    folder = tmp_path_factory.mktemp("reports") / "new" / "report"
    rows = with_cost([*case_rows(), *map_rows()], None)
    write_report(Results(rows, lambda key: read_schedule(store, key)), "small <b>", FigureOptions(), folder)
    return folder


def test_files(report: Path) -> None:
    pictures = {path.stem for path in report.glob("*.svg")}
    assert pictures == {
        "fig3",
        "fig6",
        "fig7",
        "fig8-resnet50-edge-1",
        "fig8-resnet50-edge-4",
        "fig8-resnet50-cloud-1",
        "pareto",
    }
    assert pictures == {path.stem for path in report.glob("*.png")} == {path.stem for path in report.glob("*.pdf")}
    assert {path.name for path in report.glob("*.csv")} == {
        "points.csv",
        "ratios.csv",
        "surfaces.csv",
        "artifact-fig6.csv",
        "artifact-fig7.csv",
        "claims.csv",
    }
    assert (report / "claims.md").read_text(encoding="utf-8").count("\n| ") > 40


def test_the_page_holds_everything_in_one_file(report: Path) -> None:
    page = (report / "index.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/svg+xml;base64,') == len(list(report.glob("*.svg")))
    assert "<script" not in page
    assert "http" not in re.sub(r'<meta http-equiv="[^"]*"', "", page)
    assert "small &lt;b&gt;" in page
    assert "soma-cp 1, model 1, search 1" in page
    assert "No halo is computed or loaded twice" in page  # what the comparison leaves out
    assert "conv1 needs 9 bytes" in page
    links = re.findall(r'href="([^"#]+)"', page)
    assert links
    assert all((report / link).is_file() for link in links)
    targets = re.findall(r'href="#([^"]+)"', page)
    assert all(f'id="{target}"' in page for target in targets)


def test_points_say_what_is_on_the_front(report: Path) -> None:
    with (report / "points.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(case_rows()) + len(map_rows())
    kept = [column.name for column in COLUMNS if not column.is_of_run]
    assert list(rows[0]) == [*kept, "beaten_by", "buffer_energy_cost", "on_front"]
    assert {row["on_front"] for row in rows if row["status"] == "infeasible"} == {"False"}
    assert float(rows[0]["buffer_energy_cost"]) == 8 * MIB + 0.0024 * 4e9


def test_the_front_is_that_of_the_columns_asked_for() -> None:
    rows = with_cost([row for row in map_rows() if row["method"] == "paper-2"], None)
    found = points(Results(rows, str), FigureOptions("pareto", value="latency,buffer"))
    """Points compete within their bandwidth, which is no column of the front."""
    assert [(row["dram_bytes_per_s"] / 1e9, row["buffer_bytes"] // MIB) for row in found if row["on_front"]] == [
        (4, 4),
        (4, 16),
        (8, 4),
        (8, 16),
        (32, 4),
    ]


def test_rules_of_tiling_numbers_have_a_table_and_all_else_takes_the_usual_rule(tmp_path: Path) -> None:
    rows = with_cost(ruled_rows(), None)
    ruled, plain = Results(rows, str), Results(rows[:4], str)
    for results, name in ((ruled, "ruled"), (plain, "plain")):
        write_report(results, "rules", FigureOptions(), tmp_path / name)
    with (tmp_path / "ruled" / "tiling.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [(row["tiling"], row["uncapped"], row["speedup_arithmetic"], row["tiles"]) for row in table] == [
        ("output", "False", "5.0", "250.0"),
        ("largest", "False", "3.0", "150.0"),
        ("output", "True", "0.5", "50000.0"),
    ]
    page = (tmp_path / "ruled" / "index.html").read_text(encoding="utf-8")
    text = (tmp_path / "ruled" / "tiling.md").read_text(encoding="utf-8")
    assert "Sensitivity to the rule of tiling numbers" in page
    assert "<td>50,000</td>" in page
    assert "| Ours_2 | Cocco | output | yes | 1 | 0.5 | 0.5 | -100 | -100 | 2 | 50,000 |" in text
    assert not list((tmp_path / "plain").glob("tiling.*"))
    for name in ("fig6.svg", "ratios.csv", "claims.csv", "artifact-fig6.csv"):
        files = [tmp_path / folder / name for folder in ("ruled", "plain")]
        assert files[0].is_file() == files[1].is_file(), name
        if files[0].is_file():
            assert files[0].read_bytes() == files[1].read_bytes(), name


def test_a_figure_from_a_store_alone(run: Run, store: Path) -> None:  # noqa: F811
    outcome = run(
        "sweep", "-o", store, "--report", "out", "--figure", "bar", "--only", "net=resnet101", "--value", "energy"
    )
    assert outcome.code == 0, outcome.err
    names = [
        "out/bar-energy_pj-batch-method.svg",
        "out/bar-energy_pj-batch-method.png",
        "out/bar-energy_pj-batch-method.pdf",
    ]
    assert outcome.out.splitlines() == [f"report written to {name}" for name in names]
    assert all(Path(name).is_file() for name in names)


def test_refusals(run: Run, store: Path) -> None:  # noqa: F811
    def refused(*arguments: object, says: str) -> None:
        assert_refused(run("sweep", "-o", store, *arguments), says)

    refused("--figure", "fig6", says="need a folder: --report DIR")
    refused("--report", "out", "--figure", "fig9", says="must be one of fig3")
    refused("--report", "out", "--figure", "bar", "--value", "nett", says="must be a column of numbers")
    refused("--report", "out", "--figure", "bar", "--x", "nett", says="did you mean")
    refused("--report", "out", "--only", "batch", says="must be NAME=VALUE")
    refused("--report", "out", "--only", "batch=5", says="no result has batch=5")
    refused("--report", "out", "--figure", "fig7", "--only", "batch=1", says="two buffers and two bandwidths")
    refused("--report", "out", "--figure", "pareto", "--value", "energy", says="two columns or more")
    assert_refused(run("sweep", "-o", "none.db", "--report", "out"), "there is no such store")
    with Store(Path("empty.db")):
        pass
    assert_refused(run("sweep", "-o", "empty.db", "--report", "out"), "no result to report")


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("batch=4", 1),
        ("buffer=4MiB", 2),
        ("buffer=4 MiB", 2),
        ("buffer=4194304", 2),
        ("hw=cloud", 1),
        ("net=ResNet-50", 3),
    ],
)
def test_conditions(condition: str, count: int) -> None:
    rows = [
        made_row("resnet50", "edge", 1, "ours", buffer_bytes=4 * MIB),
        made_row("resnet50", "edge", 4, "ours"),
        made_row("resnet50", "cloud", 1, "ours", buffer_bytes=4 * MIB),
    ]
    assert len(rows_only(rows, [condition])) == count


def test_conditions_of_one_column_are_alternatives() -> None:
    rows = [made_row("resnet50", "edge", batch, "ours") for batch in (1, 4, 16)]
    assert [row["batch"] for row in rows_only(rows, ["batch=1", "batch=16", "hw=edge"])] == [1, 16]
    assert rows_only(rows, []) == rows


def test_columns_have_the_names_of_axes() -> None:
    assert column_named("dram", "--x") == "dram_bytes_per_s"
    with pytest.raises(UserError, match="--value net "):
        column_named("net", "--value", numbers=True)
    assert len(FIGURE_NAMES) == 8


@pytest.mark.skipif(why_no_browser() is not None, reason=str(why_no_browser()))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_wide_and_narrow_screens(report: Path, tmp_path: Path, scheme: str) -> None:
    with browser(tmp_path) as opened:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        opened.driver.get((report / "index.html").as_uri())
        for width in (1280, 400):
            opened.resize(width, 900)
            assert opened.driver.execute_script("return document.documentElement.scrollWidth") <= width
        assert opened.driver.execute_script("return [...document.images].every(one => one.naturalWidth > 0)")
        assert opened.driver.get_log("browser") == []
