"""`monitord logs`: the JSON lines as readable text, from the daemon's files as they grow, from a pipe or from a file.

It starts fast and reads on for days: nothing is imported that only the daemon needs, and no line is kept.
"""

from __future__ import annotations

import argparse
import errno
import os
import select
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from monitord.cli import Subparsers, command, load_settings, note, say, stdout_terminal
from monitord.core import units
from monitord.core.names import is_pattern
from monitord.logging.reader import READ_SECONDS, Files, Line, Splitter, hourly_files
from monitord.reporting.log_lines import LEVELS, LogEntry, Selection, entry, line_json, line_text
from monitord.reporting.terminal import clean

if TYPE_CHECKING:
    from monitord.config.loader import Settings

UNREADABLE: Final = 3
STDIN: Final = "-"
_LINES: Final = 50
_LOOK_SECONDS: Final = 0.25
_CHUNK_BYTES: Final = 2**16
_AT_ONCE: Final = 256
_STDIN: Final = 0

T = TypeVar("T")


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "logs",
        run,
        "Shows the daemon's JSON lines as text: the time (UTC), the level, the event, the sentence, and "
        "the fields that matter. Without FILE it follows the files in the state directory, across the hours; what is "
        "piped into it is read to its end (`pm2 logs monitord --raw | monitord logs`). Lines of others are dimmed.",
        epilog="NAME may be a pattern, as 'alert_*'. With --level, --event, --subject or --since, lines of others are "
        "left out. NO_COLOR=1 turns colour off, FORCE_COLOR=1 on.",
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="read this file; - for the standard input")
    parser.add_argument(
        "--follow",
        action=argparse.BooleanOptionalAction,
        help="wait for more, or print what there is and end; either means the files, whatever is piped in",
    )
    parser.add_argument(
        "-n", "--lines", metavar="N", help="begin with the last N lines (default: 50 of the daemon's files, else all)"
    )
    parser.add_argument("--since", metavar="D", help="begin with what is no older than this: 2h, 30m")
    parser.add_argument("--level", choices=LEVELS, default=LEVELS[0], help="only what is at least as bad")
    parser.add_argument("--event", action="append", default=[], metavar="NAME", help="only this event; repeatable")
    parser.add_argument(
        "--subject",
        "--service",
        action="append",
        default=[],
        metavar="NAME",
        help="only what is about this (a service, a table, a group); repeatable",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: the lines as they are")
    parser.add_argument("-v", "--verbose", action="store_true", help="with every field, evidence included")


def run(arguments: argparse.Namespace) -> int:
    try:
        lines = None if arguments.lines is None else _of("--lines", units.whole, arguments.lines)
        back = None if arguments.since is None else _of("--since", units.duration, arguments.since)
    except ValueError as error:
        note(clean(str(error)))
        return 2
    since = None if back is None else datetime.now(UTC) - back
    shown = _Shown(arguments, Selection(arguments.level, tuple(arguments.event), tuple(arguments.subject), since))
    try:
        if arguments.file == STDIN or (arguments.file is None and arguments.follow is None and _is_fed()):
            _pour(_STDIN, shown, lines)
        elif arguments.file is None:
            _daemon(shown, lines, follow=arguments.follow is not False)
        elif arguments.follow and Path(arguments.file).is_file():
            _files(Files(lambda: [Path(arguments.file)]), shown, lines, follow=True)
        else:
            descriptor = os.open(arguments.file, os.O_RDONLY | os.O_CLOEXEC)
            _pour(descriptor, shown, lines)
    except BrokenPipeError:
        raise
    except TimeoutError:
        note(f"monitord logs: the disk does not answer (for {READ_SECONDS:g} s)")
        return UNREADABLE
    except OSError as error:
        where = error.filename or arguments.file or "standard input"
        note(f"monitord logs: {clean(str(where))}: {error.strerror or type(error).__name__}")
        return UNREADABLE
    return 0


def _of(option: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


class _Shown:
    def __init__(self, arguments: argparse.Namespace, selection: Selection) -> None:
        self.since = selection.since
        self._selection = selection
        self._is_json = arguments.format == "json"
        self._verbose = bool(arguments.verbose)
        self._screen = stdout_terminal()

    def wanted(self, line: Line) -> LogEntry | None:
        one = entry(line.data, line.missing)
        if self._selection.subjects:
            self._selection = self._selection.after(one)
        return one if self._selection.takes(one) else None

    def knows(self, subjects: Callable[[], frozenset[str]]) -> None:
        """Learns what is called how, where what is asked for may be a pattern or a name."""
        if any(map(is_pattern, self._selection.subjects)):
            self._selection = replace(self._selection, known=subjects())

    def say(self, entries: Iterable[LogEntry]) -> None:
        if self._is_json:
            text = "".join(map(line_json, entries))
        else:
            text = "".join(line_text(one, self._screen, verbose=self._verbose) for one in entries)
        if text:
            say(text)

    def pass_on(self, lines: Iterable[Line]) -> None:
        self.say(one for line in lines if (one := self.wanted(line)) is not None)


def _is_fed() -> bool:
    """Whether somebody gives us lines to read: a terminal, /dev/null and nothing at all do not."""
    try:
        mode = os.fstat(_STDIN).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _pour(descriptor: int, shown: _Shown, last: int | None) -> None:
    """Show what comes from a descriptor, as it comes; of `last` lines only, when all has come."""
    if last is None:
        for lines in _pieces(descriptor):
            shown.pass_on(lines)
        return
    kept: deque[LogEntry] = deque(maxlen=last)
    for lines in _pieces(descriptor):
        kept.extend(one for line in lines if (one := shown.wanted(line)) is not None)
    shown.say(kept)


def _pieces(descriptor: int) -> Iterator[list[Line]]:
    splitter = Splitter()
    while True:
        try:
            piece = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:  # whoever shares the pipe made it non-blocking
            select.select([descriptor], [], [])
            continue
        if not piece:
            yield splitter.end()
            return
        yield splitter.feed(piece)


def _daemon(shown: _Shown, last: int | None, *, follow: bool) -> None:
    """Show what the daemon on the state directory has written; OSError where it has not, unless we may wait for it."""
    from monitord.threads import in_time

    settings = load_settings()
    shown.knows(lambda: _subjects(settings))
    directory = settings.state_dir / "logs"
    try:
        if not in_time(lambda: hourly_files(directory), READ_SECONDS, "log files"):
            raise FileNotFoundError(errno.ENOENT, "There are no log files", str(directory))
    except FileNotFoundError as error:
        if not follow:
            raise
        note(f"monitord logs: waiting for the first line in {clean(str(directory))} ({error.strerror})")
    _files(Files(lambda: hourly_files(directory)), shown, _LINES if last is None else last, follow=follow)


def _subjects(settings: Settings) -> frozenset[str]:
    """What the daemon on the state directory knows by name; nothing where that cannot be read, which is said."""
    from monitord.cli.base import STATE_ERRORS, why_unreadable
    from monitord.config.loader import standing_orders
    from monitord.core.alerting.commands import subjects  # with what reads a snapshot: only for who asks by a pattern
    from monitord.storage.reader import read_snapshot
    from monitord.threads import in_time

    try:
        snapshot = in_time(lambda: read_snapshot(settings.state_dir), READ_SECONDS, "snapshot")
    except STATE_ERRORS as error:
        why = why_unreadable(error, settings.state_dir)
        note(f"monitord logs: {clean(why)}; what may be a pattern is read as one")
        return frozenset()
    return frozenset() if snapshot is None else subjects(snapshot.state, standing_orders(settings))


def _files(files: Files, shown: _Shown, last: int | None, *, follow: bool) -> None:
    if last is not None:
        shown.say(files.last(last, shown.wanted))
    while True:
        lines = files.new()
        while some := list(islice(lines, _AT_ONCE)):
            shown.pass_on(some)
        if not follow:
            shown.pass_on(files.end())
            return
        _wait(_LOOK_SECONDS)


def _wait(seconds: float) -> None:
    """BrokenPipeError where nobody reads us any more: of `| head` one would learn with the next line only."""
    output = sys.stdout.fileno()
    mode = os.fstat(output).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):  # not every system can wait for a terminal
        time.sleep(seconds)
        return
    waiting = select.poll()
    waiting.register(output, 0)
    if waiting.poll(seconds * 1000):
        raise BrokenPipeError
