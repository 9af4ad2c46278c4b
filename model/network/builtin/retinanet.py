"""RetinaNet (Lin et al., ICCV 2017) with ResNet-50 and a feature pyramid (Lin et al., CVPR 2017), on 640×640 images.

The levels P3 to P5 of the pyramid come from the last three stages of ResNet-50: for each, a 1×1 convolution, the sum
with the enlarged level above, and a 3×3 convolution. P6 and P7 are convolutions of stride 2, of the last stage and of
P6. Each level has a head of convolutions for the classes and one for the boxes, at 9 anchors; the heads are the outputs
of the network. Normalisation and activation are part of the convolution before them; the layers after the heads, which
choose boxes, are left out.

In the model the heads of all levels share their weights. Layers of a network can't: each level loads its own copy. So
the network has the weights of the model and four more copies of the heads, and no schedule of it can load the heads
once for several levels.
"""

from soma_cp.model.network.builtin.resnet import feature_layers
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Layer, Upsample
from soma_cp.model.network.network import Network

_IMAGE_SIDE = 640
_WIDTH = 256
_CLASSES = 80
_ANCHORS = 9
_HEAD_CONVOLUTIONS = 4
_HEADS = {"class": _CLASSES * _ANCHORS, "box": 4 * _ANCHORS}
"""Kernels of the last convolution of each head."""
_RESNET50_BLOCKS = (3, 4, 6, 3)
_STAGE_ENDS = {3: "conv_3_3_res", 4: "conv_4_5_res", 5: "conv_5_2_res"}
"""Last layers of the stages of ResNet-50 that the pyramid reads: C3, C4, C5."""


def retinanet_resnet50() -> Network:
    """Build RetinaNet with ResNet-50 on images of 3×640×640; its outputs are two heads on each of five levels."""
    layers = feature_layers(_RESNET50_BLOCKS, _IMAGE_SIDE)
    stages = {layer.name: layer for layer in layers}
    layers += _pyramid({level: stages[name] for level, name in _STAGE_ENDS.items()})
    levels = [layer for layer in layers if layer.name in ("p3", "p4", "p5", "p6", "p7")]
    for level in sorted(levels, key=lambda layer: layer.name):
        for head, kernels in _HEADS.items():
            layers += _head(f"{level.name}_{head}", level, kernels)
    image = ExternalInput("input", (3, _IMAGE_SIDE, _IMAGE_SIDE))
    return Network("retinanet-resnet50", (image,), tuple(layers))


def _pyramid(stages: dict[int, Layer]) -> list[Layer]:
    """The levels ``p5``, ``p4``, ``p3``, ``p6`` and ``p7``; `stages` has the stages by their level."""
    layers: list[Layer] = []
    above: Layer | None = None
    for level, stage in sorted(stages.items(), reverse=True):
        merged: Layer = Conv(name=f"lateral{level}", C=stage.K, K=_WIDTH, H=stage.H, W=stage.W, ifmaps=(stage.name,))
        layers.append(merged)
        if above is not None:
            enlarged = Upsample(name=f"up{level}", K=_WIDTH, H=stage.H, W=stage.W, sH=2, sW=2, ifmaps=(above.name,))
            operands = (merged.name, enlarged.name)
            merged = Eltwise(name=f"merged{level}", K=_WIDTH, H=stage.H, W=stage.W, ifmaps=operands)
            layers += [enlarged, merged]
        layers.append(_conv(f"p{level}", merged, _WIDTH))
        above = merged
    sixth = _conv("p6", stages[5], _WIDTH, stride=2)
    return [*layers, sixth, _conv("p7", sixth, _WIDTH, stride=2)]


def _head(prefix: str, level: Layer, kernels: int) -> list[Layer]:
    layers: list[Layer] = []
    for number in range(1, _HEAD_CONVOLUTIONS + 1):
        layers.append(_conv(f"{prefix}_{number}", layers[-1] if layers else level, _WIDTH))
    return [*layers, _conv(prefix, layers[-1], kernels)]


def _conv(name: str, source: Layer, kernels: int, stride: int = 1) -> Conv:
    side = source.H // stride
    return Conv(name=name, C=source.K, K=kernels, R=3, S=3, H=side, W=side, sH=stride, sW=stride, ifmaps=(source.name,))
