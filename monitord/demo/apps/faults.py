"""The faults the fleet can have: one small file each, set by the stage and read by the services.

What needs no cooperation (`pm2 stop`, SIGSTOP, a killed server) has no file here.
"""

from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

Fault: TypeAlias = Literal["crash", "no-seal", "flood", "error", "hold", "fail", "block", "pretend"]
"""`crash` SERVICE: it exits with status 1 every second or two. `no-seal` GROUP: the group is no longer sealed.
`flood` of stream-listener: so many rows, given as its amount, go into the current epoch as fast as they can.
`error` SERVICE: it answers 500. `hold` SERVICE: it does not do its work. `fail` SERVICE: its jobs fail.
`block` SERVICE: it blocks its event loop. `pretend` SERVICE: it marks as published what it does not publish."""


class Faults:
    """The faults that are set, as files in a directory that is made with the first of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def set(self, fault: Fault, subject: str, amount: int = 1) -> None:
        """The services see it within their next turn, at most about a second."""
        self._directory.mkdir(exist_ok=True)
        # Renamed into place, so that no service reads half a number.
        unfinished = self._directory / f".{fault}.{subject}"
        unfinished.write_text(str(amount))
        unfinished.replace(self._directory / f"{fault}.{subject}")

    def clear(self, fault: Fault, subject: str) -> None:
        (self._directory / f"{fault}.{subject}").unlink(missing_ok=True)

    def amount(self, fault: Fault, subject: str) -> int:
        """0 when it is not set."""
        with suppress(FileNotFoundError, ValueError):
            return int((self._directory / f"{fault}.{subject}").read_text())
        return 0
