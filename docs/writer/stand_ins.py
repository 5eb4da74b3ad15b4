"""A phone, a Jetson and what belongs to them, for pages that tell how to measure one.

The tools are stand-ins that print what the true ones of today print (tests/runners/fake_adb.py and
fake_ssh.py). Their times are our own: about what a phone and a board of 2019 take.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from perfmodel import zoo
from perfmodel.formats.onnx.writer import write_onnx

MARK = "<!-- with a stand-in phone and Jetson -->"
"""In a page whose commands find them."""

FAKES = Path(__file__).resolve().parent.parent.parent / "tests" / "runners"
PHONE_US = {
    "mobilenet_v1": 15_400,
    "mobilenet_v2": 12_300,
    "mobilenet_v3_small": 4_100,
    "squeezenet_1_1": 11_200,
    "resnet18": 46_900,
    "googlenet": 44_100,
}
JETSON_MS = {"squeezenet_1_1": 1.9, "resnet18": 3.2, "mobilenet_v2": 3.7, "googlenet": 5.3}


def furnish(folder: Path) -> None:
    """Put `adb`, `ssh`, `scp`, a benchmark_model and a folder of networks into a page's folder."""
    phone = {
        "FAKE_ADB_SCENARIO": "litert2",
        "FAKE_ADB_MEAN_US": json.dumps(PHONE_US),
        "FAKE_ADB_CALLS": str(folder / "calls"),
    }
    jetson = {
        "FAKE_SSH_MEAN_MS": json.dumps(JETSON_MS),
        "FAKE_SSH_CALLS": str(folder / "calls"),
    }
    _tool(folder / "bin" / "adb", FAKES / "fake_adb.py", phone)
    for name in ("ssh", "scp"):
        _tool(folder / "bin" / name, FAKES / "fake_ssh.py", jetson)
    (folder / "benchmark_model").write_bytes(b"\x7fELF")
    networks = folder / "nets"
    networks.mkdir()
    for name in JETSON_MS:
        write_onnx(zoo.build(name), networks / f"{name}.onnx", "float32")


def _tool(path: Path, script: Path, environment: Mapping[str, str]) -> None:
    given = " ".join(f"{name}={shlex.quote(text)}" for name, text in environment.items())
    run = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}"
    path.write_text(f'#!/bin/sh\n{given} exec {run} "$@"\n')
    path.chmod(0o755)
