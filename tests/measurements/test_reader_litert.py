"""LiteRT 2.x benchmark_model, its Python twin, and TFLite's performance options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.read import read_one

DEFAULT = "default of the tool, no --use_gpu and no --use_npu"
Sample = Callable[[str], Path]
Changed = Callable[..., Path]


def test_the_finer_microseconds_of_the_same_runs_are_taken(sample: Sample) -> None:
    frame = read_one(sample("litert_cpu.log")).frame
    steady = frame.iloc[0]
    # count=182 ... min=5391 max=5802 avg=5467.66 median=5459, in us
    assert steady["latency_ms"] == pytest.approx(5.459)
    assert (steady["statistic"], steady["runs"]) == ("median", 182)
    assert [steady[f"{n}_ms"] for n in ("min", "mean", "max")] == pytest.approx(
        [5.391, 5.46766, 5.802]
    )
    assert steady["peak_memory_bytes"] == 24.5 * 1024 * 1024


def test_a_first_inference_is_initialisation_and_first_warm_up(sample: Sample) -> None:
    first = read_one(sample("litert_cpu.log")).frame.iloc[1]
    assert (first["kind"], first["load_ms"]) == ("first", 9.41)
    assert first["latency_ms"] == pytest.approx(9.41 + 7.92)


def test_unit_and_threads_name_their_evidence(sample: Sample) -> None:
    row = read_one(sample("litert_cpu.log")).frame.iloc[0]
    assert (row["unit"], row["threads"], row["framework"]) == ("cpu", 4, "tflite")
    assert (row["model"], row["source_model"]) == ("mobilenet_v2", "mobilenet_v2_1.0_224.tflite")
    evidence = dict(row["origin_evidence"])
    assert (evidence["unit"], evidence["threads"]) == ("log, line 6", "command line")
    assert "precision" not in evidence


def test_the_delegate_that_runs_most_is_the_unit_and_the_rest_is_told(sample: Sample) -> None:
    row = read_one(sample("litert_npu.log")).frame.iloc[0]
    assert (row["unit"], row["latency_ms"], row["statistic"]) == ("npu", 0.46, "mean")
    assert row["variant"] == "delegate=partial;delegated_ops=3/5"
    assert row["threads"] != row["threads"]


def test_no_command_and_no_delegate_leave_the_unit_open(changed: Changed) -> None:
    path = changed("litert_npu.log", ("DispatchDelegate", "Some"), ("TfLiteXNNPackDelegate", "So"))
    row = read_one(path).frame.iloc[0]
    assert (row["unit"], row["variant"]) == ("", "")
    assert "unit" not in dict(row["origin_evidence"])


@pytest.mark.parametrize(
    ("options", "unit"),
    [("--use_gpu=true", "gpu"), ("--use_npu=true", "npu"), ("--use_gpu=false", "cpu"), ("", "cpu")],
)
def test_the_command_line_tells_the_unit(tmp_path: Path, options: str, unit: str) -> None:
    log = tmp_path / "a.log"
    log.write_text(
        f"$ adb shell /data/local/tmp/benchmark_model --graph=/a/resnet50.tflite {options}\n"
        "========== BENCHMARK RESULTS ==========\n"
        "Model initialization: 2.00 ms\n"
        "Inference (avg):      6.00 ms (10 runs)\n"
        "Inference (min):      5.00 ms\n"
        "Inference (max):      7.00 ms\n"
    )
    row = read_one(log).frame.iloc[0]
    assert (row["unit"], row["model"], row["latency_ms"]) == (unit, "resnet50", 6.0)
    told = dict(row["origin_evidence"])["unit"]
    assert told == ("command line" if unit != "cpu" else DEFAULT)


def test_a_command_that_goes_on_over_lines_tells_the_unit(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(
        "C:\\work>.\\tools\\benchmark_model.exe ^\n"
        "    --graph=C:\\models\\mobilenet_v2_1.0_224.tflite ^\n"
        "    --require_full_delegation=false --use_npu=true\n"
        "========== BENCHMARK RESULTS ==========\n"
        "INFO: [.\\benchmark_litert_model.h:57] Model initialization: 586.76 ms\n"
        "INFO: [.\\benchmark_litert_model.h:63] Inference (avg):      0.46 ms (9 runs)\n"
        "INFO: [.\\benchmark_litert_model.h:67] Inference (min):      0.35 ms\n"
        "INFO: [.\\benchmark_litert_model.h:69] Inference (max):      0.74 ms\n"
    )
    row = read_one(log).frame.iloc[0]
    assert (row["unit"], row["model"], row["latency_ms"]) == ("npu", "mobilenet_v2", 0.46)


def test_two_runs_in_one_log_are_two_rows_with_their_own_commands(
    sample: Sample, tmp_path: Path
) -> None:
    log = tmp_path / "two.log"
    one = sample("litert_cpu.log").read_text()
    log.write_text(one + one.replace("num_threads=4", "num_threads=2"))
    frame = read_one(log).frame
    assert list(frame[frame["kind"] == "steady"]["threads"]) == [4, 2]


def test_a_part_on_the_cpu_alone_does_not_say_where_the_rest_ran(changed: Changed) -> None:
    path = changed("litert_npu.log", ("VERBOSE: Replacing 3 out of 5", "VERBOSE: 3 of 5"))
    assert read_one(path).frame.iloc[0]["unit"] == ""


def test_a_block_that_contradicts_the_runs_above_is_refused(changed: Changed) -> None:
    path = changed("litert_cpu.log", ("(avg):      5.47 ms", "(avg):      6.47 ms"))
    with pytest.raises(MeasurementError, match="contradicts the line of counts"):
        read_one(path)


def test_a_unit_of_time_is_read_not_assumed(changed: Changed) -> None:
    path = changed("litert_npu.log", ("0.46 ms", "460.00 us"), ("0.35 ms", "350.00 us"))
    assert read_one(path).frame.iloc[0]["latency_ms"] == pytest.approx(0.46)
    with pytest.raises(MeasurementError, match="'fps' is no unit of time"):
        read_one(changed("litert_npu.log", ("0.46 ms", "0.46 fps")))


@pytest.mark.parametrize(
    "line", ["Inference (max):      20.90 ms", "Inference (min):", "(10 runs)"]
)
def test_a_block_cut_off_is_refused(tmp_path: Path, line: str) -> None:
    whole = (
        "========== BENCHMARK RESULTS ==========\n"
        "Model initialization: 31.71 ms\n"
        "Inference (avg):      16.47 ms (10 runs)\n"
        "Inference (min):      12.45 ms\n"
        "Inference (max):      20.90 ms\n"
    )
    log = tmp_path / "cut.log"
    log.write_text(whole.split(line)[0])
    with pytest.raises(MeasurementError, match="not in the block of results"):
        read_one(log)


def test_the_python_tool_prints_the_median_and_names_its_accelerators(sample: Sample) -> None:
    steady = read_one(sample("litert_python.log")).frame.iloc[0]
    assert (steady["latency_ms"], steady["statistic"], steady["runs"]) == (8.45, "median", 50)
    assert (steady["unit"], steady["variant"], steady["model"]) == ("gpu", "", "resnet50")


def test_its_json_says_whether_all_ran_on_the_accelerator(sample: Sample, changed: Changed) -> None:
    row = read_one(sample("litert_result.json")).frame.iloc[0]
    assert (row["unit"], row["variant"], row["latency_ms"]) == ("gpu", "delegate=partial", 8.45)
    path = changed("litert_result.json", ('\n    "GPU",', ""))
    row = read_one(path).frame.iloc[0]
    assert (row["unit"], row["threads"], row["variant"]) == ("cpu", 2, "")


def test_each_performance_option_is_a_row_of_its_own(sample: Sample) -> None:
    result = read_one(sample("tflite_options.log"))
    rows = result.frame[["unit", "threads", "precision", "variant", "latency_ms"]].fillna(0)
    assert [tuple(row) for row in rows.itertuples(index=False)] == [
        ("gpu", 0, "fp16", "", 6.1855),
        ("gpu", 0, "", "delegate=gpu-default", 8.1855),
        ("nnapi", 0, "", "accelerator=qti-dsp", 9.1855),
        ("cpu", 4, "", "delegate=xnnpack", 14.2202),
        ("cpu", 4, "", "", 33.85),
        ("cpu", 1, "fp16", "delegate=xnnpack", 29.9204),
    ]
    assert [row.reason for row in result.left_out] == ["left out: nnapi(w/o accel name) failed"]


def test_an_option_that_lets_core_ml_choose_says_no_unit(changed: Changed) -> None:
    path = changed(
        "tflite_options.log", ("              gpu-default:", "                   coreml:")
    )
    row = read_one(path).frame.iloc[1]
    assert (row["unit"], row["variant"]) == ("", "delegate=coreml")
