"""The tables of docs/scenarios.md: every key of every scenario table, policies, links."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from docs.writer.page import Made, on_lines
from perfmodel.sim.distributions import Distribution
from perfmodel.sim.policy import POLICIES
from perfmodel.sim.resolve import link_table
from perfmodel.sim.scenario import OnDevice, OnServer, Scenario, SplitSpec, Task, TaskWorkload
from perfmodel.sim.schema import SchemaTable, declared_at
from perfmodel.sim.tables import (
    Autoscale,
    Batching,
    DeviceSpec,
    HeatSpec,
    LinkSpec,
    Memory,
    Radio,
    RateSpec,
    ServerSpec,
    Ui,
    UnitSpec,
)

TABLES: tuple[tuple[str, type[SchemaTable]], ...] = (
    ("top of the file", Scenario),
    ("[device]", DeviceSpec),
    ("[device.cpu], [device.gpu], [device.npu]", UnitSpec),
    ("[device.ui]", Ui),
    ("[device.heat]", HeatSpec),
    ("[device.memory]", Memory),
    ("[link]", LinkSpec),
    ("[link.uplink], [link.downlink]", RateSpec),
    ("[link.radio]", Radio),
    ("[server]", ServerSpec),
    ("[server.batching]", Batching),
    ("[server.autoscale]", Autoscale),
    ("[task] or [[task]]", Task),
    ("[task.workload]", TaskWorkload),
    ("[task.on_device]", OnDevice),
    ("[task.on_server]", OnServer),
    ("[[task.split]]", SplitSpec),
)


def default_text(item: dataclasses.Field[Any]) -> str:
    """What a key is when it is left out."""
    if item.default_factory is not dataclasses.MISSING:
        return "its defaults"
    if item.default is dataclasses.MISSING:
        return "required"
    value = item.default
    if isinstance(value, Distribution):
        return f"{value.mean:g}"
    if value is None or value == ():
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def allowed_text(table: type[SchemaTable], key: str) -> str:
    """What a key may hold, as it is declared with the field."""
    declared = declared_at(table, key)
    if declared is not None:
        return declared.allowed
    item = next(item for item in dataclasses.fields(table) if item.name == key)
    return "list of numbers" if "tuple[Annotated[float" in str(item.type) else "table"


def section(heading: str, table: type[SchemaTable]) -> str:
    """One table's description and keys."""
    keys = [
        f"| `{item.name}` | {allowed_text(table, item.name)} | {default_text(item)} |"
        for item in dataclasses.fields(table)
    ]
    about = inspect.cleandoc(table.__doc__ or "")
    head = "| key | holds | when left out |\n|---|---|---|\n"
    return f"### {heading}\n\n{about}\n\n{head}" + "\n".join(keys)


def policies() -> str:
    """What each policy does and needs."""
    rows = []
    for name, policy in POLICIES.items():
        about = " ".join(inspect.cleandoc(type(policy).__doc__ or "").split())
        needs = [
            words
            for words, needed in (
                ("[task.on_device]", policy.needs_device),
                ("[task.on_server]", policy.needs_cloud),
                ("[server]", policy.needs_server),
            )
            if needed
        ]
        rows.append(f"| `{name}` | {about} | {', '.join(needs)} |")
    return "| policy | does | needs |\n|---|---|---|\n" + "\n".join(rows)


def links() -> str:
    """The named links with their sources."""
    rows = [
        f"| `{name}` | {entry['uplink_mbps']:g} | {entry['downlink_mbps']:g} | {entry['rtt_ms']:g} "
        f"| {'yes' if 'radio' in entry else 'no'} | {entry['source']} |"
        for name, entry in link_table().items()
    ]
    head = "| name | up, Mbit/s | down, Mbit/s | RTT, ms | radio power | source |\n"
    return head + "|---|---:|---:|---:|---|---|\n" + "\n".join(rows)


def make() -> Made:
    """The values of the page."""
    sections = "\n\n".join(section(heading, table) for heading, table in TABLES)
    values = {"TABLES": sections, "LINKS": links(), "POLICIES": policies()}
    return Made({name: on_lines(value) for name, value in values.items()}, {})
