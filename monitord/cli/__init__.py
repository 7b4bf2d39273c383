"""The commands, one file each and thin: what the command line asks for, in terms of the packages below."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeAlias

if TYPE_CHECKING:
    from monitord.config.loader import Settings
    from monitord.config.record import DaemonRecord
    from monitord.core.orders import StandingOrders
    from monitord.reporting.terminal import Terminal

# What `add` puts a command on; argparse has no public name for it.
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


# Name -> its line in --help. Each is in the module of that name beside this one, or in that of MODULES.
COMMANDS: Final = {
    "init": "find what is there, ask what to watch, and write or print a .env that would",
    "run": "the daemon, in the foreground",
    "check": "every probe once, now; exit 0 OK, 1 warning, 2 critical, 3 unknown",
    "status": "what the running daemon holds; exit codes as check, 3 when none runs",
    "report": "the morning verdict: GO, NO-GO or UNKNOWN, with its evidence",
    "alerts": "incidents, open and closed",
    "silence": "keep pages away on purpose, for a while or by the clock",
    "silences": "what is quiet on purpose, and until when",
    "unsilence": "end a silence before its time",
    "ack": "say that somebody knows of an alert: no more reminders",
    "forget": "a service was retired on purpose: expect it no more",
    "backtest": "what other thresholds would have fired on the recording",
    "verify": "recompute sealed roots: MATCH, MISMATCH, UNVERIFIABLE; exit codes as check",
    "proof": "a participant's merkle proof, checked against what is stored",
    "notify": "test the channels: `notify test` sends one message through each",
    "config": "the effective settings, secrets masked",
    "pm2-config": "an ecosystem file that has PM2 run this installation",
    "logs": "the log as readable text: as it is written, from a pipe or from a file",
    "completion": "the completion script of a shell",
    "demo": "a real fleet in miniature, watched, broken and mended",
}

MODULES: Final = dict.fromkeys(("silence", "unsilence", "ack", "forget"), "silences") | {"pm2-config": "pm2_config"}


def command(
    subparsers: Subparsers,
    name: str,
    run: Callable[[argparse.Namespace], int],
    description: str = "",
    formats: tuple[str, ...] = (),
    **more: Any,
) -> argparse.ArgumentParser:
    """With `--format` where it knows several (the first is the default)."""
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=COMMANDS[name], description=description, **more)
    parser.set_defaults(run=run)
    if formats:
        parser.add_argument("--format", choices=formats, default=formats[0], help=f"default: {formats[0]}")
    return parser


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """The settings of a command, and whose they are: `borrowed` ones are the daemon's, the shell having none.

    `environ` and `directory` are where they were read from, `record` is what the daemon on the state directory has left
    of its own. `trouble` says why the daemon's could not be read though they were searched; "" otherwise.
    """

    settings: Settings
    sources: Mapping[str, str]
    environ: Mapping[str, str]
    directory: Path
    files: tuple[Path, ...]
    record: DaemonRecord | None = None
    borrowed: bool = False
    trouble: str = ""
    withheld: tuple[str, ...] = ()

    @property
    def orders(self) -> StandingOrders:
        """As the daemon recorded; where there is no record, what these settings say."""
        from monitord.config.loader import standing_orders

        return standing_orders(self.settings) if self.record is None else self.record.orders

    @property
    def origins(self) -> Mapping[str, str]:
        """By variable where its value is from, those that are set to nothing included."""
        from monitord.config.loader import set_to_nothing

        return {**self.sources, **set_to_nothing(self.environ, self.directory)}

    @property
    def judges_nothing(self) -> tuple[str, ...]:
        """The settings that name what nothing judges, a sentence each without its full stop."""
        from monitord.config.judging import judges_nothing

        return tuple(judges_nothing(self.settings, self.sources))

    @property
    def word(self) -> str:
        """Which files were read, in a sentence without its full stop; "" where they are those of the directory."""
        if not self.borrowed and all(path.parent == self.directory for path in self.files):
            return ""
        whose = f"settings of the daemon on {self.settings.state_dir}" if self.borrowed else "settings"
        return f"{whose}: {', '.join(map(str, self.files))}" if self.files else ""


def add_subjects() -> None:
    """Add the subjects of packages that are installed beside monitord; what cannot be used is unknown, and says so."""
    from importlib.metadata import entry_points

    from monitord.core.subjects.registry import ENTRY_POINTS

    found = entry_points(group=ENTRY_POINTS)
    if found:
        from monitord.cli.packages import add

        add(found)


def load_settings() -> Settings:
    """With mistakes in them, one line each on stderr and exit 2."""
    return find_settings().settings


def noted_settings() -> CommandSettings:
    """As `find_settings`; which files were read is a line on stderr, where they are not those of the directory."""
    found = find_settings()
    if found.word:
        note(found.word)
    return found


def find_settings() -> CommandSettings:
    """The shell's own settings, or, where it has none, those of the daemon that owns the state directory.

    A shell has settings of its own where MONITORD_* is set in its environment or a file of the working directory, or
    MONITORD_ENV_FILE (--env-file) names a file. Where the state directory is does not count, nor do DATABASE_URL and
    its like, which are there for others. Mistakes are one line each on stderr, and exit 2.
    """
    # They cost a third of a second, and not every command needs them.
    from monitord.config.loader import SettingsError, load_with_sources, variables
    from monitord.config.record import elsewhere, hidden, read_record
    from monitord.config.settings import ALIASES, variable_of
    from monitord.config.sources import ENV_FILE, files_of

    directory = Path.cwd()
    try:
        settings, sources = load_with_sources(os.environ, directory)
    except SettingsError as error:
        raise SystemExit(refused(error.mistakes)) from None
    own = CommandSettings(settings, sources, os.environ, directory, tuple(files_of(os.environ, directory)))
    place = variable_of("state_dir")
    aliased = {f"{alias})" for alias in ALIASES}
    own_names = {name for name, source in sources.items() if source.partition("(")[2] not in aliased}
    record = read_record(settings.state_dir)
    if record is None and (why := hidden(settings.state_dir)):
        return replace(own, trouble=why)
    if os.environ.get(ENV_FILE) or own_names - {place}:
        return replace(own, record=record)
    if record is None and place not in sources:
        others = elsewhere()
        if len(others) > 1:
            names = ", ".join(map(str, others))
            return replace(own, trouble=f"several daemons have run here, and MONITORD_STATE_DIR names none of {names}")
        if others:
            settings = replace(settings, state_dir=others[0])
            record = read_record(others[0])
    if record is None:
        return own
    environ = {name: text for name, text in record.environment.items() if name in variables()}
    environ[place] = str(settings.state_dir)
    if record.env_file:
        environ[ENV_FILE] = record.env_file
    there = Path(record.directory)
    missing = [path for path in record.files if not os.access(path, os.R_OK)]
    try:
        if missing:
            raise SettingsError(tuple(f"{path} cannot be read" for path in missing))
        with chdir(there):  # what is relative in them is relative to there
            settings, sources = load_with_sources(environ, there)
    except (SettingsError, OSError) as error:
        why = "; ".join(error.mistakes) if isinstance(error, SettingsError) else f"{there}: {error.strerror}"
        trouble = f"the settings of the daemon on {settings.state_dir} cannot be read: {why}"
        return replace(own, settings=settings, record=record, trouble=trouble)
    files = tuple(files_of(environ, there))
    return CommandSettings(settings, sources, environ, there, files, record, borrowed=True, withheld=record.withheld)


def say(text: str) -> None:
    """Write to stdout, whatever its encoding can carry, and see it leave."""
    _write(sys.stdout, text)
    sys.stdout.flush()


def note(text: str) -> None:
    _write(sys.stderr, f"{text}\n")


def refused(mistakes: Iterable[str]) -> int:
    from monitord.reporting.terminal import clean

    for mistake in mistakes:
        note(clean(mistake))
    return 2


def stdout_terminal() -> Terminal:
    from monitord.reporting.terminal import terminal

    return terminal(sys.stdout.isatty(), os.environ)


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding, "replace"))
