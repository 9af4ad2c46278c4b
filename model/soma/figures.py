"""The figures of a schedule: their names in files, and how they are computed."""

from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.schedule import Schedule


def schedule_figures(schedule: Schedule) -> dict[str, int | float]:
    """Return the figures of a schedule under their names in schedule files: cycles, pJ, bytes, counts."""
    plan, evaluation = schedule.plan, schedule.evaluation
    figures = evaluation.figures
    double_buffered = evaluate(plan, double_buffering(plan.tensors))
    return {
        "latency": evaluation.latency,
        "double_buffer_latency": double_buffered.latency,
        "bound": figures.bound,
        "compute_cycles": figures.compute_cycles,
        "dram_cycles": figures.dram_cycles,
        "energy_pj": evaluation.energy_pj,
        "core_energy_pj": figures.core_energy_pj,
        "dram_energy_pj": figures.dram_energy_pj,
        "edp": evaluation.edp,
        "peak_buffer_bytes": evaluation.peak_buffer_bytes,
        "double_buffer_peak_bytes": double_buffered.peak_buffer_bytes,
        "average_buffer_bytes": evaluation.average_buffer_bytes,
        "tiles": plan.tile_count,
        "dram_tensors": plan.dram_tensor_count,
    }


def tile_shapes(plan: Plan) -> dict[str, list[int]]:
    """Return samples, channels, rows and columns of the tiles of every layer, in computing order."""
    layer_id = plan.problem.network.layer_id
    return {name: plan.layers.extent[layer_id[name]].tolist() for name in plan.lfa.computing_order}
