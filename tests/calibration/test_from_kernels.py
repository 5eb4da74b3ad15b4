"""A new target from its kernels: from whom it starts, how sure it is, what networks add."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfmodel.calibration.from_kernels import MeasuredKernels, MeasuredNetwork, fit_kernels
from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import TERMS, Machine
from perfmodel.cost_models.predictor import Predictor
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.devices import registry
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile
from perfmodel.devices.registry import ProfileFolder
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.kernels import table_from_rows
from perfmodel.target import Target

NEW = Target("new", "npu", "made", "fp32")


@pytest.fixture(autouse=True)
def _no_shipped_profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(registry, "builtin_folder", lambda: tmp_path)
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path)


def convs(count: int = 30, seed: int = 0) -> KernelTable:
    rng = np.random.default_rng(seed)
    size = rng.integers(10, 60, count)
    return table_from_rows(
        {
            "op": np.array(["conv2d"] * count, dtype=object),
            **dict.fromkeys(("hin", "win", "hout", "wout"), size),
            **dict.fromkeys(("kh", "kw"), np.ones(count)),
            "cin": rng.integers(8, 512, count),
            "cout": rng.integers(8, 512, count),
        }
    )


def costs(compute: float = 0.0, memory: float = 0.0) -> KernelPredictor:
    """Log costs of arithmetic and of everything else."""
    log = (compute, *[memory] * (len(TERMS) - 1))
    return KernelPredictor(
        machine=Machine(winograd="none"),
        cells={"conv1x1": log},
        families={"product": log},
        default=log,
        forests={},
        ranges={},
    )


def folder(**known: tuple[str, Predictor]) -> ProfileFolder:
    """Devices by name, each of one NPU target of a framework."""
    return ProfileFolder(
        tuple(
            DeviceProfile(
                name,
                name,
                "phone",
                (
                    TargetProfile(
                        Target(name, "npu", framework, "fp32"),
                        "steady",
                        predictor,
                        Interval(0.9, 0.1, 0.1),
                        FitError("made", 1, 0.1),
                        Provenance("made", 1),
                    ),
                ),
            )
            for name, (framework, predictor) in known.items()
        )
    )


def measured(table: KernelTable, truth: KernelPredictor, networks: int = 1) -> MeasuredKernels:
    names = np.array([f"n{i % networks}" for i in range(len(table))], dtype=object)
    return MeasuredKernels(table, truth.parts_ms(table).sum(axis=1) * 1e3, names)


def start_of(known: ProfileFolder, truth: KernelPredictor) -> str:
    return fit_kernels(measured(convs(), truth), NEW, known).borrowed_from


def test_of_two_that_explain_the_kernels_alike_the_one_of_like_speed_is_taken() -> None:
    known = folder(far=("made", costs(3.0, 3.0)), near=("made", costs(0.5, 0.5)))
    assert start_of(known, costs()) == "near/npu/made/fp32"


def test_the_shape_of_the_times_counts_more_than_the_speed() -> None:
    # e^1.5 = 4.5 times faster but alike, against one of the right speed whose arithmetic is dear
    known = folder(alike=("made", costs(-1.5, -1.5)), other=("made", costs(1.0, -1.0)))
    assert start_of(known, costs()) == "alike/npu/made/fp32"


def test_the_same_framework_comes_before_a_better_one_of_another() -> None:
    known = folder(same=("made", costs(1.0, -1.0)), exact=("another", costs()))
    assert start_of(known, costs()) == "same/npu/made/fp32"
    assert start_of(folder(exact=("another", costs())), costs()) == "exact/npu/another/fp32"


def test_costs_of_whole_networks_are_a_start_where_no_kernel_was_ever_measured() -> None:
    by_work = EfficiencyPredictor(log_cost=(-5.0,) * len(FEATURE_NAMES))
    made = fit_kernels(measured(convs(), costs()), NEW, folder(a=("made", by_work)))
    assert made.borrowed_from == "a/npu/made/fp32"
    assert "measured in whole networks" in made.reason
    timed = folder(a=("made", by_work), b=("another", costs(1.0, -1.0)))
    assert start_of(timed, costs()) == "b/npu/another/fp32"


def test_without_any_known_target_the_physics_is_fitted_alone() -> None:
    made = fit_kernels(measured(convs(), costs(0.3, 0.3)), NEW, folder())
    assert made.borrowed_from == "the physics alone"
    asked = convs(seed=4)
    ratio = made.predictor.parts_ms(asked).sum() / costs(0.3, 0.3).parts_ms(asked).sum()
    assert ratio == pytest.approx(1.0, abs=0.05)


def test_a_device_that_is_named_is_the_start_and_must_have_kernels() -> None:
    by_work = EfficiencyPredictor(log_cost=(-5.0,) * len(FEATURE_NAMES))
    known = folder(near=("made", costs()), named=("made", costs(2.0, 2.0)), w=("made", by_work))
    rows = measured(convs(), costs())
    assert fit_kernels(rows, NEW, known, "named").borrowed_from == "named/npu/made/fp32"
    for name in ("w", "nobody"):
        with pytest.raises(MeasurementError, match=f"--like {name}"):
            fit_kernels(rows, NEW, known, name)


def test_a_device_does_not_borrow_from_its_own_old_profile() -> None:
    known = folder(new=("made", costs()), other=("made", costs(1.0, 1.0)))
    assert start_of(known, costs()) == "other/npu/made/fp32"


def test_what_networks_take_beyond_their_kernels_is_a_fixed_cost() -> None:
    table, known = convs(), folder(a=("made", costs()))
    rows = measured(table, costs())
    total = costs().parts_ms(table).sum()
    networks = [
        MeasuredNetwork(n, table, total + more) for n, more in (("a", 1), ("b", 2), ("c", 9))
    ]
    made = fit_kernels(rows, NEW, known, networks=networks)
    assert made.predictor.overhead_ms == pytest.approx(2.0, abs=0.02)
    faster = [MeasuredNetwork("a", table, 0.5 * total)]
    assert fit_kernels(rows, NEW, known, networks=faster).predictor.overhead_ms == 0.0


@pytest.mark.parametrize(
    ("kernels", "networks", "cases", "experiment"),
    [
        (30, 3, 3, "networks left out in ten folds"),
        (30, 12, 12, "networks left out in ten folds"),
        (30, 2, 30, "a fifth of the kernels left out"),
        (10, 1, 10, "a fifth of the kernels left out"),
        (9, 1, 0, "too few kernels"),
    ],
)
def test_errors_are_of_networks_or_kernels_that_were_left_out(
    kernels: int, networks: int, cases: int, experiment: str
) -> None:
    rows = measured(convs(kernels), costs(0.2, 0.2), networks)
    made = fit_kernels(rows, NEW, folder(a=("made", costs())))
    assert made.error.experiment.startswith(experiment)
    assert made.error.cases == cases
    if cases:
        # the known target differs by one factor, which the other kernels show
        assert made.error.median < 0.03
        assert made.interval.high_log < 0.7
    else:
        assert made.interval == Interval(0.9, 0.7, 0.7, 0.5)


def test_a_left_out_networks_error_is_that_of_the_sum_of_its_kernels() -> None:
    table = convs(12)
    rows = measured(table, costs(), 3)
    wrong = np.where(rows.network == "n0", 1.5, 1.0)
    off = MeasuredKernels(table, rows.latency_us * wrong, rows.network)
    made = fit_kernels(off, NEW, folder(a=("made", costs())))
    # n0 takes 1.5 times what the two others say: predicted about 1 / 1.5 of it
    assert made.error.cases == 3
    assert made.error.mean == pytest.approx((1 - 1 / 1.5 + 2 * 0.2) / 3, abs=0.1)
