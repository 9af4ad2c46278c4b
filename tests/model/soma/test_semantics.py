"""The corrected semantics: what each of the three corrections changes, by hand, and that nothing else changes."""

from dataclasses import replace

import pytest

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, ExternalInput, GroupConv
from soma_cp.model.network.network import Network
from soma_cp.model.problem import Problem
from soma_cp.model.semantics import CORRECTED
from soma_cp.model.soma.lfa import FLG, LFA, unfused_lfa
from soma_cp.model.soma.plan import Plan, make_plan

EDGE = PLATFORMS["edge"]
CORRECTED_EDGE = replace(EDGE, semantics=CORRECTED)


def plans(network: Network, lfa: LFA, batch: int = 1) -> tuple[Plan, Plan]:
    """Return the plan in the published and in the corrected semantics."""
    return make_plan(Problem(network, EDGE, batch), lfa), make_plan(Problem(network, CORRECTED_EDGE, batch), lfa)


def two_convolutions(R: int) -> Network:
    """Return a 1×1 convolution, then one of R×R with padding, both on 12×12."""
    first = Conv(name="first", C=8, K=8, H=12, W=12, inputs=("image",))
    second = Conv(name="second", C=8, K=8, H=12, W=12, R=R, S=R, ifmaps=("first",))
    return Network("two", (ExternalInput("image", (8, 12, 12)),), (first, second))


@pytest.mark.parametrize(
    ("tiling", "published", "corrected"),
    [
        # Ofmap tiles have 12 rows × 4 columns. The corner tile reads 4 + 3 − 1 − 1 columns, since one column of its
        # halo is padding; an interior tile reads 4 + 3 − 1. Both read all 12 rows.
        (3, (12, 5), (12, 6)),
        # 4×4: the same for rows.
        (9, (5, 5), (6, 6)),
        # A tile that is not cut reads the whole ifmap.
        (1, (12, 12), (12, 12)),
    ],
)
def test_interior_tiles_carry_their_full_halo(
    tiling: int, published: tuple[int, int], corrected: tuple[int, int]
) -> None:
    network = two_convolutions(3)
    fused = LFA((FLG(("first", "second"), tiling, True),))
    for plan, expected in zip(plans(network, fused), (published, corrected), strict=True):
        assert tuple(plan.layers.extent[0, 2:].tolist()) == expected
        loaded = plan.tensors.bytes[plan.tensors.kind == 0]
        assert loaded.max() == 8 * expected[0] * expected[1]


def test_a_large_group_has_gbuf_traffic() -> None:
    # 64 channels in 2 groups of 32, more than the 16 that a PE of edge multiplies at once: in the published semantics
    # D = 0, and only computing counts. One row of 1×1 kernels over 2 columns: little to compute, much to read.
    layer = GroupConv(name="layer", C=64, K=64, G=2, H=1, W=2, inputs=("image",))
    network = Network("groups", (ExternalInput("image", (64, 1, 2)),), (layer,))
    narrow = replace(EDGE, gbuf_bytes_per_cycle=8)
    platforms = (narrow, replace(narrow, semantics=CORRECTED))
    made = [make_plan(Problem(network, platform), unfused_lfa(network)) for platform in platforms]
    published, corrected = (int(plan.tile_cycles[0]) for plan in made)
    # Each group reads at least 32·32 bytes of weights and 32·2 of activations, at 8 bytes a cycle; groups run in turn.
    assert corrected >= 2 * -(-(32 * 32 + 32 * 2) // 8)
    assert published < 100 < corrected


def test_producers_of_a_concatenation_make_their_own_channels() -> None:
    layers = (
        Conv(name="left", C=4, K=8, H=6, W=6, inputs=("image",)),
        Conv(name="right", C=4, K=24, H=6, W=6, inputs=("image",)),
        Conv(name="joined", C=32, K=8, H=6, W=6, ifmaps=("left", "right")),
    )
    network = Network("concat", (ExternalInput("image", (4, 6, 6)),), layers)
    fused = LFA((FLG(("left", "right", "joined"), 1, True),))
    published, corrected = plans(network, fused)
    assert published.layers.extent[:, 1].tolist() == [32, 32, 8]
    assert corrected.layers.extent[:, 1].tolist() == [8, 24, 8]
    assert corrected.layers.energy_pj[0] < published.layers.energy_pj[0]
    assert corrected.chip_usage.max() < published.chip_usage.max()


@pytest.mark.parametrize("name", ["gpt2-small-prefill", "tiny-ffn"])
def test_networks_without_padding_groups_beyond_vec_and_concatenation_are_as_before(name: str) -> None:
    network = builtin_network(name)
    groups = [layer for layer in network.layers if isinstance(layer, GroupConv) and EDGE.vec < layer.C // layer.G]
    published, corrected = plans(network, unfused_lfa(network))
    for layer, tiles in enumerate(published.layers.extent.tolist()):
        assert corrected.layers.extent[layer].tolist() == tiles
        if network.layers[layer] not in groups:
            assert corrected.layers.cycles[layer] == published.layers.cycles[layer]
            assert corrected.layers.energy_pj[layer] == published.layers.energy_pj[layer]
