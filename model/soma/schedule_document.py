"""Writes schedule files (docs/file-formats.md), with one line for each FLG, DRAM tensor and layer."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from soma_cp.model.files.text_file import write_text_atomically
from soma_cp.model.hardware.platform_file import platform_document
from soma_cp.model.network.builtin.catalogue import builtin_names, builtin_network
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_file import network_document
from soma_cp.model.soma.figures import schedule_figures, tile_shapes, with_former_names
from soma_cp.model.soma.lfa import LFA
from soma_cp.model.soma.result import reaches_bound
from soma_cp.model.soma.schedule import Schedule
from soma_cp.model.soma.schedule_form import FILE_COLUMNS, PASS, VERSION


def write_schedule(
    schedule: Schedule,
    path: Path,
    proven_lower_bound: int | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write `schedule` to `path`, one line for each FLG, DRAM tensor and layer.

    Parameters
    ----------
    schedule
        A valid schedule.
    path
        The file; it is replaced as a whole.
    proven_lower_bound
        No DLSA of this LFA has a lower latency (cycles); None if nothing is proven.
    provenance
        Tool version, seed, limits, solver status: what it takes to make the schedule again.

    Raises
    ------
    UserError
        If the file can't be written.
    """
    write_text_atomically(path, schedule_text(schedule, proven_lower_bound, provenance))


def schedule_text(
    schedule: Schedule, proven_lower_bound: int | None = None, provenance: Mapping[str, Any] | None = None
) -> str:
    """Return the text of a schedule file; see `write_schedule`."""
    return _text(schedule_document(schedule, proven_lower_bound, provenance)) + "\n"


def schedule_document(
    schedule: Schedule, proven_lower_bound: int | None = None, provenance: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return `schedule` as a schedule file holds it.

    A network that equals the built-in one of its name is written as the name alone; any other is written whole.
    """
    plan, evaluation = schedule.plan, schedule.evaluation
    problem, network = schedule.problem, schedule.problem.network.whole
    divisions = [{"layer": name, "channels": list(channels)} for name, channels in schedule.lfa.divisions]
    shared = [share._asdict() for share in schedule.lfa.shared_loads]
    return {
        "version": VERSION if schedule.lfa.is_wide else 1,
        "network": network.name if _is_builtin(network) else network_document(network),
        "batch": problem.samples,
        "hardware": platform_document(problem.platform),
        "violations": [],
        **with_former_names(schedule_figures(schedule) | {"proven_lower_bound_cycles": proven_lower_bound}),
        "proven_optimal": reaches_bound(schedule.latency, proven_lower_bound),
        "provenance": _plain(provenance or {}),
        "tile_begin_cycles": evaluation.tile_begin.tolist(),
        "tile_shapes": tile_shapes(plan),
        "lfa": {
            "flgs": [
                {"tiling_number": flg.tiling_number, "dram_cut": flg.dram_cut, "layers": list(flg.layers)}
                for flg in schedule.lfa.flgs
            ],
            **({"shared_loads": shared} if shared else {}),
            **({"divisions": divisions} if divisions else {}),
            **({"passes": {"count": schedule.lfa.passes}} if schedule.lfa.passes > 1 else {}),
        },
        "dlsa": {"columns": _columns(schedule.lfa), "dram_tensor_order": list(_dram_tensors(schedule))},
    }


def _is_builtin(network: Network) -> bool:
    return network.name in builtin_names() and builtin_network(network.name) == network


def _columns(lfa: LFA) -> list[str]:
    """Return the columns of the DLSA; there is no `pass` where there is one pass."""
    return [*FILE_COLUMNS] if lfa.passes > 1 else [column for column in FILE_COLUMNS if column != PASS]


def _dram_tensors(schedule: Schedule) -> Iterator[list[Any]]:
    sizes, begins = schedule.plan.tensors.bytes, schedule.evaluation.tensor_begin
    start, end = schedule.dlsa.start, schedule.dlsa.end
    columns = len(_columns(schedule.lfa))
    for i in schedule.dlsa.order.tolist():
        *key, number = schedule.plan.key_in_pass(i)
        yield [*key, int(sizes[i]), int(start[i]), int(end[i]), int(begins[i]), number][:columns]


def _plain(value: object) -> Any:
    """Turn any value into one that JSON can hold, so that an odd entry of the provenance loses no schedule."""
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _text(value: Any, indent: int = 0) -> str:
    """Return `value` as JSON: one item a line where the items are lists or objects, else all on one line."""
    if not _is_spread(value):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    margin = "\n" + " " * indent
    texts = [_text(item, indent + 1) for item in _items(value)]
    if isinstance(value, list):
        return f"[{margin} {f',{margin} '.join(texts)}{margin}]"
    fields = [f"{_text(name)}: {text}" for name, text in zip(value, texts, strict=True)]
    return f"{{{margin} {f',{margin} '.join(fields)}{margin}}}"


def _is_spread(value: object) -> bool:
    nested = [isinstance(item, dict | list) for item in _items(value)]
    return any(nested) and (all(nested) or any(map(_is_spread, _items(value))))


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
