"""A restart loop in detail: since when, how often, how long each run lasted and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from monitord.core import humanize
from monitord.core.copying import replace
from monitord.core.history.process_model import RestartTally, ServiceHistory
from monitord.core.history.restarts import BY_RULE
from monitord.core.model import RestartKind

# A service that has lived for so many times what lay between its restarts is not dying any more.
ROUNDS = 2


@dataclass(frozen=True, slots=True)
class RestartLoop:
    """One service's automatic restarts within the window.

    `since` is when the first can have been (Unix seconds); `kinds` how many of each kind; `lifetimes` how long its
    processes lasted (seconds), by PM2's bus, else one estimate from the counters; `codes` and `signals` how they ended,
    `told` whether that is from the bus; `backoff`: PM2 waits longer each time.
    """

    since: float
    lifetimes: tuple[float, ...]
    codes: tuple[int, ...]
    signals: tuple[str, ...]
    told: bool
    kinds: Mapping[RestartKind, int] = field(default_factory=dict)
    backoff: bool = False

    @property
    def rule(self) -> RestartKind | None:
        """The rule of PM2's own that made most of them; None where they ended by themselves."""
        by_count = sorted(self.kinds, key=lambda kind: self.kinds[kind])
        return by_count[-1] if by_count and by_count[-1] in BY_RULE else None

    def why(self) -> str:
        """By which of PM2's own rules it was restarted, to follow a number of times; "" where by none."""
        ruled = {kind: count for kind, count in self.kinds.items() if kind in BY_RULE}
        parts = [
            BY_RULE[kind] if len(self.kinds) == 1 else f"{count} of them {BY_RULE[kind]}"
            for kind, count in ruled.items()
        ]
        waits = ", each time after a longer wait (exp_backoff_restart_delay)" if self.backoff else ""
        return (f", {humanize.listed(parts)}" if parts else "") + waits

    def said(self) -> str:
        """The rest of a sentence: how long each life lasted and how it ended; "" where neither is known."""
        lasted = ""
        if self.lifetimes:
            shortest, middle, longest = min(self.lifetimes), median(self.lifetimes), max(self.lifetimes)
            lasted = f"; each life lasted {humanize.duration(middle)} or so"
            if longest > 2 * shortest and longest - shortest > 1:
                lasted = f"; its lives lasted from {humanize.duration(shortest)} to {humanize.duration(longest)}"
        ends = [*self.signals, *(f"exit code {code}" for code in self.codes)]
        if not ends:
            return lasted
        # PM2 keeps the code 0 for whatever a signal ended.
        doubt = "" if self.told or 0 not in self.codes else " (which PM2 also says of a kill)"
        return (
            f"{lasted}, ended by {humanize.listed(ends)}{doubt}"
            if lasted
            else f"; it ended by {humanize.listed(ends)}{doubt}"
        )

    def evidence(self) -> dict[str, object]:
        lifetimes = None
        if self.lifetimes:
            lifetimes = {
                "shortest": round(min(self.lifetimes), 3),
                "median": round(median(self.lifetimes), 3),
                "longest": round(max(self.lifetimes), 3),
            }
        return {
            "first_at": humanize.clock(self.since),
            "lives_seconds": lifetimes,
            "exit_codes": list(self.codes),
            "signals": list(self.signals),
            "from_the_bus": self.told,
            "restarted_by": dict(self.kinds),
        }


# Restarts are counted over so many windows (a day, at an hour each), and are at an end after so many without one.
DAY_WINDOWS: Final = 24
CALM_WINDOWS: Final = 6
# As many as are still no loop, for a quarter of the day, are too many for a day.
QUARTER_WINDOWS: Final = DAY_WINDOWS // 4
# A window with more than so many times what a loop takes was a loop, and had its own alert.
LOOP_TIMES: Final = 2


@dataclass(frozen=True, slots=True)
class DailyRestarts:
    """A service's automatic restarts within the last day: `count` of them, `apart` from loops; when the last was."""

    count: int
    apart: int
    first: float
    last: float
    kinds: Mapping[RestartKind, int]

    @property
    def every(self) -> float:
        return (self.last - self.first) / max(1, self.count - 1)


def tallied(
    tallies: tuple[RestartTally, ...], made: Mapping[RestartKind, int], before: float, now: float, window: float
) -> tuple[RestartTally, ...]:
    """The tallies with the restarts that were made between two readings; of a long absence evenly spread over it."""
    kept = {tally.start: tally for tally in tallies if tally.start + window > now - DAY_WINDOWS * window}
    for kind, count in made.items():
        parts = min(count, DAY_WINDOWS, max(1, round((now - before) / window)))
        for part in range(parts):
            at = now - part * window
            start = at // window * window
            share = count // parts + (1 if part < count % parts else 0)
            tally = kept.get(start, RestartTally(start, at, at))
            kinds = {**tally.kinds, kind: tally.kinds.get(kind, 0) + share}
            kept[start] = replace(tally, first=min(tally.first, at), last=max(tally.last, at), kinds=kinds)
    return tuple(sorted(kept.values(), key=lambda tally: tally.start))


def unrest(service: ServiceHistory, now: float, window: float, loops_past: int) -> DailyRestarts | None:
    """The automatic restarts of the last day; None where there were none, or none for long."""
    since = max(now - DAY_WINDOWS * window, service.taken_up_at or 0.0)
    tallies = [tally for tally in service.tallies if tally.last > since and tally.count]
    if not tallies or now - tallies[-1].last > CALM_WINDOWS * window:
        return None
    apart = sum(tally.count for tally in tallies if tally.count <= LOOP_TIMES * loops_past)
    kinds: dict[RestartKind, int] = {}
    for tally in tallies:
        for kind, count in tally.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + count
    count = sum(tally.count for tally in tallies)
    return DailyRestarts(count, apart, max(since, tallies[0].first), tallies[-1].last, kinds)


def since_given_up_ended(service: ServiceHistory) -> ServiceHistory:
    """The service as if it had begun when somebody last took up what PM2 had given up on: that loop is at its end."""
    if (at := service.taken_up_at) is None:
        return service
    batches = tuple(batch for batch in service.batches if batch.end > at)
    return replace(service, batches=batches, deaths=tuple(end for end in service.deaths if end.at > at))


def outlived_after(service: ServiceHistory, now: float, window: float, at_least: float) -> tuple[float, float] | None:
    """When a service last restarted by itself (Unix seconds), and how long it must live to have outlived its loop.

    That is twice what lay between the restarts of one of its processes, and `at_least` so many seconds: whoever
    begins anew needs a moment until its work shows. None where it did not restart within the last `window` seconds.
    """
    batches = [batch for batch in service.batches if batch.end > now - window]
    if not batches:
        return None
    between = (batches[-1].end - batches[0].start) / sum(batch.count for batch in batches)
    return batches[-1].end, max(at_least, ROUNDS * between * max(1, len(service.lives)))


def restart_loop_of(service: ServiceHistory, now: float, window: float) -> RestartLoop:
    batches = [batch for batch in service.batches if batch.end > now - window]
    since = max(now - window, batches[0].start) if batches else now
    kinds: dict[RestartKind, int] = {}
    for batch in batches:
        kinds[batch.kind] = kinds.get(batch.kind, 0) + batch.count
    backoff = any(process.backoff for process in service.lives.values())
    ends = [end for end in service.deaths if end.at > now - window]
    if ends:
        first = [end.at for end in ends if batches and batches[0].start <= end.at <= batches[0].end]
        if batches and len(first) >= batches[0].count:
            since = max(since, min(first))  # each of the first restarts has a moment of its own
        # The life that the first death ended was not of the loop.
        lifetimes = tuple(end.lived for end in ends[1:] or ends if end.lived is not None)
        codes = tuple(sorted({d.code for d in ends if d.code is not None and not d.signal}))
        return RestartLoop(
            since, lifetimes, codes, tuple(sorted({d.signal for d in ends if d.signal})), True, kinds, backoff
        )
    total = sum(batch.count for batch in batches)
    estimate = ((batches[-1].end - batches[0].start) / total,) if total > 1 else ()
    found = {process.exit_code for process in service.lives.values() if process.exit_code is not None}
    return RestartLoop(since, estimate, tuple(sorted(found)), (), False, kinds, backoff)
