"""Pages in a real browser: nothing sticks out, everything can be read, tables sort by keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]

pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]

AUDIT = """
() => {
  const faults = [];
  const wide = document.documentElement.clientWidth;
  const say = (what, e) => faults.push(`${what}: <${e.tagName}> ${e.textContent.slice(0, 40)}`);
  if (document.documentElement.scrollWidth > wide) faults.push("the page scrolls sideways");
  const scrolls = (e) => e.closest("table, pre, svg[viewBox]:not([preserveAspectRatio])");
  for (const e of document.body.querySelectorAll("*")) {
    const box = e.getBoundingClientRect();
    if (box.width && (box.right > wide + 1 || box.left < -1) && !scrolls(e)) say("sticks out", e);
  }
  const luminance = (rgb) => rgb
    .map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + [0.2126, 0.7152, 0.0722][i] * c, 0);
  const color = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const ground = (e) => {
    if (e.closest("g") && e.previousElementSibling?.tagName === "rect" && !e.closest("svg[x]")) {
      const cell = e.previousElementSibling.getBoundingClientRect();
      const box = e.getBoundingClientRect();
      if (cell.left <= box.left && box.right <= cell.right && cell.top <= box.top)
        return color(getComputedStyle(e.previousElementSibling).fill).slice(0, 3);
    }
    for (let at = e; at; at = at.parentElement) {
      const c = color(getComputedStyle(at).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const least = (e, property) => {
    const pair = [color(getComputedStyle(e)[property]).slice(0, 3), ground(e)].map(luminance);
    const [dark, light] = pair.sort((a, b) => a - b);
    const found = (light + 0.05) / (dark + 0.05);
    if (found < 4.5) say(`contrast ${found.toFixed(2)}`, e);
  };
  for (const e of document.body.querySelectorAll("h1,h2,p,li,th,td,pre,label,button"))
    if (e.textContent.trim() && e.getBoundingClientRect().width) least(e, "color");
  for (const svg of document.querySelectorAll("svg[role=img]")) {
    const around = svg.getBoundingClientRect();
    if (!around.width) continue;
    const boxes = [];
    for (const e of svg.querySelectorAll("text")) {
      const box = e.getBoundingClientRect();
      if (box.left < around.left - 1 || box.right > around.right + 1
        || box.top < around.top - 1 || box.bottom > around.bottom + 1) say("outside its figure", e);
      least(e, "fill");
      if (e.hasAttribute("transform")) continue;
      for (const other of boxes)
        if (box.left < other.right - 1 && other.left < box.right - 1
          && box.top < other.bottom - 3 && other.top < box.bottom - 3) say("covers another", e);
      boxes.push(box);
    }
  }
  return faults;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as made:
        started = made.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield started
        started.close()


def opened(browser: Any, path: Path, *, width: int = 390, **how: Any) -> tuple[Any, list[str]]:
    """A page in a window of its own, and what it says on the console or asks the network for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **how)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith("file:") else said.append(r.url[:80]))
    page.goto(path.as_uri())
    return page, said


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_every_page_fits_and_can_be_read(
    browser: Any, pages: dict[str, Path], width: int, scheme: str
) -> None:
    faults = {}
    for name, path in pages.items():
        page, said = opened(browser, path, width=width, color_scheme=scheme)
        for box in page.query_selector_all(".scales input"):
            found = page.evaluate(AUDIT)
            box.check()
            faults[f"{name}, first scale"] = found
        faults[name] = page.evaluate(AUDIT) + [s for s in said if not s.startswith("data:")]
        page.close()
    assert {name: found for name, found in faults.items() if found} == {}


def test_a_table_sorts_by_keyboard_and_says_how(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["predict"])
    table = page.locator("table", has=page.locator("th", has_text="MACs"))
    heading, rows = table.locator("th", has_text="MACs"), table.locator("tbody tr")
    units = {"k": 1e3, "M": 1e6, "G": 1e9}

    def column() -> list[float]:
        place = heading.evaluate("e => e.cellIndex")
        words = [row.locator("td").nth(place).inner_text().split() for row in rows.all()]
        return [float(w[0]) * units.get(w[1] if len(w) > 1 else "", 1.0) for w in words]

    before = column()
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert column() == sorted(before) != before
    page.keyboard.press("Space")
    assert heading.get_attribute("aria-sort") == "descending"
    assert column() == sorted(before, reverse=True)
    table.locator("th button").first.focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "none"
    page.close()


def test_a_table_that_comes_later_sorts_too(browser: Any, pages: dict[str, Path]) -> None:
    page, said = opened(browser, pages["predict"])
    page.evaluate(
        "() => { const made = document.createElement('section'); made.innerHTML ="
        " '<table id=late><thead><tr><th class=number>n</th></tr></thead>"
        "<tbody><tr><td>2</td></tr><tr><td>10</td></tr><tr><td>-</td></tr><tr><td>1</td></tr>"
        "</tbody></table>'; document.body.append(made); }"
    )
    page.locator("#late button").click()
    assert page.locator("#late td").all_inner_texts() == ["1", "2", "10", "-"]
    page.locator("#late button").click()
    assert page.locator("#late td").all_inner_texts() == ["10", "2", "1", "-"]
    assert said == []
    page.close()


def test_a_mark_tells_its_value_under_the_pointer(browser: Any, pages: dict[str, Path]) -> None:
    page, said = opened(browser, pages["predict"])
    assert page.locator(".tip").is_hidden()
    page.locator("svg rect").first.hover()
    assert " ms" in page.locator(".tip").inner_text()
    assert said == []
    page.close()


def test_the_switch_shows_the_other_scale(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["validate"])
    one, other = page.locator(".scales .one").first, page.locator(".scales .other").first
    assert (one.is_visible(), other.is_visible()) == (True, False)
    page.locator(".scales input").first.focus()
    page.keyboard.press("Space")
    assert (one.is_visible(), other.is_visible()) == (False, True)
    page.close()


def test_a_page_is_complete_without_its_script(browser: Any, pages: dict[str, Path]) -> None:
    page, said = opened(browser, pages["predict"], java_script_enabled=False)
    assert page.locator("th button").count() == 0
    assert page.locator("table tbody tr").count() > 10
    assert "ms" in (page.locator("svg title").first.text_content() or "")
    assert said == []
    page.close()


def test_a_page_is_printed_on_white_without_switches(browser: Any, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, pages["validate"], color_scheme="dark")
    page.emulate_media(media="print")
    assert page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert not page.locator(".scales label").first.is_visible()
    page.close()
