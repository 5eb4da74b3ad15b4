"""From a GPU to a prediction, on the stand-in GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.calibration.from_device import DeviceRequest, calibrate_device_over
from perfmodel.devices.profile import write_profile
from perfmodel.errors import RunnerError
from perfmodel.prediction import predict
from perfmodel.runners.cuda import mode_campaigns
from perfmodel.runners.cuda.campaign import Settings, run_campaign
from perfmodel.runners.cuda.campaign_state import CampaignResult
from perfmodel.runners.cuda.mode_campaigns import campaigns_by_mode
from perfmodel.runners.device_options import DeviceOptions
from tests.cuda.cuda_on_cpu import TINY, FakeGpu, needs_compiler


@pytest.mark.slow
@needs_compiler
def test_a_gpu_becomes_a_profile_that_predicts(
    paper_gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the stand-in lives in this process, so the campaign does too
    monkeypatch.setattr(mode_campaigns, "run_apart", run_campaign)
    request = DeviceRequest(
        device="paper-9000",
        journal=tmp_path / "gpu.jsonl",
        budget_s=100.0,
        models=TINY.networks,
        options=DeviceOptions(modes=TINY.modes, sweep_scale=TINY.sweep_scale),
        log=lambda line: None,
    )
    done = calibrate_device_over("cuda", request)
    profile = done.calibration.device
    assert [str(t.target) for t in profile.targets] == ["paper-9000/gpu/vanilla/fp32"]
    assert profile.kind == "server"
    networks = done.measured.table.networks.frame
    assert list(networks["variant"]) == ["launch=graph;layout=nchw"]
    path = tmp_path / "p.json"
    write_profile(profile, path)
    answer = predict(TINY.networks[0], "paper-9000/gpu", profiles=[path])
    # the CPU that stands in is no GPU: right within a factor of three
    assert 1 / 3 < answer.latency_ms / networks["latency_ms"].iloc[0] < 3
    # what is measured is not measured again
    assert calibrate_device_over("cuda", request).measured.files == done.measured.files


def campaign_that(finishes: bool, ran: list[tuple[str, float]]) -> object:
    """A campaign that writes one file and notes its mode and budget."""

    def run(folder: Path, settings: Settings, log: object) -> CampaignResult:
        ran.append((settings.modes[0], settings.budget_s))
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "x_networks.csv"
        file.write_text("x")
        return CampaignResult(folder, {"networks": file}, {"networks": 1}, (), finishes)

    return run


def test_the_budget_is_shared_by_the_modes_that_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, float]] = []
    # each campaign takes 10 s of the clock
    clock = iter([0.0, 10.0, 10.0, 10.0, 20.0, 20.0])
    monkeypatch.setattr(mode_campaigns.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(mode_campaigns, "run_apart", campaign_that(True, ran))
    two = Settings(modes=("vanilla/fp32", "cudnn/fp32"), budget_s=100.0, device_name="x")
    campaigns_by_mode(tmp_path / "j.jsonl", two, print)
    assert ran == [("vanilla/fp32", 50.0), ("cudnn/fp32", 90.0)]


def test_what_earlier_calls_spent_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, float]] = []
    clock = iter([0.0, 30.0, 30.0, 100.0, 110.0])
    monkeypatch.setattr(mode_campaigns.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(mode_campaigns, "run_apart", campaign_that(True, ran))
    one = Settings(modes=("vanilla/fp32",), budget_s=100.0, device_name="x")
    campaigns_by_mode(tmp_path / "j.jsonl", one, print)
    monkeypatch.setattr(mode_campaigns.time, "monotonic", lambda: 0.0)
    two = Settings(modes=("vanilla/fp32", "cudnn/fp32"), budget_s=100.0, device_name="x")
    campaigns_by_mode(tmp_path / "j.jsonl", two, print)
    assert ran == [("vanilla/fp32", 100.0), ("cudnn/fp32", 70.0)]


def test_a_mode_that_was_cut_short_or_lost_its_table_runs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, float]] = []
    one = Settings(modes=("vanilla/fp32",), device_name="x")
    for finishes in (False, True, True):
        monkeypatch.setattr(mode_campaigns, "run_apart", campaign_that(finishes, ran))
        (result,) = campaigns_by_mode(tmp_path / "j.jsonl", one, print)
    assert len(ran) == 2
    assert result.finished
    result.files["networks"].unlink()
    campaigns_by_mode(tmp_path / "j.jsonl", one, print)
    assert len(ran) == 3


def test_without_a_gpu_it_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_gpu(*_: object) -> CampaignResult:
        raise RunnerError("there is no CUDA device", "install pycuda")

    monkeypatch.setattr(mode_campaigns, "run_apart", no_gpu)
    request = DeviceRequest(device="my-gpu", journal=tmp_path / "g.jsonl", budget_s=9.0)
    with pytest.raises(RunnerError, match="no CUDA device") as error:
        calibrate_device_over("cuda", request)
    assert error.value.hint
    assert not request.journal.exists()
