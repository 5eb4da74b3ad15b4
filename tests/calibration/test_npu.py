"""A new NPU target from a few networks: made-up chips whose truth is known."""

import numpy as np
import pytest

import perfmodel
from perfmodel import zoo
from perfmodel.calibration import npu
from perfmodel.calibration.measured_network import MeasuredNetwork
from perfmodel.calibration.npu import (
    PRECISIONS,
    SHARES,
    NpuFit,
    NpuNetworks,
    _steady_best,
    family_left_out,
    leaned,
    npu_precision,
    population_of,
    shared_misfits,
)
from perfmodel.calibration.npu_adapt import SPEED_SD, SPEED_SD_OF_FEW, _weighed, adapt_npu
from perfmodel.calibration.npu_population import from_dict, read_npus, to_dict, write_npus
from perfmodel.calibration.npu_predictors import predictor_of
from perfmodel.calibration.npu_sheet import npu_of_generation
from perfmodel.cost_models.npu_leaning import NOISE
from perfmodel.cost_models.npu_model import NpuPlace
from perfmodel.cost_models.npu_plain import COLUMNS
from perfmodel.cost_models.npu_predictor import COST_NAMES, NO_COST
from perfmodel.cost_models.npu_terms import NPU_GROUPS
from perfmodel.cost_models.predictor import network_ms
from perfmodel.devices.market import chip
from perfmodel.devices.npu_sheets import npu_targets
from perfmodel.errors import MeasurementError, ProfileError
from perfmodel.kernels import fuse
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.read import read_measurements

NAMES = ("mobilenet_v2", "squeezenet_1_1", "resnet18", "shufflenet_v2", "alexnet", "googlenet")


@pytest.fixture(scope="module")
def networks():
    tables = [KernelTable.from_kernels(fuse(zoo.build(n), "qnn")) for n in NAMES]
    return NpuNetworks(names=NAMES, families=NAMES, tables=tuple(tables))


@pytest.fixture(scope="module")
def places():
    return [NpuPlace(chip=c, runtime="qnn", precision="fp16") for c in "abcd"]


@pytest.fixture(scope="module")
def log_ms(networks):
    """Four chips of one design at 1, 2, 3 and 4 times the time; one network is half as slow again
    as its work."""
    costs = np.random.default_rng(3).normal(0, 0.2, len(COST_NAMES))
    times = np.log(networks.work("fp16") @ np.exp(costs))
    times[2] += 0.4
    return times + np.log([[1.0], [2.0], [3.0], [4.0]])


def population(places, networks, log_ms):
    return population_of([p.chip for p in places], places, networks, log_ms)


def test_one_measurement_sets_the_speed_of_a_chip_of_a_known_design(places, networks, log_ms):
    known = population(places[:3], networks, log_ms[:3])
    told = [MeasuredNetwork(NAMES[0], networks.tables[0], float(np.exp(log_ms[3, 0])))]
    made = adapt_npu(known, told, "fp16", "qnn")
    assert made.log_ms == pytest.approx(log_ms[3], abs=0.02)


def test_what_a_network_takes_beyond_its_work_is_known_of_a_new_chip(places, networks, log_ms):
    known = population(places[:3], networks, log_ms[:3])
    told = [
        MeasuredNetwork(NAMES[i], networks.tables[i], float(np.exp(log_ms[3, i]))) for i in (0, 1)
    ]
    made = adapt_npu(known, told, "fp16", "qnn")
    predictor = predictor_of(known, "fp16", made.log_cost, made.log_ms)
    table = networks.tables[2]
    factor = np.exp(predictor.network_terms([table]).log_factor[0])
    said = factor * predictor.parts_ms(table).sum() + predictor.overhead_ms
    assert said == pytest.approx(np.exp(log_ms[3, 2]), rel=0.15)


def test_a_measurement_that_was_not_made_is_predicted_by_the_others(places, networks, log_ms):
    known = population(places[:3], networks, log_ms[:3])
    told = [
        MeasuredNetwork(NAMES[i], networks.tables[i], float(np.exp(log_ms[3, i]))) for i in range(4)
    ]
    assert np.abs(adapt_npu(known, told, "fp16").left_out).max() < 0.05


def test_a_missing_time_is_filled_in_from_other_chips(places, networks, log_ms):
    holes = log_ms.copy()
    holes[3, 2] = np.nan
    known = population(places, networks, holes)
    assert not known.measured[3, 2]
    assert known.log_ms[3, 2] == pytest.approx(log_ms[3, 2], abs=0.1)


def test_a_family_left_out_does_not_tell_of_itself(places, networks, log_ms):
    changed = log_ms.copy()
    changed[:, 2] += 1.0
    before, after = (family_left_out(places, networks, x).log_ratio for x in (log_ms, changed))
    # the prediction is the same, so the miss grows by just what was added
    assert after[:, 2] - before[:, 2] == pytest.approx(np.ones(4), abs=1e-9)


def test_chips_are_left_out_with_all_their_targets(places, networks, log_ms):
    left = population(places, networks, log_ms).without(["b", "c"])
    assert left.names == ("a", "d")
    assert left.log_ms.shape == (2, len(NAMES))


def test_only_networks_of_the_precision_are_recognised(places, networks, log_ms):
    holes = log_ms.copy()
    holes[:, 4] = np.nan
    known = population(places, networks, holes)
    assert known.known("fp16").tolist() == [True, True, True, True, False, True]
    predictor = predictor_of(known, "fp16", known.log_cost[0], known.log_ms[0])
    assert len(predictor.correction.anchors) == 5


def test_a_target_without_a_measurement_or_of_an_unknown_precision_is_refused(
    places, networks, log_ms
):
    known = population(places, networks, log_ms)
    with pytest.raises(MeasurementError, match="no network was measured"):
        adapt_npu(known, [], "fp16")
    told = [MeasuredNetwork(NAMES[0], networks.tables[0], 1.0)]
    with pytest.raises(MeasurementError, match="precision w8a8"):
        adapt_npu(known, told, "w8a8")


@pytest.mark.parametrize(
    ("asked", "meant"), [("float", "fp16"), ("fp32", "fp16"), ("int8", "w8a8"), ("w8a16", "w8a16")]
)
def test_precisions_of_other_tools_are_those_of_npus(asked, meant):
    assert npu_precision(asked) == meant


def test_a_population_is_the_same_after_its_file(places, networks, log_ms, tmp_path):
    known = population(places, networks, log_ms)
    path = write_npus(known, tmp_path)
    again = read_npus(path)
    assert to_dict(again) == to_dict(known)
    told = [MeasuredNetwork(NAMES[0], networks.tables[0], 1.0)]
    made = [adapt_npu(p, told, "fp16", "qnn").log_ms for p in (known, again)]
    assert made[0] == pytest.approx(made[1], abs=1e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("log_ms", [[1.0]]), ("places", [["a"]]), ("work", {}), ("more", 1), ("anchors", "no")],
)
def test_a_damaged_population_is_refused(places, networks, log_ms, field, value):
    data = to_dict(population(places, networks, log_ms))
    with pytest.raises(ProfileError, match=field):
        from_dict({**data, field: value})


def test_calibrate_places_an_npu_among_measured_ones(tmp_path):
    """Half the time of a shipped phone's NPU, as a table of four networks states it."""
    names = ["mobilenet_v2", "resnet50", "squeezenet_1_1", "googlenet"]
    known = [perfmodel.predict(n, "samsung-galaxy-s24/npu/qnn/fp16").latency_ms for n in names]
    rows = ["device,unit,framework,precision,model,latency_ms"]
    rows += [f"new,npu,qnn,fp16,{n},{ms / 2:.5f}" for n, ms in zip(names, known, strict=True)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    table, _ = read_measurements([path])
    profile = perfmodel.calibrate(table, device="new")
    said = perfmodel.predict("resnet18", "new/npu", profiles=[profile]).latency_ms
    full = perfmodel.predict("resnet18", "samsung-galaxy-s24/npu/qnn/fp16").latency_ms
    assert said == pytest.approx(full / 2, rel=0.15)


def test_a_chip_between_two_generations_lies_between_their_speeds(networks, log_ms):
    chips = ("snapdragon-8-gen-1", "snapdragon-8-gen-2", "snapdragon-8-elite")
    places = [NpuPlace(chip=c, runtime="qnn", precision="fp16") for c in chips]
    # one generation is a fifth faster than the one before
    times = log_ms[0] - 0.2 * np.array([[69.0], [73.0], [79.0]])
    known = population(places, networks, times)
    made = npu_of_generation(known, 75, "fp16")
    assert made.log_ms == pytest.approx(log_ms[0] - 0.2 * 75, abs=0.05)
    same = npu_of_generation(known, 73, "fp16")
    assert same.log_ms == pytest.approx(times[1])
    assert npu_of_generation(known, 90, "fp16") is None


def test_only_large_chips_of_the_measured_family_have_npu_targets():
    found = {
        name: [t.target.precision for t in npu_targets(chip(name), "phone")]
        for name in (
            "snapdragon-8s-gen-4",
            "snapdragon-8-gen-3",
            "snapdragon-7-plus-gen-3",
            "exynos-2400",
            "snapdragon-680",
        )
    }
    # its generation is measured, but on chips that have more of the same units
    assert found["snapdragon-7-plus-gen-3"] == []
    assert found["snapdragon-8-gen-3"] == ["fp16", "w8a8", "w8a16"]
    assert found["snapdragon-8s-gen-4"] == ["fp16", "w8a8", "w8a16"]
    assert found["exynos-2400"] == found["snapdragon-680"] == []


def test_a_misfit_of_a_network_is_the_median_of_the_targets_of_the_precision(places):
    other = NpuPlace(chip="e", runtime="qnn", precision="w8a8")
    misfit = np.array([[0.1, np.nan], [0.2, np.nan], [0.9, np.nan], [np.nan, np.nan], [0.5, 0.4]])
    shared = shared_misfits([*places, other], misfit)
    assert shared == pytest.approx(np.array([[0.2, 0.0]] * 4 + [[0.5, 0.4]]))


def test_the_nearest_generation_says_most_of_a_chip_between(networks, log_ms):
    chips = ("snapdragon-8-gen-1", "snapdragon-8-gen-3")
    places = [NpuPlace(chip=c, runtime="qnn", precision="fp16") for c in chips]
    # both generations are as fast on average, and differ by network
    lean = np.array([0.5, -0.5, 0.5, -0.5, 0.5, -0.5])
    known = population(places, networks, np.array([log_ms[0] + lean, log_ms[0] - lean]))
    # V74 is 5 generations from V69 and 1 from V75
    made = npu_of_generation(known, 74, "fp16")
    share = 1 / (1 + np.exp(-4))
    assert made.log_ms == pytest.approx(log_ms[0] + lean * (1 - 2 * share))


def test_a_scaled_target_takes_a_factor_more(places, networks, log_ms):
    known = population(places, networks, log_ms)
    made = predictor_of(known, "fp16", known.log_cost[0], known.log_ms[0])
    slower, table = made.scaled(np.log(3)), networks.tables[0]
    assert slower.parts_ms(table).sum() == pytest.approx(3 * made.parts_ms(table).sum())
    assert slower.overhead_ms == pytest.approx(3 * made.overhead_ms)


def test_a_network_that_was_measured_on_a_new_chip_is_answered_by_its_time(
    places, networks, log_ms
):
    known = population(places[:3], networks, log_ms[:3])
    strange = KernelTable.from_kernels(fuse(zoo.build("mnasnet"), "qnn"))
    told = [
        MeasuredNetwork(NAMES[0], networks.tables[0], 7.0),
        MeasuredNetwork(NAMES[1], networks.tables[1], 2.0),
        MeasuredNetwork("mnasnet", strange, 11.0),
    ]
    made = adapt_npu(known, told, "fp16", "qnn")
    predictor = predictor_of(known, "fp16", made.log_cost, made.log_ms, told)
    for network in told:
        assert network_ms(predictor, network.kernels) == pytest.approx(network.latency_ms)
    assert len(predictor.known.beyond) == len(NAMES) + 1


def test_what_a_measurement_misses_by_goes_to_networks_that_go_with_it(places, networks, log_ms):
    """Two networks that are slow together on known chips are so on a new one."""
    many = [NpuPlace(chip=c, runtime="qnn", precision="fp16") for c in "abcdefgh"]
    times = np.repeat(log_ms[:1], 8, axis=0)
    times[::2, 4:] += 0.4
    times[1::2, 4:] -= 0.4
    known = population(many, networks, times)
    told = [
        MeasuredNetwork(NAMES[i], networks.tables[i], float(np.exp(log_ms[0, i] + more)))
        for i, more in ((0, 0.0), (1, 0.0), (2, 0.0), (4, 0.2))
    ]
    made = adapt_npu(known, told, "fp16", "qnn")
    assert made.log_ms[5] - log_ms[0, 5] == pytest.approx(0.2, abs=0.1)
    assert made.log_ms[3] == pytest.approx(log_ms[0, 3], abs=0.05)


def test_the_answer_of_one_measurement_is_the_median_of_known_targets_and_of_three_the_mean(
    places, networks, log_ms
):
    times = np.repeat(log_ms[:1], 3, axis=0)
    times[2, 5] += 3.0
    known = population(places[:3], networks, times)
    told = [
        MeasuredNetwork(NAMES[i], networks.tables[i], float(np.exp(log_ms[0, i]))) for i in range(3)
    ]
    one, three = (adapt_npu(known, told[:n], "fp16", "qnn").log_ms[5] for n in (1, 3))
    assert one == pytest.approx(log_ms[0, 5])
    assert three == pytest.approx(log_ms[0, 5] + 1.0, abs=0.02)


def test_the_share_of_four_numbers_does_not_hang_on_one_family() -> None:
    # nine families miss least at 0.2, a tenth, missed far more, at 1: it alone would decide
    shares = np.array(SHARES)
    common = 0.1 + 0.02 * np.abs(shares - 0.2)
    strange = 0.3 - 0.25 * shares
    missed = np.column_stack([*[common] * 9, strange])[:, None, :]
    assert SHARES[int(missed.mean(axis=(1, 2)).argmin())] == 1.0
    found = SHARES[_steady_best(missed, np.arange(10))]
    # a family is not drawn in a third of the samples: (1 - 1/10)^10
    assert found == pytest.approx(0.2 * 0.35 + 1.0 * 0.65, abs=0.11)
    # what families agree on is taken, whatever is not measured or misses beyond any share's reach
    missed[:, :, 9] = 3.0 - 2.5 * shares[:, None]
    missed = np.concatenate([missed, np.full((len(shares), 1, 20), np.nan)], axis=2)
    assert SHARES[_steady_best(-missed, np.arange(30))] == 0.2
    assert SHARES[_steady_best(missed[:, :, [0, *range(10, 30)]], np.arange(21))] == 0.2


def test_four_numbers_say_more_where_they_are_the_truth() -> None:
    names = (*NAMES, "vgg11", "mnasnet", "resnet50")
    tables = [KernelTable.from_kernels(fuse(zoo.build(n), "qnn")) for n in names]
    many = NpuNetworks(names=names, families=names, tables=tuple(tables))
    costs = np.full(len(COST_NAMES), NO_COST)
    costs[COLUMNS] = np.log([2.0, 0.3, 4.0, 0.5])
    times = np.log(many.work("fp16") @ np.exp(costs))
    place = NpuPlace(chip="a", runtime="qnn", precision="fp16")
    left = family_left_out([place], many, times[None])
    assert left.shares["fp16"] >= 0.9
    assert np.nanmedian(np.abs(left.log_ratio)) < 0.02


def test_families_that_spend_their_time_alike_tell_of_each_other(monkeypatch) -> None:
    """Three families on the matrix unit take 1.4 times their work, three on memory 0.7 times."""
    monkeypatch.setattr(npu, "FEWEST_LEANED", 11)
    rng = np.random.default_rng(2)
    work = np.zeros((12, len(COST_NAMES)))
    work[:6, COST_NAMES.index("window")] = rng.uniform(0.5, 2, 6)
    work[6:, COST_NAMES.index("weights")] = rng.uniform(0.5, 2, 6)
    work[:, COST_NAMES.index("call")] = 0.01
    misfit = np.repeat([0.3, -0.3], 6)[None]
    place = NpuPlace(chip="a", runtime="qnn", precision="fp16")
    works = dict.fromkeys(PRECISIONS, work)
    free = np.zeros((1, len(COST_NAMES)))
    held = misfit.copy()
    held[:, [0, 6]] = np.nan
    assert not leaned([place], works, free, held).any()
    monkeypatch.setattr(npu, "FEWEST_LEANED", 10)
    found = leaned([place], works, free, held)
    assert found[0, 0] == pytest.approx(0.3 * 5 / (5 + NOISE**2), abs=0.01)
    assert found[0, 6] == pytest.approx(-found[0, 0], abs=0.01)
    other = NpuPlace(chip="a", runtime="qnn", precision="w8a8")
    both = leaned(
        [place, other], works, np.repeat(free, 2, axis=0), np.vstack([held, held * np.nan])
    )
    assert both[0] == pytest.approx(found[0])
    assert both[1].tolist() == [0.0] * 12


def test_known_networks_are_followed_no_further_than_more_channels_take_more(
    places, networks, log_ms, monkeypatch
) -> None:
    """A network that takes a third of its work beside one that takes three times."""
    few = population(places, networks, log_ms)
    made = predictor_of(few, "fp16", few.log_cost[0], few.log_ms[0])
    assert made.known.lean == 0
    monkeypatch.setattr(npu, "FEWEST_LEANED", len(NAMES))
    torn = log_ms.copy()
    torn[:, ::2] += 1.1
    torn[:, 1::2] -= 1.1
    for times in (log_ms, torn):
        known = population(places, networks, times)
        made = predictor_of(known, "fp16", known.log_cost[0], known.log_ms[0])
        cost = np.array(made.log_cost[:-1])
        grown = made.known.work * np.exp(cost)
        found = [
            np.log(grown @ np.where(np.array(NPU_GROUPS) == "start", 1.0, width))
            + made.known.at(cost).leaning(
                grown * np.where(np.array(NPU_GROUPS) == "start", 1.0, width)
            )
            for width in (1.0, 1.2, 1.5)
        ]
        assert (np.diff(found, axis=0) > 0).all()
        assert made.known.lean > 0
        spent = made.known.work * np.exp(cost)
        both = made.correction.misfits + made.known.at(cost).leaning(spent)
        if times is log_ms:
            # what is known of single networks is what they take beyond that
            assert both == pytest.approx(made.known.beyond, abs=1e-9)


def test_work_of_a_benchmark_before_a_network_is_not_taken_for_its_own(places, networks) -> None:
    """An image is normalised before four networks of five, for which costs say 2 ms a unit."""
    more = np.zeros(len(COST_NAMES))
    more[COST_NAMES.index("image_elementwise")] = 0.5
    ran = np.array([networks.work("fp16")[i] + more * (i != 1) for i in range(len(NAMES))])

    class Ran(NpuNetworks):
        def work_ran(self, precision):
            return ran

    costs = np.full(len(COST_NAMES), -1.0)
    costs[COST_NAMES.index("image_elementwise")] = np.log(2.0)
    times = np.log(ran @ np.exp(costs)) + np.log([[1.0], [2.0], [3.0], [4.0]])
    made = Ran(**{f: getattr(networks, f) for f in ("names", "families", "tables")})
    known, plain = (population(places, n, times) for n in (made, networks))
    told = known.log_cost[0] - plain.log_cost[0]
    # without it costs of the networks' own work have to hold the image's as well
    assert np.exp(known.log_cost[0]) @ networks.work("fp16")[0] < np.exp(times[0, 0]) - 0.3
    assert np.abs(told).max() > 0.05
    predictor = predictor_of(known, "fp16", known.log_cost[0], known.log_ms[0])
    more_of_alone = predictor.known.beyond - predictor.known.ran_beyond
    assert more_of_alone[1] == 0
    assert np.delete(more_of_alone, 1).min() > 0.1
    # networks like them are corrected by what they took beyond all that ran, as far as laws allow
    assert (predictor.correction.misfits <= np.maximum(predictor.known.ran_beyond, 0) + 1e-9).all()
    again = type(predictor).from_dict(predictor.to_dict())
    for i, table in enumerate(networks.tables):
        # a network by its name is known by its time, with the image's share
        factor = np.exp(again.network_terms([table]).log_factor[0])
        said = factor * again.parts_ms(table).sum() + again.overhead_ms
        assert said == pytest.approx(np.exp(times[0, i]), rel=1e-3)


def test_families_left_out_lean_to_those_that_are_left(monkeypatch) -> None:
    work = np.zeros((12, len(COST_NAMES)))
    work[:, COST_NAMES.index("window")] = np.linspace(0.5, 2, 12)
    place = NpuPlace(chip="a", runtime="qnn", precision="fp16")
    names = tuple(f"n{i}" for i in range(12))

    class Made(NpuNetworks):
        def work(self, precision):
            return work

    free = NpuFit(
        by_kind=np.zeros((1, len(COST_NAMES))), plain=np.full((1, len(COST_NAMES)), np.nan)
    )
    monkeypatch.setattr(npu, "npu_costs", lambda places, work, log_ms: free)
    times = np.log(work.sum(axis=1))[None] + 0.3
    networks = Made(names=names, families=names, tables=())
    plain = family_left_out([place], networks, times).log_ratio
    assert plain == pytest.approx(np.full((1, 12), 0.3))
    monkeypatch.setattr(npu, "FEWEST_LEANED", 11)
    found = family_left_out([place], networks, times).log_ratio
    assert found == pytest.approx(np.full((1, 12), 0.3 - 0.3 * 11 / (11 + NOISE**2)))


def test_widths_of_a_new_chip_are_what_chips_left_out_are_missed_by(places, networks, log_ms):
    from perfmodel.calibration.npu_new_chip import NO_OTHER_CHIP, new_widths, width_from

    exact = population(places, networks, log_ms)
    assert new_widths(exact)[1] == pytest.approx(0.01, abs=0.01)
    uneven = log_ms.copy()
    uneven[:, 0] += np.log([1.0, 1.5, 1.0, 1.5])
    wide = new_widths(population(places, networks, uneven))
    assert np.log(1.5) * 0.9 < wide[1] < np.log(1.5) * 1.5
    assert wide[3] <= wide[1]
    # of one chip alone nothing is learned
    alone = population(places[:1], networks, log_ms[:1])
    assert new_widths(alone) == {}
    assert width_from({}, 4) == NO_OTHER_CHIP
    assert width_from({1: 0.4, 100: 0.1}, 10) == pytest.approx(0.2)
    assert width_from({3: 0.4, 10: 0.1}, 1) == 0.4
    assert width_from({3: 0.4, 10: 0.1}, 50) == pytest.approx(0.1)


@pytest.mark.parametrize("damage", [{"0": 0.3}, {"x": 0.3}, {"1": -0.3}, {"1": "a"}, []])
def test_a_file_of_impossible_widths_is_refused(places, networks, log_ms, damage):
    data = to_dict(population(places, networks, log_ms))
    again = from_dict(data | {"new_widths": {"1": 0.4, "10": 0.2}})
    assert again.new_widths == {1: 0.4, 10: 0.2}
    with pytest.raises(ProfileError, match="new_widths"):
        from_dict(data | {"new_widths": damage})


def test_chips_of_another_speed_count_less_the_more_networks_were_measured() -> None:
    for count, sd in ((1, SPEED_SD_OF_FEW), (2, SPEED_SD_OF_FEW), (3, SPEED_SD), (9, SPEED_SD)):
        gap = np.repeat([[0.0], [0.3]], count, axis=1)
        offset, weights = _weighed(gap)
        assert offset == pytest.approx([0.0, 0.3])
        assert weights[1] / weights[0] == pytest.approx(np.exp(-0.5 * (0.3 / sd) ** 2))
