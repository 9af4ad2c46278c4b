"""``soma-cp evaluate``."""

from pathlib import Path

from soma_cp.cli.inputs import network_from
from soma_cp.cli.json_output import print_json, with_former_names
from soma_cp.cli.kernel_progress import pricing_shown
from soma_cp.cli.onnx_models import NO_ONNX, OnnxModels
from soma_cp.cli.stored import MOST_SHOWN, read_valid_schedule
from soma_cp.cli.tables import (
    LABEL_WIDTH,
    blocks_line,
    bound_lines,
    console,
    lfa_text,
    problem_text,
    schedule_table,
)
from soma_cp.model.network.types_in_use import types_document
from soma_cp.model.soma.figures import json_figures
from soma_cp.model.soma.stored_schedule import claim_differences
from soma_cp.solver.second_stages import timed


@pricing_shown()
def run_evaluate(path: Path, net: str | None, as_json: bool, onnx: OnnxModels = NO_ONNX) -> None:
    """Recompute a stored schedule; refuse it if it breaks a rule."""
    stored = read_valid_schedule(path, None if net is None else network_from(net, None, onnx))
    result = timed("stored", stored.plan, lambda: stored.dlsa)
    schedule = result.schedule
    differences = claim_differences(stored, schedule)
    if as_json:
        document = json_figures(schedule, result.lower_bound) | {
            **types_document(schedule.problem.network.whole),
            "proven_lower_bound_source": result.lower_bound_source,
            "claimed_proven_lower_bound_cycles": stored.claimed_lower_bound,
            "differences_to_file": differences,
            "seconds": result.seconds,
        }
        print_json("evaluate", with_former_names(document))
        return
    out = console()
    out.print(problem_text(schedule.problem))
    out.print(lfa_text(schedule.plan))
    out.print()
    out.print(schedule_table({"schedule": schedule}))
    out.print()
    for line in bound_lines(result):
        out.print(line)
    claimed = stored.claimed_lower_bound
    if claimed is not None and claimed > result.lower_bound:
        out.print(
            f"{'bound in the file':<{LABEL_WIDTH}}{claimed:,} cycles (unchecked; 'compare --schedule' proves a bound)"
        )
    blocks = blocks_line(schedule)
    if blocks:
        out.print(blocks)
    out.print(f"{'valid':<{LABEL_WIDTH}}every rule is kept")
    for difference in differences[:MOST_SHOWN]:
        out.print(f"{'the file differs':<{LABEL_WIDTH}}{difference}", markup=False)
    if len(differences) > MOST_SHOWN:
        out.print(f"and {len(differences) - MOST_SHOWN} more differences")
