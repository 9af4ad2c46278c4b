"""The figures of a sweep by name: what each needs, and how it is drawn."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from matplotlib.figure import Figure

from soma_cp.cli.reports.sweep.fig3 import Scattered, draw_fig3
from soma_cp.cli.reports.sweep.fig6 import draw_fig6
from soma_cp.cli.reports.sweep.fig7 import draw_fig7
from soma_cp.cli.reports.sweep.fig8 import METHODS as EXECUTED
from soma_cp.cli.reports.sweep.fig8 import draw_fig8
from soma_cp.cli.reports.sweep.generic import Shown, draw_bars, draw_heatmap, draw_lines
from soma_cp.cli.reports.sweep.marks import LEFT_OUT
from soma_cp.cli.reports.sweep.panels import MOST_PANELS
from soma_cp.cli.reports.sweep.pareto import draw_pareto, front_columns, front_panels
from soma_cp.cli.reports.sweep.picked import COST_COLUMN, column_named
from soma_cp.cli.reports.sweep.words import column_label, method_name, network_name
from soma_cp.cli.sweep_figures import FigureOptions
from soma_cp.model.errors import UserError
from soma_cp.model.soma.execution.execution import Execution, make_execution
from soma_cp.model.soma.schedule import priced
from soma_cp.model.soma.schedule_file import schedule_from_document
from soma_cp.solver.sweep.findings.cases import Case, Cases, Rule, cases_by_rule, cases_of, has_schedule
from soma_cp.solver.sweep.findings.front import COST_ALPHA, buffer_energy_cost
from soma_cp.solver.sweep.findings.surface import Surface, surfaces_of
from soma_cp.solver.sweep.marks import beaten_by
from soma_cp.solver.sweep.rows import Row

FIG3_CASES = (Case("resnet50", "edge", 1), Case("transformer-big-cell", "edge", 1))
FIG8_NETWORKS = ("resnet50", "gpt2-xl-prefill")
FIG8_BATCHES = (1, 4)
MOST_EXECUTIONS = 8
"""Cases of Fig. 8 in one report, of other networks than the paper's."""


@dataclass(frozen=True, eq=False)
class Results:
    """The rows that a report shows, and what is computed of them once.

    Parameters
    ----------
    rows
        The rows, with `COST_COLUMN`.
    schedule_text
        Returns the schedule file of a key.
    """

    rows: Sequence[Row]
    schedule_text: Callable[[str], str]

    @cached_property
    def cases(self) -> Cases:
        """Rows by case."""
        return cases_of(self.rows)

    @cached_property
    def cases_by_rule(self) -> Mapping[Rule, Cases]:
        """Rows by case, for each rule of tiling numbers."""
        return cases_by_rule(self.rows)

    @cached_property
    def surfaces(self) -> Mapping[Case, Sequence[Surface]]:
        """Surfaces by case."""
        return surfaces_of(self.rows)

    @cached_property
    def beaten(self) -> Mapping[str, str]:
        """Keys of rows that a search got wrong, and of what beats them."""
        return beaten_by(self.rows)

    def execution(self, case: Case, method: str) -> Execution | None:
        """Return the events of a method's schedule; None without one."""
        row = self.cases.get(case, {}).get(method)
        if row is None or not has_schedule(row):
            return None
        key = row["key"]
        stored = schedule_from_document(json.loads(self.schedule_text(key)), f"the schedule of {key}")
        return make_execution(priced(stored.plan, stored.dlsa))


def with_cost(rows: Sequence[Row], alpha: float | None) -> list[Row]:
    """Return rows with `COST_COLUMN`."""
    used = COST_ALPHA if alpha is None else alpha
    return [{**row, COST_COLUMN: buffer_energy_cost(row, used)} for row in rows]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure that can be drawn.

    Parameters
    ----------
    name
        Of its files.
    title, caption
        For people.
    draw
        Draws it.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def figures_of(results: Results, options: FigureOptions) -> list[Drawn]:
    """Return the figure that is asked for, which may be several pictures; by default all of the paper that there are.

    Raises
    ------
    UserError
        If the results have nothing for the figure that is asked for.
    """
    if options.figure is not None:
        found = list(_FIGURES[options.figure](results, options))
        if not found:
            raise UserError(f"--figure {options.figure}: {_NEEDS[options.figure]}, and the results have none")
        return found
    return [drawn for name in ("fig3", "fig6", "fig7", "fig8", "pareto") for drawn in _FIGURES[name](results, options)]


def _fig3(results: Results, options: FigureOptions) -> Iterator[Drawn]:
    executions = {case: results.execution(case, "cocco") for case in FIG3_CASES}
    scattered = [
        Scattered(network_name(case.net), method_name("cocco"), one)
        for case, one in executions.items()
        if one is not None
    ]
    if scattered:
        caption = (
            "DRAM bytes over operations, each over its largest value; darker where points lie on one another. A "
            "transfer counts at the tile that it is for: a load at the first one that needs it. " + LEFT_OUT
        )
        yield Drawn("fig3", "Fig. 3: imbalance of layers and tiles", caption, partial(draw_fig3, scattered))


def _fig6(results: Results, options: FigureOptions) -> Iterator[Drawn]:
    if any(len(methods) > 1 for methods in results.cases.values()):
        caption = (
            "Energy over that of the first method, utilization of the computing resources, and buffer in use averaged "
            "over the cycles of tiles. Ours_1 and Ours_2 have one LFA, so one energy. The diamond is the utilization "
            "that the LFA’s bound allows. Where a case is missing, there is no bar. " + LEFT_OUT
        )
        yield Drawn("fig6", "Fig. 6: energy, utilization, buffer", caption, partial(draw_fig6, results.cases))


def _fig7(results: Results, options: FigureOptions) -> Iterator[Drawn]:
    if results.surfaces:
        caption = (
            "Latency of the whole model over buffer and DRAM bandwidth; colours are shared by the maps of a column. "
            "A cell without a number is missing. " + LEFT_OUT
        )
        draw = partial(draw_fig7, results.surfaces, results.beaten)
        yield Drawn("fig7", "Fig. 7: latency over buffer and bandwidth", caption, draw)


def _fig8(results: Results, options: FigureOptions) -> Iterator[Drawn]:
    cases = [case for case in results.cases if case.net in FIG8_NETWORKS and case.batch in FIG8_BATCHES]
    if not cases and options.figure is not None:
        cases = list(results.cases)
        if len(cases) > MOST_EXECUTIONS:
            raise UserError(
                f"--figure fig8: {len(cases)} cases (must be at most {MOST_EXECUTIONS}); "
                "pick some with --only NAME=VALUE"
            )
    for case in cases:
        executions = {method: results.execution(case, method) for method in EXECUTED}
        found = {method: one for method, one in executions.items() if one is not None}
        if found:
            of = f"{network_name(case.net)}, {case.hw}, batch {case.batch}"
            caption = f"{of}: what each schedule does, over one time axis; lines part LGs (DRAM Cuts) and FLGs (FLCs)."
            name = f"fig8-{case.net}-{case.hw}-{case.batch}"
            yield Drawn(name, f"Fig. 8: execution, {of}", caption, partial(draw_fig8, case, found))


def _shown(options: FigureOptions, x: str, y: str, value: str) -> Shown:
    return Shown(
        column_named(options.x or x, "--x"),
        column_named(options.y or y, "--y"),
        column_named(options.value or value, "--value", numbers=True),
    )


def _over_axes(
    kind: str, draw: Callable[[Sequence[Row], Shown], Figure], default: Shown
) -> Callable[[Results, FigureOptions], Iterator[Drawn]]:
    """Return what offers a figure over any axes."""

    def offer(results: Results, options: FigureOptions) -> Iterator[Drawn]:
        shown = _shown(options, *default)
        title = f"{column_label(shown.value)} over {column_label(shown.x)} and {column_label(shown.y)}"
        name = f"{kind}-{shown.value}-{shown.x}-{shown.y}"
        yield Drawn(name, title, "Where there is no schedule, nothing is drawn.", partial(draw, results.rows, shown))

    return offer


def _pareto(results: Results, options: FigureOptions) -> Iterator[Drawn]:
    rows = [row for row in results.rows if has_schedule(row)]
    columns = front_columns_of(results, options)
    is_wanted = options.figure is not None or (
        len({row["buffer_bytes"] for row in rows}) > 1 and len(front_panels(rows, columns)) <= MOST_PANELS
    )
    if rows and is_wanted:
        x, y = column_named(options.x or columns[0], "--x", True), column_named(options.y or columns[1], "--y", True)
        front = ", ".join(column_label(column) for column in columns)
        caption = f"Filled: no other point of the panel is at least as good in all of {front}, and better in one."
        draw = partial(draw_pareto, rows, columns, x, y, options.cost)
        yield Drawn("pareto", "Pareto fronts", caption, draw)


def front_columns_of(results: Results, options: FigureOptions) -> tuple[str, ...]:
    """Return the columns of the front: those that are asked for, or the default ones.

    Raises
    ------
    UserError
        If there are fewer than two.
    """
    if options.figure != "pareto" or options.value is None:
        return front_columns(results.rows)
    columns = tuple(column_named(one.strip(), "--value", True) for one in options.value.split(","))
    if len(columns) < 2:
        raise UserError(f"--value {options.value} (of a front: two columns or more, with commas between them)")
    return columns


_FIGURES: Mapping[str, Callable[[Results, FigureOptions], Iterator[Drawn]]] = {
    "fig3": _fig3,
    "fig6": _fig6,
    "fig7": _fig7,
    "fig8": _fig8,
    "heatmap": _over_axes("heatmap", draw_heatmap, Shown("buffer_bytes", "dram_bytes_per_s", "model_latency_ns")),
    "line": _over_axes("line", draw_lines, Shown("dram_bytes_per_s", "method", "latency_ns")),
    "bar": _over_axes("bar", draw_bars, Shown("batch", "method", "latency_ns")),
    "pareto": _pareto,
}
_NEEDS = {
    "fig3": "it shows schedules of cocco for resnet50 or transformer-big-cell on edge at batch 1",
    "fig6": "it compares at least two methods on a built-in platform",
    "fig7": "it shows at least two buffers and two bandwidths of a built-in platform",
    "fig8": "it shows schedules of cocco, paper-1, paper-2 or ours",
    "pareto": "it needs schedules",
}
