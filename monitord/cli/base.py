"""What the one-shot commands share: an end on time, and one reader of the state directory."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from monitord import threads
from monitord.cli import note, noted_settings, say, stdout_terminal
from monitord.config.settings import with_alias
from monitord.core import humanize, units
from monitord.core.merkle import Hash
from monitord.core.model import Observation
from monitord.failures import FailureError
from monitord.jsonable import document
from monitord.reporting.terminal import Terminal, clean, clip
from monitord.resolver import ResolverLoop
from monitord.storage.schema import DamagedSnapshot, UnusableSnapshot
from monitord.threads import WorkerBusy

if TYPE_CHECKING:
    from monitord.config.loader import Settings
    from monitord.postgres.session import Connection, Session

T = TypeVar("T")

# Names are looked up on the loop's own threads, which are left behind. Whatever else has a thread gets this long.
_PATIENCE_SECONDS: Final = 0.1
_THREADS: Final = "aside"
_SEALS_SECONDS: Final = 60.0
_PROGRESS_SECONDS: Final = 0.1
_PROGRESS_WIDTH: Final = 60
MISTAKE: Final = 2
UNREADABLE: Final = 3
INTERRUPTED: Final = 130
# What reading a state directory may raise.
STATE_ERRORS: Final = (UnusableSnapshot, OSError, sqlite3.Error, WorkerBusy)


def run_once(work: Coroutine[object, None, int]) -> int:
    """Run `work` to its exit code; Ctrl-C is a KeyboardInterrupt.

    Both asyncio and the interpreter would wait at the end for a thread that hangs: then the process ends without them.
    """
    with asyncio.Runner(loop_factory=ResolverLoop) as runner, _woken_by_signals(runner.get_loop()):
        return runner.run(_run(work))


@contextmanager
def _woken_by_signals(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Wakes the loop for a signal that reaches another thread, or comes just before it sleeps: Ctrl-C acts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, pythons = socket.socketpair()
    with ours, pythons:
        ours.setblocking(False)
        pythons.setblocking(False)
        loop.add_reader(ours, ours.recv, 4096)
        before = signal.set_wakeup_fd(pythons.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(ours)


async def _run(work: Coroutine[object, None, int]) -> int:
    executor = ThreadPoolExecutor(thread_name_prefix=_THREADS)
    asyncio.get_running_loop().set_default_executor(executor)
    try:
        code = await work
    except asyncio.CancelledError:  # Ctrl-C
        if not _ended(executor):
            _leave(INTERRUPTED)
        raise
    if not _ended(executor):
        _leave(code)
    return code


def _ended(executor: ThreadPoolExecutor) -> bool:
    executor.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_THREADS)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def in_state_directory(work: Callable[..., T], *arguments: object, timeout: float) -> T:
    """What `work` returns, done on a thread of its own: a state directory may hang. Raises STATE_ERRORS."""
    return await threads.run_once("state directory", partial(work, *arguments), timeout=timeout)


def why_unreadable(error: Exception, directory: Path) -> str:
    """Why the state directory could not be read, and what to do where that is known. Without a full stop."""
    if isinstance(error, TimeoutError | WorkerBusy):
        return f"the state directory {directory} does not answer"
    if isinstance(error, DamagedSnapshot):
        return f"{error}; it is damaged: monitord, when it is started, keeps it and goes on with what can be read of it"
    return str(error)


async def over_state(command: str, directory: Path, work: Awaitable[int]) -> int:
    """The exit code of `work` over a state directory; where that cannot be read, a line on stderr and UNREADABLE."""
    try:
        return await work
    except BrokenPipeError:  # nobody reads the answer any more
        raise
    except STATE_ERRORS as error:
        note(f"monitord {command}: {clean(why_unreadable(error, directory))}")
        return UNREADABLE


def answer(style: str, fields: Callable[[], Mapping[str, object]], text: Callable[[Terminal], str]) -> int:
    """Print what a command found, as JSON or for people; only what is printed is made. Returns 0."""
    say(document(fields()) if style == "json" else text(stdout_terminal()))
    return 0


def length(text: str, option: str = "--since") -> timedelta:
    """What an option gives as a length of time; where it is none, a line on stderr and exit 2."""
    try:
        found = units.duration(text)
        if not found:
            raise ValueError("it must be longer than nothing")
    except ValueError as error:
        note(f"{option}: {clean(str(error))}")
        raise SystemExit(MISTAKE) from None
    return found


def is_label(epoch: int) -> bool:
    """Whether `--epoch` can be a label; a line on stderr where it cannot."""
    if 0 <= epoch < 2**62:
        return True
    note("--epoch: a label is a number of seconds since 1970")
    return False


def postgres_session(settings: Settings) -> Session:
    """The caller closes it. FailureError: none is configured (`missing`), or its address is wrong (`internal`)."""
    from monitord.postgres.dsn import DsnError
    from monitord.postgres.session import Session

    if settings.postgres.dsn is None:
        raise FailureError("missing", f"{with_alias('MONITORD_POSTGRES__DSN')} is not set")
    try:
        return Session(settings.postgres.dsn.get_secret_value(), settings.postgres.ca_file)
    except DsnError as error:
        raise FailureError("internal", f"{with_alias('MONITORD_POSTGRES__DSN')}: {error}") from None


async def over_seals(command: str, work: Callable[[Settings, Session, Hash], Awaitable[int]]) -> int:
    """The exit code of `work` over the Postgres of the settings; of what it cannot have, a line on stderr."""
    from monitord.keccak import load_keccak256

    found = noted_settings()
    try:
        keccak256, session = load_keccak256(), postgres_session(found.settings)
    except FailureError as error:
        note(f"monitord {command}: {error.error}")
        return MISTAKE
    try:
        return await work(found.settings, session, keccak256)
    except FailureError as error:
        note(f"monitord {command}: {clean(error.error)}")
        return UNREADABLE
    finally:
        await session.close()


@asynccontextmanager
async def seals_read(session: Session) -> AsyncIterator[Connection]:
    """To read seals for a minute at most. FailureError: in terms of their tables."""
    from monitord.postgres import seals
    from monitord.postgres.errors import PostgresError

    try:
        async with session.read_only(_SEALS_SECONDS) as connection:
            yield connection
    except PostgresError as error:
        raise seals.explained(error) from error


class Progress:
    """One line on stderr, where that is a terminal, of how far something has come; gone at the end."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _PROGRESS_SECONDS
        self._shown = False

    def show(self, line: Callable[[], str]) -> None:
        if (now := time.monotonic()) < self._due or not sys.stderr.isatty():
            return
        self._due, self._shown = now + _PROGRESS_SECONDS, True
        sys.stderr.write("\r" + clip(line(), _PROGRESS_WIDTH).ljust(_PROGRESS_WIDTH))
        sys.stderr.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r" + " " * _PROGRESS_WIDTH + "\r")
            sys.stderr.flush()


def with_progress(
    observations: Iterable[Observation], begin: datetime, end: datetime, doing: str
) -> Iterable[Observation]:
    """The observations; where stderr is a terminal, a line there says how far they have come while they pass."""
    return _counted(observations, begin, end, doing) if sys.stderr.isatty() else observations


def _counted(observations: Iterable[Observation], begin: datetime, end: datetime, doing: str) -> Iterator[Observation]:
    total = humanize.duration(_minutes(end - begin))
    with Progress() as progress:
        for observation in observations:
            at = observation.now
            progress.show(lambda at=at: f"{doing} {humanize.duration(_minutes(at - begin))} of {total}")  # type: ignore[misc]
            yield observation


def _minutes(length: timedelta) -> float:
    """Whole minutes, in seconds, so that the line does not flicker."""
    return max(0.0, length.total_seconds() // 60 * 60)
