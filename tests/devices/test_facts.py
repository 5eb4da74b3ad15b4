"""Facts of a device: what a file leaves out is neutral; what they say, by hand arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.devices.facts import StorageFact, Traits, TransferFact, traits_from_dict
from perfmodel.errors import ProfileError

LOAD = {
    "unit": "cpu",
    "framework": "tflite",
    "fixed_ms": 2.0,
    "bytes_per_ms": 1e6,
    "source": "made up",
}


def test_a_load_fact_without_its_finer_costs_has_none_of_them() -> None:
    [fact] = traits_from_dict({"load": [LOAD]}, "x.json: traits").load
    assert (fact.kernel_ms, fact.window_ms_per_mb) == (0.0, 0.0)
    assert (fact.pointer_ms_per_mb, fact.unpacked_ms_per_mb) == (0.0, 0.0)
    assert (fact.first_inference, fact.precision, fact.measurements) == (1.0, "", 0)


def test_moving_a_tensor_is_a_fixed_cost_and_bytes_over_a_rate() -> None:
    # 0.5 ms + 3,000 bytes at 1,000 a ms
    assert TransferFact("cpu", "gpu", 0.5, 1000.0, "made up").ms(3000) == pytest.approx(3.5)


def test_only_more_than_the_limit_falls_back_and_the_heavy_kernel_itself_is_not_slower() -> None:
    fact = StorageFact("gpu", 100.0, 3.0, "made up")
    weights = np.array([99.0, 100.0, 101.0])
    assert fact.is_heavy(weights).tolist() == [False, False, True]
    assert fact.slowdowns(weights).tolist() == [3.0, 3.0, 1.0]


def test_facts_are_found_by_their_unit() -> None:
    there = TransferFact("cpu", "gpu", 1.0, 1.0, "made up")
    slow = StorageFact("gpu", 1.0, 2.0, "made up")
    traits = Traits(transfers=(there,), storage=(slow,))
    assert traits.transfer("cpu", "gpu") is there
    assert traits.transfer("gpu", "cpu") is None
    assert traits.storage_of("gpu") is slow
    assert traits.storage_of("npu") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bytes_per_ms": 0}, "bytes_per_ms: must be > 0"),
        ({"fixed_ms": -1}, "fixed_ms: must be a finite number >= 0"),
        ({"fixed_ms": True}, "fixed_ms: must be a finite number >= 0"),
        ({"fixed_ms": 1e301}, "fixed_ms: must be a finite number >= 0"),
        ({"unit": 5}, "unit: must be text"),
        ({"unit": "x" * 2001}, "unit: must be text"),
        ({"speed": 5}, "must be an object with unit"),
    ],
)
def test_a_bad_fact_names_its_place(change: dict[str, object], message: str) -> None:
    with pytest.raises(ProfileError, match=r"^x\.json: traits\.load") as caught:
        traits_from_dict({"load": [LOAD | change]}, "x.json: traits")
    assert message in caught.value.message


def test_bounds_are_allowed_themselves() -> None:
    edge = LOAD | {"fixed_ms": 1e300, "unit": "x" * 2000}
    assert traits_from_dict({"load": [edge]}, "x").load[0].fixed_ms == 1e300
    with pytest.raises(ProfileError, match=r"x\.load: must be a list of at most 200"):
        traits_from_dict({"load": [LOAD] * 201}, "x")
    assert len(traits_from_dict({"load": [LOAD] * 200}, "x").load) == 200
