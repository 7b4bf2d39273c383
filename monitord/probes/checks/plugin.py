"""Runs a Nagios plugin: no shell, its time and its output bounded, and nothing of monitord's settings in reach."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

from monitord.failures import FailureError
from monitord.probes.checks.plugin_output import PluginOutput, parse

MOST_BYTES: Final = 64 * 1024
# How long a plugin has after SIGTERM, before its whole process group is killed; and which share of its time at most.
GRACE_SECONDS, _GRACE_SHARE = 1.0, 0.2
# How long its output is read after its end: what it has started may hold it open for ever.
_DRAIN_SECONDS: Final = 0.5
# All that a plugin gets of monitord's environment: no setting, no secret, nothing of PM2's.
_KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR")
State = Literal["ok", "warning", "critical"]
STATES: Final[tuple[State, ...]] = ("ok", "warning", "critical")
_UNKNOWN: Final = 3


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What a plugin gets of an environment; its numbers are written with a point."""
    kept = {name: given[name] for name in _KEPT if name in given}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}


async def run_plugin(called: str, command: Sequence[str], timeout: float) -> tuple[State, PluginOutput]:
    """The state that a plugin has found and what it printed.

    Args:
        called: how it is called in a sentence.
        command: the program and its arguments.
        timeout: seconds until it is over: it gets a signal some time before, then its process group is killed.

    Raises:
        FailureError: it could not be run, was not done in time, or ended otherwise than a plugin does.
    """
    transport, plugin = await _started(command)
    try:
        is_done = await _ended(transport, plugin, timeout, min(GRACE_SECONDS, timeout * _GRACE_SHARE))
    finally:
        # Whatever became of it, the loop's end included: what it has left running in its group ends with it.
        _signal(transport, signal.SIGKILL)
        transport.close()
    if not is_done:
        raise FailureError("timeout", f"{called} was not done within {timeout:g} s, and was ended")
    output = parse(plugin.head.decode("utf-8", "replace"))
    said = f": {output.text}" if output.text else ""
    code = transport.get_returncode()
    if code is None or code < 0:
        name = signal.Signals(-code).name if code is not None and -code in set(signal.Signals) else "a signal"
        raise FailureError("internal", f"{called} was ended by {name}{said}")
    if code == _UNKNOWN:
        raise FailureError("protocol", f"{called} answers UNKNOWN{said}")
    if code >= len(STATES):
        why = "a program that it needs is missing" if code == 127 else "which is no exit code of a plugin"
        raise FailureError("missing" if code == 127 else "protocol", f"{called} exited with {code}, {why}{said}")
    return STATES[code], output


class _Plugin(asyncio.SubprocessProtocol):
    """The beginning of what a plugin prints; the rest is read too, so that nothing waits for a reader."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.head = bytearray()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.has_printed: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - the interface names the pipe
        self.head += data[: MOST_BYTES - len(self.head)]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - as above
        if not self.has_printed.done():
            self.has_printed.set_result(None)

    def process_exited(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def _started(command: Sequence[str]) -> tuple[asyncio.SubprocessTransport, _Plugin]:
    program = command[0]
    try:
        return await asyncio.get_running_loop().subprocess_exec(
            _Plugin,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment(os.environ),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        there = shutil.which(program) is not None
        why = "the program that its first line names is not there" if there else "there is no such program"
        raise FailureError("missing", f"{program} cannot be run: {why}") from error
    except PermissionError as error:
        raise FailureError("permission", f"{program} may not be run by this user, or is no program") from error
    except OSError as error:
        raise FailureError("protocol", f"{program} cannot be run: {error.strerror}") from error
    except ValueError as error:
        raise FailureError("protocol", f"{program} cannot be run: there is a NUL character in its command") from error


async def _ended(transport: asyncio.SubprocessTransport, plugin: _Plugin, timeout: float, grace: float) -> bool:
    """Whether it came to its end in time, and was read; else it is ended, first with a warning."""
    if await _done(plugin.ended, timeout - grace):
        await _done(plugin.has_printed, _DRAIN_SECONDS)
        return True
    _signal(transport, signal.SIGTERM)
    await _done(plugin.ended, grace)
    return False


async def _done(future: asyncio.Future[None], timeout: float) -> bool:
    return bool((await asyncio.wait([future], timeout=timeout))[0])


def _signal(transport: asyncio.SubprocessTransport, number: signal.Signals) -> None:
    """To its process group, of which it is the leader; where nothing of that lives, nothing is done."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), number)
