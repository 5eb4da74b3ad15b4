"""Intervals of targets that kernel tables cover."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from validation.profiles import kernel_targets


def errors_of(monkeypatch: pytest.MonkeyPatch, families: int) -> Any:
    """Whole networks of two kernels each on two targets; those of family 0 take e times as long."""
    count = 40
    network = np.repeat([f"n{i:02}" for i in range(count)], 2)
    family = np.repeat([f"f{i % families:02}" for i in range(count)], 2)
    kernels = SimpleNamespace(
        rows=SimpleNamespace(target=np.repeat([0, 1], len(network))),
        network=np.tile(network, 2),
        family=np.tile(family, 2),
        kernel_us=np.where(np.tile(family, 2) == "f00", np.e, 1.0),
    )
    predicted = np.ones(2 * len(network)), np.ones(2 * len(network), dtype=bool)
    monkeypatch.setattr(kernel_targets, "left_out", lambda *_: predicted)
    return kernel_targets._network_errors(kernels, lambda: None)  # type: ignore[arg-type]


def test_networks_of_a_family_err_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One family of ten misses by e and is held: its networks are worth one case."""
    found = errors_of(monkeypatch, 10)
    assert found.family.tolist() == [f"f{i % 10:02}" for i in range(40)] * 2
    interval = found.interval(0)
    assert (interval.low_log, interval.high_log) == pytest.approx((1.0, 1.0))
    assert interval.coverage == 0.9


def test_of_many_families_each_side_has_its_own_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    interval = errors_of(monkeypatch, 20).interval(1)
    # two networks of forty miss, those of one family in twenty
    assert (interval.low_log, interval.high_log) == pytest.approx((0.02, 1.0))
