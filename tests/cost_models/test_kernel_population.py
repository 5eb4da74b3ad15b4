"""Efficiencies and populations by hand: effects add up, sheets shift, new cells start shared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.cost_models.efficiencies import (
    Efficiencies,
    Shrinkage,
    TimedKernels,
    family_places,
    fit_corrected,
    fit_efficiencies,
    fit_target,
    unmeasured_population,
)
from perfmodel.cost_models.kernel_population import KernelPopulation, TargetTraits
from perfmodel.cost_models.kernel_predictor import INPUTS
from perfmodel.cost_models.kernel_terms import TERMS, Machine, work_of
from perfmodel.cost_models.trees import empty_forest
from perfmodel.errors import MeasurementError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.kernels import table_from_rows

CELLS = ("conv1x1", "conv3x3", "pool:max_pool2d")
FAMILIES = ("pool", "product")
WIDTH = len(TERMS)


def rows(*values: float) -> np.ndarray:
    """One number a row, the same for every term."""
    return np.repeat(np.array(values)[:, None], WIDTH, axis=1)


def effects() -> Efficiencies:
    """Two targets: powers of ten tell the effects apart in a sum."""
    return Efficiencies(
        cells=CELLS,
        families=FAMILIES,
        term=np.full(WIDTH, 1.0),
        family=rows(10.0, 20.0),
        cell=rows(100.0, 200.0, 300.0),
        scale=np.array([0.0, 0.1]),
        target_term=rows(0.0, 0.01),
        target_family=np.stack([rows(0, 0), rows(0.001, 0.002)]),
        target_cell=np.stack([rows(0, 0, 0), rows(0.0001, 0.0002, 0.0003)]),
    )


def a_population(**more: object) -> KernelPopulation:
    fields: dict[str, object] = {
        "efficiencies": unmeasured_population(
            CELLS, FAMILIES, np.zeros(WIDTH), rows(0.0, 0.0), rows(0.0, 0.0, 0.0)
        ),
        "shrinkage": Shrinkage(),
        "forests": {},
        "traits": 0,
        "described": False,
        "ranges": {},
        "limit": 0.7,
    }
    return KernelPopulation(**{**fields, **more})  # type: ignore[arg-type]


def convs(count: int = 20, seed: int = 0) -> KernelTable:
    rng = np.random.default_rng(seed)
    size = rng.integers(10, 60, count)
    return table_from_rows(
        {
            "op": np.array(["conv2d"] * count, dtype=object),
            **dict.fromkeys(("hin", "win", "hout", "wout"), size),
            **dict.fromkeys(("kh", "kw"), np.ones(count)),
            "cin": rng.integers(8, 512, count),
            "cout": rng.integers(8, 512, count),
        }
    )


def test_a_cell_belongs_to_its_family() -> None:
    assert family_places(CELLS, FAMILIES).tolist() == [1, 1, 0]


def test_log_costs_are_sums_of_effects() -> None:
    found = effects()
    # 1 of the term + 20 of the family + 100 of the cell
    assert found.population[0, 0] == 121.0
    assert found.theta()[0, 2, 0] == 1 + 10 + 300
    assert found.theta()[1, 1, 0] == pytest.approx(1 + 20 + 200 + 0.1 + 0.01 + 0.002 + 0.0002)
    assert found.of_target(1)[0] == pytest.approx(1.11)
    assert found.of_family(1)[:, 0] == pytest.approx([1.11 + 10.001, 1.11 + 20.002])
    assert found.descriptor()[1] == pytest.approx([0.1, *[0.01] * WIDTH])


def test_a_target_folded_into_the_population_keeps_its_costs() -> None:
    folded = effects().folded(1)
    assert folded.population == pytest.approx(effects().theta()[1])
    assert folded.theta()[0] == pytest.approx(effects().theta()[1])


def test_an_unmeasured_target_costs_what_the_population_does() -> None:
    assert effects().unmeasured().theta() == pytest.approx(effects().population[None])


def test_a_new_cell_costs_what_its_family_does_and_a_new_family_what_the_terms_do() -> None:
    more = effects().with_cells(["matmul", "softmax:softmax", "conv1x1"])
    assert more.cells == (*CELLS, "matmul", "softmax:softmax")
    assert more.families == (*FAMILIES, "softmax")
    costs = more.theta()[0][:, 0]
    assert costs == pytest.approx([121, 221, 311, 21, 1])


def test_effects_are_shared_as_far_as_their_priors_say() -> None:
    """One cell on one target, one term: the prior variances split what was measured."""
    terms = np.zeros((1, WIDTH))
    terms[0, 0] = 1.0
    seen = TimedKernels(
        cell=np.zeros(1, dtype=int),
        target=np.zeros(1, dtype=int),
        terms=terms,
        log_us=np.array([0.1]),
        weight=np.ones(1),
    )
    sd = Shrinkage(huber=100.0)
    fitted = fit_efficiencies(seen, ("conv1x1",), 1, sd)
    variances = {
        "term": sd.term**2,
        "family": sd.family**2,
        "cell": sd.cell**2,
        "scale": sd.target**2,
        "target_term": sd.target_term**2,
        "target_family": sd.target_family**2,
        "target_cell": sd.target_cell**2,
    }
    total = sum(variances.values()) + sd.noise**2
    for name, variance in variances.items():
        effect = getattr(fitted, name).ravel()[0]
        assert effect == pytest.approx(0.1 * variance / total, rel=1e-3, abs=1e-7), name
    # no term but the measured one has an effect, other than by the target's scale
    assert fitted.term[1:] == pytest.approx(0.0)


def test_a_second_target_leaves_the_shared_effects_as_they_are() -> None:
    terms = np.zeros((1, WIDTH))
    terms[0, 0] = 1.0
    seen = TimedKernels(
        cell=np.zeros(1, dtype=int),
        target=np.zeros(1, dtype=int),
        terms=terms,
        log_us=np.array([121.3]),
        weight=np.ones(1),
    )
    known, sd = effects().unmeasured(), Shrinkage(huber=100.0)
    made = fit_target(seen, known, sd, np.zeros(1))
    assert made.population == pytest.approx(known.population)
    own = sd.target**2 + sd.target_term**2 + sd.target_family**2 + sd.target_cell**2
    assert made.theta()[0, 0, 0] == pytest.approx(121 + 0.3 * own / (own + sd.noise**2), abs=1e-4)
    # a known factor of e^0.3 explains it all
    explained = fit_target(seen, known, sd, np.array([0.3]))
    assert explained.theta()[0, 0, 0] == pytest.approx(121.0, abs=1e-5)


def test_a_correction_is_asked_at_the_speeds_that_were_fitted() -> None:
    terms = np.zeros((1, WIDTH))
    terms[0, 0] = 2.0
    seen = TimedKernels(
        cell=np.zeros(1, dtype=int),
        target=np.zeros(1, dtype=int),
        terms=terms,
        log_us=np.array([np.log(2.0) + 121.3]),
        weight=np.ones(1),
    )
    asked: list[float] = []

    def correct(own: Efficiencies, spent: np.ndarray, total: np.ndarray) -> np.ndarray:
        asked.append(float(np.log(total[0])))
        assert spent[0, 0] == total[0]
        return np.array([0.3])

    sd = Shrinkage(huber=100.0)
    made = fit_corrected(seen, effects().unmeasured(), sd, correct, 2)
    # first with all of the 0.3 left to the speeds, then with none of it
    assert asked[0] == pytest.approx(np.log(2.0) + 121.3, abs=0.01)
    assert asked[1] == pytest.approx(np.log(2.0) + 121.0, abs=0.001)
    assert made.theta()[0, 0, 0] == pytest.approx(121.0, abs=1e-4)


def test_what_a_data_sheet_says_multiplies_the_terms() -> None:
    table = convs(3)
    known = (np.log(2.0), 0.0, 0.0, 0.0, -np.log(4.0))
    work = TargetTraits("x", Machine(), known).work(table)
    plain = work_of(table, Machine()).terms
    assert work.terms[:, 0] == pytest.approx(2 * plain[:, 0])
    assert work.terms[:, 1] == pytest.approx(plain[:, 1])
    assert work.terms[:, 4] == pytest.approx(plain[:, 4] / 4)


def test_an_unmeasured_target_is_the_population_at_its_data_sheet() -> None:
    known = (0.5, 0.0, 0.0, 0.0, -0.25)
    made = a_population().unmeasured(TargetTraits("x", Machine(), known))
    assert made.cells["conv1x1"] == known
    assert made.families["pool"] == known
    assert made.default == known


def test_few_kernels_move_a_target_to_its_speed_whatever_its_data_sheet_says() -> None:
    table, asked = convs(), convs(seed=3)
    for known in ((0.0,) * 5, (0.7,) * 5):
        traits = TargetTraits("x", Machine(), known)
        few_us = 5 * work_of(table, Machine()).terms.sum(axis=1)
        made = a_population().calibrated(table, traits, few_us)
        expected = 5 * work_of(asked, Machine()).terms.sum(axis=1)
        assert made.parts_ms(asked).sum(axis=1) * 1e3 == pytest.approx(expected, rel=0.03)


def test_trees_correct_within_the_limit_and_by_what_describes_the_target() -> None:
    table = convs(4)
    always = replace(empty_forest(), baseline=2.0)
    known = a_population(forests={"conv": always}, limit=0.5)
    made = known.unmeasured(TargetTraits("x", Machine()))
    plain = a_population().unmeasured(TargetTraits("x", Machine()))
    ratio = made.parts_ms(table).sum(axis=1) / plain.parts_ms(table).sum(axis=1)
    assert ratio == pytest.approx(np.exp(0.5))
    # one split on the first trait: below 1.5 the left leaf
    split = replace(
        empty_forest(),
        roots=np.array([0]),
        feature=np.array([len(INPUTS), 0, 0]),
        threshold=np.array([1.5, 0.0, 0.0]),
        left=np.array([1, 1, 2]),
        right=np.array([2, 1, 2]),
        value=np.array([0.0, 0.2, -0.2]),
        depth=1,
    )
    known = a_population(forests={"conv": split}, traits=1)
    for trait, factor in ((1.0, 0.2), (2.0, -0.2)):
        made = known.unmeasured(TargetTraits("x", Machine(), traits=(trait,)))
        ratio = made.parts_ms(table).sum(axis=1) / plain.parts_ms(table).sum(axis=1)
        assert ratio == pytest.approx(np.exp(factor))


def test_a_target_described_by_other_numbers_is_refused() -> None:
    with pytest.raises(MeasurementError, match="2 traits, the known targets have 1"):
        a_population(traits=1).unmeasured(TargetTraits("x", Machine(), traits=(1.0, 2.0)))


def test_whole_networks_set_a_new_targets_scale() -> None:
    table, member = convs(40), np.repeat(np.arange(4), 10)
    truth = 3 * work_of(table, Machine()).terms.sum(axis=1)
    made = a_population().calibrated(
        table, TargetTraits("x", Machine()), np.bincount(member, truth), member
    )
    assert made.parts_ms(table).sum() * 1e3 == pytest.approx(truth.sum(), rel=0.01)
