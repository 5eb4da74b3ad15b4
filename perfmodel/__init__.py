"""perfmodel: how fast will this network run on that hardware, and what should I do about it?

>>> import perfmodel
>>> graph = perfmodel.load("mobilenet_v2")
>>> perfmodel.predict(graph, "snapdragon-855-plus/cpu").latency_ms > 0
True
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_API = {
    "load": "perfmodel.graph.load:load",
    "predict": "perfmodel.profile.predict:predict",
    "predict_many": "perfmodel.profile.predict:predict_many",
    "simulate": "perfmodel.sim:simulate",
}
"""Public name -> module:function, imported on first use so that `import perfmodel` is quick."""

__all__ = ["__version__", "load", "predict", "predict_many", "simulate"]


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module 'perfmodel' has no attribute {name!r}")
    module, attribute = _API[name].split(":")
    return getattr(importlib.import_module(module), attribute)
