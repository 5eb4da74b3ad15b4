"""The real wire: no bytes come out of the shaped link early; batches and errors are right."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("validation.wire", reason="the validation folder needs a checkout")

from perfmodel.sim import simulate
from validation.wire.compare import (
    PercentileCase,
    WireAnswer,
    busy_times,
    overhead_ms,
    report,
    scenario,
    worst,
)
from validation.wire.server import collect, receive

ROOT = Path(__file__).resolve().parents[2]


def test_a_batch_is_what_came_within_the_patience_of_its_first() -> None:
    waiting: queue.Queue[tuple[int, bytes, float]] = queue.Queue()
    for number in range(5):
        waiting.put((number, b"", time.perf_counter()))
    assert [entry[0] for entry in collect(waiting, 3, 0.0)] == [0, 1, 2]
    assert [entry[0] for entry in collect(waiting, 3, 0.05)] == [3, 4]


def test_the_shaped_link_paces_and_delays() -> None:
    """50 kB at 10 Mbit/s and 30 ms: no byte sum may be complete before 40 + 15 ms."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        link = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "validation.wire.link",
                f"--server-port={listener.getsockname()[1]}",
                "--uplink-mbps=10",
                "--downlink-mbps=100",
                "--rtt-ms=30",
            ],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert link.stdout is not None
        client = socket.create_connection(("127.0.0.1", int(link.stdout.readline())))
        server, _ = listener.accept()
    try:
        began = time.perf_counter()
        sender = threading.Thread(target=client.sendall, args=(bytes(50_000),))
        sender.start()
        assert len(receive(server, 50_000)) == 50_000
        up_s = time.perf_counter() - began
        server.sendall(b"x" * 100)
        receive(client, 100)
        round_s = time.perf_counter() - began
        sender.join()
    finally:
        client.close()
        server.close()
        link.wait(timeout=10)
        link.stdout.close()
    # earlier is impossible; how much later depends on what else the machine does
    assert up_s >= 0.055
    assert round_s >= 0.070


def test_the_wires_scenario_is_the_sum_of_its_parts() -> None:
    tables = scenario([0.0], {"compute_ms": 7.0}, 1.0, {})
    # 20 kB at 60 Mbit/s, 1032 bytes at 100, 20 ms round trip, 7 ms service, 1 ms overhead
    assert simulate(tables).latency_ms["mean"] == pytest.approx(
        2.667 + 0.083 + 20 + 7 + 1, abs=0.01
    )


def one(load: float, predicted_ms: float, percentile: int = 50, **more: float) -> PercentileCase:
    return PercentileCase(
        model="paper",
        target="wire",
        policy="fifo",
        load=load,
        percentile=percentile,
        predicted_ms=predicted_ms,
        low_ms=9.0,
        high_ms=11.0,
        measured_ms=10.0,
        **more,
    )


def test_worst_looks_at_loads_up_to_0_8() -> None:
    cases = [one(0.8, 10.4), one(0.9, 20.0), one(0.2, 13.0, 95)]
    assert worst(cases, 50) == pytest.approx(0.04)
    assert worst(cases, 95) == pytest.approx(0.3)


def test_the_report_scores_its_cases_as_every_experiment_does() -> None:
    cases = [one(0.2, 10.4), one(0.4, 11.1, 95, replayed_ms=10.5), one(0.9, 13.0, replayed_ms=9.0)]
    found = report(cases, 0.5)
    assert found["mape"] == pytest.approx((0.04 + 0.11 + 0.3) / 3)
    # 4 % of 10.4, 11 % and 30 %: one within 10 %, two within 12 %
    assert found["within_10"] == pytest.approx(1 / 3)
    assert found["within_12"] == pytest.approx(2 / 3)
    assert found["coverage"] == 1.0
    assert found["worst_with_own_service_times"] == pytest.approx(0.1)
    assert found["cases"][0]["model"] == "paper"
    assert found["machine"]["load_before"] == "0.50"


def test_the_overhead_of_a_lone_request_is_what_link_and_server_do_not_explain() -> None:
    # 20 kB at 60 Mbit/s, 1032 bytes at 100 Mbit/s, 20 ms round trip
    link_ms = 20_000 * 8 / 60e3 + 1032 * 8 / 100e3 + 20
    # each answer tells how long the server was busy with the one before
    answers = [
        WireAnswer(latency_ms=link_ms + 7 + 1.5, queued_ms=0, before_ms=0, batch_size=1),
        WireAnswer(latency_ms=link_ms + 5 + 1.5, queued_ms=0, before_ms=7, batch_size=1),
        WireAnswer(latency_ms=0, queued_ms=0, before_ms=5, batch_size=1),
    ]
    assert busy_times(answers) == [7, 5]
    assert overhead_ms(answers) == pytest.approx(1.5, abs=1e-3)
