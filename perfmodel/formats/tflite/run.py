"""Walk a .tflite file's subgraphs as the interpreter would, and write down what it runs.

Bodies whose way is known while reading stand in the graph in place of the operator that calls
them: the decomposition of a composite, the branch of a constant condition, the iterations of a
counted loop. An initialiser (CALL_ONCE) runs before the first inference, so it has no operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from perfmodel.errors import GraphError
from perfmodel.formats.limits import MAX_NESTING, MAX_OPS
from perfmodel.formats.tflite import read_layers, read_operators, read_shapes
from perfmodel.formats.tflite.op_view import ConvertedOp, OpView, convert
from perfmodel.formats.tflite.schema import CompositeSlot, OperatorSlot
from perfmodel.formats.tflite.subgraphs import FileSubgraph, StoredOperator, StoredTensor
from perfmodel.graph.ir import Op, Tensor
from perfmodel.graph.ops import infer_shapes

if TYPE_CHECKING:
    import numpy as np

_REGISTERS = (read_layers, read_operators, read_shapes)
"""Modules that fill the table of operators when imported."""
_FOLDED = frozenset({"DEQUANTIZE", "DENSIFY"})
"""Unpacking of stored weights, which runtimes do once while loading."""
_MOST_STEPS = 4 * MAX_OPS
_MISFITS = (ValueError, TypeError, IndexError, ZeroDivisionError, OverflowError)


class _UnknownWay(Exception):
    """Which body runs, or how often, depends on values that are not in the file."""


@dataclass(frozen=True)
class Bound:
    """A tensor that is handed to a body or back: what is known of it."""

    item: StoredTensor
    numbers: np.ndarray | None
    resized: bool


class Written:
    """What has been read so far: tensors in use, operators, and their numbers in the file."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.numbers: list[int] = []
        self.steps = 0
        """Operators and bodies walked, those that were forgotten again too: all work is bounded."""

    def mark(self) -> tuple[int, int]:
        """A place to come back to."""
        return len(self.tensors), len(self.ops)

    def back_to(self, mark: tuple[int, int]) -> None:
        """Forget what was written since `mark`."""
        tensors, ops = mark
        while len(self.tensors) > tensors:
            self.tensors.popitem()
        del self.ops[ops:]
        del self.numbers[ops:]

    def use(self, tensor: Tensor) -> str:
        """Keep a tensor in the graph; the same constant in two shapes becomes two tensors."""
        known = self.tensors.setdefault(tensor.name, tensor)
        if known.shape == tensor.shape:
            return tensor.name
        shape = "x".join(map(str, tensor.shape))
        return self.use(replace(tensor, name=f"{tensor.name}#{shape}"))


class SubgraphRun:
    """One run of one subgraph; `prefix` keeps its names apart from those of other runs."""

    def __init__(
        self,
        part: FileSubgraph,
        written: Written,
        *,
        prefix: str = "",
        number: int | None = None,
        depth: int = 0,
    ) -> None:
        self.part = part
        self.file = part.file
        self.written = written
        self.prefix = prefix
        self.number = number
        self.depth = depth
        self.tensors = [self._named(item) for item in part.tensors]
        self.values: dict[int, np.ndarray] = {}
        self.resized: set[int] = set()

    def _named(self, item: StoredTensor) -> StoredTensor:
        if not self.depth:
            return item
        tensor = item.tensor
        # a constant of a body is one constant however often the body runs
        prefix = f"body{self.part.index}/" if tensor.constant else self.prefix
        return replace(item, tensor=replace(tensor, name=prefix + tensor.name))

    def resize_inputs(self, shapes: Mapping[int, tuple[int, ...]]) -> None:
        """Give inputs (by tensor number) other shapes, as a caller of the interpreter would."""
        for index, shape in shapes.items():
            item = self.tensors[index]
            if item.tensor.shape != shape:
                self.tensors[index] = replace(item, tensor=replace(item.tensor, shape=shape))
                self.resized.add(index)

    def walk(self, bound: Sequence[Bound] = ()) -> list[Bound]:
        """Write the operators down; returns what the outputs are."""
        for index, given in zip(self.part.inputs, bound, strict=False):
            self._bind(index, given)
        kept = set(self.part.outputs)
        for index, operator in enumerate(self.part.operators):
            self._operator(index, operator, kept)
        return [self._bound(index) for index in self.part.outputs]

    def _bind(self, index: int, given: Bound) -> None:
        here = self.tensors[index].tensor
        self.tensors[index] = replace(given.item, variable=False)
        if given.numbers is not None:
            self.values[index] = given.numbers
        else:
            self.values.pop(index, None)
        if given.resized or given.item.tensor.shape != here.shape:
            self.resized.add(index)

    def _bound(self, index: int) -> Bound:
        return Bound(self.tensors[index], self._known(index), index in self.resized)

    def _known(self, index: int) -> np.ndarray | None:
        if index < 0:
            return None
        value = self.values.get(index)
        if value is None and self.tensors[index].tensor.constant:
            return self.part.numbers(index)
        return value

    def _ints(self, index: int) -> tuple[int, ...] | None:
        numbers = self._known(index)
        if numbers is None or numbers.dtype == bool:
            return None
        return tuple(int(n) for n in numbers.reshape(-1))

    def _current(self, index: int) -> Tensor:
        return self.tensors[index].tensor

    def _readable(self, index: int) -> Tensor | None:
        """An operator's input; states that the runtime keeps for the operator are left out."""
        if index < 0 or self.tensors[index].variable:
            return None
        return self._current(index)

    def _operator(self, index: int, operator: StoredOperator, kept: set[int]) -> None:
        name, inputs, outputs = operator.name, operator.inputs, operator.outputs
        where = f"{self.part.where} operator {index} {name}"
        self._step(where)
        if name in _FOLDED and self._fold(inputs, outputs, kept):
            return
        number = index if self.number is None else self.number
        if name in _CALLS and self._called(operator, where, number):
            return
        view = self._view(operator)
        try:
            converted = convert(view)
            shapes = self._inferred(converted)
        except _MISFITS as error:
            raise self.file.error(where, str(error) or type(error).__name__) from error
        except GraphError as error:
            raise self.file.error(where, error.message) from error
        self._settle_shapes(where, converted, operator, shapes)
        self._evaluate(view, operator)
        self._append(converted, outputs, number)

    def _step(self, where: str) -> None:
        self.written.steps += 1
        if self.written.steps > _MOST_STEPS or len(self.written.ops) >= MAX_OPS:
            raise self.file.error(where, f"more than {MAX_OPS} operators run")

    def _view(self, operator: StoredOperator) -> OpView:
        inputs, outputs = operator.inputs, operator.outputs
        return OpView(
            name=operator.name,
            custom=operator.custom,
            inputs=tuple(self._readable(i) for i in inputs),
            outputs=tuple(self._current(i) for i in outputs),
            options=operator.table.table(OperatorSlot.OPTIONS),
            constant_ints=lambda slot: self._ints(inputs[slot] if slot < len(inputs) else -1),
            custom_options=operator.table.blob(OperatorSlot.CUSTOM_OPTIONS)
            if operator.custom
            else b"",
            is_open=self._is_open(inputs, outputs),
        )

    def _is_open(self, inputs: Sequence[int], outputs: Sequence[int]) -> bool:
        """Whether the file's output shapes are not those of this run."""
        return any(i in self.resized for i in inputs if i >= 0) or any(
            self.tensors[i].shape_varies for i in outputs
        )

    def _fold(self, inputs: Sequence[int], outputs: Sequence[int], kept: set[int]) -> bool:
        """Let readers of an unpacked constant read the stored one; False if it is no constant."""
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0] < 0 or outputs[0] in kept:
            return False
        stored = self._current(inputs[0])
        if not stored.constant or stored.shape != self._current(outputs[0]).shape:
            return False
        self.tensors[outputs[0]] = replace(self.tensors[inputs[0]], variable=False)
        return True

    def _inferred(self, converted: ConvertedOp) -> tuple[tuple[int, ...], ...]:
        shapes = [t.shape if t is not None else () for t in converted.inputs]
        return infer_shapes(converted.kind, shapes, converted.attrs)

    def _settle_shapes(
        self,
        where: str,
        converted: ConvertedOp,
        operator: StoredOperator,
        shapes: tuple[tuple[int, ...], ...],
    ) -> None:
        """Compare our shapes with the file's; where the file leaves them open, ours count."""
        outputs = operator.outputs
        if len(shapes) != len(outputs):
            raise self.file.error(
                where, f"{len(outputs)} outputs, {converted.kind} has {len(shapes)}"
            )
        is_open = self._is_open(operator.inputs, outputs)
        for index, shape in zip(outputs, shapes, strict=True):
            item = self.tensors[index]
            if item.tensor.shape == shape:
                continue
            if not is_open:
                raise self.file.error(
                    where,
                    f"the file gives {item.tensor.name!r} shape {item.tensor.shape}, "
                    f"its inputs give {shape}",
                )
            self.tensors[index] = replace(item, tensor=replace(item.tensor, shape=shape))
            self.resized.add(index)

    def _evaluate(self, view: OpView, operator: StoredOperator) -> None:
        """Follow small integers, from which shapes and the ways of control flow are made."""
        small = all(self._current(i).dtype in ("int32", "int64", "bool") for i in operator.outputs)
        if not small or not operator.outputs:
            return
        from perfmodel.formats.tflite.values import evaluate

        shown = replace(view, outputs=tuple(self._current(i) for i in operator.outputs))
        found = evaluate(shown, [self._known(i) for i in operator.inputs])
        if found is not None:
            self.values.update(zip(operator.outputs, found, strict=True))
            if any(i in self.resized for i in operator.inputs):
                # the numbers are not those for which the file's shapes were written down
                self.resized.update(operator.outputs)

    def _append(self, converted: ConvertedOp, outputs: Sequence[int], number: int) -> None:
        use = self.written.use
        inputs = tuple(use(t) if t is not None else "" for t in converted.inputs)
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        made = tuple(use(self._current(i)) for i in outputs)
        name = made[0] if made else f"{converted.kind}_{len(self.written.ops)}"
        self.written.ops.append(Op(name, converted.kind, inputs, made, converted.attrs))
        self.written.numbers.append(number)

    def _called(self, operator: StoredOperator, where: str, number: int) -> bool:
        """Write the bodies down in place of the operator; False where their way is not known."""
        if operator.name == "CALL_ONCE":
            return True
        mark = self.written.mark()
        try:
            found = self._bodies(operator, where, number)
        except _UnknownWay:
            self.written.back_to(mark)
            return False
        for index, result in zip(operator.outputs, found, strict=False):
            self._bind(index, result)
        return True

    def _bodies(self, operator: StoredOperator, where: str, number: int) -> list[Bound]:
        given = [self._bound(i) for i in operator.inputs if i >= 0]
        label = self._label(operator)
        if operator.name == "STABLEHLO_COMPOSITE":
            options = operator.table.table(OperatorSlot.OPTIONS_2)
            body = options.i32(CompositeSlot.DECOMPOSITION, -1) if options else -1
            return self._body(body, given, where, label, number)
        options = operator.table.table(OperatorSlot.OPTIONS)
        first, second = (options.i32(slot) if options else -1 for slot in (0, 1))
        if operator.name == "IF":
            chosen = first if _truth(given[0]) else second
            return self._body(chosen, given[1:], where, label, number)
        state, turn = given, 0
        while True:
            place = f"{label}{turn}/"
            if not _truth(self._body(first, state, where, f"{place}condition/", number)[0]):
                return state
            state = self._body(second, state, where, place, number)
            turn += 1

    def _label(self, operator: StoredOperator) -> str:
        name = self._current(operator.outputs[0]).name if operator.outputs else operator.name
        return f"{name}/"

    def _body(
        self, index: int, given: list[Bound], where: str, label: str, number: int
    ) -> list[Bound]:
        parts = self.part.model.subgraphs
        if not 0 < index < len(parts):
            raise self.file.error(where, f"body {index} of {len(parts)} subgraphs")
        if self.depth >= MAX_NESTING:
            raise self.file.error(where, f"more than {MAX_NESTING} bodies inside each other")
        self._step(where)
        part = parts[index]
        if len(part.inputs) != len(given) or not part.outputs:
            raise self.file.error(where, f"{len(given)} inputs for body {index}")
        run = SubgraphRun(part, self.written, prefix=label, number=number, depth=self.depth + 1)
        return run.walk(given)


_CALLS = frozenset({"CALL_ONCE", "IF", "STABLEHLO_COMPOSITE", "WHILE"})


def _truth(condition: Bound) -> bool:
    if condition.numbers is None or condition.numbers.size != 1:
        raise _UnknownWay
    return bool(condition.numbers.reshape(-1)[0])
