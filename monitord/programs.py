"""Runs a program: no shell, its time and its output bounded, and nothing of monitord's settings in reach."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from monitord.failures import FailureError

MOST_BYTES: Final = 64 * 1024
# How long a program has after SIGTERM, before its whole process group is killed; and which share of its time at most.
GRACE_SECONDS, _GRACE_SHARE = 1.0, 0.2
# How long its output is read after its end: what it has started may hold it open for ever.
_DRAIN_SECONDS: Final = 0.5
# All that a program gets of monitord's environment: no setting, no secret, nothing of PM2's.
_KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "TZ", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended: its exit code, below 0 the signal it died of, and the beginning of what it printed."""

    code: int | None
    output: bytes


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What a program gets of an environment; its numbers are written with a point."""
    kept = {name: given[name] for name in _KEPT if name in given}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}


async def run_program(
    called: str,
    command: Sequence[str],
    timeout: float,
    *,
    more: Mapping[str, str] | None = None,
    errors: bool = False,
    most_bytes: int = MOST_BYTES,
    whole: bool = False,
) -> Ended:
    """Run a program, `called` so in a sentence, to its end; FailureError where it could not, or printed too much.

    It gets a signal some time before `timeout` seconds are over, then its process group is killed. `more` is what it
    gets beside `environment`. `errors`: what it prints to stderr is kept among its output. So much as `most_bytes` is
    kept; `whole`: that must be all of it, and what prints more is ended.
    """
    program = _Program(most_bytes, whole=whole)
    transport = await _started(command, environment(os.environ) | dict(more or {}), program, errors=errors)
    try:
        is_done = await _ended(transport, program, timeout, min(GRACE_SECONDS, timeout * _GRACE_SHARE))
    finally:
        # Whatever became of it, the loop's end included: what it has left running in its group ends with it.
        _signal(transport, signal.SIGKILL)
        transport.close()
    if not is_done:
        raise FailureError("timeout", f"{called} was not done within {timeout:g} s, and was ended")
    if whole and program.is_cut:
        raise FailureError("protocol", f"{called} said more than {most_bytes:,} bytes")
    return Ended(transport.get_returncode(), bytes(program.head))


class _Program(asyncio.SubprocessProtocol):
    """The beginning of what a program prints; the rest is read too, so that nothing waits for a reader."""

    def __init__(self, most_bytes: int, *, whole: bool) -> None:
        loop = asyncio.get_running_loop()
        self._most_bytes, self._whole = most_bytes, whole
        self.head = bytearray()
        self.is_cut = False
        self.ended: asyncio.Future[None] = loop.create_future()
        self.has_printed: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        fits = data[: self._most_bytes - len(self.head)]
        self.head += fits
        self.is_cut = self.is_cut or len(fits) < len(data)
        if self.is_cut and self._whole:
            self.pipe_connection_lost(fd, None)
            self.process_exited()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - as above
        if not self.has_printed.done():
            self.has_printed.set_result(None)

    def process_exited(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def _started(
    command: Sequence[str], given: Mapping[str, str], heard: _Program, *, errors: bool
) -> asyncio.SubprocessTransport:
    program = command[0]
    try:
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: heard,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if errors else asyncio.subprocess.DEVNULL,
            env=given,
            start_new_session=True,
        )
        return transport
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


async def _ended(transport: asyncio.SubprocessTransport, program: _Program, timeout: float, grace: float) -> bool:
    """Whether it came to its end in time, and was read; else it is ended, first with a warning."""
    if await _done(program.ended, timeout - grace):
        await _done(program.has_printed, _DRAIN_SECONDS)
        return True
    _signal(transport, signal.SIGTERM)
    await _done(program.ended, grace)
    return False


async def _done(future: asyncio.Future[None], timeout: float) -> bool:
    return bool((await asyncio.wait([future], timeout=timeout))[0])


def _signal(transport: asyncio.SubprocessTransport, number: signal.Signals) -> None:
    """To its process group, of which it is the leader; where nothing of that lives, nothing is done."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(transport.get_pid(), number)
