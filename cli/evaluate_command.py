"""``soma-cp evaluate``."""

from pathlib import Path

from soma_cp.cli.tables import (
    blocks_line,
    bound_lines,
    console,
    figures_document,
    lfa_text,
    print_json,
    problem_text,
    schedule_table,
)
from soma_cp.model.dlsa import double_buffering
from soma_cp.model.evaluation import evaluate
from soma_cp.model.network_file import read_network_file
from soma_cp.model.schedule_file import read_schedule
from soma_cp.model.validity import violations
from soma_cp.solver.bounds import best_combinatorial_bound
