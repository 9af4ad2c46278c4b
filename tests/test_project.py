"""What the project says of itself: licence, metadata, citation, image."""

import re
import tomllib
from typing import Any

import pytest
import yaml
from support.paths import ROOT

from soma_cp import __version__

LICENCE = "Apache-2.0"


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    with (ROOT / "CITATION.cff").open(encoding="utf-8") as file:
        return yaml.safe_load(file)  # type: ignore[no-any-return]


def test_metadata_name_licence_and_authors(project: dict[str, Any]) -> None:
    assert project["license"] == LICENCE
    assert project["license-files"] == ["LICENSE"]
    assert project["authors"] == [{"name": "soma-cp contributors"}]
    assert project["version"] == __version__
    assert "urls" not in project
    assert not [one for one in project["classifiers"] if one.startswith("License")]  # refused beside an expression


def test_the_licence_is_there_in_full() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    for section in range(1, 10):
        assert re.search(rf"^ +{section}\. [A-Z]", text, re.MULTILINE), section
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_citation_names_the_tool_and_both_papers(citation: dict[str, Any]) -> None:
    assert citation["cff-version"] == "1.2.0"
    assert (citation["title"], citation["version"], citation["license"]) == ("soma-cp", __version__, LICENCE)
    assert citation["authors"] == [{"name": "soma-cp contributors"}]
    soma, tiled = citation["references"]
    assert (soma["title"].partition(":")[0], soma["year"], len(soma["authors"])) == ("SoMa", 2025, 8)
    assert (tiled["doi"], tiled["year"], len(tiled["authors"])) == ("10.1145/3579371.3589048", 2023, 5)
    for paper in (soma, tiled):
        assert re.fullmatch(r"10\.\d{4,9}/\S+", paper["doi"])
        assert paper["authors"][0] == {"family-names": "Cai", "given-names": "Jingwei"}


def test_the_image_runs_as_a_user_who_is_not_root() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    words = [line.split() for line in lines if line and not line.startswith(("#", " "))]
    assert [line[0] for line in words].count("FROM") == 2
    user = [line[1] for line in words if line[0] == "USER"]
    assert user == ["soma"]
    assert [line[0] for line in words].index("USER") < [line[0] for line in words].index("ENTRYPOINT")


def test_the_image_gets_every_folder_of_the_package() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    floors = {path.resolve().name for path in (ROOT / "src" / "soma_cp").iterdir() if path.is_symlink()}
    assert floors | {"src", "pyproject.toml", "README.md", "LICENSE"} <= kept


def test_extras_that_a_text_names_exist(project: dict[str, Any]) -> None:
    known = set(project["optional-dependencies"])
    texts = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "Dockerfile", *(ROOT / "docs").rglob("*.md")]
    for path in texts:
        for extras in re.findall(r"(?:'|\"|soma-cp)\.?\[([a-z, ]+)\]", path.read_text(encoding="utf-8")):
            assert set(extras.replace(" ", "").split(",")) <= known, path.name
