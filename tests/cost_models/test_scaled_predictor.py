"""A known cost model at another speed."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.cost_models.kinds import predictor_from_dict, predictor_to_dict
from perfmodel.cost_models.network_correction import NetworkCorrection
from perfmodel.cost_models.scaled_predictor import ScaledPredictor
from perfmodel.cost_models.work_features import FEATURE_NAMES
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.errors import ProfileError
from perfmodel.workload import workload
from perfmodel.zoo import build

BASE = EfficiencyPredictor(
    log_cost=tuple(np.linspace(-1.0, 1.0, len(FEATURE_NAMES))),
    overhead_ms=2.0,
    correction=NetworkCorrection(strange_log=0.3),
)
SCALED = ScaledPredictor(base=BASE, log_factor=float(np.log(3.0)))
KERNELS = workload(build("squeezenet_1_1"), "ncnn").table


def test_all_times_are_longer_by_the_factor() -> None:
    assert SCALED.parts_ms(KERNELS) == pytest.approx(3.0 * BASE.parts_ms(KERNELS))
    assert SCALED.overhead_ms == pytest.approx(6.0)
    assert SCALED.network_terms([KERNELS]).extra_log == pytest.approx([0.3])
    assert SCALED.novelty(KERNELS) == pytest.approx(BASE.novelty(KERNELS))
    assert (SCALED.grows_with_batch, SCALED.needs_whole_network) == (True, False)
    assert not SCALED.times_single_kernels


def test_costs_that_others_borrow_are_dearer_by_the_factor() -> None:
    costs = SCALED.work_costs
    assert costs is not None
    assert np.array(costs.log_cost) - np.array(BASE.log_cost) == pytest.approx(np.log(3.0))


def test_another_overhead_is_that_of_the_target() -> None:
    assert SCALED.with_overhead(9.0).overhead_ms == pytest.approx(9.0)
    assert SCALED.with_overhead(9.0).parts_ms(KERNELS) == pytest.approx(SCALED.parts_ms(KERNELS))


def test_kernels_three_times_slower_than_the_base_leave_it_as_it_is() -> None:
    times = SCALED.parts_ms(KERNELS).sum(axis=1) * 1e3
    adapted = SCALED.adapted(KERNELS, times)
    assert adapted.parts_ms(KERNELS).sum() == pytest.approx(times.sum() / 1e3, rel=0.02)


def test_a_file_gives_it_back() -> None:
    again = predictor_from_dict(predictor_to_dict(SCALED), "here")
    assert again.parts_ms(KERNELS) == pytest.approx(SCALED.parts_ms(KERNELS), rel=1e-4)


@pytest.mark.parametrize("log_factor", [13.0, -13.0, "1", None])
def test_a_factor_that_cannot_be_is_refused(log_factor: object) -> None:
    data = {**predictor_to_dict(SCALED), "log_factor": log_factor}
    with pytest.raises(ProfileError, match="log_factor"):
        predictor_from_dict(data, "here")


def test_scaled_models_do_not_nest() -> None:
    data = predictor_to_dict(SCALED)
    with pytest.raises(ProfileError, match="base"):
        predictor_from_dict({**data, "base": data}, "here")
