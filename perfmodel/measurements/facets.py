"""What a file leaves open is taken from names and options; what none of them says is asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import MeasurementError, nearest_hint
from perfmodel.measurements import columns as schema
from perfmodel.measurements.checks import REPEATED, Fault, positions
from perfmodel.measurements.evidence import (
    FACETS,
    FILE,
    FILE_NAME,
    MODEL_NAME,
    OPTION,
    OWN_INPUT,
    WEAK,
    precision_of_name,
    with_evidence,
)
from perfmodel.measurements.readers.results import ReadResult
from perfmodel.measurements.table import as_objects
from perfmodel.target import PRECISIONS, SLUG, UNITS
from perfmodel.zoo.published_names import model_name, network_called, precision_in

if TYPE_CHECKING:
    import pandas as pd

Options = Mapping[str, str | float]

_EXAMPLES = {"framework": ("tflite", "onnxruntime", "qnn ...")}
OPTION_OF = {"batch": "--batch-size", "model": "--model NAME=ZOO_OR_FILE"}
"""Options whose name is not that of their column."""

_BUILT = (".engine", ".plan", ".trt")
"""Files made by a builder: their name is what somebody wished for, not what the builder chose."""

_PLAIN_IS_FLOAT = {("tflite", "cpu"), ("tflite", "nnapi")}
"""Where a published network without a mark in its name is the float one and runs as stored:
TensorFlow publishes each in float under its plain name and quantised under a marked one."""

_FLOAT_AS_STORED = {*_PLAIN_IS_FLOAT, ("onnxruntime", "cpu")}
"""Where float weights are computed in float (`perfmodel.kernels.precisions.RUNS_IN`)."""

_RUNS = {"tflite": "tflite", "onnxruntime": "onnx", "tensorrt": "onnx", "ncnn": "ncnn"}
"""The format of file that a framework runs, or builds what it runs from."""


@dataclass(frozen=True)
class Place:
    """The number of a file among all, from 1, and how many there are: they number repetitions."""

    number: int
    files: int


def completed(
    result: ReadResult, place: Place, options: Options, models: Mapping[str, str]
) -> tuple[pd.DataFrame, list[Fault]]:
    """The rows with what names and the caller say filled in, and kernels that can be left out.

    In a table only empty cells are filled. A log that does not print its model is named after it;
    `models` gives the network of a name in a log. Its file is opened where precision or batch are
    open: `PerfmodelError` where it cannot be read. Kernels of which something stays open are left
    out of a log that has rows of whole networks.
    """
    frame = result.frame.copy()
    if not result.is_log or not len(frame):
        _fill_table(frame, options)
        _fill_table(frame, result.defaults)
        return frame, []
    _fill_log(frame, options, models)
    _number_repetitions(frame, place)
    is_kernel = frame["latency_us"].notna()
    if is_kernel.all():
        return frame, []
    lacking = ((i, unsaid(frame.iloc[i])) for i in positions(is_kernel))
    return frame, [
        (i, f"left out: no word of its {_listed(names)}") for i, names in lacking if names
    ]


def _fill_table(frame: pd.DataFrame, options: Options) -> None:
    for name, value in options.items():
        empty = frame[name] == "" if schema.COLUMN[name].dtype == "text" else frame[name].isna()
        frame[name] = frame[name].where(~empty, value)


def _fill_log(frame: pd.DataFrame, options: Options, models: Mapping[str, str]) -> None:
    stem = Path(str(frame["origin_file"].iloc[0])).name.split(".")[0]
    records = _rows(frame)
    stored = functools.cache(_stored_in)  # each file is read once
    for row in records:
        row["model"] = row["model"] or options.get("model", "")
        if _name_model(row, stem, models):
            _take_file(row, stored)
        for name, value in options.items():
            _take_option(row, name, value)
        _plain_precision(row)
    for name in dict.fromkeys((*FACETS, *options, "model")):
        frame[name] = [row[name] for row in records]
    frame["origin_evidence"] = as_objects([r["origin_evidence"] for r in records], len(records))


def _number_repetitions(frame: pd.DataFrame, place: Place) -> None:
    """Number what a log measured again, so that no two files give a number twice."""
    key = [name for name in REPEATED if name != "run"]
    kernel = frame["latency_us"].notna().rename("is_kernel")
    again = frame.groupby([*key, kernel], dropna=False, sort=False).cumcount()
    frame["run"] = frame["run"].where(frame["run"].notna(), place.number + place.files * again)


def _name_model(row: dict[str, Any], stem: str, models: Mapping[str, str]) -> bool:
    """The network from its name in the log, else from the log's own; the precision likewise.

    Returns whether `models` gave the network.
    """
    named = row["source_model"] or row["model"]
    where = f"{MODEL_NAME} {named[:80]}" if named else f"{FILE_NAME} {stem[:80]}"
    built = named.lower().endswith(_BUILT)
    precision = "" if built else precision_of_name(named or stem)
    if not row["precision"] and precision:
        _set(row, "precision", precision, where)
    row["model"] = row["model"] or model_name(stem)
    for name in (row["source_model"], Path(row["source_model"]).stem, row["model"], stem):
        if name and name in models:
            row["model"] = models[name]
            return True
    return False


def _take_file(row: dict[str, Any], stored: Callable[[str], tuple[str, str, int]]) -> None:
    """Precision and batch of the file that was run, where only names or defaults tell of them.

    A file of a format that the framework does not run was made from the one that ran, or the other
    way round: it may be stored otherwise.
    """
    told = dict(row["origin_evidence"])
    lacks_precision = told.get("precision", FILE_NAME).startswith((FILE_NAME, MODEL_NAME))
    lacks_batch = told.get("batch", OWN_INPUT) == OWN_INPUT
    path = _file_of(str(row["model"]), Path(str(row["origin_file"])).parent)
    if not path or not (lacks_precision or lacks_batch):
        return
    form, precision, batch = stored(path)
    framework, unit = row["framework"], row["unit"]
    if form != _RUNS.get(framework):
        return
    as_stored = precision != "fp32" or (framework, unit) in _FLOAT_AS_STORED
    where = f"{FILE} {path[:80]}"
    if lacks_precision and precision and as_stored:
        _set(row, "precision", precision, where)
    if lacks_batch:
        _set(row, "batch", float(batch), where)


def _file_of(network: str, folder: Path) -> str:
    """The file that a network of a log in `folder` is; "" for one by name."""
    from perfmodel.formats.load import file_and_sizes, named_from

    found = named_from(network, folder)
    return found if file_and_sizes(found)[0] is not None else ""


def _stored_in(path: str) -> tuple[str, str, int]:
    """The format of a network's file, the precision it is stored in and its batch."""
    from perfmodel.formats.load import load
    from perfmodel.kernels.precisions import precision_held

    graph = load(path)
    return graph.format, precision_held(graph), graph.batch_size


def _take_option(row: dict[str, Any], name: str, value: str | float) -> None:
    """What the caller states counts where the log is silent, and before what names suggest."""
    weak = dict(row["origin_evidence"]).get(name, "").startswith(WEAK)
    if _open(row[name]) or weak:
        if name == "threads" and row["unit"] not in ("", "cpu"):
            return
        _set(row, name, value, OPTION)


def _plain_precision(row: dict[str, Any]) -> None:
    name = row["source_model"] or row["model"]
    plain = not precision_in(name) and network_called(name) is not None
    if not row["precision"] and plain and (row["framework"], row["unit"]) in _PLAIN_IS_FLOAT:
        where = f"{MODEL_NAME} {name[:80]}, which bears no mark of a quantised one"
        _set(row, "precision", "fp32", where)


def _set(row: dict[str, Any], name: str, value: str | float, where: str) -> None:
    row[name] = value
    if name in FACETS:
        row["origin_evidence"] = with_evidence(row["origin_evidence"], name, where)


def check_word(name: str, word: str) -> None:
    """Raise MeasurementError for a word that a column's values do not hold."""
    allowed = _choices_of(name)
    if allowed and word not in allowed:
        raise MeasurementError(f"{_option(name)} {word!r} is none of {', '.join(allowed)}")
    if not SLUG.fullmatch(word):
        raise MeasurementError(f"{_option(name)} {word!r} is no name", "use a-z, 0-9, - and .")


def check_options(
    logs: Sequence[pd.DataFrame], options: Options, models: Mapping[str, str]
) -> None:
    """Refuse an option that no row of the logs took, since all of them say something else."""
    rows = [row for frame in logs for row in _rows(frame)]
    for name, value in options.items():
        said = [row for row in rows if not _open(row[name])]
        if name in FACETS and said and all(row[name] != value for row in said):
            where = dict(said[0]["origin_evidence"]).get(name, "")
            raise MeasurementError(
                f"{_option(name)} {_shown(value)}: {said[0]['origin_file']}: line "
                f"{said[0]['origin_line']} says {_shown(said[0][name])} ({where})",
                "leave the option out",
            )
    known = {str(row[column]) for row in rows for column in ("source_model", "model")} - {""}
    for name, network in models.items():
        if all(row["model"] != network for row in rows):
            raise MeasurementError(f"--model {name}: no row names it", nearest_hint(name, known))


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def check_answered(logs: Sequence[pd.DataFrame]) -> None:
    """Ask for the facets that neither the logs nor names nor options state.

    Raises MeasurementError with the first row that lacks one and the options for all of them.
    """
    lacking = [(row, names) for frame in logs for row in _rows(frame) if (names := unsaid(row))]
    if not lacking:
        return
    row, names = lacking[0]
    every = [name for name in FACETS if any(name in missing for _, missing in lacking)]
    given = " and ".join(f"{_option(name)}{_choices(name)}" for name in every)
    raise MeasurementError(
        f"{row['origin_file']}: line {row['origin_line']}: {_question(row, names)}",
        f"state {'it' if len(every) == 1 else 'them'} with {given}",
    )


def check_said(frame: pd.DataFrame) -> list[Fault]:
    """The rows of a log of which something is open, and what."""
    faults = ((i, row, unsaid(row)) for i, row in enumerate(_rows(frame)))
    return [(i, _question(row, names)) for i, row, names in faults if names]


def _question(row: Mapping[str, Any], names: Sequence[str]) -> str:
    remark = f" ({row['note']})" if row["note"] else ""
    return f"no word of the {_listed(names)} of this measurement{remark}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]


def unsaid(row: Mapping[str, Any]) -> list[str]:
    """The facets that a row of a log does not state; threads count on a CPU only.

    Nothing is asked about rates, which no latency is made of.
    """
    if row["tokens_per_s"] == row["tokens_per_s"]:
        return []
    need = [name for name in FACETS if name != "threads" or row["unit"] == "cpu"]
    return [name for name in need if _open(row[name])]


def _open(value: object) -> bool:
    return value in ("", None) or value != value


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = frame.to_dict("records")  # type: ignore[assignment]
    return records


def _option(name: str) -> str:
    return OPTION_OF.get(name, f"--{name}")


def _choices(name: str) -> str:
    allowed = _choices_of(name) or _EXAMPLES.get(name, ())
    return f" ({', '.join(allowed)})" if allowed else ""


def _choices_of(name: str) -> tuple[str, ...]:
    """The words that a target may have in a facet; any where there are none."""
    return {"unit": UNITS, "precision": PRECISIONS}.get(name, ())
