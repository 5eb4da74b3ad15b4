"""Loads by hand arithmetic, and what is said of a queue that grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenarios import offload

from perfmodel.sim import Scenario
from perfmodel.sim.resolve import resolve
from perfmodel.sim.schema import read_table
from perfmodel.sim.stability import FEWEST_REQUESTS, loads, warning_after, warnings_before


def loads_of(**changes: Any) -> dict[str, float]:
    changes.setdefault("task__workload", {"kind": "poisson", "rate_per_s": 8.0, "requests": 10})
    return loads(ready(**changes))


def ready(**changes: Any) -> Scenario:
    return resolve(read_table(Scenario, offload(**changes)), Path())


def test_the_loads_of_one_phone_by_hand() -> None:
    # 8 requests per second: 5 ms of preparation, 20 ms up, 12 ms of service, 0.4 ms down
    assert loads_of() == pytest.approx(
        {"cpu": 0.04, "uplink": 0.16, "server": 0.096, "downlink": 0.0032}
    )


def test_phones_share_the_server_and_not_their_own_links() -> None:
    found = loads_of(device__count=5)
    assert found["server"] == pytest.approx(5 * 0.096)
    assert (found["cpu"], found["uplink"]) == pytest.approx((0.04, 0.16))


def test_phones_share_a_cell() -> None:
    found = loads_of(device__count=5, link__sharing="cell")
    assert (found["uplink"], found["downlink"]) == pytest.approx((0.8, 0.016))
    assert "uplink" not in loads_of(link__sharing="unlimited")


def test_round_trips_and_jitter_do_not_load_a_link() -> None:
    found = loads_of(link__handshake_round_trips=2.0, link__jitter_ms=7.0)
    assert found["uplink"] == pytest.approx(0.16)
    assert found["downlink"] == pytest.approx(0.0032)


def test_slots_and_replicas_divide_the_work() -> None:
    found = loads_of(device__cpu={"slots": 2}, server__replicas=3)
    assert found["cpu"] == pytest.approx(0.02)
    assert found["server"] == pytest.approx(0.032)


def test_a_scaled_server_counts_with_all_it_may_have() -> None:
    found = loads_of(server__autoscale={"max_replicas": 4})
    assert found["server"] == pytest.approx(0.024)


def test_a_batching_server_counts_with_its_best_batch() -> None:
    plan = {"batch_sizes": [1, 2, 4], "batch_ms": [10, 12, 40], "upload_bytes": 100}
    found = loads_of(task__on_server=plan, server__batching={"max_size": 4, "timeout_ms": 5.0})
    assert found["server"] == pytest.approx(8 * 6 / 1000)  # two in 12 ms


@pytest.mark.parametrize(
    "changes",
    [
        {"task__policy": "adaptive"},
        {"task__workload": {"kind": "closed", "requests": 5}},
        {
            "task__workload": {
                "kind": "poisson",
                "rate_per_s": 8.0,
                "requests": 5,
                "max_in_flight": 2,
            }
        },
    ],
)
def test_what_depends_on_the_run_has_no_load_beforehand(changes: dict[str, Any]) -> None:
    assert loads_of(**changes) == {}


def test_an_overloaded_station_is_named_with_the_growth_of_its_queue() -> None:
    # 100 per second on each of three phones: the server can do 83.3 of 300, a link 50 of 100
    (uplink, server) = warnings_before(
        ready(device__count=3, task__workload={"kind": "poisson", "rate_per_s": 100, "requests": 9})
    )
    assert "uplink is offered 2.00 times" in uplink
    assert "by about 50 requests per second on each phone" in uplink
    assert "server is offered 3.60 times" in server
    assert "by about 217 requests per second, so" in server


def test_a_full_load_is_too_much_and_less_is_not() -> None:
    def warned(service_ms: float) -> int:
        work = {"kind": "poisson", "rate_per_s": 10.0, "requests": 9}
        return len(
            warnings_before(ready(task__workload=work, task__on_server__compute_ms=service_ms))
        )

    assert (warned(99.9), warned(100.0)) == (0, 1)


def test_a_server_that_turns_requests_away_has_no_growing_queue() -> None:
    work = {"kind": "poisson", "rate_per_s": 40.0, "requests": 9}
    crowd = {"task__workload": work, "task__on_server__compute_ms": 50.0}
    assert len(warnings_before(ready(**crowd))) == 1
    assert warnings_before(ready(**crowd, server__queue_limit=5)) == ()


def test_a_growing_backlog_is_told_after_the_run() -> None:
    assert "grew by about 50 requests per second" in (warning_after(1000, 200, 4000.0) or "")
    assert warning_after(1000, 199, 4000.0) is None
    assert warning_after(FEWEST_REQUESTS - 1, 199, 4000.0) is None
    assert warning_after(FEWEST_REQUESTS, 199, 4000.0) is not None
    assert warning_after(1000, 1000, 0.0) is None  # all came at once: nothing grew
