"""What the commands that ask something of the daemon share: what it holds, and a command that is left for it."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from monitord.cli import CommandSettings, find_settings
from monitord.cli.base import note, run_once, say
from monitord.config.loader import Settings
from monitord.core import humanize
from monitord.core.alerting import commands
from monitord.core.engine import State
from monitord.core.model import Command, Silence
from monitord.core.orders import StandingOrders
from monitord.reporting.terminal import clean, terminal
from monitord.storage.commands import BUSY_SECONDS, CommandsUnavailable, ask, read_waiting
from monitord.storage.lock import holder
from monitord.storage.reader import read_snapshot
from monitord.storage.schema import UnusableSnapshot
from monitord.threads import WorkerBusy, WorkerThread

_SECONDS: Final = 2 * BUSY_SECONDS
MISTAKE: Final = 2
UNREADABLE: Final = 3


@dataclass(frozen=True, slots=True)
class HeldState:
    """What the daemon on the state directory holds, and what it has not heard yet. `runs` is whether there is one."""

    settings: Settings
    orders: StandingOrders
    state: State
    waiting: tuple[Command, ...]
    runs: bool

    @property
    def silences(self) -> dict[str, Silence]:
        """As they will be once what waits is heard."""
        return commands.awaited(self.state.silences, self.waiting)


Asker = Callable[[HeldState, datetime], Command]
Teller = Callable[[HeldState, Command, datetime], Iterable[str]]


def put(name: str, asks: Asker, tells: Teller) -> int:
    """Ask the daemon for what `asks` makes of what it holds, and say what `tells` says. Returns the exit code.

    What cannot be asked (a ValueError) is one line on stderr and 2; what cannot be read or written is one and 3.
    """
    now = datetime.now(UTC)

    def leave(found: CommandSettings) -> str:
        held = read(found)
        command = asks(held, now)
        ask(found.settings.state_dir, command)
        return _told(held, tells(held, command, now))

    return run_once(_say(name, leave))


def look(name: str, tells: Callable[[HeldState, datetime], str]) -> int:
    """Say what `tells` says of what the daemon holds, and ask nothing of it. Returns the exit code."""
    now = datetime.now(UTC)
    return run_once(_say(name, lambda found: tells(read(found), now)))


def read(found: CommandSettings) -> HeldState:
    """What there is. Raises CannotAsk where no daemon has run, and Unusable where its snapshot cannot be read."""
    settings = found.settings
    snapshot = read_snapshot(settings.state_dir)
    if snapshot is None:
        raise CommandsUnavailable(f"no monitord has run on {settings.state_dir} yet")
    runs = holder(settings.state_dir) is not None
    return HeldState(settings, found.orders, snapshot.state, read_waiting(settings.state_dir), runs)


def _told(held: HeldState, lines: Iterable[str]) -> str:
    """What is said, and when it holds."""
    every = humanize.duration(held.settings.check_interval.total_seconds())
    when = (
        f"monitord hears of it within a cycle ({every})."
        if held.runs
        else f"No monitord runs on {held.settings.state_dir}: it takes effect when one does."
    )
    screen = terminal(sys.stdout.isatty(), os.environ)
    return "\n".join(line for text in (*lines, when) for line in screen.wrapped(text, indent="")) + "\n"


async def _say(name: str, work: Callable[[CommandSettings], str]) -> int:
    """Say what `work` has to say, done on a thread: a state directory may hang."""
    found = find_settings()
    if found.word:
        note(found.word)
    settings = found.settings
    lane = WorkerThread("state directory")
    try:
        said = await lane.run(work, found, timeout=_SECONDS)
    except (ValueError, CommandsUnavailable) as error:
        note(f"monitord {name}: {clean(str(error))}")
        return MISTAKE
    except (TimeoutError, WorkerBusy):
        note(f"monitord {name}: the state directory {settings.state_dir} does not answer")
        return UNREADABLE
    except (UnusableSnapshot, OSError, sqlite3.Error) as error:
        note(f"monitord {name}: {clean(str(error))}")
        return UNREADABLE
    finally:
        lane.close()
    say(said)
    return 0
