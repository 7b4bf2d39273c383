"""What the daemon leaves in its state directory of its settings: where they are from, and the orders it judges by.

A command that is run from elsewhere (cron, NRPE) has no settings of its own and finds the daemon's by this. No value
that holds a secret is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from monitord.config.settings import STATE_DIR
from monitord.core.codec import decode, encode
from monitord.core.orders import StandingOrders
from monitord.files import put_whole, read_small
from monitord.threads import in_time

T = TypeVar("T")

FILE: Final = "daemon.json"
# In the usual state directory: where this user's daemons have theirs, when it is not there.
ELSEWHERE: Final = "elsewhere.json"
_ELSEWHERE_AT_MOST: Final = 20
_BYTES_AT_MOST: Final = 4 * 1024 * 1024
_READ_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    """One daemon's settings, as far as they may be written down.

    `directory` is where it ran, `files` those that were read (absolute). `environment` are the variables that stood in
    its process environment, `withheld` the names of those that are not written, as they hold a secret.
    """

    directory: str
    env_file: str
    files: tuple[str, ...]
    environment: Mapping[str, str]
    withheld: tuple[str, ...]
    orders: StandingOrders
    check_interval: timedelta
    probe_timeout: timedelta
    version: str = ""


def write_record(record: DaemonRecord, state_dir: Path) -> None:
    """Write it into the state directory, or raise OSError. Blocks on the disk."""
    put_whole(state_dir / FILE, _json(encode(record)))
    usual = Path(STATE_DIR).expanduser()
    if state_dir != usual:
        others = [str(path) for path in elsewhere() if path != state_dir]
        usual.mkdir(mode=0o700, parents=True, exist_ok=True)
        put_whole(usual / ELSEWHERE, _json([str(state_dir), *others][:_ELSEWHERE_AT_MOST]))


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def elsewhere() -> tuple[Path, ...]:
    """The state directories other than the usual one on which this user's daemons have run, the latest first."""
    return _in_time(_places) or ()


def read_record(state_dir: Path) -> DaemonRecord | None:
    """What the daemon on this directory has left of its settings; None where nothing can be used, or read in time."""
    return _in_time(lambda: decode(DaemonRecord, _content(state_dir / FILE)))


def hidden(state_dir: Path) -> str:
    """Why it is not known here what the daemon on this directory watches, though one has run; "" where none has."""
    found = _in_time(lambda: _hidden(state_dir))
    return f"the state directory {state_dir} does not answer" if found is None else found


def _hidden(state_dir: Path) -> str:
    if os.access(state_dir, os.F_OK) and not os.access(state_dir, os.R_OK | os.X_OK):
        return f"the state directory {state_dir} cannot be read by this user"
    if os.access(state_dir / FILE, os.F_OK):
        return f"{state_dir / FILE} cannot be read, so that nobody knows here what the daemon watches"
    return ""


def _in_time(read: Callable[[], T]) -> T | None:
    """What is read, on a thread that is left behind where it hangs; None where that takes long, or it is of no use."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        return in_time(read, _READ_SECONDS, "daemon record")
    return None


def _places() -> tuple[Path, ...]:
    places = _content(Path(STATE_DIR).expanduser() / ELSEWHERE)
    return tuple(Path(place) for place in places if isinstance(place, str) and (Path(place) / FILE).is_file())


def _content(path: Path) -> Any:
    return json.loads(read_small(path, _BYTES_AT_MOST))
