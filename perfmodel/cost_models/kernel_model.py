"""Learning kernel times: shared physics, then boosted trees on what the physics leaves over.

`KernelModel` follows scikit-learn's API; its X are `KernelRows`, because a kernel is more than a
row of numbers. It fits all targets of a framework family together and gives a `KernelPredictor`
for each; `calibrate` adds a target from a handful of kernels or whole networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor

from perfmodel.cost_models.hierarchy import (
    Efficiencies,
    Observations,
    Shrinkage,
    balanced_weights,
    fit_efficiencies,
)
from perfmodel.cost_models.kernel_predictor import INPUTS, KernelPredictor, base_inputs
from perfmodel.cost_models.kernel_terms import (
    GROUPS,
    LAUNCH,
    RANGE_FEATURES,
    REFERENCE_LAUNCH_US,
    TERMS,
    Machine,
    Work,
    combine,
    family_of,
    work_of,
)
from perfmodel.cost_models.trees import Forest, forest_of
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable

ROUNDING = 1e-4
"""Log units by which a fitted range is widened, so that rounding leaves every row inside."""


@dataclass(frozen=True)
class TargetTraits:
    """What is known of a target before any measurement.

    `known_log` are log costs by term that its data sheet gives (0 where it says nothing), relative
    to the reference speeds; `traits` are numbers the correction may depend on, such as threads,
    in one order for all targets of a model.
    """

    name: str
    machine: Machine = field(default_factory=Machine)
    known_log: tuple[float, ...] = (0.0,) * len(TERMS)
    traits: tuple[float, ...] = ()


@dataclass(frozen=True)
class KernelRows:
    """Kernels on targets: row i is kernel i of `table` on `targets[target[i]]`.

    `wait_us`, where known, is how long the host waited at least for a kernel in that session.
    """

    table: KernelTable
    target: np.ndarray
    targets: tuple[TargetTraits, ...]
    wait_us: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.target)

    def take(self, index: np.ndarray) -> KernelRows:
        """The rows at `index` (integers or a mask)."""
        wait = None if self.wait_us is None else self.wait_us[index]
        return KernelRows(self.table.take(index), self.target[index], self.targets, wait)


def _machine_groups(rows: KernelRows) -> dict[Machine, np.ndarray]:
    machine = [rows.targets[t].machine for t in range(len(rows.targets))]
    return {
        m: np.isin(rows.target, [i for i, other in enumerate(machine) if other == m])
        for m in dict.fromkeys(machine)
    }


def _work(rows: KernelRows) -> Work:
    """Work of all rows; features depend on the machine, so machines are taken one by one."""
    parts = [
        (np.flatnonzero(mask), work_of(rows.table.take(mask), machine))
        for machine, mask in _machine_groups(rows).items()
        if mask.any()
    ]
    order = np.argsort(np.concatenate([index for index, _ in parts]), kind="stable")
    known = np.array([t.known_log for t in rows.targets])[rows.target]
    terms = np.concatenate([w.terms for _, w in parts])[order] * np.exp(known)
    if rows.wait_us is not None:
        terms[:, LAUNCH] *= rows.wait_us / REFERENCE_LAUNCH_US
    return Work(
        np.concatenate([w.cell for _, w in parts])[order],
        np.concatenate([w.group for _, w in parts])[order],
        terms,
        np.concatenate([w.features for _, w in parts])[order],
    )


def _distinct(rows: KernelRows, work: Work, log_us: np.ndarray) -> tuple[np.ndarray, ...]:
    """First row of every distinct (target, shape), its median log time, and its count."""
    key = np.column_stack([rows.target, np.round(work.features, 6), np.round(work.terms, 6)])
    _, first, inverse, count = np.unique(
        key, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    inverse = inverse.ravel()
    order = np.lexsort([log_us, inverse])
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    sorted_log = log_us[order]
    low, high = start + (count - 1) // 2, start + count // 2
    return first, (sorted_log[low] + sorted_log[high]) / 2, count


class KernelModel(RegressorMixin, BaseEstimator):
    """Kernel latency in microseconds over many targets of one framework family.

    Parameters: `shrinkage` of the physics; `spec_only` fits no effect of a target, so that its
    data sheet alone predicts; `describe` lets the trees see how a target's fitted speeds differ;
    `weight_power` weighs a kernel by its time to that power (0: all alike); `trees`, `leaves`,
    `learning_rate`, `min_rows`, `l2`, `loss` are those of scikit-learn's boosting; `limit` clips
    the log correction; `pool` fits one forest over all targets, else one each.
    """

    def __init__(
        self,
        shrinkage: Shrinkage = Shrinkage(),  # noqa: B008  frozen
        spec_only: bool = False,
        describe: bool = True,
        weight_power: float = 0.5,
        trees: int = 120,
        leaves: int = 24,
        learning_rate: float = 0.08,
        min_rows: int = 20,
        l2: float = 5.0,
        loss: str = "squared_error",
        limit: float = 0.7,
        pool: bool = True,
        random_state: int = 0,
    ) -> None:
        self.shrinkage = shrinkage
        self.spec_only = spec_only
        self.describe = describe
        self.weight_power = weight_power
        self.trees = trees
        self.leaves = leaves
        self.learning_rate = learning_rate
        self.min_rows = min_rows
        self.l2 = l2
        self.loss = loss
        self.limit = limit
        self.pool = pool
        self.random_state = random_state

    def fit(self, X: KernelRows, y: np.ndarray, weight: np.ndarray | None = None) -> KernelModel:
        """Learn from kernels and their times in microseconds; `weight` multiplies the own ones."""
        latency = np.asarray(y, dtype=float)
        if len(X) == 0 or len(latency) != len(X):
            raise MeasurementError("kernel model: needs as many times as kernels, at least one")
        if not (np.isfinite(latency) & (latency > 0)).all():
            bad = int(np.argmin(np.isfinite(latency) & (latency > 0)))
            raise MeasurementError(f"kernel model: row {bad + 1}: time must be > 0 and finite")
        work = _work(X)
        first, log_us, count = _distinct(X, work, np.log(latency))
        rows = X.take(first)
        work = Work(*(part[first] for part in vars(work).values()))
        raw = np.exp(self.weight_power * log_us) * count
        if weight is not None:
            raw = raw * np.asarray(weight, dtype=float)[first]
        self.targets_ = X.targets
        self.wait_us_ = _typical_wait(X)
        self.cells_ = tuple(sorted(set(work.cell)))
        self.families_ = [family_of(c) for c in self.cells_]
        index = {c: i for i, c in enumerate(self.cells_)}
        cell = np.array([index[c] for c in work.cell])
        fitted = np.zeros_like(rows.target) if self.spec_only else rows.target
        weights = balanced_weights(rows.target, raw, self.shrinkage.strength)
        self.efficiencies_ = fit_efficiencies(
            Observations(cell, fitted, work.terms, log_us, weights, self._overlap(X)),
            self.cells_,
            self.families_,
            1 if self.spec_only else len(X.targets),
            self.shrinkage,
        )
        spent = np.exp(self.efficiencies_.theta())[fitted, cell] * work.terms
        self._fit_ranges(rows, work)
        self._fit_forests(rows, work, spent, log_us, raw)
        return self

    @staticmethod
    def _overlap(rows: KernelRows) -> str:
        kinds = {t.machine.overlap for t in rows.targets}
        if len(kinds) > 1:
            raise MeasurementError(f"kernel model: targets differ in overlap: {sorted(kinds)}")
        return kinds.pop()

    def _fit_ranges(self, rows: KernelRows, work: Work) -> None:
        values = work.features[:, RANGE_FEATURES]
        self.ranges_ = {
            c: (values[work.cell == c].min(axis=0), values[work.cell == c].max(axis=0))
            for c in self.cells_
        }
        measured = set(zip(rows.target.tolist(), work.cell, strict=True))
        self.measured_ = {t: {c for s, c in measured if s == t} for t in range(len(rows.targets))}

    def _describe(self, efficiencies: Efficiencies, targets: Sequence[TargetTraits]) -> np.ndarray:
        """What the trees see of each target, shape (targets, columns)."""
        columns = [np.array([t.traits for t in targets], dtype=float).reshape(len(targets), -1)]
        if self.describe and not self.spec_only:
            columns.append(efficiencies.descriptor())
        return np.column_stack(columns) if columns else np.zeros((len(targets), 0))

    def _fit_forests(
        self, rows: KernelRows, work: Work, spent: np.ndarray, log_us: np.ndarray, raw: np.ndarray
    ) -> None:
        seen = self._describe(self.efficiencies_, rows.targets)
        total, _ = combine(spent, self._overlap(rows))
        inputs = np.column_stack([base_inputs(work, spent, total), seen[rows.target]])
        left = log_us - np.log(total)
        share = raw / np.bincount(rows.target, raw)[rows.target]
        share = share * np.bincount(rows.target)[rows.target]
        owners = [None] if self.pool else list(range(len(rows.targets)))
        self.forests_: dict[tuple[int | None, str], Forest] = {}
        for owner in owners:
            mine = np.ones(len(left), dtype=bool) if owner is None else rows.target == owner
            for group in GROUPS:
                chosen = mine & (work.group == group)
                if chosen.sum() >= 2 * self.min_rows:
                    model = self._booster().fit(inputs[chosen], left[chosen], share[chosen])
                    self.forests_[owner, group] = forest_of(model)

    def _booster(self) -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(
            loss=self.loss,
            max_iter=self.trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.min_rows,
            l2_regularization=self.l2,
            early_stopping=False,
            random_state=self.random_state,
        )

    def predict(self, X: KernelRows) -> np.ndarray:
        """Microseconds of every row; targets are matched by name."""
        names = [t.name for t in self.targets_]
        out = np.zeros(len(X))
        waits = np.zeros(len(X)) if X.wait_us is None else X.wait_us
        for t, wait in sorted(set(zip(X.target.tolist(), waits.tolist(), strict=True))):
            known = None if X.wait_us is None else wait
            mask = (X.target == t) & (waits == wait)
            if X.targets[t].name in names:
                predictor = self.predictor(names.index(X.targets[t].name), False, known)
            else:
                predictor = self.spec_predictor(X.targets[t])
            out[mask] = predictor.parts_ms(X.table.take(mask)).sum(axis=1) * 1e3
        return out

    def predictor(
        self, target: int, rounded: bool = True, wait_us: float | None = None
    ) -> KernelPredictor:
        """The predictor of a fitted target, by its place among `targets_`.

        `wait_us` is that of the session to predict; the median over the target's rows if None.
        """
        made = self._fitted(target, rounded)
        wait = self.wait_us_[target] if wait_us is None else wait_us
        return (
            made
            if self.wait_us_[target] == REFERENCE_LAUNCH_US
            else made.waiting(wait / REFERENCE_LAUNCH_US)
        )

    def _fitted(self, target: int, rounded: bool) -> KernelPredictor:
        return self._make(
            self.efficiencies_,
            0 if self.spec_only else target,
            self.targets_[target],
            self._describe(self.efficiencies_, self.targets_)[target],
            None if self.pool else target,
            self.measured_[target],
            rounded,
        )

    def spec_predictor(self, traits: TargetTraits, rounded: bool = True) -> KernelPredictor:
        """The predictor of a target that was never measured: the population's, at its specs."""
        # Without effects of targets the one fitted "target" is the population itself.
        blank = self.efficiencies_ if self.spec_only else _blank_target(self.efficiencies_)
        seen = self._describe(blank, [traits])[0]
        return self._make(blank, 0, traits, seen, None, set(self.cells_), rounded)

    def calibrate(
        self,
        table: KernelTable,
        traits: TargetTraits,
        latency_us: np.ndarray,
        member: np.ndarray | None = None,
        rounds: int = 2,
    ) -> KernelPredictor:
        """A predictor of a new target from few measurements.

        `latency_us` are those of the kernels, or, with `member` given, of groups of kernels
        (whole networks): kernel i belongs to group `member[i]`. Kernels of cells that the model
        never met are left to the family.
        """
        rows = KernelRows(table, np.zeros(len(table), dtype=np.int64), (traits,))
        work = _work(rows)
        known = np.isin(work.cell, self.cells_)
        if not known.all():
            raise MeasurementError(f"kernel model: no population of {work.cell[~known][0]!r}")
        index = {c: i for i, c in enumerate(self.cells_)}
        cell = np.array([index[c] for c in work.cell])
        log_us = np.log(np.asarray(latency_us, dtype=float))
        gain = np.ones(len(table))
        own = _blank_target(self.efficiencies_)
        for _ in range(rounds):
            own = fit_efficiencies(
                Observations(
                    cell,
                    rows.target,
                    work.terms,
                    log_us,
                    np.ones(len(log_us)),
                    traits.machine.overlap,
                    member,
                    gain,
                ),
                self.cells_,
                self.families_,
                1,
                self.shrinkage,
                population=self.efficiencies_,
            )
            seen = self._describe(own, [traits])[0]
            predictor = self._make(own, 0, traits, seen, None, set(self.cells_), False)
            spent = np.exp(own.theta())[0, cell] * work.terms
            total, _ = combine(spent, traits.machine.overlap)
            gain = np.exp(predictor.correction(work, spent, total))
        return self._make(own, 0, traits, seen, None, set(self.cells_), True)

    def _make(
        self,
        efficiencies: Efficiencies,
        target: int,
        traits: TargetTraits,
        seen: np.ndarray,
        owner: int | None,
        measured: set[str],
        rounded: bool,
    ) -> KernelPredictor:
        known = np.array(traits.known_log)
        theta = efficiencies.theta()[target] + known
        family = efficiencies.term + efficiencies.family + efficiencies.scale[target] + known
        family = family + efficiencies.target_term[target] + efficiencies.target_family[target]
        default = efficiencies.term + efficiencies.scale[target] + known
        default = default + efficiencies.target_term[target]
        fixed = {len(INPUTS) + i: float(v) for i, v in enumerate(seen)}
        forests = {
            group: forest.specialise(fixed)
            for (who, group), forest in self.forests_.items()
            if who == owner
        }
        digits = 6 if rounded else 17
        if rounded:
            forests = {g: f.rounded(digits) for g, f in forests.items()}
        return KernelPredictor(
            traits.machine,
            {c: _tuple(theta[i], digits) for i, c in enumerate(efficiencies.cells)},
            {f: _tuple(family[i], digits) for i, f in enumerate(efficiencies.families)},
            _tuple(default, digits),
            forests,
            {
                c: (_tuple(low - ROUNDING, digits), _tuple(high + ROUNDING, digits))
                for c, (low, high) in self.ranges_.items()
                if c in measured
            },
            self.limit,
        )


def _typical_wait(rows: KernelRows) -> np.ndarray:
    """Median wait of each target's rows, in microseconds; the reference where none is known."""
    out = np.full(len(rows.targets), REFERENCE_LAUNCH_US)
    if rows.wait_us is not None:
        for t in np.unique(rows.target):
            out[t] = np.median(rows.wait_us[rows.target == t])
    return out


def _blank_target(population: Efficiencies) -> Efficiencies:
    """One target with no effects of its own."""
    return replace(
        population,
        scale=np.zeros(1),
        target_term=np.zeros((1, population.target_term.shape[1])),
        target_family=np.zeros((1, *population.target_family.shape[1:])),
        target_cell=np.zeros((1, *population.target_cell.shape[1:])),
    )


def _tuple(values: np.ndarray, digits: int) -> tuple[float, ...]:
    return tuple(float(f"{v:.{digits}g}") for v in values)
