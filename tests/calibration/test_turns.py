"""A host calibration's turns: a short budget ends with fewer targets, not with none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from perfmodel.calibration import from_host
from perfmodel.calibration.from_host import calibrate_host
from perfmodel.calibration.next_networks import Planner
from perfmodel.calibration.turns import (
    ENOUGH,
    TRIED,
    check_budget,
    has_kernels,
    next_setup,
    not_fitted,
    ordered,
)
from perfmodel.errors import MeasurementError
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.runners.host_bench import LOADS, RunConfig
from perfmodel.runners.host_frameworks import FRAMEWORKS, host_framework
from perfmodel.runners.journal import Journal
from perfmodel.runners.litert_profiler import profiler_available
from perfmodel.runners.random_micro import is_micro, random_micro
from perfmodel.runners.random_nets import random_network
from perfmodel.runners.scaling import ScalingWatch

PROFILED = {"sets": [{"raw": {"per_op_us": {"0 CONV": [3.0]}}}], "spent_s": 2.0}
LONE = {"sets": [{"raw": {"per_op_us": {}}}], "spent_s": 2.0}
PIECES = {**LONE, "pieces": [LONE]}
REFUSED = {"refused": "the runtime died of SIGSEGV", "spent_s": 2.0}

SETUPS = ordered(RunConfig(p, t) for t in (1, 2) for p in ("uint8", "int8", "fp32"))
FP32, INT8, FP32_2 = RunConfig("fp32", 1), RunConfig("int8", 1), RunConfig("fp32", 2)


def journal(**counts: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    """Entries by setup, such as fp32_t1=(12, PROFILED)."""
    return {
        f"{setup.replace('_', '/')}/net{i}": entry
        for setup, (count, entry) in counts.items()
        for i in range(count)
    }


def test_the_first_turns_go_by_share_whatever_order_is_asked_for() -> None:
    assert [str(s) for s in SETUPS] == [
        *("fp32/t1", "int8/t1", "fp32/t2", "int8/t2", "uint8/t2", "uint8/t1")
    ]
    assert sum(SETUPS.values()) == pytest.approx(1.1)  # uint8/t2 has no share of its own


def test_kernels_count_by_profile_or_by_pieces() -> None:
    assert [has_kernels(e) for e in (PROFILED, PIECES, LONE, REFUSED)] == [True, True, False, False]


def test_a_setup_has_enough_networks_before_the_next_one_begins() -> None:
    # a target is fitted from 8 networks, and half as many more may be lost
    assert ENOUGH == 12
    assert next_setup({}, SETUPS) == FP32
    assert next_setup(journal(fp32_t1=(11, PROFILED)), SETUPS) == FP32
    assert next_setup(journal(fp32_t1=(12, PROFILED)), SETUPS) == INT8
    assert next_setup(journal(fp32_t1=(12, PIECES), int8_t1=(11, PIECES)), SETUPS) == INT8
    both = journal(fp32_t1=(12, PROFILED), int8_t1=(12, PROFILED))
    assert next_setup(both, SETUPS) == FP32_2
    # lone layers do not count
    mixed = journal(fp32_t1=(11, PROFILED)) | {f"fp32/t1/lone{i}": LONE for i in range(9)}
    assert next_setup(mixed, SETUPS) == FP32


def test_a_setup_that_the_runtime_refuses_does_not_hold_up_the_others() -> None:
    assert TRIED == 36
    assert next_setup(journal(fp32_t1=(35, REFUSED)), SETUPS) == FP32
    assert next_setup(journal(fp32_t1=(36, REFUSED)), SETUPS) == INT8


def test_then_the_one_farthest_behind_its_share_is_next() -> None:
    two = {FP32: 0.6, INT8: 0.3}
    # 12 x 2 s / 0.6 = 40 and 12 x 2 s / 0.3 = 80
    assert next_setup(journal(fp32_t1=(12, PROFILED), int8_t1=(12, PROFILED)), two) == FP32
    # 26 x 2 s / 0.6 = 87
    assert next_setup(journal(fp32_t1=(26, PROFILED), int8_t1=(12, PROFILED)), two) == INT8


def test_a_budget_that_is_too_short_is_refused_with_one_that_is_not() -> None:
    # planning took 10 s, so 8 networks take at least 8 x 0.07 x 10 = 5.6 s; 15 % are for the fit:
    # (10 + 5.6) / 0.85 = 18.4 s, and half as much more is 27.5
    with pytest.raises(MeasurementError, match=r"18 s is too short.*--budget 30s or more"):
        check_budget(18.0, 10.0, 0.15, {})
    check_budget(18.5, 10.0, 0.15, {})
    # what the journal has counts, and so does what it took: (10 + 4 + 6 x 0.7) / 0.85 = 21.4
    two = journal(fp32_t1=(2, PROFILED))
    with pytest.raises(MeasurementError, match="a target needs 8 networks"):
        check_budget(21.0, 10.0, 0.15, two)
    check_budget(21.5, 10.0, 0.15, two)
    # nothing more is needed: then it is fitted at once
    check_budget(1.0, 10.0, 0.15, journal(fp32_t1=(8, PROFILED)))


def test_setups_without_a_target_are_named_with_what_they_lack() -> None:
    entries = journal(fp32_t1=(9, PROFILED), int8_t1=(3, PROFILED))
    assert not_fitted(entries, (FP32, INT8, FP32_2), (FP32,)) == {
        "int8/t1": "3 networks with times of kernels measured; a target needs 8 that can be used",
        "fp32/t2": "0 networks with times of kernels measured; a target needs 8 that can be used",
    }


@pytest.mark.parametrize("name", ["My Host", "../evil", "..", "a/b", "", "x" * 81, "-o", "é"])
def test_a_name_that_is_none_is_refused_before_anything_is_done(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_host, "_drawn", lambda seed: pytest.fail("planning has begun"))
    with pytest.raises(MeasurementError, match="is no device name"):
        calibrate_host(60.0, tmp_path / "new" / "journal.jsonl", device=name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not profiler_available(), reason="needs the runtime that is measured")
def test_a_budget_for_nothing_leaves_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_host, "CANDIDATES", 18)
    with pytest.raises(MeasurementError, match="nothing was measured yet"):
        calibrate_host(1e-6, tmp_path / "journal.jsonl", interest=[random_micro(0)])
    assert list(tmp_path.iterdir()) == []


def test_every_turn_holds_one_network_of_a_microcontroller_beside_the_planned_ones() -> None:
    drawn = [random_network(seed, blocks=2) for seed in range(9)]
    drawn += [random_micro(seed) for seed in range(2)]
    tables = [KernelTable.from_kernels(fuse(g, "tflite-cpu")) for g in drawn]
    planner, by = Planner(tables[:3], tables), host_framework("tflite")
    book = SimpleNamespace(entries={})
    seen: list[list[bool]] = []
    for _ in range(3):
        turn = from_host._turn(cast(Journal, book), by, planner, drawn, FP32)
        assert len(set(turn)) == len(turn)
        seen.append([is_micro(drawn[i].name) for i in turn])
        book.entries |= {f"{FP32}/{drawn[i].name}": PROFILED for i in turn}
    assert seen == [[True] + [False] * 4, [True] + [False] * 4, [False]]
    assert from_host._turn(cast(Journal, book), by, planner, drawn, FP32) == []


def test_files_are_loaded_often_until_first_runs_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    small = [random_micro(seed) for seed in range(3)]
    tables = [KernelTable.from_kernels(fuse(g, "tflite-cpu")) for g in small]
    loads: list[int] = []

    def entry(*arguments: Any) -> dict[str, Any]:
        loads.append(arguments[-1])
        return {**PROFILED, "loads": [[1.0, 1.0]] * (arguments[-1] - 1)}

    monkeypatch.setattr(from_host, "_entry", entry)
    monkeypatch.setattr(from_host, "LOADED_OFTEN", 2)
    entries: dict[str, Any] = {}
    book = SimpleNamespace(entries=entries, add=entries.__setitem__)
    bench = SimpleNamespace(framework=host_framework("tflite"))
    planner = Planner(tables, tables)
    for setup in (FP32, INT8):
        watch = ScalingWatch(cast(Journal, book), ())
        from_host._measure(
            cast(Any, book),
            cast(Any, bench),
            planner,
            small,
            setups={setup: 1.0},
            budget_s=60.0,
            watch=watch,
        )
    # each setup has first runs of its own
    assert loads == [LOADS, LOADS, 1] * 2


def test_the_floats_of_every_framework_have_the_first_turn() -> None:
    for by in FRAMEWORKS.values():
        found = ordered(RunConfig(p, t) for t in by.threads for p in reversed([*by.precisions]))
        assert next(iter(found)) == RunConfig(next(iter(by.precisions)), 1)
