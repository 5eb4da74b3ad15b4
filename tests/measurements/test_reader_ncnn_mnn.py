"""ncnn benchncnn and MNN benchmark.out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.read import read_measurements

Sample = Callable[[str], Path]
Changed = Callable[..., Path]


def test_benchncnn_takes_the_fastest_run(sample: Sample) -> None:
    table, _ = read_measurements(sample("benchncnn.log"), device="my-phone")
    cpu = table.where(unit="cpu")
    assert list(cpu.column("latency_ms")) == [5.05, 4.62, 5.47, 62.31]
    assert list(cpu.column("mean_ms")) == [5.13, 4.70, 5.52, 63.50]
    assert set(cpu.column("statistic")) == {"min"}
    assert list(cpu.column("precision")) == ["float", "int8", "float", "float"]
    assert (cpu.single("threads"), cpu.single("affinity"), cpu.single("runs")) == (4, "big", 8)


def test_benchncnn_names_the_gpu(sample: Sample) -> None:
    table, _ = read_measurements(sample("benchncnn.log"), device="my-phone")
    gpu = table.where(unit="gpu")
    assert gpu.single("processor") == "Adreno (TM) 640"
    assert (gpu.single("runs"), gpu.single("run")) == (16, 2)
    assert set(gpu.column("affinity")) == {""}


def test_squeezenet_of_ncnn_is_version_1_1(sample: Sample) -> None:
    table, _ = read_measurements(sample("benchncnn.log"), device="my-phone")
    assert table.column("model")[0] == "squeezenet_1_1@resolution=227"
    assert table.column("source_model")[0] == "squeezenet"


def test_a_page_names_its_devices(sample: Sample) -> None:
    table, _ = read_measurements(sample("benchncnn_page.md"))
    assert table.values("device") == ("example-board-one", "example-phone-plus")
    board = table.where(device="example-board-one")
    assert list(board.column("threads")) == [4, 4, 1]
    assert list(board.column("run")) == [1, 1, 2]
    assert board.single("affinity") == "all"
    assert board.single("soc") == "Example Board One (Cortex-A53 1.4 GHz x 4)"
    phone = table.where(device="example-phone-plus")
    assert phone.column("latency_ms") == pytest.approx([14.27])


def test_a_device_of_a_page_can_be_chosen(sample: Sample) -> None:
    table, _ = read_measurements(sample("benchncnn_page.md"), device="example-phone-plus")
    assert len(table) == 1
    with pytest.raises(MeasurementError, match="no row of device 'pixel-3'"):
        read_measurements(sample("benchncnn_page.md"), device="pixel-3")


def test_mnn_columns_are_max_min_avg(sample: Sample) -> None:
    table, _ = read_measurements(sample("mnn_benchmark.log"), device="my-phone")
    row = table.frame.iloc[0]
    assert (row["max_ms"], row["min_ms"], row["latency_ms"]) == (45.885, 39.539, 40.194)
    assert (row["threads"], row["runs"], row["unit"]) == (4, 50, "cpu")
    assert row["precision"] == "float", "MNN's precision=2 is half where the back end has it"
    assert list(table.column("model")) == [
        "resnet50_v2@resolution=224",
        "mobilenet_v2",
        "inception_v3",
        "squeezenet_1_0",
    ]


def test_mnn_back_end_gives_the_unit(sample: Sample) -> None:
    row = read_measurements(sample("mnn_opencl.log"), device="my-phone")[0].frame.iloc[0]
    assert (row["unit"], row["build"]) == ("gpu", "opencl")
    assert row["threads"] != row["threads"]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("benchncnn.log", "avg =    5.13", "avg =    5.1.3", "line 8: column avg: not a number"),
        ("benchncnn.log", "5.30  avg =    5.13", "5.30", "line 8: column min: a model"),
        ("benchncnn.log", "min =    5.05", "min =    0.00", "line 8: column latency_ms: must be"),
        (
            "benchncnn.log",
            "min =    5.05",
            "min =   95.05",
            "line 8: column min_ms: 95.05 is above",
        ),
        ("benchncnn.log", "num_threads = 4", "num_threads = four", "line 4: column num_threads"),
        ("mnn_benchmark.log", "39.539ms", "39.539s", "line 4: column avg"),
        ("mnn_benchmark.log", "avg =   40.194ms", "avg =   nanms", "line 4: column avg: not a"),
        ("mnn_benchmark.log", "**CPU**", "**ABC**", "line 2: column Forward type: unknown 'abc'"),
    ],
)
def test_what_cannot_be_read_is_named(
    changed: Changed, name: str, old: str, new: str, message: str
) -> None:
    with pytest.raises(MeasurementError, match=message):
        read_measurements(changed(name, (old, new)), device="my-phone")
