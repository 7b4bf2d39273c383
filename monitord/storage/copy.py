"""A second copy of the state beside the snapshot: the roster and the alerts outlive a snapshot that is damaged.

One file, written whole and put in place at once. It says which file and which cycle of it the state is of, so that a
snapshot which has silently lost its last cycles is found out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from monitord.core.codec import decode
from monitord.core.engine import State
from monitord.files import put_whole, read_small

COPY: Final = "state-copy.json"
# Far above what a fleet of thousands makes: whatever is larger is not ours.
_BYTES_AT_MOST: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Copy:
    """A state, the id of the snapshot file it was saved to, and the number of its cycle in it."""

    state: State
    file: str
    seq: int


def write_copy(directory: Path, parts: Mapping[str, str], file: str, seq: int) -> None:
    """Put the copy in place. `parts` are the fields of the state as JSON texts. On OSError the copy before stays."""
    wanted = {field.name for field in fields(State)}
    state = ",".join(f"{json.dumps(name)}:{text}" for name, text in parts.items() if name in wanted)
    body = f'{{"file":{json.dumps(file)},"seq":{seq},"state":{{{state}}}}}'.encode()
    put_whole(directory / COPY, hashlib.sha256(body).hexdigest().encode() + b"\n" + body, synced=True)


def read_copy(directory: Path) -> Copy | None:
    """The second copy; None where there is none, or none that can be used."""
    path = directory / COPY
    try:
        digest, _, body = read_small(path, _BYTES_AT_MOST).partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() != digest:
            return None
        read = json.loads(body)
        return Copy(decode(State, read["state"]), str(read["file"]), int(read["seq"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
