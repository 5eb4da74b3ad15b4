"""Where does this request run? Functions of one signature: they launch attempts for a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from perfmodel.sim.plan import CLOUD, DEVICE

if TYPE_CHECKING:
    import simpy

    from perfmodel.sim.client import Client
    from perfmodel.sim.request import Request

Policy = Callable[["Client", "Request"], None]


def device(client: Client, request: Request) -> None:
    """Run on the phone."""
    client.launch(request, DEVICE)


def cloud(client: Client, request: Request) -> None:
    """Run on the server."""
    client.launch(request, CLOUD)


def split(client: Client, request: Request) -> None:
    """Run up to the cut on the phone and the rest on the server."""
    client.launch(request, f"split:{client.task.split_after}")


def adaptive(client: Client, request: Request) -> None:
    """Run the plan with the least expected time at the bandwidth and server wait last seen.

    The rule of Neurosurgeon (Kang et al., ASPLOS 2017) over the plans given. Seeing needs uploads,
    so after `probe_every_s` without one the best plan that uploads is taken.
    """
    candidates = client.plan_names
    if client.ms_since_upload() > 1000.0 * client.task.probe_every_s:
        candidates = [name for name in candidates if name != DEVICE]
    client.launch(request, min(candidates, key=client.expected_ms))


def deadline(client: Client, request: Request) -> None:
    """Ask the server; when the phone would just make the deadline, compute here instead."""
    attempt = client.launch(request, CLOUD)

    def fall_back(_event: simpy.Event) -> None:
        if not request.answered:
            attempt.cancelled = True
            client.launch(request, DEVICE, abandoned=True)

    client.after(client.fallback_after_ms(), fall_back)


def hedged(client: Client, request: Request) -> None:
    """Ask the server, and after `hedge_after_ms` the phone as well; the first answer counts."""
    client.launch(request, CLOUD)

    def second(_event: simpy.Event) -> None:
        if not request.answered:
            client.launch(request, DEVICE, abandoned=True)

    if client.task.hedge_after_ms:
        client.after(client.task.hedge_after_ms, second)
    else:
        client.launch(request, DEVICE)


POLICY: dict[str, Policy] = {
    "device": device,
    "cloud": cloud,
    "split": split,
    "adaptive": adaptive,
    "deadline": deadline,
    "hedged": hedged,
}
