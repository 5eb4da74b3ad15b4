"""The population of known targets from a fitted joint model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perfmodel.calibration.adapt import Measured, network_name
from perfmodel.calibration.population import Population
from perfmodel.cost_models.interval import conformal_quantile
from perfmodel.cost_models.work_model import JointEfficiencyModel, loadings
from perfmodel.cost_models.work_predictor import size_ranges
from validation.data.network_tables import NetworkRows

EFFECT_SHRINKAGE = 0.2
"""Share of the misfits' covariance that is replaced by its diagonal: few targets ran each pair."""

CALIBRATED_COUNTS = (0, 1, 3, 5, 10)
"""Numbers of measurements at which intervals are calibrated; between them it is interpolated."""

MOST_CALIBRATED = 60
"""Targets used for calibrating, drawn at random: enough for a 90 % quantile, soon done."""

COVARIANCE_SHRINKAGE = 0.3
"""Share of the costs' covariance that is replaced by (half) the prior of the joint fit."""


def population(
    model: JointEfficiencyModel, rows: NetworkRows, *, precision: str = "float"
) -> Population:
    """Targets of one precision with what the fit left over.

    The scale of a target is its mean log latency over the networks.
    """
    keys = [rows.targets[t] for t in model.targets_]
    chosen = [i for i, key in enumerate(keys) if key.target.precision == precision]
    costs = model.log_cost_[chosen]
    used = np.unique(rows.network[np.isin(rows.target, model.targets_[chosen])])
    work = rows.work[used]
    fitted = np.log(np.exp(costs) @ work.T)
    scales = fitted.mean(axis=1)
    shapes = costs - scales[:, None]
    assumed = loadings(model.hardware_sd, model.hardware_shared_sd)
    keep = COVARIANCE_SHRINKAGE
    covariance = (1 - keep) * np.cov(shapes.T) + keep * 0.25 * assumed @ assumed.T
    residuals = rows.matrix()[model.targets_[chosen]][:, used] - fitted
    effects = np.nanmedian(residuals, axis=0)
    effect_covariance, noise = _misfit_covariance(residuals - effects)
    return Population(
        names=tuple(str(keys[i]) for i in chosen),
        networks=tuple(network_name(rows.networks[n]) for n in used),
        shapes=shapes,
        scales=scales,
        work=work,
        residuals=np.where(np.isfinite(residuals), residuals, effects),
        covariance=covariance,
        effect_covariance=effect_covariance,
        noise_sd=noise,
        precision="int8" if precision == "int8" else "fp32",
        ranges=size_ranges([rows.kernels[n] for n in used]),
    )


def calibrate(known: Population, rows: NetworkRows, *, seed: int = 0) -> Population:
    """Measure, on known targets left out in turn, how wide a 90 % interval must be.

    Some targets of the population are adapted from a few of their networks by what the other
    devices teach, and the rest of their networks tell by how many standard deviations they miss.
    """
    rng = np.random.default_rng(seed)
    place = {str(key): t for t, key in enumerate(rows.targets)}
    log_ms = rows.matrix()
    column = {network_name(n): i for i, n in enumerate(rows.networks)}
    columns = [column[n] for n in known.networks]
    devices = np.array([name.split("/")[0] for name in known.names])
    picked = rng.permutation(len(known.names))[:MOST_CALIBRATED]
    factors = {}
    for count in CALIBRATED_COUNTS:
        misses: list[float] = []
        for t in picked:
            own = log_ms[place[known.names[t]], columns]
            others = known.without(devices == devices[t])
            misses += _misses(others, own, rng, count)
        factors[count] = conformal_quantile(np.array(misses))
    return replace(known, width_factors=factors)


def _misses(
    others: Population, own: np.ndarray, rng: np.random.Generator, count: int
) -> list[float]:
    """|log error| in standard deviations of the networks that were not drawn."""
    order = rng.permutation(np.flatnonzero(np.isfinite(own)))
    if len(order) < count + 3:
        return []
    names = others.networks
    measured = [Measured(others.work[n], float(np.exp(own[n])), names[n]) for n in order[:count]]
    adapted = others.adapt(measured)
    return [
        abs(np.log(adapted.latency_ms(others.work[n], names[n])) - own[n])
        / adapted.log_sd(others.work[n], names[n])
        for n in order[count:]
    ]


def _misfit_covariance(residual: np.ndarray) -> tuple[np.ndarray, float]:
    """Covariance of misfits over networks from pairs both measured, and the noise under it.

    Outliers are cut at three robust standard deviations; negative eigenvalues are set to zero.
    """
    spread = 1.4826 * np.nanmedian(np.abs(residual))
    cut = np.clip(residual, -3 * spread, 3 * spread)
    seen = np.isfinite(cut).astype(float)
    filled = np.where(np.isfinite(cut), cut, 0.0)
    pairs = filled.T @ filled / np.maximum(seen.T @ seen, 1.0)
    pairs = (1 - EFFECT_SHRINKAGE) * pairs + EFFECT_SHRINKAGE * np.diag(np.diag(pairs))
    values, vectors = np.linalg.eigh(pairs)
    noise = 0.5 * spread
    positive = (vectors * np.maximum(values - noise**2, 0.0)) @ vectors.T
    return positive, float(noise)
