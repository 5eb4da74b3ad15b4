"""Measurement files of any supported format (docs/formats.md lists them) into one checked table.

The format of a file is recognised by its content, never by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perfmodel.errors import MeasurementError
from perfmodel.measurements import columns as schema
from perfmodel.measurements.checks import Fault, check_duplicates, check_rows
from perfmodel.measurements.facets import (
    Place,
    check_answered,
    check_options,
    check_said,
    completed,
)
from perfmodel.measurements.plausibility import check_files_agree, check_plausible, zoo_macs
from perfmodel.measurements.readers import canonical, csv_cells
from perfmodel.measurements.readers.listed import READERS, formats
from perfmodel.measurements.readers.results import Reader, ReadResult
from perfmodel.measurements.readers.source_text import SourceText, decode, load_bytes
from perfmodel.measurements.table import (
    BadRow,
    MeasurementTable,
    bad_input,
    concatenate,
)

if TYPE_CHECKING:
    import pandas as pd

MOST_MODELS = 200
"""Networks whose work is looked up to check their times; more would take seconds."""


def untold(step: str) -> None:
    """What is told of progress where nobody asks."""


def read_measurements(
    paths: str | Path | Iterable[str | Path],
    *,
    device: str | None = None,
    defaults: Mapping[str, str | float] | None = None,
    models: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    network_macs: Callable[[str], float | None] | None = None,
    doing: Callable[[str], None] = untold,
) -> tuple[MeasurementTable, tuple[BadRow, ...]]:
    """Read measurement files of any supported format into one checked table.

    The format of each file is recognised by its content. `device` names the device where a file
    does not (tool logs), and selects its rows where a file has several. `defaults` states other
    columns that a file leaves open (`{"precision": "int8", "threads": 4}`); it counts more than
    what a model's name suggests. `models` gives the network (zoo name or file) of a name in a log.
    `network_macs` gives the multiply-accumulates of a model, with which the times of networks are
    checked; left out, those of the zoo's networks are known. `doing` is told each step as it
    begins, in words.

    Returns the table and the rows that are not in it. A log's row that lacks its unit, framework,
    precision, threads, batch or kind raises MeasurementError, which asks for what is missing.
    Damaged or implausible rows raise MeasurementError (file, line, reason) unless `skip_bad`; rows
    that are sound but no measurement of an inference (training, no latency published) are always
    only listed, their reason starting with "left out:".
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    files, given = [Path(path) for path in listed], dict(defaults or {})
    _check_arguments(files, given)
    known = {*given, *(() if device is None else ("device",))}
    results = []
    for number, path in enumerate(files, 1):
        doing(f"reading {path.name} ({number} of {len(files)})")
        results.append(_read_one(path, known))
    doing(f"checking {sum(len(result.frame) for result in results)} rows")
    rejected = [row for result in results for row in result.left_out]
    options = given if device is None else {**given, "device": device}
    frames = []
    for number, result in enumerate(results, 1):
        place = Place(number, len(results))
        frame, bad = _without_faults(*completed(result, place, options, models or {}))
        frames.append(frame)
        rejected += bad
    logs = [frame for frame, result in zip(frames, results, strict=True) if result.is_log]
    check_options(logs, options, models or {})
    if not skip_bad:
        check_answered(logs)
    tables = []
    for frame, result in zip(frames, results, strict=True):
        checks = (
            (check_said, check_rows, check_duplicates)
            if result.is_log
            else (check_rows, check_duplicates)
        )
        bad = list(result.bad)
        for check in checks:
            frame, found = _without_faults(frame, check(frame))
            bad += found
        _refuse(bad, skip_bad)
        rejected += bad
        tables.append(MeasurementTable(frame))
    treatment = {str(path): result.outliers for path, result in zip(files, results, strict=True)}
    frame = _of_device(concatenate(tables).frame, device, files)
    for check in (check_duplicates, check_files_agree):
        frame, bad = _without_faults(frame, check(frame))
        _refuse(bad, skip_bad)
        rejected += bad
    checked = frame["origin_file"].map(treatment) == "refuse"
    own_models = set(frame.loc[checked, "model"].unique()[:MOST_MODELS])
    macs = network_macs or zoo_macs
    faults = check_plausible(frame, lambda model: macs(model) if model in own_models else None)
    outliers = [
        (position, _outlier_reason(reason, treatment[frame["origin_file"].iloc[position]]))
        for position, reason in faults
        if treatment[frame["origin_file"].iloc[position]] != "keep"
    ]
    frame, bad = _without_faults(frame, outliers)
    _refuse([row for row in bad if not row.reason.startswith("left out: ")], skip_bad)
    return MeasurementTable(frame), (*rejected, *bad)


def _outlier_reason(reason: str, treatment: str) -> str:
    return f"left out: {reason}" if treatment == "leave_out" else reason


def read_one(path: Path) -> ReadResult:
    """One file as its reader gives it: nothing is filled in, asked for or checked."""
    return _read_one(path, schema.NAMES)


def _check_arguments(paths: Sequence[Path], defaults: Mapping[str, str | float]) -> None:
    if not paths:
        raise MeasurementError("no measurement file", "give at least one")
    for path in paths:
        if paths.count(path) > 1:
            raise MeasurementError(f"{path}: given twice", "give each file once")
    for name in defaults:
        if name not in schema.COLUMN:
            raise MeasurementError(f"no column {name!r}", "docs/formats.md lists the columns")


def _read_one(path: Path, known: Collection[str]) -> ReadResult:
    """The rows of a file; `known` are columns that the caller fills in."""
    data = load_bytes(path)
    if data[:4] == b"PAR1":
        result = canonical.read_parquet(path, data)
    else:
        source = decode(path, data)
        result = _reader_of(source).read(source)
    absent = [name for name in result.absent if name not in known]
    if absent:
        hint = f"add the column, or state it with --{absent[0]}"
        raise bad_input(path, 1, f"column {absent[0]}: missing", hint)
    return result


def _reader_of(source: SourceText) -> Reader:
    """The first reader that recognises a text; MeasurementError where none does."""
    for reader in READERS:
        if reader.recognise(source):
            return reader
    if source.looks_like_json:
        assert source.json is not None
        reason = "JSON of no known tool"
    elif {"device", "model"} & set(csv_cells.header_of(source)):
        return canonical.READER  # which says what its header lacks
    else:
        assert source.lines
        reason = "no known format"
    raise bad_input(source.path, 1, reason, f"readable are: {formats()}")


def _without_faults(
    frame: pd.DataFrame, faults: Sequence[Fault]
) -> tuple[pd.DataFrame, list[BadRow]]:
    if not faults:
        return frame, []
    positions = [position for position, _ in faults]
    origin = frame.iloc[positions]
    bad = [
        BadRow(str(file), int(line), reason)
        for file, line, (_, reason) in zip(
            origin["origin_file"], origin["origin_line"], faults, strict=True
        )
    ]
    return frame.drop(index=frame.index[positions]).reset_index(drop=True), bad


def _refuse(bad: Sequence[BadRow], skip_bad: bool) -> None:
    if not bad or skip_bad:
        return
    first = min(bad, key=lambda row: (row.file, row.line))
    more = f" (and {len(bad) - 1} more such rows)" if len(bad) > 1 else ""
    hint = "mend the file, or skip and list such rows with --skip-bad"
    raise bad_input(first.file, first.line, first.reason + more, hint)


def _of_device(frame: pd.DataFrame, device: str | None, paths: Sequence[Path]) -> pd.DataFrame:
    if device is None or not len(frame):
        return frame
    mine = frame["device"] == device
    if not mine.any():
        others = sorted(frame["device"].unique())
        shown = ", ".join(others[:8]) + (" ..." if len(others) > 8 else "")
        names = ", ".join(str(path) for path in paths)
        raise MeasurementError(f"{names}: no row of device {device!r}", f"the rows are of {shown}")
    return frame[mine].reset_index(drop=True)


__all__ = ["read_measurements", "read_one"]
