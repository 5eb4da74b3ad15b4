"""Every way in which an output can fail, for every command: one line, exit code 2, nothing left."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_folder import OUTPUTS, ROOT, RUNS, Perform

from perfmodel.cli import streams
from perfmodel.cli.app import run
from perfmodel.locks import claimed, lock_file

EMITTED = {
    "partition emit": "alexnet_1_of_1.tflite",
    "select": "mobilenet_v1_float.tflite",
}
"""Outputs that are folders, with the file which their command puts there."""


def suffix_of(output: str) -> str:
    """An ending that the output's command writes."""
    if output.startswith(("validate", "report")):
        return ".html"
    return ".svg" if "plot" in OUTPUTS[output] else ".csv"


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, links not followed, and what is in it."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b""
        for p in folder.rglob("*")
        if "examples" not in p.parts
    }


def a_link(place: Path) -> None:
    place.symlink_to(place.parent / "victim")


def a_dangling_link(place: Path) -> None:
    place.symlink_to(place.parent / "nowhere")


def a_pipe(place: Path) -> None:
    os.mkfifo(place)


def my_notes(place: Path) -> None:
    place.write_text("my own notes, and no line end")


def my_json(place: Path) -> None:
    place.write_text('{"results": {"mine": 1}}\n')


IN_PLACE: dict[Callable[[Path], None], str] = {
    a_link: "it is a link",
    a_dangling_link: "it is a link",
    a_pipe: "no ordinary file",
    my_notes: "is there already",
    my_json: "is there already",
}
"""What may stand where an output should go, and what is said of it."""


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_stands_in_place_of_an_output_is_kept(
    output: str, files: Perform, tmp_path: Path
) -> None:
    (tmp_path / "queries.csv").write_text("model,target\nalexnet,snapdragon-888/cpu\n")
    (tmp_path / "victim").write_text("precious")
    for number, (put, says) in enumerate(IN_PLACE.items()):
        if output in EMITTED:
            (tmp_path / f"out{number}").mkdir()
            name, place = f"out{number}", tmp_path / f"out{number}" / EMITTED[output]
        else:
            name = f"out{number}{suffix_of(output)}"
            place = tmp_path / name
        put(place)
        before = snapshot(tmp_path)
        done = files(*shlex.split(OUTPUTS[output]), name, "--json")
        assert (done.code, done.err) == (2, ""), (put, done)
        assert done.json["error"]["kind"] == "output"
        assert says in done.json["error"]["message"], put
        assert snapshot(tmp_path) == before, put
        told = files(*shlex.split(OUTPUTS[output]), name)
        assert (told.code, told.out, len(told.err.splitlines())) == (2, "", 2)


def failing(code: int) -> Callable[..., Any]:
    """A call of the system that fails."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_disk_that_is_full_or_closed_is_found_before_work(
    output: str, files: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queries.csv").write_text("model,target\nalexnet,snapdragon-888/cpu\n")
    name = "out" if output in EMITTED else f"out{suffix_of(output)}"
    before = snapshot(tmp_path)
    for code in (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES):
        monkeypatch.setattr(tempfile, "TemporaryFile", failing(code))
        done = files(*shlex.split(OUTPUTS[output]), name, "--json")
        assert (done.code, done.err) == (2, "")
        assert done.json["error"]["kind"] == "output"
        assert os.strerror(code) in done.json["error"]["message"]
        assert snapshot(tmp_path) == before


@pytest.mark.parametrize("output", [o for o in OUTPUTS if o not in EMITTED])
def test_an_output_that_another_run_writes_is_refused(
    output: str, files: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "queries.csv").write_text("model,target\nalexnet,snapdragon-888/cpu\n")
    name = f"out{suffix_of(output)}"
    lock_file(tmp_path / name).write_text("4711\n")
    monkeypatch.setattr(fcntl, "flock", failing(errno.EWOULDBLOCK))
    done = files(*shlex.split(OUTPUTS[output]), name, "--json")
    assert (done.code, done.err) == (2, "")
    assert "another run (process 4711) is writing it" in done.json["error"]["message"]
    assert not (tmp_path / name).exists()


AGAIN = [o for o in OUTPUTS if not o.startswith(("calibrate host", "validate journal"))]


@pytest.mark.parametrize("output", AGAIN)
def test_the_same_command_goes_over_its_own_output_and_leaves_nothing_else(
    output: str, files: Perform, tmp_path: Path
) -> None:
    (tmp_path / "queries.csv").write_text("model,target\nalexnet,snapdragon-888/cpu\n")
    name = "new/out" if output in EMITTED else f"new/out{suffix_of(output)}"
    words = [*shlex.split(OUTPUTS[output]), name]
    before = set(snapshot(tmp_path))
    for _ in range(2):
        done = files(*words)
        assert done.code == 0, done.err
    made = {n for n in set(snapshot(tmp_path)) - before if (tmp_path / n).is_file()}
    notes = {f"{name}.sweep.json"} if output == "whatif" else set()
    if output in EMITTED:
        assert made == {f"{name}/{EMITTED[output]}"}
    else:
        assert made == {name} | notes
    # over somebody else's file it goes when it is told to
    place = tmp_path / name / EMITTED[output] if output in EMITTED else tmp_path / name
    place.write_text("mine")
    assert files(*words).code == 2
    assert place.read_text() == "mine"
    assert files(*words, "--force").code == 0
    assert place.read_bytes()[:4] != b"mine"


def test_records_as_parquet_are_known_again(perform: Perform, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    words = ["simulate", "queue.toml", "--records", "out.parquet"]
    assert [perform(*words).code for _ in range(2)] == [0, 0]
    (tmp_path / "out.parquet").write_text("mine")
    assert perform(*words).code == 2


def test_two_outputs_of_one_command_are_two_files(perform: Perform, tmp_path: Path) -> None:
    done = perform("simulate", "queue.toml", "--trace", "a.csv", "--records", "./a.csv", "--json")
    assert "is named as two outputs" in done.json["error"]["message"]
    assert not (tmp_path / "a.csv").exists()


def test_an_input_is_not_written_over(files: Perform, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("model,target\nalexnet,snapdragon-888/cpu\n")
    table = (ROOT / "examples" / "ten_rows.csv").read_text()
    (tmp_path / "rows.csv").write_text(table)
    for words in (
        "predict --queries q.csv -o q.csv",
        "calibrate --from rows.csv --device a -o rows.csv",
        "report result.json -o result.json",
        "simulate queue.toml --trace queue.toml",
    ):
        before = snapshot(tmp_path)
        assert files(*words.split()).code == 2, words
        assert snapshot(tmp_path) == before


def test_the_null_device_takes_everything(files: Perform, tmp_path: Path) -> None:
    (tmp_path / "queries.csv").write_text("model,target\nalexnet,snapdragon-888/cpu\n")
    before = set(snapshot(tmp_path))
    for output in ("predict --queries", "predict explorer", "calibrate", "simulate trace"):
        assert files(*shlex.split(OUTPUTS[output]), os.devnull).code == 0
    assert set(snapshot(tmp_path)) == before
    assert not Path(os.devnull).is_file()


def test_force_empties_what_is_no_journal_and_nothing_else(files: Perform, tmp_path: Path) -> None:
    place = tmp_path / "notes.json"
    place.write_text("notes")
    assert files("validate", "host", "--journal", "notes.json").code == 2
    assert place.read_text() == "notes"
    assert files("validate", "host", "--journal", "notes.json", "--force").code == 0
    assert place.read_text() == ""
    ours = '{"format":"perfmodel-journal","version":1,"campaign":{}}\n'
    place.write_text(ours)
    assert files("validate", "host", "--journal", "notes.json", "--force").code == 0
    assert place.read_text() == ours


class Full(io.TextIOWrapper):
    """A stdout on a full disk: what is printed is kept until it is seen through."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")
        self.failed = 0

    def flush(self) -> None:
        self.failed += 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fileno(self) -> int:
        raise OSError("no descriptor")

    def close(self) -> None:
        """Nothing to see through any more."""


@pytest.mark.parametrize("as_json", [[], ["--json"]])
@pytest.mark.parametrize("command", [*RUNS, "--help", "nonsense"])
def test_an_answer_that_finds_no_place_is_one_line(
    command: str,
    as_json: list[str],
    files: Perform,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = shlex.split(RUNS[command][0]) if command in RUNS else [command]
    full = Full()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        assert run([*words, *as_json]) == 2
    told = capsys.readouterr().err
    if command not in RUNS and as_json:
        assert told.startswith("perfmodel: No such ")  # help is no command with --json
    elif command == "nonsense":
        assert told.startswith("perfmodel: No such command 'nonsense'")
    else:
        assert told == "perfmodel: stdout: cannot be written: No space left on device\n"


def test_a_closed_stdout_is_refused_before_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert run(["models", "--json"]) == 2
    assert capsys.readouterr().err.startswith("perfmodel: stdout is closed")


def shell(command: str, folder: Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run perfmodel as a shell does, in a process of its own."""
    # the interpreter's own path may hold the word too
    words = re.sub(r"(^|\s)perfmodel(?=\s)", rf"\1{sys.executable} -m perfmodel", command)
    return subprocess.run(
        ["sh", "-c", words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **more},
        capture_output=True,
        check=False,
    )


SMALL = "perfmodel devices --match pixel-4"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (f"{SMALL} >/dev/full", b"stdout: cannot be written: No space left on device"),
        (f"{SMALL} --json >/dev/full", b"stdout: cannot be written: No space left on device"),
        ("perfmodel nonsense --json >/dev/full", b"nonsense"),
        (f"{SMALL} >&-", b"stdout is closed"),
        ("perfmodel --help >&-", b"stdout is closed"),
        (f"{SMALL} 1</dev/null", b"stdout: cannot be written: Bad file descriptor"),
    ],
)
def test_a_real_stdout_that_takes_nothing_is_one_line(
    command: str, says: bytes, tmp_path: Path
) -> None:
    done = shell(command, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"perfmodel: ")
    assert says in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


def test_a_reader_that_goes_away_ends_a_command_without_a_word(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "perfmodel", "devices", "--match", "pixel-4/cpu"],
            stdout=writer,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_closed_stderr_costs_nothing(tmp_path: Path) -> None:
    done = shell(f"{SMALL} 2>&-", tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"pixel-4" in done.stdout


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    program = """
import os
from perfmodel.cli import streams
streams.prepare()
print(os.open("file", os.O_CREAT | os.O_WRONLY) > 2, file=open("told", "w"))
"""
    (tmp_path / "program.py").write_text(program)
    shell(f"{sys.executable} program.py <&- >&- 2>&-", tmp_path)
    assert (tmp_path / "told").read_text() == "True\n"


@pytest.mark.parametrize(
    "encoding",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=["ascii", "LC_ALL=C", "latin-1"],
)
def test_a_terminal_without_utf8_is_answered(encoding: dict[str, str], tmp_path: Path) -> None:
    done = shell("perfmodel predict alexnet --on snapdragon-888/cpu", tmp_path, **encoding)
    assert done.returncode == 0, done.stderr
    done.stdout.decode("ascii")
    assert b"####" in done.stdout
    assert b"\\u2588" not in done.stdout


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("█≤≥", "#<=>="),
        ("a\udcffb", "a\\udcffb"),
        ("“é”", "\\u201c\\xe9\\u201d"),
        ("a–b…", "a-b..."),
    ],
)
def test_characters_that_a_stream_lacks_have_a_likeness(words: str, shown: str) -> None:
    error = UnicodeEncodeError("ascii", words, 0, len(words), "unknown")
    assert streams.in_ascii(error) == (shown, len(words))


WHATIF = ["whatif", "--on", "snapdragon-888/cpu", "--set", "slowdown=1,2", "--model"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_a_file_name_that_is_no_utf8_goes_through_every_command(
    files: Perform, tmp_path: Path
) -> None:
    name = os.fsdecode(b"n\xff.param")
    (tmp_path / name).write_text(
        (tmp_path / "odd.param").read_text().replace("3 3", "2 2").rsplit("Mystery", 1)[0]
    )
    (tmp_path / "q.csv").write_bytes(b"model,target\nn\xff.param,snapdragon-888/cpu\n")
    out = os.fsdecode(b"o\xff")
    for words in (
        ["inspect", name],
        ["predict", name, "--on", "snapdragon-888/cpu", "--per-layer", "-o", f"{out}.csv"],
        ["predict", name, "--on", "snapdragon-888/cpu", "--per-layer", "-o", f"{out}.json"],
        ["predict", name, "--on", "snapdragon-888/cpu", "--export-model-explorer", f"{out}.x"],
        ["compare", name, "--on", "snapdragon-888/cpu", "--plot", f"{out}.html"],
        ["compare", name, "--on", "snapdragon-888/cpu", "--plot", f"{out}.svg"],
        ["partition", name, "--on", "snapdragon-888/cpu", "--emit", f"{out}.d"],
        ["partition", name, "--on", "snapdragon-888/cpu", "--plot", f"{out}1.svg"],
        ["minspec", name, "--max-latency-ms", "900"],
        [*WHATIF, name, "-o", f"{out}.sweep.csv"],
        ["predict", "--queries", "q.csv"],
        ["simulate", "queue.toml", "--records", f"{out}.records.csv", "--trace", f"{out}.trace"],
        ["report", "result.json", "-o", f"{out}2.html"],
    ):
        for more in ([], ["--json"], ["--force"]):
            if more == ["--force"] and not any(w.startswith(out) for w in words):
                continue
            done = files(*words, *more)
            # a table of queries is text, and text is UTF-8
            refused = 2 if "--queries" in words else 0
            assert (done.code, len(done.err.splitlines())) in ((0, 0), (refused, 0), (refused, 1))
            (done.out + done.err).encode()


def test_what_is_left_out_is_told_once_and_in_the_answer(
    perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "snapdragon-888.json").write_text("{}")
    monkeypatch.setenv("PERFMODEL_PROFILES", str(folder))
    for words in (
        "predict alexnet --on snapdragon-888/cpu",
        "compare alexnet --on snapdragon-888/cpu",
        "minspec alexnet --max-latency-ms 50",
        "select mobilenet_v1 --on snapdragon-888 --max-latency-ms 8",
        "devices --match snapdragon-888/cpu",
        "partition alexnet --on snapdragon-888/gpu -k 2 --by layer-count",
    ):
        done = perform(*words.split(), "--json")
        assert done.code == 0, done.err
        (line,) = done.err.splitlines()
        assert line.startswith(f"perfmodel: warning: {folder}/snapdragon-888.json")
        answer = json.loads(done.out)
        if isinstance(answer, dict):
            assert answer["notices"] == [line.removeprefix("perfmodel: warning: ")]
    monkeypatch.delenv("PERFMODEL_PROFILES")
    assert (
        "notices" not in perform("predict", "alexnet", "--on", "snapdragon-888/cpu", "--json").json
    )


def test_without_a_home_calibrate_asks_for_a_place(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "")
    words = ["calibrate", "--from", "examples/ten_rows.csv", "--device", "my-phone"]
    done = perform(*words)
    assert done.code == 2
    assert "no home folder" in done.err
    assert perform(*words, "-o", "phone.json").code == 0


def test_claims_end_with_the_command(perform: Perform, tmp_path: Path) -> None:
    words = ["simulate", "queue.toml", "--trace", "deep/a.json"]
    assert perform(*words).code == 0
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.json"]
    assert perform("simulate", "absent.toml", "--trace", "empty/a.json").code == 2
    assert not (tmp_path / "empty").exists()
    with claimed(tmp_path / "deep" / "a.json"):
        pass
