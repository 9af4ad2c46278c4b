"""The hardware file: names, files, and every kind of fault told in words."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soma_cp.model.errors import UserError
from soma_cp.model.lfa import unfused_lfa
from soma_cp.model.network import Conv, ExternalInput, Network
from soma_cp.model.plan import make_plan
from soma_cp.model.platform import LARGEST, PLATFORMS, VEC_BY_LANE, Platform, PlatformError
from soma_cp.model.platform_file import (
    LARGEST_GBUF,
    PlatformFileError,
    platform_document,
    platform_from,
    platform_from_document,
    read_platform_file,
    with_overrides,
)
from soma_cp.model.problem import Problem

Document = dict[str, Any]
FIELDS = ["gbuf_bytes", "pe_grid", "macs_per_pe", "gbuf_bytes_per_cycle", "dram_bytes_per_cycle"]
BANDWIDTH = "a whole number from 1 to 1073741824, in digits alone"


@pytest.fixture
def document() -> Document:
    return {
        "gbuf_bytes": 4194304,
        "pe_grid": 2,
        "macs_per_pe": 64,
        "gbuf_bytes_per_cycle": 128,
        "dram_bytes_per_cycle": 32,
    }


def problems(document: object) -> list[str]:
    """Every problem of a document, without the name of the file."""
    with pytest.raises(PlatformFileError) as error:
        platform_from_document(document, "hw.json")
    assert all(problem.startswith("hw.json: ") for problem in error.value.problems)
    assert str(error.value).splitlines() == list(error.value.problems)
    return [problem.removeprefix("hw.json: ") for problem in error.value.problems]


def written(document: object, folder: Path, name: str = "hw.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


# What is read


def test_a_file_becomes_a_platform(document: Document, tmp_path: Path) -> None:
    platform = read_platform_file(written(document, tmp_path))
    assert platform == Platform(4194304, 2, 64, 128, 32)
    assert platform_from(str(tmp_path / "hw.json")) == platform


def test_name_and_version_are_taken(document: Document) -> None:
    given = {"version": 1, "name": "my board", **document}
    assert platform_from_document(given, "here") == platform_from_document(document, "here")


@pytest.mark.parametrize("name", PLATFORMS)
def test_builtin_names(name: str) -> None:
    assert platform_from(name) is PLATFORMS[name]


@pytest.mark.parametrize("name", PLATFORMS)
def test_builtin_platforms_are_the_published_ones(name: str) -> None:
    published = json.loads((Path(__file__).parent / "data/published/hardware.json").read_text(encoding="utf-8"))
    document = {field: published["platforms"][name][field] for field in FIELDS}
    assert platform_document(PLATFORMS[name]) == document
    assert list(platform_document(PLATFORMS[name])) == FIELDS
    assert platform_from_document(document, "here") == PLATFORMS[name]


def test_a_name_comes_before_a_file(document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(document, tmp_path, "edge")
    assert platform_from("edge") is PLATFORMS["edge"]
    assert platform_from("./edge") == platform_from_document(document, "here")


largest = LARGEST | {"gbuf_bytes": LARGEST_GBUF}
sizes = {field: st.integers(1, most) for field, most in largest.items()}


@given(st.builds(Platform, **(sizes | {"macs_per_pe": st.sampled_from(sorted(VEC_BY_LANE))})))
@settings(deadline=None)
def test_any_platform_makes_the_round_trip(platform: Platform) -> None:
    assert platform_from_document(json.loads(json.dumps(platform_document(platform))), "here") == platform


def test_the_largest_platform_is_taken_and_has_energies() -> None:
    platform = platform_from_document(largest, "here")
    layer = Conv(name="layer", C=64, K=64, H=64, W=64, inputs=("image",))
    network = Network("one layer", (ExternalInput("image", (64, 64, 64)),), (layer,))
    plan = make_plan(Problem(network, platform), unfused_lfa(network))
    assert 0 < plan.layers.energy_pj[0] ** 3 < math.inf


@pytest.mark.parametrize("field", [field for field in largest if field != "macs_per_pe"])
def test_one_more_than_the_largest_is_refused(field: str) -> None:
    (problem,) = problems(largest | {field: largest[field] + 1})
    assert problem.startswith(f"{field}={largest[field] + 1} (must be a whole number from 1 to {largest[field]}")


# What is refused


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("egde", "; did you mean 'edge'?"),
        ("CLOUD", "; did you mean 'cloud'?"),
        ("", ""),
        ("no/such/file.json", ""),
    ],
)
def test_neither_name_nor_file(spec: str, hint: str) -> None:
    with pytest.raises(PlatformError) as error:
        platform_from(spec)
    assert str(error.value) == f"'{spec}' is neither a built-in platform (edge, cloud) nor a file{hint}"


@pytest.mark.parametrize("spec", ["x" * 5000, "a\0b", "\udcff"])
def test_odd_words_are_no_files(spec: str) -> None:
    with pytest.raises(UserError):
        platform_from(spec)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="this is a folder"):
        platform_from(str(tmp_path))


def test_what_is_not_json(tmp_path: Path) -> None:
    path = tmp_path / "hw.json"
    path.write_text("gbuf_bytes: 5", encoding="utf-8")
    with pytest.raises(UserError, match=r"hw\.json: line 1, column 1: not valid JSON"):
        platform_from(str(path))


@pytest.mark.parametrize(("holds", "shown"), [([], "[]"), (5, "5"), (None, "null"), ("edge", '"edge"')])
def test_no_object(holds: object, shown: str) -> None:
    assert problems(holds) == [f"holds {shown} (must be an object with {', '.join(FIELDS)})"]


def test_all_faults_are_told_at_once(document: Document) -> None:
    del document["pe_grid"]
    document |= {"gbuf_bytes": 0, "macs_per_pe": 100, "dram_bandwidth": 16, "dram_bytes_per_cycle": "16"}
    assert problems(document) == [
        "gbuf_bytes=0 (must be a whole number from 1 to 4294967296, in digits alone)",
        "pe_grid is missing (must be a whole number from 1 to 1024, in digits alone)",
        "macs_per_pe=100 (must be one of 32, 64, 128, 256, 512, 4096)",
        f'dram_bytes_per_cycle="16" (must be {BANDWIDTH})',
        '"dram_bandwidth" is not a field (must be one of version, name, gbuf_bytes, pe_grid, macs_per_pe, '
        "gbuf_bytes_per_cycle, dram_bytes_per_cycle)",
    ]


def test_an_unknown_field_has_a_hint(document: Document) -> None:
    document["gbuf_byte"] = document.pop("gbuf_bytes")
    missing, unknown = problems(document)
    assert missing.startswith("gbuf_bytes is missing")
    assert unknown.endswith("; did you mean 'gbuf_bytes'?")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (16.0, "16.0"),
        (True, "true"),
        (None, "null"),
        ([16], "[16]"),
        (-1, "-1"),
        (2**31, "2147483648"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
    ],
)
def test_a_number_that_is_none(document: Document, value: object, shown: str) -> None:
    expected = f"dram_bytes_per_cycle={shown} (must be {BANDWIDTH})"
    assert problems(document | {"dram_bytes_per_cycle": value}) == [expected]


@pytest.mark.parametrize("value", [True, 512.0, "512", None, 0, 10**400])
def test_macs_that_no_pe_has(document: Document, value: object) -> None:
    (problem,) = problems(document | {"macs_per_pe": value})
    assert problem.startswith("macs_per_pe=")
    assert problem.endswith("(must be one of 32, 64, 128, 256, 512, 4096)")


@pytest.mark.parametrize("changes", [{"version": 2}, {"version": "1"}, {"name": ""}, {"name": "a\nb"}, {"name": 5}])
def test_a_bad_name_or_version(document: Document, changes: Document) -> None:
    (problem,) = problems(document | changes)
    (field,) = changes
    assert problem.startswith(f"{field}=")


# Version 2: YAML, with units


def yaml_file(folder: Path, text: str, name: str = "hw.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def yaml_problems(path: Path) -> list[str]:
    with pytest.raises(UserError) as error:
        platform_from(str(path))
    return [line.removeprefix(f"{path}: ") for line in str(error.value).splitlines()]


def test_a_yaml_file_becomes_a_platform(document: Document, tmp_path: Path) -> None:
    text = "version: 2\nname: my board\ngbuf: 4 MiB\npe_grid: 2\nmacs_per_pe: 64\n"
    text += "gbuf_bandwidth: 128 B/cycle\ndram_bandwidth: 32 GB/s\n"
    assert platform_from(str(yaml_file(tmp_path, text))) == platform_from_document(document, "here")
    numbers = text.replace("4 MiB", "4194304").replace(" B/cycle", "").replace(" GB/s", "")
    assert platform_from(str(yaml_file(tmp_path, numbers, "hw.YML"))) == platform_from_document(document, "here")


def test_a_file_extends_a_platform_or_a_file(document: Document, tmp_path: Path) -> None:
    base = yaml_file(tmp_path, "version: 2\nextends: cloud\ngbuf: 16 MiB\n", "base.yaml")
    (tmp_path / "deep").mkdir()
    top = yaml_file(tmp_path / "deep", "version: 2\nextends: ../base.yaml\ndram_bandwidth: 64 GB/s\n")
    cloud = PLATFORMS["cloud"]
    assert platform_from(str(base)) == replace(cloud, gbuf_bytes=16 << 20)
    assert platform_from(str(top)) == replace(cloud, gbuf_bytes=16 << 20, dram_bytes_per_cycle=64)
    written(document, tmp_path)
    of_json = yaml_file(tmp_path, "version: 2\nextends: hw.json\npe_grid: 8\n", "top.yaml")
    assert platform_from(str(of_json)) == replace(platform_from_document(document, "here"), pe_grid=8)


def test_all_faults_of_a_yaml_file_are_told_with_their_lines(tmp_path: Path) -> None:
    text = "version: 2\nextends: edge\n\ngbuf: 4 MB/s\npe_grid: 4.0\nmacs_per_pe: 100\ndram_bandwith: 3 GB/s\n"
    assert yaml_problems(yaml_file(tmp_path, text)) == [
        'line 4: gbuf="4 MB/s" (must be a size such as 4MiB, 512KiB or 8388608, a whole number of bytes from 1 to '
        "4294967296)",
        "line 5: pe_grid=4.0 (must be a whole number from 1 to 1024, in digits alone)",
        "line 6: macs_per_pe=100 (must be one of 32, 64, 128, 256, 512, 4096)",
        'line 7: "dram_bandwith" is not a field (must be one of version, name, extends, gbuf, pe_grid, macs_per_pe, '
        "gbuf_bandwidth, dram_bandwidth); did you mean 'dram_bandwidth'?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no fields"),
        ("- 1\n- 2\n", "holds no fields"),
        ("gbuf: [1\n", "line 2, column 1: not valid YAML"),
        ("version: 2\ngbuf: 4 MiB\ngbuf: 8 MiB\n", "line 3: the field 'gbuf' is given twice; keep one"),
        ("gbuf: 4 MiB\n", "version is missing (must be 2)"),
        ("version: 1\nextends: edge\n", "line 1: version=1 (must be 2)"),
        ("version: 2\ngbuf: 4 MiB\n", "pe_grid, macs_per_pe, gbuf_bandwidth, dram_bandwidth are missing; give what is"),
        ("version: 2\nextends: egde\n", 'line 2: extends="egde" is neither a built-in platform (edge, cloud) nor'),
        ("version: 2\nextends: hw.yaml\n", "line 2: files extend one another in a circle: "),
        ("version: 2\nextends: edge\ngbuf: 8 GiB\n", 'line 3: gbuf="8 GiB" (must be a size'),
        ("version: 2\nextends: edge\ngbuf: true\n", "line 3: gbuf=true (must be a size"),
        ("version: 2\nextends: edge\ndram_bandwidth: 0\n", "line 3: dram_bandwidth=0 (must be a bandwidth"),
        ("version: 2\nextends: 5\n", "line 2: extends=5 (must be a built-in platform or the path of a hardware file)"),
        ("version: 2\nextends: !!python/object:os.system edge\n", "line 2, column 10: not valid YAML"),
    ],
)
def test_a_fault_of_a_yaml_file(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = yaml_problems(yaml_file(tmp_path, text))
    assert found.startswith(problem)


def test_overrides() -> None:
    edge = PLATFORMS["edge"]
    assert with_overrides(edge, None, None) == edge
    assert with_overrides(edge, "4MiB", "32GB/s") == replace(edge, gbuf_bytes=4 << 20, dram_bytes_per_cycle=32)
    for buffer, dram, option in (
        ("4mib", None, "--buffer=4mib"),
        (None, "0", "--dram=0"),
        ("5GiB", None, "--buffer=5GiB"),
    ):
        with pytest.raises(UserError, match=f"{option} \\(must be a "):
            with_overrides(edge, buffer, dram)
