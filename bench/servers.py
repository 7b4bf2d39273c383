"""What the servers and the machine of a healthy fleet do by day, night and week: all that a threshold must bear.

By night a backup holds a transaction, on Sundays a longer one; a batch takes the processors and one long job its queue;
a deployment opens new connections before the old ones are closed, and its migration waits for locks. Beside that
Postgres freezes old rows, a standby falls behind and catches up, Redis fills and is worked off, heaps are swept.
"""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tests.core.fleet import HOUR, MB

if TYPE_CHECKING:
    from bench.month import Living

DAY: Final = 24 * HOUR
# The apps that tell PM2 of their event loop and heap (MiB), and how much of it Node may use.
TOLD: Final = {"gateway": 256, "cls-worker": 128, "tree-builder": 512}
BATCH: Final = "tree-builder"
# The heap is swept every so many seconds.
SWEPT_EVERY: Final = 420.0


class ServerHabits:
    """The servers of a month, and how they live: `goes_on` before each check, `hour` at the turn of each hour."""

    def __init__(self, month: Living, seed: int) -> None:
        self.month = month
        self.chance = random.Random(f"servers {seed}")  # noqa: S311 - the same month each time
        self.until: dict[str, float] = {}
        self.frozen_at = month.clock.now
        month.sessions.xid_used = 4.7
        for name, heap in TOLD.items():
            app = month[name]
            app.heap_limit = heap * 2.0**20
            app.heap_sawtooth = (0.4 * heap, 0.95 * heap, SWEPT_EVERY)
            app.loop_ms = 2.0

    def lasts(self, what: str) -> bool:
        """Whether something that began is not over yet."""
        return self.month.clock.now < self.until.get(what, 0.0)

    def begins(self, what: str, seconds: float) -> None:
        self.until[what] = self.month.clock.now + seconds
        self.month.lived[what] += 1

    def hour(self, hour: int, weekday: int) -> None:
        """What is done by the clock (UTC); Monday is 0."""
        sessions, now, chance = self.month.sessions, self.month.clock.now, self.chance
        if hour == 2:
            is_sunday = weekday == 6
            self.begins("backups", chance.uniform(2.5, 5) * HOUR if is_sunday else chance.uniform(1200, 5400))
            sessions.transaction_since = now
        if hour == 3:
            self.begins("batches", chance.uniform(1500, 3300))
            for queue in self.month.queues.values():
                queue.fails(chance.randint(0, 25))
            self.month.host.swap = min(70.0, self.month.host.swap + chance.uniform(0, 4))
        if hour == 5 and weekday == 6:
            self.begins("rebuilt indexes", chance.uniform(60, 240))
            sessions.lock_since = now
        if 8 <= hour < 17 and weekday < 5 and chance.random() < 1 / 8:
            self.begins("open sessions", chance.uniform(60, 1500))
            sessions.idle_since = now

    def deploys(self) -> None:
        """The new version connects before the old one lets go, and its migration waits for a lock."""
        self.begins("overlaps", self.chance.uniform(20, 60))
        self.begins("migrations", self.chance.uniform(5, 120))
        self.month.sessions.lock_since = self.month.clock.now
        self.month.host.swap = 0.0

    def goes_on(self) -> None:
        """What is read at the next check."""
        now = self.month.clock.now
        moment = datetime.fromtimestamp(now, UTC)
        busy = (1 + math.cos((now % DAY / HOUR - 2) / 24 * 2 * math.pi)) / 2 * (0.6 if moment.weekday() > 4 else 1.0)
        self._sessions(now, busy)
        self._machine(busy)
        self._apps(busy)
        self._redis(busy)

    def _sessions(self, now: float, busy: float) -> None:
        sessions, chance = self.month.sessions, self.chance
        used = 18 + 45 * busy + chance.gauss(0, 2)
        if self.lasts("overlaps"):
            used = max(2 * used, 0.95 * sessions.most)
        sessions.used = min(sessions.most - 1, max(5, round(used)))
        sessions.active = chance.randint(1, 3 + round(12 * busy))
        if not self.lasts("backups"):
            sessions.transaction_since = now - _moment(chance, 0.4, 60)
        if not self.lasts("open sessions"):
            sessions.idle_since = now - _moment(chance, 0.1, 30)
        if not self.lasts("migrations") and not self.lasts("rebuilt indexes"):
            sessions.lock_since = now - _moment(chance, 0.2, 8) if chance.random() < 0.2 * busy else None
        # A standby that has nothing to replay tells no lag; a clean-up is much to replay.
        most = 240.0 if moment_hour(now) == 4 else 30.0 if self.lasts("backups") else 4.0
        sessions.standby_lag = None if chance.random() < 0.1 else round(_moment(chance, 0.05, most), 3)
        sessions.xid_used = 4.7 + (now - self.frozen_at) / DAY * 0.9
        if sessions.xid_used > 9.3:  # autovacuum_freeze_max_age
            self.frozen_at = now
            self.month.lived["freezes"] += 1

    def _machine(self, busy: float) -> None:
        host, chance, is_batch = self.month.host, self.chance, self.lasts("batches")
        host.cpu = round(chance.uniform(93, 100) if is_batch else min(99.0, 8 + 45 * busy + chance.uniform(0, 25)), 1)
        host.load = round(chance.uniform(20, 38) if is_batch else 0.5 + 5 * busy + chance.uniform(0, 3), 2)
        host.available = chance.uniform(900, 2500) * MB if is_batch else chance.uniform(3500, 7000) * MB
        for service in self.month.services:
            service.cpu = round(chance.uniform(0.5, 4) + 55 * busy * chance.random(), 1)
        if is_batch:
            self.month[BATCH].cpu = round(chance.uniform(120, 190), 1)

    def _apps(self, busy: float) -> None:
        now = self.month.clock.now
        for name in TOLD:
            app = self.month[name]
            # Loading is its first tick.
            is_new = app.started_at is not None and now - app.started_at < 20
            late = _moment(self.chance, 2 + 20 * busy, 250)
            app.loop_ms = 2400.0 if is_new else 420.0 if name == BATCH and self.lasts("batches") else round(late, 2)

    def _redis(self, busy: float) -> None:
        keyspace, is_batch = self.month.keyspace, self.lasts("batches")
        keyspace.keys = round(90 + 300 * busy + self.chance.uniform(0, 40))
        keyspace.memory = keyspace.limit * (self.chance.uniform(0.75, 0.87) if is_batch else 0.1 + 0.5 * busy)
        for queue in self.month.queues.values():
            # One long job, behind which the others wait.
            queue.moves, queue.active = not is_batch, 1 if is_batch else self.chance.randint(0, 4)
            queue.oldest = self.chance.uniform(60, 1500) if is_batch else self.chance.uniform(0, 90)


def moment_hour(now: float) -> int:
    """The hour of the day, UTC."""
    return int(now % DAY // HOUR)


def _moment(chance: random.Random, middle: float, most: float) -> float:
    """So many seconds or milliseconds, with a long tail, and never more than so many."""
    return min(most, chance.lognormvariate(math.log(middle), 1.2))
