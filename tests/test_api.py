"""The functions of the package: all there, and callable whatever was imported before."""

from __future__ import annotations

import subprocess
import sys

import pytest

import perfmodel


@pytest.mark.parametrize("name", [n for n in perfmodel.__all__ if n != "__version__"])
def test_every_public_name_is_a_function(name: str) -> None:
    assert callable(getattr(perfmodel, name))


@pytest.mark.parametrize("first", ["", "import perfmodel.explore.sweep"])
def test_a_function_named_like_a_package_works_before_and_after_its_import(first: str) -> None:
    asked = "model='alexnet', target='snapdragon-888/cpu', sets=['slowdown=1,2']"
    call = f"    print(perfmodel.whatif({asked}).points)"
    code = f"{first}\nimport perfmodel\nfor _ in range(2):\n{call}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "2"]
