"""Rows of a sweep on disk: whose they are, who writes them, what a damaged file says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfmodel.errors import OutputError, PerfmodelError
from perfmodel.explore.sweep_file import SweepJournal
from perfmodel.explore.sweep_identity import SweepIdentity
from perfmodel.locks import lock_file

ONE = SweepIdentity("one", {"net": "1"})
ROW = {"point": 0, "x": 1, "problem": ""}


def fill(path: Path, *points: int) -> None:
    with SweepJournal(path, ONE) as journal:
        journal.append([{**ROW, "point": p} for p in points])


def test_rows_are_read_again(tmp_path: Path) -> None:
    fill(tmp_path / "a.csv", 2, 0)
    with SweepJournal(tmp_path / "a.csv", ONE) as journal:
        assert journal.done == {0, 2}
        journal.append([{**ROW, "point": 1}])
        assert journal.finish()["point"].tolist() == [0, 1, 2]
    assert (tmp_path / "a.csv").read_text() == "point,x,problem\n0,1,\n1,1,\n2,1,\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.csv.sweep.json"]


@pytest.mark.parametrize("cut", range(26))
def test_a_file_cut_anywhere_goes_on_with_its_whole_rows(cut: int, tmp_path: Path) -> None:
    fill(tmp_path / "a.csv", 0, 1)
    whole = (tmp_path / "a.csv").read_bytes()
    assert len(whole) == 26
    (tmp_path / "a.csv").write_bytes(whole[:cut])
    with SweepJournal(tmp_path / "a.csv", ONE) as journal:
        assert journal.done == set(range(max(0, whole[:cut].count(b"\n") - 1)))
        journal.append([{**ROW, "point": 7}])
        assert journal.finish()["point"].tolist()[-1] == 7


def test_line_ends_in_a_cell_do_not_end_a_row(tmp_path: Path) -> None:
    with SweepJournal(tmp_path / "a.csv", ONE) as journal:
        journal.append([{**ROW, "problem": "a\nb\r\nc"}])
    assert (tmp_path / "a.csv").read_text() == "point,x,problem\n0,1,a b c\n"


@pytest.mark.parametrize("mine", ["my,own\n1,2\n", "p", "x"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_file_of_somebody_else_needs_force(restart: bool, mine: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(mine)
    with pytest.raises(OutputError, match="no sweep wrote it"):
        SweepJournal(path, ONE, restart=restart)
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    with SweepJournal(path, ONE, force=True) as journal:
        assert journal.done == set()
        assert not path.exists()


def test_the_note_of_an_earlier_sweep_does_not_give_another_file_away(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    fill(path, 0)
    path.write_text("my,own\n1,2\n")
    with pytest.raises(OutputError, match="no sweep wrote it"):
        SweepJournal(path, ONE)
    path.write_text("")  # empty is nobody's
    with SweepJournal(path, ONE) as journal:
        assert journal.done == set()


def test_force_alone_goes_on_with_rows_of_the_same_sweep(tmp_path: Path) -> None:
    fill(tmp_path / "a.csv", 0)
    with SweepJournal(tmp_path / "a.csv", ONE, force=True) as journal:
        assert journal.done == {0}
    other = SweepIdentity("two", {})
    with pytest.raises(OutputError, match="something else than this sweep: another question"):
        SweepJournal(tmp_path / "a.csv", other, force=True)
    with SweepJournal(tmp_path / "a.csv", other, restart=True) as journal:
        assert journal.done == set()


@pytest.mark.parametrize(
    "rows",
    [
        "point,x,problem\n0,1,\nzero,1,\n",
        "point,x,problem\n0,1,\n,,\n",
        "point,x\n0,1,2\n",
        "point,x\n0\n",
        'point,x\n0,"a\n1\n',
    ],
)
def test_damaged_rows_are_told(rows: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    fill(path, 0)
    path.write_text(rows)
    with pytest.raises(OutputError, match=r"rows are damaged") as told:
        SweepJournal(path, ONE)
    assert "--restart" in told.value.hint
    assert path.read_text() == rows
    assert not lock_file(path).exists()


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"format": "else"}', "[" * 100_000])
def test_rows_without_a_sound_note_are_nobodys(note: str, tmp_path: Path) -> None:
    fill(tmp_path / "a.csv", 0)
    (tmp_path / "a.csv.sweep.json").write_text(note)
    with pytest.raises(OutputError, match="no sweep wrote it"):
        SweepJournal(tmp_path / "a.csv", ONE)


def test_the_note_says_of_what(tmp_path: Path) -> None:
    fill(tmp_path / "a.csv", 0)
    note = json.loads((tmp_path / "a.csv.sweep.json").read_text())
    assert note == {
        "format": "perfmodel-sweep",
        "version": 2,
        "sweep": "one",
        "contents": {"net": "1"},
    }


def test_the_claim_lasts_as_long_as_the_sweep(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with SweepJournal(path, ONE):
        assert lock_file(path).exists()
    assert not lock_file(path).exists()


def test_only_tables_are_written(tmp_path: Path) -> None:
    with pytest.raises(PerfmodelError, match=r"written as \.csv or \.parquet"):
        SweepJournal(tmp_path / "a.txt", ONE)


@pytest.mark.ci
def test_a_damaged_parquet_file_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    with SweepJournal(path, ONE) as journal:
        journal.append([ROW])
        journal.finish()
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(OutputError, match="rows are damaged"):
        SweepJournal(path, ONE)
