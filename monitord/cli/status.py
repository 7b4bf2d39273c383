"""`monitord status`: what the running daemon holds, from its snapshot; it asks nothing of what is watched."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from monitord.cli import CommandSettings, Subparsers, command, find_settings, say, stdout_terminal
from monitord.cli.base import STATE_ERRORS, in_state_directory, run_once, why_unreadable
from monitord.config.loader import standing_orders
from monitord.core import humanize
from monitord.core.model import Silence
from monitord.core.status import Fields, FleetStatus, field_names, read_status
from monitord.jsonable import document, revived
from monitord.reporting.sections import StatusView
from monitord.reporting.silences import in_force_line, silence_fields
from monitord.reporting.status import EXIT_CODES, CheckRhythm, stale, text
from monitord.storage.lock import holder
from monitord.storage.reader import read_snapshot

_LOOK_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class _Held:
    """The daemon's pid (0: not known, None: none runs), its last report and its fields, or why these cannot be read."""

    pid: int | None
    fields: Mapping[str, object] | None = None
    report: FleetStatus | None = None
    trouble: str | None = None
    silences: tuple[Silence, ...] = ()


def add(subparsers: Subparsers) -> None:
    command(
        subparsers,
        "status",
        run,
        "Says what the running daemon saw last: its last check, the alerts that fire. "
        "Exit codes as `check`; 3 when no daemon runs or when its last report is stale.",
        formats=("text", "json"),
    )


def run(arguments: argparse.Namespace) -> int:
    return run_once(_status(find_settings(), arguments.format))


async def _status(found: CommandSettings, style: str) -> int:
    settings = found.settings
    held = await _look(settings.state_dir)
    now = datetime.now(UTC)
    fields = _fields(held)
    at: datetime | None = fields["at"]
    age = None if at is None else max(timedelta(0), now - at)
    fields |= {"age_seconds": None if age is None else round(age.total_seconds(), 3), "pid": held.pid or None}
    fields["silences"] = [silence_fields(silence, now) for silence in held.silences]
    # By the rhythm of the daemon, not by that of the shell which asks.
    trouble = _trouble(held, age, settings.state_dir, found.record or settings)
    if trouble and (held.pid is None or fields["status"] != "critical"):
        fields["status"] = "unknown"
    if style == "json":
        say(document(fields | ({"error": trouble} if trouble else {})))
    elif held.pid is None or held.report is None or at is None or age is None:
        say(f"UNKNOWN: {trouble}.\n")
    else:
        who = f"pid {held.pid}" if held.pid else "pid not known"
        ago = humanize.duration(age.total_seconds())
        heading = f"monitord status ({who}), last check {ago} ago, {humanize.timestamp(at)}"
        quiet = in_force_line(held.silences, now)
        where = f"{humanize.capital(found.word)}." if found.word else ""
        notes = tuple(filter(None, (where, quiet, f"STALE: {trouble}." if trouble else "")))
        orders = found.record.orders if found.record is not None else standing_orders(settings)
        view = StatusView(replace(held.report, status=fields["status"]), orders, now.timestamp())
        say(text(view, heading, stdout_terminal(), notes))
    return EXIT_CODES[fields["status"]]


async def _look(directory: Path) -> _Held:
    try:
        return await in_state_directory(_read, directory, timeout=_LOOK_SECONDS)
    except STATE_ERRORS as error:
        return _Held(0, trouble=why_unreadable(error, directory))


def _read(directory: Path) -> _Held:
    pid = holder(directory)
    try:
        snapshot = read_snapshot(directory)
        kept = None if snapshot is None else snapshot.report()
        fields = None if kept is None else revived(kept)
        report = None if fields is None else read_status(fields)
    except STATE_ERRORS as error:
        return _Held(pid, trouble=why_unreadable(error, directory))
    except (ValueError, TypeError, KeyError, AttributeError):  # a report of another shape
        return _Held(pid, trouble=f"the report in the snapshot at {directory} cannot be read")
    return _Held(pid, fields, report, silences=() if snapshot is None else tuple(snapshot.state.silences.values()))


def _fields(held: _Held) -> Fields:
    """The fields of `check_completed`; those nobody reported are null."""
    names = ("at", "trigger", "status", "duration_ms", *(name for name in field_names() if name != "status"))
    return dict.fromkeys(names) | {"status": "unknown"} | dict(held.fields or {})


def _trouble(held: _Held, age: timedelta | None, directory: Path, rhythm: CheckRhythm) -> str | None:
    """Why what is held is not the present, or None where it is. A sentence without its full stop."""
    if held.pid is None:
        last = f"; the last check was {humanize.duration(age.total_seconds())} ago" if age is not None else ""
        return f"no monitord runs on {directory}{last}" + (f"; {held.trouble}" if held.trouble else "")
    if held.trouble is not None:
        return held.trouble
    if age is None:
        return "monitord runs and has not saved a report yet"
    return stale(age, rhythm)
