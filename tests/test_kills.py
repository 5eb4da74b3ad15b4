"""Commands that are killed at random moments lose nothing and leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes through /proc")
ROOT = Path(__file__).resolve().parent.parent


def killed(kind: str, kills: int, seed: int, folder: Path) -> dict[str, int]:
    """The count of kills and rounds of tests/kills.py."""
    mark = f"PERFMODEL_KILLS={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    paths = os.pathsep.join((str(ROOT), *(p for p in sys.path if p)))
    done = subprocess.run(
        [sys.executable, "tests/kills.py", kind, str(folder), str(kills), str(seed), mark],
        env={**os.environ, name: value, "TMPDIR": str(folder), "PYTHONPATH": paths},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counted: dict[str, int] = json.loads(done.stdout)
    return counted


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "kills"),
    [("calibrate", 70), ("validate", 65), ("whatif", 60), ("whatif-processes", 5)],
)
def test_two_hundred_kills_lose_nothing(kind: str, kills: int, tmp_path: Path) -> None:
    assert killed(kind, kills, seed=11, folder=tmp_path)["kills"] >= kills
