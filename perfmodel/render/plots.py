"""Single plots as files: .svg as it is, .html around it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from perfmodel.errors import PerfmodelError
from perfmodel.files import write_atomically
from perfmodel.render.svg import heat_map


def write_figure(svg: str, title: str, path: Path) -> None:
    """Write a figure as .svg or .html, by the file's name."""
    if path.suffix not in (".svg", ".html"):
        raise PerfmodelError(f"{path}: a plot is written as .svg or .html", "change its name")
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{escape(title)}</title>'
        f'<link rel="icon" href="data:,"><body><h1 style="font:16px system-ui">{escape(title)}</h1>'
        f"{svg}</body></html>\n"
    )
    write_atomically(path, svg + "\n" if path.suffix == ".svg" else page)


def comparison_map(data: Mapping[str, Any]) -> str:
    """The heat map of a comparison's JSON: targets down, networks across."""
    key = "ratio" if data.get("relative") else "latency_ms"
    cells = {(c["model"], c["target"]): c[key] for c in data["cells"]}
    models, targets = data["models"], data["targets"]
    values = [[cells.get((m, t)) for m in models] for t in targets]
    unit = "times as fast as the first target" if data.get("relative") else "ms"
    return heat_map(targets, models, values, unit, f"networks on targets, {unit}")


def write_heat_map(data: Mapping[str, Any], path: Path) -> None:
    """Write the heat map of a comparison's JSON."""
    write_figure(comparison_map(data), str(data["answer"]), path)
