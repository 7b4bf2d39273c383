"""A healthy month: what a fleet does in thirty days when nothing is wrong, checked every 30 seconds.

What is unusual by the fleet's own past is warned of, too: nothing is.

Rows and channels follow day and night, memory is a sawtooth, seals take their time, old epochs are deleted, the Scout
runs, somebody deploys once a week and restarts a service now and then, and a reading fails here and there. The servers
and the machine live as bench/servers.py says. Whoever says anything about such a month is wrong.
"""

import functools
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bench.servers import ServerHabits
from monitord.core.engine import Decision
from monitord.core.model import Observation
from monitord.core.orders import StandingOrders
from tests.core.fleet import HOUR, MB
from tests.core.habits import looked_at_again, looked_at_seldom
from tests.core.nights import ORDERS, Night

START = datetime(2025, 11, 1, tzinfo=UTC)
PROBES = ORDERS.probes | {"pipeline"}
DAY = 24 * HOUR
WEEK = 7 * DAY
# Seals: 182 seconds in the middle, a long tail, never past the grace.
SEAL_SECONDS, SEAL_SIGMA, SEAL_MOST = 182.0, 0.45, 14 * 60.0
DELETED_AFTER = 30 * HOUR
DRAINED_WITHIN = 180.0
# One reading in so many fails; what was lost is there again at the recheck.
FAILS_ONE_IN = 400
SAWTEETH = {
    "milo-aggregator": (120 * MB, 310 * MB, 5400.0),
    "milo-worker-v2": (80 * MB, 140 * MB, 2700.0),
    "cls-worker": (85 * MB, 260 * MB, 4100.0),
    "gateway": (95 * MB, 220 * MB, 7700.0),
    "stream-listener": (70 * MB, 130 * MB, 1900.0),
    "tree-builder": (60 * MB, 420 * MB, HOUR),
}


@dataclass(frozen=True, slots=True)
class Month:
    """What a healthy month came to: looks, seconds in all and in judging alone, and what was said and suspected."""

    looks: int
    seconds: float
    judging: float
    said: tuple[str, ...]
    suspected: int
    lived: Counter[str]

    @property
    def making(self) -> float:
        """Seconds that went into making the observations."""
        return self.seconds - self.judging


def healthy(days: float, every: float = 30.0, seed: int = 20251101, seldom: float = 0.0) -> Month:
    """So many days of a healthy fleet, checked every `every` seconds. The same seed gives the same month.

    The first `seldom` days are checked every four hours only.
    """
    month = Living(every, seed)
    began, often = time.perf_counter(), month.clock.now + seldom * DAY
    if seldom:
        late_after = month.orders.late_after
        looked_at_seldom(month)
    end = month.clock.now + days * DAY
    while month.clock.now < end:
        if seldom and month.every != every and month.clock.now >= often:
            looked_at_again(month, every, late_after)
        month.goes_on()
        month.passes(seconds=min(every, end - month.clock.now))
    return Month(
        month.seen, time.perf_counter() - began, month.judging, tuple(month.fired), month.suspected, month.lived
    )


def _orders(every: float, probes: frozenset[str]) -> StandingOrders:
    late_after = max(timedelta(seconds=every) * 3, timedelta(seconds=10))
    return replace(ORDERS, probes=probes, late_after=late_after, learned_warnings=True)


def _rhythm(label: float) -> float:
    """How busy an hour is, from 0 to 1: evening in America, where most viewers are, is the middle of the night here."""
    return (1 + math.cos((label % DAY // HOUR - 2) / 24 * 2 * math.pi)) / 2


def _partly(group: str, seed: int) -> Callable[[int], frozenset[str]]:
    """Who takes part in a label: most channels in a busy hour, some in a quiet one, drawn anew for each."""
    known = [f"{group.lower()}{number:03}" for number in range(12 if group == "MILO" else 400)]
    busiest, quietest = (12, 7) if group == "MILO" else (160, 50)

    @functools.cache
    def takes_part(label: int) -> frozenset[str]:
        chance = random.Random(f"{seed} {group} {label}")  # noqa: S311 - the same month each time
        return frozenset(chance.sample(known, round(quietest + (busiest - quietest) * _rhythm(label))))

    return takes_part


class Living(Night):
    """A night that lives by itself, and of which only what was said is kept."""

    def __init__(self, every: float, seed: int, probes: frozenset[str] = PROBES) -> None:
        self.seen, self.suspected, self.judging = 0, 0, 0.0
        self.fired: list[str] = []
        # When what fired: of each its rule and subject.
        self.firings: list[tuple[float, str, str]] = []
        self.lived: Counter[str] = Counter()
        super().__init__(_orders(every, probes), start=START, every=every, keep=1)
        self.chance = random.Random(seed)  # noqa: S311 - the same month each time
        for name, teeth in SAWTEETH.items():
            self[name].sawtooth = teeth
        self.next_hour = self.clock.now
        self.keyspace.limit = 1e9
        self.scout_ends = math.inf
        self.servers = ServerHabits(self, seed)
        for name, group in self.groups.items():
            group.takes_part = _partly(name, seed)

    def look(self, probes: Iterable[str] | None = None) -> Decision:
        """A look of which only what was said is kept."""
        decision = super().look(probes)
        self.seen += 1
        for transition in decision.transitions:
            if transition.edge == "firing":
                at = datetime.fromtimestamp(self.clock.now, UTC)
                self.firings.append((self.clock.now, transition.alert.rule, transition.alert.subject))
                self.fired.append(f"{at:%Y-%m-%d %H:%M:%S} {transition.alert.rule}: {transition.alert.finding.summary}")
            self.suspected += transition.edge == "pending"
        return decision

    def judge(self, observation: Observation) -> Decision:
        """Judged as ever, by monitord."""
        began = time.perf_counter()
        decision = super().judge(observation)
        self.judging += time.perf_counter() - began
        return decision

    def goes_on(self) -> None:
        """What happens before the next check: by the hour, and by chance."""
        now = self.clock.now
        if now >= self.next_hour:
            self._hour(now)
            self.next_hour += HOUR
        for queue in self.queues.values():
            queue.waiting = math.floor(queue.waiting * math.exp(-self.every / DRAINED_WITHIN)) + self.chance.randint(
                0, 5
            )
            if self.chance.random() < self.every / HOUR:  # one in an hour, now and then a few at once
                queue.fails(self.chance.choice((1, 1, 1, 2, 8)))
                self.lived["failed jobs"] += 1
        self.servers.goes_on()
        if now >= self.scout_ends:
            self["cls-discovery"].stops(0)
            self.scout_ends = math.inf
        if self.chance.random() < 1 / FAILS_ONE_IN:
            server = self.chance.choice((self.pm2, self.postgres, self.redis, self.epochs, self.machine))
            server.hiccups_once()
            self.lived["failed readings"] += 1

    def _hour(self, now: float) -> None:
        """The turn of an hour: day and night, seals to come, and what is done by the clock."""
        hour = int(now % DAY // HOUR)
        self.servers.hour(hour, datetime.fromtimestamp(now, UTC).weekday())
        rhythm = _rhythm(now)
        self.table.per_second = (15_000 + 135_000 * rhythm) * self.chance.uniform(0.9, 1.1) / HOUR
        for group in self.groups.values():
            # Of the epoch that begins now; that of the one before it is needed for minutes yet.
            drawn = min(self.chance.lognormvariate(math.log(SEAL_SECONDS), SEAL_SIGMA), SEAL_MOST)
            kept = {label: delay for label, delay in group.delays.items() if label >= now - group.length}
            group.delays = kept | {int(now): drawn}
            # The same hour of eight days, of which this is one.
            took = [round((200 + 800 * rhythm) * self.chance.uniform(0.7, 1.3)) for _ in range(8)]
            self.pipeline.took[group.name], self.pipeline.least[group.name] = took[0], min(took[1:])
        for queue in self.queues.values():
            queue.waiting += self.chance.randint(50, 900)  # a burst of trees to build
        if hour % 6 == 1:
            self["cls-discovery"].starts()
            self.scout_ends = now + self.chance.uniform(300, 2400)
            self.lived["runs of the Scout"] += 1
        if hour == 4:
            self._clean_up(now)
        if hour == 9 and now - START.timestamp() >= WEEK * (self.lived["deployments"] + 0.5):
            self._deployment()
        if self.chance.random() < 1 / 60:
            self[self.chance.choice(list(SAWTEETH))].is_restarted()
            self.lived["restarts by hand"] += 1
        if self.chance.random() < 1 / 100:
            self[self.chance.choice(list(SAWTEETH))].crashes(self.chance.randint(1, 3))
            self.lived["lone crashes"] += 1

    def _clean_up(self, now: float) -> None:
        """Old epochs are deleted in bulk, and the disk is freed of a day's growth."""
        self.table.is_pruned(now - DELETED_AFTER)
        for group in self.groups.values():
            group.forgets(now - 2 * DELETED_AFTER)
        self.host.disk_used, self.host.disk_per_hour = 24.0, 0.15
        self.lived["bulk deletes"] += 1

    def _deployment(self) -> None:
        for name in SAWTEETH:
            self[name].is_restarted()
        self.servers.deploys()
        self.lived["deployments"] += 1
