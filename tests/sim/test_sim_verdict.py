"""Who wins follows from the figures that are printed, and from their interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scenarios import offload

from perfmodel.sim import simulate
from perfmodel.sim.case_result import MISSED, CaseResult
from perfmodel.sim.result import SimulationResult
from perfmodel.sim.verdict import P95, figure, is_worse, verdict_of


def case(name: str, p95: Sequence[float], missed: Sequence[float] | None = None) -> CaseResult:
    """A case with these figures in each replication, and their means as those of all."""
    rates = tuple(missed or [0.0] * len(p95))
    return CaseResult(
        group="",
        name=name,
        policy="device",
        requests=100,
        latency_ms={"mean": 1.0, "p50": 1.0, "p95": float(np.mean(p95)), "p99": 1.0, "max": 1.0},
        latency_curve=(),
        percentile_error=0.0,
        wait_ms={"mean": 0.0},
        deadline_ms=None,
        deadline_miss_rate=None if missed is None else float(np.mean(rates)),
        energy_mj=None,
        utilization={},
        steps_ms={"compute": 1.0},
        plans={},
        counts={},
        intervals={},
        by_replication={"latency_mean_ms": (1.0,) * len(p95), P95: tuple(p95), MISSED: rates},
    )


def test_a_difference_that_every_replication_repeats_is_clear() -> None:
    fast, slow = case("fast", [80.0, 90.0, 100.0]), case("slow", [83.0, 93.5, 103.0])
    verdict = verdict_of([slow, fast])
    assert (verdict.leader.name, verdict.by, verdict.clear) == ("fast", P95, True)
    assert verdict.sentence == "fast wins: p95 90.0 ms against 93.2 ms for slow"


def test_a_difference_within_the_interval_has_no_clear_winner() -> None:
    # differences 3, -2 and 8: mean 3, half width 4.30 * 5 / sqrt(3) = 12.4
    one, other = case("one", [80.0, 90.0, 100.0]), case("other", [83.0, 88.0, 108.0])
    verdict = verdict_of([one, other])
    assert verdict.clear is False
    assert verdict.sentence.startswith("no clear winner: p95 90.0 ms for one and 93.0 ms for other")


def test_a_winner_is_never_named_with_the_larger_figure() -> None:
    """Slightly fewer deadlines missed by chance do not win against a clearly lower p95."""
    device = case("device", [83.0, 83.1, 82.9], [0.017, 0.021, 0.016])
    cloud = case("cloud", [79.7, 79.8, 79.6], [0.019, 0.017, 0.020])
    verdict = verdict_of([device, cloud])
    assert verdict.sentence == "cloud wins: p95 79.7 ms against 83.0 ms for device"
    rng = np.random.default_rng(5)
    for _ in range(200):
        cases = [
            case(name, rng.normal(100, 3, 4).tolist(), rng.uniform(0, 0.1, 4).tolist())
            for name in "abcd"
        ]
        found = verdict_of(cases)
        assert found.rival is not None
        assert figure(found.leader, found.by) <= figure(found.rival, found.by)


def test_deadlines_come_before_latency() -> None:
    late = case("late", [10.0, 10.1, 10.2], [0.30, 0.31, 0.32])
    punctual = case("punctual", [20.0, 20.1, 20.2], [0.01, 0.02, 0.01])
    verdict = verdict_of([late, punctual])
    assert (verdict.leader.name, verdict.by) == ("punctual", MISSED)
    assert verdict.sentence == "punctual wins: missed deadlines 1.33 % against 31.00 % for late"


def test_a_deadline_that_only_some_cases_have_decides_nothing() -> None:
    assert verdict_of([case("a", [1.0, 1.0]), case("b", [2.0, 2.0], [0.0, 0.0])]).by == P95


def test_those_who_clearly_miss_more_deadlines_cannot_win_by_latency() -> None:
    cases = [
        case("late", [1.0, 1.1, 1.2], [0.5, 0.5, 0.5]),
        case("b", [20.0, 20.1, 20.2], [0.01, 0.02, 0.01]),
        case("c", [15.0, 15.1, 15.2], [0.02, 0.01, 0.02]),
    ]
    verdict = verdict_of(cases)
    assert verdict.rival is not None
    assert (verdict.leader.name, verdict.rival.name, verdict.clear) == ("c", "b", True)


def test_of_one_replication_the_part_of_chance_is_not_known() -> None:
    verdict = verdict_of([case("a", [5.0]), case("b", [6.0])])
    assert verdict.clear is None
    assert verdict.sentence.startswith("a is ahead: p95 5.00 ms against 6.00 ms for b (how much")


def test_equal_cases_have_no_winner() -> None:
    verdict = verdict_of([case("a", [5.0, 6.0]), case("b", [5.0, 6.0])])
    assert verdict.clear is False
    assert verdict.sentence == "no difference between a and b: p95 5.50 ms"


def test_a_case_alone_has_no_rival() -> None:
    verdict = verdict_of([case("a", [5.0, 6.0])])
    assert (verdict.rival, verdict.clear, verdict.sentence) == (None, None, "")


def test_cases_of_unequal_replications_are_compared_as_independent() -> None:
    # half widths 12.7 * 0.5 = 6.4 and 4.30 * 1 / sqrt(3) = 2.5: together 6.8
    few, more = [5.0, 6.0], [11.0, 12.0, 13.0]
    assert is_worse(case("b", more), case("a", few), P95) is False  # 6.5 apart
    assert is_worse(case("b", [v + 1 for v in more]), case("a", few), P95) is True  # 7.5
    assert is_worse(case("b", [9.0]), case("a", few), P95) is None


def test_the_result_names_no_winner_where_there_is_none() -> None:
    one, other = case("one", [80.0, 90.0, 100.0]), case("other", [83.0, 88.0, 108.0])
    result = SimulationResult("x", (one, other), 0, 3, 0.0)
    assert result.winners() == {"": None}
    assert result.best is one
    data = result.to_json()
    assert data["winners"] == {"": None}
    assert data["verdicts"][""]["leader"] == "one"
    assert data["verdicts"][""]["clear"] is False


def test_policies_are_compared_on_the_same_draws() -> None:
    """The pictures' sizes scatter more than the policies differ, and still the verdict is clear."""
    law = {"kind": "lognormal", "mean": 60.0, "cv": 1.5}
    tables = offload(
        replications=4,
        compare=["device", "cloud"],
        task__workload={"kind": "periodic", "period_ms": 5000.0, "requests": 60},
        task__on_device={"preprocess_ms": law, "compute_ms": 58.0},
        task__on_server__preprocess_ms=law,
    )
    verdict = simulate(tables).verdicts()[""]
    assert verdict.rival is not None
    # 20 upload + 15 + 12 + 0.4 + 15 = 62.4 in the cloud against 58 here, after the same preparation
    assert figure(verdict.rival, P95) - figure(verdict.leader, P95) == pytest.approx(4.4)
    assert np.std(verdict.leader.by_replication[P95]) > 20
    assert (verdict.leader.name, verdict.clear) == ("device", True)


@pytest.mark.parametrize("replications", [1, 3])
def test_json_says_of_what_its_figures_are(replications: int) -> None:
    data = simulate(offload(), replications=replications).to_json()
    assert data["latency_of"] == "requests of all replications after the warm-up"
    assert data["percentile_error"] == 0.0
    assert data["intervals_of"] == ("batches of one run" if replications == 1 else "replications")
