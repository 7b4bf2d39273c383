"""What CPU an hour is made of: how much memory a look touches, what it costs while that is in use, and after a rest.

A process that sleeps between two looks finds little of its memory where the processor is quick to read it: others have
used the caches meanwhile, and on a virtual machine other machines, too. How much that costs differs from machine to
machine and from day to day, so that it is measured in the same run as what it explains.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

PAGE: Final = 4096
OBJECTS: Final = 60_000


def forget(pids: Sequence[int]) -> None:
    """Have the kernel forget which pages these processes have touched (Linux, the same user or root)."""
    for pid in pids:
        with suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("1")


def touched(pids: Sequence[int]) -> int | None:
    """Bytes of their own pages that they have touched since; None where the kernel does not say.

    Those of files are not among them: the kernel has a page as touched whoever did it.
    """
    found = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps").read_text().splitlines()
        except OSError:
            return None
        is_file = False
        for first, *rest in map(str.split, lines):
            if not first.endswith(":"):  # address, rights, offset, device, inode, path
                is_file = rest[3] != "0"
            elif first == "Referenced:" and not is_file:
                found += int(rest[0]) * 1024
    return found


class Rested:
    """The same walk over objects of Python's, as soon as it has been walked and after a rest, in CPU seconds."""

    def __init__(self) -> None:
        self._objects = [{"first": number, "second": number + OBJECTS} for number in range(OBJECTS)]
        self.hot = min(self._walk() for _ in range(5))

    def after(self, seconds: float) -> float:
        """How many times as much CPU the walk costs after so many seconds without it."""
        self._walk()
        time.sleep(seconds)
        return self._walk() / self.hot

    def _walk(self) -> float:
        began = time.thread_time()
        total = 0
        for one in self._objects:
            total += one["first"] + one["second"]
        return time.thread_time() - began
