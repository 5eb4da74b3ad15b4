"""Tables: they fit the width there is, and go to files by the ending of the name."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import sys
from pathlib import Path

import pytest
from cli_folder import Perform

from perfmodel.cli.output import WIDTH_OF_NO_TERMINAL, text_width
from perfmodel.cli.queries import ANSWERS, COLUMNS
from perfmodel.render.table_file import TABLES, flat_row, rows_of, table_mark, write_rows

ASKED = {
    "models": "models --match vgg",
    "devices": "devices --match pixel-4/cpu",
    "inspect": "inspect alexnet",
    "predict": "predict alexnet --on snapdragon-888/cpu",
    "compare": "compare alexnet squeezenet --on snapdragon-888/cpu,gpu",
    "partition": "partition alexnet --on snapdragon-888/gpu -k 2 --by layer-count",
    "simulate": "simulate queue.toml",
    "minspec": "minspec alexnet --max-latency-ms 50 --fleet fleet.csv",
    "select": "select mobilenet_v1 --on snapdragon-888 --max-latency-ms 8",
    "validate": "validate host",
    "doctor": "doctor",
}
"""By command that shows a table: an invocation that answers at once."""

KEYS = {
    "models": ("name", "vgg11"),
    "devices": ("target", "pixel-4/cpu/tflite/fp32/t4"),
    "inspect": ("output_shapes", "1x55x55x96"),
    "predict": ("class", "conv_first"),
    "compare": ("model", "alexnet"),
    "partition": ("target", "snapdragon-888/gpu/ncnn/float"),
    "simulate": ("policy", "cloud"),
    "minspec": ("verdict", "pass"),
    "select": ("model", "mobilenet_v1"),
    "validate": ("measured_ms", "10.0"),
    "doctor": ("name", "perfmodel"),
}
"""By command: a column, and what its first row has there."""


def cells(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


@pytest.mark.parametrize("command", ASKED)
def test_an_answer_goes_to_files_by_their_endings(
    command: str, files: Perform, tmp_path: Path
) -> None:
    (tmp_path / "fleet.csv").write_text("device,share\nsnapdragon-888,0.7\npixel-4,0.3\n")
    words = shlex.split(ASKED[command])
    shown = files(*words, "-o", "rows.csv")
    assert shown.code == 0, shown.err
    assert shown.out.endswith("wrote rows.csv\n")
    rows = cells(tmp_path / "rows.csv")
    assert tuple(rows[0]) == TABLES[command].columns
    column, first = KEYS[command]
    assert rows[0][column] == first
    answer = files(*words, "-o", "answer.json", "--json").json
    written = json.loads((tmp_path / "answer.json").read_text())
    if isinstance(answer, dict):
        assert answer.pop("reproduce").startswith(f"perfmodel {command}")
        assert answer.keys() <= written.keys()
    else:
        assert answer == written
    assert files(*words, "-o", "page.html").code == 0
    assert "<html" in (tmp_path / "page.html").read_text()
    for name in ("rows.csv", "answer.json", "page.html"):
        assert files(*words, "-o", name).code == 0, name


def test_every_command_with_rows_is_asked() -> None:
    assert set(ASKED) == set(TABLES) == set(KEYS)


@pytest.mark.parametrize("command", [*ASKED, "whatif", "queries"])
def test_an_unknown_ending_is_refused_with_the_known_ones(command: str, files: Perform) -> None:
    words = {
        "whatif": "whatif --model alexnet --on snapdragon-888/cpu --set slowdown=1,2",
        "queries": "predict --queries q.csv",
    }.get(command, ASKED.get(command, ""))
    done = files(*shlex.split(words), "-o", "rows.xlsx")
    assert done.code == 2
    assert ".csv or .parquet" in done.err
    assert (".html or .json" in done.err) == (command != "queries")


def test_rows_hold_what_the_answer_holds(files: Perform, tmp_path: Path) -> None:
    words = shlex.split(ASKED["compare"])
    answer = files(*words, "--json").json["cells"]
    files(*words, "-o", "rows.csv")
    rows = cells(tmp_path / "rows.csv")
    assert [float(r["low_ms"]) for r in rows] == [c["interval_ms"][0] for c in answer]
    assert [float(r["high_ms"]) for r in rows] == [c["interval_ms"][1] for c in answer]
    words = shlex.split(ASKED["simulate"])
    answer = files(*words, "--json").json["cases"]
    files(*words, "-o", "cases.csv")
    (row,) = cells(tmp_path / "cases.csv")
    assert float(row["latency_p95_ms"]) == answer[0]["latency_ms"]["p95"]
    assert float(row["wait_ms"]) == answer[0]["wait_ms"]["mean"]


def test_what_is_not_known_is_an_empty_cell() -> None:
    cell = {"model": "a", "target": "b/cpu", "latency_ms": None, "interval_ms": None, "ratio": None}
    (row,) = rows_of("compare", {"cells": [cell]})
    assert row["latency_ms"] is row["low_ms"] is row["problem"] is None
    (row,) = rows_of("predict", {"kernels": [{"name": "a", "ops": ["conv", "relu"]}]})
    assert (row["ops"], row["macs"]) == ("conv+relu", None)
    (row,) = rows_of("inspect", {"ops": [{"output_shapes": [[1, 2], [3]]}]})
    assert row["output_shapes"] == "1x2+3"


def test_rows_as_parquet_are_those_of_the_csv(files: Perform, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pandas as pd

    words = shlex.split(ASKED["predict"])
    assert files(*words, "-o", "rows.parquet").code == 0
    assert files(*words, "-o", "rows.csv").code == 0
    table = pd.read_parquet(tmp_path / "rows.parquet")
    assert table["latency_ms"].tolist() == [
        float(r["latency_ms"]) for r in cells(tmp_path / "rows.csv")
    ]
    assert files(*words, "-o", "rows.parquet").code == 0
    (tmp_path / "queries.csv").write_text("model,target\nalexnet,snapdragon-888/cpu\nx,y\n")
    for _ in range(2):
        assert files("predict", "--queries", "queries.csv", "-o", "answers.parquet").code == 0
    answers = pd.read_parquet(tmp_path / "answers.parquet")
    assert tuple(answers.columns) == (*COLUMNS, *ANSWERS)
    assert answers["latency_ms"].notna().tolist() == [True, False]


def test_parquet_without_its_library_is_refused_before_work(
    files: Perform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = files(*shlex.split(ASKED["predict"]), "-o", "rows.parquet")
    assert (done.code, "needs pyarrow" in done.err) == (2, True)
    assert not (tmp_path / "rows.parquet").exists()


def test_a_table_is_known_again_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write_rows("partition", {"segments": []}, path)
    assert path.read_bytes().startswith(table_mark("partition", ".csv"))
    assert table_mark("predict", ".parquet") == b'"field_name": "name"'
    assert table_mark("predict", ".html") == table_mark("predict", ".json") == b""


class Terminal(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_text_is_as_wide_as_columns_says_else_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.get_terminal_size", lambda *_: os.terminal_size((57, 20)))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert text_width() == WIDTH_OF_NO_TERMINAL == 100
    monkeypatch.setenv("COLUMNS", "140")
    assert text_width() == 140
    monkeypatch.setenv("COLUMNS", "wide")
    assert text_width() == 100
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert text_width() == 57


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(
    "command", ["models", "devices", "predict", "partition", "minspec", "select"]
)
def test_tables_fit_the_width(
    command: str, width: int, files: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    (tmp_path / "fleet.csv").write_text("device,share\nsnapdragon-888,0.7\npixel-4,0.3\n")
    lines = files(*shlex.split(ASKED[command])).out.split("\n")
    rules = [number for number, line in enumerate(lines) if line and not line.strip("- ")]
    assert rules
    for rule in rules:
        assert len(lines[rule]) <= width, lines[rule]
        assert len(lines[rule - 1]) <= width
        assert len(lines[rule + 1]) <= width


def test_frames_per_second_are_said_when_asked(perform: Perform) -> None:
    words = shlex.split(ASKED["predict"])
    without = perform(*words, "--json").json
    assert "frames_per_second" not in without
    answer = perform(*words, "--fps", "--batch-size", "4", "--json").json
    low, high = answer["interval_ms"]
    assert answer["frames_per_second"] == pytest.approx(4000 / answer["latency_ms"], rel=1e-6)
    assert answer["frames_per_second_interval"] == pytest.approx([4000 / high, 4000 / low])
    shown = perform(*words, "--fps").out.splitlines()[1]
    rate = 1000 / without["latency_ms"]
    assert shown.startswith(f"  {rate:.3g} frames per second (")
    assert shown.endswith("one after the other")


def test_a_flat_row_has_a_column_for_each_end_and_each_key() -> None:
    row = {"interval_ms": [1.0, 2.0], "latency_ms": {"p50": 3.0, "p95": 4.0}, "units": ["a", "b"]}
    flat = {"low_ms": 1.0, "high_ms": 2.0, "latency_ms_p50": 3.0, "latency_ms_p95": 4.0}
    assert flat_row(row) == {**flat, "units": "a+b"}
    assert flat_row({"interval": 1.0, "interval_ms": None}) == {
        "interval": 1.0,
        "interval_ms": None,
    }
