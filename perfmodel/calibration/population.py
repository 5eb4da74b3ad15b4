"""What known targets teach about a new one: average costs, how they vary, who resembles whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from perfmodel.calibration.adapt import Adaptation, Measured, Prior, adapt, network_name
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.cost_models.work_predictor import Range
from perfmodel.errors import ProfileError

NEARNESS_POWER = 0.4
MAX_NEARNESS_POWER = 3.0
NEARNESS_FLOOR = 0.03
"""A known target weighs (d^2 + floor^2)^-p, d its distance in log units on the measured networks
and p growing by NEARNESS_POWER with every network after the first: one measurement sets only the
scale, ten tell which known targets are alike."""

NORMAL_90 = 1.645
"""Standard deviations of a two-sided 90 % interval of a normal distribution."""

LEAST_SPREAD = 0.2
"""Share of the population's covariance that is left around the nearest targets."""


@dataclass(frozen=True, eq=False)
class Population:
    """The fitted targets of one framework, unit and precision, as a base for new ones.

    `names` of the targets; `shapes` (targets, features) log costs without the scale, `scales`
    (targets,); `networks` they ran, `work` (networks, features); `residuals` (targets, networks)
    log measured / fitted, the network's median where it was not run. `covariance` of shapes,
    `effect_covariance` of residuals between networks, `noise_sd` of a measurement.
    `width_factors` by number of measurements: how many standard deviations held 90 % (`calibrate`).
    """

    names: tuple[str, ...]
    networks: tuple[str, ...]
    shapes: np.ndarray
    scales: np.ndarray
    work: np.ndarray
    residuals: np.ndarray
    covariance: np.ndarray
    effect_covariance: np.ndarray
    noise_sd: float
    precision: str = "fp32"
    ranges: Mapping[str, Range] = field(default_factory=dict)
    width_factors: Mapping[int, float] = field(default_factory=dict)

    def log_ms(self) -> np.ndarray:
        """Log latency of every network on every target, shape (targets, networks)."""
        costs = self.shapes + self.scales[:, None]
        fitted: np.ndarray = np.log(np.exp(costs) @ self.work.T) + self.residuals
        return fitted

    def prior(
        self, weights: np.ndarray | None = None, spread: float = 1.0, measurements: int = 0
    ) -> Prior:
        """Weighted medians of the targets, equal weights by default; `spread` scales variances."""
        share = np.ones(len(self.names)) if weights is None else weights
        centre = weighted_median(self.scales, share)
        return Prior(
            log_cost=weighted_median(self.shapes, share),
            covariance=self.covariance * spread,
            log_scale=float(centre),
            scale_sd=float(max(self.scales.std(), 0.3)),
            noise_sd=self.noise_sd,
            precision=self.precision,
            ranges=self.ranges,
            known=self.networks,
            effects=weighted_median(self.residuals, share),
            effect_covariance=self.effect_covariance * spread,
            width_factor=self._width_factor(measurements),
        )

    def _width_factor(self, measurements: int) -> float:
        """Linear between the calibrated numbers of measurements, on a logarithmic scale."""
        if not self.width_factors:
            return NORMAL_90
        counts = sorted(self.width_factors)
        factors = [self.width_factors[c] for c in counts]
        return float(np.interp(np.log1p(measurements), np.log1p(counts), factors))

    def nearness(self, measured: Sequence[Measured]) -> np.ndarray:
        """Weight of each known target by how alike its latencies of the measured networks are.

        Networks that the population never ran tell the scale and shape by `adapt` alone.
        """
        place = {n: i for i, n in enumerate(self.networks)}
        common = [m for m in measured if network_name(m.name) in place]
        weights = np.full(len(self.names), 1.0 / len(self.names))
        if len(common) < 2:
            return weights
        columns = [place[network_name(m.name)] for m in common]
        gap = self.log_ms()[:, columns] - np.log([m.latency_ms for m in common])
        gap = gap - np.median(gap, axis=1, keepdims=True)
        power = min(MAX_NEARNESS_POWER, NEARNESS_POWER * (len(common) - 1))
        weights = (np.mean(gap**2, axis=1) + NEARNESS_FLOOR**2) ** -power
        return weights / weights.sum()

    def near(self, measured: Sequence[Measured]) -> Prior:
        """The prior centred on the targets that resemble the measured one."""
        return self.prior(self.nearness(measured), _spread(measured), len(measured))

    def like(self, name: str, measured: Sequence[Measured] = ()) -> Prior:
        """The prior centred on one named target; raises `ProfileError` with the known names."""
        if name not in self.names:
            some = ", ".join(self.names[:5])
            raise ProfileError(f"no known target {name!r} to borrow from", f"for example: {some}")
        weights = np.array([float(n == name) for n in self.names])
        return self.prior(weights, _spread(measured), len(measured))

    def without(self, chosen: np.ndarray) -> Population:
        """The population less some targets (a mask)."""
        keep = ~chosen
        return replace(
            self,
            names=tuple(n for n, kept in zip(self.names, keep, strict=True) if kept),
            shapes=self.shapes[keep],
            scales=self.scales[keep],
            residuals=self.residuals[keep],
        )

    def adapt(self, measured: Sequence[Measured]) -> Adaptation:
        """The new target after its measurements, borrowing from whom it resembles."""
        return adapt(measured, self.near(measured))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        data: dict[str, Any] = {"features": list(FEATURE_NAMES)}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, np.ndarray):
                value = np.round(value, 5).tolist()
            elif entry.name == "width_factors":
                value = {str(n): float(v) for n, v in value.items()}
            elif entry.name == "ranges":
                value = {n: [list(low), list(high)] for n, (low, high) in value.items()}
            elif isinstance(value, tuple):
                value = list(value)
            data[entry.name] = value
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Population:
        """Read and check plain data; raises `ProfileError`."""
        if list(data.get("features", ())) != list(FEATURE_NAMES):
            raise ProfileError("population: made by another version", "rebuild the profiles")
        try:
            names = tuple(str(n) for n in data["names"])
            networks = tuple(str(n) for n in data["networks"])
            ranges = {str(n): (tuple(a), tuple(b)) for n, (a, b) in data["ranges"].items()}
            arrays = {k: np.array(data[k], dtype=float) for k in _SIZES}
            noise = float(data["noise_sd"])
            factors = {int(n): float(v) for n, v in data["width_factors"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProfileError(f"population: {error!r:.80}") from None
        counts = {"t": len(names), "n": len(networks), "f": len(FEATURE_NAMES)}
        for key, letters in _SIZES.items():
            wanted = tuple(counts[c] for c in letters)
            if arrays[key].shape != wanted or not np.isfinite(arrays[key]).all():
                raise ProfileError(f"population.{key}: must hold finite numbers, shape {wanted}")
        precision = str(data.get("precision", "fp32"))
        return cls(
            names,
            networks,
            **arrays,
            noise_sd=noise,
            precision=precision,
            ranges=ranges,
            width_factors=factors,
        )


def _spread(measured: Sequence[Measured]) -> float:
    return max(LEAST_SPREAD, 1.0 / max(len(measured), 1))


_SIZES = {
    "shapes": "tf",
    "scales": "t",
    "work": "nf",
    "residuals": "tn",
    "covariance": "ff",
    "effect_covariance": "nn",
}


def weighted_median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Median along the first axis where each row counts by its weight."""
    order = np.argsort(values, axis=0)
    share = np.cumsum(weights[order], axis=0)
    place = np.argmax(share >= 0.5 * share[-1], axis=0)
    picked = np.take_along_axis(order, place[None], axis=0)
    chosen: np.ndarray = np.take_along_axis(values, picked, axis=0)[0]
    return chosen
