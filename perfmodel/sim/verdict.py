"""Who wins a group of cases, by which figure, and whether the difference is more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.sim.case_result import COVERAGE, MISSED, CaseResult, interval_about
from perfmodel.units import format_ms

P95 = "latency_p95_ms"


@dataclass(frozen=True, kw_only=True)
class PolicyVerdict:
    """The case that leads a group, the next one, and the figure `by` which it leads.

    `clear` says whether the difference lies outside its 95 % interval over the replications; None
    where there is no rival, or a single replication, of which the part of chance is not known.
    """

    group: str
    leader: CaseResult
    rival: CaseResult | None
    by: str
    clear: bool | None

    @property
    def sentence(self) -> str:
        """The verdict in words, with the figures that it follows from; empty without a rival."""
        if self.rival is None:
            return ""
        leader, rival = self.leader.label, self.rival.label
        what = "missed deadlines" if self.by == MISSED else "p95"
        mine, theirs = _shown(self.leader, self.by), _shown(self.rival, self.by)
        if self.clear:
            return f"{leader} wins: {what} {mine} against {theirs} for {rival}"
        if figure(self.leader, self.by) == figure(self.rival, self.by):
            return f"no difference between {leader} and {rival}: {what} {mine}"
        if self.clear is None:
            return (
                f"{leader} is ahead: {what} {mine} against {theirs} for {rival} (how much of that "
                "is chance, only replications can tell)"
            )
        return (
            f"no clear winner: {what} {mine} for {leader} and {theirs} for {rival}, a difference "
            f"within its {100 * COVERAGE:.0f} % interval over the replications"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "leader": self.leader.name,
            "rival": None if self.rival is None else self.rival.name,
            "by": self.by,
            "clear": self.clear,
            "sentence": self.sentence,
        }


def verdict_of(cases: Sequence[CaseResult]) -> PolicyVerdict:
    """Return the verdict on the cases of one group.

    Where all have a deadline, the least share of missed deadlines decides; among the cases that
    are not clearly worse in that, the least 95th percentile of latency does.
    """
    field = list(cases)
    figures = [P95]
    if all(case.deadline_miss_rate is not None for case in cases):
        figures.insert(0, MISSED)
    for by in figures:
        field.sort(key=lambda case: figure(case, by))
        leader, others = field[0], field[1:]
        certain = {id(case): is_worse(case, leader, by) for case in others}
        level = [case for case in others if certain[id(case)] is False]
        if not level:
            rival = others[0] if others else None
            clear = certain[id(rival)] if rival is not None else None
            return PolicyVerdict(group=leader.group, leader=leader, rival=rival, by=by, clear=clear)
        field = [leader, *level]
    leader, rival = field[0], field[1]
    return PolicyVerdict(group=leader.group, leader=leader, rival=rival, by=P95, clear=False)


def figure(case: CaseResult, by: str) -> float:
    """The figure of a case that a verdict may go by."""
    return case.deadline_miss_rate or 0.0 if by == MISSED else case.latency_ms["p95"]


def is_worse(case: CaseResult, leader: CaseResult, by: str) -> bool | None:
    """Whether a case's figure is above the leader's by more than chance; None if that is unknown.

    Replication i of both meets the same arrivals, so differences are taken replication by
    replication.
    """
    difference = figure(case, by) - figure(leader, by)
    if difference == 0:
        return False
    mine, theirs = case.by_replication[by], leader.by_replication[by]
    if len(mine) == len(theirs):
        parts = [a - b for a, b in zip(mine, theirs, strict=True)]
        interval = interval_about(difference, parts)
        return None if interval is None else interval[0] > 0
    intervals = interval_about(figure(case, by), mine), interval_about(figure(leader, by), theirs)
    if intervals[0] is None or intervals[1] is None:
        return None
    half = math.hypot(*((high - low) / 2 for low, high in (intervals[0], intervals[1])))
    return difference > half


def _shown(case: CaseResult, by: str) -> str:
    value = figure(case, by)
    return f"{100 * value:.2f} %" if by == MISSED else format_ms(value)
