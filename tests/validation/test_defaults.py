"""The target that answers where only a device is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.network_correction import NetworkCorrection
from perfmodel.cost_models.roofline import RooflinePredictor
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile
from perfmodel.devices.registry import ProfileFolder, list_targets
from perfmodel.measurements.device_names import device_called
from perfmodel.target import Target
from validation.profiles import defaults
from validation.profiles.defaults import DefaultSaid, in_order, said_of

FAST, SLOW = 1e12, 1e11

BATCHES_ALONE = ("rtx-3090", "rtx-4090", "rtx-5090", "gtx-1080", "rtx-2080", "rtx-3060-ti")
"""Cards that were measured with hundreds of inputs at once, with convolutional networks alone or in
a phone's framework: what they know says nothing of one image, of a transformer, or of PyTorch."""

SAME_CHIP = "jetson-orin-nano"
"""The board that TensorRT was measured on with more power and higher clocks (Super)."""


def made(
    name: str, flops_per_s: float, measurements: int = 20, width: float = 0.3
) -> TargetProfile:
    unit, framework, precision = name.split("/")
    template = ProfileFolder().resolve("titan-v/gpu/cudnn/fp32").target
    assert isinstance(template.predictor, RooflinePredictor)
    model = replace(
        template.predictor, fp32_flops_per_s=flops_per_s, matrix_flops_per_s=flops_per_s
    )
    return TargetProfile(
        Target("d", unit, framework, precision),
        "steady",
        model,
        Interval(0.9, width, width),
        FitError("e", 9, 0.1),
        Provenance("s", measurements),
    )


def first(kind: str, *targets: TargetProfile) -> str:
    return str(in_order(DeviceProfile("d", "D", kind, targets))[0].target).removeprefix("d/")


def test_a_phone_answers_by_its_fastest_measured_unit() -> None:
    cpu, gpu = made("cpu/tflite/fp32", SLOW), made("gpu/tflite/fp16", FAST)
    assert first("phone", cpu, gpu) == "gpu/tflite/fp16"
    assert first("server", cpu, gpu) == "cpu/tflite/fp32"
    assert first("phone", cpu, made("gpu/tflite/fp16", FAST, 2)) == "cpu/tflite/fp32"
    assert first("phone", cpu, made("gpu/tflite/fp16", FAST, 0)) == "cpu/tflite/fp32"
    assert first("phone", cpu, made("gpu/tflite/fp16", FAST, width=1.2)) == "cpu/tflite/fp32"
    assert first("phone", cpu, made("nnapi/tflite/fp32", FAST)) == "cpu/tflite/fp32"
    assert first("phone", cpu, made("npu/qnn/int8", FAST)) == "cpu/tflite/fp32"


def test_a_unit_that_knows_other_networks_alone_does_not_lead() -> None:
    """Its interval is narrow for what it ran, and wide for the networks that people know."""
    cpu, gpu = made("cpu/tflite/fp32", SLOW), made("gpu/tflite/fp16", FAST)
    gpu = replace(gpu, interval=replace(gpu.interval, novelty_slope=0.0))
    correction = NetworkCorrection(anchors=np.zeros((1, len(FEATURE_NAMES))), misfits=np.zeros(1))
    model = EfficiencyPredictor(log_cost=(-9.0,) * len(FEATURE_NAMES), correction=correction)
    assert first("phone", cpu, replace(gpu, model=model)) == "gpu/tflite/fp16"
    strange = replace(model, correction=replace(correction, strange_log=1.0))
    assert first("phone", cpu, replace(gpu, model=strange)) == "cpu/tflite/fp32"


def test_a_server_answers_by_what_was_measured() -> None:
    sheet, known = made("gpu/cudnn/fp32", FAST, 0), made("gpu/pytorch/fp16", SLOW)
    assert first("server", sheet, known) == "gpu/pytorch/fp16"
    # an int8 target comes after: quantised networks look for the first of its kind
    assert first("server", made("gpu/cudnn/int8", FAST), known) == "gpu/pytorch/fp16"
    assert first("server", made("gpu/cudnn/int8", FAST), sheet) == "gpu/cudnn/fp32"


def test_a_card_answers_by_what_knows_most_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutional networks in a framework of 2016 say nothing of a transformer."""
    sheet, known = made("gpu/pytorch/fp32", SLOW, 0), made("gpu/torch7-nn/fp32", FAST)
    assert first("desktop", sheet, known) == "gpu/torch7-nn/fp32"
    unknown = {"torch7-nn": 1, "pytorch": 0, "ncnn": 0}

    def said(profile: DeviceProfile) -> dict[int, DefaultSaid]:
        return {
            id(t): DefaultSaid(latency_ms=1.0, unknown=unknown[t.target.framework])
            for t in profile.targets
        }

    monkeypatch.setattr(defaults, "said_of", said)
    assert first("desktop", known, sheet) == "gpu/pytorch/fp32"
    assert first("phone", known, sheet) == "gpu/torch7-nn/fp32"
    unknown["pytorch"] = 1
    assert first("desktop", sheet, known) == "gpu/torch7-nn/fp32"
    # hardly anybody runs ncnn on a card, but it is all that a CPU may have
    unknown["pytorch"] = 0
    ncnn, cpu = made("gpu/ncnn/float", FAST), made("cpu/ncnn/float", FAST)
    assert first("desktop", ncnn, sheet) == "gpu/pytorch/fp32"
    assert first("desktop", sheet, cpu) == "cpu/ncnn/float"
    unknown["pytorch"] = 1
    assert first("desktop", sheet, ncnn) == "gpu/ncnn/float"


def test_what_cards_are_compared_by_holds_a_transformer() -> None:
    one = made("gpu/cudnn/fp32", FAST)
    model = EfficiencyPredictor(
        log_cost=(-9.0,) * len(FEATURE_NAMES),
        correction=NetworkCorrection(
            anchors=np.zeros((1, len(FEATURE_NAMES))), misfits=np.zeros(1), strange_log=9.0
        ),
    )
    targets = (one, replace(one, model=model, target=replace(one.target, framework="x")))
    for kind, networks in (("phone", 2), ("server", 3)):
        profile = DeviceProfile("d", "D", kind, targets)
        assert [said_of(profile)[id(t)].unknown for t in targets] == [0, networks]


def test_a_jetson_answers_by_tensorrt_in_half_precision() -> None:
    fast = made("gpu/ncnn/float", FAST)
    assert first("jetson", fast, made("gpu/tensorrt/fp16", SLOW)) == "gpu/tensorrt/fp16"
    assert first("jetson", fast, made("gpu/tensorrt/fp16", SLOW, width=2.0)) == "gpu/tensorrt/fp16"
    assert first("jetson", fast, made("gpu/tensorrt/fp32", SLOW)) == "gpu/ncnn/float"
    # by the measured board of its kind, unless that says nothing
    assert first("jetson", fast, made("gpu/tensorrt/fp16", SLOW, 0)) == "gpu/tensorrt/fp16"
    blind = made("gpu/tensorrt/fp16", SLOW, 0, width=2.0)
    assert first("jetson", fast, blind) == "gpu/ncnn/float"


def test_no_shipped_device_leads_with_a_data_sheet_where_it_was_measured() -> None:
    for name in ProfileFolder().paths():
        targets = ProfileFolder().profile(name).targets
        if any(t.provenance.measurements for t in targets):
            alone = name in (*BATCHES_ALONE, SAME_CHIP)
            assert (targets[0].provenance.measurements == 0) == alone, name


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("exynos-2200-phone", "exynos-2200"),
        ("nvidia-geforce-rtx-3090", "rtx-3090"),
        ("p40", "huawei-p40"),
        ("raspberry-pi-4", "raspberry-pi-4b"),
        ("Raspberry Pi 4", "raspberry-pi-4b"),
        ("tesla-v100-pcie-32gb", "tesla-v100"),
    ],
)
def test_another_name_of_a_device_answers(old: str, new: str) -> None:
    folder = ProfileFolder()
    assert folder.resolve(f"{old}/gpu" if "rtx" in old else old).device.device == new
    assert folder.file_of(old) == folder.file_of(new)


def test_no_two_profiles_are_of_one_device() -> None:
    names = sorted({line.device for line in list_targets()})
    assert [n for n in names if device_called(n) != n] == []
