"""ExecuTorch's Inspector, QNN profiles, Paddle Lite, TNN and MACE."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.read import read_one

Sample = Callable[[str], Path]
Changed = Callable[..., Path]


def test_the_inspector_gives_the_time_of_the_whole_method(sample: Sample) -> None:
    result = read_one(sample("executorch_inspector.tsv"))
    row = result.frame.iloc[0]
    assert (row["latency_ms"], row["statistic"]) == (5.1525595, "median")
    assert [row[f"{n}_ms"] for n in ("min", "mean", "max", "p90", "load")] == [
        5.13944, 5.1540658, 9.404385, 5.25756, 33.300006,
    ]  # fmt: skip
    assert (row["framework"], row["build"], row["unit"]) == ("executorch", "XnnpackBackend", "")
    assert result.left_out[0].reason == "left out: 2 events inside the network; they say no shapes"


def test_a_grid_in_microseconds_is_read_in_microseconds(sample: Sample) -> None:
    row = read_one(sample("executorch_inspector.md")).frame.iloc[0]
    assert (row["latency_ms"], row["mean_ms"]) == (2.4, 2.4105)
    assert row["load_ms"] == pytest.approx(5.20025)


@pytest.mark.parametrize(
    ("unit", "reason"), [("cycles", "times in cycles"), ("", "name no unit"), ("h", "name no unit")]
)
def test_a_table_without_a_unit_of_time_is_refused(
    changed: Changed, unit: str, reason: str
) -> None:
    path = changed("executorch_inspector.tsv", (" (ms)", f" ({unit})" if unit else ""))
    with pytest.raises(MeasurementError, match=reason):
        read_one(path)


def test_qnn_events_give_the_median_without_the_first_execution(sample: Sample) -> None:
    row = read_one(sample("qnn_profile.csv")).frame.iloc[0]
    # 5200 us is the first execution; 2952 and 3048 us follow
    assert (row["latency_ms"], row["min_ms"], row["max_ms"]) == (3.0, 2.952, 3.048)
    assert (row["runs"], row["unit"], row["framework"]) == (2, "npu", "qnn")
    assert (row["model"], row["source_model"]) == ("mobilenet_v2", "mobilenet_v2")


def test_a_graph_of_no_network_names_no_model(changed: Changed) -> None:
    row = read_one(changed("qnn_profile.csv", ("mobilenet_v2", "graph_iuk2jz3r"))).frame.iloc[0]
    assert (row["model"], row["source_model"]) == ("", "graph_iuk2jz3r")


def test_one_execution_is_no_steady_time(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("".join(sample("qnn_profile.csv").read_text().splitlines(keepends=True)[:8]))
    with pytest.raises(MeasurementError, match=r"one execution, the first"):
        read_one(path)


def test_the_events_of_onnx_runtime_have_no_netrun(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "ort.csv"
    lines = sample("qnn_profile.csv").read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "NETRUN" not in line))
    # QNN (execute) time: 4900 us first, then 2949 and 3040
    assert read_one(path).frame.iloc[0]["latency_ms"] == pytest.approx((2.949 + 3.040) / 2)


def test_cycles_are_no_latency(changed: Changed) -> None:
    with pytest.raises(MeasurementError, match=r"times in cycles are no latency"):
        read_one(changed("qnn_profile.csv", (",US,", ",CYCLES,")))


def test_the_printed_statistics_of_qnn(sample: Sample) -> None:
    row = read_one(sample("qnn_profile.log")).frame.iloc[0]
    assert (row["latency_ms"], row["statistic"]) == (2.952, "mean")
    assert (row["min_ms"], row["max_ms"], row["unit"]) == (2.801, 5.2, "npu")


def test_a_total_below_one_of_its_parts_is_refused(changed: Changed) -> None:
    path = changed("qnn_profile.log", ("NetRun:  2952 us", "NetRun:  295 us"))
    with pytest.raises(MeasurementError, match=r"295 us is less than a part of it, 2949 us"):
        read_one(path)


def test_paddle_lite_says_all_of_its_run(sample: Sample) -> None:
    steady, first = (row for _, row in read_one(sample("paddle_lite.log")).frame.iterrows())
    assert (steady["latency_ms"], steady["min_ms"], steady["max_ms"]) == (32.723, 32.577, 32.895)
    facets = ("unit", "framework", "precision", "threads", "batch", "runs")
    assert [steady[name] for name in facets] == ["cpu", "paddle-lite", "fp32", 1, 1, 20]
    assert steady["model"] == "mobilenet_v1"
    assert (first["kind"], first["latency_ms"]) == ("first", pytest.approx(15.305 + 43.670))


def test_paddle_lite_on_opencl_has_the_precision_of_the_gpu(sample: Sample) -> None:
    row = read_one(sample("paddle_lite_opencl.log")).frame.iloc[0]
    assert (row["unit"], row["precision"], row["batch"]) == ("gpu", "fp16", 2)
    assert row["threads"] != row["threads"]


def test_paddle_lite_without_a_shape_runs_one_input(changed: Changed) -> None:
    row = read_one(changed("paddle_lite.log", ("input_shape: 1,3,224,224\n", ""))).frame.iloc[0]
    assert (row["batch"], dict(row["origin_evidence"])["batch"]) == (1, "tool")


def test_paddle_lite_on_another_accelerator_is_asked_for(changed: Changed) -> None:
    path = changed("paddle_lite.log", ("backend: arm", "backend: huawei_kirin_npu,arm"))
    assert read_one(path).frame.iloc[0]["unit"] == ""


def test_tnn_names_model_and_device_before_the_times(sample: Sample) -> None:
    frame = read_one(sample("tnn_benchmark.log")).frame
    columns = ["model", "unit", "latency_ms", "min_ms", "max_ms"]
    assert [tuple(row) for row in frame[columns].itertuples(index=False)] == [
        ("mobilenet_v1", "cpu", 26.561, 26.282, 27.592),
        ("resnet50", "cpu", 126.561, 126.282, 127.592),
        ("mobilenet_v1", "gpu", 13.092, 12.929, 13.454),
    ]


def test_tnn_without_names_takes_the_heading_or_leaves_it_open(tmp_path: Path) -> None:
    times = "TNN Benchmark time cost: min = 68.923   ms  |  max = 68.923   ms  |  avg = 68.923   ms"
    path = tmp_path / "mobilenet_v1.log"
    path.write_text(f"{times}\nbenchmark device: OPENCL\n\n... {times}\n")
    assert list(read_one(path).frame["unit"]) == ["", "gpu"]


def test_mace_prints_its_average_twice(sample: Sample, changed: Changed) -> None:
    row = read_one(sample("mace_run.log")).frame.iloc[0]
    assert (row["latency_ms"], row["load_ms"]) == (18.434, 22.323)
    assert (row["unit"], row["threads"], row["model"]) == ("cpu", 4, "mobilenet_v1")
    with pytest.raises(MeasurementError, match=r"run_avg: 18.434 contradicts the average"):
        read_one(changed("mace_run.log", ("latency: 18.434 ms", "latency: 1.8434 ms")))
