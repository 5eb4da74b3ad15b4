"""The whole loop on the real runtime in about a minute: calibrate, killed once, then validate.

Everything is judged loosely: the machine that runs this may be busy.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ai_edge_litert")

from perfmodel.devices.profile import read_profile
from perfmodel.runners.journal import Journal

CALIBRATE = """
import sys
from pathlib import Path
from perfmodel.calibration.from_host import calibrate_host
from perfmodel.devices.profile import write_profile
done = calibrate_host(
    float(sys.argv[1]), Path(sys.argv[2]), precisions=("fp32",), threads=(1,)
)
write_profile(done.profile, Path(sys.argv[3]))
"""
BUDGET_S = 24.0


def keys_of(path: Path) -> list[str]:
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1][1:]
    return [json.loads(line)["key"] for line in lines]


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """(profile, journal, keys that were measured before the process was killed)."""
    folder = tmp_path_factory.mktemp("loop")
    journal, profile = folder / "journal.jsonl", folder / "host.json"
    command = [sys.executable, "-c", CALIBRATE, str(BUDGET_S), str(journal), str(profile)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    running = subprocess.Popen(command, env=quiet, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while len(keys_of(journal)) < 4 and time.monotonic() < until:
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = keys_of(journal)
    assert not profile.exists()
    subprocess.run(command, env=quiet, check=True, timeout=240, stderr=subprocess.DEVNULL)
    return profile, journal, before


def test_a_killed_calibration_goes_on_and_loses_nothing(
    calibrated: tuple[Path, Path, list[str]],
) -> None:
    _, journal, before = calibrated
    after = keys_of(journal)
    assert len(before) >= 4
    assert after[: len(before)] == before
    assert len(set(after)) == len(after) > len(before)
    spent = [json.loads(line)["spent_s"] for line in journal.read_text().splitlines()[1:]]
    # a last network may begin just before the time is up
    assert sum(spent) < 1.1 * BUDGET_S + max(spent)


def test_a_profile_of_half_a_minute_predicts_unseen_networks(
    calibrated: tuple[Path, Path, list[str]], tmp_path: Path
) -> None:
    from perfmodel.experiments.host import validate_host
    from perfmodel.experiments.host_result import validation_to_dict

    profile, _, _ = calibrated
    target = read_profile(profile).targets[0]
    assert str(target.target) == "host/cpu/tflite/fp32/t1"
    models = ("mobilenet_v1@width=0.5", "squeezenet_1_1", "mobilenet_v2@resolution=160")
    done = validate_host(
        profile,
        tmp_path / "v.jsonl",
        budget_s=20,
        models=models,
        predictions=tmp_path / "p.json",
    )
    written = json.loads((tmp_path / "p.json").read_text())["predictions"]
    assert [p["predicted_ms"] for p in written] == [
        c.predicted_ms for c in sorted(done.cases, key=lambda c: _place(models, c.model))
    ]
    data = validation_to_dict(done)
    assert len(data["cases"]) == 3
    # half a minute on a machine that may be busy: right within a factor of two
    assert all(0.4 < c.predicted_ms / c.measured_ms < 2.5 for c in done.cases)
    assert done.kernels
    assert all(c.measured_ms > 0 for c in done.first)


def _place(models: tuple[str, ...], name: str) -> int:
    return [m.partition("@")[0] for m in models].index(name.partition("@")[0])


def test_the_journal_is_one_of_this_calibration(calibrated: tuple[Path, Path, list[str]]) -> None:
    from perfmodel.errors import MeasurementError

    with pytest.raises(MeasurementError, match="another campaign"):
        Journal(calibrated[1], {"calibrate": "host", "seed": 7})
