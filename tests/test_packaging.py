"""The package list, the floors and the start-up time budget's cause: what is imported when."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "perfmodel"

FLOORS = (
    {"errors", "files", "units"},
    {"graph"},
    {"zoo"},
    {"formats"},
    {"kernels"},
    {"target"},
    {"measurements"},
    {"cost_models"},
    {"devices"},
    {"prediction", "prediction_batch"},
    {"runners"},
    {"calibration"},
    {"sim"},
    {"plans"},
    {"explore"},
    {"experiments"},
    {"render"},
    {"cli"},
)
"""From the ground up; a module imports its own floor and lower ones."""


def floor_of(name: str) -> int:
    return next(i for i, floor in enumerate(FLOORS) if name in floor)


def imported(path: Path) -> set[str]:
    """First component after `perfmodel.` of every import in a file, lazy ones included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            parts = node.module.split(".")
            if parts[0] == "perfmodel":
                names |= {parts[1]} if len(parts) > 1 else {a.name for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("perfmodel.")}
    return names


def test_arrows_between_floors_only_go_down() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own in ("__init__", "__main__"):
            continue
        wrong += [
            f"{path.relative_to(ROOT)} imports {name}"
            for name in imported(path)
            if floor_of(name) > floor_of(own)
        ]
    assert not wrong


def test_every_package_folder_is_listed_for_the_wheel() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^packages = \[(.*?)\]", text, re.S | re.M)
    assert block is not None
    listed = set(re.findall(r'"([^"]+)"', block[1]))
    folders = {".".join(p.parent.relative_to(ROOT).parts) for p in PACKAGE.rglob("__init__.py")} | {
        "perfmodel.hw_profiles"
    }
    assert listed == folders


@pytest.mark.parametrize("module", ["perfmodel", "perfmodel.cli"])
def test_start_up_imports_nothing_heavy(module: str) -> None:
    heavy = ("pandas", "sklearn", "scipy", "simpy", "ai_edge_litert", "numpy", "onnx", "altair")
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_wheel_predicts_from_another_folder(tmp_path: Path) -> None:
    """Build the wheel, install it beside the same dependencies and ask from elsewhere."""
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(wheels), str(ROOT)], check=True)
    target = tmp_path / "site"
    wheel = next(wheels.glob("perfmodel-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "perfmodel", "predict", "mobilenet_v2"]
    out = subprocess.run(
        [*command, "--on", "snapdragon-855-plus/cpu"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.startswith("mobilenet_v2 takes ")
