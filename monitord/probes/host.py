"""Measures the machine: memory and swap (a container's where smaller), load, and disks, each on a thread."""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from monitord.core.model import Sample, Unmeasured, sample
from monitord.probes import cgroup
from monitord.threads import WorkerBusy, WorkerThread

from .base import Measured, Request

_SHARE = 0.8  # of the reading's deadline: what a hung disk may take of it


@dataclass(frozen=True, slots=True)
class Disk:
    """On which file system a path lies: its mount point, and its device as "major:minor"."""

    mount: str
    device: str


def place_of(path: str) -> Disk | None:
    """Where a path lies, by the directories above it; None where that is not known. May block like any access to it."""
    try:
        point = Path(path).resolve()
        while not point.is_mount():
            point = point.parent
        device = Path(path).stat().st_dev
    except OSError:
        return None
    return Disk(str(point), f"{os.major(device)}:{os.minor(device)}")


class HostProbe:
    """Memory, swap, load, boot time, and how full each disk is: its space, and its inodes where it has a set number.

    A mount whose server is gone blocks whoever asks about it, for hours. So each path has a thread of its own, which
    is left with its question until the answer comes, while the other paths and the next readings go on.
    """

    name = "host"

    def __init__(self, disks: Sequence[str], statvfs: Callable[[str], os.statvfs_result] = os.statvfs) -> None:
        """`disks` are paths, one on each file system to measure; `statvfs` answers for a path, and may block."""
        self._disks = tuple(dict.fromkeys(disks))
        self._statvfs = statvfs
        self._workers: dict[str, WorkerThread] = {}
        self._cpu: tuple[float, float] | None = None

    async def measure(self, request: Request) -> Measured:
        """Every number there is; a disk that is missing, refuses or hangs is a gap."""
        asked = [self._disk(path, request.timeout * _SHARE) for path in self._disks]
        answers = await asyncio.gather(*asked)
        samples = [*_machine(), self._busy()]
        gaps: list[Unmeasured] = []
        for answer in answers:
            if isinstance(answer, Unmeasured):
                gaps.append(answer)
            else:
                samples += answer
        return Measured(tuple(samples), tuple(gaps))

    def _busy(self) -> Sample:
        """How much of the processors was busy since the last reading; None at the first."""
        times = psutil.cpu_times()
        idle, whole = times.idle + getattr(times, "iowait", 0.0), sum(times)
        # On Linux a guest's time is counted in its user's, too.
        whole -= getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        last, self._cpu = self._cpu, (idle, whole)
        if last is None or whole <= last[1]:
            return sample("cpu", None, "percent")
        busy = 1 - (idle - last[0]) / (whole - last[1])
        return sample("cpu", round(100 * min(1.0, max(0.0, busy)), 2), "percent")

    async def close(self) -> None:
        """End the threads; one that hangs ends when its disk answers and keeps nobody waiting."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    async def _disk(self, path: str, timeout: float) -> list[Sample] | Unmeasured:
        worker = self._workers.get(path)
        if worker is None:
            worker = self._workers[path] = WorkerThread(f"disk {path}")
        try:
            found, place = await worker.run(self._ask, path, timeout=timeout)
        except WorkerBusy as busy:
            return Unmeasured(
                path, "timeout", f"{path} has not answered for {busy.seconds:.0f} s: its file system hangs"
            )
        except TimeoutError as error:
            if error.errno is not None:  # the kernel's own, from a network mount that gives up
                return Unmeasured(path, "timeout", f"{path} cannot be read: {error.strerror}")
            return Unmeasured(path, "timeout", f"{path} did not answer within {timeout:g} s: its file system hangs")
        except (FileNotFoundError, NotADirectoryError):
            return Unmeasured(path, "missing", f"{path} does not exist")
        except PermissionError:
            return Unmeasured(path, "permission", f"{path} may not be read by this user")
        except OSError as error:
            return Unmeasured(path, "refused", f"{path} cannot be read: {error.strerror}")
        where = () if place is None else (("disk_mount", place.mount), ("disk_device", place.device))
        return [*_fullness(path, found), *(sample(name, value, "", path=path) for name, value in where)]

    def _ask(self, path: str) -> tuple[os.statvfs_result, Disk | None]:
        return self._statvfs(path), place_of(path)


def _fullness(path: str, found: os.statvfs_result) -> list[Sample]:
    """As df counts: of what ordinary users can have, without the blocks kept for root."""
    used = found.f_blocks - found.f_bfree
    reachable = used + found.f_bavail
    percent = round(100.0 * used / reachable, 3) if reachable > 0 else None  # /proc has no blocks at all
    taken = found.f_files - found.f_ffree
    nodes = taken + found.f_favail
    # Without a set number of inodes (btrfs, FAT) f_files is 0: they cannot run out.
    inodes = round(100.0 * taken / nodes, 3) if found.f_files > 0 and nodes > 0 else None
    return [
        sample("disk_used", percent, "percent", path=path),
        sample("disk_free", found.f_bavail * found.f_frsize, "bytes", path=path),
        sample("disk_inodes_used", inodes, "percent", path=path),
    ]


def _machine() -> list[Sample]:
    memory = psutil.virtual_memory()
    load1, load5, load15 = os.getloadavg()
    group = cgroup.headroom()
    is_tighter = group is not None and group.available < memory.available
    swap = psutil.swap_memory().percent
    if group is not None and group.swap_percent is not None:
        swap = max(swap, group.swap_percent) if group.swap_percent > 0 else group.swap_percent
    limited = [] if group is None else [sample("memory_limit", group.limit, "bytes")]
    return [
        sample("memory_available", group.available if group and is_tighter else memory.available, "bytes"),
        sample("memory_available_of", "cgroup" if is_tighter else "host", ""),
        *limited,
        sample("memory_total", memory.total, "bytes"),
        sample("swap", swap, "percent"),
        sample("load1", round(load1, 2)),
        sample("load5", round(load5, 2)),
        sample("load15", round(load15, 2)),
        sample("cores", psutil.cpu_count()),
        sample("boot_at", psutil.boot_time(), "timestamp"),
    ]
