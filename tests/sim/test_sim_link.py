"""Bandwidth over time, the shared cell, loss, and what traces may contain."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import simpy
from scenarios import offload

from perfmodel.errors import ScenarioError
from perfmodel.sim import simulate, traces
from perfmodel.sim.cell import RadioCell
from perfmodel.sim.link import Losses
from perfmodel.sim.rates import (
    ChangingRate,
    ConstantRate,
    lognormal_segments,
    markov_segments,
    trace_segments,
)
from perfmodel.sim.resolve import link_table, named_link, resolve_link
from perfmodel.sim.traces import read_arrivals, read_trace


def steps() -> ChangingRate:
    """2 Mbit/s for 1 s, nothing for 1 s, 8 Mbit/s for 1 s, and again."""
    return ChangingRate(trace_segments([0.0, 1.0, 2.0], [2.0, 0.0, 8.0]))


@pytest.mark.parametrize(
    ("start_ms", "megabits", "finish_ms"),
    [
        (0, 1.0, 500),
        (0, 2.0, 1000),
        (0, 2.8, 2100),
        (500, 1.8, 2100),
        (1500, 4.0, 2500),
        (0, 12.0, 4000),
        (2500, 4.0, 3000),
        (9000, 1.0, 9500),
    ],
)
def test_a_transfer_crosses_changes_of_the_rate(
    start_ms: float, megabits: float, finish_ms: float
) -> None:
    assert steps().finish_ms(start_ms, megabits * 1e6) == pytest.approx(finish_ms)


def test_bits_between_is_the_inverse_of_finish() -> None:
    rate = steps()
    for bits in (1e3, 2.5e6, 17e6):
        assert rate.bits_between(300.0, rate.finish_ms(300.0, bits)) == pytest.approx(bits)


def test_a_changing_rate_forgets_the_past() -> None:
    rate = steps()
    for now_ms in range(0, 5_000_000, 1000):
        rate.forget_before(now_ms)
        rate.finish_ms(now_ms, 1e6)
    assert len(rate._ends_ms) < 2000
    assert rate.finish_ms(5_001_000.0, 1e6) == pytest.approx(5_001_500.0)  # 5001 = 3 * 1667 s


def test_markov_rate_spends_its_dwell_share_in_each_state() -> None:
    rate = ChangingRate(markov_segments([1.0, 10.0], [3.0, 1.0], np.random.default_rng(5)))
    mean_mbps = rate.bits_between(0.0, 4e7) / 4e7 / 1000
    assert mean_mbps == pytest.approx((3 * 1.0 + 1 * 10.0) / 4, rel=0.03)


def test_lognormal_rate_has_the_mean_and_spread_it_was_given() -> None:
    segments = lognormal_segments(5.0, 0.8, 0.5, 1.0, np.random.default_rng(5))
    rates = np.array([next(segments)[1] for _ in range(100_000)])
    assert rates.mean() == pytest.approx(5.0, rel=0.02)
    assert rates.std() / rates.mean() == pytest.approx(0.8, rel=0.05)
    logs = np.log(rates)
    assert np.corrcoef(logs[:-1], logs[1:])[0, 1] == pytest.approx(0.5, abs=0.02)


def cell_ends(rate: object, sends: list[tuple[float, float]]) -> list[float]:
    env = simpy.Environment()
    cell = RadioCell(env, rate)  # type: ignore[arg-type]
    ends = [math.nan] * len(sends)

    def process(index: int, start: float, bits: float):  # type: ignore[no-untyped-def]
        yield env.timeout(start)
        cell.send(bits, lambda: ends.__setitem__(index, env.now))

    for index, (start, bits) in enumerate(sends):
        env.process(process(index, start, bits))
    env.run()
    return ends


def test_a_cell_divides_its_rate_among_the_transfers_in_progress() -> None:
    # 1 Mbit/s; A of 1000 bits alone needs 1 ms; with B from 0.5 ms on, half the rate each:
    # A ends at 0.5 + 2 * 0.5 = 1.5; B has 500 of 1000 then and ends at 2
    assert cell_ends(ConstantRate(1.0), [(0.0, 1000), (0.5, 1000)]) == pytest.approx([1.5, 2.0])


def test_a_cell_follows_a_changing_rate() -> None:
    # two equal transfers from 0 share 2 Mbit/s for 1 s, nothing for 1 s, then 8 Mbit/s
    ends = cell_ends(steps(), [(0.0, 1.4e6), (0.0, 1.4e6)])
    assert ends == pytest.approx([2100.0, 2100.0])


def test_mean_time_in_a_cell_is_that_of_processor_sharing() -> None:
    """M/G/1-PS: mean sojourn = mean / (1 - load), whatever the law of sizes (Kleinrock 1967)."""
    size = {"kind": "gamma", "mean": 12_500, "cv": 1.5}  # 10 ms at 10 Mbit/s
    tables = offload(
        device__count=20,
        link={"uplink_mbps": 10, "downlink_mbps": 10, "rtt_ms": 0, "sharing": "cell"},
        server__replicas=1000,
        task__on_server={"upload_bytes": size, "compute_ms": 1.0},
        task__workload={"kind": "poisson", "rate_per_s": 3.5, "requests": 4000},
    )
    result = simulate(tables)
    assert result.steps_ms["upload"] == pytest.approx(10 / (1 - 0.7), rel=0.04)
    assert result.utilization["uplink"] == pytest.approx(0.7, rel=0.03)


def test_own_links_make_a_phones_uploads_wait_for_each_other() -> None:
    tables = offload(task__workload={"kind": "trace", "times_s": [0.0, 0.0, 0.0]})
    tables["task"]["on_server"]["preprocess_ms"] = 0.0
    own = simulate(tables, keep_records=True).records
    # 20 ms each: the three leave at 20, 40 and 60 and find the 12 ms server free or nearly so
    assert sorted(own.queue_ms) == pytest.approx([0.0, 20.0, 40.0])
    tables["link"]["sharing"] = "unlimited"
    free = simulate(tables, keep_records=True).records
    assert set(free.upload_ms) == {35.0}


def test_loss_sends_packets_again_and_limits_the_rate() -> None:
    losses = Losses(0.02, 50.0, np.random.default_rng(1))
    drawn = np.array([losses.draw(144_800) for _ in range(20_000)])
    # every one of 100 packets is sent 1 / (1 - p) times on average
    assert drawn[:, 0].mean() == pytest.approx(8 * 144_800 / 0.98, rel=0.002)
    # Mathis: sqrt(1.5) * 1448 * 8 / (0.05 * sqrt(0.02)) = 2.006 Mbit/s
    assert drawn[0, 0] / drawn[0, 1] == pytest.approx(2006.4, rel=1e-3)
    assert (drawn[:, 2] > 0).mean() == pytest.approx(0.02, abs=0.004)


def test_named_links_have_numbers_and_sources() -> None:
    for name, entry in link_table().items():
        assert entry["source"], name
        link = resolve_link(named_link(name))
        assert link.uplink is not None
        assert link.rtt_ms is not None


def test_an_unknown_link_names_the_nearest() -> None:
    with pytest.raises(ScenarioError, match="5g-mmwave"):
        named_link("5g-mmwav")


def test_a_generation_of_mobile_networks_is_known_or_asks_which() -> None:
    assert named_link("4G") == named_link("lte")
    with pytest.raises(ScenarioError) as raised:
        named_link("5G")
    assert raised.value.hint == "say which: 5g-low-band, 5g-mmwave"


def test_every_published_trace_can_be_read(data_dir: Path) -> None:
    index = (data_dir / "network_traces" / "index.csv").read_text().splitlines()
    assert len(index) > 20
    for line in index[1:]:
        name = line.split(",")[0]
        trace = read_trace(data_dir / "network_traces" / name)
        assert trace.times_s[0] == 0.0
        assert trace.mean_mbps > 0


def test_reading_a_trace_gives_the_mean_the_index_gives(data_dir: Path) -> None:
    trace = read_trace(data_dir / "network_traces" / "mahimahi_ATT-LTE-driving.csv", "uplink_mbps")
    assert sum(trace.mbps) / len(trace.mbps) == pytest.approx(0.923, abs=5e-4)


def test_mahimahi_files_are_packets_of_1500_bytes(tmp_path: Path) -> None:
    file = tmp_path / "link.up"
    file.write_text("".join(f"{ms}\n" for ms in range(1000)))  # one packet every ms: 12 Mbit/s
    trace = read_trace(file)
    assert trace.mbps == (12.0,) * 10
    assert trace.times_s[:3] == (0.0, 0.1, 0.2)


def test_plain_pairs_of_time_and_rate_are_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "oboe.txt"
    file.write_text("10.0 2.5\n11.0 3.5\n11.0 4.5\n12.5 1\n")
    trace = read_trace(file)
    assert trace.times_s == (0.0, 1.0, 2.5)
    assert trace.mbps == (2.5, 4.0, 1.0)  # rows of the same time are averaged


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_s,downlink_mbps\n0,1\n2,1\n1,1\n", ":4: time goes back"),
        (
            "time_s,downlink_mbps\n" + "".join(f"{t},1\n" for t in [0, 1, 2, 3, 60, 61]),
            "a gap of 57 s",
        ),
        ("time_s,downlink_mbps\n0,-1\n", ":2: must be a finite number >= 0"),
        ("time_s,downlink_mbps\n0,nan\n", ":2: must be"),
        ("time_s,downlink_mbps\n0,\n", ":2: '' is not a number"),
        ("time_s,downlink_mbps\n0,0\n1,0\n", "zero throughout"),
        ("time_s,downlink_mbp\n0,1\n", "downlink_mbp"),
        ("time_s,downlink_mbps\n", "nothing else"),
        ("", "empty"),
        ("1\n5\n3\n", ":3: time goes back"),
        ("1 2 3\n", ":1: expected time"),
        ("1000000000000000\n", ":1: '1000000000000000' ms are more than the 86400000 of a day"),
        ("100\n86400001\n", ":2: '86400001' ms are more than"),
        ("1" * 5000 + "\n", "ms are more than"),
        ("1\n\u00b2\n", ":2: a mahimahi line is a whole number"),
        ("\u00b2\n", ":1: expected time"),
        ("0 1\n1 1.1e12\n", ":2: must be <= 1e+12"),
        ('time_s,downlink_mbps\n0,"' + "1" * 140_000 + '"\n', ": not a table: field larger"),
        ("0 1\n" * 8, "8 lines, at most 7 are read"),
        ("0 1 # " + "x" * 200_000, "larger than this trace may be"),
    ],
)
def test_a_bad_trace_is_refused_with_its_line(
    tmp_path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MAX_ROWS", 7)
    monkeypatch.setattr(traces, "MAX_TRACE_BYTES", 150_000)
    file = tmp_path / "trace.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as error:
        read_trace(file)
    assert message in str(error.value)
    assert "trace.csv" in str(error.value)
    assert len(str(error.value)) < 300


def test_a_day_of_packets_is_the_longest_mahimahi_file(tmp_path: Path) -> None:
    file = tmp_path / "link.up"
    file.write_text("0\n86400000\n")
    trace = read_trace(file)
    assert len(trace.mbps) == 864_001
    assert [i for i, rate in enumerate(trace.mbps) if rate] == [0, 864_000]


def test_arrival_times_that_go_back_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "arrivals.csv"
    file.write_text("time_s\n0\n3\n2\n")
    with pytest.raises(ScenarioError, match=r"arrivals\.csv:4: time goes back"):
        read_arrivals(file)


def test_a_lost_last_packet_waits_for_two_round_trips_of_this_link() -> None:
    tables = offload(
        link__rtt_ms=400.0,
        link__loss=0.4,
        link__uplink_mbps=1e6,
        link__downlink_mbps=1e6,
        link__sharing="unlimited",
        task__on_server={"compute_ms": 0.0, "upload_bytes": 1, "download_bytes": 0},
        task__workload={"kind": "periodic", "period_ms": 1.0, "requests": 50},
    )
    frame = simulate(tables, keep_records=True).records
    # half a round trip; a timeout of 2 x 400 ms where the last packet was lost; what was sent again
    # takes longer still, since loss limits the rate
    took = frame.upload_ms.round(-1).value_counts()
    assert took[200.0] > 5
    assert took[1000.0] > 5
    assert not ((frame.upload_ms > 210) & (frame.upload_ms < 400)).any()
