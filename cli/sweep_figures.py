"""The names of figures of sweeps; light, so that ``--help`` stays quick."""

from dataclasses import dataclass, field

from soma_cp.model.errors import require_name

PAPER_FIGURES = ("fig3", "fig6", "fig7", "fig8")
ANY_AXES = ("heatmap", "line", "bar", "pareto")
FIGURE_NAMES = (*PAPER_FIGURES, *ANY_AXES)


@dataclass(frozen=True)
class FigureOptions:
    """Which figure, of which rows, as typed.

    Parameters
    ----------
    figure
        Of `FIGURE_NAMES`; None: all that the rows allow.
    x, y, value
        Columns; None: those that the figure has by default. `value` of a front: its columns, with commas.
    cost
        Bytes of buffer that a pJ is worth; None: no such cost.
    only
        ``NAME=VALUE`` each: rows that have the value.
    """

    figure: str | None = None
    x: str | None = None
    y: str | None = None
    value: str | None = None
    cost: float | None = None
    only: tuple[str, ...] = field(default=())


def figure_name(typed: str) -> str:
    """Return what was typed.

    Raises
    ------
    UserError
        If no figure is called so.
    """
    require_name("--figure", typed, FIGURE_NAMES)
    return typed
