"""Fig. 8: what each method's schedule of a case does, over one time axis (docs/reports.md).

The pictures are those of `soma-cp report`: LGs between DRAM Cuts, FLGs with their tiling numbers, the channel, the core
array with its stalls, the buffer.
"""

from collections.abc import Mapping

from matplotlib.figure import Figure

from soma_cp.cli.reports.figure import draw_figure
from soma_cp.cli.reports.reported import Reported
from soma_cp.cli.reports.sweep.marks import ordered
from soma_cp.cli.reports.sweep.words import method_name, network_name
from soma_cp.model.soma.execution.execution import Execution
from soma_cp.solver.sweep.findings.cases import Case

METHODS = ("cocco", "paper-1", "paper-2", "ours")


def draw_fig8(case: Case, executions: Mapping[str, Execution]) -> Figure:
    """Draw the executions of a case, by method."""
    of = f"{network_name(case.net)}, {case.hw}, batch {case.batch}"
    methods = [method for method in ordered(METHODS) if method in executions]
    return draw_figure([Reported(f"{method_name(method)}, {of}", executions[method]) for method in methods])
