"""What several readings together show of the numbers that an app reports: whether they move, and its heap."""

from __future__ import annotations

from collections.abc import Mapping

from monitord.core.app_numbers import HEAP_USED, figure, moves, size
from monitord.core.copying import replace
from monitord.core.history.process_model import Process
from monitord.core.orders import StandingOrders


def followed(
    name: str,
    old: Mapping[str, Process],
    new: Mapping[str, Process],
    watched_since: float | None,
    now: float,
    orders: StandingOrders,
) -> Mapping[str, Process]:
    """The processes of a service with since when their numbers have stood still, and their heap has been nearly full.

    Time without readings counts for neither: `watched_since` is the last reading (None: it was too long ago).
    """
    changed: dict[str, Process] = {}
    for instance, process in new.items():
        if not process.app:
            if process.still_since is not None or process.heap_full_since is not None:
                changed[instance] = replace(process, still_since=None, heap_full_since=None)
            continue
        was = old.get(instance)
        if was is not None and (watched_since is None or was.started_at != process.started_at):
            was = None
        still = full = None
        if was is not None and was.app == process.app and moves(process.app):
            still = was.still_since if was.still_since is not None else watched_since
        if process.heap_limit is not None and is_heap_full(process, orders.heap_limits(name)[0]):
            full = was.heap_full_since if was is not None and was.heap_full_since is not None else now
        if (still, full) != (process.still_since, process.heap_full_since):
            changed[instance] = replace(process, still_since=still, heap_full_since=full)
    return {**new, **changed} if changed else new


def is_heap_full(process: Process, limit: float) -> bool:
    """Whether a process uses more than so many percent of the heap that Node may use."""
    if process.heap_limit is None:
        return False
    used = size(figure(process.app, HEAP_USED))
    return used is not None and used / process.heap_limit * 100 > limit
