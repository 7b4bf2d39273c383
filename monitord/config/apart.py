"""The settings read by a process of its own: pydantic, its models and what reads files end with it.

They would be a fifth of a daemon's memory for as long as it lives. Where no process can be had, the daemon reads.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from monitord.config.record import DaemonRecord, write_record
from monitord.config.settings import Settings, SettingsError, settings_kind
from monitord.core.subjects.registry import added

# It takes half a second; a busy machine several.
READ_SECONDS: Final = 20.0
_CHILD: Final = "monitord.config.apart_child"


@dataclass(frozen=True, slots=True)
class SettingsAnswer:
    """What the process says: the settings by their names and the record of them, or what is wrong with them."""

    values: Mapping[str, Any] | None
    record: DaemonRecord | None
    mistakes: tuple[str, ...] = ()


class SettingsReader:
    """Reads a daemon's settings, and leaves the record of those that it read last."""

    def __init__(self, environ: Mapping[str, str], directory: Path, version: str) -> None:
        self._environ = dict(environ)
        self._directory = directory
        self._version = version
        self._begun: subprocess.Popen[bytes] | None = None
        self._last: tuple[DaemonRecord, Path] | None = None

    def load(self) -> Settings:
        """The settings as they are now, or SettingsError. Blocks until the process has ended."""
        answer = None if added() else self._asked()
        if answer is None:
            from monitord.config.reading import read

            settings, record = read(self._environ, self._directory, self._version)
        elif answer.values is None or answer.record is None:
            raise SettingsError(answer.mistakes)
        else:
            settings, record = settings_kind()(**answer.values), answer.record
        self._last = record, settings.state_dir
        return settings

    def record(self) -> None:
        """Write what was read last into its state directory. OSError where it cannot be written."""
        if self._last is not None:
            write_record(*self._last)

    def begin(self) -> None:
        """Have the process begin now, while something else is done until `load`."""
        if not added():  # what packages add is known here alone
            self._begun = _process()

    def _asked(self) -> SettingsAnswer | None:
        """What the process says; None where it could not be run, or says nothing that can be understood."""
        process, self._begun = self._begun or _process(), None
        if process is None:
            return None
        # Through pipes alone: there are secrets in it, both ways.
        asked = json.dumps({"environ": self._environ, "directory": str(self._directory), "version": self._version})
        with process:
            try:
                output, _ = process.communicate(asked.encode(), timeout=READ_SECONDS)
            except subprocess.TimeoutExpired:
                raise SettingsError((f"the settings could not be read within {READ_SECONDS:g} s",)) from None
            finally:
                process.kill()
        if process.returncode != 0:
            return None
        answer = pickle.loads(output)  # noqa: S301 - from this program's own child, over a pipe that nobody else has
        return answer if isinstance(answer, SettingsAnswer) else None


def _process() -> subprocess.Popen[bytes] | None:
    """One that waits to be asked; None where none can be had."""
    try:
        return subprocess.Popen(  # noqa: S603 - this Python, and a module of monitord's
            [sys.executable, "-P", "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
