"""Train the joint model for profiles: a predictor, an interval and an honest error per target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.base import clone

from perfmodel.cost_models.interval import widths_by_group
from perfmodel.cost_models.work_model import JointEfficiencyModel
from perfmodel.cost_models.work_predictor import EfficiencyPredictor, size_ranges
from validation.data.network_tables import NetworkRows, TargetKey

NOVELTY_SLOPE = 0.5
"""Widening of an interval, in log units, for a network all of whose time is of novelty 1."""


def model_for(unit: str) -> JointEfficiencyModel:
    """The estimator for a unit: GPUs differ more from one another than CPUs do."""
    return JointEfficiencyModel(hardware_sd=0.6) if unit == "gpu" else JointEfficiencyModel()


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Predictions for each row by models that saw no network of the row's family.

    `predicted_ms` and `novelty` have shape (rows,); NaN where the target has no other network.
    """

    predicted_ms: np.ndarray
    novelty: np.ndarray


@dataclass(frozen=True)
class TrainedTarget:
    """What a profile holds of one target: errors are out of sample (`LeftOut`).

    The 90 % interval of a latency L is [L exp(-w), L exp(w)], w = half_width_log + slope x novelty.
    """

    key: TargetKey
    predictor: EfficiencyPredictor
    half_width_log: float
    novelty_slope: float
    cases: int
    median_error: float
    mean_error: float
    within_20: float
    measurements: int


def predictors(model: JointEfficiencyModel, rows: NetworkRows) -> dict[int, EfficiencyPredictor]:
    """The predictor of each fitted target, by target number, with the ranges its unit has seen."""
    seen = {n: rows.kernels[n] for n in np.unique(rows.network)}
    ranges = size_ranges(list(seen.values()))
    made = {}
    for place, target in enumerate(model.targets_):
        precision = rows.targets[target].target.precision
        made[int(target)] = EfficiencyPredictor(
            log_cost=tuple(float(v) for v in model.log_cost_[place]),
            precision="int8" if precision == "int8" else "fp32",
            ranges=ranges,
        )
    return made


def leave_family_out(rows: NetworkRows, model: JointEfficiencyModel) -> LeftOut:
    """Predict every row by a model fitted without the networks of its family, on any target."""
    family = np.array(rows.families)[rows.network]
    predicted, novelty = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for name in sorted(set(rows.families)):
        train = rows.where(family != name)
        fitted = clone(model).fit(train.inputs(), train.latency_ms)
        by_target = predictors(fitted, train)
        for row in np.flatnonzero(family == name):
            predictor = by_target.get(int(rows.target[row]))
            if predictor is None:
                continue
            kernels = rows.kernels[rows.network[row]]
            times = predictor.parts_ms(kernels).sum(axis=1)
            predicted[row] = times.sum()
            novelty[row] = (predictor.novelty(kernels) * times).sum() / times.sum()
    return LeftOut(predicted, novelty)


def half_widths(
    left_out: LeftOut, rows: NetworkRows, calibration: np.ndarray, slope: float = NOVELTY_SLOPE
) -> np.ndarray:
    """Half width of the log interval by target, from the chosen rows (a mask) alone."""
    usable = calibration & np.isfinite(left_out.predicted_ms)
    ratio = np.log(left_out.predicted_ms[usable] / rows.latency_ms[usable])
    deviation = np.maximum(np.abs(ratio) - slope * left_out.novelty[usable], 1e-3)
    target = rows.target[usable]
    return widths_by_group(deviation, target, len(rows.targets))


def cross_conformal(left_out: LeftOut, rows: NetworkRows) -> np.ndarray:
    """90 % interval of each row, calibrated without its own family; shape (rows, 2), ms."""
    family = np.array(rows.families)[rows.network]
    bounds = np.full((len(rows), 2), np.nan)
    for name in sorted(set(rows.families)):
        mine = family == name
        width = half_widths(left_out, rows, ~mine)[rows.target[mine]]
        width = width + NOVELTY_SLOPE * left_out.novelty[mine]
        middle = left_out.predicted_ms[mine]
        bounds[mine] = np.column_stack([middle * np.exp(-width), middle * np.exp(width)])
    return bounds


def train(
    rows: NetworkRows, model: JointEfficiencyModel | None = None
) -> tuple[TrainedTarget, ...]:
    """Fit all targets of one unit together; errors and intervals from leaving families out."""
    model = model or model_for(rows.targets[0].target.unit)
    left_out = leave_family_out(rows, model)
    # the fitted model has seen every kernel size, so it finds little novel: an unseen network must
    # be covered by the base width alone, and novelty comes on top
    widths = half_widths(left_out, rows, np.ones(len(rows), dtype=bool), slope=0.0)
    fitted = clone(model).fit(rows.inputs(), rows.latency_ms)
    trained = []
    for target, predictor in predictors(fitted, rows).items():
        mine = rows.target == target
        error = np.abs(left_out.predicted_ms[mine] / rows.latency_ms[mine] - 1)
        error = error[np.isfinite(error)]
        trained.append(
            TrainedTarget(
                rows.targets[target],
                predictor,
                float(widths[target]),
                NOVELTY_SLOPE,
                len(error),
                float(np.median(error)),
                float(error.mean()),
                float((error <= 0.2).mean()),
                int(mine.sum()),
            )
        )
    return tuple(trained)
