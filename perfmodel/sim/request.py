"""A request and the attempts to answer it: small mutable objects that flow through the stations."""

from __future__ import annotations

from typing import Any, Protocol

STEPS = ("load", "preprocess", "pause", "upload", "queue", "compute", "download", "abandoned")
"""Steps of a request in the order in which they happen."""
LOAD, PREPROCESS, PAUSE, UPLOAD, QUEUE, COMPUTE, DOWNLOAD, ABANDONED = range(len(STEPS))


class Stage(Protocol):
    """A step of a plan: `start` takes an attempt and calls `attempt.advance()` when it is over."""

    def start(self, attempt: Attempt) -> None:
        """Begin this stage now."""


class Asker(Protocol):
    """Who asked for an inference and takes the answer."""

    @property
    def priority(self) -> int:
        """Of its requests at the server: the lowest number first."""

    def answer(self, attempt: Attempt) -> None:
        """An attempt has gone through all its stages."""

    def rejected(self, attempt: Attempt) -> None:
        """The server had no room for an attempt."""


class InferenceRequest:
    """One inference asked for: answered by the first of its attempts that ends."""

    __slots__ = ("answered", "arrival_ms", "asker", "energy_mj", "number")

    def __init__(self, asker: Asker, number: int, arrival_ms: float) -> None:
        self.asker = asker
        self.number = number
        self.arrival_ms = arrival_ms
        self.energy_mj = 0.0
        self.answered = False


class Attempt:
    """One way of answering a request: the stages of a plan, and the time (ms) in each step."""

    __slots__ = (
        "batch_size",
        "cancelled",
        "expired",
        "index",
        "plan",
        "queued_ms",
        "request",
        "service",
        "stages",
        "steps",
        "timed",
    )

    def __init__(self, request: InferenceRequest, plan: int, stages: tuple[Stage, ...]) -> None:
        self.request = request
        self.plan = plan
        self.stages = stages
        self.index = 0
        self.steps = [0.0] * len(STEPS)
        self.batch_size = 0
        self.cancelled = False
        self.timed = False
        self.expired = False
        self.queued_ms = 0.0
        self.service: Any = None

    def advance(self, _event: object = None) -> None:
        """Go to the next stage; an attempt nobody waits for any more stops here."""
        index = self.index
        if self.cancelled or self.request.answered:
            return
        if index == len(self.stages):
            self.request.asker.answer(self)
            return
        self.index = index + 1
        self.stages[index].start(self)
