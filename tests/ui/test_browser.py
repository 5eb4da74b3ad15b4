"""The page in a real Chromium: a file is dropped, a phone picked, the answer read, a report saved.

With PERFMODEL_TOUR=1 the screens of the tour are written into docs/img/, where docs/ui.md shows
them.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ui_server import SMALL

from perfmodel.render.colors import contrast

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
LEAST_CONTRAST = 4.5
"""WCAG 2.1, level AA, of words of ordinary size."""

pytestmark = pytest.mark.ci

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("uvicorn")


@dataclass
class Served:
    """A running `perfmodel ui` and a browser's page that shows it."""

    process: subprocess.Popen[str]
    address: str
    browser: Any
    page: Any = None
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, **settings: Any) -> Any:
        """A page of a browser of its own, whose complaints and requests are kept."""
        settings.setdefault("viewport", {"width": 900, "height": 700})
        page = self.browser.new_context(accept_downloads=True, **settings).new_page()
        page.set_default_timeout(90_000)  # the machine may be busy
        page.on("console", lambda m: self.said.append(m.text))
        page.on("pageerror", lambda e: self.said.append(str(e)))
        page.on("request", lambda r: self.asked.append(r.url))
        page.goto(self.address)
        return page


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """`perfmodel ui` in a process of its own, and Chromium."""
    if not CHROMIUM.exists():
        pytest.skip(f"no chromium at {CHROMIUM}")
    process = start()
    assert process.stdout
    address = re.search(r"http://\S+", process.stdout.readline())
    assert address
    with sync_api.sync_playwright() as playwright:
        # the sandbox of Chromium cannot be had as root in a container
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        browser_of = Served(process, address[0], browser)
        yield browser_of
        browser.close()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0, out


def start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "perfmodel", "ui", "--no-browser"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.fixture
def page(served: Served) -> Iterator[Any]:
    """A fresh page; nothing may be complained of in its console, nobody else asked."""
    served.said.clear()
    served.asked.clear()
    shown = served.open()
    yield shown
    shown.context.close()
    assert served.said == []
    here = served.address.split("/?")[0]
    assert all(url.startswith((here, "data:", "blob:")) for url in served.asked)


def pick(page: Any, place: str, text: str) -> None:
    """Type into a field of names, and take the first name that is offered."""
    page.locator(place).press_sequentially(text)
    page.locator(f"{place}[aria-expanded=true]").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")


def answered(page: Any, words: str = "") -> str:
    """The first answer, once it is there and has some words."""
    page.locator(".answer", has_text=words).first.wait_for()
    return str(page.locator(".answer").first.inner_text())


def drop(page: Any, name: str, content: str) -> None:
    """Drop a file on the page as a person does."""
    made = page.evaluate_handle(
        "([name, content]) => { const d = new DataTransfer();"
        " d.items.add(new File([content], name)); return d; }",
        [name, content],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": made})


def tour(page: Any, name: str) -> None:
    """Write a screen of the tour, of few colours as it is to be small, where it is asked for."""
    if not os.environ.get("PERFMODEL_TOUR"):
        return
    image = pytest.importorskip("PIL.Image")
    width = page.viewport_size["width"]
    clip = {"x": 0, "y": 0, "width": width, "height": 1100}
    shot = image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))
    path = ROOT / "docs" / "img" / f"ui-{name}.png"
    shot.convert("RGB").quantize(32).save(path, optimize=True)
    assert path.stat().st_size <= 100_000


def test_a_dropped_file_on_a_picked_phone_is_answered_and_its_report_saved(
    page: Any, tmp_path: Path
) -> None:
    assert "Choose a network" in page.locator("#status").inner_text()
    drop(page, "small.param", SMALL)
    page.locator("#status", has_text="Choose a phone").wait_for()
    pick(page, "#on", "Galaxy S23")
    answer = answered(page)
    assert re.match(r"small takes [\d.]+ [mu]s on .*90 % interval .* to ", answer)
    assert page.locator("article h2", has_text="class").count() >= 0
    assert page.locator("article svg").count() >= 2
    line = page.locator("pre.command").inner_text()
    assert line == "perfmodel predict small.param --on 'Galaxy S23' --per-layer"
    with page.expect_download() as saved:
        page.get_by_text("Save this report").click()
    saved.value.save_as(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "small takes" in text


def test_the_slider_moves_the_limit_the_share_and_the_minimum_phone(page: Any) -> None:
    pick(page, "#model", "squeezenet_1_1")
    page.get_by_label("The minimum phone").check()
    first = answered(page, "within 50 ms")
    share = page.locator("#share").inner_text()
    assert re.fullmatch(r"[\d.]+ % of phones keep 50 ms", share)
    tour(page, "minimum-phone")
    page.locator("#slider").focus()
    for _ in range(100):
        page.keyboard.press("ArrowLeft")
    limit = page.locator("#limit").input_value()
    assert 5 < float(limit) < 50
    second = answered(page, f"within {limit} ms")
    assert second != first
    told = re.search(r"(\d+) of (\d+) phones pass", second)
    assert told
    said = float(page.locator("#share").inner_text().split(" ")[0])
    assert said == pytest.approx(100 * int(told[1]) / int(told[2]), abs=0.06)


def test_every_unit_and_arithmetic_stand_side_by_side(page: Any) -> None:
    pick(page, "#model", "mobilenet_v2")
    pick(page, "#on", "Galaxy S23")
    answered(page, "takes")
    tour(page, "time")
    page.get_by_label("side by side").check()
    answered(page, "fastest for mobilenet_v2")
    rows = page.locator("article table").first.locator("tbody tr")
    units = [rows.nth(i).locator("td").first.inner_text() for i in range(rows.count())]
    assert units[:3] == ["CPU", "GPU", "NPU"]
    assert re.match(r"[\d.]+ [mu]s \(", rows.first.locator("td").nth(1).inner_text())
    tour(page, "side-by-side")


def test_cloud_or_device_is_told_for_a_link(page: Any) -> None:
    pick(page, "#model", "vgg16")
    pick(page, "#on", "raspberry-pi-4b")
    page.get_by_label("Cloud or device").check()
    page.get_by_label("Link").fill("200/200/2")
    page.keyboard.press("Tab")
    answered(page, "vgg16 in")
    line = page.locator("pre.command").inner_text()
    assert "--server jetson-agx-orin --link 200/200/2" in line
    tour(page, "cloud-or-device")


def test_a_hostile_file_is_refused_in_words(page: Any) -> None:
    pick(page, "#on", "pixel-7")
    drop(page, "<img src=x onerror=alert(1)>.onnx", "\x08" * 4000)
    problem = page.locator("#problem p").first
    problem.wait_for()
    assert problem.inner_text().startswith("<img src=x onerror=alert(1)>.onnx: ")
    assert page.locator("img").count() == 0


def test_it_is_used_by_keyboard_alone(page: Any) -> None:
    def walk_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            at = page.evaluate(
                "() => { const e = document.activeElement; return [e.id, e.name, e.value,"
                " e.textContent].map((x) => x || '').join(' '); }"
            )
            if name in at:
                return
        raise AssertionError(f"{name} is not reached")

    walk_to("model ")
    page.keyboard.type("squeezenet_1_1")
    page.keyboard.press("Enter")
    walk_to("on ")
    page.keyboard.type("pixel-7/cpu")
    page.keyboard.press("Enter")
    answered(page, "squeezenet_1_1 takes")
    walk_to("view time")
    page.keyboard.press("ArrowDown")
    answered(page, "fastest for squeezenet_1_1")
    page.keyboard.press("ArrowUp")
    answered(page, "squeezenet_1_1 takes")
    walk_to("Copy the command")
    page.keyboard.press("Enter")
    page.locator("#status", has_text=re.compile("Copied|Selected")).wait_for()
    walk_to("Save this report")
    with page.expect_download():
        page.keyboard.press("Enter")
    page.locator("#devices button").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "on"
    assert page.locator("#devices button").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_runs_out_and_words_stand_out(served: Served, scheme: str) -> None:
    page = served.open(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    pick(page, "#model", "mobilenet_v2")
    pick(page, "#on", "Galaxy S23")
    answered(page, "takes")
    tour(page, f"phone-{scheme}")
    for view, words in (
        ("time", "takes"),
        ("side-by-side", "fastest"),
        ("minimum-phone", "within"),
    ):
        page.locator(f"input[value={view}]").check()
        answered(page, words)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
        assert [pair for pair in words_and_grounds(page) if contrast(*pair) < LEAST_CONTRAST] == []
    page.context.close()


def words_and_grounds(page: Any) -> set[tuple[str, str]]:
    """Colours of words and of what is behind them, of all that a page shows outside of figures."""
    found = page.evaluate(
        """() => {
          const hex = (c) => "#" + c.match(/[\\d.]+/g).slice(0, 3)
            .map((x) => Number(x).toString(16).padStart(2, "0")).join("");
          const clear = (c) => /, 0\\)$/.test(c) || c === "transparent";
          const pairs = new Set();
          for (const e of document.querySelectorAll("body *")) {
            const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
            if (!own || e.closest("svg, [hidden], script, datalist, select, details:not([open])"))
              continue;
            let ground = e;
            while (clear(getComputedStyle(ground).backgroundColor)) ground = ground.parentElement;
            pairs.add(hex(getComputedStyle(e).color) + " "
              + hex(getComputedStyle(ground).backgroundColor));
          }
          return [...pairs];
        }"""
    )
    return {(pair.split(" ")[0], pair.split(" ")[1]) for pair in found}


def test_two_people_are_answered_at_once(served: Served) -> None:
    first, second = served.open(), served.open()
    for page, model in ((first, "alexnet"), (second, "squeezenet_1_1")):
        pick(page, "#model", model)
    for page in (first, second):
        page.locator("#on").fill("pixel-7/cpu")
        page.keyboard.press("Enter")
    assert answered(first).startswith("alexnet takes")
    assert answered(second).startswith("squeezenet_1_1 takes")
    first.context.close()
    second.context.close()


def test_ctrl_c_ends_it_and_removes_what_was_dropped() -> None:
    process = start()
    assert process.stdout
    address = process.stdout.readline()
    assert "http://127.0.0.1:" in address
    children = workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "removed" in out
    ended = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < ended


def workers_of(process: int) -> list[int]:
    """Processes that a process started."""
    children = Path(f"/proc/{process}/task/{process}/children")
    return [int(word) for word in children.read_text().split()] if children.exists() else []
