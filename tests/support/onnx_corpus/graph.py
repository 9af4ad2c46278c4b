"""A graph under construction, with PyTorch's names; weights have no data, as if it were in another file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
INT64 = TensorProto.INT64
END = 2**63 - 1
"""The end of a slice that goes to the end of its axis."""
MICROSOFT = "com.microsoft"

Size = int | str
"""An extent: a number, or the name of a scalar tensor that holds it."""


class Graph:
    """A graph; a call adds a node and returns its output, or a list if there are several.

    Parameters
    ----------
    opset
        Version of ONNX's own operators.
    initializers
        Whether constants are initializers, as ONNX Runtime writes them; else `Constant` nodes, as PyTorch does.
    """

    def __init__(self, opset: int = 17, initializers: bool = False) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.stated: list[onnx.ValueInfoProto] = []
        self._initializers = initializers
        self._scope: list[str] = []
        self._counts: dict[str, int] = {}
        self._matrices = 0

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Put `name` before the names of nodes and weights."""
        self._scope.append(name)
        yield
        self._scope.pop()

    def input(self, name: str, dims: Sequence[int | str], kind: int = FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, list(dims)))
        return name

    def output(self, tensor: str, name: str = "", dims: Sequence[int | str] | None = None, kind: int = FLOAT) -> str:
        """Make `tensor` an output called `name`; exporters rename the tensor itself."""
        if name:
            for node in self.nodes:
                for names in (node.input, node.output):
                    for place, old in enumerate(names):
                        if old == tensor:
                            names[place] = name
            self.stated = [info for info in self.stated if info.name != tensor]
        self.outputs.append(helper.make_tensor_value_info(name or tensor, kind, dims))
        return name or tensor

    def weight(self, name: str, *dims: int, kind: int = FLOAT) -> str:
        """Add a weight whose data is in a file that doesn't exist; the same name is the same weight."""
        full = ".".join((*self._scope, name))
        if all(tensor.name != full for tensor in self.stored):
            tensor = TensorProto(name=full, data_type=kind, dims=dims, data_location=TensorProto.EXTERNAL)
            tensor.external_data.add(key="location", value="weights.bin")
            self.stored.append(tensor)
        return full

    def matrix(self, *dims: int, kind: int = FLOAT) -> str:
        """Add a weight with a number in place of a name: PyTorch's name of a transposed matrix of a Linear."""
        self._matrices += 1
        scope, self._scope = self._scope, []
        name = self.weight(f"onnx::MatMul_{1000 + self._matrices}", *dims, kind=kind)
        self._scope = scope
        return name

    def const(self, value: Any, kind: Any = np.int64) -> str:
        """Add a small constant with its value."""
        data = np.array(value, kind)
        if not self._initializers:
            return str(self("Constant", value=numpy_helper.from_array(data)))
        name = self._unique("Constant")
        self.stored.append(numpy_helper.from_array(data, name))
        return name

    def scalar(self, value: float) -> str:
        return self.const(value, np.float32)

    def __call__(
        self,
        operator: str,
        *inputs: str,
        outputs: int = 1,
        domain: str = "",
        shapes: Sequence[Sequence[int]] = (),
        kind: int = FLOAT,
        **attributes: Any,
    ) -> Any:
        """Add a node; `shapes` and `kind` of outputs are for operators that the package ``onnx`` doesn't know."""
        name = self._unique(operator)
        made = [f"{name}_output_{place}" for place in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), made, name=name, domain=domain, **attributes))
        self.stated += [
            helper.make_tensor_value_info(tensor, kind, shape) for tensor, shape in zip(made, shapes, strict=False)
        ]
        return made[0] if outputs == 1 else made

    def _unique(self, operator: str) -> str:
        stem = "/".join(("", *self._scope, operator))
        count = self._counts.get(stem, 0)
        self._counts[stem] = count + 1
        return f"{stem}_{count}" if count else stem

    def last(self) -> str:
        """Return the name of the node that was added last."""
        return self.nodes[-1].name

    def model(self, with_stated: bool = False) -> onnx.ModelProto:
        """Return the model; with the shapes that the package doesn't infer, if wanted."""
        domains = sorted({node.domain for node in self.nodes} - {""})
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        stated = self.stated if with_stated else []
        graph = helper.make_graph(self.nodes, "main_graph", self.inputs, self.outputs, self.stored, value_info=stated)
        return helper.make_model(graph, opset_imports=opsets, producer_name="pytorch", ir_version=8)

    # Sequences of nodes that PyTorch writes for one call.

    def size(self, tensor: str, axis: int) -> str:
        """``x.size(axis)`` of a dynamic axis: Shape and Gather."""
        return str(self("Gather", self("Shape", tensor), self.const(axis), axis=0))

    def reshape(self, tensor: str, *sizes: Size) -> str:
        """``x.view(…)``: a constant, or sizes that are put together by Unsqueeze and Concat."""
        return str(self("Reshape", tensor, self.shape(*sizes)))

    def shape(self, *sizes: Size) -> str:
        """Return a tensor of one axis that holds `sizes`."""
        if all(isinstance(size, int) for size in sizes):
            return self.const(list(sizes))
        axes = [
            self.const([size]) if isinstance(size, int) else self("Unsqueeze", size, self.const([0])) for size in sizes
        ]
        return str(self("Concat", *axes, axis=0))

    def transpose(self, tensor: str, *perm: int) -> str:
        return str(self("Transpose", tensor, perm=perm))

    def slice(self, tensor: str, axis: int, start: int, end: int = END, step: int = 1) -> str:
        bounds = [self.const([value]) for value in (start, end, axis)]
        return str(self("Slice", tensor, *bounds, *([] if step == 1 else [self.const([step])])))

    def chunk(self, tensor: str, sizes: Sequence[int], axis: int) -> list[str]:
        """``x.split(sizes, axis)``."""
        return list(self("Split", tensor, self.const(list(sizes)), outputs=len(sizes), axis=axis))

    def expand(self, tensor: str, *sizes: Size) -> str:
        """``x.expand(…)``: PyTorch replaces −1 by one, with ConstantOfShape, Mul, Equal and Where."""
        wanted = self.shape(*sizes)
        ones = self("ConstantOfShape", self.const([len(sizes)]), value=numpy_helper.from_array(np.array([1])))
        kept = self("Equal", wanted, self("Mul", ones, self.const(-1)))
        return str(self("Expand", tensor, self("Where", kept, ones, wanted)))

    def linear(self, tensor: str, inside: int, outside: int, name: str = "linear", bias: bool = True) -> str:
        """``nn.Linear`` of a tensor of three axes or more: MatMul and Add."""
        with self.scope(name):
            product = self("MatMul", tensor, self.matrix(inside, outside))
            return str(self("Add", self.weight("bias", outside), product) if bias else product)

    def gemm(self, tensor: str, inside: int, outside: int, name: str = "fc") -> str:
        """``nn.Linear`` of a matrix: Gemm with a transposed weight."""
        with self.scope(name):
            return str(
                self(
                    "Gemm",
                    tensor,
                    self.weight("weight", outside, inside),
                    self.weight("bias", outside),
                    alpha=1.0,
                    beta=1.0,
                    transB=1,
                )
            )

    def conv(
        self,
        tensor: str,
        inside: int,
        outside: int,
        kernel: int | tuple[int, ...] = 1,
        stride: int | tuple[int, ...] = 1,
        *,
        pad: int | tuple[int, ...] | None = None,
        groups: int = 1,
        dilation: int = 1,
        bias: bool = True,
        name: str = "conv",
    ) -> str:
        """``nn.Conv2d``, or ``nn.Conv1d`` if `kernel` has one number; batch normalisation is in its weights."""
        window = (kernel, kernel) if isinstance(kernel, int) else kernel
        strides = (stride,) * len(window) if isinstance(stride, int) else stride
        if pad is None:
            pad = tuple((extent - 1) * dilation // 2 for extent in window)
        pads = (pad,) * len(window) if isinstance(pad, int) else pad
        with self.scope(name):
            weights = [self.weight("weight", outside, inside // groups, *window)]
            if bias:
                weights.append(self.weight("bias", outside))
            return str(
                self(
                    "Conv",
                    tensor,
                    *weights,
                    dilations=[dilation] * len(window),
                    group=groups,
                    kernel_shape=window,
                    pads=[*pads, *pads],
                    strides=strides,
                )
            )

    def max_pool(self, tensor: str, kernel: int, stride: int, pad: int = 0, ceil: int = 0) -> str:
        return str(
            self(
                "MaxPool",
                tensor,
                ceil_mode=ceil,
                kernel_shape=[kernel] * 2,
                pads=[pad] * 4,
                strides=[stride] * 2,
            )
        )

    def silu(self, tensor: str) -> str:
        return str(self("Mul", tensor, self("Sigmoid", tensor)))

    def gelu(self, tensor: str) -> str:
        """``nn.GELU``: Div, Erf, Add, Mul, Mul."""
        erf = self("Erf", self("Div", tensor, self.scalar(2**0.5)))
        return str(self("Mul", self("Mul", tensor, self("Add", erf, self.scalar(1))), self.scalar(0.5)))

    def gelu_tanh(self, tensor: str) -> str:
        """The GELU of GPT-2 by Tanh."""
        cube = self("Mul", self("Pow", tensor, self.scalar(3)), self.scalar(0.044715))
        inner = self("Tanh", self("Mul", self("Add", tensor, cube), self.scalar(0.7978846)))
        return str(self("Mul", self("Mul", tensor, self.scalar(0.5)), self("Add", inner, self.scalar(1))))

    def layer_norm(self, tensor: str, width: int, name: str = "norm") -> str:
        """``nn.LayerNorm``: one node from opset 17 on, else nine."""
        with self.scope(name):
            scale, shift = self.weight("weight", width), self.weight("bias", width)
            if self.opset >= 17:
                return str(self("LayerNormalization", tensor, scale, shift, axis=-1, epsilon=1e-5))
            centred = self("Sub", tensor, self("ReduceMean", tensor, axes=[-1]))
            variance = self("ReduceMean", self("Pow", centred, self.scalar(2)), axes=[-1])
            normal = self("Div", centred, self("Sqrt", self("Add", variance, self.scalar(1e-5))))
            return str(self("Add", self("Mul", normal, scale), shift))

    def rms_norm(self, tensor: str, width: int, name: str = "norm") -> str:
        """Llama's and T5's normalisation: Pow, ReduceMean, Add, Sqrt, Div, Mul, Mul."""
        with self.scope(name):
            square = self("Pow", tensor, self.scalar(2))
            if self.opset >= 18:
                mean = self("ReduceMean", square, self.const([-1]))
            else:
                mean = self("ReduceMean", square, axes=[-1])
            root = self("Sqrt", self("Add", mean, self.scalar(1e-6)))
            normal = self("Mul", tensor, self("Div", self.scalar(1), root))
            return str(self("Mul", self.weight("weight", width), normal))

    def group_norm(self, tensor: str, groups: int, channels: int, rows: int, name: str = "norm") -> str:
        """``nn.GroupNorm``: a Reshape to groups, InstanceNormalization, a Reshape back, Mul and Add."""
        with self.scope(name):
            flat = self("Reshape", tensor, self.const([0, groups, -1]))
            ones = self.const([1.0] * groups, np.float32)
            normal = self("InstanceNormalization", flat, ones, self.const([0.0] * groups, np.float32), epsilon=1e-5)
            back = self("Reshape", normal, self("Shape", tensor))
            scaled = self("Mul", back, self.weight("weight", channels, *[1] * rows))
            return str(self("Add", scaled, self.weight("bias", channels, *[1] * rows)))

    def heads(self, tensor: str, batch: Size, tokens: Size, heads: int, width: int) -> str:
        """Divide the channels of tokens by heads."""
        return self.transpose(self.reshape(tensor, batch, tokens, heads, width), 0, 2, 1, 3)

    def merged(self, tensor: str, batch: Size, tokens: Size, channels: int) -> str:
        """Join the heads of tokens."""
        return self.reshape(self.transpose(tensor, 0, 2, 1, 3), batch, tokens, channels)

    def attend(self, q: str, k: str, v: str, width: int, mask: str = "", perm: Sequence[int] = (0, 1, 3, 2)) -> str:
        """Attention as written out in Python: the product is divided by the root of the width."""
        scores = self("Div", self("MatMul", q, self("Transpose", k, perm=perm)), self.scalar(width**0.5))
        if mask:
            scores = self("Add", scores, mask)
        return str(self("MatMul", self("Softmax", scores, axis=-1), v))

    def sdpa(self, q: str, k: str, v: str, mask: str = "") -> str:
        """``scaled_dot_product_attention``: queries and keys are scaled by a number that their shape gives."""
        width = self("Cast", self.slice(self("Shape", q), 0, -1), to=FLOAT)
        scale = self("Cast", self("Div", self.const([1.0], np.float32), self("Sqrt", width)), to=FLOAT)
        keys = self.transpose(k, 0, 1, 3, 2)
        scores = self("MatMul", self("Mul", q, self("Sqrt", scale)), self("Mul", keys, self("Sqrt", scale)))
        if mask:
            scores = self("Add", scores, mask)
        return str(self("MatMul", self("Softmax", scores, axis=-1), v))
