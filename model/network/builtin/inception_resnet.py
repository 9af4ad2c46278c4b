"""Inception-ResNet-v1 (Szegedy et al., AAAI 2017), as the SoMa paper's experiments model it.

Normalisation, activation and the scaling of residuals are part of the convolution before them. There are three kinds
of residual blocks (A, B, C), with reductions between them (RA, RB). No layer only concatenates the branches of a
reduction: every reader names them all. The published experiments model the dropout as a fully connected layer with
1792×1792 weights; so does this network, to keep its figures comparable.
"""

from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, FullyConnected, Layer, Pool
from soma_cp.model.network.network import Network

_CLASSES = 1000


def inception_resnet_v1() -> Network:
    """Build Inception-ResNet-v1 on images of 3×299×299."""
    network = _Builder()
    network.stem()
    for number in range(1, 6):
        network.block_a(f"A{number}")
    network.reduction_a()
    for number in range(1, 11):
        network.block_bc(f"B{number}", width=128, length=7)
    network.reduction_b()
    for number in range(1, 6):
        network.block_bc(f"C{number}", width=192, length=3)
    network.classifier()
    return Network("inception-resnet-v1", (ExternalInput("input", (3, 299, 299)),), tuple(network.layers))


class _Builder:
    """The layers so far, and the names of those whose ofmaps, concatenated along channels, are the current fmap."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._layer: dict[str, Layer] = {}
        self._current: tuple[str, ...] = ()

    def stem(self) -> None:
        """299×299 image to 35×35; only one layer is padded."""
        self._add(Conv(name="Conv_1a_3x3", C=3, K=32, R=3, S=3, H=149, W=149, sH=2, sW=2, inputs=("input",)))
        source = self._conv("Conv_2a_3x3", 32, ("Conv_1a_3x3",), (3, 3), valid=True)
        source = self._conv("Conv_2b_3x3", 64, source, (3, 3))
        source = self._max_pool("MaxPool_3a_3x3", source)
        source = self._conv("Conv_3b_1x1", 80, source)
        source = self._conv("Conv_4a_3x3", 192, source, (3, 3), valid=True)
        self._current = self._conv("Conv_4b_3x3", 256, source, (3, 3), stride=2)

    def block_a(self, prefix: str) -> None:
        """Residual block of three branches at 35×35."""
        start = self._current
        first = self._conv(f"{prefix}_Conv_1a_1x1", 32, start)
        second = self._conv(f"{prefix}_Conv_2a_1x1", 32, start)
        second = self._conv(f"{prefix}_Conv_2b_3x3", 32, second, (3, 3))
        third = self._conv(f"{prefix}_Conv_3a_1x1", 32, start)
        third = self._conv(f"{prefix}_Conv_3b_3x3", 32, third, (3, 3))
        third = self._conv(f"{prefix}_Conv_3c_3x3", 32, third, (3, 3))
        self._residual(prefix, f"{prefix}_Conv_4_1x1", first + second + third)

    def reduction_a(self) -> None:
        """35×35 to 17×17."""
        start = self._current
        first = self._conv("RA_Conv_1a_3x3", 384, start, (3, 3), stride=2)
        second = self._conv("RA_Conv_2a_1x1", 192, start)
        second = self._conv("RA_Conv_2b_3x3", 192, second, (3, 3))
        second = self._conv("RA_Conv_2c_3x3", 256, second, (3, 3), stride=2)
        third = self._max_pool("RA_MaxPool_3a_3x3", start)
        self._current = first + second + third

    def block_bc(self, prefix: str, width: int, length: int) -> None:
        """Residual block of two branches; the second one has a 1×`length` and a `length`×1 window."""
        start = self._current
        first = self._conv(f"{prefix}_Conv_1a_1x1", width, start)
        second = self._conv(f"{prefix}_Conv_2a_1x1", width, start)
        second = self._conv(f"{prefix}_Conv_2b_1x{length}", width, second, (1, length))
        second = self._conv(f"{prefix}_Conv_2c_{length}x1", width, second, (length, 1))
        self._residual(prefix, f"{prefix}_Conv_3_1x1", first + second)

    def reduction_b(self) -> None:
        """17×17 to 8×8."""
        start = self._current
        first = self._max_pool("RB_MaxPool_1a_3x3", start)
        second = self._conv("RB_Conv_2a_1x1", 256, start)
        second = self._conv("RB_Conv_2b_3x3", 384, second, (3, 3), stride=2)
        third = self._conv("RB_Conv_3a_1x1", 256, start)
        third = self._conv("RB_Conv_3b_3x3", 256, third, (3, 3), stride=2)
        fourth = self._conv("RB_Conv_4a_1x1", 256, start)
        fourth = self._conv("RB_Conv_4b_3x3", 256, fourth, (3, 3))
        fourth = self._conv("RB_Conv_4c_3x3", 256, fourth, (3, 3), stride=2)
        self._current = first + second + third + fourth

    def classifier(self) -> None:
        """Average over 8×8 and two fully connected layers."""
        channels = self._channels(self._current)
        self._add(Pool(name="AvgPool", K=channels, R=8, S=8, H=1, W=1, sH=8, sW=8, ifmaps=self._current))
        self._add(FullyConnected(name="Dropout", C=channels, K=channels, ifmaps=("AvgPool",)))
        self._add(FullyConnected(name="FC", C=channels, K=_CLASSES, ifmaps=("Dropout",)))

    def _add(self, layer: Layer) -> tuple[str, ...]:
        self.layers.append(layer)
        self._layer[layer.name] = layer
        return (layer.name,)

    def _channels(self, sources: tuple[str, ...]) -> int:
        return sum(self._layer[name].K for name in sources)

    def _conv(
        self,
        name: str,
        kernels: int,
        sources: tuple[str, ...],
        window: tuple[int, int] = (1, 1),
        stride: int = 1,
        valid: bool = False,
    ) -> tuple[str, ...]:
        """Convolution; unpadded if `valid` or strided, else with the rows and columns of its source."""
        rows = self._layer[sources[0]].H
        if valid or stride > 1:
            rows = (rows - window[0]) // stride + 1
        return self._add(
            Conv(
                name=name,
                C=self._channels(sources),
                K=kernels,
                R=window[0],
                S=window[1],
                H=rows,
                W=rows,
                sH=stride,
                sW=stride,
                ifmaps=sources,
            )
        )

    def _max_pool(self, name: str, sources: tuple[str, ...]) -> tuple[str, ...]:
        rows = (self._layer[sources[0]].H - 3) // 2 + 1
        channels = self._channels(sources)
        return self._add(Pool(name=name, K=channels, R=3, S=3, H=rows, W=rows, sH=2, sW=2, ifmaps=sources))

    def _residual(self, prefix: str, projection: str, branches: tuple[str, ...]) -> None:
        """Project the concatenated branches and add them to the block's source."""
        start = self._current
        channels, rows = self._channels(start), self._layer[start[0]].H
        end = self._conv(projection, channels, branches)
        self._current = self._add(Eltwise(name=f"{prefix}_Eltwise", K=channels, H=rows, W=rows, ifmaps=start + end))
