"""`calibrate --from LOG`: what it says of the rows, by commands alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_folder import Perform

LOG = """Num threads: [4]
Graph: [/data/local/tmp/{model}.tflite]
Inference timings in us: Init: 9, First inference: 90000, Inference (avg): 24000
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "phone.log"
    path.write_text(LOG.format(model="mobilenet_v2_1.0_224_quant"))
    return path


def test_a_dry_run_prints_the_rows_and_writes_nothing(
    perform: Perform, log: Path, tmp_path: Path
) -> None:
    asked = ("calibrate", "--from", "phone.log", "--device", "dev", "-o", "p.json", "--dry-run")
    done = perform(*asked, "--json")
    assert done.code == 0, done.err
    (row,) = done.json["rows"]
    assert (row["target"], row["model"], row["line"]) == (
        "dev/cpu/tflite/int8/t4",
        "mobilenet_v2",
        3,
    )
    assert row["latency_ms"] == 24.0
    assert row["evidence"]["threads"] == "log, line 1"
    assert row["evidence"]["precision"].startswith("model name mobilenet_v2")
    assert len(done.json["left_out_rows"]) == 1, "the first inference"
    text = perform(*asked).out
    assert text.startswith("1 rows would be used; nothing is written")
    assert "phone.log:3" in text
    assert not (tmp_path / "p.json").exists()


def test_a_profile_says_what_its_targets_rest_on(perform: Perform, log: Path) -> None:
    asked = ("calibrate", "--from", "phone.log", "--device", "dev", "-o", "p.json")
    (target,) = perform(*asked, "--json").json["targets"]
    assert target["evidence"]["unit"] == ["log, whose settings name no delegate"]
    assert target["evidence"]["kind"] == ["tool"]


def test_what_a_log_leaves_open_is_asked_for_by_its_option(
    perform: Perform, tmp_path: Path
) -> None:
    (tmp_path / "own.log").write_text(LOG.format(model="own_net"))
    asked = ["calibrate", "--from", "own.log", "--device", "dev", "-o", "p.json", "--dry-run"]
    done = perform(*asked)
    assert done.code == 2
    assert "no word of the precision" in done.err
    assert "--precision (fp32, tf32, fp16, int8, uint8, w8a8, w8a16, float)" in done.err
    asked += ["--precision", "int8", "--model", "own_net=mobilenet_v1@width=0.5"]
    (row,) = perform(*asked, "--json").json["rows"]
    assert (row["model"], row["evidence"]["precision"]) == ("mobilenet_v1@width=0.5", "option")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--unit tpu", "--unit 'tpu' is none of cpu, gpu"),
        ("--precision half", "--precision 'half' is none of fp32"),
        ("--framework ../x", "is no name"),
        ("--pick best", "--pick 'best' is none of min, median, newest"),
        ("--model mobilenet", "is not NAME=ZOO_OR_FILE"),
        ("--model =mobilenet_v2", "is not NAME=ZOO_OR_FILE"),
    ],
)
def test_a_wrong_word_is_refused(perform: Perform, log: Path, words: str, says: str) -> None:
    asked = "calibrate --from phone.log --device dev -o p.json"
    done = perform(*asked.split(), *words.split())
    assert done.code == 2
    assert says in done.err


def test_what_files_may_be_told_does_nothing_for_hardware(perform: Perform) -> None:
    for option in ("--unit cpu", "--threads 4", "--pick min", "--dry-run"):
        done = perform(*f"calibrate --from adb --device dev {option}".split())
        assert done.code == 2
        assert "does nothing with --from adb" in done.err
