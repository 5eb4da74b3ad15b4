"""Every answer of a public function as data, as a described result, as rows and as a plot.

One place knows how each is described: the commands' functions, from which their text, JSON and
pages are made too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.answer import Answer
from perfmodel.errors import PerfmodelError
from perfmodel.render import (
    calibration,
    comparison,
    devices,
    minspec,
    network,
    plan,
    prediction,
    selection,
    simulation,
    sweep,
    validation,
)
from perfmodel.render.result import Data, Result, as_fragment, plain
from perfmodel.render.table_file import TABLES, flat_row, rows_of

if TYPE_CHECKING:
    import pandas as pd

DESCRIBED_BY: Mapping[str, Callable[[Data], Result]] = {
    "predict": prediction.prediction_result,
    "partition": plan.plan_result,
    "compare": comparison.comparison_result,
    "suite": comparison.suite_result,
    "minspec": minspec.minspec_result,
    "select": selection.selection_result,
    "simulate": simulation.simulation_result,
    "whatif": sweep.sweep_result,
    "validate": validation.validation_result,
    "inspect": network.inspection_result,
}
"""By command: what describes its JSON."""

_DATA_OF: Mapping[str, Callable[[Any], Any]] = {
    "predict": prediction.prediction_data,
    "partition": plan.plan_data,
    "compare": lambda answer: comparison.comparison_data(answer, relative=False),
    "suite": comparison.suite_data,
    "minspec": minspec.minspec_data,
    "select": selection.selection_data,
    "simulate": lambda answer: answer.to_json(),
    "whatif": sweep.sweep_data,
    "validate": lambda answer: answer.to_json(),
    "inspect": lambda answer: network.inspection_data(getattr(answer, "graph", answer)),
}
"""By command: what makes its JSON of an answer."""

_RESULT_OF: Mapping[str, Callable[[Any], Result]] = {
    "models": lambda answer: network.models_result(answer.zoo, answer.packed, answer.match),
    "devices": devices.known_targets_result,
    "calibrate": calibration.calibrated_result,
    "suggest": calibration.suggestions_result,
}
"""By command: what describes an answer that no file of results holds."""


def data_of(answer: Answer) -> Any:
    """An answer as the JSON of its command, plain data."""
    if answer.command in _DATA_OF:
        return plain(_DATA_OF[answer.command](answer))
    return plain(described(answer).data)


def described(answer: Answer) -> Result:
    """An answer as its command describes it."""
    if answer.command in _RESULT_OF:
        return _RESULT_OF[answer.command](answer)
    return DESCRIBED_BY[answer.command](data_of(answer))


def html_of(answer: Answer) -> str:
    """An answer as a part of somebody else's page: style, no script, no head."""
    return as_fragment(described(answer))


def frame_of(answer: Any) -> pd.DataFrame:
    """An answer's rows as a table; a column is a figure, its unit in its name."""
    import pandas as pd

    if answer.command == "whatif":
        frame: pd.DataFrame = answer.frame.copy()
        return frame
    rows = _ROWS_OF.get(answer.command, _table_rows)(answer)
    known = TABLES[answer.command].columns if answer.command in TABLES and not rows else None
    return pd.DataFrame(rows, columns=None if known is None else list(known))


def _table_rows(answer: Answer) -> list[dict[str, Any]]:
    return rows_of(answer.command, data_of(answer))


def _phone_rows(answer: Any) -> list[dict[str, Any]]:
    """Phones from slow to fast and their verdict; a fleet's own rows where there are any."""
    if getattr(answer, "rows", ()):
        return _table_rows(answer)
    groups = (("pass", answer.passing), ("fail", answer.failing), ("unknown", answer.unknown))
    return [
        {"verdict": getattr(phone, "verdict", verdict), **flat_row(plain(phone))}
        for verdict, phones in groups
        for phone in phones
    ]


_ROWS_OF: Mapping[str, Callable[[Any], list[dict[str, Any]]]] = {
    "minspec": _phone_rows,
    "suite": lambda answer: [flat_row(row) for row in data_of(answer)["tests"]],
    "calibrate": lambda answer: [flat_row(row) for row in data_of(answer)["targets"]],
    "suggest": lambda answer: data_of(answer)["suggestions"],
}

_LOG = {"type": "log"}
MOST_POINTS = 5000
"""Rows of a chart: altair refuses more, since each travels with the page."""


def chart_of(answer: Answer) -> Any:
    """An answer's rows as an `altair.Chart`; of many, evenly taken ones."""
    altair = _altair()
    frame = frame_of(answer)
    if answer.command not in _DRAWN or frame.empty:
        raise PerfmodelError(
            f"{type(answer).__name__}: there is nothing to draw",
            f"to_frame() has its rows; answers with a plot: {', '.join(_DRAWN)}",
        )
    mark, channels = _DRAWN[answer.command](answer, altair)
    rows = frame.iloc[:: -(-len(frame) // MOST_POINTS)]
    rows = rows[list(dict.fromkeys(c for c in rows.columns if rows[c].notna().any()))]
    chart = altair.Chart(rows, title=described(answer).title)
    drawn = getattr(chart, f"mark_{mark}")()
    return drawn.encode(**channels, tooltip=_tooltip(rows.columns))


def _tooltip(columns: Sequence[str]) -> list[str]:
    return [str(c) for c in columns if not set("[]:.\\") & set(str(c))][:12]


def _altair() -> Any:
    try:
        import altair
    except ImportError:
        raise PerfmodelError(
            "plot() needs altair, which is not installed", 'pip install "perfmodel[plot]"'
        ) from None
    return altair


def _bars(value: str, name: str, colour: str | None = None) -> Callable[[Any, Any], Any]:
    """Bars of a column, the longest first."""

    def draw(answer: Any, altair: Any) -> tuple[str, dict[str, Any]]:
        channels = {"x": altair.X(f"sum({value}):Q"), "y": altair.Y(f"{name}:N", sort="-x")}
        return "bar", channels | ({} if colour is None else {"color": f"{colour}:N"})

    return draw


def _points(across: str, up: str, colour: str) -> Callable[[Any, Any], Any]:
    """Points of two columns, both on logarithmic scales."""

    def draw(answer: Any, altair: Any) -> tuple[str, dict[str, Any]]:
        x, y = (axis(f"{c}:Q") for axis, c in ((altair.X, across), (altair.Y, up)))
        return "circle", {"x": x.scale(**_LOG), "y": y.scale(**_LOG), "color": f"{colour}:N"}

    return draw


def _accuracies(answer: Any, altair: Any) -> tuple[str, dict[str, Any]]:
    y = altair.Y("accuracy:Q").scale(zero=False)
    return "circle", {"x": altair.X("latency_ms:Q").scale(**_LOG), "y": y, "color": "precision:N"}


def _swept(answer: Any, altair: Any) -> tuple[str, dict[str, Any]]:
    """The metric over the first path that varies, coloured by the second."""
    first, *others = (path.replace(".", "\\.") for path in answer.paths)
    channels: dict[str, Any] = {
        "x": altair.X(first).title(answer.paths[0]),
        "y": altair.Y(f"{answer.metric}:Q"),
    }
    return "circle", channels | ({"color": altair.Color(others[0])} if others else {})


def _cells(answer: Any, altair: Any) -> tuple[str, dict[str, Any]]:
    bars = {"x": "latency_ms:Q", "y": "target:N", "color": "model:N", "yOffset": "model:N"}
    return "bar", bars


_DRAWN: Mapping[str, Callable[[Any, Any], tuple[str, dict[str, Any]]]] = {
    "predict": _bars("latency_ms", "class", "bound"),
    "inspect": _bars("macs", "op"),
    "compare": _cells,
    "suite": _bars("latency_ms", "test", "device"),
    "minspec": _points("latency_ms", "memory_mb", "verdict"),
    "select": _accuracies,
    "partition": _bars("latency_ms", "first_name", "target"),
    "simulate": _bars("latency_p95_ms", "case", "group"),
    "whatif": _swept,
    "validate": _points("measured_ms", "predicted_ms", "target"),
}
"""By command: the mark and the channels of its chart."""
