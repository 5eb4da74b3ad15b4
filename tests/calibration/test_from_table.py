"""A device learned from measurements: what it borrows, how sure it is, and what it refuses."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from perfmodel.calibration.adapt import Adaptation
from perfmodel.calibration.from_table import calibrate, calibrate_device
from perfmodel.calibration.measured import NetworkTables
from perfmodel.calibration.population import shipped_population
from perfmodel.calibration.suggest import _in_full, next_measurements
from perfmodel.cli.app import run
from perfmodel.cost_models.work_predictor import EfficiencyPredictor
from perfmodel.devices.profile import read_profile, write_profile
from perfmodel.errors import MeasurementError, TargetError, UncoveredOpError
from perfmodel.kernels.kernel import KernelTable
from perfmodel.measurements.read import read_measurements
from perfmodel.measurements.table import MeasurementTable
from perfmodel.prediction import predict
from perfmodel.target import parse_target

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "ten_rows.csv"
NETWORKS = (
    *("mobilenet_v1", "mobilenet_v2", "squeezenet_1_1", "resnet18", "resnet50", "alexnet"),
    *("vgg16", "googlenet", "shufflenet_v2", "mnasnet", "inception_v3", "densenet121"),
)
HEADER = ["unit", "framework", "precision", "threads", "affinity", "model", "latency_ms"]
LIKE = "snapdragon-855-plus"


def write_table(path: Path, rows: Sequence[Sequence[object]], header: list[str] = HEADER) -> Path:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def slower_twin(path: Path, networks: Sequence[str], factor: float, noise: float = 0.0) -> Path:
    """A device that takes `factor` times as long as a known one, up to noise."""
    generator = np.random.default_rng(5)
    rows = [
        (
            *("cpu", "ncnn", "float", 4, "big", name),
            predict(name, f"{LIKE}/cpu/ncnn/float/t4@big").latency_ms
            * factor
            * np.exp(generator.normal(0, noise)),
        )
        for name in networks
    ]
    return write_table(path, rows)


def read(path: Path, device: str = "my-phone") -> MeasurementTable:
    return read_measurements([path], device=device)[0]


def test_ten_rows_give_a_profile_that_predicts(tmp_path: Path) -> None:
    result = calibrate_device(read(EXAMPLE), device="my-phone", like=LIKE)
    (made,) = result.targets
    assert str(made.profile.target) == "my-phone/cpu/ncnn/float/t4@big"
    assert made.networks == 10
    assert made.borrowed_from == f"{LIKE}/cpu/ncnn/float/t4@big"
    assert made.profile.error.cases == 10
    assert made.profile.error.median < 0.15
    write_profile(result.device, tmp_path / "p.json")
    measured = {row["model"]: float(row["latency_ms"]) for row in csv.DictReader(open_(EXAMPLE))}
    for model, latency in measured.items():
        answer = predict(model, "my-phone/cpu", profiles=[tmp_path / "p.json"])
        assert answer.interval_ms[0] < latency < answer.interval_ms[1], model


def open_(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.mark.parametrize("count", [1, 3, 10])
def test_a_slower_twin_is_recognised_from_few_rows(tmp_path: Path, count: int) -> None:
    """A known device with every time tripled: unseen networks take three times as long too."""
    path = slower_twin(tmp_path / "t.csv", NETWORKS[:count], 3.0)
    profile = calibrate(read(path), device="my-phone", like=LIKE)
    write_profile(profile, tmp_path / "p.json")
    for unseen in ("resnet101", "proxylessnas", "inception_v4"):
        truth = 3 * predict(unseen, f"{LIKE}/cpu/ncnn/float/t4@big").latency_ms
        got = predict(unseen, "my-phone", profiles=[tmp_path / "p.json"]).latency_ms
        assert got == pytest.approx(truth, rel=0.05)


def test_the_twin_is_found_without_being_named(tmp_path: Path) -> None:
    path = slower_twin(tmp_path / "t.csv", NETWORKS, 1.2)
    (made,) = calibrate_device(read(path), device="my-phone").targets
    assert made.borrowed_from.startswith(LIKE)
    assert "explains the measurements best" in made.reason
    assert made.profile.error.median < 0.05


def test_more_rows_make_the_interval_narrower(tmp_path: Path) -> None:
    widths = []
    # between six and twelve it hardly changes: what is left is the noise
    for count in (1, 3, 12):
        path = slower_twin(tmp_path / f"{count}.csv", NETWORKS[:count], 1.5, noise=0.03)
        (made,) = calibrate_device(read(path), device="my-phone", like=LIKE).targets
        widths.append(made.profile.interval.high_log)
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("strayed", [1.0, 2.0])
def test_a_strange_networks_interval_is_the_known_ones_and_what_is_beyond_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strayed: float
) -> None:
    monkeypatch.setattr(Adaptation, "strayed", strayed)
    path = slower_twin(tmp_path / "t.csv", NETWORKS, 1.5, noise=0.2)
    (made,) = calibrate_device(read(path), device="my-phone").targets
    shipped, predictor = shipped_population(made.profile.target), made.profile.predictor
    assert shipped is not None
    assert isinstance(predictor, EfficiencyPredictor)
    strange = predictor.correction.strange_log
    whole = np.hypot(made.profile.interval.high_log, strayed * shipped.strange_width)
    assert made.profile.interval.high_log + strange == pytest.approx(whole, abs=2e-3)


def test_one_row_is_not_called_tested(tmp_path: Path) -> None:
    path = slower_twin(tmp_path / "t.csv", NETWORKS[:1], 2.0)
    (made,) = calibrate_device(read(path), device="my-phone").targets
    assert made.profile.error.cases == 0
    assert made.profile.error.median > 0.03


def test_one_wild_row_does_not_carry_the_fit_away(tmp_path: Path) -> None:
    path = slower_twin(tmp_path / "t.csv", NETWORKS, 2.0)
    rows = list(csv.reader(open_(path)))
    rows[3][-1] = str(float(rows[3][-1]) * 3)
    write_table(path, rows[1:])
    write_profile(calibrate(read(path), device="my-phone", like=LIKE), tmp_path / "p.json")
    truth = 2 * predict("resnet101", f"{LIKE}/cpu/ncnn/float/t4@big").latency_ms
    got = predict("resnet101", "my-phone", profiles=[tmp_path / "p.json"]).latency_ms
    assert got == pytest.approx(truth, rel=0.2)


def test_targets_of_one_table_are_kept_apart(tmp_path: Path) -> None:
    rows = [
        (unit, "ncnn", "float", threads, "", model, latency)
        for unit, threads, factor in (("cpu", 4, 1.0), ("cpu", 1, 3.0), ("gpu", "", 2.0))
        for model, latency in (("mobilenet_v1", 20 * factor), ("resnet50", 120 * factor))
    ]
    device = calibrate(read(write_table(tmp_path / "t.csv", rows)), device="my-phone")
    names = {str(t.target) for t in device.targets}
    assert names == {f"my-phone/{x}" for x in ("cpu/ncnn/float/t4", "cpu/ncnn/float/t1")} | {
        "my-phone/gpu/ncnn/float"
    }


def test_a_model_file_beside_the_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "tiny.param").write_text(
        "7767517\n3 3\n"
        "Input data 0 1 data 0=32 1=32 2=3\n"
        "Convolution conv 1 1 data conv 0=16 1=3 4=1 5=1 6=432\n"
        "ReLU relu 1 1 conv relu\n"
    )
    rows = [("cpu", "ncnn", "float", 4, "", "tiny.param", 0.4)]
    (made,) = calibrate_device(
        read(write_table(tmp_path / "t.csv", rows)), device="my-phone"
    ).targets
    assert made.networks == 1


def test_an_unknown_network_is_listed_beside_a_known_one(tmp_path: Path) -> None:
    rows = [
        ("cpu", "ncnn", "float", 4, "", "mobilenet_v1", 20),
        ("cpu", "ncnn", "float", 4, "", "mystery_net", 30),
    ]
    result = calibrate_device(read(write_table(tmp_path / "t.csv", rows)), device="my-phone")
    assert result.targets[0].networks == 1
    assert [bad.line for bad in result.unused] == [3]
    alone = read(write_table(tmp_path / "u.csv", rows[1:]))
    with pytest.raises(MeasurementError, match=r"u\.csv: line 2: .*mystery_net"):
        calibrate_device(alone, device="my-phone")


def test_an_unknown_device_to_borrow_from_is_an_error() -> None:
    with pytest.raises(TargetError, match="no-such-phone"):
        calibrate_device(read(EXAMPLE), device="my-phone", like="no-such-phone")


@pytest.mark.parametrize("name", ["My Phone", "../evil", "", "a/b", "x" * 200])
def test_a_device_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(MeasurementError, match="device"):
        calibrate_device(read(EXAMPLE), device=name)


def test_single_kernels_shift_the_nearest_known_physics(tmp_path: Path) -> None:
    """1x1 convolutions at 10 GMAC/s: another 1x1 convolution runs at that speed too."""
    header = "unit,framework,precision,threads,model,op,batch,cin,hin,win,cout,hout,wout,kh,kw"
    header += ",sh,sw,groups,latency_us"
    rows = []
    for side in (7, 14, 28, 56):
        for channels in (64, 128, 256, 512):
            us = side * side * channels * channels / 1e4 + 5
            shape = (1, channels, side, side, channels, side, side, 1, 1, 1, 1, 1)
            rows.append(("cpu", "testware", "fp32", 1, "", "conv2d", *shape, us))
    path = write_table(tmp_path / "k.csv", rows, header.split(","))
    (made,) = calibrate_device(read(path), device="my-board", kind="board").targets
    assert made.kernels == 16
    assert made.profile.error.cases == 16
    assert made.profile.error.median < 0.1


def test_suggestions_are_of_the_zoo_and_leave_less_unknown_each_time() -> None:
    answer = next_measurements(4, "my-phone/cpu", like=LIKE)
    remaining = [s.remaining_sd for s in answer.suggestions]
    assert remaining == sorted(remaining, reverse=True)
    assert len({s.name for s in answer.suggestions}) == 4
    assert all(s.reason for s in answer.suggestions)


def test_what_was_measured_is_not_suggested_again() -> None:
    first = next_measurements(2, "my-phone/cpu", like=LIKE).suggestions[0].name
    again = next_measurements(3, "my-phone/cpu", like=LIKE, table=read(EXAMPLE))
    measured = set(read(EXAMPLE).column("model"))
    assert not measured & {s.name for s in again.suggestions}
    assert first not in measured or first not in {s.name for s in again.suggestions}


def test_the_command_writes_to_the_users_folder_and_says_what_it_borrowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERFMODEL_PROFILES", str(tmp_path / "own"))
    code = run(["calibrate", "--from", str(EXAMPLE), "--device", "my-phone", "--like", LIKE])
    text = capsys.readouterr().out
    assert code == 0
    assert read_profile(tmp_path / "own" / "my-phone.json").device == "my-phone"
    assert f"borrowed from {LIKE}" in text
    assert "median error" in text
    assert run(["predict", "resnet50", "--on", "my-phone/cpu"]) == 0


def test_the_command_answers_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "p.json")
    arguments = ["--from", str(EXAMPLE), "--device", "my-phone", "-o", out, "--json"]
    assert run(["calibrate", *arguments]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["profile"] == out
    assert answer["targets"][0]["networks"] == 10
    assert run(["calibrate", "--suggest", "2", "--on", "my-phone/gpu", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["suggestions"]) == 2


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["--device", "x"], "error"),
        (["--from", "no.csv", "--device", "x"], "measurement"),
        (["--from", str(EXAMPLE)], "error"),
        (["--from", str(EXAMPLE), "--device", "x", "--kind", "toaster"], "error"),
        (["--from", str(EXAMPLE), "--device", "x", "--like", "nobody"], "target"),
        (["--from", "host", "--from", str(EXAMPLE), "--device", "x"], "error"),
        (["--suggest", "2", "--on", "x/warp"], "target"),
        (["--suggest", "0"], "usage"),
    ],
)
def test_bad_requests_are_errors_with_code_2(
    arguments: list[str], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["calibrate", *arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == kind


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("cpu", "ncnn", "float", 4, "", "mobilenet_v1", 0), "latency"),
        (("cpu", "ncnn", "float", 4, "", "mobilenet_v1", -3), "latency"),
        (("cpu", "ncnn", "float", 4, "", "mobilenet_v1", "fast"), "latency"),
        (("warp", "ncnn", "float", 4, "", "mobilenet_v1", 3), "unit"),
    ],
)
def test_a_damaged_row_is_refused_with_file_and_line(
    tmp_path: Path, row: tuple[object, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = ("cpu", "ncnn", "float", 4, "", "mobilenet_v2", 20)
    path = write_table(tmp_path / "t.csv", [good, row])
    arguments = ["calibrate", "--from", str(path), "--device", "x", "-o", str(tmp_path / "p.json")]
    assert run(arguments) == 2
    message = capsys.readouterr().err
    assert "t.csv: line 3" in message
    assert reason in message
    assert not (tmp_path / "p.json").exists()
    assert run([*arguments, "--skip-bad"]) == 0


@pytest.mark.parametrize(
    ("on", "asked"),
    [
        ("jetson-nano/gpu", "jetson-nano/gpu/tensorrt/fp16"),
        ("jetson-nano/gpu/ncnn", "jetson-nano/gpu/ncnn/float"),
        ("jetson-nano", "jetson-nano/cpu/ncnn/float"),
        ("pixel-4/cpu/tflite/int8", "pixel-4/cpu/tflite/int8"),
        ("my-phone/gpu", "my-phone/gpu/ncnn/float"),
        ("my-phone/gpu/tflite", "my-phone/gpu/tflite/float"),
    ],
)
def test_what_to_measure_is_asked_of_the_target_that_answers(on: str, asked: str) -> None:
    assert str(_in_full(parse_target(on), ())) == asked


class NotAll(NetworkTables):
    """Tables of networks of which one has an operator that costs nobody knows what."""

    def get(self, model: str, batch: int, rules: str) -> KernelTable:
        if model == "odd":
            raise UncoveredOpError("odd: 1 operator is not covered")
        return super().get(model, batch, rules)


def test_a_network_that_is_not_covered_is_not_suggested_and_those_after_it_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("squeezenet_1_1", "odd", "mobilenet_v1")
    monkeypatch.setattr("perfmodel.zoo.mobile_names", lambda: names)
    found = next_measurements(3, "my-phone/cpu", networks=NotAll())
    assert sorted(s.name for s in found.suggestions) == ["mobilenet_v1", "squeezenet_1_1"]
