"""How much memory a control group leaves: what a container may have, which the host's own figures do not show.

Layouts: cgroup v2 (one tree), v1 (a tree a controller) and hybrid (v1's memory beside an empty v2), as of Linux's
Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC, MOUNT = Path("/proc"), Path("/sys/fs/cgroup")
# v1 writes "no limit" as the largest number of whole pages.
_UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class Headroom:
    """The tightest limit on the way from a process's group to the root, all in bytes.

    `available` is the limit less the working set (what is used, without page cache that can be dropped at once).
    `swap_percent` is how much of the group's own swap is used (None: it has no limit of its own).
    """

    available: int
    limit: int
    swap_percent: float | None = None


@dataclass(frozen=True, slots=True)
class _Files:
    limit: str
    usage: str
    inactive: str
    swap_limit: str
    swap_usage: str


_V2 = _Files("memory.max", "memory.current", "inactive_file", "memory.swap.max", "memory.swap.current")
_V1 = _Files(
    "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory.memsw.limit_in_bytes",
    "memory.memsw.usage_in_bytes",
)  # fmt: skip


def headroom(proc: Path = PROC, mount: Path = MOUNT) -> Headroom | None:
    """What this process's groups leave it; None where none of them limits memory, or there are no groups at all."""
    tightest: Headroom | None = None
    for root, path, files in _trees(proc, mount):
        for directory in _upwards(root, path):
            found = _of(directory, files)
            if found is not None and (tightest is None or found.available < tightest.available):
                tightest = found
    return tightest


def _trees(proc: Path, mount: Path) -> Iterator[tuple[Path, str, _Files]]:
    """Each tree that accounts memory: where it is mounted, this process's group in it, and how its files are called."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield (mount / "unified" if (mount / "unified").is_dir() else mount), path, _V2
        elif "memory" in controllers.split(","):
            yield mount / "memory", path, _V1


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """A group's directory and those above it, to the root. One that the container does not see is passed over."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for length in range(len(parts), -1, -1):
        yield root.joinpath(*parts[:length])


def _of(directory: Path, files: _Files) -> Headroom | None:
    limit, used = _number(directory / files.limit), _number(directory / files.usage)
    if limit is None or used is None:
        return None
    working_set = max(0, used - _inactive(directory / "memory.stat", files.inactive))
    return Headroom(max(0, limit - working_set), limit, _swap(directory, files, limit, used))


def _swap(directory: Path, files: _Files, limit: int, used: int) -> float | None:
    swap_limit, swap_used = _number(directory / files.swap_limit), _number(directory / files.swap_usage)
    if swap_limit is None or swap_used is None:
        return None
    if files is _V1:  # memory and swap in one figure
        swap_limit, swap_used = swap_limit - limit, swap_used - used
    return round(min(100.0, 100.0 * max(0, swap_used) / swap_limit), 1) if swap_limit > 0 else 0.0


def _inactive(path: Path, name: str) -> int:
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0


def _number(path: Path) -> int | None:
    """What a file holds; None where it is not there, says "max", or means the same by a number past every memory."""
    try:
        value = int(path.read_text())
    except (OSError, ValueError):
        return None
    return value if 0 <= value < _UNLIMITED else None
