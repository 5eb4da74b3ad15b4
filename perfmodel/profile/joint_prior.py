"""The prior for a new target, taken from the targets that were fitted together."""

from __future__ import annotations

import numpy as np

from perfmodel.profile.joint import JointEfficiencyModel, loadings
from perfmodel.profile.joint_adapt import Prior
from perfmodel.profile.joint_predictor import size_ranges
from perfmodel.profile.joint_rows import NetworkRows

EFFECT_SHRINKAGE = 0.2
"""Share of the misfits' covariance that is replaced by its diagonal: few targets ran each pair."""

COVARIANCE_SHRINKAGE = 0.3
"""Share of the costs' covariance that is replaced by the prior of the joint fit."""


def population_prior(
    model: JointEfficiencyModel, rows: NetworkRows, *, precision: str = "float"
) -> Prior:
    """What the fitted targets of one precision say about a target nobody has measured.

    The scale of a target is its mean log latency over the networks; costs and their covariance are
    of what is left. Misfits by network come from the residuals of the fit.
    """
    chosen = [
        place
        for place, target in enumerate(model.targets_)
        if rows.targets[target].target.precision == precision
    ]
    costs = model.log_cost_[chosen]
    used = np.unique(rows.network[np.isin(rows.target, model.targets_[chosen])])
    scale = np.log(np.exp(costs) @ rows.work[used].T).mean(axis=1)
    shapes = costs - scale[:, None]
    assumed = loadings(model.hardware_sd, model.hardware_shared_sd)
    keep = COVARIANCE_SHRINKAGE
    covariance = (1 - keep) * np.cov(shapes.T) + keep * 0.25 * assumed @ assumed.T
    residual = _residuals(model, rows, chosen)[:, used]
    effects = np.nanmedian(residual, axis=0)
    effect_covariance, noise = _misfit_covariance(residual - effects)
    return Prior(
        log_cost=np.median(shapes, axis=0),
        covariance=covariance,
        log_scale=float(np.median(scale)),
        scale_sd=float(scale.std()),
        noise_sd=noise,
        precision="int8" if precision == "int8" else "fp32",
        ranges=size_ranges([rows.kernels[n] for n in used]),
        known=tuple(rows.networks[n] for n in used),
        effects=effects,
        effect_covariance=effect_covariance,
    )


def _residuals(model: JointEfficiencyModel, rows: NetworkRows, chosen: list[int]) -> np.ndarray:
    """log measured / fitted by target and network, NaN where there is no measurement."""
    fitted = np.log(np.exp(model.log_cost_[chosen]) @ rows.work.T)
    residual: np.ndarray = rows.matrix()[model.targets_[chosen]] - fitted
    return residual


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
