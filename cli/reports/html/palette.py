"""The colours of a page, light and dark: Okabe and Ito's hues in shades that stand out from the paper, and greys.

Charts are made in the light colours. ``theme.mjs`` and ``view.mjs`` put the dark ones in their place, and the light
ones again for print; so no two light colours of different meaning are equal. tests/cli/reports/test_palette.py checks
the contrast of every pair that lies side by side.
"""

from soma_cp.cli.reports.colours import KINDS as PICTURE_KINDS
from soma_cp.model.soma.execution.events import IFMAPS, OFMAPS_ON_CHIP, OFMAPS_TO_STORE, WEIGHTS

KINDS = PICTURE_KINDS | {IFMAPS: "#b87a00"}  # on white paper, the orange of pictures is too pale
CAPACITY = "#d55e00"
IDLE = "#8d959d"
TILES = ("#767e87", "#8c949e")  # FLGs alternate
GROUPS = ("#eef1f4", "#dce2e8")
PAPER = "#ffffff"
INK = "#22272e"
SOFT = "#5b6570"
LINE = "#dfe3e8"
GRID = "#eceff1"
AXIS = "#9aa0a6"
LINK = "#0b5cad"
ON_BARS = "#0b0e12"
"""Text on bars that are too light for white; the same in the dark."""

DARK = {
    KINDS[WEIGHTS]: "#3d9bd8",
    KINDS[IFMAPS]: "#e69f00",
    KINDS[OFMAPS_TO_STORE]: "#1fb58a",
    KINDS[OFMAPS_ON_CHIP]: "#d48fb6",
    CAPACITY: "#f08030",
    IDLE: "#808b97",
    TILES[0]: "#8b929a",
    TILES[1]: "#aab2bb",
    GROUPS[0]: "#232a31",
    GROUPS[1]: "#303944",
    PAPER: "#15191e",
    INK: "#e6e9ed",
    SOFT: "#a7b0ba",
    LINE: "#313841",
    GRID: "#252b32",
    AXIS: "#6a737d",
    LINK: "#79b8ff",
}
"""The dark colour of each light one."""


def contrast(one: str, two: str) -> float:
    """Return the contrast of two colours, 1 … 21, as the Web Content Accessibility Guidelines define it."""
    low, high = sorted((_luminance(one), _luminance(two)))
    return (high + 0.05) / (low + 0.05)


def text_on(colour: str) -> str:
    """Return the light page's colour of text on a bar: the one of white and black that can be read better."""
    return max((PAPER, ON_BARS), key=lambda text: contrast(text, colour))


def _luminance(colour: str) -> float:
    levels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in levels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
