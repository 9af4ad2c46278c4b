"""GoogLeNet (Szegedy et al., CVPR 2015), as the SoMa paper's experiments model it.

Activation is part of the convolution before it; normalisation and the auxiliary classifiers are left out. No
layer only concatenates the branches of an inception module: every reader names them all.
"""

from typing import NamedTuple

from soma_cp.model.network.layers import Conv, ExternalInput, FullyConnected, Layer, Pool
from soma_cp.model.network.network import Network

_CLASSES = 1000


class _Inception(NamedTuple):
    """Output channels of a module's convolutions."""

    conv1: int
    reduce3: int
    conv3: int
    reduce5: int
    conv5: int
    projection: int


_STAGES: dict[int, tuple[_Inception, ...]] = {
    3: (
        _Inception(64, 96, 128, 16, 32, 32),
        _Inception(128, 128, 192, 32, 96, 64),
    ),
    4: (
        _Inception(192, 96, 208, 16, 48, 64),
        _Inception(160, 112, 224, 24, 64, 64),
        _Inception(128, 128, 256, 24, 64, 64),
        _Inception(112, 144, 288, 32, 64, 64),
        _Inception(256, 160, 320, 32, 128, 128),
    ),
    5: (
        _Inception(256, 160, 320, 32, 128, 128),
        _Inception(384, 192, 384, 48, 128, 128),
    ),
}
"""Inception modules by stage; the pooling after a stage has the stage's number (table 1 of the GoogLeNet paper)."""


def googlenet() -> Network:
    """Build GoogLeNet on images of 3×224×224."""
    network = _Builder()
    network.stem()
    for stage, modules in _STAGES.items():
        for letter, widths in zip("abcde", modules, strict=False):
            network.inception(f"inception_{stage}{letter}", widths)
        if stage < max(_STAGES):
            network.halve(f"pool{stage}")
    network.classifier()
    return Network("googlenet", (ExternalInput("input", (3, 224, 224)),), tuple(network.layers))


class _Builder:
    """The layers so far, and the names of those whose ofmaps, concatenated along channels, are the current fmap."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._channels: dict[str, int] = {}
        self._current: tuple[str, ...] = ()
        self._side = 0

    def stem(self) -> None:
        """224×224 image to 28×28."""
        self._side = 112
        self._current = self._add(Conv(name="conv1", C=3, K=64, R=7, S=7, H=112, W=112, sH=2, sW=2, inputs=("input",)))
        self.halve("pool1")
        reduced = self._conv("conv2_3x3_reduce", 64, 1, self._current)
        self._current = self._conv("conv2_3x3", 192, 3, reduced)
        self.halve("pool2")

    def inception(self, prefix: str, widths: _Inception) -> None:
        """Four branches: 1×1; 1×1 then 3×3; 1×1 then 5×5; pooling then 1×1."""
        start = self._current
        first = self._conv(f"{prefix}_1x1", widths.conv1, 1, start)
        second = self._conv(f"{prefix}_3x3_reduce", widths.reduce3, 1, start)
        second = self._conv(f"{prefix}_3x3", widths.conv3, 3, second)
        third = self._conv(f"{prefix}_5x5_reduce", widths.reduce5, 1, start)
        third = self._conv(f"{prefix}_5x5", widths.conv5, 5, third)
        fourth = self._pool(f"{prefix}_pool", 3, 1, self._side)
        fourth = self._conv(f"{prefix}_pool_proj", widths.projection, 1, fourth)
        self._current = first + second + third + fourth

    def halve(self, name: str) -> None:
        """Pooling that halves rows and columns."""
        self._side //= 2
        self._current = self._pool(name, 3, 2, self._side)

    def classifier(self) -> None:
        """Average over 7×7 and the fully connected layer."""
        self._current = self._pool("pool5", self._side, self._side, 1)
        self._add(FullyConnected(name="fc", C=self._width(self._current), K=_CLASSES, ifmaps=self._current))

    def _add(self, layer: Layer) -> tuple[str, ...]:
        self.layers.append(layer)
        self._channels[layer.name] = layer.K
        return (layer.name,)

    def _width(self, sources: tuple[str, ...]) -> int:
        return sum(self._channels[name] for name in sources)

    def _conv(self, name: str, kernels: int, window: int, sources: tuple[str, ...]) -> tuple[str, ...]:
        channels, side = self._width(sources), self._side
        return self._add(Conv(name=name, C=channels, K=kernels, R=window, S=window, H=side, W=side, ifmaps=sources))

    def _pool(self, name: str, window: int, stride: int, side: int) -> tuple[str, ...]:
        """Pooling of the current fmap."""
        return self._add(
            Pool(
                name=name,
                K=self._width(self._current),
                R=window,
                S=window,
                H=side,
                W=side,
                sH=stride,
                sW=stride,
                ifmaps=self._current,
            )
        )
