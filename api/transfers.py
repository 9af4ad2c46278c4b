"""DLSAs (DRAM-Load-and-Store-related Attributes) by hand: transfers in DRAM Tensor Order, by names of layers."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from soma_cp.api.values import whole
from soma_cp.model.errors import UserError, nearest_name_hint
from soma_cp.model.soma.dlsa import DLSA, double_buffering
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.tensors import KIND_NAMES
from soma_cp.model.soma.validity import InvalidScheduleError, Rule, Violation


class Transfer(NamedTuple):
    """A load or store of one DRAM tensor; a list of them, in DRAM Tensor Order, is a DLSA.

    Parameters
    ----------
    kind
        ``"ifm"`` (load of an input feature map), ``"wgt"`` (load of weights) or ``"ofm"`` (store of an output).
    layer, tile
        The layer that first needs or makes the tensor, and the index of the tile within the layer.
    source
        Of an ``"ifm"``: the layer or input that made it; may be left out if the layer reads one only.
    start, end
        Living Duration, half-open, in tiles of the whole schedule; a start of -1 is before the first. None: a load
        starts one tile before its first need, a store ends one tile after its own tile, and what the LFA fixes (the end
        of a load, the start of a store) is as it fixes it.
    """

    kind: str
    layer: str
    tile: int = 0
    source: str = ""
    start: int | None = None
    end: int | None = None


def transfers_of(plan: Plan, dlsa: DLSA) -> tuple[Transfer, ...]:
    """Return a DLSA as transfers."""
    return tuple(
        Transfer(*plan.tensor_key(i), start=int(dlsa.start[i]), end=int(dlsa.end[i])) for i in dlsa.order.tolist()
    )


def dlsa_of(plan: Plan, transfers: Iterable[Transfer]) -> DLSA:
    """Return transfers as a DLSA of `plan`; what they leave open is as in double buffering.

    Raises
    ------
    UserError
        If a transfer is none of this plan.
    InvalidScheduleError
        If one is missing, or given twice.
    """
    usual = double_buffering(plan.tensors)
    index = {plan.tensor_key(i): i for i in range(plan.dram_tensor_count)}
    start, end, order = usual.start.copy(), usual.end.copy(), []
    seen: set[int] = set()
    for place, given in enumerate(transfers):
        if isinstance(given, str) or not 2 <= len(given) <= len(Transfer._fields):
            raise UserError(f"transfer {place} is {given!r} (must be a Transfer: {', '.join(Transfer._fields)})")
        row = Transfer(*given)
        tensor = _index(plan, index, row, place)
        if tensor in seen:
            raise _not_once(plan, tensor, f"{plan.tensor_label(tensor)} is given twice, again at place {place}")
        seen.add(tensor)
        order.append(tensor)
        if row.start is not None:
            start[tensor] = whole(f"start of transfer {place}", row.start)
        if row.end is not None:
            end[tensor] = whole(f"end of transfer {place}", row.end)
    missing = [tensor for tensor in range(plan.dram_tensor_count) if tensor not in seen]
    if missing:
        raise _not_once(
            plan,
            missing[0],
            f"{len(missing)} of {len(index)} transfers are missing, first {plan.tensor_label(missing[0])}",
        )
    return DLSA(np.array(order, np.int64), start, end)


def _not_once(plan: Plan, tensor: int, message: str) -> InvalidScheduleError:
    count = plan.dram_tensor_count
    return InvalidScheduleError([Violation(Rule.PERMUTATION, None, (tensor,), count, count, message)])


def _index(plan: Plan, index: dict[tuple[str, str, int, str], int], row: Transfer, place: int) -> int:
    """Return the index of the tensor that a transfer names."""
    found = index.get((row.kind, row.layer, row.tile, row.source))
    if found is not None:
        return found
    said = f"transfer {place} {tuple(row[:4])}"
    if row.kind not in KIND_NAMES:
        raise UserError(f"{said}: kind={row.kind!r} (must be one of {', '.join(KIND_NAMES)})")
    layers = plan.problem.network.layer_id
    if row.layer not in layers:
        raise UserError(f"{said}: no layer is called {row.layer!r}{nearest_name_hint(str(row.layer), layers)}")
    of_layer = [key for key in index if key[:2] == (row.kind, row.layer)]
    if not of_layer:
        raise UserError(f"{said}: the layer has no such transfer under this LFA; leave it out")
    of_tile = [key for key in of_layer if key[2] == row.tile]
    if len(of_tile) == 1 and not row.source:
        return index[of_tile[0]]
    if not of_tile:
        tiles = sorted({key[2] for key in of_layer})
        raise UserError(f"{said}: tile={row.tile} (must be from {tiles[0]} to {tiles[-1]})")
    sources = ", ".join(repr(key[3]) for key in of_tile)
    raise UserError(f"{said}: source={row.source!r} (must be {'one of ' if len(of_tile) > 1 else ''}{sources})")
