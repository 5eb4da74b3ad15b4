"""perfmodel: how fast will this network run on that hardware, and what should I do about it?

>>> import perfmodel
>>> graph = perfmodel.load("mobilenet_v2")
>>> perfmodel.predict(graph, "snapdragon-855-plus/cpu").latency_ms > 0
True
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_API = {
    "calibrate": "perfmodel.profile.calibrate:calibrate",
    "compare": "perfmodel.whatif.compare:compare",
    "load": "perfmodel.graph.load:load",
    "minspec": "perfmodel.whatif.minspec:minspec",
    "partition": "perfmodel.partition.plan:partition",
    "predict": "perfmodel.profile.predict:predict",
    "predict_many": "perfmodel.profile.predict:predict_many",
    "report": "perfmodel.report.report:report",
    "select": "perfmodel.whatif.select:select",
    "simulate": "perfmodel.sim:simulate",
    "whatif": "perfmodel.whatif.sweep:whatif",
}
"""Public name -> module:function, imported on first use so that `import perfmodel` is quick."""

__all__ = ["__version__", *_API]


class _CallablePackage(ModuleType):
    """A package that is called like the function it is named after.

    `perfmodel.whatif(...)` then means the same before and after `import perfmodel.whatif.sweep`,
    which makes the name stand for the package.
    """

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return __getattr__(self.__name__.rpartition(".")[2])(*arguments, **options)


def make_callable(package: str) -> None:
    """Let the package of this name be called as the function of the same name."""
    sys.modules[package].__class__ = _CallablePackage


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module 'perfmodel' has no attribute {name!r}")
    module, attribute = _API[name].split(":")
    return getattr(importlib.import_module(module), attribute)
