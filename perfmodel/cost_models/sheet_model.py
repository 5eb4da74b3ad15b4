"""How fast a target is overall, from its spec sheet: a regression with effects that targets share.

The mean log time of a target over some networks is linear in features of its sheet (clock, width,
threads, GFLOPS), plus effects that targets with the same core, generation, framework or chip have
in common, plus noise: a Gaussian process with a linear mean (Rasmussen and Williams 2006, "Gaussian
Processes for Machine Learning", section 2.7). A chip that nobody measured has the features and the
effects of its cores; what is its own is unknown and widens the answer. A measurement of it is one
more known target, and moves all its targets by what they have in common.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

ROBUST_LIMIT = 2.0
"""A known target farther than this many standard deviations from what the others say loses weight:
tables hold throttled runs and runs with more threads than cores."""

ROBUST_STEPS = 6
LEAST_SHARE = 0.4
"""Share of a time that is at least arithmetic, whatever its memory time is thought to be."""


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    """What a sheet says of one target.

    `features` by name (absent: 0); `effects` by level: the label that it shares with others, and
    how strongly (1 as a rule). `memory_ms` is the part of its mean time that waits for memory,
    `noise_sd` the spread of one such target around what its sheet says (log units).
    """

    name: str
    chip: str
    features: Mapping[str, float]
    effects: Mapping[str, tuple[str, float]]
    memory_ms: float = 0.0
    noise_sd: float = 0.1


@dataclass(frozen=True, kw_only=True)
class KnownRow:
    """A measured target: its sheet, mean log ms, and the variance of that, robustly estimated."""

    row: SheetRow
    log_ms: float
    variance: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Expected:
    """Mean log ms of asked targets with its standard deviation, shapes (asked,), and how much each
    leans on every known target (asked, known): the prior correlation of both."""

    log_ms: np.ndarray
    sd: np.ndarray
    leans: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class SheetModel:
    """Known targets and the priors: `features` (mean and sd of each slope), `levels` (sd of the
    effects), `base` the mean log ms at features 0."""

    known: tuple[KnownRow, ...]
    features: Mapping[str, tuple[float, float]]
    levels: Mapping[str, float]
    base: float = 5.0

    def expect(self, rows: Sequence[SheetRow], apart_from: Collection[str] = ()) -> Expected:
        """What the sheets of some targets say of their speed.

        Levels that `apart_from` names do not count for whom a target leans on.
        """
        shared, alike = (np.zeros((len(rows), len(self.known))) for _ in range(2))
        for level in self.levels:
            at_level = self._shared(level, rows)
            shared += at_level
            if level not in apart_from:
                alike += at_level
        design = self._design(rows)
        across = (design * self._spread**2) @ self._known_design.T + shared
        own = ((design * self._spread) ** 2).sum(axis=1)
        own = own + _effect_variance(self.levels, rows)
        mean = self.base + design @ self._slopes
        if self.known:
            mean = mean + across @ self._solved
            own = own - ((across @ self._inverse) * across).sum(axis=1)
        noise = np.array([r.noise_sd for r in rows])
        memory = np.array([r.memory_ms for r in rows])
        total = np.exp(mean) + memory
        # only the arithmetic is unsure, and it is a part of the time
        share = np.maximum(np.exp(mean) / total, LEAST_SHARE)
        sd = np.sqrt(np.maximum(own, 0.0) + noise**2) * share
        levels = {level: sd for level, sd in self.levels.items() if level not in apart_from}
        theirs = np.sum(
            [(sd * self._labels[level][2]) ** 2 for level, sd in levels.items()], axis=0
        )
        scale = np.outer(_effect_variance(levels, rows), theirs)
        leans = alike / np.maximum(np.sqrt(scale), 1e-12)
        return Expected(log_ms=np.log(total), sd=sd, leans=leans)

    def with_known(self, more: Sequence[KnownRow]) -> SheetModel:
        """The model with more measured targets."""
        return replace(self, known=(*self.known, *more))

    def without_chip(self, chip: str) -> SheetModel:
        """The model as it is without a chip."""
        return replace(self, known=tuple(k for k in self.known if k.row.chip != chip))

    def robust(self) -> SheetModel:
        """The model with the variance of every known target as the others see it."""
        base = np.array([k.row.noise_sd**2 for k in self.known])
        prior = self._covariance
        gap, variance = self._gaps, base.copy()
        for _ in range(ROBUST_STEPS):
            inverse = np.linalg.inv(prior + np.diag(variance))
            solved = inverse @ gap
            others = 1.0 / np.diag(inverse) - variance
            miss = solved / np.diag(inverse)
            variance = np.maximum(base, (miss / ROBUST_LIMIT) ** 2 - others)
        known = zip(self.known, variance, strict=True)
        return replace(self, known=tuple(replace(k, variance=float(v)) for k, v in known))

    @cached_property
    def _sheets(self) -> tuple[SheetRow, ...]:
        return tuple(k.row for k in self.known)

    @cached_property
    def _gaps(self) -> np.ndarray:
        """Log time of the known targets' arithmetic less what the priors say."""
        ms = np.exp([k.log_ms for k in self.known])
        memory = np.array([k.row.memory_ms for k in self.known])
        arithmetic = np.log(np.maximum(ms - memory, LEAST_SHARE * ms))
        gaps: np.ndarray = arithmetic - self.base - self._known_design @ self._slopes
        return gaps

    @cached_property
    def _inverse(self) -> np.ndarray:
        """That of the covariance of the known targets."""
        return np.linalg.inv(self._covariance + np.diag([k.variance for k in self.known]))

    @cached_property
    def _solved(self) -> np.ndarray:
        solved: np.ndarray = self._inverse @ self._gaps
        return solved

    @cached_property
    def _covariance(self) -> np.ndarray:
        """Of the known targets' speeds, without noise."""
        shared = np.zeros((len(self.known), len(self.known)))
        for level in self.levels:
            shared += self._shared(level, self._sheets)
        linear = (self._known_design * self._spread**2) @ self._known_design.T
        covariance: np.ndarray = linear + shared
        return covariance

    @cached_property
    def _slopes(self) -> np.ndarray:
        return np.array([mean for mean, _ in self.features.values()])

    @cached_property
    def _spread(self) -> np.ndarray:
        return np.array([sd for _, sd in self.features.values()])

    @cached_property
    def _known_design(self) -> np.ndarray:
        return self._design(self._sheets)

    def _design(self, rows: Sequence[SheetRow]) -> np.ndarray:
        names = tuple(self.features)
        values = [[r.features.get(n, 0.0) for n in names] for r in rows]
        return np.array(values).reshape(len(rows), len(names))

    @cached_property
    def _labels(self) -> Mapping[str, tuple[Mapping[str, int], np.ndarray, np.ndarray]]:
        """By level: the number of each label, and of every known target number and loading."""
        found = {}
        for level in self.levels:
            numbers: dict[str, int] = {}
            effects = [s.effects.get(level, ("", 0.0)) for s in self._sheets]
            number = np.array([numbers.setdefault(name, len(numbers)) for name, _ in effects])
            found[level] = (numbers, number, np.array([load for _, load in effects]))
        return found

    def _shared(self, level: str, rows: Sequence[SheetRow]) -> np.ndarray:
        """Covariance of what rows share with the known targets at a level, (rows, known)."""
        numbers, number, loading = self._labels[level]
        effects = [r.effects.get(level, ("", 0.0)) for r in rows]
        mine = np.array([numbers.get(name, -1) for name, _ in effects])
        loads = np.array([load for _, load in effects]) * self.levels[level] ** 2
        shared: np.ndarray = (mine[:, None] == number) * loads[:, None] * loading
        return shared


def _effect_variance(levels: Mapping[str, float], rows: Sequence[SheetRow]) -> np.ndarray:
    """Variance of the effects of rows at some levels, shape (rows,)."""
    none = ("", 0.0)
    found = [
        sum((sd * row.effects.get(level, none)[1]) ** 2 for level, sd in levels.items())
        for row in rows
    ]
    return np.array(found)
