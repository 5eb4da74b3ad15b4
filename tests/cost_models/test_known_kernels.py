"""Kernels as they were timed on a known target: they come before what was fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import TERMS, Machine
from perfmodel.cost_models.kinds import predictor_from_dict, predictor_to_dict
from perfmodel.cost_models.known_kernels import KnownKernels, RememberingPredictor, shapes_of
from perfmodel.errors import ProfileError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.kernels import table_from_rows

BASE = KernelPredictor(
    machine=Machine(winograd="none"),
    cells={},
    families={},
    default=(0.3,) * len(TERMS),
    forests={},
    ranges={},
    overhead_ms=2.0,
)


def convs(*sizes: int, cin: int = 64) -> KernelTable:
    """1x1 convolutions of square images."""
    size = np.array(sizes)
    return table_from_rows(
        {
            "op": np.array(["conv2d"] * len(sizes), dtype=object),
            **dict.fromkeys(("hin", "win", "hout", "wout"), size),
            **dict.fromkeys(("kh", "kw"), np.ones(len(sizes))),
            **dict.fromkeys(("cin", "cout"), np.full(len(sizes), cin)),
        }
    )


def us(predictor: Any, kernels: KernelTable) -> np.ndarray:
    times: np.ndarray = predictor.parts_ms(kernels).sum(axis=1) * 1e3
    return times


def known() -> KnownKernels:
    """Images of 7, 14 (twice) and 28 on "one", of 7 alone on "two"."""
    return KnownKernels.of(
        convs(7, 14, 14, 28, 7),
        np.array([0, 0, 0, 0, 1]),
        ("one", "two"),
        np.array([10.0, 20.0, 40.0, 70.0, 5.0]),
    )


def test_timed_kernels_take_what_they_took_and_others_what_is_fitted() -> None:
    asked = convs(7, 14, 20, 28)
    one, two = (known().on(name, BASE) for name in ("one", "two"))
    fitted = us(BASE, asked)
    assert us(one, asked) == pytest.approx([10.0, 30.0, fitted[2], 70.0], rel=1e-3)
    assert us(two, asked) == pytest.approx([5.0, *fitted[1:]], rel=1e-3)
    assert known().on("three", BASE) is BASE


def test_parts_of_a_timed_kernel_are_shared_as_on_the_base() -> None:
    asked = convs(28)
    parts = known().on("one", BASE).parts_ms(asked)[0]
    base = BASE.parts_ms(asked)[0]
    assert parts / parts.sum() == pytest.approx(base / base.sum())


@pytest.mark.parametrize("column", ["batch", "cin", "hin", "cout", "kh", "sw", "groups", "m", "k"])
def test_kernels_that_differ_in_one_size_are_two(column: str) -> None:
    one = convs(7)
    other = KernelTable(one.text, one.number | {column: one[column] + 1})
    assert shapes_of(one) == shapes_of(convs(7))
    assert shapes_of(one) != shapes_of(other)
    assert shapes_of(one)[0][0] == "conv2d"


def test_it_answers_for_its_base() -> None:
    one = known().on("one", BASE)
    assert (one.overhead_ms, one.needs_whole_network) == (2.0, BASE.needs_whole_network)
    assert one.with_overhead(3.0).overhead_ms == 3.0
    assert us(one.with_overhead(3.0), convs(7)) == pytest.approx([10.0], rel=1e-3)
    assert one.times_single_kernels
    assert one.work_costs is None
    assert BASE.grows_with_batch
    assert not one.grows_with_batch
    kernels = convs(7, 300)
    assert one.novelty(kernels) == pytest.approx(BASE.novelty(kernels))
    assert one.network_terms([kernels]).log_factor == pytest.approx([0.0])


def test_kernels_twice_as_slow_move_those_at_hand_and_those_that_were_timed() -> None:
    one = known().on("one", BASE)
    few = convs(7, 20, 40, 60, 80)
    slower = one.adapted(few, 2.0 * us(one, few))
    assert us(slower, convs(28)) == pytest.approx([140.0], rel=1e-3)
    assert us(slower, convs(100)) == pytest.approx(2.0 * us(one, convs(100)), rel=0.1)


def test_a_profile_and_a_population_give_them_back() -> None:
    one, asked = known().on("one", BASE), convs(7, 14, 20, 28)
    again = predictor_from_dict(predictor_to_dict(one), "here")
    assert us(again, asked) == pytest.approx(us(one, asked), rel=1e-4)
    read = KnownKernels.from_dict(known().to_dict())
    assert (read.targets, read.shapes) == (known().targets, known().shapes)
    assert read.log_us == pytest.approx(known().log_us, nan_ok=True)
    assert read.to_dict() == known().to_dict()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shapes": "all"}, "shapes"),
        ({"shapes": [["conv2d", 1.0]]}, "shapes"),
        ({"shapes": [[3, *[1.0] * 17]]}, "shapes"),
        ({"shapes": [["conv2d", *[-1.0] * 17]]}, "shapes"),
        ({"log_us": [1.0]}, "log_us"),
        ({"log_us": [1.0, 2.0, 31.0]}, "log_us"),
        ({"base": {"kind": "remembering"}}, "base"),
        ({"more": 1}, "more"),
    ],
)
def test_damaged_data_are_refused(change: dict[str, Any], said: str) -> None:
    data = {**predictor_to_dict(known().on("one", BASE)), **change}
    with pytest.raises(ProfileError, match=said):
        predictor_from_dict(data, "here")


def test_a_kernel_that_stands_twice_or_lacks_a_time_is_refused() -> None:
    data = known().to_dict()
    with pytest.raises(ProfileError, match="twice"):
        KnownKernels.from_dict({**data, "shapes": [data["shapes"][0]] * 3})
    with pytest.raises(ProfileError, match=r"log_us\.two"):
        KnownKernels.from_dict({**data, "log_us": {**data["log_us"], "two": [None]}})
    with pytest.raises(ProfileError, match="known"):
        KnownKernels.from_dict([])
    assert isinstance(known().on("one", BASE), RememberingPredictor)
