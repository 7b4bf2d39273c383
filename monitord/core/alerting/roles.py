"""Which services do their work: what is wholly missing is explained by what is wholly dead, and by nothing less.

A service works while one of its processes does: online for PM2, running for the kernel, and not dying again and again.
A role is what one declared pattern means: all the services that it matches do the same work, and so do names written
out that differ in a number only (`sealer-1`, `sealer-2`). It is dead when none of them works.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from monitord.core.alerting.lifecycle import Book, holds, key
from monitord.core.history.model import History
from monitord.core.history.process_states import FROZEN
from monitord.core.history.restart_loops import outlived_after, since_given_up_ended
from monitord.core.names import any_means
from monitord.core.orders import StandingOrders
from monitord.core.subjects import catalogue


def roles(patterns: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Declared patterns, those together that mean the same work."""
    found: dict[str, list[str]] = {}
    for pattern in patterns:
        found.setdefault(re.sub(r"\d+", "0", pattern), []).append(pattern)
    return (tuple(same) for same in found.values())


def has_dead_role(
    service: str, patterns: Iterable[str], history: History, book: Book, orders: StandingOrders, now: float
) -> bool:
    """Whether one of the roles that these patterns declare is this service's, and nobody is left who fills it."""
    return any(
        any_means(role, service, orders.exact_names)
        and not any(
            any_means(role, other, orders.exact_names) and works(other, history, book, orders, now)
            for other in history.services
        )
        for role in roles(patterns)
    )


def works(name: str, history: History, book: Book, orders: StandingOrders, now: float) -> bool:
    """Whether one of a service's processes lives and has not just died.

    The alert of a loop goes on for as long as the window of restarts; the loop itself is over when the service has
    outlived it.
    """
    service = since_given_up_ended(history.services.get(name))
    if service is None:
        return False
    processes = [
        process for process in service.lives.values() if process.state == "online" and process.process not in FROZEN
    ]
    if not processes or not any(holds(book.get(key(loop, name)), orders) for loop in catalogue().restart_loops):
        return bool(processes)
    dying = outlived_after(service, now, orders.restarts_window.total_seconds(), orders.late_after.total_seconds())
    if dying is None:
        return True
    last, outlived = dying
    # Of several processes one may die again and again while the others live.
    return now - last > outlived or any(
        process.started_at is not None and now - process.started_at > outlived for process in processes
    )
