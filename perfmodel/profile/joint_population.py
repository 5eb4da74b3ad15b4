"""The population of known targets from a fitted joint model."""

from __future__ import annotations

import numpy as np

from perfmodel.profile.joint import JointEfficiencyModel, loadings
from perfmodel.profile.joint_adapt import network_name
from perfmodel.profile.joint_predictor import size_ranges
from perfmodel.profile.joint_prior import Population
from perfmodel.profile.joint_rows import NetworkRows

EFFECT_SHRINKAGE = 0.2
"""Share of the misfits' covariance that is replaced by its diagonal: few targets ran each pair."""

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
