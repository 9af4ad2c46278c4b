"""``soma-cp schema``: schemas are valid, take what the readers take, and refuse what they refuse for its form."""

import copy
import datetime
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import event, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support.changed_documents import changed
from support.command_line import Run, assert_refused
from support.divided_cases import divided_schedule
from support.onnx_models import gpt2_block
from support.paths import DATA, PUBLISHED
from support.repeated_cases import repeated_schedule
from support.strategies import cases
from support.sweep_rows import made_row
from support.sweep_store import case_rows, ruled_rows
from support.twins import examples

from soma_cp.cli.completion import platform_names, schema_names
from soma_cp.cli.result_schema import TYPES, result_schema
from soma_cp.cli.schema_names import SchemaName
from soma_cp.model.errors import UserError
from soma_cp.model.files.yaml_file import read_yaml
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.fields import OTHER_TYPES
from soma_cp.model.hardware.platform_file import platform_document, platform_from_document, read_platform_file
from soma_cp.model.hardware.platform_schema import platform_schema
from soma_cp.model.hardware.presets import PRESETS, preset_path
from soma_cp.model.network.builtin.catalogue import builtin_names, builtin_network
from soma_cp.model.network.network_file import network_document, network_from_document
from soma_cp.model.network.network_schema import network_schema
from soma_cp.model.soma.figures import FIGURES, Unit
from soma_cp.model.soma.schedule_document import schedule_document
from soma_cp.model.soma.schedule_file import schedule_from_document
from soma_cp.model.soma.schedule_schema import schedule_schema
from soma_cp.solver.sweep.marks import marked

Document = dict[str, Any]
NAMES = [name.value for name in SchemaName]
MADE_BY = {
    "network": network_schema,
    "hardware": platform_schema,
    "schedule": schedule_schema,
    "result": result_schema,
}
RECORDED = sorted((DATA / "recorded").glob("*.schedule.json"))
STORED = sorted((PUBLISHED / "schedules").glob("*.json"))


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(MADE_BY[name]())


def faults(name: str, document: object) -> list[str]:
    return [f"{fault.json_path}: {fault.message[:200]}" for fault in validator(name).iter_errors(document)]


def loaded(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def file_name(path: Path) -> str:
    return path.name


# The command.


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid_and_says_what_it_is(name: str, run: Run) -> None:
    document = run("schema", name).document
    Draft202012Validator.check_schema(document)
    assert list(document)[:3] == ["$schema", "title", "description"]
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "$id" not in document


@pytest.mark.parametrize("name", NAMES)
def test_a_file_holds_what_would_be_printed(name: str, run: Run) -> None:
    printed = run("schema", name).out
    assert printed.isascii()
    assert run("schema", name, "-o", "written.json").out == f"schema of {name} written to written.json\n"
    assert Path("written.json").read_text(encoding="utf-8") == printed
    assert [path.name for path in Path().iterdir()] == ["written.json"]


def test_an_unknown_name_is_refused_with_the_known_ones(run: Run) -> None:
    assert_refused(run("schema", "networks"), "schema networks", *NAMES, "did you mean 'network'?")
    assert_refused(run("schema"), "missing argument 'WHAT'", "see 'soma-cp schema --help'")


def test_names_are_completed() -> None:
    assert schema_names("") == NAMES
    assert schema_names("h") == ["hardware"]


def test_a_file_that_can_not_be_written_is_refused(run: Run) -> None:
    assert_refused(run("schema", "network", "-o", "missing/schema.json"), "missing/schema.json", "no such file")


def properties(schema: Any) -> list[tuple[str, Document]]:
    """Return the properties of all objects within a schema."""
    found: list[tuple[str, Document]] = []
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            found += [item for item in schema.get("properties", {}).items() if isinstance(item[1], dict)]
        for part in schema.values():
            found += properties(part)
    elif isinstance(schema, list):
        for part in schema:
            found += properties(part)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_property_is_described(name: str) -> None:
    parts = {"AL1", "WL1", "OL1", "MAC", "hop", "vector_operation", *OTHER_TYPES}
    described = {property for property, schema in properties(MADE_BY[name]()) if schema.get("description")}
    missing = {property for property, schema in properties(MADE_BY[name]()) if property not in described}
    assert not {name for name in missing - parts if not name.endswith(("_read", "_write"))} - {"model"}


# What validates.


@pytest.mark.parametrize("name", builtin_names())
def test_built_in_networks_validate(name: str, run: Run) -> None:
    assert run("nets", "--export", name, "-o", "network.json").code == 0
    assert faults("network", loaded(Path("network.json"))) == []


@pytest.mark.parametrize("path", sorted((PUBLISHED / "networks").glob("*.json")), ids=file_name)
def test_published_networks_validate(path: Path) -> None:
    assert faults("network", loaded(path)) == []


@pytest.mark.parametrize("name", PRESETS)
def test_built_in_platforms_validate(name: str, run: Run) -> None:
    assert name in platform_names("")
    assert run("hw", "--export", name, "-o", "board.yaml").code == 0
    assert faults("hardware", read_yaml(Path("board.yaml")).fields) == []
    assert faults("hardware", platform_document(PLATFORMS[name])) == []


@pytest.mark.parametrize("space", ["paper", "wide"])
def test_schedules_of_both_spaces_validate(space: str, run: Run) -> None:
    assert run("solve", "tiny-attention", "--space", space, "--stage2", "greedy", "-o", "s.json").code == 0
    document = loaded(Path("s.json"))
    assert document["version"] == (2 if space == "wide" else 1)
    assert faults("schedule", document) == []


@pytest.mark.parametrize("path", RECORDED + STORED, ids=file_name)
def test_stored_schedules_validate(path: Path) -> None:
    assert faults("schedule", loaded(path)) == []


# What commands print.

TINY = ("tiny-chain", "--time-limit", "1", "--deterministic")
W4A16 = ("--weights", "int4/128", "--weight-ratio", "0.7", "--activations", "fp16")
PRINTED = {
    "solve": ("solve", *TINY),
    "solve --exact": ("solve", *TINY, "--exact"),
    "solve --blocks": (
        "solve",
        "gpt2-small",
        "--seq",
        "32",
        "--blocks",
        "2",
        "--stage2",
        "greedy",
        "--time-limit",
        "2",
    ),
    "solve --advise": ("solve", *TINY, "--advise"),
    "solve --weights": ("solve", *TINY, *W4A16),
    "compare": ("compare", *TINY),
    "compare of two": ("compare", *TINY, "--batch", "1", "--batch", "2"),
    "compare --weights": ("compare", *TINY, *W4A16),
    "compare of two --weights": ("compare", *TINY, *W4A16, "--batch", "1", "--batch", "2"),
    "compare --baselines": ("compare", *TINY, "--baselines"),
    "solve --lfa cocco": ("solve", *TINY, "--lfa", "cocco"),
    "gap": ("gap", *TINY),
    "gap --weights": ("gap", *TINY, *W4A16),
    "nets": ("nets",),
    "hw": ("hw",),
}


def check_result(title: str, document: Document) -> None:
    """Check that the alternative of a title takes the document, and no other does."""
    assert faults("result", document) == []
    alternatives = result_schema()["oneOf"]
    takes = [one["title"] for one in alternatives if Draft202012Validator(one).is_valid(document)]
    assert takes == [title]
    assert faults("result", document | {"unknown": 1}) != []


@pytest.mark.parametrize("case", PRINTED)
def test_what_commands_print_validates(case: str, run: Run) -> None:
    command = case.removesuffix(" --weights")
    titles = {"compare": "compare, one LFA", "compare of two": "compare, several LFAs"}
    title = command if command == "compare --baselines" else titles.get(command, case.split()[0])
    check_result(title, run(*PRINTED[case], "--json").document)


def test_what_commands_print_about_a_schedule_validates(run: Run) -> None:
    run("solve", *TINY, "-o", "s.json")
    check_result("evaluate", run("evaluate", "s.json", "--json").document)
    check_result("compare, one LFA", run("compare", "--schedule", "s.json", "--time-limit", 1, "--json").document)
    fixed = run("solve", "--fix-lfa", "s.json", "--time-limit", 1, "--deterministic", "--json").document
    assert {"fix_lfa", "lfa_from", "start"} & fixed.keys()
    check_result("solve", fixed)
    run("solve", *TINY, *W4A16, "-o", "t.json")
    assert faults("schedule", loaded(Path("t.json"))) == []
    typed = run("evaluate", "t.json", "--json").document
    assert "data_types" in typed
    check_result("evaluate", typed)
    resumed = run("solve", "--resume", "s.json", "--time-limit", 1, "--json").document
    assert resumed["run"] == 1
    check_result("solve", resumed)


@pytest.mark.parametrize("dimension", [(), ("--dim", "sequence=32")])
def test_what_a_check_of_a_model_prints_validates(dimension: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    """Without the dimension, the model is refused."""
    model = gpt2_block(width=64, heads=4).save(tmp_path / "block.onnx")
    document = json.loads(run("nets", "--check", model, *dimension, "--format", "json").out)
    assert document["supported"] == bool(dimension)
    check_result("nets --check", document)


def swept() -> Document:
    """Return what ``sweep --json`` writes of rows that are done, infeasible and failed, with and without a rule."""
    rows = [*ruled_rows(), *case_rows()[:4], made_row("resnet50", "edge", 1, "ours", status="failed", message="died")]
    return {"result": "sweep", "version": 1, "tool_version": "0.1.0", "rows": [dict(row) for row in marked(rows)]}


def test_what_sweeps_write_validates() -> None:
    check_result("sweep", swept())


@pytest.mark.parametrize(
    "change",
    [
        {"key": None},
        {"net": None},
        {"batch": 1.5},
        {"buffer_bytes": "8 MiB"},
        {"method": "papr-2"},
        {"status": "ended"},
        {"message": None},
        {"tiling": "biggest"},
        {"uncapped": 0},
        {"latency_cycles": 1.5},
        {"cost": "1"},
        {"beaten_by": False},
        {"seconds": 1.0},
    ],
    ids=str,
)
def test_a_row_of_wrong_types_is_refused(change: Document) -> None:
    document = swept()
    document["rows"][0] |= change
    assert faults("result", document) != []


def test_a_row_lacks_nothing() -> None:
    for name in swept()["rows"][0]:
        document = swept()
        del document["rows"][0][name]
        assert faults("result", document) != [], name


def test_results_have_every_figure_with_the_type_of_its_unit() -> None:
    assert set(TYPES) == set(Unit)
    solved = next(one for one in result_schema()["oneOf"] if one["title"] == "solve")
    for row in FIGURES:
        assert row.meaning, row.name
        if row.in_json:
            found = dict(solved["properties"][row.name])
            if row.may_be_null:
                found["type"] = found["type"][0]
            assert found.items() >= TYPES[row.unit].items()
            assert row.name in solved["required"]
            assert not row.former or solved["properties"][row.former]["deprecated"]
    assert solved["properties"]["energy_pj"]["description"] == "Energy (pJ)"


@pytest.mark.parametrize(
    "change",
    [
        {"latency_cycles": "1"},
        {"latency": -1},
        {"version": 2},
        {"proven_optimal": 1},
        {"space": "narrow"},
        {"exact": True},
    ],
    ids=str,
)
def test_a_result_of_wrong_types_is_refused(change: Document) -> None:
    document = loaded(DATA / "recorded" / "tiny-chain.solve.json") | {"seconds": 1.5, "tool_version": "0.1.0"}
    assert faults("result", document) == []
    assert faults("result", document | change) != []


def test_a_result_may_say_whose_it_is() -> None:
    document = loaded(DATA / "recorded" / "tiny-chain.solve.json") | {"seconds": 1.5, "tool_version": "0.1.0"}
    head = {"result": "solve", "version": 1, "tool_version": "0.1.0"}
    assert faults("result", head | document) == []
    assert faults("result", head | document | {"result": "gap"}) != []
    assert faults("result", head | document | {"version": 2}) != []


# What is refused, by the schema and by the reader.

NETWORK: Document = {
    "version": 2,
    "name": "every kind",
    "inputs": [{"name": "x", "shape": [4, 8, 8]}],
    "outputs": ["up", "fc"],
    "layers": [
        {"name": "conv", "kind": "conv", "C": 4, "K": 8, "R": 3, "S": 3, "H": 8, "W": 8, "sH": 1, "sW": 1}
        | {"dH": 1, "dW": 2, "weights": "w", "inputs": ["x"]},
        {"name": "group", "kind": "group_conv", "C": 8, "K": 8, "G": 8, "R": 3, "S": 3, "H": 8, "W": 8}
        | {"sH": 1, "sW": 1, "ifmaps": ["conv"]},
        {"name": "sum", "kind": "eltwise", "N": 2, "K": 8, "H": 8, "W": 8, "ifmaps": ["conv", "group"]},
        {"name": "ptp", "kind": "ptp", "K": 8, "H": 8, "W": 8, "ifmaps": ["sum"]},
        {"name": "swap", "kind": "transpose", "order": "HCW", "K": 8, "H": 8, "W": 8, "ifmaps": ["ptp"]},
        {"name": "rows", "kind": "transpose", "order": "C**", "ifmap": [8, 8, 8], "K": 8, "H": 64, "W": 1}
        | {"ifmaps": ["swap"]},
        {"name": "up", "kind": "upsample", "sK": 1, "sH": 2, "sW": 2, "K": 8, "H": 16, "W": 16, "ifmaps": ["ptp"]},
        {"name": "pool", "kind": "pool", "K": 8, "R": 64, "S": 1, "H": 1, "W": 1, "sH": 1, "sW": 1}
        | {"ifmaps": ["rows"]},
        {"name": "fc", "kind": "fc", "C": 8, "K": 10, "ifmaps": ["pool"]},
    ],
}
JSON_HARDWARE: Document = {
    "version": 1,
    "name": "board",
    "gbuf_bytes": 8388608,
    "pe_grid": [16, 8],
    "macs_per_pe": 512,
    "gbuf_bytes_per_cycle": 256,
    "dram_bytes_per_cycle": "128/5",
    "vector_ops": None,
    "memory_bytes": {"AL1": 1024},
    "energy_pj": {"MAC": 0.01},
    "macs_per_cycle_by_type": {"fp16": 1024},
    "mac_pj_by_type": {"fp16": 0.1},
    "core_array": "roofline",
    "core_array_options": {"a": "b"},
}
YAML_HARDWARE: Document = {
    "version": 2,
    "name": "board",
    "clock": "800 MHz",
    "gbuf": "4 MiB",
    "gbuf_bandwidth": 128,
    "dram_bandwidth": "12.8 GB/s",
    "dram_energy": "4 pJ/bit",
    "pe_grid": "16x8",
    "macs_per_pe": 64,
    "memories": {"AL1": "1 KiB", "WL1": 4096},
    "energies": {"MAC": "18 fJ", "AL1_read": 0.5},
    "macs_per_cycle_by_type": {"fp16": 1024, "int4": 16384},
    "mac_energy_by_type": {"fp16": "0.1 pJ", "int4": 0.01},
    "core_array": {"model": "roofline"},
    "semantics": "corrected",
}
SCHEDULE: Document = loaded(DATA / "recorded" / "tiny-attention-wide-space.schedule.json")


def read_network(document: Any) -> None:
    network_from_document(document, "network")


def read_json_hardware(document: Any) -> None:
    platform_from_document(document, "hardware")


def read_schedule(document: Any) -> None:
    schedule_from_document(document, "schedule")


def yaml_reader(folder: Path) -> Callable[[Any], None]:
    """Return the reader of hardware files of version 2, which reads what `folder` holds."""

    def read(document: Any) -> None:
        path = folder / "board.yaml"
        path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        read_platform_file(path)

    return read


def accepts(read: Callable[[Any], None], document: Any) -> bool:
    try:
        read(copy.deepcopy(document))
    except UserError:
        return False
    return True


Change = Callable[[Document], object]


def of_layer(number: int, **fields: object) -> Change:
    return lambda document: document["layers"][number].update(fields)


def of_file(**fields: object) -> Change:
    return lambda document: document.update(fields)


def without(*keys: str) -> Change:
    return lambda document: [document.pop(key) for key in keys]


NETWORK_FAULTS: dict[str, Change] = {
    "no name": without("name"),
    "no layers": without("layers"),
    "unknown key": of_file(nmae="x"),
    "unknown version": of_file(version=4),
    "types in version 2": of_file(weight_type="int4"),
    "type of a layer in version 2": of_layer(0, activation_type="fp16"),
    "unknown type": of_file(version=3, activation_type="fp17"),
    "unknown weights": of_file(version=3, weight_type="int4:16"),
    "unknown type of a layer": of_layer(0, accumulator_type="int9"),
    "no ratio": of_file(version=3, weight_ratio=0),
    "weights of a pool": of_layer(3, weight_type="int4"),
    "version as text": of_file(version="2"),
    "version 1 with outputs": of_file(version=1),
    "version 2 without outputs": without("outputs"),
    "a name of two lines": of_file(name="a\nb"),
    "an empty name": of_file(name=""),
    "no blocks": of_file(blocks=0),
    "layers as an object": of_file(layers={}),
    "an input of two extents": of_file(inputs=[{"name": "x", "shape": [1, 1]}]),
    "an input without a shape": of_file(inputs=[{"name": "x"}]),
    "unknown kind": of_layer(0, kind="convolution"),
    "kind as number": of_layer(0, kind=1),
    "no kind": lambda document: document["layers"][0].pop("kind"),
    "no channels": lambda document: document["layers"][0].pop("C"),
    "a field of another kind": of_layer(0, G=2),
    "unknown key of a layer": of_layer(3, padding=1),
    "negative size": of_layer(0, K=-8),
    "fraction": of_layer(0, K=8.5),
    "number as text": of_layer(0, K="8"),
    "true for a number": of_layer(0, K=True),
    "nothing for a number": of_layer(0, K=None),
    "too large a number": of_layer(0, K=2**31),
    "one name in place of a list": of_layer(1, ifmaps="conv"),
    "nothing in place of a list": of_layer(1, ifmaps=None),
    "order of unknown letters": of_layer(4, order="XYZ"),
    "order of four letters": of_layer(4, order="HCWH"),
    "derived field of the wrong type": of_layer(3, weight_bytes="0"),
    "derived field that is null": of_layer(3, ofmap=None),
}
JSON_FAULTS: dict[str, Change] = {
    "no buffer": without("gbuf_bytes"),
    "unknown key": of_file(gbuf="4 MiB"),
    "size with a unit": of_file(gbuf_bytes="4 MiB"),
    "negative size": of_file(gbuf_bytes=-1),
    "too large a size": of_file(gbuf_bytes=2**33),
    "three sides": of_file(pe_grid=[4, 4, 4]),
    "no sides": of_file(pe_grid="4 by 4"),
    "fraction with spaces": of_file(dram_bytes_per_cycle="128 / 5"),
    "bandwidth as decimal": of_file(dram_bytes_per_cycle=25.6),
    "fraction where a whole number is needed": of_file(gbuf_bytes_per_cycle="128/5"),
    "negative energy": of_file(dram_pj_per_byte=-0.5),
    "unknown memory": of_file(memory_bytes={"AL2": 4}),
    "unknown energy": of_file(energy_pj={"mac": 4}),
    "rate of INT8": of_file(macs_per_cycle_by_type={"int8": 4}),
    "rate of an unknown type": of_file(macs_per_cycle_by_type={"fp17": 4}),
    "energy of a type as text": of_file(mac_pj_by_type={"fp16": "1 pJ"}),
    "memories as a list": of_file(memory_bytes=[1024]),
    "option that is no text": of_file(core_array_options={"a": 1}),
    "unknown semantics": of_file(semantics="mine"),
    "empty core array": of_file(core_array=""),
    "name that is null": of_file(name=None),
}
YAML_FAULTS: dict[str, Change] = {
    "no version": without("version"),
    "no buffer and nothing extended": without("gbuf"),
    "no array and nothing extended": without("pe_grid", "macs_per_pe"),
    "both forms of the array": of_file(macs_per_cycle=2048),
    "unknown key": of_file(gbuf_bytes=4194304),
    "clock without a unit": of_file(clock=800),
    "clock of an unknown unit": of_file(clock="800 mhz"),
    "size of an unknown unit": of_file(gbuf="4 MiBs"),
    "negative size": of_file(gbuf="-4 MiB"),
    "size as a list": of_file(gbuf=[4]),
    "empty field": of_file(gbuf=None),
    "size in place of a bandwidth": of_file(dram_bandwidth="12.8 GB"),
    "bandwidth of zero": of_file(dram_bandwidth=0),
    "negative bandwidth": of_file(gbuf_bandwidth=-1),
    "true for a bandwidth": of_file(gbuf_bandwidth=True),
    "energy of an operation for that of a byte": of_file(dram_energy="4 pJ"),
    "energy of a byte for that of an operation": of_file(energies={"MAC": "4 pJ/B"}),
    "unknown memory": of_file(memories={"AL2": "1 KiB"}),
    "empty memory": of_file(memories={"AL1": None}),
    "fraction of a MAC": of_file(macs_per_pe=1.5),
    "core array without a model": of_file(core_array={"option": 1}),
    "core array with a list": of_file(core_array={"model": "roofline", "option": [1]}),
    "number as name": of_file(name=4),
    "number as base": of_file(extends=4),
}
SCHEDULE_FAULTS: dict[str, Change] = {
    "no LFA": without("lfa"),
    "unknown key": of_file(latencies=1),
    "unknown version": of_file(version=3),
    "no samples": of_file(batch=0),
    "network as number": of_file(network=4),
    "a broken network": of_file(network=NETWORK | {"version": 1}),
    "hardware of version 2": of_file(hardware=YAML_HARDWARE),
    "negative figure": of_file(tiles=-1),
    "figure as text": of_file(energy_pj="1"),
    "bound as text": of_file(proven_lower_bound="1"),
    "verdict as number": of_file(proven_optimal=1),
    "unknown figure expected": of_file(expect={"latencies": 1}),
    "no FLGs": lambda document: document["lfa"].update(flgs=[]),
    "cut as number": lambda document: document["lfa"]["flgs"][0].update(dram_cut=1),
    "no tiles": lambda document: document["lfa"]["flgs"][0].update(tiling_number=0),
    "no layers": lambda document: document["lfa"]["flgs"][0].update(layers=[]),
    "shared load without a source": lambda document: document["lfa"].update(shared_loads=[{"layer": "k"}]),
    "division without channels": lambda document: document["lfa"].update(divisions=[{"layer": "k"}]),
    "division into one part": lambda document: document["lfa"].update(divisions=[{"layer": "k", "channels": [8]}]),
    "part of no channels": lambda document: document["lfa"].update(divisions=[{"layer": "k", "channels": [8, 0]}]),
    "unknown column": lambda document: document["dlsa"]["columns"].append("size"),
    "no column of layers": lambda document: document["dlsa"]["columns"].remove("layer"),
    "a column twice": lambda document: document["dlsa"]["columns"].__setitem__(4, "tile"),
    "unknown kind of tensor": lambda document: document["dlsa"]["dram_tensor_order"][0].__setitem__(0, "weight"),
    "row that is too short": lambda document: document["dlsa"]["dram_tensor_order"][0].pop(),
    "row of wrong types": lambda document: document["dlsa"]["dram_tensor_order"][0].__setitem__(2, "0"),
    "row that is an object": lambda document: document["dlsa"]["dram_tensor_order"].append({}),
    "tile shapes of three extents": of_file(tile_shapes={"qk": [1, 1, 1]}),
    "provenance as text": of_file(provenance="soma-cp"),
}


def check_fault(name: str, read: Callable[[Any], None], sound: Document, change: Change) -> None:
    assert accepts(read, sound)
    assert faults(name, sound) == []
    broken = copy.deepcopy(sound)
    change(broken)
    assert not accepts(read, broken)
    assert faults(name, broken) != []


@pytest.mark.parametrize("fault", NETWORK_FAULTS)
def test_a_broken_network_is_refused(fault: str) -> None:
    check_fault("network", read_network, NETWORK, NETWORK_FAULTS[fault])


@pytest.mark.parametrize("fault", JSON_FAULTS)
def test_a_broken_platform_in_json_is_refused(fault: str) -> None:
    check_fault("hardware", read_json_hardware, JSON_HARDWARE, JSON_FAULTS[fault])


@pytest.mark.parametrize("fault", YAML_FAULTS)
def test_a_broken_platform_in_yaml_is_refused(fault: str, tmp_path: Path) -> None:
    check_fault("hardware", yaml_reader(tmp_path), YAML_HARDWARE, YAML_FAULTS[fault])


@pytest.mark.parametrize("fault", SCHEDULE_FAULTS)
def test_a_broken_schedule_is_refused(fault: str) -> None:
    check_fault("schedule", read_schedule, SCHEDULE, SCHEDULE_FAULTS[fault])


@pytest.mark.parametrize("document", [None, [], "network", 4, {}])
def test_what_is_no_such_object_is_refused(document: object) -> None:
    for name, read in (("network", read_network), ("hardware", read_json_hardware), ("schedule", read_schedule)):
        assert not accepts(read, document)
        assert faults(name, document) != []


# The reader takes it, so the schema does.


@pytest.mark.parametrize(
    "change",
    [
        {"dram_bandwidth": 0.9999},  # rounded to 1 byte per cycle
        {"dram_bandwidth": " 1.5 kB/cycle "},
        {"dram_bandwidth": "32"},
        {"gbuf": 4194304},
        {"gbuf": "4194304"},
        {"gbuf": "0.5GiB"},
        {"dram_energy": "80 fJ/bit"},
        {"dram_energy": 84},
        {"energies": {}},
        {"energies": {"hop": "0", "MAC": "0.018"}},
        {"pe_grid": " 16 × 8 "},
        {"pe_grid": [16, 8]},
        {"pe_grid": 4},
        {"core_array": "roofline"},
        {"core_array": {"model": "roofline", "option": datetime.date(2020, 1, 1), "other": 1.5}},
    ],
    ids=str,
)
def test_every_way_to_write_a_quantity_validates(change: Document, tmp_path: Path) -> None:
    document = YAML_HARDWARE | change
    assert accepts(yaml_reader(tmp_path), document)
    assert faults("hardware", document) == []


def check_agreement(name: str, read: Callable[[Any], None], document: Any) -> None:
    taken = accepts(read, document)
    event(f"the reader takes it: {taken}")
    if taken:
        assert faults(name, document) == []


TYPED = NETWORK | {"version": 3, "weight_type": "int4/32:20", "activation_type": "fp16", "weight_ratio": 0.7}
networks = cases().map(lambda case: case.network) | st.just(NETWORK) | st.just(TYPED)
platforms = cases(max_layers=1).map(lambda case: case.hardware) | st.just(JSON_HARDWARE)
DIVIDED: Document = json.loads(json.dumps(schedule_document(divided_schedule())))
schedules = st.sampled_from(
    [
        SCHEDULE,
        DIVIDED,
        loaded(DATA / "recorded" / "tiny-chain.schedule.json"),
        loaded(DATA / "recorded" / "tiny-pool-fc.schedule.json")
        | {"network": network_document(builtin_network("tiny-pool-fc"))},
        loaded(PUBLISHED / "schedules" / "gpt2-small-decode.b1.8MiB.16GBps.json"),
    ]
)


def test_a_schedule_with_divided_layers_validates() -> None:
    assert faults("schedule", DIVIDED) == []


def test_a_schedule_in_passes_validates() -> None:
    document = json.loads(json.dumps(schedule_document(repeated_schedule())))
    assert faults("schedule", document) == []
    document["lfa"]["passes"] = {"count": 0}
    assert faults("schedule", document)


@examples(300)
@given(changed(networks))
def test_networks_that_are_read_validate(document: Any) -> None:
    check_agreement("network", read_network, document)


@examples(300)
@given(changed(platforms))
def test_platforms_in_json_that_are_read_validate(document: Any) -> None:
    check_agreement("hardware", read_json_hardware, document)


yaml_files = [
    YAML_HARDWARE,
    {"version": 2, "extends": "edge"},
    *(read_yaml(preset_path(name)).fields for name in PRESETS),
]


@examples(300)
@given(document=changed(st.sampled_from(yaml_files)))
def test_platforms_in_yaml_that_are_read_validate(tmp_path_factory: pytest.TempPathFactory, document: Any) -> None:
    check_agreement("hardware", yaml_reader(tmp_path_factory.getbasetemp()), document)


@examples(200)
@given(changed(schedules))
def test_schedules_that_are_read_validate(document: Any) -> None:
    check_agreement("schedule", read_schedule, document)
