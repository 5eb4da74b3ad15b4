"""What a fitted cost model of one target must do, and how it is kept in a profile file.

A predictor is plain data and numpy: no scikit-learn is needed to read one. Estimators (which learn)
make predictors (which answer).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from perfmodel.kernels.kernel import KernelTable

PARTS = ("compute", "memory", "overhead")
"""Where a kernel's time goes; columns of `Predictor.parts_ms`."""

UNSEEN_NOVELTY = 1.0
"""Novelty, at least, of a kernel whose kind was never measured on the target."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkTerms:
    """What a model says of whole networks beyond the sum of their kernels; arrays (networks,).

    A network takes exp(`log_factor`) times what its kernels add up to, and its interval is wider by
    `extra_log` log units on either side.
    """

    log_factor: np.ndarray
    extra_log: np.ndarray


class Correction(Protocol):
    """What whole networks take beyond their kernels' costs (`network_correction`)."""

    def of_described(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log factor of described networks and how far each is recognised, 0 to 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkCosts:
    """What amounts of work cost on a target, by which targets of any framework can be compared.

    `log_cost` holds log ms per unit of work in the order of `work_features.ALL_FEATURES`;
    `precision` sets the bytes of a weight; `ranges` the fitted sizes by kernel class; `correction`
    what whole networks take beyond.
    """

    log_cost: tuple[float, ...]
    precision: str
    ranges: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
    correction: Correction


def no_network_terms(networks: Sequence[KernelTable]) -> NetworkTerms:
    """The terms of a model that knows a network by its kernels alone."""
    return NetworkTerms(log_factor=np.zeros(len(networks)), extra_log=np.zeros(len(networks)))


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

    @property
    def times_single_kernels(self) -> bool:
        """Whether its costs come from kernels measured one by one, not from whole networks.

        Then its times of single kernels may stand for those of another target.
        """

    @property
    def work_costs(self) -> WorkCosts | None:
        """Costs by kind of work that another target may borrow; None where it has no such costs."""

    @property
    def as_scaled(self) -> tuple[Predictor, float] | None:
        """The model that this one is at another speed, and how many times as long it takes; None
        for a model of its own."""

    def with_overhead(self, overhead_ms: float) -> Predictor:
        """The same model with another fixed cost of an inference."""

    def adapted(self, kernels: KernelTable, latency_us: np.ndarray) -> Predictor:
        """The same model moved as far as the measured times of kernels say.

        `latency_us` has shape (kernels,); raises `MeasurementError` for times that cannot be.
        """

    @property
    def grows_with_batch(self) -> bool:
        """Whether by its form a kernel never takes less at a larger batch."""

    def parts_ms(self, kernels: KernelTable) -> np.ndarray:
        """Milliseconds of each kernel by part, shape (kernels, 3), columns `PARTS`."""

    def novelty(self, kernels: KernelTable) -> np.ndarray:
        """How far outside the fitted range each kernel lies: 0 inside, in log units beyond it."""

    def network_terms(self, networks: Sequence[KernelTable]) -> NetworkTerms:
        """Factor and extra width of whole networks; each table holds one whole network's kernels.

        A piece of a network (a segment of a plan) takes the factor of the network it is cut from.
        """

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data (numbers, text, lists), without the tag."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Any:
        """Read and check plain data; raises `ProfileError` that names the field."""


class ByKernel:
    """What models have in common that know a kernel by its work, of which nobody timed one alone.

    More work takes them longer, so that a larger batch does; a kernel's time does not depend on the
    others of its network.
    """

    @property
    def needs_whole_network(self) -> bool:
        """Never: a kernel's time follows from the kernel alone."""
        return False

    @property
    def grows_with_batch(self) -> bool:
        """Always: no amount of work shrinks with the batch."""
        return True

    @property
    def times_single_kernels(self) -> bool:
        """Never: its costs come from whole networks or a data sheet."""
        return False

    @property
    def work_costs(self) -> WorkCosts | None:
        """None, unless the model has costs by kind of work that another target may borrow."""
        return None

    @property
    def as_scaled(self) -> None:
        """None: a model of its own."""
        return None


def network_ms(predictor: Predictor, kernels: KernelTable) -> float:
    """Milliseconds of a whole network, given by all of its kernels."""
    factor = float(np.exp(predictor.network_terms([kernels]).log_factor[0]))
    return predictor.overhead_ms + factor * float(predictor.parts_ms(kernels).sum())


def network_novelty(predictor: Predictor, kernels: KernelTable) -> float:
    """How far outside the fitted range a whole network lies, weighted by time as `predict` does."""
    times = predictor.parts_ms(kernels).sum(axis=1)
    total = times.sum() + predictor.overhead_ms
    return float((predictor.novelty(kernels) * times).sum() / max(total, 1e-12))
