"""Darknet-19 (Redmon and Farhadi, "YOLO9000", CVPR 2017, table 6): 19 convolutions and no fully connected layer.

Normalisation and activation are part of the convolution before them; the softmax is left out, as in the other
classifiers.
"""

from soma_cp.model.network.layers import Conv, ExternalInput, Layer, Pool
from soma_cp.model.network.network import Network

_FIRST_SIDE = 224
_CLASSES = 1000
_KERNELS_OF_STAGE = (
    (32,),
    (64,),
    (128, 64, 128),
    (256, 128, 256),
    (512, 256, 512, 256, 512),
    (1024, 512, 1024, 512, 1024),
)
"""Kernels of each stage's convolutions, with windows 3×3 and 1×1 in turn; rows and columns halve between stages."""


def darknet19() -> Network:
    """Build Darknet-19 on images of 3×224×224."""
    image = ExternalInput("input", (3, _FIRST_SIDE, _FIRST_SIDE))
    layers: list[Layer] = []
    channels, side, number = image.shape[0], _FIRST_SIDE, 0
    for stage, kernels in enumerate(_KERNELS_OF_STAGE, start=1):
        for place, width in enumerate(kernels):
            number += 1
            layers.append(_conv(f"conv{number}", channels, width, 3 - 2 * (place % 2), side, layers))
            channels = width
        if stage < len(_KERNELS_OF_STAGE):
            side //= 2
            source = (layers[-1].name,)
            layers.append(Pool(name=f"pool{stage}", K=channels, R=2, S=2, H=side, W=side, sH=2, sW=2, ifmaps=source))
    layers.append(_conv(f"conv{number + 1}", channels, _CLASSES, 1, side, layers))
    source = (layers[-1].name,)
    layers.append(Pool(name="pool_avg", K=_CLASSES, R=side, S=side, H=1, W=1, sH=side, sW=side, ifmaps=source))
    return Network("darknet19", (image,), tuple(layers))


def _conv(name: str, C: int, K: int, window: int, side: int, before: list[Layer]) -> Conv:
    """A convolution of the last layer's ofmap, or of the image if there is no layer yet."""
    return Conv(
        name=name,
        C=C,
        K=K,
        R=window,
        S=window,
        H=side,
        W=side,
        ifmaps=(before[-1].name,) if before else (),
        inputs=() if before else ("input",),
    )
