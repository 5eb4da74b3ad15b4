"""TFLite benchmark_model: every variant of its output. Expected figures are those of the text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable

Sample = Callable[[str], Path]
Changed = Callable[..., Path]


def read(path: Path) -> MeasurementTable:
    stated: dict[str, str | float] = {} if "Num threads" in path.read_text() else {"threads": 1.0}
    if path.suffix == ".csv":
        stated |= {"unit": "cpu", "precision": "fp32"}
    return read_measurements(path, device="my-phone", defaults=stated)[0]


def test_new_summary_gives_steady_and_first(sample: Sample) -> None:
    table = read(sample("tflite_cpu.log"))
    steady = table.where(kind="steady").frame.iloc[0]
    assert steady["model"] == "mobilenet_v2"
    assert steady["source_model"] == "mobilenet_v2_1.0_224.tflite"
    assert (steady["unit"], steady["framework"], steady["threads"]) == ("cpu", "tflite", 4)
    # This version prints a median; the mean stands beside it.
    assert (steady["statistic"], steady["latency_ms"]) == ("median", 16.521)
    assert steady["mean_ms"] == pytest.approx(16.5446)
    assert (steady["min_ms"], steady["max_ms"], steady["runs"]) == (16.388, 17.203, 60)
    assert steady["peak_memory_bytes"] == pytest.approx(12.8672e6)
    first = table.where(kind="first").frame.iloc[0]
    assert first["latency_ms"] == pytest.approx(38.467 + 21.730)
    assert first["load_ms"] == pytest.approx(38.467)


def test_warm_up_block_is_not_taken_for_the_runs(changed: Changed) -> None:
    log = changed("tflite_cpu.log", (" p5=16401 median=16521 p95=16790", ""), ("avg=16544.6", ""))
    row = read(log).where(kind="steady").frame.iloc[0]
    assert row["latency_ms"] == pytest.approx(16.5446)
    assert row["statistic"] == "mean"
    assert row["min_ms"] != row["min_ms"]


def test_old_summary(sample: Sample) -> None:
    row = read(sample("tflite_old.log")).frame.iloc[0]
    assert row["model"] == "inception_v3"
    assert (row["latency_ms"], row["load_ms"], row["runs"]) == (229.979, 9.933, 50)


def test_oldest_summary_without_statistics(sample: Sample) -> None:
    row = read(sample("tflite_oldest.log")).frame.iloc[0]
    assert row["model"] == "mobilenet_v1@width=0.5,resolution=160"
    assert row["latency_ms"] == pytest.approx(66.7676)


def test_logcat_prefix_and_delegate_split(sample: Sample) -> None:
    row = read(sample("tflite_logcat.log")).where(kind="steady").frame.iloc[0]
    assert row["unit"] == "gpu"
    assert row["variant"] == "delegate=partial;delegated_ops=97/297"
    assert row["threads"] != row["threads"], "GPU rows have no CPU threads"
    assert row["latency_ms"] == pytest.approx(33.2094)


def test_operator_profile_gives_kernels_of_the_regular_runs(sample: Sample) -> None:
    table, listed = read_measurements(sample("tflite_op_profile.log"), device="my-phone")
    kernels = table.kernels
    assert list(kernels.column("op")) == [
        "conv2d",
        "depthwise_conv2d",
        "conv2d",
        "avg_pool",
        "conv2d",
        "softmax",
    ]
    assert kernels.column("latency_us") == pytest.approx([1190, 802, 1887, 30, 205, 10])
    assert kernels.column("layer")[0] == "[MobilenetV1/MobilenetV1/Conv2d_0/Relu6]:0"
    assert [row.reason for row in listed] == [
        "left out: '[MobilenetV1/Logits/SpatialSqueeze]:5' is printed as 0 ms"
    ]
    # 4.124 ms of nodes against 4.1315 ms of the summary.
    assert table.where(kind="steady").networks.column("latency_ms") == pytest.approx([4.1315])


def test_operator_profile_as_csv(sample: Sample) -> None:
    table = read(sample("tflite_op_profile.csv"))
    assert table.kernels.column("latency_us") == pytest.approx([1190, 802, 1887, 30, 205, 10])
    assert table.networks.column("latency_ms") == pytest.approx([4.124])
    assert set(table.column("model")) == {"tflite_op_profile"}


def test_names_with_commas_stay_whole(changed: Changed) -> None:
    log = changed(
        "tflite_op_profile.csv",
        ("[MobilenetV1/MobilenetV1/Conv2d_0/Relu6]:0", "[a, b;c:d]:0"),
    )
    assert read(log).kernels.column("layer")[0] == "[a, b;c:d]:0"


def test_the_same_layer_twice_is_numbered(changed: Changed) -> None:
    log = changed("tflite_op_profile.csv", ("Conv2d_1_pointwise/Relu6]:2", "Conv2d_0/Relu6]:0"))
    layers = list(read(log).kernels.column("layer"))
    assert layers[2] == f"{layers[0]} (2)"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("tflite_cpu.log", "(avg): 16544.6", "(avg): x16544", "line 19: column Inference"),
        ("tflite_cpu.log", "Inference (avg): 16544.6", "", "line 19: column Inference"),
        ("tflite_cpu.log", "Init: 38467", "Init: nan", "line 19: column Init: not a number"),
        ("tflite_op_profile.csv", "avg_ms", "avg_cycles", "line 4: a profile in cycles"),
        ("tflite_cpu.log", "16544.6", "-16544.6", "line 19: column latency_ms"),
        ("tflite_oldest.log", "66767.6", "1e30", "line 2: column latency_ms"),
    ],
)
def test_what_cannot_be_read_is_named(
    changed: Changed, name: str, old: str, new: str, message: str
) -> None:
    with pytest.raises(MeasurementError, match=message):
        read(changed(name, (old, new)))


@pytest.mark.parametrize(
    ("new", "reason"), [("0.000, 1.212, ?", "column avg ms"), ("0.000", "7 cells")]
)
def test_a_damaged_kernel_is_listed_and_the_network_stays(
    changed: Changed, new: str, reason: str
) -> None:
    log = changed("tflite_op_profile.csv", ("0.000, 1.212, 1.190", new))
    stated = {"unit": "cpu", "precision": "fp32", "threads": 1.0}
    table, listed = read_measurements(log, device="my-phone", defaults=stated)
    assert len(table.networks) == 1
    damaged = [row.reason for row in listed if row.line == 5]
    assert len(damaged) == 1
    assert damaged[0].startswith(f"left out: {reason}")
    assert len(table.kernels) == 5


def test_a_profile_of_nothing_but_damaged_kernels_is_refused(changed: Changed) -> None:
    log = changed("tflite_op_profile.csv", ("0.000, 1.212, 1.190", "0.000"))
    text = log.read_text()
    log.write_text("".join(x for x in text.splitlines(True) if "microseconds" not in x))
    with pytest.raises(MeasurementError, match="line 5: 7 cells"):
        read(log)


def test_a_log_that_was_cut_off(tmp_path: Path, sample: Sample) -> None:
    text = sample("tflite_cpu.log").read_text()
    log = tmp_path / "cut.log"
    log.write_text(text[: text.index("First inference")])
    with pytest.raises(MeasurementError, match=r"cut\.log: line 19: column Inference"):
        read(log)
