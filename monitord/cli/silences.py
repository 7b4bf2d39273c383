"""What operators ask of the daemon through its state directory: silence, silences, unsilence, ack, forget."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from monitord.cli import CommandSettings, Subparsers, command, note, noted_settings, say, stdout_terminal
from monitord.cli.base import MISTAKE, in_state_directory, over_state, run_once
from monitord.config.loader import Settings
from monitord.core import humanize
from monitord.core.alerting import commands
from monitord.core.alerting.silences import covers, ended_by_forgetting, forgotten, quiet_until
from monitord.core.engine import State
from monitord.core.model import Command, Silence
from monitord.core.orders import StandingOrders
from monitord.jsonable import document
from monitord.reporting.silences import about, covered_by, silence_fields, silences_text, spell
from monitord.reporting.terminal import clean
from monitord.storage.inbox import COMMANDS_BUSY_SECONDS, ask, read_waiting
from monitord.storage.lock import holder
from monitord.storage.reader import read_snapshot
from monitord.storage.schema import SnapshotUnavailable

_SECONDS: Final = 2 * COMMANDS_BUSY_SECONDS


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "silence",
        _silence,
        "Keeps alerts of a subject from being notified: they are judged and recorded as ever, and fire if they "
        "still stand when the silence ends. With --every it is a maintenance window. Exits 0, 2 for mistakes, 3 when "
        "the snapshot cannot be read or written.",
    )
    parser.add_argument("subject", metavar="SUBJECT", help="a service, table, queue, …; a shell pattern; '*': the host")
    parser.add_argument("--rule", default="", metavar="R", help="only alerts of this rule (default: any)")
    parser.add_argument(
        "--for", dest="lasts", default=commands.DEFAULT_LENGTH, metavar="D", help="how long (default: 2h)"
    )
    parser.add_argument("--every", default="", metavar="CRON", help="from each of these times on (five fields, UTC)")
    parser.add_argument("--reason", default="", metavar="TEXT", help="what for: it stands in the list of silences")
    command(
        subparsers,
        "silences",
        lambda arguments: look("silences", _listed_json if arguments.format == "json" else _listed_text),
        "Lists the silences with what they cover now. Exits 0, 2 where no monitord has run, 3 when its "
        "snapshot cannot be read.",
        formats=("text", "json"),
    )
    parser = command(
        subparsers,
        "unsilence",
        lambda asked: put("unsilence", lambda held, now: commands.unsilence(now, asked.id, held.silences), _unsilenced),
        "Ends a silence: what it covers and still stands fires. Exits 0, 2 for mistakes, 3 when the "
        "snapshot cannot be read or written.",
    )
    parser.add_argument("id", metavar="ID", help="as monitord silences has it, or the beginning of it")
    parser = command(
        subparsers,
        "ack",
        lambda asked: put(
            "ack", lambda held, now: commands.ack(now, asked.alert_id, held.state.alerts.values()), _acknowledged
        ),
        "Acknowledges an alert: it fires on, without reminders, until it ends or grows worse. Exits 0, 2 "
        "for mistakes, 3 when the snapshot cannot be read or written.",
    )
    parser.add_argument("alert_id", metavar="ALERT_ID", help="its id, or at least the first four characters of it")
    parser = command(
        subparsers,
        "forget",
        lambda asked: put(
            "forget", lambda held, now: commands.forget(now, asked.subject, held.state, held.orders), _forgotten
        ),
        "Takes a service out of the roster that monitord has learned, and ends its alerts. What "
        "MONITORD_ORDERS__SERVICES names is expected all the same. `postgres` forgets which database it was: the one "
        "that is read next is the known one. Exits 0, 2 for mistakes, 3 when the snapshot cannot be read or written.",
    )
    parser.add_argument("subject", metavar="SUBJECT", help="the service's name in PM2, or postgres")


def _silence(arguments: argparse.Namespace) -> int:
    def request(held: HeldState, now: datetime) -> Command:
        if len(held.silences) >= commands.MOST_SILENCES:
            raise ValueError(f"there are {len(held.silences)} silences already; see monitord silences")
        return commands.silence(
            now,
            arguments.subject,
            rule=arguments.rule,
            lasts=arguments.lasts,
            every=arguments.every,
            reason=arguments.reason,
            known=commands.subjects(held.state, held.orders),
        )

    return put("silence", request, _silence_answer)


def _silence_answer(held: HeldState, command: Command, now: datetime) -> Iterable[str]:
    silence = command.silence
    assert silence is not None  # noqa: S101 - it was just made
    every = f" (every {silence.every})" if silence.every else ""
    yield f"{silence.id}: {about(silence)} is quiet {spell(silence, now)}{every}."
    if covered := [f"{a.rule} {a.subject}" for a in covered_by(silence, held.state.alerts.values())]:
        when = "now" if quiet_until(silence, now) is not None else "when it begins, if it stands"
        yield f"It covers {humanize.listed(covered)} {when}."
    elif not any(covers(silence, silence.rule, subject) for subject in commands.subjects(held.state, held.orders)):
        yield "Nothing that is watched now is called so."


def _listed_json(held: HeldState, now: datetime) -> str:
    alerts = held.state.alerts.values()
    return document(
        {
            "silences": [
                silence_fields(one, now)
                | {"heard": one.id in held.state.silences, "covers": [alert.id for alert in covered_by(one, alerts)]}
                for one in held.silences.values()
            ]
        }
    )


def _listed_text(held: HeldState, now: datetime) -> str:
    waiting = frozenset(held.silences) - frozenset(held.state.silences)
    screen = stdout_terminal()
    return silences_text(tuple(held.silences.values()), waiting, held.state.alerts, now, screen)


def _unsilenced(held: HeldState, command: Command, _: datetime) -> Iterable[str]:
    yield f"{command.target}: {about(held.silences[command.target])} is not quiet any more."
    quiet = [f"{a.rule} {a.subject}" for a in held.state.alerts.values() if a.silenced_by == command.target]
    if quiet:
        yield f"It kept {humanize.listed(quiet)} quiet, which will fire if nothing else covers it."


def _acknowledged(held: HeldState, command: Command, _: datetime) -> Iterable[str]:
    alert = next(a for a in held.state.alerts.values() if a.id == command.target)
    yield f"{alert.id}: {alert.rule} of {alert.subject} is acknowledged until it ends or grows worse."


def _forgotten(held: HeldState, command: Command, _: datetime) -> Iterable[str]:
    name = command.target
    history = held.state.history
    yield from forgotten(name, history, held.orders)
    if ending := ended_by_forgetting(name, held.state.alerts, history, held.orders):
        yield f"{humanize.listed([alert.rule for alert in ending])} {'ends' if len(ending) == 1 else 'end'}."
    service = history.services.get(name)
    if service is not None and any(life.state == "online" for life in service.lives.values()):
        yield f"It was online when monitord last checked: while PM2 runs it, it is learned again (pm2 delete {name})."


@dataclass(frozen=True, slots=True)
class HeldState:
    """What the daemon on the state directory holds, and what it has not applied yet."""

    settings: Settings
    orders: StandingOrders
    state: State
    waiting: tuple[Command, ...]
    runs: bool

    @property
    def silences(self) -> dict[str, Silence]:
        """As they will be once what waits is applied."""
        return commands.awaited(self.state.silences, self.waiting)


CommandMaker = Callable[[HeldState, datetime], Command]
Sentences = Callable[[HeldState, Command, datetime], Iterable[str]]


def put(name: str, request: CommandMaker, answer: Sentences) -> int:
    """What cannot be requested (ValueError) is one line on stderr and 2; what cannot be read or written, one and 3."""
    now = datetime.now(UTC)

    def leave(found: CommandSettings) -> str:
        held = read(found)
        command = request(held, now)
        ask(found.settings.state_dir, command)
        return _answered(held, answer(held, command, now))

    return _run(name, leave)


def look(name: str, answer: Callable[[HeldState, datetime], str]) -> int:
    now = datetime.now(UTC)
    return _run(name, lambda found: answer(read(found), now))


def read(found: CommandSettings) -> HeldState:
    """What there is. Raises SnapshotUnavailable where no daemon has run, and STATE_ERRORS."""
    settings = found.settings
    snapshot = read_snapshot(settings.state_dir)
    if snapshot is None:
        raise SnapshotUnavailable(f"no monitord has run on {settings.state_dir} yet")
    runs = holder(settings.state_dir) is not None
    return HeldState(settings, found.orders, snapshot.state, read_waiting(settings.state_dir), runs)


def _answered(held: HeldState, lines: Iterable[str]) -> str:
    every = humanize.duration(held.settings.check_interval.total_seconds())
    when = (
        f"monitord applies it within a cycle ({every})."
        if held.runs
        else f"No monitord runs on {held.settings.state_dir}: it takes effect when one does."
    )
    screen = stdout_terminal()
    return "\n".join(line for text in (*lines, when) for line in screen.wrapped(text, indent="")) + "\n"


def _run(name: str, work: Callable[[CommandSettings], str]) -> int:
    found = noted_settings()
    return run_once(over_state(name, found.settings.state_dir, _say(name, found, work)))


async def _say(name: str, found: CommandSettings, work: Callable[[CommandSettings], str]) -> int:
    try:
        say(await in_state_directory(work, found, timeout=_SECONDS))
    except (ValueError, SnapshotUnavailable) as error:
        note(f"monitord {name}: {clean(str(error))}")
        return MISTAKE
    return 0
