"""ZFNet (Zeiler and Fergus, ECCV 2014, figure 3).

Activation and the normalisation between layers are part of the convolution before them. The two large fully connected
layers are cut into parts that fit into the buffer of an edge accelerator, as in tensor parallelism: each part makes
some of the 4096 hidden channels and multiplies them by its share of the second matrix; a sum adds the products.
Multiply-accumulates and weights are those of the whole layers.
"""

from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, FullyConnected, Layer, Pool
from soma_cp.model.network.network import Network

_HIDDEN = 4096
_PARTS = 8
"""Weights of a part of the first full-connected layer: 4.5 MiB instead of 36."""
_CLASSES = 1000


def zfnet() -> Network:
    """Build ZFNet on images of 3×224×224."""
    layers: list[Layer] = [
        Conv(name="conv1", C=3, K=96, R=7, S=7, H=110, W=110, sH=2, sW=2, inputs=("input",)),
        _pool("pool1", 96, 55, "conv1"),
        Conv(name="conv2", C=96, K=256, R=5, S=5, H=26, W=26, sH=2, sW=2, ifmaps=("pool1",)),
        _pool("pool2", 256, 13, "conv2"),
        _conv("conv3", 256, 384, "pool2"),
        _conv("conv4", 384, 384, "conv3"),
        _conv("conv5", 384, 256, "conv4"),
        _pool("pool5", 256, 6, "conv5"),
    ]
    width = _HIDDEN // _PARTS
    for part in range(1, _PARTS + 1):
        layers += [
            FullyConnected(name=f"fc6_{part}", C=256, K=width, R=6, S=6, ifmaps=("pool5",)),
            FullyConnected(name=f"fc7_{part}", C=width, K=_HIDDEN, ifmaps=(f"fc6_{part}",)),
        ]
    products = tuple(f"fc7_{part}" for part in range(1, _PARTS + 1))
    layers += [
        Eltwise(name="fc7", N=_PARTS, K=_HIDDEN, H=1, W=1, ifmaps=products),
        FullyConnected(name="fc8", C=_HIDDEN, K=_CLASSES, ifmaps=("fc7",)),
    ]
    return Network("zfnet", (ExternalInput("input", (3, 224, 224)),), tuple(layers))


def _conv(name: str, C: int, K: int, source: str) -> Conv:
    return Conv(name=name, C=C, K=K, R=3, S=3, H=13, W=13, ifmaps=(source,))


def _pool(name: str, channels: int, side: int, source: str) -> Pool:
    return Pool(name=name, K=channels, R=3, S=3, H=side, W=side, sH=2, sW=2, ifmaps=(source,))
