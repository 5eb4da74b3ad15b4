"""Every answer of a public function: brief in a terminal, a fragment in a notebook, a table."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import perfmodel
from perfmodel.answer import LONGEST_REPR, Answer, shortened
from perfmodel.errors import PerfmodelError
from perfmodel.experiments.devices import DeviceValidation
from perfmodel.experiments.scores import Case

PHONE = "snapdragon-855-plus"


@cache
def validated() -> DeviceValidation:
    cases = tuple(
        Case(
            model=name,
            target=f"{PHONE}/cpu",
            predicted_ms=ms,
            low_ms=ms / 2,
            high_ms=ms * 2,
            measured_ms=ms * 1.1,
        )
        for name, ms in (("mobilenet_v2", 20.0), ("vgg16", 400.0))
    )
    return DeviceValidation(
        experiment="adb", cases=cases, warnings=(), left_out={}, machine={}, finished=True
    )


MADE: dict[str, Callable[[], Any]] = {
    "graph": lambda: perfmodel.load("mobilenet_v2"),
    "inspect": lambda: perfmodel.inspect("mobilenet_v2"),
    "models": lambda: perfmodel.models("mobilenet"),
    "devices": lambda: perfmodel.targets(PHONE),
    "predict": lambda: perfmodel.predict("mobilenet_v2", f"{PHONE}/cpu"),
    "compare": lambda: perfmodel.compare(["mobilenet_v2", "vgg16"], [f"{PHONE}/cpu,gpu"]),
    "minspec": lambda: perfmodel.minspec("mobilenet_v2", max_latency_ms=50),
    "select": lambda: perfmodel.select(["mobilenet_v3"], on=PHONE, max_latency_ms=30),
    "partition": lambda: perfmodel.partition("mobilenet_v2", PHONE, units=["cpu", "gpu"], k=2),
    "whatif": lambda: perfmodel.whatif(
        model="mobilenet_v2", target=f"{PHONE}/cpu", sets=["width=0.5,1.0"]
    ),
    "simulate": lambda: perfmodel.simulate("examples/mm1.toml", replications=1),
    "validate": validated,
    "suggest": lambda: perfmodel.next_measurements(2, f"{PHONE}/cpu"),
}

ROWS = {
    "inspect": ("name", "macs"),
    "models": ("name",),
    "devices": ("target", "median_error"),
    "predict": ("name", "latency_ms", "bound"),
    "compare": ("model", "target", "latency_ms", "low_ms", "high_ms"),
    "minspec": ("verdict", "device", "latency_ms", "low_ms", "high_ms", "margin"),
    "select": ("model", "accuracy", "latency_ms"),
    "partition": ("target", "latency_ms"),
    "whatif": ("width", "latency_ms"),
    "simulate": ("case", "latency_p95_ms"),
    "validate": ("model", "predicted_ms", "measured_ms"),
    "suggest": ("name", "remaining_sd"),
}


@cache
def made(name: str) -> Answer:
    answer = MADE[name]()
    assert isinstance(answer, Answer)
    return answer


class Tags(HTMLParser):
    """The tags of a text; a text whose tags do not close in order raises."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in ("meta", "link", "br", "hr", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)


@pytest.mark.parametrize("name", MADE)
def test_the_repr_is_short_and_names_the_class(name: str) -> None:
    text = repr(made(name))
    assert len(text) <= LONGEST_REPR
    assert text.startswith(f"<{type(made(name)).__name__}")
    assert text.endswith(">")


def test_a_repr_says_what_the_command_says() -> None:
    answer: Any = made("predict")
    assert f"{answer.latency_ms:.3g} ms on {PHONE}/cpu" in repr(answer)
    assert "4 networks" not in repr(made("compare"))
    assert "operators, inputs" in repr(made("graph"))


def test_a_text_is_shortened_at_its_limit_only() -> None:
    full = "<" + "x" * (LONGEST_REPR - 2) + ">"
    assert shortened(full) == full
    cut = shortened(full[:-1] + "y>")
    assert len(cut) == LONGEST_REPR
    assert cut.endswith("x...>")


@pytest.mark.parametrize("name", MADE)
def test_a_notebook_gets_the_answer_without_script_or_head(name: str) -> None:
    html = made(name)._repr_html_()
    seen = Tags(html).seen
    assert not seen & {"script", "html", "head", "body", "link", "meta"}
    assert len(html) < 500_000


@pytest.mark.parametrize("name", ROWS)
def test_the_frame_has_the_rows_under_their_names(name: str) -> None:
    frame = made(name).to_frame()
    assert len(frame)
    assert set(ROWS[name]) <= set(frame.columns)


def test_the_frame_of_a_prediction_adds_up_to_its_time() -> None:
    answer: Any = made("predict")
    total = answer.to_frame()["latency_ms"].sum() + answer.overhead_ms
    assert total == pytest.approx(answer.latency_ms, rel=1e-6)


def test_the_frame_of_phones_has_each_with_its_verdict() -> None:
    answer: Any = made("minspec")
    counts = answer.to_frame()["verdict"].value_counts().to_dict()
    groups = {"pass": answer.passing, "fail": answer.failing, "unknown": answer.unknown}
    assert counts == {name: len(phones) for name, phones in groups.items() if phones}
    first = answer.to_frame().iloc[0]
    assert (first["low_ms"], first["high_ms"]) == pytest.approx(answer.passing[0].interval_ms)


def test_the_frame_of_a_sweep_is_a_copy_of_its_own() -> None:
    answer: Any = made("whatif")
    frame = answer.to_frame()
    frame["width"] = 0.0
    assert sorted(answer.frame["width"]) == [0.5, 1.0]


@pytest.mark.parametrize("name", ["predict", "devices", "suggest", "graph"])
def test_a_report_is_made_of_an_answer(name: str, tmp_path: Path) -> None:
    written = perfmodel.report(made(name), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert written.kind == made(name).command
    assert written.size_bytes == len(page.encode())
    assert page.startswith("<!doctype html>")
    assert len(repr(written)) <= LONGEST_REPR


def test_a_report_of_an_answer_is_named_by_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert perfmodel.report(made("predict")).output == "predict.html"
    assert (tmp_path / "predict.html").is_file()


def test_without_altair_a_plot_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "altair", None)
    with pytest.raises(PerfmodelError, match="altair") as refused:
        made("predict").plot()
    assert "perfmodel[plot]" in (refused.value.hint or "")


# plots need the extra `plot`
DRAWN = [name for name in ROWS if name not in ("models", "devices", "suggest")]


@pytest.mark.ci
@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_draws_columns_that_are_there(name: str) -> None:
    pytest.importorskip("altair")
    chart = made(name).plot().to_dict()
    rows = next(iter(chart["datasets"].values()))
    for channel, drawn in chart["encoding"].items():
        fields = [f["field"] for f in (drawn if channel == "tooltip" else [drawn])]
        for column in fields:
            assert column.replace("\\", "") in rows[0], (channel, column)


@pytest.mark.ci
@pytest.mark.parametrize("name", ["models", "devices"])
def test_what_has_no_figures_has_no_plot(name: str) -> None:
    pytest.importorskip("altair")
    with pytest.raises(PerfmodelError, match="nothing to draw"):
        made(name).plot()


@pytest.mark.parametrize("name", ["graph", "predict", "compare"])
def test_answers_still_travel_between_processes(name: str) -> None:
    assert pickle.loads(pickle.dumps(made(name))) == made(name)


def test_an_answer_keeps_its_fields_and_those_who_inherit_their_command() -> None:
    @dataclass(frozen=True)
    class Longer(type(made("predict"))):  # type: ignore[misc]
        pass

    assert Longer.command == "predict"
    assert "command" not in json.dumps(sorted(vars(made("predict"))))


def test_targets_are_those_of_the_command() -> None:
    known = perfmodel.targets(kind="jetson")
    assert {line.kind for line in known} == {"jetson"}
    assert len(known) == len(known.targets) > 5
    assert perfmodel.targets("Galaxy S23").found
    with pytest.raises(PerfmodelError, match="--kind 'tablet' is none of phone"):
        perfmodel.targets(kind="tablet")


def test_models_can_all_be_loaded_by_their_names() -> None:
    known = perfmodel.models("mobilenet_v2")
    assert "mobilenet_v2" in known
    assert len(known) == len(known.names) == len(list(known))
    assert perfmodel.load(known.names[-1]).ops
    assert "torchvision:mobilenet_v2" in known
    assert all("mobilenet_v2" in name.lower() for name in known.names)


def test_an_inspection_has_the_figures_of_its_rows() -> None:
    answer: Any = made("inspect")
    frame = answer.to_frame()
    assert answer.macs == frame["macs"].sum()
    # torchvision's, one bias for two numbers of a norm in each of 17,056 channels, a 1001st class
    assert (answer.params, answer.uncovered_ops) == (3_504_872 - 17_056 + 1281, ())
    assert perfmodel.inspect("mobilenet_v2", batch_size=2).macs == 2 * answer.macs


@pytest.mark.parametrize("experiment", ["kinds", "ssh", "adb:x", "host:x", "partition:x", ""])
def test_a_validation_that_no_function_runs_names_those_there_are(
    experiment: str, tmp_path: Path
) -> None:
    with pytest.raises(PerfmodelError, match="no experiment") as refused:
        perfmodel.validate(experiment, journal=tmp_path / "j.jsonl")
    assert "host, partition, adb, ssh:HOST" in (refused.value.hint or "")


def test_a_validation_needs_a_profile(tmp_path: Path) -> None:
    with pytest.raises(PerfmodelError, match="profile of the device"):
        perfmodel.validate("adb", journal=tmp_path / "j.jsonl")
    with pytest.raises(PerfmodelError, match="no profile of this machine") as refused:
        perfmodel.validate("host", journal=tmp_path / "j.jsonl", profile=tmp_path / "none.json")
    assert "perfmodel calibrate --from host --budget" in (refused.value.hint or "")
