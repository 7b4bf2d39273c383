"""What a night's readings of the host, the queues and the checks came to: the most and the least, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from monitord.core.model import Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects.check_rules import KEPT, PROBE


@dataclass(slots=True)
class Level:
    """One number over the night. None: it was never measured; `unmeasured`: for how many seconds it was not told."""

    probe: str
    subject: str
    most: float | None = None
    most_at: float = 0.0
    least: float | None = None
    least_at: float = 0.0
    unmeasured: float = 0.0
    is_unmeasured: bool = False


class Levels:
    """Follows every disk (percent, by space or inodes, whichever is worse), available memory and every queue's jobs.

    And of every check whether it is known what came of it.
    """

    def __init__(self, orders: StandingOrders, since: float, until: float) -> None:
        self._since, self._until = since, until
        self._late = orders.late_after.total_seconds()
        self._last: dict[str, float] = {}
        self.disks = {path: Level("host", path) for path in orders.disks if "host" in orders.probes}
        self.memory = Level("host", "memory")
        self.queues = {name: Level("redis", name) for name in orders.queues if "redis" in orders.probes}
        self.checks = {name: Level(PROBE, name) for name in orders.checks if PROBE in orders.probes}

    def saw(self, observation: Observation) -> None:
        """One more observation, in order."""
        at = observation.now.timestamp()
        for name, read in (("host", self._of_host), ("redis", self._of_redis), (PROBE, self._of_checks)):
            reading = observation.readings.get(name)
            if reading is None:
                continue
            before = self._last.get(name)
            self._last[name] = at
            if reading.failure is None:
                for level, value in read(reading):
                    self._told(level, value, before, at)

    def _of_host(self, reading: Reading) -> Iterator[tuple[Level, float | None]]:
        for path, level in self.disks.items():
            parts = (reading.number(name, path=path) for name in ("disk_used", "disk_inodes_used"))
            yield level, max((part for part in parts if part is not None), default=None)
        yield self.memory, reading.number("memory_available")

    def _of_redis(self, reading: Reading) -> Iterator[tuple[Level, float | None]]:
        for name, level in self.queues.items():
            yield level, reading.number("queue_waiting", queue=name)

    def _of_checks(self, reading: Reading) -> Iterator[tuple[Level, float | None]]:
        known = reading.values(KEPT, "check").keys() - {gap.subject for gap in reading.gaps}
        for name, level in self.checks.items():
            yield level, 1.0 if name in known else None

    def _told(self, level: Level, value: float | None, before: float | None, at: float) -> None:
        # A longer silence than this was blind, and is told as that.
        if level.is_unmeasured and before is not None and at - before <= self._late:
            level.unmeasured += max(0.0, min(at, self._until) - max(before, self._since))
        level.is_unmeasured = value is None
        if value is None or at < self._since:
            return
        if level.most is None or value > level.most:
            level.most, level.most_at = value, at
        if level.least is None or value < level.least:
            level.least, level.least_at = value, at
