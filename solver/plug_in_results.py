"""What plug-ins return, checked as nobody's word is taken: types, shapes and every rule of LFAs and DLSAs.

Rules of a schedule are those of `soma_cp.model.soma.validity`; this module adds what a type checker would have said.
"""

import operator

import numpy as np

from soma_cp.model.arrays import IntArray
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.network.network import Division
from soma_cp.model.plug_ins import PlugIn, PlugInError
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import DLSA
from soma_cp.model.soma.lfa import FLG, LFA, LFAError, SharedLoad
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.model.soma.validity import violations
from soma_cp.solver.choices import Space


def checked_dlsa(plug_in: PlugIn, plan: Plan, returned: object) -> DLSA:
    """Return what a second stage returned, with arrays of its own, if it is a valid DLSA of `plan`.

    Raises
    ------
    PlugInError
        Names the plug-in and the array or the rule.
    """
    if not isinstance(returned, tuple) or len(returned) != len(DLSA._fields):
        raise PlugInError(
            f"{plug_in} returned {_kind(returned)} (must be a DLSA, three arrays: {', '.join(DLSA._fields)})"
        )
    dlsa = DLSA(
        *(_whole_numbers(plug_in, plan, name, array) for name, array in zip(DLSA._fields, returned, strict=True))
    )
    found = violations(plan, dlsa)
    if found:
        more = f" (and {len(found) - 1} more broken rules)" if len(found) > 1 else ""
        raise PlugInError(
            f"{plug_in} returned a DLSA that is not valid: {found[0].message} [rule: {found[0].rule.value}]{more}"
        )
    return dlsa


def _whole_numbers(plug_in: PlugIn, plan: Plan, name: str, array: object) -> IntArray:
    """Return one array of a DLSA as int64[D]."""
    size = plan.dram_tensor_count
    try:
        found = np.asarray(array)
    except Exception:  # an odd object may raise anything
        found = np.empty(0, object)
    if found.shape != (size,) or found.dtype.kind not in "iu":
        raise PlugInError(
            f"{plug_in} returned a DLSA whose {name} is {found.dtype}[{', '.join(map(str, found.shape))}] (must be "
            f"int64[{size}], an item for each DRAM tensor)"
        )
    if found.dtype.kind == "u":
        found = np.minimum(found, np.iinfo(np.int64).max)
    return found.astype(np.int64)


def checked_plan(plug_in: PlugIn, problem: Problem, space: Space, yielded: object, number: int) -> Plan | None:
    """Return the plan of an LFA that a first stage yielded, if it keeps the rules; None if its tiles have no mapping.

    Parameters
    ----------
    plug_in, problem
        What yielded it, and for what.
    space
        The space that is searched.
    yielded, number
        What it yielded, and how many it has yielded with this one.

    Raises
    ------
    PlugInError
        Names the plug-in and the rule. An LFA whose tensors exceed the buffer breaks none.
    """
    where = f"{plug_in}: LFA number {number}"
    if not isinstance(yielded, LFA):
        raise PlugInError(f"{where} is {_kind(yielded)} (must be a soma_cp.model.soma.lfa.LFA)")
    try:
        lfa = _plain_lfa(yielded)
    except Exception as error:  # fields of any type may raise anything
        raise PlugInError(
            f"{where} has a field of another type ({' '.join(str(error).split())}); FLG takes names of layers, a whole "
            "tiling_number and a bool dram_cut"
        ) from error
    if lfa.is_wide and space is Space.PAPER:
        raise PlugInError(f"{where} {lfa.wide_text}, which the paper's space does not have; give --space wide")
    try:
        return make_plan(problem, lfa)
    except LFAError as error:
        raise PlugInError(f"{where} is not valid: {error}") from error
    except NoMappingError:  # as an LFA that exceeds the buffer, it is passed over: a matter of the platform
        return None


def _plain_lfa(lfa: LFA) -> LFA:
    """Return the LFA with tuples, numbers and names of Python's own kinds."""
    flgs = []
    for flg in lfa.flgs:
        if not all(isinstance(name, str) for name in flg.layers) or isinstance(flg.layers, str):
            raise TypeError(f"layers={flg.layers!r}")
        if not isinstance(flg.dram_cut, bool | np.bool_):
            raise TypeError(f"dram_cut={flg.dram_cut!r}")
        flgs.append(FLG(tuple(flg.layers), operator.index(flg.tiling_number), bool(flg.dram_cut)))
    shared = tuple(SharedLoad(str(layer), str(source)) for layer, source in lfa.shared_loads)
    divisions = tuple(Division(str(layer), tuple(map(operator.index, channels))) for layer, channels in lfa.divisions)
    return LFA(tuple(flgs), shared, divisions, operator.index(lfa.passes))


def _kind(value: object) -> str:
    """Say what a value is."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "nothing" if value is None else f"an object of type {type(value).__name__}"
