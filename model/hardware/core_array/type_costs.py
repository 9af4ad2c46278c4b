"""What an operation costs by data type: the rate and the energy of the arithmetic (docs/model.md#data-types).

A platform may say multiply-accumulates per cycle and the energy of one by type. What it does not say is scaled from
INT8. A type of b > 8 bits runs at 8/b of the rate: operands move over wires and ports of a fixed width. Its
multiplication takes (b/8)² of the energy: a multiplier of b bits adds b rows of b bits. An operation of the vector unit
takes b/8 of the energy, at 8/b of the rate. Types of fewer bits cost as much as INT8: an array without support for
them widens them.
"""

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from soma_cp.model.arrays import FloatArray, IntArray
from soma_cp.model.data_types import DATA_TYPES, INT8, DataType
from soma_cp.model.hardware.core_array.unit_energies import unit_energies
from soma_cp.model.hardware.platform import Platform
from soma_cp.model.network.network import Network

WITHOUT_RATES = ("zigzag",)
"""Core arrays that compute every type at the rate and the energy of INT8."""
_LARGEST_DENOMINATOR = 1024


class TypeCosts(NamedTuple):
    """Rate and energy by code of a type; N types.

    Parameters
    ----------
    over, under
        int64[N]: the array takes ``over / under`` as long as with INT8.
    vector_over, vector_under
        int64[N]: so does the vector unit.
    mac_pj, vector_pj
        float64[N]: of one operation.
    """

    over: IntArray
    under: IntArray
    vector_over: IntArray
    vector_under: IntArray
    mac_pj: FloatArray
    vector_pj: FloatArray


@lru_cache(maxsize=64)
def type_costs(platform: Platform) -> TypeCosts:
    """Return the costs of all types on `platform`."""
    energies = unit_energies(platform)
    energy_given = dict(platform.mac_pj_by_type)
    slowdowns = [slowdown(platform, one) for one in DATA_TYPES]
    vector = [_width(one) for one in DATA_TYPES]
    return TypeCosts(
        over=np.array([one.numerator for one in slowdowns], np.int64),
        under=np.array([one.denominator for one in slowdowns], np.int64),
        vector_over=np.array([one.numerator for one in vector], np.int64),
        vector_under=np.array([one.denominator for one in vector], np.int64),
        mac_pj=np.array([energy_given.get(one.name, energies.MAC * float(_width(one)) ** 2) for one in DATA_TYPES]),
        vector_pj=np.array([energies.vector_operation * float(_width(one)) for one in DATA_TYPES]),
    )


def slowdown(platform: Platform, data_type: DataType) -> Fraction:
    """Return how many times as long as with INT8 the array takes for operations of a type."""
    given = dict(platform.macs_per_cycle_by_type).get(data_type.name)
    if given is None:
        return _width(data_type)
    ratio = Fraction(platform.macs_per_cycle, given)
    return ratio if ratio.denominator <= _LARGEST_DENOMINATOR else ratio.limit_denominator(_LARGEST_DENOMINATOR)


def operation_cycles(network: Network, platform: Platform) -> float:
    """Return the cycles that the operations of one sample take on fully used arrays, each at the rate of its type."""
    matrix = vector = Fraction(0)
    for (is_matrix, computed), operations in network.operations_by_type.items():
        if platform.core_array in WITHOUT_RATES:
            computed = INT8
        if is_matrix:
            matrix += operations * slowdown(platform, computed)
        else:
            vector += operations * _width(computed)
    return float(matrix / platform.macs_per_cycle) + float(vector / platform.vector_ops_per_cycle)


def _width(data_type: DataType) -> Fraction:
    """Return the bits of a type by those of INT8, at least 1."""
    return max(Fraction(data_type.bits, INT8.bits), Fraction(1))
