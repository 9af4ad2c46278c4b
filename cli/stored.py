"""Stored schedules for commands that only read them."""

from pathlib import Path

from soma_cp.cli.onnx_models import print_notes
from soma_cp.model.errors import UserError
from soma_cp.model.hardware.core_array.type_notes import type_notes
from soma_cp.model.network.network import Network
from soma_cp.model.soma.schedule_file import read_schedule
from soma_cp.model.soma.stored_schedule import StoredSchedule
from soma_cp.model.soma.validity import violations

MOST_SHOWN = 5
"""At most this many findings are listed one by one."""


def read_valid_schedule(path: Path, network: Network | None) -> StoredSchedule:
    """Read a schedule file; refuse a schedule that breaks a rule with the rules that it breaks.

    Notes on its data types go to stderr.

    Parameters
    ----------
    path
        The file.
    network
        The schedule's network, if it is not built in.
    """
    stored = read_schedule(path, network)
    broken = violations(stored.plan, stored.dlsa)
    if broken:
        lines = [f"{violation.message} [rule: {violation.rule.value}]" for violation in broken[:MOST_SHOWN]]
        if len(broken) > MOST_SHOWN:
            lines.append(f"and {len(broken) - MOST_SHOWN} more")
        raise UserError(f"{path}: not a valid schedule: " + "\n  ".join(lines))
    problem = stored.plan.problem
    print_notes(str(path), type_notes(problem.network.whole, problem.platform))
    return stored
