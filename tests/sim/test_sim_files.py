"""Scenario files: what is refused and how, cases and overrides; same seed, same records."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenarios import offload

from perfmodel.cli.app import run
from perfmodel.errors import ScenarioError
from perfmodel.render.simulation import simulation_result, simulation_sentence
from perfmodel.sim import Tracer, simulate
from perfmodel.sim.files import cases_of, load_cases, set_path

GOOD = """
name = "test"
seed = 5
compare = ["device", "cloud"]

[link]
uplink_mbps = 10
downlink_mbps = 20
rtt_ms = 30

[server]
replicas = 1

[task]
deadline_ms = 80

[task.workload]
kind = "poisson"
rate_per_s = 5
requests = 300

[task.on_device]
compute_ms = 70

[task.on_server]
upload_bytes = 20000
compute_ms = { kind = "exponential", mean = 10 }
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    file = tmp_path / "good.toml"
    file.write_text(GOOD)
    return file


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        ("uplink_mbps = 10", "uplink_mbps = -10", "link.uplink_mbps must be > 0, got -10"),
        ("replicas = 1", "replicas = 0", "server.replicas must be >= 1, got 0"),
        ("replicas = 1", "replicas = 1.5", "server.replicas must be a whole number"),
        ("replicas = 1", "replicsa = 1", "did you mean 'replicas'?"),
        ("rate_per_s = 5", "rate_per_s = nan", "task.workload.rate_per_s must be finite"),
        ("rate_per_s = 5", 'rate_per_s = "5"', "task.workload.rate_per_s must be a number"),
        ("rate_per_s = 5", "", "a poisson workload needs rate_per_s"),
        ('kind = "poisson"', 'kind = "poison"', "did you mean 'poisson'?"),
        ('kind = "poisson"', "", "[task.workload] kind is missing"),
        ("compute_ms = 70", "compute_ms = -1", "task.on_device.compute_ms the value must be"),
        ("mean = 10", "men = 10", "needs exactly mean"),
        ("[link]", "[lnk]", "did you mean 'link'?"),
        ("rtt_ms = 30", "loss = 0.9", "link.loss must be <= 0.5"),
        ("rtt_ms = 30", "", "[link] rtt_ms is missing"),
        ('compare = ["device", "cloud"]', 'compare = ["clod"]', "did you mean 'cloud'?"),
        ("requests = 300", "", "say how long: requests or duration_s"),
        (
            "seed = 5",
            "seed = 5\nwarmup_requests = 300",
            "no request was answered after the warm-up",
        ),
        ("[task.on_device]", "[task.on_divice]", "did you mean 'on_device'?"),
        ("[server]", "[server", "not a TOML file"),
        ("compute_ms = 70", 'model = "alexnet"', "needs a target"),
    ],
)
def test_bad_input_is_refused_by_name(
    scenario: Path, line: str, instead: str, message: str
) -> None:
    scenario.write_text(GOOD.replace(line, instead))
    with pytest.raises(ScenarioError) as error:
        simulate(scenario)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("case", [{"nam": "a"}], "[[case]] unknown key 'nam'; did you mean 'name'?"),
        ("case", [{"set": {}}], "[[case]] name is missing"),
        ("case", [{"name": 1}], "[[case]] name must be a text, got 1"),
        (
            "group",
            [{"name": "a", "set": 3}],
            "[[group]] set must be a table of dotted paths",
        ),
        ("group", [3], "[[group]] must be a table, got 3"),
        ("group", {"name": "a"}, "group must be an array of tables, written [[group]]"),
        ("case", [{"name": "a"}, {"name": "a"}], "two cases are named 'a'"),
        ("compare", ["cloud", "cloud"], "two cases are named 'cloud'"),
        ("compare", [["cloud"]], "compare: unknown policy ['cloud']"),
        ("compare", "cloud", "compare must be a list of policies, got 'cloud'"),
        ("compare", [3], "compare: unknown policy 3"),
    ],
)
def test_cases_that_make_no_sense_are_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        cases_of({**offload(), key: value})
    assert str(error.value).startswith(message)


def test_a_change_may_be_written_as_dotted_paths_or_as_tables() -> None:
    law = {"kind": "exponential", "mean": 3.0}
    for change in (
        {"task.on_server.compute_ms": law, "link.rtt_ms": 7},
        {"task": {"on_server": {"compute_ms": law}}, "link": {"rtt_ms": 7}},
    ):
        (case,) = cases_of({**offload(), "case": [{"name": "c", "set": change}]})
        plan = case.scenario.task[0].on_server
        assert plan is not None
        assert plan.compute_ms is not None
        assert (plan.compute_ms.kind, plan.compute_ms.mean) == ("exponential", 3.0)
        assert case.scenario.link is not None
        assert case.scenario.link.rtt_ms == 7.0


def test_messages_name_the_file(scenario: Path) -> None:
    scenario.write_text(GOOD.replace("replicas", "replicsa"))
    with pytest.raises(ScenarioError, match=r"good\.toml: .*unknown key"):
        load_cases(scenario)


def test_compare_answers_who_wins(scenario: Path) -> None:
    result = simulate(scenario)
    assert [case.name for case in result.cases] == ["device", "cloud"]
    assert result.best.name == "cloud"
    assert result.deadline_miss_rate == result.best.deadline_miss_rate
    assert simulation_sentence(result.to_json()).startswith("cloud is ahead: ")
    assert "figures are of the requests (exact)" in "\n".join(
        simulation_result(result.to_json()).closing
    )
    five = simulate(scenario, replications=5).to_json()
    assert simulation_sentence(five).startswith("cloud wins: ")
    assert "of the requests of all replications together (exact)" in "\n".join(
        simulation_result(five).closing
    )


def test_groups_times_cases(scenario: Path) -> None:
    scenario.write_text(
        GOOD
        + """
[[group]]
name = "small"
set = { "task.on_server.upload_bytes" = 1000 }
[[group]]
name = "large"
[group.set]
task.on_server.upload_bytes = 900000
"""
    )
    result = simulate(scenario)
    assert [(case.group, case.name) for case in result.cases] == [
        ("small", "device"),
        ("small", "cloud"),
        ("large", "device"),
        ("large", "cloud"),
    ]
    assert {group: verdict.leader.name for group, verdict in result.verdicts().items()} == {
        "small": "cloud",
        "large": "device",
    }


def test_paths_reach_into_arrays_by_name() -> None:
    tables: dict[str, Any] = {"task": [{"name": "a", "priority": 1}, {"name": "b"}]}
    set_path(tables, "task.b.priority", 5)
    set_path(tables, "task.policy", "cloud")
    assert tables["task"] == [
        {"name": "a", "priority": 1, "policy": "cloud"},
        {"name": "b", "priority": 5, "policy": "cloud"},
    ]


def test_overrides_replace_values_of_the_file(scenario: Path) -> None:
    result = simulate(scenario, overrides={"task.workload.requests": 7})
    assert result.cases[0].requests == 7


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("task.policy", "cloud", "compare = ['device', 'cloud']"),
        ("task", {"policy": "cloud"}, "as task.on_server.upload_bytes, by [[group]] 'large'"),
        ("task.on_server.upload_bytes", 1000, "[[group]] 'large'"),
        ("task.on_server.compute_ms.mean", 20, "as task.on_server.compute_ms, by [[case]]"),
        ("server.replicas", 2, "[[case]] 'two servers'"),
    ],
)
def test_a_value_that_the_scenario_would_override_is_refused_with_both_places(
    scenario: Path, path: str, value: Any, place: str
) -> None:
    scenario.write_text(
        GOOD
        + """
[[group]]
name = "large"
set = { task.on_server.upload_bytes = { kind = "gamma", mean = 900000, cv = 1 } }
[[case]]
name = "two servers"
set = { server.replicas = 2, task.on_server.compute_ms = 3 }
"""
    )
    with pytest.raises(ScenarioError) as error:
        load_cases(scenario, {path: value})
    assert f"{path} is set from outside" in error.value.message
    assert place in error.value.message
    assert "take it out of one of the two places" in error.value.hint


def test_overrides_beside_what_the_cases_set_are_taken(scenario: Path) -> None:
    cases = load_cases(scenario, {"task.deadline_ms": 90, "server.replicas": 3})
    assert [case.scenario.task[0].deadline_ms for case in cases] == [90, 90]
    assert [case.scenario.task[0].policy for case in cases] == ["device", "cloud"]


def test_the_policies_compared_can_be_varied_themselves(scenario: Path) -> None:
    (case,) = load_cases(scenario, {"compare": ["cloud"]})
    assert case.scenario.task[0].policy == "cloud"


def test_a_policy_that_a_case_sets_and_compare_overrides_is_refused(scenario: Path) -> None:
    scenario.write_text(GOOD + '[[case]]\nname = "c"\nset = { task.policy = "device" }\n')
    with pytest.raises(ScenarioError, match=r"set by compare = .*again by \[\[case\]\] 'c'"):
        load_cases(scenario)


def test_paths_that_meet_in_an_array_are_the_same_place() -> None:
    tables = offload()
    tables["task"] = [{**tables["task"], "name": "a"}, {**tables["task"], "name": "b"}]
    assert len(cases_of(tables, {"task.a.priority": 1, "task.b.priority": 2})) == 1
    for one, other in (
        ("task.a.priority", "task.priority"),
        ("task.0.priority", "task.a.priority"),
    ):
        with pytest.raises(ScenarioError, match="set the same value"):
            cases_of(tables, {one: 1, other: 2})


def test_tables_take_overrides_like_files() -> None:
    tables = offload(task__workload__requests=3)
    assert simulate(tables, overrides={"task.workload.requests": 5}).requests == 5
    assert simulate(tables).requests == 3
    ready = cases_of(tables)[0].scenario
    assert simulate(ready).requests == 3
    with pytest.raises(ScenarioError, match="not for a Scenario"):
        simulate(ready, overrides={"task.workload.requests": 5})


def test_same_seed_gives_the_same_records_with_any_number_of_workers(scenario: Path) -> None:
    one = simulate(scenario, replications=3, keep_records=True)
    two = simulate(scenario, replications=3, keep_records=True, workers=2)
    assert one.records.equals(two.records)
    assert one.to_json()["cases"] == two.to_json()["cases"]
    other = simulate(scenario, replications=3, keep_records=True, seed=6)
    assert not other.records.equals(one.records)


def test_replications_differ_and_give_an_interval(scenario: Path) -> None:
    result = simulate(scenario, replications=5, keep_records=True)
    cloud = result.records[result.records.case == "cloud"]
    assert cloud.groupby("replication").latency_ms.mean().nunique() == 5
    low, high = result.intervals["latency_mean_ms"]
    assert low < result.latency_ms["mean"] < high


def test_statistics_are_those_of_the_records(scenario: Path) -> None:
    result = simulate(scenario, keep_records=True)
    cloud = result.records[result.records.case == "cloud"]
    assert result.best.name == "cloud"
    assert result.latency_ms["mean"] == pytest.approx(cloud.latency_ms.mean())
    assert result.latency_ms["p95"] == pytest.approx(np.percentile(cloud.latency_ms, 95))
    assert result.deadline_miss_rate == pytest.approx((cloud.latency_ms > 80).mean())
    assert result.wait_ms["mean"] == pytest.approx(cloud.queue_ms.mean())


def test_an_unstable_queue_says_how_fast_it_grows(scenario: Path) -> None:
    scenario.write_text(GOOD.replace("rate_per_s = 5", "rate_per_s = 150"))
    result = simulate(scenario)
    cloud = result.cases[1]
    # 150 per second come, 100 can be served; the uplink takes 16 ms each: 62.5 per second
    assert any(
        "server is offered 1.50" in text and "50 requests per" in text for text in cloud.warnings
    )
    assert any("uplink is offered 2.40" in text for text in cloud.warnings)


def test_an_unstable_adaptive_run_is_noticed_by_its_backlog() -> None:
    tables = offload(
        task__policy="adaptive",
        task__workload={"kind": "poisson", "rate_per_s": 200.0, "requests": 2000},
    )
    result = simulate(tables)
    assert "backlog grew by about" in result.warnings[0]


def test_a_stable_queue_does_not_warn(scenario: Path) -> None:
    assert not any(case.warnings for case in simulate(scenario).cases)


def test_json_has_the_promised_keys(scenario: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", str(scenario), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["latency_ms"]) >= {"mean", "p50", "p95", "p99"}
    steps = {"load", "preprocess", "upload", "queue", "compute", "download"}
    assert set(answer["steps_ms"]) >= steps
    keys = ["requests", "wait_ms", "deadline_miss_rate", "energy_mj", "utilization"]
    for key in [*keys, "replications", "seed", "elapsed_s"]:
        assert key in answer


def test_records_and_trace_are_written(scenario: Path, tmp_path: Path, capsys: Any) -> None:
    records, trace = tmp_path / "records.csv", tmp_path / "trace.json"
    written = ["--records", str(records), "--trace", str(trace)]
    assert run(["simulate", str(scenario), *written]) == 0
    assert len(records.read_text().splitlines()) == 1 + 2 * 300
    assert "records:" in capsys.readouterr().out
    assert json.loads(trace.read_text())["traceEvents"]


def test_records_of_an_unknown_kind_are_refused_before_the_run(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", str(scenario), "--records", "records.xls"]) == 2
    assert ".csv or .parquet" in capsys.readouterr().err


def test_a_trace_joins_the_steps_of_a_request_by_a_flow() -> None:
    tracer = Tracer()
    simulate(offload(), tracer=tracer)
    events = tracer.to_json()["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert [event["name"] for event in slices] == ["preprocess", "upload", "serve", "download"]
    assert [(event["ts"], event["dur"]) for event in slices] == [
        pytest.approx(pair) for pair in [(0, 5e3), (5e3, 20e3), (40e3, 12e3), (52e3, 400)]
    ]
    flow = [event["ph"] for event in events if event.get("cat") == "request"]
    assert flow == ["s", "t", "t", "f"]
    names = {e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    assert names == {"cpu", "uplink", "replica 0", "downlink"}


def test_slices_that_overlap_get_tracks_of_their_own() -> None:
    tracer = Tracer()
    tables = offload(
        task__policy="device",
        device__cpu={"slots": 2},
        task__workload={"kind": "trace", "times_s": [0.0, 0.01, 0.02]},
    )
    simulate(tables, tracer=tracer)
    events = tracer.to_json()["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    for tid in {event["tid"] for event in slices}:
        mine = sorted((e["ts"], e["ts"] + e["dur"]) for e in slices if e["tid"] == tid)
        for (_, end), (start, _) in pairwise(mine):
            assert start >= end - 1e-3
    names = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert names == {"cpu", "cpu (2)"}


def test_a_batch_is_one_slice_of_its_requests() -> None:
    tracer = Tracer()
    tables = offload(
        task__workload={"kind": "trace", "times_s": [0.0, 0.0]},
        task__on_server={"batch_sizes": [1, 2], "batch_ms": [10, 15]},
        server__batching={"max_size": 2, "timeout_ms": 20.0},
    )
    simulate(tables, tracer=tracer)
    events = tracer.to_json()["traceEvents"]
    batches = [event for event in events if event["name"] == "batch of 2"]
    assert [event["args"]["requests"] for event in batches] == [[0, 1]]
