"""CSV files of the HELP study as they are: one row an architecture, one latency column a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmodel.measurements.device_names import help_column
from perfmodel.measurements.readers.csv_cells import CsvColumns, mapped
from perfmodel.measurements.readers.results import ReadResult
from perfmodel.measurements.readers.source_text import SourceText
from perfmodel.measurements.table import make_frame

if TYPE_CHECKING:
    import numpy as np

Columns = dict[str, Any]


def nasbench201(cells: CsvColumns) -> Columns:
    """nasbench201_latency.csv.gz: one column a device; the model is the cell's string."""
    cell = cells.columns["arch_string"]
    return {
        "model": "nasbench201@arch=" + cell,
        "source_model": "nasbench201:" + _index(cells),
    }


def fbnet(cells: CsvColumns) -> Columns:
    """fbnet_latency.csv.gz: one column a device; the model is the list of blocks."""
    return {
        "model": "fbnet@ops=" + cells.columns["ops"],
        "source_model": "fbnet:" + _index(cells),
    }


def once_for_all(cells: CsvColumns) -> Columns:
    """ofa_latency.csv.gz: one column a device; the model is its kernels, expansions, depths.

    Width 1.2 is that of the supernet the authors validate with; the file does not state it.
    """
    c = cells.columns
    resolution = mapped(c["resolution"], lambda size: f"{size:g}")
    model = "once_for_all@ks=" + c["ks"] + ",e=" + c["e"] + ",d=" + c["d"]
    model = model + ",width=1.2,resolution=" + resolution
    return {"model": model, "source_model": "ofa:" + _index(cells)}


def _index(cells: CsvColumns) -> np.ndarray:
    return mapped(cells.columns["arch_index"], lambda index: f"{index:g}")


def read_architectures(source: SourceText, cells: CsvColumns, models: Columns) -> ReadResult:
    """A table of the HELP study: one row an architecture, one latency column (ms) a device.

    The sources state neither framework nor threads, and no precision (float assumed). Times are
    kept as they are: two of the devices skip the dead branches of a cell, which makes single
    networks thousands of times faster there than the other devices suggest.
    """
    import numpy as np
    import pandas as pd

    frames = []
    for name, values in cells.columns.items():
        known = help_column(name)
        if known is None or not np.issubdtype(values.dtype, np.floating):
            continue
        device, unit, batch, is_sum = known
        columns = {
            **models,
            "device": device,
            "unit": unit,
            "batch": float(batch),
            "precision": "float",
            "source": "HELP " + source.name.split(".")[0],
            "variant": "sum_of_blocks" if is_sum else "",
            "kind": "steady",
            "latency_ms": values,
        }
        frames.append(make_frame(columns, source.path, cells.lines))
    return ReadResult(pd.concat(frames, ignore_index=True), bad=cells.bad, outliers="keep")
