"""Whole networks are recognised by what they compute; what is not recognised is not corrected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perfmodel.cost_models.likeness import (
    GROWING,
    LENGTH_SCALE,
    described,
    descriptions,
    distances,
    interpolation,
    likeness,
)
from perfmodel.cost_models.network_correction import (
    WIDTHS,
    NetworkCorrection,
    _by_width,
    lawful,
)
from perfmodel.cost_models.predictor import network_ms
from perfmodel.cost_models.work_features import ALL_FEATURES, FEATURE_NAMES, FEATURES
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.errors import ProfileError
from tests.calibration.made_up import network
from tests.calibration.made_up import work as work_of

COUNT = len(FEATURE_NAMES)


def mixture(*shares: float) -> np.ndarray:
    """A description with these shares of the first kinds of work."""
    row = np.zeros(COUNT)
    row[: len(shares)] = np.sqrt(shares)
    return row


def test_hellingers_distance_by_hand() -> None:
    a, b, c = mixture(1.0), mixture(0.0, 1.0), mixture(0.5, 0.5)
    found = distances(np.array([a]), np.array([a, b, c]))[0]
    # sqrt(2 - 2 * affinity): affinities 1, 0 and sqrt(0.5)
    assert found == pytest.approx([0.0, np.sqrt(2.0), np.sqrt(2 - np.sqrt(2.0))])


def test_likeness_falls_to_a_root_of_e_at_the_length_scale() -> None:
    share = 1 - LENGTH_SCALE**2 / 2
    one, other = mixture(1.0), mixture(share**2, 1 - share**2)
    assert likeness(np.array([one]), np.array([other]))[0, 0] == pytest.approx(np.exp(-0.5))


def test_a_description_is_a_unit_vector_and_the_same_for_every_batch() -> None:
    for seed in range(5):
        one, many = described(network(seed)), described(network(seed, batch=32))
        assert np.linalg.norm(one) == pytest.approx(1.0)
        assert many == pytest.approx(one, abs=1e-12)


def test_a_known_network_is_recognised_and_a_strange_one_is_not() -> None:
    known = descriptions([network(s) for s in range(6)])
    weights, recognised = interpolation(known, known)
    assert weights == pytest.approx(np.eye(6), abs=1e-4)
    assert recognised == pytest.approx(1.0, abs=1e-4)
    _, recognised = interpolation(mixture(0, 0, 0, 0, 1.0)[None], known)
    assert recognised[0] < 1e-6


def test_between_two_networks_the_misfit_is_between_theirs() -> None:
    step = LENGTH_SCALE / 2
    angles = np.array([0.0, 2 * step])
    known = np.array([mixture(np.cos(a) ** 2, np.sin(a) ** 2) for a in angles])
    correction = NetworkCorrection(anchors=known, misfits=np.array([0.1, 0.3]), strange_log=0.2)
    middle = mixture(np.cos(step) ** 2, np.sin(step) ** 2)
    factor, recognised = correction.of_described(np.array([known[0], middle, known[1]]))
    assert factor[[0, 2]] == pytest.approx([0.1, 0.3], abs=1e-3)
    # a Gaussian process between two points at +-0.5 length scales, of mean 0:
    # k = exp(-1/8) to each, K = [[1, exp(-1/2)], ...]: weight k / (1 + exp(-1/2)) for each
    weight = np.exp(-0.125) / (1 + np.exp(-0.5))
    assert factor[1] == pytest.approx(weight * 0.4, rel=1e-2)
    assert recognised[1] == pytest.approx(2 * weight * np.exp(-0.125), rel=1e-2)


def test_a_correction_is_bounded() -> None:
    correction = NetworkCorrection(anchors=mixture(1.0)[None], misfits=np.array([9.0]))
    assert correction.of_described(mixture(1.0)[None])[0][0] == 0.5


def test_the_factor_and_the_width_reach_the_predictor() -> None:
    tables = [network(0), network(50)]
    correction = NetworkCorrection(
        anchors=descriptions(tables[:1]), misfits=np.array([np.log(1.5)]), strange_log=0.25
    )
    plain = EfficiencyPredictor(log_cost=(0.0,) * COUNT)
    made = EfficiencyPredictor(log_cost=(0.0,) * COUNT, correction=correction)
    assert network_ms(made, tables[0]) == pytest.approx(1.5 * network_ms(plain, tables[0]))
    assert network_ms(made, tables[1]) == pytest.approx(network_ms(plain, tables[1]), rel=1e-6)
    assert made.network_terms(tables).extra_log == pytest.approx([0.0, 0.25], abs=1e-4)
    assert (plain.network_terms(tables).extra_log == 0).all()


def test_it_survives_the_file_and_an_empty_one_takes_no_room() -> None:
    correction = NetworkCorrection(
        anchors=descriptions([network(0), network(1)]),
        misfits=np.array([0.1, -0.2]),
        strange_log=0.3,
        unsure=np.array([0.0, 0.4]),
    )
    made = EfficiencyPredictor(log_cost=(0.0,) * COUNT, correction=correction)
    read = EfficiencyPredictor.from_dict(made.to_dict())
    assert read.correction.anchors == pytest.approx(correction.anchors, abs=1e-5)
    assert read.correction.misfits.tolist() == [0.1, -0.2]
    assert read.correction.strange_log == 0.3
    assert read.correction.unsure.tolist() == [0.0, 0.4]
    assert set(EfficiencyPredictor(log_cost=(0.0,) * COUNT).to_dict()) == {
        *("precision", "log_cost", "ranges", "overhead_ms"),
    }


def test_misfits_that_would_make_more_work_faster_are_lowered() -> None:
    """A network all of whose time is starts: at twice the width it may not lose its misfit."""
    starts = np.array([f.unit == "kernel" for f in FEATURES])
    work = np.where(starts, 50.0, 0.0) + np.where([f.unit == "MAC" for f in FEATURES], 0.02, 0.0)
    work += np.where([f.unit == "element" for f in FEATURES], 0.02, 0.0)
    shares = np.sqrt(np.where(GROWING, work, 0.0) / work[GROWING].sum())
    correction = NetworkCorrection(anchors=shares[None], misfits=np.array([0.5]))
    made = lawful(correction, work[None], np.zeros(COUNT))
    assert made.misfits[0] < 0.1
    powers = {"MAC": 2.0, "byte": 2.0, "element": 1.0}
    power = np.array([powers.get(f.unit, 0.0) for f in FEATURES])
    for one in (correction, made):
        times = []
        for width in WIDTHS:
            wide = work * width**power
            mix = np.sqrt(np.where(GROWING, wide, 0.0) / wide[GROWING].sum())
            times.append(np.log(wide.sum()) + one.of_described(mix[None])[0][0])
        assert (np.diff(times) >= 0).all() == (one is made)


@pytest.mark.parametrize("kind", ["winograd_products", "depthwise_macs"])
def test_a_network_with_fewer_layers_of_a_kind_is_never_slower(kind: str) -> None:
    """VGG11 took up to 11 % more than VGG13: VGG16 took less than its costs, and VGG13, which is
    more like it, got more of that."""
    work = np.zeros(COUNT)
    places = [FEATURE_NAMES.index(n) for n in (kind, "first_macs")]
    work[places] = 1.0
    shares = np.sqrt(work / work.sum())
    correction = NetworkCorrection(anchors=shares[None], misfits=np.array([-0.5]))
    made = lawful(correction, work[None], np.zeros(COUNT))
    # from 0.3 of the layers to all the costs grow by log(2 / 1.3) = 0.43, less than the misfit
    assert -0.4 < made.misfits[0] < -0.05
    for one in (correction, made):
        times = []
        for share in np.linspace(0.3, 1.0, 15):
            fewer = work.copy()
            fewer[places[0]] *= share
            mix = np.sqrt(fewer / fewer.sum())
            times.append(np.log(fewer.sum()) + one.of_described(mix[None])[0][0])
        assert (np.diff(times).min() >= -0.02) == (one is made)


def test_only_what_makes_a_network_slower_for_fewer_layers_is_lowered() -> None:
    """The other network is like nothing on the way to fewer layers of the first."""
    first, other = np.zeros(COUNT), np.zeros(COUNT)
    first[[FEATURE_NAMES.index(n) for n in ("winograd_products", "first_macs")]] = 1.0
    other[FEATURE_NAMES.index("dense_macs")] = 1.0
    work = np.array([first, other])
    anchors = np.sqrt(work / work.sum(axis=1, keepdims=True))
    correction = NetworkCorrection(anchors=anchors, misfits=np.array([-0.5, -0.5]))
    made = lawful(correction, work, np.zeros(COUNT))
    assert made.misfits[0] > -0.4
    assert made.misfits[1] == -0.5


def test_misfits_that_break_no_law_are_kept() -> None:
    tables = [network(0), network(1)]
    correction = NetworkCorrection(anchors=descriptions(tables), misfits=np.array([0.05, -0.05]))
    assert lawful(correction, work_of(tables), np.zeros(COUNT)).misfits.tolist() == [0.05, -0.05]


ROW = [1.0] + [0.0] * (COUNT - 1)


@pytest.mark.parametrize(
    "data",
    [
        {"anchors": [ROW], "misfits": [0.1]},
        {"anchors": [ROW], "misfits": [0.1, 0.2], "strange_log": 0.1},
        {"anchors": [ROW[:-1]], "misfits": [0.1], "strange_log": 0.1},
        {"anchors": [ROW, ROW[:-1]], "misfits": [0.1, 0.1], "strange_log": 0.1},
        {"anchors": [[2.0, *ROW[1:]]], "misfits": [0.1], "strange_log": 0.1},
        {"anchors": [[-0.5, *ROW[1:]]], "misfits": [0.1], "strange_log": 0.1},
        {"anchors": [ROW], "misfits": [0.51], "strange_log": 0.1},
        {"anchors": [ROW], "misfits": [float("nan")], "strange_log": 0.1},
        {"anchors": [ROW], "misfits": [0.1], "strange_log": -0.1},
        {"anchors": [ROW], "misfits": ["a"], "strange_log": 0.1},
        {"anchors": "many", "misfits": [], "strange_log": 0.1},
        {"anchors": [ROW], "misfits": [0.1], "strange_log": 0.1, "unsure": [-0.1]},
        {"anchors": [ROW], "misfits": [0.1], "strange_log": 0.1, "unsure": [0.1, 0.2]},
        {"anchors": [ROW] * 257, "misfits": [0.1] * 257, "strange_log": 0.1},
    ],
)
def test_damaged_corrections_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ProfileError, match=r"anchors|misfits|strange_log|unsure"):
        NetworkCorrection.from_dict(data)


def test_a_network_of_twice_the_width_sums_twice_as_many_products_an_output() -> None:
    """Every feature's work as the width grows: products by the square, starts not at all."""
    wider = _by_width()[list(WIDTHS).index(2.0)]
    powers = {"MAC": 4.0, "byte": 4.0, "element": 2.0, "step": 2.0}
    assert wider.tolist() == [powers.get(f.unit, 1.0) for f in ALL_FEATURES]
    assert {"step", "kernel"} <= {f.unit for f in ALL_FEATURES}
