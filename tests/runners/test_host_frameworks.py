"""The table of this machine's frameworks: what it names exists; times are put down to kernels."""

from __future__ import annotations

import importlib
import re

import numpy as np
import pytest

from perfmodel.errors import RunnerError
from perfmodel.formats.load import READERS
from perfmodel.graph.builder import GraphBuilder
from perfmodel.graph.ir import Graph
from perfmodel.kernels.fusion_rules import fusion_rules, rules_on
from perfmodel.runners.host_frameworks import FRAMEWORKS, host_framework, own_profile
from perfmodel.runners.named_times import kernel_times, owner_of
from perfmodel.runners.worker_side import RUNNERS
from perfmodel.target import PRECISIONS, SLUG


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_what_an_entry_names_exists(name: str) -> None:
    by = FRAMEWORKS[name]
    assert by.name == name
    assert SLUG.fullmatch(name)
    assert by.runner in RUNNERS
    assert fusion_rules(by.rules)
    assert set(by.precisions) <= set(PRECISIONS)
    assert set(by.zoo_precisions) <= set(by.precisions)
    assert re.fullmatch(r"\.[a-z]+", by.suffix)
    assert by.reads in READERS
    assert bool(by.converter) == (by.reads != by.suffix)
    assert by.rules in (by.name, rules_on(by.name, "cpu"))
    for place in (by.writer, by.kernel_times, by.file_times, by.lists_operators, by.converter):
        if place:
            module, _, function = place.partition(":")
            assert callable(getattr(importlib.import_module(module), function))


def test_an_unknown_framework_or_precision_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RunnerError, match="tflite"):
        host_framework("abacus")
    with pytest.raises(RunnerError, match="does not run fp16 here"):
        FRAMEWORKS["tflite"].stored("fp16")


def test_profiles_of_frameworks_do_not_overwrite_each_other() -> None:
    assert len({own_profile(name) for name in FRAMEWORKS}) == len(FRAMEWORKS)
    assert str(own_profile()) == "host.json"


def network() -> Graph:
    g = GraphBuilder("named")
    x = g.conv(g.input((1, 8, 8, 3)), 16, 3, activation="relu", name="a")
    return g.build(g.op("swish", g.conv(x, 8, 1, name="b/c"), name="d"))


def test_times_are_put_down_to_the_kernels_of_their_names() -> None:
    graph = network()
    kernels = FRAMEWORKS["tflite"].fused(graph)
    listed = {
        "0 reorder": (1.0, 3.0),
        "1 a": (10.0, 12.0),
        "2 b/c/folded": (5.0,),
        "3 reorder": (2.0,),
        "4 d/sigmoid": (3.0,),
        "5 d": (4.0,),
    }
    times = kernel_times(graph, "float32", kernels, listed)
    # what bears no name counts to the kernel before it, or to the first
    assert times == pytest.approx(np.array([13.0, 7.0, 7.0]))


def test_a_list_of_other_names_is_refused() -> None:
    graph = network()
    kernels = FRAMEWORKS["tflite"].fused(graph)
    listed = {"0 a": (1.0,), "1 stranger": (2.0,), "2 other": (2.0,)}
    with pytest.raises(RunnerError, match="other operators"):
        kernel_times(graph, "float32", kernels, listed)
    listed["2 d"] = listed.pop("2 other")
    assert kernel_times(graph, "float32", kernels, listed).tolist() == [3.0, 0.0, 2.0]


def test_the_longest_leading_part_that_is_a_name_owns_a_time() -> None:
    at = {"a": 0, "a/b": 1}
    assert [owner_of(n, at) for n in ("a", "a/b", "a/b/c", "a/c", "b")] == [0, 1, 1, 0, -1]


def test_of_a_lone_kernel_everything_is_its_own_whatever_it_is_called() -> None:
    g = GraphBuilder("lone")
    graph = g.build(g.conv(g.input((1, 8, 8, 3)), 16, 3, activation="relu", name="a"))
    kernels = FRAMEWORKS["openvino"].fused(graph)
    listed = {"0 LSTMSequence_1": (2.0, 4.0), "1 LSTMSequence_2": (5.0,)}
    assert kernel_times(graph, "float32", kernels, listed).tolist() == [8.0]
