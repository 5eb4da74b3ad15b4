"""What the browser gets: the form, the styles of report pages with a layout, the script."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from perfmodel.formats.load import READERS
from perfmodel.render.page import STYLE
from perfmodel.render.page_script import SCRIPT
from perfmodel.render.text import markup
from perfmodel.ui.uploads import COMPANIONS

STATIC = Path(__file__).parent / "static"

UNITS = ("any", "cpu", "gpu", "npu")
PRECISIONS = ("any", "float", "fp32", "fp16", "int8")
"""As `minspec` knows them."""


@cache
def page() -> str:
    """The form, with the choices that are known."""
    from perfmodel.sim.resolve import link_table

    links = "".join(f'<option value="{markup(name)}">' for name in link_table())
    return (
        _static("page.html")
        .replace("{endings}", ",".join([*READERS, *COMPANIONS]))
        .replace("{units}", _options(UNITS))
        .replace("{precisions}", _options(PRECISIONS))
        .replace("{links}", links)
    )


@cache
def style() -> str:
    """The report pages' styles, and where things stand on this page."""
    return STYLE + _static("layout.css")


@cache
def script() -> str:
    """The page's own script, and the report pages', which sorts tables and shows values."""
    return _static("script.js") + SCRIPT


def _options(values: tuple[str, ...]) -> str:
    return "".join(f"<option>{markup(value)}</option>" for value in values)


def _static(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")
