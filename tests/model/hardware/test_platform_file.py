"""The hardware file: names, files, and the sentence for every kind of fault."""

import json
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.paths import PUBLISHED

from soma_cp.model.errors import UserError
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS, platform_from
from soma_cp.model.hardware.core_array.unit_energies import pe_memories, unit_energies
from soma_cp.model.hardware.field_kinds import LARGEST_PJ
from soma_cp.model.hardware.fields import BYTE_ENERGIES, FIELDS, MEMORIES, OPERATION_ENERGIES, OTHER_TYPES
from soma_cp.model.hardware.platform import MOST_SLOWDOWN, Platform, PlatformError
from soma_cp.model.hardware.platform_file import (
    PlatformFileError,
    platform_document,
    platform_from_document,
    read_platform_file,
    with_overrides,
)
from soma_cp.model.hardware.presets import PAPER_PRESETS, PRESETS
from soma_cp.model.network.layers import Conv, ExternalInput
from soma_cp.model.network.network import Network
from soma_cp.model.problem import Problem
from soma_cp.model.semantics import SEMANTICS
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import make_plan

Document = dict[str, Any]
BUILT_IN = ", ".join(PRESETS)
GRID = "a whole number from 1 to 1024, in digits alone, or rows and columns such as [16, 8] or 16x8"
MACS = "a whole number from 1 to 16777216, in digits alone"
NEEDED = ["gbuf_bytes", "pe_grid", "macs_per_pe", "gbuf_bytes_per_cycle", "dram_bytes_per_cycle"]
BANDWIDTH = (
    "a whole number from 1 to 1073741824, in digits alone, or a fraction such as "
    '"128/5" with a denominator of at most 1000'
)


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
    """Return every problem of a document, without the name of the file."""
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


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_platforms_of_the_paper_are_the_published_ones(name: str) -> None:
    published = json.loads((PUBLISHED / "hardware.json").read_text(encoding="utf-8"))
    document = {field: published["platforms"][name][field] for field in NEEDED}
    assert platform_document(PLATFORMS[name]) == document
    assert list(platform_document(PLATFORMS[name])) == NEEDED
    assert platform_from_document(document, "here") == PLATFORMS[name]


def test_a_name_comes_before_a_file(document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(document, tmp_path, "edge")
    assert platform_from("edge") is PLATFORMS["edge"]
    assert platform_from("./edge") == platform_from_document(document, "here")


LARGEST = {field.name: field.kind.most for field in FIELDS if field.kind.most}
largest = {field: LARGEST[field] for field in NEEDED}
sizes = {field: st.integers(1, most) for field, most in LARGEST.items()}
picojoules = st.floats(0, LARGEST_PJ)


def some_of(names: tuple[str, ...], values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[tuple[str, Any], ...]]:
    return st.dictionaries(st.sampled_from(names), values).map(lambda given: tuple(sorted(given.items())))


others = {
    "pe_grid": sizes["pe_grid"] | st.tuples(sizes["pe_grid"], sizes["pe_grid"]),
    "vector_ops": st.none() | sizes["vector_ops"],
    "dram_bytes_per_cycle": st.fractions(1, LARGEST["dram_bytes_per_cycle"], max_denominator=1000),
    "dram_pj_per_byte": picojoules,
    "memory_bytes": some_of(MEMORIES, st.integers(1, 1 << 30)),
    "energy_pj": some_of((*BYTE_ENERGIES, *OPERATION_ENERGIES), picojoules),
    "core_array": st.sampled_from(["published", "roofline"]),
    "core_array_options": some_of(("a", "b"), st.text()),
    "semantics": st.sampled_from(SEMANTICS),
}


def with_rates(platform: Platform, slower: dict[str, Fraction], energies: dict[str, float]) -> Platform:
    """Return a platform that is so many times slower with some types, as far as it may be."""
    rates = {name: min(math.ceil(platform.macs_per_cycle / factor), 1 << 44) for name, factor in slower.items()}
    return replace(platform, macs_per_cycle_by_type=tuple(rates.items()), mac_pj_by_type=tuple(energies.items()))


slowdowns = st.fractions(Fraction(1, MOST_SLOWDOWN), MOST_SLOWDOWN, max_denominator=1 << 20)


@given(
    st.builds(
        with_rates,
        st.builds(Platform, **(sizes | others)),
        st.dictionaries(st.sampled_from(OTHER_TYPES), slowdowns, max_size=3),
        st.dictionaries(st.sampled_from(OTHER_TYPES), picojoules, max_size=3),
    )
)
def test_any_platform_makes_the_round_trip(platform: Platform) -> None:
    assert platform_from_document(json.loads(json.dumps(platform_document(platform))), "here") == platform


def test_the_largest_platform_is_taken_and_has_energies() -> None:
    platform = platform_from_document(largest | {"core_array": "roofline"}, "here")
    layer = Conv(name="layer", C=64, K=64, H=64, W=64, inputs=("image",))
    network = Network("one layer", (ExternalInput("image", (64, 64, 64)),), (layer,))
    plan = make_plan(Problem(network, platform), unfused_lfa(network))
    assert 0 < plan.layers.energy_pj[0] ** 3 < math.inf


@pytest.mark.parametrize("field", largest)
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
    assert str(error.value) == f"'{spec}' is neither a built-in platform ({BUILT_IN}) nor a file{hint}"


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
    assert problems(holds) == [f"holds {shown} (must be an object with {', '.join(NEEDED)})"]


def test_all_faults_are_told_at_once(document: Document) -> None:
    del document["pe_grid"]
    document |= {"gbuf_bytes": 0, "macs_per_pe": 0, "dram_bandwidth": 16, "dram_bytes_per_cycle": "16"}
    assert problems(document) == [
        "gbuf_bytes=0 (must be a whole number from 1 to 4294967296, in digits alone)",
        f"pe_grid is missing (must be {GRID})",
        f"macs_per_pe=0 (must be {MACS})",
        f'dram_bytes_per_cycle="16" (must be {BANDWIDTH})',
        '"dram_bandwidth" is not a field (must be one of version, name, gbuf_bytes, pe_grid, macs_per_pe, '
        "gbuf_bytes_per_cycle, dram_bytes_per_cycle, clock_hz, dram_pj_per_byte, vector_ops, pe_bus_bytes_per_cycle, "
        "memory_bytes, energy_pj, macs_per_cycle_by_type, mac_pj_by_type, core_array, core_array_options, semantics)",
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
    assert problem.endswith(f"(must be {MACS})")


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
    text = "version: 2\nextends: edge\n\ngbuf: 4 MB/s\npe_grid: 4.0\nmacs_per_pe: 0\ndram_bandwith: 3 GB/s\n"
    assert yaml_problems(yaml_file(tmp_path, text)) == [
        'line 4: gbuf="4 MB/s" (must be a size such as 4MiB, 512KiB or 8388608, a whole number of bytes from 1 to '
        "4294967296)",
        f"line 5: pe_grid=4.0 (must be {GRID})",
        f"line 6: macs_per_pe=0 (must be {MACS})",
        'line 7: "dram_bandwith" is not a field (must be one of version, name, extends, clock, gbuf, '
        "gbuf_bandwidth, dram_bandwidth, dram_energy, pe_grid, macs_per_pe, vector_ops, pe_bus, memories, energies, "
        "macs_per_cycle_by_type, mac_energy_by_type, core_array, semantics, macs_per_cycle); did you mean "
        "'dram_bandwidth'?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no fields"),
        ("- 1\n- 2\n", "holds no fields"),
        ("gbuf: [1\n", "line 2, column 1: not valid YAML"),
        ("version: 2\ngbuf: 4 MiB\ngbuf: 8 MiB\n", "line 3: the field 'gbuf' is given twice; keep one"),
        ("gbuf: 4 MiB\n", "version is missing (must be 2; version 1 is JSON)"),
        ("version: 1\nextends: edge\n", "line 1: version=1 (must be 2; version 1 is JSON)"),
        ("version: 2\ngbuf: 4 MiB\n", "pe_grid, macs_per_pe, gbuf_bandwidth, dram_bandwidth are missing; give what is"),
        ("version: 2\nextends: egde\n", 'line 2: extends="egde" is neither a built-in platform (edge, cloud, '),
        ("version: 2\nextends: hw.yaml\n", "line 2: files extend one another in a circle: "),
        (
            "version: 2\nextends: edge\nmacs_per_cycle: 0\n",
            f"line 3: macs_per_cycle=0 (must be {MACS})",
        ),
        (
            "version: 2\nextends: edge\npe_grid: 4\nmacs_per_cycle: 8\n",
            "line 4: macs_per_cycle=8 stands for the whole array, but pe_grid is given, too; keep one of both",
        ),
        (
            "version: 2\nmacs_per_cycle: 8\npe_grid: 4\nmacs_per_pe: 8\n",
            "line 2: macs_per_cycle=8 stands for the whole array, but pe_grid and macs_per_pe are given, too; keep one",
        ),
        ("version: 2\nextends: edge\ngbuf: 8 GiB\n", 'line 3: gbuf="8 GiB" (must be a size'),
        ("version: 2\nextends: edge\ngbuf: true\n", "line 3: gbuf=true (must be a size"),
        (
            "version: 2\nextends: edge\ndram_bandwidth: 0\n",
            "line 3: dram_bandwidth=0 (is 0 bytes per cycle at 1000 MHz; must be from 1 to",
        ),
        ("version: 2\nextends: 5\n", "line 2: extends=5 (must be a built-in platform or the path of a hardware file)"),
        ("version: 2\nextends: !!python/object:os.system edge\n", "line 2, column 10: not valid YAML"),
    ],
)
def test_a_fault_of_a_yaml_file(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = yaml_problems(yaml_file(tmp_path, text))
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("written_as", "grid"),
    [("[16, 8]", (16, 8)), ("16x8", (16, 8)), ("16×8", (16, 8)), ("16 x 8", (16, 8)), ("[8, 8]", 8), ("8x8", 8)],
)
def test_a_grid_may_have_two_sides(tmp_path: Path, written_as: str, grid: int | tuple[int, int]) -> None:
    platform = platform_from(str(yaml_file(tmp_path, f"version: 2\nextends: edge\npe_grid: {written_as}\n")))
    rows, columns = (grid, grid) if isinstance(grid, int) else grid
    assert (platform.pe_grid, platform.pe_rows, platform.pe_columns) == (grid, rows, columns)
    assert platform.macs_per_cycle == rows * columns * 512
    assert platform.vector_ops_per_cycle == rows * columns * 32  # a sixteenth
    document = platform_document(platform)
    assert document["pe_grid"] == (grid if isinstance(grid, int) else [rows, columns])
    assert platform_from_document(json.loads(json.dumps(document)), "here") == platform


@pytest.mark.parametrize(
    "grid",
    [
        "[16]",
        "[16, 8, 2]",
        "[16, 0]",
        "[16, 8.0]",
        "16x",
        "x8",
        "16x8x2",
        "16by8",
        "1025x1",
        "[1, 1025]",
        "-1x8",
        "²x8",
    ],
)
def test_sides_that_no_grid_has(tmp_path: Path, grid: str) -> None:
    (found,) = yaml_problems(yaml_file(tmp_path, f"version: 2\nextends: edge\npe_grid: {grid}\n"))
    assert found.startswith("line 3: pe_grid=")
    assert found.endswith(f"(must be {GRID})")


def test_macs_per_cycle_stand_for_the_array(document: Document, tmp_path: Path) -> None:
    base = yaml_file(tmp_path, "version: 2\nextends: edge\nmacs_per_cycle: 2048\nvector_ops: 3\n", "base.yaml")
    platform = platform_from(str(base))
    assert platform == replace(PLATFORMS["edge"], pe_grid=1, macs_per_pe=2048, vector_ops=3)
    assert (platform.macs_per_cycle, platform.vector_ops_per_cycle) == (2048, 3)
    top = yaml_file(tmp_path, "version: 2\nextends: base.yaml\nmacs_per_cycle: 100\n", "top.yaml")
    assert platform_from(str(top)).macs_per_cycle == 100
    alone = "version: 2\ngbuf: 4 MiB\nmacs_per_cycle: 256\ngbuf_bandwidth: 128 B/cycle\ndram_bandwidth: 32 GB/s\n"
    given = document | {"pe_grid": 1, "macs_per_pe": 256}
    assert platform_from(str(yaml_file(tmp_path, alone))) == platform_from_document(given, "here")


YAML_FIELDS = dict.fromkeys(field.yaml for field in FIELDS)


@pytest.mark.parametrize("field", [*YAML_FIELDS, "extends", "macs_per_cycle"])
def test_an_empty_field_is_refused(tmp_path: Path, field: str) -> None:
    head = "version: 2\n" + ("" if field == "extends" else "extends: edge\n")
    found, *more = yaml_problems(yaml_file(tmp_path, f"{head}{field}:\n"))
    line = head.count("\n") + 1
    assert found.startswith(f"line {line}: {field} is empty; give a value (")
    assert found.endswith("), or leave the field out")
    assert more == []


def test_an_empty_version_or_quantity_is_refused(tmp_path: Path) -> None:
    text = "version:\nextends: edge\nenergies:\n  MAC:\nmemories: {AL1: }\n"
    assert yaml_problems(yaml_file(tmp_path, text)) == [
        "line 1: version is empty; give a value (2; version 1 is JSON)",
        "line 5: memories: AL1 is empty; give a value (a size such as 4MiB, 512KiB or 8388608, a whole number of bytes "
        "from 1 to 1073741824), or leave the field out",
        "line 4: energies: MAC is empty; give a value (an energy such as 0.018 pJ, from 0 to 1e+09 pJ), or leave the "
        "field out",
    ]


def test_a_long_chain_of_files_is_no_circle(tmp_path: Path) -> None:
    # File i extends file i + 1; file n extends edge. At most 16 files are extended in a row, beside the preset.
    def chain(length: int) -> Path:
        for i in range(length):
            base = "edge" if i == length - 1 else f"file{i + 1}.yaml"
            yaml_file(tmp_path, f"version: 2\nextends: {base}\n", f"file{i}.yaml")
        return tmp_path / "file0.yaml"

    assert platform_from(str(chain(16))) == PLATFORMS["edge"]
    with pytest.raises(PlatformFileError) as error:
        platform_from(str(chain(18)))
    assert str(error.value) == (
        f"{tmp_path / 'file16.yaml'}: line 2: extends=\"file17.yaml\" is one too many: '{tmp_path / 'file0.yaml'}' "
        "already extends 16 files in a row (at most 16); write two of them as one"
    )
    yaml_file(tmp_path, "version: 2\nextends: file0.yaml\n", "file2.yaml")
    with pytest.raises(PlatformFileError, match=r"file2\.yaml: line 2: files extend one another in a circle: "):
        platform_from(str(tmp_path / "file0.yaml"))


def test_every_field_of_a_yaml_file(tmp_path: Path) -> None:
    text = """
version: 2
name: phone
clock: 800 MHz
gbuf: 3 MiB
gbuf_bandwidth: 51.2 GB/s
dram_bandwidth: 25.6 GB/s
dram_energy: 4 pJ/bit
pe_grid: 2
macs_per_pe: 128
vector_ops: 100
pe_bus: 16 B/cycle
memories: {AL1: 4 KiB, OL1: 1000}
energies:
  GBUF_read: 2 pJ/B
  MAC: 12 fJ
macs_per_cycle_by_type: {fp16: 256, int4: 1024}
mac_energy_by_type: {fp16: 90 fJ, int4: 0.004}
core_array: {model: roofline, detail: 3}
semantics: corrected
"""
    platform = platform_from(str(yaml_file(tmp_path, text)))
    assert platform == Platform(
        3 << 20,
        2,
        128,
        64,
        32,
        clock_hz=800_000_000,
        dram_pj_per_byte=32.0,
        vector_ops=100,
        pe_bus_bytes_per_cycle=16,
        memory_bytes=(("AL1", 4096), ("OL1", 1000)),
        energy_pj=(("GBUF_read", 2.0), ("MAC", 0.012)),
        macs_per_cycle_by_type=(("fp16", 256), ("int4", 1024)),
        mac_pj_by_type=(("fp16", 0.09), ("int4", 0.004)),
        core_array="roofline",
        core_array_options=(("detail", "3"),),
        semantics="corrected",
    )
    memories, energies = pe_memories(platform), unit_energies(platform)
    assert (memories.AL1, memories.WL1, memories.OL1) == (4096, 8192, 1000)  # 8·16/16 KiB of weights
    assert (energies.GBUF_read, energies.MAC, energies.hop) == (2.0, 0.012, 0.018)


def test_what_extends_a_file_keeps_what_it_does_not_say(tmp_path: Path) -> None:
    base = "version: 2\nextends: edge\nmemories: {AL1: 4KiB}\nenergies: {MAC: 1, hop: 2}\ncore_array: roofline\n"
    base += "macs_per_cycle_by_type: {fp16: 1024}\n"
    yaml_file(tmp_path, base, "base.yaml")
    top = yaml_file(tmp_path, "version: 2\nextends: base.yaml\nmemories: {WL1: 8KiB}\nenergies: {hop: 3}\n")
    top.write_text(top.read_text() + "macs_per_cycle_by_type: {int4: 16384}\n")
    platform = platform_from(str(top))
    assert platform.memory_bytes == (("AL1", 4096), ("WL1", 8192))
    assert platform.energy_pj == (("MAC", 1.0), ("hop", 3.0))
    assert platform.core_array == "roofline"
    assert platform.macs_per_cycle_by_type == (("fp16", 1024), ("int4", 16384))


def test_a_bandwidth_per_second_stays_when_the_clock_is_another(tmp_path: Path) -> None:
    base = PLATFORMS["edge"]  # 16 GB/s to DRAM, 256 bytes per cycle to the PEs
    fast = platform_from(str(yaml_file(tmp_path, "version: 2\nextends: edge\nclock: 1.2GHz\n")))
    assert fast == replace(base, clock_hz=1_200_000_000, dram_bytes_per_cycle=Fraction(40, 3))
    assert fast.dram_bytes_per_second == pytest.approx(16e9)
    assert with_overrides(fast, None, "24GB/s").dram_bytes_per_cycle == 20
    document = platform_document(fast)
    assert document["dram_bytes_per_cycle"] == "40/3"
    assert platform_from_document(document, "here") == fast


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("memories: {AL2: 4KiB}", 'memories: "AL2" is not a field (must be one of AL1, WL1, OL1); did you mean'),
        ("memories: {AL1: 4 GHz}", 'memories: AL1="4 GHz" (must be a size such as 4MiB'),
        ("memories: 5", "memories=5 (must be an object with some of AL1, WL1, OL1)"),
        ("energies: {MAC: 1pJ/B}", 'energies: MAC="1pJ/B" (must be an energy such as 0.018 pJ, from 0 to'),
        ("energies: {GBUF_read: -1}", "energies: GBUF_read=-1 (must be an energy such as 84 pJ/B or 10.5 pJ/bit"),
        ("energies: {GBUF_read: .nan}", "energies: GBUF_read=NaN (must be an energy"),
        ("clock: 940", "clock=940 (must be a frequency such as 1GHz"),
        ("clock: 0 Hz", 'clock="0 Hz" (must be a frequency such as 1GHz or 800MHz, a whole number of Hz'),
        ("gbuf_bandwidth: 1.5 B/cycle", 'gbuf_bandwidth="1.5 B/cycle" (is 1.5 bytes per cycle at 1000 MHz; must be a'),
        ("dram_bandwidth: 0.5 GB/s", 'dram_bandwidth="0.5 GB/s" (is 0.5 bytes per cycle at 1000 MHz; must be from 1'),
        ("macs_per_cycle_by_type: {fp17: 1}", 'macs_per_cycle_by_type: "fp17" is not a field (must be one of int1'),
        (
            "macs_per_cycle_by_type: {int8: 1}",
            'macs_per_cycle_by_type: "int8" is not a field here: the rate of INT8 is',
        ),
        (
            "mac_energy_by_type: {int8: 1 pJ}",
            'mac_energy_by_type: "int8" is not a field here: the energy of INT8 is MAC',
        ),
        ("macs_per_cycle_by_type: {fp16: 0.5}", "macs_per_cycle_by_type: fp16=0.5 (must be a whole number from 1 to"),
        ("mac_energy_by_type: {fp16: 1 pJ/B}", 'mac_energy_by_type: fp16="1 pJ/B" (must be an energy such as 0.018 pJ'),
        # 8,192 multiply-accumulates of edge, divided and multiplied by 1,024.
        (
            "macs_per_cycle_by_type: {fp16: 7}",
            "macs_per_cycle_by_type fp16=7 (must be from 8 to 8388608: at most 1024 times fewer or more than the 8192",
        ),
        ("macs_per_cycle_by_type: {fp16: 8388609}", "macs_per_cycle_by_type fp16=8388609 (must be from 8 to 8388608"),
        ("core_array: {name: roofline}", "core_array: must have model, the name of a core-array model"),
        ("core_array: {model: x, y: [1]}", "core_array: must have model"),
        ("semantics: fixed", 'semantics="fixed" (must be published or corrected)'),
        ("vector_ops: 0", "vector_ops=0 (must be a whole number from 1 to"),
    ],
)
def test_a_fault_of_a_field(tmp_path: Path, line: str, problem: str) -> None:
    (found,) = yaml_problems(yaml_file(tmp_path, f"version: 2\nextends: edge\n{line}\n"))
    assert found.startswith(f"line 3: {problem}")


def test_faults_of_nested_fields_have_their_own_lines(tmp_path: Path) -> None:
    text = "version: 2\nextends: edge\nenergies:\n  MAC: 1 pJ\n  hop: 3 J\n  hip: 1\nmemories: {AL1: 0}\n"
    found = yaml_problems(yaml_file(tmp_path, text))
    assert [problem.split(" (")[0] for problem in found] == [
        "line 7: memories: AL1=0",
        'line 5: energies: hop="3 J"',
        'line 6: energies: "hip" is not a field',
    ]


def test_platforms_made_in_python_are_checked() -> None:
    for changes, message in (
        ({"dram_bytes_per_cycle": Fraction(1, 2)}, "dram_bytes_per_cycle=1/2"),
        ({"dram_bytes_per_cycle": Fraction(1001, 1000) + Fraction(1, 1001)}, "denominator of at most 1000"),
        ({"memory_bytes": (("AL9", 5),)}, "memory_bytes names 'AL9'"),
        ({"memory_bytes": (("AL1", 0),)}, "memory_bytes AL1=0"),
        ({"energy_pj": (("MAC", 1.0), ("MAC", 2.0))}, "energy_pj names 'MAC'"),
        ({"energy_pj": (("MAC", math.nan),)}, "MAC=nan pJ"),
        ({"semantics": "true"}, "semantics='true'"),
        ({"macs_per_cycle_by_type": (("int8", 8192),)}, "macs_per_cycle_by_type names 'int8'"),
        ({"macs_per_cycle_by_type": (("fp32", 7),)}, r"macs_per_cycle_by_type fp32=7 \(must be from 8 to 8388608: at"),
        ({"macs_per_cycle_by_type": (("fp32", 8388609),)}, "macs_per_cycle_by_type fp32=8388609"),
        ({"macs_per_cycle_by_type": (("fp32", 8),), "pe_grid": 8}, r"fp32=8 \(must be from 32 to"),
        ({"mac_pj_by_type": (("fp32", -1.0),)}, "mac_pj_by_type fp32=-1.0 pJ"),
    ):
        with pytest.raises(PlatformError, match=message):
            replace(PLATFORMS["edge"], **changes)


def test_energies_in_whole_numbers_are_the_same_as_with_a_point(document: Document) -> None:
    whole = platform_from_document(document | {"energy_pj": {"MAC": 1}, "dram_pj_per_byte": 84}, "here")
    assert whole == platform_from_document(document | {"energy_pj": {"MAC": 1.0}, "dram_pj_per_byte": 84.0}, "here")
    types = [type(value) for value in (whole.dram_pj_per_byte, dict(whole.energy_pj)["MAC"])]  # for the kernels
    assert types == [float, float]


def test_a_name_is_for_people_alone(document: Document, tmp_path: Path) -> None:
    named = platform_from_document(document | {"name": "my board"}, "here")
    assert named == platform_from_document(document, "here")
    assert (named.name, platform_document(named)["name"]) == ("my board", "my board")
    assert with_overrides(named, "1MiB", None).name == ""
    base = yaml_file(tmp_path, "version: 2\nname: base\nextends: edge\ngbuf: 2MiB\n", "base.yaml")
    assert platform_from(str(base)).name == "base"
    assert platform_from(str(yaml_file(tmp_path, "version: 2\nextends: base.yaml\n"))).name == ""


def test_sram_sizes_between_those_of_the_table_cost_what_the_next_larger_does() -> None:
    edge = PLATFORMS["edge"]  # 32 KiB of weights with a port of 128 bits
    odd = unit_energies(replace(edge, memory_bytes=(("WL1", 20_000),)))
    assert (odd.WL1_read, odd.WL1_write) == (unit_energies(edge).WL1_read, unit_energies(edge).WL1_write)
    small = unit_energies(replace(edge, memory_bytes=(("WL1", 9000),)))
    assert small.WL1_read == pytest.approx(4.8 * 0.06848125)
    huge = unit_energies(replace(edge, memory_bytes=(("WL1", 1 << 20),)))
    assert huge.WL1_read == odd.WL1_read


def test_overrides() -> None:
    edge = PLATFORMS["edge"]
    assert with_overrides(edge, None, None) == edge
    assert with_overrides(edge, "4MiB", "32GB/s") == replace(edge, gbuf_bytes=4 << 20, dram_bytes_per_cycle=32)
    for buffer, dram, option in (
        ("4mib", None, "--buffer=4mib"),
        (None, "0GB/s", "--dram=0GB/s"),
        ("5GiB", None, "--buffer=5GiB"),
    ):
        with pytest.raises(UserError, match=f"{option} \\(must be a "):
            with_overrides(edge, buffer, dram)
