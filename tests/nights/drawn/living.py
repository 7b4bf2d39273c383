"""A fleet that lives by itself through a drawn night: what is planned happens when it is due, levels follow courses."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.core.fleet import Service
from tests.core.nights import Night

from .fleets import Fleet

HOUR = 3600.0
# How a past is looked at: seldom for days, and then often enough to learn a rhythm.
SELDOM, OFTEN, OFTEN_FOR = 4 * HOUR, 900.0, 24 * HOUR


class Living(Night):
    """A night with a plan. `broken` is what is at fault: habits leave it alone. Times are Unix seconds, the fleet's."""

    def __init__(self, fleet: Fleet, start: datetime, every: float, past: float) -> None:
        self.fleet, self.cycle = fleet, every
        self.begins = start.timestamp()
        self.broken: set[str] = set()
        self.happened: list[str] = []
        self.lost_at: dict[str, float] = {}
        self.queue_courses: dict[str, Callable[[float], float]] = {}
        self._plan: list[tuple[float, int, str, Callable[[], object]]] = []
        self._order = itertools.count()
        super().__init__(fleet.orders, start=start - timedelta(seconds=past), every=every, services=())
        for name, count in fleet.instances.items():
            for _ in range(count):
                service = self.appears(name)
                service.created_at = service.started_at = self.clock.now - 14 * HOUR
        for name in fleet.periodic:
            self[name].stops(0)
        if "/data" in fleet.orders.disks:
            self.host.data_used = 40.0

    def plan(self, at: float, what: str, does: Callable[[], object]) -> None:
        """Let something happen at a moment. What has no words is a habit that needs none."""
        heapq.heappush(self._plan, (at, next(self._order), what, does))

    def goes_on(self, until: float) -> None:
        """Time goes by until a moment, and what is planned happens."""
        while self._plan and self._plan[0][0] <= until:
            at, _, what, does = heapq.heappop(self._plan)
            if at > self.clock.now:
                self.passes(seconds=at - self.clock.now)
            if what:
                self.happened.append(f"{self.told(at)} {what}")
            does()
        if until > self.clock.now:
            self.passes(seconds=until - self.clock.now)

    def told(self, at: float) -> str:
        """A moment, since the night began."""
        minutes = round((at - self.begins) / 60)
        return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60}h{abs(minutes) % 60:02}m"

    def looked_at(self, every: float) -> None:
        """From now on monitord looks so often, and that is not late."""
        self.every = every
        self.orders = replace(self.orders, late_after=max(timedelta(seconds=3 * every), timedelta(seconds=10)))
        self.is_due()

    def well(self, name: str) -> Iterator[Service]:
        """The instances of a service that run, where nothing is wrong with it."""
        if name not in self.broken:
            yield from (s for s in self.services if s.name == name and s.state == "online" and s.process == "running")

    def _live(self, seconds: float) -> None:
        super()._live(seconds)
        for name, course in self.queue_courses.items():
            self.queues[name].waiting = course(self.clock.now)


def moment(start: float) -> datetime:
    """Unix seconds as a moment."""
    return datetime.fromtimestamp(start, UTC)


def drawn_start(chance: random.Random) -> datetime:
    """A moment at which a night begins: any second of some months."""
    return moment(1_762_300_000 + chance.randrange(120 * 86_400))
