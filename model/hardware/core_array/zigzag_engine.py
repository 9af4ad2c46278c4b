"""Runs ZigZag (package ``zigzag-dse``) on one layer at a time; the only module that imports it.

References
----------
Mei et al., "ZigZag: Enlarging Joint Architecture-Mapping Design Space Exploration for DNN Accelerators", IEEE Trans.
Computers, 2021, doi:10.1109/TC.2021.3059962; loop orders by LOMA, Symons et al., AICAS 2021,
doi:10.1109/AICAS51828.2021.9458493.
"""

import logging
import math
import os
import signal
import tempfile
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, NamedTuple, Protocol

from soma_cp.model.errors import InternalError
from soma_cp.model.hardware.core_array.cost_store import StoredCost
from soma_cp.model.hardware.core_array.zigzag_accelerator import BITS, Accelerator

EQUATION = "O[b][g][k][oy][ox]+=W[g][k][c][fy][fx]*I[b][g][c][iy][ix]"


class LoopSizes(NamedTuple):
    """A convolution in ZigZag's terms: the sizes of its loops, by ZigZag's names, its strides, and bits of its data.

    Partial sums have at least `sum_bits`, and at least those of the settings.
    """

    B: int
    G: int
    K: int
    C: int
    OY: int
    OX: int
    FY: int
    FX: int
    stride_y: int
    stride_x: int
    w_bits: int = BITS
    i_bits: int = BITS
    o_bits: int = BITS
    sum_bits: int = BITS

    def loops(self) -> dict[str, int]:
        """Return the sizes by name, without the strides."""
        return dict(zip(self._fields[:8], self[:8], strict=True))


@dataclass(frozen=True)
class ZigZagSettings:
    """What ZigZag searches, and for which objective.

    Parameters
    ----------
    accelerator
        The accelerator, with its mapping.
    optimise
        The objective: ``EDP``, ``latency`` or ``energy``.
    loop_factors
        Number of loops into which LOMA cuts the layer's loops; it tries all their orders (`lpf_limit`).
    spatial_mappings
        Number of spatial mappings that are tried.
    partial_sum_bits
        Bits of an output that is not complete yet.
    """

    accelerator: Accelerator
    optimise: str
    loop_factors: int
    spatial_mappings: int
    partial_sum_bits: int


class Engine(Protocol):
    """Prices layers; tests have a quick one."""

    def submit(self, sizes: LoopSizes) -> Future[StoredCost]:
        """Start to price a layer."""
        ...


class ZigZagPool:
    """ZigZag in separate processes, which start with the first layer.

    This keeps what ZigZag prints, and the files that it writes to its folder, out of the way.

    Parameters
    ----------
    settings
        The same for all layers.
    processes
        Number of processes.
    """

    def __init__(self, settings: ZigZagSettings, processes: int) -> None:
        self._pool = ProcessPoolExecutor(
            processes, mp_context=get_context("spawn"), initializer=_begin_worker, initargs=(settings,)
        )
        # A pool that is only garbage-collected may end while Python itself shuts down.
        weakref.finalize(self, self._pool.shutdown)

    def submit(self, sizes: LoopSizes) -> Future[StoredCost]:
        """Start to price a layer; see `Engine`."""
        return self._pool.submit(_price_in_worker, sizes)


_price: Callable[[LoopSizes], StoredCost] | None = None
"""The pricer of a worker process; None elsewhere."""


def _begin_worker(settings: ZigZagSettings) -> None:
    global _price
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that searches handles an interrupt
    os.chdir(tempfile.gettempdir())
    silent = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silent, stream)
    os.close(silent)
    logging.disable(logging.CRITICAL)
    _price = layer_pricer(settings)


def _price_in_worker(sizes: LoopSizes) -> StoredCost:
    if _price is None:
        raise InternalError("a ZigZag worker was not started")
    return _price(sizes)


def layer_pricer(settings: ZigZagSettings) -> Callable[[LoopSizes], StoredCost]:
    """Return a function that prices a layer with ZigZag, in this process.

    Latency is ZigZag's whole latency, with filling and emptying of the array, in whole cycles.
    """
    from zigzag.mapping.temporal_mapping import TemporalMappingType
    from zigzag.opt.loma.engine import NoValidLoopOrderingFoundException
    from zigzag.stages.evaluation.cost_model_evaluation import CostModelStage
    from zigzag.stages.main import MainStage
    from zigzag.stages.mapping.spatial_mapping_generation import SpatialMappingGeneratorStage
    from zigzag.stages.mapping.temporal_mapping_generator_stage import TemporalMappingGeneratorStage
    from zigzag.stages.results.reduce_stages import MinimalEDPStage, MinimalEnergyStage, MinimalLatencyStage

    least = {"EDP": MinimalEDPStage, "latency": MinimalLatencyStage, "energy": MinimalEnergyStage}[settings.optimise]
    stages: list[Any] = [least, SpatialMappingGeneratorStage, least, TemporalMappingGeneratorStage, CostModelStage]

    def price(sizes: LoopSizes) -> StoredCost:
        try:
            search: Any = MainStage(
                stages,
                accelerator=_made_accelerator(settings.accelerator),
                layer=_made_layer(sizes, settings),
                loma_lpf_limit=settings.loop_factors,
                loma_show_progress_bar=False,
                nb_mappings_generated=settings.spatial_mappings,
                access_same_data_considered_as_no_access=True,
                temporal_mapping_type=TemporalMappingType.UNEVEN,
            )
            ((cost, _),) = search.run()
        except NoValidLoopOrderingFoundException:
            return StoredCost(-1, 0.0, "in no order of its loops does it fit the memories")
        return StoredCost(math.ceil(cost.latency_total2), float(cost.energy_total))

    return price


def _made_accelerator(accelerator: Accelerator) -> Any:
    from zigzag.parser.accelerator_factory import AcceleratorFactory
    from zigzag.parser.accelerator_validator import AcceleratorValidator

    validator = AcceleratorValidator(accelerator.accelerator)
    if not validator.validate():
        raise ValueError(f"ZigZag refuses the accelerator: {validator.validator.errors or 'see its own rules'}")
    return AcceleratorFactory(validator.normalized_data).create()


def _made_layer(sizes: LoopSizes, settings: ZigZagSettings) -> Any:
    from zigzag.parser.mapping_validator import MappingValidator
    from zigzag.parser.workload_factory import WorkloadFactory
    from zigzag.parser.workload_validator import WorkloadValidator

    workload = WorkloadValidator([layer_document(sizes, settings.partial_sum_bits)])
    mapping = MappingValidator(settings.accelerator.mapping)
    if not workload.validate() or not mapping.validate():
        raise ValueError(f"ZigZag refuses the mapping: {mapping.validator.errors}")
    (layer,) = WorkloadFactory(workload.normalized_data, mapping.normalized_data).create().topological_sort()
    return layer


def layer_document(sizes: LoopSizes, partial_sum_bits: int = BITS) -> dict[str, Any]:
    """Return a layer in the form of ZigZag's workload files."""
    loops = sizes.loops()
    return {
        "id": 0,
        "name": "tile",
        "operator_type": "Conv",
        "equation": EQUATION,
        "dimension_relations": [f"ix={sizes.stride_x}*ox+1*fx", f"iy={sizes.stride_y}*oy+1*fy"],
        "loop_dims": list(loops),
        "loop_sizes": list(loops.values()),
        "operand_precision": {
            "W": sizes.w_bits,
            "I": sizes.i_bits,
            "O": max(sizes.sum_bits, partial_sum_bits),
            "O_final": sizes.o_bits,
        },
        "operand_source": {"W": 0},
    }
