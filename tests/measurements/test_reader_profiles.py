"""trtexec, ONNX Runtime, AI Hub and MLPerf Mobile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.plausibility import kernel_macs
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable

Sample = Callable[[str], Path]
Changed = Callable[..., Path]


STATED: dict[str, dict[str, str | float]] = {
    "trtexec_times.json": {"unit": "gpu", "precision": "fp16", "batch": 1.0},
    "trtexec_profile.json": {"unit": "gpu", "precision": "fp16", "batch": 1.0},
    "trtexec_profile_old.json": {"unit": "gpu", "precision": "fp16", "batch": 1.0},
    "onnxruntime_profile.json": {"threads": 4.0},
    "ai_hub_profile.json": {"framework": "qnn", "precision": "int8", "threads": 4.0},
    "mlperf_log_summary.txt": {"unit": "npu", "framework": "tflite", "precision": "int8"},
    "mlperf_result.json": {"unit": "npu", "precision": "int8"},
    "mlperf_score_only.json": {"unit": "npu", "precision": "int8"},
}
"""What these files do not say."""


def read(path: Path, **defaults: str | float) -> MeasurementTable:
    stated = {**STATED.get(path.name, {}), **defaults}
    return read_measurements(path, device="my-device", defaults=stated)[0]


def test_trtexec_times_are_gpu_compute_times(sample: Sample) -> None:
    entries = json.loads(sample("trtexec_times.json").read_text())
    row = read(sample("trtexec_times.json"), model="googlenet", precision="fp16").frame.iloc[0]
    assert row["latency_ms"] == pytest.approx(median(e["computeMs"] for e in entries))
    assert (row["runs"], row["model"], row["precision"]) == (40, "googlenet", "fp16")


def test_trtexec_profile_takes_the_median_of_a_layer(sample: Sample) -> None:
    kernels = read(sample("trtexec_profile.json")).kernels
    assert kernels.column("latency_us") == pytest.approx([22.264, 83.121, 27.872, 4.896])
    assert list(kernels.column("op")) == ["reformat", "", "", ""]
    assert kernels.single("runs") == 41400


def test_trtexec_profile_without_averages_divides_by_the_count(sample: Sample) -> None:
    kernels = read(sample("trtexec_profile_old.json")).kernels
    assert kernels.column("latency_us")[2] == pytest.approx(1160.78e3 / 41400)


def test_trtexec_text(sample: Sample) -> None:
    row = read(sample("trtexec.log")).frame.iloc[0]
    assert (row["latency_ms"], row["mean_ms"], row["p90_ms"]) == (2.604, 2.609, 2.65)
    assert (row["model"], row["precision"], row["unit"]) == ("resnet50", "fp16", "gpu")


def test_trtexec_on_the_dla(changed: Changed) -> None:
    log = changed("trtexec.log", ("--fp16 --exportTimes", "--fp16 --useDLACore=0 --exportTimes"))
    assert read(log).single("unit") == "dla"


def test_onnxruntime_leaves_the_first_run_apart(sample: Sample) -> None:
    table = read(sample("onnxruntime_profile.json"))
    conv = table.kernels.frame.iloc[0]
    # 1058 us x (1.01, 1.02, 1.03, 1.04), cut to whole us.
    assert conv["latency_us"] == median([1068, 1079, 1089, 1100])
    assert (conv["op"], conv["layer"], conv["precision"]) == ("conv2d", "conv1_Relu", "fp32")
    shape = conv[["cin", "hin", "win", "cout", "hout", "wout", "kh", "kw", "sh", "sw", "groups"]]
    assert list(shape) == [3, 224, 224, 64, 112, 112, 7, 7, 2, 2, 1]
    fully_connected = table.kernels.frame.iloc[3]
    assert list(fully_connected[["cin", "cout", "hin", "batch"]]) == [512, 1000, 1, 1]
    # 3 x 64 x 7 x 7 x 112 x 112; pooling; 64 x 64 x 3 x 3 x 56 x 56; 512 x 1000.
    macs = [118013952, 0, 115605504, 512000]
    assert list(kernel_macs(table.kernels.frame)) == macs
    first = table.where(kind="first").frame.iloc[0]
    steady = table.networks.where(kind="steady").frame.iloc[0]
    assert steady["load_ms"] == pytest.approx(2.114 + 14.880)
    assert first["latency_ms"] > steady["latency_ms"] + steady["load_ms"]


def test_ai_hub_takes_all_runs_not_the_fastest(sample: Sample) -> None:
    table = read(sample("ai_hub_profile.json"))
    row = table.networks.frame.iloc[0]
    assert row["latency_ms"] == 41.7, "the estimate of 17.6 ms is the fastest run"
    assert (row["min_ms"], row["runs"], row["unit"]) == (17.6, 9, "npu")
    assert row["variant"] == "mixed_units"
    assert row["peak_memory_bytes"] == 23564288
    assert list(table.kernels.column("unit")) == ["npu", "npu", "cpu"]


def test_ai_hub_without_runs_is_refused(changed: Changed) -> None:
    profile = changed("ai_hub_profile.json", ("all_inference_times", "some_inference_times"))
    with pytest.raises(MeasurementError, match="column all_inference_times: missing"):
        read(profile)


def test_mlperf_refuses_a_bare_score(sample: Sample) -> None:
    with pytest.raises(MeasurementError, match="line 3: column score: does not say"):
        read(sample("mlperf_score_only.json"))


def test_mlperf_takes_a_stated_latency(sample: Sample) -> None:
    table, listed = read_measurements(
        sample("mlperf_result.json"),
        device="my-phone",
        defaults={"unit": "npu", "precision": "int8"},
    )
    row = table.frame.iloc[0]
    assert row["latency_ms"] == pytest.approx(1.231527)
    assert (row["model"], row["framework"], row["runs"]) == ("mobilenet_v2", "tflite", 48881)
    assert [row.line for row in listed] == [16]


def test_mlperf_single_stream_summary(sample: Sample) -> None:
    row = read(sample("mlperf_log_summary.txt"), model="mobilenet_v2").frame.iloc[0]
    assert (row["statistic"], row["latency_ms"]) == ("median", pytest.approx(1.160412))
    assert row["p90_ms"] == pytest.approx(1.290312)


def test_a_log_that_does_not_say_the_unit_needs_it(sample: Sample) -> None:
    with pytest.raises(MeasurementError, match="line 21: no word of the unit, framework") as asked:
        read_measurements(sample("mlperf_log_summary.txt"), device="my-device")
    assert all(option in asked.value.hint for option in ("--unit", "--framework", "--precision"))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("trtexec_times.json", '"computeMs": 1.9', '"computeMs": -1.9', "line 2: column computeMs"),
        ("trtexec_times.json", '"computeMs": 1.9', '"computeMs": "a1.9', "line 2.*column"),
        ("trtexec_times.json", '"computeMs": 1.9', '"computeMs": NaN, "x": 1.9', "NaN is not"),
        ("trtexec_profile.json", '"medianMs": 0.083121', '"medianMs": null', "line 4: column med"),
        ("trtexec_profile.json", '"name": "prob"', '"name": 7', "line 6: column name"),
        ("trtexec.log", "median = 2.604 ms", "median = 2.604 us", "line 10: column median: unit"),
        ("trtexec.log", "GPU Compute Time", "GPU Time", "line 12: the log ends without"),
        ("onnxruntime_profile.json", '"dur": 1692', '"dur": true', "line 5: column dur"),
        ("onnxruntime_profile.json", "CPUExecutionProvider", "XPU", "no word of the unit"),
        ("ai_hub_profile.json", "52110", "0", "line 10: column all_inference_times"),
        ("ai_hub_profile.json", "52110", "1e999", "column all_inference_times: not a number"),
        ("ai_hub_profile.json", '"CPU"', '"XPU"', "column compute_unit: unknown 'xpu'"),
        ("mlperf_log_summary.txt", "SingleStream", "Offline", "line 5: column Scenario"),
        ("mlperf_log_summary.txt", "1174810", "1174810ms", "line 19: column Mean latency"),
    ],
)
def test_what_cannot_be_read_is_named(
    changed: Changed, name: str, old: str, new: str, message: str
) -> None:
    with pytest.raises(MeasurementError, match=message):
        read(changed(name, (old, new)))


@pytest.mark.parametrize(
    "name",
    [
        "trtexec_times.json",
        "trtexec_profile.json",
        "onnxruntime_profile.json",
        "ai_hub_profile.json",
    ],
)
def test_truncated_json_names_the_line(sample: Sample, tmp_path: Path, name: str) -> None:
    text = sample(name).read_text()
    cut = tmp_path / name
    cut.write_text(text[: int(len(text) * 0.7)])
    with pytest.raises(MeasurementError, match=rf"{name}: line \d+: column \d+: not JSON"):
        read(cut)


def test_a_profile_that_onnxruntime_writes_now(tmp_path: Path) -> None:
    import numpy as np

    # 32 channels: onnxruntime pads odd counts to its blocks and then states those.
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    weights = onnx.numpy_helper.from_array(np.ones((32, 3, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="conv", strides=[2, 2], pads=[1] * 4)],
        "one_convolution",
        [helper.make_tensor_value_info("x", floats, (1, 3, 64, 64))],
        [helper.make_tensor_value_info("y", floats, (1, 32, 32, 32))],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "one_convolution")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for _ in range(4):
        session.run(None, {"x": np.zeros((1, 3, 64, 64), np.float32)})
    table, _ = read_measurements(session.end_profiling(), device="this-machine")
    assert table.networks.single("threads") >= 1, "told by the pool's statistics"
    convolution = table.kernels.where(op="conv2d").frame.iloc[0]
    sizes = ["cin", "hin", "cout", "hout", "kh", "sh", "groups", "runs"]
    assert list(convolution[sizes]) == [3, 64, 32, 32, 3, 2, 1, 3]
    steady = table.networks.where(kind="steady").frame.iloc[0]
    assert 0 < convolution["latency_us"] / 1e3 < steady["latency_ms"]
    assert steady["load_ms"] > 0
