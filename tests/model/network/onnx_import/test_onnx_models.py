"""Whole ONNX models: those of the ``onnx`` and ``zigzag-dse`` packages, transformer blocks, and random ones."""

import importlib.util
import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.onnx_imports import COUNTS_AS_INT8
from support.onnx_models import Model, bert_layer, gpt2_block, gpt2_decode_block
from support.twins import examples

from soma_cp.annealing.budget import Budget
from soma_cp.annealing.monitor import Monitor
from soma_cp.model.hardware.builtin.catalogue import PLATFORMS
from soma_cp.model.network.builtin.catalogue import builtin_network
from soma_cp.model.network.layers import Conv, Eltwise, ExternalInput, Layer, PointToPoint, Pool
from soma_cp.model.network.network import Network
from soma_cp.model.network.onnx_import.errors import OnnxFileError
from soma_cp.model.network.onnx_import.importing import import_onnx
from soma_cp.model.problem import Problem
from soma_cp.model.soma.validity import violations
from soma_cp.solver.choices import SecondStage
from soma_cp.solver.parameters import SolveParameters
from soma_cp.solver.solve import solve

LIGHT = sorted((Path(onnx.__file__).parent / "backend" / "test" / "data" / "light").glob("*.onnx"))
ZIGZAG_WHEEL = "SOMA_CP_ZIGZAG_WHEEL"
VAD_WHEEL = "SOMA_CP_SILERO_VAD_WHEEL"


def operations(network: Network, matrix: bool = True) -> int:
    return sum(layer.operations for layer in network.layers if layer.is_matrix == matrix)


def weight_bytes(network: Network) -> int:
    return sum(layer.weight_bytes for layer in network.layers)


def kinds(network: Network) -> Counter[str]:
    return Counter(layer.kind for layer in network.layers)


def packaged(package: str, variable: str, inside: str, folder: Path) -> Path:
    """A file of an installed package, or of its wheel, which an environment variable names."""
    wheel = os.environ.get(variable)
    if wheel:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(inside, folder))
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"needs the package of {package}, installed or as a wheel that {variable} names")
    return Path(found.origin).parents[1] / inside


def assert_solved(network: Network) -> None:
    """The search finds a schedule that can run, in a buffer that holds the weights of the largest layer twice."""
    largest = max(layer.weight_bytes for layer in network.layers)
    platform = PLATFORMS["cloud"]
    problem = Problem(network, replace(platform, gbuf_bytes=max(platform.gbuf_bytes, 2 * largest)))
    result = solve(problem, replace(SolveParameters(), second_stage=SecondStage.GREEDY), Monitor(Budget(0.5)))
    assert not violations(result.schedule.plan, result.best.schedule.dlsa)


# Models of packages. Multiply-accumulates and weights are those of torchvision's and the papers' models.

LIGHT_FIGURES = {
    "light_bvlc_alexnet": (14, 654_560_384, 60_954_656),
    "light_densenet121": (126, 2_834_161_664, 7_894_208),
    "light_inception_v1": (75, 1_431_556_352, 6_990_272),
    "light_inception_v2": (84, 2_018_851_840, 11_174_080),
    "light_resnet50": (73, 4_089_184_256, 25_502_912),
    "light_shufflenet": (88, 124_664_528, 1_365_464),
    "light_squeezenet": (31, 349_151_936, 1_231_552),
    "light_vgg19": (25, 19_632_062_464, 143_652_544),
    "light_zfnet512": (14, 1_481_727_008, 87_242_528),
}


def test_there_are_nine_light_models() -> None:
    assert [path.stem for path in LIGHT] == sorted(LIGHT_FIGURES)


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_a_light_model_is_imported_and_solved(path: Path) -> None:
    imported = import_onnx(path)
    network = imported.network
    assert imported.notes == (COUNTS_AS_INT8,)
    assert network.name == path.stem
    assert (len(network.layers), operations(network), weight_bytes(network)) == LIGHT_FIGURES[path.stem]
    assert_solved(network)


@pytest.mark.parametrize(
    ("name", "layers", "macs", "weights"),
    [
        ("alexnet", 14, 654_560_384, 60_954_656),
        ("mobilenetv2", 64, 300_774_272, 3_469_760),
        ("resnet18", 31, 1_814_073_344, 11_678_912),
    ],
)
def test_a_model_of_zigzag_is_imported_and_solved(
    name: str, layers: int, macs: int, weights: int, tmp_path: Path
) -> None:
    path = packaged("zigzag", ZIGZAG_WHEEL, f"zigzag/inputs/workload/{name}.onnx", tmp_path)
    network = import_onnx(path).network
    assert (len(network.layers), operations(network), weight_bytes(network)) == (layers, macs, weights)
    assert_solved(network)


def test_a_model_with_control_flow_is_refused(tmp_path: Path) -> None:
    path = packaged("silero_vad", VAD_WHEEL, "silero_vad/data/silero_vad.onnx", tmp_path)
    with pytest.raises(OnnxFileError) as error:
        import_onnx(path, {"input:1": 512, "state:1": 1})
    assert any("(If) is control flow" in problem for problem in error.value.problems)


# Agreement with built-in networks


def test_resnet50_differs_from_the_built_in_network_by_strides_and_softmax() -> None:
    """Batch normalisation leaves no layers, and the classifiers are equal.

    This model strides in the 3×3 convolution of a stage's first block, the original paper and the built-in network
    in the 1×1 before it, which here has four times the rows × columns: three convolutions of 77,070,336 more.
    """
    imported = import_onnx(next(path for path in LIGHT if path.stem == "light_resnet50")).network
    built_in = builtin_network("resnet50")
    assert weight_bytes(imported) == weight_bytes(built_in) == 25_502_912
    strides = [
        C * K * (4 * side * side - side * side) for C, K, side in ((256, 128, 28), (512, 256, 14), (1024, 512, 7))
    ]
    assert strides == [77_070_336] * 3
    assert operations(imported) - operations(built_in) == sum(strides)
    softmax = 1000
    assert operations(imported, matrix=False) - operations(built_in, matrix=False) == softmax
    assert kinds(imported) - kinds(built_in) == {"ptp": 1}
    assert not kinds(built_in) - kinds(imported)


def test_densenet_is_the_built_in_network_but_for_its_last_layer() -> None:
    imported = import_onnx(next(path for path in LIGHT if path.stem == "light_densenet121")).network
    *layers, last = with_structure(imported)
    *expected, expected_last = with_structure(builtin_network("densenet"))
    assert layers == expected
    assert (last[0], expected_last[0]) == ("conv", "fc")
    assert imported.layers[-1].operations == builtin_network("densenet").layers[-1].operations


def with_structure(network: Network) -> list[tuple[object, ...]]:
    """Layers with numbers in place of names: equal for networks that differ only in names."""
    number = {source.name: -1 - i for i, source in enumerate(network.inputs)} | network.layer_id
    fields = ("C", "K", "R", "S", "H", "W", "sH", "sW", "sK", "G", "N", "order")
    return [
        (
            layer.kind,
            tuple(getattr(layer, field, None) for field in fields),
            tuple(sorted(number[name] for name in layer.ifmaps)),
            tuple(number[name] for name in layer.weight_operands),
            tuple(number[name] for name in layer.inputs),
        )
        for layer in network.layers
    ]


def fingerprints(network: Network) -> Counter[object]:
    """Each layer with everything it depends on, regardless of the layers' names and order."""
    known: dict[str, object] = {source.name: source.shape for source in network.inputs}
    fields = ("C", "K", "R", "S", "H", "W", "sH", "sW", "sK", "G", "N", "order")
    for layer in network.layers:
        own = tuple(getattr(layer, field, None) for field in fields)
        reads = sorted(hash(known[name]) for name in (*layer.ifmaps, *layer.inputs))
        second = tuple(hash(known[name]) for name in layer.weight_operands)
        known[layer.name] = hash((layer.kind, own, tuple(reads), second))
    return Counter(known[layer.name] for layer in network.layers)


@pytest.mark.parametrize("decomposed", [True, False])
@pytest.mark.parametrize("tokens", [512, 128])
def test_a_gpt2_block_is_the_built_in_network(decomposed: bool, tokens: int, tmp_path: Path) -> None:
    path = gpt2_block(decomposed=decomposed).save(tmp_path / "block.onnx")
    network = import_onnx(path, {"sequence": tokens}).network
    built_in = builtin_network("gpt2-small-prefill", tokens)
    assert fingerprints(network) == fingerprints(built_in)
    assert (operations(network), weight_bytes(network)) == (operations(built_in), weight_bytes(built_in))
    assert operations(network, matrix=False) == operations(built_in, matrix=False)


def test_a_gpt2_block_for_several_samples_is_the_built_in_network_for_one(tmp_path: Path) -> None:
    imported = import_onnx(gpt2_block(128, batch=4).save(tmp_path / "block.onnx"))
    assert fingerprints(imported.network) == fingerprints(builtin_network("gpt2-small-prefill", 128))
    assert imported.notes == (
        "axis 0 of input 'hidden_states', 4, is taken to be the batch, which --batch sets; if it is not, "
        "say --batch-axis hidden_states=none",
        COUNTS_AS_INT8,
    )


def test_a_gpt2_block_with_a_cache_is_the_built_in_network(tmp_path: Path) -> None:
    network = import_onnx(gpt2_decode_block(512).save(tmp_path / "decode.onnx")).network
    assert fingerprints(network) == fingerprints(builtin_network("gpt2-small-decode", 512))


def test_a_bert_layer_differs_from_the_built_in_network_by_vector_layers_alone(tmp_path: Path) -> None:
    """The built-in network, as published, has no layers for activation and normalisation, but one for a dropout."""
    imported = import_onnx(bert_layer(512).save(tmp_path / "bert.onnx"))
    network, built_in = imported.network, builtin_network("bert-base")
    assert operations(network) == operations(built_in)
    assert weight_bytes(network) == weight_bytes(built_in)
    tokens, width = 512, 768
    positions, norms, gelu, dropout = 2 * width, 3 * width, 4 * width, width
    more = operations(network, matrix=False) - operations(built_in, matrix=False)
    assert more == tokens * (positions + norms + gelu - dropout)
    assert kinds(network) - kinds(built_in) == {"ptp": 3, "eltwise": 1}
    assert not kinds(built_in) - kinds(network)
    assert {note.split(" holds")[0] for note in imported.notes if "holds" in note} == {
        "input 'input_ids'",
        "input 'attention_mask'",
    }


@pytest.mark.parametrize(
    "model", [gpt2_block(64), gpt2_decode_block(64), bert_layer(64)], ids=["gpt2", "decode", "bert"]
)
def test_a_transformer_is_solved(model: Model, tmp_path: Path) -> None:
    assert_solved(import_onnx(model.save(tmp_path / "block.onnx")).network)


# Random models against directly built networks


@dataclass(frozen=True)
class Fmap:
    """A tensor of a random model: its name there, the layers that make it, its channels and its side."""

    tensor: str
    sources: tuple[str, ...]
    channels: int
    side: int


class Pair:
    """A random model, and the network that it should become."""

    def __init__(self) -> None:
        self.model = Model(13)
        x = self.model.input("x", ["batch", 4, 16, 16])
        self.fmaps = [Fmap(x, ("x",), 4, 16)]
        self.layers: dict[str, Layer] = {}
        self._joined: dict[tuple[str, ...], str] = {}

    def _reads(self, sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {
            "ifmaps": tuple(name for name in sources if name != "x"),
            "inputs": tuple(name for name in sources if name == "x"),
        }

    def _add(self, layer: Layer, tensor: str) -> None:
        self.layers[layer.name] = layer
        self.model.output(tensor)
        self.fmaps.append(Fmap(tensor, (layer.name,), layer.K, layer.H))

    def _name(self) -> str:
        return f"layer{len(self.layers)}"

    def conv(self, source: Fmap, K: int, window: int, stride: int) -> None:
        name, pad = self._name(), window // 2
        weight = self.model.weight(K, source.channels, window, window)
        tensor = self.model.node("Conv", source.tensor, weight, name=name, strides=[stride] * 2, pads=[pad] * 4)
        side = -(-source.side // stride)
        fields = {"C": source.channels, "K": K, "R": window, "S": window, "H": side, "W": side}
        self._add(Conv(name=name, sH=stride, sW=stride, **fields, **self._reads(source.sources)), tensor)

    def pool(self, source: Fmap, window: int) -> None:
        name = self._name()
        tensor = self.model.node("MaxPool", source.tensor, name=name, kernel_shape=[window] * 2, strides=[window] * 2)
        side = source.side // window
        fields = {"R": window, "S": window, "sH": window, "sW": window, "H": side, "W": side}
        self._add(Pool(name=name, K=source.channels, **fields, **self._reads(source.sources)), tensor)

    def add(self, left: Fmap, right: Fmap) -> None:
        operands = [self._one(fmap) for fmap in (left, right)]
        name = self._name()
        tensor = self.model.node("Add", left.tensor, right.tensor, name=name)
        extents = {"K": left.channels, "H": left.side, "W": left.side}
        self._add(Eltwise(name=name, **extents, **self._reads(operands)), tensor)

    def _one(self, fmap: Fmap) -> str:
        """The one layer of an fmap: a `ptp` layer joins a concatenation, when it is first needed."""
        if len(fmap.sources) == 1:
            return fmap.sources[0]
        if fmap.sources not in self._joined:
            name = self._name()
            extents = {"K": fmap.channels, "H": fmap.side, "W": fmap.side}
            self.layers[name] = PointToPoint(name=name, **extents, **self._reads(fmap.sources))
            self._joined[fmap.sources] = name
        return self._joined[fmap.sources]

    def concat(self, left: Fmap, right: Fmap) -> None:
        tensor = self.model.node("Concat", left.tensor, right.tensor, axis=1)
        self.fmaps.append(Fmap(tensor, left.sources + right.sources, left.channels + right.channels, left.side))

    @property
    def network(self) -> Network:
        return Network("random", (ExternalInput("x", (4, 16, 16)),), tuple(self.layers.values()))


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    pair = Pair()
    pair.conv(pair.fmaps[0], 4, 3, 1)
    for _ in range(draw(st.integers(1, 8))):
        source = draw(st.sampled_from(pair.fmaps))
        same = [fmap for fmap in pair.fmaps if (fmap.channels, fmap.side) == (source.channels, source.side)]
        others = [fmap for fmap in same if fmap.sources != source.sources]
        apart = [
            fmap for fmap in pair.fmaps if fmap.side == source.side and not set(fmap.sources) & set(source.sources)
        ]
        action = draw(st.sampled_from(("conv", "pool", "add", "concat")))
        if action == "pool" and source.side >= 2:
            pair.pool(source, 2)
        elif action == "add" and others:
            pair.add(source, draw(st.sampled_from(others)))
        elif action == "concat" and apart:
            pair.concat(source, draw(st.sampled_from(apart)))
        else:
            pair.conv(
                source, draw(st.sampled_from((4, 8))), draw(st.sampled_from((1, 3))), draw(st.sampled_from((1, 2)))
            )
    return pair


@examples(60)
@given(pairs())
def test_a_random_model_is_the_network_that_is_built_directly(
    tmp_path_factory: pytest.TempPathFactory, pair: Pair
) -> None:
    path = pair.model.save(tmp_path_factory.getbasetemp() / "random.onnx")
    network = import_onnx(path).network
    assert fingerprints(network) == fingerprints(pair.network)
    named = {layer.name for layer in network.layers} & set(pair.layers)
    for name in named:
        ours, expected = network.layers[network.layer_id[name]], pair.layers[name]
        if ours.kind == expected.kind != "ptp":
            assert (ours.ofmap, ours.operations, ours.weight_bytes) == (
                expected.ofmap,
                expected.operations,
                expected.weight_bytes,
            )
