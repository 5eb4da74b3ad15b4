"""How unsure a network is whose kernels are known by a data sheet: by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perfmodel.cost_models.kernel_predictor import KernelPredictor
from perfmodel.cost_models.kernel_terms import RANGE_FEATURES, TERMS, Machine, work_of
from perfmodel.cost_models.kernel_widths import FEWEST_KERNELS, KernelWidths, kinds_of
from perfmodel.errors import ProfileError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.kernels import table_from_rows

WIDTHS = KernelWidths(alone={"conv": 0.3, "other": 0.2}, shared={"conv": 0.25, "other": 0.0})


def widths(kinds: list[str], shapes: list[int], times: list[float]) -> float:
    network = np.zeros(len(kinds), dtype=np.int64)
    (found,) = WIDTHS.of_sums(np.array(kinds), np.array(shapes), np.array(times), network)
    return float(found)


def test_one_kernel_is_as_unsure_as_its_kind() -> None:
    assert widths(["conv"], [0], [7.0]) == pytest.approx(0.3)
    assert widths(["other"], [0], [7.0]) == pytest.approx(0.2)
    assert widths(["never seen"], [0], [1.0]) == pytest.approx(0.3)


def test_what_kernels_share_adds_up_and_what_they_have_alone_cancels() -> None:
    # of the square a quarter is shared, so that of two alike three eighths are left of the rest
    assert widths(["conv", "conv"], [0, 1], [1.0, 1.0]) == pytest.approx(0.3 * np.sqrt(0.625))
    # a convolution as long as three other kernels together
    mixed = widths(["conv", "other", "other", "other"], [0, 1, 2, 3], [3.0, 1.0, 1.0, 1.0])
    together, apart = 0.15 * 0.5, (0.3**2 * 0.75 * 0.25 + 3 * 0.2**2 / 36)
    assert mixed == pytest.approx(np.sqrt(together**2 + apart))
    # what nobody knows shares all of it
    assert widths(["new", "new"], [0, 1], [1.0, 1.0]) == pytest.approx(0.3)


def test_kernels_of_one_shape_miss_alike() -> None:
    assert widths(["other"] * 4, [5, 5, 5, 5], [1.0] * 4) == pytest.approx(0.2)
    assert widths(["other"] * 4, [0, 1, 2, 3], [1.0] * 4) == pytest.approx(0.1)


def test_networks_are_told_apart() -> None:
    network = np.array([1, 0, 1])
    found = WIDTHS.of_sums(
        np.array(["conv", "other", "conv"]), np.array([0, 0, 1]), np.array([2.0, 1, 2]), network
    )
    assert found == pytest.approx([0.2, 0.3 * np.sqrt(0.625)])


def test_widths_hold_nine_of_ten_and_see_what_a_card_shares() -> None:
    rng, cards = np.random.default_rng(0), 12
    target = np.repeat(np.arange(cards), 500)
    sheet = np.repeat(rng.normal(0, 0.3, cards), 500)
    misses = np.concatenate(
        [sheet + rng.normal(0, 0.1, len(sheet)), rng.normal(0, 0.2, len(sheet))]
    )
    kind = np.repeat(["conv", "matmul"], len(sheet))
    both = np.tile(target, 2)
    found = KernelWidths.of(misses, kind, both, both)
    inside = [(np.abs(misses[kind == k]) <= found.alone[k]).mean() for k in ("conv", "matmul")]
    # cards err together in convolutions, so that twelve of them show less than as many kernels
    assert 0.9 <= inside[1] < 0.92 <= inside[0]
    spread = np.mean([misses[(kind == "conv") & (both == c)].mean() ** 2 for c in range(cards)])
    assert found.shared["conv"] == pytest.approx(spread / (spread + 0.01), abs=0.02)
    assert found.shared["matmul"] < 0.01


def test_a_target_of_few_kernels_does_not_show_what_it_shares() -> None:
    few, many = np.full(FEWEST_KERNELS - 1, 0.5), np.full(FEWEST_KERNELS, 0.5)
    swing = np.where(np.arange(40) % 2, 0.5, -0.5)
    for alone, shared in ((few, 0.0), (many, FEWEST_KERNELS / (FEWEST_KERNELS + 40))):
        misses = np.concatenate([alone, swing])
        target = np.repeat([0, 1], [len(alone), 40])
        found = KernelWidths.of(misses, np.full(len(misses), "conv"), target, target)
        assert found.shared["conv"] == pytest.approx(shared, abs=1e-4)
    none = KernelWidths.of(few, np.full(len(few), "conv"), np.zeros(len(few)), np.zeros(len(few)))
    assert none.shared["conv"] == 1.0


def test_they_are_plain_data() -> None:
    assert KernelWidths.from_dict(WIDTHS.to_dict()) == WIDTHS
    for bad in (
        {},
        {"conv": [0.3]},
        {"conv": [-0.1, 0.5]},
        {"conv": [0.1, 1.5]},
        [],
        {"a": [99, 0]},
    ):
        with pytest.raises(ProfileError, match="widths"):
            KernelWidths.from_dict(bad)


def kernels() -> KernelTable:
    ops = ["conv2d", "linear", "bmm", "relu"]
    sizes = {n: np.full(4, 64.0) for n in ("cin", "cout", "hin", "win", "hout", "wout")}
    products = {n: np.full(4, 128.0) for n in ("m", "n", "k", "elements")}
    return table_from_rows({"op": np.array(ops, dtype=object), **sizes, **products})


def predictor(widths: KernelWidths | None = None) -> KernelPredictor:
    return KernelPredictor(
        machine=Machine(overlap="memory"),
        cells={"conv1x1": (0.0,) * len(TERMS)},
        families={},
        default=(0.0,) * len(TERMS),
        forests={},
        ranges={},
        widths=widths,
    )


def test_kernels_are_convolutions_layers_products_and_the_rest() -> None:
    kinds = kinds_of(work_of(kernels(), Machine()))
    assert kinds.tolist() == ["conv", "fully_connected", "matmul", "other"]


def test_a_predictor_widens_networks_by_their_kernels() -> None:
    made = predictor(WIDTHS)
    one = [kernels().take(np.array([i])) for i in (0, 3)]
    assert made.network_terms(one).extra_log == pytest.approx([0.3, 0.2])
    assert (made.network_terms(one).log_factor == 0).all()
    # a network of the two as a batch of one, and as rows of their own
    both = kernels().take(np.array([0, 3]))
    (whole,) = made.network_terms([both]).extra_log
    assert made.unsure_log(both, np.array([0, 1])) == pytest.approx([0.3, 0.2])
    assert made.unsure_log(both, np.array([0, 0])) == pytest.approx([whole])
    assert 0.0 < whole < 0.3
    assert len(made.network_terms([]).extra_log) == 0


def test_widths_are_those_of_what_was_not_measured() -> None:
    made = predictor(WIDTHS)
    again = KernelPredictor.from_dict(made.to_dict())
    assert again.widths == WIDTHS
    assert "widths" not in predictor().to_dict()
    times = np.full(4, 50.0)
    assert made.adapted(kernels(), times).widths is None
    assert predictor().network_terms([kernels()]).extra_log == pytest.approx([0.0])


def test_the_start_of_a_kernel_is_no_news_on_a_card() -> None:
    """A kernel of an unknown kind is e times as long at most in what is not its start."""
    made, relu = predictor(), kernels().take(np.array([3]))
    parts = made.parts_ms(relu)[0]
    start = parts[2] / parts.sum()
    assert 0.5 < start < 1
    assert made.novelty(relu) == pytest.approx(np.log(start + (1 - start) * np.e))


def test_sides_that_a_table_states_are_no_news_where_nothing_is_multiplied() -> None:
    relu, product = kernels().take(np.array([3])), kernels().take(np.array([2]))
    cells = dict.fromkeys(("elementwise:relu", "matmul"), (0.0,) * len(TERMS))
    features = work_of(kernels(), Machine()).features[:, RANGE_FEATURES]
    wider = np.array([9.0, 9.0, 9.0, 0.0, 0.0])
    ranges = {
        cell: (tuple(features[row] + wider), tuple(features[row] + wider))
        for cell, row in (("elementwise:relu", 3), ("matmul", 2))
    }
    made = replace(predictor(), cells=cells, ranges=ranges, machine=Machine())
    assert made.novelty(relu) == pytest.approx([0.0])
    assert made.novelty(product) == pytest.approx([9.0])
    larger = {c: (tuple(np.array(low) + 1.0), high) for c, (low, high) in ranges.items()}
    assert replace(made, ranges=larger).novelty(relu) == pytest.approx([1.0])
