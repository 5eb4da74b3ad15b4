"""The kinds of cost model a profile may hold, by tag; each is imported when first met."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from perfmodel.cost_models.predictor import Predictor
from perfmodel.errors import ProfileError

_KINDS = {
    "efficiency": "perfmodel.cost_models.work_predictor:EfficiencyPredictor",
    "kernel": "perfmodel.cost_models.kernel_predictor:KernelPredictor",
    "npu": "perfmodel.cost_models.npu_predictor:NpuPredictor",
    "remembering": "perfmodel.cost_models.known_kernels:RememberingPredictor",
    "roofline": "perfmodel.cost_models.roofline:RooflinePredictor",
    "scaled": "perfmodel.cost_models.scaled_predictor:ScaledPredictor",
}
"""Tag in the file -> module:class. A fixed table: a file can never name code."""


class UnmadeModel(Protocol):
    """A cost model that is made when it is first asked."""

    def make(self) -> Predictor:
        """The predictor; raises `ProfileError`."""


def made_model(model: Predictor | UnmadeModel) -> Predictor:
    """The cost model itself, made where it is not yet; raises `ProfileError`."""
    # what is made has no `make`; to ask for a whole protocol would take longer than a prediction
    make: Callable[[], Predictor] | None = getattr(model, "make", None)
    return cast(Predictor, model) if make is None else make()


@dataclass(frozen=True)
class RawModel:
    """A cost model as it stands in a file: checked and made when it is first asked.

    A device may hold dozens of models of which a prediction needs one. A field that is
    `{"shared": NAME}` stands for `shared[NAME]`, which several targets have in common.
    """

    data: Mapping[str, Any]
    where: str
    shared: Mapping[str, Any]

    def make(self) -> Predictor:
        """The predictor; raises `ProfileError`."""
        return predictor_from_dict(
            {k: self._resolved(k, v) for k, v in self.data.items()}, self.where
        )

    def _resolved(self, name: str, value: Any) -> Any:
        if not isinstance(value, dict) or set(value) != {"shared"}:
            return value
        key = value["shared"]
        if not isinstance(key, str) or key not in self.shared:
            raise ProfileError(f"{self.where}.{name}: no shared part named {key!r:.60}")
        return self.shared[key]


def raw_model(data: Any, where: str, shared: Mapping[str, Any]) -> RawModel:
    """Check that plain data are a model of a known kind; raises `ProfileError`."""
    if not isinstance(data, dict):
        raise ProfileError(f"{where}: must be an object, got {type(data).__name__}")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ProfileError(f"{where}.kind: must be one of {', '.join(_KINDS)}, got {kind!r:.60}")
    return RawModel(data, where, shared)


def predictor_from_dict(data: Any, where: str) -> Predictor:
    """The predictor that plain data describes; raises `ProfileError`."""
    raw_model(data, where, {})
    module, name = _KINDS[data["kind"]].split(":")
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
