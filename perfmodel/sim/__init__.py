"""Cloud or device: SimPy simulation of phones, a radio link and a server.

Everything a caller needs is `simulate` and its result; this package prints nothing.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Scenario", "SimulationResult", "Tracer", "simulate"]

_HOMES = {
    "simulate": "perfmodel.sim.simulation",
    "Scenario": "perfmodel.sim.scenario",
    "SimulationResult": "perfmodel.sim.result",
    "Tracer": "perfmodel.sim.tracing",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import perfmodel.sim` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
