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


def one(share: float = 1.0) -> RememberingPredictor:
    """With what took 10, 30 (the median of 20 and 40) and 70 us on "one"."""
    return RememberingPredictor(
        base=BASE, log_us=dict(zip(known().shapes, known().log_us[0], strict=True)), share=share
    )


def test_timed_kernels_take_what_they_took_and_others_what_is_fitted() -> None:
    asked = convs(7, 14, 20, 28)
    fitted = us(BASE, asked)
    assert us(one(), asked) == pytest.approx([10.0, 30.0, fitted[2], 70.0], rel=1e-3)
    assert us(one(0.0), asked) == pytest.approx(fitted)
    between = us(one(0.25), asked)
    assert between[0] == pytest.approx(10.0**0.25 * fitted[0] ** 0.75, rel=1e-3)
    assert between[2] == pytest.approx(fitted[2])


SIZES = (7, 9, 11, 14, 17, 20, 23, 28, 31, 35, 40, 44)


def timed(*factors: np.ndarray) -> KnownKernels:
    """Phones that took as many times as long for each of the kernels of `SIZES`."""
    kernels = convs(*SIZES)
    many = table_from_rows(
        {
            "op": np.tile(kernels["op"], len(factors)),
            **{c: np.tile(kernels[c], len(factors)) for c in ("hin", "win", "hout", "wout", "cin")},
            **{c: np.tile(kernels[c], len(factors)) for c in ("cout", "kh", "kw")},
        }
    )
    place = np.repeat(np.arange(len(factors)), len(SIZES))
    names = [f"phone-{i}/gpu/mnn/fp16" for i in range(len(factors))]
    return KnownKernels.of(many, place, names, np.concatenate([f * 100.0 for f in factors]))


def test_the_nearest_is_the_one_that_differs_most_evenly_at_whatever_speed() -> None:
    odd = np.exp(np.random.default_rng(0).normal(0, 0.3, len(SIZES)))
    slight = np.exp(np.random.default_rng(1).normal(0, 0.05, len(SIZES)))
    found = timed(np.ones(len(SIZES)), 5 * odd, odd / 3)
    asked, times = convs(*SIZES), 700.0 * odd * slight
    near = found.nearest(asked, times, "phone-1")
    assert near is not None
    assert near.target == "phone-2/gpu/mnn/fp16"
    assert near.sd == pytest.approx(np.log(slight).std(), abs=1e-4)
    scale = np.median(np.log(times) - np.log(odd / 3 * 100.0))
    expected = [float(np.log(odd[i] / 3 * 100.0) + scale) for i in range(len(SIZES))]
    assert list(near.log_us.values()) == pytest.approx(expected, abs=1e-3)
    # one of its own names is no kin
    itself = found.nearest(asked, times, "phone-2")
    assert itself is not None
    assert itself.target == "phone-1/gpu/mnn/fp16"


def test_few_kernels_in_common_make_no_kin() -> None:
    found = timed(np.ones(len(SIZES)))
    few = convs(*SIZES[:9])
    assert found.nearest(few, np.full(9, 5.0), "new") is None
    strangers = convs(*SIZES[:10], *range(50, 62))
    assert found.nearest(strangers, np.full(22, 5.0), "new") is None
    enough = convs(*SIZES[:11], *range(50, 61))
    assert found.nearest(enough, np.full(22, 5.0), "new") is not None
    assert found.nearest(convs(3, 5), np.full(2, 5.0), "new") is None


def test_parts_of_a_timed_kernel_are_shared_as_on_the_base() -> None:
    asked = convs(28)
    parts = one().parts_ms(asked)[0]
    base = BASE.parts_ms(asked)[0]
    assert parts / parts.sum() == pytest.approx(base / base.sum())


@pytest.mark.parametrize("column", ["batch", "cin", "hin", "cout", "kh", "sw", "groups", "m", "k"])
def test_kernels_that_differ_in_one_size_are_two(column: str) -> None:
    first = convs(7)
    other = KernelTable(first.text, first.number | {column: first[column] + 1})
    assert shapes_of(first) == shapes_of(convs(7))
    assert shapes_of(first) != shapes_of(other)
    assert shapes_of(first)[0][0] == "conv2d"


def test_it_answers_for_its_base() -> None:
    model = one()
    assert (model.overhead_ms, model.needs_whole_network) == (2.0, BASE.needs_whole_network)
    assert model.with_overhead(3.0).overhead_ms == 3.0
    assert us(model.with_overhead(3.0), convs(7)) == pytest.approx([10.0], rel=1e-3)
    assert model.times_single_kernels
    assert model.work_costs is None
    assert BASE.grows_with_batch
    assert not model.grows_with_batch
    kernels = convs(7, 300)
    assert model.novelty(kernels) == pytest.approx(BASE.novelty(kernels))
    assert model.network_terms([kernels]).log_factor == pytest.approx([0.0])


def test_kernels_twice_as_slow_move_those_at_hand_and_those_that_were_timed() -> None:
    model = one()
    few = convs(7, 20, 40, 60, 80)
    slower = model.adapted(few, 2.0 * us(model, few))
    assert us(slower, convs(28)) == pytest.approx([140.0], rel=1e-3)
    assert us(slower, convs(100)) == pytest.approx(2.0 * us(model, convs(100)), rel=0.1)


def test_a_profile_and_a_population_give_them_back() -> None:
    model, asked = one(), convs(7, 14, 20, 28)
    again = predictor_from_dict(predictor_to_dict(model), "here")
    assert us(again, asked) == pytest.approx(us(model, asked), rel=1e-4)
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
        ({"share": 1.5}, "share"),
        ({"more": 1}, "more"),
    ],
)
def test_damaged_data_are_refused(change: dict[str, Any], said: str) -> None:
    data = {**predictor_to_dict(one()), **change}
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
