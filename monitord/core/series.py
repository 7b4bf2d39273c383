"""What a subject declares of its past by the hour: the series that are rolled up and kept for long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from monitord.core import humanize

if TYPE_CHECKING:
    from monitord.core.history.model import History
    from monitord.core.model import ServiceEvent
    from monitord.core.orders import StandingOrders
    from monitord.core.status import FleetStatus
    from monitord.core.subjects.base import MetricGroup

HOUR: Final = 3600
RollupKind = Literal["level", "state", "increase"]
Values = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class RollupContext:
    """What one cycle knows: the status, the history as it was `before` and is now, and what happened to services."""

    report: FleetStatus
    before: History
    history: History
    events: Sequence[ServiceEvent]
    orders: StandingOrders


@dataclass(frozen=True, slots=True, eq=False)
class RollupFamily:
    """A number that is kept by the hour, for each thing that has one ("": there is only one).

    Of a `level` the least, the mean and the most are kept, of a `state` (1 or 0) for how long it was which, of an
    `increase` the sum: its values are what the cycle adds. None: it could not be measured, and the time since the cycle
    before is blind. `say` is a value in words.
    """

    name: str
    title: str
    kind: RollupKind
    values: Callable[[RollupContext], Values]
    say: Callable[[float], str] = humanize.count


@dataclass(frozen=True, slots=True)
class Rollup:
    """What one series came to in the time from `start` (Unix seconds) on: an hour, or more of them taken together.

    `series` is the subject and the family, `member` the thing. The times are seconds; `gained` is None where nothing
    could be added up, `hours` how many there are rows of.
    """

    start: int
    series: str
    member: str
    readings: int
    least: float | None
    mean: float | None
    most: float | None
    up: float
    down: float
    blind: float
    gained: float | None
    hours: int = 1


def metric(groups: Sequence[MetricGroup[Any]], name: str) -> Callable[[RollupContext], Values]:
    """The values of one of a subject's metrics, by the names of its things."""
    group, family = next((group, one) for group in groups for one in group.metrics if one.name == name)

    def values(context: RollupContext) -> Values:
        found = {member: family.value(thing) for member, thing in group.find(context.report).items()}
        return {member: value for member, value in found.items() if not isinstance(value, Mapping)}

    return values
