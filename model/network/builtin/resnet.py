"""ResNet-50 and ResNet-101 (He et al., CVPR 2016), as the SoMa paper's experiments model them.

Normalisation and activation are part of the convolution before them. The stride of a stage is in its first
1×1 convolution, as in the original paper.
"""

from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, FullyConnected, Layer, Pool
from soma_cp.model.network.network import Network

_FIRST_STAGE = 2
_CLASSES = 1000


def resnet50() -> Network:
    """Build ResNet-50 on images of 3×224×224."""
    return resnet_of_stages("resnet50", (3, 4, 6, 3))


def resnet101() -> Network:
    """Build ResNet-101 on images of 3×224×224."""
    return resnet_of_stages("resnet101", (3, 4, 23, 3))


def resnet_of_stages(name: str, blocks_of_stage: tuple[int, ...]) -> Network:
    """Build a ResNet on images of 3×224×224, with the given number of bottleneck blocks in each of its four stages."""
    layers = feature_layers(blocks_of_stage, 224)
    last = layers[-1]
    layers += [
        Pool(name="pool5", K=last.K, R=7, S=7, H=1, W=1, sH=7, sW=7, ifmaps=(last.name,)),
        FullyConnected(name="fc", C=last.K, K=_CLASSES, ifmaps=("pool5",)),
    ]
    return Network(name, (ExternalInput("input", (3, 224, 224)),), tuple(layers))


def feature_layers(blocks_of_stage: tuple[int, ...], image_side: int) -> list[Layer]:
    """Return the layers before the classifier, on square images called ``input`` whose side is a multiple of 32."""
    half, quarter = image_side // 2, image_side // 4
    layers: list[Layer] = [
        Conv(name="conv1", C=3, K=64, R=7, S=7, H=half, W=half, sH=2, sW=2, inputs=("input",)),
        Pool(name="pool1", K=64, R=3, S=3, H=quarter, W=quarter, sH=2, sW=2, ifmaps=("conv1",)),
    ]
    for stage, blocks in enumerate(blocks_of_stage, start=_FIRST_STAGE):
        for block in range(blocks):
            layers += _bottleneck(stage, block, layers[-1])
    return layers


def _bottleneck(stage: int, block: int, source: Layer) -> list[Layer]:
    """1×1, 3×3, 1×1 and the sum with the source; in a stage's first block a 1×1 gives the source the right shape."""
    width = 64 * 2 ** (stage - _FIRST_STAGE)
    stride = 2 if block == 0 and stage > _FIRST_STAGE else 1
    side = source.H // stride
    prefix = f"conv_{stage}_{block}"
    layers: list[Layer] = [
        _conv(f"{prefix}_a", source.K, width, 1, side, source.name, stride),
        _conv(f"{prefix}_b", width, width, 3, side, f"{prefix}_a"),
        _conv(f"{prefix}_c", width, 4 * width, 1, side, f"{prefix}_b"),
    ]
    if block == 0:
        shortcut = _conv(f"conv_{stage}_br", source.K, 4 * width, 1, side, source.name, stride)
        layers.append(shortcut)
        operands = (f"{prefix}_c", shortcut.name)
    else:
        operands = (source.name, f"{prefix}_c")
    return [*layers, Eltwise(name=f"{prefix}_res", K=4 * width, H=side, W=side, ifmaps=operands)]


def _conv(name: str, C: int, K: int, window: int, side: int, source: str, stride: int = 1) -> Conv:
    return Conv(name=name, C=C, K=K, R=window, S=window, H=side, W=side, sH=stride, sW=stride, ifmaps=(source,))
