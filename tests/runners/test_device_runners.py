"""Runners of attached devices, against programs that replay the real tools' formats."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from perfmodel.errors import RunnerError
from perfmodel.runners.adb import AdbRunner
from perfmodel.runners.onnxruntime_host import OnnxRuntimeRunner
from perfmodel.runners.remote import rows_of, run_program, safe_name
from perfmodel.runners.runner import Job
from perfmodel.runners.ssh_trtexec import SshTrtexecRunner, parse_host

HERE = Path(__file__).parent


def program(folder: Path, script: str) -> str:
    """An executable that runs one of our stand-ins."""
    path = folder / script.removesuffix(".py")
    run = f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE / script))}"
    path.write_text(f'#!/bin/sh\nexec {run} "$@"\n')
    path.chmod(0o755)
    return str(path)


Phone = Callable[..., AdbRunner]


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    tool = tmp_path / "benchmark_model"
    tool.write_bytes(b"\x7fELF")
    monkeypatch.setenv("FAKE_ADB_CALLS", str(tmp_path / "calls"))

    def attach(scenario: str = "", **options: object) -> AdbRunner:
        monkeypatch.setenv("FAKE_ADB_SCENARIO", scenario)
        return AdbRunner(tool, adb=program(tmp_path, "fake_adb.py"), **options)  # type: ignore[arg-type]

    return attach


@pytest.fixture
def job(tmp_path: Path) -> Job:
    model = tmp_path / "mobilenet_v1_1.0_224.tflite"
    model.write_bytes(b"TFL3")
    return Job("mobilenet_v1", model, threads=4)


def test_a_phone_gives_canonical_rows(phone: Phone, job: Job, tmp_path: Path) -> None:
    runner = phone(cores="f0")
    assert runner.describe().facts["phone"] == "Pixel 6"
    table = rows_of([runner.measure(job)], tmp_path / "logs", "my-pixel-6")
    row = table.networks.frame.iloc[0]
    assert row["device"] == "my-pixel-6"
    assert row["latency_ms"] == pytest.approx(57.0104)
    assert row["threads"] == 4


def test_the_tool_of_litert_2_gives_rows_of_its_block_of_results(
    phone: Phone, job: Job, tmp_path: Path
) -> None:
    table = rows_of([phone("litert2").measure(job)], tmp_path / "logs", "my-phone")
    rows = table.networks.frame.set_index("kind")
    # the median in whole microseconds, and initialisation plus the first run
    assert rows.loc["steady", "latency_ms"] == pytest.approx(11.904)
    assert rows.loc["first", "latency_ms"] == pytest.approx(12.42 + 14.88)
    assert (rows.loc["steady", "unit"], rows.loc["steady", "threads"]) == ("cpu", 4)
    on_gpu = phone("litert2", delegate="gpu").measure(job)
    fast = rows_of([on_gpu], tmp_path / "more", "my-phone").networks.frame
    assert set(fast["unit"]) == {"gpu"}


def test_a_delegate_that_the_tool_ignores_is_no_measurement_of_it(phone: Phone, job: Job) -> None:
    with pytest.raises(RunnerError, match="knows no nnapi delegate: mobilenet_v1 ran on the CPU"):
        phone("litert2", delegate="nnapi").measure(job)


def test_affinity_and_threads_reach_the_phone(phone: Phone, job: Job, tmp_path: Path) -> None:
    phone(cores="f0").measure(job)
    calls = (tmp_path / "calls").read_text().splitlines()
    ran = next(c for c in calls if "--graph=" in c)
    assert "taskset f0" in ran
    assert "--num_threads=4" in ran


def test_names_are_quoted_for_the_phones_shell(phone: Phone, tmp_path: Path) -> None:
    model = tmp_path / "a; rm -rf $HOME `x`.tflite"
    model.write_bytes(b"TFL3")
    phone().measure(Job("m", model))
    ran = next(c for c in (tmp_path / "calls").read_text().splitlines() if "--graph=" in c)
    assert not set(ran.split("shell\x1f")[1]) & set(";$`")


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("none", "no phone is attached"),
        ("two", "2 phones are attached"),
        ("unauthorized", "has not authorised"),
        ("offline", "is offline"),
        ("push_denied", "Permission denied"),
    ],
)
def test_a_phone_that_is_not_there_is_one_line(phone: Phone, scenario: str, words: str) -> None:
    with pytest.raises(RunnerError, match=words) as error:
        phone(scenario)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("exec_denied", "Permission denied"),
        ("disconnect", "not found"),
        ("delegate_refuses", "Benchmarking failed"),
    ],
)
def test_a_measurement_that_breaks_off_says_why(
    phone: Phone, job: Job, scenario: str, words: str
) -> None:
    runner = phone(scenario)
    with pytest.raises(RunnerError, match=words):
        runner.measure(job)


def test_heat_and_partial_delegation_are_warned_about(phone: Phone, job: Job) -> None:
    assert phone().measure(job).warnings == ()
    (hot,) = phone("throttling").measure(job).warnings
    assert "throttles" in hot
    (split,) = phone(delegate="gpu").measure(job).warnings
    assert "5 fall back to the CPU" in split


def test_one_of_two_phones_can_be_chosen(phone: Phone, job: Job) -> None:
    assert phone("two", serial="R58M123").measure(job).key == "mobilenet_v1"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(RunnerError, match="adb-that-is-not-here is not installed"):
        AdbRunner(None, adb="adb-that-is-not-here")


@pytest.fixture
def jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SshTrtexecRunner]:
    monkeypatch.setenv("FAKE_SSH_CALLS", str(tmp_path / "calls"))
    fake = program(tmp_path, "fake_ssh.py")

    def reach(scenario: str = "", **options: object) -> SshTrtexecRunner:
        monkeypatch.setenv("FAKE_SSH_SCENARIO", scenario)
        return SshTrtexecRunner("jetson", ssh=fake, scp=fake, **options)  # type: ignore[arg-type]

    return reach


def test_a_jetson_gives_canonical_rows(
    jetson: Callable[..., SshTrtexecRunner], tmp_path: Path
) -> None:
    model = tmp_path / "googlenet.onnx"
    model.write_bytes(b"onnx")
    runner = jetson()
    facts = runner.describe().facts
    assert facts["board"] == "NVIDIA Jetson AGX Xavier"
    log = runner.measure(Job("googlenet", model, precision="fp16"))
    assert log.facts["power_mode"] == "MAXN"
    table = rows_of([log], tmp_path / "logs", "my-xavier")
    assert set(table.networks.frame["latency_ms"].round(2)) == {1.93}
    assert "--fp16" in (tmp_path / "calls").read_text()


@pytest.mark.parametrize(
    ("scenario", "words"), [("unreachable", "cannot be reached"), ("no_trtexec", "no trtexec")]
)
def test_a_jetson_that_does_not_answer_is_one_line(
    jetson: Callable[..., SshTrtexecRunner], scenario: str, words: str
) -> None:
    with pytest.raises(RunnerError, match=words) as error:
        jetson(scenario)
    assert "\n" not in str(error.value)


def test_an_operator_tensorrt_does_not_know_is_named(
    jetson: Callable[..., SshTrtexecRunner], tmp_path: Path
) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"onnx")
    runner = jetson("parse_error")
    with pytest.raises(RunnerError, match="no importer for NonZero"):
        runner.measure(Job("m", model))


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "", "h;x"])
def test_hosts_that_are_options_or_commands_are_refused(host: str) -> None:
    with pytest.raises(RunnerError, match="host"):
        SshTrtexecRunner(host)
    with pytest.raises(RunnerError):
        parse_host(host)


def test_a_program_that_hangs_is_stopped() -> None:
    with pytest.raises(RunnerError, match="did not finish"):
        run_program(["sleep", "5"], timeout_s=0.2)


def test_device_file_names_are_harmless() -> None:
    assert safe_name("a b/../c;d") == "a_b_.._c_d"


def test_onnxruntime_times_a_network_and_its_nodes(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, numbers = onnx.helper, onnx.TensorProto
    weights = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1]),
            helper.make_node("MaxPool", ["y"], ["z"], kernel_shape=[2, 2], strides=[2, 2]),
        ],
        "two",
        [helper.make_tensor_value_info("x", numbers.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("z", numbers.FLOAT, ["batch", 8, 16, 16])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "two.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path
    )
    prepared = OnnxRuntimeRunner().prepare(Job("two", path))
    result = prepared.run_set(5, 2)
    prepared.close()
    assert len(result.runs_ms) == 5
    assert len(result.warmup_ms) == 2
    assert all(ms > 0 for ms in result.runs_ms)
    # a node without a name goes by what it makes
    assert "y" in {key.partition(" ")[2] for key in result.per_op_us}


def test_onnxruntime_says_why_a_file_cannot_run(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"nothing")
    runner = OnnxRuntimeRunner()
    with pytest.raises(RunnerError, match="cannot load"):
        runner.prepare(Job("bad", path))
