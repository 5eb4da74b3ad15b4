"""How the site is built: `python -m sphinx -W -b html docs site`, all of it readable offline.

Sphinx with MyST reads the pages as they stand; furo draws them from files of its own, so that a
built page asks nobody for fonts or scripts. Material for MkDocs builds as quickly, but MkDocs 1 is
no longer kept and its successor (Zensical) is young.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

project = "perfmodel"
author = "the authors of perfmodel"
copyright = "the authors of perfmodel"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["writer", "img", "conf.py"]

html_theme = "furo"
html_title = "perfmodel"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"footer_icons": []}

myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"


def as_code(*event: Any) -> None:
    """Docstrings mark code as Markdown does; reStructuredText wants each backtick twice."""
    lines = event[-1]
    lines[:] = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``\\ ", "\n".join(lines)).split("\n")


def setup(app: Any) -> None:
    """What Sphinx calls before it builds."""
    app.connect("autodoc-process-docstring", as_code)
