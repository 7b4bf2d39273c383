"""`monitord init`: finds what is there and prints a `.env` that would watch it. Writes no file, changes nothing."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from monitord.cli import command, load_settings, note, say
from monitord.cli.base import run_once
from monitord.config.loader import Settings
from monitord.core import humanize
from monitord.discovery import scan
from monitord.discovery.dotenv import Discovered, dotenv

if TYPE_CHECKING:
    from monitord.cli import Subparsers


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "init",
        run,
        "Reads PM2, Postgres and Redis where the environment, .env or these options say they are, and "
        "prints a .env that would watch what is there. Writes no file: `monitord init | tee -a .env` does.",
    )
    parser.add_argument("--pm2-home", metavar="DIR", help="PM2's home (default: MONITORD_PM2__HOME, PM2_HOME, ~/.pm2)")
    parser.add_argument("--dsn", help="Postgres (default: MONITORD_POSTGRES__DSN or DATABASE_URL)")
    parser.add_argument("--redis", metavar="URL", help="Redis (default: MONITORD_REDIS__URL or REDIS_URL)")


def run(arguments: argparse.Namespace) -> int:
    """Scans, prints, and returns 0: what could not be reached is a comment in what is printed."""
    settings = load_settings()
    home = Path(arguments.pm2_home).expanduser().absolute() if arguments.pm2_home else settings.pm2.home
    return run_once(_init(settings, home, arguments))


async def _init(settings: Settings, home: Path | None, arguments: argparse.Namespace) -> int:
    timeout = settings.probe_timeout.total_seconds()
    dsn, url = settings.postgres.dsn, settings.redis.url
    fleet, database, queues, disks, shared = await asyncio.gather(
        scan.fleet(home, settings.state_dir, timeout),
        scan.database(arguments.dsn, dsn.get_secret_value() if dsn else None, settings.postgres.ca_file, timeout),
        scan.queues(arguments.redis, url.get_secret_value() if url else None, timeout, settings.redis.prefix),
        scan.disks(home, arguments.dsn or (dsn.get_secret_value() if dsn else None), timeout),
        scan.no_mounts(tuple(settings.host.disks), timeout),
    )
    found = Discovered(fleet, database, queues, disks)
    say(dotenv(found, f"What monitord found on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC."))
    for sentence in (*(f"Disks: {each}." for each in shared), *_notes(found)):
        note(sentence)
    return 0


def _notes(found: Discovered) -> Iterator[str]:
    """What a person does next, and what stands in the way."""
    for name, part in (("PM2", found.fleet), ("Postgres", found.database), ("Redis", found.queues)):
        if part is None:
            yield f"{name}: not scanned, as its address is not known."
        elif part.failure is not None:
            yield f"{name}: {part.failure.error} ({part.failure.kind})."
    if found.fleet is not None and found.fleet.failure is None:
        yield f"PM2: {len(found.fleet.services)} services in {found.fleet.home}."
        if found.fleet.troubled:
            yield f"Now in trouble, and expected online all the same: {humanize.listed(list(found.fleet.troubled))}."
    yield "Check it, add it to the .env where monitord is to run, and try it: monitord check"
