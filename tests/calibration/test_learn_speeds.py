"""Speeds of kinds of kernels from whole networks on several targets."""

from __future__ import annotations

import numpy as np
import pytest

import perfmodel
from perfmodel.calibration.learn_speeds import TimedNetwork, learn_speeds
from perfmodel.cost_models.kernel_population import TargetTraits
from perfmodel.cost_models.kernel_terms import LAUNCH, Machine
from perfmodel.errors import MeasurementError
from perfmodel.graph.rebatch import rebatch
from perfmodel.kernels import KernelTable, fuse
from validation.data.timm_times import at_batch, is_the_network

NAMES = ("mobilenet_v1", "mobilenet_v2", "resnet18", "resnet34", "squeezenet_1_1", "vgg11")
GPU = Machine(precision="fp16", winograd="none", overlap="launch")


@pytest.fixture(scope="module")
def networks() -> dict[str, KernelTable]:
    return {
        name: at_batch(KernelTable.from_kernels(fuse(perfmodel.load(name), "pytorch")), 256)
        for name in NAMES
    }


def truth_ms(kernels: KernelTable, gmac_per_ms: float, gb_per_ms: float) -> float:
    """Arithmetic after memory, by hand: MACs over a rate, fp16 elements over a bandwidth."""
    moved = 2 * (kernels["input_elements"] + kernels["output_elements"]).sum()
    return float(kernels["macs"].sum() / (gmac_per_ms * 1e9) + moved / (gb_per_ms * 1e9))


CARDS = {"slow": (20.0, 0.5), "fast": (60.0, 1.0)}


def measured(networks: dict[str, KernelTable], left: str = "") -> list[TimedNetwork]:
    return [
        TimedNetwork(kernels=k, target=place, latency_ms=truth_ms(k, *CARDS[card]))
        for place, card in enumerate(CARDS)
        for name, k in networks.items()
        if name != left
    ]


def test_a_network_left_out_is_predicted_on_each_card(networks: dict[str, KernelTable]) -> None:
    targets = [TargetTraits(card, GPU) for card in CARDS]
    made = learn_speeds(measured(networks, left="resnet34"), targets)
    for card, model in zip(CARDS, made, strict=True):
        kernels = networks["resnet34"]
        assert model.parts_ms(kernels).sum() == pytest.approx(
            truth_ms(kernels, *CARDS[card]), rel=0.1
        )
        assert not model.novelty(networks["resnet18"]).any()
        # a single image is far below the batches that were seen
        assert model.novelty(at_batch(networks["resnet18"], 1 / 256)).max() > 1


def test_the_start_of_a_kernel_stays_as_given_where_batches_hide_it(
    networks: dict[str, KernelTable],
) -> None:
    known = (0.0,) * LAUNCH + (float(np.log(0.7)),)
    model = learn_speeds(measured(networks)[:6], [TargetTraits("slow", GPU, known)])[0]
    assert [c[LAUNCH] for c in model.cells.values()] == pytest.approx(
        [np.log(0.7)] * len(model.cells)
    )
    summed = Machine(precision="fp16", winograd="none", overlap="none")
    free = learn_speeds(measured(networks)[:6], [TargetTraits("slow", summed, known)])[0]
    assert max(abs(c[LAUNCH] - np.log(0.7)) for c in free.cells.values()) > 0.01


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(MeasurementError, match="no network was measured"):
        learn_speeds([], [TargetTraits("x", GPU)])
    kernels = KernelTable.from_kernels(fuse(perfmodel.load("squeezenet_1_1"), "pytorch"))
    both = [TargetTraits("a", GPU), TargetTraits("b", Machine())]
    rows = [TimedNetwork(kernels=kernels, target=t, latency_ms=1.0) for t in (0, 1)]
    with pytest.raises(MeasurementError, match="overlap"):
        learn_speeds(rows, both)


def test_kernels_at_a_batch_are_those_of_the_network_at_it() -> None:
    graph = perfmodel.load("mobilenet_v2")
    grown = at_batch(KernelTable.from_kernels(fuse(graph, "pytorch")), 8)
    true = KernelTable.from_kernels(fuse(rebatch(graph, 8), "pytorch"))
    assert len(grown) == len(true)
    for column in ("macs", "weight_elements", "input_elements", "output_elements", "n", "k"):
        assert np.array_equal(grown[column], true[column]), column
    product = np.isin(true["kernel_class"], ["fully_connected", "conv1x1", "conv_first"])
    for column in ("batch", "m"):
        assert np.array_equal(grown[column][product], true[column][product]), column


def test_a_product_of_two_tensors_is_repeated_by_the_batch() -> None:
    one = KernelTable.from_kernels(fuse(perfmodel.load("timm:deit_tiny_patch16_224"), "pytorch"))
    grown, product = at_batch(one, 8), one["kernel_class"] == "matmul"
    assert product.any()
    assert np.array_equal(grown["batch"][product], 8 * one["batch"][product])
    assert np.array_equal(grown["m"][product], one["m"][product])


def test_a_network_that_was_folded_before_it_was_timed_is_another() -> None:
    assert is_the_network("gmacs 4.1; params M 25.56", 25_557_032)
    assert not is_the_network("gmacs 4.1; params M 24.7", 25_557_032)
    assert not is_the_network("gmacs 4.1", 25_557_032)
