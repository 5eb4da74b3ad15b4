"""What networks that spend their time alike take beyond their costs on an NPU.

Costs by kind of work add up; what a compiler makes of a mix of kinds does not: chains that stay on
the chip, layouts that change between kinds of kernels, weights that arrive behind other work. So
networks miss their costs alike that spend their time on the same kinds of work. A Gaussian process
over shares of time tells a network that nobody measured what such networks took.
"""

from __future__ import annotations

import numpy as np

from perfmodel.cost_models.likeness import likeness
from perfmodel.cost_models.network_correction import LARGEST_LOG

LENGTH, NOISE = 0.45, 0.5
"""Hellinger distance over which misfits go together, and what a network takes by itself, in units
of the spread of the rest. Families left out of AI Hub's (aihub.csv.gz) are answered about as well
from 0.3 to 0.9 and from 0.5 to 1."""


def roots_of_shares(spent: np.ndarray) -> np.ndarray:
    """How networks spend their time: roots of each term's share of it, rows of length 1.

    `spent` is the time by term for one input, shape (networks, terms).
    """
    return np.sqrt(spent / np.maximum(spent.sum(axis=1, keepdims=True), 1e-300))


def pulls(known: np.ndarray, misfits: np.ndarray) -> np.ndarray:
    """How much each known network pulls others its way, shape (..., known).

    `known` is how they spend their time (`roots_of_shares`), shape (known, terms); `misfits`
    (..., known) are log(measured / by costs), of one target or several. A network that most often
    misses by more than `LARGEST_LOG` pulls nobody: it takes a path of the compiler's of its own.
    """
    usual = np.abs(np.median(np.atleast_2d(misfits), axis=0)) <= LARGEST_LOG
    among = likeness(known[usual], known[usual], LENGTH) + NOISE**2 * np.eye(int(usual.sum()))
    clipped = np.clip(misfits[..., usual], -LARGEST_LOG, LARGEST_LOG)
    found = np.zeros_like(misfits)
    found[..., usual] = np.linalg.solve(among, clipped.T).T
    return found


def leanings(asked: np.ndarray, known: np.ndarray, pulled: np.ndarray) -> np.ndarray:
    """Log factors of networks that spend their time as `asked`, shape (..., asked)."""
    found: np.ndarray = pulled @ likeness(known, asked, LENGTH)
    return found
