"""`monitord ack`: an operator knows of an alert; it goes on firing, and nobody is reminded of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from monitord.cli.requests import HeldState, put
from monitord.core.alerting import commands
from monitord.core.model import Command


def add(subparsers: Any) -> None:
    """Put `ack` on the command line."""
    parser = subparsers.add_parser(
        "ack",
        help="say that somebody knows of an alert: no more reminders",
        description="Acknowledges an alert: it fires on, without reminders, until it ends or grows worse. Exits 0, 2 "
        "for mistakes, 3 when the snapshot cannot be read or written.",
    )
    parser.add_argument("alert_id", metavar="ALERT_ID", help="its id, or at least the first four characters of it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask for it, say it, and return the exit code."""
    return put("ack", lambda held, now: commands.ack(now, arguments.alert_id, held.state.alerts.values()), _tells)


def _tells(held: HeldState, command: Command, _: datetime) -> Iterable[str]:
    alert = next(a for a in held.state.alerts.values() if a.id == command.target)
    yield f"{alert.id}: {alert.rule} of {alert.subject} is acknowledged until it ends or grows worse."
