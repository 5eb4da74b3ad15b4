"""Do the networks of a scenario fit into the memory of the units that run them?"""

from __future__ import annotations

from perfmodel.errors import ScenarioError
from perfmodel.sim.policy import DEVICE, POLICIES, split_plan
from perfmodel.sim.scenario import Scenario, Task
from perfmodel.sim.tables import UNITS


def memory_notes(scenario: Scenario) -> tuple[str, ...]:
    """What the tasks hold of each unit that has a limit, a sentence each.

    A task holds the largest of its plans there, weights and activations; tasks hold theirs at the
    same time. Raises ScenarioError where that is more than `memory_mb` of the unit or not known,
    and where the weights of a task alone are more than the app may keep (`capacity_mb`).
    """
    capacity_mb = scenario.device.memory.capacity_mb
    for task in scenario.task:
        weights_mb = task.on_device.weights_mb if task.on_device and _takes(task, DEVICE) else None
        if capacity_mb is not None and weights_mb is not None and weights_mb > capacity_mb:
            raise ScenarioError(
                f"task {task.name!r} has weights of {weights_mb:.4g} MB, more than the "
                f"{capacity_mb:.4g} MB of device.memory.capacity_mb",
                "no policy that runs it on the phone is possible; take a smaller model",
            )
    notes = []
    for unit in UNITS:
        limit_mb = getattr(scenario.device, unit).memory_mb
        if limit_mb is None:
            continue
        held_mb = sum(_held_mb(task, unit) for task in scenario.task)
        if held_mb > limit_mb:
            raise ScenarioError(
                f"the tasks hold {held_mb:.4g} MB on the {unit}, more than the "
                f"{limit_mb:.4g} MB of device.{unit}.memory_mb",
                "move a task to another unit or the server, or take smaller models",
            )
        notes.append(f"memory of the {unit}: {held_mb:.4g} MB of {limit_mb:.4g} MB")
    return tuple(notes)


def _held_mb(task: Task, unit: str) -> float:
    """What a task may hold on a unit at most, by the plans that its policy can take."""
    found = [0.0]
    if task.on_device is not None and task.on_device.unit == unit and _takes(task, DEVICE):
        found.append(_known(task.on_device.memory_mb, task, unit, "on_device"))
    for cut in task.split:
        if cut.unit == unit and _takes(task, split_plan(cut.after)):
            found.append(_known(cut.memory_mb, task, unit, "split"))
    return max(found)


def _takes(task: Task, plan: str) -> bool:
    only = POLICIES[task.policy].only_plan(task)
    return only is None or only == plan


def _known(memory_mb: float | None, task: Task, unit: str, table: str) -> float:
    if memory_mb is None:
        raise ScenarioError(
            f"device.{unit}.memory_mb needs {table}.memory_mb of task {task.name!r}",
            "give it, or model and target" if table == "on_device" else "",
        )
    return memory_mb
