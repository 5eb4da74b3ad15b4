"""The record of a kernel, from the operators that run as it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from perfmodel.graph.ir import Graph, Op
from perfmodel.kernels.autocast import NARROW, stored_elements
from perfmodel.kernels.kernel import Kernel
from perfmodel.kernels.kernel_classes import kernel_class
from perfmodel.kernels.kernel_sizes import sizes_of
from perfmodel.kernels.operators import op_macs
from perfmodel.kernels.patterns import names_of

HALF = "/half"
"""What follows the name of an operator in the name of the kernel that makes halves for it."""


@dataclass(eq=False)
class KernelGroup:
    """Operators that run as one kernel, of which `main` gives it its sizes."""

    place: int
    main: Op
    ops: list[Op] = field(default_factory=list)
    activation: str = "none"
    residual: bool = False
    suffix: str = ""
    integers: bool = False
    runs_as: str = ""


def kernel_record(graph: Graph, group: KernelGroup, wide: Collection[str] = ()) -> Kernel:
    """A kernel record from a group of operators; `wide` tensors move as many bytes as two."""
    made = {n for op in group.ops if op.inputs != op.outputs for n in op.outputs}
    read = {t.name: t for op in group.ops for t in graph.activations_in(op) if t.name not in made}
    weights = {t.name: t for op in group.ops for t in graph.weights_of(op)}
    shapes = sizes_of(graph, group.main)
    op_name = group.runs_as or str(shapes.get("op", group.main.kind))
    shapes.pop("op", None)
    numbers = {k: int(v) for k, v in shapes.items()}
    conv = {k: numbers.get(k, 1) for k in ("groups", "kh", "kw", "sh", "sw")}
    output_elements = sum(t.elements for t in graph.outputs_of(group.main))
    narrow = group.main.kind in NARROW  # reads what was converted
    moved_in = stored_elements(read.values(), () if narrow else wide)
    whole = group.suffix != HALF and any(n in wide for n in group.ops[-1].outputs)
    return Kernel(
        name=group.main.name + group.suffix,
        op=op_name,
        kernel_class=kernel_class(op_name, numbers.get("cin", 0), numbers.get("cout", 0), **conv),
        fused=tuple(name for op in group.ops for name in names_of(op)),
        elements=output_elements,
        macs=sum(op_macs(graph, op) for op in group.ops),
        input_elements=0 if op_name == "prior_box" else moved_in,
        weight_elements=sum(t.elements for t in weights.values()),
        output_elements=output_elements * (2 if whole else 1),
        residual=group.residual,
        activation=group.activation,
        **numbers,
    )
