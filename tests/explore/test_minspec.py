"""The minimum phone, on phones whose latency is known by construction."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_phones import MakePhone

from perfmodel.cli.app import run
from perfmodel.errors import PerfmodelError, TargetError
from perfmodel.explore.market_minspec import market_minspec
from perfmodel.explore.minspec import QUANTISED, Requirement, minspec
from perfmodel.render.minspec import minspec_data

CPU = "cpu/ncnn/fp32/t1"


def three_phones(phones: MakePhone) -> None:
    phones("old", {CPU: 50.0}, 2016)
    phones("mid", {CPU: 40.0, "gpu/ncnn/fp16": 30.0}, 2018)
    phones("new", {CPU: 10.0}, 2022)


def test_the_minimum_is_the_slowest_phone_whose_95th_percentile_keeps_the_limit(
    phones: MakePhone,
) -> None:
    three_phones(phones)
    # p95 = 1.2 x median: old 60, mid 48 (cpu) and 36 (gpu), new 12 ms
    answer = minspec("mobilenet_v1", 50)
    assert answer.minimum is not None
    assert answer.minimum.target == "mid/gpu/ncnn/fp16"
    assert answer.minimum.latency_ms == pytest.approx(36.0)
    assert answer.minimum.margin == pytest.approx(1 - 36 / 50)
    assert [p.device for p in answer.passing] == ["mid", "new"]
    assert [p.device for p in answer.failing] == ["old"]
    assert "20 % over 50 ms" in answer.failing[0].reason
    assert answer.just_failing == answer.failing


def test_a_unit_can_be_asked_for(phones: MakePhone) -> None:
    three_phones(phones)
    answer = minspec("mobilenet_v1", 50, unit="cpu")
    assert answer.minimum is not None
    assert answer.minimum.target == "mid/cpu/ncnn/fp32/t1"
    assert answer.minimum.latency_ms == pytest.approx(48.0)


def test_the_median_asks_less_than_a_high_percentile(phones: MakePhone) -> None:
    three_phones(phones)
    assert [p.device for p in minspec("mobilenet_v1", 50, percentile=50).passing] == [
        "old",
        "mid",
        "new",
    ]


def test_memory_gates_first_and_counts_weights_and_activations(phones: MakePhone) -> None:
    phones("small", {CPU: 10.0, "gpu/ncnn/fp16": 20.0})
    # MobileNet V1: 4.23 M parameters, 4 bytes each, beside its peak of activations
    whole = minspec("mobilenet_v1", 50, unit="cpu").passing[0].memory_mb
    assert whole > 4.23 * 4
    half = minspec("mobilenet_v1", 50, max_memory_mb=0.6 * whole)
    assert half.minimum is not None
    assert half.minimum.precision == "fp16"
    assert half.minimum.memory_mb == pytest.approx(whole / 2)
    none = minspec("mobilenet_v1", 50, max_memory_mb=1)
    assert none.minimum is None
    assert none.failing[0].reason.startswith("memory: needs")


def test_energy_is_power_times_latency_and_unknown_power_fails(phones: MakePhone) -> None:
    phones("known", {CPU: 10.0}, cpu_mw=1000.0)
    phones("unknown", {"gpu/ncnn/fp16": 10.0})
    # 1 W for 12 ms (p95) = 12 mJ
    answer = minspec("mobilenet_v1", 50, max_energy_mj=12.5)
    assert [p.device for p in answer.passing] == ["known"]
    assert answer.passing[0].energy_mj == pytest.approx(12.0)
    assert answer.failing[0].reason == "energy: the power of its gpu is not known"
    assert minspec("mobilenet_v1", 50, max_energy_mj=11.5).minimum is None


def test_the_oldest_phone_is_one_whose_year_is_known(phones: MakePhone) -> None:
    three_phones(phones)
    phones("undated", {CPU: 41.0})
    answer = minspec("mobilenet_v1", 50)
    assert answer.minimum is not None
    assert answer.minimum.device == "undated"
    assert answer.minimum.year is None
    assert answer.oldest is not None
    assert answer.oldest.device == "mid"


def test_shares_of_a_fleet_pass_fail_or_have_no_profile(phones: MakePhone, tmp_path: Path) -> None:
    three_phones(phones)
    fleet = tmp_path / "fleet.csv"
    fleet.write_text("device,share\nold,20\nmid,30\nnew,10\nnobody-knows-it,40\n")
    answer = minspec("mobilenet_v1", 50, fleet=fleet)
    share = answer.fleet
    assert answer.fleet_share == pytest.approx(0.4)
    assert (share.failing, share.unknown) == (pytest.approx(0.2), pytest.approx(0.4))
    # old passes with the chance that log-normal noise is below log(50/50) = 0: one half
    assert share.expected == pytest.approx((0.2 * 0.5 + 0.3 + 0.1) / 0.6, rel=0.01)
    assert not share.example


def test_a_fleet_may_name_a_processor(phones: MakePhone, tmp_path: Path) -> None:
    phones("pixel-4", {CPU: 10.0})
    fleet = tmp_path / "fleet.csv"
    fleet.write_text("device,share\nSnapdragon 855,1\n")
    assert minspec("mobilenet_v1", 50, fleet=fleet).fleet_share == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("phone,share\nx,1\n", "no column 'device'"),
        ("device,share\nx,-1\n", "row 1"),
        ("device,share\nx,many\n", "row 1"),
        ("device,share\nx,0\n", "add up to nothing"),
    ],
)
def test_a_bad_fleet_says_what_is_wrong(
    phones: MakePhone, tmp_path: Path, text: str, says: str
) -> None:
    three_phones(phones)
    fleet = tmp_path / "fleet.csv"
    fleet.write_text(text)
    with pytest.raises(PerfmodelError, match=says):
        minspec("mobilenet_v1", 50, fleet=fleet)


def test_limits_that_make_no_sense_are_refused(phones: MakePhone) -> None:
    three_phones(phones)
    for given in ({"percentile": 100.0}, {"max_memory_mb": 0.0}, {"unit": "tpu"}):
        with pytest.raises(PerfmodelError):
            minspec("mobilenet_v1", 50, **given)  # type: ignore[arg-type]
    with pytest.raises(PerfmodelError):
        minspec("mobilenet_v1", -1)


def test_the_json_contract(phones: MakePhone) -> None:
    three_phones(phones)
    data = minspec_data(minspec("mobilenet_v1", 50))
    assert {"requirement", "minimum", "passing", "failing", "fleet_share"} <= set(data)
    assert {"device", "target", "latency_ms", "margin"} <= set(data["minimum"])
    assert {"device", "best_target", "latency_ms", "reason"} <= set(data["failing"][0])
    json.dumps(data, allow_nan=False)


def test_the_exit_code_is_1_where_no_phone_passes(
    phones: MakePhone, capsys: pytest.CaptureFixture[str]
) -> None:
    three_phones(phones)
    known = ["minspec", "mobilenet_v1", "--market", "known", "--max-latency-ms"]
    assert run([*known, "50"]) == 0
    assert "the minimum phone for mobilenet_v1 within 50 ms" in capsys.readouterr().out
    assert run([*known, "5", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["minimum"] is None


@pytest.mark.parametrize("choice", ["kind", "unit", "precision"])
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(choice: str) -> None:
    with pytest.raises(TargetError, match=f"{choice} 'brick' is none of any, "):
        Requirement(max_latency_ms=1.0, **{choice: "brick"})  # type: ignore[arg-type]
    for ask in (minspec, market_minspec) if choice != "kind" else (minspec,):
        with pytest.raises(TargetError, match=f"{choice} 'brick'"):
            ask("mobilenet_v2", 1.0, **{choice: "brick"})


def test_what_quantising_costs_is_said_where_int8_may_answer(phones: MakePhone) -> None:
    three_phones(phones)
    said = {
        precision: QUANTISED in minspec("mobilenet_v1", 50, precision=precision).assumptions
        for precision in ("any", "fp32")
    }
    assert said == {"any": True, "fp32": False}
