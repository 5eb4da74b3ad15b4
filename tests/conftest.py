"""Shared fixtures: the measurements that lie beside the repository, where they do."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


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
