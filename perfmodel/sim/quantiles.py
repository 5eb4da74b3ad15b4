"""Percentiles of a stream: exact while it is short, then from a histogram of fixed size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

EXACT_UP_TO = 65536
BIN_RATIO = 1.001  # bins of 0.1 %: a percentile is off by half of that at most
LEAST_MS = 1e-6
BINS = math.ceil(math.log(1e12 / LEAST_MS) / math.log(BIN_RATIO))


class Quantiles:
    """Non-negative numbers, summarised in memory that does not grow beyond EXACT_UP_TO of them."""

    def __init__(self) -> None:
        self._chunks: list[np.ndarray] = []
        self._counts: np.ndarray | None = None
        self._number = 0
        self._least = math.inf
        self._largest = -math.inf

    def add(self, values: np.ndarray) -> None:
        """Take an array of numbers."""
        self._number += len(values)
        self._least = min(self._least, float(values.min()))
        self._largest = max(self._largest, float(values.max()))
        if self._counts is not None:
            self._count(values)
            return
        self._chunks.append(values.copy())
        if self._number > EXACT_UP_TO:
            self._to_histogram()

    def _to_histogram(self) -> None:
        import numpy as np

        self._counts = np.zeros(BINS, dtype=np.int64)
        for chunk in self._chunks:
            self._count(chunk)
        self._chunks = []

    def _count(self, values: np.ndarray) -> None:
        import numpy as np

        assert self._counts is not None
        places = np.log(np.maximum(values, LEAST_MS) / LEAST_MS) / math.log(BIN_RATIO)
        self._counts += np.bincount(np.minimum(places.astype(int), BINS - 1), minlength=BINS)

    def percentile(self, percent: float) -> float:
        """Return a percentile (linear between observations while exact)."""
        import numpy as np

        if not self._number:
            raise ValueError("no numbers were added")
        if self._counts is None:
            return float(np.percentile(np.concatenate(self._chunks), percent))
        rank = percent / 100.0 * (self._number - 1)
        place = int(np.searchsorted(np.cumsum(self._counts), rank, side="right"))
        middle = LEAST_MS * BIN_RATIO ** (place + 0.5)
        return float(min(max(middle, self._least), self._largest))
