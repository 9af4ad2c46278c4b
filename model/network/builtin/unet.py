"""U-Net (Ronneberger et al., MICCAI 2015), as the SoMa paper's experiments model it.

Convolutions are padded, so that rows and columns halve and double exactly and nothing is cropped. A transposed
convolution is an upsampling and a 2×2 convolution; ``x4_UP`` is the way up from level 4 to level 3.
"""

from soma_cp.model.network.layers import Conv, ExternalInput, Layer, PointToPoint, Pool, Upsample
from soma_cp.model.network.network import Network

_LEVELS = 4
_FIRST_WIDTH = 64
_FIRST_SIDE = 512
_CLASSES = 2


def unet() -> Network:
    """Build U-Net on images of 1×512×512."""
    layers: list[Layer] = [
        Conv(name="x0_conv_1", C=1, K=_width(0), R=3, S=3, H=_side(0), W=_side(0), inputs=("input",)),
        _conv("x0_conv_2", _width(0), 0, 3, _width(0), "x0_conv_1"),
    ]
    ends = [layers[-1].name]  # of each level on the way down
    for level in range(1, _LEVELS + 1):
        layers += _down(level, ends[-1])
        ends.append(layers[-1].name)
    for level in range(_LEVELS, 0, -1):
        layers += _up(level, layers[-1].name, skipped=ends[level - 1])
    layers.append(_conv("out_conv", _width(0), 0, 1, _CLASSES, layers[-1].name))
    return Network("unet", (ExternalInput("input", (1, _FIRST_SIDE, _FIRST_SIDE)),), tuple(layers))


def _width(level: int) -> int:
    return _FIRST_WIDTH << level


def _side(level: int) -> int:
    return _FIRST_SIDE >> level


def _down(level: int, source: str) -> list[Layer]:
    """Pooling into `level` and two convolutions there."""
    prefix, above, side = f"x{level}_DOWN", _width(level - 1), _side(level)
    return [
        Pool(name=f"{prefix}_maxpool", K=above, R=2, S=2, H=side, W=side, sH=2, sW=2, ifmaps=(source,)),
        _conv(f"{prefix}_conv_1", above, level, 3, _width(level), f"{prefix}_maxpool"),
        _conv(f"{prefix}_conv_2", _width(level), level, 3, _width(level), f"{prefix}_conv_1"),
    ]


def _up(level: int, source: str, skipped: str) -> list[Layer]:
    """Transposed convolution from `level` to the level above, where `skipped` joins, and two convolutions there."""
    prefix, above = f"x{level}_UP", level - 1
    side = _side(above)
    return [
        Upsample(name=f"{prefix}_upsample", K=_width(level), H=side, W=side, sH=2, sW=2, ifmaps=(source,)),
        _conv(f"{prefix}_conv_transpose", _width(level), above, 2, _width(above), f"{prefix}_upsample"),
        PointToPoint(
            name=f"{prefix}_concat",
            K=2 * _width(above),
            H=side,
            W=side,
            ifmaps=(skipped, f"{prefix}_conv_transpose"),
        ),
        _conv(f"{prefix}_conv_1", 2 * _width(above), above, 3, _width(above), f"{prefix}_concat"),
        _conv(f"{prefix}_conv_2", _width(above), above, 3, _width(above), f"{prefix}_conv_1"),
    ]


def _conv(name: str, C: int, level: int, window: int, K: int, source: str) -> Conv:
    side = _side(level)
    return Conv(name=name, C=C, K=K, R=window, S=window, H=side, W=side, ifmaps=(source,))
