"""What people bring: each model's figures, counted by hand, and what is loaded and stored when it runs.

One element is one byte. Multiply-accumulates of matrices M×K and K×N are M·K·N.
"""

from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import pytest
from support.field_models import MODELS, built

from soma_cp.annealing.first_stage.lfa_search import LFASearchParameters
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.layers import GroupConv
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.importing import import_onnx
from soma_cp.model.problem import Problem
from soma_cp.model.soma.plan import Plan
from soma_cp.model.soma.tensors import IFM, OFM, WGT
from soma_cp.model.soma.validity import violations
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import solve


@dataclass(frozen=True)
class Figures:
    """What is right: multiply-accumulates, those of two computed tensors, bytes of weights, inputs and outputs."""

    macs: int
    weights: int
    inputs: int
    outputs: int
    computed: int = 0


RIGHT = {
    # q, k, v, o: 4·128·256·256; 2·4·128·64·128 of two computed tensors; k, v and o are stored.
    "prefill_with_present": Figures(41_943_040, 4 * 256 * 256, 128 * 256, 3 * 128 * 256, 2 * 4 * 128 * 64 * 128),
    "post_norm_attention": Figures(71_303_168, 4 * 512 * 512, 64 * 512, 64 * 512, 2 * 16 * 64 * 32 * 64),
    "gemm_2d": Figures(512 * 768 * 3072, 768 * 3072, 512 * 768, 512 * 3072),
    # (256 + 64 + 64 + 256)·256 of weights; 2·8·128·32 of two computed tensors; cached 127 of 2·32, present 128.
    "decode_gqa": Figures(229_376, 163_840, 256 + 2 * 127 * 64, 256 + 2 * 128 * 64, 65_536),
    "window_attention": Figures(20_973_568, 5 * 64 * 64, 64 * 784, 64 * 784, 2 * 16 * 49 * 49 * 64),
    "shift_channels_last": Figures(784 * 64 * 64, 64 * 64, 784 * 64, 784 * 64),
    "image_tokens": Figures(13_631_488, 5 * 64 * 64, 64 * 256, 64 * 256, 2 * 256 * 256 * 64),
    "int4_matmul": Figures(128 * 1024 * 4096, 4096 * (512 + 32 * 4), 128 * 1024, 128 * 4096),  # 32 scales each
    "fused_transformer": Figures(109_051_904, 786_432, 128 * 256, 128 * 256, 2 * 4 * 128 * 128 * 64),
    "attention_opset_23": Figures(29_360_128, 163_840, 128 * 256, 128 * 256, 2 * 8 * 128 * 128 * 32),
    "fused_conv": Figures(4_055_040, 3960, 3 * 64 * 64, 24 * 32 * 32),
    "tied_heads": Figures(3_170_893_824, 256 * 256 * 9, 256 * 5376, 256 * 5376),
    "detector_head": Figures(996_352, 35_968, 3 * 64 * 64, 82 * 80),
    "transposed_stride_3": Figures(4 * 4 * 5 * 5 * 3, 75, 3 * 4 * 4, 10 * 10),
    "depth_as_mask": Figures(8 * 8 * 9 * 1024, 576, 9 * 1024, 8 * 1024),
}


def imported(name: str, folder: Path, **options: Any) -> Network:
    return import_onnx(built(name).save(folder / f"{name}.onnx"), **options).network


def solved(network: Network) -> Plan:
    """The plan of the best of a few thousand LFAs on `edge`, whose schedule keeps every rule."""
    search = LFASearchParameters(rounds=4000)
    parameters = SolveParameters(second_stage=SecondStage.GREEDY, search=search, threads=1, prove_seconds=0)
    best = solve(Problem(network, PLATFORMS["edge"]), parameters).schedule
    assert violations(best.plan, best.dlsa) == []
    return best.plan


def moved(plan: Plan) -> dict[str, int]:
    """Bytes that are loaded, by source, and stored."""
    found: Counter[str] = Counter()
    for i in range(plan.dram_tensor_count):
        kind = int(plan.tensors.kind[i])
        found[{IFM: plan.source_name(i), WGT: "weights", OFM: "stores"}[kind]] += int(plan.tensors.bytes[i])
    return dict(found)


def test_every_model_has_figures() -> None:
    assert set(RIGHT) == set(MODELS)


@pytest.mark.parametrize("name", RIGHT)
def test_figures(name: str, tmp_path: Path) -> None:
    network, right = imported(name, tmp_path), RIGHT[name]
    operands = [layer for layer in network.layers if layer.weight_operands]
    assert network.operations[0] == right.macs
    assert sum(layer.operations for layer in operands) == right.computed
    assert network.weight_bytes == right.weights
    assert sum(c * h * w for c, h, w in (source.shape for source in network.inputs)) == right.inputs
    assert (
        sum(layer.K * layer.H * layer.W for layer in network.layers if layer.name in network.outputs) == right.outputs
    )


@pytest.mark.parametrize("name", RIGHT)
def test_all_is_loaded_once_and_every_output_is_stored(name: str, tmp_path: Path) -> None:
    """Halos of cut fmaps are loaded again: only networks of windows load more than once."""
    right = RIGHT[name]
    bytes_moved = moved(solved(imported(name, tmp_path)))
    stored, weights = bytes_moved.pop("stores"), bytes_moved.pop("weights")
    assert stored >= right.outputs
    assert weights == right.weights
    loaded = sum(bytes_moved.values())
    windows = name in ("fused_conv", "tied_heads", "transposed_stride_3", "depth_as_mask", "detector_head")
    assert loaded >= right.inputs * 0.9 if windows else loaded == right.inputs


def test_only_the_new_tokens_part_is_stored_if_asked(tmp_path: Path) -> None:
    """One token of 2 heads of 32 channels each: 64 B of keys, 64 B of values, and the result of 256 B."""
    network = imported("decode_gqa", tmp_path, present="new")
    assert sum(prod(network.source_shape(name)) for name in network.outputs) == 256 + 2 * 64
    assert network.operations[0] == RIGHT["decode_gqa"].macs


def test_a_batch_that_is_said_is_taken_out(tmp_path: Path) -> None:
    assert imported("gemm_2d", tmp_path, batch_axes={"activations": 0}).operations[0] == 768 * 3072


def test_a_mask_that_is_said_is_left_out(tmp_path: Path) -> None:
    network = imported("depth_as_mask", tmp_path, roles={"depth": "mask"})
    assert [source.name for source in network.inputs] == ["rgb"]


def test_the_levels_of_a_detector_can_be_its_end(tmp_path: Path) -> None:
    """Two levels of 32 channels, each with 64 and 18 kernels: 3·(64 + 256)·32 + 2·82·32 weights."""
    network = imported("detector_head", tmp_path, ends=("pair_0", "pair_1"))
    assert len(network.layers) == 6
    assert (network.operations[0], network.weight_bytes) == (996_352, 35_968)


def test_depthwise_convolutions_stay_depthwise(tmp_path: Path) -> None:
    layers = imported("fused_conv", tmp_path).layers
    assert [layer.name for layer in layers] == ["stem", "expand", "depthwise", "squeeze"]
    assert isinstance(layers[2], GroupConv)
    assert layers[2].G == 72
