"""Transposed convolutions, without the zeros: the kernel is divided by the stride, as compilers of NPUs do.

With stride s, the rows of the result whose index is r modulo s take the taps r, r + s, r + 2s, … of the kernel alone:
they are a convolution of the input by those taps, the *phase* r. Columns and depth have phases, too. Phases with as
many taps as one another are one convolution at the input's resolution, with the channels of all of them; a regrouping
transpose interleaves the phases, and crops the result as the padding says. A kernel as large as the stride is one
convolution of 1×1. Phases without taps are zeros.

Each convolution makes as many rows and columns as the input has. So the multiply-accumulates are those of the input's
elements, each multiplied by the kernel once: of H×W elements of C channels and an R×S kernel, H·W·R·S·C·K/G.
"""

from collections import Counter
from itertools import product
from math import gcd, prod

from soma_cp.model.network.onnx_import.layers import Sources
from soma_cp.model.network.onnx_import.node_import import NodeImport
from soma_cp.model.network.onnx_import.operators.registry import Channels, Facts, operator
from soma_cp.model.network.onnx_import.operators.sliding import (
    Image,
    Volume,
    Window,
    give_image,
    image_of,
    stretched,
    window_of,
)
from soma_cp.model.network.onnx_import.operators.windows import convolved, stored_weights


@operator(
    "ConvTranspose",
    "`conv` or `group_conv` for each size of the kernel's phases, and `transpose`",
    Facts(channels=Channels.FIRST, weights=(1,)),
)
def transposed_convolution(node: NodeImport) -> None:
    """Transposed convolution."""
    node.check_bias(2)
    weights = stored_weights(node, 1)
    groups = int(node.attribute("group", 1))
    image = image_of(node, with_padding=False)
    channels = weights[1] * groups
    window = window_of(node, weights[2:])
    strides = _strides(image, window)
    sizes = [_phases(*dimension) for dimension in zip(window.kernel, strides, window.dilations, strict=True)]
    spacing = [dilation // gcd(dilation, stride) for dilation, stride in zip(window.dilations, strides, strict=True)]
    alone = all(len(size) == 1 for size in sizes) and window.made == image.extents and max(strides) == 1
    shared = node.shared_weights(1)
    lots: list[str] = []
    for lot in product(*(size.items() for size in sizes)):
        taps: Volume = (lot[0][0], lot[1][0], lot[2][0])
        phases = prod(count for _, count in lot)
        phase = Window(taps, (1, 1, 1), image.extents, (spacing[0], spacing[1], spacing[2]))
        weights_name = f"{shared} {taps}" if shared else ""
        dims = {1: taps[1:2], 2: taps[1:], 3: taps}[len(weights) - 2]
        name = node.name if alone else f"{node.name}_{'x'.join(map(str, dims))}"
        lots += convolved(node, name, image, phase, channels * phases, groups, weights_name)
    give_image(node, image, tuple(lots) if alone else _interleaved(node, image, tuple(lots), channels, window.made))


def _strides(image: Image, window: Window) -> Volume:
    """Return the strides; where the input has one element, that of a kernel that doesn't overlap: it makes no odds."""
    found = [
        stride if extent > 1 else max(stride, (taps - 1) * dilation + 1)
        for extent, taps, stride, dilation in zip(
            image.extents, window.kernel, window.strides, window.dilations, strict=True
        )
    ]
    return found[0], found[1], found[2]


def _phases(kernel: int, stride: int, dilation: int) -> Counter[int]:
    """Return the numbers of taps that phases have, and how many phases have each; phases without taps are left out."""
    taps = Counter(tap * dilation % stride for tap in range(kernel))
    return Counter(taps.values())


def _interleaved(node: NodeImport, image: Image, lots: Sources, channels: int, made: Volume) -> Sources:
    """Interleave the phases: each tile reads its share of rows and columns, and of the channels of one convolution."""
    ofmap = (channels, image.frames * made[0] * made[1], made[2])
    if len(lots) == 1:
        return stretched(node.layers, node.name, lots, ofmap)
    return node.layers.regroup(node.name, lots, ofmap, "*hw")
