"""What one check asks, held against what the daemon watches: what was not asked is not fine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from monitord.core import words
from monitord.core.orders import StandingOrders
from monitord.core.verdict import NAMES

# The fields of the orders that name subjects, by the probe that measures them.
_SUBJECTS: Final = {
    "pm2": (("services", "service"),),
    "postgres": (("tables", "table"),),
    "epochs": (("groups", "group"),),
    "redis": (("queues", "queue"),),
    "host": (("disks", "disk"),),
}


def shortfall(asked: StandingOrders, watched: StandingOrders) -> str:
    """What the daemon watches and a check by the orders `asked` does not: "Redis and the tables a and b", or "".

    A default that nobody named is in both or in none.
    """
    return words.listed(list(_missing(asked, watched)))


def _missing(asked: StandingOrders, watched: StandingOrders) -> Iterator[str]:
    for probe, subjects in _SUBJECTS.items():
        if probe not in watched.probes:
            continue
        if probe not in asked.probes:
            yield NAMES[probe]
            continue
        for field, called in subjects:
            if field in watched.unnamed:
                continue
            held, wanted = set(getattr(asked, field)), list(getattr(watched, field))
            # An empty roster is learned from the snapshot, which a check reads too.
            names = [] if field == "services" and not held else [name for name in wanted if name not in held]
            if names:
                yield f"the {called}{'s' if len(names) > 1 else ''} {words.listed(names)}"
