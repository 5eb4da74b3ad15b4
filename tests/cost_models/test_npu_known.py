"""Known networks are answered by their time, and bound those that do more or less; by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel import zoo
from perfmodel.cost_models.likeness import descriptions
from perfmodel.cost_models.network_correction import NetworkCorrection
from perfmodel.cost_models.npu_known import UNSCALED, TimedNetworks
from perfmodel.cost_models.npu_predictor import COST_NAMES, NpuPredictor, kernels_work
from perfmodel.cost_models.npu_terms import LATER, NPU_TERM_NAMES
from perfmodel.cost_models.predictor import network_ms
from perfmodel.errors import ProfileError
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.workload import load_at_batch

TERMS = len(NPU_TERM_NAMES)
FREE = np.zeros(TERMS)
"""Every unit of work takes a millisecond."""


def works(*firsts: tuple[float, float]) -> np.ndarray:
    """Work of networks of two kinds of work."""
    rows = np.zeros((len(firsts), TERMS))
    rows[:, :2] = firsts
    return rows


def times(known: TimedNetworks, asked: np.ndarray, between: float = 0.0) -> list[float]:
    strange = np.zeros((len(asked), len(known.beyond)), dtype=bool)
    factors = known.at(FREE).log_factors(asked, np.full(len(asked), between), strange, ~strange)
    return [float(v) for v in np.exp(factors) * asked.sum(axis=1)]


def test_a_network_takes_its_own_time_and_others_no_less_for_more_work() -> None:
    # two units of work that take 40 ms
    known = TimedNetworks(work=works((1, 1)), beyond=np.log([20.0]))
    assert times(known, works((1, 1), (2, 1), (1, 3), (30, 30))) == pytest.approx([40, 40, 40, 60])


def test_a_network_that_does_less_takes_no_longer() -> None:
    known = TimedNetworks(work=works((4, 4)), beyond=np.log([0.75]))
    assert times(known, works((4, 4), (3, 4), (1, 0.5))) == pytest.approx([6, 6, 1.5])
    # unless it lies far from its costs, on a path of its own
    far = TimedNetworks(work=works((4, 4)), beyond=np.log([0.25]))
    assert times(far, works((4, 4), (3, 4))) == pytest.approx([2, 7])


def test_a_network_that_does_more_of_one_kind_and_less_of_another_is_not_bound() -> None:
    known = TimedNetworks(work=works((4, 4)), beyond=np.log([9.0]))
    assert times(known, works((5, 3)), np.log(1.5)) == pytest.approx([12])


def test_known_networks_that_break_the_order_keep_their_times_and_the_longer_bounds_others() -> (
    None
):
    known = TimedNetworks(work=works((1, 1), (3, 3)), beyond=np.log([5.0, 0.5]))
    # 10 ms for the lesser, 3 ms for the greater: what lies between and beyond takes 10
    assert times(known, works((1, 1), (3, 3), (2, 2), (3.5, 3), (9, 9))) == pytest.approx(
        [10, 3, 10, 10, 18]
    )


def test_a_known_network_at_another_size_has_its_factor() -> None:
    known = TimedNetworks(work=works((1, 1), (2, 8)), beyond=np.log([3.0, 7.0]))
    same = np.array([[True, False], [False, True], [False, False]])
    asked = works((2, 2), (4, 16), (0.1, 50))
    factors = known.at(FREE).log_factors(asked, np.zeros(3), same, same | True)
    assert np.exp(factors) == pytest.approx([3, 7, 1])


def test_more_work_never_takes_less_whatever_is_known() -> None:
    rng = np.random.default_rng(0)
    known = TimedNetworks(work=rng.lognormal(0, 1, (12, TERMS)), beyond=rng.normal(0, 1, 12))
    known.work[:, 3:] = 0.0
    asked = [rng.lognormal(-2, 1, TERMS)]
    asked[0][3:] = 0.0
    for _ in range(200):
        more = asked[-1].copy()
        more[rng.integers(3)] *= rng.uniform(1, 1.1)
        asked.append(more)
    found = times(known, np.array(asked))
    assert (np.diff(found) >= -1e-12 * np.array(found[:-1])).all()
    assert max(found) / min(found) > 2


def test_nothing_is_changed_where_nothing_is_known() -> None:
    assert times(TimedNetworks(), works((2, 2)), 0.5) == pytest.approx([4 * np.exp(0.5)])
    assert TimedNetworks().to_dict() == {}


def test_a_network_that_lacks_little_of_a_known_one_is_bound_by_it() -> None:
    # two ms of work that take 40: a fiftieth less of one kind is within a thirtieth of all
    known = TimedNetworks(work=works((1, 1)), beyond=np.log([20.0]))
    assert times(known, works((5, 0.96), (5, 0.92))) == pytest.approx([40, 5.92])
    fast = TimedNetworks(work=works((1, 1)), beyond=np.log([0.7]))
    assert times(fast, works((1.05, 0.5), (1.08, 0.5))) == pytest.approx([1.4, 1.58])


def test_a_network_far_from_its_costs_bounds_its_kin_alone() -> None:
    none = np.zeros((1, 1), dtype=bool)
    for ratio, kin, said in ((20.0, True, 40.0), (20.0, False, 6.0), (1.6, False, 6.0)):
        known = TimedNetworks(work=works((1, 1)), beyond=np.log([ratio])).at(FREE)
        factor = known.log_factors(works((5, 1)), np.zeros(1), none, none | kin)
        assert 6 * np.exp(factor) == pytest.approx([said])
    near = TimedNetworks(work=works((1, 1)), beyond=np.log([1.6])).at(FREE)
    factor = near.log_factors(works((1.1, 1)), np.zeros(1), none, none)
    assert 2.1 * np.exp(factor) == pytest.approx([3.2])


def test_where_known_networks_contradict_each_other_those_near_their_costs_have_the_last_word() -> (
    None
):
    # the lesser takes a strange 10 ms, the greater 4.2 where its costs say 6
    known = TimedNetworks(work=works((1, 1), (3, 3)), beyond=np.log([5.0, 0.7]))
    assert times(known, works((2, 2), (3.5, 3), (9, 9))) == pytest.approx([4.2, 10, 18])
    # the greater is strangely fast: it bounds nobody, and the lesser of 2.4 ms what does more
    known = TimedNetworks(work=works((1, 1), (3, 3)), beyond=np.log([1.2, 0.1]))
    assert times(known, works((2, 2), (9, 9))) == pytest.approx([4, 18])


def test_two_files_of_a_network_take_the_time_of_the_known_one() -> None:
    known = TimedNetworks(work=works((1, 1)), beyond=np.log([20.0]))
    assert times(known, works((1.01, 1), (0.99, 1), (1.04, 0.98))) == pytest.approx([40] * 3)


@pytest.fixture(scope="module")
def table() -> KernelTable:
    return KernelTable.from_kernels(fuse(zoo.build("squeezenet_1_1"), "qnn"))


@pytest.fixture(scope="module")
def predictor(table: KernelTable) -> NpuPredictor:
    return NpuPredictor(
        log_cost=(0.0,) * len(COST_NAMES),
        precision="w8a8",
        correction=NetworkCorrection(
            anchors=descriptions([table]), misfits=np.array([0.2]), strange_log=0.1
        ),
        known=TimedNetworks(
            work=kernels_work(table, "w8a8")[None], beyond=np.array([np.log(9.0)]), lean=0.6
        ),
    )


def test_a_predictor_answers_a_known_network_by_its_time(
    table: KernelTable, predictor: NpuPredictor
) -> None:
    kernels = float(predictor.parts_ms(table).sum())
    assert network_ms(predictor, table) == pytest.approx(predictor.overhead_ms + 9 * kernels)
    larger = KernelTable.from_kernels(
        fuse(zoo.entry("squeezenet_1_1").build(resolution=320), "qnn")
    )
    assert network_ms(predictor, larger) == pytest.approx(
        predictor.overhead_ms + 9 * float(predictor.parts_ms(larger).sum())
    )
    slower = predictor.scaled(np.log(2))
    assert network_ms(slower, table) == pytest.approx(2 * network_ms(predictor, table))


def test_a_predictor_is_the_same_after_its_file(
    table: KernelTable, predictor: NpuPredictor
) -> None:
    again = NpuPredictor.from_dict(predictor.to_dict())
    assert network_ms(again, table) == pytest.approx(network_ms(predictor, table), rel=1e-4)
    assert again.to_dict() == predictor.to_dict()
    plain = replace(predictor, known=TimedNetworks()).to_dict()
    assert not set(plain) & {"known_work", "beyond"}


def test_a_file_without_later_terms_is_read_with_no_work_of_them(
    predictor: NpuPredictor,
) -> None:
    said = predictor.to_dict()
    shorter = [row[: -len(LATER)] for row in said["known_work"]]
    again = NpuPredictor.from_dict(said | {"known_work": shorter})
    assert again.known.work[:, : -len(LATER)] == pytest.approx(
        predictor.known.work[:, : -len(LATER)], rel=1e-5
    )
    assert not again.known.work[:, -len(LATER) :].any()


def test_others_lean_to_what_networks_took_beyond_all_that_ran() -> None:
    known = TimedNetworks(
        work=works((4, 4)), beyond=np.array([0.4]), ran_beyond=np.array([0.1]), lean=1.0
    )
    plain = TimedNetworks(work=works((4, 4)), beyond=np.array([0.1]), lean=1.0)
    asked = works((2, 2))
    assert known.at(FREE).leaning(asked) == pytest.approx(plain.at(FREE).leaning(asked))
    assert known.at(FREE).log_ms == pytest.approx(plain.at(FREE).log_ms + 0.3)
    again = TimedNetworks.from_dict(known.to_dict(), 1)
    assert again.ran_beyond == pytest.approx([0.1])


@pytest.mark.parametrize(
    "damage",
    [
        {"known_work": [[1.0]]},
        {"known_work": [[-1.0] * TERMS]},
        {"known_work": [[1e10] * TERMS]},
        {"known_work": None},
        {"beyond": [0.1, 0.2]},
        {"beyond": [11.0]},
        {"beyond": None},
        {"ran_beyond": [0.1, 0.2]},
        {"ran_beyond": None},
        {"ran_beyond": [11.0]},
        {"lean": 1.5},
        {"lean": "far"},
    ],
)
def test_damaged_known_networks_are_refused(predictor: NpuPredictor, damage: dict) -> None:
    with pytest.raises(ProfileError, match=r"known_work|beyond|lean"):
        NpuPredictor.from_dict({**predictor.to_dict(), **damage})


def test_only_a_network_of_the_same_weights_and_kernels_is_one_at_another_size() -> None:
    weights, starts = NPU_TERM_NAMES.index("weights"), NPU_TERM_NAMES.index("product_starts")
    work = np.ones((1, TERMS))
    known = TimedNetworks(work=work, beyond=np.zeros(1))
    larger, heavier, deeper = 4 * work, work.copy(), work.copy()
    larger[:, UNSCALED] = 1.0
    heavier[:, weights], deeper[:, starts] = 1.5, 1.5
    asked = np.vstack([work, larger, heavier, deeper, work])
    alike = np.array([[1.0], [0.5], [1.0], [1.0], [0.05]])
    assert known.same(asked, alike)[:, 0].tolist() == [True, True, False, False, False]


def test_a_network_leans_alike_at_every_batch() -> None:
    known = [
        KernelTable.from_kernels(fuse(load_at_batch(n, 1), "qnn")) for n in ("alexnet", "resnet18")
    ]
    made = NpuPredictor(
        log_cost=(0.0,) * len(COST_NAMES),
        precision="fp16",
        correction=NetworkCorrection(anchors=descriptions(known), misfits=np.zeros(2)),
        known=TimedNetworks(
            work=np.array([kernels_work(t, "fp16") for t in known]),
            beyond=np.array([-0.4, 0.4]),
            lean=1.0,
        ),
    )
    graphs = [load_at_batch("mobilenet_v1", b) for b in (1, 8)]
    asked = [KernelTable.from_kernels(fuse(g, "qnn")) for g in graphs]
    one, eight = made.network_terms(asked).log_factor
    assert one == pytest.approx(eight, abs=0.008)
    assert abs(one) > 0.02
    spent = kernels_work(asked[0], "fp16")[None] * np.exp(made.log_cost[:-1])
    assert made.known.at(np.zeros(TERMS)).leaning(spent) == pytest.approx([one])
    none = replace(made, known=replace(made.known, lean=0.0))
    assert none.network_terms(asked).log_factor == pytest.approx([0.0, 0.0])


def test_a_batch_norm_written_as_a_product_and_a_sum_does_no_less_than_the_operator() -> None:
    """densenet169 with products and sums took half of what densenet121 with the operators did."""
    norm, elementwise = (NPU_TERM_NAMES.index(n) for n in ("batch_norm", "elementwise"))
    cost = np.zeros(TERMS)
    cost[norm] = np.log(4.0)
    image = NPU_TERM_NAMES.index("image_elementwise")
    known = np.zeros((1, TERMS))
    known[0, norm], known[0, elementwise], known[0, image] = 1.0, 1.0, 3.0
    deeper = np.zeros((1, TERMS))
    deeper[0, elementwise] = 3.1
    timed = TimedNetworks(work=known, beyond=np.log([3.0])).at(cost)
    kin = np.ones((1, 1), dtype=bool)
    factor = timed.log_factors(deeper * np.exp(cost), np.zeros(1), ~kin, kin)
    # the known one's 4 + 1 + 3 ms by costs took three times as long
    assert 3.1 * np.exp(factor[0]) == pytest.approx(24.0)
    less = 2.5 / 3.1 * deeper
    assert timed.log_factors(less * np.exp(cost), np.zeros(1), ~kin, kin) == pytest.approx([0.0])
