"""What is varied stays in its domain: values that are set, and every value a law can give."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from perfmodel.cli.app import run
from perfmodel.errors import ScenarioError
from perfmodel.explore.design import make_design
from perfmodel.explore.inputs import of_prediction, of_scenario, refuse_outside
from perfmodel.explore.sweep import whatif
from perfmodel.explore.varied import Law, parse_sample, parse_set

CAMERA = Path(__file__).resolve().parents[2] / "examples" / "camera_30fps.toml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slowdown=-1", "slowdown must be > 0, got -1"),
        ("slowdown=1,0", "slowdown must be > 0, got 0"),
        ("download_bytes=-1e9", "download_bytes must be >= 0, got -1000000000.0"),
        ("upload_bytes=-1", "upload_bytes must be >= 0, got -1"),
        ("batch_size=1,0", "batch_size must be >= 1, got 0"),
        ("batch_size=1.5", "batch_size must be a whole number, got 1.5"),
        ("link.uplink_mbps=0", "link.uplink_mbps must be > 0, got 0"),
        ("link.rtt_ms=-1", "link.rtt_ms must be >= 0, got -1"),
        ("slowdown=fast", "slowdown must be a number, got 'fast'"),
    ],
)
def test_values_of_a_prediction_outside_their_domain_are_refused(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        whatif(model="alexnet", target="snapdragon-888/cpu", sets=[text])
    assert error.value.message == f"--set {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slowdown=normal(1, 0.5)", "must be > 0, and the law goes to -inf"),
        ("slowdown=normal(1, 0.5, -0.1, 3)", "must be > 0, and the law goes to -0.1"),
        ("slowdown=uniform(-1, 2)", "must be > 0, and the law goes to -1"),
        ("slowdown=triangular(-1, 0, 2)", "must be > 0, and the law goes to -1"),
        ("slowdown=choice(1, -2)", "slowdown must be > 0, got -2"),
        ("batch_size=uniform(1, 4)", "batch_size is a whole number"),
        ("batch_size=choice(1, 2.5)", "must be a whole number, got 2.5"),
        ("link.uplink_mbps=normal(8, 1)", "must be > 0, and the law goes to -inf"),
        ("download_bytes=normal(8, 1)", "must be >= 0, and the law goes to -inf"),
    ],
)
def test_laws_that_may_leave_a_domain_are_refused(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        whatif(model="alexnet", target="snapdragon-888/cpu", samples=[text])
    assert message in error.value.message
    assert error.value.message.startswith("--sample ")


@pytest.mark.parametrize(
    "text",
    [
        "slowdown=normal(1, 0.5, 0.1, 3)",
        "slowdown=lognormal(1, 0.5)",
        "slowdown=uniform(0, 2)",
        "slowdown=loguniform(0.1, 2)",
        "batch_size=choice(1, 2, 8)",
        "link.loss=uniform(0, 0.5)",
        "model=choice(alexnet, nin)",
    ],
)
def test_laws_that_stay_inside_are_taken(text: str) -> None:
    refuse_outside([], [parse_sample(text)], of_prediction)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task.on_device.preprocess_ms=-4", "must be a finite number >= 0, got -4"),
        ("task.on_server.upload_bytes.mean=5,-1", "must be >= 0, got -1"),
        ("link.loss=0.1,0.6", "link.loss must be <= 0.5, got 0.6"),
        ("device.gpu.slice_ms=0", "device.gpu.slice_ms must be >= 0.001, got 0"),
        ("task.frame.deadline_ms=0", "task.frame.deadline_ms must be > 0, got 0"),
        ("task.0.deadline_ms=0", "task.0.deadline_ms must be > 0, got 0"),
        ("task.on_device.unit=gpu,tpu", "task.on_device.unit cannot be 'tpu'"),
        ("server.replicas=1,2,0", "server.replicas must be >= 1, got 0"),
    ],
)
def test_every_value_of_a_scenario_is_checked_before_anything_runs(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        whatif(CAMERA, sets=[text])
    assert message in error.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task.on_device.preprocess_ms=normal(4, 1)", "must be >= 0, and the law goes to -inf"),
        ("link.loss=lognormal(0.1, 1)", "must be <= 0.5, and the law goes to inf"),
        ("server.replicas=uniform(1, 3)", "server.replicas is a whole number"),
        ("task.on_device.unit=uniform(1, 3)", "task.on_device.unit is cpu, gpu, npu, no number"),
    ],
)
def test_every_law_of_a_scenario_is_checked_before_anything_runs(text: str, message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        whatif(CAMERA, samples=[text])
    assert message in error.value.message


@pytest.mark.parametrize("path", ["compare", "case", "group", "task", "device.cpu", "nonsense.x"])
def test_what_only_the_reader_of_the_whole_can_judge_has_no_domain(path: str) -> None:
    assert of_scenario(path) is None
    refuse_outside([parse_set(f"{path}=1,-1")], [], of_scenario)


def test_the_command_refuses_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["whatif", "--model", "alexnet", "--on", "snapdragon-888/cpu", "--set", "slowdown=-1"]
    assert run(asked) == 2
    assert "slowdown must be > 0, got -1" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "law",
    [
        Law("a", "normal", (1.0, 0.5, 0.1, 3.0)),
        Law("a", "normal", (0.0, 1.0, 1.0, 5.0)),
        Law("a", "lognormal", (8.0, 0.5, 6.0, 12.0)),
        Law("a", "lognormal", (8.0, 0.5, 0.0, 12.0)),
    ],
)
def test_a_law_that_is_cut_is_the_law_of_repeated_draws(law: Law, seed: int) -> None:
    """Compared with rejection by the Kolmogorov-Smirnov test."""
    rng = np.random.default_rng(seed)
    first, second, low, high = law.arguments
    if law.kind == "normal":
        drawn = rng.normal(first, second, 60_000)
    else:
        spread = math.sqrt(math.log1p(second**2))
        drawn = rng.lognormal(math.log(first) - spread**2 / 2, spread, 60_000)
    kept = drawn[(drawn >= low) & (drawn <= high)]
    mine = make_design([], [law], 5000, seed).columns["a"]
    assert low <= mine.min() <= mine.max() <= high
    assert stats.ks_2samp(mine, kept).pvalue > 1e-3


def test_a_law_without_bounds_is_not_cut() -> None:
    values = make_design([], [Law("a", "normal", (0.0, 1.0))], 4000).columns["a"]
    assert values.std() == pytest.approx(1.0, rel=0.01)
    assert Law("a", "normal", (0.0, 1.0)).support == (-math.inf, math.inf)
    assert Law("a", "lognormal", (1.0, 1.0)).support == (0.0, math.inf)
    assert Law("a", "triangular", (1, 2, 5)).support == (1, 5)


@pytest.mark.parametrize(
    "text", ["a=lognormal(8, 0.5, 6, 12)", "a=normal(-3, 1, -5, -1)", "a=normal(1, 0.5, 0.1, 3)"]
)
def test_bounds_that_rise_are_read(text: str) -> None:
    law = parse_sample(text)
    low, high = law.support
    values = make_design([], [law], 50).columns["a"]
    assert low < values.min() < values.max() < high


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=normal(1, 0.5, 3, 2)", "the bounds do not rise"),
        ("a=normal(1, 0.5, 3, 3)", "the bounds do not rise"),
        ("a=normal(1, 0.5, 90, 99)", "only 0 of the law lies between the bounds"),
        ("a=lognormal(1, 0.5, -2, -1)", "the bounds do not rise"),
        ("a=normal(1, 0.5, 2)", "needs 2 or 4 numbers"),
        ("a=uniform(1, 2, 3, 4)", "needs 2 numbers"),
        ("a=triangular(1, 2)", "needs 3 numbers"),
        ("a=uniform(true, 2)", "needs 2 numbers"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse_sample(text)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1" * 5000, "inf", "nan", "-inf"])
def test_numbers_too_large_to_calculate_with_are_refused(number: str) -> None:
    with pytest.raises(ScenarioError, match="no number to calculate with"):
        parse_set(f"a={number}")
