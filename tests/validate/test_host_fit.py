"""Fitting a host from samples whose truth is known: planted speeds, overheads and first runs."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.cost import fuse, weights_bytes
from perfmodel.cost.kernel import KernelTable
from perfmodel.errors import MeasurementError
from perfmodel.measure.host_bench import Setup
from perfmodel.measure.random_nets import random_network
from perfmodel.measure.samples import FirstRun, Sample
from perfmodel.validate.first_run import first_ms, fit_load
from perfmodel.validate.host_fit import conformal_bounds, fit_targets, overhead, predicted_ms

SETUP = Setup("fp32", 1)


def planted_us(table: KernelTable) -> np.ndarray:
    """A machine of 40 GMAC/s and 8 GB/s that starts a kernel in 2 us."""
    moved = table["input_elements"] + table["output_elements"] + table["weight_elements"]
    return table["macs"] / 4e4 + 4 * moved / 8e3 + 2.0


def samples(count: int, noise: float = 0.0, fixed_ms: float = 0.1) -> list[Sample]:
    rng = np.random.default_rng(0)
    found = []
    for seed in range(count):
        graph = random_network(seed, blocks=5)
        table = KernelTable.from_kernels(fuse(graph, "tflite-cpu"))
        us = planted_us(table) * np.exp(noise * rng.standard_normal())
        whole = fixed_ms + 1.05 * us.sum() / 1e3
        first = FirstRun(
            3.0 + 0.05 * len(table) + weights_bytes(graph) / 1e6 + 1.3 * whole,
            whole,
            weights_bytes(graph),
            len(table),
            True,
        )
        key = f"fp32/t1/{graph.name}"
        found.append(Sample(key, SETUP, table, us, whole, len(table), first, True))
    return found


def test_the_overhead_of_whole_inferences_is_found() -> None:
    cost = overhead(samples(30))
    assert cost.fixed_ms == pytest.approx(0.1, rel=0.02)
    assert cost.ratio == pytest.approx(1.05, rel=0.001)


def test_a_planted_machine_is_recovered_out_of_sample() -> None:
    (fitted,) = fit_targets(samples(40))
    # whole networks that no fit saw, on a machine without noise
    assert fitted.error.cases == 40
    assert fitted.error.median < 0.04
    unseen = KernelTable.from_kernels(fuse(random_network(999, blocks=5), "tflite-cpu"))
    truth = 0.1 + 1.05 * planted_us(unseen).sum() / 1e3
    assert predicted_ms(fitted.predictor, unseen) == pytest.approx(truth, rel=0.1)


def test_noise_widens_the_interval() -> None:
    (quiet,) = fit_targets(samples(30))
    (noisy,) = fit_targets(samples(30, noise=0.2))
    assert noisy.interval.low_log + noisy.interval.high_log > 0.3
    assert quiet.interval.low_log + quiet.interval.high_log < 0.3


def test_conformal_bounds_leave_a_tenth_outside() -> None:
    residuals = np.random.default_rng(1).standard_normal(4000)
    low, high = conformal_bounds(residuals)
    # 5 % and 95 % of the normal distribution: 1.645
    assert low == pytest.approx(1.645, abs=0.08)
    assert high == pytest.approx(1.645, abs=0.08)
    fresh = np.random.default_rng(2).standard_normal(4000)
    assert np.mean((fresh >= -low) & (fresh <= high)) == pytest.approx(0.9, abs=0.02)


def test_first_runs_are_recovered_by_their_parts() -> None:
    runs = [s.first for s in samples(30)]
    fact = fit_load(runs, SETUP)
    assert fact is not None
    assert fact.first_inference == pytest.approx(1.3, rel=0.01)
    assert fact.bytes_per_ms == pytest.approx(1e6, rel=0.01)
    assert first_ms(fact, 2e6, 10, 5.0) == pytest.approx(3 + 0.5 + 2 + 6.5, rel=0.01)


def test_too_few_networks_are_refused_with_what_to_do() -> None:
    with pytest.raises(MeasurementError, match="larger --budget"):
        fit_targets(samples(3))
