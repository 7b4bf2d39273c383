"""A command of the program in the test's own process, where it is not the process that is asked about.

A fork and the taking apart of one cost more than most commands do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import NoReturn, TextIO

from monitord.__main__ import main
from monitord.cli import base
from tests.support import forked

# Programs of a test's own, and what goes on for long or starts others that are to have its streams.
PROCESSES = frozenset({"-c", "demo", "run"})


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `monitord` with these arguments to its end, in a thread; forked, where Python itself goes by the environment.

    Raises:
        subprocess.TimeoutExpired: It did not end in time, and goes on.
    """
    if any(name.startswith("PYTHON") for name in env) or PROCESSES.intersection(arguments[:1]):
        return forked.run(arguments, cwd=cwd, env=env, timeout=timeout)
    with ExitStack() as opened:
        out, err = (opened.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(2))
        nothing = opened.enter_context(Path(os.devnull).open(encoding="utf-8"))
        codes: list[int] = []
        with chdir(cwd), _environment(env), _streams(nothing, out, err):
            # Tests that are coroutines have a loop in this thread already.
            thread = threading.Thread(target=lambda: codes.append(_code(arguments)), name="command", daemon=True)
            thread.start()
            thread.join(timeout)
        if not codes:
            raise subprocess.TimeoutExpired(["monitord", *arguments], timeout)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(["monitord", *arguments], codes[0], out.read(), err.read())


def _code(arguments: Sequence[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - as Python does at the end of a process
        traceback.print_exc()
        return 1


@contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    zones = before.get("TZ") != env.get("TZ")
    os.environ.clear()
    os.environ.update(env)
    try:
        if zones:
            time.tzset()
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        if zones:
            time.tzset()


@contextmanager
def _streams(stdin: TextIO, stdout: TextIO, stderr: TextIO) -> Iterator[None]:
    """And an end that leaves a thread that hangs behind is no end of this process."""
    before = sys.stdin, sys.stdout, sys.stderr, base._leave
    sys.stdin, sys.stdout, sys.stderr, base._leave = stdin, stdout, stderr, _leave
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr, base._leave = before


def _leave(code: int) -> NoReturn:
    raise SystemExit(code)
