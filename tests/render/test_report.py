"""Pages of results: what they say, that nothing leaves the page, that a real browser is content."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from perfmodel.cli.app import run
from perfmodel.errors import PerfmodelError
from perfmodel.render.report import report

LARGEST = 500_000
"""Bytes of a page."""


def test_a_page_answers_in_words_first(pages: dict[str, Path]) -> None:
    for path in pages.values():
        page = path.read_text()
        answer = re.search(r'<p class="answer">(.*?)</p>', page)
        assert answer is not None
        assert len(answer[1].split()) > 5
        assert page.index("answer") < page.index("<section>")


def test_a_page_tells_how_to_make_it_again(pages: dict[str, Path]) -> None:
    page = pages["predict"].read_text()
    assert "perfmodel predict mobilenet_v2 --on snapdragon-855-plus/cpu --per-layer" in page


class _Links(HTMLParser):
    """Whatever a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [v or "" for k, v in attrs if k in ("src", "href", "data", "action")]


def test_a_page_is_small_and_fetches_nothing(pages: dict[str, Path]) -> None:
    for path in pages.values():
        page = path.read_text()
        links = _Links()
        links.feed(page)
        assert set(links.found) <= {"data:,"}
        assert "url(" not in page
        assert "@import" not in page
        assert path.stat().st_size <= LARGEST


def test_what_a_result_says_cannot_become_markup(pages: dict[str, Path]) -> None:
    assert "<b>none" not in pages["validate"].read_text()


def test_the_largest_sweep_stays_small(tmp_path: Path) -> None:
    sets = ["--set", "slowdown=1:3:0.01", "--set", "batch_size=1,2,4,8"]
    path = tmp_path / "out.json"
    import contextlib
    import io

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run(["whatif", "--model", "alexnet", "--on", "snapdragon-855-plus", *sets, "--json"])
    path.write_text(printed.getvalue())
    assert report(path).size_bytes <= LARGEST


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "not JSON"),
        ("[1]", "not a result"),
        ('{"a": 1}', "no result of perfmodel"),
        ('{"error": {"kind": "target"}}', "holds an error"),
        ('{"model": "m", "target": "t", "latency_ms": "x", "interval_ms": [1]}', "damaged"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(PerfmodelError, match=says):
        report(path)
