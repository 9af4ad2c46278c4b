"""Every field of a platform has a row, and the row suffices to read and write it in both versions of hardware files."""

import json
from dataclasses import MISSING, fields, replace
from pathlib import Path

import pytest
import yaml
from support.paths import DOCS

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS, platform_from
from soma_cp.model.hardware.field_kinds import Kind
from soma_cp.model.hardware.fields import FIELDS, KIND, Field
from soma_cp.model.hardware.platform import Platform, PlatformError
from soma_cp.model.hardware.platform_file import platform_document, platform_from_document

EDGE = PLATFORMS["edge"]
TEXTS = ("700 MHz", "3 MiB", "48 B/cycle", "5 pJ/bit", "5 fJ", "3", "128", "corrected")
"""Each kind of number or word takes one of them, and none is the value of edge."""
TEXTS_OF = {
    "name": "own",
    "dram_bytes_per_cycle": "48.5 B/cycle",
    "macs_per_cycle_by_type": "{int4: 16384}",
    "core_array": "roofline",
    "core_array_options": "{model: published, detail: 3}",
}
"""Texts of fields that take none of `TEXTS`, or need more."""


def text_of(kind: Kind) -> str:
    """Return YAML that the kind takes."""
    if kind.items:
        name, item = next(iter(kind.items.items()))
        return f"{{{name}: {text_of(item)}}}"
    for text in TEXTS:
        try:
            kind.yaml.read(yaml.safe_load(text))
        except ValueError:
            continue
        return text
    raise AssertionError("no text suits this kind; add one")


def platform_with(field: Field, folder: Path) -> Platform:
    """Return edge with another value of the field, read from a YAML file."""
    path = folder / "hw.yaml"
    (folder / "edge.json").write_text(json.dumps(platform_document(EDGE)))  # its bandwidths are per cycle
    path.write_text(
        f"version: 2\nextends: edge.json\n{field.yaml}: {TEXTS_OF.get(field.name) or text_of(field.kind)}\n"
    )
    return platform_from(str(path))


def label(field: Field) -> str:
    return field.name


def test_every_field_has_one_row_and_every_row_a_field() -> None:
    assert sorted(field.name for field in FIELDS) == sorted(field.name for field in fields(Platform))


@pytest.mark.parametrize("field", FIELDS, ids=label)
def test_a_row_is_read_from_version_2(field: Field, tmp_path: Path) -> None:
    platform = platform_with(field, tmp_path)
    value = getattr(platform, field.name)
    assert value != getattr(EDGE, field.name)
    assert replace(EDGE, **{field.name: value}) == platform


@pytest.mark.parametrize("field", FIELDS, ids=label)
def test_a_row_makes_the_round_trip_through_version_1(field: Field, tmp_path: Path) -> None:
    platform = platform_with(field, tmp_path)
    document = json.loads(json.dumps(platform_document(platform)))
    assert field.name in document
    again = platform_from_document(document, "here")
    assert getattr(again, field.name) == getattr(platform, field.name)
    assert again == platform


@pytest.mark.parametrize("field", [field for field in FIELDS if field.name != "name"], ids=label)
def test_what_version_1_says_can_be_extended(field: Field, tmp_path: Path) -> None:
    platform = platform_with(field, tmp_path)
    (tmp_path / "hw.json").write_text(json.dumps(platform_document(platform)))
    (tmp_path / "top.yaml").write_text("version: 2\nextends: hw.json\n")
    assert platform_from(str(tmp_path / "top.yaml")) == platform


@pytest.mark.parametrize("field", FIELDS, ids=label)
def test_docs_and_docstring_name_a_row(field: Field) -> None:
    assert Platform.__doc__ is not None
    assert f"\n    {field.name}\n" in Platform.__doc__
    text = (DOCS / "file-formats.md").read_text(encoding="utf-8")
    section = text.partition("\n## Hardware\n")[2].partition("\n## ")[0]
    assert f"| `{field.yaml}` |" in section
    assert f"`{field.name}`" in section or f'"{field.name}"' in section


@pytest.mark.parametrize("field", [field for field in FIELDS if field.kind.most], ids=label)
def test_a_platform_takes_no_more_than_a_row_allows(field: Field) -> None:
    most = field.kind.most
    assert getattr(replace(EDGE, **{field.name: most}), field.name) == most
    for value in (most + 1, 0, True, "1", 1.0):
        with pytest.raises(PlatformError, match=rf"^{field.name}=.* \(must be a whole number from 1 to {most}\)$"):
            replace(EDGE, **{field.name: value})


def test_a_default_is_what_a_platform_may_hold() -> None:
    for field in fields(Platform):
        if field.default is not MISSING:
            assert KIND[field.name].fault(field.name, field.default) is None
            assert KIND[field.name].normal(field.default) == field.default
