"""Samples of every log format, in the tools' own layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def sample() -> Callable[[str], Path]:
    return lambda name: SAMPLES / name


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    """A copy of a sample with some text replaced, which must have been there."""

    def change(name: str, *replacements: tuple[str, str]) -> Path:
        text = (SAMPLES / name).read_text()
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        target = tmp_path / name
        target.write_text(text)
        return target

    return change
