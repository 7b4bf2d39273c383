"""`monitord run`: the daemon, in the foreground. Everything it prints, stderr included, is a JSON line."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
import threading
from functools import partial
from pathlib import Path

from monitord import __version__
from monitord.cli import Subparsers, command
from monitord.config.apart import SettingsReader
from monitord.config.settings import Settings, SettingsError
from monitord.logging.logger import JsonLog
from monitord.pm2.ipc import IpcChannel
from monitord.resolver import ResolverLoop
from monitord.storage.lock import DirectoryInUse


def add(subparsers: Subparsers) -> None:
    command(subparsers, "run", run)


def run(_: argparse.Namespace) -> int:
    """Monitor until stopped: 0 after a stop, 2 for wrong settings or a second daemon, 1 for what ended it."""
    # Before anything can start a child: PM2's channel is this process's alone.
    ipc = IpcChannel.from_environment(os.environ)
    # The settings' own directory, also when it is replaced under us and the path is all that is left of it.
    reader = SettingsReader(os.environ, Path.cwd(), __version__)
    reader.begin()
    importlib.import_module("monitord.runtime.daemon")  # while the settings are read

    try:
        settings = reader.load()
    except SettingsError as error:
        return _refuse(error)
    log = JsonLog(
        sys.stdout, settings.log_level, directory=settings.state_dir / "logs", retention=settings.log_retention
    )
    log.hide(settings.secrets())
    with log.everything():
        code = _watch(settings, reader, log, ipc)
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        # What a library has left on a thread of its own would hold the exit for as long as it takes.
        log.flush()
        os._exit(code)
    return code


def _watch(settings: Settings, reader: SettingsReader, log: JsonLog, ipc: IpcChannel) -> int:
    from monitord.runtime.daemon import Daemon

    loop = ResolverLoop()
    loop.set_exception_handler(partial(_failed, log))
    try:
        loop.run_until_complete(Daemon(settings, reader.load, log, ipc, record=reader.record).run())
    except SettingsError as error:
        return _refuse(error)
    except DirectoryInUse as error:
        JsonLog(sys.stderr).emit("monitord_refused", "error", f"{error}.", pid=error.pid)
        return 2
    except Exception as error:  # noqa: BLE001 - the last word before the end, as a JSON line like all others
        log.internal("monitord could not go on", error)
        return 1
    return 0


def _failed(log: JsonLog, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """What nobody awaited. A connection that was given up on may still fail later, and that is no news."""
    error = context.get("exception")
    if not isinstance(error, ConnectionError):
        log.internal("a task failed", error if isinstance(error, BaseException) else None)


def _refuse(error: SettingsError) -> int:
    """One line per mistake; on stderr, as of any command, and as JSON, as of this one."""
    refusal = JsonLog(sys.stderr)
    for mistake in error.mistakes:
        refusal.emit("settings_rejected", "error", str(mistake), mistakes=[str(mistake)])
    return 2
