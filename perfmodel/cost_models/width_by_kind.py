"""How unsure a time is by the kinds of work that it is spent on.

Costs fitted to whole networks miss some kinds of work by little, whoever runs them (products of
convolutions), and others by much (depthwise convolutions, which one version of a library runs well
and another does not). A network that spends its time on the first is known better than one that
spends it on the second, and best where networks that were measured on the target spent as much of
theirs. Misses of the kinds are taken to be independent, so that the variance of a network's is the
sum of the kinds' by the squares of their shares in its time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.work_features import ALL_FEATURES, Feature

KINDS_OF_WORK = ("convolution", "depthwise", "grouped", "dense", "start", "light")
"""Kinds whose misses differ: convolutions of full channels, depthwise, grouped and transposed ones,
products of matrices, starts of kernels, and all that reads and writes without multiplying."""

_BEGINNINGS = {
    "convolution": ("direct", "point", "winograd", "uneven_3x3", "window", "first", "conv_weights"),
    "depthwise": ("depthwise",),
    "grouped": ("grouped", "transpose_conv"),
    "dense": ("dense", "matrix_vector"),
}
"""How the features of a kind begin; starts are told by their part, and the rest is light."""

LARGEST_LOG = 15.0
"""Bound of a width in log units, as of an interval."""


def kind_of_work(feature: Feature) -> str:
    """The kind of a feature, of `KINDS_OF_WORK`."""
    if feature.part == "overhead":
        return "start"
    if feature.name == "sum_lengths":
        return "convolution"
    named = (k for k, words in _BEGINNINGS.items() if feature.name.startswith(words))
    return next(named, "light")


_OF_KIND = np.array(
    [[kind_of_work(f) == kind for kind in KINDS_OF_WORK] for f in ALL_FEATURES], dtype=float
)


def shares_by_kind(spent: np.ndarray) -> np.ndarray:
    """Share of each kind of work in times by feature, (networks, features) to (networks, kinds).

    Nothing where no time is spent.
    """
    by_kind: np.ndarray = spent @ _OF_KIND[: spent.shape[1]]
    return by_kind / np.maximum(by_kind.sum(axis=1, keepdims=True), 1e-300)


def risks(shares: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """What a network's time is at risk of: its shares of the kinds, then what of each is beyond
    the `measured` ones, the largest of networks measured on its target; (networks, 2 x kinds)."""
    return np.hstack([shares, np.maximum(shares - measured, 0.0)])


@dataclass(frozen=True, kw_only=True)
class WidthByKind:
    """Half width of the log interval of a network by what it spends its time on.

    `log_by_risk` is the width for each of `risks`, where one is the whole time; `least_log` what is
    unsure whatever a network does; `measured` the largest share of each kind that a network
    measured on the target has; `known_log` the part that the target's interval holds already.
    """

    log_by_risk: tuple[float, ...]
    least_log: float
    measured: tuple[float, ...] = (0.0,) * len(KINDS_OF_WORK)
    known_log: float = 0.0

    def whole(self, at_risk: np.ndarray) -> np.ndarray:
        """Half widths of networks with these `risks`, shape (networks,)."""
        squares = np.square(at_risk) @ np.square(self.log_by_risk)
        return np.asarray(np.sqrt(self.least_log**2 + squares))

    def beyond_known(self, spent: np.ndarray) -> np.ndarray:
        """What networks need beyond `known_log`, from their times by feature, (networks,)."""
        at_risk = risks(shares_by_kind(spent), np.array(self.measured))
        return np.maximum(self.whole(at_risk) - self.known_log, 0.0)

    def times(self, factor: float) -> WidthByKind:
        """Widths so many times as large, at most `LARGEST_LOG`."""
        wider = tuple(min(factor * v, LARGEST_LOG) for v in self.log_by_risk)
        return replace(self, log_by_risk=wider, least_log=min(factor * self.least_log, LARGEST_LOG))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "known_log": round(self.known_log, 4),
            "least_log": round(self.least_log, 4),
            "log_by_risk": [round(v, 4) for v in self.log_by_risk],
            "measured": [round(v, 4) for v in self.measured],
        }

    @classmethod
    def from_dict(cls, data: Any, field: str) -> WidthByKind:
        """Read and check plain data; raises `ProfileError` that names the field."""
        names, kinds = ("known_log", "least_log", "log_by_risk", "measured"), len(KINDS_OF_WORK)
        plain_data.only(plain_data.table(data, field, 100), names, names)
        number, numbers, most = plain_data.number, plain_data.numbers, LARGEST_LOG
        return cls(
            log_by_risk=numbers(data["log_by_risk"], f"{field}.log_by_risk", 2 * kinds, 0.0, most),
            least_log=number(data["least_log"], f"{field}.least_log", 0.0, most),
            measured=numbers(data["measured"], f"{field}.measured", kinds, 0.0, 1.0),
            known_log=number(data["known_log"], f"{field}.known_log", 0.0, most),
        )


__all__ = ["KINDS_OF_WORK", "WidthByKind", "kind_of_work", "risks", "shares_by_kind"]
