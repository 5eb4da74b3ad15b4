"""What is left out together of measured networks, to see how well the rest predicts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.cost_models.interval import COVERAGE, share_to_hold

FEWEST_BLOCKS = 3
"""Families, or networks, from which on each is left out of a target to see how good it is."""


def family_of_model(model: str) -> str:
    """What a measured network is left out with: its zoo family, else its file's name."""
    from perfmodel import zoo

    name = model.partition("@")[0]
    if name in zoo.names():
        return zoo.entry(name).family
    return Path(name).stem.replace("_int8", "").replace("-int8", "")


def blocks_of(measured: Sequence[MeasuredNetwork]) -> list[object]:
    """What is left out together to see how well the rest predicts it, one label a network.

    Network families; single networks where fewer than three families were measured, as when
    somebody searches one family; nothing where there are fewer than three networks.
    """
    families = [family_of_model(m.name) for m in measured]
    if len(set(families)) >= FEWEST_BLOCKS:
        return list(families)
    return list(range(len(measured))) if len(measured) >= FEWEST_BLOCKS else []


def family_parts(families: Sequence[str], folds: int = 0) -> np.ndarray:
    """Number of the part in which each network's family is left out, shape (networks,).

    Families are left out one at a time, or in `folds` parts where it is above 0.
    """
    kinds = sorted(set(families))
    part = {family: i % (folds or len(kinds)) for i, family in enumerate(kinds)}
    return np.array([part[family] for family in families])


@dataclass(frozen=True, eq=False)
class Misses:
    """Log errors of left-out networks that intervals must hold, NaN where none is known, and the
    family of each."""

    log_ratio: np.ndarray
    family: np.ndarray

    def of(self, some: np.ndarray) -> Misses:
        """Those of a mask."""
        return Misses(self.log_ratio[some], self.family[some])

    @cached_property
    def known(self) -> np.ndarray:
        """The errors that there are."""
        return self.log_ratio[np.isfinite(self.log_ratio)]

    @cached_property
    def held(self) -> float:
        """The share of them that holds nine of ten networks of further families: those of one err
        together, so that they are worth fewer cases than they are."""
        if not len(self.known):
            return COVERAGE
        return share_to_hold(self.known, self.family[np.isfinite(self.log_ratio)])
