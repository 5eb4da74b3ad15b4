"""Fields of a stranger's file: what is accepted to its bound, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from perfmodel.cost_models import plain_data
from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.errors import ProfileError


def refused(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        call()


def test_a_number_may_lie_on_its_bounds_and_not_beyond() -> None:
    assert plain_data.number(1, "x", 1.0, 2.0) == 1.0
    assert plain_data.number(2, "x", 1.0, 2.0) == 2.0
    for value in (0.999, 2.001, float("nan"), float("inf"), 10**400):
        refused(lambda v=value: plain_data.number(v, "x", 1.0, 2.0), "^x: must lie in 1 to 2")
    for value in (True, "1", None, [1]):
        refused(lambda v=value: plain_data.number(v, "x", 1.0, 2.0), "^x: must be a number")


def test_a_list_of_numbers_has_its_length() -> None:
    assert plain_data.numbers([1, 2.5], "x", 2, 0, 3) == (1.0, 2.5)
    for value in ([1], [1, 2, 3], "ab", None, {"a": 1, "b": 2}):
        refused(lambda v=value: plain_data.numbers(v, "x", 2, 0, 3), "^x: must be a list of 2")
    refused(lambda: plain_data.numbers([1, 4], "x", 2, 0, 3), "^x: must lie in 0 to 3")


def test_fields_are_known_and_needed_ones_are_there() -> None:
    plain_data.only({"a": 1}, ("a", "b"), ("a",))
    refused(lambda: plain_data.only({"a": 1, "c": 1}, ("a", "b")), "^c: unknown field; known: a, b")
    refused(lambda: plain_data.only({"b": 1}, ("a", "b"), ("a",)), "^a: is missing")


def test_a_table_has_at_most_its_entries() -> None:
    assert plain_data.table({"a": 1, "b": 2}, "x", 2) == {"a": 1, "b": 2}
    refused(lambda: plain_data.table({"a": 1, "b": 2}, "x", 1), "^x: .* at most 1")
    refused(lambda: plain_data.table([], "x", 1), "^x: must be an object")


def test_rows_lie_as_far_either_way_of_zero_as_allowed() -> None:
    assert plain_data.rows({"a": [-5, 5]}, "x", 1, 2, 5.0) == {"a": (-5.0, 5.0)}
    refused(
        lambda: plain_data.rows({"a": [-5.1, 5]}, "x", 1, 2, 5.0), r"^x\.a: must lie in -5 to 5"
    )


def test_ranges_are_pairs_of_rows() -> None:
    assert plain_data.ranges({"a": [[0, 1], [2, 3]]}, "x", 1, 2, 9) == {"a": ((0, 1), (2, 3))}
    for pair in ([[0, 1]], [[0, 1], [2, 3], [4, 5]], "ab", None):
        refused(lambda p=pair: plain_data.ranges({"a": p}, "x", 1, 2, 9), r"^x\.a: must be \[low")
    refused(lambda: plain_data.ranges({"a": [[0], [1]]}, "x", 1, 2, 9), r"^x\.a: must be a list")


def test_flags_choices_and_names_are_what_they_say() -> None:
    assert plain_data.flag(True, "x") is True
    refused(lambda: plain_data.flag(1, "x"), "^x: must be true or false")
    assert plain_data.choice("a", "x", ("a", "b")) == "a"
    refused(lambda: plain_data.choice("c", "x", ("a", "b")), "^x: must be one of a, b, got 'c'")
    refused(lambda: plain_data.choice(1, "x", ("a", "b")), "^x: must be one of")
    assert plain_data.names(["a"], "x") == ["a"]
    refused(lambda: plain_data.names(["a", 1], "x"), "^x: must be a list of names")


def test_two_ranges_join_to_the_widest() -> None:
    one = {"a": ((0.0, 5.0), (1.0, 6.0)), "b": ((0.0, 0.0), (1.0, 1.0))}
    other = {"a": ((-1.0, 5.5), (0.5, 7.0)), "c": ((2.0, 2.0), (3.0, 3.0))}
    joined = plain_data.joined_ranges(one, other)
    assert joined["a"] == ((-1.0, 5.0), (1.0, 7.0))
    assert (joined["b"], joined["c"]) == (one["b"], other["c"])
    assert one["a"] == ((0.0, 5.0), (1.0, 6.0))


MACHINE = {"lanes": 4, "cache_bytes": 0, "precision": "fp32", "winograd": "best", "overlap": "none"}


def with_machine(**change: Any) -> KernelPredictor:
    data = {
        "terms": ["compute", "memory", "weights", "transform", "launch"],
        "inputs": [],
        "cells": {},
        "families": {},
        "default": [0] * 5,
        "forests": {},
        "ranges": {},
        "limit": 0.5,
        "overhead_ms": 1.5,
        "machine": {**MACHINE, **change},
    }
    return KernelPredictor.from_dict(data)


def test_a_machine_is_read_field_by_field() -> None:
    made = with_machine(
        whole=True,
        columns=16,
        channels=8,
        near_bytes=1e6,
        cold_start=2.0,
        cold_bytes=0.5,
    )
    assert (made.overhead_ms, made.limit) == (1.5, 0.5)
    machine = made.machine
    assert (machine.lanes, machine.precision, machine.shares_cache) == (4.0, "fp32", True)
    assert (machine.columns, machine.channels, machine.near_bytes) == (16, 8, 1e6)
    assert (machine.cold_start, machine.cold_bytes) == (2.0, 0.5)
    assert KernelPredictor.from_dict(made.to_dict()).machine == machine
    assert made.to_dict()["machine"]["whole"] is True
    assert with_machine(precision="x" * 20).machine.precision == "x" * 20
    plain = with_machine()
    assert (plain.machine.shares_cache, plain.machine.columns, plain.machine.near_bytes) == (
        *(False, 1),
        0.0,
    )
    assert set(plain.to_dict()["machine"]) == set(MACHINE)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("lanes", 0),
        ("lanes", 1e7),
        ("cache_bytes", -1),
        ("cache_bytes", 1e13),
        ("precision", "x" * 21),
        ("precision", 4),
        ("winograd", "always"),
        ("overlap", "all"),
        ("whole", "yes"),
        ("columns", 0),
        ("channels", 5000),
        ("near_bytes", -1.0),
        ("cold_start", -0.1),
        ("cold_bytes", 1e4),
    ],
)
def test_a_machine_that_cannot_be_names_its_field(field: str, bad: object) -> None:
    refused(lambda: with_machine(**{field: bad}), rf"^machine\.{field}: ")
