"""Boosted regression trees as plain arrays: read from scikit-learn once, evaluated with numpy.

A profile must answer without scikit-learn and hold only data, so the trees of a fitted
`HistGradientBoostingRegressor` are copied node by node. The evaluation compares and adds the same
float64 numbers as scikit-learn's own predictor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from perfmodel.errors import ProfileError

MAX_NODES = 400_000
MAX_FEATURES = 512
MAX_DEPTH = 64


@dataclass(frozen=True)
class Forest:
    """The sum of `baseline` and one leaf of each tree.

    Node i of the flat arrays is a leaf where `left[i] == i`; else a row goes to `left[i]` if its
    `feature[i]` is at most `threshold[i]`, to `right[i]` if not. `roots` are the first nodes of
    the trees; `value` is that of the leaves, 0 elsewhere. `depth` is that of the deepest tree.
    """

    baseline: float
    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    depth: int

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Values of rows of features, shape (rows, features) -> (rows,)."""
        if not len(self.roots) or not len(rows):
            return np.full(len(rows), self.baseline)
        flat = np.ascontiguousarray(rows, dtype=float).ravel()
        start = (np.arange(len(rows)) * rows.shape[1])[:, None]
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        for _ in range(self.depth):
            goes_left = flat[start + self.feature[node]] <= self.threshold[node]
            node = np.where(goes_left, self.left[node], self.right[node])
        # scikit-learn adds tree by tree; numpy's pairwise sum would differ in the last bits.
        total = np.full(len(rows), self.baseline)
        for column in self.value[node].T:
            total += column
        return total

    def specialise(self, known: Mapping[int, float]) -> Forest:
        """The same forest for rows whose features `known` have these values, pruned."""
        return _Pruner(self, known).run()

    def rounded(self, digits: int = 6) -> Forest:
        """Thresholds and values at `digits` significant digits: shorter text, same answers."""
        return Forest(
            baseline=float(f"{self.baseline:.{digits}g}"),
            roots=self.roots,
            feature=self.feature,
            threshold=_significant(self.threshold, digits),
            left=self.left,
            right=self.right,
            value=_significant(self.value, digits),
            depth=self.depth,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data; inner nodes and leaves share one list each of features and numbers.

        `feature` is -1 at a leaf; `number` is then the value, else the threshold. Trees are
        written in preorder, so the left child is the next node and only `right` is kept.
        """
        order = self._preorder()
        place = {int(node): i for i, node in enumerate(order)}
        leaf = self.left[order] == order
        return {
            "baseline": self.baseline,
            "roots": [place[int(r)] for r in self.roots],
            "feature": np.where(leaf, -1, self.feature[order]).tolist(),
            "number": np.where(leaf, self.value[order], self.threshold[order]).tolist(),
            "right": [
                0 if end else place[int(self.right[n])] for n, end in zip(order, leaf, strict=True)
            ],
        }

    def _preorder(self) -> np.ndarray:
        order: list[int] = []
        for root in self.roots:
            stack = [int(root)]
            while stack:
                node = stack.pop()
                order.append(node)
                if self.left[node] != node:
                    stack += [int(self.right[node]), int(self.left[node])]
        return np.array(order, dtype=np.int64)

    @staticmethod
    def from_dict(data: Mapping[str, Any], features: int) -> Forest:
        """Read and check plain data for rows of `features` columns; raises `ProfileError`."""
        baseline = _numbers(data, "baseline", float, 1).item()
        roots, feature = _numbers(data, "roots", int), _numbers(data, "feature", int)
        number, right = _numbers(data, "number", float), _numbers(data, "right", int)
        nodes = len(feature)
        if not len(number) == len(right) == nodes:
            raise ProfileError("trees: feature, number and right must have one length")
        if nodes and (feature.min() < -1 or feature.max() >= min(features, MAX_FEATURES)):
            raise ProfileError(f"trees.feature: must lie in -1 to {features - 1}")
        here = np.arange(nodes)
        leaf = feature < 0
        ends_inside = nodes > 0 and not leaf[-1]
        if ends_inside or (~leaf & ((right <= here + 1) | (right >= nodes))).any():
            raise ProfileError("trees.right: a child must come after its parent")
        if len(roots) and (roots.min() < 0 or roots.max() >= nodes):
            raise ProfileError("trees.roots: no such node")
        left, right = np.where(leaf, here, here + 1), np.where(leaf, here, right)
        return Forest(
            baseline=baseline,
            roots=roots,
            feature=np.where(leaf, 0, feature),
            threshold=np.where(leaf, 0.0, number),
            left=left,
            right=right,
            value=np.where(leaf, number, 0.0),
            depth=_depth(roots, left, right),
        )


def empty_forest(baseline: float = 0.0) -> Forest:
    """A forest without trees: always `baseline`."""
    none, numbers = np.zeros(0, dtype=np.int64), np.zeros(0)
    return Forest(
        baseline=baseline,
        roots=none,
        feature=none,
        threshold=numbers,
        left=none,
        right=none,
        value=numbers,
        depth=0,
    )


def forest_of(model: Any) -> Forest:
    """Copy the trees of a fitted `HistGradientBoostingRegressor` without categorical features.

    Reads `_predictors` and `_baseline_prediction`, which scikit-learn has kept since 0.21.
    """
    parts = [stage[0].nodes for stage in model._predictors]
    baseline = float(np.ravel(model._baseline_prediction)[0])
    if not parts:
        return empty_forest(baseline)
    sizes = np.array([len(p) for p in parts])
    offset = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    nodes = np.concatenate(parts)
    shift = np.repeat(offset, sizes)
    here = np.arange(len(nodes))
    leaf = nodes["is_leaf"].astype(bool)
    left = np.where(leaf, here, nodes["left"].astype(np.int64) + shift)
    right = np.where(leaf, here, nodes["right"].astype(np.int64) + shift)
    return Forest(
        baseline=baseline,
        roots=offset.astype(np.int64),
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
        left=left,
        right=right,
        value=np.where(leaf, nodes["value"], 0.0),
        depth=int(nodes["depth"].max()),
    )


class _Pruner:
    """Copies a forest, taking the known branch at every test of a known feature."""

    def __init__(self, forest: Forest, known: Mapping[int, float]) -> None:
        self.forest, self.known = forest, known
        self.feature: list[int] = []
        self.number: list[float] = []
        self.value: list[float] = []
        self.left: list[int] = []
        self.right: list[int] = []

    def run(self) -> Forest:
        baseline, roots = self.forest.baseline, []
        for root in self.forest.roots:
            node = self._skip(int(root))
            if self.forest.left[node] == node:
                baseline += float(self.forest.value[node])
            else:
                roots.append(self._copy(node))
        left, right = np.array(self.left, dtype=np.int64), np.array(self.right, dtype=np.int64)
        starts = np.array(roots, dtype=np.int64)
        return Forest(
            baseline=baseline,
            roots=starts,
            feature=np.array(self.feature, dtype=np.int64),
            threshold=np.array(self.number, dtype=float),
            left=left,
            right=right,
            value=np.array(self.value, dtype=float),
            depth=_depth(starts, left, right),
        )

    def _skip(self, node: int) -> int:
        f = self.forest
        while f.left[node] != node and int(f.feature[node]) in self.known:
            goes_left = self.known[int(f.feature[node])] <= f.threshold[node]
            node = int(f.left[node] if goes_left else f.right[node])
        return node

    def _copy(self, node: int) -> int:
        f, here = self.forest, len(self.feature)
        leaf = f.left[node] == node
        self.feature.append(0 if leaf else int(f.feature[node]))
        self.number.append(0.0 if leaf else float(f.threshold[node]))
        self.value.append(float(f.value[node]) if leaf else 0.0)
        self.left.append(here)
        self.right.append(here)
        if not leaf:
            self.left[here] = self._copy(self._skip(int(f.left[node])))
            self.right[here] = self._copy(self._skip(int(f.right[node])))
        return here


def _depth(roots: np.ndarray, left: np.ndarray, right: np.ndarray) -> int:
    """Levels below the deepest root."""
    level, depth = roots, 0
    while len(level):
        inner = level[left[level] != level]
        level = np.concatenate([left[inner], right[inner]])
        if len(level) > len(left):  # nodes that a damaged file reaches by several ways
            level = np.unique(level)
        depth += bool(len(level))
        if depth > MAX_DEPTH:
            raise ProfileError(f"trees: deeper than {MAX_DEPTH}")
    return depth


def _significant(values: np.ndarray, digits: int) -> np.ndarray:
    return np.array([float(f"{v:.{digits}g}") for v in values], dtype=float)


def _numbers(data: Mapping[str, Any], name: str, kind: type, count: int | None = None) -> Any:
    raw = data.get(name)
    listed = [raw] if count == 1 else raw
    if not isinstance(listed, list) or len(listed) > MAX_NODES:
        raise ProfileError(f"trees.{name}: must be a list of at most {MAX_NODES} numbers")
    try:
        values = np.array(listed if listed else np.zeros(0, kind))
    except (ValueError, OverflowError):
        raise ProfileError(f"trees.{name}: must be a flat list of numbers") from None
    if values.ndim != 1 or values.dtype.kind not in ("i" if kind is int else "if"):
        raise ProfileError(f"trees.{name}: must be a flat list of numbers")
    if not np.isfinite(values).all():
        raise ProfileError(f"trees.{name}: must be finite")
    return values.astype(np.int64 if kind is int else float)
