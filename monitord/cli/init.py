"""`monitord init`: finds what is there and prints, or writes where it is asked to, settings that would watch it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from monitord.cli import Subparsers, command, load_settings, note, say
from monitord.cli.base import INTERRUPTED, MISTAKE, run_once
from monitord.config.loader import Settings
from monitord.config.sources import DOTENV, TOML
from monitord.core import humanize
from monitord.discovery import scan
from monitord.discovery.choices import chosen
from monitord.discovery.dotenv import Discovered, dotenv
from monitord.discovery.endpoints import endpoints
from monitord.discovery.toml import as_toml
from monitord.masking import revealed


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "init",
        run,
        "Reads PM2, Postgres and Redis where the environment, .env or these options say they are. On a terminal it "
        "asks what of it to watch and writes the settings; else it prints a .env that would watch what is there, and "
        "writes no file: `monitord init | tee -a .env` does.",
    )
    parser.add_argument("--pm2-home", metavar="DIR", help="PM2's home (default: MONITORD_PM2__HOME, PM2_HOME, ~/.pm2)")
    parser.add_argument("--dsn", help="Postgres (default: MONITORD_POSTGRES__DSN or DATABASE_URL)")
    parser.add_argument("--redis", metavar="URL", help="Redis (default: MONITORD_REDIS__URL or REDIS_URL)")
    parser.add_argument("--toml", action="store_true", help="the same as monitord.toml")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write it to this file, which must not be there")
    parser.add_argument("--force", action="store_true", help="with --output, or where it asks: write over the file")


def run(arguments: argparse.Namespace) -> int:
    """Scan, ask on a terminal, print or write, and return 0: what could not be reached is a comment in the settings."""
    settings = load_settings()
    home = Path(arguments.pm2_home).expanduser().absolute() if arguments.pm2_home else settings.pm2.home
    target: Path | None = arguments.output
    if target is not None and target.exists() and not arguments.force:
        note(f"{target} is there already; --force writes over it")
        return MISTAKE
    scanned: list[Discovered] = []
    code = run_once(_scan(settings, home, arguments, scanned))
    is_added = False
    (found,) = scanned
    if sys.stdin.isatty() and sys.stdout.isatty():
        try:
            found = chosen(found, _asked)
            if target is None:
                place = Path(TOML if arguments.toml else DOTENV)
                is_added = place.exists() and not arguments.force and not arguments.toml
                question = f"Add it to {place}?" if is_added else f"Write {place}?"
                if (is_added or arguments.force or not place.exists()) and _asked(question, default=True):
                    target = place
        except (EOFError, KeyboardInterrupt):
            note("\nnothing was written")
            return INTERRUPTED
    text = dotenv(found, f"What monitord found on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC.")
    if arguments.toml:
        text = as_toml(text)
    if target is None:
        say(text)
    else:
        try:
            before = f"{target.read_text(encoding='utf-8').rstrip()}\n\n" if is_added else ""
            _write(target, before + text, over=arguments.force or is_added)
        except (OSError, UnicodeDecodeError) as error:
            note(f"{target} cannot be written: {error}")
            return MISTAKE
        note(f"{target} was written.")
    for sentence in _notes(found, None if target is not None else TOML if arguments.toml else DOTENV):
        note(sentence)
    return code


def _asked(question: str, default: bool) -> bool:
    """Enter is the default."""
    while True:
        answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
        if answer in ("", "y", "yes", "n", "no"):
            return answer.startswith("y") if answer else default


def _write(target: Path, text: str, *, over: bool) -> None:
    """Whole or not at all, readable by its owner alone; what it held is kept beside it as `.before`.

    OSError where it cannot be written, or is there already and not to be written over.
    """
    handle, beside = tempfile.mkstemp(dir=target.absolute().parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        if over:
            if target.exists():
                kept = target.with_name(f"{target.name}.before")
                kept.unlink(missing_ok=True)
                os.link(target, kept)
            Path(beside).replace(target)
        else:
            os.link(beside, target)
    finally:
        with suppress(FileNotFoundError):
            Path(beside).unlink()


async def _scan(settings: Settings, home: Path | None, arguments: argparse.Namespace, scanned: list[Discovered]) -> int:
    timeout = settings.probe_timeout.total_seconds()
    dsn, url = revealed(settings.postgres.dsn), revealed(settings.redis.url)
    fleet, database, queues, disks, shared = await asyncio.gather(
        scan.fleet(home, settings.state_dir, timeout),
        scan.database(arguments.dsn, dsn, settings.postgres.ca_file, timeout),
        scan.queues(arguments.redis, url, timeout, settings.redis.prefix),
        scan.disks(home, arguments.dsn or dsn, timeout),
        scan.no_mounts(tuple(settings.host.disks), timeout),
    )
    found = await endpoints(fleet.pids, timeout) if fleet is not None else ()
    scanned.append(Discovered(fleet, database, queues, disks, found))
    for sentence in shared:
        note(f"Disks: {sentence}.")
    return 0


def _notes(found: Discovered, missing: str | None) -> Iterator[str]:
    """What a person does next, and what stands in the way; `missing` is the file that is still to be written."""
    for name, part in (("PM2", found.fleet), ("Postgres", found.database), ("Redis", found.queues)):
        if part is None:
            yield f"{name}: not scanned, as its address is not known."
        elif part.failure is not None:
            yield f"{name}: {part.failure.error} ({part.failure.kind})."
    if found.fleet is not None and found.fleet.failure is None:
        yield f"PM2: {len(found.fleet.services)} services in {found.fleet.home}."
        if found.fleet.troubled:
            yield f"Now in trouble, and expected online all the same: {humanize.listed(list(found.fleet.troubled))}."
    added = f", add it to the {missing} where monitord is to run," if missing else ""
    yield f"Check it{added} and try it: monitord check"
