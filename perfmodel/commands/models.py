"""`perfmodel models`: the networks of the zoo."""

from __future__ import annotations

from perfmodel.commands.output import print_json
from perfmodel.graph import zoo
from perfmodel.report.text import table


def models_command(*, as_json: bool) -> int:
    """Print the zoo; returns the exit code."""
    entries = zoo.entries()
    if as_json:
        print_json(entries)
        return 0
    print(f"{len(entries)} networks; parameters as mobilenet_v2@width=0.5,resolution=160,batch=4")
    rows = [
        (
            e.name,
            e.title,
            e.family,
            ",".join(f"{k}={v}" for k, v in dict(e.parameters).items()),
            " ".join(e.seeds) if not isinstance(e.seeds, str) else e.seeds,
        )
        for e in entries
    ]
    print(table(("name", "network", "family", "parameters", "asked for by seed"), rows))
    return 0
