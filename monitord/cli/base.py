"""Runs a command that looks once and ends: on time, whatever hangs."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn

from monitord.cli.output import note, say
from monitord.resolver import ResolverLoop

# Names are looked up on the loop's own threads, which are left behind. Whatever else has a thread gets this long.
_PATIENCE_SECONDS: Final = 0.1
_THREADS: Final = "aside"
INTERRUPTED: Final = 130
__all__ = ["INTERRUPTED", "note", "run_once", "say"]


def run_once(work: Coroutine[Any, Any, int]) -> int:
    """Run `work` to its exit code.

    Both asyncio and the interpreter would wait at the end for a thread that hangs: then the process ends without them.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    with asyncio.Runner(loop_factory=ResolverLoop) as runner:
        return runner.run(_run(work))


async def _run(work: Coroutine[Any, Any, int]) -> int:
    executor = ThreadPoolExecutor(thread_name_prefix=_THREADS)
    asyncio.get_running_loop().set_default_executor(executor)
    try:
        code = await work
    except asyncio.CancelledError:  # Ctrl-C
        if not _ended(executor):
            _leave(INTERRUPTED)
        raise
    if not _ended(executor):
        _leave(code)
    return code


def _ended(executor: ThreadPoolExecutor) -> bool:
    """Whether every thread of the executor has come to its end."""
    executor.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_THREADS)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
