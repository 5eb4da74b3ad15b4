"""OpenVINO's benchmark_app, as text and as report, and onnxruntime_perf_test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.read import read_measurements, read_one

Sample = Callable[[str], Path]
Changed = Callable[..., Path]


def test_the_python_tool_gives_the_median_with_all_that_its_log_says(sample: Sample) -> None:
    steady, first = (row for _, row in read_one(sample("openvino_python.log")).frame.iterrows())
    assert (steady["latency_ms"], steady["statistic"], steady["runs"]) == (19.42, "median", 512)
    assert [steady[f"{n}_ms"] for n in ("min", "mean", "max")] == [18.70, 19.51, 22.31]
    assert (steady["unit"], steady["threads"], steady["batch"]) == ("cpu", 6, 1)
    assert (steady["framework"], steady["model"]) == ("openvino", "resnet50")
    # an INT8 model has the same hint of float32, so the hint is no evidence of a precision
    assert steady["precision"] == ""
    assert first["kind"] == "first"
    assert first["latency_ms"] == pytest.approx(12.00 + 216.00 + 30.61)


def test_the_cpp_tool_names_its_device_and_batch(sample: Sample) -> None:
    row = read_one(sample("openvino_cpp.log")).frame.iloc[0]
    assert (row["unit"], row["batch"], row["latency_ms"]) == ("gpu", 4, 9.90)
    assert row["threads"] != row["threads"]


def test_the_text_of_2021_gives_its_one_latency(sample: Sample) -> None:
    row = read_one(sample("openvino_2021.log")).frame.iloc[0]
    assert (row["latency_ms"], row["unit"], row["model"]) == (19.80, "", "")
    # 49.98 frames a second over 10005 ms and 500 iterations: one frame an iteration
    assert (row["batch"], dict(row["origin_evidence"])["batch"]) == (1, "log, line 3")


@pytest.mark.parametrize("announced", [True, False])
def test_the_latency_of_many_requests_at_a_time_is_left_out(
    sample: Sample, tmp_path: Path, announced: bool
) -> None:
    log = tmp_path / "async.log"
    lines = sample("openvino_async.log").read_text().splitlines(keepends=True)
    # without the first line the count and the duration still tell: 88032 * 1.86 / 15002 = 10.9
    log.write_text("".join(lines if announced else lines[1:]))
    result = read_one(log)
    assert result.frame.empty
    assert "requests at a time; run with -api sync" in result.left_out[0].reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Median:        19.42 ms", "Median:        19.42 us"),
        ("Average:       19.51 ms", "Average:       195.1 ms"),
        ("Duration:         10012.39 ms", "Duration:         1001.24 ms"),
        ("Throughput:   51.14 FPS", "Throughput:   511.4 FPS"),
    ],
)
def test_figures_that_contradict_each_other_are_refused(
    changed: Changed, old: str, new: str
) -> None:
    path = changed("openvino_python.log", (old, new))
    with pytest.raises(MeasurementError, match=r"contradicts|is above"):
        read_measurements(path, device="my-pc", defaults={"precision": "fp32"})


def test_automatic_choice_of_the_device_is_no_unit(changed: Changed) -> None:
    path = changed(
        "openvino_python.log", ("-d CPU", "-d AUTO"), ("Devices:['CPU']", "Devices:['CPU', 'GPU']"),
        ("[ INFO ] CPU", "[ INFO ] AUTO"),
    )  # fmt: skip
    assert read_one(path).frame.iloc[0]["unit"] == ""


def test_the_report_says_the_same_as_the_log(sample: Sample) -> None:
    columns = ["latency_ms", "min_ms", "mean_ms", "max_ms", "load_ms", "runs", "unit", "batch"]
    report = read_one(sample("openvino_report.csv")).frame[columns]
    log = read_one(sample("openvino_python.log")).frame[columns]
    assert report.equals(log)


def test_the_json_report_of_the_cpp_tool(sample: Sample) -> None:
    row = read_one(sample("openvino_report.json")).frame.iloc[0]
    assert (row["unit"], row["batch"], row["latency_ms"], row["runs"]) == ("npu", 2, 4.95, 2000)
    assert row["load_ms"] == 900.5 + 15.5


def test_a_percentile_is_no_median(changed: Changed) -> None:
    path = changed(
        "openvino_report.json", ('"percentile_boundary": 50', '"percentile_boundary": 99')
    )
    row = read_one(path).frame.iloc[0]
    assert (row["statistic"], row["latency_ms"]) == ("mean", 4.98)


def test_perf_test_gives_the_median_of_its_requests(sample: Sample) -> None:
    steady, first = (
        row for _, row in read_one(sample("onnxruntime_perf_test.log")).frame.iterrows()
    )
    assert (steady["latency_ms"], steady["statistic"]) == (pytest.approx(32.7086), "median")
    assert [steady[f"{n}_ms"] for n in ("min", "mean", "max", "p90")] == pytest.approx(
        [31.8204, 32.9481, 36.1519, 34.1519]
    )
    assert (steady["unit"], steady["threads"], steady["model"]) == ("cpu", 4, "resnet50")
    assert steady["peak_memory_bytes"] == 271122432
    assert first["latency_ms"] == pytest.approx(217.932 + 49)


def test_perf_test_without_percentiles_and_command_gives_the_mean_and_no_unit(
    sample: Sample,
) -> None:
    row = read_one(sample("onnxruntime_perf_test_old.log")).frame.iloc[0]
    assert (row["latency_ms"], row["statistic"], row["unit"]) == (62.2935, "mean", "")


@pytest.mark.parametrize(
    ("provider", "unit"), [("cuda", "gpu"), ("qnn", ""), ("nnapi", "nnapi"), ("openvino", "")]
)
def test_the_provider_of_perf_test_is_the_unit_where_it_runs_on_one(
    changed: Changed, provider: str, unit: str
) -> None:
    row = read_one(changed("onnxruntime_perf_test.log", ("-e cpu", f"-e {provider}"))).frame.iloc[0]
    assert row["unit"] == unit


def test_perf_test_runs_on_the_cpu_unless_it_is_told_otherwise(changed: Changed) -> None:
    row = read_one(changed("onnxruntime_perf_test.log", ("-e cpu ", ""))).frame.iloc[0]
    assert (row["unit"], dict(row["origin_evidence"])["unit"]) == (
        "cpu", "default of the tool, no -e",
    )  # fmt: skip
    path = changed("onnxruntime_perf_test.log", ("-e cpu ", "--plugin_eps hipgpu "))
    assert read_one(path).frame.iloc[0]["unit"] == ""


def test_perf_test_contradictions_and_parallel_requests(changed: Changed) -> None:
    path = changed("onnxruntime_perf_test.log", ("total: 32.948100 ms", "total: 3.2948100 ms"))
    with pytest.raises(MeasurementError, match=r"Average: 3.29481 contradicts the total"):
        read_one(path)
    path = changed("onnxruntime_perf_test.log", ("run time: 3.29525 s", "run time: 0.82525 s"))
    result = read_one(path)
    assert result.frame.empty
    assert "several requests at a time" in result.left_out[0].reason


def test_a_log_in_an_indented_page_is_read_the_same(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "page.log"
    text = sample("openvino_python.log").read_text()
    path.write_text("".join(f"    {line}\n" for line in text.splitlines()))
    columns = ["latency_ms", "unit", "threads", "batch", "model", "load_ms"]
    expected = read_one(sample("openvino_python.log")).frame[columns]
    assert read_one(path).frame[columns].equals(expected)


def test_each_run_of_a_log_has_the_command_above_it(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "two.log"
    one = sample("openvino_python.log").read_text()
    path.write_text(one + one.replace("resnet-50.xml", "vgg16.xml"))
    frame = read_one(path).frame
    assert list(frame[frame["kind"] == "steady"]["model"]) == ["resnet50", "vgg16"]
