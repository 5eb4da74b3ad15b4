"""The journal: nothing that was added is lost, whatever happened to the end of the file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.cli.app import INTERRUPTED, run
from perfmodel.cli.validate import EXPERIMENTS
from perfmodel.errors import MeasurementError, OutputError
from perfmodel.locks import lock_file
from perfmodel.runners.journal import Journal

HEADER = {"what": "test"}
values = st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False) | st.text(max_size=9))
entries = st.dictionaries(st.text(min_size=1, max_size=9), values, max_size=6)


def keyless(entry: dict) -> dict:
    return {k: v for k, v in entry.items() if k != "key"}


@given(entries)
@settings(max_examples=30, deadline=None)
def test_what_was_added_is_read_again(wanted: dict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        with Journal(path, HEADER) as book:
            for key, entry in wanted.items():
                book.add(key, keyless(entry))
        with Journal(path, HEADER) as book:
            assert book.entries == {k: keyless(v) for k, v in wanted.items()}


@given(st.integers(min_value=0, max_value=400))
@settings(max_examples=40, deadline=None)
def test_a_file_cut_anywhere_keeps_its_whole_lines_and_can_be_continued(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        with Journal(path, HEADER) as book:
            for number in range(6):
                book.add(f"k{number}", {"v": number})
        whole = path.read_bytes()
        path.write_bytes(whole[:cut])
        kept = max(0, whole[:cut].count(b"\n") - 1)
        with Journal(path, HEADER) as book:
            assert list(book.entries) == [f"k{n}" for n in range(kept)]
            book.add("more", {"v": 1})
        with Journal(path, HEADER) as book:
            assert list(book.entries)[-1] == "more"
            assert len(book.entries) == kept + 1


def test_another_campaigns_journal_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", HEADER):
        pass
    with pytest.raises(MeasurementError, match="another campaign"):
        Journal(tmp_path / "j", {"what": "else"})


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", HEADER):
        pass
    with open(tmp_path / "j", "a") as file:
        file.write("{nonsense\n")
    with pytest.raises(MeasurementError, match="line 2"):
        Journal(tmp_path / "j", HEADER)


def test_an_interrupt_says_what_is_kept_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "host.journal.jsonl"

    def interrupted(*_: object, **__: object) -> int:
        with Journal(path, HEADER) as book:
            book.add("one", {"ms": 1.0})
            raise KeyboardInterrupt

    monkeypatch.setitem(EXPERIMENTS, "host", interrupted)
    assert run(["validate", "host"]) == INTERRUPTED
    told = capsys.readouterr().err
    assert f"1 measurements are kept in {path}: the same command goes on from there" in told
    assert told.endswith("interrupted\n")
    with Journal(path, HEADER) as book:
        assert "one" in book


@pytest.mark.parametrize(
    "mine",
    [
        b"notes",
        b"{}",
        b'{"my": "notes"}\n',
        b'{"format":"perfmodel-profile","version":1}',
        b"\x00\xff\n",
        b"\n",
        b'{"format":"perfmodel-journal"}\n',
    ],
)
def test_a_file_that_is_no_journal_is_refused_and_kept(mine: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_bytes(mine)
    with pytest.raises(OutputError, match=r"notes\.json: is there already, and is no journal"):
        Journal(path, HEADER)
    assert path.read_bytes() == mine
    assert [p.name for p in tmp_path.iterdir()] == ["notes.json"]


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"")
    with Journal(tmp_path / "j", HEADER) as book:
        book.add("one", {})
    assert (tmp_path / "j").read_text().startswith('{"format":"perfmodel-journal",')


def test_a_journal_is_claimed_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path, HEADER):
        assert lock_file(path).exists()
    assert not lock_file(path).exists()
    with pytest.raises(MeasurementError):
        Journal(path, {"what": "else"})
    assert not lock_file(path).exists()


def test_nothing_is_journaled_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("")
    (tmp_path / "j").symlink_to("victim")
    with pytest.raises(OutputError, match="it is a link"):
        Journal(tmp_path / "j", HEADER)
    assert (tmp_path / "victim").read_text() == ""


def test_a_disk_that_fills_up_is_named_and_what_was_kept_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "j"

    def fill() -> None:
        with Journal(path, HEADER) as book:
            book.add("one", {"v": 1})
            monkeypatch.setattr(os, "fsync", full)
            book.add("two", {"v": 2})

    with pytest.raises(OutputError, match="j: cannot be written: No space left on device"):
        fill()
    monkeypatch.undo()
    with Journal(path, HEADER) as book:
        assert book.entries["one"] == {"v": 1}


def test_a_journal_that_measured_nothing_is_not_left(tmp_path: Path) -> None:
    def fail() -> None:
        with Journal(tmp_path / "j", HEADER):
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert list(tmp_path.iterdir()) == []
