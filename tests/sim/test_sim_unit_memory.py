"""Memory of the phone's units in scenarios: what tasks hold of what a unit may hold."""

from __future__ import annotations

from typing import Any

import pytest
from scenarios import offload

import perfmodel
from perfmodel.errors import ScenarioError
from perfmodel.sim import simulate

HELD = {"task__policy": "device", "task__on_device__unit": "gpu"}


def notes(**changes: Any) -> tuple[str, ...]:
    found = simulate(offload(**(HELD | changes))).cases[0].notes
    return tuple(note for note in found if note.startswith("memory"))


def test_a_task_holds_what_it_says_of_what_its_unit_may_hold() -> None:
    assert notes(device__gpu={"memory_mb": 50.0}, task__on_device__memory_mb=50.0) == (
        "memory of the gpu: 50 MB of 50 MB",
    )
    assert notes() == ()
    # another unit's limit is not its own
    assert notes(device__cpu={"memory_mb": 1.0}) == ("memory of the cpu: 0 MB of 1 MB",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"device__gpu": {"memory_mb": 50.0}, "task__on_device__memory_mb": 50.1},
            "the tasks hold 50.1 MB on the gpu, more than the 50 MB of device.gpu.memory_mb",
        ),
        ({"device__gpu": {"memory_mb": 50.0}}, "needs on_device.memory_mb of task 'inference'"),
        (
            {
                "device__memory": {"capacity_mb": 20.0},
                "task__on_device__weights_mb": 20.1,
                "task__on_device__load_ms": 1.0,
            },
            "task 'inference' has weights of 20.1 MB, more than the 20 MB",
        ),
    ],
)
def test_more_than_a_unit_may_hold_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        notes(**changes)
    assert message in str(error.value)


def test_a_policy_that_never_runs_there_needs_no_memory_there() -> None:
    changes = {"device__gpu": {"memory_mb": 1.0}, "task__on_device__memory_mb": 50.0}
    assert notes(**changes, task__policy="cloud") == ("memory of the gpu: 0 MB of 1 MB",)
    with pytest.raises(ScenarioError):
        notes(**changes, task__policy="adaptive")


def test_the_head_of_a_split_counts_where_it_may_run_and_tasks_add_up() -> None:
    cut = {"after": "c", "head_ms": 1, "tail_ms": 1, "upload_bytes": 9, "unit": "gpu"}
    task = offload(**HELD, task__on_device__memory_mb=3.0)["task"]
    tables = offload()
    tables["device"] = {"gpu": {"memory_mb": 10.0}}
    tables["task"] = [
        {**task, "name": "a", "policy": "split", "split_after": "c"}
        | {"split": [{**cut, "memory_mb": 4.0}]},
        {**task, "name": "b"},
    ]
    (case,) = simulate(tables).cases
    assert "memory of the gpu: 7 MB of 10 MB" in case.notes
    del tables["task"][0]["split"][0]["memory_mb"]
    with pytest.raises(ScenarioError, match=r"needs split\.memory_mb of task 'a'"):
        simulate(tables)


def test_a_predicted_network_holds_its_weights_and_activations_at_the_targets_precision() -> None:
    target = "huawei-p40/gpu/mnn/fp16"
    answer = perfmodel.predict("alexnet", target)
    needed = (answer.weights_bytes + answer.peak_activation_bytes) / 2 / 1e6  # fp32 to fp16
    plan = {"unit": "gpu", "model": "alexnet", "target": target}
    found = notes(device__gpu={"memory_mb": 1000.0}, task__on_device=plan)
    assert found == (f"memory of the gpu: {needed:.4g} MB of 1000 MB",)
