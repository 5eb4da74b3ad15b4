"""What is not known is said so: uncovered networks, intervals too wide to decide by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

import perfmodel
from perfmodel.cost_models.interval import Interval
from perfmodel.devices.profile import DeviceProfile
from perfmodel.devices.registry import ProfileFolder, Resolved
from perfmodel.errors import PerfmodelError, UncoveredOpError
from perfmodel.explore.candidates import Budget
from perfmodel.graph import Graph, Op, Tensor
from perfmodel.known_elsewhere import in_ranges, known_on_device
from perfmodel.prediction import Prediction, predict_workload
from perfmodel.workload import Workload, fusion_rules, workload

PHONE = "snapdragon-855-plus"
CPU = f"{PHONE}/cpu"


def unsure(factor: float, device: str = PHONE) -> DeviceProfile:
    """The phone with intervals whose ends lie this far apart, or a little farther."""
    profile = ProfileFolder().device(device)
    each_way = math.log(factor) / 2
    interval = Interval(0.9, each_way, each_way, 0.0)
    return replace(profile, targets=tuple(replace(t, interval=interval) for t in profile.targets))


def test_an_interval_beyond_a_factor_of_ten_is_not_known_and_says_what_would_settle_it() -> None:
    # a phone whose kernels were measured: how well a network is known adds nothing to its interval
    sure = perfmodel.predict("mobilenet_v2", "mi9/cpu", profiles=[unsure(9.99, "mi9")])
    assert (sure.unknown, sure.settle) == ("", "")
    answer = perfmodel.predict("mobilenet_v2", "mi9/cpu", profiles=[unsure(10.01, "mi9")])
    assert answer.unknown.startswith("not known to within a factor of 10: ")
    assert f"calibrate --suggest 3 --on {answer.target}" in answer.settle
    assert "calibrate --from" in answer.settle


def test_compare_gives_no_time_where_it_is_not_known() -> None:
    answer = perfmodel.compare(["mobilenet_v2"], [CPU, "pixel-4/cpu"], profiles=[unsure(11.0)])
    wide, known = answer.cells
    assert (wide.latency_ms, wide.ratio) == (None, None)
    assert wide.interval_ms is not None
    assert wide.problem.startswith("not known to within a factor of 10")
    assert answer.fastest("mobilenet_v2") == known


def test_minspec_lists_phones_apart_whose_latency_is_not_known() -> None:
    answer = perfmodel.minspec("mobilenet_v2", 1e4, profiles=[unsure(11.0)])
    assert PHONE in [p.device for p in answer.unknown]
    listed = [p.device for p in (*answer.passing, *answer.failing)]
    assert PHONE not in listed
    assert len(listed) > 30
    assert any("neither pass nor fail" in line for line in answer.assumptions)
    sure = perfmodel.minspec("mobilenet_v2", 1e4)
    assert PHONE in [p.device for p in sure.passing]
    assert sure.fleet_share > answer.fleet_share  # the example fleet holds that phone


def test_select_never_chooses_what_is_not_known() -> None:
    asked = {"on": PHONE, "max_latency_ms": 1e4}
    answer = perfmodel.select(["mobilenet_v2"], profiles=[unsure(11.0)], **asked)
    assert answer.chosen is None
    assert answer.candidates
    assert answer.front == ()
    assert all(c.reason.startswith("not known") for c in answer.candidates)
    assert perfmodel.select(["mobilenet_v2"], **asked).chosen is not None


def network(*kinds: str) -> Graph:
    """A chain of operators on four numbers; "odd" is one that nothing covers."""
    ops = tuple(
        Op(f"op{i}", "custom", (f"t{i}",), (f"t{i + 1}",), {"custom_name": "Odd"})
        if kind == "odd"
        else Op(f"op{i}", kind, (f"t{i}",), (f"t{i + 1}",))
        for i, kind in enumerate(kinds)
    )
    tensors = {f"t{i}": Tensor(f"t{i}", (1, 4)) for i in range(len(kinds) + 1)}
    return Graph("made", tensors, ops, ("t0",), (f"t{len(kinds)}",))


def test_a_network_of_which_nothing_is_covered_is_refused_either_way() -> None:
    for allowed in (False, True):
        with pytest.raises(UncoveredOpError, match="1 operators are not covered") as caught:
            perfmodel.predict(network("odd"), CPU, allow_uncovered=allowed)
        assert "--allow-uncovered" not in caught.value.hint
    with pytest.raises(UncoveredOpError, match="Odd") as caught:
        perfmodel.predict(network("odd", "relu"), CPU)
    assert "--allow-uncovered" in caught.value.hint


def test_every_function_that_takes_networks_takes_allow_uncovered() -> None:
    partly = network("odd", "relu")
    answer = perfmodel.predict(partly, CPU, allow_uncovered=True)
    assert answer.uncovered_ops == ("op0 (Odd)",)
    told = pytest.approx(answer.latency_ms, rel=1e-9)
    [cell] = perfmodel.compare([partly], [CPU], allow_uncovered=True).cells
    plan = perfmodel.partition(partly, CPU, k=1, allow_uncovered=True)
    assert plan.latency_ms == told
    assert "not in the time: op0 (Odd)" in plan.notes
    assert (cell.latency_ms == told) or "not known" in cell.problem
    found = perfmodel.minspec(partly, 1e6, allow_uncovered=True)
    assert found.passing or found.unknown
    [refused] = perfmodel.compare([partly], [CPU]).cells
    assert refused.latency_ms is None
    assert "not covered" in refused.problem
    for ask in (perfmodel.minspec, perfmodel.partition):
        with pytest.raises(UncoveredOpError):
            ask(partly, 1e6 if ask is perfmodel.minspec else CPU)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0.0, 0.5, -1.0, 100.0, 99.995, math.nan])
def test_percentiles_are_in_percent(value: float) -> None:
    with pytest.raises(PerfmodelError, match=r"--percentile is in percent, 1 to 99\.99"):
        Budget(max_latency_ms=1.0, percentile=value)


def test_a_percentile_as_a_share_is_asked_about() -> None:
    with pytest.raises(PerfmodelError, match="did you mean 95"):
        perfmodel.minspec("mobilenet_v2", 50.0, percentile=0.95)
    with pytest.raises(PerfmodelError, match=r"did you mean 1\?"):
        Budget(max_latency_ms=1.0, percentile=0.01)
    with pytest.raises(PerfmodelError, match="for example --percentile 95"):
        Budget(max_latency_ms=1.0, percentile=0.001)
    for edge in (1.0, 99.99):
        assert Budget(max_latency_ms=1.0, percentile=edge).percentile == edge


@pytest.mark.parametrize("name", ["max_latency_ms", "max_memory_mb", "max_energy_mj"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_limits_are_above_zero(name: str, value: float) -> None:
    flag = "--" + name.replace("_", "-")
    with pytest.raises(PerfmodelError, match=f"{flag} must be a number above 0"):
        Budget(**{"max_latency_ms": 1.0, name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, math.nan])
def test_shares_of_a_fleet_are_shares(share: float) -> None:
    with pytest.raises(PerfmodelError, match="--min-share is a share of 1"):
        perfmodel.select(["vgg16"], fleet="none.csv", min_share=share, max_latency_ms=1.0)


def test_an_unknown_batch_names_those_that_are_known() -> None:
    card = "rtx-3090/gpu/pytorch-amp"
    answer = perfmodel.predict("resnet50", card, batch_size=1)
    assert answer.unknown
    start = f"{answer.target} knows this network at batches of "
    assert answer.settle.startswith(start)
    named = answer.settle.removeprefix(start).partition(" (--batch-size)")[0]
    low, high = (int(n) for n in named.split(" to "))
    assert low > 1
    assert high == 1024
    assert not perfmodel.predict("resnet50", card, batch_size=low).unknown
    assert perfmodel.predict("resnet50", card, batch_size=low // 2).unknown


def test_batches_are_told_in_ranges() -> None:
    assert in_ranges((1, 2, 4, 64)) == "1 to 4, 64"
    assert in_ranges((8,)) == "8"
    assert in_ranges((8, 32, 64)) == "8, 32 to 64"


def test_what_is_not_known_on_a_target_names_another_of_its_device_that_knows_it() -> None:
    """The first of the device that has an answer in the same arithmetic, and nothing if none has"""
    resolved = ProfileFolder().resolve("jetson-nano/gpu/tensorrt/fp16")
    work = workload(perfmodel.load("resnet50"), fusion_rules(resolved))
    floats = [t for t in resolved.device.targets if t.target.precision not in ("int8", "uint8")]
    asked: list[str] = []

    def ask(known: str) -> Callable[[Workload, Resolved], Prediction]:
        def answer(one: Workload, where: Resolved) -> Prediction:
            asked.append(str(where.target.target))
            assert one.framework == fusion_rules(where)
            made = predict_workload(one, where, per_layer=False)
            return replace(made, unknown="" if asked[-1] == known else "not known")

        return answer

    last = str(floats[-1].target)
    found = known_on_device(work, resolved, ask(last))
    assert found is not None
    assert found.target == asked[-1] == last
    assert str(resolved.target.target) not in asked
    assert asked == [str(t.target) for t in floats if t is not resolved.target]
    assert known_on_device(work, resolved, ask("nobody")) is None
    said = perfmodel.predict("mobilenet_v2", "jetson-agx-orin/gpu/tensorrt/fp16").settle
    assert said.startswith("`--on jetson-agx-orin/gpu/ncnn/float` knows this network (")
