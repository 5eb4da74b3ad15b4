"""Domains: declared once with the field, and the same for files, --set and laws."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenarios import offload

from docs.writer.values.scenarios import TABLES
from perfmodel.errors import ScenarioError
from perfmodel.sim import Scenario, simulate, toml
from perfmodel.sim.distributions import constant, random_stream, read_distribution
from perfmodel.sim.files import cases_of, load_cases
from perfmodel.sim.policy import POLICIES
from perfmodel.sim.schema import (
    Domain,
    OneOf,
    Quantity,
    SchemaTable,
    declared_at,
    read_table,
    table_at,
)
from perfmodel.sim.tables import LinkSpec, UnitSpec


def all_fields(cls: type[SchemaTable] = Scenario, path: str = "") -> list[str]:
    """The dotted paths of every value of a scenario."""
    found = []
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        here = f"{path}{item.name}"
        inner = table_at(Scenario, here.split("."))
        found += [here] if inner is None else all_fields(inner, f"{here}.")
    return found


LISTS = {"times_s", "trace_mbps", "states_mbps", "dwell_s", "batch_sizes", "batch_ms"}


def test_every_value_of_a_scenario_has_a_declaration() -> None:
    paths = all_fields()
    assert len(paths) > 100
    for path in paths:
        assert declared_at(Scenario, path) is not None, path


def test_every_number_of_a_unit_says_its_unit() -> None:
    """A name that ends in a unit is declared in it."""
    suffixes = {"_ms": "ms", "_s": "s", "_mb": "MB", "_mw": "mW", "_hz": "Hz", "_mbps": "Mbit/s"}
    for path in all_fields():
        declared = declared_at(Scenario, path)
        unit = getattr(declared, "unit", None)
        for suffix, expected in suffixes.items():
            if path.endswith(suffix) and not path.endswith(("per_s", "per_mbps", "per_mb")):
                assert unit == expected, path
        if path.endswith("bytes"):
            assert unit == "bytes"


@pytest.mark.parametrize(
    ("domain", "good", "bad"),
    [
        (Domain(above=0), [1e-9, 1, 1e12], [0, -0.0, -1e-300, 5e-324, 9e-10, 1.1e12]),
        (Domain(at_least=0), [0, -0.0, 0.5], [-5e-324, -1]),
        (Domain(at_most=0.5), [0.5, -3], [math.nextafter(0.5, 1), 1]),
        (Domain(at_least=1, whole=True), [1, 10**6], [0, -1, 1.0, 1.5, True]),
        (Domain(), [-1e12, 0, 1e12], [math.inf, math.nan, 10**400, -1.1e12, "1", None, True]),
        (Domain(whole=True), [10**18], [10**400, 1e3]),
    ],
)
def test_a_domain_ends_where_it_says(domain: Domain, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert domain.read(value) == value
    for value in bad:
        with pytest.raises(ScenarioError, match="must be"):
            domain.read(value)


def test_a_domain_in_words() -> None:
    assert Domain("ms", above=0).allowed == "ms > 0"
    assert Domain(at_least=0, at_most=1).allowed == "number >= 0 and <= 1"
    assert Domain(at_least=1, whole=True).allowed == "whole number >= 1"
    assert Quantity("bytes").allowed == "bytes >= 0, or a distribution"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("link.loss", 0.6, "link.loss must be <= 0.5, got 0.6"),
        ("link.uplink_mbps", 0, "link.uplink_mbps must be > 0, got 0"),
        ("link.uplink_mbps", "fast", "link.uplink_mbps must be a number, got 'fast'"),
        ("device.cpu.slots", 1.5, "device.cpu.slots must be a whole number, got 1.5"),
        ("device.cpu.slots", True, "device.cpu.slots must be a whole number, got True"),
        ("device.cpu", 3, "device.cpu must be a table, got 3"),
        ("task.split", 3, "task.split must be a list, got 3"),
        ("task.workload.times_s", [1, -2], "task.workload.times_s.1 must be >= 0, got -2"),
        ("task.workload.times_s", 5, "task.workload.times_s must be a list, got 5"),
        ("task.workload.interval_ms", 0, "task.workload.interval_ms must be > 0, got 0"),
        ("task.on_device.resident", 1, "task.on_device.resident must be true or false, got 1"),
        ("task.on_device.model", 1, "task.on_device.model must be a text, got 1"),
        ("task.on_device.unit", "gpo", "task.on_device.unit cannot be 'gpo'; did you mean 'gpu'?"),
        ("task.policy", "clod", "task.policy cannot be 'clod'; did you mean 'cloud'?"),
        ("task.on_server.upload_bytes", -1, "task.on_server.upload_bytes the value must be"),
        ("task.on_server.compute_ms", {"kind": "gama"}, "did you mean 'gamma'?"),
        ("task.workload.kynd", 1, "[task.workload] unknown key 'kynd'; did you mean 'kind'?"),
        ("device.memory.heap_md", 1, "[device.memory] unknown key 'heap_md'; did you mean 'heap"),
        ("task.deadline_ms", 10**400, "task.deadline_ms must be finite, got 1000"),
        ("task.deadline_ms", 1e13, "task.deadline_ms must be <= 1e+12, got 10000000000000.0"),
        ("task.deadline_ms", 1e-10, "task.deadline_ms must be >= 1e-09, got 1e-10"),
    ],
)
def test_a_refusal_says_where_what_and_what_is_allowed(path: str, value: Any, message: str) -> None:
    tables = offload()
    with pytest.raises(ScenarioError) as error:
        cases_of(tables, {path: value})
    assert str(error.value).startswith(message) or message in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("link.uplink", {"kind": "trace", "times_s": [0, 1], "trace_mbps": [1]}, "as many entries"),
        ("link.uplink", {"kind": "trace", "times_s": [0, 0], "trace_mbps": [1, 1]}, "must rise"),
        ("link.uplink", {"kind": "trace", "times_s": [0, 1], "trace_mbps": [0, 0]}, "zero through"),
        ("link.uplink", {"kind": "trace", "times_s": [], "trace_mbps": []}, "needs file, or times"),
        ("link.uplink", {"kind": "trace", "times_s": [0]}, "as many entries"),
        ("task.workload", {"kind": "trace", "times_s": [1.0, 0.5]}, "times_s must not go back"),
        ("task.workload", {"kind": "trace", "times_s": []}, "needs file or times_s"),
        ("device.count", 1_000_001, "device.count must be <= 1000000, got 1000001"),
        ("server.replicas", 10**9, "server.replicas must be <= 1000000"),
        ("device.cpu.slots", 10**9, "device.cpu.slots must be <= 1000000"),
        ("server.autoscale", {"max_replicas": 10**9}, "server.autoscale.max_replicas must be <="),
        ("task.workload.group_size", 10**9, "task.workload.group_size must be <= 1000000"),
        ("task.on_server.batch_sizes", [1, 10**9], "task.on_server.batch_sizes.1 must be <= 65536"),
        ("server.batching", {"max_size": 65_537}, "server.batching.max_size must be <= 65536"),
    ],
)
def test_what_would_never_end_or_fill_the_memory_is_refused(
    path: str, value: Any, message: str
) -> None:
    tables = offload()
    if path == "link.uplink":
        del tables["link"]["uplink_mbps"]
    with pytest.raises(ScenarioError) as error:
        cases_of(tables, {path: value})
    assert message in error.value.message


def test_in_an_array_of_several_the_place_has_its_index() -> None:
    tables = offload()
    tables["task"] = [{**tables["task"], "name": "a"}, {**tables["task"], "name": "b"}]
    tables["task"][1]["deadline_ms"] = -1
    with pytest.raises(ScenarioError, match=r"^task\.1\.deadline_ms must be > 0, got -1$"):
        cases_of(tables)


@pytest.mark.parametrize("missing", ["workload", "task"])
def test_a_missing_table_is_named(missing: str) -> None:
    tables = offload()
    (tables["task"] if missing == "workload" else tables).pop(missing)
    with pytest.raises(ScenarioError, match=f"{missing} is missing"):
        cases_of(tables)


def test_tables_made_in_python_are_checked_before_they_run() -> None:
    scenario = read_table(Scenario, offload())
    for change in (
        {"replications": 0},
        {"link": LinkSpec(uplink_mbps=-1.0, downlink_mbps=1.0, rtt_ms=1.0)},
        {"device": dataclasses.replace(scenario.device, cpu=UnitSpec(slots=0))},
    ):
        with pytest.raises(ScenarioError, match="must be >"):
            simulate(dataclasses.replace(scenario, **change))  # type: ignore[arg-type]
    with pytest.raises(ScenarioError, match="replications must be >= 1"):
        simulate(offload(), replications=0)


def test_numbers_become_quantities_whether_from_a_file_or_from_python() -> None:
    spec = LinkSpec(uplink_mbps=1.0, downlink_mbps=1, rtt_ms=1.0, jitter_ms=2.0)  # type: ignore[arg-type]
    assert read_table(LinkSpec, spec).jitter_ms == constant(2.0)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "mean"]), inner)
    ),
    max_leaves=5,
)


@given(path=st.sampled_from(all_fields()), value=json)
def test_whatever_a_value_is_it_is_taken_or_refused_in_words(path: str, value: Any) -> None:
    """Nothing but a ScenarioError comes out, and what --set refuses a file refuses as well."""
    declared = declared_at(Scenario, path)
    assert declared is not None
    in_file = refused(lambda: cases_of(offload(), {path: value}))
    asked = path.split(".")[-1] not in LISTS and value is not None
    if asked and refused(lambda: declared.read(value)):
        assert in_file


def refused(call: Callable[[], Any]) -> bool:
    """Whether a call raises ScenarioError; any other exception fails the test."""
    try:
        call()
    except ScenarioError:
        return True
    return False


@pytest.mark.parametrize(
    "law",
    [
        {"kind": "lognormal", "median": 1e308, "sigma": 50},
        {"kind": "lognormal", "median": 1, "sigma": 100},
        {"kind": "gamma", "mean": 1, "cv": 1e-200},
        {"kind": "gamma", "mean": 1, "cv": 1e200},
        {"kind": "values", "values": ["a"]},
        {"kind": "values", "values": [1, math.nan]},
        {"kind": ["gamma"], "mean": 1},
        {"kind": "exponential", "mean": 10**400},
        {"kind": "normal", "mean": 3, "sd": 1},
        {"kind": "uniform", "low": 2, "high": 1},
        {"kind": "exponential", "mean": -1},
        {"kind": "exponential", "mean": 1.1e12},
    ],
)
def test_distributions_that_cannot_be_drawn_are_refused(law: Any) -> None:
    with pytest.raises(ScenarioError):
        read_distribution(law)


@pytest.mark.parametrize(
    "law",
    [
        {"kind": "lognormal", "mean": 0, "cv": 1},
        {"kind": "lognormal", "median": 0, "sigma": 0.5},
        {"kind": "gamma", "mean": 0, "cv": 1},
        {"kind": "exponential", "mean": 0},
        {"kind": "uniform", "low": 0, "high": 0},
        {"kind": "normal", "mean": 0, "sd": 0},
        {"kind": "values", "values": [0, 0]},
        {"kind": "replay", "values": [0]},
    ],
)
def test_a_law_of_mean_zero_gives_zeros(law: Any) -> None:
    draw = read_distribution(law).draws(np.random.default_rng(0))
    assert [draw() for _ in range(40)] == [0.0] * 40


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task.workload.requests": 10**6, "device.count": 1001}, "asks for 1e+09 requests"),
        ({"task.workload.requests": 10**6, "replications": 1001}, "asks for 1e+09 requests"),
        ({"task.workload": {"kind": "poisson", "rate_per_s": 1e9, "duration_s": 2}}, "2e+09"),
        (
            {
                "task.workload": {"kind": "bursty", "rate_per_s": 1, "on_s": 1e-7, "off_s": 1}
                | {"requests": 1}
            },
            "rate_per_s * on_s must be >= 1e-06 requests a burst",
        ),
    ],
)
def test_more_than_can_be_simulated_is_refused_before_it_starts(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScenarioError) as error:
        cases_of(offload(), changes)
    assert message in str(error.value)


def test_as_many_requests_as_are_simulated_are_taken() -> None:
    most = {"task.workload.requests": 10**6, "device.count": 10, "replications": 100}
    assert cases_of(offload(), most)[0].scenario.replications == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "nested more than 32 deep"),
        ("a = " + "[" * 40 + "]" * 40, "nested more than 32 deep"),
        (".".join("a" * 3000) + " = 1", "nested more than 32 deep"),
        ("a = 0x" + "f" * 5000, "a whole number of more than 1024 bits"),
        ("a = [{b = [0x1" + "0" * 256 + "]}]", "a whole number of more than 1024 bits"),
        ("a = " + "9" * 5000, "not a TOML file"),
        ("a = 1" + "\n# x" * 200, "larger than this file may be (500 bytes)"),
    ],
)
def test_files_that_would_fill_memory_or_stack_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    if "# x" in text:
        monkeypatch.setattr(toml, "MAX_TOML_BYTES", 500)
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(ScenarioError) as error:
        load_cases(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)
    assert len(str(error.value)) < 400


def test_values_of_the_command_line_are_bounded_as_those_of_files_are() -> None:
    deepest = "[" * 30 + "1" + "]" * 30
    assert toml.parse_value(deepest) is not None
    for text in ("[" * 3000 + "]" * 3000, "[" * 33 + "]" * 33, "0x" + "f" * 300):
        with pytest.raises(ScenarioError) as error:
            toml.parse_value(text)
        assert len(str(error.value)) < 200


def test_numbers_of_1024_bits_are_read_and_refused_by_their_own_domain(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("a = 0x" + "f" * 256)
    with pytest.raises(ScenarioError, match="unknown key 'a'"):
        load_cases(file)


@pytest.mark.parametrize(
    ("law", "mean", "sd"),
    [
        ({"kind": "normal", "mean": 4.0, "sd": 1.0}, 4.0, 1.0),
        ({"kind": "uniform", "low": 2.0, "high": 8.0}, 5.0, 6 / math.sqrt(12)),
        ({"kind": "gamma", "mean": 3.0, "cv": 0.5}, 3.0, 1.5),
        ({"kind": "lognormal", "median": 2.0, "sigma": 0.5}, 2 * math.exp(0.125), None),
        ({"kind": "exponential", "mean": 7.0}, 7.0, 7.0),
        ({"kind": "values", "values": [1.0, 3.0]}, 2.0, 1.0),
    ],
)
def test_draws_have_the_stated_mean_and_are_never_negative(
    law: Any, mean: float, sd: float | None
) -> None:
    draw = read_distribution(law).draws(np.random.default_rng(7))
    values = np.array([draw() for _ in range(200_000)])
    assert values.min() >= 0
    assert values.mean() == pytest.approx(mean, rel=0.01)
    assert read_distribution(law).mean == pytest.approx(mean)
    if sd is not None:
        assert values.std() == pytest.approx(sd, rel=0.02)


def test_a_normal_is_cut_at_zero_and_not_folded() -> None:
    """Draws below zero are drawn anew: the sequence is that of the others, in order."""
    law = read_distribution({"kind": "normal", "mean": 4.0, "sd": 1.0})
    whole = np.random.default_rng(3).standard_normal(400_000) + 4.0
    assert (whole < 0).sum() > 3
    draw = law.draws(np.random.default_rng(3))
    kept = whole[whole >= 0][:300_000]
    assert np.array_equal([draw() for _ in range(len(kept))], kept)


def test_every_source_of_chance_has_a_stream_of_its_own() -> None:
    def first(*key: Any) -> float:
        return float(random_stream(*key).random())

    assert first(1, 2, "arrivals") == first(1, 2, "arrivals", 0)
    others = [(2, 2, "arrivals"), (1, 3, "arrivals"), (1, 2, "jitter"), (1, 2, "arrivals", 1)]
    assert len({first(*key) for key in [(1, 2, "arrivals"), *others]}) == 5


def test_one_table_of_policies_drives_the_schema_and_the_documents() -> None:
    declared = declared_at(Scenario, "task.policy")
    assert isinstance(declared, OneOf)
    assert declared.choices == tuple(POLICIES)
    docs = (Path(__file__).resolve().parents[2] / "docs" / "scenarios.md").read_text()
    for name in POLICIES:
        assert re.search(rf"^\| `{name}` \| ", docs, re.M)


def test_the_page_of_scenarios_has_every_table() -> None:
    """That the page holds what the tables say now is tested with all pages (tests/test_docs.py)."""
    assert {table for _, table in TABLES} == {
        Scenario,
        *(table_at(Scenario, path.split(".")[:-1]) for path in all_fields()),
    }


def test_tables_cannot_be_changed_and_are_made_by_keyword() -> None:
    tables = {table_at(Scenario, path.split(".")[:-1]) for path in all_fields()}
    assert len(tables) == 17
    for table in tables:
        parameters = table.__dataclass_params__  # type: ignore[union-attr]
        assert parameters.frozen
        assert all(item.kw_only for item in dataclasses.fields(table))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "without", "message"),
    [
        ("device", "task.on_device", "needs [task.on_device]"),
        ("cloud", "task.on_server", "needs [task.on_server]"),
        ("cloud", "server", "needs [server]"),
        ("adaptive", "task.on_device", "needs [task.on_device]"),
        ("adaptive", "task.on_server", "needs [task.on_server]"),
        ("deadline", "task.deadline_ms", "needs deadline_ms"),
        ("deadline", "task.on_device", "needs [task.on_device]"),
        ("hedged", "task.on_server", "needs [task.on_server]"),
        ("split", "task.split_after", "the name of a [[task.split]] (pool5)"),
        ("split", "server", "needs [server]"),
    ],
)
def test_a_policy_says_what_it_lacks(policy: str, without: str, message: str) -> None:
    cut = {"after": "pool5", "head_ms": 1.0, "tail_ms": 1.0, "upload_bytes": 1}
    tables = offload(
        task__policy=policy, task__deadline_ms=100.0, task__split=[cut], task__split_after="pool5"
    )
    assert len(cases_of(tables)) == 1
    place: Any = tables
    *outside, key = without.split(".")
    for step in outside:
        place = place[step]
    del place[key]
    with pytest.raises(ScenarioError) as error:
        cases_of(tables)
    assert message in error.value.message


def test_reading_the_tables_is_what_imports_pydantic() -> None:
    code = (
        "import sys, perfmodel.sim.scenario, perfmodel.explore.sweep\n"
        "assert 'pydantic' not in sys.modules\n"
        "from perfmodel.sim.schema import read_table\n"
        "read_table(perfmodel.sim.scenario.LinkSpec, {})\n"
        "assert 'pydantic' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
