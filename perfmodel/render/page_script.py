"""The only script of a page: tables that sort, values that show under the pointer or the finger.

A page is complete without it: values are in tooltips of the figures already, switches of scales are
of style alone, tables stand in the order that the answer chose. It makes no request and keeps
nothing. `script_hash` is what a Content-Security-Policy names it by.
"""

from __future__ import annotations

SCRIPT = """
(() => {
  "use strict";
  const shown = (cell) => cell.dataset.v ?? cell.textContent.trim();
  const number = (cell) => {
    const value = parseFloat(shown(cell).replace(/^[<>\\u2264\\u2265* ]+/, ""));
    return Number.isNaN(value) ? null : value;
  };
  const words = new Intl.Collator("en", { numeric: true });

  function sort(table, column, heading) {
    const down = heading.getAttribute("aria-sort") === "ascending";
    const rows = [...table.tBodies[0].rows];
    const numeric = heading.classList.contains("number");
    const compared = (a, b) => {
      if (!numeric) return words.compare(shown(a), shown(b));
      const [x, y] = [number(a), number(b)];
      if (x === null || y === null) return 0;
      return x - y;
    };
    rows.sort((one, other) => {
      const [a, b] = [one.cells[column], other.cells[column]];
      // a missing figure stands last in either order
      if (numeric && (number(a) === null || number(b) === null)) {
        return (number(a) === null) - (number(b) === null);
      }
      return down ? compared(b, a) : compared(a, b);
    });
    for (const other of heading.parentNode.cells) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
  }

  function prepare(table) {
    if (table.dataset.sorts || !table.tHead || table.tBodies[0].rows.length < 2) return;
    table.dataset.sorts = "yes";
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      if (!heading.textContent) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      button.title = "sort by this column";
      heading.textContent = "";
      heading.setAttribute("aria-sort", "none");
      heading.append(button);
      button.addEventListener("click", () => sort(table, column, heading));
    });
  }
  const all = () => document.querySelectorAll(".perfmodel table").forEach(prepare);
  all();
  // an answer may come into a page later
  new MutationObserver(all).observe(document.body, { childList: true, subtree: true });

  const tip = document.createElement("div");
  tip.className = "perfmodel tip";
  tip.hidden = true;
  document.body.append(tip);
  function told(mark) {
    // the browser's own tooltip would show the same a second time
    const title = mark.querySelector(":scope > title");
    if (title) {
      mark.dataset.tip = title.textContent;
      title.remove();
      mark.setAttribute("aria-label", mark.dataset.tip);
    }
    return mark.dataset.tip;
  }
  const marks = ".perfmodel svg g, .perfmodel svg rect, .perfmodel svg circle";
  document.addEventListener("pointermove", (event) => {
    let mark = event.target.closest ? event.target.closest(marks) : null;
    while (mark && !told(mark)) mark = mark.parentNode.closest(marks);
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    tip.style.left = Math.max(4, Math.min(event.clientX + 12, room)) + "px";
    tip.style.top = Math.max(4, event.clientY - tip.offsetHeight - 12) + "px";
  });
})();
"""


def script_hash() -> str:
    """What a Content-Security-Policy names the script by."""
    import base64
    import hashlib

    return "sha256-" + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
