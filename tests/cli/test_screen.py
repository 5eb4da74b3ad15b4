"""What a terminal would obey is shown escaped, from whatever file or option it comes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_folder import Perform, small_queue

from perfmodel.devices.registry import builtin_folder
from perfmodel.errors import LONGEST_MESSAGE

EVIL = "E\x1b[31m\x1b]0;t\x07\x9b1m\x7f\u202e\u2066\u200b\r\nFAKE\u2028\tX"
"""Colours, a window's title, an 8-bit escape, delete, reading directions, line ends, a tab."""


def in_toml(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


@pytest.fixture
def evil(perform: Perform, tmp_path: Path) -> Perform:
    """A folder where everything that has a name has an evil one."""
    profile = json.loads((builtin_folder() / "pixel-4.json").read_text())
    profile["title"] = profile["soc"] = EVIL
    for fact in profile["hardware"].values():
        fact["source"] = EVIL
    for target in profile["targets"]:
        for key in ("source", "note", "build"):
            target["provenance"][key] = EVIL
        target["error"]["experiment"] = EVIL
    (tmp_path / "evil.json").write_text(json.dumps(profile))
    queue = small_queue()
    assert 'name = "queue"' in queue or "name =" in queue
    first = next(line for line in queue.splitlines() if line.startswith("name ="))
    (tmp_path / "evil.toml").write_text(queue.replace(first, f"name = {in_toml(EVIL)}", 1))
    (tmp_path / "q.csv").write_text(f'model,target\n"{EVIL}",pixel-4/cpu\nalexnet,"{EVIL}"\n')
    (tmp_path / "fleet.csv").write_text(f'device,share\n"{EVIL}",1\n')
    rows = (tmp_path / "examples" / "ten_rows.csv").read_text().splitlines()
    (tmp_path / "rows.csv").write_text("\n".join([*rows, f'"{EVIL}",' + rows[1]]) + "\n")
    case = {"model": EVIL, "target": EVIL, "predicted_ms": 11.0, "measured_ms": 10.0}
    result = {"experiment": EVIL, "cases": [case], "mape": 0.1, "machine": {EVIL: EVIL}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    layer = EVIL.replace("\t", "").replace("\r\n", "").replace("\u2028", "")
    odd = (tmp_path / "odd.param").read_text()
    (tmp_path / "odd.param").write_text(odd.replace("conv 1 1", f"{layer} 1 1"))
    return perform


COMMANDS = (
    "devices --profile evil.json --match pixel-4",
    "predict alexnet --on pixel-4/cpu --profile evil.json --per-layer",
    "predict odd.param --on pixel-4/cpu --allow-uncovered --per-layer",
    "predict odd.param --on pixel-4/cpu",
    "predict --queries q.csv",
    "inspect odd.param",
    "compare alexnet --on pixel-4/cpu,gpu --profile evil.json",
    "partition alexnet --on pixel-4/gpu --units cpu --profile evil.json",
    "partition odd.param --on pixel-4/cpu -k 2 --by layer-count --allow-uncovered",
    "minspec alexnet --max-latency-ms 50 --profile evil.json",
    "minspec alexnet --max-latency-ms 50 --fleet fleet.csv",
    "select mobilenet_v1 --on pixel-4 --max-latency-ms 50 --profile evil.json",
    "simulate evil.toml",
    "whatif evil.toml --set task.workload.rate_per_s=40,80",
    "whatif --model alexnet --on pixel-4/cpu --set slowdown=1,2 --profile evil.json",
    "calibrate --from rows.csv --device my-phone -o a.json",
    "calibrate --from rows.csv --device my-phone -o a.json --skip-bad",
    "calibrate --from examples/ten_rows.csv --device my-phone --like pixel-4 --profile evil.json",
    "report result.json",
    "validate EVIL",
    "predict EVIL --on pixel-4/cpu",
    "predict alexnet --on EVIL",
    "predict alexnet --on pixel-4/cpu --kind EVIL",
    "predict alexnet --EVIL",
    "EVIL",
    "whatif --model alexnet --on pixel-4/cpu --set EVIL=1,2",
    "whatif --model alexnet --on pixel-4/cpu --set model=EVIL,alexnet",
    "partition alexnet --on pixel-4/cpu --link EVIL",
    "simulate EVIL.toml",
)


@pytest.mark.parametrize("words", COMMANDS)
def test_nothing_steers_a_terminal(words: str, evil: Perform) -> None:
    done = evil(*(word.replace("EVIL", EVIL) for word in words.split()))
    assert done.code in (0, 1, 2)
    for shown in (done.out, done.err):
        assert [line for line in shown.split("\n") if not line.isprintable()] == []
        assert not any(line.startswith("FAKE") for line in shown.split("\n"))


def test_the_evil_names_are_shown(evil: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    escaped = "E\\x1b[31m\\x1b]0;t\\x07\\x9b1m\\x7f\\u202e\\u2066\\u200b\\r\\nFAKE\\u2028\\tX"
    for words in ("devices --profile evil.json --match pixel-4", "report result.json"):
        done = evil(*words.split())
        assert done.code == 0
        assert escaped in done.out
    page = Path("result.html").read_text()
    assert escaped in page
    assert not set(page) & set(EVIL) - set("E\nFAKEX[31m]0;t")


@pytest.mark.parametrize(
    "words",
    [
        "predict LONG --on pixel-4/cpu",
        "predict alexnet --on LONG",
        "predict alexnet --on pixel-4/cpu --kind LONG",
        "compare alexnet --on LONG",
        "whatif --model alexnet --on pixel-4/cpu --set slowdown=LONG",
        "whatif --model alexnet --on pixel-4/cpu --set LONG=1",
        "calibrate --from long.csv --device my-phone -o a.json",
        "minspec alexnet --max-latency-ms 50 --fleet long_fleet.csv",
        "predict --queries long_q.csv",
        "inspect alexnet --dim LONG",
        "inspect LONG.param",
        "simulate long.toml",
        "report long.json",
        "LONG",
    ],
)
def test_an_error_does_not_repeat_what_is_long(
    words: str, perform: Perform, tmp_path: Path
) -> None:
    long = "9" * 5000
    rows = (tmp_path / "examples" / "ten_rows.csv").read_text().splitlines()
    cells = rows[1].split(",")
    (tmp_path / "long.csv").write_text("\n".join([rows[0], ",".join([long] * len(cells))]) + "\n")
    (tmp_path / "long_fleet.csv").write_text(f"device,share\npixel-4,{long}\n")
    (tmp_path / "long_q.csv").write_text(f"model,target,batch_size\na,b,{long}\n")
    (tmp_path / "long.toml").write_text(f"name = 1\n{long} = 2\n")
    (tmp_path / "long.json").write_text(json.dumps({"error": long}))
    done = perform(*(word.replace("LONG", long) for word in words.split()), "--json")
    assert done.code == 2
    error = done.json["error"]
    assert len(error["message"]) <= LONGEST_MESSAGE
    assert len(error["hint"]) <= LONGEST_MESSAGE
