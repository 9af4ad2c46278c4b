"""DenseNet-121 (Huang et al., CVPR 2017), as the SoMa paper's experiments model it.

Normalisation and activation are part of a convolution. No layer only concatenates: a reader within or after a dense
block names the block's source and all its layers so far.
"""

from soma_cp.model.network.layers import Conv, ExternalInput, FullyConnected, Layer, Pool
from soma_cp.model.network.network import Network

_GROWTH = 32
"""Channels that each dense layer adds."""

_BOTTLENECK = 4 * _GROWTH
"""Channels that a dense layer's 1×1 convolution makes for its 3×3 one."""

_CLASSES = 1000


def densenet() -> Network:
    """Build DenseNet-121 on images of 3×224×224."""
    return _densenet("densenet", (6, 12, 24, 16))


def _densenet(name: str, layers_of_block: tuple[int, ...]) -> Network:
    channels, side = 2 * _GROWTH, 56
    layers: list[Layer] = [
        Conv(name="conv0", C=3, K=channels, R=7, S=7, H=112, W=112, sH=2, sW=2, inputs=("input",)),
        Pool(name="pool0", K=channels, R=3, S=3, H=side, W=side, sH=2, sW=2, ifmaps=("conv0",)),
    ]
    made: tuple[str, ...] = ("pool0",)
    for block, count in enumerate(layers_of_block, start=1):
        for number in range(count):
            prefix = f"block_{block}_{number}"
            reduction = _conv(f"{prefix}_1x1", channels, _BOTTLENECK, 1, side, made)
            growth = _conv(f"{prefix}_3x3", _BOTTLENECK, _GROWTH, 3, side, (reduction.name,))
            layers += [reduction, growth]
            made += (growth.name,)
            channels += _GROWTH
        if block < len(layers_of_block):
            layers += _transition(f"trans_{block}", channels, side, made)
            made = (layers[-1].name,)
            channels, side = channels // 2, side // 2
    layers += [
        Pool(name="pool_avg", K=channels, R=side, S=side, H=1, W=1, sH=side, sW=side, ifmaps=made),
        FullyConnected(name="fc", C=channels, K=_CLASSES, ifmaps=("pool_avg",)),
    ]
    return Network(name, (ExternalInput("input", (3, 224, 224)),), tuple(layers))


def _transition(prefix: str, channels: int, side: int, sources: tuple[str, ...]) -> list[Layer]:
    """The layers that halve channels, rows and columns."""
    halved = _conv(f"{prefix}_1x1", channels, channels // 2, 1, side, sources)
    half = side // 2
    return [
        halved,
        Pool(name=f"{prefix}_pool", K=halved.K, R=2, S=2, H=half, W=half, sH=2, sW=2, ifmaps=(halved.name,)),
    ]


def _conv(name: str, C: int, K: int, window: int, side: int, sources: tuple[str, ...]) -> Conv:
    return Conv(name=name, C=C, K=K, R=window, S=window, H=side, W=side, ifmaps=sources)
