"""Shared fixtures: the measurements that lie beside the repository; and what a skip may say.

Tests that ask for the measurements carry the mark `data`: `-m data` runs them alone, and the plain
command leaves them out, so that it takes as long beside the measurements as elsewhere. Where
the environment says CI=true a skip that names something which can be installed is a failure:
`.ci/run` installs all of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent

MISSING = re.compile(
    r"could not import|no module named|(is|are) not installed|cannot be installed"
    r"|the extra\b.*\babsent|^no (chromium|g\+\+|compiler)",
    re.IGNORECASE,
)
"""A reason to skip that names a package or a program which can be installed."""

GPU_ONLY = re.compile(r"pytorch|\btorch\b|cudnn|cublas|libcuda|\bGPU\b", re.IGNORECASE)
"""What is of use beside a GPU only, which the machine that checks the project need not have."""


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of published measurements, or a skip that says where it was looked for."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no measurements at {folder}")
    return folder


@pytest.fixture(scope="session")
def model_files(data_dir: Path) -> Path:
    """The folder of real .tflite files, or a skip."""
    return data_dir / "models"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the measurements, before `-m` chooses."""
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


def names_something_missing(reason: str) -> bool:
    """Whether a skip's reason names what could have been installed, GPU libraries apart."""
    return bool(MISSING.search(reason)) and not GPU_ONLY.search(reason)


def fail_a_skip_for_lack(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI, turn a skip that names something missing into a failure."""
    if os.environ.get("CI") != "true" or report.outcome != "skipped":
        return
    if not isinstance(report.longrepr, tuple):
        return  # an expected failure, no skip
    path, line, reason = report.longrepr
    if names_something_missing(reason.removeprefix("Skipped: ")):
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: in CI everything is installed, yet: {reason}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, None]:
    """A test that skips in its body or by a mark."""
    outcome = yield
    fail_a_skip_for_lack(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, None]:
    """A module that skips while it is imported."""
    outcome = yield
    fail_a_skip_for_lack(outcome.get_result())
