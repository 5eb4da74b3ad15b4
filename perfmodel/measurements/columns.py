"""The columns of the canonical measurement table: name, type, unit, allowed values, meaning.

This registry is the only place that knows them; reading, checking, writing and the documentation
use it. See docs/formats.md for the same list in words.
"""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel import target

UNITS = target.UNITS
PRECISIONS = (*target.PRECISIONS, "fp16_tc", "bf16")
RATE_KINDS = ("prefill", "decode")
KINDS = (*target.LATENCY_KINDS, *RATE_KINDS)
"""Kinds of latency, and the two kinds of rate: tokens read (prefill) and written (decode)."""
STATISTICS = ("median", "min", "mean", "p90")
AFFINITIES = target.CLUSTERS

MAX_LATENCY_MS = 24 * 3600 * 1e3
"""A day: nothing that this project predicts takes longer."""
MAX_DIMENSION = 2**40


@dataclass(frozen=True)
class Column:
    """One column. `dtype` text is a str ("" = not stated); number and integer are float64
    (NaN = not stated), integer ones at least 1. `allowed` empty: any value."""

    name: str
    dtype: str
    meaning: str
    unit: str = ""
    allowed: tuple[str, ...] = ()
    key: bool = False


def _text(name: str, meaning: str, allowed: tuple[str, ...] = (), key: bool = True) -> Column:
    return Column(name, "text", meaning, allowed=allowed, key=key)


def _integer(name: str, meaning: str, key: bool = True) -> Column:
    return Column(name, "integer", meaning, key=key)


def _number(name: str, meaning: str, unit: str) -> Column:
    return Column(name, "number", meaning, unit)


COMMON = (
    _text("device", "slug of the device: lower case, hyphens"),
    _text("soc", "chip, as the source writes it", key=False),
    _text("unit", "what executes", UNITS),
    _text("framework", "runtime: ncnn, tflite, mnn, acl, tensorrt, pytorch ..."),
    _text("build", "version or build of the runtime"),
    _text("precision", "arithmetic; float = the framework's own choice of float", PRECISIONS),
    _integer("threads", "CPU threads"),
    _text("affinity", "core cluster the threads run on", AFFINITIES),
    _text("source", "where the figure comes from"),
    _text("model", "zoo name with parameters, or a model file relative to the table"),
    _integer("batch", "inputs per run; every latency is that of the whole batch"),
    _text("kind", "kind of latency or rate", KINDS),
    _integer("runs", "timed runs behind the figure", key=False),
    _integer("run", "number of this repetition, where one target was measured several times"),
    _text("statistic", "what the latency is over its runs", STATISTICS),
    _text("variant", "whatever else tells two rows apart, as key=value;..."),
    _text("source_model", "name of the model in the source", key=True),
    _text("processor", "name the driver gives the processor", key=True),
    _text("note", "remark of the source", key=False),
)
NETWORK = (
    _number("latency_ms", "latency of the network", "ms"),
    _number("min_ms", "fastest run", "ms"),
    _number("mean_ms", "mean of the runs", "ms"),
    _number("max_ms", "slowest run", "ms"),
    _number("p90_ms", "90th percentile of the runs", "ms"),
    _number("load_ms", "loading and initialisation", "ms"),
    _number("peak_memory_bytes", "peak memory of the process", "bytes"),
    _number("energy_mj", "energy of one run", "mJ"),
)
RATE = (
    _number("tokens_per_s", "rate of a language model; no latency", "1/s"),
    _integer("tokens", "tokens read (prefill) or written (decode) in a run"),
)
KERNEL = (
    _text("layer", "name of the layer in the source"),
    _text("op", "operator: conv2d, depthwise_conv2d, fully_connected, gemm, add ..."),
    *(
        _integer(name, meaning)
        for name, meaning in (
            ("cin", "input channels"),
            ("hin", "input height"),
            ("win", "input width"),
            ("cout", "output channels"),
            ("hout", "output height"),
            ("wout", "output width"),
            ("kh", "kernel height"),
            ("kw", "kernel width"),
            ("sh", "vertical stride"),
            ("sw", "horizontal stride"),
            ("groups", "groups of a convolution"),
            ("m", "rows of the product; time steps of lstm and gru"),
            ("n", "columns of the product"),
            ("k", "inner size of the product; hidden units of lstm and gru"),
            ("elements", "elements of an element-wise operator"),
        )
    ),
    _number("latency_us", "latency of the kernel", "us"),
)

COLUMNS = (*COMMON, *NETWORK, *RATE, *KERNEL)
COLUMN = {column.name: column for column in COLUMNS}
NAMES = tuple(COLUMN)
TEXT = tuple(c.name for c in COLUMNS if c.dtype == "text")
NUMERIC = tuple(c.name for c in COLUMNS if c.dtype != "text")
INTEGERS = tuple(c.name for c in COLUMNS if c.dtype == "integer")
KEY = tuple(c.name for c in COLUMNS if c.key)
SHAPE = tuple(c.name for c in KERNEL if c.dtype == "integer")

ORIGIN = ("origin_file", "origin_line", "origin_evidence")
"""Where a row was read and what its facets rest on (`evidence.Evidence`; empty for the rows of a
table, whose columns are the evidence), kept beside the columns for messages and never written."""

REQUIRED_IN_FILE = {
    "network": ("unit", "framework", "precision", "model", "latency_ms"),
    "kernel": ("unit", "framework", "precision", "op", "latency_us"),
    "rate": ("unit", "framework", "precision", "model", "kind", "tokens_per_s"),
}
"""Columns a canonical file must have for its rows; `device` too, unless the caller names it."""

DEFAULTS: dict[str, str | float] = {"kind": "steady", "statistic": "median", "batch": 1.0}
"""Values of columns that a canonical file may leave out altogether."""
