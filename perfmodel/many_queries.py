"""Predictions for many queries at once: what they share is read, fused and resolved once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from perfmodel.devices.answering import answering
from perfmodel.devices.registry import ProfileFolder, ProfileSource, Resolved
from perfmodel.errors import PerfmodelError
from perfmodel.graph.ir import Graph
from perfmodel.kernel_times import NetworkBatch, network_batch
from perfmodel.kernels.precisions import stored_precision
from perfmodel.prediction import Prediction, predict_batch
from perfmodel.workload import Workload, fusion_rules, load_at_batch, workload

CHUNK = 16_384
"""Queries that are answered together."""

Query = tuple[str, str, int | None]
"""Model, target, batch size (None: the model's own)."""


def predict_many(
    queries: Iterable[Query],
    *,
    profiles: Sequence[ProfileSource] = (),
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


@dataclass(frozen=True)
class _Asked:
    """What `predict_many` has read, fused and answered so far."""

    folder: ProfileFolder
    allow_uncovered: bool
    targets: dict[tuple[str, str], Resolved] = field(default_factory=dict)
    graphs: dict[object, tuple[Graph, str]] = field(default_factory=dict)
    works: dict[object, Workload] = field(default_factory=dict)
    answers: dict[Query, Prediction | Exception] = field(default_factory=dict)

    def answer(self, queries: Iterable[Query]) -> None:
        """Fill `answers` for queries that have none yet."""
        by_target: dict[tuple[str, str], list[tuple[Query, Workload]]] = {}
        for query in queries:
            if query not in self.answers and (ready := self._ready(query)) is not None:
                key, work = ready
                by_target.setdefault(key, []).append((query, work))
        batches: dict[object, NetworkBatch] = {}
        for key, pairs in by_target.items():
            same = (pairs[0][1].framework, *((m, b) for (m, _, b), _ in pairs))
            if same not in batches:
                batches[same] = network_batch([w for _, w in pairs])
            asked = [q for q, _ in pairs]
            self.answers.update(_each_answer(asked, batches[same], self.targets[key]))

    def _ready(self, query: Query) -> tuple[tuple[str, str], Workload] | None:
        """The key of a query's target and its network there; None where that is an error."""
        model, target, batch_size = query
        try:
            if (model, batch_size) not in self.graphs:
                graph = load_at_batch(model, batch_size)
                self.graphs[model, batch_size] = graph, stored_precision(graph)
            graph, stored = self.graphs[model, batch_size]
            key = target, stored
            if key not in self.targets:
                self.targets[key] = answering(self.folder, target, stored)
            rules = fusion_rules(self.targets[key])
            if (model, batch_size, rules) not in self.works:
                self.works[model, batch_size, rules] = workload(
                    graph, rules, allow_uncovered=self.allow_uncovered
                )
            return key, self.works[model, batch_size, rules]
        except PerfmodelError as error:
            self.answers[query] = error
            return None


def _each_answer(
    queries: Sequence[Query], batch: NetworkBatch, resolved: Resolved
) -> dict[Query, Prediction | Exception]:
    """Predictions of a batch; where one network cannot be answered, the others still are."""
    try:
        return dict(zip(queries, predict_batch(batch, resolved).predictions(), strict=True))
    except PerfmodelError as error:
        if len(queries) == 1:
            return {queries[0]: error}
        found: dict[Query, Prediction | Exception] = {}
        for query, work in zip(queries, batch.works, strict=True):
            found |= _each_answer([query], network_batch([work]), resolved)
        return found
