"""A phone that nobody measured: what its chip's sheet gives, and laws that must hold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from perfmodel import predict
from perfmodel.devices.market import Chip, Cluster, chips
from perfmodel.devices.profile import DeviceProfile
from perfmodel.devices.registry import ProfileFolder
from perfmodel.devices.sheet_data import MeasuredSheet, apart, from_dict, shipped_sheets, to_dict
from perfmodel.devices.spec_sheet import (
    SHEET_MARK,
    profile_of_chip,
    profiles_of_chips,
    sheet_of_chip,
    silicon,
    targets_of_sheets,
)
from perfmodel.errors import ProfileError
from perfmodel.target import Target

SD778G, OLD = chips()["snapdragon-778g"], chips()["mt6580"]


def mean_log_ms(profile: DeviceProfile) -> dict[str, float]:
    """Mean log ms by target: a chip at another clock may have the shape of another target."""
    return {
        str(t.target): t.model.shape.log_ms + t.model.log_factor  # type: ignore[union-attr]
        for t in profile.targets
    }


def faster(chip: Chip, clock: float, only: int | None = None) -> Chip:
    clusters = [
        Cluster(c.count, c.core, round(c.mhz * (clock if only in (None, i) else 1.0)))
        for i, c in enumerate(chip.clusters)
    ]
    return replace(chip, clusters=tuple(clusters))


def test_a_phone_has_its_units_frameworks_and_threads() -> None:
    targets = {str(t.target).removeprefix("x/") for t in profile_of_chip(SD778G, "x").targets}
    for name in (
        *("cpu/ncnn/float/t4@big", "cpu/ncnn/float/t1@big", "cpu/ncnn/int8/t4@little"),
        *("cpu/ncnn/float/t8@all", "cpu/tflite/fp32/t4", "cpu/tflite/int8/t1"),
        *("cpu/mnn/fp32/t2@big", "gpu/ncnn/float", "gpu/tflite/fp16", "gpu/mnn/fp16"),
    ):
        assert name in targets
    assert profile_of_chip(SD778G, "x").targets[0].target.unit == "cpu"


def test_an_answer_says_which_version_of_a_framework_it_is_for() -> None:
    told = {str(t.target): t.provenance.assumes for t in profile_of_chip(SD778G, "x").targets}
    assert told["x/cpu/ncnn/float/t4@big"].startswith("ncnn of 2022 or later; ")
    assert told["x/cpu/ncnn/int8/t1@little"].endswith(": ask cpu/ncnn@2021/int8/t1@little")
    assert told["x/cpu/ncnn@2021/int8/t1@little"].startswith("ncnn of 2021 or earlier, ")
    # other frameworks, GPUs and narrow cores have no such versions
    assert not told["x/cpu/tflite/fp32/t4"] + told["x/gpu/ncnn/float"]
    assert not any(t.provenance.assumes for t in profile_of_chip(OLD).targets)


def test_two_big_cores_take_two_threads() -> None:
    chip = replace(
        SD778G, clusters=(Cluster(2, "Cortex-A76", 2200), Cluster(6, "Cortex-A55", 1800))
    )
    threads = [
        (t.target.threads, t.target.cluster)
        for t in profile_of_chip(chip).targets
        if str(t.target).startswith(f"{chip.slug}/cpu/ncnn/float/")
    ]
    assert threads == [(2, "big"), (1, "big"), (4, "all"), (4, "little"), (1, "little"), (8, "all")]


def test_small_cores_alone_are_a_chips_big_ones() -> None:
    named = {(t.target.threads, t.target.cluster) for t in profile_of_chip(OLD).targets}
    assert (4, "big") in named
    assert not any(cluster == "little" for _, cluster in named)


def test_whole_numbers_wait_half_as_long_for_memory() -> None:
    slow = replace(SD778G, mem_bandwidth_gbs=1.0)
    whole, floats = (
        sheet_of_chip(slow, Target("x", "cpu", "ncnn", precision, 4, "big")).row().memory_ms
        for precision in ("int8", "float")
    )
    assert whole == pytest.approx(floats / 2)


def test_gpus_of_one_maker_are_nearer_than_others() -> None:
    mine = apart("adreno adreno 6", "adreno adreno 4")
    assert apart("adreno adreno 6", "adreno adreno 6") < mine
    assert mine < apart("adreno adreno 6", "mali bifrost")


def test_the_answer_says_that_it_is_from_a_sheet_and_after_whom() -> None:
    target = profile_of_chip(SD778G).targets[0]
    assert target.provenance.source.startswith(f"{SHEET_MARK} (1xCortex-A78@2.4+3xCortex-A78@2.2")
    assert ", after measured " in target.provenance.source
    assert target.provenance.measurements == 0
    assert target.interval.coverage == 0.9


def test_a_measured_chip_leans_on_itself_first() -> None:
    target = profile_of_chip(chips()["snapdragon-855"]).targets[0]
    assert "after measured Snapdragon 855" in target.provenance.source


def test_a_gpu_that_cannot_compute_has_no_target() -> None:
    assert "Mali-400" in OLD.gpu
    assert {t.target.unit for t in profile_of_chip(OLD).targets} == {"cpu"}


def test_what_the_sheet_does_not_tell_is_no_target() -> None:
    bare = replace(SD778G, clusters=(), gpu_gflops=None)
    assert profile_of_chip(bare).targets == ()
    strange = replace(SD778G, clusters=(Cluster(8, "Cortex-Z9", 2000),))
    assert {t.target.unit for t in profile_of_chip(strange).targets} == {"gpu"}


def test_an_iphone_has_no_framework_that_no_iphone_ran() -> None:
    targets = profile_of_chip(chips()["apple-a15-bionic"]).targets
    assert {t.target.framework for t in targets} == {"ncnn", "tflite"}


def test_every_chip_of_the_market_has_a_profile() -> None:
    profiles = profiles_of_chips([(c, c.slug) for c in chips().values()], usual=True)
    assert len(profiles) == len(chips())
    have = [any(t.target.unit == "cpu" for t in p.targets) for p in profiles]
    assert np.mean(have) > 0.9
    widths = [t.interval.high_log for p in profiles for t in p.targets]
    assert 0.2 < np.median(widths) < 1.2


@pytest.mark.parametrize("slug", ["snapdragon-778g", "helio-g85", "mt6580", "apple-a15-bionic"])
@pytest.mark.parametrize("only", [None, 0, -1])
def test_the_same_cores_at_a_higher_clock_are_never_slower(slug: str, only: int | None) -> None:
    chip = chips()[slug]
    place = None if only is None else only % len(chip.clusters)
    slow, fast = (
        mean_log_ms(profile_of_chip(chip)),
        mean_log_ms(profile_of_chip(faster(chip, 1.03, place))),
    )
    assert set(slow) == set(fast)
    assert all(fast[name] <= slow[name] + 1e-9 for name in slow)


@pytest.mark.parametrize("slug", ["snapdragon-778g", "helio-g85", "exynos-2200", "tensor-g5"])
def test_more_gflops_of_a_family_are_never_slower(slug: str) -> None:
    chip = chips()[slug]
    assert chip.gpu_gflops is not None
    more = replace(chip, gpu_gflops=1.2 * chip.gpu_gflops)
    slow, fast = mean_log_ms(profile_of_chip(chip)), mean_log_ms(profile_of_chip(more))
    assert all(fast[n] <= slow[n] for n in slow if "/gpu/" in n)
    assert any(fast[n] < slow[n] for n in slow if "/gpu/" in n)


def test_more_bandwidth_is_never_slower() -> None:
    assert SD778G.mem_bandwidth_gbs is not None
    more = replace(SD778G, mem_bandwidth_gbs=2 * SD778G.mem_bandwidth_gbs)
    slow, fast = mean_log_ms(profile_of_chip(SD778G)), mean_log_ms(profile_of_chip(more))
    assert all(fast[n] <= slow[n] for n in slow)
    assert (
        fast["snapdragon-778g/cpu/ncnn/float/t4@big"]
        < slow["snapdragon-778g/cpu/ncnn/float/t4@big"]
    )


def test_chips_that_differ_in_clocks_alone_are_one_silicon() -> None:
    market = chips()
    assert silicon(market["snapdragon-855"]) == silicon(market["snapdragon-855-plus"])
    assert silicon(market["snapdragon-855"]) != silicon(market["snapdragon-845"])


def test_a_measurement_of_one_target_moves_and_narrows_the_others() -> None:
    sheets, name = shipped_sheets(), "x/cpu/ncnn/float/t4@big"
    first = profile_of_chip(SD778G, "x")
    before = {str(t.target): t for t in first.targets}
    slow = MeasuredSheet(
        target=Target("x", "cpu", "ncnn", "float", 4, "big"),
        chip=silicon(SD778G),
        title=SD778G.name,
        kind="phone",
        cores=SD778G.cores_text,
        memory_gbs=SD778G.mem_bandwidth_gbs,
        log_ms=float(sheets.shapes[0].log_ms) + 3.0,
        variance=0.01,
    )
    profile = profile_of_chip(SD778G, "x", sheets.measured([slow]))
    after = {str(t.target): t for t in profile.targets}
    assert set(after) == set(before)
    for other in (name, "x/cpu/tflite/fp32/t4", "x/gpu/ncnn/float"):
        assert mean_log_ms(profile)[other] > mean_log_ms(first)[other]
        assert after[other].interval.high_log <= before[other].interval.high_log


def test_a_prediction_takes_the_path_of_all_others() -> None:
    profile = profile_of_chip(SD778G, "my-phone")
    answer = predict("mobilenet_v2", "my-phone/cpu/ncnn/float/t4@big", profiles=[profile])
    low, high = answer.interval_ms
    assert 3.0 < answer.latency_ms < 15.0
    assert low < answer.latency_ms < high


def test_a_class_of_targets_without_an_error_is_not_offered() -> None:
    sheet = MeasuredSheet(
        target=Target("x", "cpu", "tvm", "fp32", 4),
        chip="x",
        title="x",
        kind="phone",
        cores=SD778G.cores_text,
    )
    assert targets_of_sheets([sheet], shipped_sheets()) == (None,)
    assert targets_of_sheets([], shipped_sheets()) == ()


def test_the_file_is_read_as_it_was_written() -> None:
    sheets = shipped_sheets()
    again = from_dict(to_dict(sheets))
    assert again.known == sheets.known
    assert again.errors == sheets.errors
    assert [s.kin for s in again.shapes] == [s.kin for s in sheets.shapes]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("known", {}),
        ("known", [{"target": "x/cpu"}]),
        ("known", [{"target": "x/cpu", "log_ms": 1e9, "variance": 1, "chip": "x"}]),
        ("errors", {"cpu/ncnn/float": {"factor": 1}}),
        ("shapes", [{"place": "a", "kin": "b", "threads": 0, "log_ms": 1, "model": "x"}]),
        ("shapes", "many"),
        ("extra", 1),
    ],
)
def test_a_damaged_file_is_refused(name: str, value: object) -> None:
    with pytest.raises(ProfileError, match=name):
        from_dict({**to_dict(shipped_sheets()), name: value})


def test_an_interval_by_a_sheet_widens_by_half_a_log_unit_for_kernels_e_times_too_large() -> None:
    interval = profile_of_chip(chips()["snapdragon-888"]).targets[0].interval
    (low, high), (lower, higher) = interval.around(10.0), interval.around(10.0, novelty=1.0)
    assert (low / lower, higher / high) == pytest.approx((math.exp(0.5), math.exp(0.5)))


def test_of_several_shapes_that_of_a_target_about_as_fast_is_taken() -> None:
    sheets = shipped_sheets()
    kin = "adreno adreno 5"
    mine = [s for s in sheets.shapes if (s.place, s.kin) == ("gpu/mnn/float", kin)]
    assert len(mine) > 1
    for s in mine:
        assert sheets.shape("gpu/mnn/float", kin, 1, s.log_ms + 1e-6) is s
    assert sheets.shape("gpu/mnn/float", kin, 1) is mine[0]
    # kin counts before speed
    far = sheets.shape("gpu/mnn/float", kin, 1, 99.0)
    assert far is max(mine, key=lambda s: s.log_ms)
    assert sheets.shape("gpu/none/float", kin, 1, 5.0) is None


def test_a_phone_of_the_market_answers_for_the_newest_version_and_for_old_ones_by_name() -> None:
    folder = ProfileFolder()
    newest, old = (folder.resolve(f"pixel-7/cpu/{name}").target for name in ("ncnn", "ncnn@2021"))
    assert (newest.target.version, old.target.version) == ("", "2021")
    assert replace(old.target, version="") == newest.target
    log_ms = [t.model.shape.log_ms + t.model.log_factor for t in (newest, old)]  # type: ignore[union-attr]
    assert log_ms[1] > log_ms[0] + 0.2
