"""Published tables of whole networks: which rows belong together, and facts of chips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.network_correction import NetworkCorrection
from perfmodel.cost_models.width_by_kind import WidthByKind
from perfmodel.cost_models.work_features import FEATURE_NAMES, FEATURE_PARTS
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.devices.profile import Provenance, TargetProfile
from perfmodel.target import Target
from perfmodel.workload import workload
from validation.data.published_networks import anchor_rows, family_of_spec, published_rows
from validation.data.published_sources import (
    FILES,
    TWICE,
    WHOLE_PIPELINE,
    network_family,
    network_spec,
    other_kind,
    steady_ms,
)
from validation.data.soc_facts import facts_of, soc_facts
from validation.data.yolo11 import yolo11
from validation.profiles.common import BuiltTarget, DeviceInfo
from validation.profiles.sheet_twins import in_integers, sheet_twins


def test_detectors_are_left_out_with_their_backbone() -> None:
    assert family_of_spec("ssd_mobilenet_v1") == family_of_spec("mobilenet_v1@width=0.5")
    assert family_of_spec("resnet50") == family_of_spec("resnet101_v2")


def test_every_published_row_is_used_or_counted(data_dir: Path) -> None:
    rows, left = published_rows(data_dir)
    total = 0
    for name in FILES:
        with open(data_dir / name, encoding="utf-8") as file:
            total += sum(1 for _ in file) - 1
    assert len(rows) + sum(left.values()) == total
    assert not any(r.model.startswith("inception_resnet_v2") for r in rows)
    # a demo's frame rate bounds the network's time, whatever board it ran on
    assert {r.at_most for r in rows if "tensorrt_demos" in r.source} == {True}


@pytest.mark.data
def test_layers_of_one_engine_are_one_network(data_dir: Path) -> None:
    """84 layers of GoogLeNet on the AGX Xavier; trtexec says 1.959 ms for all of it (data notes)"""
    (row,) = [r for r in anchor_rows(data_dir) if r.model == "googlenet"]
    assert str(row.target) == "jetson-agx-xavier/gpu/tensorrt/fp16"
    assert row.latency_ms == pytest.approx(1.935, abs=0.001)
    assert row.anchor
    assert row.family == family_of_spec("googlenet")


def test_only_the_time_of_a_network_alone_is_steady() -> None:
    row = {"source": "docs", "note": "docs version 0.3.x", "unit": "cpu", "framework": "x"}
    assert other_kind(row, "executorch_phones.csv") == WHOLE_PIPELINE
    assert not other_kind(row, "published_e2e.csv")
    alone = row | {"note": "docs version current; native forward only, no pre/post"}
    assert not other_kind(alone, "executorch_phones.csv")
    share = row | {"note": "whole pipeline; ExecuTorch share mean 3.50 ms", "latency_ms": 4.34}
    assert not other_kind(share, "executorch_phones.csv")
    assert steady_ms(share) == 3.5
    assert steady_ms(alone | {"latency_ms": 70.0}) == 70.0
    twice = row | {"source": "mlcommons/mobile_results_v4.0@1"}
    assert other_kind(twice, "mlperf_mobile.csv") == TWICE
    assert not other_kind(twice, "published_e2e.csv")
    ncnn = row | {"source": "ultralytics/ultralytics@1", "framework": "ncnn"}
    assert "ncnn" in other_kind(ncnn, "published_more.csv")
    assert not other_kind(ncnn | {"framework": "mnn"}, "published_more.csv")


def test_published_names_find_their_network() -> None:
    assert network_spec("x", "ResNet", "open-mmlab/mmdeploy@1") == "resnet50"
    assert network_spec("x", "ResNet", "somebody") is None
    # mmdeploy's segmenter is another network than the zoo's of that name
    assert network_spec("deeplab_v3plus", "DeepLabV3+", "open-mmlab/mmdeploy") is None
    assert network_spec("mobilenet_v2", "x", "") == "mobilenet_v2"
    assert network_spec("x", "yolo11s", "") == "yolo11@size=s"
    assert network_spec("x", "EFFICIENTNET_V2_S", "") == "torchvision:efficientnet_v2_s"
    assert network_spec("x", "fastvit_t8", "") == "timm:fastvit_t8"
    assert network_family("yolo11@size=x") == network_family("yolo11") == "yolo11"
    assert network_family("timm:seresnet50") == "seresnet"


@pytest.mark.parametrize(
    ("name", "parameters_m", "gflops"),
    # the model card of YOLO11, detection at 640 pixels
    [("yolo11n", 2.6, 6.5), ("yolo11s", 9.4, 21.5), ("yolo11m", 20.1, 68.0)],
)
def test_yolo11_is_the_published_network(name: str, parameters_m: float, gflops: float) -> None:
    work = workload(yolo11(name), "tensorrt")
    assert work.params == pytest.approx(parameters_m * 1e6, rel=0.02)
    assert 2 * work.macs == pytest.approx(gflops * 1e9, rel=0.01)


def test_chips_are_found_by_name_and_by_phone(data_dir: Path) -> None:
    facts = soc_facts(data_dir)
    found = facts_of("pixel-3", "Snapdragon 845", facts)
    assert found is not None
    assert found.hardware["gpu_fp32_gflops"].value == 737
    assert facts_of("pixel-4", "", facts) == facts_of("x", "Snapdragon 855", facts)
    assert facts_of("no-such-device", "", facts) is None


def test_a_board_timed_in_half_precision_runs_integers_as_others_do() -> None:
    def timed(device: str, precision: str, log_cost: float) -> BuiltTarget:
        model = EfficiencyPredictor(
            log_cost=(log_cost,) * len(FEATURE_NAMES),
            correction=NetworkCorrection(
                anchors=np.zeros((1, len(FEATURE_NAMES))), misfits=np.zeros(1)
            ),
            strange=WidthByKind(log_by_risk=(0.5,) * 12, least_log=0.1, known_log=0.1),
        )
        profile = TargetProfile(
            Target(device, "gpu", "tensorrt", precision),
            "steady",
            model,
            Interval(0.9, 0.1, 0.1),
            FitError("e", 9, 0.1),
            Provenance("s", 29),
        )
        return BuiltTarget(DeviceInfo(device, "X", "jetson"), profile)

    half = timed("jetson-agx-xavier", "fp16", 2.0)
    both = [timed("a", "fp16", 1.0), timed("a", "int8", 0.5), timed("b", "int8", 9.0)]
    (made,) = in_integers([half, *both], 2.0)
    assert str(made.profile.target) == "jetson-agx-xavier/gpu/tensorrt/int8"
    model = made.profile.predictor
    assert isinstance(model, EfficiencyPredictor)
    assert model.precision == "int8"
    assert model.log_cost == pytest.approx((1.5,) * len(FEATURE_NAMES))
    # networks of half precision are known as well as boards are alike, and strange ones less
    assert made.profile.interval.low_log == made.profile.interval.high_log == 0.38
    wider = WidthByKind(log_by_risk=(1.0,) * 12, least_log=0.2, known_log=0.38)
    assert model.strange == wider
    assert "what int8 saves on a" in made.profile.provenance.source
    # the other board of its kind is slower by the data sheets, and no wider again
    nx = [t for t in sheet_twins([half, *both], 2.0) if t.profile.target.device != half.info.device]
    assert {str(t.profile.target) for t in nx} == {
        "jetson-xavier-nx/gpu/tensorrt/fp16",
        "jetson-xavier-nx/gpu/tensorrt/int8",
    }
    assert [t.profile.interval.low_log for t in nx] == pytest.approx([0.38, 0.66])
    assert nx[1].profile.predictor.strange == replace(wider, known_log=0.66)


def test_a_board_of_demos_alone_is_its_measured_twin_by_the_data_sheets() -> None:
    model = EfficiencyPredictor(
        log_cost=(0.0,) * len(FEATURE_NAMES),
        strange=WidthByKind(log_by_risk=(0.5,) * 12, least_log=0.1, known_log=0.2),
    )
    known = TargetProfile(
        Target("jetson-agx-xavier", "gpu", "tensorrt", "fp16"),
        "steady",
        model,
        Interval(0.9, 0.2, 0.2),
        FitError("e", 9, 0.1),
        Provenance("s", 29),
    )
    other = replace(known, target=replace(known.target, framework="pytorch"))
    info = DeviceInfo("jetson-agx-xavier", "X", "jetson")
    (made,) = sheet_twins([BuiltTarget(info, known), BuiltTarget(info, other)], 1.5)
    assert str(made.profile.target) == "jetson-xavier-nx/gpu/tensorrt/fp16"
    slower = dict(zip(FEATURE_PARTS, np.exp(made.profile.predictor.log_cost), strict=True))
    # data sheets: 11.3 and 6.8 TFLOP/s in fp16, 136.5 and 59.7 GB/s
    assert slower == {
        "compute": pytest.approx(11.3 / 6.8),
        "memory": pytest.approx(136.5 / 59.7),
        "overhead": pytest.approx(1.0),
    }
    # what was measured there is as unsure as sheets are; the rest wider by the factor
    assert made.profile.interval.low_log == made.profile.interval.high_log == 0.48
    wider = WidthByKind(log_by_risk=(0.75,) * 12, least_log=0.15000000000000002, known_log=0.48)
    assert made.profile.predictor.strange == wider
    assert made.profile.provenance.measurements == 0
