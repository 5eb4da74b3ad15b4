"""A kernel: what a runtime executes as one; the unit that is measured, fitted and predicted.

The fields are the shape columns of the canonical measurement table, so that a kernel of a graph
and a row of a published table are the same thing to a cost model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class Kernel:
    """One kernel: the main operator's shape and what is fused into it.

    `op` is the kind of the main operator in the vocabulary of `perfmodel.graph.ops` (`conv2d` with
    `groups == cin` is depthwise), with `gemm` and `bmm` for bare matrix products; `kernel_class`
    is its cost class (see `kernel_classes`). Sizes are for the whole batch and in elements;
    `m, n, k` are those of the matrix product that the operator amounts to (0 where it is none);
    `macs` are multiply-accumulates of the direct algorithm, `weight_elements` constants read.
    `fused` are the names of all graph ops inside, `n_fused` extra ops folded into the main one.
    """

    name: str
    op: str
    kernel_class: str
    fused: tuple[str, ...] = ()
    batch: int = 1
    cin: int = 0
    hin: int = 0
    win: int = 0
    cout: int = 0
    hout: int = 0
    wout: int = 0
    kh: int = 1
    kw: int = 1
    sh: int = 1
    sw: int = 1
    groups: int = 1
    m: int = 0
    n: int = 0
    k: int = 0
    elements: int = 0
    macs: int = 0
    input_elements: int = 0
    weight_elements: int = 0
    output_elements: int = 0
    residual: bool = False
    activation: str = "none"


shape_of = attrgetter(*(f.name for f in fields(Kernel) if f.name not in ("name", "fused")))
"""What a cost depends on, of a kernel: equal ones take equally long."""

NUMERIC_COLUMNS: tuple[str, ...] = tuple(
    f.name for f in fields(Kernel) if f.type in ("int", "bool")
)
"""Fields of `Kernel` that a `KernelTable` holds as float64 columns."""

NETWORK_COLUMN = "network_elements"

TEXT_COLUMNS: tuple[str, ...] = ("name", "op", "kernel_class", "activation")


@dataclass(frozen=True)
class KernelTable:
    """Many kernels as columns, for vectorised features and predictions.

    `text[c]` and `number[c]` are arrays of shape (kernels,); columns are `TEXT_COLUMNS`,
    `NUMERIC_COLUMNS` and `NETWORK_COLUMN`: elements of all weights and results of the network that
    a kernel is in, 0 where it stands alone.
    """

    text: dict[str, np.ndarray]
    number: dict[str, np.ndarray]
    _derived: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, key: object, make: Callable[[], T]) -> T:
        """What `make` returns, made once per table: features that many targets share."""
        if key not in self._derived:
            self._derived[key] = make()
        found: T = self._derived[key]
        return found

    def __len__(self) -> int:
        return len(self.text["op"])

    def __getitem__(self, column: str) -> np.ndarray:
        return self.number[column] if column in self.number else self.text[column]

    @staticmethod
    def from_kernels(kernels: Iterable[Kernel]) -> KernelTable:
        """Columns of the given kernels, in order; they are taken for one network."""
        rows = list(kernels)
        number = {c: np.array([getattr(r, c) for r in rows], dtype=float) for c in NUMERIC_COLUMNS}
        held = sum(r.weight_elements + r.output_elements for r in rows)
        return KernelTable(
            {c: np.array([getattr(r, c) for r in rows], dtype=object) for c in TEXT_COLUMNS},
            number | {NETWORK_COLUMN: np.full(len(rows), float(held))},
        )

    def take(self, index: np.ndarray) -> KernelTable:
        """The kernels at `index` (integers or a mask)."""
        return KernelTable(
            {c: v[index] for c, v in self.text.items()},
            {c: v[index] for c, v in self.number.items()},
        )
