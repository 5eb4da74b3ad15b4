"""The program of the benchmarks: targets, what is kept, the exit code; with made-up figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.figures import Figure, Target, read_targets


def figures(seconds: float) -> Iterator[Figure]:
    yield Figure("sim", "a run", seconds, "s")
    yield Figure("sim", "a rate", 50.0, "rows/s")
    yield Figure("sim", "no target", 1.0, "s")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    targets = {"sim: a run": Target(most=2.0), "sim: a rate": Target(least=40.0)}
    monkeypatch.setattr(run, "read_targets", lambda: targets)
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results.json")
    return monkeypatch


def measured(program: pytest.MonkeyPatch, seconds: float, *arguments: str) -> int:
    program.setattr(run, "ROOMS", {"sim": lambda: figures(seconds)})
    return run.main(arguments)


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target(most=2.0), 2.0, True),
        (Target(most=2.0), 2.1, False),
        (Target(least=2.0), 2.0, True),
        (Target(least=2.0), 1.9, False),
        (Target(), 1e9, True),
    ],
)
def test_a_target_is_the_most_or_the_least(target: Target, value: float, met: bool) -> None:
    assert target.met_by(value) is met


def test_a_missed_target_is_shown_and_fails(
    program: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measured(program, 2.5) == 1
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if "a run" in line).split()[3:] == [
        *("2.50", "s", "at", "most", "2", "MISSED", "-", "-")
    ]
    assert any("a rate" in line and "at least 40  good" in line for line in lines)


def test_results_are_compared_only_once_they_are_kept(
    program: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert measured(program, 1.0) == 0
    assert not (tmp_path / "results.json").exists()
    assert measured(program, 1.0, "--keep") == 0
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["figures"]["sim: a run"]["value"] == 1.0
    capsys.readouterr()
    assert measured(program, 1.5) == 0
    assert "+50 %" in capsys.readouterr().out


def test_every_target_is_of_a_figure_that_is_measured() -> None:
    folder = Path(run.__file__).parent
    programs = "\n".join(path.read_text() for path in folder.glob("*.py"))
    for key, target in read_targets().items():
        room, _, name = key.partition(": ")
        assert (target.most is None) != (target.least is None), key
        assert room in programs, key
        # plans and scenarios are named after the network or the file
        assert name in programs or name.split()[-1] in programs, key
