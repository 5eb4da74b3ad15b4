"""Predicted first, then run on an attached device, against stand-ins for its tools."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.calibration.from_device import DeviceRequest, calibrate_device_over
from perfmodel.devices.profile import write_profile
from perfmodel.errors import MeasurementError, ProfileError, RunnerError
from perfmodel.experiments.devices import validate_device
from perfmodel.prediction import predict
from perfmodel.runners.device_options import DeviceOptions
from tests.runners.test_device_runners import program

KNOWN = {"mobilenet_v1": 40_000.0, "resnet18": 120_000.0, "squeezenet_1_1": 26_000.0}
SEEN = {"mobilenet_v2": 30_000.0, "resnet34": 240_000.0}


def requests(folder: Path, patch: pytest.MonkeyPatch) -> Callable[..., DeviceRequest]:
    """What asks a phone that is not there, all of it in a folder."""
    tool = folder / "benchmark_model"
    tool.write_bytes(b"\x7fELF")
    patch.setenv("FAKE_ADB_CALLS", str(folder / "calls"))
    patch.setenv("FAKE_ADB_MEAN_US", json.dumps(KNOWN | SEEN))
    options = DeviceOptions(benchmark_model=tool, adb=program(folder, "fake_adb.py"), threads=2)

    def request(name: str, models: tuple[str, ...], scenario: str = "") -> DeviceRequest:
        patch.setenv("FAKE_ADB_SCENARIO", scenario)
        return DeviceRequest(
            device="my-phone",
            journal=folder / f"{name}.jsonl",
            budget_s=60.0,
            models=models,
            options=options,
            log=lambda line: None,
        )

    return request


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DeviceRequest]:
    return requests(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of the phone, calibrated once."""
    folder = tmp_path_factory.mktemp("calibrated")
    with pytest.MonkeyPatch.context() as patch:
        done = calibrate_device_over("adb", requests(folder, patch)("all", tuple(KNOWN)))
    write_profile(done.calibration.device, folder / "p.json")
    return folder / "p.json"


def test_networks_are_predicted_then_run_and_compared(
    phone: Callable[..., DeviceRequest], profile: Path, tmp_path: Path
) -> None:
    # the request names another device and thread count: the profile's count
    asked = dataclasses.replace(phone("run", tuple(SEEN)), device="other")
    asked = dataclasses.replace(asked, options=dataclasses.replace(asked.options, threads=7))
    done = validate_device("adb", asked, profile=profile)
    assert {c.model: c.measured_ms for c in done.cases} == {"mobilenet_v2": 30, "resnet34": 240}
    for case in done.cases:
        answer = predict(case.model, "my-phone/cpu/tflite/fp32/t2", profiles=[profile])
        assert case.predicted_ms == pytest.approx(answer.latency_ms)
        assert (case.low_ms, case.high_ms) == pytest.approx(answer.interval_ms)
        assert case.target == "my-phone/cpu/tflite/fp32/t2"
    assert done.finished
    assert "--num_threads=2" in (tmp_path / "calls").read_text()
    data = done.to_json()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["experiment"] == "adb"
    assert data["machine"]["phone"] == "Pixel 6"


def test_the_predictions_are_on_disk_before_the_phone_is_asked(
    phone: Callable[..., DeviceRequest], profile: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunnerError, match="no phone"):
        validate_device("adb", phone("run", tuple(SEEN), "none"), profile=profile)
    written = json.loads((tmp_path / "run.predictions.json").read_text())["predictions"]
    assert [row["model"] for row in written] == list(SEEN)
    assert all(row["low_ms"] < row["predicted_ms"] < row["high_ms"] for row in written)
    assert "measured_ms" not in written[0]


def test_a_network_that_cannot_be_predicted_is_left_out_with_its_reason(
    phone: Callable[..., DeviceRequest], profile: Path, tmp_path: Path
) -> None:
    absent = str(tmp_path / "absent.tflite")
    with pytest.raises(MeasurementError, match="no network can be predicted"):
        validate_device("adb", phone("run", (absent,)), profile=profile)
    done = validate_device("adb", phone("more", ("mobilenet_v2", absent)), profile=profile)
    assert [c.model for c in done.cases] == ["mobilenet_v2"]
    assert "absent.tflite" in done.left_out[absent]


def test_a_profile_without_a_target_of_the_runner_is_refused(
    phone: Callable[..., DeviceRequest], profile: Path
) -> None:
    with pytest.raises(ProfileError, match="no tensorrt target") as error:
        validate_device("ssh:jetson", phone("run", tuple(SEEN)), profile=profile)
    assert "calibrate --from ssh:jetson --device my-phone" in error.value.hint


def test_no_network_or_an_unknown_runner_is_an_error(
    phone: Callable[..., DeviceRequest], profile: Path
) -> None:
    with pytest.raises(MeasurementError, match="no network is named"):
        validate_device("adb", phone("run", ()), profile=profile)
    with pytest.raises(MeasurementError, match="no experiment 'usb'"):
        validate_device("usb", phone("run", tuple(SEEN)), profile=profile)
