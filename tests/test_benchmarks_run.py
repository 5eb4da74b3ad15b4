"""The one command of the benchmarks: its table, its memory, its exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.figures import Figure


@pytest.fixture
def floors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, float]:
    """A floor whose figures the test chooses."""
    values = {"latency": 1.0, "rate": 10.0}

    def figures() -> Iterator[Figure]:
        yield Figure("floor", "latency", values["latency"], "s", 2.0)
        yield Figure("floor", "rate", values["rate"], "rows/s", 5.0, True)

    monkeypatch.setattr(run, "FLOORS", {"floor": figures})
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results.json")
    return values


def test_results_are_kept_and_compared(
    floors: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--keep"]) == 0
    kept = json.loads(run.RESULTS.read_text())
    assert kept["figures"]["floor: latency"]["value"] == 1.0
    assert kept["machine"]["cores"]
    floors["latency"] = 1.5
    capsys.readouterr()
    assert run.main([]) == 0
    shown = capsys.readouterr().out
    assert "+50 %" in shown
    assert "at most 2" in shown
    assert json.loads(run.RESULTS.read_text()) == kept


def test_a_missed_target_is_told(
    floors: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    floors["rate"] = 4.0
    assert run.main([]) == 1
    assert capsys.readouterr().out.count("MISSED") == 1
