"""A phone's temperature and the speed it still allows: one thermal mass, solved exactly."""

from __future__ import annotations

import math

from perfmodel.sim.scenario import Heat


class Thermometer:
    """Temperature under piecewise constant power: goes to ambient + P R, time constant R C."""

    def __init__(self, heat: Heat) -> None:
        self._heat = heat
        self._tau_ms = 1000.0 * heat.resistance_c_per_w * heat.capacity_j_per_c
        self._power_w = 0.0
        self._since_ms = 0.0
        self.temperature_c = heat.ambient_c
        self.hottest_c = heat.ambient_c

    def add_power(self, now_ms: float, power_mw: float) -> None:
        """Change the dissipated power by `power_mw` (negative when a unit goes idle)."""
        self._catch_up(now_ms)
        self._power_w += power_mw / 1000.0

    def speed(self, now_ms: float) -> float:
        """Return the clock share allowed now: 1 cool, `slowest_speed` hot, linear between."""
        self._catch_up(now_ms)
        heat = self._heat
        span = heat.throttle_full_c - heat.throttle_from_c
        hot = min(1.0, max(0.0, (self.temperature_c - heat.throttle_from_c) / span))
        return 1.0 - hot * (1.0 - heat.slowest_speed)

    def power_share(self, speed: float) -> float:
        """Return the share of full power drawn at `speed`."""
        return float(speed**self._heat.power_exponent)

    def _catch_up(self, now_ms: float) -> None:
        settled = self._heat.ambient_c + self._power_w * self._heat.resistance_c_per_w
        decay = math.exp(-(now_ms - self._since_ms) / self._tau_ms)
        self.temperature_c = settled + (self.temperature_c - settled) * decay
        self.hottest_c = max(self.hottest_c, self.temperature_c)
        self._since_ms = now_ms
