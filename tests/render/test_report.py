"""Pages of results: what they say, that nothing leaves the page, that a real browser is content."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from perfmodel.cli.app import run
from perfmodel.errors import PerfmodelError
from perfmodel.render.report import report
from perfmodel.render.svg import axis, shade

CASES = [
    {
        "model": f"network {i}",
        "target": "host/cpu",
        "predicted_ms": 10.0 * (i + 1),
        "low_ms": 8.0 * (i + 1),
        "high_ms": 12.0 * (i + 1),
        "measured_ms": 11.0 * (i + 1),
    }
    for i in range(5)
]
VALIDATION = {
    "experiment": "by hand",
    "cases": CASES,
    "mape": 0.0909,
    "within_10": 1.0,
    "within_20": 1.0,
    "spearman": 1.0,
    "coverage": 1.0,
    "machine": {"cpu": "<b>none</b>"},
}
PHONE = "snapdragon-855-plus"
COMMANDS = {
    "predict": ["predict", "mobilenet_v2", "--on", f"{PHONE}/cpu", "--per-layer"],
    "compare": ["compare", "mobilenet_v2", "alexnet", "--on", f"{PHONE}/cpu,gpu"],
    "suite": ["compare", "--suite", "ai-benchmark", "--on", PHONE],
    "minspec": ["minspec", "mobilenet_v2", "--max-latency-ms", "20"],
    "select": ["select", "mobilenet_v2", "--on", PHONE, "--max-latency-ms", "8"],
    "partition": ["partition", "alexnet", "--on", f"{PHONE}/cpu", "-k", "2", "--by", "layer-count"],
    "whatif": ["whatif", "--model", "mobilenet_v2", "--on", PHONE, "--set", "width=0.5,1.0,1.4"],
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of every command, made from what it prints with --json."""
    import contextlib
    import io

    folder, made = tmp_path_factory.mktemp("pages"), {}
    results = {"validate": json.dumps(VALIDATION)}
    for name, arguments in COMMANDS.items():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert run([*arguments, "--json"]) in (0, 1)
        results[name] = printed.getvalue()
    for name, text in results.items():
        path = folder / f"{name}.json"
        path.write_text(text)
        made[name] = Path(report(path).output)
    return made


def test_a_page_answers_in_words_first(pages: dict[str, Path]) -> None:
    for path in pages.values():
        page = path.read_text()
        answer = re.search(r'<p class="answer">(.*?)</p>', page)
        assert answer is not None
        assert len(answer[1].split()) > 5
        assert page.index("answer") < page.index("<section>")


def test_a_page_tells_how_to_make_it_again(pages: dict[str, Path]) -> None:
    page = pages["predict"].read_text()
    assert f"perfmodel predict mobilenet_v2 --on {PHONE}/cpu --per-layer" in page


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
        assert path.stat().st_size < 2_000_000


def test_what_a_result_says_cannot_become_markup(pages: dict[str, Path]) -> None:
    assert "<b>none" not in pages["validate"].read_text()


def test_the_largest_sweep_stays_small(tmp_path: Path) -> None:
    sets = ["--set", "slowdown=1:3:0.01", "--set", "batch_size=1,2,4,8"]
    path = tmp_path / "out.json"
    import contextlib
    import io

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run(["whatif", "--model", "alexnet", "--on", PHONE, *sets, "--json"])
    path.write_text(printed.getvalue())
    assert report(path).size_bytes < 2_000_000


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


def test_ticks_are_round_and_inside() -> None:
    place, ticks = axis(0.0, 10.0, 0.0, 100.0, log=False)
    assert ticks == [0, 2, 4, 6, 8, 10]
    assert place(0.0) < place(10.0)
    _, ticks = axis(1.0, 100.0, 0.0, 100.0, log=True)
    assert ticks == pytest.approx([1, 2, 5, 10, 20, 50, 100])


def test_shades_run_from_the_first_to_the_last_colour() -> None:
    assert (shade(0.0), shade(1.0), shade(0.25)) == ("#f7fbff", "#08306b", "#c6dbef")


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
PROBE = (
    "<script>document.title='wide '+document.documentElement.scrollWidth+"
    "' of '+window.innerWidth</script></body>"
)


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@pytest.mark.ci
@needs_browser
@pytest.mark.parametrize("width", [500, 1200])
def test_a_real_browser_shows_every_page_without_an_error(
    pages: dict[str, Path], tmp_path: Path, width: int
) -> None:
    # all pages in one document, so that the browser starts once; Chromium's windows start at 500
    bodies = [p.read_text().split("<body>")[1].split("</body>")[0] for p in pages.values()]
    head = pages["predict"].read_text().split("<body>")[0]
    probe = tmp_path / "probe.html"
    probe.write_text(head + "<body>" + "".join(bodies) + PROBE + "</html>")
    done = subprocess.run(
        [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path / 'user'}", f"--window-size={width},900",
         "--dump-dom", probe.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    title = re.search(r"<title>wide (\d+) of (\d+)</title>", done.stdout)
    assert title is not None
    assert int(title[1]) <= int(title[2])  # nothing sticks out sideways
    assert done.stdout.count("<svg") >= len(pages)


@pytest.mark.ci
@needs_browser
def test_a_real_browser_paints_a_page(pages: dict[str, Path], tmp_path: Path) -> None:
    blank = tmp_path / "blank.html"
    blank.write_text("<html><body></body></html>")
    pictures = {}
    for page in (blank, pages["predict"]):
        picture = tmp_path / f"{page.stem}.png"
        done = subprocess.run(
            [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path / 'user'}", "--window-size=1000,800",
             f"--screenshot={picture}", page.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        assert "CONSOLE" not in done.stderr
        pictures[page] = picture.read_bytes()
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())
    # an even picture packs to almost nothing
    assert len(pictures[pages["predict"]]) > 5 * len(pictures[blank])
