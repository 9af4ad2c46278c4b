"""The randomly wired network of the SoMa paper's experiments: one draw of its graphs, fixed.

Three stages of ten nodes. A node is an aggregation (an `eltwise`, if it has several sources) and a separable
convolution: 3×3, then 1×1. Nodes without a source inside the stage read the result of the stage before, with stride 2;
the result of a stage is the sum, or a copy, of its nodes without a reader inside the stage. The graph is that of the
published program of the SoMa paper (HPCA 2025), after Xie et al., ICCV 2019,
https://doi.org/10.1109/ICCV.2019.00137; `randwire_network` draws others.
"""

from collections.abc import Sequence

from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Layer, PointToPoint
from soma_cp.model.network.network import Network

Sources = tuple[tuple[int, ...], ...]
"""The nodes that each node of a stage reads; those without any read the stage before."""

STAGES: tuple[tuple[int, Sources], ...] = (
    (64, ((), (0,), (), (0, 2), (0, 2), (0, 3), (1, 3, 4, 5), (3, 5), (2, 3, 6, 7), (0, 3, 8))),
    (128, ((), (), (), (0, 1), (0,), (0, 1, 2), (4, 5), (0, 1, 2, 3, 6), (3, 6, 7), (3, 4, 5, 8))),
    (256, ((), (), (1,), (2,), (0, 3), (0, 1, 4), (3, 4, 5), (0, 2, 4, 5), (1, 2, 4), (1, 3, 7))),
)
"""Channels and edges of the stages."""


def randwire_small() -> Network:
    """Build the network, on images of 3×224×224."""
    layers: list[Layer] = [
        Conv(name="conv2d_1", C=3, K=32, R=3, S=3, H=112, W=112, sH=2, sW=2, inputs=("input",)),
        Conv(name="conv2d_2", C=32, K=64, R=3, S=3, H=56, W=56, sH=2, sW=2, ifmaps=("conv2d_1",)),
    ]
    for channels, sources in STAGES:
        _add_stage(layers, channels, sources)
    _add_conv(layers, 1024, 1, 1, layers[-1])
    return Network("randwire-small", (ExternalInput("input", (3, 224, 224)),), tuple(layers))


def _add_stage(layers: list[Layer], channels: int, sources_of_node: Sources) -> None:
    before, nodes = layers[-1], list[Layer]()
    for sources in sources_of_node:
        read = [nodes[source] for source in sources]
        source = before if not read else read[0] if len(read) == 1 else _add_sum(layers, read)
        _add_conv(layers, source.K, 3, 1 if read else 2, source)
        _add_conv(layers, channels, 1, 1, layers[-1])
        nodes.append(layers[-1])
    inner = {source for sources in sources_of_node for source in sources}
    _add_sum(layers, [node for number, node in enumerate(nodes) if number not in inner])


def _add_conv(layers: list[Layer], channels: int, kernel: int, stride: int, source: Layer) -> None:
    name = f"conv2d_{1 + sum(isinstance(layer, Conv) for layer in layers)}"
    side = source.H // stride
    layers.append(
        Conv(
            name=name,
            C=source.K,
            K=channels,
            R=kernel,
            S=kernel,
            H=side,
            W=side,
            sH=stride,
            sW=stride,
            ifmaps=(source.name,),
        )
    )


def _add_sum(layers: list[Layer], sources: Sequence[Layer]) -> Layer:
    """Add and return a layer that sums `sources`, or copies the only one."""
    name = f"element_wise{1 + sum(not isinstance(layer, Conv) for layer in layers)}"
    first, names = sources[0], tuple(source.name for source in sources)
    if len(sources) == 1:
        layers.append(PointToPoint(name=name, K=first.K, H=first.H, W=first.W, ifmaps=names))
    else:
        layers.append(Eltwise(name=name, N=len(sources), K=first.K, H=first.H, W=first.W, ifmaps=names))
    return layers[-1]
