"""Write the accuracy table of the README from the committed results.

`python -m validation.accuracy.readme` after `python -m validation.accuracy --data DATA --json
validation/results/accuracy.json`. The last rows are those of `perfmodel validate host`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from perfmodel.files import write_atomically

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "validation" / "results" / "accuracy.json"
HOST_RESULTS = ROOT / "validation" / "results" / "host" / "validation.json"
README = ROOT / "README.md"
START, END = "<!-- accuracy -->\n", "<!-- /accuracy -->"
HEADERS = (
    "experiment",
    "target",
    "cases",
    "median error",
    "mean",
    "within 10 %",
    "within 20 %",
    "coverage",
    "baselines (median)",
)


def markdown_table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    lines = [HEADERS, ("---",) * len(HEADERS), *map(_row, results)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    baselines = ", ".join(f"{k} {_percent(v)}" for k, v in result["baselines"].items())
    figures = ("median_error", "mean_error", "within_10", "within_20", "coverage")
    return (
        result["experiment"],
        result["target_kind"],
        str(result["cases"]),
        *(_percent(result[f]) for f in figures),
        baselines or "-",
    )


def host_results(validation: dict[str, Any]) -> list[dict[str, Any]]:
    """The groups of a host validation in the form of the other experiments' results."""
    cpu = validation["machine"]["facts"]["cpu"]
    return [
        {
            "experiment": f"validate host on {cpu}, predicted first",
            "target_kind": name.replace("host/cpu/tflite/", ""),
            "cases": group["cases"],
            "median_error": group["median"],
            "mean_error": group["mape"],
            "within_10": group["within_10"],
            "within_20": group["within_20"],
            # first runs are predicted without an interval
            "coverage": None if name.startswith("first") else group["coverage"],
            "baselines": {},
        }
        for name, group in validation["groups"].items()
        if not name.startswith("files: host")
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def readme_with_table(readme: str, results: list[dict[str, Any]]) -> str:
    """The README with the table between its marks."""
    head, rest = readme.split(START)
    return head + START + markdown_table(results) + END + rest.split(END, 1)[1]


def main() -> int:
    """Rewrite the README's table."""
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"]
    results = [result for found in runs.values() for result in found]
    results += host_results(json.loads(HOST_RESULTS.read_text(encoding="utf-8")))
    write_atomically(README, readme_with_table(README.read_text(encoding="utf-8"), results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
