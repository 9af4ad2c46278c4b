"""Small attention blocks with heads that are alike, and random LFAs of any network."""

import random
from dataclasses import replace

from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, GroupConv, Layer, PointToPoint, Transpose
from soma_cp.model.network.network import Network
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA


def attention(heads: int, tokens: int, channels: int, batch: int, more: bool) -> Problem:
    """Return a block with alike heads; if `more` is set, other layers read what the heads read and make."""
    width = heads * channels
    layers: list[Layer] = [PointToPoint(name="norm", K=width, H=tokens, W=1, inputs=("x",))]
    for i in range(heads):
        layers.append(Conv(name=f"k{i}", C=width, K=channels, H=tokens, W=1, ifmaps=("norm",)))
        layers.append(Transpose(name=f"t{i}", K=tokens, H=channels, W=1, order="HCW", ifmaps=(f"k{i}",)))
    turned = tuple(f"t{i}" for i in range(heads))
    layers.append(PointToPoint(name="all", K=heads * tokens, H=channels, W=1, ifmaps=turned))
    if more:
        layers.append(Conv(name="q", C=width, K=width, H=tokens, W=1, ifmaps=("norm",)))
        layers.append(
            GroupConv(
                name="qk", C=width, K=heads * tokens, H=tokens, W=1, G=heads, ifmaps=("q",), weight_operands=("all",)
            )
        )
        layers.append(Conv(name="out", C=heads * tokens, K=width, H=tokens, W=1, ifmaps=("qk",)))
        layers.append(Eltwise(name="sum", K=width, H=tokens, W=1, N=2, ifmaps=("norm", "out")))
    network = Network("attention", (ExternalInput("x", (width, tokens, 1)),), tuple(layers))
    return Problem(network, replace(PLATFORMS["edge"], dram_bytes_per_cycle=1), batch)


def random_lfa(problem: Problem, rng: random.Random) -> LFA:
    """Return an LFA whose Tiling Numbers may be too large."""
    left, done, flgs = list(problem.network.layers), set[str](), list[FLG]()
    cut, dram_cut = rng.random(), rng.random()
    while left:
        layer = rng.choice([one for one in left if {*one.ifmaps, *one.weight_operands} <= done])
        left.remove(layer)
        done.add(layer.name)
        if not flgs or rng.random() < cut:
            number = rng.randint(1, problem.batch * rng.choice([1, 1, 2, 4]))
            flgs.append(FLG((), number, not flgs or rng.random() < dram_cut))
        flgs[-1] = replace(flgs[-1], layers=(*flgs[-1].layers, layer.name))
    return LFA(tuple(flgs))
