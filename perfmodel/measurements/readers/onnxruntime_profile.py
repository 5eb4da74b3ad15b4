"""ONNX Runtime's profile (`enable_profiling`): a chrome-trace array, durations in us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.measurements.evidence import Said, by_tool, in_log
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result, op_name
from perfmodel.measurements.readers.source_text import SourceText, json_lines, json_number
from perfmodel.measurements.table import bad_input

_UNITS = {
    "CPUExecutionProvider": "cpu",
    "XnnpackExecutionProvider": "cpu",
    "DnnlExecutionProvider": "cpu",
    "CUDAExecutionProvider": "gpu",
    "TensorrtExecutionProvider": "gpu",
    "ROCMExecutionProvider": "gpu",
    "DmlExecutionProvider": "gpu",
    "NnapiExecutionProvider": "nnapi",
    "QNNExecutionProvider": "npu",
    "CoreMLExecutionProvider": "npu",
}


def unit_of_provider(provider: str) -> str | None:
    """The unit of an execution provider, None for one that is not known or runs on several."""
    return _UNITS.get(provider)


_SHAPES = {"float": "fp32", "float16": "fp16", "uint8": "int8", "int8": "int8"}
_PROVIDERS = "log, the provider of the nodes"
_LOAD = ("model_loading_array", "model_loading_uri", "session_initialization")


def _is_profile(source: SourceText) -> bool:
    """Whether a JSON array is an ONNX Runtime profile."""
    first = source.entries[:20]
    return any(isinstance(e, dict) and e.get("cat") in ("Session", "Node") for e in first)


def read(source: SourceText) -> ReadResult:
    """Kernel rows (median over the runs, the first run apart) and a network row from model_run.

    The load time is the sum of the session's loading and initialisation events. A first row
    (load + first run) is added where the profile has both.
    """
    nodes: dict[str, list[tuple[float, dict[str, Any], int]]] = {}
    runs: list[tuple[float, int]] = []
    load_us = 0.0
    lines = json_lines(source.text, '"cat"')
    for i, event in enumerate(source.json):
        line = lines[i] if i < len(lines) else 1
        if not isinstance(event, dict):
            raise bad_input(source.path, line, f"entry {i} is no event")
        name, category = event.get("name"), event.get("cat")
        if not isinstance(name, str) or category not in ("Session", "Node"):
            continue
        if category == "Node" and name.endswith("_kernel_time"):
            duration = json_number(event.get("dur"), source.path, line, "dur")
            arguments = event.get("args")
            arguments = arguments if isinstance(arguments, dict) else {}
            nodes.setdefault(name, []).append((duration, arguments, line))
        elif category == "Session" and name in _LOAD:
            load_us += json_number(event.get("dur"), source.path, line, "dur")
        elif category == "Session" and name == "model_run":
            runs.append((json_number(event.get("dur"), source.path, line, "dur"), line))
    if not nodes and not runs:
        raise bad_input(source.path, 1, "a profile without nodes and runs", "run it at least once")
    kernels = [_kernel(name, events, source) for name, events in nodes.items()]
    kernels = [kernel for kernel in kernels if kernel["latency_us"] > 0]
    units = {kernel["unit"].value for kernel in kernels}
    common = {"unit": Said(units.pop(), _PROVIDERS)} if len(units) == 1 else {}
    return log_result([*_networks(runs, load_us, common, source), *kernels], source)


def _base(source: SourceText) -> dict[str, Any]:
    return {
        "framework": by_tool("onnxruntime"),
        "source": f"onnxruntime profile {source.name}",
    }


def _steady(durations: Sequence[float]) -> Sequence[float]:
    """All but the first run, where there are others: it allocates and is slower."""
    return durations[1:] if len(durations) > 1 else durations


def _networks(
    runs: Sequence[tuple[float, int]], load_us: float, common: dict[str, Any], source: SourceText
) -> list[dict[str, Any]]:
    import numpy as np

    if not runs:
        return []
    load_ms = load_us / 1e3 if load_us else float("nan")
    base = _base(source) | common | {"line": runs[0][1], "load_ms": load_ms}
    steady = np.array(_steady([duration for duration, _ in runs])) / 1e3
    rows = [
        base
        | {
            "kind": by_tool("steady"),
            "runs": float(len(steady)),
            "statistic": "median",
            "latency_ms": float(np.median(steady)),
            "min_ms": float(steady.min()),
            "mean_ms": float(steady.mean()),
            "max_ms": float(steady.max()),
        }
    ]
    if load_us:
        first_ms = load_ms + runs[0][0] / 1e3
        rows.append(
            base
            | {"kind": by_tool("first"), "runs": 1.0, "statistic": "mean", "latency_ms": first_ms}
        )
    return rows


def _kernel(
    name: str, events: Sequence[tuple[float, dict[str, Any], int]], source: SourceText
) -> dict[str, Any]:
    import numpy as np

    durations = _steady([duration for duration, _, _ in events])
    _, arguments, line = events[-1]
    provider = arguments.get("provider")
    provider = provider if isinstance(provider, str) else "CPUExecutionProvider"
    if provider not in _UNITS:
        raise bad_input(source.path, line, f"column provider: unknown {provider[:40]!r}")
    op = arguments.get("op_name")
    row = _base(source) | {
        "line": line,
        "unit": in_log(_UNITS[provider], line),
        "build": "" if provider == "CPUExecutionProvider" else provider,
        "kind": by_tool("steady"),
        "layer": name.removesuffix("_kernel_time"),
        "op": op_name(op) if isinstance(op, str) else "",
        "runs": float(len(durations)),
        "statistic": "median",
        "latency_us": float(np.median(durations)),
    }
    return row | _shape(row["op"], arguments, line)


def _first_shape(value: Any) -> tuple[str, list[int]] | None:
    """Type and sizes of the first entry of `input_type_shape` and its like."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0]:
        kind, sizes = next(iter(value[0].items()))
        if isinstance(sizes, list) and all(type(s) is int and 0 < s < 2**31 for s in sizes):
            return kind, sizes
    return None


def _shape(op: str, arguments: dict[str, Any], line: int) -> dict[str, Any]:
    """Sizes of image tensors (NCHW) and of fully connected layers, where they are stated."""
    inputs = _first_shape(arguments.get("input_type_shape"))
    outputs = _first_shape(arguments.get("output_type_shape"))
    found: dict[str, Any] = {}
    if inputs and inputs[0] in _SHAPES:
        found["precision"] = in_log(_SHAPES[inputs[0]], line)
    if not inputs or not outputs:
        return found
    if len(inputs[1]) == len(outputs[1]) == 4:
        _, cin, hin, win = inputs[1]
        batch, cout, hout, wout = outputs[1]
        weights = arguments.get("input_type_shape")
        if op == "conv2d" and isinstance(weights, list) and len(weights) > 1:
            found |= _kernel_sizes(weights[1:2], cin)
            # The profile does not state strides; with the sizes they are not in doubt.
            found |= {"sh": _stride(hin, hout), "sw": _stride(win, wout)}
    elif op == "fully_connected" and len(inputs[1]) == len(outputs[1]) == 2:
        batch, cin, cout = outputs[1][0], inputs[1][1], outputs[1][1]
        hin = win = hout = wout = 1
    else:
        return found
    found["batch"] = in_log(float(batch), line)
    sizes = {"cin": cin, "hin": hin, "win": win}
    sizes |= {"cout": cout, "hout": hout, "wout": wout}
    return found | {name: float(size) for name, size in sizes.items()}


def _stride(size_in: int, size_out: int) -> float:
    return float(max(1, round(size_in / size_out))) if size_out > 1 else 1.0


def _kernel_sizes(weights: Any, cin: int) -> dict[str, float]:
    shape = _first_shape(weights)
    if shape is None or len(shape[1]) != 4 or cin % shape[1][1]:
        return {}
    _, per_group, height, width = shape[1]
    return {"kh": float(height), "kw": float(width), "groups": float(cin // per_group)}


READER = Reader("ONNX Runtime profile", _is_profile, read)
