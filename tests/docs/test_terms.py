"""Each page says what the abbreviations of the SoMa notation stand for, where it first names them."""

import re
from pathlib import Path

import pytest
from support.code_blocks import FENCE
from support.paths import DOCS, ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

MEANING = {
    "LFA": "layer-fusion-related attributes",
    "DLSA": "DRAM-load-and-store-related attributes",
    "LG": "layer-fusion group",
    "FLG": "fine-grained layer-fusion group",
    "FLC": "fine-grained layer-fusion cut",
}
NEAR = 150
"""Characters between an abbreviation and what it stands for, at most."""


def prose(text: str) -> str:
    """The text without code, addresses and marks, on one line."""
    text = FENCE.sub(" ", text)
    text = re.sub(r"`[^`]*`", " ", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return " ".join(re.sub(r"[*|#\[\]]", " ", text).split())


def unexplained(text: str) -> list[str]:
    """Return the abbreviations that a page uses before it says what they stand for."""
    text = prose(text)
    found = []
    for short, meaning in MEANING.items():
        first = re.search(rf"\b{short}s?\b", text)
        if first:
            near = text[max(0, first.start() - NEAR) : first.end() + NEAR].lower().replace("-", " ")
            if short == "LG":
                near = near.replace(MEANING["FLG"].replace("-", " "), "")
            if meaning.lower().replace("-", " ") not in near:
                found.append(short)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_abbreviations_are_expanded_at_first_use(page: Path) -> None:
    assert unexplained(page.read_text(encoding="utf-8")) == []


def test_what_counts_as_expanded() -> None:
    assert unexplained("An LFA (layer-fusion-related attributes) has LGs, layer-fusion groups.") == []
    assert unexplained("An LFA. " + 200 * "-" + " layer-fusion-related attributes") == ["LFA"]
    assert unexplained("An LG, and an FLG, a fine-grained layer-fusion group.") == ["LG"]
    assert unexplained("`LFA`\n```text\nDLSA\n```\n[x](#lfa)") == []
