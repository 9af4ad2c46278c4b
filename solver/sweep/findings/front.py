"""Pareto fronts: the rows that no other row is at least as good as in all columns and better in one."""

from collections.abc import Sequence

import numpy as np

from soma_cp.model.arrays import FloatArray
from soma_cp.solver.sweep.rows import Row

COST_ALPHA = 0.0024
"""Bytes of buffer that a pJ is worth in the tables of Cocco (Tan, Zhu, Ma, ASPLOS 2024)."""


def on_front(values: FloatArray) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Return which rows of figures are on the front; less is better in each column.

    Rows that are equal in all columns are on it together. Rows are taken by falling preference, so that one can be
    beaten by those before it alone: a row that is at least as good in all columns and better in one precedes it in
    the order of the first column in which they differ. And it is enough to look among the front: what beats a row is
    on it, or is beaten by a row that is, which beats both.

    Parameters
    ----------
    values
        float64[n, c].

    Returns
    -------
    on_front
        bool[n].
    """
    count = len(values)
    front = np.zeros(count, np.bool_)
    if not count:
        return front
    order = np.lexsort(values.T[::-1])
    kept: list[FloatArray] = []
    for index in order:
        row = values[index]
        others = np.array(kept).reshape(len(kept), values.shape[1])
        beats = (others <= row).all(axis=1) & (others < row).any(axis=1)
        if not beats.any():
            front[index] = True
            kept.append(row)
    return front


def front_keys(rows: Sequence[Row], columns: Sequence[str]) -> set[str]:
    """Return the keys of the rows on the front of some columns; rows that lack one of them are not on it."""
    full = [row for row in rows if all(row[column] is not None for column in columns)]
    values = np.array([[row[column] for column in columns] for row in full], np.float64).reshape(-1, len(columns))
    return {row["key"] for row, is_on in zip(full, on_front(values), strict=True) if is_on}


def buffer_energy_cost(row: Row, alpha: float = COST_ALPHA) -> float | None:
    """Return Cocco's single figure of buffer and energy: bytes of the buffer + α · energy in pJ."""
    return None if row["energy_pj"] is None else row["buffer_bytes"] + alpha * row["energy_pj"]
