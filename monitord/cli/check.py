"""`monitord check`: every probe once, now, and judged at once. Reads the snapshot for rates and never writes it."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from monitord.cli import CommandSettings, Subparsers, command, find_settings, note, refused, say, stdout_terminal
from monitord.cli.base import STATE_ERRORS, in_state_directory, run_once
from monitord.config.loader import SettingsError, standing_orders
from monitord.config.settings import paths
from monitord.core import humanize
from monitord.core.alerting import silences
from monitord.core.engine import Decision, State, decide
from monitord.core.history.defaults import effective
from monitord.core.history.model import History
from monitord.core.model import RANK, Alert, Observation, Status
from monitord.core.orders import StandingOrders
from monitord.core.status import FleetStatus, build_report
from monitord.core.subjects.registry import ALWAYS, registered, subject_named
from monitord.jsonable import document
from monitord.probes import Probes
from monitord.probes.base import Probe
from monitord.reporting.nagios import nagios
from monitord.reporting.sections import StatusView
from monitord.reporting.status import EXIT_CODES, text
from monitord.runtime.cycle import CycleRequest, observe
from monitord.storage.copy import Copy, read_copy
from monitord.storage.lock import holder
from monitord.storage.reader import Snapshot, read_snapshot
from monitord.storage.schema import UnusableSnapshot

# Neither a state directory on a hung disk nor a connection that will not close may hold up the check.
_LOOK_SECONDS: Final = 0.2
_CLOSE_SECONDS: Final = 0.2
# With less of the deadline left than this, nothing is asked again.
_AGAIN_SECONDS: Final = 0.1


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "check",
        run,
        "Takes every probe once, now, and judges what it sees without waiting to confirm it. "
        "Exits 0 when all is well, 1 for a warning, 2 when critical, 3 when something could not be measured.",
        formats=("text", "json", "nagios"),
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="say instead what is watched, what is not and why, and of each limit what it is and where it comes from",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.explain and arguments.format == "nagios":
        note("--explain has no form for Nagios: --format is text or json")
        return 2
    return run_once(_check(find_settings(), arguments.format, is_explained=arguments.explain))


async def _check(found: CommandSettings, style: str, *, is_explained: bool) -> int:
    settings = found.settings
    loop = asyncio.get_running_loop()
    began, timeout = loop.time(), settings.probe_timeout.total_seconds()
    orders = replace(standing_orders(settings), confirmations=1)
    daemon = await _holder(settings.state_dir)
    own = frozenset({os.getpid(), daemon or os.getpid()})
    try:
        probes = Probes(settings, orders, lambda: own)
    except SettingsError as error:
        return refused(error.mistakes)
    now = datetime.now(UTC)
    try:
        remembering = asyncio.create_task(_remember(settings.state_dir, timeout))
        report, applied = await _judge(probes.all, orders, remembering, timeout, alone=daemon is None)
        state, trouble = await remembering
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await probes.close()
    took = round((loop.time() - began) * 1000.0, 3)
    unasked = _unasked(found, orders, state.history, roster_lost=bool(trouble) and not state.history.roster)
    if unasked:
        worse: Status = "unknown" if RANK[report.status] < RANK["unknown"] else report.status
        report = replace(report, status=worse, unasked=unasked)
    if is_explained:
        _explain(found, report, applied, style)
    elif style == "json":
        fields = {"trigger": "cli", "at": now, "status": report.status, "duration_ms": took} | report.as_fields()
        fields["settings"] = {"files": [str(path) for path in found.files], "of_daemon": found.borrowed}
        say(document(fields | ({"unasked": unasked} if unasked else {})))
    elif style == "nagios":
        say(nagios(report, orders, took) + (f"{found.word}\n" if found.borrowed else ""))
    else:
        if trouble:
            note(f"monitord: {trouble}; the check goes on without what it holds")
        heading = f"monitord check, {humanize.timestamp(now)}, took {humanize.duration(took / 1000.0)}"
        notes = tuple(sentence for _, sentence in probes.tls_unverified)
        if found.word:
            notes = (*notes, f"{humanize.capital(found.word)}.")
        view = StatusView(report, orders, now.timestamp())
        say(text(view, heading, stdout_terminal(), notes))
    return EXIT_CODES[report.status]


def _explain(found: CommandSettings, report: FleetStatus, orders: StandingOrders, style: str) -> None:
    from monitord.config.explanation import explained
    from monitord.reporting.explanation import explanation_fields, explanation_text

    subjects = explained(found.settings, found.origins, orders, report, borrowed=found.borrowed)
    files = [str(path) for path in found.files]
    if style == "json":
        say(document(explanation_fields(subjects, files, report.unasked)))
        return
    screen = stdout_terminal()
    say(explanation_text(subjects, files, report.unasked or found.trouble, screen))


def _unasked(found: CommandSettings, orders: StandingOrders, history: History, *, roster_lost: bool) -> str:
    """Why this check cannot say OK though all that it asked is well: a sentence without its full stop, or "".

    `history` is the daemon's: of its defaults it watches what is there.
    """
    if found.trouble:
        return found.trouble
    watched_there = None if found.record is None else effective(found.record.orders, history)
    if watched_there is not None and (missing := _shortfall(orders, watched_there)):
        withheld = [name for name in found.withheld if name not in found.sources]
        why = f": {humanize.listed(withheld)} stood in its environment, and is not known here" if withheld else ""
        return f"this check does not ask about {missing}, which the daemon watches{why}"
    known = paths(type(found.settings))
    lonely = all((one := subject_named(name)) is not None and one.beneath_all for name in orders.probes)
    if lonely and not any(known[name][0] in orders.probes for name in found.sources):
        servers = humanize.listed([f"no {one.title}" for one in registered() if one.is_expected])
        read = humanize.listed([str(path) for path in found.files]) if found.files else f"no .env in {found.directory}"
        return f"nothing is configured to be watched ({read}): there is {servers}"
    if idle := found.judges_nothing:
        return "; ".join(idle)
    watched = [one for one in registered() if one.name in orders.probes]
    if roster_lost and any(one.learns and not one.named(orders) for one in watched):
        return "the roster that was learned cannot be read, so that a service may be missed that nobody asks for"
    return ""


def _shortfall(asked: StandingOrders, watched: StandingOrders) -> str:
    """What the daemon watches and a check by the orders `asked` does not: "Redis and the tables a and b", or "".

    A default that nobody named is in both or in none.
    """
    found: list[str] = []
    for subject in registered():
        if subject.name not in watched.probes:
            continue
        if subject.name not in asked.probes:
            found.append(subject.readings)
            continue
        if not subject.members or subject.members in watched.unnamed:
            continue
        held, wanted = subject.named(asked), subject.named(watched)
        # What is learned is learned from the snapshot, which a check reads too.
        names = [] if subject.learns and not held else [name for name in wanted if name not in held]
        if names:
            found.append(f"the {subject.member}{'s' if len(names) > 1 else ''} {humanize.listed(names)}")
    return humanize.listed(found)


async def _holder(directory: Path) -> int | None:
    """The pid of the daemon on the state directory; 0 where it is not known, None where there is none."""
    try:
        return await in_state_directory(holder, directory, timeout=_LOOK_SECONDS)
    except OSError:
        return 0


async def _remember(directory: Path, timeout: float) -> tuple[State, str | None]:
    """What the daemon last saved, in a second copy too, so that no roster is lost; and what kept it from being read."""
    try:
        snapshot, copy = await in_state_directory(_kept, directory, timeout=timeout)
    except STATE_ERRORS as error:
        return State(), str(error)
    if isinstance(snapshot, UnusableSnapshot):
        return (State(), str(snapshot)) if copy is None else (copy.state, f"{snapshot}; its second copy was read")
    if snapshot is None:
        return (State() if copy is None else copy.state), None
    return snapshot.state, None


def _kept(directory: Path) -> tuple[Snapshot | UnusableSnapshot | None, Copy | None]:
    try:
        snapshot = read_snapshot(directory)
    except UnusableSnapshot as error:
        return error, read_copy(directory)
    return snapshot, read_copy(directory) if snapshot is None else None


async def _judge(
    probes: Sequence[Probe],
    orders: StandingOrders,
    remembering: asyncio.Task[tuple[State, str | None]],
    timeout: float,
    *,
    alone: bool,
) -> tuple[FleetStatus, StandingOrders]:
    """And the orders that apply to what is there. `alone`: no daemon runs, its last state is not the present."""
    deadline = asyncio.get_running_loop().time() + timeout
    observation = await observe(probes, CycleRequest(trigger="cli", once=True), timeout)
    state, _ = await remembering
    if not alone:
        observation = _carried(observation, state.history, orders)
    if alone:
        readings = {name: reading for name, reading in state.history.readings.items() if name not in ALWAYS}
        alerts = {key: alert for key, alert in state.alerts.items() if alert.probe not in ALWAYS}
        state = replace(state, alerts=alerts, history=replace(state.history, readings=readings))
    decision = decide(state, observation, orders)
    if doubtful := _doubtful(decision):
        decision = await _counted(decision, doubtful, probes, orders, deadline)
    # What would have to be confirmed and cannot be any more counts: this is the only check there is.
    left = _doubtful(decision)
    book = {
        key: replace(alert, state="firing", fired_at=alert.counted_at) if alert in left else alert
        for key, alert in decision.state.alerts.items()
    }
    history = decision.state.history
    silences.covered((), book, decision.state.alerts, decision.state.silences, history, orders, observation.now)
    at = datetime.fromtimestamp(history.at, UTC) if history.at is not None else observation.now
    return build_report(history, book, orders, at), effective(orders, history)


def _carried(observation: Observation, history: History, orders: StandingOrders) -> Observation:
    """The observation, and what a daemon that is on time has found which takes longer than a check may."""
    readings = dict(observation.readings)
    for subject in registered():
        reading, last = readings.get(subject.name), history.reading(subject.name)
        if subject.carried is None or reading is None or reading.failure is not None or last is None:
            continue
        age = observation.now.timestamp() - history.taken_at.get(subject.name, 0.0)
        if not 0 <= age <= orders.late_after.total_seconds():
            continue
        has = {(one.name, one.labels) for one in reading.samples}
        more = (one for one in last.samples if subject.carried(one) and (one.name, one.labels) not in has)
        readings[subject.name] = replace(reading, samples=(*reading.samples, *more))
    return replace(observation, readings=readings)


def _doubtful(decision: Decision) -> list[Alert]:
    """Alerts that rest on a cheap counter, and that an exact count could refute."""
    return [a for a in decision.state.alerts.values() if a.state == "pending" and a.count > 0]


async def _counted(
    decision: Decision, doubtful: Sequence[Alert], probes: Sequence[Probe], orders: StandingOrders, deadline: float
) -> Decision:
    """The decision after a second check that counts exactly, or the first where that check did not succeed."""
    left = deadline - asyncio.get_running_loop().time()
    if left < _AGAIN_SECONDS:
        return decision
    names = {alert.probe for alert in doubtful}
    exact = frozenset().union(*(alert.finding.needs_exact for alert in doubtful))
    observation = await observe(probes, CycleRequest(trigger="cli", probes=names, exact=exact, once=True), left)
    if any(reading.failure is not None for reading in observation.readings.values()):
        return decision
    return decide(decision.state, observation, orders)
