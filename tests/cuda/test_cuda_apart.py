"""A GPU campaign runs in a process of its own, which may die: the next mode is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import RunnerError
from perfmodel.runners.cuda import apart
from perfmodel.runners.cuda.campaign_state import Settings
from perfmodel.runners.cuda.mode_campaigns import campaigns_by_mode
from perfmodel.runners.worker import Worker
from tests.runners.fake_native import DyingWorker

SETTINGS = Settings(networks=("net",), modes=("vanilla/fp32", "cudnn/fp32"), device_name="my-gpu")


@pytest.fixture(autouse=True)
def dying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "runners"))
    monkeypatch.setattr(apart, "Worker", DyingWorker)


def test_a_campaign_and_what_it_says_come_back(tmp_path: Path) -> None:
    said: list[str] = []
    done = apart.run_apart(tmp_path, SETTINGS, said.append)
    assert said == ["measuring ['vanilla/fp32', 'cudnn/fp32']"]
    assert done.files == {"networks": tmp_path / "my-gpu_networks.csv"}
    assert (done.folder, done.rows, done.failures) == (tmp_path, {"networks": 1}, ("one",))
    assert done.finished
    assert not done.died


def test_a_dead_campaign_keeps_its_tables_and_is_not_run_again(tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(
        networks=("SIGSEGV",), modes=SETTINGS.modes, device_name="my-gpu", budget_s=100.0
    )
    journal = tmp_path / "journal.jsonl"
    for _ in range(2):
        first, second = campaigns_by_mode(journal, settings, said.append)
        assert "vanilla/fp32: the runtime died of SIGSEGV" in first.failures[0]
        assert "cudnn/fp32: the runtime died of SIGSEGV" in second.failures[0]
        assert first.files["networks"].read_text() == "x"
    assert len(said) == 2


def test_without_a_gpu_the_error_is_the_campaign_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "Worker", Worker)
    absent = Settings(networks=("alexnet",), device_index=63, device_name="my-gpu")
    with pytest.raises(RunnerError):
        apart.run_apart(tmp_path, absent, print)
