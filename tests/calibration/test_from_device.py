"""From an attached device to a prediction, against stand-ins that replay the tools' formats."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perfmodel.calibration.from_device import DeviceRequest, calibrate_device_over
from perfmodel.devices.profile import write_profile
from perfmodel.errors import MeasurementError, RunnerError
from perfmodel.prediction import predict
from perfmodel.runners.device_options import DeviceOptions
from tests.runners.test_device_runners import program

TIMES_US = {"mobilenet_v1": 40_000.0, "resnet18": 120_000.0, "squeezenet_1_1": 26_000.0}
MODELS = tuple(TIMES_US)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DeviceRequest]:
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(b"\x7fELF")
    monkeypatch.setenv("FAKE_ADB_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FAKE_ADB_MEAN_US", json.dumps(TIMES_US))
    options = DeviceOptions(benchmark_model=tool, adb=program(tmp_path, "fake_adb.py"))

    def request(scenario: str = "", **more: object) -> DeviceRequest:
        monkeypatch.setenv("FAKE_ADB_SCENARIO", scenario)
        own = DeviceRequest(
            device="my-phone",
            journal=tmp_path / "phone.jsonl",
            budget_s=60.0,
            models=MODELS,
            options=options,
            log=lambda line: None,
        )
        return dataclasses.replace(own, **more)  # type: ignore[arg-type]

    return request


def runs_on(tmp_path: Path) -> int:
    """How often benchmark_model was started on the phone."""
    calls = (tmp_path / "calls").read_text().splitlines()
    return sum("--graph=" in call for call in calls)


def test_a_phone_becomes_a_profile_that_predicts(
    phone: Callable[..., DeviceRequest], tmp_path: Path
) -> None:
    done = calibrate_device_over("adb", phone())
    assert done.measured.finished
    assert done.measured.failures == ()
    networks = done.measured.table.networks.frame
    assert dict(zip(networks["model"], networks["latency_ms"], strict=True)) == {
        model: us / 1e3 for model, us in TIMES_US.items()
    }
    profile = done.calibration.device
    assert (profile.device, profile.kind, profile.title) == ("my-phone", "phone", "Pixel 6")
    assert [str(t.target) for t in profile.targets] == ["my-phone/cpu/tflite/fp32/t4"]
    assert profile.targets[0].provenance.measurements == 3
    path = tmp_path / "p.json"
    write_profile(profile, path)
    seen = predict("resnet18", "my-phone/cpu", profiles=[path])
    assert seen.latency_ms == pytest.approx(120, rel=0.35)
    slower = predict("resnet50", "my-phone/cpu", profiles=[path])
    assert slower.latency_ms > seen.latency_ms
    # the tool's own words are kept, one file a network
    assert len(done.measured.files) == 3
    assert all("nference timings" in f.read_text() for f in done.measured.files)


def test_the_same_call_measures_only_what_is_missing(
    phone: Callable[..., DeviceRequest], tmp_path: Path
) -> None:
    first = calibrate_device_over("adb", phone(models=MODELS[:2]))
    assert runs_on(tmp_path) == 2
    again = calibrate_device_over("adb", phone())
    assert runs_on(tmp_path) == 3
    assert set(again.measured.table.values("model")) == set(MODELS)
    assert set(first.measured.table.values("model")) == set(MODELS[:2])


def test_a_raw_log_that_is_gone_is_measured_again(
    phone: Callable[..., DeviceRequest], tmp_path: Path
) -> None:
    done = calibrate_device_over("adb", phone())
    done.measured.files[1].unlink()
    calibrate_device_over("adb", phone())
    assert runs_on(tmp_path) == 4


def test_a_journal_of_another_device_is_refused(phone: Callable[..., DeviceRequest]) -> None:
    calibrate_device_over("adb", phone())
    with pytest.raises(MeasurementError, match="another campaign"):
        calibrate_device_over("adb", phone(device="other-phone"))


def test_a_spent_budget_is_said_and_what_there_is_is_used(
    phone: Callable[..., DeviceRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfmodel.runners import remote

    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(remote.time, "monotonic", lambda: float(next(clock)))
    # the clock is asked once at the start and three times a network: at 10, at 40 and at 70 s
    done = calibrate_device_over("adb", phone(budget_s=40.0))
    assert not done.measured.finished
    assert set(done.measured.table.values("model")) == {"mobilenet_v1"}
    # the first network took 10 s, and a later call counts them
    monkeypatch.setattr(remote.time, "monotonic", lambda: 0.0)
    again = calibrate_device_over("adb", phone(budget_s=5.0))
    assert set(again.measured.table.values("model")) == {"mobilenet_v1"}
    with pytest.raises(RunnerError, match="budget was spent before the first network"):
        calibrate_device_over("adb", phone(budget_s=0.0, models=("resnet18",)))


@pytest.mark.parametrize("scenario", ["none", "unauthorized", "offline"])
def test_without_a_phone_it_is_one_line_and_leaves_nothing(
    phone: Callable[..., DeviceRequest], scenario: str
) -> None:
    request = phone(scenario)
    with pytest.raises(RunnerError) as error:
        calibrate_device_over("adb", request)
    assert error.value.hint
    assert "\n" not in str(error.value)
    assert not request.journal.exists()


def test_a_phone_that_gives_no_times_says_why_and_leaves_nothing(
    phone: Callable[..., DeviceRequest],
) -> None:
    request = phone("exec_denied")
    with pytest.raises(RunnerError, match=r"nothing was measured.*Permission denied"):
        calibrate_device_over("adb", request)
    assert not request.journal.exists()


def test_the_gpu_of_a_phone_is_a_target_of_its_own(phone: Callable[..., DeviceRequest]) -> None:
    request = phone()
    both = dataclasses.replace(request.options, delegates=("", "gpu"))
    done = calibrate_device_over("adb", dataclasses.replace(request, options=both))
    assert {str(t.target) for t in done.calibration.device.targets} == {
        "my-phone/cpu/tflite/fp32/t4",
        "my-phone/gpu/tflite/fp16",
    }
    assert any("fall back to the CPU" in w for w in done.measured.warnings)


def test_networks_are_suggested_where_none_is_named(
    phone: Callable[..., DeviceRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfmodel.calibration import from_device

    asked = []
    monkeypatch.setattr(from_device, "_suggested", lambda t: asked.append(t) or MODELS[:1])
    done = calibrate_device_over("adb", phone(models=()))
    assert asked == ["my-phone/cpu/tflite"]
    assert set(done.measured.table.values("model")) == {"mobilenet_v1"}


@pytest.mark.parametrize("device", ["My Phone", "../x", ""])
def test_a_name_that_is_none_is_refused_before_anything_runs(
    phone: Callable[..., DeviceRequest], tmp_path: Path, device: str
) -> None:
    with pytest.raises(MeasurementError, match="no device name"):
        calibrate_device_over("adb", phone(device=device))
    assert not (tmp_path / "calls").exists()


def test_an_unknown_runner_names_the_known_ones(phone: Callable[..., DeviceRequest]) -> None:
    with pytest.raises(RunnerError, match="no such runner") as error:
        calibrate_device_over("serial:COM1", phone())
    assert error.value.hint == "runners: adb, ssh, cuda"


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DeviceRequest]:
    monkeypatch.setenv("FAKE_SSH_CALLS", str(tmp_path / "calls"))
    fake = program(tmp_path, "fake_ssh.py")

    def request(scenario: str = "", models: tuple[str, ...] = ()) -> DeviceRequest:
        monkeypatch.setenv("FAKE_SSH_SCENARIO", scenario)
        return DeviceRequest(
            device="my-xavier",
            journal=tmp_path / "board.jsonl",
            budget_s=60.0,
            models=models,
            options=DeviceOptions(ssh=fake, scp=fake),
            log=lambda line: None,
        )

    return request


def onnx_file(folder: Path) -> Path:
    """One convolution of 8 filters over 32 x 32 pixels."""
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    weights = onnx.numpy_helper.from_array(np.ones((8, 3, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "one",
        [helper.make_tensor_value_info("x", floats, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", floats, [1, 8, 32, 32])],
        [weights],
    )
    path = folder / "one.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def test_a_board_becomes_a_profile_with_a_target_for_each_precision(
    board: Callable[..., DeviceRequest], tmp_path: Path
) -> None:
    file = onnx_file(tmp_path)
    done = calibrate_device_over("ssh:jetson", board(models=(str(file),)))
    profile = done.calibration.device
    assert (profile.kind, profile.title) == ("jetson", "NVIDIA Jetson AGX Xavier")
    assert {str(t.target) for t in profile.targets} == {
        "my-xavier/gpu/tensorrt/fp16",
        "my-xavier/gpu/tensorrt/fp32",
    }
    ran = [c for c in (tmp_path / "calls").read_text().splitlines() if "--onnx=" in c]
    assert ["--fp16" in c for c in ran] == [True, False]
    path = tmp_path / "p.json"
    write_profile(profile, path)
    answer = predict(str(file), "my-xavier/gpu/tensorrt/fp16", profiles=[path])
    # trtexec said 1.93 ms
    assert answer.latency_ms == pytest.approx(1.93, rel=0.3)


def test_a_board_without_networks_says_what_to_give(board: Callable[..., DeviceRequest]) -> None:
    with pytest.raises(RunnerError, match="none is named") as error:
        calibrate_device_over("ssh:jetson", board())
    assert "--files" in error.value.hint


def test_a_board_that_does_not_answer_is_one_line(
    board: Callable[..., DeviceRequest], tmp_path: Path
) -> None:
    with pytest.raises(RunnerError, match="cannot be reached") as error:
        calibrate_device_over("ssh:jetson", board("unreachable", (str(tmp_path / "m.onnx"),)))
    assert "\n" not in str(error.value)
