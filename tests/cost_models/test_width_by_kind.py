"""How unsure networks are by what they spend their time on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import perfmodel
from perfmodel.calibration.spread_by_kind import spread_by_kind
from perfmodel.cost_models.likeness import descriptions
from perfmodel.cost_models.network_correction import NetworkCorrection
from perfmodel.cost_models.width_by_kind import (
    KINDS_OF_WORK,
    WidthByKind,
    kind_of_work,
    risks,
    shares_by_kind,
)
from perfmodel.cost_models.work_features import ALL_FEATURES, FEATURE_NAMES
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.errors import MeasurementError, ProfileError
from perfmodel.workload import workload

KINDS = len(KINDS_OF_WORK)
CONVOLUTION, DEPTHWISE, LIGHT = (
    KINDS_OF_WORK.index(k) for k in ("convolution", "depthwise", "light")
)


def widths(**by: float) -> WidthByKind:
    """Half widths of some kinds, and of those beyond the measured (`more_...`)."""
    names = (*KINDS_OF_WORK, *(f"more_{k}" for k in KINDS_OF_WORK))
    return WidthByKind(log_by_risk=tuple(by.get(n, 0.0) for n in names), least_log=0.3)


def test_every_feature_is_of_one_kind_of_work() -> None:
    kinds = {f.name: kind_of_work(f) for f in ALL_FEATURES}
    assert set(kinds.values()) == set(KINDS_OF_WORK)
    assert kinds["winograd_products"] == kinds["point_output"] == kinds["conv_weights"]
    assert kinds["conv_weights"] == kinds["sum_lengths"] == "convolution"
    assert (kinds["depthwise_macs"], kinds["dense_weights"]) == ("depthwise", "dense")
    assert kinds["grouped_transpose_conv"] == kinds["grouped_elements"] == "grouped"
    assert kinds["conv_starts"] == kinds["group_starts"] == "start"
    assert kinds["pool_windows"] == kinds["moves"] == "light"


def test_a_network_is_as_unsure_as_what_it_spends_its_time_on() -> None:
    spent = np.zeros((2, len(FEATURE_NAMES)))
    spent[0, FEATURE_NAMES.index("direct_macs")] = 3.0
    spent[:, FEATURE_NAMES.index("depthwise_macs")] = 1.0
    shares = shares_by_kind(spent)
    assert shares[0, [CONVOLUTION, DEPTHWISE]] == pytest.approx([0.75, 0.25])
    assert shares[1, DEPTHWISE] == 1.0
    known = widths(convolution=0.4, depthwise=1.2, more_depthwise=2.0)
    measured = np.zeros(KINDS)
    measured[DEPTHWISE] = 0.25
    # 0.3^2 + 0.3^2 + 0.3^2, and 0.3^2 + 1.2^2 + (0.75 x 2)^2
    assert known.whole(risks(shares, measured)) == pytest.approx([0.27**0.5, 3.78**0.5])
    there = replace(known, measured=tuple(measured), known_log=0.6)
    assert there.beyond_known(spent) == pytest.approx([0.0, 3.78**0.5 - 0.6])
    assert known.times(2.0).whole(risks(shares, measured)) == pytest.approx(
        2.0 * known.whole(risks(shares, measured))
    )
    assert widths(light=10.0).times(2.0).log_by_risk[LIGHT] == 15.0


def test_the_spread_of_a_kind_is_that_of_the_misses_of_networks_that_do_it() -> None:
    """A thousand networks of two kinds, of which one is missed by four times as much."""
    rng = np.random.default_rng(0)
    shares = np.zeros((1000, KINDS))
    shares[:, CONVOLUTION] = rng.uniform(0.0, 1.0, 1000)
    shares[:, DEPTHWISE] = 1.0 - shares[:, CONVOLUTION]
    sd = np.hypot(np.hypot(0.2 * shares[:, CONVOLUTION], 0.8 * shares[:, DEPTHWISE]), 0.05)
    misses = rng.normal(0.0, sd)
    found = spread_by_kind(risks(shares, np.ones(KINDS)), misses)
    assert found.log_by_risk[CONVOLUTION] == pytest.approx(0.2, rel=0.1)
    assert found.log_by_risk[DEPTHWISE] == pytest.approx(0.8, rel=0.1)
    # of what nobody did the typical miss is the guess
    assert found.log_by_risk[LIGHT] == pytest.approx(np.sqrt(np.mean(misses**2)), rel=0.02)
    assert spread_by_kind(np.ones((3, 2 * KINDS)), np.full(3, 50.0)).log_by_risk[0] <= 3.0
    with pytest.raises(MeasurementError, match="one family"):
        spread_by_kind(np.zeros((0, 2 * KINDS)), np.zeros(0))


def test_a_strange_network_is_wider_by_its_work_and_a_known_one_is_not() -> None:
    tables = [
        workload(perfmodel.load(n), "tensorrt").table for n in ("resnet18", "vgg11", "mobilenet_v2")
    ]
    known = replace(widths(convolution=0.3, depthwise=3.0), known_log=0.1)
    predictor = EfficiencyPredictor(
        log_cost=(0.0,) * len(FEATURE_NAMES),
        correction=NetworkCorrection(anchors=descriptions(tables[:1]), misfits=np.zeros(1)),
        strange=known,
    )
    extra = predictor.network_terms(tables).extra_log
    assert extra[0] == pytest.approx(0.0, abs=1e-4)
    assert 0.1 < extra[1] < 0.3 < extra[2]
    assert predictor.network_terms([]).extra_log.shape == (0,)
    read = EfficiencyPredictor.from_dict(predictor.to_dict())
    assert read.strange == known


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("known_log", -0.1),
        ("least_log", "wide"),
        ("log_by_risk", [0.1] * 11),
        ("log_by_risk", [16.0] * 12),
        ("measured", [1.1] * 6),
        ("measured", None),
        ("more", 1.0),
    ],
)
def test_widths_of_a_strangers_file_are_checked_by_name(field: str, value: object) -> None:
    with pytest.raises(ProfileError, match=field):
        WidthByKind.from_dict({**widths().to_dict(), field: value}, "strange")
    with pytest.raises(ProfileError, match="strange"):
        WidthByKind.from_dict([], "strange")
