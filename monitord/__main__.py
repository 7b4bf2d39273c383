"""The command line: argv to a command, its exit code back. A command's room is imported only when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from monitord import __version__

# Name -> (what --help says of it). Each is a module of that name in monitord.commands.
COMMANDS: Final = {
    "init": "look at what is there and print a .env that would watch it",
    "run": "the daemon, in the foreground",
    "check": "every probe once, now; exit 0 OK, 1 warning, 2 critical, 3 unknown",
    "status": "what the running daemon holds; exit codes as check, 3 when none runs",
    "report": "the morning verdict: GO, NO-GO or UNKNOWN, with its evidence",
    "alerts": "incidents, open and closed",
    "backtest": "what other thresholds would have said of recorded nights",
    "notify": "try the ways out: `notify test` sends one message through each",
    "config": "the effective settings, secrets masked",
    "demo": "a real fleet in miniature, watched, broken and mended",
}


class _Parser(argparse.ArgumentParser):
    """A mistake in the command line is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code; argparse itself exits 2 on a mistake in the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _Parser(
        prog="monitord",
        description="Watches a fleet under PM2, with its Postgres, Redis and host; judges it and tells.",
        epilog="`monitord COMMAND --help` says more. Settings are MONITORD_* in the environment or .env.",
    )
    parser.add_argument("--version", action="version", version=f"monitord {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    asked = next((word for word in arguments if not word.startswith("-")), None)
    if asked == "run":
        _stop_quietly()
    for name, summary in COMMANDS.items():
        # Only the command that runs is imported: `check` need not pay for the demo, nor the daemon for `init`.
        if name == asked:
            importlib.import_module(f"monitord.commands.{name}").add(subparsers)
        else:
            subparsers.add_parser(name, help=summary)
    parsed = parser.parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `monitord check | head`
        return 141
    return code


def _stop_quietly() -> None:
    """Before the daemon can hear them: asked to stop, end well (nothing has begun); asked to reload, go on."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
