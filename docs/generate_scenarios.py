"""Write docs/scenarios.md: the text in scenarios.in.md and every key of every scenario table."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

from perfmodel.sim.distributions import Distribution
from perfmodel.sim.links import link_table
from perfmodel.sim.network import Autoscale, Batching, LinkSpec, Radio, RateSpec, ServerSpec
from perfmodel.sim.scenario import OnDevice, OnServer, Scenario, Split, Task, Workload
from perfmodel.sim.schema import Table
from perfmodel.sim.tables import DeviceSpec, Heat, Memory, Ui, UnitSpec

DOCS = Path(__file__).resolve().parent
TABLES: tuple[tuple[str, type[Table]], ...] = (
    ("top of the file", Scenario),
    ("[device]", DeviceSpec),
    ("[device.cpu], [device.gpu], [device.npu]", UnitSpec),
    ("[device.ui]", Ui),
    ("[device.heat]", Heat),
    ("[device.memory]", Memory),
    ("[link]", LinkSpec),
    ("[link.uplink], [link.downlink]", RateSpec),
    ("[link.radio]", Radio),
    ("[server]", ServerSpec),
    ("[server.batching]", Batching),
    ("[server.autoscale]", Autoscale),
    ("[task] or [[task]]", Task),
    ("[task.workload]", Workload),
    ("[task.on_device]", OnDevice),
    ("[task.on_server]", OnServer),
    ("[[task.split]]", Split),
)


def default_text(item: dataclasses.Field[Any]) -> str:
    """What a key is when it is left out."""
    if item.default is dataclasses.MISSING:
        return "required"
    value = item.default
    if isinstance(value, Distribution):
        return f"{value.mean:g}"
    if isinstance(value, Table):
        return "its defaults"
    if value is None or value == ():
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def section(heading: str, table: type[Table]) -> str:
    """One table's description and keys."""
    keys = [f"| `{item.name}` | {default_text(item)} |" for item in dataclasses.fields(table)]
    about = inspect.cleandoc(table.__doc__ or "")
    return f"### {heading}\n\n{about}\n\n| key | when left out |\n|---|---|\n" + "\n".join(keys)


def links() -> str:
    """The named links with their sources."""
    rows = [
        f"| `{name}` | {entry['uplink_mbps']:g} | {entry['downlink_mbps']:g} | {entry['rtt_ms']:g} "
        f"| {'yes' if 'radio' in entry else 'no'} | {entry['source']} |"
        for name, entry in link_table().items()
    ]
    head = "| name | up, Mbit/s | down, Mbit/s | RTT, ms | radio power | source |\n"
    return head + "|---|---:|---:|---:|---|---|\n" + "\n".join(rows)


def main() -> None:
    """Fill in the text."""
    text = (DOCS / "scenarios.in.md").read_text(encoding="utf-8")
    sections = "\n\n".join(section(heading, table) for heading, table in TABLES)
    text = text.replace("{{TABLES}}", sections).replace("{{LINKS}}", links())
    (DOCS / "scenarios.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
