"""How alike two networks are, by what they compute and never by their names.

A network is described by the shares of the kinds of work of `work_features` in all its work, in MAC
equivalents of one input of the batch. Only work that grows with the image counts, so that a network
is the same at every resolution: there its misfit may not make more work faster. The affinity of two
descriptions is Bhattacharyya's, the sum of the roots of the products of shares (1 for the same mix
of work, 0 for nothing in common), and their likeness a Gaussian kernel of Hellinger's distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perfmodel.cost_models.work_features import FEATURE_NAMES, FEATURES, feature_matrix
from perfmodel.kernels.kernel import KernelTable

GROWING = np.array([f.unit in ("MAC", "element") for f in FEATURES])
"""Features that grow with the image: not weights, which are read once, nor kernels' starts."""

BATCHED_COLUMNS = ("batch", "m", "macs", "input_elements", "output_elements", "elements")
"""Columns of a kernel that grow in proportion to the batch."""

LENGTH_SCALE = 0.06
"""Hellinger distance at which the likeness of two networks has fallen to exp(-1/2).

Misfits of networks of ncnn_e2e.csv that were left out were found from those of the other networks
with a median error of 4.2, 4.3, 4.4, 4.6 and 5.0 % (CPU) at 0.06, 0.09, 0.12, 0.17 and 0.25: what
costs do not say of a network, they do not say of its neighbours either."""

SAME_NETWORK = 1e-3
"""Hellinger distance below which two networks are one: files of one network differ by as much."""

JITTER = 1e-6
"""Added to the diagonal of likenesses, as to variances of one, before they are inverted."""


def described(network: KernelTable) -> np.ndarray:
    """Roots of a network's shares of work by feature, shape (features,), of length 1.

    It is the same for every batch size, because only work that grows with the batch is divided.
    """
    return network.once("likeness", lambda: _described(network))


def _described(network: KernelTable) -> np.ndarray:
    # a product after a flattening counts the batch among its rows
    batch = max(float(network["batch"].max(initial=1.0)), 1.0)
    number = dict(network.number)
    for column in BATCHED_COLUMNS:
        number[column] = np.maximum(number[column] / batch, np.minimum(number[column], 1.0))
    work = feature_matrix(KernelTable(network.text, number), "fp32").sum(axis=0) * GROWING
    total = work.sum()
    return np.sqrt(work / total) if total > 0 else np.zeros(len(FEATURE_NAMES))


def descriptions(networks: Sequence[KernelTable]) -> np.ndarray:
    """Descriptions of several networks, shape (networks, features)."""
    rows = [described(n) for n in networks]
    return np.array(rows) if rows else np.zeros((0, len(FEATURE_NAMES)))


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hellinger distances of descriptions, 0 to sqrt(2), shape (len(a), len(b))."""
    return np.sqrt(np.maximum(2.0 - 2.0 * np.minimum(a @ b.T, 1.0), 0.0))


def are_same(asked: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Whether described networks are known ones, at any resolution, shape (asked, known).

    By the length of their difference: the product of two descriptions that a file rounded to five
    digits may be off by more than `SAME_NETWORK`.
    """
    apart = np.linalg.norm(asked[:, None, :] - known[None, :, :], axis=2)
    return np.asarray(apart < SAME_NETWORK)


def likeness(a: np.ndarray, b: np.ndarray, length: float = LENGTH_SCALE) -> np.ndarray:
    """Gaussian kernel of the distances: 1 for one network, 0 for nothing in common."""
    alike: np.ndarray = np.exp(-0.5 * (distances(a, b) / length) ** 2)
    return alike


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Known networks that tell of others (kriging); what relates them is solved once.

    `known` has shape (known, features).
    """

    known: np.ndarray
    length: float = LENGTH_SCALE

    def of(self, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the known networks for asked ones, and how far each is recognised.

        Weights have shape (asked, known): a known network gets weight 1 for itself. The second
        array, shape (asked,), is the share of a Gaussian process's variance that the known networks
        explain: 1 for a known network, 0 for one like none of them.
        """
        if not len(self.known):
            return np.zeros((len(asked), 0)), np.zeros(len(asked))
        across = likeness(asked, self.known, self.length)
        weights = across @ self._inverse
        return weights, np.clip((weights * across).sum(axis=1), 0.0, 1.0)

    @cached_property
    def _inverse(self) -> np.ndarray:
        among = likeness(self.known, self.known, self.length)
        return np.linalg.inv(among + JITTER * np.eye(len(self.known)))


def interpolation(
    asked: np.ndarray, known: np.ndarray, length: float = LENGTH_SCALE
) -> tuple[np.ndarray, np.ndarray]:
    """`Interpolation` that is asked once."""
    return Interpolation(known, length).of(asked)
