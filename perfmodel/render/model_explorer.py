"""Per-node figures for Google AI Edge Model Explorer, which paints them on the graph.

The format is Model Explorer's "custom node data" JSON (its node_data_builder.GraphNodeData):
results by node, where a node is named by one of its output tensors, and a colour gradient.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfmodel.files import write_atomically

GRADIENT = ((0.0, "#fff7ec"), (0.5, "#fdbb84"), (1.0, "#b30000"))
"""Light to dark red from the lightest to the heaviest node (ColorBrewer's OrRd)."""

NODES_MARK = f'"bgColor": "{GRADIENT[-1][1]}"'.encode()
"""Stands in every file of node data that perfmodel wrote; the format has no place for a name."""


def node_data(values: Mapping[str, float]) -> dict[str, Any]:
    """Node data of one graph: `values` are figures (such as ms) by name of an output tensor.

    Operators of a graph read from a file are named so. ValueError for a figure that is not finite.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name}: {value} cannot be painted")
    return {
        "results": {name: {"value": value} for name, value in values.items()},
        "gradient": [{"stop": stop, "bgColor": color} for stop, color in GRADIENT],
    }


def write_node_data(path: str | Path, values: Mapping[str, float]) -> None:
    """Write `node_data(values)`; load the file in Model Explorer beside the model's own file.

    Model Explorer titles the data with the file's name.
    """
    write_atomically(Path(path), json.dumps(node_data(values), indent=2) + "\n")
