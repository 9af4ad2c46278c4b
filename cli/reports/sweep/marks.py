"""What the figures of sweeps have in common: colours of methods, marks of what is missing, legends.

Colours differ in lightness, so that they can be told apart in grey and by colour-blind readers
(tests/cli/reports/sweep/test_marks.py).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from soma_cp.cli.reports.sweep.words import method_name

METHOD_COLOURS: Mapping[str, str] = {
    "cocco": "#dcdcdc",
    "cocco-exact": "#9a9a9a",
    "paper-1": "#e8a21d",
    "paper-2": "#2c8c7c",
    "ours": "#332288",
    "paper-1-full": "#f2d9a0",
    "ours-alone": "#7f78b8",
}
OTHER_COLOUR = "#8c564b"
LINE_COLOURS: Mapping[str, str] = {**METHOD_COLOURS, "cocco": "#8a8a8a", "cocco-exact": "#555555"}
"""Of lines and of hollow marks: on white, the light greys of bars are too pale."""
METHOD_MARKS: Mapping[str, str] = {
    "cocco": "s",
    "cocco-exact": "p",
    "paper-1": "^",
    "paper-2": "o",
    "ours": "D",
    "paper-1-full": "v",
    "ours-alone": "P",
}
SERIES_COLOURS = ("#332288", "#2c8c7c", "#e8a21d", "#cc6677", "#88ccee", "#777777", "#117733", "#aa4499")
SERIES_MARKS = "os^Dv<>P"
EDGE: dict[str, Any] = {"edgecolor": "#222222", "linewidth": 0.3}
DIAMOND = "#0072b2"
ENVELOPE = "#d00000"
NOTHING: dict[str, Any] = {"facecolor": "#f0f0f0", "edgecolor": "#8a8a8a", "linewidth": 0.0, "hatch": "////////"}
"""How a place is filled where there is no schedule."""
SMALL = 6.0
"""Points: the smallest text of a figure at print size."""
LEFT_OUT = (
    "Cocco as the paper compares with it: its space in this project's model. Its own scheme keeps halos on chip, "
    "aligns tiles by consumption and splits the buffer; all that is left out."
)
"""Stands below every figure that shows Cocco (docs/sweeps.md#what-cocco-does-that-is-left-out)."""


def colour_of(method: str) -> str:
    """Return the colour of a method."""
    return METHOD_COLOURS.get(method, OTHER_COLOUR)


def tint(colour: str, share: float = 0.4) -> tuple[float, ...]:
    """Return a colour mixed with white, of which `share` is left; opaque."""
    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def ordered(methods: Iterable[str]) -> list[str]:
    """Return methods, each once, in the order in which figures show them."""
    places = {method: place for place, method in enumerate(METHOD_COLOURS)}
    return sorted(dict.fromkeys(methods), key=lambda method: (places.get(method, len(places)), method))


def method_patches(methods: Iterable[str]) -> list[Patch]:
    """Return the entries of a legend."""
    return [Patch(facecolor=colour_of(method), label=method_name(method), **EDGE) for method in methods]


def infeasible_patch() -> Patch:
    """Return the legend's entry of places without a schedule."""
    return Patch(label="infeasible", **NOTHING)


def hatch_place(axes: Axes, left: float, width: float, bottom: float, height: float, **given: Any) -> None:
    """Fill a place that has no schedule."""
    axes.add_patch(Rectangle((left, bottom), width, height, **(NOTHING | given)))


def logarithmic(axes: Axes, name: str) -> None:
    """Make the axis `name`, x or y, logarithmic, with plain numbers beside it."""
    axes.set(**{f"{name}scale": "log"})
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def quiet(axes: Axes) -> None:
    """Leave out the frame at the top and the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2, pad=1.5, labelsize=SMALL)
