"""Networks prepared once and asked of any target: what comparing, choosing and searching share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perfmodel.devices.processors import phone_of
from perfmodel.devices.profile import KINDS
from perfmodel.devices.registry import ProfileFolder, ProfileSource, Resolved, list_targets
from perfmodel.errors import PerfmodelError, TargetError
from perfmodel.graph.ir import Graph
from perfmodel.kernel_times import NetworkBatch, network_batch
from perfmodel.prediction import BatchPrediction, predict_batch
from perfmodel.target import PRECISIONS, UNITS, Target
from perfmodel.workload import BYTES_OF_PRECISION, fusion_rules, load_at_batch, workload

ANY = "any"
MB = 1e6


class Networks:
    """Some networks, fused once for each framework's rules."""

    def __init__(
        self,
        models: Sequence[Graph | str],
        batch_size: int | None = None,
        *,
        allow_uncovered: bool = False,
    ) -> None:
        self.graphs = tuple(load_at_batch(m, batch_size) for m in models)
        self._allow_uncovered = allow_uncovered
        self._batches: dict[str, NetworkBatch] = {}

    def on(self, resolved: Resolved) -> BatchPrediction:
        """The networks on a target, in order."""
        rules = fusion_rules(resolved)
        if rules not in self._batches:
            allow = self._allow_uncovered
            works = [workload(g, rules, allow_uncovered=allow) for g in self.graphs]
            self._batches[rules] = network_batch(works)
        return predict_batch(self._batches[rules], resolved)


def resolved_targets(
    kind: str = "phone",
    unit: str = ANY,
    precision: str = ANY,
    profiles: Sequence[ProfileSource] = (),
) -> Iterator[Resolved]:
    """Every steady-state target of a kind of device; `TargetError` for unknown choices."""
    for name, value, known in (
        ("kind", kind, KINDS),
        ("unit", unit, UNITS),
        ("precision", precision, PRECISIONS),
    ):
        if value != ANY and value not in known:
            raise TargetError(f"{name} {value!r} is none of {', '.join((ANY, *known))}")
    folder = ProfileFolder(tuple(profiles))
    wanted = (line.device for line in list_targets(profiles) if kind in (ANY, line.kind))
    for device in dict.fromkeys(wanted):
        profile = folder.device(device)
        for target in profile.targets:
            asked = unit in (ANY, target.target.unit), precision in (ANY, target.target.precision)
            if all(asked) and target.latency_kind == "steady":
                yield Resolved(profile, target)


def memory_mb(graph_params: int, peak_activation_bytes: int, target: Target) -> float:
    """Weights and peak activations at a target's precision, in MB.

    The peak of a float network counts 4 bytes an element; runtimes add their own buffers to it.
    """
    size = BYTES_OF_PRECISION[target.precision]
    return (graph_params * size + peak_activation_bytes * size / 4) / MB


def active_mw(resolved: Resolved) -> float | None:
    """Power of a target's unit while it computes (mW): the profile's, else its busy cores'.

    None where nobody says. Cores are counted as big ones unless the target names the little
    cluster, so a CPU's figure is rather too high than too low.
    """
    target = resolved.target.target
    for fact in resolved.device.traits.power:
        if fact.unit == target.unit:
            return fact.active_mw
    if target.unit != "cpu":
        return None
    soc = phone_of(resolved.device)
    core = soc.little_core_mw if target.cluster == "little" else soc.big_core_mw
    return None if core is None else core * max(target.threads, 1)


def energy_mj(resolved: Resolved, latency_ms: float) -> float | None:
    """Energy of an inference in mJ (power above idle times latency); None if power is unknown."""
    power = active_mw(resolved)
    return None if power is None else power * latency_ms / 1e3


def require_positive(**values: float | None) -> None:
    """Refuse limits that are given and not above zero."""
    for name, value in values.items():
        if value is not None and not 0 < value < float("inf"):
            flag = "--" + name.replace("_", "-")
            raise PerfmodelError(f"{flag} must be a number above 0, got {value}")
