"""What `validate` answers: as text, as JSON, and as one page with every case on it."""

from __future__ import annotations

from html.parser import HTMLParser

from perfmodel.experiments.host_result import HostValidation, KernelError, validation_to_dict, worst
from perfmodel.experiments.scores import Case
from perfmodel.render.result import as_page
from perfmodel.render.validation import validation_result
from perfmodel.runners.runner import MachineFacts

TARGET = "host/cpu/tflite/fp32/t1"


def case(model: str, predicted: float, low: float, high: float, measured: float) -> Case:
    return Case(
        model=model,
        target=TARGET,
        predicted_ms=predicted,
        low_ms=low,
        high_ms=high,
        measured_ms=measured,
    )


def validation() -> HostValidation:
    cases = (
        case("one", 10.0, 9.0, 11.0, 10.5),
        case("two<script>", 30.0, 28.0, 33.0, 20.0),
        case("file", 1.0, 0.9, 1.1, 1.0),
    )
    kernels = (
        KernelError("two<script>", TARGET, "conv_a", "conv3x3", 9000.0, 1000.0),
        KernelError("two<script>", TARGET, "conv_b", "conv1x1", 21000.0, 19000.0),
    )
    return HostValidation(
        cases=cases,
        files=frozenset({"file"}),
        first=(cases[0],),
        kernels=kernels,
        repeat=0.01,
        repeats=2,
        left_out={"x": "the budget was spent"},
        machine=MachineFacts("tflite", {"cpu": "a <b> CPU"}),
        warning="",
        spent_s=12.0,
        drift={"fp32/t1": 1.03},
    )


def test_names_are_escaped_and_nothing_is_loaded_from_outside() -> None:
    page = as_page(validation_result(validation_to_dict(validation())))
    tags: list[tuple[str, dict]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            tags.append((tag, dict(attrs)))

    Reader().feed(page)
    assert [t for t, _ in tags].count("script") == 1  # the page's own
    assert not any("src" in a or a.get("href", "data:,") != "data:," for _, a in tags)
    assert sum(t == "circle" for t, _ in tags) == 2 * 3  # on each of two scales
    assert len(page) <= 500_000


def test_the_worst_case_names_the_kernel_that_explains_it() -> None:
    first = worst(validation())[0]
    assert first["model"] == "two<script>"
    assert first["kernels"][0]["kernel"] == "conv_a"


def test_json_has_the_keys_of_every_validation() -> None:
    data = validation_to_dict(validation())
    keys = {"experiment", "cases", "mape", "within_10", "within_20", "spearman", "coverage"}
    assert keys | {"machine"} <= set(data)
    assert data["groups"]["files: all"]["cases"] == 1
    assert data["coverage"] == 2 / 3
