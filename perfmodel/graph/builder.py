"""Build a graph op by op, shapes inferred on the way; used by the zoo and the readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.errors import GraphError
from perfmodel.graph.ir import Graph, Op, Tensor, check_graph
from perfmodel.graph.kinds import BINARY
from perfmodel.graph.ops import infer_shapes, same_pads

Pair = int | tuple[int, int]


def pair(value: Pair) -> tuple[int, int]:
    """`3` and `(3, 3)` both mean (3, 3)."""
    return value if isinstance(value, tuple) else (value, value)


class GraphBuilder:
    """Collects tensors and ops; every method returns the name of the tensor it makes.

    Padding is "same", "valid" or explicit (top, bottom, left, right) in elements.
    """

    def __init__(self, name: str, dtype: str = "float32") -> None:
        self.name = name
        self.dtype = dtype
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.inputs: list[str] = []
        self._counts: dict[str, int] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor made so far."""
        return self.tensors[name].shape

    def input(self, shape: Sequence[int], name: str = "", dtype: str = "") -> str:
        """A graph input of that shape (batch first)."""
        tensor = Tensor(name or self._fresh("input"), tuple(shape), dtype or self.dtype)
        self._store(tensor)
        self.inputs.append(tensor.name)
        return tensor.name

    def constant(
        self, shape: Sequence[int], name: str = "", dtype: str = "", learned: int | None = None
    ) -> str:
        """A weight tensor of that shape; `learned` as in `Tensor`."""
        name, dtype = name or self._fresh("weights"), dtype or self.dtype
        tensor = Tensor(name, tuple(shape), dtype, constant=True, learned=learned)
        self._store(tensor)
        return tensor.name

    def add_op(
        self,
        kind: str,
        inputs: Sequence[str],
        attrs: Mapping[str, Any] | None = None,
        name: str = "",
        outputs: Sequence[str] = (),
        dtype: str = "",
    ) -> tuple[str, ...]:
        """Append an op of any kind; returns the names of its outputs.

        `outputs` names them (else `name`, `name:1`, ...); `dtype` defaults to that of input 0.
        """
        attrs = dict(attrs or {})
        name = name or self._fresh(kind)
        shapes = infer_shapes(kind, [self.shape(n) if n else () for n in inputs], attrs)
        if not dtype:
            dtype = self.tensors[inputs[0]].dtype if inputs and inputs[0] else self.dtype
        names = tuple(outputs) or tuple(
            name if i == 0 else f"{name}:{i}" for i in range(len(shapes))
        )
        if len(names) != len(shapes):
            raise GraphError(
                f"{self.name}: op {name!r} has {len(shapes)} outputs, {len(names)} named"
            )
        for tensor_name, shape in zip(names, shapes, strict=True):
            self._store(Tensor(tensor_name, shape, dtype))
        self.ops.append(Op(name, kind, tuple(inputs), names, attrs))
        return names

    def op(self, kind: str, *inputs: str, name: str = "", **attrs: Any) -> str:
        """Append an op and return its first output."""
        return self.add_op(kind, inputs, attrs, name)[0]

    def conv(
        self,
        x: str,
        cout: int,
        kernel: Pair = 3,
        stride: Pair = 1,
        padding: str | tuple[int, int, int, int] = "same",
        *,
        groups: int = 1,
        dilation: Pair = 1,
        activation: str = "none",
        bias: bool = True,
        name: str = "",
    ) -> str:
        """2-D convolution with weights (and bias); `groups = channels` makes it depthwise."""
        name = name or self._fresh("conv2d")
        (kh, kw), (sh, sw), (dh, dw) = pair(kernel), pair(stride), pair(dilation)
        cin = self.shape(x)[3]
        weights = self.constant((cout, kh, kw, cin // groups), f"{name}/weights")
        inputs = [x, weights, *([self.constant((cout,), f"{name}/bias")] if bias else [])]
        attrs = {
            "stride": (sh, sw),
            "dilation": (dh, dw),
            "pads": self._pads(x, (kh, kw), (sh, sw), (dh, dw), padding),
            "groups": groups,
            "activation": activation,
        }
        return self.add_op("conv2d", inputs, attrs, name)[0]

    def depthwise(self, x: str, kernel: Pair = 3, stride: Pair = 1, **options: Any) -> str:
        """Depthwise convolution with one filter a channel."""
        channels = self.shape(x)[3]
        return self.conv(x, channels, kernel, stride, groups=channels, **options)

    def transpose_conv(
        self,
        x: str,
        cout: int,
        kernel: Pair,
        stride: Pair,
        *,
        activation: str = "none",
        bias: bool = True,
        name: str = "",
    ) -> str:
        """Transposed convolution whose output is input times stride (SAME)."""
        name = name or self._fresh("transpose_conv2d")
        (kh, kw), (sh, sw) = pair(kernel), pair(stride)
        weights = self.constant((cout, kh, kw, self.shape(x)[3]), f"{name}/weights")
        inputs = [x, weights, *([self.constant((cout,), f"{name}/bias")] if bias else [])]
        extra_h, extra_w = max(0, kh - sh), max(0, kw - sw)
        pads = (extra_h // 2, extra_h - extra_h // 2, extra_w // 2, extra_w - extra_w // 2)
        attrs = {"stride": (sh, sw), "pads": pads, "groups": 1, "activation": activation}
        attrs["output_padding"] = (max(0, sh - kh), max(0, sw - kw))
        return self.add_op("transpose_conv2d", inputs, attrs, name)[0]

    def fc(
        self,
        x: str,
        out: int,
        *,
        activation: str = "none",
        bias: bool = True,
        keep_dims: bool = False,
        name: str = "",
    ) -> str:
        """Fully connected layer; flattens all but the batch, or keeps leading dims."""
        name = name or self._fresh("fully_connected")
        shape = self.shape(x)
        inner = shape[-1] if keep_dims else self.tensors[x].elements // shape[0]
        inputs = [x, self.constant((out, inner), f"{name}/weights")]
        if bias:
            inputs.append(self.constant((out,), f"{name}/bias"))
        attrs = {"activation": activation, "keep_dims": keep_dims}
        return self.add_op("fully_connected", inputs, attrs, name)[0]

    def pool(
        self,
        x: str,
        kind: str,
        kernel: Pair,
        stride: Pair,
        padding: str | tuple[int, int, int, int] = "valid",
        name: str = "",
    ) -> str:
        """Pooling; `kind` is "max" or "avg"."""
        kernel, stride = pair(kernel), pair(stride)
        pads = self._pads(x, kernel, stride, (1, 1), padding)
        attrs = {"kernel": kernel, "stride": stride, "pads": pads, "activation": "none"}
        return self.add_op(f"{kind}_pool2d", [x], attrs, name)[0]

    def global_avg_pool(self, x: str, keep_dims: bool = True, name: str = "") -> str:
        """Mean over height and width."""
        return self.op("reduce_mean", x, name=name, axes=(1, 2), keep_dims=keep_dims)

    def binary(self, kind: str, a: str, b: str, activation: str = "none", name: str = "") -> str:
        """Element-wise op of two tensors, numpy broadcasting."""
        if kind not in BINARY:
            raise GraphError(f"{kind!r} is no binary operator")
        return self.op(kind, a, b, name=name, activation=activation)

    def concat(self, tensors: Sequence[str], axis: int = -1, name: str = "") -> str:
        """Join along an axis (channels by default)."""
        axis = axis % len(self.shape(tensors[0]))
        return self.op("concat", *tensors, name=name, axis=axis, activation="none")

    def reshape(self, x: str, shape: Sequence[int], name: str = "") -> str:
        """Same elements, other shape; one -1 allowed."""
        return self.op("reshape", x, name=name, shape=tuple(shape))

    def build(
        self, *outputs: str, source: str = "", format: str = "zoo", notes: Sequence[str] = ()
    ) -> Graph:
        """The finished, checked graph."""
        graph = Graph(
            name=self.name,
            tensors=self.tensors,
            ops=tuple(self.ops),
            inputs=tuple(self.inputs),
            outputs=tuple(outputs),
            source=source,
            format=format,
            notes=tuple(notes),
        )
        return check_graph(graph)

    def _pads(
        self,
        x: str,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        padding: str | tuple[int, int, int, int],
    ) -> tuple[int, int, int, int]:
        if isinstance(padding, tuple):
            return padding
        if padding == "valid":
            return (0, 0, 0, 0)
        if padding != "same":
            raise GraphError(f"{self.name}: padding must be same, valid or four numbers")
        _, h, w, _ = self.shape(x)
        return (
            *same_pads(h, kernel[0], stride[0], dilation[0]),
            *same_pads(w, kernel[1], stride[1], dilation[1]),
        )

    def _store(self, tensor: Tensor) -> None:
        if tensor.name in self.tensors:
            raise GraphError(f"{self.name}: tensor {tensor.name!r} is made twice")
        self.tensors[tensor.name] = tensor

    def _fresh(self, kind: str) -> str:
        while True:
            number = self._counts.get(kind, 0)
            self._counts[kind] = number + 1
            name = f"{kind}_{number}"
            if name not in self.tensors and f"{name}/weights" not in self.tensors:
                return name
