"""One-time tokens that acknowledge one alert and do nothing else: signed by a key that lies in the state directory.

A token is the alert's id, the end of its validity (Unix seconds) and an HMAC-SHA256 over both and over what it is for.
What was used is kept beside the key until it would have ended anyway.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from monitord.files import put_whole, read_small

KEY_FILE: Final = "ack.key"
USED_FILE: Final = "ack.used"
# As long as an incident is kept.
LIFETIME: Final = timedelta(hours=48)
LONGEST: Final = 200
_PURPOSE: Final = b"monitord: acknowledge"
_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 24
_MOST_USED: Final = 1000
_USED_BYTES: Final = 256 * 1024
_ALERT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

Standing = Literal["valid", "used", "expired", "unknown"]


def key_of(directory: Path) -> bytes:
    """The key of a state directory, made once; OSError where there can be none, ValueError where it is no key."""
    path = directory / KEY_FILE
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(secrets.token_bytes(_KEY_BYTES))
            out.flush()
            os.fsync(handle)
    try:
        key = read_small(path, _KEY_BYTES)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{path} is no key: remove it, and another is made")
    return key


def token(key: bytes, alert_id: str, ends: int) -> str:
    """The token that acknowledges this alert until `ends` (Unix seconds)."""
    content = b"|".join((_PURPOSE, alert_id.encode(), str(ends).encode()))
    signed = hmac.digest(key, content, hashlib.sha256)[:_SIGNATURE_BYTES]
    return f"{alert_id}.{ends:x}.{base64.urlsafe_b64encode(signed).decode()}"


@dataclass
class AckTokens:
    """The tokens of one state directory: which are genuine, and which were used. May block, and raises as `key_of`."""

    directory: Path
    _key: bytes = field(init=False, repr=False)
    _used: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._key = key_of(self.directory)
        self._used = _read_used(self.directory / USED_FILE)

    def standing(self, written: str, now: float) -> tuple[Standing, str]:
        """What a token is worth, and the id of its alert ("" where it is none of this directory's)."""
        alert_id, _, rest = written.partition(".")
        ends_written, _, signature = rest.partition(".")
        if len(written) > LONGEST or not written.isascii() or not _ALERT.fullmatch(alert_id):
            return "unknown", ""
        try:
            ends = int(ends_written, 16)
        except ValueError:
            return "unknown", ""
        # Compared as a whole, so that one token is written one way only.
        if not hmac.compare_digest(token(self._key, alert_id, ends).encode(), written.encode()):
            return "unknown", ""
        if signature in self._used:
            return "used", alert_id
        return ("expired" if now >= ends else "valid"), alert_id

    def use(self, written: str, now: float) -> None:
        """Keep on the disk that a genuine token was used. On OSError it counts as used until the process ends."""
        _, ends, signature = written.split(".")
        living = {key: until for key, until in self._used.items() if until > now}
        self._used = dict(list(living.items())[-_MOST_USED + 1 :]) | {signature: int(ends, 16)}
        put_whole(self.directory / USED_FILE, json.dumps(self._used).encode(), synced=True)


def _read_used(path: Path) -> dict[str, int]:
    try:
        return {str(signature): int(ends) for signature, ends in json.loads(read_small(path, _USED_BYTES)).items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}  # none was used yet; an alert that is acknowledged is not acknowledged again
