"""The whole loop on the real runtime in about a minute: calibrate, killed once, then validate.

Everything is judged loosely: the machine that runs this may be busy. Where half a minute does not
measure enough, it gets twice the time, again and again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("ai_edge_litert")

from perfmodel.devices.profile import read_profile
from perfmodel.runners.journal import Journal

pytestmark = pytest.mark.slow

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
BUDGET_S, LONGEST_S = 24.0, 400.0


@dataclass(frozen=True)
class Loop:
    """What a calibration left; `before` are the keys measured before the process was killed."""

    profile: Path
    journal: Path
    before: list[str]
    budget_s: float


def keys_of(path: Path) -> list[str]:
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1][1:]
    return [json.loads(line)["key"] for line in lines]


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """A calibration that was killed and went on."""
    folder = tmp_path_factory.mktemp("loop")
    journal, profile = folder / "journal.jsonl", folder / "host.json"
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}

    def command(budget_s: float) -> list[str]:
        return [sys.executable, "-c", CALIBRATE, str(budget_s), str(journal), str(profile)]

    running = subprocess.Popen(command(LONGEST_S), env=quiet, stderr=subprocess.DEVNULL)
    until = time.monotonic() + LONGEST_S
    while len(keys_of(journal)) < 4 and time.monotonic() < until:
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = keys_of(journal)
    assert not profile.exists()
    budget_s = BUDGET_S
    while subprocess.run(command(budget_s), env=quiet, stderr=subprocess.DEVNULL).returncode:
        budget_s *= 2
        assert budget_s <= LONGEST_S
    return Loop(profile, journal, before, budget_s)


def test_a_killed_calibration_goes_on_and_loses_nothing(calibrated: Loop) -> None:
    before, after = calibrated.before, keys_of(calibrated.journal)
    assert len(before) >= 4
    assert after[: len(before)] == before
    assert len(set(after)) == len(after) > len(before)
    spent = [
        json.loads(line)["spent_s"] for line in calibrated.journal.read_text().splitlines()[1:]
    ]
    # a last network may begin just before the time is up
    assert sum(spent) < 1.1 * calibrated.budget_s + max(spent)


def test_a_profile_of_half_a_minute_predicts_unseen_networks(
    calibrated: Loop, tmp_path: Path
) -> None:
    from perfmodel.experiments.host import validate_host
    from perfmodel.experiments.host_result import validation_to_dict

    profile = calibrated.profile
    target = read_profile(profile).targets[0]
    assert str(target.target) == "host/cpu/tflite/fp32/t1"
    models = ("mobilenet_v1@width=0.5", "squeezenet_1_1", "mobilenet_v2@resolution=160")
    done = validate_host(
        profile,
        tmp_path / "v.jsonl",
        # they take seconds; a busy machine may take longer
        budget_s=LONGEST_S,
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


def test_the_journal_is_one_of_this_calibration(calibrated: Loop) -> None:
    from perfmodel.errors import MeasurementError

    with pytest.raises(MeasurementError, match="another campaign"):
        Journal(calibrated.journal, {"calibrate": "host", "seed": 7})
