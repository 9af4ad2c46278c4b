"""Records a command in a terminal and writes it as an animated SVG, which a code host shows as an image.

    python docs/record_terminal.py docs/session.svg soma-cp solve gpt2-small -o gpt2-small.json

The command runs in a pseudo-terminal; pyte keeps the screen as a terminal would. Each change of the screen is a group
of the SVG that CSS shows for as long as it stood, longer pauses shortened. The last screen stays: it is also what is
shown where nothing moves. The panel is dark, on dark and on light pages. Block characters are drawn as rectangles, so
that they need no font.
"""

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from pathlib import Path

import pyte

COLUMNS, ROWS = 100, 48
WIDTH, HEIGHT = 8.4, 17.0  # of a character, in pixels at 14 pixels of the font
MARGIN, BAR = 14, 30
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
PROMPT = "$ "
STILL = 0.25  # seconds for which a screen must stand to be kept
PAUSE, LAST = 0.7, 12.0  # seconds: a screen at most, the last one

FOREGROUND, BACKGROUND, BORDER = "#d7dae0", "#16191f", "#3b4048"
COLOURS = {
    "black": "#7f848e",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
}
EIGHTHS = {character: eighths / 8 for eighths, character in enumerate("▁▂▃▄▅▆▇█", 1)}


@dataclass(frozen=True)
class Cell:
    """A character with its colour and whether it is bold."""

    text: str
    colour: str
    bold: bool


Picture = tuple[tuple[Cell, ...], ...]
"""The rows of a screen, without blank ones at the end."""


def picture(screen: pyte.Screen) -> Picture:
    """Return what the screen shows."""
    rows = []
    for y in range(screen.lines):
        cells = (screen.buffer[y][x] for x in range(screen.columns))
        rows.append(tuple(Cell(cell.data, COLOURS.get(cell.fg, FOREGROUND), cell.bold) for cell in cells))
    while rows and not any(cell.text.strip() for cell in rows[-1]):
        rows.pop()
    return tuple(rows)


def typed(command: str) -> Iterator[tuple[Picture, float]]:
    """Yield the screens in which the command is typed, with seconds."""
    for end in range(0, len(command) + 1, 4):
        screen = pyte.Screen(COLUMNS, ROWS)
        pyte.Stream(screen).feed(PROMPT + command[:end])
        yield picture(screen), 0.08


def recorded(command: list[str]) -> Iterator[tuple[Picture, float]]:
    """Run the command and yield each screen that stood, with seconds."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(f"{PROMPT}{' '.join(command)}\r\n".encode())
    outer, inner = pty.openpty()
    size = {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env={**os.environ, **size}) as running:
        os.close(inner)
        since = time.monotonic()
        while True:
            if not select.select([outer], [], [], STILL)[0]:
                if running.poll() is not None:
                    break
                continue
            try:
                chunk = os.read(outer, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not chunk:
                break
            before, now = picture(screen), time.monotonic()
            stream.feed(chunk)
            if now - since >= STILL:
                yield before, now - since
                since = now
    yield picture(screen), LAST


def drawn(rows: Picture) -> str:
    """Return a screen as SVG elements."""
    parts = []
    for y, row in enumerate(rows):
        top = BAR + y * HEIGHT
        x = 0
        for look, run in groupby(row, key=lambda cell: (cell.colour, cell.bold, cell.text in EIGHTHS)):
            cells = list(run)
            text = "".join(cell.text for cell in cells)
            colour, bold, is_blocks = look
            if is_blocks:
                parts.append(blocks(text, MARGIN + x * WIDTH, top, colour))
            elif text.strip():
                start = len(text) - len(text.lstrip())
                shown = text.strip()
                weight = ' font-weight="bold"' if bold else ""
                parts.append(
                    f'<text x="{MARGIN + (x + start) * WIDTH:.1f}" y="{top + 13:.1f}" fill="{colour}"{weight}'
                    f' textLength="{len(shown) * WIDTH:.1f}">{escape(shown)}</text>'
                )
            x += len(cells)
    return "".join(parts)


def blocks(text: str, left: float, top: float, colour: str) -> str:
    """Return block characters as one path."""
    path = ""
    bottom = top + HEIGHT - 2
    for character, run in groupby(enumerate(text), key=lambda item: item[1]):
        places = [place for place, _ in run]
        high, wide = EIGHTHS[character] * (HEIGHT - 3), len(places) * WIDTH
        path += f"M{left + places[0] * WIDTH:.1f} {bottom:.1f}v{-high:.1f}h{wide:.1f}v{high:.1f}z"
    return f'<path fill="{colour}" d="{path}"/>'


def animated(screens: list[tuple[Picture, float]], title: str) -> str:
    """Return the SVG that shows the screens one after another, for ever."""
    spans = [min(seconds, PAUSE) for _, seconds in screens[:-1]] + [LAST]
    total = sum(spans)
    begins = [sum(spans[:index]) / total * 100 for index in range(len(spans) + 1)]
    rules, groups = [], []
    for index, ((rows, _), (begin, end)) in enumerate(zip(screens, pairwise(begins), strict=True)):
        last = index == len(screens) - 1
        shown = f"{begin:.2f}%{'' if last else f',{end - 0.005:.3f}%'}{{visibility:visible}}"
        hidden = "" if last else f"{end:.2f}%,to{{visibility:hidden}}"
        start = "from{visibility:hidden}" if index else ""
        rules.append(f"@keyframes s{index}{{{start}{shown}{hidden}}}")
        rules.append(f"#s{index}{{animation:s{index} {total:.2f}s step-end infinite}}")
        groups.append(f'<g id="s{index}" visibility="{"visible" if last else "hidden"}">{drawn(rows)}</g>')
    wide = 2 * MARGIN + COLUMNS * WIDTH
    high = BAR + max(len(rows) for rows, _ in screens) * HEIGHT + MARGIN
    dots = "".join(
        f'<circle cx="{MARGIN + 6 + 18 * place}" cy="15" r="5" fill="{colour}"/>'
        for place, colour in enumerate(("#e06c75", "#e5c07b", "#98c379"))
    )
    still = "@media(prefers-reduced-motion:reduce){g{animation:none!important}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:.0f} {high:.0f}" role="img"'
        f' width="{wide:.0f}" height="{high:.0f}" font-family="{escape(FONTS)}" font-size="14">'
        f"<title>{escape(title)}</title><style>text{{white-space:pre}}{''.join(rules)}{still}</style>"
        f'<rect x=".5" y=".5" width="{wide - 1:.0f}" height="{high - 1:.0f}" rx="8"'
        f' fill="{BACKGROUND}" stroke="{BORDER}"/>{dots}{"".join(groups)}</svg>\n'
    )


def main(target: str, *command: str) -> None:
    """Record `command` and write the SVG to `target`."""
    title = f"A recorded terminal session: {' '.join(command)}"
    screens = [*typed(" ".join(command)), *recorded(list(command))]
    Path(target).write_text(animated(screens, title), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
