"""What one observation adds to the history: readings, the fleet, rows, seals, queues, trends, and what happened."""

import json
from collections.abc import Mapping
from typing import Any, Final

from monitord.core.alerting.silences import forget
from monitord.core.copying import replace, with_these
from monitord.core.history.clocks import update_clocks
from monitord.core.history.model import BlindSpan, History
from monitord.core.history.restarts import update_acts, update_exits
from monitord.core.latest import latest
from monitord.core.model import Failure, Kind, Observation, Reading, ServiceEvent
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import Subject, Update, unchanged
from monitord.core.subjects.guard import why
from monitord.core.subjects.registry import ALWAYS, registered, subject_named

KEEP_BLIND_SECONDS = 48 * 3600.0
# A probe that flaps for days must not make the state grow with it.
KEEP_BLIND_SPANS = 500
# Failures that show the server to be there, or are monitord's own: no absence of the server.
ANSWERED: frozenset[Kind] = frozenset({"auth", "permission", "internal"})
# What one subject that is no part of monitord may keep between cycles, as JSON: it is written in every cycle.
KEEP_BYTES = 64 * 1024
_with_samples: Final = with_these(Reading, "samples")


def update(
    history: History, observation: Observation, orders: StandingOrders, *, for_rules: bool = True
) -> tuple[History, list[ServiceEvent], list[str], dict[str, str]]:
    """The history with this cycle's readings in it, what happened to services, what there is to note, and what failed.

    A subject whose update fails leaves the history as it was; what failed is a sentence by the subject's name. Without
    `for_rules`, what nothing but rules asks for stays as it was.
    """
    now = observation.now.timestamp()
    events: list[ServiceEvent] = []
    faults: dict[str, str] = {}
    history, notes = update_clocks(history, observation, orders, is_whole=observation.readings.keys() >= ALWAYS)
    before = history.taken_at
    history = update_readings(history, observation, orders)
    good = {name: r for name, r in observation.readings.items() if r.failure is None}
    if forgotten := [command.target for command in observation.commands if command.kind == "forget"]:
        history = forget(history, forgotten, orders)
    if observation.exits:
        history = update_exits(history, observation.exits, now, orders.restarts_window.total_seconds())
    if observation.acts:
        history = update_acts(history, observation.acts)
    for subject, moves in _moving(registered(), for_rules):
        if (reading := good.get(subject.name)) is not None:
            last, following, updates = before.get(subject.name), history, []
            try:
                for move_on in moves:
                    updates.append(updated := move_on(following, reading, last, now, orders))
                    following = updated.history
                if following.by_subject is not history.by_subject:
                    _check(history.by_subject, following.by_subject)
            except Exception as error:  # noqa: BLE001 - a bug in one subject must not blind all the others
                reason = str(error) if isinstance(error, KeptError) else why(error)
                faults[subject.name] = f"what is known of {subject.title} could not be updated ({reason})"
                continue
            history = following
            for updated in updates:
                events += updated.events
                notes += updated.notes
    return history, events, notes, faults


@latest
def _moving(subjects: tuple[Subject, ...], for_rules: bool) -> tuple[tuple[Subject, tuple[Update, ...]], ...]:
    """The subjects of which a reading moves the history on, and what does it."""
    moves = [(subject, (subject.update, subject.update_for_rules if for_rules else None)) for subject in subjects]
    found = [
        (subject, tuple(one for one in both if one is not None and one is not unchanged)) for subject, both in moves
    ]
    return tuple(one for one in found if one[1])


class KeptError(Exception):
    """What a subject would keep cannot be kept."""


def _check(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> None:
    for name, kept in after.items():
        if kept is before.get(name):
            continue
        try:
            size = len(json.dumps(kept, allow_nan=False))
        except (TypeError, ValueError):
            raise KeptError(f"what {name} keeps is not JSON") from None
        if size > KEEP_BYTES:
            raise KeptError(f"{name} keeps {size:,} bytes; {KEEP_BYTES:,} are the most")


def update_readings(history: History, observation: Observation, orders: StandingOrders) -> History:
    """The readings kept, and each probe's blind spells brought up to date."""
    now = observation.now.timestamp()
    readings, taken, blind = dict(history.readings), dict(history.taken_at), dict(history.blind)
    limit = orders.late_after.total_seconds()
    for name, reading in observation.readings.items():
        seen = reading
        if reading.failure is None and name in history.broken:  # it is measured, and nobody can judge it
            seen = replace(reading, failure=Failure("internal", history.broken[name]))
        blind[name] = _spells(blind.get(name, ()), taken.get(name), history.at, seen, now, limit)
        subject = subject_named(name)
        readings[name] = reading if subject is None or subject.keeps_samples else _with_samples(reading, ())
        if reading.failure is None:
            taken[name] = now
    return replace(history, at=now, readings=readings, taken_at=taken, blind=blind)


def _spells(
    spans: tuple[BlindSpan, ...],
    last: float | None,
    seen: float | None,
    reading: Reading,
    now: float,
    limit: float,
) -> tuple[BlindSpan, ...]:
    """One probe's blind spells after one more reading: a failure opens one, a good reading closes it.

    `last` is when it was last taken and good, `seen` when anything was last taken: since then monitord did not run.
    Longer than `limit` (seconds) without a good reading, it was blind.
    What failed before that and fails after it in the same way is held to have failed all along.
    """
    if not spans and reading.failure is None and (last is None or now - last <= limit):  # nearly always
        return ()
    kept = [s for s in spans if s.end is None or s.end > now - KEEP_BLIND_SECONDS][-KEEP_BLIND_SPANS:]
    is_open = bool(kept) and kept[-1].end is None
    failure = reading.failure
    answered = failure is not None and (failure.full or failure.kind in ANSWERED)
    goes_on = is_open and failure is not None and kept[-1].answered == answered
    if is_open and not goes_on and seen is not None and now - seen > limit:  # until when it failed nobody knows
        kept[-1] = replace(kept[-1], end=max(seen, kept[-1].start))
        kept.append(BlindSpan(seen, now, "away"))
        is_open = False
    elif is_open and failure is not None and not goes_on:
        kept[-1] = replace(kept[-1], end=now)
        is_open = False
    elif not is_open and last is not None and now - last > limit:
        kept.append(BlindSpan(last, now, "away"))
    if failure is not None and not is_open:
        kept.append(BlindSpan(now, None, "failed", answered=answered))
    elif failure is None and is_open:
        kept[-1] = replace(kept[-1], end=now)
    return tuple(kept)
