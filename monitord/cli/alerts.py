"""`monitord alerts`: incidents, open and closed, from what the daemon has recorded."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from monitord.cli import Subparsers, command, say, stdout_terminal, told_settings
from monitord.cli.base import STATE_ERRORS, in_state_directory, length, run_once, unreadable
from monitord.config.loader import Settings
from monitord.jsonable import document
from monitord.reporting.incidents import incident_fields, incidents_text
from monitord.storage.reader import read_incidents

_LOOK_SECONDS = 10.0


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "alerts",
        run,
        "Lists the incidents of the last hours with their cause, what they explained, and how long they "
        "lasted. Exits 0, 2 for mistakes, 3 when the record cannot be read.",
        formats=("text", "json"),
    )
    parser.add_argument("--since", default="48h", metavar="D", help="how far back: 48h, 30m (default: 48h)")


def run(arguments: argparse.Namespace) -> int:
    back = length(arguments.since)
    now = datetime.now(UTC)
    found = told_settings()
    return run_once(_alerts(found.settings, now - back, now, arguments.format))


async def _alerts(settings: Settings, since: datetime, now: datetime, style: str) -> int:
    try:
        found = await in_state_directory(read_incidents, settings.state_dir, since, timeout=_LOOK_SECONDS)
    except STATE_ERRORS as error:
        return unreadable("alerts", error, settings.state_dir)
    if style == "json":
        say(document({"since": since, "until": now, "incidents": [incident_fields(one, now) for one in found]}))
    else:
        say(incidents_text(found, since, now, stdout_terminal()))
    return 0
