"""Ten thousand damaged files of every kind of data: refused in words, or answered soundly."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perfmodel
from perfmodel.devices.profile import read_profile
from perfmodel.errors import PerfmodelError
from perfmodel.explore.fleet import read_fleet
from perfmodel.measurements.read import read_measurements
from perfmodel.render.page_script import SCRIPT
from perfmodel.render.report import rendered
from perfmodel.render.result_file import read_result
from perfmodel.runners.journal import Journal
from perfmodel.sim.files import load_cases
from perfmodel.sim.traces import read_arrivals, read_trace
from tests.hostile.mutants import as_json, campaign, mutated_lines, mutated_tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests" / "measurements" / "samples"
CASES = 10_000

Write = Callable[[random.Random], Path]


def lines_of(seeds: list[Path], folder: Path) -> Write:
    texts = [(p.suffix, p.read_text(encoding="utf-8")) for p in seeds]
    assert texts

    def write(rng: random.Random) -> Path:
        suffix, text = rng.choice(texts)
        path = folder / f"mutant{suffix}"
        path.write_text(mutated_lines(text, rng), encoding="utf-8", newline="")
        return path

    return write


def trees_of(trees: list[Any], folder: Path, dump: Callable[[Any], str], suffix: str) -> Write:
    def write(rng: random.Random) -> Path:
        path = folder / f"mutant{suffix}"
        path.write_text(dump(mutated_tree(rng.choice(trees), rng)), encoding="utf-8")
        return path

    return write


def test_profiles(tmp_path: Path) -> None:
    small = sorted((ROOT / "hw_profiles").glob("*.json"), key=lambda p: p.stat().st_size)[:40:3]
    trees = [json.loads(p.read_text()) for p in small]

    def read(path: Path, rng: random.Random) -> Any:
        profile = read_profile(path)
        if rng.random() > 0.05:
            return {}
        answer = perfmodel.predict("squeezenet", str(profile.targets[0].target), profiles=[path])
        return {"latency_ms": answer.latency_ms, "interval_ms": answer.interval_ms}

    outcomes = campaign("profiles", CASES, trees_of(trees, tmp_path, as_json, ".json"), read)
    assert min(outcomes["refused"], outcomes["read"]) > CASES / 20


def test_scenario_texts(tmp_path: Path) -> None:
    seeds = sorted((ROOT / "examples").glob("*.toml"))

    def read(path: Path, rng: random.Random) -> Any:
        load_cases(path)
        return {}

    outcomes = campaign("texts", CASES, lines_of(seeds, tmp_path), read)
    assert outcomes["refused"] > CASES / 20


def test_tables(tmp_path: Path) -> None:
    seeds = [*sorted(SAMPLES.glob("*.csv")), ROOT / "examples" / "ten_rows.csv"]

    def read(path: Path, rng: random.Random) -> Any:
        table, _ = read_measurements(path, device="my-phone", skip_bad=rng.random() < 0.5)
        return {"latency_ms": table.frame["latency_ms"].dropna().tolist()}

    outcomes = campaign("tables", CASES, lines_of(seeds, tmp_path), read)
    assert outcomes["refused"] > CASES / 20


def test_logs(tmp_path: Path) -> None:
    seeds = [p for p in sorted(SAMPLES.rglob("*")) if p.is_file() and p.suffix != ".csv"]
    seeds = [p for p in seeds if is_text(p)]

    def read(path: Path, rng: random.Random) -> Any:
        table, _ = read_measurements(path, device="my-phone", skip_bad=rng.random() < 0.5)
        return {"latency_ms": table.frame["latency_ms"].dropna().tolist()}

    outcomes = campaign("logs", CASES, lines_of(seeds, tmp_path), read)
    assert outcomes["refused"] > CASES / 20


def is_text(path: Path) -> bool:
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return True


def test_traces(tmp_path: Path) -> None:
    seeds = [p for p in sorted((ROOT / "examples" / "traces").iterdir()) if p.is_file()]
    short = tmp_path / "seeds"
    short.mkdir()
    for seed in seeds:
        text = "\n".join(seed.read_text().splitlines()[:60])
        (short / seed.name).write_text(text)
    (short / "mahimahi.trace").write_text("0\n0\n5\n9\n20\n41\n41\n60\n")
    (short / "pairs.csv").write_text("0 1.5\n1.0 2.5\n2.5 0.25\n")

    def read(path: Path, rng: random.Random) -> Any:
        if rng.random() < 0.5:
            return {"times_s": list(read_arrivals(path))[:100]}
        trace = read_trace(path)
        return {"mbps": list(trace.mbps)[:100], "times_s": list(trace.times_s)[:100]}

    outcomes = campaign("traces", CASES, lines_of(sorted(short.iterdir()), tmp_path), read)
    assert outcomes["refused"] > CASES / 20


def test_journals(tmp_path: Path) -> None:
    campaign_facts = {"networks": 3, "machine": "m"}
    seed = tmp_path / "seed.jsonl"
    with Journal(seed, campaign_facts) as journal:
        for i in range(6):
            journal.add(f"net{i}", {"latency_ms": [1.5 + i, 2.0], "note": "x"})

    def read(path: Path, rng: random.Random) -> Any:
        with Journal(path, campaign_facts) as journal:
            return {"entries": len(journal.entries)}

    outcomes = campaign("journals", CASES, lines_of([seed], tmp_path), read)
    assert min(outcomes["refused"], outcomes["read"]) > CASES / 100


def test_fleets(tmp_path: Path) -> None:
    seed = tmp_path / "fleet.csv"
    seed.write_text("device,share\npixel-4,20\nsnapdragon-888,30.5\n# c\nnobody,1e1\nmi9,5%\n")

    def read(path: Path, rng: random.Random) -> Any:
        return {"shares": list(read_fleet(path).shares.values())}

    outcomes = campaign("fleets", CASES, lines_of([seed], tmp_path), read)
    assert min(outcomes["refused"], outcomes["read"]) > CASES / 20


def test_queries(tmp_path: Path) -> None:
    from perfmodel.cli.queries import answer_queries

    seed = tmp_path / "seed.csv"
    seed.write_text(
        "model,target,batch_size\nsqueezenet,pixel-4/gpu,1\nalexnet,snapdragon-888/cpu/ncnn,2\n"
        "mobilenet_v1@width=0.5,mi9/cpu/mnn,\n"
    )
    answers = tmp_path / "answers.out"

    def read(path: Path, rng: random.Random) -> Any:
        answer_queries(path, answers, (), False, True)
        with open(answers, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [float(r["latency_ms"]) for r in rows if r["latency_ms"]]

    campaign("queries", CASES // 10, lines_of([seed], tmp_path), read)


def test_results(tmp_path: Path) -> None:
    trees = list(made_results(tmp_path))

    def read(path: Path, rng: random.Random) -> Any:
        _, page = rendered(read_result(path))
        # the page's own script is the only one
        assert "<script" not in page.replace(f"<script>{SCRIPT}</script>", "").lower()
        return {}

    write = trees_of(trees, tmp_path, as_json, ".json")
    outcomes = campaign("results", CASES, write, read)
    assert min(outcomes["refused"], outcomes["read"]) > CASES / 20


def made_results(folder: Path) -> list[Any]:
    """The JSON of five commands."""
    from perfmodel.cli.app import run

    asked = (
        "predict squeezenet --on snapdragon-888/cpu/ncnn --json",
        "partition squeezenet --on jetson-agx-xavier/gpu --units dla --json",
        "compare squeezenet mobilenet_v2 --on pixel-4/cpu --on mi9/cpu --json",
        "minspec squeezenet --max-latency-ms 50 --json",
        f"simulate {ROOT / 'examples' / 'mm1.toml'} --json",
    )
    found = []
    for command in asked:
        import contextlib
        import io

        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert run(command.split()) == 0, command
        data = json.loads(out.getvalue())
        for key in ("passing", "failing"):
            if key in data:
                data[key] = data[key][:5]
        found.append(data)
    return found


def test_a_campaign_fails_on_what_it_looks_for(tmp_path: Path) -> None:
    """The net itself: a raw exception, a figure below zero and a long case are caught."""

    def write(rng: random.Random) -> Path:
        path = tmp_path / "x"
        path.write_text("x")
        return path

    def raw(path: Path, rng: random.Random) -> Any:
        raise KeyError("raw")

    def negative(path: Path, rng: random.Random) -> Any:
        return {"a": [1.0, -1.0]}

    def wordless(path: Path, rng: random.Random) -> Any:
        raise PerfmodelError(" ")

    for read in (raw, negative, wordless):
        with pytest.raises(AssertionError):
            campaign("net", 1, write, read)
