"""Errors of the experiments, their file of results, and the tables made of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from perfmodel.errors import MeasurementError, PerfmodelError
from validation.accuracy import __main__ as program
from validation.accuracy import readme
from validation.accuracy.common import (
    AccuracyRow,
    UnseenCase,
    apart,
    columns_as_cases,
    ratio_cases,
    score,
    table,
    unseen_case,
    worst_cases,
)
from validation.accuracy.reasons import explained

ROOT = Path(__file__).resolve().parents[2]


def four_cases() -> AccuracyRow:
    """Errors of 4 %, 15 %, 10 % and 50 %."""
    return score(
        "e",
        "cpu",
        columns_as_cases(
            ["a", "b", "c", "d"],
            [1.04, 2.3, 9.0, 4.0],
            [1.0, 2.0, 10.0, 8.0],
            groups=["x", "x", "x", "y"],
            intervals_ms=[[0.9, 1.1], [2.1, 2.5], [8, 11], [7, 9]],
        ),
        3,
        baselines={"double": np.array([2.0, 4.0, 20.0, np.nan]), "silent": np.full(4, np.nan)},
        reasons={"d": "known"},
        worst=2,
    )


def test_score_counts_errors_as_shares_of_the_measured_time() -> None:
    result = four_cases()
    assert (result.cases, result.seed) == (4, 3)
    assert result.median_error == pytest.approx(0.125)
    assert result.mean_error == pytest.approx(0.1975)
    assert (result.within_5, result.within_10, result.within_20) == (0.25, 0.5, 0.75)
    assert result.coverage == 0.75
    assert result.spearman == 1.0  # the three of group x; one case of y has no rank
    assert result.baselines == {"double": pytest.approx(1.0)}
    assert result.worst == (
        "d: 4 ms predicted, 8 ms measured (-50 %); known",
        "b: 2.3 ms predicted, 2 ms measured (+15 %)",
    )
    assert worst_cases([result]).splitlines()[0] == f"e, cpu: {result.worst[0]}"


def test_the_printed_table_has_percent_and_dashes() -> None:
    line = table([replace(four_cases(), spearman=None, mean_error=0.198)]).splitlines()[-1]
    assert line == ("| e | cpu | 4 | 12.5 | 19.8 | 25.0 | 50.0 | 75.0 | - | 75.0 | double 100.0 |")


def test_a_missing_prediction_is_an_error_that_names_the_experiment() -> None:
    with pytest.raises(MeasurementError, match=r"e, cpu: .*2 has no prediction"):
        score("e", "cpu", columns_as_cases(["a", "b"], [1.0, np.nan], [1, 1]), 0)
    with pytest.raises(MeasurementError, match="e, cpu: nothing"):
        score("e", "cpu", [], 0)


@dataclass(frozen=True)
class Said:
    """As much of an answer as a case reads."""

    latency_ms: float
    interval_ms: tuple[float, float]


def left_out_cases() -> list[UnseenCase[str]]:
    """Two networks that measured 1 and 2 ms, said to take 1.2 and 1.8."""
    return [
        unseen_case(
            "first row", Said(1.2, (0.9, 1.4)), 1.0, name="a", group="x", simple={"twice": 2.0}
        ),
        unseen_case(
            "second row", Said(1.8, (1.7, 1.9)), 2.0, name="b", group="y", simple={"twice": np.nan}
        ),
    ]


def test_cases_left_out_bring_their_rows_intervals_and_simple_models() -> None:
    cases = left_out_cases()
    assert [(c.row, c.group, c.covered) for c in cases] == [
        ("first row", "x", True),
        ("second row", "y", False),
    ]
    result = score("e", "cpu", cases, 0)
    assert result.coverage == 0.5
    assert result.median_error == pytest.approx(0.15)
    assert result.baselines == {"twice": pytest.approx(1.0)}  # of the one case that it knows


def test_ratios_of_pairs_tell_how_often_the_faster_was_told() -> None:
    a, b = left_out_cases()
    swapped = replace(b, predicted_ms=1.0)
    cases, right = ratio_cases([(a, b), (a, swapped)], lambda x, y: f"{x.model} to {y.model}")
    assert [(c.model, c.predicted_ms, c.measured_ms) for c in cases] == [
        ("a to b", pytest.approx(2 / 3), 0.5),
        ("a to b", pytest.approx(1.2), 0.5),
    ]
    assert right == 0.5
    assert apart(a, b, 1.9)
    assert not apart(b, a, 2.1)


def test_a_result_survives_its_file() -> None:
    result = four_cases()
    assert AccuracyRow.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    with pytest.raises(MeasurementError, match="no result"):
        AccuracyRow.from_dict({"experiment": "e"})


# -- the program


class Counted:
    """An experiment that counts how often it ran, and may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.runs, self.error = 0, error

    def __call__(self, data: Path, seed: int) -> list[AccuracyRow]:
        self.runs += 1
        if self.error:
            raise self.error
        return [replace(four_cases(), seed=seed)]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Counted]:
    """Two experiments in place of the real ones."""
    found = {"one": Counted(), "two": Counted()}
    monkeypatch.setattr(program, "experiments", lambda: found)
    monkeypatch.setattr(program, "code_version", lambda: "abc")
    monkeypatch.setattr(program, "UNFINISHED", tmp_path / "unfinished.json")
    return found


def run(tmp_path: Path, *arguments: str) -> int:
    return program.main(["--data", str(tmp_path), *arguments])


def test_results_are_kept_by_experiment(made_up: dict[str, Counted], tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert run(tmp_path, "--only", "two", "--json", str(path)) == 0
    assert run(tmp_path, "--only", "one", "--json", str(path), "--seed", "7") == 0
    data = json.loads(path.read_text())
    assert list(data["runs"]) == list(data["made"]) == ["one", "two"]
    assert (data["made"]["one"]["seed"], data["made"]["two"]["seed"]) == (7, 0)
    assert data["runs"]["one"][0]["seed"] == 7
    assert data["made"]["two"]["code"] == "abc"


def test_what_is_done_by_the_same_code_and_seed_is_not_done_again(
    made_up: dict[str, Counted], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = ("--json", str(tmp_path / "results.json"))
    for _ in range(2):
        assert run(tmp_path, *again) == 0
    assert [e.runs for e in made_up.values()] == [1, 1]
    run(tmp_path, *again, "--again", "--only", "one")
    assert [e.runs for e in made_up.values()] == [2, 1]
    run(tmp_path, *again, "--seed", "1", "--only", "one")
    assert [e.runs for e in made_up.values()] == [3, 1]
    monkeypatch.setattr(program, "code_version", lambda: "changed")
    run(tmp_path, *again)
    assert [e.runs for e in made_up.values()] == [4, 2]


def test_an_interrupted_run_goes_on_and_a_finished_one_starts_anew(
    made_up: dict[str, Counted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up["two"].error = MeasurementError("no rows")
    assert run(tmp_path) == 2
    shown = capsys.readouterr()
    assert "1 of 2: one took" in shown.err
    assert "two: no rows" in shown.err
    assert "| e | cpu |" in shown.out
    made_up["two"].error = None
    assert run(tmp_path) == 0
    assert [e.runs for e in made_up.values()] == [1, 2]
    assert "1 of 2: one, kept" in capsys.readouterr().err
    assert run(tmp_path) == 0
    assert [e.runs for e in made_up.values()] == [2, 3]


def test_a_missing_table_is_an_answer(
    made_up: dict[str, Counted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up["one"].error = FileNotFoundError(2, "no such file", "e2e.csv")
    assert run(tmp_path) == 2
    assert "e2e.csv is missing" in capsys.readouterr().err
    assert made_up["two"].runs == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "three"], "known: one, two"),
        (["--data", "/nowhere"], "--data /nowhere is no folder"),
        ([], "--data is not given"),
    ],
)
def test_bad_arguments_are_answered(
    made_up: dict[str, Counted],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert program.main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": {}}', '{"runs": {}, "made": {"one": {}}}'])
def test_a_file_of_something_else_is_refused(
    made_up: dict[str, Counted], tmp_path: Path, text: str
) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    assert run(tmp_path, "--json", str(path)) == 2
    assert path.read_text() == text


def test_the_version_of_the_code_follows_its_sources(tmp_path: Path) -> None:
    source = tmp_path / "perfmodel" / "a.py"
    source.parent.mkdir()
    source.write_text("x = 1\n")
    first = program.code_version(tmp_path)
    (tmp_path / "perfmodel" / "a.pyc").write_text("x")
    assert program.code_version(tmp_path) == first
    source.write_text("x = 2\n")
    assert program.code_version(tmp_path) != first


def test_every_experiment_has_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--list"]) == 0
    names = capsys.readouterr().out.split()
    assert len(names) == len(set(names)) > 8
    assert set(json.loads(readme.RESULTS.read_text())["runs"]) <= set(names)


# -- the tables of the README and of the page


def test_the_readme_shows_what_the_results_say() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert text == readme.with_table(text, readme.short_table(readme.committed()))
    assert len(readme.LINES) == 13


def test_the_page_shows_what_the_results_say() -> None:
    assert readme.PAGE.read_text(encoding="utf-8") == readme.page(readme.committed())


def test_a_line_takes_the_best_simple_model() -> None:
    result = replace(four_cases(), cases=1234, baselines={"a": 0.3, "b": 0.2}, coverage=None)
    lines = readme.short_table([result], [readme.TableLine("new", "e", "cpu")]).splitlines()
    assert lines[-1] == "| new | 1,234 | 12.5 % | 50.0 % | - | b 20.0 % |"


def test_results_of_unknown_code_are_marked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = {name: [four_cases().to_dict()] for name in ("old", "new")}
    made = {"old": {"code": ""}, "new": {"code": "abc"}}
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"runs": runs, "made": made}))
    monkeypatch.setattr(readme, "RESULTS", path)
    old, new, *_ = readme.committed()
    assert (old.experiment, new.experiment) == ("e (earlier code)", "e")
    line = [readme.TableLine("what", "e", "cpu")]
    assert readme.short_table([old], line).splitlines()[-1].startswith("| what (earlier code) |")


def test_a_line_without_a_result_is_an_error() -> None:
    with pytest.raises(PerfmodelError, match="no result of e, gpu"):
        readme.short_table([four_cases()], [readme.TableLine("new", "e", "gpu")])


def test_the_page_holds_every_figure_and_the_worst_cases() -> None:
    text = readme.page([replace(four_cases(), spearman=None, mean_error=0.198)])
    row = (
        "| e | cpu | 4 | 12.5 % | 19.8 % | 25.0 % | 50.0 % | 75.0 % | - | 75.0 % | double 100.0 % |"
    )
    assert row in text.splitlines()
    assert text.endswith(
        "- e, cpu: d: 4 ms predicted, 8 ms measured (-50 %); known\n"
        "- e, cpu: b: 2.3 ms predicted, 2 ms measured (+15 %)\n"
    )


def test_a_host_validation_is_read_by_group() -> None:
    group = {"cases": 3, "median": 0.1, "mape": 0.2, "within_5": 0.3, "within_10": 0.4}
    group |= {"within_20": 0.5, "coverage": 0.6, "spearman": 0.7}
    groups = {"host/cpu/tflite/fp32/t1": group, "first run: fp32/t1": group, "files: host": group}
    data = {"machine": {"facts": {"cpu": "A chip"}}, "groups": groups}
    steady, first = readme.host_results(data)
    assert steady.experiment == "validate host on A chip, predicted first"
    assert (steady.target_kind, steady.cases, steady.coverage) == ("fp32/t1", 3, 0.6)
    assert (steady.median_error, steady.mean_error) == (0.1, 0.2)
    assert (steady.within_5, steady.within_10, steady.within_20) == (0.3, 0.4, 0.5)
    assert steady.spearman == 0.7
    assert first.coverage is None


def test_a_worst_case_gets_the_reason_that_is_known_of_it_once() -> None:
    case = "vgg16 on xeon-phi-3120a cpu 56 threads: 9 ms predicted, 3 ms measured (+200 %)"
    told = explained("ncnn, new device from 1 networks (random), cpu float", case)
    assert told.startswith(f"{case}; 57 in-order cores")
    assert explained("ncnn, new device from 1 networks", told) == told
    assert explained("phones, new phone, mnn cpu", case) == case
    # the name decides, not what follows it
    assert explained("ncnn, ", f"vgg16 on x: {case}") == f"vgg16 on x: {case}"
    training = (
        "unseen GPU from its data sheet, whole networks, transformers, training (forward x 3)"
    )
    assert explained(training, "x: 1 ms").endswith("three forward passes")
