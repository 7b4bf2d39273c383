"""On which file system each watched path lies, and whether that is still the one it lay on.

A disk that is unmounted leaves an empty directory of its parent's file system, and that answers for it with its own
numbers. So where a path lay is remembered; while what was mounted there is gone, it is missing, and its parent is not
taken for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitord.core import humanize
from monitord.core.copying import replace, slot_by_slot
from monitord.core.model import Observation, Reading, Unmeasured
from monitord.core.orders import StandingOrders

if TYPE_CHECKING:
    from monitord.core.history.model import History

# Devices of no disk (tmpfs, overlay, network): another number with every mount.
_ANONYMOUS = "0:"


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Mount:
    """Where a path lay when it was last whole: the mount point, and the device as "major:minor"."""

    point: str
    device: str


Mounts = Mapping[str, Mount]


def checked(
    mounts: Mounts, observation: Observation, orders: StandingOrders
) -> tuple[Mounts, Observation, tuple[str, ...]]:
    """What is now remembered, the observation with what is unmounted as missing, and what there is to note."""
    reading = observation.readings.get("host")
    if reading is None or reading.failure is not None:
        return mounts, observation, ()
    kept: dict[str, Mount] = {path: mount for path, mount in mounts.items() if path in orders.disks}
    gone: dict[str, Unmeasured] = {}
    notes: list[str] = []
    for path in orders.disks:
        point, device = reading.word("disk_mount", path=path), reading.word("disk_device", path=path)
        if point is None or device is None:
            continue
        before = kept.get(path)
        if before is not None and before.point != point and _within(before.point, point):
            gone[path] = Unmeasured(path, "missing", _unmounted(path, before, point))
            continue
        if before is not None and before.point == point and before.device == device:  # nearly always
            continue
        mount = Mount(point, device)
        notes += _noted(path, before, mount)
        kept[path] = mount
    if gone:
        readings = {**observation.readings, "host": _without(reading, gone)}
        observation = replace(observation, readings=readings)
    return kept, observation, tuple(notes)


def unmounted(path: str, history: History, _: StandingOrders) -> History | None:
    """The history without what was mounted at a path, where it is gone: what lies there is learned anew."""
    last = history.readings.get("host")
    if path not in history.mounts or last is None or not any(gap.subject == path for gap in last.gaps):
        return None
    return replace(history, mounts={other: mount for other, mount in history.mounts.items() if other != path})


def _within(point: str, other: str) -> bool:
    return point.startswith(other.rstrip("/") + "/")


def _unmounted(path: str, before: Mount, point: str) -> str:
    where = "" if path == before.point else f" ({path} lies on it)"
    return f"{before.point} is no longer a file system of its own{where}: it is unmounted, and only {point} is there"


def _noted(path: str, before: Mount | None, now: Mount) -> list[str]:
    if before is None:
        return [] if path == now.point else [f"{shared(path, now.point)}"]
    if before.point != now.point:
        return [f"{path} lies on the file system at {now.point} now (before: {before.point})"]
    if before.device != now.device and not (before.device + now.device).startswith(_ANONYMOUS):
        return [f"another device is mounted at {now.point}: {now.device} instead of {before.device}"]
    return []


def shared(path: str, point: str) -> str:
    return f"{path} is not a mount point: what is measured there is the file system at {point}"


def shared_mounts(mounts: Mapping[str, str | None]) -> tuple[str, ...]:
    found = []
    for path, point in mounts.items():
        if point is not None and point != path:
            twins = [other for other, its in mounts.items() if other != path and its == point]
            also = f", which is watched as {humanize.listed(twins)} too" if twins else ""
            found.append(f"{shared(path, point)}{also}")
    return tuple(found)


def _without(reading: Reading, gone: Mapping[str, Unmeasured]) -> Reading:
    """The reading with what is unmounted as gaps: the numbers under its name are another file system's."""
    samples = tuple(s for s in reading.samples if not any(key == "path" and value in gone for key, value in s.labels))
    return replace(reading, samples=samples, gaps=(*reading.gaps, *gone.values()))
