"""The rules of the checks themselves: which skips are failures, what may be measured in a test."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import names_something_missing

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "reason",
    [
        "could not import 'pyarrow': No module named 'pyarrow'",
        "the extra `onnx` is not installed",
        "the extra perfmodel[dask] is absent",
        "tflite-runtime cannot be installed here",
        "no Chromium is installed",
        "no g++ to build the CUDA kernels for the CPU",
    ],
)
def test_reasons_that_name_what_could_be_installed(reason: str) -> None:
    assert names_something_missing(reason)


@pytest.mark.parametrize(
    "reason",
    [
        "no measurements at /somewhere/shared/data",
        "PyTorch is not installed",
        "cuDNN is not installed",
        "no GPU answers: libcuda.so.1 is not installed",
        "tflite-runtime 2.14.0 has wheels for Python 3.10 and 3.11 only",
        "this file system keeps files in memory",
    ],
)
def test_reasons_that_are_good_everywhere(reason: str) -> None:
    assert not names_something_missing(reason)


MODULES = {
    "body": "def test_it():\n    pytest.importorskip('no_such_package')\n",
    "mark": "@pytest.mark.skipif(True, reason='no Chromium is installed')\n"
    "def test_it():\n    pass\n",
    "module": "pytest.importorskip('no_such_package')\ndef test_it():\n    pass\n",
    "good": "def test_it():\n    pytest.skip('no measurements at /nowhere')\n",
    "expected": "@pytest.mark.xfail(reason='no Chromium is installed')\n"
    "def test_it():\n    assert False\n",
}


def failures(folder: Path, ci: str) -> set[str]:
    """Modules that fail when pytest runs `MODULES` with this project's conftest."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    for name, body in MODULES.items():
        (folder / f"test_{name}.py").write_text(f"import pytest\n\n{body}")
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider"]
    command += ["--continue-on-collection-errors", "--rootdir", "."]
    environment = {**os.environ, "CI": ci, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return set(re.findall(r"^(?:FAILED|ERROR) test_(\w+)\.py", done.stdout, re.MULTILINE))


def test_a_skip_for_lack_of_a_package_fails_in_ci_only(tmp_path: Path) -> None:
    assert failures(tmp_path, "true") == {"body", "mark", "module"}
    assert failures(tmp_path, "") == set()


CLOCKS = {"perf_counter", "process_time", "monotonic", "time"}
CLOCK_USERS = {
    "tests/experiments/test_host_loop.py": "waits for a file",
    "tests/hostile/mutants.py": "bounds the processor time of one damaged input, as is promised",
    "tests/kills.py": "chooses moments to kill at, and waits for processes to end",
    "tests/runners/test_worker.py": "waits for a process to end",
    "tests/sim/test_wire.py": "a byte may not come early",
    "tests/ui/test_browser.py": "waits for a process to end",
}
"""Files of tests that read a clock, and what for: none asserts that something is fast."""


def reads_a_clock(path: Path) -> bool:
    """Whether a file calls a clock of `time`."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in CLOCKS
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


def test_no_test_says_how_fast_something_is() -> None:
    """A busy machine must not fail a test; what speed is asked for stands in benchmarks/."""
    found = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        if reads_a_clock(path)
    }
    assert found == set(CLOCK_USERS)
