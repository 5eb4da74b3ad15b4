"""What runtimes write to stderr by themselves does not reach the user; what we write does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from perfmodel.formats.tflite.writer import write_tflite
from perfmodel.runners.host_bench import reference_graph
from perfmodel.runners.progress import no_native_notes
from perfmodel.runners.runner import Job
from perfmodel.runners.tflite_host import TfliteRunner


def test_notes_are_dropped_inside_only(capfd: pytest.CaptureFixture[str]) -> None:
    def failing() -> None:
        with no_native_notes():
            os.write(2, b"inside ")
            raise ValueError("passed on")

    os.write(2, b"before ")
    with pytest.raises(ValueError, match="passed on"):
        failing()
    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "before after\n"


def test_loading_a_network_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.tflite"
    write_tflite(reference_graph(), path)
    prepared = TfliteRunner(profile=True).prepare(Job("net", path))
    prepared.run_set(1, 0)
    prepared.close()
    assert capfd.readouterr().err == ""
