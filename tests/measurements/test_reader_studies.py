"""The published tables as they are: counts and figures of their descriptions, and speed."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements import columns as schema
from perfmodel.measurements.plausibility import kernel_macs
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.readers.canonical import write_measurements
from perfmodel.measurements.table import MeasurementTable

Sample = Callable[[str], Path]


def test_shape_of_a_benchncnn_table(sample: Sample) -> None:
    table, _ = read_measurements(sample("study_ncnn.csv"))
    assert list(table.column("latency_ms")) == [95.1, 80.2, 640, 2100.5]
    assert list(table.column("affinity")) == ["big", "big", "all", "all"]
    assert table.column("model")[2] == "ncnn_models/mobilenet_ssd.param"
    assert table.column("processor")[3] == "Mali-T000, driver 1"


def test_shape_of_a_table_of_phone_kernels(sample: Sample) -> None:
    table, _ = read_measurements(sample("study_layers_phones.csv"))
    assert table.single("device") == "phone-x1"
    assert table.single("model") == "mobilenet_v1"
    assert list(table.where(unit="cpu").column("threads")) == [1, 1, 1]
    assert table.where(unit="gpu").column("threads")[0] != 1, "GPU rows have no CPU threads"


def test_shape_of_a_table_of_published_networks(sample: Sample) -> None:
    table, listed = read_measurements(sample("study_published.csv"))
    assert list(table.column("device")) == ["phone-x-plus", "phone-x-plus", "chip-8"]
    assert table.column("model")[0] == "mobilenet_v1@width=0.25,resolution=128"
    assert list(table.column("precision")) == ["fp32", "fp16", "int8"]
    assert [(row.line, row.reason) for row in listed] == [
        (4, "left out: a network cut into partitions"),
        (6, "left out: the source does not state the unit"),
    ]


def test_shape_of_a_table_of_architectures(sample: Sample) -> None:
    table, _ = read_measurements(sample("study_nasbench201.csv"))
    assert len(table) == 3 * 4
    assert table.where(device="gtx-1080-ti").values("batch") == (1, 256)
    assert table.where(device="pixel-3").column("latency_ms")[2] == 0.05, "a dead cell is kept"
    assert table.column("model")[2] == "nasbench201@arch=|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"  # fmt: skip  # noqa: E501
    assert table.column("source_model")[2] == "nasbench201:2"


def test_shape_of_a_table_of_gpu_networks(sample: Sample) -> None:
    table, listed = read_measurements(sample("study_gpu_networks.csv"))
    assert list(table.column("variant")) == ["", "fused=torch.compile"]
    assert table.single("model") == "bert_large@seq_len=512"
    assert [row.line for row in listed] == [4]


def lines_of(path: Path) -> list[dict[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as stream:
        return list(csv.DictReader(stream))


def test_ncnn_rows_use_the_fastest_run_and_the_graph_files(data_dir: Path) -> None:
    table, listed = read_measurements(data_dir / "ncnn_e2e.csv")
    published = lines_of(data_dir / "ncnn_e2e.csv")
    # A run whose VGG-16 takes 0.54 ms on a Mali-G610; that chip has another, sound run.
    broken = [
        number
        for number, r in enumerate(published, 2)
        if (r["device"], r["unit"]) == ("station-m3-rk3588s", "gpu")
    ]
    assert {row.line for row in listed} < set(broken)
    assert {row.reason for row in listed} == {
        "left out: the run broke off, its times are of nothing"
    }
    assert "vgg16" in {published[row.line - 2]["model"] for row in listed}
    assert len(table) == len(published) - len(listed)
    assert set(table.values("device")) == {r["device"] for r in published}
    row = table.where(device="snapdragon-855-plus", unit="cpu", source_model="squeezenet")
    mine = [r for r in published if r["device"] == "snapdragon-855-plus" and r["unit"] == "cpu"]
    mine = [r for r in mine if r["model"] == "squeezenet"]
    assert list(row.column("latency_ms")) == [float(r["min_ms"]) for r in mine]
    assert row.single("model") == "ncnn_models/squeezenet.param"
    missing = [m for m in table.values("model") if not (data_dir / m).exists()]
    # names of graphs that were benchmarked once, by another spelling
    assert set(missing) <= {
        *("mobilenet_yolov3", "mobilenet-yolo", "mobilenet-ssd", "squeezenet-ssd"),
        *("squeezenet-int8", "mobilenet_yolo"),
    }


def test_phone_kernels_have_the_published_macs(data_dir: Path) -> None:
    table, listed = read_measurements(data_dir / "layers_phones.csv.gz")
    assert (len(table), listed) == (110240, ())
    one = table.where(device="huawei-p40", framework="mnn", unit="cpu", threads=1, affinity="big")
    for model, giga_macs in (("inception_v3", 5.713), ("nasnet-large", 23.783)):
        kernels = one.frame[one.frame["source_model"].isin([model, model.replace("_", "-")])]
        assert kernel_macs(kernels).sum() / 1e9 == pytest.approx(giga_macs, rel=0.002)


def test_phone_networks_are_the_sum_of_their_kernels(data_dir: Path) -> None:
    table, listed = read_measurements(
        [data_dir / "layers_phones.csv.gz", data_dir / "networks_phones.csv"], device="huawei-p40"
    )
    assert {row.reason for row in listed} <= {"left out: no network time was published"}
    chosen = table.where(
        model="inception_v3", framework="mnn", unit="cpu", threads=4, affinity="big"
    )
    assert chosen.networks.column("latency_ms") == pytest.approx([93.7], abs=0.05)
    assert chosen.kernels.column("latency_us").sum() / 1e3 == pytest.approx(93.2, abs=0.05)


def test_gpu_kernels_are_all_read(data_dir: Path) -> None:
    table, listed = read_measurements(data_dir / "layers_gpu.csv")
    assert (len(table), listed) == (59994, ())
    assert len(table.where(device="nvidia-h100-80gb-hbm3")) == 1980
    assert table.values("precision") == ("fp16", "fp16_tc", "fp32", "int8")
    assert set(table.where(framework="pytorch").column("build")) == {"2.1.0+cu121", "2.4.1"}


def test_jetson_layers_sum_to_the_published_engine(data_dir: Path) -> None:
    table, _ = read_measurements(data_dir / "layers_jetson.csv")
    gpu = table.where(device="jetson-agx-xavier", unit="gpu").frame
    engine = gpu[gpu["op"] != "reformat_to_dla"]
    assert (len(engine), round(engine["latency_us"].sum() / 1e3, 3)) == (84, 1.935)
    assert len(table.where(unit="dla")) == 10


def test_deepbench_on_small_devices(data_dir: Path) -> None:
    table, _ = read_measurements(data_dir / "layers_deepbench_mobile.csv")
    assert len(table.where(device="raspberry-pi-3b")) == 40
    assert len(table.where(device="iphone-6")) == 25


def test_gpu_networks_leave_training_out(data_dir: Path) -> None:
    table, listed = read_measurements(data_dir / "e2e_gpu.csv")
    assert len(table) == 72
    assert {row.reason for row in listed} == {"left out: training, not inference"}
    assert len(listed) == 32
    assert (table.column("variant") == "fused=torch.compile").sum() == 10
    assert "bert_large@seq_len=512" in table.values("model")


def test_published_networks(data_dir: Path) -> None:
    table, listed = read_measurements(data_dir / "published_e2e.csv")
    assert len(table) + len(listed) == 1459
    assert all(row.reason.startswith("left out: ") for row in listed)
    assert len(table.where(device="pixel-3")) == 128
    assert table.values("precision") == ("float", "fp16", "fp32", "int8", "w8a16")
    # The mobile-GPU study measures its uncut network three times over.
    exynos = table.where(device="exynos-2200", model="vgg16")
    assert set(exynos.column("latency_ms")) == {97}


@pytest.mark.parametrize(
    ("name", "columns", "rows"),
    [("nasbench201", 23, 10937), ("fbnet", 23, 5000), ("ofa", 12, 5000)],
)
def test_architecture_tables(data_dir: Path, name: str, columns: int, rows: int) -> None:
    path = data_dir / f"{name}_latency.csv.gz"
    table, listed = read_measurements(path)
    published = lines_of(path)
    assert listed == ()
    columns = sum(key not in ("arch_index", "arch_string", "ops", "ks", "e", "d", "resolution")
                  for key in published[0])  # fmt: skip
    assert (len(table), len(published)) == (columns * rows, rows)
    assert len(table.values("model")) == rows
    titan = table.where(device="titan-rtx", batch=32)
    assert list(titan.column("latency_ms"))[:3] == [float(r["titan_rtx_32"]) for r in published[:3]]


def test_sums_of_blocks_are_marked(data_dir: Path) -> None:
    table, _ = read_measurements(data_dir / "fbnet_latency.csv.gz")
    sums = table.where(variant="sum_of_blocks")
    assert sums.values("device") == ("pixel-3", "raspberry-pi-4")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("min_ms", "0", "line 2: column min_ms|line 2: column latency_ms"),
        ("min_ms", "x", "line 2: column min_ms: not a number: 'x'"),
        ("powersave", "7", "line 2: column aff"),
        ("precision", "half", "line 2: column precision: unknown 'half'"),
    ],
)
def test_a_changed_study_file_is_checked_too(
    data_dir: Path, tmp_path: Path, column: str, value: str, message: str
) -> None:
    rows = lines_of(data_dir / "ncnn_e2e.csv")[:20]
    path = tmp_path / "ncnn_e2e.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([{**rows[0], column: value}, *rows[1:]])
    with pytest.raises(MeasurementError, match=message):
        read_measurements(path)


def test_a_study_survives_the_canonical_file(data_dir: Path, tmp_path: Path) -> None:
    import pandas as pd

    names = ("layers_deepbench_mobile.csv", "layers_jetson.csv", "published_e2e.csv")
    for name in names:
        table, _ = read_measurements(data_dir / name)
        again, _ = read_measurements(write_measurements(table, tmp_path / name))
        pd.testing.assert_frame_equal(
            again.frame[list(schema.NAMES)], table.frame[list(schema.NAMES)]
        )


def test_reading_all_together_keeps_every_row(data_dir: Path) -> None:
    names = ("ncnn_e2e.csv", "layers_jetson.csv", "published_e2e.csv", "e2e_gpu.csv")
    paths = [data_dir / name for name in names]
    table, _ = read_measurements(paths)
    parts: list[MeasurementTable] = [read_measurements(path)[0] for path in paths]
    assert len(table) == sum(len(part) for part in parts)


def test_a_published_time_that_does_not_fit_the_others_is_left_out(tmp_path: Path) -> None:
    head = "source,device,soc,unit,framework,precision,threads,model,input,batch,latency_ms,note"
    times = {"Mobilenet_V1_1.0_224": 10.0, "resnet50": 60.0, "VGG-16": 200.0, "InceptionV3": 90.0}
    rows = [
        f"a@b,Phone {phone},Chip {phone},cpu,TFLite,fp32,4,{model},224x224,1,{speed * ms},"
        for phone, speed in {"A": 1.0, "B": 2.0, "C": 3.0}.items()
        for model, ms in times.items()
    ]
    rows[5] = rows[5].replace(",120.0,", ",120000.0,")
    path = tmp_path / "published.csv"
    path.write_text("\n".join([head, *rows, ""]))
    table, listed = read_measurements(path)
    assert len(table) == 11
    assert [(row.line, row.reason[:50]) for row in listed] == [
        (7, "left out: column latency_ms: 1e+03 times slower th")
    ]
