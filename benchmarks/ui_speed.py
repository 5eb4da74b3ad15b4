"""The local page: from the command to the first paint, and from a dropped file to its answer.

`python -m benchmarks.ui_speed` prints both; a paint is seen by Chromium where Playwright and
Debian's browser are there, else the page counts once all its bytes have come.
"""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from benchmarks.figures import Figure
from perfmodel import zoo
from perfmodel.formats.tflite.writer import write_tflite

CHROMIUM = Path("/usr/bin/chromium")


def figures() -> Iterator[Figure]:
    """Every figure of the room."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mobilenet_v2.tflite"
        write_tflite(zoo.build("mobilenet_v2"), file)
        content = file.read_bytes()
    started = time.perf_counter()
    with page() as address:
        parts = urlsplit(address)
        link = http.client.HTTPConnection(parts.netloc, timeout=60)
        cookie = asked(link, f"/?{parts.query}")[1].split(";")[0]
        for path in ("/", "/style.css", "/script.js"):
            asked(link, path, cookie)
        seconds = time.perf_counter() - started
        yield Figure("ui", "page, from the command", seconds, "s")
        link.close()
        time.sleep(5)  # a person needs longer to find the file
        yield Figure("ui", "answer after a drop, 14 MB", drop(link, cookie, content), "s")
        yield Figure("ui", "answer after a second drop", drop(link, cookie, content), "s")
    painted = painted_s()
    if painted is not None:
        yield Figure("ui", "first paint, from the command", painted, "s")


@contextmanager
def page() -> Iterator[str]:
    """A `perfmodel ui` of its own; gives its address."""
    words = [sys.executable, "-m", "perfmodel", "ui", "--no-browser"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None
        yield address[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def asked(
    link: http.client.HTTPConnection,
    path: str,
    cookie: str = "",
    method: str = "GET",
    body: bytes | None = None,
) -> tuple[bytes, str]:
    """The body of a response, and the cookie that it sets."""
    link.request(method, path, body, {"Cookie": cookie} if cookie else {})
    reply = link.getresponse()
    return reply.read(), reply.getheader("set-cookie", "")


def drop(link: http.client.HTTPConnection, cookie: str, content: bytes) -> float:
    """Seconds from a file's first byte to the whole answer."""
    name = "mobilenet_v2.tflite"
    started = time.perf_counter()
    told, _ = asked(link, f"/files?name={name}", cookie, "POST", content)
    kept = re.search(rb'"drop":"([^"]+)"', told)
    assert kept is not None, told
    fields = {"view": "time", "model": name, "on": "Galaxy S23", "drop": kept[1].decode()}
    told, _ = asked(link, "/answer?" + urlencode(fields), cookie)
    assert b'"html"' in told, told
    return time.perf_counter() - started


def painted_s() -> float | None:
    """Seconds from the command to what Chromium calls the first contentful paint."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if not CHROMIUM.exists():
        return None
    with sync_playwright() as playwright:
        # the browser runs already, as a person's does
        flags = ["--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        shown = browser.new_page()
        started = time.time()
        with page() as address:
            shown.goto(address)
            found = shown.evaluate(
                "() => new Promise((done) => new PerformanceObserver((l) => done("
                "performance.timeOrigin + l.getEntries()[0].startTime))"
                ".observe({type: 'paint', buffered: true}))"
            )
        browser.close()
    return float(found) / 1000 - started


if __name__ == "__main__":
    for figure in figures():
        print(f"{figure.key}: {figure.value:.2f} {figure.unit}")
