"""`monitord unsilence`: ends a silence before its time."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from monitord.cli.requests import HeldState, put
from monitord.core import humanize
from monitord.core.alerting import commands
from monitord.core.model import Command
from monitord.reporting.silences import about


def add(subparsers: Any) -> None:
    """Put `unsilence` on the command line."""
    parser = subparsers.add_parser(
        "unsilence",
        help="end a silence before its time",
        description="Ends a silence: what it covers and still stands fires. Exits 0, 2 for mistakes, 3 when the "
        "snapshot cannot be read or written.",
    )
    parser.add_argument("id", metavar="ID", help="as monitord silences has it, or the beginning of it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask for it, say it, and return the exit code."""
    return put("unsilence", lambda held, now: commands.unsilence(now, arguments.id, held.silences), _tells)


def _tells(held: HeldState, command: Command, _: datetime) -> Iterable[str]:
    yield f"{command.target}: {about(held.silences[command.target])} is not quiet any more."
    quiet = [f"{a.rule} {a.subject}" for a in held.state.alerts.values() if a.silenced_by == command.target]
    if quiet:
        yield f"It kept {humanize.listed(quiet)} quiet, which will fire if nothing else covers it."
