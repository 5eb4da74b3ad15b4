"""Prediction: a graph and a target in, milliseconds with an interval and where they go out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perfmodel.cost_models.interval import FitError
from perfmodel.cost_models.predictor import PARTS
from perfmodel.devices.profile import Provenance
from perfmodel.devices.registry import ProfileFolder, Resolved
from perfmodel.errors import PerfmodelError, UncoveredOpError
from perfmodel.graph.ir import Graph
from perfmodel.kernels import (
    covered_part,
    fuse,
    macs,
    params,
    peak_activation_bytes,
    uncovered_ops,
    weights_bytes,
)
from perfmodel.kernels.fusion import FUSION
from perfmodel.kernels.fusion import fusion_rules as rules_of
from perfmodel.kernels.kernel import Kernel, KernelTable

if TYPE_CHECKING:
    from perfmodel.prediction_batch import NetworkBatch

BYTES_OF_PRECISION = {"fp32": 4, "tf32": 4, "float": 4, "fp16": 2, "int8": 1, "uint8": 1}
"""Bytes of a weight or activation as stored; `float` counts its upper bound."""

NOVELTY_LIMIT = 0.05
"""Share of time in kernels outside the fitted range, weighted by how far, from which we say so."""

CHUNK = 16_384
"""Queries that `predict_many` answers together."""


@dataclass(frozen=True)
class KernelPrediction:
    """One kernel of a prediction; `bound` names the largest part of its time."""

    name: str
    ops: tuple[str, ...]
    kernel_class: str
    macs: int
    bytes: int
    latency_ms: float
    bound: str


@dataclass(frozen=True)
class Prediction:
    """How long one inference of the whole batch takes on a target.

    `interval_ms` covers the true latency with probability `interval_coverage`; `extrapolated` is
    true where the network holds kernels outside what the target's model was fitted on (their names
    in `novel_kernels`). `error` and `provenance` tell how good the target's model is and why.
    """

    model: str
    target: str
    kind: str
    batch_size: int
    latency_ms: float
    interval_ms: tuple[float, float]
    interval_coverage: float
    extrapolated: bool
    novelty: float
    novel_kernels: tuple[str, ...]
    macs: int
    params: int
    weights_bytes: int
    peak_activation_bytes: int
    uncovered_ops: tuple[str, ...]
    overhead_ms: float
    kernels: tuple[KernelPrediction, ...]
    error: FitError
    provenance: Provenance


@dataclass(frozen=True)
class Workload:
    """A graph as one framework runs it: what predictions on any of its targets share."""

    graph: Graph
    framework: str
    kernels: tuple[Kernel, ...]
    table: KernelTable
    macs: int
    params: int
    weight_elements: int
    peak_activation_bytes: int
    uncovered_ops: tuple[str, ...]


def workload(graph: Graph, framework: str, *, allow_uncovered: bool = False) -> Workload:
    """Cost and kernels of a graph under a framework's fusion rules.

    Raises `UncoveredOpError` where an operator's cost is not modelled, unless `allow_uncovered`:
    then those operators are named in the result and their time is not in it.
    """
    uncovered = tuple(f"{op.name} ({_op_label(op)})" for op in uncovered_ops(graph))
    if uncovered and not allow_uncovered:
        shown = ", ".join(uncovered[:5]) + (" ..." if len(uncovered) > 5 else "")
        raise UncoveredOpError(
            f"{graph.name}: {len(uncovered)} operators are not covered by the cost model: {shown}",
            "add --allow-uncovered to predict the rest without them",
        )
    kernels = fuse(graph, framework)
    return Workload(
        graph,
        framework,
        kernels,
        KernelTable.from_kernels(kernels),
        macs(covered_part(graph)),
        params(graph),
        weights_bytes(graph),
        peak_activation_bytes(graph),
        uncovered,
    )


def _op_label(op: object) -> str:
    attrs = getattr(op, "attrs", {})
    return str(attrs.get("custom_name", getattr(op, "kind", "?")))


def predict_workload(work: Workload, resolved: Resolved, *, per_layer: bool = True) -> Prediction:
    """Predict a prepared workload on a target."""
    fitted, table = resolved.target, work.table
    parts = fitted.predictor.parts_ms(table) * _storage_factor(table, resolved)[:, None]
    times = parts.sum(axis=1)
    latency = float(times.sum()) + fitted.predictor.overhead_ms
    novel = fitted.predictor.novelty(table)
    novelty = float((novel * times).sum() / max(latency, 1e-12))
    return Prediction(
        work.graph.name,
        str(fitted.target),
        fitted.latency_kind,
        work.graph.batch_size,
        latency,
        fitted.interval.around(latency, novelty),
        fitted.interval.coverage,
        novelty > NOVELTY_LIMIT,
        novelty,
        tuple(k.name for k, n in zip(work.kernels, novel, strict=True) if n > 0),
        work.macs,
        work.params,
        work.weight_elements,
        work.peak_activation_bytes,
        work.uncovered_ops,
        fitted.predictor.overhead_ms,
        _kernel_predictions(work, parts, fitted.target.precision) if per_layer else (),
        fitted.error,
        fitted.provenance,
    )


def _storage_factor(table: KernelTable, resolved: Resolved) -> np.ndarray:
    """How many times as long each kernel takes because another's weights are too large for the
    unit's fast storage (see `StorageFact`), shape (kernels,)."""
    target = resolved.target.target
    fact = next((s for s in resolved.device.traits.storage if s.unit == target.unit), None)
    factor = np.ones(len(table))
    if fact is None:
        return factor
    size = table["weight_elements"] * BYTES_OF_PRECISION[target.precision]
    heavy = size > fact.weight_limit_bytes
    return np.where(heavy | ~heavy.any(), factor, fact.slowdown)


def _kernel_predictions(
    work: Workload, parts: np.ndarray, precision: str
) -> tuple[KernelPrediction, ...]:
    size = BYTES_OF_PRECISION[precision]
    heaviest = parts.argmax(axis=1)
    return tuple(
        KernelPrediction(
            k.name,
            k.fused or (k.name,),
            k.kernel_class,
            k.macs,
            (k.input_elements + k.weight_elements + k.output_elements) * size,
            float(row.sum()),
            PARTS[h],
        )
        for k, row, h in zip(work.kernels, parts, heaviest, strict=True)
    )


def predict(
    graph: Graph | str,
    target: str,
    *,
    batch_size: int | None = None,
    profiles: Sequence[Path] = (),
    allow_uncovered: bool = False,
    per_layer: bool = True,
) -> Prediction:
    """Latency of `graph` (or of the network with that name or path) on `target`, in ms.

    `target` may leave out trailing parts; the answer holds the full one. `batch_size` changes the
    batch of the graph; `profiles` are further profile files. Raises `PerfmodelError`s: unknown
    model or target, uncovered operators, damaged files.
    """
    resolved = ProfileFolder(tuple(profiles)).resolve(target)
    loaded = load_at_batch(graph, batch_size)
    framework = fusion_rules(resolved)
    work = workload(loaded, framework, allow_uncovered=allow_uncovered)
    return predict_workload(work, resolved, per_layer=per_layer)


def load_at_batch(graph: Graph | str, batch_size: int | None) -> Graph:
    """The graph itself or the one that a name or path means, at the given batch size."""
    from perfmodel.formats.load import load
    from perfmodel.graph.rebatch import rebatch

    loaded = load(graph) if isinstance(graph, str) else graph
    if batch_size is None or loaded.batch_size == batch_size:
        return loaded
    return rebatch(loaded, batch_size)


def fusion_rules(resolved: Resolved) -> str:
    """The name of the fusion rules of a target's framework (TFLite differs by unit).

    Frameworks that fuse alike share a name, so that a network is fused once for all of them.
    """
    target = resolved.target.target
    name = target.framework
    if name == "tflite":
        name = "tflite-cpu" if target.unit == "cpu" else "tflite-gpu"
    rules = rules_of(name)
    return next(known for known, same in FUSION.items() if same == rules)


def predict_many(
    queries: Iterable[tuple[str, str, int | None]],
    *,
    profiles: Sequence[Path] = (),
    allow_uncovered: bool = False,
) -> Iterator[Prediction | Exception]:
    """Predictions for many (model, target, batch size); a bad one gives its error in place.

    Networks are read and fused once, targets resolved once, and what is asked of one target is
    predicted at once. Answers come in the order of the queries, `CHUNK` at a time.
    """
    asked = _Asked(ProfileFolder(tuple(profiles)), allow_uncovered)
    source = iter(queries)
    while chunk := list(islice(source, CHUNK)):
        asked.answer(dict.fromkeys(chunk))
        for query in chunk:
            yield asked.answers[query]


Query = tuple[str, str, int | None]


@dataclass(frozen=True)
class _Asked:
    """What `predict_many` has read, fused and answered so far."""

    folder: ProfileFolder
    allow_uncovered: bool
    targets: dict[str, Resolved] = field(default_factory=dict)
    graphs: dict[object, Graph] = field(default_factory=dict)
    works: dict[object, Workload] = field(default_factory=dict)
    answers: dict[Query, Prediction | Exception] = field(default_factory=dict)

    def answer(self, queries: Iterable[Query]) -> None:
        """Fill `answers` for queries that have none yet."""
        from perfmodel.prediction_batch import network_batch, predict_batch

        by_target: dict[str, list[Query]] = {}
        for query in queries:
            if query not in self.answers:
                by_target.setdefault(query[1], []).append(query)
        batches: dict[object, NetworkBatch] = {}
        for target, group in by_target.items():
            ready = [(q, w) for q in group if (w := self._work(q)) is not None]
            if ready:
                works = [w for _, w in ready]
                key = (works[0].framework, *((m, b) for (m, _, b), _ in ready))
                if key not in batches:
                    batches[key] = network_batch(works)
                predicted = predict_batch(batches[key], self.targets[target]).predictions()
                self.answers.update(zip((q for q, _ in ready), predicted, strict=True))

    def _work(self, query: Query) -> Workload | None:
        """The network of a query under its target's rules; None where that is an error."""
        model, target, batch_size = query
        try:
            if target not in self.targets:
                self.targets[target] = self.folder.resolve(target)
            if (model, batch_size) not in self.graphs:
                self.graphs[model, batch_size] = load_at_batch(model, batch_size)
            rules = fusion_rules(self.targets[target])
            if (model, batch_size, rules) not in self.works:
                self.works[model, batch_size, rules] = workload(
                    self.graphs[model, batch_size], rules, allow_uncovered=self.allow_uncovered
                )
            return self.works[model, batch_size, rules]
        except PerfmodelError as error:
            self.answers[query] = error
            return None
