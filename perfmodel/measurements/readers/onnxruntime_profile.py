"""ONNX Runtime's profile (`enable_profiling`): a chrome-trace array, durations in us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perfmodel.measurements.evidence import LOG, Said, by_tool, in_log
from perfmodel.measurements.readers.results import Reader, ReadResult, log_result, op_name
from perfmodel.measurements.readers.source_text import SourceText, json_lines, json_number
from perfmodel.measurements.table import BadRow, bad_input

_UNITS = {
    "CPUExecutionProvider": "cpu",
    "XnnpackExecutionProvider": "cpu",
    "DnnlExecutionProvider": "cpu",
    "ACLExecutionProvider": "cpu",
    "ArmNNExecutionProvider": "cpu",
    "CUDAExecutionProvider": "gpu",
    "TensorrtExecutionProvider": "gpu",
    "NvTensorRTRTXExecutionProvider": "gpu",
    "ROCMExecutionProvider": "gpu",
    "MIGraphXExecutionProvider": "gpu",
    "DmlExecutionProvider": "gpu",
    "JsExecutionProvider": "gpu",
    "WebGpuExecutionProvider": "gpu",
    "NnapiExecutionProvider": "nnapi",
    "RknpuExecutionProvider": "npu",
    "VitisAIExecutionProvider": "npu",
}
"""Providers that run on one kind of unit; OpenVINO, QNN and Core ML run on several and are asked
about, like any that is not known."""


def unit_of_provider(provider: str) -> str | None:
    """The unit of an execution provider, None for one that is not known or runs on several."""
    return _UNITS.get(provider)


_FUSED = {"DmlFusedNode": "DmlExecutionProvider", "TRTKernel": "TensorrtExecutionProvider"}
"""Nodes that a provider makes of others, by which it is known where no provider is named."""
_SHAPES = {"float": "fp32", "float16": "fp16", "bfloat16": "bf16", "uint8": "int8", "int8": "int8"}
_WEIGHTED = ("conv2d", "fully_connected", "matmul")
_LOAD = ("model_loading_array", "model_loading_uri", "session_initialization")
_UNNAMED = "_kernel_time"
_MIXED = "log, the provider of the nodes with most time"

Event = tuple[float, Mapping[str, Any], int]
"""Duration in us, arguments and line of one run of a node."""
Key = tuple[str, str, int]
"""A node: its name, its operator or index, and its place among those of the same name in a run."""


@dataclass
class _Events:
    """The events of a profile: runs of each node, runs of the network and what loading took."""

    nodes: dict[Key, list[Event]] = field(default_factory=dict)
    runs: list[tuple[float, int]] = field(default_factory=list)
    load_us: float = 0.0
    seen: dict[str, int] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any], source: SourceText, line: int) -> None:
        """Sort one event in."""
        name, category = event.get("name"), event.get("cat")
        if not isinstance(name, str) or category not in ("Session", "Node"):
            return
        if category == "Node" and name.endswith("_kernel_time"):
            duration = json_number(event.get("dur"), source.path, line, "dur")
            arguments = event.get("args")
            arguments = arguments if isinstance(arguments, dict) else {}
            self.nodes.setdefault(self._key(name, arguments), []).append(
                (duration, arguments, line)
            )
        elif category == "Session" and name in _LOAD:
            self.load_us += json_number(event.get("dur"), source.path, line, "dur")
        elif category == "Session" and name == "model_run":
            self.runs.append((json_number(event.get("dur"), source.path, line, "dur"), line))
            self.seen = {}

    def _key(self, name: str, arguments: Mapping[str, Any]) -> Key:
        """Nodes without a name are told apart by their index, else by their place in the run."""
        mark = str(arguments.get("node_index", arguments.get("op_name", "")))[:80]
        if name != _UNNAMED:
            return name, "", 0
        count = self.seen.get(mark, 0)
        self.seen[mark] = count + 1
        return name, mark, count


def _is_profile(source: SourceText) -> bool:
    """Whether a JSON array is an ONNX Runtime profile."""
    first = source.entries[:20]
    return any(isinstance(e, dict) and e.get("cat") in ("Session", "Node") for e in first)


def read(source: SourceText) -> ReadResult:
    """Kernel rows (median over the runs, the first run apart) and a network row from model_run.

    The load time is the sum of the session's loading and initialisation events. A first row
    (load + first run) is added where the profile has both. Unit and precision of the network are
    those with most time; where its nodes run on several units, the row says so.
    """
    events = _Events()
    lines = json_lines(source.text, '"cat"')
    for i, event in enumerate(source.json):
        line = lines[i] if i < len(lines) else 1
        if not isinstance(event, dict):
            raise bad_input(source.path, line, f"entry {i} is no event")
        events.take(event, source, line)
    if not events.nodes and not events.runs:
        raise bad_input(source.path, 1, "a profile without nodes and runs", "run it at least once")
    nodes = [_kernel(key, runs, source) for key, runs in events.nodes.items()]
    threads = _threads(events)
    for node in nodes:
        on_cpu = isinstance(node["unit"], Said) and node["unit"].value == "cpu"
        node["threads"] = threads if on_cpu else None
    left_out = tuple(
        BadRow(source.path, node["line"], f"left out: {node['layer'][:60]!r} takes 0 us")
        for node in nodes
        if node["latency_us"] <= 0
    )
    kernels = [node for node in nodes if node["latency_us"] > 0]
    networks = _networks(events, _of_network(kernels, events), source)
    return log_result([*networks, *kernels], source, left_out=left_out)


def _of_network(kernels: Sequence[Mapping[str, Any]], events: _Events) -> dict[str, Any]:
    """What the nodes tell of the whole network."""
    providers = {str(kernel["build"] or "CPUExecutionProvider") for kernel in kernels}
    found: dict[str, Any] = {"threads": _threads(events)}
    units = _time_by(kernels, "unit")
    if units and max(units, key=lambda unit: units[unit]):
        found["unit"] = Said(max(units, key=lambda unit: units[unit]), _MIXED)
    else:
        named = ", ".join(sorted(providers)[:4])
        found["note"] = f"nodes of {named} do not tell on what they run"[:200]
    if len(units) > 1:
        found["variant"] = "mixed_units"
    if len(providers) > 1 or "CPUExecutionProvider" not in providers:
        found["build"] = ", ".join(sorted(providers))[:200]
    weighted = [kernel for kernel in kernels if kernel["op"] in _WEIGHTED]
    precisions = _time_by(weighted or kernels, "precision")
    precision = max(precisions, key=lambda p: precisions[p], default="")
    if precision:
        found["precision"] = Said(precision, f"{LOG}, the type of most of the work")
    images = [kernel for kernel in kernels if kernel.get("cin")]
    batches = _time_by([k for k in images if k["op"] in _WEIGHTED] or images, "batch")
    if batches:
        found["batch"] = Said(max(batches, key=lambda b: batches[b]), f"{LOG}, the input shapes")
    return found


def _time_by(kernels: Sequence[Mapping[str, Any]], facet: str) -> dict[Any, float]:
    """Total time of the kernels by a facet; "" where a kernel does not state it."""
    total: dict[Any, float] = {}
    for kernel in kernels:
        said = kernel.get(facet)
        value = said.value if isinstance(said, Said) else ""
        total[value] = total.get(value, 0.0) + kernel["latency_us"]
    return total


def _threads(events: _Events) -> Said | None:
    """The threads of the intra-operator pool: the main one and those that it hands work to."""
    for runs in events.nodes.values():
        _, arguments, line = runs[-1]
        stats = arguments.get("thread_scheduling_stats")
        others = stats.get("sub_threads") if isinstance(stats, dict) else None
        if isinstance(others, dict):
            return in_log(1.0 + len(others), line)
    return None


def _base(source: SourceText) -> dict[str, Any]:
    return {
        "framework": by_tool("onnxruntime"),
        "source": f"onnxruntime profile {source.name}",
    }


def _steady(durations: Sequence[float]) -> Sequence[float]:
    """All but the first run, where there are others: it allocates and is slower."""
    return durations[1:] if len(durations) > 1 else durations


def _networks(events: _Events, common: dict[str, Any], source: SourceText) -> list[dict[str, Any]]:
    import numpy as np

    runs, load_us = events.runs, events.load_us
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


def _kernel(key: Key, events: Sequence[Event], source: SourceText) -> dict[str, Any]:
    import numpy as np

    durations = _steady([duration for duration, _, _ in events])
    _, arguments, line = events[-1]
    name = key[0].removesuffix("_kernel_time")
    provider = _provider(name, arguments)
    layer = " ".join(part for part in (name, "" if name else key[1]) if part) or "unnamed"
    op = arguments.get("op_name")
    row = _base(source) | {
        "line": line,
        "unit": in_log(_UNITS[provider], line) if provider in _UNITS else None,
        "build": "" if provider == "CPUExecutionProvider" else provider,
        "kind": by_tool("steady"),
        "layer": layer if not key[2] else f"{layer} ({key[2] + 1})",
        "op": op_name(op) if isinstance(op, str) else "",
        "runs": float(len(durations)),
        "statistic": "median",
        "latency_us": float(np.median(durations)),
    }
    return row | _shape(row["op"], arguments, line)


def _provider(name: str, arguments: Mapping[str, Any]) -> str:
    """The provider that a node states, or whose fused node it is; "unknown" without either."""
    stated = arguments.get("provider")
    if isinstance(stated, str):
        return stated[:80]
    return next((provider for mark, provider in _FUSED.items() if mark in name), "unknown")


def _first_shape(value: Any) -> tuple[str, list[int]] | None:
    """Type and sizes of the first entry of `input_type_shape` and its like."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0]:
        kind, sizes = next(iter(value[0].items()))
        if isinstance(sizes, list) and all(type(s) is int and 0 < s < 2**31 for s in sizes):
            return kind, sizes
    return None


def _shape(op: str, arguments: Mapping[str, Any], line: int) -> dict[str, Any]:
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
