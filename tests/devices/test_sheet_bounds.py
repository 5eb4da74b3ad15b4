"""What measured targets bound of others by their sheets."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from perfmodel.devices.market import chips
from perfmodel.devices.sheet_bounds import (
    COMPARED_KINDS,
    FARTHEST_LOG,
    Bounds,
    slower_at_most,
    standing,
)
from perfmodel.devices.sheet_data import MeasuredSheet, shipped_sheets
from perfmodel.devices.spec_sheet import SHEET_MARK, profiles_of_chips, sheet_of_chip, silicon
from perfmodel.target import full_target

PHONE = MeasuredSheet(
    target=full_target("a/cpu/ncnn/float/t2@big"),
    chip="a",
    title="A",
    kind="phone",
    cores="2xCortex-A76@2+2xCortex-A55@1.8",
    memory_gbs=20.0,
    log_ms=3.0,
)
GPU = replace(
    PHONE, target=full_target("a/gpu/ncnn/float"), cores="", gpu="Adreno 640", gflops=900.0
)


def worse(asked: MeasuredSheet, known: MeasuredSheet = PHONE) -> float | None:
    """Times as long at most; None where they do not compare."""
    if standing(asked).line != standing(known).line:
        return None
    return float(np.exp(slower_at_most(standing(asked), [standing(known)])[0]))


def test_what_is_faster_in_everything_takes_less_by_half_of_its_least_gain() -> None:
    both = replace(PHONE, cores="2xCortex-A76@3+2xCortex-A55@1.8", memory_gbs=25.0)
    assert worse(both) == pytest.approx(math.sqrt(20 / 25))
    assert worse(replace(both, memory_gbs=40.0)) == pytest.approx(math.sqrt(2 / 3))
    assert worse(replace(both, memory_gbs=20.0)) == 1.0
    # a thread on a core that is no faster
    one = replace(both, cores="1xCortex-A76@3+1xCortex-A76@2+2xCortex-A55@1.8")
    assert worse(one) == pytest.approx(1.0)
    # whatever the order of the clusters
    turned = replace(one, cores="1xCortex-A76@2+1xCortex-A76@3")
    assert worse(turned, one) == pytest.approx(1.0)
    # one on a slower core, another on a faster: the two that are used count, in their order
    mixed = replace(both, cores="1xCortex-X1@3+1xCortex-A76@1.6+2xCortex-A55@1.8")
    assert worse(mixed) == pytest.approx(2 / 1.6)


@pytest.mark.parametrize(
    "other",
    [
        replace(PHONE, cores="2xCortex-A73@3+2xCortex-A53@1.8"),
        replace(PHONE, cores="2xFirestorm@3+4xIcestorm@2"),
        replace(PHONE, cores="2xExynos-M4@3+2xCortex-A55@1.8"),
        replace(PHONE, cores="1xCortex-A76@3"),
        replace(PHONE, old=True),
        replace(PHONE, target=full_target("a/cpu/ncnn/float/t1@big")),
        replace(PHONE, target=full_target("a/cpu/ncnn/int8/t2@big")),
        replace(PHONE, target=full_target("a/cpu/mnn/fp32/t2@big")),
    ],
)
def test_what_lacks_something_is_not_bounded(other: MeasuredSheet) -> None:
    assert worse(other) in (None, math.inf)


def test_new_versions_are_bounded_by_old_ones_and_unknown_threads_by_nothing() -> None:
    assert worse(PHONE, replace(PHONE, old=True)) == 1.0
    unknown = replace(PHONE, target=full_target("a/cpu/mnn/fp32"))
    assert worse(replace(unknown, target=full_target("b/cpu/mnn/fp32")), unknown) is None


def test_gpus_wait_for_launches_that_no_sheet_tells() -> None:
    assert worse(replace(GPU, gflops=2000.0, memory_gbs=40.0), GPU) == 1.0
    assert worse(replace(GPU, gflops=850.0), GPU) == pytest.approx(900 / 850)
    assert worse(replace(GPU, gpu="Adreno 740"), GPU) == 1.0
    assert worse(GPU, replace(GPU, gpu="Adreno 740")) == math.inf
    assert worse(replace(GPU, gpu="Mali-G78"), GPU) is None


def test_the_least_bound_counts_and_only_of_what_is_near() -> None:
    slow, fast = PHONE, replace(PHONE, log_ms=2.5)
    assert Bounds.of([slow, fast]).most([replace(PHONE, chip="b")]).tolist() == [2.5]
    near = replace(PHONE, memory_gbs=20.0 * math.exp(-0.9 * FARTHEST_LOG))
    far = replace(PHONE, memory_gbs=20.0 * math.exp(-1.1 * FARTHEST_LOG))
    assert Bounds.of([PHONE]).most([near, far]) == pytest.approx([3.09, math.inf])
    # laptops and servers do not heat up
    assert Bounds.of([replace(PHONE, kind="laptop")]).most([PHONE]).tolist() == [math.inf]


def test_a_chip_that_was_measured_itself_is_bounded_by_itself_alone() -> None:
    own, other = replace(PHONE, chip="own"), replace(PHONE, chip="other", log_ms=2.5)
    asked = [replace(PHONE, chip=name) for name in ("own", "other", "new")]
    assert Bounds.of([own, other]).most(asked).tolist() == [3.0, 2.5, 2.5]
    # measured in another line, which says nothing of this one
    gpu = replace(GPU, chip="new")
    assert Bounds.of([own, other, gpu]).most(asked).tolist() == [3.0, 2.5, 2.5]


def test_no_sheet_is_slower_than_a_measured_one_that_it_is_as_good_as() -> None:
    """A Galaxy S24 Ultra and an S25 took longer by their sheets than a measured S23."""
    known = [k for k in shipped_sheets().known if k.kind in COMPARED_KINDS]
    lines: dict[object, list[MeasuredSheet]] = {}
    for k in known:
        lines.setdefault(standing(k).line, []).append(k)
    named = [(chip, chip.slug) for chip in chips().values()]
    compared = 0
    for (chip, _), profile in zip(named, profiles_of_chips(named, usual=True), strict=True):
        for made in profile.targets:
            if not made.provenance.source.startswith(SHEET_MARK) or made.target.unit == "npu":
                continue
            mine = standing(sheet_of_chip(chip, made.target))
            model = made.model
            said = model.shape.log_ms + model.log_factor  # type: ignore[union-attr]
            theirs = lines.get(mine.line, [])
            if silicon(chip) in {k.chip for k in theirs}:
                continue
            for k in theirs:
                other = standing(k)
                pairs = zip(mine.has + mine.speeds, other.has + other.speeds, strict=True)
                if all(a >= b for a, b in pairs):
                    compared += 1
                    assert said <= k.log_ms + math.log(1.02), f"{made.target}, {k.target}"
    assert compared > 1000
