"""tflite-runtime, where that is what is installed: in an environment of its own, because it needs
numpy < 2 and a Python for which it has a wheel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.runners.host_bench import reference_graph

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
import json, sys
from pathlib import Path
from perfmodel.runners.runner import Job
from perfmodel.runners.tflite_host import TfliteRunner
runner = TfliteRunner(profile=True)
prepared = runner.prepare(Job("net", Path(sys.argv[1])))
raw = prepared.run_set(5, 2)
print(json.dumps({
    "build": runner.build, "runs": raw.runs_ms, "warm": raw.warmup_ms, "ops": len(raw.per_op_us),
    "first": raw.first_ms, "sum": float(abs(prepared.outputs()[0]).sum()),
}))
"""


@pytest.mark.slow
def test_the_same_adapter_runs_on_tflite_runtime(tmp_path: Path) -> None:
    if sys.version_info[:2] not in ((3, 10), (3, 11)):
        pytest.skip("tflite-runtime 2.14.0 has wheels for Python 3.10 and 3.11 only")
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "-q", "tflite-runtime==2.14.0", "numpy<2"]
    if subprocess.run(install).returncode != 0:
        pytest.skip("tflite-runtime cannot be installed here")
    path = tmp_path / "net.tflite"
    write_tflite(reference_graph(), path)
    answer = subprocess.run(
        [python, "-c", PROGRAM, str(path)],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found["build"] == "tflite-runtime 2.14.0"
    assert len(found["runs"]) == 5
    assert len(found["warm"]) == 2
    assert min(found["runs"]) > 0
    # no profiler there: operators are timed as files of their own
    assert found["ops"] == 0
    assert found["first"] > 0
