"""Fleets as files: what is read, and what is refused with its row."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import PerfmodelError
from perfmodel.explore import fleet
from perfmodel.explore.fleet import read_fleet


def write(folder: Path, text: str) -> Path:
    file = folder / "fleet.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_shares_are_of_their_sum_and_lines_of_comment_are_skipped(tmp_path: Path) -> None:
    file = write(tmp_path, "# users\ndevice,share\npixel-4,30\npixel-6,60%\npixel-4,10\n")
    assert read_fleet(file).shares == {"pixel-4": 0.4, "pixel-6": 0.6}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device\na\n", "no column 'share'"),
        ("device,share\na,-1\n", "row 1: 'a','-1' is no device and share >= 0"),
        ("device,share\na,1\nb,1.1e12\n", "row 2: 'b','1.1e12' is no device"),
        ("device,share\na,1e308\nb,1e308\n", "row 1"),
        ("device,share\n,1\n", "row 1"),
        ("device,share\n" + "a" * 5000 + ",?\n", "row 1"),
        ("device,share\na,0\n", "add up to nothing"),
        ("device,share\n" + "a,1\n" * 4, "more than 3 rows"),
        ('device,share\n"' + "a" * 140_000 + '",1\n', "not a table: field larger"),
        ("device,share\n" + "#" * 200_000, "larger than this fleet may be"),
    ],
)
def test_a_fleet_that_is_none_is_refused_in_one_short_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.setattr(fleet, "MAX_ROWS", 3)
    monkeypatch.setattr(fleet, "MAX_BYTES", 150_000)
    with pytest.raises(PerfmodelError) as error:
        read_fleet(write(tmp_path, text))
    assert message in str(error.value)
    assert "fleet.csv" in str(error.value)
    assert len(str(error.value)) < 300
