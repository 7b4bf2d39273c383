"""What of that which was found is to be watched, asked step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from monitord.core import humanize
from monitord.core.units import duration_text
from monitord.discovery.dotenv import Discovered

Ask = Callable[[str, bool], bool]


def chosen(found: Discovered, ask: Ask) -> Discovered:
    """What is left of it. `ask` puts a question with its default answer."""
    fleet, database, queues = found.fleet, found.database, found.queues
    off: list[str] = []
    if fleet is not None and fleet.failure is None:
        if not ask(f"Watch PM2 in {fleet.home} ({humanize.plural(len(fleet.services), 'service')})?", True):
            fleet, off = None, [*off, "MONITORD_PM2__HOME"]
        else:
            now = ", ".join(f"{name} {wanted}" for name, wanted in fleet.expected().items())
            if fleet.services and not ask(f"  Expect of each what it is now: {now}? (no: what is seen online)", True):
                fleet = replace(fleet, services={})
    if database is not None and database.failure is None:
        if not ask("Watch Postgres?", True):
            database, off = None, [*off, "MONITORD_POSTGRES__DSN"]
        else:
            tables = tuple(
                name
                for name in database.tables
                if ask(f"  Watch the table {name}{_stall(database.stalls.get(name))}?", True)
            )
            sealed = database.sealed
            if sealed and not ask(f"  Watch the epochs of {humanize.listed(list(sealed))}?", True):
                sealed, off = {}, [*off, "MONITORD_EPOCHS__GROUPS"]
            database = replace(database, tables=tables, sealed=sealed, why_no_epochs="")
    if queues is not None and queues.failure is None:
        if not ask("Watch Redis?", True):
            queues, off = None, [*off, "MONITORD_REDIS__URL"]
        else:
            queues = replace(
                queues, names=tuple(name for name in queues.names if ask(f"  Watch the queue {name}?", True))
            )
    kept_endpoints = tuple(
        one
        for one in found.endpoints
        if ask(f"Check {one.service} at {one.place} over {'HTTP' if one.is_http else 'TCP'}?", True)
    )
    disks = tuple(path for path in found.disks if ask(f"Watch the disk of {path}?", True))
    return Discovered(fleet, database, queues, disks, kept_endpoints, tuple(off))


def _stall(seconds: float | None) -> str:
    return "" if seconds is None else f" (no row for {duration_text(timedelta(seconds=seconds))} is a stall)"
