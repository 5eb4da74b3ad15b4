"""perf.yaml of Qualcomm AI Hub Models: the time of a model on many devices and runtimes.

Formats: qai_hub_models/models/*/perf.yaml and perf_*.yaml; since mid 2025 `precisions` with
`inference_time_milliseconds`, before that `models` with `inference_time` in us. The time is the
estimate of AI Hub, its fastest run, so the statistic is `min`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from perfmodel.measurements.device_names import device_slug
from perfmodel.measurements.evidence import Said, by_tool, in_log
from perfmodel.measurements.readers.figures import check_agrees
from perfmodel.measurements.readers.llm_rates import rate_row
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result
from perfmodel.measurements.readers.source_text import SourceText, json_number
from perfmodel.measurements.readers.yaml_text import MAX_YAML, load_yaml
from perfmodel.measurements.table import BadRow, bad_input
from perfmodel.zoo.published_names import model_name

_SIGNATURE = re.compile(r"^ {0,12}(?:- )?performance_metrics: ?\r?$", re.M)
_RUNTIMES = (
    # Start of a runtime's key -> framework, build.
    ("torchscript_onnx_tflite", "tflite", ""),
    ("torchscript_onnx_qnn", "qnn", ""),
    ("torchscript_qnn", "qnn", ""),
    ("torchscript_onnx", "onnxruntime", "qnn"),
    ("tflite", "tflite", ""),
    ("qnn", "qnn", ""),
    ("precompiled_qnn_onnx", "onnxruntime", "qnn"),
    ("onnx", "onnxruntime", "qnn"),
)
_UNITS = {"NPU": "npu", "GPU": "gpu", "CPU": "cpu"}
_PRECISIONS = {"float": "float", "fp16": "fp16", "fp32": "fp32", "int8": "int8", "w8a8": "int8",
               "w8a16": "w8a16"}  # fmt: skip


def runtime_named(name: str) -> tuple[str, str] | None:
    """Framework and build of a runtime as AI Hub names it; None for one that is not known."""
    return next((known[1:] for known in _RUNTIMES if name.startswith(known[0])), None)


def _is_perf(source: SourceText) -> bool:
    text = source.text
    return (
        len(text) <= MAX_YAML
        and not source.looks_like_json
        and _SIGNATURE.search(text) is not None
        and ("inference_time" in text or "llm_metrics:" in text)
    )


def read(source: SourceText) -> ReadResult:
    """A network row for each model, precision, device and runtime whose job passed."""
    content = load_yaml(source)
    rows: list[dict[str, Any]] = []
    left_out: list[BadRow] = []
    lines = _lines(source)
    for entry in _entries(content, source):
        line = lines.get(str(entry["details"].get("job_id", "")), 1)
        if "llm_metrics" in entry["details"]:
            rows += _rates(entry, source)
            continue
        found = _row(entry, source, line)
        (left_out if isinstance(found, BadRow) else rows).append(found)  # type: ignore[arg-type]
    if not rows and not left_out:
        raise bad_input(source.path, 1, "no time of any device", "was the file cut off?")
    return log_result(rows, source, left_out=left_out)


def _lines(source: SourceText) -> dict[str, int]:
    """The line of each job."""
    found: dict[str, int] = {}
    for number, line in enumerate(source.text.splitlines(), 1):
        name, _, value = line.strip().partition(": ")
        if name == "job_id":
            found.setdefault(value.strip(), number)
    return found


def _mapping(value: Any, what: str, source: SourceText) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise bad_input(source.path, 1, f"column {what}: not a mapping of names")
    return value


def _entries(content: Mapping[str, Any], source: SourceText) -> Iterator[dict[str, Any]]:
    """Every time of the file: precision, model, device, runtime and its details."""
    if "precisions" in content:
        for precision, body in _mapping(content["precisions"], "precisions", source).items():
            components = _mapping(body, "precisions", source).get("components")
            for model, component in _mapping(components, "components", source).items():
                devices = _mapping(component, "components", source).get("performance_metrics")
                for device, runtimes in _mapping(devices, "performance_metrics", source).items():
                    yield from _of_device(precision, model, device, "", runtimes, source)
        return
    models = content.get("models")
    for model in models if isinstance(models, list) else []:
        metrics = _mapping(model, "models", source).get("performance_metrics")
        for entry in metrics if isinstance(metrics, list) else []:
            about = _mapping(entry, "performance_metrics", source).get("reference_device_info")
            about = about if isinstance(about, Mapping) else {}
            device, chip = str(about.get("name", "")), str(about.get("chipset", ""))
            runtimes = {n: v for n, v in entry.items() if isinstance(v, Mapping) and "job_id" in v}
            name = str(model.get("name", ""))
            yield from _of_device("", name, device, chip, runtimes, source)


def _of_device(
    precision: Any, model: Any, device: Any, chip: str, runtimes: Any, source: SourceText
) -> Iterator[dict[str, Any]]:
    for runtime, details in _mapping(runtimes, "performance_metrics", source).items():
        yield {
            "precision": str(precision)[:40],
            "model": str(model)[:200],
            "device": str(device)[:200],
            "chip": chip[:200],
            "runtime": str(runtime)[:80],
            "details": _mapping(details, str(runtime)[:80], source),
        }


def _row(entry: Mapping[str, Any], source: SourceText, line: int) -> dict[str, Any] | BadRow:
    details = entry["details"]
    what = f"{entry['model']} on {entry['device']}, {entry['runtime']}"[:100]
    if details.get("job_status") not in (None, "Passed"):
        return BadRow(source.path, line, f"left out: {what}: the job did not pass")
    latency_ms = _latency_ms(details, source, line)
    if latency_ms is None:
        return BadRow(source.path, line, f"left out: {what}: no time is stated")
    known = runtime_named(entry["runtime"])
    if known is None:
        return BadRow(source.path, line, f"left out: {what}: unknown runtime")
    unit = _UNITS.get(str(details.get("primary_compute_unit", "")).upper())
    return {
        "line": line,
        "device": device_slug(entry["device"], entry["chip"]),
        "soc": entry["chip"],
        "unit": in_log(unit, line) if unit else None,
        "framework": in_log(known[0], line),
        "build": known[1],
        "precision": _precision(entry, details, line),
        "source": f"AI Hub {source.name}",
        "model": model_name(entry["model"]),
        "source_model": entry["model"],
        "batch": by_tool(1.0),
        "kind": by_tool("steady"),
        "statistic": "min",
        "latency_ms": latency_ms,
    }


def _rates(entry: Mapping[str, Any], source: SourceText) -> Iterator[dict[str, Any]]:
    """The rate of writing at each length of context of a language model."""
    metrics = entry["details"]["llm_metrics"]
    for metric in metrics if isinstance(metrics, list) else []:
        details = _mapping(metric, "llm_metrics", source)
        context, per_s = (
            json_number(details.get(name), source.path, 1, name)
            for name in ("context_length", "tokens_per_second")
        )
        common = {
            "device": device_slug(entry["device"], entry["chip"]),
            "framework": in_log(entry["runtime"], 1),
            "source": f"AI Hub {source.name}",
            "model": entry["model"],
            "source_model": entry["model"],
            "variant": f"context={context:g};weights={entry['precision']}",
        }
        yield rate_row(
            source, 1, kind="decode", tokens=float("nan"), tokens_per_s=per_s, common=common
        )


def _latency_ms(details: Mapping[str, Any], source: SourceText, line: int) -> float | None:
    for name, scale in (("inference_time_milliseconds", 1.0), ("inference_time", 1e-3)):
        value = details.get(name)
        if value is None or value == "null":
            continue
        latency_ms = json_number(value, source.path, line, name) * scale
        throughput = details.get("throughput")
        if throughput is not None and latency_ms > 0:
            per_s = json_number(throughput, source.path, line, "throughput")
            check_agrees(
                per_s,
                1e3 / latency_ms,
                share=0.02,
                path=source.path,
                line=line,
                column="throughput",
                of=name,
            )
        return latency_ms
    return None


def _precision(entry: Mapping[str, Any], details: Mapping[str, Any], line: int) -> Said | None:
    stated = str(details.get("precision", entry["precision"]))
    known = _PRECISIONS.get(stated)
    return in_log(known, line) if known else None


READER = Reader("AI Hub perf.yaml", _is_perf, read)
