"""``soma-cp sweep --report``."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from soma_cp.cli.reports.needing import needing
from soma_cp.cli.sweep_figures import FigureOptions
from soma_cp.cli.tables import console
from soma_cp.model.errors import UserError
from soma_cp.solver.sweep.methods import METHODS
from soma_cp.solver.sweep.rows import Row, sorted_rows
from soma_cp.solver.sweep.store import read_schedule


def write_sweep_report(rows: Sequence[Row], store: Path, name: str, options: FigureOptions, folder: Path) -> None:
    """Write the figure that is asked for, or a report of everything; say where it is.

    Parameters
    ----------
    rows
        The rows.
    store
        Where their schedules are.
    name
        Of the report.
    options
        Which figure, of which rows.
    folder
        Where the files go; it is made if there is none.
    """
    with needing("matplotlib", "a report of a sweep", "pip install 'soma-cp[figures]', or take --csv"):
        from soma_cp.cli.reports.sweep.catalogue import Results, with_cost
        from soma_cp.cli.reports.sweep.folder import write_figures, write_report
        from soma_cp.cli.reports.sweep.picked import rows_only

    if not rows:
        raise UserError(f"{store}: there is no result to report")
    picked = rows_only(with_cost(sorted_rows(rows, METHODS), options.cost), options.only)
    results = Results(picked, partial(read_schedule, store))
    if options.figure is None:
        paths = write_report(results, name, options, folder)
    else:
        paths = write_figures(results, options, folder)
    for path in paths:
        console().print(f"report written to {path}", soft_wrap=True, markup=False)
