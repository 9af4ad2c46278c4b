"""The core array against all published figures, and against its plain-Python twin on random layers."""

import csv
import json
import pickle
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import slow_core_array, slow_types
from support.paths import PUBLISHED
from support.twins import examples

from soma_cp.model.data_types import DATA_TYPES, INT8, DataType, LayerTypes, WeightFormat, data_type, weight_format
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.hardware.core_array.published import MACS_PER_PE, PublishedCoreArray
from soma_cp.model.hardware.core_array.unit_energies import pe_memories, unit_energies
from soma_cp.model.hardware.platform import Platform, PlatformError, vec_and_lane
from soma_cp.model.hardware.presets import PAPER_PRESETS
from soma_cp.model.hardware.quantities import MIB
from soma_cp.model.network.layers import (
    LAYER_KINDS,
    Conv,
    ExternalInput,
    FullyConnected,
    GroupConv,
    Layer,
    PointToPoint,
)
from soma_cp.model.network.network import Network
from soma_cp.model.network.network_file import network_document, read_network_file
from soma_cp.model.network.network_table import network_table

TILE_COST_FILES = sorted(path.name for path in (PUBLISHED / "tilecost").glob("*.csv"))
PARTS = ("energy_pj", "gbuf_pj", "buffer_pj", "noc_pj", "mac_pj")
EDGE = PLATFORMS["edge"]


def close(figure: float, rel: float = 1e-9) -> object:
    return pytest.approx(figure, rel=rel, abs=0)


@cache
def published_network(name: str) -> Network:
    return read_network_file(PUBLISHED / "networks" / f"{name}.json")


def network_around(layer: Layer, types: tuple[DataType, DataType] = (INT8, INT8)) -> Network:
    """Return a network of `layer`, which comes last, and the layers that make its second operand, if any.

    `types` are those of its ifmap, and of its second operand if a layer makes that.
    """
    ifmap, operand = types
    inputs = [ExternalInput("x", layer.wanted_ifmap(), ifmap)]
    layers = [replace(layer, inputs=("x",))]
    if layer.weight_operands:
        shape = (layer.K, layer.C // getattr(layer, "G", 1), layer.R * layer.S)
        inputs.append(ExternalInput("y", shape))
        made = PointToPoint(name="operand", K=shape[0], H=shape[1], W=shape[2], inputs=("y",))
        layers.insert(0, replace(made, types=LayerTypes(operand)))
    return Network("around", tuple(inputs), tuple(layers))


def row_of_last_layer(network: Network, tile: tuple[int, int, int, int]) -> np.ndarray:
    return np.array([len(network.layers) - 1, *tile])


def price(
    platform: Platform,
    layer: Layer,
    tile: tuple[int, int, int, int],
    types: tuple[DataType, DataType] = (INT8, INT8),
) -> tuple[int, float]:
    network = network_around(layer, types)
    rows = row_of_last_layer(network, tile)[np.newaxis]
    cycles, energy_pj = PublishedCoreArray(platform).tile_costs(network_table(network), rows)
    return int(cycles[0]), float(energy_pj[0])


def fits(platform: Platform, layer: Layer, tile: tuple[int, int, int, int] = (1, 1, 1, 1)) -> bool:
    return price(platform, layer, tile)[0] >= 0


# Energies and sizes of the memories.


@pytest.mark.parametrize("name", ["edge", "cloud"])
def test_published_memories(name: str) -> None:
    published = json.loads((PUBLISHED / "hardware.json").read_text())["platforms"][name]["memories"]
    energies, memories = unit_energies(PLATFORMS[name]), pe_memories(PLATFORMS[name])
    for memory, figures in published.items():
        assert getattr(energies, f"{memory}_read") == close(figures["read_pj"], 1e-12)
        assert getattr(energies, f"{memory}_write") == close(figures["write_pj"], 1e-12)
    for memory, size in memories._asdict().items():
        assert size == published[memory]["bytes"]


@pytest.mark.parametrize("gbuf_bytes", [1, 2 * MIB - 1, 2 * MIB, 100 * MIB])
@pytest.mark.parametrize("macs_per_pe", MACS_PER_PE)
def test_memories_of_other_arrays_equal_the_twins(macs_per_pe: int, gbuf_bytes: int) -> None:
    platform = replace(EDGE, macs_per_pe=macs_per_pe, gbuf_bytes=gbuf_bytes)
    energies = unit_energies(platform)
    for memory, figures in slow_core_array.memories(asdict(platform)).items():
        assert getattr(energies, f"{memory}_read") == close(figures.read_pj, 1e-12)
        assert getattr(energies, f"{memory}_write") == close(figures.write_pj, 1e-12)
    for memory, size in pe_memories(platform)._asdict().items():
        assert size == slow_core_array.memories(asdict(platform))[memory].bytes


# Published tile costs.


@pytest.mark.parametrize("file", TILE_COST_FILES)
def test_published_tile_costs(file: str) -> None:
    network_name, platform_name, _ = file.rsplit(".", 2)
    network, array = published_network(network_name), PublishedCoreArray(PLATFORMS[platform_name])
    with (PUBLISHED / "tilecost" / file).open() as lines:
        published = list(csv.DictReader(lines))
    assert published
    tiles = np.array([[network.layer_id[row["layer"]], *(int(row[x]) for x in "bkhw")] for row in published])
    table = network_table(network)
    cycles, energy_pj = array.tile_costs(table, tiles)
    assert cycles.dtype == np.int64
    assert energy_pj.dtype == np.float64
    assert cycles.tolist() == [int(row["cycles"]) for row in published]
    for row, tile, total in zip(published, tiles, energy_pj, strict=True):
        assert total == close(float(row["energy_pj"]))
        cost = array.breakdown(network, table, tile)
        assert cost.cycles == int(row["cycles"])
        for part in PARTS:
            assert getattr(cost, part) == close(float(row[part])), (row["layer"], part)


# The twin.


def assert_equals_twin(
    platform: Platform,
    layer: Layer,
    tile: tuple[int, int, int, int],
    types: tuple[DataType, DataType] = (INT8, INT8),
) -> float | None:
    """Compare cost and parts; return the NoC energy (0 unless operands rotate), or None if infeasible."""
    network = network_around(layer, types)
    document = slow_types.resolved(network_document(network))
    try:
        expected = slow_core_array.tile_cost(document["layers"][-1], tile, asdict(platform), document)
    except slow_core_array.NoMapping:
        assert price(platform, layer, tile, types)[0] < 0
        return None
    cycles, energy_pj = price(platform, layer, tile, types)
    assert cycles == expected.cycles
    assert energy_pj == close(expected.energy_pj)
    cost = PublishedCoreArray(platform).breakdown(network, network_table(network), row_of_last_layer(network, tile))
    assert cost.cycles == expected.cycles
    for part in PARTS:
        assert getattr(cost, part) == close(getattr(expected, part))
    return cost.noc_pj


def sizes(most: int) -> st.SearchStrategy[int]:
    return st.integers(1, 6) | st.integers(1, most)


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    kind = draw(st.sampled_from(["conv", "group_conv", *LAYER_KINDS]))
    fields = {"name": "layer", "K": draw(sizes(1500)), "H": draw(sizes(150)), "W": draw(sizes(150))}
    if kind == "group_conv":
        groups = draw(sizes(64))
        fields |= {"G": groups, "C": groups * draw(sizes(40)), "K": groups * draw(sizes(40))}
    elif kind in ("conv", "fc"):
        fields["C"] = draw(sizes(3000))
    if kind == "fc":
        fields |= {"H": 1, "W": 1}
    if kind in ("conv", "group_conv", "fc", "pool"):
        window = sizes(9) if draw(st.integers(0, 9)) else sizes(50)
        fields |= {"R": draw(window), "S": draw(window), "sH": draw(sizes(4)), "sW": draw(sizes(4))}
    if kind in ("conv", "group_conv", "fc") and draw(st.booleans()):
        fields["weight_operands"] = ("operand",)
    if kind == "eltwise":
        fields["N"] = draw(st.integers(1, 4))
    if kind == "transpose":
        fields["order"] = draw(st.sampled_from(["CHW", "HCW", "WCH"]))
    if kind == "upsample":
        fields |= {"sH": draw(sizes(3)), "sW": draw(sizes(3))}
    return LAYER_KINDS[kind](**fields)


@st.composite
def tiles(draw: st.DrawFn, layer: Layer) -> tuple[int, int, int, int]:
    b = draw(sizes(40))
    k, h, w = (draw(st.just(extent) | st.integers(1, extent)) for extent in layer.ofmap)
    return b, k, h, w


# A large GBUF is costly to read (1.1^(bytes / 2 MiB)), so rotation wins, which it never does on the paper's platforms.
platforms = st.sampled_from([PLATFORMS[name] for name in PAPER_PRESETS]) | st.builds(
    Platform,
    gbuf_bytes=st.sampled_from([MIB, 8 * MIB, 32 * MIB, 256 * MIB]),
    pe_grid=st.sampled_from([1, 2, 3, 4, 8, 16]),
    macs_per_pe=st.sampled_from(list(MACS_PER_PE)),
    gbuf_bytes_per_cycle=st.sampled_from([1, 16, 256, 4096]),
    dram_bytes_per_cycle=st.just(16),
)


@examples(500)
@given(data=st.data(), platform=platforms, layer=layers())
def test_equals_the_twin(data: st.DataObject, platform: Platform, layer: Layer) -> None:
    assert_equals_twin(platform, layer, data.draw(tiles(layer)))


data_types = st.sampled_from([*DATA_TYPES, *(one for one in DATA_TYPES if one.name in ("int4", "int8", "fp16"))])
weights = st.sampled_from(["int8", "int4/128", "fp16", "int4", "int3/2:7", "bf16", "fp32"]).map(weight_format)


@examples(500)
@given(data=st.data(), platform=platforms, layer=layers())
def test_equals_the_twin_with_data_types(data: st.DataObject, platform: Platform, layer: Layer) -> None:
    stored = layer.is_matrix and not layer.weight_operands
    types = LayerTypes(
        ofmap=data.draw(data_types),
        weights=data.draw(weights) if stored else WeightFormat(),  # type: ignore[arg-type]
        accumulators=data.draw(st.none() | data_types) if layer.is_matrix else None,
    )
    rates = {"int4": 3 * platform.macs_per_cycle // 2, "bf16": platform.macs_per_cycle // 8}
    given_rates = data.draw(st.sampled_from([{}, rates]))
    platform = replace(platform, macs_per_cycle_by_type=tuple(given_rates.items()))
    others = data.draw(data_types), data.draw(data_types)
    assert_equals_twin(platform, replace(layer, types=types), data.draw(tiles(layer)), others)


@pytest.mark.parametrize(
    ("platform", "layer", "tile"),
    [
        pytest.param(
            Platform(2 * MIB, pe_grid=8, macs_per_pe=32, gbuf_bytes_per_cycle=1, dram_bytes_per_cycle=16),
            Conv(name="layer", C=1494, K=1280, H=30, W=5, R=6),
            (5, 35, 26, 4),
            id="weights, split C×B",
        ),
        pytest.param(
            Platform(32 * MIB, pe_grid=4, macs_per_pe=32, gbuf_bytes_per_cycle=16, dram_bytes_per_cycle=16),
            Conv(name="layer", C=115, K=480, H=99, W=147, weight_operands=("operand",)),
            (13, 330, 77, 136),
            id="weights, split H×W",
        ),
        pytest.param(
            Platform(MIB, pe_grid=4, macs_per_pe=32, gbuf_bytes_per_cycle=1, dram_bytes_per_cycle=16),
            Conv(name="layer", C=6, K=1101, H=6, W=49, R=8, S=9, sH=3, sW=3),
            (1, 520, 4, 38),
            id="both, split H×K",
        ),
        pytest.param(
            Platform(MIB, pe_grid=4, macs_per_pe=32, gbuf_bytes_per_cycle=1, dram_bytes_per_cycle=16),
            Conv(name="layer", C=5, K=1191, H=6, W=63, R=9, S=5, sW=2, weight_operands=("operand",)),
            (1, 1097, 2, 55),
            id="both, split H×K, operand",
        ),
    ],
)
def test_where_rotation_wins(platform: Platform, layer: Layer, tile: tuple[int, int, int, int]) -> None:
    noc_pj = assert_equals_twin(platform, layer, tile)
    assert noc_pj is not None
    assert noc_pj > 0


DEAR_GBUF = Platform(256 * MIB, pe_grid=2, macs_per_pe=64, gbuf_bytes_per_cycle=1, dram_bytes_per_cycle=16)


# Without the limit named by the id, rotating would win each of these.
@pytest.mark.parametrize(
    ("platform", "layer", "tile"),
    [
        pytest.param(
            replace(DEAR_GBUF, macs_per_pe=256, gbuf_bytes_per_cycle=256),
            Conv(name="layer", C=943, K=450, H=14, W=51, R=3, S=4, sH=3, sW=2),
            (2, 89, 3, 46),
            id="bus between PEs",
        ),
        pytest.param(
            replace(DEAR_GBUF, pe_grid=8, macs_per_pe=32),
            Conv(name="layer", C=6, K=742, H=2, W=37, R=9, S=9, sH=2, sW=2),
            (7, 319, 2, 23),
            id="both: KR > 1, weights: tB > 1 or H3 > 1",
        ),
        pytest.param(
            DEAR_GBUF,
            Conv(name="layer", C=1, K=900, H=39, W=34, R=9, S=3, sH=2),
            (2, 600, 3, 6),
            id="both: WB > 1",
        ),
        pytest.param(
            replace(DEAR_GBUF, pe_grid=8, macs_per_pe=32, gbuf_bytes_per_cycle=16),
            Conv(name="layer", C=1, K=180, H=34, W=54, R=4, S=8, sH=2, sW=2),
            (6, 153, 25, 49),
            id="weights: WT > 1",
        ),
    ],
)
def test_where_a_limit_forbids_rotation(platform: Platform, layer: Layer, tile: tuple[int, int, int, int]) -> None:
    assert assert_equals_twin(platform, layer, tile) == 0


@pytest.mark.parametrize("name", ["int16", "fp64"])
def test_a_pe_holds_fewer_wide_partial_sums(name: str) -> None:
    """OL1 of edge has 256 bytes for each lane, and the pixels of these tiles would fill more with sums of a byte."""
    for C, K, H, W in ((98, 397, 9, 46), (200, 54, 77, 99)):
        layer = Conv(name="layer", C=C, K=K, H=H, W=W, types=LayerTypes(accumulators=data_type(name)))
        assert assert_equals_twin(EDGE, layer, (2, K, H, W)) == 0


@pytest.mark.parametrize(
    ("platform", "layer", "tile", "stored", "activations"),
    [
        pytest.param(
            replace(DEAR_GBUF, pe_grid=4, macs_per_pe=256, gbuf_bytes_per_cycle=256, pe_bus_bytes_per_cycle=4),
            Conv(name="layer", C=566, K=430, H=11, W=48, R=4, S=5),
            (5, 346, 11, 48),
            "int4",
            "int8",
            id="half a byte each",
        ),
        pytest.param(
            replace(DEAR_GBUF, pe_grid=8, macs_per_pe=64, gbuf_bytes_per_cycle=16, pe_bus_bytes_per_cycle=16),
            Conv(name="layer", C=544, K=252, H=24, W=37, S=4, sH=2, sW=2),
            (3, 236, 24, 37),
            "int8",
            "fp16",
            id="half as fast",
        ),
    ],
)
def test_the_bus_between_pes_takes_bytes_in_the_cycles_of_the_type(
    platform: Platform, layer: Layer, tile: tuple[int, int, int, int], stored: str, activations: str
) -> None:
    """Weights of half a byte fit a bus that whole ones don't, and so do whole ones in twice the time."""
    ifmap, kept = data_type(activations), weight_format(stored)
    assert ifmap is not None
    assert kept is not None
    typed = replace(layer, types=LayerTypes(weights=kept))
    narrow = replace(platform, pe_bus_bytes_per_cycle=platform.pe_bus_bytes_per_cycle // 2)
    assert assert_equals_twin(platform, typed, tile, (ifmap, ifmap)) > 0  # type: ignore[operator]
    assert assert_equals_twin(narrow, typed, tile, (ifmap, ifmap)) == 0


def test_groups_wider_than_a_pe_wait_for_no_gbuf() -> None:
    # A group has 32 channels, a PE takes 16: min(vec // C, lane // K) = 0 groups at once, so no GBUF time is counted.
    slow_gbuf = replace(EDGE, gbuf_bytes_per_cycle=1)
    layer = GroupConv(name="layer", C=64, K=64, H=8, W=8, G=2)
    tile = (1, 64, 8, 8)
    assert assert_equals_twin(slow_gbuf, layer, tile) is not None
    assert price(slow_gbuf, layer, tile) == price(EDGE, layer, tile)


def test_no_more_groups_at_once_than_there_are() -> None:
    # min(vec // C, lane // K) = min(16 // 2, 32 // 2) = 8 groups would fit at once, but the tile has 3.
    layer = GroupConv(name="layer", C=20, K=20, H=8, W=8, G=10)
    assert assert_equals_twin(replace(EDGE, gbuf_bytes_per_cycle=1), layer, (1, 6, 8, 8)) is not None


def test_tiles_of_any_integer_type_and_none_at_all() -> None:
    network, array = network_around(Conv(name="layer", C=64, K=64, H=8, W=8)), PublishedCoreArray(EDGE)
    table = network_table(network)
    small = np.array([[0, 1, 64, 8, 8], [0, 1, 64, 4, 8]], dtype=np.int32)
    cycles, energy_pj = array.tile_costs(table, np.asfortranarray(small))
    alone = [array.tile_costs(table, row.astype(np.int64)[np.newaxis]) for row in small]
    assert cycles.tolist() == [int(cycles[0]) for cycles, _ in alone]
    assert energy_pj.tolist() == [float(energy[0]) for _, energy in alone]
    assert [len(column) for column in array.tile_costs(table, small[:0])] == [0, 0]


# What can't run.

HUGE_KERNEL = FullyConnected(name="classifier", C=512, K=10, R=30, S=40)


def test_a_kernel_too_large_for_the_memories_of_a_pe() -> None:
    network, array = network_around(HUGE_KERNEL), PublishedCoreArray(EDGE)
    row = row_of_last_layer(network, (2, 10, 1, 1))
    assert not fits(EDGE, HUGE_KERNEL)
    # 512 channels over 4 · 16 of a row of PEs: 8 each, 30 · 40 · 8 = 9600 bytes.
    # Room: AL1 16 KiB / 16 = 1024, WL1 32 KiB / 16 = 2048.
    assert array.explain_infeasible(network, row) == (
        "layer 'classifier', tile of 2 samples × 10 channels × 1 rows × 1 columns: can't be mapped onto the "
        "PE array; its 30×40 kernel over 512 input channels needs 9600 bytes for each of the 16 channels "
        "that a PE works on, but AL1 has 1024 and WL1 has 2048; a smaller tile doesn't help, use a kernel "
        "with R·S of at most 128"
    )
    with pytest.raises(NoMappingError, match="its 30×40 kernel over 512 input channels") as raised:
        array.require_feasible(network, network_table(network), row)
    assert raised.value.layer == "classifier"
    assert raised.value.tile == (2, 10, 1, 1)
    sent = pickle.loads(pickle.dumps(raised.value))
    assert (str(sent), sent.layer, sent.tile) == (str(raised.value), "classifier", (2, 10, 1, 1))
    with pytest.raises(NoMappingError):
        array.breakdown(network, network_table(network), row)


def test_what_can_run_passes() -> None:
    network = network_around(Conv(name="layer", C=64, K=64, H=8, W=8))
    PublishedCoreArray(EDGE).require_feasible(
        network, network_table(network), row_of_last_layer(network, (1, 64, 8, 8))
    )


def test_each_named_change_makes_the_kernel_fit() -> None:
    small = replace(EDGE, macs_per_pe=64)  # vec 8, lane 8: AL1 8 KiB / 8 = 1024, WL1 4 KiB / 8 = 512
    layer = GroupConv(name="grouped", C=2000, K=2, H=4, W=4, R=5, S=5, G=2)
    network = network_around(layer)
    # 1000 channels over 4 · 8: 32 each, 5 · 5 · 32 = 800 bytes. Channels: 512 // 25 · 32; window: 512 // 32.
    sentence = PublishedCoreArray(small).explain_infeasible(network, row_of_last_layer(network, (1, 2, 4, 4)))
    assert sentence.endswith(
        "its 5×5 kernel over 1000 input channels of a group needs 800 bytes for each of the 8 channels that "
        "a PE works on, but WL1 has 512; a smaller tile doesn't help, use at most 640 input channels of a "
        "group or a kernel with R·S of at most 16 or macs_per_pe=128"
    )
    assert not fits(small, layer)
    assert fits(small, replace(layer, C=2 * 640))
    assert not fits(small, replace(layer, C=2 * 641))
    assert fits(small, replace(layer, R=4, S=4))
    assert not fits(small, replace(layer, R=17, S=1))
    assert fits(replace(small, macs_per_pe=128), layer)


def test_strides_that_jump_over_the_kernel() -> None:
    # 256 channels over 4 · 16: AL1 has 1024 // 4 = 256 bytes for each, one 1×256 window. So H3 = 8 and WT > 1
    # wherever C is split, and 8 + (1 − 3) · (8 − 1) rows are negative; in the other splits nothing fits.
    layer = Conv(name="jumpy", C=256, K=8, H=8, W=8, S=256, sH=3)
    network, array = network_around(layer), PublishedCoreArray(EDGE)
    assert assert_equals_twin(EDGE, layer, (1, 8, 8, 8)) is None
    assert array.explain_infeasible(network, row_of_last_layer(network, (1, 8, 8, 8))) == (
        "layer 'jumpy', tile of 1 samples × 8 channels × 8 rows × 8 columns: can't be mapped onto the PE "
        "array; its strides 3×1 exceed the 1×256 kernel so far that counts of the model are negative; use "
        "tiles of fewer rows and columns"
    )
    # Exactly 0 rows are kept.
    assert assert_equals_twin(EDGE, layer, (1, 8, 2, 8)) is not None


# What the array needs.


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"pe_grid": (16, 8)}, "pe_grid is 16x8"),
        ({"macs_per_pe": 1}, "macs_per_pe is 1"),
        ({"pe_grid": (1, 2), "macs_per_pe": 2048}, "pe_grid is 1x2 and macs_per_pe is 2048"),
    ],
)
def test_an_array_that_is_not_the_papers_is_refused(changes: dict[str, object], found: str) -> None:
    with pytest.raises(PlatformError) as error:
        PublishedCoreArray(replace(EDGE, **changes))
    assert str(error.value) == (
        "core array 'published' needs a square pe_grid and macs_per_pe of 32, 64, 128, 256, 512, 4096, but "
        f"{found}; change that, or take core_array: roofline, which takes any array"
    )


def test_equal_sides_are_a_square() -> None:
    assert PublishedCoreArray(replace(EDGE, pe_grid=(4, 4))) == PublishedCoreArray(EDGE)


def test_vec_and_lane_are_those_of_the_paper_and_of_any_pe() -> None:
    assert tuple(slow_core_array.VEC_AND_LANE) == MACS_PER_PE
    for macs, expected in slow_core_array.VEC_AND_LANE.items():
        assert vec_and_lane(macs) == expected
    # 48 = 6·8 rather than 4·12; 2048 = 32·64; a prime has one channel and as many kernels.
    assert [vec_and_lane(macs) for macs in (1, 7, 48, 2048)] == [(1, 1), (1, 7), (6, 8), (32, 64)]


def test_memories_and_energies_of_other_pes_by_hand() -> None:
    # One MAC: AL1 of 1 KiB with a port of 8 bits, as one of 32; its byte goes to one lane. WL1 of 1/16 KiB, OL1 of
    # 1/4 KiB with a port of 16 bits: as the smallest of the table.
    single = unit_energies(replace(EDGE, macs_per_pe=1))
    assert pe_memories(replace(EDGE, macs_per_pe=1)) == (1024, 64, 256)
    assert single.AL1_read == pytest.approx(4.8 * (0.07952 + 0.1 / 8))
    assert (single.WL1_read, single.OL1_write) == (pytest.approx(4.8 * 0.07952), pytest.approx(4.8 * 0.0981))
    # 48 = 6·8: ports of 48 bits as those of 64, 6 KiB as 8 KiB; 1600 = 40·40: 320 bits are two banks of 256, each of
    # 20 KiB, as 32 KiB.
    assert unit_energies(replace(EDGE, macs_per_pe=48)).AL1_write == pytest.approx(4.8 * 0.0722625)
    assert unit_energies(replace(EDGE, macs_per_pe=1600)).AL1_write == pytest.approx(4.8 * 0.0641375 * 1.1**2)
    # A prime: 1,048,573 lanes. Their port costs per bit as one of four banks.
    wide = unit_energies(replace(EDGE, macs_per_pe=1_048_573))
    assert wide.OL1_write == pytest.approx(4.8 * 0.064 * 1.1**4)  # 256 B for each of 65,536 banks: as 4 KiB
    assert (wide.GBUF_read, wide.MAC) == (unit_energies(EDGE).GBUF_read, 0.018)
