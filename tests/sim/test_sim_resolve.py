"""Names become numbers: models, targets, rates, links."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from scenarios import offload

import perfmodel
from perfmodel.errors import ScenarioError
from perfmodel.sim import simulate


def test_work_over_rate_counts_the_macs_of_the_graph() -> None:
    # AlexNet: 0.724 GMAC (Krizhevsky et al. 2012, two groups) at 2 GMAC/s
    plan = {"model": "alexnet", "gmacs_per_s": 2.0}
    result = simulate(offload(task__policy="device", task__on_device=plan))
    assert result.latency_ms["mean"] == pytest.approx(362, rel=0.01)


def test_load_time_follows_the_weights() -> None:
    # 60.97 million parameters of 4 bytes at 10 ms per MB
    plan = {"model": "alexnet", "gmacs_per_s": 2.0, "load_ms_per_mb": 10.0, "resident": False}
    result = simulate(offload(task__policy="device", task__on_device=plan))
    assert result.steps_ms["load"] == pytest.approx(2439, rel=0.005)


def test_a_model_and_a_target_ask_for_a_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def predict(graph: Any, target: str, *, batch_size: int = 1) -> Any:
        asked.append((target, batch_size))
        return SimpleNamespace(latency_ms=5.0 + 2.0 * batch_size, weights_bytes=12_000_000)

    monkeypatch.setattr(perfmodel, "predict", predict, raising=False)
    tables = offload(
        task__on_server={"model": "alexnet", "target": "server/gpu", "upload_bytes": 100},
        task__workload={"kind": "trace", "times_s": [0.0] * 6},
        link__sharing="unlimited",
        server__batching={"max_size": 6, "timeout_ms": 50.0},
    )
    result = simulate(tables, keep_records=True)
    assert asked == [("server/gpu", size) for size in (1, 2, 4, 6)]
    assert set(result.records.compute_ms) == {5.0 + 2.0 * 6}


def test_a_model_without_target_or_rate_is_refused() -> None:
    with pytest.raises(ScenarioError, match="needs a target"):
        simulate(offload(task__policy="device", task__on_device={"model": "alexnet"}))


def test_a_named_link_may_be_varied() -> None:
    tables = offload(link={"name": "5g-low-band", "uplink_mbps": 10.0})
    # 25 kB at 10 instead of 74.9 Mbit/s, half of the named round trip of 12 ms
    assert simulate(tables).steps_ms["upload"] == pytest.approx(20.0 + 6.0)


def test_bytes_without_a_link_are_refused() -> None:
    tables = offload()
    del tables["link"]
    with pytest.raises(ScenarioError, match="link"):
        simulate(tables)


def test_a_batching_server_is_predicted_at_powers_of_two_and_its_largest_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def predict(graph: Any, target: str, *, batch_size: int = 1) -> Any:
        asked.append(batch_size)
        return SimpleNamespace(latency_ms=5.0 + batch_size, weights_bytes=12_000_000)

    monkeypatch.setattr(perfmodel, "predict", predict, raising=False)
    simulate(
        offload(
            task__on_server={"model": "alexnet", "target": "server/gpu"},
            server__batching={"max_size": 200},
        )
    )
    assert asked == [1, 2, 4, 8, 16, 32, 64, 128, 200]
