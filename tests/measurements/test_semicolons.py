"""Tables as spreadsheets write them where the comma is decimal: cells between semicolons."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements import columns as schema
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import BadRow

Sample = Callable[[str], Path]

HEADER = "unit;framework;precision;threads;model;latency_ms;variant\n"


def of_spreadsheet(path: Path, mark: str, end: str = "\r\n") -> str:
    """A file with commas as a spreadsheet of another country would write it."""
    header, *rows = csv.reader(io.StringIO(path.read_text()))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator=end)
    writer.writerow(header)
    for row in rows:
        named = zip(header, row, strict=True)
        writer.writerow([c.replace(".", mark) if n in schema.NUMERIC else c for n, c in named])
    return out.getvalue()


def rows(path: Path, text: str, skip_bad: bool = False) -> tuple[pd.DataFrame, tuple[BadRow, ...]]:
    path.write_text(text)
    table, bad = read_measurements(path, device="dev", skip_bad=skip_bad)
    return table.frame, bad


@pytest.mark.parametrize("mark", [",", "."])
@pytest.mark.parametrize("name", ["canonical.csv", "canonical_kernels.csv"])
def test_a_spreadsheets_table_is_the_table(
    sample: Sample, tmp_path: Path, name: str, mark: str
) -> None:
    path = tmp_path / name
    path.write_bytes(of_spreadsheet(sample(name), mark).encode("utf-8-sig"))
    found, whole = read_measurements(path)[0].frame, read_measurements(sample(name))[0].frame
    pd.testing.assert_frame_equal(
        found.drop(columns="origin_file"), whole.drop(columns="origin_file")
    )


def test_a_decimal_comma_is_read_and_text_keeps_its_marks(tmp_path: Path) -> None:
    text = f'{HEADER}cpu;ncnn;float;4;mobilenet_v2;" 23,5 ";"a=1,5;b=2.5"\n'
    frame, _ = rows(tmp_path / "a.csv", text + "cpu;ncnn;float;4;resnet18;1,2e2;\n")
    assert frame["latency_ms"].tolist() == [23.5, 120.0]
    assert frame["variant"].tolist() == ["a=1,5;b=2.5", ""]


@pytest.mark.parametrize(("first", "second"), [("23,5", "1.234"), ("1.234", "23,5")])
def test_both_decimal_marks_in_one_file_are_refused(
    tmp_path: Path, first: str, second: str
) -> None:
    text = f"{HEADER}cpu;ncnn;float;4;mobilenet_v2;{first};\ncpu;ncnn;float;4;vgg16;{second};\n"
    message = rf"a\.csv: line 3: '{second}' has another decimal mark than line 2"
    for skip_bad in (False, True):
        with pytest.raises(MeasurementError, match=message):
            rows(tmp_path / "a.csv", text, skip_bad)


@pytest.mark.parametrize("cell", ["1.234,5", "1,234,5", "x,5", "23,5 ms", "1_0,5"])
def test_grouped_digits_are_no_number(tmp_path: Path, cell: str) -> None:
    text = f"{HEADER}cpu;ncnn;float;4;mobilenet_v2;23,5;\ncpu;ncnn;float;4;resnet18;{cell};\n"
    with pytest.raises(MeasurementError, match="line 3: column latency_ms: not a number: "):
        rows(tmp_path / "a.csv", text)
    frame, bad = rows(tmp_path / "a.csv", text, skip_bad=True)
    assert (frame["latency_ms"].tolist(), [b.line for b in bad]) == ([23.5], [3])


def test_between_commas_a_decimal_comma_stays_an_error(tmp_path: Path) -> None:
    text = HEADER.replace(";", ",") + 'cpu,ncnn,float,4,mobilenet_v2,"23,5",\n'
    with pytest.raises(MeasurementError, match="line 2: column latency_ms: not a number: '23,5'"):
        rows(tmp_path / "a.csv", text)


def test_what_a_header_between_semicolons_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="column latency_ms: missing"):
        rows(tmp_path / "a.csv", "device;model;unit\ndev;resnet18;cpu\n")
    with pytest.raises(MeasurementError, match="line 2: 5 cells where the header has 7"):
        rows(tmp_path / "a.csv", f"{HEADER}cpu;ncnn;float;4;resnet18\n")


def test_a_semicolon_in_a_header_with_commas_parts_no_cells(tmp_path: Path) -> None:
    header = "device,unit,framework,precision,model,latency_ms,odd;name\n"
    with pytest.raises(MeasurementError, match="column odd;name: not a column"):
        rows(tmp_path / "a.csv", header + "dev,cpu,ncnn,float,resnet18,23.5,\n")
