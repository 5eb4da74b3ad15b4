"""Looks at how busy processes share the cores, again and again during a campaign."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from perfmodel.runners import scaling
from perfmodel.runners.journal import Journal
from perfmodel.runners.scaling import Scaling, ScalingWatch, networks_of, seen

CAMPAIGN = {"calibrate": "host"}


class Machine:
    """A clock that is set by hand, and cores that scale as they are told to, look by look."""

    def __init__(self, told: Iterator[float]) -> None:
        self.told, self.asked, self.now_s = told, list[int](), 1000.0

    def busy_scaling(self, processes: int, seconds: float, probes: int) -> float:
        self.asked.append(processes)
        return next(self.told)

    def watch(self, book: Journal, *threads: int) -> ScalingWatch:
        return ScalingWatch(book, threads, lambda: self.now_s)


def machine(monkeypatch: pytest.MonkeyPatch, *told: float) -> Machine:
    made = Machine(iter(told))
    monkeypatch.setattr(scaling, "busy_scaling", made.busy_scaling)
    return made


def test_it_looks_at_the_start_once_a_minute_and_at_the_end_and_keeps_least_and_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine(monkeypatch, 1.85, 1.05, 1.6)
    with Journal(tmp_path / "j.jsonl", CAMPAIGN) as book:
        watch = here.watch(book, 1, 2)
        for later_s, looks in ((0.0, 1), (59.0, 1), (1.0, 2), (59.0, 2)):
            here.now_s += later_s
            watch.look()
            assert here.asked == [2] * looks
        assert watch.finish() == {2: Scaling(1.05, 1.85)}
        assert here.asked == [2, 2, 2]
        assert str(seen(book.entries)[2]) == "1.05 to 1.85"


def test_a_campaign_that_goes_on_keeps_what_was_seen_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine(monkeypatch, 1.9, 3.7, 1.1, 2.2, 1.5, 3.0)
    path = tmp_path / "j.jsonl"
    with Journal(path, CAMPAIGN) as book:
        # killed after its first look
        here.watch(book, 4, 2, 2).look()
        book.add("fp32/t2/random_0", {"spent_s": 1.0})
    with Journal(path, CAMPAIGN) as book:
        watch = here.watch(book, 2, 4)
        watch.look()
        assert watch.finish() == {2: Scaling(1.1, 1.9), 4: Scaling(2.2, 3.7)}
    assert here.asked == [2, 4] * 3
    with Journal(path, CAMPAIGN) as book:
        # nothing is left to measure: what the journal knows is what was seen meanwhile
        assert here.watch(book, 2, 4).finish() == {2: Scaling(1.1, 1.9), 4: Scaling(2.2, 3.7)}
        assert list(networks_of(book.entries)) == ["fp32/t2/random_0"]
        # looks are time of the campaign
        assert all(entry["spent_s"] >= 0 for entry in book.entries.values())


def test_a_journal_of_before_is_looked_at_once_and_one_thread_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine(monkeypatch, 1.3)
    with Journal(tmp_path / "j.jsonl", CAMPAIGN) as book:
        book.add("fp32/t2/random_0", {"spent_s": 1.0})
        alone = here.watch(book, 1)
        alone.look()
        assert alone.finish() == {}
        assert here.watch(book, 1, 2).finish() == {2: Scaling(1.3, 1.3)}
        assert str(seen(book.entries)[2]) == "1.30"
