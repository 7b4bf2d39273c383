"""A night drawn from a seed, played and looked back on, and all in which it is not as it must be."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from monitord.core.alerting.incidents import incidents
from monitord.core.model import Transition
from monitord.core.report.model import Report as Report
from tests.nights.mornings import morning

from . import fleets, habits, server_faults, server_habits
from .faults import KINDS, NEVER, Fault
from .living import HOUR, OFTEN, OFTEN_FOR, SELDOM, Living, drawn_start

# How often monitord looks: its default now and then, and mostly what takes less time.
CYCLES = (30.0, 60.0, 120.0, 120.0, 180.0, 180.0, 300.0, 300.0)
PASTS = (0.0, 3.0, 5.0)
# One page more than the fault's own is borne, and counted.
MOST_PAGES = 1


@dataclass(frozen=True)
class Drawn:
    """A night that was drawn and has passed: what was done, what was said, and the report of its morning."""

    seed: int
    night: Living
    fault: Fault | None
    report: Report
    edges: tuple[tuple[float, Transition], ...]

    @property
    def fired(self) -> list[tuple[float, Transition]]:
        """What fired from the beginning of the night on, and when."""
        return [(at, t) for at, t in self.edges if t.edge == "firing" and at >= self.night.begins]

    @property
    def pages(self) -> list[str]:
        """The incidents that were told and are not the fault's own."""
        own = frozenset() if self.fault is None else self.fault.subjects | self.fault.also
        found = incidents([t for _, t in self.edges], self.night.state.alerts.values())
        told = [one for one in found if one.fired_at is not None and one.fired_at.timestamp() >= self.night.begins]
        return [f"{one.cause.rule}/{one.cause.subject}" for one in told if one.cause.subject not in own]


def play(seed: int, *, faulty: bool, hours: float | None = None, every: float | None = None) -> Drawn:
    """Draw and play a night: healthy, or with one certain fault. The same seed gives the same night."""
    chance = random.Random(f"{seed} {faulty}")  # noqa: S311 - the same night each time
    cycle = chance.choice(CYCLES) if every is None else every
    span = (chance.uniform(6, 12) if hours is None else hours) * HOUR
    past = chance.choice(PASTS) * 24 * HOUR
    night = Living(fleets.drawn(chance, cycle), drawn_start(chance), cycle, past)
    end = night.begins + span
    for habit in (*habits.HABITS, *server_habits.HABITS):
        habit(night, chance, end)
    if past:
        night.looked_at(SELDOM)
        night.goes_on(night.begins - OFTEN_FOR)
        night.looked_at(OFTEN)
        night.goes_on(night.begins)
    night.looked_at(cycle)
    fault = _drawn(night, chance, end) if faulty else None
    if fault is not None:
        night.plan(fault.at, f"FAULT: {fault.text}", lambda: fault.breaks(night))
        if fault.lasts is not None:
            night.plan(fault.at + fault.lasts, f"OVER: {fault.text}", lambda: fault.mends(night))
    night.goes_on(end)
    return Drawn(seed, night, fault, morning(night, since=night.begins), _edges(night))


def _drawn(night: Living, chance: random.Random, end: float) -> Fault:
    """One fault that can happen to this fleet, at some moment of the night; over before its end, or not."""
    span = end - night.begins
    kind = chance.choice(
        [kind for kind in (*KINDS, *server_faults.KINDS) if kind.fits(night) and kind.least + 1200 <= span]
    )
    made = kind.makes(night, chance)
    lasts = None if kind.stays or chance.random() < 0.4 else chance.uniform(kind.least, min(kind.most, span - 1200))
    latest = end - (kind.least if lasts is None else lasts) - 300
    soonest = max(night.begins + 600, end - kind.told_for + 600)
    at = chance.uniform(soonest, max(soonest, latest))

    def breaks(night: Living) -> None:
        night.broken |= made.broken
        made.breaks(night)

    def mends(night: Living) -> None:
        made.mends(night)
        night.broken -= made.broken

    return Fault(kind.name, made.text, at, lasts, kind.within, made.subjects, made.also, breaks, mends)


def _edges(night: Living) -> tuple[tuple[float, Transition], ...]:
    return tuple((look.at, t) for look in night.looks for t in look.decision.transitions)


def complaints(drawn: Drawn) -> list[str]:
    """All in which a night is not as it must be, one line each."""
    return list(_of_healthy(drawn) if drawn.fault is None else _of_faulty(drawn, drawn.fault))


def _of_healthy(drawn: Drawn) -> Iterator[str]:
    yield from (f"{drawn.night.told(at)} {_line(t)}" for at, t in drawn.fired)
    if drawn.report.verdict != "GO":
        yield f"the verdict is {drawn.report.verdict}: {drawn.report.sentence}"


def _of_faulty(drawn: Drawn, fault: Fault) -> Iterator[str]:
    night = drawn.night
    if drawn.report.headline == "GO":  # one that names what is open is none
        yield f"the verdict is GO: {drawn.report.sentence}"
    yield from (f"before the fault: {night.told(at)} {_line(t)}" for at, t in drawn.fired if at < fault.at)
    if fault.within != NEVER:
        named = [at for at, t in drawn.fired if t.alert.subject in fault.subjects]
        due = fault.at + fault.within + 2 * night.cycle + 10 + _unseen(night, fault.at)
        if not named:
            yield f"nothing named {sorted(fault.subjects)}; said: {[_line(t) for _, t in drawn.fired]}"
        elif min(named) > due:
            yield f"told {night.told(min(named))}, due {night.told(due)}"
    if len(drawn.pages) > MOST_PAGES:
        yield f"{len(drawn.pages)} pages more than its own: {drawn.pages}"


def _unseen(night: Living, since: float) -> float:
    """For how long after a moment nobody looked, or a reading was lost: what is told is told so much later."""
    looks = [look for look in night.looks if since - 600 <= look.at <= since + HOUR]
    late = [after.at - look.at for look, after in pairwise(looks) if after.at - look.at > 1.5 * night.cycle]
    lost = any(r.failure is not None for look in looks for r in look.observation.readings.values())
    return sum(late) + (night.cycle if lost else 0.0)


def _line(transition: Transition) -> str:
    alert = transition.alert
    return f"{alert.rule}/{alert.subject} {alert.severity}: {alert.finding.summary}"


def story(drawn: Drawn) -> str:
    """A drawn night, as whoever looks into a failure reads it."""
    night = drawn.night
    fault = "" if drawn.fault is None else f", {drawn.fault.kind}"
    head = (
        f"seed {drawn.seed}{fault}: {night.fleet.name}, every {night.cycle:.0f} s, "
        f"{(night.clock.now - night.begins) / HOUR:.1f} h; probes {', '.join(sorted(night.orders.probes))}"
    )
    edges = [f"  {night.told(at)} {t.edge} {_line(t)}" for at, t in drawn.edges if t.edge != "pending"]
    met = [f"  {c.name}: {c.met}: {c.evidence}" for c in drawn.report.criteria if c.met is not True]
    lived = [f"  {line}" for line in night.happened]
    return "\n".join([head, *lived, " said:", *edges, f" verdict {drawn.report.verdict}", *met])
