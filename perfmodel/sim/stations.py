"""Makes the stations of a run and joins them to the plans of its tasks."""

from __future__ import annotations

from dataclasses import dataclass, field

from perfmodel.sim.case_result import RunOutcome
from perfmodel.sim.cell import RadioCell
from perfmodel.sim.distributions import Distribution, Draw
from perfmodel.sim.link import Losses, PhoneLink, Pipe, RadioPower, TransferStage
from perfmodel.sim.memory import Heap, LoadStage, ModelMemory, PauseStage, background_kills
from perfmodel.sim.plan import PlanStep, TaskPlan, plans_of
from perfmodel.sim.rates import (
    Bandwidth,
    ChangingRate,
    ConstantRate,
    lognormal_segments,
    markov_segments,
    trace_segments,
)
from perfmodel.sim.records import Statistics
from perfmodel.sim.replication import BaseShare, Replication
from perfmodel.sim.request import COMPUTE, PREPROCESS, Stage
from perfmodel.sim.scenario import Task
from perfmodel.sim.server import BatchService, Server, ServerStage, Service, SingleService
from perfmodel.sim.tables import RateSpec
from perfmodel.sim.task_on_phone import TaskOnPhone
from perfmodel.sim.unit import PhoneUnit, Screen, Thermometer, UnitStage
from perfmodel.sim.workload import closed_arrivals, gaps_ms, open_arrivals


@dataclass(slots=True)
class PhoneStations:
    """The stations of one phone; units are made when a plan first needs them."""

    index: int
    memory: ModelMemory
    thermometer: Thermometer | None = None
    heap: Heap | None = None
    link: PhoneLink | None = None
    base: BaseShare | None = None
    screen: Screen | None = None
    units: dict[str, PhoneUnit] = field(default_factory=dict)

    @property
    def track(self) -> str:
        """The phone's name in a trace."""
        return f"device {self.index}"


class Builder:
    """The phones, cells and server of a run, ready to go."""

    def __init__(self, run: Replication) -> None:
        self._run = run
        self._scenario = run.scenario
        self._plans = [
            {plan.name: plan for plan in plans_of(task, run.scenario)} for task in run.scenario.task
        ]
        self._sources: dict[tuple[str, Distribution], Draw] = {}
        self._constant_rates: dict[float, ConstantRate] = {}
        self._server_stages: dict[tuple[int, str], ServerStage] = {}
        self._cells: tuple[RadioCell, RadioCell] | None = None
        self._server = self._make_server()
        self._phones = [self._make_phone(index) for index in range(run.scenario.device.count)]

    def _make_server(self) -> Server | None:
        spec = self._scenario.server
        if spec is None:
            return None
        cold_start = spec.cold_start_ms.draws(self._run.rng("cold start"))
        return Server(self._run.env, spec, cold_start, self._run.tracer)

    def _make_phone(self, index: int) -> PhoneStations:
        spec, run = self._scenario.device, self._run
        phone = PhoneStations(index, ModelMemory(spec.memory.capacity_mb))
        if spec.heat is not None:
            phone.thermometer = Thermometer(spec.heat)
        if spec.memory.heap_mb is not None:
            phone.heap = Heap(spec.memory.heap_mb)
        if spec.memory.background_every_s is not None:
            rng = run.rng("background", index)
            run.env.process(background_kills(run.env, phone.memory, spec.memory, rng))
        if spec.base_mw:
            phone.base = BaseShare(spec.base_mw, run.meter)
        phone.link = self._make_link(index, phone.track)
        for task_index, task in enumerate(self._scenario.task):
            self._add_client(phone, task_index, task)
        if spec.ui is not None:
            unit = self._unit(phone, spec.ui.unit)
            draw = self._draws(spec.ui.render_ms, "render")
            phone.screen = Screen(run.env, unit, draw, spec.ui.refresh_hz, run.meter)
        return phone

    def _unit(self, phone: PhoneStations, name: str) -> PhoneUnit:
        if name not in phone.units:
            spec, run = getattr(self._scenario.device, name), self._run
            phone.units[name] = PhoneUnit(
                run.env,
                name,
                spec,
                run.meter,
                thermometer=phone.thermometer,
                tracer=run.tracer,
                track=phone.track,
            )
        return phone.units[name]

    def _make_link(self, index: int, track: str) -> PhoneLink | None:
        spec, run = self._scenario.link, self._run
        if spec is None:
            return None
        up: Pipe | RadioCell
        down: Pipe | RadioCell
        if spec.sharing == "cell":
            up, down = self._shared_cells()
        else:
            in_turn = spec.sharing == "own"
            up = Pipe(self._rate(spec.uplink, "uplink", index), in_turn)
            down = Pipe(self._rate(spec.downlink, "downlink", index), in_turn)
        jitter = self._draws(spec.jitter_ms, "jitter")
        losses = None
        if spec.loss:
            losses = Losses(spec.loss, spec.rtt_ms or 0.0, run.rng("loss", index))
        radio = RadioPower(spec.radio, run.meter) if spec.radio else None
        return PhoneLink(
            run.env,
            spec,
            up=up,
            down=down,
            draw_jitter=jitter,
            losses=losses,
            radio=radio,
            tracer=run.tracer,
            track=track,
        )

    def _shared_cells(self) -> tuple[RadioCell, RadioCell]:
        spec, env = self._scenario.link, self._run.env
        assert spec is not None
        if self._cells is None:
            self._cells = (
                RadioCell(env, self._rate(spec.uplink, "uplink", 0)),
                RadioCell(env, self._rate(spec.downlink, "downlink", 0)),
            )
        return self._cells

    def _rate(self, spec: RateSpec | None, source: str, index: int) -> Bandwidth:
        assert spec is not None, "resolve the scenario first"
        if spec.kind == "trace":
            assert spec.times_s is not None
            assert spec.trace_mbps is not None
            scaled = [mbps * spec.scale for mbps in spec.trace_mbps]
            return ChangingRate(trace_segments(spec.times_s, scaled))
        if spec.kind == "constant":
            assert spec.mbps is not None
            return self._constant_rates.setdefault(spec.mbps, ConstantRate(spec.mbps))
        rng = self._run.rng(source, index)
        if spec.kind == "markov":
            assert spec.states_mbps is not None
            assert spec.dwell_s is not None
            return ChangingRate(markov_segments(spec.states_mbps, spec.dwell_s, rng))
        assert spec.mbps is not None
        return ChangingRate(
            lognormal_segments(spec.mbps, spec.cv, spec.correlation, spec.step_s, rng)
        )

    def _draws(self, law: Distribution, source: str) -> Draw:
        """Return the draws of a source; all phones take turns at one stream. Only arrivals and
        bandwidths have one per phone: ten thousand of each would not fit a processor's cache."""
        if (source, law) not in self._sources:
            self._sources[source, law] = law.draws(self._run.rng(source))
        return self._sources[source, law]

    def _add_client(self, phone: PhoneStations, task_index: int, task: Task) -> None:
        plans = self._plans[task_index]
        if task.on_device is not None and task.on_device.resident:
            phone.memory.put(task.name, task.on_device.weights_mb or 0.0)
        stages = {
            plan.name: tuple(
                self._stage(phone, task_index, task, plan, step) for step in plan.steps
            )
            for plan in plans.values()
        }
        client = TaskOnPhone(
            self._run,
            self._scenario,
            place=(task_index, phone.index),
            plans=plans,
            stages=stages,
            link=phone.link,
            base=phone.base,
        )
        self._start_source(client, phone.index, task)

    def _start_source(self, client: TaskOnPhone, index: int, task: Task) -> None:
        run, spec = self._run, task.workload
        run.open_source()
        rng = run.rng(f"arrivals {task.name}", index)
        if spec.kind == "closed":
            source = closed_arrivals(
                run.env,
                spec.think_ms.draws(rng),
                spec,
                client.submit,
                run.close_source,
                client.all_answered,
            )
        else:
            gaps = gaps_ms(spec, rng, spec.times_s or ())
            source = open_arrivals(run.env, gaps, spec, client.submit, run.close_source)
        run.env.process(source)

    def _stage(
        self, phone: PhoneStations, task_index: int, task: Task, plan: TaskPlan, step: PlanStep
    ) -> Stage:
        run = self._run
        if step.where == "server":
            return self._server_stage(task_index, task, plan, step)
        # named without the plan: a step has the same draws whatever plan it is part of
        draw = self._draws(step.law, f"{task.name} {step.step} {step.where}")
        if step.where in ("uplink", "downlink"):
            assert phone.link is not None
            return TransferStage(phone.link, step.where == "uplink", draw)
        if step.where in ("memory", "heap"):
            assert task.on_device is not None
            if step.where == "heap":
                assert phone.heap is not None
                return PauseStage(run.env, phone.heap, task.on_device.allocates_mb, draw)
            size_mb = task.on_device.weights_mb or 0.0
            cpu = self._unit(phone, "cpu")
            return LoadStage(
                phone.memory,
                task.name,
                size_mb=size_mb,
                cpu=cpu,
                draw=draw,
                priority=task.priority,
                meter=run.meter,
            )
        kind = PREPROCESS if step.step == "preprocess" else COMPUTE
        return UnitStage(self._unit(phone, step.where), kind, draw, task.priority, run.meter)

    def _server_stage(
        self, task_index: int, task: Task, plan: TaskPlan, step: PlanStep
    ) -> ServerStage:
        """Return the server's part of a plan: one object for all phones, so that they batch."""
        key = (task_index, plan.name)
        if key not in self._server_stages:
            assert self._server is not None
            service: Service
            if step.batch_ms:
                service = BatchService(step.batch_sizes, step.batch_ms)
            else:
                service = SingleService(step.law.draws(self._run.rng(f"{task.name} service")))
            self._server_stages[key] = ServerStage(self._server, service)
        return self._server_stages[key]

    def outcome(self, statistics: Statistics) -> RunOutcome:
        """Return what the finished run came to."""
        run = self._run
        for phone in self._phones:
            if phone.link is not None and phone.link.radio is not None:
                phone.link.radio.finish()
        return RunOutcome(
            statistics=statistics,
            answered=run.answered,
            dropped=run.dropped,
            rejected=run.lost,
            utilization=self._utilization(),
            energy_mj=dict(run.meter.mj),
            counts=self._counts(),
            backlog=run.backlog_at_last_arrival,
            last_arrival_ms=run.last_arrival_ms,
            makespan_ms=run.env.now,
        )

    def _utilization(self) -> dict[str, float]:
        """Return busy shares: units and own links as means over phones, cell and server as is."""
        span_ms = self._run.env.now
        found: dict[str, float] = {}
        if not span_ms:
            return found
        phones = len(self._phones)
        for phone in self._phones:
            for name, unit in phone.units.items():
                slots = getattr(self._scenario.device, name).slots
                found[name] = found.get(name, 0.0) + unit.busy_ms / (span_ms * slots * phones)
            if phone.link is not None and phone.link.in_turn:
                for name, pipe in (("uplink", phone.link.up), ("downlink", phone.link.down)):
                    found[name] = found.get(name, 0.0) + pipe.busy_ms / (span_ms * phones)
        if self._cells is not None:
            found["uplink"], found["downlink"] = (cell.busy_ms / span_ms for cell in self._cells)
        if self._server is not None:
            found["server"] = self._server.utilization()
        return found

    def _counts(self) -> dict[str, float]:
        """Return what happened how often, and how hot it got, where the scenario has that."""
        counts: dict[str, float] = {}
        phones, spec = self._phones, self._scenario.device
        totals = {
            "loads": sum(phone.memory.loads for phone in phones),
            "evictions": sum(phone.memory.evictions for phone in phones),
            "background_kills": sum(phone.memory.kills for phone in phones),
            "collections": sum(phone.heap.collections for phone in phones if phone.heap),
        }
        counts.update({name: float(value) for name, value in totals.items() if value})
        if spec.ui is not None:
            screens = [phone.screen for phone in phones if phone.screen]
            counts["frames"] = float(sum(screen.frames for screen in screens))
            counts["late_frames"] = float(sum(screen.late_frames for screen in screens))
        if spec.heat is not None:
            meters = [phone.thermometer for phone in phones if phone.thermometer]
            counts["hottest_c"] = max(thermometer.hottest_c for thermometer in meters)
        server = self._scenario.server
        if self._server is not None and server is not None and server.autoscale is not None:
            counts["replicas_at_end"] = float(self._server.replicas)
        return counts
