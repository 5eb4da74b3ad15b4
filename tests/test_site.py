"""The site is built from docs/ without a warning, and its pages ask nobody for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import perfmodel

ROOT = Path(__file__).resolve().parent.parent
REQUESTS = re.compile(
    r"""<(?:script|img|iframe|source|video)[^>]*\ssrc=["']?(?:https?:)?//"""
    r"""|<link[^>]*rel=["']?(?:stylesheet|preload|preconnect|icon)[^>]*href=["']?(?:https?:)?//"""
    r"""|url\(["']?(?:https?:)?//|@import\s+["'](?:https?:)?//|fetch\(["'](?:https?:)?//""",
    re.IGNORECASE,
)


def test_requests_to_others_are_seen() -> None:
    for asks in (
        '<script async src="https://cdn.net/x.js">',
        "<link rel='stylesheet' href='//fonts.net/x.css'>",
        "src: url(https://fonts.net/x.woff)",
    ):
        assert REQUESTS.search(asks)
    assert not REQUESTS.search('<a href="https://dask.org">Dask</a> <img src="_images/x.svg">')


@pytest.mark.ci
def test_the_site_is_built_without_a_warning_and_opens_offline(tmp_path: Path) -> None:
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package)
    site = tmp_path / "site"
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*build, "-d", str(tmp_path / "trees"), str(ROOT / "docs"), str(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    built = [p for p in site.rglob("*") if p.suffix in (".html", ".css", ".js")]
    assert len(built) > 20
    asking = [str(p) for p in built if REQUESTS.search(p.read_text(encoding="utf-8"))]
    assert asking == []
    reference = (site / "api.html").read_text(encoding="utf-8")
    described = set(re.findall(r'id="perfmodel\.(\w+)"', reference))
    assert described == {n for n in perfmodel.__all__ if not n.startswith("_")}
