"""Random quantities of a scenario: what may be written, its mean and variability, and draws."""

from __future__ import annotations

import math
import reprlib
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ScenarioError, nearest_hint

if TYPE_CHECKING:
    import numpy as np

Draw = Callable[[], float]
LEAST_CV, LARGEST_CV = 1e-6, 1e3
"""Outside of these the samplers round to a constant, or their mean is never seen in any run."""
LARGEST = 1e12
"""Of any number of a scenario: thirty years in ms, a terabyte. Their sums stay finite."""
SMALLEST = 1e-9
"""Of any number that must be above zero, so that what is divided by it stays finite."""
FIRST_CHUNK = 16
LARGEST_CHUNK = 8192


@dataclass(frozen=True)
class Distribution:
    """A non-negative random quantity; `mean` and `cv` (standard deviation / mean) are exact.

    `values` holds the observations of kinds `values` (drawn with replacement) and `replay`
    (taken in order, then again from the start). The unit is that of the scenario key it fills.
    """

    kind: str
    mean: float
    cv: float = 0.0
    values: tuple[float, ...] = ()

    def draws(self, rng: np.random.Generator) -> Draw:
        """Return a function that gives one draw per call, all from `rng`."""
        if self.kind == "constant":
            return lambda: self.mean
        return _draws(self, rng).__next__

    def scaled(self, factor: float) -> Distribution:
        """Return the same distribution with every draw multiplied by `factor`."""
        return Distribution(
            self.kind, self.mean * factor, self.cv, tuple(v * factor for v in self.values)
        )


def constant(value: float) -> Distribution:
    """Return the quantity that always has this value, finite and >= 0."""
    return read_distribution(value)


NOTHING = Distribution("constant", 0.0)


def read_distribution(value: Any) -> Distribution:
    """Read a number, a table such as `{kind = "exponential", mean = 10}`, or a Distribution.

    Kinds: constant(mean), exponential(mean), uniform(low, high), gamma(mean, cv),
    lognormal(median, sigma) or lognormal(mean, cv), normal(mean, sd) cut at zero, with mean >= 4 sd
    (one draw in 30,000 at most is below zero and drawn anew, which moves the mean by less than
    1.4e-4 sd), values(values), replay(values). Raises ScenarioError for anything else or anything
    negative.
    """
    if isinstance(value, Distribution):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Distribution("constant", _not_negative(value, "the value"))
    if not isinstance(value, Mapping):
        raise ScenarioError(f"must be a number or a distribution table, got {reprlib.repr(value)}")
    kind = value.get("kind")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        hint = nearest_hint(str(kind)[:60], sorted(_READERS))
        raise ScenarioError(f"unknown distribution kind {reprlib.repr(kind)}", hint)
    try:
        law = reader({key: item for key, item in value.items() if key != "kind"})
    except OverflowError:
        raise ScenarioError("has numbers too large to calculate with") from None
    if not _not_negative(law.mean, "the mean"):
        # nothing but zeros, whatever their law: its samplers take logarithms and shares of the mean
        return constant(0.0)
    if law.cv and not LEAST_CV <= law.cv <= LARGEST_CV:
        raise ScenarioError(
            f"the cv must be 0, or from {LEAST_CV:g} to {LARGEST_CV:g}, got {law.cv:g}"
        )
    return law


def _not_negative(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ScenarioError(f"{name} must be a number, got {reprlib.repr(value)}")
    if not 0 <= value <= sys.float_info.max:
        raise ScenarioError(f"{name} must be a finite number >= 0, got {reprlib.repr(value)}")
    if value > LARGEST:
        raise ScenarioError(f"{name} must be <= {LARGEST:g}, got {value:g}")
    return float(value)


def _numbers(table: Mapping[str, Any], *names: str) -> list[float]:
    if set(table) != set(names):
        raise ScenarioError(
            f"needs exactly {', '.join(names)}, got {', '.join(table) or 'nothing'}"
        )
    return [_not_negative(table[name], name) for name in names]


def _constant(table: Mapping[str, Any]) -> Distribution:
    (mean,) = _numbers(table, "mean")
    return Distribution("constant", mean)


def _exponential(table: Mapping[str, Any]) -> Distribution:
    (mean,) = _numbers(table, "mean")
    return Distribution("exponential", mean, 1.0)


def _uniform(table: Mapping[str, Any]) -> Distribution:
    low, high = _numbers(table, "low", "high")
    if high < low:
        raise ScenarioError(f"high must be >= low, got {low} and {high}")
    mean = (low + high) / 2
    return Distribution("uniform", mean, (high - low) / math.sqrt(12) / mean if mean else 0.0)


def _gamma(table: Mapping[str, Any]) -> Distribution:
    mean, cv = _numbers(table, "mean", "cv")
    return Distribution("gamma" if cv else "constant", mean, cv)


def _lognormal(table: Mapping[str, Any]) -> Distribution:
    if "median" in table:
        median, sigma = _numbers(table, "median", "sigma")
        mean, cv = median * math.exp(sigma**2 / 2), math.sqrt(math.expm1(sigma**2))
    else:
        mean, cv = _numbers(table, "mean", "cv")
    return Distribution("lognormal" if cv else "constant", mean, cv)


def _normal(table: Mapping[str, Any]) -> Distribution:
    mean, sd = _numbers(table, "mean", "sd")
    if mean < 4 * sd:
        raise ScenarioError(
            f"a normal of mean {mean} and sd {sd} would go below zero", "use gamma or lognormal"
        )
    return Distribution("normal" if sd else "constant", mean, sd / mean if sd else 0.0)


def _values(kind: str) -> Callable[[Mapping[str, Any]], Distribution]:
    def read(table: Mapping[str, Any]) -> Distribution:
        values = table.get("values")
        if set(table) != {"values"} or not isinstance(values, (list, tuple)) or not values:
            raise ScenarioError("needs exactly values, a list of at least one number")
        numbers = tuple(_not_negative(value, "each of values") for value in values)
        mean = math.fsum(numbers) / len(numbers)
        variance = math.fsum((v - mean) ** 2 for v in numbers) / len(numbers)
        return Distribution(kind, mean, math.sqrt(variance) / mean if mean else 0.0, numbers)

    return read


_READERS: dict[str, Callable[[Mapping[str, Any]], Distribution]] = {
    "constant": _constant,
    "exponential": _exponential,
    "uniform": _uniform,
    "gamma": _gamma,
    "lognormal": _lognormal,
    "normal": _normal,
    "values": _values("values"),
    "replay": _values("replay"),
}


def _draws(law: Distribution, rng: np.random.Generator) -> Iterator[float]:
    """Yield draws for ever. Chunks grow, so that a short-lived phone stays cheap; NumPy's
    generators give the same sequence whatever the chunk size."""
    if law.kind == "replay":
        while True:
            yield from law.values
    drawn, size = 0, FIRST_CHUNK
    while True:
        yield from _chunk(law, rng, size).tolist()
        drawn += size
        size = min(max(drawn // 4, FIRST_CHUNK), LARGEST_CHUNK)


def _chunk(law: Distribution, rng: np.random.Generator, size: int) -> np.ndarray:
    mean, cv = law.mean, law.cv
    if law.kind == "exponential":
        return rng.standard_exponential(size) * mean
    if law.kind == "uniform":
        half_width = mean * cv * math.sqrt(3)
        return rng.random(size) * (2 * half_width) + (mean - half_width)
    if law.kind == "gamma":
        return rng.standard_gamma(1 / cv**2, size) * (mean * cv**2)
    if law.kind == "lognormal":
        variance = math.log1p(cv**2)
        return rng.lognormal(math.log(mean) - variance / 2, math.sqrt(variance), size)
    if law.kind == "normal":
        drawn = rng.standard_normal(size) * (mean * cv) + mean
        return drawn[drawn >= 0]  # what is left out is drawn anew: the law is cut at zero
    assert law.kind == "values", law.kind
    return rng.choice(law.values, size)


def random_stream(seed: int, replication: int, source: str, index: int = 0) -> np.random.Generator:
    """Return the generator of one source of chance in one replication.

    The same four arguments give the same numbers in every process, and changing a policy does not
    shift the arrivals: common random numbers for fair comparisons.
    """
    import numpy as np

    key = (replication, zlib.crc32(source.encode()), index)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
