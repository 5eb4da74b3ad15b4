"""What runtimes write to stderr by themselves does not reach the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.runners.host_bench import reference_graph
from perfmodel.runners.runner import Job
from perfmodel.runners.worker import Worker


def test_loading_a_network_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.tflite"
    write_tflite(reference_graph(), path)
    with Worker() as worker:
        prepared = worker.runner("tflite", profile=True).prepare(Job("net", path))
        prepared.run_set(1, 0)
        prepared.close()
    assert capfd.readouterr() == ("", "")
