"""Campaigns: ratios cancel drift, journals resume, budgets stop, instability is told in words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fake_runner import FakeRunner, job

from perfmodel.runners.campaign import (
    Discipline,
    Progress,
    instability_warning,
    run_campaign,
    usual_reference_ms,
)

QUICK = Discipline(sets=4, runs=3, max_runs=3, warmups=1, reference_runs=3)


class Drifting:
    """Times that rise by `share` with every inference, job `slow` being 5 x the reference."""

    def __init__(self, share: float) -> None:
        self.share, self.count = share, 0

    def __call__(self, key: str) -> float:
        self.count += 1
        return (5.0 if key == "slow" else 1.0) * (1 + self.share) ** self.count


def test_a_slow_drift_cancels_in_the_ratio(tmp_path: Path) -> None:
    (result,) = run_campaign(
        FakeRunner(Drifting(0.002)),
        [job("slow")],
        job("ref"),
        tmp_path / "j.jsonl",
        discipline=QUICK,
    )
    # over the campaign the machine slowed down by 1.002 ** 30 = 6 %, within a set by 1.4 %
    assert result.ratio == pytest.approx(5.0, rel=0.01)
    assert not result.unstable


def test_a_moving_reference_is_told_with_the_next_command(tmp_path: Path) -> None:
    results = run_campaign(
        FakeRunner(Drifting(0.03)), [job("slow")], job("ref"), tmp_path / "j", discipline=QUICK
    )
    warning = instability_warning(results)
    assert results[0].unstable
    assert "run the same command" in warning
    assert "1 of 1" in warning


def test_a_second_call_measures_only_what_is_missing(tmp_path: Path) -> None:
    first = FakeRunner(lambda key: 2.0)
    run_campaign(first, [job("a")], job("ref"), tmp_path / "j", discipline=QUICK)
    second = FakeRunner(lambda key: 3.0)
    jobs = [job("a"), job("b")]
    a, b = run_campaign(second, jobs, job("ref"), tmp_path / "j", discipline=QUICK)
    assert second.prepared == ["ref", "b"]
    assert a.sets[0].median_ms == 2.0
    assert b.sets[0].median_ms == 3.0


def test_a_spent_budget_stops_before_the_next_job(tmp_path: Path) -> None:
    jobs = [job("a"), job("b")]
    results = run_campaign(
        FakeRunner(lambda key: 1.0),
        jobs,
        job("ref"),
        tmp_path / "j",
        discipline=QUICK,
        budget_s=-1.0,
    )
    assert results == ()


def test_progress_counts_what_the_journal_holds(tmp_path: Path) -> None:
    runner = FakeRunner(lambda key: 1.0)
    run_campaign(runner, [job("a")], job("ref"), tmp_path / "j", discipline=QUICK)
    seen: list[Progress] = []
    run_campaign(
        runner,
        [job("a"), job("b")],
        job("ref"),
        tmp_path / "j",
        discipline=QUICK,
        on_progress=seen.append,
    )
    assert [(p.done, p.total, p.key) for p in seen] == [(1, 2, "b")]


def test_nominal_time_is_the_references_median(tmp_path: Path) -> None:
    results = run_campaign(
        FakeRunner(lambda key: 7.0 if key == "ref" else 1.0),
        [job("a")],
        job("ref"),
        tmp_path / "j",
        discipline=QUICK,
    )
    assert usual_reference_ms(results) == 7.0
    assert results[0].ratio == pytest.approx(1 / 7)
