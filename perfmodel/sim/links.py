"""Named links: typical network conditions with their sources, from links.toml beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.errors import ScenarioError, nearest_hint
from perfmodel.sim.scenario import LinkSpec, Radio, RateSpec
from perfmodel.sim.schema import read_table, replace
from perfmodel.sim.toml import read_toml


@lru_cache(maxsize=1)
def link_table() -> Mapping[str, Mapping[str, Any]]:
    """Return the named links as written, with their sources."""
    return read_toml(Path(__file__).with_name("links.toml"))


def named_link(name: str) -> LinkSpec:
    """Return a typical link by name; raises ScenarioError with the nearest name."""
    table = link_table()
    if name not in table:
        raise ScenarioError(f"unknown link {name!r}", nearest_hint(name, sorted(table)))
    entry = table[name]
    radio = {key: value for key, value in entry.get("radio", {}).items() if key != "source"}
    return LinkSpec(
        uplink_mbps=entry["uplink_mbps"],
        downlink_mbps=entry["downlink_mbps"],
        rtt_ms=entry["rtt_ms"],
        radio=read_table(Radio, radio) if radio else None,
    )


def resolve_link(link: LinkSpec) -> LinkSpec:
    """Return the link with both directions as rates; what it leaves out comes from its name."""
    base = named_link(link.name) if link.name else LinkSpec()
    resolved = replace(
        link,
        uplink=link.uplink or _constant(link.uplink_mbps or base.uplink_mbps, "uplink"),
        downlink=link.downlink or _constant(link.downlink_mbps or base.downlink_mbps, "downlink"),
        uplink_mbps=None,
        downlink_mbps=None,
        rtt_ms=link.rtt_ms if link.rtt_ms is not None else base.rtt_ms,
        radio=link.radio or base.radio,
    )
    if resolved.rtt_ms is None:
        raise ScenarioError("[link] rtt_ms is missing", "give rtt_ms, or the name of a link")
    return resolved


def _constant(mbps: float | None, direction: str) -> RateSpec:
    if mbps is None:
        raise ScenarioError(
            f"[link] {direction}_mbps is missing",
            f"give {direction}_mbps, a table [link.{direction}], or the name of a link",
        )
    return RateSpec(mbps=mbps)
