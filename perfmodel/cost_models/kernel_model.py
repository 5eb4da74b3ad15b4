"""Learning kernel times: shared physics, then boosted trees on what the physics leaves over.

`KernelModel` follows scikit-learn's API; its X are `KernelRows`, because a kernel is more than a
row of numbers. It fits all targets of a framework family together and gives a `KernelPredictor`
for each, and a `KernelPopulation` for targets that it never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from perfmodel.cost_models.efficiencies import (
    Efficiencies,
    Shrinkage,
    TimedKernels,
    fit_efficiencies,
    no_slower,
)
from perfmodel.cost_models.hierarchy import balanced_weights, log_times
from perfmodel.cost_models.kernel_population import KernelPopulation, TargetTraits, predictor_of
from perfmodel.cost_models.kernel_predictor import (
    DIGITS,
    EXACT,
    KernelPredictor,
    base_inputs,
    ranges_of,
)
from perfmodel.cost_models.kernel_terms import (
    BY_BYTES,
    GROUPS,
    LAUNCH,
    REFERENCE_LAUNCH_US,
    Machine,
    Work,
    combine,
    work_of,
)
from perfmodel.cost_models.trees import Forest, forest_of
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable


@dataclass(frozen=True, kw_only=True, eq=False)
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
        return KernelRows(
            table=self.table.take(index),
            target=self.target[index],
            targets=self.targets,
            wait_us=wait,
        )


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
        log_latency = log_times(latency)
        work = _work(X)
        first, log_us, count = _distinct(X, work, log_latency)
        rows = X.take(first)
        work = Work(*(part[first] for part in vars(work).values()))
        raw = np.exp(self.weight_power * log_us) * count
        if weight is not None:
            raw = raw * np.asarray(weight, dtype=float)[first]
        self.targets_ = X.targets
        self.wait_us_ = _typical_wait(X)
        self.cells_ = tuple(sorted(set(work.cell)))
        index = {c: i for i, c in enumerate(self.cells_)}
        cell = np.array([index[c] for c in work.cell])
        fitted = np.zeros_like(rows.target) if self.spec_only else rows.target
        seen = TimedKernels(
            cell=cell,
            target=fitted,
            terms=work.terms,
            log_us=log_us,
            weight=balanced_weights(rows.target, raw, self.shrinkage.strength),
            overlap=self._overlap(X),
        )
        targets = 1 if self.spec_only else len(X.targets)
        self.efficiencies_ = fit_efficiencies(seen, self.cells_, targets, self.shrinkage)
        if not self.spec_only:
            self.efficiencies_ = _half_no_slower(self.efficiencies_, X.targets)
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
        self.ranges_ = ranges_of(work)
        measured = set(zip(rows.target.tolist(), work.cell, strict=True))
        self.measured_ = {t: {c for s, c in measured if s == t} for t in range(len(rows.targets))}

    def _describe(self, efficiencies: Efficiencies, targets: Sequence[TargetTraits]) -> np.ndarray:
        """What the trees see of each target, shape (targets, columns)."""
        columns = [np.array([t.traits for t in targets], dtype=float).reshape(len(targets), -1)]
        if self.describe and not self.spec_only:
            fitted = efficiencies.descriptor()
            for half, single in _halves(targets).items():
                fitted[half] = fitted[single]
            columns.append(fitted)
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
                    # on a busy machine the trees' threads wait for one another, ten times longer
                    # than one works
                    with threadpool_limits(limits=1):
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
                predictor = self.population().unmeasured(X.targets[t])
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
        owner = None if self.pool else target
        return predictor_of(
            self.efficiencies_,
            0 if self.spec_only else target,
            self.targets_[target],
            forests=self._forests(owner),
            seen=self._describe(self.efficiencies_, self.targets_)[target].tolist(),
            ranges={c: r for c, r in self.ranges_.items() if c in self.measured_[target]},
            limit=self.limit,
            digits=DIGITS if rounded else EXACT,
        )

    def _forests(self, owner: int | None) -> dict[str, Forest]:
        return {group: f for (who, group), f in self.forests_.items() if who == owner}

    def population(self) -> KernelPopulation:
        """What the targets share, from which a new one is made."""
        fitted = self.efficiencies_
        return KernelPopulation(
            # without effects of targets the one fitted "target" is the population itself
            efficiencies=fitted.folded(0) if self.spec_only else fitted.unmeasured(),
            shrinkage=self.shrinkage,
            forests=self._forests(None),
            traits=len(self.targets_[0].traits),
            described=self.describe and not self.spec_only,
            ranges=self.ranges_,
            limit=self.limit,
        )


def _halves(targets: Sequence[TargetTraits]) -> dict[int, int]:
    """Targets that store half as much for the same units, each with its target in fp32.

    Tables of kernels call them CARD/fp16 and CARD/fp32; tensor cores (fp16_tc) are other units.
    """
    place = {t.name: i for i, t in enumerate(targets)}
    stems = {name.removesuffix("/fp16"): i for name, i in place.items() if name.endswith("/fp16")}
    return {i: place[f"{card}/fp32"] for card, i in stems.items() if f"{card}/fp32" in place}


def _half_no_slower(fitted: Efficiencies, targets: Sequence[TargetTraits]) -> Efficiencies:
    """Half precision costs a card no more than single precision does where the same units run both.

    Where measured kernels say otherwise (the Tesla P100's 5x5 convolutions take three times as
    long) that is left to the trees, which know the shape: the rest of their class is not slow.
    """
    for half, single in _halves(targets).items():
        known = np.array(targets[single].known_log) - np.array(targets[half].known_log)
        more = np.log(targets[single].machine.element_bytes / targets[half].machine.element_bytes)
        fitted = no_slower(fitted, half, single, known + more * BY_BYTES)
    return fitted


def _typical_wait(rows: KernelRows) -> np.ndarray:
    """Median wait of each target's rows, in microseconds; the reference where none is known."""
    out = np.full(len(rows.targets), REFERENCE_LAUNCH_US)
    if rows.wait_us is not None:
        for t in np.unique(rows.target):
            out[t] = np.median(rows.wait_us[rows.target == t])
    return out
