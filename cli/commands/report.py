"""``soma-cp report``."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from soma_cp.cli.inputs import network_from
from soma_cp.cli.kernel_progress import pricing_shown
from soma_cp.cli.onnx_models import NO_ONNX, OnnxModels
from soma_cp.cli.reports.csv_tables import write_csv
from soma_cp.cli.reports.formats import ReportFormat, report_format
from soma_cp.cli.reports.needing import needing
from soma_cp.cli.reports.perfetto import write_perfetto
from soma_cp.cli.reports.reported import Reported
from soma_cp.cli.stored import read_valid_schedule
from soma_cp.cli.tables import console
from soma_cp.model.errors import UserError
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.execution.execution import Execution, make_execution
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.schedule import priced

Writer = Callable[[Sequence[Reported], Path], list[Path]]


def _figure_writer(format: ReportFormat) -> Writer:
    """Return a writer of pictures; matplotlib is an extra and takes a while to import."""

    def write(reported: Sequence[Reported], output: Path) -> list[Path]:
        with needing(
            "matplotlib",
            f"a report in {format.value.upper()}",
            "pip install 'soma-cp[figures]', or take --format csv or perfetto",
        ):
            from soma_cp.cli.reports.figure import write_figure

        return write_figure(reported, output, format.value)

    return write


def _write_page(reported: Sequence[Reported], output: Path) -> list[Path]:
    """Write a page; Bokeh takes a while to import."""
    with needing(
        "Bokeh", "a report in HTML", "pip install 'bokeh>=3.9,<4' 'jinja2>=3.1', or take --format csv or perfetto"
    ):
        from soma_cp.cli.reports.html.page import write_html

    return write_html(reported, output)


WRITERS: dict[ReportFormat, Writer] = {
    ReportFormat.CSV: write_csv,
    ReportFormat.PERFETTO: write_perfetto,
    ReportFormat.HTML: _write_page,
    ReportFormat.SVG: _figure_writer(ReportFormat.SVG),
    ReportFormat.PNG: _figure_writer(ReportFormat.PNG),
    ReportFormat.PDF: _figure_writer(ReportFormat.PDF),
}
"""Each writes a report to a path and returns the files that it wrote."""


@dataclass(frozen=True)
class ReportOptions:
    """The options of the command, as typed."""

    schedules: list[Path]
    net: str | None
    double_buffering: bool
    format: ReportFormat | None
    output: Path
    onnx: OnnxModels = NO_ONNX


@pricing_shown()
def run_report(options: ReportOptions) -> None:
    """Read schedules, and write one report of all of them."""
    write = WRITERS[report_format(options.format, options.output)]
    if any(path.resolve() == options.output.resolve() for path in options.schedules):
        raise UserError(f"-o {options.output}: this is one of the schedules; give the report another name")
    for path in write(_reported(options), options.output):
        if path.is_file():  # not a device such as stdout
            console().print(f"report written to {path}", soft_wrap=True, markup=False)


def _reported(options: ReportOptions) -> list[Reported]:
    network = None if options.net is None else network_from(options.net, None, options.onnx)
    reported = []
    for name, path in zip(_names(options.schedules), options.schedules, strict=True):
        stored = read_valid_schedule(path, network)
        bound = stored.claimed_lower_bound
        if options.double_buffering:
            execution = _executed(stored.plan, double_buffering(stored.plan.tensors))
            provenance = {"second_stage": f"double buffering of the LFA of {name}"}
            reported.append(Reported(f"{name}, double buffering", execution, provenance, bound))
        reported.append(Reported(name, _executed(stored.plan, stored.dlsa), stored.provenance, bound))
    return reported


def _executed(plan: Plan, dlsa: DLSA) -> Execution:
    return make_execution(priced(plan, dlsa))


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the stems of the files; whole paths where stems repeat, and numbered where paths repeat, too."""
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else str(path) for path in paths]
    times = Counter(names)
    return [name if times[name] == 1 else f"{name} ({names[: i + 1].count(name)})" for i, name in enumerate(names)]
