"""What the made-up database's sessions do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from monitord.core.model import Sample

from .fleet import Clock, Told, sample


@dataclass
class Sessions:
    """The sessions of Postgres: those of a quiet night, unless something else is said.

    Of each `_since` the moment at which the longest began (Unix seconds); None: none lasts.
    """

    clock: Clock
    used: int = 45
    most: int = 97
    hidden: int = 0
    active: int = 3
    transaction_since: float | None = None
    idle_since: float | None = None
    lock_since: float | None = None
    standbys: int = 1
    standby_lag: float | None = 0.01
    xid_used: float = 6.2
    _as_told: Told = field(default_factory=Told)

    def samples(self) -> tuple[Sample, ...]:
        idle = self._lasted(self.idle_since) or 0.1
        lasted = (idle, self._lasted(self.transaction_since), self._lasted(self.lock_since))
        counts = (self.used, self.most, self.hidden, self.active, self.standbys, self.standby_lag, self.xid_used)
        return self._as_told.while_as((lasted, counts), lambda: self._samples(*lasted))

    def _samples(self, idle: float, transaction: float | None, lock: float | None) -> Iterator[Sample]:
        yield sample("sessions_used", self.used)
        yield sample("sessions_most", self.most)
        yield sample("sessions_hidden", self.hidden)
        yield sample("sessions_active", self.active)
        yield sample("sessions_idle_in_transaction", 1)
        yield sample("transaction_longest", max(0.4, idle, transaction or 0.0))
        yield sample("idle_transaction_longest", idle)
        yield sample("lock_waits", int(lock is not None))
        yield sample("lock_wait_longest", lock)
        yield sample("standbys", self.standbys)
        yield sample("standby_lag", self.standby_lag)
        yield sample("xid_used", self.xid_used)

    def _lasted(self, since: float | None) -> float | None:
        return None if since is None else round(self.clock.now - since, 3)
