"""Measurement files of any supported format (docs/formats.md lists them) into one checked table.

The format of a file is recognised by its content, never by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import MeasurementError
from perfmodel.measurements import columns as schema
from perfmodel.measurements.checks import Fault, check_duplicates, check_rows
from perfmodel.measurements.plausibility import check_files_agree, check_plausible, zoo_macs
from perfmodel.measurements.readers import (
    ai_hub,
    canonical,
    csv_cells,
    mlperf_mobile,
    mnn_bench,
    ncnn_bench,
    onnxruntime_profile,
    study_csv,
    tflite_benchmark,
    trtexec,
)
from perfmodel.measurements.readers.results import ReadResult
from perfmodel.measurements.readers.source_text import SourceText, decode, load_bytes
from perfmodel.measurements.table import BadRow, MeasurementTable, bad_input, concatenate
from perfmodel.zoo.published_names import model_name

if TYPE_CHECKING:
    import pandas as pd

MOST_MODELS = 200
"""Networks whose work is looked up to check their times; more would take seconds."""
FORMATS = (
    "the canonical table (CSV, Parquet), TFLite benchmark_model, ncnn benchncnn, MNN benchmark, "
    "trtexec, ONNX Runtime profile, AI Hub profile, MLPerf Mobile, or a CSV of a known study"
)


def read_measurements(
    paths: str | Path | Iterable[str | Path],
    *,
    device: str | None = None,
    defaults: Mapping[str, str | float] | None = None,
    skip_bad: bool = False,
    network_macs: Callable[[str], float | None] | None = None,
) -> tuple[MeasurementTable, tuple[BadRow, ...]]:
    """Read measurement files of any supported format into one checked table.

    The format of each file is recognised by its content. `device` names the device where a file
    does not (tool logs), and selects its rows where a file has several. `defaults` fills other
    columns that a file leaves empty (`{"precision": "int8", "threads": 4}`). `network_macs`
    gives the multiply-accumulates of a model, with which the times of networks are checked; left
    out, those of the zoo's networks are known.

    Returns the table and the rows that are not in it. Damaged or implausible rows raise
    MeasurementError (file, line, reason) unless `skip_bad`; rows that are sound but no
    measurement of an inference (training, no latency published) are always only listed, their
    reason starting with "left out:".
    """
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    files, given = [Path(path) for path in listed], dict(defaults or {})
    _check_arguments(files, given)
    tables: list[MeasurementTable] = []
    treatment: dict[str, str] = {}
    rejected: list[BadRow] = []
    for number, path in enumerate(files, 1):
        result = _read_one(path, device is not None, given)
        treatment[str(path)] = result.outliers
        frame = _completed(result, number, device, given)
        frame, bad = _without_faults(frame, check_rows(frame))
        frame, repeated = _without_faults(frame, check_duplicates(frame))
        _refuse((*result.bad, *bad, *repeated), skip_bad)
        rejected += [*result.bad, *bad, *repeated, *result.left_out]
        tables.append(MeasurementTable(frame))
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


def read_one(
    path: Path, *, device_given: bool = False, defaults: Mapping[str, str | float] | None = None
) -> ReadResult:
    """One file, its format recognised by its content; rows are not checked yet."""
    return _read_one(path, device_given, defaults or {})


def _check_arguments(paths: Sequence[Path], defaults: Mapping[str, str | float]) -> None:
    if not paths:
        raise MeasurementError("no measurement file", "give at least one")
    for path in paths:
        if paths.count(path) > 1:
            raise MeasurementError(f"{path}: given twice", "give each file once")
    for name in defaults:
        if name not in schema.COLUMN:
            raise MeasurementError(f"no column {name!r}", "docs/formats.md lists the columns")


def _read_one(path: Path, device_given: bool, given: Mapping[str, Any]) -> ReadResult:
    data = load_bytes(path)
    if data[:4] == b"PAR1":
        return canonical.read_parquet(path, data, device_given, given)
    source = decode(path, data)
    if source.looks_like_json:
        return _read_json(source)
    return _read_text(source, device_given, given)


def _read_json(source: SourceText) -> ReadResult:
    value = source.json
    if ai_hub.is_profile(value):
        return ai_hub.read(source)
    if isinstance(value, list) and value:
        for is_format, read in (
            (trtexec.is_times, trtexec.read_times),
            (trtexec.is_profile, trtexec.read_profile),
            (mlperf_mobile.is_result, mlperf_mobile.read_result),
            (onnxruntime_profile.is_profile, onnxruntime_profile.read),
        ):
            if is_format(value):
                return read(source)
    raise bad_input(source.path, 1, "JSON of no known tool", f"readable are: {FORMATS}")


def _read_text(source: SourceText, device_given: bool, given: Mapping[str, Any]) -> ReadResult:
    text = source.text
    names = csv_cells.header_of(source)
    study = study_csv.study_of(names)
    if study is not None:
        return study_csv.read(source, study)
    if canonical.is_canonical(names):
        return canonical.read_csv(source, device_given, given)
    if any(mark in text for mark in tflite_benchmark.SIGNATURES):
        return tflite_benchmark.read(source)
    if mlperf_mobile.is_summary(text):
        return mlperf_mobile.read_summary(source)
    for is_format, read in (
        (trtexec.is_text, trtexec.read_text),
        (mnn_bench.is_mnn, mnn_bench.read),
        (ncnn_bench.is_ncnn, ncnn_bench.read),
    ):
        if is_format(text):
            return read(source)
    if "device" in names or "model" in names:
        canonical.check_header(names, source.path, device_given, given)
    raise bad_input(source.path, 1, "no known format", f"readable are: {FORMATS}")


def _completed(
    result: ReadResult,
    number: int,
    device: str | None,
    defaults: Mapping[str, str | float],
) -> pd.DataFrame:
    """The frame with what the caller knows filled in where the file does not say."""
    frame = result.frame
    filled = dict(defaults)
    if device is not None:
        filled["device"] = device
    for name, value in filled.items():
        empty = frame[name] == "" if schema.COLUMN[name].dtype == "text" else frame[name].isna()
        frame[name] = frame[name].where(~empty, value)
    if result.is_log:
        # A tool that does not print the model: the log is named after it.
        stem = Path(result.frame["origin_file"].iloc[0]).name.split(".")[0] if len(frame) else ""
        frame["model"] = frame["model"].where(frame["model"] != "", model_name(stem))
        unnumbered = frame["run"].isna()
        frame["run"] = frame["run"].where(~unnumbered, float(number))
    return frame


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


__all__ = ["FORMATS", "read_measurements", "read_one"]
