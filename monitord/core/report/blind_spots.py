"""What monitord could not measure in the window: its probes failing, its absence, and what was not recorded."""

from collections.abc import Iterable, Iterator

from monitord.core import humanize
from monitord.core.history.model import History
from monitord.core.model import Observation
from monitord.core.orders import StandingOrders
from monitord.core.report.model import Blind
from monitord.core.subjects.registry import registered


class BlindSpots:
    """Follows what each probe saw, between `since` and `until` (Unix seconds)."""

    def __init__(self, orders: StandingOrders, since: float, until: float) -> None:
        self._orders = orders
        self._since, self._until = since, until
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._errors: dict[tuple[str, float], str] = {}
        self._looks = 0

    def observe(self, observation: Observation) -> None:
        at = observation.now.timestamp()
        self._looks += at >= self._since
        for name, reading in observation.readings.items():
            self._first[name] = min(at, self._first.get(name, at))  # the clock may have been set back
            self._last[name] = at
            if reading.failure is not None:
                self._errors[name, at] = reading.failure.error

    def spells(self, history: History, kept: History) -> tuple[Blind, ...]:
        """Every spell of blindness in the window, in order, and what of it was not recorded.

        `history` is the one after the last observation, `kept` that of the snapshot: it remembers from when on a probe
        ran, and when it did not run.
        """
        found = [spell for name in sorted(self._orders.probes) for spell in self._of(name, history, kept)]
        return tuple(sorted(found, key=lambda spell: (spell.start, spell.probe)))

    def notes(self) -> Iterator[str]:
        if off := [s.readings for s in registered() if s.is_expected and s.name not in self._orders.probes]:
            yield f"Not watched, and so not judged: {humanize.listed(off)}."
        if not self._looks:
            yield "Nothing is recorded of this time: was monitord running?"
        elif (began := min(self._first.values())) > self._since + self._orders.late_after.total_seconds():
            yield f"The recording begins at {humanize.moment(began, self._until)}; nothing is known of the time before."

    def _of(self, name: str, history: History, kept: History) -> Iterator[Blind]:
        first, last = self._first.get(name), self._last.get(name)
        if first is None or last is None or last < self._since:
            # It was watched before, and then nobody took it; or it never was.
            began = name in kept.readings and (kept.at or 0.0) < self._since
            yield Blind(name, self._since, self._until, "away" if began else "unrecorded")
            return
        late = self._orders.late_after.total_seconds()
        if first - self._since > late:
            yield from self._before(name, first, kept)
        for span in history.blind.get(name, ()):
            end = min(self._until, span.end if span.end is not None else self._until)
            start = max(self._since, span.start)
            if end > start:
                yield Blind(name, start, end, span.why, self._errors.get((name, span.start), ""))
        still_failing = any(span.end is None for span in history.blind.get(name, ()))
        if self._until - last > late and not still_failing:
            yield Blind(name, last, self._until, "away")

    def _before(self, name: str, first: float, kept: History) -> Iterator[Blind]:
        """The time before the first of the recording: blind where the probe ran before it, else not recorded."""
        at = self._since
        for span in kept.blind.get(name, ()):
            start, end = max(at, span.start), min(first, span.end if span.end is not None else first)
            if end <= start:
                continue
            if start - at > self._orders.late_after.total_seconds():
                yield Blind(name, at, start, "unrecorded")
            else:
                start = at
            yield Blind(name, start, end, span.why)
            at = end
        if first - at > self._orders.late_after.total_seconds():
            yield Blind(name, at, first, "unrecorded")


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """How long at least one of these spans lasted."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def blind_seconds(blind: Iterable[Blind], probes: Iterable[str]) -> float:
    wanted = frozenset(probes)
    return covered((spell.start, spell.end) for spell in blind if spell.probe in wanted)


def blind_minutes(blind: Iterable[Blind]) -> float:
    """How many minutes a part of what is watched could not be seen. What was not yet recorded is not blind time."""
    spells = tuple(spell for spell in blind if spell.why != "unrecorded")
    return round(blind_seconds(spells, {spell.probe for spell in spells}) / 60.0, 1)
