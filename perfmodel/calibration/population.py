"""What known devices teach about a new one: what kinds of work cost, and how devices differ.

A population holds the fitted targets of one framework family, unit and precision class. It ships as
data (hw_profiles/populations); `learn` makes one from measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.cost_models.plain_data import Range
from perfmodel.cost_models.plain_file import FileKind
from perfmodel.cost_models.work_features import ALL_FEATURES, FEATURES
from perfmodel.cost_models.work_predictor import ranges_from_dict
from perfmodel.devices.profile_files import POPULATIONS, builtin_folder
from perfmodel.errors import ProfileError
from perfmodel.target import QUANTISED, Target

KIND = FileKind(what="a population", format="perfmodel-population", version=1, most_bytes=8_000_000)
MAX_TARGETS, MAX_NETWORKS = 2000, 500


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """Fitted targets of one framework, unit and precision class, as a base for new ones.

    Of `names` (targets) and `networks` (for readers only: networks are recognised by `anchors`):
    `anchors` (networks, FEATURES) their descriptions (`cost_models.likeness`) and `work` their work
    by feature; `log_cost` (targets, features) and `log_ms` (targets, networks), measured or, where
    `measured` is false, fitted. `spread` (features + networks, squared) is the covariance of what
    tells a target from its nearest kin, log costs first, then log times; `wide` (features, squared)
    that of the shapes of costs among all targets. `noise_sd` of one careful measurement,
    `strange_sd` of what costs leave of a network that no target ran, `strange_width` the half width
    that holds 90 % of it with what the target itself is unsure of (log units). `width_factors`:
    standard deviations that held 90 % on targets left out, by number of measurements. `evidence`
    measurements count fully when weighing targets; more are not independent. `cores` of the
    targets' processors as spec sheets write them, or "".
    """

    framework: str
    unit: str
    precision: str
    names: tuple[str, ...]
    networks: tuple[str, ...]
    anchors: np.ndarray
    work: np.ndarray
    log_cost: np.ndarray
    log_ms: np.ndarray
    measured: np.ndarray
    spread: np.ndarray
    wide: np.ndarray
    noise_sd: float
    strange_sd: float
    strange_width: float
    evidence: float = 6.0
    width_factors: Mapping[int, float] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    cores: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """For messages."""
        return f"{len(self.names)} targets of {self.framework} on a {self.unit}, {self.precision}"

    @property
    def features(self) -> int:
        """Number of the features that its targets pay for (`work_features`)."""
        return self.log_cost.shape[1]

    def without(self, chosen: np.ndarray) -> Population:
        """The population less some targets (a mask); what describes their spread stays."""
        keep = np.flatnonzero(~chosen)
        return replace(
            self,
            names=tuple(self.names[i] for i in keep),
            cores=tuple(self.cores[i] for i in keep) if self.cores else (),
            log_cost=self.log_cost[keep],
            log_ms=self.log_ms[keep],
            measured=self.measured[keep],
        )

    def width_factor(self, measurements: int) -> float:
        """Linear between the calibrated numbers of measurements, on a logarithmic scale."""
        counts = sorted(self.width_factors)
        if not counts:
            return 1.645  # a normal law's 90 %
        factors = [self.width_factors[c] for c in counts]
        return float(np.interp(np.log1p(measurements), np.log1p(counts), factors))


def file_name(framework: str, unit: str, precision: str) -> str:
    """Where a population is kept below the folder of populations."""
    return f"networks-{framework}-{unit}-{precision}.json"


def precision_class(precision: str) -> str:
    """Precisions that share a population: whole numbers, or any floating point."""
    return "int8" if precision in QUANTISED else "float"


def write_population(population: Population, folder: Path) -> Path:
    """Write into the folder of populations, atomically and the same bytes for the same data."""
    path = folder / file_name(population.framework, population.unit, population.precision)
    KIND.write(path, to_dict(population))
    return path


def shipped_population(target: Target) -> Population | None:
    """The population that ships for a target's framework, unit and precision; None without one."""
    name = file_name(target.framework, target.unit, precision_class(target.precision))
    path = builtin_folder() / POPULATIONS / name
    if not path.is_file():
        return None
    return _cached(str(path), path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _cached(path: str, stamp: int) -> Population:
    return read_population(Path(path))


def read_population(path: Path) -> Population:
    """Read and check a file; raises `ProfileError` with file, field and reason."""
    return KIND.read(path, from_dict)


_SHAPES = {
    "anchors": "nd",
    "work": "nf",
    "log_cost": "tf",
    "log_ms": "tn",
    "measured": "tn",
    "spread": "ss",
    "wide": "ff",
}
"""Arrays by their sizes: targets, networks, features, those of descriptions, features + networks.
"""

_NUMBERS = ("noise_sd", "strange_sd", "strange_width", "evidence")
_TEXTS = ("framework", "unit", "precision")
_LISTS = ("names", "networks", "cores")
_DIGITS = {"work": 8, "spread": 6, "wide": 6}


def to_dict(population: Population) -> dict[str, Any]:
    """Plain JSON data; features are named, so that another version's file is recognised."""
    data: dict[str, Any] = {"features": [f.name for f in ALL_FEATURES[: population.features]]}
    for entry in fields(population):
        value = getattr(population, entry.name)
        if entry.name == "measured":
            value = value.astype(int).tolist()
        elif isinstance(value, np.ndarray):
            value = np.round(value, _DIGITS.get(entry.name, 5)).tolist()
        elif entry.name == "width_factors":
            value = {str(n): round(float(v), 4) for n, v in value.items()}
        elif entry.name == "ranges":
            value = {n: [list(low), list(high)] for n, (low, high) in value.items()}
        elif isinstance(value, tuple):
            value = list(value)
        elif isinstance(value, float):
            value = round(value, 5)
        data[entry.name] = value
    return data


def from_dict(data: Mapping[str, Any]) -> Population:
    """Read and check plain data; raises `ProfileError` that names the field."""
    named = list(data.get("features", ()))
    if named not in ([f.name for f in FEATURES], [f.name for f in ALL_FEATURES]):
        raise ProfileError(
            "features: this population was made by another version",
            "rebuild it with `python -m validation.profiles`",
        )
    known = {"features", *(f.name for f in fields(Population))}
    if set(data) - known:
        raise ProfileError(f"unknown field {sorted(set(data) - known)[0]!r:.60}")
    lists = {name: _texts(data, name) for name in _LISTS}
    targets, networks, features = len(lists["names"]), len(lists["networks"]), len(named)
    if not 0 < targets <= MAX_TARGETS or networks > MAX_NETWORKS:
        raise ProfileError(f"names: {targets} targets and {networks} networks are out of bounds")
    if len(lists["cores"]) not in (0, targets):
        raise ProfileError("cores: must name those of each target, or none")
    sizes = {"t": targets, "n": networks, "f": features, "d": len(FEATURES)}
    sizes["s"] = features + networks
    arrays = {
        name: _array(data, name, tuple(sizes[letter] for letter in letters))
        for name, letters in _SHAPES.items()
    }
    arrays["measured"] = arrays["measured"] > 0.5
    return Population(
        **{name: str(data.get(name, ""))[:80] for name in _TEXTS},  # type: ignore[arg-type]
        **lists,  # type: ignore[arg-type]
        **arrays,  # type: ignore[arg-type]
        **{name: _positive(data, name) for name in _NUMBERS},  # type: ignore[arg-type]
        width_factors=_factors(data.get("width_factors")),
        ranges=ranges_from_dict(data.get("ranges")),
    )


def _texts(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = data.get(name)
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ProfileError(f"{name}: must be a list of names")
    return tuple(value)


def _array(data: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.array(data.get(name), dtype=float)
    except (TypeError, ValueError):
        raise ProfileError(f"{name}: must hold rows of numbers") from None
    if array.size == 0 and 0 in shape:
        return np.zeros(shape)
    if array.shape != shape or not np.isfinite(array).all() or np.abs(array).max() > 1e9:
        raise ProfileError(f"{name}: must hold finite numbers, shape {shape}")
    return array


def _positive(data: Mapping[str, Any], name: str) -> float:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 100:
        raise ProfileError(f"{name}: must be a number > 0 and < 100, got {value!r:.40}")
    return float(value)


def _factors(data: Any) -> dict[int, float]:
    if not isinstance(data, dict) or len(data) > 100:
        raise ProfileError("width_factors: must be an object of at most 100 numbers")
    if not all(key.isdigit() and len(key) < 7 for key in data):
        raise ProfileError("width_factors: keys are numbers of measurements")
    return {int(key): _positive(data, key) for key in data}
