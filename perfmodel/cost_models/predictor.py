"""What a fitted cost model of one target must do, and how it is kept in a profile file.

A predictor is plain data and numpy: no scikit-learn is needed to read one. Estimators (which learn)
make predictors (which answer).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from perfmodel.kernels.kernel import KernelTable

PARTS = ("compute", "memory", "overhead")
"""Where a kernel's time goes; columns of `Predictor.parts_ms`."""


@runtime_checkable
class Predictor(Protocol):
    """Latency model of one target, as kept in a profile.

    `kind` is the tag in the file. A network takes `overhead_ms` plus the sum of its kernels.
    """

    kind: ClassVar[str]

    @property
    def overhead_ms(self) -> float:
        """Milliseconds an inference takes beyond its kernels."""

    @property
    def needs_whole_network(self) -> bool:
        """Whether a kernel's time depends on the other kernels of its network.

        Then every table that the predictor is asked must hold the kernels of exactly one network;
        else kernels of many networks may stand in one table.
        """

    def parts_ms(self, kernels: KernelTable) -> np.ndarray:
        """Milliseconds of each kernel by part, shape (kernels, 3), columns `PARTS`."""

    def novelty(self, kernels: KernelTable) -> np.ndarray:
        """How far outside the fitted range each kernel lies: 0 inside, in log units beyond it."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data (numbers, text, lists), without the tag."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Any:
        """Read and check plain data; raises `ProfileError` that names the field."""
