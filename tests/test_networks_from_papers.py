"""Built-in networks of which no published file exists: layers, multiply-accumulates and weights as in the papers."""

import pytest

from soma_cp.model.network import Network
from soma_cp.model.networks.catalogue import builtin_network


def macs(network: Network) -> int:
    return sum(layer.operations for layer in network.layers if layer.is_matrix)


def weight_bytes(network: Network) -> int:
    return sum(layer.weight_bytes for layer in network.layers)


def kinds(network: Network) -> dict[str, int]:
    names = [layer.kind for layer in network.layers]
    return {kind: names.count(kind) for kind in dict.fromkeys(names)}


# Classifiers in a row


def test_darknet19_has_the_size_of_its_paper() -> None:
    # 5.58 G operations (table 2 of the YOLO9000 paper), two for each multiply-accumulate; 20.8 M parameters.
    network = builtin_network("darknet19")
    assert kinds(network) == {"conv": 19, "pool": 6}
    assert macs(network) == pytest.approx(5.58e9 / 2, rel=0.001)
    assert weight_bytes(network) == pytest.approx(20.8e6, rel=0.002)
    assert network.source_shape("conv18") == (1024, 7, 7)


def test_zfnet_has_the_weights_of_its_whole_layers() -> None:
    # Figure 3 of the paper; the cut full-connected layers have 6·6·256·4096 and 4096² weights as before.
    network = builtin_network("zfnet")
    convolutions = 7**2 * 3 * 96 + 5**2 * 96 * 256 + 3**2 * (256 * 384 + 384 * 384 + 384 * 256)
    full_connected = 6 * 6 * 256 * 4096 + 4096**2 + 4096 * 1000
    assert weight_bytes(network) == convolutions + full_connected
    assert weight_bytes(network) == pytest.approx(62.4e6, rel=0.002)  # known figure, biases included
    assert [network.source_shape(f"pool{stage}")[1] for stage in (1, 2, 5)] == [55, 13, 6]
    assert max(layer.weight_bytes for layer in network.layers) < 8 << 20  # the buffer of edge
    assert macs(network) == pytest.approx(1.17e9, rel=0.01)  # convolutions 1.106 G, by hand; the rest is weights
