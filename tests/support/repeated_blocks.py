"""Small networks with alike blocks in a row, and how an LFA of one copy is written out over all, by names."""

from dataclasses import replace

from soma_cp.annealing.first_stage.periods import PRICED_COPIES, Folding
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Layer, PointToPoint
from soma_cp.model.network.network import Division, Network
from soma_cp.model.network.rewrites.blocks import blocks_in_a_row
from soma_cp.model.problem import Problem
from soma_cp.model.soma.lfa import FLG, LFA

WIDTH, HIDDEN, TOKENS = 64, 256, 32


def feed_forward_block(blocks: int) -> Network:
    """Return a feed-forward block with a sum at its end, of a model of so many."""
    layers: tuple[Layer, ...] = (
        PointToPoint(name="norm", K=WIDTH, H=TOKENS, W=1, inputs=("x",)),
        Conv(name="up", K=HIDDEN, H=TOKENS, W=1, C=WIDTH, ifmaps=("norm",)),
        PointToPoint(name="act", K=HIDDEN, H=TOKENS, W=1, ifmaps=("up",)),
        Conv(name="down", K=WIDTH, H=TOKENS, W=1, C=HIDDEN, ifmaps=("act",)),
        Eltwise(name="sum", K=WIDTH, H=TOKENS, W=1, ifmaps=("down",), inputs=("x",)),
    )
    return Network("feed-forward", (ExternalInput("x", (WIDTH, TOKENS, 1)),), layers, blocks)


def blocks_problem(count: int, buffer_kib: int, batch: int = 1) -> Problem:
    """Return so many feed-forward blocks in a row on `edge` with a small buffer; the weights of one take 32 KiB."""
    platform = replace(PLATFORMS["edge"], gbuf_bytes=buffer_kib << 10)
    return Problem(blocks_in_a_row(feed_forward_block(count), count), platform, batch)


def written_out_by_names(folding: Folding, lfa: LFA) -> tuple[tuple[FLG, ...], tuple[Division, ...]]:
    """Return FLGs and divisions of an LFA of the folded problem, written out over all copies."""
    network = folding.problem.network
    copies = {layer.name: (-1, (layer.name,)) for layer in network.layers}
    for number, repeat in enumerate(folding.repeats):
        for offset, layer in enumerate(repeat.copy(0)):
            names = tuple(network.layers[repeat.copy(k)[offset]].name for k in range(repeat.count))
            copies[network.layers[layer].name] = number, names

    def copied(name: str, number: int) -> str:
        whole = name if name in copies else name.rpartition("/")[0]
        return copies[whole][1][number] + name.removeprefix(whole)

    def repeat_of(name: str) -> int:
        return copies[name if name in copies else name.rpartition("/")[0]][0]

    # One line for each layer: name, tiling number, whether an FLG and an LG begin with it.
    lines = [
        (name, flg.tiling_number, place == 0, place == 0 and flg.dram_cut)
        for flg in lfa.flgs
        for place, name in enumerate(flg.layers)
    ]
    written: list[tuple[str, int, bool, bool]] = []
    while lines:
        own = repeat_of(lines[0][0])
        count = 1
        while own >= 0 and count < len(lines) and repeat_of(lines[count][0]) == own:
            count += 1
        period, lines, before = lines[:count], lines[count:], bool(written)
        for number in range(folding.repeats[own].count if own >= 0 else 1):
            for place, (name, tiling, begins_flg, begins_lg) in enumerate(period):
                cut = folding.cut if number > 0 and place == 0 and not before else begins_lg
                apart = number > 0 and place == 0 and folding.repeats[own].count > PRICED_COPIES
                written.append((copied(name, number), tiling, begins_flg or apart, cut))
    flgs: list[FLG] = []
    for name, tiling, begins_flg, begins_lg in written:
        if begins_flg:
            flgs.append(FLG((name,), tiling, begins_lg))
        else:
            flgs[-1] = replace(flgs[-1], layers=(*flgs[-1].layers, name))
    divided = {one.layer: one.channels for one in lfa.divisions}
    channels = {
        copied(name, number): channels for name, channels in divided.items() for number in range(len(copies[name][1]))
    }
    divisions = tuple(Division(one.name, channels[one.name]) for one in network.layers if one.name in channels)
    return tuple(flgs), divisions
