"""Where does this request run? One class a policy: what it needs, and what it does with a request.

A new policy is one more class here: the table at the end has it, and with it the checks of a
scenario, `compare`, the warnings of an overload and the documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import simpy

    from perfmodel.sim.request import Attempt, InferenceRequest

DEVICE, CLOUD = "device", "cloud"
"""Names of the plans that run an inference whole, in one place."""


class TaskSettings(Protocol):
    """The keys of [task] that policies ask for."""

    @property
    def on_device(self) -> object: ...
    @property
    def on_server(self) -> object: ...
    @property
    def split(self) -> Sequence[Any]: ...
    @property
    def split_after(self) -> str | None: ...
    @property
    def deadline_ms(self) -> float | None: ...
    @property
    def fallback_after_ms(self) -> float | None: ...
    @property
    def hedge_after_ms(self) -> float: ...
    @property
    def probe_every_s(self) -> float: ...


class PhoneTask(Protocol):
    """What a policy may ask and do: the phone's side of one task."""

    @property
    def task(self) -> TaskSettings: ...
    @property
    def plan_names(self) -> Sequence[str]: ...
    def launch(self, request: InferenceRequest, plan: str, abandoned: bool = False) -> Attempt: ...
    def after(self, delay_ms: float, callback: Callable[[simpy.Event], None]) -> None: ...
    def ms_since_upload(self) -> float: ...
    def expected_ms(self, plan: str) -> float: ...
    def alone_ms(self, plan: str) -> float: ...


class Policy:
    """Decides along which plan each request goes.

    `needs_device` and `needs_cloud` say that whole inferences may run on the phone and on the
    server, `measures_link` that it looks at how fast uploads were.
    """

    name: ClassVar[str]
    needs_device: ClassVar[bool] = False
    needs_cloud: ClassVar[bool] = False
    measures_link: ClassVar[bool] = False

    @property
    def needs_server(self) -> bool:
        """Whether the scenario must have a [server]."""
        return self.needs_cloud

    def lacking(self, task: TaskSettings) -> str:
        """What the policy needs of [task] and does not find; empty if nothing."""
        if self.needs_device and task.on_device is None:
            return "[task.on_device]"
        if self.needs_cloud and task.on_server is None:
            return "[task.on_server]"
        return ""

    def only_plan(self, task: TaskSettings) -> str | None:
        """The plan that every request takes; None where that depends on the run."""
        return None

    def start(self, phone: PhoneTask, request: InferenceRequest) -> None:
        """Launch the attempts to answer a request that has just come."""
        raise NotImplementedError

    def turned_away(self, phone: PhoneTask, request: InferenceRequest) -> bool:
        """The server has no room for a request: whether another attempt will answer it."""
        return False


class OnDevicePolicy(Policy):
    """Run on the phone."""

    name = "device"
    needs_device = True

    def only_plan(self, task: TaskSettings) -> str:
        return DEVICE

    def start(self, phone: PhoneTask, request: InferenceRequest) -> None:
        phone.launch(request, DEVICE)


class CloudPolicy(Policy):
    """Run on the server."""

    name = "cloud"
    needs_cloud = True

    def only_plan(self, task: TaskSettings) -> str:
        return CLOUD

    def start(self, phone: PhoneTask, request: InferenceRequest) -> None:
        phone.launch(request, CLOUD)


class SplitPolicy(Policy):
    """Run up to the cut `split_after` on the phone and the rest on the server."""

    name = "split"

    @property
    def needs_server(self) -> bool:
        return True

    def lacking(self, task: TaskSettings) -> str:
        known = [cut.after for cut in task.split]
        if task.split_after in known:
            return ""
        return f"split_after, the name of a [[task.split]] ({', '.join(known) or 'none given'})"

    def only_plan(self, task: TaskSettings) -> str:
        return split_plan(task.split_after)

    def start(self, phone: PhoneTask, request: InferenceRequest) -> None:
        phone.launch(request, split_plan(phone.task.split_after))


class AdaptivePolicy(Policy):
    """Run the plan with the least expected time at the bandwidth and server wait last seen.

    The rule of Neurosurgeon (Kang et al., ASPLOS 2017) over the plans given. Seeing needs uploads,
    so after `probe_every_s` without one the best plan that uploads is taken.
    """

    name = "adaptive"
    needs_device = True
    needs_cloud = True
    measures_link = True

    def start(self, phone: PhoneTask, request: InferenceRequest) -> None:
        candidates = phone.plan_names
        if phone.ms_since_upload() > 1000.0 * phone.task.probe_every_s:
            candidates = [name for name in candidates if name != DEVICE]
        phone.launch(request, min(candidates, key=phone.expected_ms))


class DeadlinePolicy(Policy):
    """Ask the server; when the phone would just make the deadline, compute there instead.

    The phone takes over after `fallback_after_ms`, or at once when the server has no room.
    """

    name = "deadline"
    needs_device = True
    needs_cloud = True

    def lacking(self, task: TaskSettings) -> str:
        return super().lacking(task) or ("deadline_ms" if task.deadline_ms is None else "")

    def start(self, phone: PhoneTask, request: InferenceRequest) -> None:
        attempt = phone.launch(request, CLOUD)

        def fall_back(_event: simpy.Event) -> None:
            if not (request.answered or attempt.cancelled):
                attempt.cancelled = True
                phone.launch(request, DEVICE, abandoned=True)

        phone.after(self._patience_ms(phone), fall_back)

    def turned_away(self, phone: PhoneTask, request: InferenceRequest) -> bool:
        phone.launch(request, DEVICE, abandoned=True)
        return True

    @staticmethod
    def _patience_ms(phone: PhoneTask) -> float:
        """How long to wait for the server before the phone takes over."""
        task = phone.task
        if task.fallback_after_ms is not None:
            return task.fallback_after_ms
        assert task.deadline_ms is not None
        return max(0.0, task.deadline_ms - phone.alone_ms(DEVICE))


class HedgedPolicy(Policy):
    """Ask the server, and after `hedge_after_ms` the phone as well; the first answer counts."""

    name = "hedged"
    needs_device = True
    needs_cloud = True

    def start(self, phone: PhoneTask, request: InferenceRequest) -> None:
        phone.launch(request, CLOUD)
        if not phone.task.hedge_after_ms:
            phone.launch(request, DEVICE)
            return

        def second(_event: simpy.Event) -> None:
            if not request.answered:
                phone.launch(request, DEVICE, abandoned=True)

        phone.after(phone.task.hedge_after_ms, second)

    def turned_away(self, phone: PhoneTask, request: InferenceRequest) -> bool:
        return True  # the phone's own attempt runs already, or will


def split_plan(after: str | None) -> str:
    """The name of the plan that is cut after a layer."""
    return f"split:{after}"


POLICIES: dict[str, Policy] = {kind.name: kind() for kind in Policy.__subclasses__()}
"""Every policy by the name that a scenario gives it."""
