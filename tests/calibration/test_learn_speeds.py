"""Speeds of kinds of kernels from whole networks on several targets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import perfmodel
from perfmodel.calibration.families import Misses
from perfmodel.calibration.learn_speeds import LearnedSpeeds, SpeedFit, TimedNetwork
from perfmodel.cost_models.kernel_population import TargetTraits
from perfmodel.cost_models.kernel_terms import LAUNCH, Machine
from perfmodel.devices.gpu_sheets import sheets_by_device
from perfmodel.devices.kernel_populations import read_population, write_population
from perfmodel.errors import MeasurementError, ProfileError
from perfmodel.kernel_times import at_batch
from perfmodel.kernels import KernelTable, fuse
from perfmodel.measurements.table import MeasurementTable, make_frame
from validation.data.timm_times import is_the_network

NAMES = ("mobilenet_v1", "mobilenet_v2", "resnet18", "resnet34", "squeezenet_1_1", "vgg11")
GPU = Machine(precision="fp16", winograd="none", overlap="launch")


@pytest.fixture(scope="module")
def networks() -> dict[str, KernelTable]:
    return {
        name: at_batch(KernelTable.from_kernels(fuse(perfmodel.load(name), "pytorch")), 1, 256)
        for name in NAMES
    }


def truth_ms(kernels: KernelTable, gmac_per_ms: float, gb_per_ms: float) -> float:
    """Arithmetic after memory, by hand: MACs over a rate, fp16 elements over a bandwidth."""
    moved = 2 * (kernels["input_elements"] + kernels["output_elements"]).sum()
    return float(kernels["macs"].sum() / (gmac_per_ms * 1e9) + moved / (gb_per_ms * 1e9))


CARDS = {"slow": (20.0, 0.5), "fast": (60.0, 1.0)}


def measured(networks: dict[str, KernelTable], left: str = "") -> list[TimedNetwork]:
    return [
        TimedNetwork(kernels=k, target=place, latency_ms=truth_ms(k, *CARDS[card]), family=name)
        for place, card in enumerate(CARDS)
        for name, k in networks.items()
        if name != left
    ]


def test_a_network_left_out_is_predicted_on_each_card(networks: dict[str, KernelTable]) -> None:
    targets = [TargetTraits(card, GPU) for card in CARDS]
    made = SpeedFit.of(measured(networks, left="resnet34"), targets).predictors()
    for card, model in zip(CARDS, made, strict=True):
        kernels = networks["resnet34"]
        assert model.parts_ms(kernels).sum() == pytest.approx(
            truth_ms(kernels, *CARDS[card]), rel=0.1
        )
        assert not model.novelty(networks["resnet18"]).any()
        # a single image is far below the batches that were seen
        assert model.novelty(at_batch(networks["resnet18"], 256, 1)).max() > 1


def test_the_start_of_a_kernel_stays_as_given_where_batches_hide_it(
    networks: dict[str, KernelTable],
) -> None:
    known = (0.0,) * LAUNCH + (float(np.log(0.7)),)
    few = measured(networks)[:6]
    model = SpeedFit.of(few, [TargetTraits("slow", GPU, known)]).predictors()[0]
    assert [c[LAUNCH] for c in model.cells.values()] == pytest.approx(
        [np.log(0.7)] * len(model.cells)
    )
    summed = Machine(precision="fp16", winograd="none", overlap="none")
    free = SpeedFit.of(few, [TargetTraits("slow", summed, known)]).predictors()[0]
    assert max(abs(c[LAUNCH] - np.log(0.7)) for c in free.cells.values()) > 0.01


def test_errors_are_of_families_that_the_fit_did_not_see(
    networks: dict[str, KernelTable],
) -> None:
    rows = measured(networks)
    fit = SpeedFit.of(rows, [TargetTraits(card, GPU) for card in CARDS])
    left = fit.left_out_log(len(NAMES))
    for name in ("resnet34", "vgg11"):
        kept = np.array([r.family != name for r in rows])
        model = fit.predictors(kept)[1]
        place = next(i for i, r in enumerate(rows) if r.family == name and r.target == 1)
        said = model.parts_ms(networks[name]).sum()
        assert left[place] == pytest.approx(np.log(rows[place].latency_ms / said))
    # what one target alone ran of a family cannot be asked of a target with nothing else
    alone = SpeedFit.of(
        [rows[0], *rows[7:]], [TargetTraits(card, GPU) for card in CARDS]
    ).left_out_log(len(NAMES))
    assert np.isnan(alone[0])
    assert np.isfinite(alone[1:]).all()


def test_what_novelty_widens_anyway_is_no_error_that_intervals_must_hold(
    networks: dict[str, KernelTable],
) -> None:
    rows = measured(networks)
    fit = SpeedFit.of(rows, [TargetTraits(card, GPU) for card in CARDS])
    left, novelty = fit.left_out(len(NAMES))
    assert left == pytest.approx(fit.left_out_log(len(NAMES)), nan_ok=True)
    kept = np.array([r.family != "vgg11" for r in rows])
    model = fit.predictors(kept)[1]
    place = next(i for i, r in enumerate(rows) if r.family == "vgg11" and r.target == 1)
    times = model.parts_ms(networks["vgg11"]).sum(axis=1)
    share = times / times.sum()
    assert novelty[place] == pytest.approx(share @ model.novelty(networks["vgg11"]))
    assert novelty[place] > 0.1
    assert novelty.min() >= 0.0


def test_families_that_err_together_are_held_to_a_larger_share() -> None:
    family = np.repeat([f"f{i}" for i in range(10)], 20)
    together = np.where(family == "f3", 1.0, 0.1) + 1e-6 * np.arange(200)
    left = Misses(np.append(together, np.nan), np.append(family, "f9"))
    # ten families: 0.9 x 11 / 10, of which the rank of 200 cases has 201 / 200 already
    assert left.held == pytest.approx(0.99 / 1.005)
    assert left.of(left.family == "f3").known.tolist() == together[family == "f3"].tolist()
    assert Misses(np.array([np.nan]), np.array(["f"])).held == 0.9


def test_nothing_measured_is_refused(networks: dict[str, KernelTable]) -> None:
    with pytest.raises(MeasurementError, match="no network was measured"):
        SpeedFit.of([], [TargetTraits("x", GPU)])
    rows = [TimedNetwork(kernels=networks["resnet18"], target=t, latency_ms=1.0) for t in (0, 1)]
    with pytest.raises(MeasurementError, match="overlap"):
        SpeedFit.of(rows, [TargetTraits("a", GPU), TargetTraits("b", Machine())])


# -- a table of networks on cards with data sheets

DEVICES = ("rtx-3090", "rtx-4090")
BATCH = 64


def sheet_ms(kernels: KernelTable, device: str) -> float:
    """Half of what the data sheet promises: arithmetic after memory."""
    sheet = sheets_by_device()[device]
    gmac_per_ms = sheet.sustained_gflops("fp16_tc") / 2 / 1e3
    return 2 * truth_ms(kernels, gmac_per_ms, sheet.bandwidth_gb_per_s / 1e3)


def cards_table(names: tuple[str, ...], framework: str = "pytorch-amp") -> MeasurementTable:
    asked = [(device, name) for device in DEVICES for name in names]
    columns: dict[str, object] = {
        "device": [device for device, _ in asked],
        "unit": "gpu",
        "framework": framework,
        "precision": "fp16",
        "source": "by hand",
        "build": "2.9",
        "model": [name for _, name in asked],
        "batch": BATCH,
        "latency_ms": [sheet_ms(at(name), device) for device, name in asked],
    }
    return MeasurementTable(make_frame(columns, "made.csv", range(2, len(asked) + 2)))


def at(name: str) -> KernelTable:
    one = KernelTable.from_kernels(fuse(perfmodel.load(name), "pytorch"))
    return at_batch(one, 1, BATCH)


@pytest.fixture(scope="module")
def learned() -> LearnedSpeeds:
    return perfmodel.learn_speeds(cards_table(NAMES))


def test_a_table_of_networks_makes_a_profile_of_each_card(learned: LearnedSpeeds) -> None:
    assert [p.device for p in learned.profiles] == list(DEVICES)
    for profile in learned.profiles:
        target = profile.targets[0]
        assert str(target.target) == f"{profile.device}/gpu/pytorch-amp/fp16"
        assert target.provenance.measurements == len(NAMES)
        assert target.provenance.source == "by hand"
        assert target.provenance.note.startswith("batches of 64 to 64")
        assert target.error.cases == len(NAMES)
        said = perfmodel.predict(
            "resnet50", str(target.target), batch_size=BATCH, profiles=[profile]
        )
        low, high = said.interval_ms
        assert said.latency_ms == pytest.approx(sheet_ms(at("resnet50"), profile.device), rel=0.1)
        assert low < sheet_ms(at("resnet50"), profile.device) < high


def test_a_card_from_its_sheet_is_as_much_faster_as_the_sheet_says(
    learned: LearnedSpeeds,
) -> None:
    profile = perfmodel.gpu_profile(
        "rtx-5090",
        precisions=("fp16",),
        framework="pytorch-amp",
        population=learned.population,
    )
    target = profile.targets[0]
    assert str(target.target) == "rtx-5090/gpu/pytorch-amp/fp16"
    assert target.provenance.measurements == 0
    said = perfmodel.predict("resnet18", str(target.target), batch_size=BATCH, profiles=[profile])
    assert said.latency_ms == pytest.approx(sheet_ms(at("resnet18"), "rtx-5090"), rel=0.1)
    assert target.error.cases == len(DEVICES) * len(NAMES)
    assert target.error.median < 0.1


def test_a_card_that_belies_its_sheet_widens_what_sheets_say(
    networks: dict[str, KernelTable],
) -> None:
    """One of two equal cards takes half as long again, so that each is told a third off or more."""
    rows = [
        TimedNetwork(kernels=k, target=t, latency_ms=factor * truth_ms(k, 20.0, 0.5))
        for t, factor in enumerate((1.0, 1.5))
        for k in networks.values()
    ]
    targets = [TargetTraits(f"{name}/gpu/pytorch-amp/fp16", GPU) for name in ("a", "b")]
    left_out = SpeedFit.of(rows, targets).shared().left_out
    assert left_out is not None
    # 1 / 1.5 is a third less, 1.5 is a half more: the median lies between
    assert left_out.error.median == pytest.approx((1 / 3 + 1 / 2) / 2, abs=0.05)
    assert left_out.interval.low_log == pytest.approx(np.log(1.5), abs=0.1)
    assert left_out.interval.high_log == pytest.approx(np.log(1.5), abs=0.1)
    # a batch of one is no news of the kind that other networks bring
    assert left_out.interval.novelty_slope == 1.0
    assert SpeedFit.of(rows[:6], targets[:1]).shared().left_out is None


def test_what_cards_have_in_common_survives_its_file(
    learned: LearnedSpeeds, tmp_path: Path
) -> None:
    path = tmp_path / "p.json"
    write_population(learned.population, path)
    read = read_population(path)
    assert read.left_out == learned.population.left_out
    assert read.left_out is not None
    for old, new in (('"cases":12', '"cases":-1'), ('"coverage":0.9', '"coverage":"x"')):
        path.write_text(path.read_text().replace(old, new))
        with pytest.raises(ProfileError, match="left_out"):
            read_population(path)
        write_population(learned.population, path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda: cards_table(NAMES[:3], "nothing-known"), "0 families"),
        (lambda: cards_table(("resnet18", "resnet34", "resnet50")), "2 families"),
    ],
)
def test_too_little_is_refused(change: Callable[[], MeasurementTable], told: str) -> None:
    with pytest.raises(MeasurementError, match=told):
        perfmodel.learn_speeds(change())


def test_targets_of_two_frameworks_have_no_common_speed(networks: dict[str, KernelTable]) -> None:
    targets = [TargetTraits(f"x/gpu/{f}/fp16", GPU) for f in ("pytorch-amp", "other")]
    with pytest.raises(MeasurementError, match="several kinds"):
        SpeedFit.of(measured(networks), targets).shared()


def test_a_network_that_was_folded_before_it_was_timed_is_another() -> None:
    assert is_the_network("gmacs 4.1; params M 25.56", 25_557_032)
    # branches folded into one convolution: MobileOne S1 has 1.4 % fewer parameters
    assert not is_the_network("params M 4.76", 4_825_192)
    assert is_the_network("params M 4.83", 4_825_192)
    assert not is_the_network("gmacs 4.1", 25_557_032)
