"""The command line: argv to a command, its exit code back. A command's room is imported only when it is asked for."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NoReturn

from monitord import __version__
from monitord.cli import COMMANDS, MODULES, add_subjects

# They read no settings, or bring their own.
WITHOUT_SETTINGS: Final = frozenset({"completion", "demo", "pm2-config"})
ENV_FILE: Final = "MONITORD_ENV_FILE"
# New objects after which Python looks for garbage, where the daemon keeps to Python's own 700: a command imports for
# most of its time, which leaves none.
OBJECTS: Final = 20_000


class _Parser(argparse.ArgumentParser):
    """A mistake in the command line is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _Help(argparse.HelpFormatter):
    """Commands stand two columns further in than argparse makes room for."""

    def format_help(self) -> str:
        self._action_max_length += 2
        return super().format_help()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code; argparse itself exits 2 on a mistake in the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    asked = next((word for word in arguments if not word.startswith("-")), None)
    if asked == "run":
        _stop_quietly()
    else:
        gc.set_threshold(OBJECTS)
    try:
        parsed = command_line(asked).parse_args(arguments)
        if getattr(parsed, "env_file", None):
            os.environ[ENV_FILE] = parsed.env_file
        if parsed.command not in WITHOUT_SETTINGS:
            add_subjects()
        code: int = parsed.run(parsed)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `monitord check | head`: what is still to be written must not fail once more at the end
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def command_line(asked: str | None) -> argparse.ArgumentParser:
    """The parser of the command that is asked for; the others are in it by name only, unless it is to complete them."""
    parser = _Parser(
        prog="monitord",
        formatter_class=_Help,
        description="Watches a fleet under PM2, with its Postgres, Redis and host; judges it and notifies.",
        epilog="`monitord COMMAND --help` says more. Settings are MONITORD_* in the environment or .env.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"monitord {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wanted = MODULES.get(asked or "", asked)
    for name, summary in COMMANDS.items():
        if name in subparsers.choices:  # its module has put it there with another of its commands
            continue
        # Only the command that runs is imported: `check` need not pay for the demo, nor the daemon for `init`.
        module = MODULES.get(name, name)
        if wanted in (module, "completion"):
            known = set(subparsers.choices)
            importlib.import_module(f"monitord.cli.{module}").add(subparsers)
            for added in set(subparsers.choices) - known - WITHOUT_SETTINGS:
                _take_env_file(subparsers.choices[added])
        else:
            subparsers.add_parser(name, help=summary)
    parser.set_defaults(command_line=parser)
    return parser


def _take_env_file(parser: argparse.ArgumentParser) -> None:
    """Let a command, or each of its own commands, take where its settings are."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in inner:
        for each in action.choices.values():
            _take_env_file(each)
    if not inner:
        parser.add_argument("--env-file", metavar="FILE", help=f"the settings, in place of ./.env (or {ENV_FILE})")


def _stop_quietly() -> None:
    """Before the daemon has its handlers: asked to stop, end well (nothing has begun); asked to reload, go on."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
