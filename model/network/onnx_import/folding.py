"""Infer the shapes of all tensors, and the constants that shapes need, in one pass over a model's nodes.

Shapes come from the ``onnx`` package's inference, node by node: so each node knows the constants that nodes before it
made. Only constants of a few elements are computed; of weights, only the shape is read.
"""

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, TypeProto, defs, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from soma_cp.model.network.onnx_import.dimensions import known_inputs
from soma_cp.model.network.onnx_import.element_types import is_whole_number_type
from soma_cp.model.network.onnx_import.errors import UnsupportedError
from soma_cp.model.network.onnx_import.graph import Graph, Info, Node, Value, operator_kind, printable
from soma_cp.model.network.onnx_import.needed_nodes import (
    graph_outputs,
    in_order,
    kind_of,
    label,
    needed_nodes,
    repeated_problems,
    unmade_problems,
)
from soma_cp.model.network.onnx_import.operators.registry import Extents, Facts, Signature, UnknownShapeError
from soma_cp.model.network.onnx_import.operators.table import facts_of
from soma_cp.model.network.onnx_import.options import OnnxOptions
from soma_cp.model.network.onnx_import.reading import MOST_ELEMENTS
from soma_cp.model.network.onnx_import.tensor_types import TensorTypes

_LARGEST_OPSET = 2**31 - 1
_EQUATION = "equation"
"""The attribute of letters of axes; the package's inference never ends with some that are malformed."""
_WELL_FORMED = re.compile(rb"\s*TERM(,TERM)*(->TERM)?".replace(b"TERM", rb"[A-Za-z\s]*(\.\.\.)?[A-Za-z\s]*"))


def folded_graph(model: onnx.ModelProto, options: OnnxOptions) -> Graph:
    """Return the graph of `model` with shapes, and without the nodes that only make constants.

    Parameters
    ----------
    model
        A model that defines no functions.
    options
        Dimensions, batch and ends of the model; whether an unknown operator with one computed input is assumed to keep
        that input's shape, where the model doesn't state its output's shape.
    """
    inputs = known_inputs(model, options)
    folding = _Folding(model, options)
    for source in inputs.inputs:
        folding.set_input(source.name, source.shape)
    outputs, problems = graph_outputs(model, options.ends)
    needed = in_order(needed_nodes(model, outputs))
    problems += [*unmade_problems(model, needed), *repeated_problems(model)]
    nodes = [node for node in (folding.node(proto) for proto in needed) if node is not None]
    problems += folding.problems
    return Graph(
        nodes=tuple(nodes),
        inputs=inputs.inputs,
        outputs=outputs,
        tensors=folding.infos(),
        problems=(*problems, *inputs.problems),
        notes=inputs.notes,
        other_batches=inputs.others,
    )


class _Folding:
    """What is known so far about every tensor."""

    def __init__(self, model: onnx.ModelProto, options: OnnxOptions) -> None:
        self.problems: list[str] = []
        self._keep_shapes = options.ignore_unsupported
        self._dims = options.dims
        self._opsets = {opset.domain: opset.version for opset in model.opset_import}
        self._opset_protos = list(model.opset_import)
        self._types: dict[str, TypeProto] = {}
        self._values: dict[str, Value] = {}
        self._constants: set[str] = set()
        self._faults: dict[str, str] = {}
        self._elsewhere: dict[str, str] = {}  # small constants whose files can't be read
        self._declared = {info.name: info.type for info in (*model.graph.value_info, *model.graph.output)}
        self._inputs = {info.name: info.type for info in model.graph.input}
        self._data_types = TensorTypes(model, self._known)
        for tensor in model.graph.initializer:
            self._set_type(tensor.name, tensor.data_type, tuple(tensor.dims))
            self._constants.add(tensor.name)
            if prod(tensor.dims) > MOST_ELEMENTS:
                continue
            if tensor.data_location == TensorProto.EXTERNAL:
                self._elsewhere[tensor.name] = _location(tensor)
            else:
                self._read_value(tensor)
        for sparse in model.graph.sparse_initializer:
            self._set_type(sparse.values.name, sparse.values.data_type, tuple(sparse.dims))
            self._constants.add(sparse.values.name)

    def _read_value(self, tensor: TensorProto) -> None:
        try:
            self._values[tensor.name] = numpy_helper.to_array(tensor)
        except Exception as error:  # damaged data makes the package raise errors of many kinds
            self.problems.append(
                f"the data of constant '{printable(tensor.name)}' don't fit its shape {list(tensor.dims)} and type "
                f"({error}); export the model again"
            )

    def set_input(self, name: str, shape: tuple[int, ...]) -> None:
        """Set an input of the graph."""
        self._set_type(name, self._inputs[name].tensor_type.elem_type, shape)

    def _set_type(self, name: str, element: int, shape: tuple[int, ...]) -> None:
        self._types[name] = helper.make_tensor_type_proto(element, shape)

    def infos(self) -> dict[str, Info]:
        """Return what is known about every tensor."""
        infos = {name: Info(None, fault=fault) for name, fault in self._faults.items()}
        for name, kind in self._types.items():
            element = kind.tensor_type.elem_type
            infos[name] = Info(
                shape=_shape(kind),
                constant=name in self._constants,
                value=self._values.get(name),
                whole_numbers=is_whole_number_type(element),
                fault=self._faults.get(name, ""),
                stated=self._stated(name),
                type=self._data_types.type(name),
                stored=self._data_types.stored(name),
            )
        return infos

    def _stated(self, name: str) -> tuple[int | None, ...] | None:
        """Return the shape that the model states for a tensor, with the user's numbers for its names."""
        kind = self._declared.get(name)
        if kind is None or not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
            return None
        return tuple(
            dim.dim_value if dim.dim_value > 0 else self._dims.get(dim.dim_param) for dim in kind.tensor_type.shape.dim
        )

    def node(self, proto: onnx.NodeProto) -> Node | None:
        """Infer the shapes of a node's outputs; return None if all outputs are constant."""
        read = [name for name in proto.input if name]
        schema = self._schema(proto)
        if schema is not None and len(proto.input) < schema.min_input:
            given, least = len(proto.input), schema.min_input
            said = f"lacks inputs: it has {given} (must have {least} at least)"
            self.problems.append(f"'{label(proto)}' ({printable(proto.op_type)}) {said}")
            return None
        facts = _facts(proto)
        shape_alone = facts.of_shape is not None and self._known(proto.input[0]) is not None
        constant = shape_alone or (not facts.random and all(name in self._constants for name in read))
        inferred = self._inferred(proto)
        self._infer(proto, inferred)
        self._data_types.infer(proto, facts, schema, inferred)
        if not constant or _has_graphs(proto):
            return _node(proto)
        self._data_types.fold(proto, facts)
        self._constants.update(name for name in proto.output if name)
        self._compute(proto)
        return None

    def _known(self, name: str) -> tuple[int, ...] | None:
        kind = self._types.get(name)
        return None if kind is None else _shape(kind)

    def _infer(self, proto: onnx.NodeProto, inferred: Mapping[str, TypeProto]) -> None:
        """Set the types of the outputs: from shape inference or the operator's rule, else as the model states them."""
        ruled = self._ruled(proto)
        for name in proto.output:
            if not name:
                continue
            for kind in (inferred.get(name), ruled.get(name), self._declared.get(name)):
                if kind is not None and _shape(kind) is not None:
                    self._types[name] = kind
                    break
        first = self._known(proto.input[0]) if proto.input else None
        others = [name for name in proto.input[1:] if name and name not in self._constants]
        foreign = _domain(proto) != ""
        facts = _facts(proto)
        may_keep = foreign and self._keep_shapes and not others and proto.output[0] not in self._types
        if (facts.keeps_shape or may_keep) and first is not None:
            self._types[proto.output[0]] = self._types[proto.input[0]]
        by_value = not facts.keeps_shape and facts.shapes is None
        missing = [name for name in proto.input if by_value and name in self._elsewhere]
        for name in proto.output:
            if missing and name and self._known(name) is None:
                file = self._elsewhere[missing[0]]
                said = f"constant '{printable(missing[0])}' is in the file '{file}', which can't be read"
                self._faults.setdefault(name, said)

    def _schema(self, proto: onnx.NodeProto) -> defs.OpSchema | None:
        """Return the package's schema of an operator; None if it has none."""
        domain = _domain(proto)
        version = self._opsets.get(domain, self._opsets.get("ai.onnx", 1))
        known = 0 < version <= _LARGEST_OPSET and defs.has(proto.op_type, version, domain)
        return defs.get_schema(proto.op_type, version, domain) if known else None

    def _inferred(self, proto: onnx.NodeProto) -> Mapping[str, TypeProto]:
        schema = self._schema(proto)
        if schema is None or any(name and name not in self._types for name in proto.input):
            return {}
        equation = _attribute(proto, _EQUATION, None)
        if isinstance(equation, bytes) and not _WELL_FORMED.fullmatch(equation):
            said = f"{_EQUATION} '{printable(equation.decode(errors='replace'))}' is malformed"
            self._faults.update((name, said) for name in proto.output if name)
            return {}
        try:
            return shape_inference.infer_node_outputs(
                schema,
                proto,
                {name: self._types[name] for name in proto.input if name},
                {name: numpy_helper.from_array(self._values[name]) for name in proto.input if name in self._values},
                opset_imports=self._opset_protos,
            )
        except Exception as error:  # the package raises its own kinds from compiled code
            said = " ".join(str(error).split())
            self._faults.update((name, said) for name in proto.output if name)
            return {}

    def _ruled(self, proto: onnx.NodeProto) -> Mapping[str, TypeProto]:
        """Return the types of outputs by the operator's own rule.

        Here data are floats, whatever the model's types are; but the package checks the types of quantised operators.
        """
        rule = _facts(proto).shapes
        if rule is None:
            return {}
        node = _node(proto)
        shapes = [self._known(name) if name else None for name in node.inputs]
        try:
            found = rule(Signature(node, shapes, lambda *like: _first_shape(node, *like)))
        except UnknownShapeError:
            return {}
        except UnsupportedError as error:
            self._faults.update((name, str(error)) for name in node.outputs if name)
            return {}
        except (ArithmeticError, LookupError, TypeError, ValueError):  # attributes and inputs may be anything
            said = f"its attributes don't fit inputs of {', '.join(str(list(shape)) for shape in shapes if shape)}"
            self._faults.update((name, said) for name in node.outputs if name)
            return {}
        element: int = TensorProto.FLOAT
        if _facts(proto).quantised:
            elements = [self._types[name].tensor_type.elem_type for name in proto.input if name in self._types]
            element = next((one for one in elements if one in (TensorProto.INT8, TensorProto.UINT8)), element)
        return {
            name: helper.make_tensor_type_proto(element, shape)
            for name, shape in zip(node.outputs, found, strict=False)
            if name and shape is not None
        }

    def _compute(self, proto: onnx.NodeProto) -> None:
        """Compute a small constant."""
        of_shape = _facts(proto).of_shape
        if of_shape is not None:
            shape = self._known(proto.input[0])
            if shape is None:
                return
            start, end = _attribute(proto, "start", 0), _attribute(proto, "end", None)
            counted = np.array(of_shape(shape, start, end), np.int64)
            self._values[proto.output[0]] = counted
            self._set_type(proto.output[0], TensorProto.INT64, counted.shape)
            return
        if any(name and name not in self._values for name in proto.input):
            return
        sizes = [prod(shape) for shape in map(self._known, proto.output) if shape is not None]
        if any(size > MOST_ELEMENTS for size in sizes):
            return
        held = _held(proto)
        try:
            results = self._evaluated(proto) if held is None else [numpy_helper.to_array(held)]
        except Exception:  # the reference implementation may raise anything; the value stays unknown
            return
        for name, result in zip((name for name in proto.output if name), results, strict=True):
            if isinstance(result, np.ndarray | np.generic):
                value = np.asarray(result)
                self._values[name] = value
                self._set_type(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)

    def _evaluated(self, proto: onnx.NodeProto) -> Sequence[Any]:
        """Return what the package's reference implementation makes of a node."""
        outputs = [helper.make_value_info(name, TypeProto()) for name in proto.output if name]
        inputs = [helper.make_value_info(name, TypeProto()) for name in dict.fromkeys(proto.input) if name]
        graph = helper.make_graph([proto], "constant", inputs, outputs)
        evaluator = ReferenceEvaluator(graph, opsets=self._opsets)
        return list(evaluator.run(None, {name: self._values[name] for name in proto.input if name}))


def _held(proto: onnx.NodeProto) -> TensorProto | None:
    """Return the tensor that a node of ONNX's own makes of nothing but a stored tensor; None if it makes another.

    A third of the nodes of many models are such; to run them would take a fifth of the time of the import.
    """
    if proto.input or _domain(proto) or [item.name for item in proto.attribute] != ["value"]:
        return None
    if len(proto.output) != 1 or not proto.output[0]:
        return None
    held = proto.attribute[0]
    return held.t if held.type == onnx.AttributeProto.TENSOR else None


def _first_shape(node: Node, operator: str, shapes: Sequence[Extents]) -> Extents | None:
    """Infer the shape of the first output of an operator of ONNX's own with this node's attributes.

    Raises
    ------
    UnsupportedError
        If the inputs don't fit.
    """
    schema = defs.get_schema(operator)
    names = [f"input_{place}" for place in range(len(shapes))]
    own = {name: value for name, value in node.attributes.items() if name in schema.attributes and value != []}
    proto = helper.make_node(operator, names, ["output"], **own)
    types = {
        name: helper.make_tensor_type_proto(TensorProto.FLOAT, shape) for name, shape in zip(names, shapes, strict=True)
    }
    opsets = [helper.make_opsetid("", defs.onnx_opset_version())]
    try:
        found = shape_inference.infer_node_outputs(schema, proto, types, opset_imports=opsets)
    except Exception as error:  # the package raises its own kinds from compiled code
        raise UnsupportedError(" ".join(str(error).split())) from None
    return _shape(found["output"]) if "output" in found else None


def _domain(proto: onnx.NodeProto) -> str:
    """Return the domain of a node's operator; empty for ONNX's own, however it is written."""
    return "" if operator_kind("", proto.domain) == "" else str(proto.domain)


def _facts(proto: onnx.NodeProto) -> Facts:
    return facts_of(kind_of(proto))


def _location(tensor: TensorProto) -> str:
    """Return the file that has a tensor's data, as the model names it."""
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _shape(kind: TypeProto) -> tuple[int, ...] | None:
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    if any(not dim.HasField("dim_value") or dim.dim_value < 0 for dim in dims):
        return None
    return tuple(dim.dim_value for dim in dims)


def _has_graphs(proto: onnx.NodeProto) -> bool:
    return any(attribute.HasField("g") or attribute.graphs for attribute in proto.attribute)


def _attribute(proto: onnx.NodeProto, name: str, default: Any) -> Any:
    return next(
        (helper.get_attribute_value(item) for item in proto.attribute if item.name == name and not item.ref_attr_name),
        default,
    )


def _node(proto: onnx.NodeProto) -> Node:
    attributes: dict[str, Any] = {}
    for attribute in proto.attribute:
        if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) or attribute.ref_attr_name:
            continue
        value = helper.get_attribute_value(attribute)
        attributes[attribute.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
    return Node(
        label=label(proto),
        operator=proto.op_type,
        domain=_domain(proto),
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes=attributes,
        stored={item.name: tuple(item.t.dims) for item in proto.attribute if item.HasField("t")},
        has_graphs=_has_graphs(proto),
    )
