"""The program under test, as the processes that people and PM2 start."""

import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support import forked, inside

Eventually = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""What the fixture `eventually` is."""

PATIENCE = 60.0
"""Seconds a command may take before its test fails: only a failing test ever waits this long."""


def environment(home: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Nothing of whoever runs the tests, but where programs are; a home of its own."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"} | dict(settings or {})


def monitord(
    *arguments: str, directory: Path, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in `directory`, which is also its home."""
    return inside.run(arguments, cwd=directory, env=environment(directory, settings), timeout=PATIENCE)


def start(*arguments: str, directory: Path, settings: Mapping[str, str] | None = None) -> forked.Popen:
    """Start a command that the test ends itself."""
    return forked.Popen(arguments, cwd=directory, env=environment(directory, settings))
