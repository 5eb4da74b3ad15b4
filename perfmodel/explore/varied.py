"""What is varied: `--set path=values` and `--sample path=law(...)`, read from text."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ScenarioError

if TYPE_CHECKING:
    import numpy as np

MAX_VALUES = 1_000_000  # of one path; more is a slip of the pen and not a grid
_RANGE = re.compile(r"([^:]+):([^:]+):([^:]+)")
_LAW = re.compile(r"(\w+)\((.*)\)")


@dataclass(frozen=True)
class Varied:
    """A path and the values it takes, for a grid."""

    path: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Law:
    """An uncertain input: `kind` with its numbers (or, for choice, its values)."""

    path: str
    kind: str
    arguments: tuple[Any, ...]

    def quantile(self, share: np.ndarray) -> np.ndarray:
        """Values of the law at cumulative shares in (0, 1).

        A normal or lognormal law with bounds is cut there: the law of draws that are repeated
        until one lies between them.
        """
        import numpy as np
        from scipy.special import ndtri

        a = self.arguments
        if self.kind == "uniform":
            return np.asarray(a[0] + (a[1] - a[0]) * share)
        if self.kind == "loguniform":
            return np.asarray(a[0] * (a[1] / a[0]) ** share)
        if self.kind == "normal":
            return np.asarray(a[0] + a[1] * ndtri(self._inside(share)))
        if self.kind == "lognormal":
            centre, spread = self._log_normal()
            return np.exp(centre + spread * ndtri(self._inside(share)))
        if self.kind == "triangular":
            low, mode, high = a
            rising = low + np.sqrt(share * (high - low) * (mode - low))
            falling = high - np.sqrt((1 - share) * (high - low) * (high - mode))
            return np.where(share < (mode - low) / (high - low), rising, falling)
        picked = np.minimum((share * len(a)).astype(int), len(a) - 1)
        return np.array(a, dtype=object)[picked]

    @property
    def support(self) -> tuple[float, float]:
        """The least and the largest value that the law can give; of numbers only."""
        a = self.arguments
        if self.kind in ("normal", "lognormal"):
            return (a[2], a[3]) if len(a) == BOUNDED else (_OPEN[self.kind], math.inf)
        return min(a), max(a)

    def _log_normal(self) -> tuple[float, float]:
        """Mean and deviation of the logarithm of a lognormal law."""
        spread = math.sqrt(math.log1p(self.arguments[1] ** 2))
        return math.log(self.arguments[0]) - spread**2 / 2, spread

    def _inside(self, share: np.ndarray) -> np.ndarray:
        """Shares of the uncut law at shares of the cut one."""
        if len(self.arguments) < BOUNDED:
            return share
        from scipy.special import ndtr

        low, high = self.support
        if self.kind == "normal":
            mean, spread = self.arguments[:2]
            ends = (low - mean) / spread, (high - mean) / spread
        else:
            centre, spread = self._log_normal()
            bottom = math.log(low) if low > 0 else -math.inf
            ends = (bottom - centre) / spread, (math.log(high) - centre) / spread
        first, last = ndtr(ends[0]), ndtr(ends[1])
        return first + (last - first) * share


BOUNDED = 4
"""Arguments of a law that is cut: its two parameters, the lower and the upper bound."""

_OPEN = {"normal": -math.inf, "lognormal": 0.0}


LAWS = {
    "uniform": "uniform(low, high)",
    "loguniform": "loguniform(low, high)",
    "normal": "normal(mean, deviation[, low, high])",
    "lognormal": "lognormal(mean, coefficient of variation[, low, high])",
    "triangular": "triangular(low, most likely, high)",
    "choice": "choice(a, b, ...)",
}
_HINT = "laws are " + ", ".join(LAWS.values())


def parse_set(text: str) -> Varied:
    """`link.uplink_mbps=1,5,20`, `width=0.5:1.0:0.25` (ends included) or `task.policy=cloud`."""
    path, value = _halves(text, "--set", "for example --set link.uplink_mbps=1,5,20")
    values: list[Any] = []
    for item in split_commas(value):
        values += _range(item, text) or [scalar(item)]
        if len(values) > MAX_VALUES:
            raise ScenarioError(f"--set {text[:60]!r}: more than {MAX_VALUES} values")
    seen = {f"{type(v).__name__} {v}": v for v in reversed(values)}  # 1 and true are two values
    return Varied(path, tuple(reversed(seen.values())))


def parse_sample(text: str) -> Law:
    """`link.uplink_mbps=lognormal(8, 0.5)`; raises `ScenarioError` with the laws there are."""
    path, value = _halves(text, "--sample", _HINT)
    match = _LAW.fullmatch(value.strip())
    if match is None or match[1] not in LAWS:
        raise ScenarioError(f"--sample {text!r}: {value!r} is no law", _HINT)
    kind, arguments = match[1], tuple(scalar(item) for item in split_commas(match[2]))
    wrong = _wrong(kind, arguments)
    if wrong:
        raise ScenarioError(f"--sample {text!r}: {wrong}", f"write {LAWS[kind]}")
    return Law(path, kind, arguments)


def _wrong(kind: str, a: tuple[Any, ...]) -> str:
    """What is wrong with a law's arguments; empty if nothing."""
    if kind == "choice":
        return "" if a else "nothing to choose from"
    counts = {"triangular": (3,), "normal": (2, BOUNDED), "lognormal": (2, BOUNDED)}.get(kind, (2,))
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in a)
    if len(a) not in counts or not numbers:
        return f"needs {' or '.join(map(str, counts))} numbers"
    rules = {
        "uniform": a[0] < a[1],
        "loguniform": 0 < a[0] < a[1],
        "normal": a[1] > 0,
        "lognormal": a[0] > 0 and a[1] > 0,
        "triangular": a[0] <= a[1] <= a[-1] and a[0] < a[-1],
    }
    if len(a) == BOUNDED and rules[kind]:
        return _wrong_bounds(Law("", kind, a))
    return "" if rules[kind] else "these numbers do not fit the law"


def _wrong_bounds(law: Law) -> str:
    """What is wrong with the bounds of a law that is cut; empty if nothing."""
    import numpy as np

    low, high = law.support
    if not low < high or (law.kind == "lognormal" and high <= 0):
        return "the bounds do not rise"
    ends = law._inside(np.array([0.0, 1.0]))
    share = float(ends[1] - ends[0])
    return "" if share >= LEAST_SHARE else f"only {share:.1g} of the law lies between the bounds"


LEAST_SHARE = 1e-6
"""Of a law less must not lie between the bounds: so far in its tail rounding rules."""


def refuse_twice(paths: Sequence[str]) -> None:
    """Raise `ScenarioError` for a path that is given twice: one would silently win."""
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ScenarioError(f"{twice} is varied twice", "give each path once")


def _halves(text: str, option: str, hint: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals or not path.strip() or not value.strip():
        raise ScenarioError(f"{option} {text!r} is not PATH=VALUE", hint)
    return path.strip(), value


def split_commas(text: str) -> list[str]:
    """Parts between commas that stand outside brackets, braces and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for i, c in enumerate(text):
        if c == '"':
            quoted = not quoted
        elif not quoted:
            depth += (c in "([{") - (c in ")]}")
            if c == "," and depth == 0:
                parts.append(text[start:i].strip())
                start = i + 1
    return [*parts, text[start:].strip()]


def scalar(text: str) -> Any:
    """A number, true or false, a TOML table or list in braces or brackets, else the text itself."""
    for convert in (int, float):
        try:
            value = convert(text)
        except ValueError:
            continue
        if not abs(value) <= sys.float_info.max:
            raise ScenarioError(f"{text[:60]!r} is no number to calculate with")
        return value
    if text in ("true", "false"):
        return text == "true"
    if text.startswith(("{", "[")):
        from perfmodel.sim.toml import parse_value

        return parse_value(text)
    if not text:
        raise ScenarioError("an empty value between commas")
    return text.strip('"')


def _range(item: str, text: str) -> list[Any]:
    """The values of `low:high:step`; empty if `item` is no range."""
    match = _RANGE.fullmatch(item)
    numbers = [scalar(part) for part in match.groups()] if match else []
    if not numbers or not all(isinstance(n, (int, float)) for n in numbers):
        return []
    low, high, step = numbers
    if step <= 0 or high < low or (high - low) / step > MAX_VALUES:
        raise ScenarioError(
            f"--set {text!r}: {item!r} is no range", "write low:high:step, step > 0"
        )
    count = math.floor((high - low) / step * (1 + 1e-12) + 1e-9) + 1
    if all(isinstance(n, int) for n in numbers):
        return [low + i * step for i in range(count)]
    return [float(f"{low + i * step:.12g}") for i in range(count)]
