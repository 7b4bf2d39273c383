"""The chain to which the simulated fleet's roots are published, and what its probe would read of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from monitord.core.model import Reading, Sample
from monitord.core.subjects import chain_facts as facts
from monitord.core.subjects.chain_facts import ChainSettings

from .fleet import Group, Server, reading, sample

# So many seconds after its seal a label is marked as published, and in its channel's account.
PUBLISHED_AFTER = 180.0
# Between two slots.
SLOT_SECONDS = 0.4


@dataclass
class Chain:
    """A chain on which stands what is marked as published. It is asked every so often, as the probe does."""

    groups: Mapping[str, Group]
    settings: ChainSettings
    _last: tuple[float, tuple[Sample, ...]] | None = None

    def taken(self, server: Server, now: float, awaited: Collection[str], *, whole: bool) -> Reading:
        """What a reading tells: what the chain says if it is due to be asked, else what it said the last time."""
        if self._last is not None and not self._is_due(now - self._last[0], awaited, whole=whole):
            at, samples = self._last
            return reading(facts.NAME, Server(), iter((*samples, sample(facts.KEPT, at, "timestamp"))))
        found = reading(facts.NAME, server, self._samples(now))
        self._last = None if found.failure is not None else (now, found.samples)
        return found

    def _is_due(self, since: float, awaited: Collection[str], *, whole: bool) -> bool:
        members = {facts.NAME, *self.settings.tokens, *self.settings.wallets}
        return not members.isdisjoint(awaited) or (whole and since >= self.settings.every.total_seconds())

    def _samples(self, now: float) -> Iterator[Sample]:
        yield sample(facts.SLOT, math.floor(now / SLOT_SECONDS))
        yield sample(facts.BY, "node", "")
        yield sample(facts.LATENCY, 80.0, "ms")
        yield sample(facts.NODE, math.floor(now / SLOT_SECONDS), node="node")
        yield sample(facts.PROGRAM_STATE, facts.EXECUTABLE, "")
        yield sample(facts.DEPLOYED, 377_000_000)
        yield sample(facts.AUTHORITY, "key", "")
        for address, least in self.settings.wallets.items():
            yield sample(facts.BALANCE, 2 * least, "SOL", wallet=address)
        for name in self.settings.tokens:
            yield sample(facts.SUPPLY, 1e9, group=name)
            if name in self.groups:
                yield from self._of(self.groups[name], now)

    def _of(self, group: Group, now: float) -> Iterator[Sample]:
        """The newest published label of the group's first channel, and its account, in which the same stands."""
        out = [label for label, at in group.sealed_at.items() if at + PUBLISHED_AFTER <= now]
        if not out:
            return
        label, of = max(out), {"group": group.name, "channel": f"{group.name.lower()}00"}
        root = f"{label:064x}"
        yield sample(facts.PUBLISHED, label, "timestamp", **of)
        yield sample(facts.ROOT, root, "", **of)
        yield sample(facts.ACCOUNT, f"account-of-{of['channel']}", "", **of)
        yield sample(facts.LATEST, label, "timestamp", **of)
        yield sample(facts.RING, root, "", epoch=str(label), **of)
