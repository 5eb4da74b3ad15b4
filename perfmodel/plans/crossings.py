"""What segments move: the tensors that cross into and out of each, with their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from perfmodel.plans.layers import Crossing, LayerGraph


@dataclass(frozen=True)
class States:
    """States as rows of a boolean matrix (states, layers), smaller before larger.

    The first is empty, the last full. `exhaustive` says whether they are all the states there are;
    `along_order` that state i holds just the first i layers.
    """

    member: np.ndarray
    exhaustive: bool
    along_order: bool = False

    def __len__(self) -> int:
        return len(self.member)


@dataclass(frozen=True)
class Moved:
    """What segments take in and hand on: numbers of tensors and their bytes, of any one shape."""

    tensors_in: np.ndarray
    bytes_in: np.ndarray
    tensors_out: np.ndarray
    bytes_out: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Crossings:
    """Tensors between `count` layers as arrays: sizes and makers of shape (tensors,).

    `readers` are those of each tensor; `tensor` and `reader` are the same as pairs, one a reading.
    A reader of number `count` is the caller.
    """

    count: int
    sizes: np.ndarray
    makers: np.ndarray
    readers: tuple[tuple[int, ...], ...]
    tensor: np.ndarray
    reader: np.ndarray

    @classmethod
    def of_layers(cls, layers: LayerGraph, *, with_ends: bool) -> Crossings:
        """Those of a network, with its own input and output or not."""
        n = len(layers)
        crossings = layers.crossings if with_ends else _inner(layers.crossings, n)
        return cls(
            count=n,
            sizes=np.array([float(c.size_bytes) for c in crossings]),
            makers=np.array([c.maker for c in crossings], dtype=int),
            readers=tuple(c.readers for c in crossings),
            tensor=np.repeat(np.arange(len(crossings)), [len(c.readers) for c in crossings]),
            reader=np.array([r for c in crossings for r in c.readers], dtype=int),
        )

    def of(self, before: np.ndarray, after: np.ndarray) -> Moved:
        """What the segment between two states moves; states are of shape (layers,)."""
        before, after = np.append(before, False), np.append(after, False)  # the caller is in none
        made_before = (self.makers < 0) | before[self.makers]
        taken = np.zeros(len(self.sizes), dtype=bool)
        taken[self.tensor[(after & ~before)[self.reader]]] = True
        taken &= made_before
        handed = np.zeros(len(self.sizes), dtype=bool)
        handed[self.tensor[~after[self.reader]]] = True
        handed &= ~made_before & after[self.makers]
        sums = (np.sum(x) for x in (taken, self.sizes[taken], handed, self.sizes[handed]))
        return Moved(*sums)

    def blocks(self, states: States, width: int) -> Iterator[Moved]:
        """What segments move, for each `width` ends in turn; shape (states up to there, ends)."""
        return self._along_order(width) if states.along_order else self._between(states, width)

    def _along_order(self, width: int) -> Iterator[Moved]:
        """For prefix states, in time linear in the readings: the condition on the segment's end is
        an interval, so where it begins and ends is marked, and marks are summed up."""
        marks = self._marks()
        sums = np.zeros((4, self.count + 1))
        for first in range(0, self.count + 1, width):
            last = min(first + width, self.count + 1)
            # four matrices, one above the other, so that one sum goes over all
            block = np.zeros((4, last, last - first))
            block[:, :, 0] = sums[:, :last]
            for column in range(first, last):
                for start, stop, number, sign, size in marks.pop(column, ()):
                    block[number, start:stop, column - first] += sign
                    block[number + 1, start:stop, column - first] += sign * size
            np.cumsum(block, axis=2, out=block)
            sums[:, :last] = block[:, :, -1]
            yield Moved(*block)

    def _marks(self) -> dict[int, list[tuple[int, int, int, int, float]]]:
        """By end: (first and last start, 0 for taken or 2 for handed, +1 or -1, bytes)."""
        marks: dict[int, list[tuple[int, int, int, int, float]]] = {}
        columns = self.sizes.tolist(), self.makers.tolist(), self.readers
        for size, maker, readers in zip(*columns, strict=True):
            first = maker + 1
            for reader in readers:
                if reader < self.count:
                    # segments that start after the maker and the reader before, up to the reader
                    marks.setdefault(reader + 1, []).append((first, reader + 1, 0, 1, size))
                    first = reader + 1
            if maker >= 0:
                marks.setdefault(maker + 1, []).append((0, maker + 1, 2, 1, size))
                marks.setdefault(readers[-1] + 1, []).append((0, maker + 1, 2, -1, size))
        return marks

    def _between(self, states: States, width: int) -> Iterator[Moved]:
        """For any states. What holds of a alone and of b alone is a product of matrices over
        tensors; only tensors with several readers need a look at each pair."""
        member = np.column_stack([states.member, np.zeros(len(states), dtype=bool)])
        made = (self.makers < 0)[None, :] | member[:, self.makers]
        number = np.bincount(self.tensor, minlength=len(self.sizes))
        read = np.zeros(made.shape, dtype=np.int32)
        for tensor, reader in zip(self.tensor.tolist(), self.reader.tolist(), strict=True):
            read[:, tensor] += member[:, reader]
        # handed on: made between a and b, and a reader lies outside b
        handed = made & (self.makers >= 0)[None, :] & (read < number[None, :])
        single = number == 1
        several = np.flatnonzero(~single).tolist()
        waiting = (made & (read == 0))[:, single]
        for first in range(0, len(states), width):
            ends = slice(first, min(first + width, len(states)))
            rows = slice(0, ends.stop)
            tensors_out, bytes_out = _products(~made[rows], handed[ends], self.sizes)
            # taken in: made before a, and a reader lies in b but not in a
            reached = read[ends][:, single] > 0
            tensors_in, bytes_in = _products(waiting[rows], reached, self.sizes[single])
            for i in several:
                taken = made[rows, i, None] & (read[None, ends, i] > read[rows, i, None])
                np.add(tensors_in, 1.0, out=tensors_in, where=taken)
                np.add(bytes_in, self.sizes[i], out=bytes_in, where=taken)
            yield Moved(tensors_in, bytes_in, tensors_out, bytes_out)


def _products(
    before: np.ndarray, after: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How many tensors hold in a row of both, and their bytes; shape (rows, rows of `after`)."""
    rows, columns = before.astype(float), after.astype(float).T
    return rows @ columns, (rows * sizes) @ columns


def _inner(crossings: Sequence[Crossing], n: int) -> tuple[Crossing, ...]:
    """The tensors between layers, without the caller as their maker or reader."""
    inner = ((c, tuple(r for r in c.readers if r < n)) for c in crossings if c.maker >= 0)
    return tuple(replace(c, readers=readers) for c, readers in inner if readers)
