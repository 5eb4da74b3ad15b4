"""NPUs learned from a table: made-up chips whose truth is known, asked as users ask."""

from dataclasses import replace

import numpy as np
import pytest

import perfmodel
from perfmodel import zoo
from perfmodel.calibration import learn_npus
from perfmodel.calibration.measured import NetworkTables
from perfmodel.calibration.npu import NpuNetworks, family_left_out, npu_costs
from perfmodel.cost_models.npu_model import BY_KIND, NpuPlace, NpuTimes, fit_npu_costs
from perfmodel.cost_models.npu_predictor import COST_NAMES, NpuPredictor, network_work
from perfmodel.cost_models.work_predictor import size_ranges
from perfmodel.errors import MeasurementError
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.table import MeasurementTable, make_frame

NAMES = ("mobilenet_v2", "squeezenet_1_1", "resnet18", "resnet34", "alexnet")
SPEED = {"chip-a": 1.0, "chip-b": 2.0, "chip-c": 3.0}


@pytest.fixture(scope="module")
def tables():
    return {n: KernelTable.from_kernels(fuse(zoo.build(n), "qnn")) for n in NAMES}


def table(tables, precisions=("fp16", "w8a8"), **columns):
    costs = np.random.default_rng(3).normal(0, 0.2, len(COST_NAMES))
    rows = [
        (
            device,
            precision,
            name,
            speed * float(network_work(tables[name], precision) @ np.exp(costs)),
        )
        for device, speed in SPEED.items()
        for precision in precisions
        for name in NAMES
    ]
    device, precision, model, ms = zip(*rows, strict=True)
    made = {
        "device": device,
        "unit": "npu",
        "framework": "qnn",
        "precision": precision,
        "model": model,
        "batch": 1,
        "latency_ms": ms,
    }
    return MeasurementTable(make_frame(made | columns, "npus.csv", range(len(rows))))


def test_learned_npus_are_devices_that_answer_and_a_base_for_new_ones(tables):
    rows, cache = table(tables), NetworkTables()
    learned = perfmodel.learn_npus(rows, networks=cache, folds=2)
    assert [p.device for p in learned.profiles] == list(SPEED)
    assert [t.target.precision for t in learned.profiles[0].targets] == ["fp16", "w8a8"]
    measured = rows.where(device="chip-b", precision="w8a8", model="resnet18")
    (ms,) = measured.column("latency_ms")
    said = perfmodel.predict("resnet18", "chip-b/npu/qnn/w8a8", profiles=learned.profiles)
    assert said.latency_ms == pytest.approx(ms, rel=0.05)
    one = rows.where(device="chip-c", precision="w8a8", model="resnet18")
    twice = MeasurementTable(one.frame.assign(latency_ms=one.frame["latency_ms"] * 2))
    made = perfmodel.calibrate(twice, device="new", population=learned.population, trusted=True)
    asked = perfmodel.predict("mobilenet_v2", "new/npu", profiles=[made]).latency_ms
    (three,) = rows.where(device="chip-c", precision="w8a8", model="mobilenet_v2").column(
        "latency_ms"
    )
    assert asked == pytest.approx(2 * three, rel=0.1)


def test_costs_are_learned_of_what_ran_and_a_network_is_known_by_its_name(tables):
    """A benchmark that runs two networks after another, as its rows of one name say."""
    rows, cache = table(tables, precisions=("fp16",)), NetworkTables()
    longer = tables["resnet34"]
    cache.tables["twice", 1, "qnn"] = longer
    learned = perfmodel.learn_npus(rows, networks=cache, as_run={"resnet18": "twice"}, folds=2)
    known = learned.population
    place = known.networks.index("resnet18")
    assert known.work["fp16"][place] == pytest.approx(network_work(tables["resnet18"], "fp16"))
    assert known.work_ran["fp16"][place] == pytest.approx(network_work(longer, "fp16"))
    (ms,) = rows.where(device="chip-b", model="resnet18").column("latency_ms")
    said = perfmodel.predict("resnet18", "chip-b/npu", profiles=learned.profiles)
    assert said.latency_ms == pytest.approx(ms, rel=0.01)


def test_a_new_chip_is_as_unsure_as_chips_left_out_by_as_many_networks(tables):
    rows = table(tables, precisions=("fp16",))
    known = replace(perfmodel.learn_npus(rows, folds=2).population, new_widths={1: 0.42, 3: 0.2})
    one = rows.where(device="chip-c", model="resnet18")
    made = perfmodel.calibrate(one, device="new", population=known, trusted=True)
    assert made.targets[0].interval.high_log == pytest.approx(0.42)


def test_a_family_is_named_or_that_of_the_zoo(tables, monkeypatch):
    seen = []
    inner = learn_npus.family_left_out

    def noted(places, networks, log_ms, folds):
        seen.append(dict(zip(networks.names, networks.families, strict=True)))
        return inner(places, networks, log_ms, folds)

    monkeypatch.setattr(learn_npus, "family_left_out", noted)
    rows = table(tables, precisions=("fp16",))
    perfmodel.learn_npus(rows, families={"alexnet": "mine"}, folds=2)
    assert seen[0]["alexnet"] == "mine"
    assert seen[0]["resnet18"] == seen[0]["resnet34"] == zoo.entry("resnet18").family


def test_devices_of_one_chip_share_it(tables):
    chips = {"chip-a": "one", "chip-b": "one"}
    rows = table(tables, precisions=("fp16",))
    places = perfmodel.learn_npus(rows, chips=chips, folds=2).population.places
    assert [p.chip for p in places] == ["one", "one", "chip-c"]


def test_what_is_no_npu_teaches_nothing(tables):
    with pytest.raises(MeasurementError, match="no NPU target has 3 networks"):
        perfmodel.learn_npus(table(tables, unit="gpu"))


def test_families_are_left_out_in_as_many_parts_as_asked(tables, monkeypatch):
    from perfmodel.calibration import npu

    seen = []
    inner = npu.npu_costs

    def counted(places, work, log_ms):
        seen.append(int(np.isfinite(log_ms).sum()))
        return inner(places, work, log_ms)

    monkeypatch.setattr(npu, "npu_costs", counted)
    networks = NpuNetworks(names=NAMES, families=NAMES, tables=tuple(tables.values()))
    places = [NpuPlace(chip="a", runtime="qnn", precision="fp16")]
    log_ms = np.log(networks.work("fp16").sum(axis=1))[None, :]
    left = family_left_out(places, networks, log_ms, folds=2).log_ratio
    assert seen == [2, 3]
    assert np.isfinite(left).all()
    seen.clear()
    family_left_out(places, networks, log_ms)
    assert seen == [4] * 5


def test_measurements_of_a_network_on_many_chips_count_as_one_in_general():
    """Two networks of different work at four times and once their work: what a term costs in
    general is no surer of twenty chips than of two."""
    work = np.zeros((2, len(COST_NAMES)))
    work[0, :2], work[1, 2:4] = 1.0, 1.0

    def general(chips):
        network = np.tile([0, 1], chips)
        seen = NpuTimes(
            target=np.repeat(np.arange(chips), 2),
            network=network,
            work=work[network],
            latency_ms=np.where(network == 0, 8.0, 2.0),
        )
        places = [NpuPlace(chip=f"c{i}", runtime="qnn", precision="fp16") for i in range(chips)]
        cost = fit_npu_costs(places, seen).general
        return cost[0] - cost[2]

    assert general(20) == pytest.approx(general(2), rel=0.02)
    assert general(2) > 0.5


def test_what_a_network_takes_beyond_its_work_on_all_chips_is_no_strength_of_a_chip():
    rng = np.random.default_rng(1)
    work, count = rng.lognormal(0, 1, (12, len(COST_NAMES))) * BY_KIND, 12
    beyond = np.where(np.arange(count) % 3 == 0, 3.0, 1.0)
    ms = np.concatenate([work.sum(axis=1) * beyond * speed for speed in (1.0, 2.0)])
    seen = NpuTimes(
        target=np.repeat([0, 1], count),
        network=np.tile(np.arange(count), 2),
        work=np.tile(work, (2, 1)),
        latency_ms=ms,
    )
    places = [NpuPlace(chip=c, runtime="qnn", precision="fp16") for c in "ab"]
    found = fit_npu_costs(places, seen)
    for cost in found.log_cost:
        assert np.ptp(cost[BY_KIND] - found.general) < 0.02


@pytest.mark.parametrize(("missed", "known", "more"), [(0.1, 0.1, 0.0), (0.4, 0.15, 0.25)])
def test_a_strange_network_is_as_unsure_as_families_left_out_and_a_known_one_less(
    tables, monkeypatch, missed, known, more
):
    monkeypatch.setattr(
        learn_npus, "widths_by_group", lambda left, group, groups, coverage: np.full(groups, missed)
    )
    rows = table(tables, precisions=("fp16",))
    (made, *_) = perfmodel.learn_npus(rows, folds=2).profiles[0].targets
    assert made.interval.low_log == made.interval.high_log == pytest.approx(known)
    assert made.predictor.correction.strange_log == pytest.approx(more)


def test_four_numbers_say_as_much_of_a_time_as_misses_least_of_families_left_out():
    """Times by MACs alone, which tiles of 32 channels do not follow; and by kinds of work."""
    rng = np.random.default_rng(5)
    names = [f"n{i}" for i in range(16)]
    work = rng.lognormal(0, 1.2, (16, len(COST_NAMES)))
    column = {n: COST_NAMES.index(n) for n in ("macs", "call")}
    work[:, column["call"]] = 0.15
    places = [NpuPlace(chip=c, runtime="qnn", precision="fp16") for c in "ab"]

    class Made(NpuNetworks):
        def work(self, precision):
            return work

    networks = Made(names=names, families=names, tables=())
    by_macs = np.log(np.outer([1.0, 2.0], work[:, column["macs"]]))
    by_kind = np.log(np.outer([1.0, 2.0], (work * BY_KIND).sum(axis=1)))
    found = [family_left_out(places, networks, times, folds=4) for times in (by_macs, by_kind)]
    assert found[0].shares["fp16"] > 0.8
    assert found[1].shares["fp16"] < 0.3
    assert np.nanmedian(np.abs(found[0].log_ratio)) < 0.05


def test_a_target_of_few_networks_has_no_four_numbers():
    work = np.random.default_rng(6).lognormal(0, 1, (9, len(COST_NAMES)))
    places = [NpuPlace(chip=c, runtime="qnn", precision="fp16") for c in "ab"]
    log_ms = np.log(np.outer([1.0, 2.0], work.sum(axis=1)))
    log_ms[1, 7:] = np.nan
    fit = npu_costs(places, {"fp16": work}, log_ms)
    assert np.isfinite(fit.plain[0]).all()
    assert np.isnan(fit.plain[1]).all()
    mixed = fit.blended(places, {"fp16": 0.5})
    assert (mixed[1] == fit.by_kind[1]).all()
    assert (mixed[0] != fit.by_kind[0]).any()


def test_kernels_that_no_other_family_has_are_novel_by_their_share_of_the_time(tables):
    rows = table(tables, precisions=("fp16", "w8a8"))
    known = perfmodel.learn_npus(rows, folds=2).population
    networks = NpuNetworks(names=NAMES, families=NAMES, tables=tuple(tables[n] for n in NAMES))
    found = learn_npus._novelty(known, networks, 0)
    for place, name in enumerate(NAMES):
        others = size_ranges([tables[n] for n in NAMES if n != name])
        for target, at in enumerate(known.places):
            costs = tuple(known.log_cost[target])
            model = NpuPredictor(log_cost=costs, precision=at.precision, ranges=others)
            times = model.parts_ms(tables[name]).sum(axis=1)
            mean = times @ model.novelty(tables[name]) / times.sum()
            assert found[target, place] == pytest.approx(mean)
    assert found[:, NAMES.index("alexnet")].min() > found[:, NAMES.index("resnet18")].max()


def test_few_families_make_a_wider_interval_than_many_by_the_share_they_cover(monkeypatch):
    seen = []

    def noted(left, group, groups, coverage):
        seen.append(coverage)
        return np.full(groups, 0.3)

    monkeypatch.setattr(learn_npus, "widths_by_group", noted)
    left = np.full((3, 4), 0.1)
    left[2, 2:] = np.nan
    places = [NpuPlace(chip=c, runtime="qnn", precision=p) for c, p in
              (("a", "fp16"), ("b", "fp16"), ("a", "w8a8"))]  # fmt: skip
    networks = NpuNetworks(names=tuple("wxyz"), families=("f", "f", "g", "h"), tables=())
    widths = learn_npus._widths(places, networks, left)
    assert widths.tolist() == [0.3] * 3
    # three families and one
    assert seen == pytest.approx([1.0, 1.0])
    many = NpuNetworks(
        names=tuple(map(str, range(40))), families=tuple(map(str, range(40))), tables=()
    )
    seen.clear()
    learn_npus._widths(places[:1], many, np.full((1, 40), 0.1))
    assert seen == pytest.approx([0.9])
