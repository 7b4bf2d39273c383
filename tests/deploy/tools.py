"""The tools that judge what is shipped for other programs, where they are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


def tool(name: str) -> str:
    """The path of a program; skips the test where there is none."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/bin")
    if found is None:
        pytest.skip(f"there is no {name} here")
    return found


def approves(*command: str | Path, cwd: Path) -> str:
    """Run a check that must end well; what it said."""
    done = subprocess.run(list(command), cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
