"""Operators that a file format writes as several: seen as the one that they stand for.

TFLite has no swish and no channel shuffle; its converter writes a sigmoid and a product, or a
reshape, a transposition and a reshape. What they cost was learned from networks whose graphs name
them, so a file must be asked as such a graph is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from perfmodel.graph.ir import Graph, Op

WRITTEN_AS = "written_as"
"""Attribute of an operator that stands for several: their names, in order."""

COMPOSING_FORMATS = frozenset({"tflite"})

_SHUFFLE_PERM = (0, 1, 2, 4, 3)


def names_of(op: Op) -> tuple[str, ...]:
    """The operators of the file that an operator stands for: itself, or several."""
    names: tuple[str, ...] = op.attrs.get(WRITTEN_AS, (op.name,))
    return names


def composed(graph: Graph) -> Graph:
    """`graph` with one operator for each group that its format wrote in place of one.

    Only groups whose results in between nothing else reads; the same graph where there is none, or
    where its format has an operator for everything.
    """
    if graph.format not in COMPOSING_FORMATS:
        return graph
    found: dict[str, Op] = {}
    gone: set[str] = set()
    chain = _Chains(graph)
    for op in graph.ops:
        for pattern in _PATTERNS:
            group = pattern(chain, op)
            if group and gone.isdisjoint(o.name for o in group[1]):
                found[op.name] = group[0]
                gone.update(o.name for o in group[1])
                break
    if not found:
        return graph
    ops = (found.get(op.name, op) for op in graph.ops if op.name in found or op.name not in gone)
    return replace(graph, ops=tuple(ops))


class _Chains:
    """Who makes a tensor that a single operator reads."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers, self.kept = graph.consumers(), set(graph.outputs)
        self.maker = {name: op for op in graph.ops for name in op.outputs}

    def made_by(self, tensor: str, kind: str) -> Op | None:
        """The operator of that kind that makes a tensor for one reader, if it is one."""
        op = self.maker.get(tensor)
        alone = tensor not in self.kept and len(self.readers.get(tensor, ())) == 1
        return op if op is not None and op.kind == kind and alone else None

    def single_number(self, tensor: str) -> bool:
        """Whether a tensor is a constant of one element."""
        found = self.graph.tensors[tensor]
        return found.constant and found.elements == 1


_Found = tuple[Op, tuple[Op, ...]] | None


def _stands(kind: str, x: str, last: Op, ops: tuple[Op, ...], **attrs: object) -> _Found:
    attrs[WRITTEN_AS] = tuple(op.name for op in ops)
    return Op(last.name, kind, (x,), last.outputs, attrs), ops


def attentions(graph: Graph) -> tuple[tuple[Op, ...], ...]:
    """The operators of every call of scaled_dot_product_attention, in order.

    A reader writes such a call as a product NAME/scores, what scales and masks it, a softmax and
    the product NAME; an attention that the network's own code writes out has other names.
    """
    chain, found = _Chains(graph), []
    for op in graph.ops:
        softmax = chain.made_by(op.inputs[0], "softmax") if op.kind == "matmul" else None
        if softmax is None:
            continue
        ops, before = [op, softmax], softmax.inputs[0]
        while step := chain.made_by(before, "add") or chain.made_by(before, "mul"):
            ops.append(step)
            before = step.inputs[0]
        scores = chain.made_by(before, "matmul")
        if scores is not None and scores.name == f"{op.name}/scores":
            found.append((scores, *reversed(ops)))
    return tuple(found)


def _swish(chain: _Chains, op: Op) -> _Found:
    """x * sigmoid(x)."""
    if op.kind != "mul" or len(op.inputs) != 2 or op.attrs.get("activation", "none") != "none":
        return None
    for x, gate in (op.inputs, op.inputs[::-1]):
        sigmoid = chain.made_by(gate, "sigmoid")
        if sigmoid is not None and sigmoid.inputs == (x,):
            return _stands("swish", x, op, (sigmoid, op))
    return None


def _hard_sigmoid(chain: _Chains, op: Op) -> _Found:
    """relu6(x + 3) / 6; which numbers they are is not looked at."""
    if op.kind != "mul" or len(op.inputs) != 2 or not chain.single_number(op.inputs[1]):
        return None
    shift = chain.made_by(op.inputs[0], "add")
    if shift is None or shift.attrs.get("activation") != "relu6":
        return None
    if not chain.single_number(shift.inputs[1]):
        return None
    return _stands("hard_sigmoid", shift.inputs[0], op, (shift, op))


def _channel_shuffle(chain: _Chains, op: Op) -> _Found:
    """Channels split into groups, the two swapped, and joined again."""
    turn = chain.made_by(op.inputs[0], "transpose") if op.kind == "reshape" else None
    if turn is None or tuple(turn.attrs["perm"]) != _SHUFFLE_PERM:
        return None
    split = chain.made_by(turn.inputs[0], "reshape")
    if split is None:
        return None
    shape = {
        n: chain.graph.tensors[n].shape for n in (split.inputs[0], *split.outputs, *op.outputs)
    }
    before, parts, after = (shape[n] for n in (split.inputs[0], split.outputs[0], op.outputs[0]))
    if len(before) != 4 or before != after or parts[:3] != before[:3]:
        return None
    return _stands("channel_shuffle", split.inputs[0], op, (split, turn, op), groups=parts[3])


_PATTERNS: tuple[Callable[[_Chains, Op], _Found], ...] = (_swish, _hard_sigmoid, _channel_shuffle)
