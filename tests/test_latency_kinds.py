"""First runs by hand arithmetic from what was measured of loading; kinds are never mixed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from perfmodel.devices.facts import LoadFact, Traits
from perfmodel.devices.profile import DeviceProfile, read_profile
from perfmodel.devices.registry import builtin_folder
from perfmodel.errors import PerfmodelError
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.prediction import predict
from perfmodel.render.prediction import prediction_data, prediction_result

PHONE = read_profile(builtin_folder() / "pixel-4.json")
MEASURED = next(t for t in PHONE.targets if t.target.unit == "cpu")
TARGET = str(MEASURED.target)
FACT = LoadFact(
    unit="cpu",
    framework=f"{MEASURED.target.framework}/t{MEASURED.target.threads}",
    precision=MEASURED.target.precision,
    fixed_ms=3.0,
    bytes_per_ms=1e6,
    kernel_ms=0.5,
    first_inference=1.5,
    source="cold page cache, made up",
    measurements=40,
    median_error=0.1,
)


def knowing(*facts: LoadFact, kind: str = "steady") -> DeviceProfile:
    """The phone as its profile knows it, but for what it knows of loading."""
    answering = replace(MEASURED, latency_kind=kind)
    return replace(PHONE, traits=Traits(load=facts), targets=(answering,))


def dense() -> Graph:
    """1,000 inputs, 500 outputs : 500,500 numbers to prepare, of 4 bytes in fp32."""
    g = GraphBuilder("dense")
    return g.build(g.fc(g.input((1, 1000)), 500))


def test_a_first_run_is_loading_and_an_inference_that_takes_longer_than_later_ones() -> None:
    steady = predict(dense(), TARGET, profiles=[knowing(FACT)])
    first = predict(dense(), TARGET, profiles=[knowing(FACT)], kind="first")
    size = {"fp32": 4, "int8": 1, "uint8": 1}[MEASURED.target.precision]
    loading = 3.0 + 0.5 + size * 500_500 / 1e6
    assert first.latency_ms == pytest.approx(loading + 1.5 * steady.latency_ms)
    # the inference is as unsure as the steady one, and everything by the fact's own error:
    # 1.1 times the truth in one case of two is 1.1 ** 2.439 times in nine of ten
    beyond = math.exp(1.645 / 0.6745 * math.log(1.1))
    low, high = (loading + 1.5 * ms for ms in steady.interval_ms)
    assert first.interval_ms == pytest.approx((low / beyond, high * beyond))
    assert (first.kind, first.energy) == ("first", None)
    assert first.error.median == 0.1
    assert (first.provenance.source, first.provenance.measurements) == (FACT.source, 40)
    # its kernels and what is no kernel's are all of it
    parts = first.overhead_ms + sum(k.latency_ms for k in first.kernels)
    assert parts == pytest.approx(first.latency_ms)
    assert [k.latency_ms for k in first.kernels] == pytest.approx(
        [1.5 * k.latency_ms for k in steady.kernels]
    )


def test_the_page_says_what_a_kind_of_latency_takes_for_granted() -> None:
    for kind, words in (("steady", "steady-state"), ("first", "its file is opened")):
        answer = predict(dense(), TARGET, profiles=[knowing(FACT)], kind=kind)
        [assumed] = prediction_result(prediction_data(answer)).assumptions
        assert words in assumed


@pytest.mark.parametrize(
    "change",
    [
        {"framework": "another/t1"},
        {"precision": "fp16"},
        {"unit": "gpu"},
        {"measurements": 0},
    ],
    ids=str,
)
def test_loads_of_another_way_of_running_or_that_nobody_measured_say_nothing(
    change: dict[str, object],
) -> None:
    other = replace(FACT, **change)  # type: ignore[arg-type]
    with pytest.raises(PerfmodelError, match="answers latency kind 'steady', not 'first'"):
        predict(dense(), TARGET, profiles=[knowing(other)], kind="first")


def test_nothing_but_a_steady_latency_makes_a_first_run_and_no_other_kind_is_made_of_one() -> None:
    with pytest.raises(PerfmodelError, match="answers latency kind 'steady', not 'in_app'"):
        predict(dense(), TARGET, profiles=[knowing(FACT)], kind="in_app")
    sustained = [knowing(FACT, kind="sustained")]
    with pytest.raises(PerfmodelError, match="answers latency kind 'sustained', not 'first'"):
        predict(dense(), TARGET, profiles=sustained, kind="first")
    # without a kind the target's own is answered
    assert predict(dense(), TARGET, profiles=sustained).kind == "sustained"


def test_a_first_run_whose_ends_lie_too_far_apart_is_no_answer() -> None:
    unsure = replace(FACT, median_error=2.0)
    answer = predict(dense(), TARGET, profiles=[knowing(unsure)], kind="first")
    assert answer.unknown.startswith("not known to within a factor of 10")
    assert answer.settle
