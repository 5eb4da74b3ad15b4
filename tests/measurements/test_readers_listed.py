"""The list of readers: each has a sample that it and no other recognises."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import MeasurementError
from perfmodel.measurements.evidence import FACETS
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.readers.listed import READERS
from perfmodel.measurements.readers.results import Reader, log_result
from perfmodel.measurements.readers.source_text import SourceText, decode
from perfmodel.measurements.table import rows_frame

SAMPLES = sorted((Path(__file__).parent / "samples").iterdir())


def source_of(path: Path) -> SourceText:
    return decode(path, path.read_bytes())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_is_recognised_by_one_reader(path: Path) -> None:
    source = source_of(path)
    names = [reader.name for reader in READERS if reader.recognise(source)]
    if path.name.startswith("study"):  # whose columns may be those of the canonical table
        names = [name for name in names if "canonical" not in name]
    assert len(names) == 1


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_every_reader_has_a_sample(reader: Reader) -> None:
    assert any(reader.recognise(source_of(path)) for path in SAMPLES)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_facet_of_a_log_names_its_evidence(path: Path) -> None:
    source = source_of(path)
    reader = next(reader for reader in READERS if reader.recognise(source))
    result = reader.read(source)
    if not result.is_log:
        return
    for _, row in result.frame.iterrows():
        stated = {name for name in FACETS if row[name] != "" and row[name] == row[name]}
        assert stated == {name for name, where in row["origin_evidence"] if where}


def test_a_facet_without_evidence_is_a_mistake_of_the_reader() -> None:
    with pytest.raises(AssertionError, match="unit='cpu' without evidence"):
        log_result([{"line": 1, "unit": "cpu"}], SourceText("a.log", "text"))


def test_rates_are_rows_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    header = "device,unit,framework,precision,model,kind,tokens,tokens_per_s"
    path.write_text(f"{header}\nd,cpu,llama.cpp,fp16,llama-7b,decode,128,7.5\n")
    table, _ = read_measurements(path)
    assert (len(table.rates), len(table.networks), len(table.kernels)) == (1, 0, 0)
    assert table.rates.column("tokens_per_s") == [7.5]


@pytest.mark.parametrize(
    ("kind", "latency", "message"),
    [
        ("steady", "", "column kind: prefill and decode"),
        ("decode", "3", "a row is a network"),
    ],
)
def test_a_rate_is_no_latency(tmp_path: Path, kind: str, latency: str, message: str) -> None:
    path = tmp_path / "rates.csv"
    header = "device,unit,framework,precision,model,kind,tokens_per_s,latency_ms"
    path.write_text(f"{header}\nd,cpu,llama.cpp,fp16,llama-7b,{kind},7.5,{latency}\n")
    with pytest.raises(MeasurementError, match=message):
        read_measurements(path)


def test_rows_made_by_hand_need_no_evidence() -> None:
    frame = rows_frame([{"line": 1, "unit": "cpu"}], "by_hand.csv")
    assert list(frame["origin_evidence"]) == [()]
