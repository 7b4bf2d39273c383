"""`monitord run`: the daemon, in the foreground. Everything it prints, stderr included, is a JSON line."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any

from monitord.daemon import Daemon
from monitord.logs import Log
from monitord.pm2.citizen import Citizen
from monitord.settings import Settings, SettingsError, load


def add(subparsers: Any) -> None:  # noqa: ANN401 - argparse keeps this type to itself
    """Put `run` on the command line."""
    parser = subparsers.add_parser("run", help="the daemon, in the foreground")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Watch until told to stop: 0 after a stop, 2 for wrong settings or a second daemon, 1 for what was not survived."""
    # Before anything can start a child: PM2's channel is this process's alone.
    citizen = Citizen.from_environment(os.environ)
    try:
        settings = _load()
    except SettingsError as error:
        refusal = Log(sys.stderr)
        for mistake in error.mistakes:
            refusal.emit("settings_rejected", "error", str(mistake), mistakes=[str(mistake)])
        return 2
    log = Log(sys.stdout, settings.log_level, directory=settings.state_dir / "logs", retention=settings.log_retention)
    with log.everything():
        code = _watch(settings, log, citizen)
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        # A name that the system's resolver is still looking up would hold the exit for as long as it takes.
        sys.stdout.flush()
        os._exit(code)
    return code


def _watch(settings: Settings, log: Log, citizen: Citizen) -> int:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(
        lambda _, context: log.internal("a task failed", context.get("exception") or Exception())
    )
    try:
        return loop.run_until_complete(Daemon(settings, _load, log, citizen).run())
    except Exception as error:  # noqa: BLE001 - the last word before the end, as a JSON line like all others
        log.internal("monitord could not go on", error)
        return 1


def _load() -> Settings:
    return load(os.environ, Path.cwd())
