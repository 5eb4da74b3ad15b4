"""What single commands do beside printing an answer."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from cli_folder import Perform

from perfmodel.cli import app, queries, validate
from perfmodel.cli.app import INTERRUPTED, run
from perfmodel.cli.calibrate import HARDWARE
from perfmodel.cli.calibrate import IDLE as CALIBRATE_IDLE
from perfmodel.cli.options import duration_s, files_in, sizes
from perfmodel.cli.whatif import Meter
from perfmodel.errors import PerfmodelError
from perfmodel.files import check_folder, check_output, need_pyarrow, write_atomically
from perfmodel.prediction import predict
from perfmodel.render.result import Result


def test_without_arguments_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Commands:" in capsys.readouterr().out
    assert run(["predict", "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: perfmodel predict")


def test_an_error_is_two_lines_on_stderr(perform: Perform) -> None:
    done = perform("predict", "alexnet", "--on", "snapdragon-888/cpu", "--kind", "soon")
    assert done.out == ""
    assert done.err == "perfmodel: --kind 'soon' is none of first, steady, sustained, in_app\n"
    usage = perform("predict", "--nonsense")
    assert usage.err.splitlines()[1] == "  see `perfmodel predict --help`"


def test_another_kind_of_latency_is_never_mixed_in(perform: Perform) -> None:
    done = perform("predict", "alexnet", "--on", "snapdragon-888/cpu", "--kind", "first")
    assert done.code == 2
    assert "answers latency kind 'steady', not 'first'" in done.err
    # and each kind has a way to an answer
    assert "validate kinds" in done.err
    sustained = perform("predict", "alexnet", "--on", "snapdragon-888/cpu", "--kind", "sustained")
    assert "perfmodel simulate" in sustained.err


def test_an_interrupt_has_the_code_of_shells(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("perfmodel.explore.sweep.whatif", interrupted)
    words = ["--model", "alexnet", "--on", "snapdragon-888/cpu", "--set", "slowdown=1,2"]
    done = perform("whatif", *words, "-o", "rows.csv")
    assert done.code == INTERRUPTED == 130
    assert "rows so far are in rows.csv: the same command goes on" in done.err
    assert done.err.endswith("interrupted\n")
    assert "rows so far" not in perform("whatif", *words).err


def test_a_reader_that_goes_away_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[tuple[int, int]] = []

    def gone(*_: object, **__: object) -> None:
        raise BrokenPipeError

    class Out(io.StringIO):
        def fileno(self) -> int:
            return 77

    monkeypatch.setattr(app, "app", gone)
    monkeypatch.setattr(sys, "stdout", Out())
    monkeypatch.setattr("os.dup2", lambda a, b: moved.append((a, b)))
    assert run(["models"]) == 0
    assert moved[0][1] == 77


def test_the_first_sentence_of_help_lists_a_command() -> None:
    assert app.summary("report") == "A result as one HTML page that opens anywhere"
    assert app.summary("simulate") == "Simulate a scenario: device, link, server, load and policy"


def test_a_misspelt_command_is_guessed(perform: Perform) -> None:
    assert "predict" in perform("predct").err


@pytest.mark.parametrize("text", ["x", "=3", "n=", "n=0", "n=1000001", "n=-1", "n=1.5", "n=²"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(PerfmodelError, match="NAME=SIZE"):
        sizes([text])


def test_sizes_are_named_once() -> None:
    assert sizes(["a=1", "b=1000000"]) == {"a": 1, "b": 1_000_000}
    assert sizes(None) == {}
    with pytest.raises(PerfmodelError, match="a is given twice"):
        sizes(["a=1", "a=2"])


def test_a_budget_is_a_time() -> None:
    assert duration_s("90s") == 90.0
    with pytest.raises(PerfmodelError, match="--budget"):
        duration_s("90")


def test_a_folder_without_models_is_an_error(tmp_path: Path) -> None:
    assert files_in(None, "*.tflite") == []
    with pytest.raises(PerfmodelError, match=r"holds no \*\.tflite"):
        files_in(tmp_path, "*.tflite")
    (tmp_path / "b.tflite").touch()
    (tmp_path / "a.tflite").touch()
    assert [p.name for p in files_in(tmp_path, "*.tflite")] == ["a.tflite", "b.tflite"]


def test_parquet_needs_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    need_pyarrow(None)
    need_pyarrow(Path("a.csv"))
    with pytest.raises(PerfmodelError, match="needs pyarrow"):
        need_pyarrow(Path("a.parquet"))


def test_targets_are_narrowed_by_kind_and_text(perform: Perform) -> None:
    jetsons = perform("devices", "--kind", "jetson", "--json").json
    assert {line["kind"] for line in jetsons} == {"jetson"}
    pixels = perform("devices", "--match", "PIXEL-4", "--json").json
    # of the phone itself, of its chip, and of another phone with that chip
    assert {line["target"].partition("/")[0] for line in pixels} == {
        "pixel-4",
        "snapdragon-855",
        "xiaomi-mi-9",
    }
    assert "toaster" in perform("devices", "--kind", "toaster").err


def test_queries_are_answered_row_by_row(perform: Perform, tmp_path: Path) -> None:
    rows = ["alexnet,snapdragon-888/cpu,", "alexnet,snapdragon-888/cpu,4", "alexnet,nowhere,"]
    (tmp_path / "q.csv").write_text("model,target,batch_size\n" + "\n".join(rows) + "\n")
    shown = perform("predict", "--queries", "q.csv")
    answers = list(csv.DictReader(io.StringIO(shown.out)))
    for answer, batch in zip(answers[:2], (None, 4), strict=True):
        wanted = predict("alexnet", "snapdragon-888/cpu", batch_size=batch)
        assert float(answer["latency_ms"]) == pytest.approx(wanted.latency_ms, rel=1e-5)
        assert float(answer["low_ms"]) == pytest.approx(wanted.interval_ms[0], rel=1e-5)
        assert float(answer["high_ms"]) == pytest.approx(wanted.interval_ms[1], rel=1e-5)
        assert answer["extrapolated"] == str(wanted.extrapolated).lower()
        assert answer["error"] == ""
    assert [a["batch_size"] for a in answers] == ["", "4", ""]
    assert answers[2]["latency_ms"] == answers[2]["extrapolated"] == ""
    assert "nowhere" in answers[2]["error"]
    counted = perform("predict", "--queries", "q.csv", "--json").json
    assert (counted["queries"], counted["errors"]) == (3, 1)
    told = perform("predict", "--queries", "q.csv", "-o", "a.csv").out
    assert told.startswith("3 queries, 1 without an answer, ")
    assert told.endswith("; answers in a.csv\n")
    assert (tmp_path / "a.csv").read_text() == shown.out


def test_a_query_of_which_nothing_is_known_has_no_times(perform: Perform, tmp_path: Path) -> None:
    tiny = (tmp_path / "odd.param").read_text().replace("224", "32").replace("222", "30")
    (tmp_path / "tiny.param").write_text(tiny)
    (tmp_path / "q.csv").write_text("model,target\ntiny.param,snapdragon-888/cpu\n")
    shown = perform("predict", "--queries", "q.csv", "--allow-uncovered").out
    [answer] = csv.DictReader(io.StringIO(shown))
    if "not known" in answer["error"]:
        assert answer["latency_ms"] == answer["low_ms"] == answer["high_ms"] == ""
    else:
        assert float(answer["high_ms"]) <= 10 * float(answer["low_ms"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model\nalexnet\n", "no column 'target'"),
        ("model,target,batch_size\nalexnet,a,0\n", "line 2: batch_size '0'"),
        ("model,target,batch_size\nalexnet,a,65537\n", "batch_size '65537'"),
        ("model,target,batch_size\nalexnet,a,x\n", "batch_size 'x'"),
        ("model,target,batch_size\nalexnet,a,²\n", "batch_size '²'"),
    ],
)
def test_queries_that_make_no_sense_are_refused(
    text: str, says: str, perform: Perform, tmp_path: Path
) -> None:
    (tmp_path / "q.csv").write_text(text)
    done = perform("predict", "--queries", "q.csv")
    assert done.code == 2
    assert says in done.err
    assert perform("predict", "--queries", "absent.csv").code == 2


def test_the_largest_batch_of_a_query_is_taken(tmp_path: Path) -> None:
    row = {"model": "m", "target": "t", "batch_size": "65536"}
    assert queries._query(row, tmp_path, 2)["batch_size"] == 65536
    assert queries._query({**row, "batch_size": "1"}, tmp_path, 2)["batch_size"] == 1


def test_too_many_queries_are_refused(
    perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MAX_QUERIES", 2)
    for count, code in ((2, 0), (3, 2)):
        (tmp_path / "q.csv").write_text("model,target\n" + "alexnet,snapdragon-888/cpu\n" * count)
        assert perform("predict", "--queries", "q.csv").code == code


def test_a_table_of_queries_too_large_to_hold_is_refused(
    perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "model,target\nalexnet,snapdragon-888/cpu\n"
    (tmp_path / "q.csv").write_text(text)
    for most, code in ((len(text), 0), (len(text) - 1, 2)):
        monkeypatch.setattr(queries, "MAX_BYTES", most)
        done = perform("predict", "--queries", "q.csv")
        assert done.code == code
    assert "larger than this table may be" in done.err


@pytest.mark.parametrize("batch", ["9" * 5000, "65537", "0", "-1", "1.5", "\u00b2"])
def test_a_batch_of_a_query_that_is_none_is_refused_in_one_line(
    batch: str, perform: Perform, tmp_path: Path
) -> None:
    text = f"model,target,batch_size\nalexnet,snapdragon-888/cpu,{batch}\n"
    (tmp_path / "q.csv").write_text(text, encoding="utf-8")
    done = perform("predict", "--queries", "q.csv")
    assert done.code == 2
    assert "line 2: batch_size" in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert len(done.err) < 200


def test_words_after_the_first_target_may_be_targets(perform: Perform) -> None:
    words = ["compare", "alexnet", "--on", "snapdragon-888/cpu", "snapdragon-888/gpu", "--json"]
    answer = perform(*words).json
    assert len(answer["targets"]) == 2
    assert answer["models"] == ["alexnet"]


def test_the_suite_is_one_and_brings_its_networks(perform: Perform) -> None:
    assert "is none of ai-benchmark" in perform("compare", "--suite", "x", "--on", "pixel-4").err
    done = perform("compare", "alexnet", "--suite", "ai-benchmark", "--on", "pixel-4")
    assert "what is 'alexnet'?" in done.err


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["--on", "my-phone/gpu"], "my-phone/gpu"),
        (["--device", "my-phone"], "my-phone/cpu"),
        ([], "new-device/cpu"),
    ],
)
def test_suggestions_are_about_a_target(words: list[str], target: str, perform: Perform) -> None:
    answer = perform("calibrate", "--suggest", "2", *words, "--json").json
    assert answer["target"].startswith(target)
    assert len(answer["suggestions"]) == 2


def test_rows_measured_so_far_guide_suggestions(perform: Perform) -> None:
    words = ["calibrate", "--suggest", "2", "--on", "snapdragon-8-gen-2/cpu", "--json"]
    before = perform(*words).json
    after = perform(*words, "--from", "examples/ten_rows.csv").json
    assert before["suggestions"] != after["suggestions"]


def test_hardware_stands_alone(perform: Perform) -> None:
    done = perform("calibrate", "--from", "host", "--from", "examples/ten_rows.csv")
    assert "--from host stands alone" in done.err
    assert set(CALIBRATE_IDLE) == {*HARDWARE, "FILE"}


def test_a_device_needs_a_name(perform: Perform) -> None:
    assert "--device NAME" in perform("calibrate", "--from", "examples/ten_rows.csv").err
    assert "--device NAME" in perform("calibrate", "--from", "adb").err


def test_a_profile_goes_to_the_users_folder(perform: Perform, tmp_path: Path) -> None:
    words = ["calibrate", "--from", "examples/ten_rows.csv", "--device", "my-phone"]
    done = perform(*words, "--json").json
    assert Path(done["profile"]).is_relative_to(tmp_path)
    assert perform("predict", "alexnet", "--on", "my-phone/cpu").code == 0
    assert perform(*words, "-o", "p.json", "--kind", "board").code == 0
    assert json.loads((tmp_path / "p.json").read_text())["kind"] == "board"


ANSWER = Result(title="t", answer="asked", data={"asked": 1})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, validate.Request]]:
    """What each experiment was asked."""
    found: list[tuple[str, validate.Request]] = []

    def told(name: str) -> object:
        def experiment(request: validate.Request) -> Result:
            found.append((name, request))
            return ANSWER

        return experiment

    for name in validate.EXPERIMENTS:
        monkeypatch.setitem(validate.EXPERIMENTS, name, told(name))  # type: ignore[arg-type]
    return found


def test_an_experiment_is_named_or_follows_from_its_runner(
    perform: Perform, asked: list[tuple[str, validate.Request]]
) -> None:
    for words, name in (
        ([], "host"),
        (["--runner", "host"], "host"),
        (["--runner", "adb"], "adb"),
        (["kinds"], "kinds"),
        (["ssh:board"], "ssh"),
    ):
        assert perform("validate", *words).code == 0
        assert asked[-1][0] == name
    assert asked[-1][1].host == "board"
    assert asked[0][1].budget_s == 300.0
    assert "only ssh is told a host" in perform("validate", "adb:phone").err


def test_an_experiment_gets_what_was_asked(
    perform: Perform, asked: list[tuple[str, validate.Request]], tmp_path: Path
) -> None:
    words = ["--model", "a", "--model", "b", "--budget", "7s", "-o", "x.html", "--journal", "j"]
    assert perform("validate", "host", *words, "--profile", "p.json").code == 0
    _, request = asked[-1]
    assert (request.models, request.budget_s) == (("a", "b"), 7.0)
    assert (request.journal, request.profile) == (Path("j"), Path("p.json"))
    assert request.beside("other", ".raw") == Path("x.raw")
    assert "asked" in (tmp_path / "x.html").read_text()
    assert perform("validate", "host", "-o", "x.json").code == 0
    assert json.loads((tmp_path / "x.json").read_text())["asked"] == 1
    assert "perfmodel validate host" in (tmp_path / "x.json").read_text()
    assert asked[-1][1].beside("other", ".raw") == Path("x.raw")
    perform("validate", "host")
    assert asked[-1][1].beside("other", ".raw") == Path("other.raw")


def test_without_a_profile_this_machine_says_how_to_make_one(perform: Perform) -> None:
    for experiment in ("host", "kinds"):
        done = perform("validate", experiment)
        assert done.code == 2
        assert "host.json: no profile of this machine" in done.err
        assert "perfmodel calibrate --from host" in done.err


def test_a_device_is_validated_against_its_profile(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERFMODEL_SSH_HOST", raising=False)
    assert "add --profile FILE" in perform("validate", "adb").err
    assert "no Jetson is named" in perform("validate", "ssh").err


class Terminal(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_progress_on_a_terminal_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal(True)
    monkeypatch.setattr(sys, "stderr", shown)
    meter = Meter()
    meter(1, 100, 0.9)
    assert shown.getvalue() == ""
    meter(25, 100, 1.0)
    # a quarter took one second: three are left
    assert shown.getvalue() == f"\r{'25 of 100 points, 25 %, about 3 s left':<70}"
    meter.close()
    assert shown.getvalue().endswith("\n")


def test_progress_in_a_log_is_a_line_every_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal(False)
    monkeypatch.setattr(sys, "stderr", shown)
    meter = Meter()
    for done in range(1, 101):
        meter(done, 100, float(done))
    meter.close()
    lines = shown.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "10 of 100 points, 10 %, about 90 s left"


def test_a_sweep_that_shows_nothing_ends_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal(True)
    monkeypatch.setattr(sys, "stderr", shown)
    Meter().close()
    assert shown.getvalue() == ""


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_atomically(path, "é")
    assert path.read_bytes() == "é".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    write_atomically(path, b"\x00")
    assert path.read_bytes() == b"\x00"
    with pytest.raises(PerfmodelError, match="cannot be written"):
        write_atomically(path / "b.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(PerfmodelError, match="cannot be written"):
        write_atomically(tmp_path / "folder", "x")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_outputs_are_checked_without_writing(tmp_path: Path) -> None:
    check_output(tmp_path / "deep" / "deeper" / "a.txt")
    check_folder(tmp_path / "deep")
    assert not (tmp_path / "deep").exists()
    (tmp_path / "a").write_text("")
    check_output(tmp_path / "a")
    for bad in (tmp_path, tmp_path / "a" / "b"):
        with pytest.raises(PerfmodelError):
            check_output(bad)
    with pytest.raises(PerfmodelError, match="is a file, not a folder"):
        check_folder(tmp_path / "a")


def test_suggestions_read_the_rows_of_their_device(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def read(paths: object, *, device: str, **more: object) -> object:
        asked.append(device)
        raise PerfmodelError("read")

    monkeypatch.setattr("perfmodel.measurements.read.read_measurements", read)
    words = ["calibrate", "--from", "examples/ten_rows.csv", "--suggest", "1"]
    for more in (["--on", "a-phone/gpu"], ["--device", "b-phone"]):
        assert perform(*words, *more).code == 2
    assert asked == ["a-phone", "b-phone"]


def test_what_was_asked_cannot_change_on_the_way(
    perform: Perform, asked: list[tuple[str, validate.Request]]
) -> None:
    perform("validate", "host")
    with pytest.raises(FrozenInstanceError):
        asked[0][1].budget_s = 1.0  # type: ignore[misc]
