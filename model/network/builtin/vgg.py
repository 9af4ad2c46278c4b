"""VGG-19 (Simonyan and Zisserman, ICLR 2015), as the SoMa paper's experiments model it.

The network is the feature extractor alone: the published experiments leave out the three fully connected layers after
it. Activation is part of the convolution before it.
"""

from soma_cp.model.network.layers import Conv, ExternalInput, Layer, Pool
from soma_cp.model.network.network import Network

_FIRST_SIDE = 224
_FIRST_WIDTH = 64
_WIDEST = 512


def vgg19() -> Network:
    """Build the convolutions and poolings of VGG-19 on images of 3×224×224."""
    return _vgg("vgg19", (2, 2, 4, 4, 4))


def _vgg(name: str, convs_of_stage: tuple[int, ...]) -> Network:
    image = ExternalInput("input", (3, _FIRST_SIDE, _FIRST_SIDE))
    layers: list[Layer] = []
    channels, number = image.shape[0], 0
    for stage, convs in enumerate(convs_of_stage):
        width = min(_FIRST_WIDTH * 2**stage, _WIDEST)
        side = _FIRST_SIDE // 2**stage
        for _ in range(convs):
            number += 1
            layers.append(
                Conv(
                    name=f"conv{number}",
                    C=channels,
                    K=width,
                    R=3,
                    S=3,
                    H=side,
                    W=side,
                    ifmaps=(layers[-1].name,) if layers else (),
                    inputs=() if layers else (image.name,),
                )
            )
            channels = width
        half, source = side // 2, layers[-1].name
        layers.append(Pool(name=f"pool{stage + 1}", K=width, R=2, S=2, H=half, W=half, sH=2, sW=2, ifmaps=(source,)))
    return Network(name, (image,), tuple(layers))
