"""Write the accuracy tables of the README and of docs/accuracy.md from the committed results.

`python -m validation.accuracy.readme` after `python -m validation.accuracy --data DATA --json
validation/results/accuracy.json`. What `perfmodel validate host` measured comes last.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perfmodel.errors import PerfmodelError
from perfmodel.files import write_atomically
from validation.accuracy.common import AccuracyRow
from validation.accuracy.reasons import explained
from validation.markdown import markdown

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "validation" / "results" / "accuracy.json"
HOST_FOLDER = ROOT / "validation" / "results" / "host"
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "accuracy.md"
START, END = "<!-- accuracy -->\n", "<!-- /accuracy -->"


@dataclass(frozen=True)
class TableLine:
    """A line of the README: what it says, and the experiment and kind of target that say it."""

    what: str
    experiment: str
    target_kind: str


HOST = "validate host"
EARLIER = " (earlier code)"
"""Mark of results whose file does not say which code made them: they are to be made again."""

HOST_FILES = {
    **dict.fromkeys(
        (f"{f}_validation.json" for f in ("tflite", "ncnn", "onnxruntime", "mnn", "pytorch")), ""
    ),
    "tflite_threads_validation.json": f" with two threads too{EARLIER}",
    "validation.json": EARLIER,
}
"""Validations of this machine in the order in which they are told, and their mark. The last two
hold all four kinds of TFLite's targets."""

LINES = (
    TableLine(
        "A network never seen, on a known phone's or board's CPU (ncnn)",
        "ncnn, leave one network out",
        "cpu float",
    ),
    TableLine(
        "the same on its GPU",
        "ncnn, leave one network out",
        "gpu float",
    ),
    TableLine(
        "A device never seen, from 10 networks measured on it: CPU (ncnn)",
        "ncnn, new device from 10 networks (random)",
        "cpu float",
    ),
    TableLine(
        "the same on its GPU",
        "ncnn, new device from 10 networks (random)",
        "gpu float",
    ),
    TableLine(
        "A device never seen, from its spec sheet alone: CPU (ncnn)",
        "ncnn, new device from its spec sheet",
        "cpu float",
    ),
    TableLine(
        "A phone never seen, from its chip's spec sheet: CPU (TFLite)",
        "phone from its spec sheet (shipped fits less its chip)",
        "cpu/tflite/float",
    ),
    TableLine(
        "the same: CPU (ncnn)",
        "phone from its spec sheet (shipped fits less its chip)",
        "cpu/ncnn/float",
    ),
    TableLine(
        "the same: GPU (ncnn)",
        "phone from its spec sheet (shipped fits less its chip)",
        "gpu/ncnn/float",
    ),
    TableLine(
        "A phone never seen, from 30 kernels measured on it: CPU (MNN)",
        "phones, new phone",
        "mnn cpu, 30 kernels",
    ),
    TableLine(
        "A server GPU never seen, from its data sheet: transformers (PyTorch)",
        "unseen GPU from its data sheet, whole networks",
        "transformers, eager inference",
    ),
    TableLine(
        "A server GPU whose kernels were measured: transformers (PyTorch)",
        "known GPU, whole networks",
        "transformers, eager inference",
    ),
    TableLine(
        "NAS-Bench-201: 1,000 cells on each of 23 devices, 20 measured there (PyTorch, TFLite)",
        "NAS-Bench-201, 20 cells measured",
        "all devices",
    ),
    TableLine(
        "This machine's CPU (TFLite), predicted before it was measured",
        HOST,
        "fp32/t1",
    ),
)
"""What a newcomer reads; everything else stands in docs/accuracy.md."""

COLUMNS = {
    "experiment": lambda r: r.experiment,
    "target": lambda r: r.target_kind,
    "cases": lambda r: f"{r.cases:,}",
    "median error": lambda r: percent(r.median_error),
    "mean": lambda r: percent(r.mean_error),
    "within 5 %": lambda r: percent(r.within_5),
    "within 10 %": lambda r: percent(r.within_10),
    "within 20 %": lambda r: percent(r.within_20),
    "rank correlation": lambda r: "-" if r.spearman is None else f"{r.spearman:.3f}",
    "coverage": lambda r: percent(r.coverage),
    "simple models (median error)": lambda r: (
        ", ".join(f"{name} {percent(value)}" for name, value in r.baselines.items()) or "-"
    ),
}
"""Columns of the whole table."""

INTRODUCTION = """# How good predictions are

<!-- Written by `python -m validation.accuracy.readme`; do not edit. -->

Every figure is out of sample: the network with all its variants, or the device in every form, was
left out of everything that the prediction rests on. Every figure comes of the functions that users
call. `python -m validation.accuracy --data DATA` makes all but the last group again; DATA is the
folder of published measurements. The last group is what `perfmodel validate host` found on one
machine: it predicted first, then measured. Phones from their spec sheets are the exception: their
chip is left out of the model of sheets, while the costs of the other targets are those that ship.

Error is |predicted - measured| / measured. Coverage is the share of measurements inside their
90 % interval. Rank correlation is Spearman's, of the networks on one target, averaged over targets.
The simple models are fitted to the same rows: time in proportion to FLOPs, a line through MACs and
bytes, the most alike of the known devices scaled. Rows marked "earlier code" stand until they are
made again by the code that ships.

"""


def percent(share: float | None) -> str:
    """A share as text; "-" for none."""
    return "-" if share is None else f"{100 * share:.1f} %"


def host_results(validation: dict[str, Any], mark: str = "") -> list[AccuracyRow]:
    """The groups of a host validation in the form of the other experiments' results.

    `mark` is what stands after the experiment's name.
    """
    cpu = validation["machine"]["facts"]["cpu"]
    return [
        AccuracyRow(
            experiment=f"{HOST} on {cpu}, predicted first{mark}",
            target_kind=name.replace("host/cpu/", "").replace("tflite/", ""),
            cases=group["cases"],
            seed=0,
            median_error=group["median"],
            mean_error=group["mape"],
            within_5=group["within_5"],
            within_10=group["within_10"],
            within_20=group["within_20"],
            spearman=group.get("spearman"),
            # first runs are predicted without an interval
            coverage=None if name.startswith("first") else group["coverage"],
        )
        for name, group in validation["groups"].items()
        if not name.startswith("files: host")
    ]


def find(line: TableLine, results: Sequence[AccuracyRow]) -> AccuracyRow:
    """The result that a line of the README shows; raises `PerfmodelError` where there is none."""
    for result in results:
        if result.experiment.startswith(line.experiment) and result.target_kind == line.target_kind:
            return result
    raise PerfmodelError(
        f"no result of {line.experiment}, {line.target_kind}",
        "run `python -m validation.accuracy` for it, or take the line out",
    )


def short_table(results: Sequence[AccuracyRow], lines: Sequence[TableLine] = LINES) -> str:
    """The README's table."""
    head = ("what", "cases", "median error", "within 10 %", "coverage", "best simple model")
    rows = []
    for line in lines:
        r = find(line, results)
        best = min(r.baselines.items(), key=lambda item: item[1], default=None)
        rows.append(
            (
                line.what + (EARLIER if r.experiment.endswith(EARLIER) else ""),
                f"{r.cases:,}",
                percent(r.median_error),
                percent(r.within_10),
                percent(r.coverage),
                "-" if best is None else f"{best[0]} {percent(best[1])}",
            )
        )
    return markdown(head, rows) + "\n"


def page(results: Sequence[AccuracyRow]) -> str:
    """docs/accuracy.md: every result, then the worst cases with what is known of the reasons."""
    rows = [[cell(result) for cell in COLUMNS.values()] for result in results]
    worst = [
        f"- {place}: {explained(place, case)}\n"
        for r in results
        for place in (f"{r.experiment}, {r.target_kind}",)
        for case in r.worst
    ]
    return (
        INTRODUCTION
        + markdown(list(COLUMNS), rows)
        + "\n"
        + "\n## Worst cases\n\nWhere a reason is known it stands behind the case.\n\n"
        + "".join(worst)
    )


def with_table(readme: str, table: str) -> str:
    """The README with the table between its marks."""
    head, rest = readme.split(START)
    return head + START + table + END + rest.split(END, 1)[1]


def committed() -> list[AccuracyRow]:
    """Every committed result, those of the host last."""
    data = json.loads(RESULTS.read_text(encoding="utf-8"))
    found = []
    for name, results in data["runs"].items():
        mark = "" if data["made"][name]["code"] else EARLIER
        made = [AccuracyRow.from_dict(result) for result in results]
        found += [replace(r, experiment=r.experiment + mark) for r in made]
    for name, mark in HOST_FILES.items():
        found += host_results(json.loads((HOST_FOLDER / name).read_text(encoding="utf-8")), mark)
    return found


def main() -> int:
    """Rewrite both tables."""
    results = committed()
    readme = README.read_text(encoding="utf-8")
    write_atomically(README, with_table(readme, short_table(results)))
    write_atomically(PAGE, page(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
