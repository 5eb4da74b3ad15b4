"""MLPerf Mobile's result.json of all versions, and what AI Hub Models publishes and prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.read import read_measurements, read_one

Sample = Callable[[str], Path]
Changed = Callable[..., Path]


def test_version_4_states_the_mean_and_the_90th_percentile_in_seconds(sample: Sample) -> None:
    row = read_one(sample("mlperf_results_v4.json")).frame.iloc[0]
    assert (row["latency_ms"], row["p90_ms"]) == (pytest.approx(0.801), pytest.approx(0.832))
    assert (row["statistic"], row["runs"]) == ("mean", 79000)
    assert (row["unit"], row["framework"], row["precision"]) == ("npu", "snpe", "")


def test_version_3_gives_the_duration_over_the_samples(sample: Sample) -> None:
    # 60.0 s of LoadGen's run over 15000 queries, one after the other: 4 ms
    result = read_one(sample("mlperf_results_v3.json"))
    row = result.frame.iloc[0]
    assert (row["latency_ms"], row["statistic"]) == (pytest.approx(4.0), "mean")
    assert (row["unit"], row["precision"], row["build"]) == ("gpu", "fp16", "Metal")
    assert (row["model"], row["soc"]) == ("mobilenet_v2", "Example A1")
    assert [r.reason for r in result.left_out] == [
        "left out: a run for accuracy, not for time",
        "left out: 'Offline' reports a rate, not a latency",
    ]


def test_a_latency_that_the_throughput_denies_is_refused(changed: Changed) -> None:
    path = changed("mlperf_results_v4.json", ("0.000801", "0.801"))
    with pytest.raises(MeasurementError, match=r"stream, 0.00083"):
        read_one(path)


def test_accelerators_of_two_kinds_are_no_unit(changed: Changed) -> None:
    path = changed("mlperf_results_v4.json", ('"HTP"', '"GPU and HTP"'))
    assert read_one(path).frame.iloc[0]["unit"] == ""


def test_a_run_with_a_throughput_alone_is_refused_as_no_latency(changed: Changed) -> None:
    path = changed(
        "mlperf_results_v3.json", ('"loadgen_info": {"validity": true, "duration": 60.0}', '"a": 1')
    )
    (bad,) = read_one(path).bad
    assert "no latency" in bad.reason


def test_perf_yaml_has_a_row_a_device_and_runtime(sample: Sample) -> None:
    table, rejected = read_measurements(sample("ai_hub_perf.yaml"))
    columns = ["device", "framework", "precision", "unit", "latency_ms", "statistic"]
    assert [tuple(row) for row in table.frame[columns].itertuples(index=False)] == [
        ("samsung-galaxy-s24", "tflite", "float", "npu", 0.556, "min"),
        ("sa8295p-adp", "qnn", "float", "npu", 1.415, "min"),
        ("samsung-galaxy-s24", "qnn", "w8a16", "npu", 0.444, "min"),
    ]
    assert set(table.column("model")) == {"mobilenet_v2"}
    assert [row.reason for row in rejected] == [
        "left out: MobileNet-v2 on Samsung Galaxy S24, onnx: the job did not pass"
    ]


def test_perf_yaml_before_mid_2025_is_in_microseconds(sample: Sample) -> None:
    row = read_one(sample("ai_hub_perf_2025.yaml")).frame.iloc[0]
    assert (row["latency_ms"], row["precision"]) == (0.446, "int8")
    assert (row["device"], row["soc"]) == ("samsung-galaxy-s23", "Snapdragon® 8 Gen 2")


def test_a_time_that_its_throughput_denies_is_refused(changed: Changed) -> None:
    path = changed("ai_hub_perf_2025.yaml", ("inference_time: 446.0", "inference_time: 0.446"))
    with pytest.raises(MeasurementError, match=r"contradicts inference_time"):
        read_one(path)


@pytest.mark.parametrize(
    "line",
    ["x: &a [1, 2]\ny: *a\n", "x: !!python/object/apply:os.system [ls]\n", "x: [\n", "? {}\n"],
)
def test_yaml_that_no_tool_writes_is_refused(sample: Sample, tmp_path: Path, line: str) -> None:
    path = tmp_path / "perf.yaml"
    path.write_text(sample("ai_hub_perf.yaml").read_text() + line)
    with pytest.raises(MeasurementError, match=r"YAML|aliases and tags"):
        read_one(path)


def test_deep_yaml_is_refused(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "perf.yaml"
    path.write_text(sample("ai_hub_perf.yaml").read_text() + "x: " + "[" * 3000 + "]" * 3000)
    with pytest.raises(MeasurementError, match=r"YAML"):
        read_one(path)


def test_the_printed_summary(sample: Sample) -> None:
    result = read_one(sample("ai_hub_summary.log"))
    row = result.frame.iloc[0]
    assert (row["latency_ms"], row["statistic"], row["unit"]) == (0.9, "min", "npu")
    assert (row["framework"], row["variant"], row["model"]) == (
        "tflite", "mixed_units", "mobilenet_v2",
    )  # fmt: skip
    assert row["note"] == "device: Samsung Galaxy S23 (ANDROID 13)"
    assert [r.reason for r in result.left_out] == [
        "left out: Resnet50 took <0.1 ms, less than is printed"
    ]


def test_operators_that_do_not_add_up_are_refused(changed: Changed) -> None:
    path = changed(
        "ai_hub_summary.log", ("Total # Ops                     : 71", "Total # Ops : 17")
    )
    with pytest.raises(MeasurementError, match=r"Total # Ops: 17 contradicts"):
        read_one(path)
