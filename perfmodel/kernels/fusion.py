"""Fusion: which operators a framework runs as one kernel, by rules kept as data.

The rules describe what the frameworks' own optimisers do by default for inference. A fused
operator adds no memory traffic of its own: its kernel reads what comes from outside and writes what
leaves.
"""

from __future__ import annotations

from perfmodel.graph.exported import exported, without_repeats
from perfmodel.graph.ir import Graph, Op
from perfmodel.graph.kinds import BINARY, CONVOLUTIONS, UNARY
from perfmodel.kernels.autocast import EVERYWHERE, NARROW, wide_tensors
from perfmodel.kernels.fusion_rules import (
    ANY_UNARY,
    EVERY_IMAGE,
    RELUS,
    FusionRules,
    fusion_rules,
)
from perfmodel.kernels.kernel import Kernel
from perfmodel.kernels.kernel_classes import (
    ATTENTION,
    MASKED_ATTENTION,
    RESIZE_BY_PIXEL,
)
from perfmodel.kernels.kernel_record import HALF, KernelGroup, kernel_record
from perfmodel.kernels.operators import MACS
from perfmodel.kernels.patterns import attentions, composed

_POINTWISE = ANY_UNARY | {*BINARY, "batch_norm", "scale"}
_CHAINED = _POINTWISE | {"layer_norm", "group_norm", "instance_norm", "softmax"}
"""Kinds that compiled code joins with what follows them."""


class _Fuser:
    """One pass over a graph; `groups` are kernels in the order in which their main op runs."""

    def __init__(self, graph: Graph, rules: FusionRules) -> None:
        self.graph, self.rules = graph, rules
        self.groups: list[KernelGroup] = []
        self.group_of: dict[str, KernelGroup] = {}
        self.consumers = graph.consumers()
        self.kept = set(graph.outputs)
        self.finished = bool(rules.finished_format) and graph.format == rules.finished_format
        self.waiting_pads: dict[str, Op] = {}
        # only there are pairs of quantisation a way of writing; in other files they are run
        self.pairs = bool(rules.quantised) and graph.format == "onnx"
        self.dequantised: dict[str, Op] = {}
        calls = graph.once(attentions, lambda: attentions(graph)) if rules.attention else ()
        self.attended = {op.name: ops for ops in calls for op in ops}
        self.wide = _wide(graph, rules)

    def run(self) -> list[KernelGroup]:
        for op in self.graph.ops:
            if op.kind in MACS and not (self.pairs and self._of_a_pair(op)):
                self._place(op)
        for name in self.kept.intersection(self.dequantised):
            self._to_floats(name)
        return self.groups

    def _place(self, op: Op) -> None:
        if op.name in self.attended:
            self._attend(op)
            return
        integers = self._on_integers(op)
        if not integers and op.kind not in self.rules.free:
            for name in op.inputs:
                self._to_floats(name)
        if op.kind in self.rules.free:
            self._carry(op)
        elif not self.finished and self._waits(op):
            self.waiting_pads[op.outputs[0]] = op
        elif self.finished or not self._fold(op):
            if op.kind in NARROW:
                self._make_halves(op)
            self._start(op, integers)

    def _make_halves(self, op: Op) -> None:
        """A kernel for each input in single precision, where conversions are kernels."""
        if self.rules.casts == EVERYWHERE:
            for tensor in (t for t in self.graph.activations_in(op) if t.name in self.wide):
                cast = Op(op.name, "cast", (tensor.name,), (tensor.name,))
                self.groups.append(KernelGroup(len(self.groups), cast, [cast], suffix=HALF))

    def _attend(self, op: Op) -> None:
        """The last operator of an attention starts the kernel of all of them."""
        ops = self.attended[op.name]
        if op is ops[-1]:
            masked = any(o.kind == "add" for o in ops)
            runs_as = MASKED_ATTENTION if masked else ATTENTION
            group = KernelGroup(len(self.groups), op, list(ops), runs_as=runs_as)
            self.groups.append(group)
            self.group_of.update(dict.fromkeys(op.outputs, group))

    def _of_a_pair(self, op: Op) -> bool:
        """Whether `op` quantises or dequantises beside a kernel on integers, and so costs nothing.

        A dequantisation waits for what reads it.
        """
        if op.kind == "dequantize":
            self.dequantised[op.outputs[0]] = op
            return True
        if op.kind != "quantize":
            return False
        host = self.group_of.get(op.inputs[0])
        if host is not None and host.integers and self._private(op.inputs[0]):
            host.ops.append(op)
            self.group_of.update(dict.fromkeys(op.outputs, host))
            return True
        return op.inputs[0] in self.dequantised  # a view of integers becomes integers again

    def _on_integers(self, op: Op) -> bool:
        read = [t.name for t in self.graph.activations_in(op)]
        if not read or op.kind not in self.rules.quantised:
            return False
        if not all(name in self.dequantised for name in read):
            return False
        return op.kind in self.rules.float_results or self._gives_integers(op)

    def _gives_integers(self, op: Op) -> bool:
        """Whether nothing but quantisations read the results, an activation in between or not."""
        for name in op.outputs:
            readers = [self.graph.ops[i] for i in self.consumers.get(name, ())]
            if not readers or name in self.kept:
                return False
            for reader in readers:
                if reader.kind in RELUS and len(readers) == 1:
                    if not self._gives_integers(reader):
                        return False
                elif reader.kind != "quantize":
                    return False
        return True

    def _to_floats(self, name: str) -> None:
        """Start the kernel of a dequantisation that something reads as floats, once."""
        op = self.dequantised.get(name)
        if op is None:
            return
        host = self.group_of.get(op.outputs[0])
        if host is None or host.main is not op:
            if host is not None:
                host.ops.remove(op)  # a kernel on integers read it first, and has no need of it
            self._start(op)

    def _carry(self, op: Op) -> None:
        """A free operator belongs to the kernel that made its input, if any."""
        waiting = next((self.dequantised[n] for n in op.inputs if n in self.dequantised), None)
        if waiting is not None:
            self.dequantised.update(dict.fromkeys(op.outputs, waiting))
        host = next((self.group_of[n] for n in op.inputs if n in self.group_of), None)
        if host is not None and len(self.graph.activations_in(op)) == 1:
            host.ops.append(op)
            self.group_of.update(dict.fromkeys(op.outputs, host))

    def _waits(self, op: Op) -> bool:
        if op.kind != "pad" or not self.rules.pad or not self._private(op.outputs[0]):
            return False
        return self.graph.ops[self.consumers[op.outputs[0]][0]].kind in CONVOLUTIONS

    def _private(self, tensor: str) -> bool:
        return tensor not in self.kept and len(self.consumers.get(tensor, ())) == 1

    def _start(self, op: Op, integers: bool = False) -> None:
        pads = [self.waiting_pads.pop(n) for n in op.inputs if n in self.waiting_pads]
        written = op.attrs.get("activation", "none")
        separate = written != "none" and not self._folds_activation(op.kind, written)
        waiting = {dq.outputs[0]: dq for dq in map(self.dequantised.get, op.inputs) if dq}
        first = [dq for name, dq in waiting.items() if integers and name not in self.group_of]
        group = KernelGroup(len(self.groups), op, [*first, *pads, op], integers=integers)
        group.runs_as = RESIZE_BY_PIXEL if self._by_pixel(op) else ""
        group.activation = "none" if separate else written
        self.group_of.update({dq.outputs[0]: group for dq in first})
        self.groups.append(group)
        if separate:
            # the graph's short form of two operators that this framework runs one by one
            attrs = {"activation": "none"}
            unary = Op(op.name, written, op.outputs, op.outputs, attrs)
            group = KernelGroup(len(self.groups), unary, [unary], written, suffix=f"/{written}")
            self.groups.append(group)
        self.group_of.update(dict.fromkeys(op.outputs, group))

    def _by_pixel(self, op: Op) -> bool:
        """Whether a resize runs one thread for all images and channels of a pixel."""
        if not self.rules.resizes_by_pixel or op.attrs.get("method") != "bilinear":
            return False
        return self.rules.resizes_by_pixel == EVERY_IMAGE or self._reshaped(op.inputs[0])

    def _reshaped(self, tensor: str) -> bool:
        """Whether a reshape or transposition made a tensor, or the first input of what did.

        An element-wise operator writes in the order in which its first input lies.
        """
        makers = self.graph.once(_makers, lambda: _makers(self.graph))
        while (maker := makers.get(tensor)) is not None and maker.kind in _POINTWISE:
            tensor = maker.inputs[0]
        return maker is not None and maker.kind in ("reshape", "view", "transpose")

    def _folds_activation(self, kind: str, activation: str) -> bool:
        rules = self.rules
        return self.finished or (
            activation in rules.activations and (kind in rules.hosts or rules.pointwise)
        )

    def _fold(self, op: Op) -> bool:
        """Fold `op` into the latest kernel that made one of its inputs, if the rules allow it."""
        hosts = [
            self.group_of[t.name]
            for t in self.graph.activations_in(op)
            if t.name in self.group_of and self._private(t.name)
        ]
        for host in sorted(hosts, key=lambda group: group.place, reverse=True):
            if self._allowed(op, host):
                host.ops.append(op)
                self.group_of.update(dict.fromkeys(op.outputs, host))
                if op.kind in UNARY:
                    host.activation = op.kind
                elif op.kind in BINARY:
                    host.residual |= len(self.graph.activations_in(op)) == 2
                    host.activation = op.attrs.get("activation", "none")
                return True
        return False

    def _allowed(self, op: Op, host: KernelGroup) -> bool:
        rules = self.rules
        if not op.outputs or not host.ops[-1].outputs:
            return False  # an operator that only stores a state makes nothing to go on with
        same_shape = (
            self.graph.tensors[op.outputs[0]].shape
            == self.graph.tensors[host.ops[-1].outputs[0]].shape
        )
        constants_only = len(self.graph.activations_in(op)) == 1
        if not same_shape:
            return False
        if host.integers and op.kind in RELUS and self._gives_integers(op):
            return True  # quantisation clamps anyway
        if rules.pointwise and (op.kind in ANY_UNARY or op.kind in BINARY):
            return True
        if rules.chains and op.kind in _POINTWISE and host.main.kind in _CHAINED:
            return True
        if rules.affine and op.kind == "add" and constants_only and host.main.kind == "mul":
            # multiply and add by constants: together a normalisation
            return host.activation == "none" and len(host.ops) == 1
        if op.kind in ("batch_norm", "scale") or (op.kind in ("add", "mul") and constants_only):
            plain = host.activation == "none" and not host.residual
            # a reshape in between may have mixed the channels: then no filter has one factor
            made, normed = host.main.outputs[0], op.outputs[0]
            channels = self.graph.tensors[made].shape[-1:] == self.graph.tensors[normed].shape[-1:]
            folds = rules.batch_norm and (rules.constants or op.kind == "batch_norm")
            return folds and host.main.kind in CONVOLUTIONS and plain and channels
        if op.kind in rules.activations:
            return host.main.kind in rules.hosts and host.activation == "none"
        if op.kind == "add" and not constants_only:
            plain = host.activation == "none" and not host.residual
            return rules.residual and host.main.kind in CONVOLUTIONS and plain
        return False


def _makers(graph: Graph) -> dict[str, Op]:
    """The operator that makes each tensor."""
    return {name: op for op in graph.ops for name in op.outputs}


def fuse(graph: Graph, framework: str) -> tuple[Kernel, ...]:
    """The kernels that `framework` runs for `graph`, in order.

    Every operator with a cost is in one kernel (`fused` names it), except free ones that follow no
    kernel and, where an exporter stands before the framework, what it leaves out (`exported`). An
    activation written as an attribute that the framework cannot fold is a kernel of its own, named
    `OP/ACTIVATION`. Uncovered operators are left out: ask `uncovered_ops`. Raises `TargetError` for
    an unknown framework.
    """
    ran = run_by(graph, framework)
    ran = ran.once(composed, lambda: composed(ran))
    rules = fusion_rules(framework)
    groups = _Fuser(ran, rules).run()
    wide = _wide(ran, rules)
    if ran is not graph:
        return tuple(kernel_record(graph, group, wide) for group in groups)
    # frameworks differ in few groups: what they share is made once
    made: dict[tuple[object, ...], Kernel] = graph.once(kernel_record, dict)
    kernels = []
    for group in groups:
        key = (
            *(op.name for op in group.ops),
            *(group.suffix, group.runs_as, group.activation, group.residual, rules.casts),
        )
        if key not in made:
            made[key] = kernel_record(graph, group, wide)
        kernels.append(made[key])
    return tuple(kernels)


def run_by(graph: Graph, framework: str) -> Graph:
    """The part of `graph` that `framework` runs: all, or what an exporter leaves of it.

    Raises `TargetError` for an unknown framework.
    """
    rules = fusion_rules(framework)
    if rules.runs_dead_branches:
        return graph
    ran = graph.once(exported, lambda: exported(graph))
    if not rules.merges_repeats:
        return ran
    return ran.once(without_repeats, lambda: without_repeats(ran))


def kernel_of(graph: Graph, op: Op) -> Kernel:
    """The kernel of one operator alone, nothing folded into it."""
    return kernel_record(graph, KernelGroup(0, op, [op], op.attrs.get("activation", "none")))


def _wide(graph: Graph, rules: FusionRules) -> frozenset[str]:
    """Activations in single precision where the others are halves."""
    if not rules.casts:
        return frozenset()
    key = (wide_tensors, rules.casts)
    return graph.once(key, lambda: wide_tensors(graph, rules.casts))
