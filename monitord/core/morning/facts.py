"""What a night is judged by, as the criteria look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from monitord.core import words
from monitord.core.incidents import Incident, Part
from monitord.core.morning.sight import blind_seconds
from monitord.core.night import Blind, GroupNight, ServiceNight, TableNight
from monitord.core.orders import StandingOrders

# Of the night: more blindness than this and what is of the moment is not known any more.
BLIND_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Facts:
    """What a night is judged by. `unproven` are seconds, by service, of which its running cannot be told."""

    orders: StandingOrders
    since: float
    until: float
    services: tuple[ServiceNight, ...]
    unproven: Mapping[str, float]
    tables: tuple[TableNight, ...]
    groups: tuple[GroupNight, ...]
    groups_in_step: bool | None
    incidents: tuple[Incident, ...]
    blind: tuple[Blind, ...]
    seals_read_at: float | None

    def parts(self) -> Iterator[Part]:
        """Every alert of the night that was confirmed, told or explained, and when it ended."""
        for incident in self.incidents:
            for part in incident.parts:
                if part.ended_at is None or part.ended_at.timestamp() >= self.since:
                    yield part

    def blind_for(self, *probes: str) -> float:
        """How long one of these probes was blind, in seconds."""
        return blind_seconds(self.blind, probes)

    def too_blind(self, *probes: str) -> str:
        """Why the moment cannot be told of, as a sentence; "" where it can."""
        unseen = self.blind_for(*probes)
        if unseen <= BLIND_SHARE * (self.until - self.since):
            return ""
        blind = blind_seconds([spell for spell in self.blind if spell.why != "unrecorded"], probes)
        if unseen - blind > blind:
            rest = words.duration(unseen - blind)
            return f"Of {words.duration(self.until - self.since)}, {rest} are not recorded."
        return f"The watch was blind for {words.duration(blind)} of {words.duration(self.until - self.since)}."


def told(part: Part, facts: Facts) -> str:
    """One alert in a sentence, with from when to when it lasted."""
    since = words.moment(part.alert.since.timestamp(), facts.until)
    ended = part.ended_at and words.moment(part.ended_at.timestamp(), facts.until)
    when = f"from {since} to {ended}" if ended else f"since {since}"
    when += f", silenced by {part.silenced_by}" if part.silenced_by else ""
    return f"{part.alert.finding.summary.rstrip('.')} ({when})."
