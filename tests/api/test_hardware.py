"""Hardware from names, files and objects, with fields changed."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import soma_cp as sc
from soma_cp.model.hardware.fields import KIND


@pytest.mark.parametrize("name", sc.hardware_names())
def test_built_in_platforms_keep_their_names(name: str) -> None:
    assert sc.load_hardware(name).name == name
    assert sc.load_hardware(sc.load_hardware(name)) is sc.load_hardware(name)


def test_fields_are_changed_by_texts_with_units_and_by_numbers() -> None:
    edge = sc.load_hardware("edge")
    assert sc.load_hardware(edge, buffer="4MiB") == sc.load_hardware("edge", buffer=4 << 20)
    assert sc.load_hardware("edge", gbuf_bytes=4 << 20) == sc.load_hardware("edge", buffer="4MiB")
    assert sc.load_hardware("edge", dram="32 B/cycle").dram_bytes_per_cycle == 32
    assert sc.load_hardware("edge", dram=Fraction(64, 5)) == sc.load_hardware("edge", dram="12.8GB/s")
    assert sc.load_hardware("edge", buffer="4MiB").name == ""
    assert sc.load_hardware("edge", pe_grid=8).pe_grid == 8


def test_bandwidths_of_a_second_follow_the_clock_that_is_given_beside_them() -> None:
    fast = sc.load_hardware("edge", clock="2GHz", dram="32GB/s")
    assert (fast.clock_hz, fast.dram_bytes_per_cycle) == (2_000_000_000, 16)
    assert sc.load_hardware("edge", clock="2GHz").dram_bytes_per_cycle == sc.load_hardware("edge").dram_bytes_per_cycle


def test_a_hardware_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("version: 2\nextends: edge\nname: mine\ngbuf: 4 MiB\n", encoding="utf-8")
    assert sc.load_hardware(path) == sc.load_hardware("edge", buffer="4MiB", name="mine")
    assert sc.load_hardware(path, dram=8).dram_bytes_per_cycle == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"buffer": "4MB/s"}, r"buffer='4MB/s' \(must be a size"),
        ({"buffer": -1}, "must be"),
        ({"dram": "fast"}, r"dram='fast' \(must be"),
        ({"bufer": 1}, "no field 'bufer'; did you mean 'buffer'"),
        ({"mac_energy_by_type": {"fp16": 1}}, "no field 'mac_energy_by_type'; did you mean 'mac_pj_by_type'"),
        ({"macs_per_cycle_by_type": 4096}, r"macs_per_cycle_by_type=4096 \(must be a dict with some of int1"),
        ({"core_array_options": 3}, r"core_array_options=3 \(must be a dict\)"),
        ({"buffer": 1 << 20, "gbuf_bytes": 1 << 20}, "buffer and gbuf_bytes are the same field"),
    ],
)
def test_a_change_that_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(sc.UserError, match=message):
        sc.load_hardware("edge", **changes)


def test_every_field_of_a_platform_can_be_given_as_it_is() -> None:
    edge = sc.load_hardware("edge")
    assert sc.load_hardware("edge", **{field: getattr(edge, field) for field in KIND}) == edge


def test_a_platform_that_does_not_exist() -> None:
    with pytest.raises(sc.UserError, match="edg"):
        sc.load_hardware("edg")
