"""Where the first stage begins: tiling numbers by hand, layers that are refused, all built-in networks."""

import math
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given
from support import slow_core_array, slow_model, slow_types
from support.annealing_cases import EDGE, builtin_problem, greedy_second_stage, jumpy_problem, one_layer_problem
from support.strategies import hardware as hardwares
from support.strategies import networks
from support.twins import examples, problem_of

from soma_cp.annealing.buffer_allocator import allocate_buffer
from soma_cp.annealing.first_stage.initial_lfa import coarse_lfa, divided_to_fit, initial_lfa, smallest_filling_tile
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.hardware.core_array.protocol import NoMappingError
from soma_cp.model.hardware.presets import PAPER_PRESETS
from soma_cp.model.network.builtin.catalogue import builtin_names
from soma_cp.model.network.layers import Conv, ExternalInput, FullyConnected, Layer, PointToPoint, Shape, Transpose
from soma_cp.model.network.network import Network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.footprint import LayerTooLargeError, least_peak_bytes
from soma_cp.model.soma.lfa import FLG, LFA
from soma_cp.model.soma.plan import make_plan


def square_conv(C: int, K: int, extent: int) -> Conv:
    return Conv(name="conv", C=C, K=K, H=extent, W=extent)


# On PEs of vec 16 and lane 32: C1 = C/16, K1 = K/32. P is the side of the array.
@pytest.mark.parametrize(
    ("layer", "batch", "side", "tile", "number"),
    [
        # C1 = 4, K1 = 4, P = 4: C×K is full. 4·4 tiles.
        pytest.param(square_conv(64, 128, 16), 1, 4, (1, 4, 4), 16, id="C×K"),
        # 14·14 = 196 tiles, rounded up to 256, exceed 16·1: one for each sample.
        pytest.param(square_conv(64, 128, 56), 1, 4, (1, 4, 4), 1, id="C×K, more than 16 tiles"),
        # 4·4·3 = 48, rounded up to 64, exceed 16·3.
        pytest.param(square_conv(64, 128, 13), 3, 4, (1, 4, 4), 3, id="C×K, more than 16 tiles for 3 samples"),
        # 4·4·4 = 64, not above 16·4.
        pytest.param(square_conv(64, 128, 13), 4, 4, (1, 4, 4), 64, id="C×K, 16 tiles for 4 samples"),
        # 3·3·3 = 27, rounded up.
        pytest.param(square_conv(64, 128, 9), 3, 4, (1, 4, 4), 32, id="C×K, rounded up"),
        # K1 = 1: C×K is 1/4 full, C×B with 4 samples full. 2·2·1 tiles.
        pytest.param(square_conv(64, 32, 8), 4, 4, (4, 4, 4), 4, id="C×B"),
        # C1 = 8, K1 = 1, P = 8: C×K 1/8, C×B 1/8, C×W full. 4·2 tiles.
        pytest.param(square_conv(128, 32, 16), 1, 8, (1, 4, 8), 8, id="C×W"),
        # C1 = 1, K1 = 8: what splits C is 1/8 full, B×K with 8 samples full. 4·4·1 tiles.
        pytest.param(square_conv(16, 256, 16), 8, 8, (8, 4, 4), 16, id="B×K"),
        # The same with one sample: B×K 1/8, H×K full. 2·4 tiles.
        pytest.param(square_conv(16, 256, 16), 1, 8, (1, 8, 4), 8, id="H×K"),
        # C1 = 1, K1 = 1: H×K 1/8, H×W full. 2·2 tiles.
        pytest.param(square_conv(16, 32, 16), 1, 8, (1, 8, 8), 4, id="H×W"),
        # C1 = 1/2, K1 = 8: H×K and H×W both 1/2, the rest less; the first wins. 2·4 tiles.
        pytest.param(square_conv(8, 256, 16), 1, 8, (1, 8, 4), 8, id="tie of H×K and H×W"),
        # With 8 samples B×K is 1/2 full, too. 4·4·1 tiles.
        pytest.param(square_conv(8, 256, 16), 8, 8, (8, 4, 4), 16, id="tie of B×K, H×K and H×W"),
        # C1 = 1/4, K1 = 1/2, half as many rows as PEs: C×K 1/512, H×K 1/4·1/2·1/16, H×W 1/4·1/2·1 the most.
        pytest.param(Conv(name="conv", C=4, K=16, H=4, W=16), 1, 8, (1, 4, 8), 2, id="none full, H×W the fullest"),
        # As on an array of 8 above, but 32·32 = 1024 tiles exceed 16. The whole layer has 4096 bytes of weights
        # and 64·256·256 of each fmap: 8,392,704. Half of the buffer is 4,194,304. Two tiles of 256×128 need
        # 4,198,400 each, four of 128×128 2,101,248.
        pytest.param(square_conv(64, 64, 256), 1, 4, (1, 4, 4), 4, id="doubled until half of the buffer holds it"),
        # A vector layer's input channels are its K: C1 = 32, K1 = 16.
        pytest.param(PointToPoint(name="ptp", K=512, H=16, W=16), 1, 8, (1, 4, 4), 16, id="vector layer"),
        # 4096·1000 weights and 5096 bytes of fmaps are below half of the buffer.
        pytest.param(FullyConnected(name="fc", C=4096, K=1000), 4, 4, (1, 1, 1), 4, id="fc"),
        # 8,198,096 bytes fit into the buffer, not into half of it; there is nothing to cut.
        pytest.param(FullyConnected(name="fc", C=4096, K=2000), 1, 4, (1, 1, 1), 1, id="fc of one tile"),
        # 3 samples, rounded up to 4 tiles; these can't be cut from 3·1·1, nor can 2.
        pytest.param(FullyConnected(name="fc", C=4096, K=1000), 3, 4, (1, 1, 1), 1, id="fc, 3 samples"),
    ],
)
def test_initial_tiling_numbers_by_hand(
    layer: Layer, batch: int, side: int, tile: tuple[int, int, int], number: int
) -> None:
    problem = one_layer_problem(layer, batch, side)
    assert smallest_filling_tile(problem, 0) == tile
    assert initial_lfa(problem) == LFA((FLG((layer.name,), number, True),))


@pytest.mark.parametrize(
    ("channels", "sides", "tile"),
    [
        # C/16 = 2, K/32 = 8, 8 rows and columns. C×K fills 2×8 PEs: 2/2, 8/8.
        (256, (2, 8), (1, 4, 4)),
        # With K/32 = 2, C×K reaches 2/8 of them; C×W fills them: 2/2, 8 columns on 8.
        (64, (2, 8), (1, 4, 8)),
        # On 8×2 PEs C×K reaches 2/8, C×W too, H×K fills them: 8 rows on 8, 8/2.
        (256, (8, 2), (1, 8, 4)),
    ],
)
def test_a_tile_fills_rows_and_columns_of_a_rectangle(
    channels: int, sides: tuple[int, int], tile: tuple[int, int, int]
) -> None:
    problem = one_layer_problem(square_conv(32, channels, 8), 1, 1)
    rectangle = replace(problem, platform=replace(problem.platform, pe_grid=sides, core_array="roofline"))
    assert smallest_filling_tile(rectangle, 0) == tile


def test_a_layer_that_cannot_fit_is_refused_with_what_its_smallest_tile_needs() -> None:
    layer = Conv(name="conv", C=64, K=128, H=56, W=56, R=3, S=3, inputs=("in",))
    network = Network("one layer", (ExternalInput("in", (64, 56, 56)),), (layer,))
    # 64·128·3·3 weights, a corner tile's ifmap of 64 · (3 − 1) rows · (3 − 1) columns, 128 bytes of ofmap
    needed = 73_728 + 256 + 128
    initial_lfa(Problem(network, replace(EDGE, gbuf_bytes=needed)))
    for batch in (1, 7):
        with pytest.raises(LayerTooLargeError, match=f"'conv' can't fit .* {needed:,} bytes") as refused:
            initial_lfa(Problem(network, replace(EDGE, gbuf_bytes=needed - 1), batch))
        assert refused.value.layer == "conv"
        assert refused.value.needed_bytes == needed
        assert refused.value.available_bytes == needed - 1


@pytest.mark.parametrize(
    ("layer", "source", "way_out"),
    [
        # 1024·1024 weights; the ifmap of one row has 1024 bytes
        (
            Conv(name="wide", C=1024, K=1024, H=64, W=1, inputs=("in",)),
            (1024, 64, 1),
            "--buffer 2MiB, or divide large layers by output channels: --space wide with --divisions auto, or "
            "soma-cp nets --export NET --divide 128KiB ",
        ),
        # every tile reads 1024·1024 elements whole, and makes the 1024 channels of one row
        (
            Transpose(name="turn", K=1024, H=1024, W=1, order="HCW", inputs=("in",)),
            (1024, 1024, 1),
            "--buffer 2MiB, or schedule fewer tokens or pixels$",
        ),
    ],
)
def test_the_refusal_of_a_layer_gives_ways_out_that_can_help(layer: Layer, source: Shape, way_out: str) -> None:
    network = Network("one layer", (ExternalInput("in", source),), (layer,))
    with pytest.raises(LayerTooLargeError, match=way_out):
        initial_lfa(Problem(network, replace(EDGE, gbuf_bytes=512 << 10)))


def test_a_layer_that_the_core_array_cannot_run_is_refused() -> None:
    layer = FullyConnected(name="classifier", C=512, K=10, R=30, S=40)
    with pytest.raises(NoMappingError, match="classifier"):
        allocate_buffer(one_layer_problem(layer, 1, 4), greedy_second_stage, seed=0)


def test_a_layer_that_only_small_tiles_of_can_run_begins_with_the_smallest() -> None:
    problem = jumpy_problem()
    with pytest.raises(NoMappingError):
        make_plan(problem, LFA((FLG(("jumpy",), 1, True),)))
    start = initial_lfa(problem)
    assert start.flgs[0].tiling_number == 64 * 64
    make_plan(problem, start)


def footprint(network: dict, layer: dict, tile: slow_model.Extent, corrected: bool) -> int:
    """Return the bytes of weights, ifmaps and ofmap of one tile, by the twin's extents."""
    shapes = slow_model.source_shapes(network)
    size = slow_types.weight_bytes(layer) + math.prod(tile)
    operands = layer.get("weight_operands", [])
    for source in [*layer.get("ifmaps", []), *operands, *layer.get("inputs", [])]:
        if source in operands:
            b, _, h, w = slow_model.weight_operand_extent(layer, tile)
        else:
            b, _, h, w = slow_model.ifmap_extent(layer, tile, network, corrected)
        size += b * shapes[source][0] * h * w
    return size


@examples(300)
@given(networks(), hardwares(), st.sampled_from([1, 2, 3, 4, 16]))
def test_the_initial_lfa_is_valid_or_a_layer_is_refused_for_a_reason(network: dict, hardware: dict, batch: int) -> None:
    problem = problem_of(network, batch, hardware)
    capacity = hardware["gbuf_bytes"]
    corrected = hardware.get("semantics") == "corrected"
    least = {layer["name"]: footprint(network, layer, (1, layer["K"], 1, 1), corrected) for layer in network["layers"]}
    neediest = max(least, key=least.__getitem__)
    if least[neediest] > capacity:
        with pytest.raises(LayerTooLargeError) as refused:
            initial_lfa(problem)
        assert (refused.value.layer, refused.value.needed_bytes) == (neediest, least[neediest])
        return
    try:
        for layer in network["layers"]:
            slow_core_array.tile_cost(layer, (1, layer["K"], 1, 1), hardware)
    except slow_core_array.NoMapping:
        with pytest.raises(NoMappingError, match=layer["name"]):
            initial_lfa(problem)
        return
    start = initial_lfa(problem)
    plan = make_plan(problem, start)
    assert start.computing_order == tuple(layer["name"] for layer in network["layers"])
    assert all(flg.dram_cut and len(flg.layers) == 1 for flg in start.flgs)
    assert least_peak_bytes(plan) <= capacity


# Networks with a layer whose weights, or those and its fmaps, exceed the buffer of edge.
ABOVE_EDGE = {
    "gpt2-xl-prefill",
    "gpt2-xl-decode",
    "gpt-j-6b-prefill",
    "gpt-j-6b-decode",
    "transformer",
    "gnmt",
    "unet",
}
LLAMA = ["llama2-70b-prefill", "llama2-70b-decode"]


@pytest.mark.parametrize("platform", PAPER_PRESETS)
@pytest.mark.parametrize("name", builtin_names())
def test_the_initial_lfa_of_built_in_networks(name: str, platform: str) -> None:
    for batch in (1, 3, 4, 16):
        problem = builtin_problem(name, PLATFORMS[platform], batch)
        if name in LLAMA or (name in ABOVE_EDGE and platform == "edge"):
            with pytest.raises(LayerTooLargeError):
                initial_lfa(problem)
            continue
        plan = make_plan(problem, initial_lfa(problem))
        assert least_peak_bytes(plan) <= problem.platform.gbuf_bytes


@pytest.mark.parametrize("name", LLAMA)
def test_the_refusal_of_llama2_names_the_smallest_buffer_that_will_do(name: str) -> None:
    problem = builtin_problem(name, PLATFORMS["cloud"], 1)
    with pytest.raises(LayerTooLargeError, match=r"'ffn1' .* needs 268,476,416 bytes .* 33,554,432 .* --buffer 257MiB"):
        initial_lfa(problem)
    coarse_lfa(divided_to_fit(problem))  # in the wide space
    tight, enough = (replace(problem, platform=replace(problem.platform, gbuf_bytes=mib << 20)) for mib in (256, 257))
    with pytest.raises(LayerTooLargeError):
        initial_lfa(tight)
    assert least_peak_bytes(make_plan(enough, initial_lfa(enough))) <= enough.platform.gbuf_bytes


def test_a_layer_of_heavy_weights_is_not_cut_finer_than_needed() -> None:
    # 6 of 8 MiB are weights: half of the buffer is out of reach, half of what the weights leave is not.
    layer = Conv(name="heavy", C=2048, K=3072, H=1024, W=1, inputs=("tokens",))
    problem = Problem(Network("heavy", (ExternalInput("tokens", (2048, 1024, 1)),), (layer,)), PLATFORMS["edge"])
    (flg,) = coarse_lfa(problem).flgs
    # Ifmap and ofmap take 5 KiB a row; of one row and the weights, the buffer has 8 MiB − 6 MiB − 5 KiB more.
    assert flg.tiling_number == 8  # of 128 rows, 640 KiB; 256 rows are 1.25 MiB, more than half of 2 MiB
