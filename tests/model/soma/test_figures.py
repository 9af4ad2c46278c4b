"""The table of figures: the figures that it computes itself, and the order in files."""

from hypothesis import given
from support.execution_cases import executions
from support.twins import examples

from soma_cp.model.soma.execution.execution import Execution
from soma_cp.model.soma.figures import FIGURES, Unit, figure, file_figures, schedule_figures, stall_cycles


@examples(40)
@given(executions())
def test_stalls_are_those_of_the_events(execution: Execution) -> None:
    assert stall_cycles(execution.schedule) == execution.stall_cycles


@examples(20)
@given(executions())
def test_figures_of_files_are_whole_where_their_unit_is(execution: Execution) -> None:
    whole = {Unit.CYCLES, Unit.BYTES, Unit.COUNT}
    for name, value in schedule_figures(execution.schedule).items():
        assert isinstance(value, int) == (figure(name).unit in whole), name


def test_files_sort_figures_by_unit_and_keep_the_tables_order_within_one() -> None:
    rows = file_figures()
    assert [row.unit.value for row in rows] == sorted(row.unit.value for row in rows)
    for unit in Unit:
        assert [row for row in rows if row.unit is unit] == [r for r in FIGURES if r.in_file and r.unit is unit]
    assert [row.name for row in rows] == [
        *(
            "latency_cycles",
            "double_buffer_latency_cycles",
            "theoretical_maximum_cycles",
            "compute_cycles",
            "dram_cycles",
        ),
        *("energy_pj", "core_energy_pj", "dram_energy_pj", "energy_delay_pj_cycles"),
        *("peak_buffer_bytes", "double_buffer_peak_bytes", "average_buffer_bytes", "tiles", "dram_tensors"),
    ]
