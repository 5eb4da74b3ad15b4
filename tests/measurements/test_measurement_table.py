"""The canonical table: reading, checking and writing it."""

from __future__ import annotations

import dataclasses
import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements import columns as schema
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.readers.canonical import write_measurements
from perfmodel.measurements.table import BadRow

Sample = Callable[[str], Path]
Changed = Callable[..., Path]


def test_network_rows(sample: Sample) -> None:
    table, bad = read_measurements(sample("canonical.csv"))
    assert (len(table), bad) == (5, ())
    assert list(table.column("latency_ms")) == [24.1, 17.3, 38.0, 171.5, 262]
    assert table.single("precision") == "fp32"
    assert set(table.frame.columns) == {*schema.NAMES, *schema.ORIGIN}
    assert len(table.kernels) == 0
    for name, dtype in table.frame.dtypes.items():
        expected = (
            "object" if name in (*schema.TEXT, "origin_file", "origin_evidence") else "float64"
        )
        assert dtype == ("int64" if name == "origin_line" else expected), name


def test_kernel_rows(sample: Sample) -> None:
    table, _ = read_measurements(sample("canonical_kernels.csv"))
    assert len(table.kernels) == 12
    assert table.kernels.where(op="softmax").column("latency_us") == [12]


def test_what_is_not_stated_is_not_zero(sample: Sample) -> None:
    row = read_measurements(sample("canonical.csv"))[0].frame.iloc[0]
    assert row["soc"] == ""
    for name in ("load_ms", "energy_mj", "peak_memory_bytes", "cin", "latency_us", "run"):
        assert row[name] != row[name]


def test_device_and_other_columns_may_come_from_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("model,latency_ms\nmobilenet_v2,17.3\n")
    with pytest.raises(MeasurementError, match="line 1: column device: missing"):
        read_measurements(path)
    known = {"unit": "cpu", "framework": "tflite", "precision": "fp32", "threads": 4}
    table, _ = read_measurements(path, device="my-phone", defaults=known)
    row = table.frame.iloc[0]
    assert (row["device"], row["threads"], row["kind"]) == ("my-phone", 4, "steady")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",precision", ",precison", "line 1: column precison: not a column"),
        (",unit,framework", ",note,framework", "line 1: column unit: missing"),
        (",latency_ms", ",latency_s", "line 1: column latency_s: not a column"),
        (",latency_ms", ",energy_mj", "line 1"),
        ("mobilenet_v2,1,steady", "mobilenet_v2,1,hot", "line 3: column kind: unknown 'hot'"),
        ("phone,cpu,tflite,fp32,4,big,mobilenet_v2", "phone,tpu,tflite,fp32,4,big,mobilenet_v2",
         "line 3: column unit: unknown 'tpu'; one of cpu, gpu"),
        ("fp32,4,big,mobilenet_v2", "fp12,4,big,mobilenet_v2", "line 3: column precision"),
        ("fp32,4,big,mobilenet_v2", "fp32,4.5,big,mobilenet_v2", "line 3: column threads: must be"),
        ("fp32,4,big,mobilenet_v2", "fp32,-4,big,mobilenet_v2", "line 3: column threads"),
        ("50,17.3,", "50,0,", "line 3: column latency_ms: must be above 0, got 0"),
        ("50,17.3,", "50,-17.3,", "line 3: column latency_ms: must be above 0, got -17.3"),
        ("50,17.3,", "50,nan,", "line 3: column latency_ms: not a number: 'nan'"),
        ("50,17.3,", "50,inf,", "line 3: column latency_ms"),
        ("50,17.3,", "50,1e300,", "line 3: column latency_ms: 1e\\+300 is more than a day"),
        ("50,17.3,", "50,17_3,", "line 3: column latency_ms: not a number: '17_3'"),
        ("50,17.3,", "50,,", "line 3: column latency_ms: no latency"),
        ("50,17.3,", "50,17.3ms,", "line 3: column latency_ms: not a number: '17.3ms'"),
        ("50,17.3,", "50,", "line 3: 13 cells where the header has 14"),
        ("big,mobilenet_v2,", "big,mobilenet_v1,", "line 3: duplicate of .*: line 2"),
        ("big,mobilenet_v2,", "big,,", "line 3: column model: empty"),
        ("16.9,18.1", "18.9,18.1", "line 3: column min_ms: 18.9 is above max_ms, 18.1"),
        ("device,unit", "unit,unit", "line 1: the header names column 'unit' twice"),
        ('my-phone,cpu,tflite,fp32,4,big,mobilenet_v2', '"my-phone,cpu', "not CSV"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_with_line_and_reason(
    changed: Changed, old: str, new: str, message: str
) -> None:
    path = changed("canonical.csv", (old, new)) if "," in old else None
    assert path is not None
    if old == "big,mobilenet_v2,":
        text = path.read_text().replace("17.3,16.9,18.1", "24.1,23.5,26.0")
        path.write_text(text)
    with pytest.raises(MeasurementError, match=message):
        read_measurements(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "32,112,112,3,3,1,1,32",
            "32,912,112,3,3,1,1,32",
            "line 4: column hout: 912 is impossible",
        ),
        ("32,112,112,3,3,1,1,32", "32,112,112,3,3,1,1,5", "line 4: column groups: 5 does not"),
        ("1,32,112,112,64", "1,-32,112,112,64", "line 3: column cin: .*impossible|must be"),
        ("1,32,112,112,64", "1,3.5,112,112,64", "line 3: column cin: must be a whole number"),
        ("1,32,112,112,64", "1,1e30,112,112,64", "line 3: column cin"),
        (",2400", ",2.4", "line 3: column latency_us: .* faster .*; ms for us"),
        (",2400", ",2400000", "line 3: column latency_us: .* slower .*; ns for us"),
    ],
)
def test_impossible_kernels_are_refused(changed: Changed, old: str, new: str, message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        read_measurements(changed("canonical_kernels.csv", (old, new)))


def test_skip_bad_lists_and_drops(changed: Changed) -> None:
    path = changed("canonical.csv", (",17.3,", ",x,"), (",171.5,", ",0,"))
    table, bad = read_measurements(path, skip_bad=True)
    assert list(table.column("latency_ms")) == [24.1, 38.0, 262]
    assert sorted((row.line, row.file) for row in bad) == [(3, str(path)), (5, str(path))]
    assert "not a number" in str(bad[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        bad[0].line = 4  # type: ignore[misc]
    assert isinstance(bad[0], BadRow)


def test_network_times_are_checked_against_their_macs(changed: Changed) -> None:
    path = changed("canonical.csv", (",17.3,16.9,18.1", ",17300,16900,18100"))
    with pytest.raises(MeasurementError, match=r"line 3: column latency_ms: .*us for ms"):
        read_measurements(path)
    table, _ = read_measurements(path, network_macs=lambda model: None)
    assert len(table) == 5, "nothing to compare with"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        # 128 x 128 x 56 x 56 multiply-accumulates in 4.3 us on one thread.
        ("canonical_kernels.csv", r"line 7: column latency_us: 11\.9 TMAC/s is beyond any cpu; ms"),
        # ResNet-50, 4.1 G, in 0.17 ms on four threads.
        ("canonical.csv", r"column latency_ms: .* TMAC/s is beyond any cpu; s for ms"),
    ],
)
def test_a_file_all_in_another_unit_is_faster_than_processors_are(
    tmp_path: Path, sample: Sample, name: str, message: str
) -> None:
    import pandas as pd

    frame = pd.read_csv(sample(name))
    for column in frame.columns.intersection(["latency_us", "latency_ms", "min_ms", "max_ms"]):
        frame[column] /= 1000
    path = tmp_path / name
    frame.to_csv(path, index=False)
    with pytest.raises(MeasurementError) as caught:
        read_measurements(path, skip_bad=False)
    _, bad = read_measurements(path, skip_bad=True)
    assert any(re.search(message, str(row)) for row in bad), str(caught.value)


def test_network_times_are_checked_against_other_targets(tmp_path: Path, sample: Sample) -> None:
    lines = sample("canonical.csv").read_text().splitlines()
    rows = [lines[0]]
    for threads in (1, 2, 4):
        rows += [line.replace(",4,big", f",{threads},big") for line in lines[1:]]
    rows[7] = rows[7].replace("17.3,16.9,18.1", "0.0173,0.0169,0.0181")
    rows = [row.replace("mobilenet_v2", "my_net") for row in rows]
    path = tmp_path / "three.csv"
    path.write_text("\n".join(rows))
    with pytest.raises(MeasurementError, match=r"line 8: column latency_ms: 1e.03 times faster"):
        read_measurements(path)


def test_a_whole_file_in_another_unit_is_refused(tmp_path: Path, sample: Sample) -> None:
    text = sample("canonical.csv").read_text()
    other = tmp_path / "other.csv"
    lines = [text.splitlines()[0]]
    for line in text.splitlines()[1:4]:
        cells = line.replace("my-phone,cpu,tflite,fp32", "my-phone,cpu,tflite,fp16").split(",")
        lines.append(",".join(cells[:-3] + [str(float(cell) * 1000) for cell in cells[-3:]]))
    other.write_text("\n".join(lines))
    with pytest.raises(
        MeasurementError, match=r"other\.csv: line 2: whole file: 1e\+03 times slow"
    ):
        read_measurements([sample("canonical.csv"), other])
    table, bad = read_measurements([sample("canonical.csv"), other], skip_bad=True)
    assert (len(table), len(bad)) == (5, 3)


def test_a_network_far_off_the_sum_of_its_kernels_is_refused(
    tmp_path: Path, sample: Sample
) -> None:
    header, *rows = sample("canonical_kernels.csv").read_text().splitlines()
    kernels = tmp_path / "kernels.csv"
    kernels.write_text("\n".join([f"model,{header}", *(f"my_net,{row}" for row in rows)]))
    network = tmp_path / "network.csv"
    header = "device,unit,framework,precision,threads,model,latency_ms"
    # The kernels take 20.4 ms together.
    network.write_text(f"{header}\nmy-phone,cpu,tflite,fp32,1,my_net,20.9\n")
    assert len(read_measurements([kernels, network])[0]) == 13
    network.write_text(f"{header}\nmy-phone,cpu,tflite,fp32,1,my_net,20900\n")
    with pytest.raises(MeasurementError, match=r"network\.csv: line 2: whole file: 1\.02e\+03 tim"):
        read_measurements([kernels, network])


def test_the_same_row_in_two_files_is_refused(tmp_path: Path, sample: Sample) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_text(sample("canonical.csv").read_text())
    with pytest.raises(MeasurementError, match=r"copy\.csv: line 2: duplicate of .*canonical\.csv"):
        read_measurements([sample("canonical.csv"), copy])


def test_repeated_logs_are_numbered(tmp_path: Path, sample: Sample) -> None:
    again = tmp_path / "tflite_old.log"
    again.write_text(sample("tflite_old.log").read_text())
    table, _ = read_measurements([sample("tflite_old.log"), again], device="my-phone")
    assert list(table.column("run")) == [1, 2]


def test_mixed_precisions_are_named(changed: Changed) -> None:
    path = changed("canonical.csv", ("fp32,4,big,resnet50", "int8,4,big,resnet50"))
    table, _ = read_measurements(path)
    with pytest.raises(MeasurementError, match=r"different precision are mixed: .*line 5"):
        table.single("precision")


@pytest.mark.parametrize(
    "ending", [".csv", ".csv.gz", pytest.param(".parquet", marks=pytest.mark.ci)]
)
@pytest.mark.parametrize("name", ["canonical.csv", "canonical_kernels.csv"])
def test_writing_and_reading_gives_the_same_table(
    tmp_path: Path, sample: Sample, name: str, ending: str
) -> None:
    import pandas as pd

    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    table, _ = read_measurements(sample(name))
    path = write_measurements(table, tmp_path / f"table{ending}")
    again, _ = read_measurements(path)
    pd.testing.assert_frame_equal(again.frame[list(schema.NAMES)], table.frame[list(schema.NAMES)])
    assert [file.name for file in tmp_path.iterdir()] == [path.name], "no temporary file is left"


def test_writing_refuses_an_unknown_ending(tmp_path: Path, sample: Sample) -> None:
    table, _ = read_measurements(sample("canonical.csv"))
    with pytest.raises(MeasurementError, match=r"use \.csv"):
        write_measurements(table, tmp_path / "table.xlsx")


def test_blank_lines_keep_their_numbers(changed: Changed) -> None:
    path = changed("canonical.csv", ("my-phone,cpu,tflite,fp32,4,big,resnet50", "\n\nmy-phone,cpu,tflite,fp32,x,big,resnet50"))  # fmt: skip  # noqa: E501
    with pytest.raises(MeasurementError, match="line 7: column threads"):
        read_measurements(path)


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path, sample: Sample) -> None:
    path = tmp_path / "windows.csv"
    text = sample("canonical.csv").read_text().replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read_measurements(path)[0]) == 5
    packed = tmp_path / "windows.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert len(read_measurements(packed)[0]) == 5
