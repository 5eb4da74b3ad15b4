"""When the time of a plan is no answer: intervals by hand arithmetic on made-up units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up import chain

from perfmodel.plans.doubts import Doubts, doubt
from perfmodel.plans.layers import LayerGraph, layer_graph
from perfmodel.plans.optimal import path_through
from perfmodel.plans.segments import prefix_states, segment_costs
from perfmodel.plans.units import Transfer, Unit
from perfmodel.workload import workload

WIDE = {"low": 0.25, "high": 4.0}
UNKNOWN = "not known to within a factor of 10: "


@pytest.fixture(scope="module")
def layers() -> LayerGraph:
    graph = chain((10, 20, 30))
    return layer_graph(graph, workload(graph, "ncnn").kernels)


def unit(name: str, first_ms: float, second_ms: float, **more: object) -> Unit:
    made = Unit(name=name, target=f"d/{name}", layer_ms=np.array([first_ms, second_ms]))
    return replace(made, **more)  # type: ignore[arg-type]


def asked(layers: LayerGraph, *units: Unit, whole: int = 0) -> tuple[Doubts, tuple[int, ...]]:
    """The doubts about the best plan of two segments, and the units it takes."""
    costs = segment_costs(layers, prefix_states(layers), units)
    found = path_through(costs, (0, 1, 2))
    return doubt(costs, found, whole), found.units


def test_a_plan_on_units_that_are_known_leaves_no_doubt(layers: LayerGraph) -> None:
    known = unit("cpu", 1.0, 1.0, low=0.5, high=5.0)  # just ten times apart
    assert asked(layers, known)[0] == Doubts(plan="", whole="", settle="", notes=())


def test_the_time_of_a_plan_on_a_unit_that_is_not_known_is_no_answer(layers: LayerGraph) -> None:
    """2 ms in all, a quarter to four times of it: 0.5 to 8 ms."""
    found, _ = asked(layers, unit("cpu", 1.0, 1.0, **WIDE))
    assert found.plan == found.whole == f"{UNKNOWN}500 us to 8.00 ms"
    assert "calibrate --suggest 3 --on d/cpu`" in found.settle
    [note] = found.notes
    assert note.startswith("plans are compared by an estimate of d/cpu: ")
    assert note.endswith(found.whole)


def test_a_small_part_on_a_unit_that_is_not_known_leaves_the_plan_known(
    layers: LayerGraph,
) -> None:
    """2 ms that are known and 1 that is not: 2.25 to 6 ms. The other unit alone: 101 ms not."""
    found, units = asked(layers, unit("cpu", 2.0, 50.0), unit("npu", 100.0, 1.0, **WIDE), whole=1)
    assert units == (0, 1)
    assert found.plan == ""
    assert found.whole == f"{UNKNOWN}25.2 ms to 404 ms"
    assert "--on d/npu`" in found.settle
    assert len(found.notes) == 1


def test_a_large_part_on_a_unit_that_is_not_known_makes_the_plan_unknown(
    layers: LayerGraph,
) -> None:
    """0.1 ms that are known and 1 that is not: 0.35 to 4.1 ms."""
    found, units = asked(layers, unit("cpu", 0.1, 50.0), unit("npu", 100.0, 1.0, **WIDE))
    assert units == (0, 1)
    assert found.plan == f"{UNKNOWN}350 us to 4.10 ms"
    assert found.whole == ""
    assert "--on d/npu`" in found.settle


def test_of_two_units_that_are_not_known_the_widest_is_to_be_measured(layers: LayerGraph) -> None:
    units = unit("cpu", 1.0, 50.0, **WIDE), unit("npu", 100.0, 3.0, **WIDE)
    found, _ = asked(layers, *units)
    assert found.plan
    assert "--on d/npu`" in found.settle
    assert "--on d/cpu`" in asked(layers, *(units[0], unit("npu", 100.0, 0.5, **WIDE)))[0].settle


def test_moving_tensors_is_taken_as_known(layers: LayerGraph) -> None:
    """0.35 to 4.1 ms of running and 1 ms of moving a tensor: 1.35 to 5.1 ms."""
    npu = unit("npu", 100.0, 1.0, inward=Transfer(fixed_ms=1.0), **WIDE)
    assert asked(layers, unit("cpu", 0.1, 50.0), npu)[0].plan == ""
    # 0.1 + 1 to 16 ms and 0.5 of moving
    slow = unit("npu", 100.0, 4.0, inward=Transfer(fixed_ms=0.5), **WIDE)
    assert asked(layers, unit("cpu", 0.1, 50.0), slow)[0].plan == f"{UNKNOWN}1.60 ms to 16.6 ms"


def test_units_that_were_compared_are_named_where_one_of_them_takes_all(layers: LayerGraph) -> None:
    wide, other = unit("cpu", 1.0, 1.0, **WIDE), unit("npu", 9.0, 9.0)
    for units, notes in (((wide,), 0), ((wide, other), 1)):
        costs = segment_costs(layers, prefix_states(layers), units)
        assert len(doubt(costs, path_through(costs, (0, 2)), 0).notes) == notes


def test_a_unit_that_cannot_run_the_network_is_in_no_doubt(layers: LayerGraph) -> None:
    partly = unit("npu", float("inf"), 1.0, **WIDE)
    found, units = asked(layers, unit("cpu", 2.0, 50.0), partly)
    assert units == (0, 1)
    assert (found.plan, found.notes) == ("", ())
