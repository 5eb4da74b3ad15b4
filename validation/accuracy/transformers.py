"""The transformer networks of e2e_gpu.csv as networks of the zoo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = {
    "bert_large": "bert_large",
    "gpt2_large": "gpt2_large",
    "gpt3_27": "gpt3_2_7b",
    "gpt3_xl": "gpt3_xl",
    "opt_13": "opt_1_3b",
    "switchxl4": "switch_xl4",
}
"""What the zoo calls the networks of the table."""

SIZES = {
    "sequence": "seq_len",
    "layers": "layers",
    "hidden": "hidden",
    "heads": "heads",
    "ffn": "ffn",
    "vocabulary": "vocab",
}
"""Parameters of the zoo's networks by the columns that state them."""

BACKWARD = 3.0
"""Training over inference: the backward pass is two products of the forward's size each."""


def read_networks(data: Path) -> list[dict[str, Any]]:
    """Rows of e2e_gpu.csv on a single GPU that ran kernel by kernel, not fused by a compiler."""
    import pandas as pd

    frame = pd.read_csv(data / "e2e_gpu.csv")
    rows: list[dict[str, Any]] = frame[(frame.parallel == "none") & (frame.fused == 0)].to_dict(
        "records"
    )
    return rows


def spec(row: Mapping[str, Any]) -> str:
    """The network of a row in the zoo, with the sizes that the row states."""
    sizes = ",".join(f"{name}={int(row[column])}" for name, column in SIZES.items())
    return f"{NAMES[row['model']]}@{sizes}"


def passes(row: Mapping[str, Any]) -> float:
    """Forward passes that a row's time is worth."""
    return BACKWARD if row["mode"] == "train" else 1.0
