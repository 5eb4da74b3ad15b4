"""Points of a predicted sweep by hand arithmetic, on devices whose latency is known."""

from __future__ import annotations

import pytest
from made_phones import MakePhone

import perfmodel
from perfmodel.errors import PerfmodelError

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
