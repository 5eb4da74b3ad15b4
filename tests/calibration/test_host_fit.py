"""Fitting a host from samples whose truth is known: planted speeds, overheads and first runs."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from perfmodel.calibration import host_fit
from perfmodel.calibration.first_run import fit_load
from perfmodel.calibration.host_fit import (
    NetworkMisses,
    _target,
    concatenated,
    fit_targets,
    least_width,
    near_bytes_of,
    predicted_ms,
    traits_of,
)
from perfmodel.calibration.overhead import Overhead, overhead, stretched
from perfmodel.cost_models.kernel_model import KernelModel
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import work_of
from perfmodel.devices.facts import traits_from_dict
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile
from perfmodel.devices.registry import Resolved
from perfmodel.errors import MeasurementError
from perfmodel.kernel_times import network_batch
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import NETWORK_COLUMN, KernelTable
from perfmodel.kernels.loading import PIECES, LoadWork, load_work
from perfmodel.kernels.recency import with_recency
from perfmodel.prediction import predict_batch, predict_workload
from perfmodel.runners.campaign import result_from_entry
from perfmodel.runners.host_bench import RunConfig
from perfmodel.runners.random_nets import random_network, random_recurrent
from perfmodel.runners.samples import FirstRun, Sample, first_run
from perfmodel.target import Target
from perfmodel.workload import workload

SETUP = RunConfig("fp32", 1)


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
        work = load_work(table, "fp32")
        load = 3.0 + 0.05 * len(table) + work.packed_bytes / 1e6
        load += 0.7 * work.window_bytes / 1e6 + 0.15 * work.pointer_bytes / 1e6
        first = FirstRun(load, 1.3 * whole, whole, work, True)
        key = f"fp32/t1/{graph.name}"
        found.append(
            Sample(
                key=key,
                setup=SETUP,
                table=table,
                kernel_us=us,
                whole_ms=whole,
                operators=len(table),
                first=first,
                stable=True,
            )
        )
    return found


def test_the_overhead_of_whole_inferences_is_found() -> None:
    cost = overhead(samples(30))
    assert cost.fixed_ms == pytest.approx(0.1, rel=0.02)
    assert cost.ratio == pytest.approx(1.05, rel=0.001)


def test_the_weights_that_stay_near_the_core_are_found_from_times() -> None:
    graphs = [random_recurrent(seed) for seed in range(40)]
    layers = concatenated([KernelTable.from_kernels(fuse(g, "tflite-cpu")) for g in graphs])
    near = 2.0**23
    machine = replace(traits_of(SETUP, layers, np.ones(len(layers))).machine, near_bytes=near)
    # reading from far costs as much as the arithmetic on it
    us = work_of(layers, machine).terms @ np.array([0.7, 1.0, 0.1, 0.3, 0.05])
    assert near_bytes_of([(SETUP, layers, us)]) == near
    assert near_bytes_of([(SETUP, layers.take(np.arange(4)), us[:4])]) == 0.0


def test_an_inference_costs_no_more_beside_its_kernels_than_a_whole_lone_layer() -> None:
    found = samples(30)
    lone = replace(found[0], operators=0, whole_ms=0.02)
    assert 0.01 < overhead([*found, lone]).fixed_ms <= 0.02
    slow = replace(lone, whole_ms=5.0)
    assert overhead([*found, slow]).fixed_ms == pytest.approx(overhead(found).fixed_ms, rel=1e-3)


def test_what_listing_an_operator_costs_is_told_from_networks_of_many_and_few() -> None:
    dear = [replace(s, kernel_us=s.kernel_us + 3.0) for s in samples(30)]
    cost = overhead(dear)
    assert cost.listing_us == pytest.approx(3.0, rel=0.05)
    assert (cost.fixed_ms, cost.ratio) == (pytest.approx(0.1, rel=0.05), pytest.approx(1.05, 0.01))
    for one, plain in zip(dear[:3], samples(3), strict=True):
        assert stretched(one, cost) == pytest.approx(1.05 * plain.kernel_us, rel=0.05)


def test_one_odd_network_moves_no_overhead() -> None:
    odd = replace(samples(1)[0], whole_ms=40.0)
    assert overhead([*samples(30)[1:], odd]).fixed_ms == pytest.approx(0.1, rel=0.1)


def test_a_disturbed_whole_stretches_kernels_within_limits_only() -> None:
    one = samples(1)[0]
    cost = Overhead(0.1, 1.05)
    near = replace(one, whole_ms=1.1 * one.whole_ms)
    assert 0.1 + stretched(near, cost).sum() / 1e3 == pytest.approx(near.whole_ms)
    slow = replace(one, whole_ms=10 * one.whole_ms)
    assert stretched(slow, cost) == pytest.approx(1.5 * 1.05 * one.kernel_us)
    hardly = replace(one, whole_ms=0.11)
    assert stretched(hardly, cost) == pytest.approx(0.5 * 1.05 * one.kernel_us)
    assert (stretched(replace(one, operators=0), cost) == one.kernel_us).all()


@pytest.mark.slow
def test_a_planted_machine_is_recovered_out_of_sample() -> None:
    (fitted,) = fit_targets(samples(40))
    # whole networks that no fit saw, on a machine without noise
    assert fitted.error.cases == 40
    assert fitted.error.median < 0.04
    unseen = KernelTable.from_kernels(fuse(random_network(999, blocks=5), "tflite-cpu"))
    truth = 0.1 + 1.05 * planted_us(unseen).sum() / 1e3
    assert predicted_ms(fitted.predictor, unseen) == pytest.approx(truth, rel=0.1)


@pytest.mark.slow
def test_noise_widens_the_interval() -> None:
    # nine of ten draws of noise of 0.2 lie within 1.645 x 0.2 on either side
    of_noise = 2 * 1.645 * 0.2
    (quiet,) = fit_targets(samples(30))
    (noisy,) = fit_targets(samples(30, noise=0.2))
    assert noisy.interval.low_log + noisy.interval.high_log > of_noise
    assert quiet.interval.low_log + quiet.interval.high_log < of_noise / 2


def test_few_left_out_networks_have_the_interval_of_students_t() -> None:
    # table of Student's t, 8 degrees, 95 % below: 1.860; 0.1 x 1.860 x sqrt(1 + 1/8) = 0.1972
    assert least_width(np.array([0.1, -0.1] * 4)) == pytest.approx(0.1972, abs=1e-4)
    # the 19th of 19 is the first that 95 % of new ones stay below: ceil(20 x 0.95) = 19
    assert least_width(np.full(18, 0.1)) > 0.1
    assert least_width(np.full(19, 0.1)) == 0.0
    cases = np.array([0.1, -0.1] * 4)
    left_out = NetworkMisses(np.ones(8), cases)
    few = _target(SETUP, cast(KernelPredictor, None), left_out, 0.5).interval
    assert few.low_log == few.high_log == least_width(cases)


def test_short_networks_widen_the_interval_of_short_times_alone() -> None:
    # 19 networks of 1 ms, up to 20 % above and 10 % below; 19 of 2 us, 1 us longer than predicted
    long = NetworkMisses(np.ones(19), np.array([0.2, -0.1] * 9 + [0.2]))
    short = NetworkMisses(np.full(19, 2e-3), np.full(19, np.log(2.0)))
    both = NetworkMisses(
        *(
            np.concatenate(pair)
            for pair in zip(vars(long).values(), vars(short).values(), strict=True)
        )
    )
    nothing = cast(KernelPredictor, None)
    alone, fitted = (_target(SETUP, nothing, cases, 0.5) for cases in (long, both))
    assert alone.interval.short_ms == 0.0
    assert fitted.error == alone.error
    assert replace(fitted.interval, short_ms=0.0) == alone.interval
    low, high = fitted.interval.around(1e-3)
    assert high == pytest.approx(2e-3)
    assert low == pytest.approx(1e-3 * np.exp(-0.1) / (2 / np.exp(0.2)))
    assert fitted.interval.around(1.0)[1] == pytest.approx(np.exp(0.2), rel=1e-3)
    # where nearly all are short they are the usual ones
    assert _target(SETUP, nothing, short, 0.5).interval.short_ms == 0.0


def load_of(
    kernels: int, packed: float, window: float, pointer: float, unpacked: float
) -> LoadWork:
    """Work of a load without small tensors, transforms or much memory."""
    return LoadWork(
        kernels=kernels,
        kinds=0,
        packed_bytes=packed,
        window_bytes=window,
        winograd_bytes=0.0,
        pointer_bytes=pointer,
        unpacked_bytes=unpacked,
        touched_bytes=0.0,
        copied_bytes=0.0,
        piece_bytes=(0.0,) * len(PIECES),
    )


def test_first_runs_are_recovered_by_their_parts() -> None:
    runs = [s.first for s in samples(30)]
    # recurrent layers that are hardly prepared: their weights are read in the first inference
    for mb in (1, 4, 9, 16):
        work = load_of(1, 0.0, 0.0, 0.0, 1e6 * mb)
        runs.append(FirstRun(3.05 + 0.1 * mb, 1.3 + 0.3 * mb, 1.0, work, True))
    fact = fit_load(runs, SETUP)
    assert fact is not None
    assert fact.fixed_ms == pytest.approx(3.0, rel=0.01)
    assert fact.first_inference == pytest.approx(1.3, rel=0.01)
    assert fact.bytes_per_ms == pytest.approx(1e6, rel=0.01)
    assert fact.window_ms_per_mb == pytest.approx(0.7, rel=0.01)
    assert fact.pointer_ms_per_mb == pytest.approx(0.15, rel=0.01)
    assert fact.unpacked_ms_per_mb == pytest.approx(0.4, rel=0.01)
    unseen = load_of(10, 2e6, 1e6, 4e6, 5e6)
    truth = 3 + 0.5 + 2 + 0.7 + 0.6 + 2.0 + 6.5
    assert fact.first_ms(unseen, 5.0) == pytest.approx(truth, rel=0.01)


def test_what_is_looked_up_transformed_or_touched_first_has_costs_of_its_own() -> None:
    def run(work: LoadWork, steady_ms: float) -> FirstRun:
        mb = work.winograd_bytes / 1e6, work.touched_bytes / 1e6, work.copied_bytes / 1e6
        load = 0.5 + 0.2 * work.kinds + work.packed_bytes / 2e6 + 3 * mb[0]
        inference = 0.1 * work.kinds + 0.02 * work.kernels + 0.4 * mb[1] + 0.25 * mb[2]
        return FirstRun(load, 1.1 * steady_ms + inference, steady_ms, work, True, loads=4)

    works = [s.first.work for s in samples(40)]
    fact = fit_load([run(w, 1.0 + i % 3) for i, w in enumerate(works)], SETUP)
    assert fact is not None
    found = (fact.kind_ms, fact.winograd_ms_per_mb, fact.touched_ms_per_mb, fact.copied_ms_per_mb)
    assert found == pytest.approx((0.3, 3.0, 0.4, 0.25), rel=0.02)
    more = {"kinds": 7, "winograd_bytes": 2e6, "touched_bytes": 3e6, "copied_bytes": 4e6}
    unseen = replace(load_of(10, 9e6, 0.0, 0.0, 0.0), **more)
    truth = 0.5 + 2.1 + 0.2 + 4.5 + 6.0 + 1.2 + 1.0 + 5.5
    assert fact.first_ms(unseen, 5.0) == pytest.approx(truth, rel=0.01)


def test_loads_of_other_threads_tell_how_parts_relate_and_own_ones_how_long_they_take() -> None:
    def run(work: LoadWork, scale: float) -> FirstRun:
        small = sum(c * b / 1e6 for c, b in zip((0.0, 0.6, 0.0), work.piece_bytes, strict=True))
        load = 0.2 + 0.01 * work.kernels + work.packed_bytes / 2e6 + small
        return FirstRun(scale * load, 2.0, 2.0, work, True)

    works = [s.first.work for s in samples(30)]
    unseen = replace(load_of(10, 9e6, 0.0, 0.0, 0.0), piece_bytes=(5e5, 4e6, 9e6))
    truth = 0.2 + 0.1 + 4.5 + 0.6 * 4 + 2.0
    for scale, then in ((1.05, truth), (2.0, 2 * truth - 2)):
        own = [run(w, scale) for w in works[:8]]
        fact = fit_load(own, SETUP, others=[run(w, 1.0) for w in works[8:]])
        assert fact is not None
        # a twentieth is what loads differ by from hour to hour; twice is another way of loading
        assert fact.first_ms(unseen, 2.0) == pytest.approx(then, rel=0.05)


def test_files_loaded_once_teach_nothing_of_first_runs_where_enough_were_loaded_often() -> None:
    often = [replace(s.first, loads=4) for s in samples(30)]
    # the only load of a file is longer than the least of four
    once = [replace(r, load_ms=1.5 * r.load_ms, loads=1) for r in often]
    assert fit_load([*often, *once], SETUP, others=once) == fit_load(often, SETUP)
    few = fit_load([*often[:7], *once], SETUP)
    assert few is not None
    assert few.measurements == 37


def test_a_load_fact_of_an_older_profile_has_no_further_costs() -> None:
    old = {"unit": "cpu", "framework": "tflite/t1", "fixed_ms": 1.0, "bytes_per_ms": 1e6}
    traits = traits_from_dict({"load": [old | {"source": "s", "precision": "fp32"}]}, "traits")
    fact = traits.load_of(Target("d", "cpu", "tflite", "fp32", 1))
    assert fact is not None
    assert fact.first_ms(load_of(10, 2e6, 1e6, 4e6, 5e6), 5.0) == pytest.approx(1 + 2 + 5)


def test_the_quickest_load_of_three_counts() -> None:
    graph = random_network(1, blocks=3)
    table = KernelTable.from_kernels(fuse(graph, "tflite-cpu"))
    runs = {"warmup_ms": [], "runs_ms": [4.0], "started_s": 0.0, "per_op_us": {}}
    one = {
        "raw": runs | {"load_ms": 90.0, "first_ms": 8.0},
        "reference_before_ms": [2.0],
        "reference_after_ms": [2.0],
    }
    entry = {"sets": [one], "loads": [[30.0, 5.0], [20.0, 6.0]], "cold": True}
    found = first_run(table, SETUP, result_from_entry("k", entry), entry, usual_ms=1.0)
    # the reference is at half its usual speed: inferences are rescaled, loading is not
    assert (found.load_ms, found.inference_ms, found.first_ms) == (20.0, 2.5, 22.5)
    assert found.work.kernels == len(table)


def test_too_few_networks_are_refused_with_what_to_do() -> None:
    with pytest.raises(MeasurementError, match="larger --budget"):
        fit_targets(samples(3))


@pytest.mark.slow
def test_what_a_network_holds_decides_on_its_kernels_times() -> None:
    """The same kernels are half as quick in networks that leave the caches."""
    limit = 2.0**23
    grown = []
    for one in samples(40, fixed_ms=0.0):
        factor = 2.0 if 4 * one.table[NETWORK_COLUMN][0] > limit else 1.0
        grown.append(replace(one, kernel_us=factor * one.kernel_us, whole_ms=factor * one.whole_ms))
    (fitted,) = fit_targets(grown)
    assert fitted.error.median < 0.08
    table = grown[0].table
    held = {
        size: replace(table, number=table.number | {NETWORK_COLUMN: np.full(len(table), size)})
        for size in (2.0**17, 2.0**24)
    }
    quick, slow = (fitted.predictor.parts_ms(t).sum() for t in held.values())
    assert slow > 1.4 * quick


def test_the_blocks_of_the_library_are_found_from_times() -> None:
    table = concatenated([one.table for one in samples(20)])
    wide = np.where(table["kernel_class"] == "depthwise", table["groups"], table["n"])
    block = np.where(table["kernel_class"] == "depthwise", 8, 32)
    filled = np.ceil(np.maximum(wide, 1) / block) * block / np.maximum(wide, 1)
    machine = traits_of(SETUP, table, table["macs"] * filled / 4e4 + 1.0).machine
    assert (machine.columns, machine.channels) == (32, 8)
    even = traits_of(SETUP, table, np.maximum(table["macs"] / 4e4, 1e-3)).machine
    assert (even.columns, even.channels) == (1, 1)


@pytest.mark.parametrize(
    ("start", "moves", "winograd"),
    [(0.0, 0.0, "none"), (4.0, 0.0, "best"), (0.0, 2.0, "none"), (1.0, 0.5, "best")],
)
def test_winograd_and_what_a_kernel_costs_whose_like_ran_long_ago_are_found_from_times(
    start: float, moves: float, winograd: str
) -> None:
    table = concatenated([with_recency(one.table) for one in samples(12)])
    machine = replace(traits_of(SETUP, table, np.ones(len(table))).machine, columns=1, channels=1)
    planted = replace(machine, winograd=winograd, cold_start=start, cold_bytes=moves)
    us = work_of(table, planted).terms @ np.array([0.3, 0.5, 0.4, 0.3, 0.2])
    found = traits_of(SETUP, table, us).machine
    assert (found.winograd, found.cold_start, found.cold_bytes) == (winograd, start, moves)


def test_a_batch_knows_what_each_network_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_fit, "model", lambda seed=0: KernelModel(trees=2, random_state=seed))
    (fitted,) = fit_targets(samples(10))
    works = [workload(random_network(seed, blocks=4), "tflite-cpu") for seed in (101, 102, 103)]
    target = Target("host", "cpu", "tflite", "fp32", 1)
    profile = TargetProfile(
        target, "steady", fitted.predictor, fitted.interval, fitted.error, Provenance("test", 1)
    )
    resolved = Resolved(DeviceProfile("host", "Host", "host", (profile,)), profile)
    together = predict_batch(network_batch(works), resolved).predictions()
    alone = [predict_workload(work, resolved) for work in works]
    assert [p.latency_ms for p in together] == pytest.approx([p.latency_ms for p in alone])
