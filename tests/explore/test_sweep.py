"""Sweeps: what is varied, where it runs, that it resumes."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from made_phones import MakePhone

from perfmodel.cli.app import run
from perfmodel.errors import PerfmodelError, ScenarioError
from perfmodel.explore.design import make_design
from perfmodel.explore.executor import run_processes
from perfmodel.explore.simulated_points import FIGURES
from perfmodel.explore.sweep import whatif
from perfmodel.explore.varied import Law, Varied, parse_sample, parse_set

CPU = "cpu/ncnn/fp32/t1"
SCENARIO = """
name = "one server"
[server]
replicas = 1
[task]
policy = "cloud"
[task.workload]
kind = "periodic"
period_ms = 10
requests = 20
[task.on_server]
compute_ms = 2
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    return path


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1,2.5,x,true", (1, 2.5, "x", True)),
        ("a=1:7:2", (1, 3, 5, 7)),
        ("a=0.1:0.5:0.1", (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("a=5,1:3:1", (5, 1, 2, 3)),
        ("a={ kind = 'gamma', mean = 4, cv = 1 },3", ({"kind": "gamma", "mean": 4, "cv": 1}, 3)),
    ],
)
def test_values_to_set(text: str, values: tuple[object, ...]) -> None:
    assert parse_set(text) == Varied("a", values)


@pytest.mark.parametrize("text", ["a", "=1", "a=", "a=3:1:1", "a=1:3:0", "a=1,,2", "a={x"])
def test_values_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ScenarioError):
        parse_set(text)


@pytest.mark.parametrize(
    "text",
    ["a=5", "a=gauss(1,2)", "a=uniform(2,1)", "a=lognormal(1)", "a=normal(0,-1)", "a=choice()"],
)
def test_laws_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ScenarioError):
        parse_sample(text)


@pytest.mark.parametrize(
    ("text", "mean", "deviation"),
    [
        ("a=uniform(2, 8)", 5.0, 6 / math.sqrt(12)),
        ("a=normal(3, 2)", 3.0, 2.0),
        ("a=lognormal(8, 0.5)", 8.0, 4.0),
        ("a=triangular(0, 3, 6)", 3.0, math.sqrt(1.5)),
        ("a=loguniform(1, 10)", 9 / math.log(10), None),
    ],
)
def test_a_sampled_law_has_its_mean_and_deviation(
    text: str, mean: float, deviation: float | None
) -> None:
    values = make_design([], [parse_sample(text)], 4000).columns["a"].astype(float)
    assert values.mean() == pytest.approx(mean, rel=0.01)
    if deviation is not None:
        assert values.std() == pytest.approx(deviation, rel=0.02)


def test_a_latin_hypercube_has_one_point_in_every_stratum() -> None:
    laws = [Law("a", "uniform", (0, 1)), Law("b", "uniform", (0, 1))]
    design = make_design([], laws, 50)
    for path in ("a", "b"):
        strata = np.floor(design.columns[path].astype(float) * 50)
        assert sorted(strata.tolist()) == list(range(50))


def test_a_grid_holds_every_combination_times_the_samples() -> None:
    design = make_design(
        [parse_set("a=1,2"), parse_set("b=x,y,z")], [parse_sample("c=normal(0,1)")], 4
    )
    assert design.count == 24
    points = design.points(0, 24)
    assert len({(p["a"], p["b"]) for p in points}) == 6
    assert points[0]["c"] == points[4]["c"]


def test_a_path_is_varied_once() -> None:
    with pytest.raises(ScenarioError, match="varied twice"):
        make_design([parse_set("a=1,2")], [parse_sample("a=normal(0,1)")])


def test_a_path_given_once_and_once_more_is_refused(scenario: Path) -> None:
    with pytest.raises(ScenarioError, match="varied twice"):
        whatif(scenario, sets=["server.replicas=1", "server.replicas=2"])
    with pytest.raises(ScenarioError, match="varied twice"):
        whatif(scenario, sets=["server.replicas=1"], samples=["server.replicas=choice(1, 2)"])


def test_a_sweep_of_what_the_scenario_overrides_is_refused(scenario: Path) -> None:
    scenario.write_text('compare = ["cloud"]\n' + SCENARIO)
    with pytest.raises(ScenarioError, match=r"again by compare = \['cloud'\]"):
        whatif(scenario, sets=["task.policy=device,cloud"])


def test_a_sweep_over_policies_simulates_each_of_them(scenario: Path) -> None:
    on_device = "[task.on_device]\ncompute_ms = 7\n"
    scenario.write_text('compare = ["device", "cloud"]\n' + SCENARIO + on_device)
    answer = whatif(scenario, sets=['compare=["device"],["cloud"]'])
    assert answer.frame["p95_ms"].tolist() == pytest.approx([7.0, 2.0])
    assert answer.frame["case"].tolist() == ["device", "cloud"]
    assert answer.effects[0].share == pytest.approx(1.0)


def test_a_prediction_over_targets_widths_and_slowdown(phones: MakePhone) -> None:
    phones("a", {CPU: 50.0, "gpu/ncnn/fp16": 10.0})
    phones("b", {CPU: 20.0})
    answer = whatif(
        model="mobilenet_v1", target="a/cpu", sets=["device=a,b", "unit=cpu,gpu", "slowdown=1,3"]
    )
    found = {
        (r["device"], r["unit"], r["slowdown"]): r["latency_ms"]
        for r in answer.frame.to_dict("records")
    }
    assert found["a", "gpu", 3] == pytest.approx(30.0)
    assert found["b", "cpu", 1] == pytest.approx(20.0)
    assert math.isnan(found["b", "gpu", 1])
    assert answer.failed == 2
    assert "b has no target" in answer.frame["problem"].iloc[-1]
    assert answer.best is not None
    assert (answer.best["device"], answer.best["unit"]) == ("a", "gpu")


def test_the_cloud_takes_upload_round_trip_server_and_download(phones: MakePhone) -> None:
    phones("phone", {CPU: 50.0})
    phones("box", {"gpu/ncnn/fp32": 5.0}, kind="server")
    answer = whatif(
        model="mobilenet_v1",
        target="phone/cpu",
        sets=[
            "server=box/gpu",
            "link.uplink_mbps=8,80",
            "link.rtt_ms=10",
            "upload_bytes=50000",
            "download_bytes=1000",
        ],
    )
    # 50,000 bytes at 8 Mbit/s take 50 ms, 1,000 bytes 1 ms: 5 + 10 + 50 + 1; a tenth at 80 Mbit/s
    assert answer.frame["cloud_ms"].tolist() == pytest.approx([66.0, 20.1])
    assert answer.frame["place"].tolist() == ["device", "cloud"]
    assert answer.metric == "best_ms"


def test_the_front_weighs_latency_against_published_accuracy() -> None:
    answer = whatif(
        model="mobilenet_v2", target="snapdragon-855-plus/cpu", sets=["width=0.5,1.0,1.4"]
    )
    assert "accuracy" in answer.objectives
    assert answer.front_size == 3  # each wider network is slower and more accurate
    assert answer.effects[0].path == "width"


def test_an_unknown_path_is_an_error_before_anything_runs(
    phones: MakePhone, scenario: Path
) -> None:
    phones("a", {CPU: 50.0})
    with pytest.raises(ScenarioError, match="colour"):
        whatif(model="mobilenet_v1", target="a", sets=["colour=1,2"])
    with pytest.raises(ScenarioError, match="colour"):
        whatif(scenario, sets=["server.colour=1,2"])


def test_a_simulated_sweep_meets_theory(scenario: Path) -> None:
    # a request every 10 ms is served at once while the service takes less than that
    answer = whatif(scenario, sets=["task.on_server.compute_ms=1,2,4"])
    assert answer.frame["mean_ms"].tolist() == pytest.approx([1.0, 2.0, 4.0])
    assert answer.frame["case"].tolist() == ["cloud"] * 3  # a case without a name is its policy
    assert answer.effects[0].rank_correlation == pytest.approx(1.0)


def test_processes_give_the_rows_of_one_process(scenario: Path) -> None:
    sets = ["task.on_server.compute_ms=1:9:1", "server.replicas=1,2"]
    alone = whatif(scenario, sets=sets).frame
    two = whatif(scenario, sets=sets, workers=2).frame
    assert alone.equals(two)


def test_an_interrupted_sweep_goes_on(scenario: Path, tmp_path: Path) -> None:
    sets, output = ["task.on_server.compute_ms=1:8:1"], tmp_path / "out.csv"

    def stop_half_way(done: int, total: int, elapsed_s: float) -> None:
        if done >= total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whatif(scenario, sets=sets, output=output, progress=stop_half_way)
    with open(output, "a") as file:
        file.write("7,8,clou")  # what a kill in the middle of a write leaves
    answer = whatif(scenario, sets=sets, output=output)
    assert answer.resumed_points == 4
    assert answer.frame["point"].tolist() == list(range(8))
    fresh = whatif(scenario, sets=sets, output=tmp_path / "fresh.csv")
    assert answer.frame.equals(fresh.frame)
    assert output.read_bytes() == (tmp_path / "fresh.csv").read_bytes()
    again = whatif(scenario, sets=sets, output=output)
    assert again.resumed_points == 8
    header, *rows = output.read_text().splitlines()
    assert header == ",".join(["point", "task.on_server.compute_ms", *FIGURES, "problem"])
    assert [row.split(",")[:3] for row in rows[:2]] == [["0", "1", "cloud"], ["1", "2", "cloud"]]


def test_another_sweep_does_not_overwrite_results(scenario: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    whatif(scenario, sets=["task.on_server.compute_ms=1,2"], output=output)
    with pytest.raises(PerfmodelError, match="something else"):
        whatif(scenario, sets=["task.on_server.compute_ms=1,3"], output=output)
    whatif(scenario, sets=["task.on_server.compute_ms=1,3"], output=output, restart=True)
    mine = tmp_path / "mine.csv"
    mine.write_text("my,own,data\n")
    with pytest.raises(PerfmodelError, match="no sweep wrote it"):
        whatif(scenario, sets=["task.on_server.compute_ms=1,2"], output=mine)
    assert mine.read_text() == "my,own,data\n"


@pytest.mark.ci
def test_parquet_holds_the_same_rows(scenario: Path, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    sets, output = ["task.on_server.compute_ms=1,2,3"], tmp_path / "out.parquet"
    answer = whatif(scenario, sets=sets, output=output)
    assert pd.read_parquet(output)["p95_ms"].tolist() == answer.frame["p95_ms"].tolist()
    assert not output.with_name("out.parquet.partial").exists()
    assert whatif(scenario, sets=sets, output=output).resumed_points == 3


class DiesOnce:
    """A job whose process kills itself the first time it meets point 3."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __call__(self, points: list[dict[str, int]]) -> list[dict[str, int]]:
        if points[0]["x"] == 3 and not self.mark.exists():
            self.mark.write_text("died")
            os.kill(os.getpid(), signal.SIGKILL)
        return [{"y": 10 * p["x"]} for p in points]


def chunk(number: int) -> list[dict[str, int]]:
    return [{"x": number}]


def test_a_killed_process_loses_nothing(tmp_path: Path) -> None:
    job = DiesOnce(tmp_path / "mark")
    rows = dict(run_processes(job, range(8), chunk, 2))  # type: ignore[arg-type]
    assert rows == {n: [{"y": 10 * n}] for n in range(8)}
    assert (tmp_path / "mark").exists()


@contextmanager
def dask_cluster() -> Iterator[object]:
    distributed = pytest.importorskip("distributed", reason="the extra perfmodel[dask] is absent")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


@pytest.mark.ci
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_gives_the_same_rows_though_a_worker_is_killed(scenario: Path) -> None:
    sets = ["task.on_server.compute_ms=1:9:0.25", "task.workload.requests=2000,2001"]
    alone = whatif(scenario, sets=sets).frame
    with dask_cluster() as cluster:
        killed: list[int] = []

        def kill_one(done: int, total: int, elapsed_s: float) -> None:
            if not killed:
                worker = next(iter(cluster.workers.values()))  # type: ignore[attr-defined]
                killed.append(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)

        address = cluster.scheduler_address  # type: ignore[attr-defined]
        swept = whatif(scenario, sets=sets, dask=address, progress=kill_one).frame
    assert killed
    assert swept.equals(alone)


@pytest.mark.ci
def test_no_cluster_at_the_address_is_an_error(scenario: Path) -> None:
    pytest.importorskip("distributed", reason="the extra perfmodel[dask] is absent")
    with pytest.raises(PerfmodelError, match="no Dask cluster answers"):
        whatif(scenario, sets=["server.replicas=1,2"], dask="tcp://127.0.0.1:1")


def test_the_command_answers_in_words_and_json(
    scenario: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["whatif", str(scenario), "--set", "task.on_server.compute_ms=1,2,4"]
    assert run([*arguments, "--workers", "1"]) == 0
    assert "p95_ms goes from 1.00 to 4.00" in capsys.readouterr().out
    assert run([*arguments, "--workers", "1", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["effects"][0]["path"] == "task.on_server.compute_ms"
    assert len(data["rows"]) == data["points"] == 3
    assert run([*arguments, "--metric", "nonsense"]) == 2
