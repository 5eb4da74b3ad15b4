"""`perfmodel validate`: predict first, run the true workload, compare.

Experiments are looked up by name in `EXPERIMENTS`; each entry names the module and function that
runs it, so that nothing heavy is imported for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from perfmodel.cli.calibrate_host import duration_s, write_json
from perfmodel.cli.output import print_json
from perfmodel.errors import PerfmodelError, RunnerError
from perfmodel.render.text import percent, table


@dataclass(frozen=True)
class Request:
    """What the user asked of an experiment; `output` ends in .html or .json, or is None."""

    profile: Path | None
    output: Path | None
    budget_s: float
    journal: Path | None
    models: tuple[str, ...]
    files: Path | None
    as_json: bool


EXPERIMENTS: Mapping[str, str] = {
    "host": "perfmodel.cli.validate:run_host",
    "kinds": "perfmodel.cli.validate:run_kinds",
    "partition": "perfmodel.cli.validate_partition:run_partition",
    "cuda": "perfmodel.cli.validate_devices:run_cuda",
    "adb": "perfmodel.cli.validate_devices:run_adb",
    "ssh": "perfmodel.cli.validate_devices:run_ssh",
}
"""Experiment -> "module:function" taking a `Request` and returning the exit code."""

RUNNERS: Mapping[str, str] = {"tflite": "host", "host": "host"}
"""`--runner` -> the experiment that it means where none is named."""


def validate_command(
    experiment: str,
    *,
    runner: str,
    profile: Path | None,
    output: Path | None,
    budget: str,
    journal: Path | None = None,
    models: tuple[str, ...] = (),
    files: Path | None = None,
    as_json: bool = False,
) -> int:
    """Run one experiment; returns the exit code."""
    name = experiment or RUNNERS.get(runner, runner) or "host"
    if name not in EXPERIMENTS:
        raise PerfmodelError(
            f"no experiment {name!r}", f"experiments: {', '.join(sorted(EXPERIMENTS))}"
        )
    module, _, function = EXPERIMENTS[name].partition(":")
    run: Callable[[Request], int] = getattr(import_module(module), function)
    return run(Request(profile, output, duration_s(budget), journal, models, files, as_json))


def _own_profile(request: Request) -> Path:
    path = request.profile or Path("host.json")
    if not path.is_file():
        raise RunnerError(
            f"{path}: no profile of this machine",
            "make one first: perfmodel calibrate --from host --budget 3min -o host.json",
        )
    return path


def real_files(folder: Path | None) -> list[Path]:
    """The .tflite files of a folder; none if no folder is given."""
    if folder is None:
        return []
    found = sorted(folder.glob("*.tflite"))
    if not found:
        raise PerfmodelError(f"{folder}: holds no .tflite file")
    return found


def run_host(request: Request) -> int:
    """`validate host`: the zoo and real files on this machine's CPU."""
    from perfmodel.experiments.host import validate_host, validation_to_dict
    from perfmodel.files import write_atomically
    from perfmodel.render.validate_page import host_page

    path = _own_profile(request)
    stem = request.output or Path("validate_host.html")
    done = validate_host(
        path,
        request.journal or stem.with_suffix(".journal.jsonl"),
        budget_s=request.budget_s,
        models=request.models or None,
        files=real_files(request.files),
        predictions=stem.with_suffix(".predictions.json"),
    )
    data = validation_to_dict(done)
    if request.output is not None:
        if request.output.suffix == ".json":
            write_json(data, request.output)
        else:
            write_atomically(request.output, host_page(done))
    if request.as_json:
        print_json(data)
    else:
        print(host_text(data))
    return 0


def host_text(data: Mapping[str, Any]) -> str:
    """A host validation for people."""
    rows = [
        (
            name,
            s["cases"],
            percent(s["mape"], 1),
            *(percent(s[k]) for k in ("within_5", "within_10", "within_20")),
            "-" if name.startswith("first") else percent(s["coverage"]),
        )
        for name, s in data["groups"].items()
    ]
    headers = ("target", "networks", "mean error", "in 5 %", "in 10 %", "in 20 %", "covered")
    lines = [table(headers, rows), "", "worst:"]
    for row in data["worst"][:5]:
        why = ", ".join(
            f"{k['kernel']} ({k['class']}) {k['predicted_us']:.0f} for {k['measured_us']:.0f} us"
            for k in row["kernels"][:2]
        )
        lines.append(f"  {row['model']} on {row['target']}: {row['error']:+.1%}  {why}")
    changes = ", ".join(f"{setup} {factor - 1:+.1%}" for setup, factor in data["drift"].items())
    lines.append(f"the machine since its calibration, by yardsticks (taken out): {changes}")
    if data["repeat_median"] is not None:
        lines.append(f"{data['repeats']} run twice: ratios differ by {data['repeat_median']:.1%}")
    if data["left_out"]:
        lines.append(f"left out: {len(data['left_out'])} (see --json)")
    if data["warning"]:
        lines.append(f"warning: {data['warning']}")
    return "\n".join(lines)


def run_kinds(request: Request) -> int:
    """`validate kinds`: first, steady, sustained and in_app latency of a few networks."""
    from perfmodel.experiments.latency_kinds import measure_kinds

    done = measure_kinds(
        _own_profile(request), request.budget_s, request.models or ("mobilenet_v2",)
    )
    if request.output is not None:
        write_json(done, request.output)
    if request.as_json:
        print_json(done)
    else:
        print(kinds_text(done))
    return 0


def kinds_text(done: Mapping[str, Any]) -> str:
    """The kinds for people."""
    rows = [
        (
            f"{r['model']} on {r['target']}",
            *(
                "-" if r[k] is None else f"{r[k]:.2f}"
                for k in (
                    "predicted_first_ms",
                    "first_ms",
                    "predicted_steady_ms",
                    "steady_ms",
                    "sustained_ms",
                    "in_app_ms",
                )
            ),
        )
        for r in done["rows"]
    ]
    headers = ("network, ms", "first (pred.)", "first", "steady (pred.)", "steady")
    cold = all(r["first_cold"] for r in done["rows"])
    lines = [
        table((*headers, f"after {done['sustained_s']:.0f} s", "in app"), rows),
        f"first: {'cold page cache' if cold else 'page cache could not be dropped: warm'}",
        f"in app: beside {done['competing_load']}",
    ]
    return "\n".join(lines)
