"""Randomly wired networks (Xie et al., ICCV 2019).

Each stage is a connected Watts–Strogatz graph. The order of its nodes makes it a DAG: an edge goes from the lower to
the higher number. A node is an aggregation (an `eltwise`, if it has several sources) and a 3×3 convolution. Nodes
without a source inside the stage read the result of the stage before, with stride 2; the stage's result is the sum of
its nodes without a reader inside the stage.
"""

from random import Random

from soma_cp.model.errors import UserError
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, FullyConnected, Layer, Pool
from soma_cp.model.network.network import Network

_CLASSES = 1000
_HEAD_CHANNELS = 1024
_SIDE = 224
_MOST_STAGES = 5  # two convolutions of stride 2 come before them: 56×56 can be halved five times


def randwire_network(
    seed: int = 1,
    nodes: int = 10,
    neighbours: int = 4,
    rewiring: float = 0.75,
    channels: int = 64,
    stages: int = 3,
) -> Network:
    """Build a randomly wired network on images of 3×224×224; the same arguments give the same network.

    Parameters
    ----------
    seed
        Seed of the random generator that draws the graphs; at least 0.
    nodes
        N, nodes of each stage.
    neighbours
        k of the Watts–Strogatz model: before rewiring, each node is joined to its k nearest nodes
        (k − 1, if k is odd).
    rewiring
        p of the Watts–Strogatz model: probability that an edge is rewired.
    channels
        Channels of the first stage; each further stage has twice as many.
    stages
        Number of random stages; each halves rows and columns, from 56×56.

    Raises
    ------
    UserError
        If an argument is out of its range, or no connected graph is found.

    References
    ----------
    Xie et al., "Exploring Randomly Wired Neural Networks for Image Recognition", ICCV 2019,
    https://doi.org/10.1109/ICCV.2019.00137
    """
    _check_arguments(seed, nodes, neighbours, rewiring, channels, stages)
    random = Random(seed)
    stem_channels = max(channels // 2, 1)
    layers: list[Layer] = [
        Conv(name="stem1", C=3, K=stem_channels, R=3, S=3, H=112, W=112, sH=2, sW=2, inputs=("input",)),
        _conv("stem2", stem_channels, channels, 56, "stem1", stride=2),
    ]
    for stage in range(stages):
        sources = _random_dag(nodes, neighbours, rewiring, random)
        layers += _stage(f"stage{stage + 1}", sources, channels * 2**stage, layers[-1])
    layers += _head(layers[-1])
    return Network("randwire", (ExternalInput("input", (3, _SIDE, _SIDE)),), tuple(layers))


def _check_arguments(seed: int, nodes: int, neighbours: int, rewiring: float, channels: int, stages: int) -> None:
    if seed < 0:
        raise UserError(f"seed={seed} (must be at least 0)")
    if nodes < 2:
        raise UserError(f"nodes={nodes} (must be at least 2)")
    if not 2 <= neighbours <= nodes:
        raise UserError(f"neighbours={neighbours} (must be from 2 to nodes={nodes})")
    if not 0 <= rewiring <= 1:
        raise UserError(f"rewiring={rewiring} (must be from 0 to 1)")
    if channels < 1:
        raise UserError(f"channels={channels} (must be at least 1)")
    if not 1 <= stages <= _MOST_STAGES:
        raise UserError(f"stages={stages} (must be from 1 to {_MOST_STAGES})")


def _random_dag(nodes: int, neighbours: int, rewiring: float, random: Random) -> list[list[int]]:
    """Draw a connected graph; return the lower-numbered neighbours of each node."""
    # Imported here: only this builder needs it, and it slows down every start of the command.
    import networkx as nx

    try:
        # With few neighbours and much rewiring most draws are not connected.
        graph = nx.connected_watts_strogatz_graph(nodes, neighbours, rewiring, tries=1000, seed=random)
    except nx.NetworkXError:
        raise UserError(
            f"1000 random graphs of nodes={nodes}, neighbours={neighbours}, rewiring={rewiring} were all "
            "disconnected; take more neighbours or less rewiring"
        ) from None
    return [sorted(other for other in graph.neighbors(node) if other < node) for node in range(nodes)]


def _stage(prefix: str, sources_of_node: list[list[int]], channels: int, before: Layer) -> list[Layer]:
    side = before.H // 2
    layers: list[Layer] = []
    for node, sources in enumerate(sources_of_node):
        name = _node_name(prefix, node)
        if not sources:
            layers.append(_conv(name, before.K, channels, side, before.name, stride=2))
            continue
        source = _aggregate(layers, f"{name}_sum", prefix, sources, channels, side)
        layers.append(_conv(name, channels, channels, side, source))
    read = {source for sources in sources_of_node for source in sources}
    ends = [node for node in range(len(sources_of_node)) if node not in read]
    _aggregate(layers, f"{prefix}_sum", prefix, ends, channels, side)
    return layers


def _aggregate(layers: list[Layer], name: str, prefix: str, nodes: list[int], channels: int, side: int) -> str:
    """Return the name of the sum of `nodes`; add a layer for it if there are several."""
    sources = tuple(_node_name(prefix, node) for node in nodes)
    if len(sources) == 1:
        return sources[0]
    layers.append(Eltwise(name=name, N=len(sources), K=channels, H=side, W=side, ifmaps=sources))
    return name


def _node_name(prefix: str, node: int) -> str:
    return f"{prefix}_node{node}"


def _conv(name: str, C: int, K: int, side: int, source: str, stride: int = 1) -> Conv:
    return Conv(name=name, C=C, K=K, R=3, S=3, H=side, W=side, sH=stride, sW=stride, ifmaps=(source,))


def _head(before: Layer) -> list[Layer]:
    side = before.H
    return [
        Conv(name="head", C=before.K, K=_HEAD_CHANNELS, H=side, W=side, ifmaps=(before.name,)),
        Pool(name="pool", K=_HEAD_CHANNELS, R=side, S=side, H=1, W=1, sH=side, sW=side, ifmaps=("head",)),
        FullyConnected(name="fc", C=_HEAD_CHANNELS, K=_CLASSES, ifmaps=("pool",)),
    ]
