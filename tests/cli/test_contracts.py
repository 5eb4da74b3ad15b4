"""JSON that others may rely on, command by command, and errors that are JSON too."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest
from cli_folder import CASE, OUTPUTS, RUNS, SERVING, Perform

from perfmodel.cli.commands import COMMANDS

INNER: dict[str, tuple[str, set[str]]] = {
    "partition": ("segments", {"first_op", "last_op", "target", "latency_ms", "weights_bytes"}),
    "minspec": ("failing", {"device", "best_target", "latency_ms", "reason"}),
    "validate": ("cases", set(CASE)),
    "inspect": ("ops", {"name", "op", "macs", "params", "output_shapes"}),
    "compare": ("cells", {"model", "target", "latency_ms", "interval_ms", "ratio"}),
}


def no_nan(word: str) -> float:
    raise AssertionError(f"{word} is no JSON")


def test_every_command_has_a_contract() -> None:
    assert set(RUNS) == set(COMMANDS) - set(SERVING)


@pytest.mark.parametrize("command", RUNS)
def test_json_has_the_promised_keys(command: str, files: Perform) -> None:
    words, keys = RUNS[command]
    done = files(*shlex.split(words), "--json")
    assert done.code == 0, done.out + done.err
    assert done.out.count("\n") == 1
    answer = json.loads(done.out, parse_constant=no_nan)
    first = answer[0] if isinstance(answer, list) else answer
    assert keys <= set(first)
    if command in INNER:
        name, inner = INNER[command]
        assert inner <= set(answer[name][0])
    if isinstance(answer, dict) and "reproduce" in answer:
        assert answer["reproduce"] == f"perfmodel {words}"


@pytest.mark.parametrize("command", RUNS)
def test_without_json_people_are_answered(command: str, files: Perform) -> None:
    done = files(*shlex.split(RUNS[command][0]))
    assert done.code == 0
    assert done.out[0] not in "{["
    assert len(done.out.splitlines()[0].split()) >= 3


def test_per_layer_adds_the_kernels(perform: Perform) -> None:
    words = shlex.split(RUNS["predict"][0])
    assert "kernels" not in perform(*words, "--json").json
    answer = perform(*words, "--per-layer", "--json").json
    keys = {"name", "ops", "class", "macs", "bytes", "latency_ms", "bound"}
    assert keys <= set(answer["kernels"][0])
    total = sum(k["latency_ms"] for k in answer["kernels"])
    assert total + answer["overhead_ms"] == pytest.approx(answer["latency_ms"], rel=1e-6)


def test_layers_are_written_as_csv_and_as_a_result(perform: Perform, tmp_path: Path) -> None:
    words = [*shlex.split(RUNS["predict"][0]), "--per-layer"]
    kernels = perform(*words, "--json").json["kernels"]
    assert "wrote layers.csv" in perform(*words, "-o", "layers.csv").out
    header, first, *rest = (tmp_path / "layers.csv").read_text().splitlines()
    assert header == "name,ops,class,macs,bytes,latency_ms,bound,title,block"
    assert len(rest) + 1 == len(kernels)
    assert first.split(",")[0] == kernels[0]["name"]
    assert float(first.split(",")[5]) == kernels[0]["latency_ms"]
    assert perform(*words, "-o", "layers.json").code == 0
    assert json.loads((tmp_path / "layers.json").read_text())["kernels"] == kernels
    assert perform("report", "layers.json").code == 0
    assert "Every kernel, in order" in (tmp_path / "layers.html").read_text()


def test_a_trace_has_every_kernel_one_after_the_other(perform: Perform, tmp_path: Path) -> None:
    words = [*shlex.split(RUNS["predict"][0]), "--per-layer"]
    answer = perform(*words, "--json").json
    assert "wrote trace.json" in perform(*words, "--trace", "trace.json").out
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    kernels = answer["kernels"]
    assert slices[0]["name"] == f"{kernels[0]['title']} ({kernels[0]['name']})"
    for slice_, kernel in zip(slices, kernels, strict=False):
        assert slice_["dur"] == pytest.approx(1000 * kernel["latency_ms"], rel=1e-6)
    ends = [e["ts"] + e["dur"] for e in slices]
    assert [e["ts"] for e in slices[1:]] == pytest.approx(ends[:-1])
    assert ends[-1] == pytest.approx(1000 * answer["latency_ms"], rel=1e-6)
    tracks = {e["args"]["name"] for e in events if e["ph"] == "M"}
    assert answer["target"] in tracks
    # it is known again, and somebody else's file is not written over
    assert perform(*words, "--trace", "trace.json").code == 0
    (tmp_path / "other.json").write_text("{}")
    assert perform(*words, "--trace", "other.json").code == 2


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("place", ["under a file", "long name", "no permission"])
def test_an_output_that_cannot_be_written_is_refused_before_work(
    output: str, place: str, files: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queries.csv").write_text("model,target\nalexnet,snapdragon-888/cpu\n")
    suffix = ".svg" if "plot" in OUTPUTS[output] else ".csv"
    suffix = ".html" if output.startswith(("validate", "report")) else suffix
    name = {
        "under a file": f"queue.toml/answer{suffix}",
        "long name": "x" * 300 + suffix,
        "no permission": f"locked/answer{suffix}",
    }[place]
    (tmp_path / "locked").mkdir()
    may = os.access

    def access(path: str | Path, mode: int) -> bool:
        return may(path, mode) and Path(path).name != "locked"

    monkeypatch.setattr("os.access", access)
    words = shlex.split(OUTPUTS[output])
    done = files(*words, name, "--json")
    assert done.code == 2, done.out
    error = done.json["error"]
    assert error["kind"] == "output"
    assert error["message"].split(":")[0] in name or "answer" in error["message"]


@pytest.mark.parametrize("output", [o for o in OUTPUTS if not o.endswith(("emit", "select"))])
def test_a_folder_is_no_output_file(output: str, files: Perform, tmp_path: Path) -> None:
    (tmp_path / "queries.csv").write_text("model,target\nalexnet,snapdragon-888/cpu\n")
    for suffix in (".svg", ".csv", ".html"):
        (tmp_path / f"folder{suffix}").mkdir()
    suffix = ".svg" if "plot" in OUTPUTS[output] else ".csv"
    suffix = ".html" if output.startswith(("validate", "report")) else suffix
    done = files(*shlex.split(OUTPUTS[output]), f"folder{suffix}", "--json")
    assert done.code == 2
    assert "is a folder" in done.json["error"]["message"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("predict nothing --on snapdragon-888/cpu", "unknown_model"),
        ("predict alexnet --on nowhere/cpu", "target"),
        ("predict alexnet", "error"),
        ("predict --nonsense", "usage"),
        ("nonsense", "usage"),
        ("predict alexnet --on snapdragon-888/cpu --batch-size 0", "usage"),
        ("simulate absent.toml", "scenario"),
        ("report absent.json", "error"),
        ("predict odd.param --on snapdragon-888/cpu", "uncovered_ops"),
        ("inspect alexnet --dim x", "error"),
        ("calibrate --from absent.csv --device a", "measurement"),
        ("calibrate --from host --budget soon", "error"),
        ("validate nothing", "error"),
        ("devices --kind toaster", "error"),
        ("predict alexnet --on snapdragon-888/cpu --kind soon", "error"),
    ],
)
def test_an_error_is_json_with_exit_code_2(words: str, kind: str, perform: Perform) -> None:
    done = perform(*shlex.split(words), "--json")
    assert done.code == 2
    error = done.json["error"]
    assert set(done.json) == {"error"}
    assert set(error) == {"kind", "message", "hint"}
    assert error["kind"] == kind
    assert error["message"]
    assert done.err == ""


def test_a_full_disk_is_no_traceback(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "records.csv")

    monkeypatch.setattr("perfmodel.sim.records.write_records", full)
    done = perform("simulate", "queue.toml", "--records", "records.csv", "--json")
    assert done.code == 2
    assert done.json["error"]["message"] == "records.csv: No space left on device"


def test_exit_code_1_says_no(perform: Perform) -> None:
    assert perform("minspec", "vgg16", "--max-latency-ms", "0.1", "--json").code == 1
    words = "select mobilenet_v1 --on snapdragon-888 --max-latency-ms 0.001"
    done = perform(*words.split())
    assert done.code == 1
    assert done.out.startswith("no variant stays within 0.001 ms")


def test_names_of_files_cannot_steer_a_terminal(perform: Perform, tmp_path: Path) -> None:
    name = "evil\x1b[31m\u202e.param"
    (tmp_path / name).write_text((tmp_path / "odd.param").read_text())
    for words in (
        ["inspect", name],
        ["predict", name, "--on", "snapdragon-888/cpu", "--allow-uncovered"],
        ["compare", name, "alexnet", "--on", "snapdragon-888/cpu"],
        ["predict", name, "--on", "nowhere/cpu"],
        ["inspect", name + "x"],
    ):
        done = perform(*words)
        assert "\x1b" not in done.out + done.err
        assert "\u202e" not in done.out + done.err
        assert "evil" in done.out + done.err or done.code == 2


def test_a_name_that_is_no_text_is_shown_escaped(perform: Perform, tmp_path: Path) -> None:
    name = os.fsdecode(b"odd\xff.param")
    (tmp_path / name).write_text((tmp_path / "odd.param").read_text())
    done = perform("inspect", name)
    assert done.code == 0
    assert "odd\\udcff" in done.out
