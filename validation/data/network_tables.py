"""Names of measured networks: what is one network, and what is left out together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfmodel.target import Target


def network_name(model: str) -> str:
    """A model's name without folder and suffix."""
    return model.rsplit("/", 1)[-1].removesuffix(".param").lower()


def family_of(model: str) -> str:
    """What a model must be left out with: its name without precision, width and resolution."""
    name = model.rsplit("/", 1)[-1].split("@", 1)[0].removesuffix(".param")
    return name.replace("_int8", "").replace("-int8", "")


def target_columns(targets: Sequence[Target]) -> dict[str, object]:
    """Columns of a measurement table that name the target of each row."""
    return {
        "device": [t.device for t in targets],
        "unit": [t.unit for t in targets],
        "framework": [t.framework for t in targets],
        "precision": [t.precision for t in targets],
    }


def read_jetson_rows(data: Path) -> Any:
    """layers_jetson.csv as a data frame."""
    import pandas as pd

    return pd.read_csv(data / "layers_jetson.csv")


def gpu_engine(frame: Any) -> Any:
    """The layers of `read_jetson_rows` that the engine on the GPU alone runs."""
    return frame[(frame["unit"] == "gpu") & (frame["op"] != "reformat_to_dla")]
