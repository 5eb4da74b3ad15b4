"""What a whole network takes beyond its kernels' costs, found by its likeness to known networks.

Costs by kind of work leave a misfit: an unlucky cache, a path of the framework that one network
takes. Where other devices or this one ran a network, its misfit is known. A known network gets all
of it, a near variant part of it, a strange network none and a wider interval instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from perfmodel.cost_models.likeness import GROWING, Interpolation, descriptions, interpolation
from perfmodel.cost_models.predictor import NetworkTerms
from perfmodel.cost_models.work_features import ALL_FEATURES, FEATURE_NAMES
from perfmodel.errors import ProfileError
from perfmodel.kernels.kernel import KernelTable

LARGEST_LOG = 0.5
"""Bound of a correction in log units.

99 % of the misfits of ncnn_e2e.csv on CPUs are smaller and 97 % on GPUs. Together with the length
scale of likeness it keeps more work from being faster: from width 1 to 0.75 a network moves by one
length scale, loses at most 0.2 of its misfit and takes 0.45 less."""

LEAST_GROWTH = 0.5
"""Share of the growth of the time by costs alone that a correction must leave: widths are asked
between the nine, and variants depart a little from exact proportions."""

INVOLVED, MOST_CUTS = 0.3, 60
"""Weight from which on an anchor, besides the one that varies, is among those that make a time
fall; 0.8^60 leaves nothing."""

MAX_ANCHORS = 256
"""Anchors that a file may hold; a population has about 30 networks, a table adds at most 100."""

WIDTHS = 2.0 ** np.linspace(-1.0, 1.0, 9)
"""Widths of a known network at which more work may not be faster, half to twice its own."""

_WIDTH_POWER = np.array(
    [{"MAC": 2.0, "byte": 2.0, "element": 1.0, "step": 1.0}.get(f.unit, 0.0) for f in ALL_FEATURES]
)
"""How work grows with the channels: products and weights by the square, elements and the lengths of
sums in proportion."""

_KINDS = (
    ("direct_macs", "point_padding", "point_uneven_macs", "point_output", "point_input"),
    ("winograd_products", "winograd_transforms", "uneven_3x3_extra"),
    ("window_extra", "window_columns", "window_output"),
    ("depthwise_macs", "depthwise_output", "depthwise_input"),
)
"""Kinds of layers of which the members of a family have more or fewer, by their features."""

_LESS = np.linspace(0.3, 1.0, 8)
"""Shares of a known network's layers of one kind at which more of them may not be faster: VGG11
does half of the products of VGG16, MobileNets of half the blocks as much."""

LEEWAY = 0.02
"""Log units that a time may fall by while layers are added: more work is never 2 % faster."""

FIELDS = ("anchors", "misfits", "strange_log", "unsure")


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkCorrection:
    """Misfits of known networks, and the width of the interval where none is like the asked one.

    `anchors` are descriptions of known networks (`likeness.described`), shape (anchors, features);
    `misfits` their log(measured / sum of kernels), shape (anchors,); `strange_log` is added to the
    half width of the log interval of a network that is like none of them, `unsure` (anchors,) to
    that of each of them, nothing where it is empty: what laws do not let a misfit say of it.
    """

    anchors: np.ndarray = field(default_factory=lambda: np.zeros((0, len(FEATURE_NAMES))))
    misfits: np.ndarray = field(default_factory=lambda: np.zeros(0))
    strange_log: float = 0.0
    unsure: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def terms(
        self, networks: Sequence[KernelTable], strange_log: np.ndarray | None = None
    ) -> NetworkTerms:
        """Factor and extra width of whole networks.

        `strange_log` (networks,) is what each needs where it is like none of the known ones, where
        that differs by network.
        """
        weights, recognised = self._interpolation.of(descriptions(networks))
        wide = self.strange_log if strange_log is None else strange_log
        extra = wide * (1.0 - recognised)
        if len(self.unsure):
            extra = extra + np.maximum(weights, 0.0) @ self.unsure
        return NetworkTerms(log_factor=self._factor(weights), extra_log=extra)

    def of_described(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log factor of described networks and how far each is recognised, 0 to 1."""
        weights, recognised = self._interpolation.of(asked)
        return self._factor(weights), recognised

    def _factor(self, weights: np.ndarray) -> np.ndarray:
        return np.clip(weights @ self.misfits, -LARGEST_LOG, LARGEST_LOG)

    @cached_property
    def _interpolation(self) -> Interpolation:
        return Interpolation(self.anchors)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; nothing where there is nothing to correct."""
        if not len(self.anchors) and not self.strange_log:
            return {}
        return {
            "anchors": [[round(v, 5) or 0 for v in row] for row in self.anchors.tolist()],
            "misfits": [round(v, 5) for v in self.misfits.tolist()],
            "strange_log": round(self.strange_log, 4),
            **(
                {"unsure": [round(v, 4) or 0 for v in self.unsure.tolist()]}
                if any(self.unsure)
                else {}
            ),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NetworkCorrection:
        """Read and check plain data; absent fields mean no correction. Raises `ProfileError`."""
        if not any(name in data for name in FIELDS):
            return cls()
        anchors = array_of(data.get("anchors"), "anchors", 1.0001, (None, len(FEATURE_NAMES)))
        misfits = array_of(data.get("misfits"), "misfits", LARGEST_LOG, (len(anchors),))
        strange = array_of([data.get("strange_log")], "strange_log", 15.0, (1,))
        unsure = (
            array_of(data["unsure"], "unsure", 15.0, (len(anchors),)) if "unsure" in data else ()
        )
        if (anchors < 0).any() or strange[0] < 0 or np.any(np.array(unsure) < 0):
            raise ProfileError("anchors, strange_log and unsure must not be negative")
        return cls(
            anchors=anchors,
            misfits=misfits,
            strange_log=float(strange[0]),
            unsure=np.array(unsure, dtype=float),
        )


def array_of(data: Any, name: str, limit: float, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array of finite numbers of at most `limit` in size; None in `shape` is any length.

    Raises `ProfileError` that names the field.
    """
    rows = data if isinstance(data, list) else None
    if rows is None or len(rows) > MAX_ANCHORS:
        raise ProfileError(f"{name}: must be a list of at most {MAX_ANCHORS}")
    try:
        array = np.array(rows, dtype=float).reshape((-1, *shape[1:]) if rows else (0, *shape[1:]))
    except (TypeError, ValueError, OverflowError):
        raise ProfileError(f"{name}: must hold numbers only, rows of one length") from None
    wanted = shape[0] if shape[0] is not None else len(rows)
    if len(array) != wanted or not (np.abs(array) <= limit).all():
        raise ProfileError(f"{name}: must hold {wanted} rows of numbers up to {limit:g}")
    return array


def lawful(
    correction: NetworkCorrection, work: np.ndarray, log_cost: np.ndarray
) -> NetworkCorrection:
    """The correction with misfits so small that no known network is slower for doing less.

    `work` (anchors, features) and `log_cost` (features,) give the time without a correction. Where
    the corrected time of a network falls or hardly grows anywhere between half and twice its width,
    or falls while layers of one kind are added to it, the misfits that make it so are lowered by a
    fifth, until it grows.
    """
    done = work[:, None, :] * np.vstack([_by_width(), _by_layers()])[:, : work.shape[1]]
    log_ms = np.log(np.maximum(done @ np.exp(log_cost), 1e-300))
    wide = len(WIDTHS)
    hardly = _hardly_growing(log_ms[:, :wide])

    def falls(times: np.ndarray) -> np.ndarray:
        """Where layers are added the time may stay: a family's members differ in other ways."""
        by_layers = times[:, wide:].reshape(len(times), -1, len(_LESS))
        highest = np.maximum.accumulate(by_layers, axis=2)
        fallen = (highest - by_layers > LEEWAY).reshape(len(times), -1)
        return np.hstack([hardly(times[:, :wide]), fallen])

    return _lowered(correction, done, log_ms, falls)


def lawful_along(
    correction: NetworkCorrection, work: np.ndarray, log_ms: np.ndarray
) -> NetworkCorrection:
    """`lawful` by width alone, for any model: `log_ms` (anchors, WIDTHS) are its log times without
    a correction.

    `work` (anchors, features) is what the anchors are described by.
    """
    return _lowered(
        correction,
        work[:, None, :] * _by_width()[:, : work.shape[1]],
        log_ms,
        _hardly_growing(log_ms),
    )


@lru_cache(maxsize=1)
def _by_width() -> np.ndarray:
    """Work of wider and wider networks by that of one, shape (WIDTHS, features)."""
    return np.asarray(WIDTHS[:, None] ** _WIDTH_POWER)


@lru_cache(maxsize=1)
def _by_layers() -> np.ndarray:
    """Work by that of one network while layers of a kind are added, each kind in turn."""
    shares = np.ones((len(_KINDS), len(_LESS), len(ALL_FEATURES)))
    for kind, names in enumerate(_KINDS):
        shares[kind][:, [FEATURE_NAMES.index(n) for n in names]] = _LESS[:, None]
    return shares.reshape(-1, len(ALL_FEATURES))


Falls = Callable[[np.ndarray], np.ndarray]
"""From log times of growing variants, shape (anchors, variants), to which of them break a law."""


def _hardly_growing(log_ms: np.ndarray) -> Falls:
    """Whether a variant grows by less than `LEAST_GROWTH` of what it grows by without correction,
    or the one before it does."""
    needed = LEAST_GROWTH * np.diff(log_ms, axis=1)

    def falls(times: np.ndarray) -> np.ndarray:
        steps = np.diff(times, axis=1) < needed
        ends = np.zeros((len(times), 1), dtype=bool)
        return np.asarray(np.hstack([steps, ends]) | np.hstack([ends, steps]))

    return falls


def _lowered(
    correction: NetworkCorrection, done: np.ndarray, log_ms: np.ndarray, falls: Falls
) -> NetworkCorrection:
    """The correction with misfits under which no variant falls.

    `done` (anchors, variants, features) is the work of variants of the anchors, `log_ms` (anchors,
    variants) their log times without a correction.
    """
    if not len(correction.anchors):
        return correction
    shares = np.maximum(done[:, :, : len(GROWING)] * GROWING, 0.0)
    total = np.maximum(shares.sum(axis=2, keepdims=True), 1e-300)
    described = np.sqrt(shares / total).reshape(-1, len(GROWING))
    weights, _ = interpolation(described, correction.anchors)
    involved = np.abs(weights).reshape(*log_ms.shape, -1) > INVOLVED
    misfits = np.clip(correction.misfits, -LARGEST_LOG, LARGEST_LOG)
    for _ in range(MOST_CUTS):
        factor = np.clip(weights @ misfits, -LARGEST_LOG, LARGEST_LOG)
        fallen = falls(log_ms + factor.reshape(log_ms.shape))
        if not fallen.any():
            break
        lower = fallen.any(axis=1) | involved[fallen].any(axis=0)
        misfits = np.where(lower, 0.8 * misfits, misfits)
    return replace(correction, misfits=misfits)
