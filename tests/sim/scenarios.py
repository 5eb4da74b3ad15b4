"""Small scenario tables that tests vary."""

from __future__ import annotations

import copy
from typing import Any

from perfmodel.sim.files import set_path

UPLOAD_BYTES = 25_000
OFFLOAD: dict[str, Any] = {
    "seed": 7,
    "link": {"uplink_mbps": 10.0, "downlink_mbps": 20.0, "rtt_ms": 30.0},
    "server": {},
    "task": {
        "policy": "cloud",
        "workload": {"kind": "periodic", "period_ms": 1000.0, "requests": 1},
        "on_device": {"preprocess_ms": 3.0, "compute_ms": 80.0},
        "on_server": {
            "preprocess_ms": 5.0,
            "compute_ms": 12.0,
            "upload_bytes": UPLOAD_BYTES,
            "download_bytes": 1000,
        },
    },
}


def offload(**changes: Any) -> dict[str, Any]:
    """Return OFFLOAD with dotted paths set; `__` stands for the dot."""
    tables = copy.deepcopy(OFFLOAD)
    for path, value in changes.items():
        set_path(tables, path.replace("__", "."), value)
    return tables
