"""ResNet-152 (He et al., CVPR 2016) and ResNeXt-50 (Xie et al., CVPR 2017), built like ResNet-50.

The SoMa paper's experiments model ResNeXt-50 as ResNet-50 whose 3×3 convolutions are in 32 groups, without the
double width that the ResNeXt paper gives them. ResNet-152 isn't among these experiments; it is ResNet-50 with
more blocks.
"""

from dataclasses import fields

from soma_cp.model.network.builtin.resnet import resnet50, resnet_of_stages
from soma_cp.model.network.layers import Conv, GroupConv, Layer
from soma_cp.model.network.network import Network

_CARDINALITY = 32


def resnet152() -> Network:
    """Build ResNet-152 on images of 3×224×224."""
    return resnet_of_stages("resnet152", (3, 8, 36, 3))


def resnext50() -> Network:
    """Build ResNeXt-50 on images of 3×224×224."""
    base = resnet50()
    return Network("resnext50", base.inputs, tuple(map(_grouped, base.layers)))


def _grouped(layer: Layer) -> Layer:
    """Return the layer, in groups if it is the 3×3 convolution of a block."""
    if not isinstance(layer, Conv) or layer.R != 3:
        return layer
    return GroupConv(G=_CARDINALITY, **{field.name: getattr(layer, field.name) for field in fields(layer)})
