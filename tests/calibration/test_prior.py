"""What a new target starts from where known targets do not pay for the same kinds of work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.calibration import prior
from perfmodel.calibration.prior import Known, kin_population, prior_for
from perfmodel.cost_models.interval import FitError, Interval
from perfmodel.cost_models.work_features import features_of
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.devices.profile import DeviceProfile, Provenance, TargetProfile
from perfmodel.target import Target
from tests.calibration.made_up import network, population

CPU, GPU = (len(features_of(unit)) for unit in ("cpu", "gpu"))


def known(device: str, features: int, log_cost: float = -3.0) -> Known:
    target = Target(device, "gpu", "ncnn" if features == GPU else "tflite", "float")
    profile = TargetProfile(
        target,
        "steady",
        EfficiencyPredictor(log_cost=(log_cost,) * features),
        Interval(0.9, 0.2, 0.2),
        FitError("made up", 5, 0.1, 0.1, 0.9),
        Provenance("made up", 5),
    )
    costs = profile.predictor.work_costs
    assert costs is not None
    return Known(target, profile, costs)


def test_targets_of_no_calibrated_population_are_as_unsure_as_those_of_one() -> None:
    kin = kin_population(Target("new-phone", "gpu", "mace", "float"))
    assert kin.width_factor(0) == 1.645
    assert kin.width_factor(10) == kin.width_factor(20) == 2.0
    assert 1.645 < kin.width_factor(3) < 2.0
    assert kin.strange_width == pytest.approx(2.0 * kin.strange_sd)


@pytest.mark.parametrize(("lacking", "features"), [(0, GPU), (1, CPU)])
def test_kin_pay_for_what_each_of_them_pays_for(
    monkeypatch: pytest.MonkeyPatch, lacking: int, features: int
) -> None:
    found = [known(f"phone-{i}", CPU if i < lacking else GPU) for i in range(6)]
    monkeypatch.setattr(prior, "shipped_targets", lambda: tuple(found))
    monkeypatch.setattr(prior, "same_class", lambda kind, other: True)
    kin = kin_population(Target("new-phone", "gpu", "mace", "float"))
    assert kin.features == features
    assert (kin.spread.shape, kin.wide.shape) == ((features, features),) * 2
    assert np.isfinite(kin.spread).all()
    assert np.isfinite(kin.wide).all()


@pytest.mark.parametrize(("has", "wants"), [(CPU, GPU), (GPU, CPU), (GPU, GPU)])
def test_a_device_that_is_named_joins_a_population_that_pays_for_more_or_less(
    has: int, wants: int
) -> None:
    """It takes the same time as before: what it does not pay for costs it nothing."""
    tables = [network(seed) for seed in range(4)]
    base = population(tables, devices=6)
    if wants == GPU:
        extra = GPU - base.features
        base = widened(base, extra)
    named = known("named", has)
    profile = DeviceProfile("named", "Named", "phone", (named.profile,))
    made = prior_for(named.target, like="named", population=base, profiles=[profile])
    assert made.like == str(named.target)
    costs = made.population.log_cost[-1]
    assert len(costs) == wants
    assert costs[: min(has, wants)] == pytest.approx(-3.0)
    assert np.exp(costs[has:]).sum() < 1e-20


def widened(base: prior.Population, extra: int) -> prior.Population:
    """The population with more features, of which there is no work."""

    def wider(rows: np.ndarray) -> np.ndarray:
        return np.hstack([rows, np.zeros((len(rows), extra))])

    return replace(base, log_cost=wider(base.log_cost), work=wider(base.work))
