"""One measured network: its kernels as the target runs them, its time and how sure the time is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfmodel.cost_models.work_predictor import work_matrix
from perfmodel.kernels.kernel import KernelTable


@dataclass(frozen=True, eq=False)
class MeasuredNetwork:
    """A network of a table: its name or path, its kernels, its time.

    `variance` is that of the log latency beyond what repeated careful measurements of the network
    would show: rounding to whole milliseconds, for example.
    """

    name: str
    kernels: KernelTable
    latency_ms: float
    variance: float = 0.0
    batch: int = 1

    def work(self, precision: str, features: int) -> np.ndarray:
        """Total work by as many features, shape (features,)."""
        total: np.ndarray = work_matrix(self.kernels, precision, features).sum(axis=0)
        return total
