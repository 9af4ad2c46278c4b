"""Data types and compressed weights, counted by hand (docs/model.md#data-types)."""

import math
from dataclasses import replace
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from soma_cp.annealing.first_stage.slots import fit_table, slotted
from soma_cp.model.data_types import (
    DATA_TYPES,
    INT8,
    DataType,
    LayerTypes,
    WeightFormat,
    data_type,
    packed,
    scaled_up,
    weight_format,
    widest,
)
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.published import PublishedCoreArray
from soma_cp.model.hardware.core_array.type_costs import operation_cycles, type_costs
from soma_cp.model.network import network_table as nt
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput, PointToPoint
from soma_cp.model.network.network import Division, Network, NetworkError
from soma_cp.model.network.rewrites.channels import divided_as, divisions_up_to
from soma_cp.model.network.rewrites.types import with_types
from soma_cp.model.problem import Problem
from soma_cp.model.soma.dlsa import double_buffering
from soma_cp.model.soma.evaluation import evaluate
from soma_cp.model.soma.footprint import least_peak_bytes, tile_footprint
from soma_cp.model.soma.lfa import unfused_lfa
from soma_cp.model.soma.plan import Plan, make_plan
from soma_cp.solver.every_lfa import network_bounds
from soma_cp.solver.every_lfa.network_bounds import layer_prices

EDGE = PLATFORMS["edge"]
ROOFLINE = replace(EDGE, core_array="roofline")


def of(name: str) -> DataType:
    found = data_type(name)
    assert found is not None
    return found


def weights(text: str, ratio: Fraction = Fraction(1)) -> WeightFormat:
    found = weight_format(text)
    assert found is not None
    return found._replace(ratio=ratio)


def projection(C: int = 256, K: int = 64) -> Network:
    """Return a 1×1 convolution of 8 × 8 pixels."""
    layer = Conv(name="a", C=C, K=K, H=8, W=8, inputs=("x",))
    return Network("projection", (ExternalInput("x", (C, 8, 8)),), (layer,))


def unfused(network: Network, platform: object = EDGE) -> Plan:
    return make_plan(Problem(network, platform), unfused_lfa(network))  # type: ignore[arg-type]


# Each kernel of 256 weights has two groups of 128.
W4A16 = with_types(projection(), weights("int4/128"), of("fp16"))


@pytest.mark.parametrize(
    ("stored", "activations", "sizes"),
    [
        ("int8", "int8", [256 * 64, 256 * 64, 64 * 64]),  # W8A8
        ("int4/128", "fp16", [256 * 64 * 2, 64 * (256 * 4 + 2 * 16) // 8, 64 * 64 * 2]),  # W4A16
        ("int4/100:20", "fp16", [256 * 64 * 2, 64 * (256 * 4 + 3 * 20) // 8, 64 * 64 * 2]),
        ("fp16", "fp16", [256 * 64 * 2, 256 * 64 * 2, 64 * 64 * 2]),
        ("bf16", "bf16", [256 * 64 * 2, 256 * 64 * 2, 64 * 64 * 2]),
        ("fp32", "fp32", [256 * 64 * 4, 256 * 64 * 4, 64 * 64 * 4]),
        ("int8/256:32", "int8", [256 * 64, 64 * (256 + 4), 64 * 64]),  # a scale of fp32 for each channel
    ],
)
def test_bytes_of_loads_and_stores(stored: str, activations: str, sizes: list[int]) -> None:
    plan = unfused(with_types(projection(), weights(stored), of(activations)))
    assert plan.tensors.bytes.tolist() == sizes
    assert plan.tensors.moved.tolist() == sizes
    assert plan.tensors.cycles.tolist() == [-(-size // 16) for size in sizes]
    found = evaluate(plan, double_buffering(plan.tensors))
    assert found.figures.dram_energy_pj == sum(sizes) * 84
    assert least_peak_bytes(plan) == sum(sizes)  # all three at once
    footprint = tile_footprint(plan.problem, 0, 1, 8, 8)
    assert [footprint.ifmaps, footprint.weights, footprint.ofmap] == sizes


def test_each_tensor_is_rounded_up_by_itself() -> None:
    """Tiles of 3 elements of 5 bits take 2 bytes each; of 5 bits packed over all 4 tiles they would take 7.5."""
    layer = PointToPoint(name="a", K=3, H=4, W=1, inputs=("x",), types=LayerTypes(of("int5")))
    network = Network("tiles", (ExternalInput("x", (3, 4, 1), of("int3")),), (layer,))
    lfa = unfused_lfa(network)
    flg = replace(lfa.flgs[0], tiling_number=4)
    plan = make_plan(Problem(network, EDGE), replace(lfa, flgs=(flg,)))
    assert plan.tensors.bytes.tolist() == [2] * 4 + [2] * 4
    assert make_plan(Problem(network, EDGE), lfa).tensors.bytes.tolist() == [5, 8]


def test_compressed_weights_are_moved_in_fewer_bytes_and_held_in_all() -> None:
    ratio = Fraction(7, 10)
    plan = unfused(with_types(W4A16, weight_ratio=ratio))
    assert plan.tensors.bytes.tolist() == [32768, 8448, 8192]
    assert plan.tensors.moved.tolist() == [32768, 5914, 8192]  # ⌈8448 · 0.7⌉ = ⌈5913.6⌉
    assert plan.tensors.cycles.tolist() == [2048, 370, 512]
    assert least_peak_bytes(plan) == 32768 + 8448 + 8192
    found = evaluate(plan, double_buffering(plan.tensors))
    assert found.figures.dram_energy_pj == (32768 + 5914 + 8192) * 84


def test_parts_are_packed_by_themselves() -> None:
    """3 kernels of 5 bits are 15 bits, 2 bytes; parts of 1 and 2 kernels take 1 and 2."""
    layer = Conv(name="a", C=1, K=3, H=1, W=1, inputs=("x",), types=LayerTypes(weights=weights("int5", Fraction(1, 4))))
    network = Network("parts", (ExternalInput("x", (1, 1, 1)),), (layer,))
    assert [layer.weight_bytes, layer.dram_weight_bytes] == [2, 1]
    parts = divided_as(network, [Division("a", (1, 2))]).layers
    assert [part.weight_bytes for part in parts] == [1, 2]
    assert [part.dram_weight_bytes for part in parts] == [1, 1]
    assert divisions_up_to(network, 1, 1) == (Division("a", (1, 1, 1)),)  # two kernels have 10 bits


# Arithmetic


@pytest.mark.parametrize(
    ("stored", "activations", "times", "energy"),
    [
        ("int8", "int8", 1, 1),
        ("int4", "int8", 1, 1),
        ("int8", "fp8", 1, 1),
        ("int4/128", "fp16", 2, 4),
        ("fp16", "int8", 2, 4),
        ("bf16", "bf16", 2, 4),
        ("int4", "fp32", 4, 16),
    ],
)
def test_rates_and_energies_are_scaled_from_int8(stored: str, activations: str, times: int, energy: int) -> None:
    """64 channels into 128 kernels fill the array of edge: 64 pixels take 64 cycles, 8,192 MACs each."""
    network = with_types(projection(64, 128), weights(stored), of(activations))
    platform = replace(EDGE, gbuf_bytes_per_cycle=4096)
    problem = Problem(network, platform)
    cost = PublishedCoreArray(platform).breakdown(network, problem.table, np.array([0, 1, 128, 8, 8]))
    assert cost.cycles == 64 * times
    assert cost.mac_pj == pytest.approx(64 * 128 * 64 * 0.018 * energy, rel=1e-12)
    roofline = Problem(network, replace(platform, core_array="roofline"))
    cycles, _ = roofline.core_array.tile_costs(roofline.table, np.array([[0, 1, 128, 8, 8]]))
    assert cycles.tolist() == [64 * times]


def test_a_roofline_by_hand() -> None:
    """W4A16: 1,048,576 MACs at half of 8,192 a cycle; 32,768 + 8,448 bytes are read, 8,192 written."""
    problem = Problem(W4A16, ROOFLINE)
    cycles, energy_pj = problem.core_array.tile_costs(problem.table, np.array([[0, 1, 64, 8, 8]]))
    assert cycles.tolist() == [256]  # 49,408 bytes take 193
    growth = 1.1**4
    moved_pj = (32768 + 8448) * 0.217125 * 4.8 * growth + 8192 * 0.234025 * 4.8 * growth
    assert energy_pj[0] == pytest.approx(1048576 * 0.072 + moved_pj, rel=1e-12)


def test_a_platform_says_what_a_type_costs() -> None:
    platform = replace(
        EDGE, macs_per_cycle_by_type=(("bf16", 2048), ("int4", 16384)), mac_pj_by_type=(("bf16", 0.2), ("int4", 0.01))
    )
    costs = type_costs(platform)
    by_name = {
        one.name: (Fraction(int(costs.over[code]), int(costs.under[code])), float(costs.mac_pj[code]))
        for code, one in enumerate(DATA_TYPES)
    }
    assert by_name["bf16"] == (4, 0.2)
    assert by_name["int4"] == (Fraction(1, 2), 0.01)
    assert by_name["fp16"] == (2, 0.018 * 4)
    assert by_name["int8"] == (1, 0.018)
    int4 = with_types(projection(64, 128), weights("int4"), of("int4"))
    fast = replace(platform, gbuf_bytes_per_cycle=4096)
    cost = PublishedCoreArray(fast).breakdown(int4, Problem(int4, fast).table, np.array([0, 1, 128, 8, 8]))
    assert cost.cycles == 32


@pytest.mark.parametrize(
    ("core_array", "stored", "activations", "cycles"),
    [
        ("published", "int8", "int8", 128),
        ("published", "int8", "fp16", 256),  # half as many MACs a cycle
        ("roofline", "int4", "int4", 32),  # four times as many
        ("zigzag", "int8", "fp16", 128),  # computes all at the rate of INT8
    ],
)
def test_utilization_is_that_of_the_types(core_array: str, stored: str, activations: str, cycles: int) -> None:
    """256 channels into 64 kernels for 64 pixels: 1,048,576 MACs, 8,192 a cycle with INT8."""
    network = with_types(projection(), weights(stored), of(activations))
    platform = replace(EDGE, core_array=core_array, macs_per_cycle_by_type=(("int4", 4 * 8_192),))
    assert operation_cycles(network, platform) == cycles
    if core_array != "zigzag":
        plan = unfused(network, platform)
        found = evaluate(plan, double_buffering(plan.tensors))
        assert found.utilization == cycles / found.latency
        assert found.figures.operation_cycles <= found.figures.compute_cycles


def test_operations_of_vector_layers_take_the_time_of_their_types() -> None:
    layer = PointToPoint(name="a", K=512, H=8, W=8, inputs=("x",), types=LayerTypes(of("fp32")))
    network = Network("vector", (ExternalInput("x", (512, 8, 8)),), (layer,))
    assert operation_cycles(network, EDGE) == 512 * 64 * 4 / EDGE.vector_ops_per_cycle


def test_wide_partial_sums_take_room_in_a_pe() -> None:
    """OL1 of edge has 256 bytes for each lane: 256 sums of a byte, 64 of four bytes."""
    network = Network(
        "large", (ExternalInput("x", (64, 32, 32)),), (Conv(name="a", C=64, K=128, H=32, W=32, inputs=("x",)),)
    )
    tile = np.array([0, 1, 128, 32, 32])
    narrow = PublishedCoreArray(EDGE).breakdown(network, Problem(network, EDGE).table, tile)
    wide = with_types(network, accumulators=of("int32"))
    cost = PublishedCoreArray(EDGE).breakdown(wide, Problem(wide, EDGE).table, tile)
    assert cost.buffer_pj > narrow.buffer_pj
    assert cost.mac_pj == narrow.mac_pj
    assert unfused(wide).tensors.bytes.tolist() == unfused(network).tensors.bytes.tolist()


def test_a_kernel_that_fits_no_pe_is_told_in_bytes_of_its_types() -> None:
    network = with_types(
        Network(
            "deep",
            (ExternalInput("x", (8192, 3, 3)),),
            (Conv(name="a", C=8192, K=8, R=3, S=3, H=1, W=1, inputs=("x",)),),
        ),
        weights("int4"),
        of("fp16"),
    )
    problem = Problem(network, EDGE)
    assert PublishedCoreArray(EDGE).explain_infeasible(network, np.array([0, 1, 8, 1, 1])) == (
        "layer 'a', tile of 1 samples × 8 channels × 1 rows × 1 columns: can't be mapped onto the PE array; its 3×3 "
        "kernel over 8192 input channels needs 2304 bytes of activations (AL1) and 576 of weights (WL1) for each of "
        "the 16 channels that a PE works on, but AL1 has 1024; a smaller tile doesn't help, use at most 3584 input "
        "channels or a kernel with R·S of at most 4 or macs_per_pe=4096"
    )
    cycles, _ = problem.core_array.tile_costs(problem.table, np.array([[0, 1, 8, 1, 1]]))
    assert cycles.tolist() == [-1]
    fitting = Problem(with_types(network, activations=of("int4")), EDGE)
    cycles, _ = fitting.core_array.tile_costs(fitting.table, np.array([[0, 1, 8, 1, 1]]))
    assert cycles[0] > 0


@pytest.mark.parametrize(("accumulators", "needed"), [("int32", 128), ("int16", 64)])
def test_partial_sums_that_fit_no_pe(accumulators: str, needed: int) -> None:
    """A PE of edge has 32 lanes."""
    network = with_types(projection(), accumulators=of(accumulators))
    problem = Problem(network, replace(EDGE, memory_bytes=(("OL1", needed - 1),)))
    cycles, _ = problem.core_array.tile_costs(problem.table, np.array([[0, 1, 64, 1, 1]]))
    assert cycles.tolist() == [-1]
    assert problem.core_array.explain_infeasible(network, np.array([0, 1, 64, 1, 1])) == (
        "layer 'a', tile of 1 samples × 64 channels × 1 rows × 1 columns: can't be mapped onto the PE array; a partial "
        f"sum of {accumulators} for each of the 32 lanes of a PE needs {needed} bytes, but OL1 has {needed - 1}; a "
        "smaller tile doesn't help, use a larger OL1 or a narrower type of partial sums"
    )
    fitting = Problem(network, replace(EDGE, memory_bytes=(("OL1", needed),)))
    cycles, _ = fitting.core_array.tile_costs(fitting.table, np.array([[0, 1, 64, 1, 1]]))
    assert cycles[0] > 0


# Weights of 17.6 TB: times 700,001 their bytes do not fit into 64 bits.


@given(st.integers(0, 1 << 53), st.integers(1, 1_000_000), st.integers(1, 1_000_000))
def test_counts_are_scaled_without_their_product(count: int, over: int, under: int) -> None:
    over, under = sorted((over, under))
    expected = math.ceil(Fraction(count * over, under))
    assert scaled_up(count, over, under) == expected
    assert scaled_up(np.array([count]), np.array([over]), under).tolist() == [expected]


def test_bytes_of_large_compressed_weights() -> None:
    size = 1 << 22
    layer = Conv(name="a", C=size, K=size, H=1, W=1, inputs=("x",))
    network = with_types(Network("large", (ExternalInput("x", (size, 1, 1)),), (layer,)), weight_ratio=RATIO)
    problem = Problem(network, ROOFLINE)
    moved = network.dram_weight_bytes
    assert moved == math.ceil(size**2 * RATIO)
    prices = layer_prices(problem)
    tiles = network_bounds._tiles(prices, prices.choices(), wide=False)
    loads = network_bounds._loads(problem, prices.extents, tiles, wide=False)
    assert [loads.moved[0], loads.first_moved[0]] == [moved, moved]
    found = slotted(problem)
    table = found.table()
    channels = np.array([size, 0, 0, 0])
    fit_table(table, found.slots, channels)
    assert table.layers[:, nt.DRAM_WEIGHT_BYTES].tolist() == [moved, 0, 0, 0]


RATIO = Fraction(700_001, 1_000_000)


def test_a_slow_type_takes_its_cycles_in_the_largest_tiles() -> None:
    """4,099 of 8,192 MACs a cycle are 1,365 cycles for 683, to a denominator of 1,024: 2⁵³ MACs take 2⁴⁰ of them."""
    layer = Conv(name="a", C=1 << 10, K=1 << 23, H=1 << 10, W=1 << 10, inputs=("x",))
    network = Network("large", (ExternalInput("x", (1 << 10, 1 << 10, 1 << 10), of("fp16")),), (layer,))
    expected = math.ceil(Fraction((1 << 40) * 1365, 683))
    for platform in (EDGE, ROOFLINE):
        given = replace(platform, macs_per_cycle_by_type=(("fp16", 4_099),), gbuf_bytes_per_cycle=1 << 20)
        problem = Problem(network, given)
        cycles, _ = problem.core_array.tile_costs(problem.table, np.array([[0, 1, 1 << 23, 1 << 10, 1 << 10]]))
        assert cycles.tolist() == [expected]


# Networks


def test_int8_is_what_a_network_is_without_types() -> None:
    network = builtin_network("tiny-chain")
    same = with_types(network, WeightFormat(), INT8, weight_ratio=Fraction(1))
    assert same == network
    assert with_types(network, weights("int4")) != network


def test_the_type_of_a_concatenation_is_the_widest() -> None:
    assert widest([of("int8"), of("fp16"), of("int16")]).name == "fp16"
    assert widest([of("int16"), of("bf16")]).name == "bf16"
    assert widest([of("int4"), of("int8"), of("fp8")]).name == "fp8"


def test_shared_weights_have_one_format() -> None:
    def sharing(stored: WeightFormat) -> Network:
        layers = (
            Conv(name="a", C=8, K=8, H=1, W=1, inputs=("x",), weights="w"),
            Conv(name="b", C=8, K=8, H=1, W=1, ifmaps=("a",), weights="w", types=LayerTypes(weights=stored)),
        )
        return Network("sharing", (ExternalInput("x", (8, 1, 1)),), layers)

    with pytest.raises(NetworkError, match=r"stored as int4/32 with ratio 0\.5, but they are int8 in 'a'"):
        sharing(weights("int4/32", Fraction(1, 2)))
    assert sharing(WeightFormat()).weight_bytes == 64


@pytest.mark.parametrize("text", ["int4", "int4/128", "int4/32:20", "fp16", "int8/1:1", "bf16/1048576:1024"])
def test_weight_formats_are_written_as_they_are_read(text: str) -> None:
    assert weights(text).text == text


@pytest.mark.parametrize(
    "text",
    ["", "int9", "int4/", "int4/0", "int4/128:", "int4/128:0", "int4 /128", "INT4", "int4/1048577", "int4/1:1025"],
)
def test_what_is_no_weight_format(text: str) -> None:
    assert weight_format(text) is None


def test_packed() -> None:
    assert [packed(n, 3) for n in (0, 1, 2, 3, 8, 9)] == [0, 1, 1, 2, 3, 4]
    assert weights("int4/128").kernel_bits(0) == 0
    assert weights("int4/128").kernel_bits(129) == 129 * 4 + 2 * 16


@pytest.mark.parametrize(
    ("activations", "rates", "cycles"),
    [
        ("int8", (), 4096 * 256 / 8192),
        ("fp16", (), 4096 * 256 / 4096),  # scaled from INT8
        ("fp16", (("fp16", 2048),), 4096 * 256 / 2048),
        ("int4", (), 4096 * 256 / 8192),
        ("int4", (("int4", 16384),), 4096 * 256 / 16384),
    ],
)
def test_utilization_counts_operations_at_the_rate_of_their_type(
    activations: str, rates: tuple[tuple[str, int], ...], cycles: float
) -> None:
    network = with_types(projection(), weights("int4"), of(activations))
    plan = unfused(network, replace(EDGE, macs_per_cycle_by_type=rates))
    evaluation = evaluate(plan, double_buffering(plan.tensors))
    assert evaluation.utilization == cycles / evaluation.latency
    assert evaluation.figures.operation_cycles <= evaluation.figures.compute_cycles


def test_utilization_counts_vector_operations_at_the_rate_of_their_type() -> None:
    layer = PointToPoint(name="a", K=512, H=8, W=8, inputs=("x",))
    network = Network("vector", (ExternalInput("x", (512, 8, 8)),), (layer,))
    plan = unfused(with_types(network, activations=of("fp16")))
    assert plan.problem.platform.vector_ops_per_cycle == 512
    assert evaluate(plan, double_buffering(plan.tensors)).figures.operation_cycles == 128


def test_a_core_array_without_rates_by_type_has_those_of_int8() -> None:
    network = with_types(projection(), weights("int4"), of("fp16"))
    assert operation_cycles(network, EDGE) == 256
    assert operation_cycles(network, replace(EDGE, core_array="zigzag")) == 128
