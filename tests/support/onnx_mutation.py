"""Models with faults: a drawn model with a few drawn changes of its structure, and at times of its bytes.

``mutated(seed)`` gives the same bytes for a seed as long as the corpus and the package ``onnx`` are the same.
``support/onnx_mutation_run.py`` imports many of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper, shape_inference

from support.onnx_corpus.cases import CASES
from support.onnx_corpus.small import SMALL, one_operator

NUMBERS = (0, -1, 1, 2, 3, 5, 7, 64, 1000, 2**20, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), -2, -3)
NAMES = (
    "",
    " ",
    "a\nb",
    "\x00",
    "\x1b[31m",
    "é漢字",
    "x" * 3000,
    "batch",
    "--dim",
    "a/b\\c",
    "'",
    '"',
    "\u202e",
    "\u2028",
)
KINDS = (0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 14, 16, 17, 22, 99)
OPERATORS = tuple(
    """
    Conv MatMul Gemm Add Mul Sub Div Reshape Transpose Concat Split Slice Gather Squeeze Unsqueeze Expand Tile Shape
    Softmax LayerNormalization BatchNormalization ReduceMean MaxPool AveragePool GlobalAveragePool ConvTranspose Resize
    Pad Flatten Where Cast Relu Sigmoid Pow Einsum LSTM GRU Attention DepthToSpace TopK Identity Constant Range If Loop
    QLinearConv QuantizeLinear DequantizeLinear InstanceNormalization Upsample Dropout Clip Sum Max MatMulInteger
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Mutated:
    """A model with faults, and how to import it."""

    content: bytes
    extents: Mapping[str, int]
    ignore_unsupported: bool
    ends: tuple[str, ...]
    changes: tuple[str, ...]


def mutated(seed: int) -> Mutated:
    """Return the model of a seed."""
    rng = Random(seed)
    source, model, extents = _drawn_model(rng)
    changes = [source]
    count = rng.choice((0, 1, 1, 1, 2, 2, 3, 5))
    drawn = [branch] * count if rng.random() < 0.25 else rng.choices(CHANGES, k=count)
    for change in sorted(drawn, key=lambda change: change is not branch):  # it needs a model that is right so far
        changes.append(change.__name__)
        try:
            change(rng, model)
        except (ValueError, IndexError, TypeError, OverflowError):  # the model lacks what would be changed
            changes[-1] += " (not possible)"
    content = model.SerializeToString()
    if rng.random() < 0.2:
        change_bytes = rng.choice(BYTE_CHANGES)
        changes.append(change_bytes.__name__)
        content = change_bytes(rng, content)
    names = {dim.dim_param for source in model.graph.input for dim in source.type.tensor_type.shape.dim}
    given = {name: value for name, value in extents.items() if name in names}
    if rng.random() < 0.1:
        given |= {name: rng.choice((1, 4, 16)) for name in sorted(names) if name}
    ends: tuple[str, ...] = ()
    if rng.random() < 0.2 and model.graph.node:
        node = rng.choice(model.graph.node)
        ends = (rng.choice((node.name, *node.output)) or "none",)
    return Mutated(content, given, rng.random() < 0.3, ends, tuple(changes))


@cache
def _corpus() -> tuple[tuple[str, bytes, Mapping[str, int]], ...]:
    cases = [(name, case.build().model().SerializeToString(), case.extents) for name, case in CASES.items()]
    return (*cases, *((build.__name__, build().model().SerializeToString(), {}) for build in SMALL))


def _drawn_model(rng: Random) -> tuple[str, onnx.ModelProto, Mapping[str, int]]:
    if rng.random() < 0.2:
        return "one_operator", one_operator(rng), {}
    count = len(_corpus())
    place = rng.randrange(count) if rng.random() < 0.7 else count - 1 - rng.randrange(len(SMALL))
    name, content, extents = _corpus()[place]
    return name, onnx.load_from_string(content), extents


# Changes of the structure. A change that a model has no place for raises IndexError or ValueError.


def _node(rng: Random, model: onnx.ModelProto) -> onnx.NodeProto:
    return model.graph.node[rng.randrange(len(model.graph.node))]


def _tensors(model: onnx.ModelProto) -> list[str]:
    graph = model.graph
    made = [name for node in graph.node for name in node.output]
    return made + [source.name for source in graph.input] + [tensor.name for tensor in graph.initializer]


def drop_node(rng: Random, model: onnx.ModelProto) -> None:
    del model.graph.node[rng.randrange(len(model.graph.node))]


def duplicate_node(rng: Random, model: onnx.ModelProto) -> None:
    copy = onnx.NodeProto()
    copy.CopyFrom(_node(rng, model))
    if rng.random() < 0.5:
        copy.output[:] = [f"{name}_again" for name in copy.output]
    model.graph.node.insert(rng.randrange(len(model.graph.node) + 1), copy)


def swap_inputs(rng: Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    names = list(node.input)
    rng.shuffle(names)
    node.input[:] = names


def rewire_input(rng: Random, model: onnx.ModelProto) -> None:
    """An input becomes another tensor, which may be made later: a cycle."""
    node = _node(rng, model)
    node.input[rng.randrange(len(node.input))] = rng.choice([*_tensors(model), "", "nothing"])


def cycle(rng: Random, model: onnx.ModelProto) -> None:
    first, last = sorted(rng.sample(range(len(model.graph.node)), 2))
    model.graph.node[first].input[0] = model.graph.node[last].output[0]


def own_output(rng: Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    node.input[0] = node.output[0]


def change_input_count(rng: Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    if rng.random() < 0.5:
        del node.input[rng.randrange(len(node.input)) :]
    else:
        node.input.extend(rng.choices(_tensors(model), k=rng.randint(1, 3)))


def change_output_count(rng: Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    if rng.random() < 0.5:
        del node.output[rng.randrange(len(node.output)) :]
    else:
        node.output.extend(rng.choice((["more"], ["", "more"], [node.output[0]], _tensors(model)[:1])))


def shuffle_nodes(rng: Random, model: onnx.ModelProto) -> None:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    rng.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def change_operator(rng: Random, model: onnx.ModelProto) -> None:
    _node(rng, model).op_type = rng.choice((*OPERATORS, "", "NoSuchOperator", "\x00"))


def change_domain(rng: Random, model: onnx.ModelProto) -> None:
    domain = rng.choice(("com.microsoft", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "unknown", "\n", "x" * 500))
    _node(rng, model).domain = domain
    if rng.random() < 0.5:
        model.opset_import.append(helper.make_opsetid(domain, rng.choice((1, 0, 2**31, -1))))


def change_attribute(rng: Random, model: onnx.ModelProto) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    attribute = rng.choice(rng.choice(nodes).attribute)
    if attribute.ints and rng.random() < 0.8:
        values = list(attribute.ints)
        choice = rng.random()
        if choice < 0.6:
            values[rng.randrange(len(values))] = rng.choice(NUMBERS)
        elif choice < 0.75:
            values.append(rng.choice(NUMBERS))
        elif choice < 0.9:
            values.pop()
        else:
            values = []
        attribute.ints[:] = values
    elif attribute.type == AttributeProto.INT and rng.random() < 0.8:
        attribute.i = rng.choice(NUMBERS)
    elif attribute.type == AttributeProto.FLOAT and rng.random() < 0.8:
        attribute.f = rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e38))
    elif attribute.type == AttributeProto.STRING and rng.random() < 0.8:
        attribute.s = rng.choice((b"", b"\xff\xfe", b"SAME_UPPER", b"VALID", b"linear", b"ij->", b"...", b"a" * 9999))
    elif attribute.type == AttributeProto.TENSOR and rng.random() < 0.8:
        _spoil_tensor(rng, attribute.t)
    else:
        attribute.type = rng.choice(range(15))


def drop_attribute(rng: Random, model: onnx.ModelProto) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    attributes = rng.choice(nodes).attribute
    del attributes[rng.randrange(len(attributes))]


def add_attribute(rng: Random, model: onnx.ModelProto) -> None:
    name = rng.choice(("axis", "perm", "axes", "keepdims", "group", "pads", "auto_pad", "nothing", "", "value", "to"))
    value: Any = rng.choice((0, 1.5, "text", [1, 2], [0.5], ["a", "b"], [-1], [2**40], ""))
    attribute = helper.make_attribute(name, value)
    if rng.random() < 0.2:
        attribute.ref_attr_name = "outer"
    _node(rng, model).attribute.append(attribute)


def repeat_attribute(rng: Random, model: onnx.ModelProto) -> None:
    node = rng.choice([node for node in model.graph.node if node.attribute])
    node.attribute.append(rng.choice(node.attribute))


def change_input_dim(rng: Random, model: onnx.ModelProto) -> None:
    dims = rng.choice(model.graph.input).type.tensor_type.shape.dim
    dim = dims[rng.randrange(len(dims))]
    choice = rng.random()
    if choice < 0.6:
        dim.dim_value = rng.choice(NUMBERS)
    elif choice < 0.9:
        dim.dim_param = rng.choice((*NAMES, "N", "sequence"))
    else:
        dim.Clear()


def change_input_rank(rng: Random, model: onnx.ModelProto) -> None:
    shape = rng.choice(model.graph.input).type.tensor_type.shape
    choice = rng.random()
    if choice < 0.4:
        del shape.dim[rng.randrange(len(shape.dim))]
    elif choice < 0.8:
        shape.dim.add().dim_value = rng.choice((1, 2, 0, 16))
    else:
        del shape.dim[:]


def change_input_type(rng: Random, model: onnx.ModelProto) -> None:
    kind = rng.choice(model.graph.input).type
    choice = rng.random()
    if choice < 0.4:
        kind.tensor_type.elem_type = rng.choice(KINDS)
    elif choice < 0.5:
        kind.tensor_type.ClearField("shape")
    elif choice < 0.6:
        kind.Clear()
    elif choice < 0.7:
        kind.sequence_type.elem_type.tensor_type.elem_type = 1
    elif choice < 0.8:
        kind.optional_type.elem_type.tensor_type.elem_type = 1
    elif choice < 0.9:
        kind.map_type.key_type = TensorProto.STRING
        kind.map_type.value_type.tensor_type.elem_type = 1
    else:
        kind.sparse_tensor_type.elem_type = 1
        kind.sparse_tensor_type.shape.dim.add().dim_value = 4


def drop_input(rng: Random, model: onnx.ModelProto) -> None:
    del model.graph.input[rng.randrange(len(model.graph.input))]


def duplicate_input(rng: Random, model: onnx.ModelProto) -> None:
    model.graph.input.append(rng.choice(model.graph.input))


def initializer_is_input(rng: Random, model: onnx.ModelProto) -> None:
    tensor = rng.choice(model.graph.initializer)
    dims = rng.choice((list(tensor.dims), [], ["N"], [3]))
    model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, dims))


def drop_initializer(rng: Random, model: onnx.ModelProto) -> None:
    del model.graph.initializer[rng.randrange(len(model.graph.initializer))]


def duplicate_initializer(rng: Random, model: onnx.ModelProto) -> None:
    model.graph.initializer.append(rng.choice(model.graph.initializer))


def spoil_initializer(rng: Random, model: onnx.ModelProto) -> None:
    _spoil_tensor(rng, rng.choice(model.graph.initializer))


def spoil_constant(rng: Random, model: onnx.ModelProto) -> None:
    """Change a shape, an index or another small constant."""
    tensors = [attribute.t for node in model.graph.node for attribute in node.attribute if node.op_type == "Constant"]
    tensors += [tensor for tensor in model.graph.initializer if tensor.raw_data]
    tensor = rng.choice(tensors)
    if rng.random() < 0.3:
        _spoil_tensor(rng, tensor)
        return
    values = numpy_helper.to_array(tensor).copy()
    flat = values.reshape(-1)
    flat[rng.randrange(flat.size)] = rng.choice(NUMBERS)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def constant_of_another_kind(rng: Random, model: onnx.ModelProto) -> None:
    node = rng.choice([node for node in model.graph.node if node.op_type == "Constant"])
    del node.attribute[:]
    sparse = onnx.SparseTensorProto(dims=[4])
    sparse.values.CopyFrom(helper.make_tensor("values", 1, [1], [1.0]))
    sparse.indices.CopyFrom(helper.make_tensor("indices", 7, [1], [rng.choice((0, 9))]))
    kinds: tuple[tuple[str, Any], ...] = (
        ("value_int", 3),
        ("value_float", 1.5),
        ("value_string", "text"),
        ("value_ints", [1, -1]),
        ("value_floats", [0.5]),
        ("value_strings", ["a", "b"]),
        ("sparse_value", sparse),
    )
    name, value = rng.choice(kinds)
    node.attribute.append(helper.make_attribute(name, value))


def _spoil_tensor(rng: Random, tensor: TensorProto) -> None:
    choice = rng.randrange(8)
    if choice == 0 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
    elif choice == 1:
        tensor.dims.append(rng.choice((1, 2, 0, -1)))
    elif choice == 2:
        del tensor.dims[:]
    elif choice == 3:
        tensor.data_type = rng.choice(KINDS)
    elif choice == 4:
        tensor.raw_data = tensor.raw_data[: rng.randint(0, 7)]
    elif choice == 5:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.DEFAULT
    elif choice == 6:
        tensor.data_location = TensorProto.EXTERNAL
        del tensor.external_data[:]
        keys = (("location", "/dev/zero"), ("location", "../x"), ("offset", "-1"), ("length", "x"), ("", ""))
        for key, value in rng.sample(keys, rng.randint(0, 3)):
            tensor.external_data.add(key=key, value=value)
    else:
        tensor.segment.begin, tensor.segment.end = 0, rng.choice((0, 5))


def sparse_initializer(rng: Random, model: onnx.ModelProto) -> None:
    tensor = rng.choice(model.graph.initializer)
    sparse = model.graph.sparse_initializer.add()
    sparse.dims.extend(tensor.dims)
    sparse.values.CopyFrom(helper.make_tensor(tensor.name, 1, [1], [1.0]))
    sparse.indices.CopyFrom(helper.make_tensor("", 7, [1], [0]))
    if rng.random() < 0.7:
        model.graph.initializer.remove(tensor)


def rename_node(rng: Random, model: onnx.ModelProto) -> None:
    names = [node.name for node in model.graph.node]
    _node(rng, model).name = rng.choice((*NAMES, *names[:3]))


def without_node_names(rng: Random, model: onnx.ModelProto) -> None:
    name = rng.choice(("", "same"))
    for node in model.graph.node:
        node.name = name


def rename_tensor(rng: Random, model: onnx.ModelProto) -> None:
    """A tensor gets a bad name, or that of another, wherever it is named."""
    old, new = rng.choice(_tensors(model)), rng.choice((*NAMES, *_tensors(model)[:5]))
    for node in model.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
    for item in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        if item.name == old:
            item.name = new


def rename_output(rng: Random, model: onnx.ModelProto) -> None:
    """The output of one node gets another name, its readers keep the old."""
    node = _node(rng, model)
    node.output[rng.randrange(len(node.output))] = rng.choice((*NAMES, *_tensors(model)))


def change_outputs(rng: Random, model: onnx.ModelProto) -> None:
    outputs = model.graph.output
    choice = rng.randrange(5)
    if choice == 0:
        del outputs[:]
    elif choice == 1:
        outputs.append(rng.choice(outputs))
    elif choice == 2:
        rng.choice(outputs).name = rng.choice((*NAMES, *_tensors(model)))
    elif choice == 3:
        outputs.append(helper.make_value_info(rng.choice(_tensors(model)), onnx.TypeProto()))
    else:
        kind = rng.choice(outputs).type.tensor_type
        kind.elem_type = rng.choice(KINDS)
        kind.shape.dim.add().dim_value = rng.choice(NUMBERS)


def stated_shape(rng: Random, model: onnx.ModelProto) -> None:
    dims = [rng.choice((*NUMBERS[:8], "N")) for _ in range(rng.randint(0, 5))]
    model.graph.value_info.append(helper.make_tensor_value_info(rng.choice(_tensors(model)), rng.choice(KINDS), dims))


def change_opsets(rng: Random, model: onnx.ModelProto) -> None:
    choice = rng.random()
    if choice < 0.6:
        model.opset_import[0].version = rng.choice((0, -1, 1, 5, 6, 9, 11, 13, 18, 22, 25, 100, 2**31, 2**62))
    elif choice < 0.8:
        del model.opset_import[:]
    else:
        model.opset_import.append(helper.make_opsetid(rng.choice(("", "ai.onnx", "x")), rng.choice((1, 7, 21))))


def change_versions(rng: Random, model: onnx.ModelProto) -> None:
    model.ir_version = rng.choice((0, 1, 3, 14, 2**31, -1))
    model.producer_name = rng.choice(NAMES)


def long_chain(rng: Random, model: onnx.ModelProto) -> None:
    """A chain of many nodes before the first node."""
    reader = _node(rng, model)
    name = reader.input[0]
    operator = rng.choice(("Relu", "Identity", "Sigmoid", "Neg", "Cast", "Transpose", "Unsqueeze"))
    length = rng.choice((50, 300, 1500))
    chain = []
    for i in range(length):
        made = f"chain_{i}"
        chain.append(helper.make_node(operator, [name], [made], **({"to": 1} if operator == "Cast" else {})))
        name = made
    reader.input[0] = name
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*chain, *nodes])


def doubling(rng: Random, model: onnx.ModelProto) -> None:
    """A tensor is joined with itself again and again: its size, or the number of its parts, doubles."""
    node = _node(rng, model)
    name = node.output[0]
    operator = rng.choice(("Concat", "Add", "Mul", "MatMul"))
    for i in range(rng.choice((5, 20, 40))):
        attributes = {"axis": 1} if operator == "Concat" else {}
        model.graph.node.append(helper.make_node(operator, [name, name], [f"double_{i}"], **attributes))
        name = f"double_{i}"
    model.graph.output.append(helper.make_value_info(name, onnx.TypeProto()))


def enclosed(rng: Random, model: onnx.ModelProto) -> None:
    """A node moves into an If, which may be within others."""
    node = onnx.NodeProto.FromString(_node(rng, model).SerializeToString())
    place = next(i for i, other in enumerate(model.graph.node) if other.output[:1] == node.output[:1])
    output = [helper.make_value_info(node.output[0], onnx.TypeProto())]
    for depth in range(rng.choice((1, 2, 10, 25))):
        graph = helper.make_graph([node], f"depth_{depth}", [], output)
        condition = rng.choice((_tensors(model)[0], "condition"))
        node = helper.make_node("If", [condition], [node.output[0]], then_branch=graph, else_branch=graph)
        if depth > 4:  # both branches would double the model each time
            del node.attribute[1]
    del model.graph.node[place]
    model.graph.node.insert(place, node)


def loop(rng: Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    body = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body", [], [])
    operator = rng.choice(("Loop", "Scan", "SequenceMap"))
    model.graph.node.append(helper.make_node(operator, list(node.input)[:2], ["looped"], body=body, num_scan_inputs=1))
    model.graph.output.append(helper.make_value_info("looped", onnx.TypeProto()))


def sequence(rng: Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    name = node.output[0]
    kinds: tuple[tuple[str, list[str], dict[str, Any]], ...] = (
        ("SequenceConstruct", [name, name], {}),
        ("Optional", [name], {}),
        ("SplitToSequence", [name], {"axis": 1}),
        ("StringNormalizer", [name], {}),
        ("NonZero", [name], {}),
        ("SequenceEmpty", [], {}),
    )
    operator, inputs, attributes = rng.choice(kinds)
    model.graph.node.append(helper.make_node(operator, inputs, ["sequence"], **attributes))
    then = rng.choice(("ConcatFromSequence", "SequenceLength", "OptionalGetElement", "Relu"))
    model.graph.node.append(
        helper.make_node(then, ["sequence"], ["of_sequence"], **({"axis": 1} if then[:3] == "Con" else {}))
    )
    model.graph.output.append(helper.make_value_info("of_sequence", onnx.TypeProto()))


def function(rng: Random, model: onnx.ModelProto) -> None:
    """A function of the model's own: right, recursive, with an attribute that is missing, or of too few inputs."""
    node = _node(rng, model)
    inner = rng.choice(("Relu", "Own", "Concat"))
    body = [helper.make_node(inner, ["a"], ["b"], domain="own" if inner == "Own" else "")]
    if rng.random() < 0.3:
        body[0].attribute.append(AttributeProto(name="axis", type=AttributeProto.INT, ref_attr_name="axis"))
    opsets = list(model.opset_import)
    model.functions.append(helper.make_function("own", "Own", ["a"], ["b"], body, opsets, ["axis"]))
    if rng.random() < 0.2:
        model.functions.append(model.functions[0])
    node.op_type, node.domain = "Own", "own"
    if rng.random() < 0.7:
        model.opset_import.append(helper.make_opsetid("own", 1))


def string_constant(rng: Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    model.graph.initializer.append(helper.make_tensor("strings", TensorProto.STRING, [2], [b"a", b"\xff"]))
    node.input[rng.randrange(len(node.input))] = "strings"


def no_nodes(rng: Random, model: onnx.ModelProto) -> None:
    del model.graph.node[rng.randrange(3) :]


def empty_output(rng: Random, model: onnx.ModelProto) -> None:
    node = _node(rng, model)
    node.output[:] = rng.choice(([], [""], [node.output[0], node.output[0]]))


def scalar_weight(rng: Random, model: onnx.ModelProto) -> None:
    """A matrix has another rank or other extents."""
    tensor = rng.choice([tensor for tensor in model.graph.initializer if len(tensor.dims) > 1])
    tensor.dims[:] = rng.choice(([], [1], [0, 0], list(tensor.dims)[::-1], list(tensor.dims)[1:], [1, *tensor.dims]))


def branch(rng: Random, model: onnx.ModelProto) -> None:
    """A drawn tensor goes through a few nodes that suit its shape, to an output of its own: the model stays right."""
    shapes = _known_shapes(model)
    name = rng.choice(sorted(shapes))
    shape = shapes[name]
    for step in range(rng.choice((1, 2, 3, 4, 6))):
        graph = model.graph
        made = f"branch_{len(graph.node)}_{step}"
        operator, constants, attributes, shape = _suitable(rng, shape)
        names = [name]
        for place, value in enumerate(constants):
            if isinstance(value, str):  # "itself"
                names.append(name)
                continue
            names.append(f"{made}_{place}")
            graph.initializer.append(numpy_helper.from_array(value, names[-1]))
        graph.node.append(helper.make_node(operator, names, [made], made, **attributes))
        name = made
    model.graph.output.append(helper.make_value_info(name, onnx.TypeProto()))


def _known_shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """The shapes of float tensors that inference finds; a first axis without a number is one sample."""
    shapes = {}
    try:
        inferred = shape_inference.infer_shapes(model).graph
    except shape_inference.InferenceError as error:  # a drawn operator has outputs that its kind lacks
        raise ValueError("no shapes") from error
    for info in (*inferred.input, *inferred.value_info):
        kind = info.type.tensor_type
        if kind.elem_type == TensorProto.FLOAT and kind.shape.dim:
            first, *dims = (dim.dim_value for dim in kind.shape.dim)
            if all(dim > 0 for dim in dims) and first >= 0:
                shapes[info.name] = [first or 1, *dims]
    return shapes


Suitable = tuple[str, list[Any], dict[str, Any], list[int]]
"""An operator, its constant inputs, its attributes, and the shape that it makes."""


def _suitable(rng: Random, shape: list[int]) -> Suitable:
    whole: Any = lambda *values: np.array(values, np.int64)  # noqa: E731
    rank = len(shape)
    axis = rng.randrange(rank)
    extent = shape[axis]
    choice = rng.randrange(14)
    if choice == 0:
        perm = [0, *rng.sample(range(1, rank), rank - 1)] if rng.random() < 0.8 else rng.sample(range(rank), rank)
        return "Transpose", [], {"perm": perm}, [shape[place] for place in perm]
    if choice in (1, 2):  # divide an axis, or join two
        divisors = [d for d in range(2, min(extent, 64)) if extent % d == 0]
        if divisors and (choice == 1 or rank < 3):
            part = rng.choice(divisors)
            made = [*shape[:axis], extent // part, part, *shape[axis + 1 :]]
        else:
            place = rng.randrange(max(rank - 1, 1))
            made = [*shape[:place], int(np.prod(shape[place : place + 2])), *shape[place + 2 :]]
        return "Reshape", [whole(*made)], {}, made
    if choice in (3, 4):
        start, step = rng.randrange(extent), rng.choice((1, 1, 2, -1))
        bounds = (start, 2**62, step) if step > 0 else (start, -(2**62), step)
        size = len(range(*slice(*bounds).indices(extent)))
        values = [whole(bounds[0]), whole(bounds[1]), whole(axis), whole(step)]
        return "Slice", values, {}, [*shape[:axis], size, *shape[axis + 1 :]]
    if choice == 5:
        return "Concat", ["itself"], {"axis": axis}, [*shape[:axis], 2 * extent, *shape[axis + 1 :]]
    if choice == 6:
        times = [rng.choice((1, 1, 2)) for _ in shape]
        return "Tile", [whole(*times)], {}, [a * b for a, b in zip(shape, times, strict=True)]
    if choice == 7:
        kind = rng.choice(("ReduceSum", "ReduceMean", "ReduceMax"))
        if kind == "ReduceSum":
            return kind, [whole(axis)], {"keepdims": 1}, [*shape[:axis], 1, *shape[axis + 1 :]]
        return kind, [], {"axes": [axis], "keepdims": 1}, [*shape[:axis], 1, *shape[axis + 1 :]]
    if choice == 8:
        return rng.choice(("Softmax", "LogSoftmax", "Hardmax")), [], {"axis": axis}, shape
    if choice == 9:
        weights = np.zeros((shape[-1], rng.choice((1, 4, 8))), np.float32)
        return "MatMul", [weights], {}, [*shape[:-1], weights.shape[1]]
    if choice == 10 and rank in (3, 4):
        weights = np.zeros((8, shape[1], *[1] * (rank - 2)), np.float32)
        return "Conv", [weights], {}, [shape[0], 8, *shape[2:]]
    if choice == 11:
        pads = [rng.choice((0, 0, 0, 1)) for _ in range(2 * rank)]
        grown = [extent + pads[i] + pads[rank + i] for i, extent in enumerate(shape)]
        return "Pad", [whole(*pads)], {}, grown
    if choice == 12:
        places = whole(*[rng.randrange(-extent, extent) for _ in range(rng.choice((1, 2, extent)))])
        return "Gather", [places], {"axis": axis}, [*shape[:axis], len(places), *shape[axis + 1 :]]
    kind = rng.choice(("Add", "Mul", "MatMul", "Sub") if rank > 1 and shape[-1] == shape[-2] else ("Add", "Mul", "Max"))
    return kind, ["itself"], {}, shape


Change = Callable[[Random, onnx.ModelProto], None]
CHANGES: tuple[Change, ...] = (
    *(drop_node, duplicate_node, swap_inputs, rewire_input, rewire_input, cycle, own_output, change_input_count),
    *(change_output_count, shuffle_nodes, change_operator, change_operator, change_domain, change_attribute),
    *(change_attribute, change_attribute, drop_attribute, add_attribute, repeat_attribute, change_input_dim),
    *(change_input_dim, change_input_rank, change_input_type, drop_input, duplicate_input, initializer_is_input),
    *(drop_initializer, duplicate_initializer, spoil_initializer, spoil_constant, spoil_constant, spoil_constant),
    *(constant_of_another_kind, sparse_initializer, rename_node, without_node_names, rename_tensor, rename_output),
    *(change_outputs, stated_shape, change_opsets, change_versions, long_chain, doubling, enclosed, loop, sequence),
    *(function, string_constant, no_nodes, empty_output, scalar_weight, branch, branch, branch, branch, branch),
)


# Changes of the bytes.


def truncated(rng: Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def flipped(rng: Random, content: bytes) -> bytes:
    spoilt = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 20)) if spoilt else 0):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def moved(rng: Random, content: bytes) -> bytes:
    a, b = sorted((rng.randrange(len(content) + 1), rng.randrange(len(content) + 1)))
    return content[:a] + content[b : b + 64] + content[a:]


def replaced(rng: Random, content: bytes) -> bytes:
    return rng.choice((b"", b"\x00", b"{}", rng.randbytes(200), content + content, b"\x3a" + content))


def nested(rng: Random, content: bytes) -> bytes:
    """Graphs within graphs, deeper than the file format allows: a node of one attribute that is a graph."""
    inner = b""
    for _ in range(rng.choice((20, 40, 2000))):
        for field in (6, 5, 1):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            inner = bytes([field << 3 | 2]) + _varint(len(inner)) + inner
    return content + bytes([7 << 3 | 2]) + _varint(len(inner)) + inner  # ModelProto.graph


def _varint(number: int) -> bytes:
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


BYTE_CHANGES = (truncated, flipped, flipped, flipped, moved, replaced, nested)
