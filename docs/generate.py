"""Write the figures of the pages anew: `python docs/generate.py [PAGE ...]`, all pages if none.

A page keeps its text; what commands print, and what stands between marks, is written again.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.writer.page import DOCS, all_pages, rewritten
from perfmodel.files import write_atomically


def main(names: list[str]) -> None:
    """Write pages (names without folder or ending will do) and say which have changed."""
    pages = [page for page in all_pages() if not names or {page.name, page.stem} & set(names)]
    if not pages:
        sys.exit(f"no page is called {' or '.join(names)}")
    for page in pages:
        start, before = time.monotonic(), page.read_text(encoding="utf-8")
        text, pictures = rewritten(page)
        page.write_text(text, encoding="utf-8")
        for path, svg in pictures.items():
            write_atomically(DOCS / path, svg.encode() + b"\n")
        changed = "written anew" if text != before else "as it was"
        print(f"{page.name}: {changed} ({time.monotonic() - start:.1f} s)", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
