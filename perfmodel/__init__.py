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
    "calibrate": "perfmodel.calibration.from_table:calibrate",
    "calibrate_from_sheet": "perfmodel.calibration.from_table:calibrate_from_sheet",
    "compare": "perfmodel.explore.compare:compare",
    "gpu_profile": "perfmodel.devices.gpu_sheets:gpu_profile",
    "inspect": "perfmodel.inspection:inspect",
    "kernel_bounds": "perfmodel.calibration.learn_kernels:kernel_bounds",
    "learn_kernels": "perfmodel.calibration.learn_kernels:learn_kernels",
    "learn_networks": "perfmodel.calibration.learn_networks:learn_networks",
    "learn_npus": "perfmodel.calibration.learn_npus:learn_npus",
    "learn_population": "perfmodel.calibration.learn:learn_population",
    "learn_sheets": "perfmodel.calibration.learn_sheets:learn_sheets",
    "learn_speeds": "perfmodel.calibration.learn_speeds:learn_speeds",
    "load": "perfmodel.formats.load:load",
    "minspec": "perfmodel.explore.minspec:minspec",
    "models": "perfmodel.zoo.known_networks:models",
    "next_measurements": "perfmodel.calibration.suggest:next_measurements",
    "partition": "perfmodel.plans.plan:partition",
    "predict": "perfmodel.prediction:predict",
    "predict_kernels": "perfmodel.calibration.learn_kernels:predict_kernels",
    "predict_many": "perfmodel.many_queries:predict_many",
    "report": "perfmodel.render.report:report",
    "select": "perfmodel.explore.select:select",
    "sheet_profiles": "perfmodel.calibration.learn_sheets:sheet_profiles",
    "simulate": "perfmodel.sim:simulate",
    "targets": "perfmodel.devices.known_targets:targets",
    "validate": "perfmodel.experiments.validate:validate",
    "whatif": "perfmodel.explore.sweep:whatif",
}
"""Public name -> module:function, imported on first use so that `import perfmodel` is quick."""

__all__ = ["__version__", *_API]


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module 'perfmodel' has no attribute {name!r}")
    module, attribute = _API[name].split(":")
    return getattr(importlib.import_module(module), attribute)
