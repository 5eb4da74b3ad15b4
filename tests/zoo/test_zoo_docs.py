"""The page about the zoo is what the zoo says now."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_about_the_zoo_is_up_to_date() -> None:
    generated = runpy.run_path(str(DOCS / "generate_zoo.py"))["page"]()
    written = (DOCS / "zoo.md").read_text(encoding="utf-8")
    assert written == generated, "run python docs/generate_zoo.py"
