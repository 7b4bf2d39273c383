"""`monitord alerts`: incidents, open and closed, from what the daemon has recorded."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from monitord.cli import Subparsers, command, noted_settings
from monitord.cli.base import answer, in_state_directory, length, over_state, run_once
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
    directory = noted_settings().settings.state_dir
    return run_once(over_state("alerts", directory, _alerts(directory, now - back, now, arguments.format)))


async def _alerts(directory: Path, since: datetime, now: datetime, style: str) -> int:
    found = await in_state_directory(read_incidents, directory, since, timeout=_LOOK_SECONDS)
    return answer(
        style,
        lambda: {"since": since, "until": now, "incidents": [incident_fields(one, now) for one in found]},
        lambda screen: incidents_text(found, since, now, screen),
    )
