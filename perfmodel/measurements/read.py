"""Measurement files of any supported format (docs/formats.md lists them) into one checked table.

The format of a file is recognised by its content, never by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
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

LEFT_OUT = "left out: "
"""How the reason of a row begins that is sound, but is not used."""

Check = Callable[["pd.DataFrame"], list[Fault]]


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
    options = given if device is None else {**given, "device": device}
    results = []
    for number, path in enumerate(files, 1):
        doing(f"reading {path.name} ({number} of {len(files)})")
        results.append(_read_one(path, options))
    doing(f"checking {sum(len(result.frame) for result in results)} rows")
    sieve = _Sieve(skip_bad, [row for result in results for row in result.left_out])
    frames = _completed(results, options, models or {}, sieve)
    tables = []
    for frame, result in zip(frames, results, strict=True):
        checks = (*((check_said,) if result.is_log else ()), check_rows, check_duplicates)
        tables.append(MeasurementTable(sieve.checked(frame, checks, result.bad)))
    frame = _of_device(concatenate(tables).frame, device, files)
    for check in (check_duplicates, check_files_agree):
        frame = sieve.checked(frame, (check,))
    treatment = {str(path): result.outliers for path, result in zip(files, results, strict=True)}
    outliers = _outliers(frame, treatment, network_macs or zoo_macs)
    frame, bad = _without_faults(frame, outliers)
    sieve.refuse([row for row in bad if not row.reason.startswith(LEFT_OUT)])
    return MeasurementTable(frame), (*sieve.listed, *bad)


@dataclass(frozen=True)
class _Sieve:
    """Takes rows out of tables and lists them; bad ones raise unless `skip_bad`."""

    skip_bad: bool
    listed: list[BadRow]

    def checked(
        self, frame: pd.DataFrame, checks: Iterable[Check], unread: Iterable[BadRow] = ()
    ) -> pd.DataFrame:
        """The rows that every check in turn lets pass; `unread` are bad rows of the same file."""
        bad = list(unread)
        for check in checks:
            frame, found = _without_faults(frame, check(frame))
            bad += found
        self.refuse(bad)
        self.listed.extend(bad)
        return frame

    def refuse(self, bad: Sequence[BadRow]) -> None:
        """Raise for the first of some bad rows, unless they are to be skipped."""
        if not bad or self.skip_bad:
            return
        first = min(bad, key=lambda row: (row.file, row.line))
        more = f" (and {len(bad) - 1} more such rows)" if len(bad) > 1 else ""
        hint = "mend the file, or skip and list such rows with --skip-bad"
        raise bad_input(first.file, first.line, first.reason + more, hint)


def _completed(
    results: Sequence[ReadResult],
    options: Mapping[str, str | float],
    models: Mapping[str, str],
    sieve: _Sieve,
) -> list[pd.DataFrame]:
    """The frames of some files with what names and the caller say filled in.

    Raises `MeasurementError` for what logs leave open, unless bad rows are skipped.
    """
    frames = []
    for number, result in enumerate(results, 1):
        place = Place(number, len(results))
        frame, bad = _without_faults(*completed(result, place, options, models))
        frames.append(frame)
        sieve.listed.extend(bad)
    logs = [frame for frame, result in zip(frames, results, strict=True) if result.is_log]
    check_options(logs, options, models)
    if not sieve.skip_bad:
        check_answered(logs)
    return frames


def _outliers(
    frame: pd.DataFrame, treatment: Mapping[str, str], macs: Callable[[str], float | None]
) -> list[Fault]:
    """Rows whose times do not fit the others, but for files that keep them; `treatment` by file."""
    origins = frame["origin_file"]
    mine = origins.map(treatment) == "refuse"
    own_models = set(frame.loc[mine, "model"].unique()[:MOST_MODELS])
    faults = check_plausible(frame, lambda model: macs(model) if model in own_models else None)
    words = {"refuse": "", "leave_out": LEFT_OUT}
    treated = ((position, reason, treatment[origins.iloc[position]]) for position, reason in faults)
    return [(position, words[how] + reason) for position, reason, how in treated if how in words]


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
