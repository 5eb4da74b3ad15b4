"""The kinds of cost model a profile may hold, by tag; each is imported when first met."""

from __future__ import annotations

import importlib
from typing import Any

from perfmodel.errors import ProfileError
from perfmodel.profile.predictor import Predictor

_KINDS = {
    "efficiency": "perfmodel.profile.joint_predictor:EfficiencyPredictor",
    "kernel": "perfmodel.profile.kernel_predictor:KernelPredictor",
    "roofline": "perfmodel.profile.roofline:RooflinePredictor",
}
"""Tag in the file -> module:class. A fixed table: a file can never name code."""


def predictor_from_dict(data: Any, where: str) -> Predictor:
    """The predictor that plain data describes; raises `ProfileError`."""
    if not isinstance(data, dict):
        raise ProfileError(f"{where}: must be an object, got {type(data).__name__}")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ProfileError(f"{where}.kind: must be one of {', '.join(_KINDS)}, got {kind!r:.60}")
    module, name = _KINDS[kind].split(":")
    predictor_class = getattr(importlib.import_module(module), name)
    fields = {key: value for key, value in data.items() if key != "kind"}
    try:
        predictor: Predictor = predictor_class.from_dict(fields)
    except ProfileError as error:
        raise ProfileError(f"{where}: {error.message}", error.hint) from None
    return predictor


def predictor_to_dict(predictor: Predictor) -> dict[str, Any]:
    """Plain data of a predictor, with its tag."""
    return {"kind": predictor.kind, **predictor.to_dict()}
