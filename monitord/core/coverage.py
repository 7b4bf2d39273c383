"""What one check asks, held against what the daemon watches: what was not asked is not fine."""

from __future__ import annotations

from collections.abc import Iterator

from monitord.core import humanize
from monitord.core.orders import StandingOrders
from monitord.core.subjects.registry import registered


def shortfall(asked: StandingOrders, watched: StandingOrders) -> str:
    """What the daemon watches and a check by the orders `asked` does not: "Redis and the tables a and b", or "".

    A default that nobody named is in both or in none.
    """
    return humanize.listed(list(_missing(asked, watched)))


def _missing(asked: StandingOrders, watched: StandingOrders) -> Iterator[str]:
    for subject in registered():
        if subject.name not in watched.probes:
            continue
        if subject.name not in asked.probes:
            yield subject.readings
            continue
        if not subject.members or subject.members in watched.unnamed:
            continue
        held, wanted = set(getattr(asked, subject.members)), list(getattr(watched, subject.members))
        # An empty roster is learned from the snapshot, which a check reads too.
        names = [] if subject.members == "services" and not held else [name for name in wanted if name not in held]
        if names:
            yield f"the {subject.member}{'s' if len(names) > 1 else ''} {humanize.listed(names)}"
