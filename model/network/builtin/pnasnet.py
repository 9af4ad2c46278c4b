"""PNASNet-5 (Liu et al., ECCV 2018), the large one: N = 4, F = 216, on images of 331×331.

The cell is the one that the paper's search found, as in the authors' TensorFlow-Slim program. Each cell reads the two
before it, brings both to its width by 1×1 convolutions, and sums five pairs of branches. With stride 2 the same cell
reduces. A separable convolution is a depthwise one (a group for each channel) and a 1×1, and comes twice in a row.
Where the earlier of the two sources has twice the rows of the later one, a factorized reduction halves it: two 1×1
convolutions of stride 2, one of them offset by a pixel, make half of the channels each.

Normalisation and activation are part of the convolution next to them. No layer only concatenates the parts of a cell or
of a factorized reduction: every reader names them all. The auxiliary classifier, used in training only, is left out.
"""

from dataclasses import dataclass

from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, FullyConnected, GroupConv, Layer, Pool
from soma_cp.model.network.network import Network

_SIDE = 331
_STEM_WIDTH = 96
_FIRST_WIDTH = 216
_CELLS = 12
_REDUCTIONS = (4, 8)
_CLASSES = 1000


def pnasnet5_large() -> Network:
    """Build PNASNet-5 large on images of 3×331×331."""
    network = _Builder()
    width = _FIRST_WIDTH
    stem = network.stem()
    before, latest = stem, network.first_stem_cell("stem0", stem, width // 4)
    before, latest = latest, network.cell("stem1", before, latest, width // 2, stride=2)
    for number in range(_CELLS):
        stride = 2 if number in _REDUCTIONS else 1
        width *= stride
        before, latest = latest, network.cell(f"cell{number}", before, latest, width, stride)
    network.classifier(latest)
    return Network("pnasnet", (ExternalInput("input", (3, _SIDE, _SIDE)),), tuple(network.layers))


@dataclass(frozen=True)
class _Fmap:
    """An fmap: the layers that make it (concatenated along channels), its channels, and its rows and columns."""

    sources: tuple[str, ...]
    channels: int
    side: int


class _Builder:
    """The layers so far."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def stem(self) -> _Fmap:
        """331×331 image to 165×165, without padding."""
        side = (_SIDE - 3) // 2 + 1
        return self._add(
            Conv(name="conv0", C=3, K=_STEM_WIDTH, R=3, S=3, H=side, W=side, sH=2, sW=2, inputs=("input",))
        )

    def first_stem_cell(self, prefix: str, source: _Fmap, width: int) -> _Fmap:
        """The first cell, which has one source: its left side is the stem itself, which still has another width."""
        right = self._conv(f"{prefix}_right", source, width)
        pooled = self._conv(f"{prefix}_0_pool_conv", self._pool(f"{prefix}_0_pool", source, 2), width)
        return self._pairs(prefix, source, right, pooled, width, stride=2)

    def cell(self, prefix: str, before: _Fmap, latest: _Fmap, width: int, stride: int) -> _Fmap:
        """A cell that reads the two cells before it; each of its pairs has `width` channels."""
        reduced = before.side > latest.side
        left = (self._factorized_reduction if reduced else self._conv)(f"{prefix}_left", before, width)
        right = self._conv(f"{prefix}_right", latest, width)
        return self._pairs(prefix, left, right, self._pool(f"{prefix}_0_pool", left, stride), width, stride)

    def classifier(self, source: _Fmap) -> None:
        """Average over all rows and columns, and the fully connected layer."""
        channels, side = source.channels, source.side
        pool = Pool(name="pool_avg", K=channels, R=side, S=side, H=1, W=1, sH=side, sW=side, ifmaps=source.sources)
        self._add(pool)
        self._add(FullyConnected(name="fc", C=channels, K=_CLASSES, ifmaps=(pool.name,)))

    def _pairs(self, prefix: str, left: _Fmap, right: _Fmap, pooled_left: _Fmap, width: int, stride: int) -> _Fmap:
        """The five pairs of branches and their sums (figure 1 of the paper); `pooled_left` is half of the first."""
        first = self._sum(f"{prefix}_0", self._separable(f"{prefix}_0_5x5", left, width, 5, stride), pooled_left)
        second = self._sum(
            f"{prefix}_1",
            self._separable(f"{prefix}_1_7x7", right, width, 7, stride),
            self._pool(f"{prefix}_1_pool", right, stride),
        )
        third = self._sum(
            f"{prefix}_2",
            self._separable(f"{prefix}_2_5x5", right, width, 5, stride),
            self._separable(f"{prefix}_2_3x3", right, width, 3, stride),
        )
        fourth = self._sum(
            f"{prefix}_3",
            self._separable(f"{prefix}_3_3x3", third, width, 3),
            self._pool(f"{prefix}_3_pool", right, stride),
        )
        fifth = self._sum(
            f"{prefix}_4",
            self._separable(f"{prefix}_4_3x3", left, width, 3, stride),
            right if stride == 1 else self._conv(f"{prefix}_4_1x1", right, width, stride),
        )
        sums = (first, second, third, fourth, fifth)
        sources = tuple(name for fmap in sums for name in fmap.sources)
        return _Fmap(sources, len(sums) * width, fifth.side)

    def _add(self, layer: Layer) -> _Fmap:
        self.layers.append(layer)
        return _Fmap((layer.name,), layer.K, layer.H)

    def _conv(self, name: str, source: _Fmap, kernels: int, stride: int = 1) -> _Fmap:
        """1×1 convolution."""
        side = -(-source.side // stride)
        return self._add(
            Conv(name=name, C=source.channels, K=kernels, H=side, W=side, sH=stride, sW=stride, ifmaps=source.sources)
        )

    def _factorized_reduction(self, name: str, source: _Fmap, kernels: int) -> _Fmap:
        halves = [self._conv(f"{name}_{half}", source, kernels // 2, stride=2) for half in (1, 2)]
        return _Fmap(halves[0].sources + halves[1].sources, kernels, halves[0].side)

    def _separable(self, prefix: str, source: _Fmap, width: int, window: int, stride: int = 1) -> _Fmap:
        """Two separable convolutions; the first has the stride and brings the channels to `width`."""
        fmap = self._conv(f"{prefix}_1_pw", self._depthwise(f"{prefix}_1_dw", source, window, stride), width)
        return self._conv(f"{prefix}_2_pw", self._depthwise(f"{prefix}_2_dw", fmap, window), width)

    def _depthwise(self, name: str, source: _Fmap, window: int, stride: int = 1) -> _Fmap:
        channels, side = source.channels, -(-source.side // stride)
        return self._add(
            GroupConv(
                name=name,
                C=channels,
                K=channels,
                G=channels,
                R=window,
                S=window,
                H=side,
                W=side,
                sH=stride,
                sW=stride,
                ifmaps=source.sources,
            )
        )

    def _pool(self, name: str, source: _Fmap, stride: int) -> _Fmap:
        """3×3 pooling."""
        side = -(-source.side // stride)
        return self._add(
            Pool(name=name, K=source.channels, R=3, S=3, H=side, W=side, sH=stride, sW=stride, ifmaps=source.sources)
        )

    def _sum(self, name: str, *operands: _Fmap) -> _Fmap:
        side = operands[0].side
        sources = tuple(name for operand in operands for name in operand.sources)
        return self._add(Eltwise(name=name, K=operands[0].channels, H=side, W=side, ifmaps=sources))
