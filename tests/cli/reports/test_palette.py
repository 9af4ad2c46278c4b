"""The colours of the page: all can be read, light and dark, and told apart by colour-blind readers."""

from itertools import combinations

import numpy as np
import pytest

from soma_cp.cli.reports.html import palette
from soma_cp.cli.reports.html.palette import (
    CAPACITY,
    DARK,
    GROUPS,
    IDLE,
    INK,
    KINDS,
    LINK,
    ON_BARS,
    PAPER,
    SOFT,
    TILES,
    contrast,
    text_on,
)  # fmt: skip

LEAST_TEXT, LEAST_SHAPE = 4.5, 3.0
"""Least contrast of text and of shapes, by the Web Content Accessibility Guidelines, level AA."""
BARS = (*KINDS.values(), IDLE, *TILES)

# Severe colour blindness (Machado, Oliveira, Fernandes: DOI 10.1109/TVCG.2009.113), for linear RGB.
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


@pytest.fixture(params=["light", "dark"])
def shade(request: pytest.FixtureRequest) -> dict[str, str]:
    """The colours of a theme, by the light ones."""
    light = {colour: colour for colour in [*DARK, ON_BARS]}
    return light if request.param == "light" else light | DARK


def test_contrast_is_that_of_the_guidelines() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_text_can_be_read(shade: dict[str, str]) -> None:
    for text in (INK, SOFT, LINK):
        assert contrast(shade[text], shade[PAPER]) >= LEAST_TEXT
    for group in GROUPS:
        assert contrast(shade[INK], shade[group]) >= LEAST_TEXT
    for bar in BARS:
        assert contrast(shade[text_on(bar)], shade[bar]) >= LEAST_TEXT, bar


def test_text_on_hatched_stalls_can_be_read(shade: dict[str, str]) -> None:
    from soma_cp.cli.reports.html.charts import PALE

    for kind in KINDS.values():
        assert contrast(shade[INK], blended(shade[kind], shade[PAPER], PALE)) >= LEAST_TEXT


def test_shapes_stand_out_from_the_paper(shade: dict[str, str]) -> None:
    for colour in (*BARS, CAPACITY):
        assert contrast(shade[colour], shade[PAPER]) >= LEAST_SHAPE, colour


@pytest.mark.parametrize("blindness", BLIND)
def test_kinds_differ_for_colour_blind_readers(shade: dict[str, str], blindness: str) -> None:
    seen = {kind: lab(np.array(BLIND[blindness]) @ linear(shade[colour])) for kind, colour in KINDS.items()}
    for one, two in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[two]) > 12, (one, two)


def test_every_light_colour_means_one_thing() -> None:
    names = {name: value for name, value in vars(palette).items() if name.isupper() and isinstance(value, str)}
    assert len({*names.values(), *BARS, *GROUPS}) == len(names) + len(BARS) + len(GROUPS) - 1  # IDLE is in both
    assert set(DARK) == {*names.values(), *BARS, *GROUPS} - {ON_BARS}


def blended(colour: str, paper: str, opacity: float) -> str:
    parts = (round(opacity * int(colour[i : i + 2], 16) + (1 - opacity) * int(paper[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in parts)


def linear(colour: str) -> np.ndarray:
    levels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Return CIELAB coordinates of linear RGB."""
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(matrix) @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
