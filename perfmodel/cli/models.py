"""`perfmodel models`: the networks of the zoo."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from perfmodel import zoo
from perfmodel.cli.output import print_json
from perfmodel.render.text import table


def models_command(*, as_json: bool) -> int:
    """Print the zoo; returns the exit code."""
    entries = zoo.entries()
    if as_json:
        print_json([_row(e) for e in entries])
        return 0
    print(f"{len(entries)} networks; parameters as mobilenet_v2@width=0.5,resolution=160,batch=4")
    rows = [(e.name, e.title, e.family, _defaults(e), " ".join(e.seeds) or "-") for e in entries]
    print(table(("name", "network", "family", "parameters", "asked for by seed"), rows))
    return 0


def _defaults(entry: zoo.ZooEntry) -> str:
    text = ",".join(f"{p.name}={p.default}" for p in entry.parameters)
    return text if len(text) <= 60 else text[:57] + "..."


def _row(entry: zoo.ZooEntry) -> dict[str, Any]:
    """An entry as plain data, without the function that builds it."""
    return {f.name: getattr(entry, f.name) for f in fields(entry) if f.name != "builder"}
