"""Points of a predicted sweep by hand arithmetic, on devices whose latency is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_phones import MakePhone

import perfmodel
from perfmodel.errors import PerfmodelError
from perfmodel.render.sweep import sweep_data, sweep_result

CPU = "cpu/ncnn/fp32/t1"


def test_the_cloud_takes_upload_round_trip_server_and_download(phones: MakePhone) -> None:
    """0.5 Mbit/s are 62.5 bytes a ms: 1,000 bytes up take 16 ms; 500 bytes down at 2 Mbit/s take
    2 ms; the server 5 ms, the round trip 10: 33 ms in all, against 50 on the phone."""
    phones("phone", {CPU: 50.0})
    phones("box", {"gpu/ncnn/fp32": 5.0}, kind="server")
    sets = [
        *("server=box/gpu", "link.uplink_mbps=0.5", "link.downlink_mbps=2", "link.rtt_ms=10,0"),
        *("upload_bytes=1000", "download_bytes=500"),
    ]
    frame = perfmodel.whatif(model="alexnet", target="phone/cpu", sets=sets).frame
    assert frame["cloud_ms"].tolist() == pytest.approx([33.0, 23.0])
    assert frame["best_ms"].tolist() == pytest.approx([33.0, 23.0])
    assert frame["place"].tolist() == ["cloud", "cloud"]


def test_the_input_goes_up_at_a_byte_a_value_and_down_is_as_fast_as_up(phones: MakePhone) -> None:
    """AlexNet's 227 x 227 x 3 values at 1,000 bytes a ms (8 Mbit/s); 2,000 bytes down in 2 ms."""
    phones("phone", {CPU: 50.0})
    phones("box", {"gpu/ncnn/fp32": 5.0}, kind="server")
    graph = perfmodel.load("alexnet")
    values = sum(graph.tensors[n].elements for n in graph.inputs)
    sets = ["server=box/gpu", "link.uplink_mbps=8", "link.rtt_ms=0", "download_bytes=2000,0"]
    frame = perfmodel.whatif(model="alexnet", target="phone/cpu", sets=sets).frame
    assert frame["cloud_ms"].tolist() == pytest.approx([5 + values / 1000 + 2, 5 + values / 1000])
    assert frame["best_ms"].tolist() == [50.0, 50.0]
    assert frame["place"].tolist() == ["device", "device"]


def test_a_slowdown_is_a_factor_on_latency_bounds_and_energy(phones: MakePhone) -> None:
    phones("phone", {CPU: 50.0}, cpu_mw=2000.0)
    frame = perfmodel.whatif(model="alexnet", target="phone/cpu", sets=["slowdown=1,3"]).frame
    assert frame["latency_ms"].tolist() == pytest.approx([50.0, 150.0])
    assert frame["high_ms"].tolist() == pytest.approx([60.0, 180.0])
    assert frame["low_ms"].tolist() == pytest.approx([50 / 1.2, 150 / 1.2])
    assert frame["energy_mj"].tolist() == pytest.approx([100.0, 300.0])


def test_a_server_without_a_link_is_refused(phones: MakePhone) -> None:
    phones("phone", {CPU: 50.0})
    phones("box", {"gpu/ncnn/fp32": 5.0}, kind="server")
    with pytest.raises(PerfmodelError, match=r"link\.uplink_mbps"):
        perfmodel.whatif(model="alexnet", target="phone/cpu", sets=["server=box/gpu"])


@pytest.mark.parametrize("given", ["slowdown=-1", "slowdown=0", "batch_size=0", "batch_size=1.5"])
def test_what_no_prediction_can_have_is_refused(phones: MakePhone, given: str) -> None:
    phones("phone", {CPU: 50.0})
    with pytest.raises(PerfmodelError, match=given.split("=")[0]):
        perfmodel.whatif(model="alexnet", target="phone/cpu", sets=[f"{given},2"])


NOT_KNOWN = "alexnet on unsure/cpu/ncnn/fp32/t1: not known to within a factor of 10: "


def test_a_latency_that_is_not_known_is_no_figure_of_a_sweep(phones: MakePhone) -> None:
    """Ends a factor of 4 either way of 5 ms lie at 1.25 and 20 ms, sixteen times apart."""
    phones("sure", {CPU: 50.0}, cpu_mw=2000.0)
    phones("unsure", {CPU: 5.0}, cpu_mw=2000.0, factor=4.0)
    sets = ["target=unsure/cpu,sure/cpu"]
    answer = perfmodel.whatif(model="alexnet", target="unsure/cpu", sets=sets)
    wide, known = answer.frame.to_dict("records")
    assert wide["latency_ms"] != wide["latency_ms"]
    assert wide["energy_mj"] != wide["energy_mj"]
    assert (wide["low_ms"], wide["high_ms"]) == pytest.approx((1.25, 20.0))
    assert wide["problem"] == f"{NOT_KNOWN}1.25 ms to 20.0 ms"
    assert (known["latency_ms"], known["problem"]) == (pytest.approx(50.0), "")
    assert known["energy_mj"] == pytest.approx(100.0)
    for figure in ("size_mb", "memory_mb"):
        assert wide[figure] == known[figure] > 0
    assert answer.failed == 1
    assert answer.best is not None
    assert answer.best["target"] == "sure/cpu"


@pytest.mark.parametrize("output", ["", "rows.csv"])
def test_a_sweep_without_a_known_latency_says_why_and_keeps_the_sizes(
    phones: MakePhone, tmp_path: Path, output: str
) -> None:
    phones("unsure", {CPU: 5.0}, factor=4.0)
    asked = {"model": "alexnet", "target": "unsure/cpu", "sets": ["slowdown=1,2"]}
    answer = perfmodel.whatif(**asked, output=tmp_path / output if output else None)
    assert (answer.best, answer.worst, answer.summary, answer.failed) == (None, None, {}, 2)
    assert answer.effects == answer.front == ()
    data = sweep_data(answer)
    assert data["answer"].startswith(f"none of the 2 points has a latency_ms: {NOT_KNOWN}")
    assert [row["latency_ms"] for row in data["rows"]] == [None, None]
    assert NOT_KNOWN in sweep_result(data).answer
    sizes = perfmodel.whatif(**asked, metric="size_mb")
    assert sizes.failed == 0
    for text in ("joules", "problem"):
        with pytest.raises(PerfmodelError, match=f"there is no figure '{text}'"):
            perfmodel.whatif(**asked, metric=text)


def test_a_figure_that_no_known_point_has_is_no_metric(phones: MakePhone) -> None:
    phones("sure", {CPU: 50.0})
    with pytest.raises(PerfmodelError, match="there is no figure 'energy_mj'"):
        perfmodel.whatif(
            model="alexnet", target="sure/cpu", sets=["slowdown=1,2"], metric="energy_mj"
        )


@pytest.mark.parametrize("unsure", ["device", "cloud"])
def test_neither_place_is_better_where_the_time_of_one_is_not_known(
    phones: MakePhone, unsure: str
) -> None:
    phones("sure", {CPU: 50.0})
    phones("unsure", {CPU: 5.0}, factor=4.0)
    here, there = ("unsure", "sure") if unsure == "device" else ("sure", "unsure")
    link = ["link.uplink_mbps=8", "link.rtt_ms=0,10", "upload_bytes=1000"]
    sets = [f"server={there}/cpu", *link]
    frame = perfmodel.whatif(model="alexnet", target=f"{here}/cpu", sets=sets).frame
    assert frame["best_ms"].isna().all()
    assert frame["place"].isna().all()
    assert frame["problem"].str.startswith(NOT_KNOWN).all()
    if unsure == "device":
        assert frame["cloud_ms"].tolist() == pytest.approx([51.0, 61.0])
    else:
        assert frame["cloud_ms"].isna().all()
        assert frame["latency_ms"].tolist() == pytest.approx([50.0, 50.0])


def test_a_place_that_cannot_run_the_network_leaves_the_other(phones: MakePhone) -> None:
    """50 ms on the phone; 5 ms on the box, and a byte up at 1,000 bytes a ms."""
    phones("phone", {CPU: 50.0})
    phones("box", {"gpu/ncnn/fp32": 5.0}, kind="server")
    link = ["link.uplink_mbps=8", "link.rtt_ms=0", "upload_bytes=1000"]
    here = ["server=box/gpu", "target=phone/cpu,phone/gpu"]
    frame = perfmodel.whatif(model="alexnet", target="phone/cpu", sets=[*here, *link]).frame
    assert frame["place"].tolist() == ["cloud", "cloud"]
    assert frame["best_ms"].tolist() == pytest.approx([6.0, 6.0])
    there = ["server=box/gpu,box/npu"]
    frame = perfmodel.whatif(model="alexnet", target="phone/cpu", sets=[*there, *link]).frame
    assert frame["place"].tolist() == ["cloud", "device"]
    assert frame["best_ms"].tolist() == pytest.approx([6.0, 50.0])
    assert "npu" in frame["problem"].iloc[1]
    for wrong in ("target=phone/gpu,phone/cpu", "server=box/npu,box/gpu"):
        sets = [wrong, *([] if "server" in wrong else ["server=box/gpu"]), *link]
        with pytest.raises(PerfmodelError, match="has no"):
            perfmodel.whatif(model="alexnet", target="phone/cpu", sets=sets)


def test_threads_are_given_by_number_or_as_targets_write_them(phones: MakePhone) -> None:
    phones("phone", {CPU: 50.0, CPU.replace("t1", "t4"): 20.0})
    for sets in ("threads=1,4", "threads=t1,t4", "threads=1:4:3"):
        frame = perfmodel.whatif(model="alexnet", target="phone/cpu", sets=[sets]).frame
        assert frame["latency_ms"].tolist() == pytest.approx([50.0, 20.0])


def test_a_part_of_a_target_that_there_is_not_is_told_with_a_whole_name(phones: MakePhone) -> None:
    phones("phone", {CPU: 50.0})
    with pytest.raises(PerfmodelError, match=r"no target 'phone/cpu/\*/\*/t3'"):
        perfmodel.whatif(model="alexnet", target="phone/cpu", sets=["threads=3"])
    with pytest.raises(PerfmodelError, match=r"'phone/cpu/\*/\*/many': threads 'many'"):
        perfmodel.whatif(model="alexnet", target="phone/cpu", sets=["threads=many"])
