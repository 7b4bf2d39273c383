"""Rates of error lines by windows. What was not heard of PM2's bus is unknown: it ends no rise, and is no calm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from monitord.core.copying import replace, slot_by_slot
from monitord.core.model import Reading
from monitord.core.moments import Moment
from monitord.core.orders import StandingOrders

WINDOW_SECONDS: Final = 120.0
# So many windows in a row make a rise, and so many end it.
SUCCESSIVE: Final = 3
DAY_SECONDS: Final = 86_400.0
DAYS: Final = 7
# What is no rise however quiet a service was, in lines a minute.
LEAST: Final = 10.0
TIMES: Final = 2.0
# A rise is over below this share of its limit.
OVER_SHARE: Final = 0.75


@slot_by_slot
@dataclass(frozen=True, slots=True)
class ServiceErrors:
    """The error lines of one service, in lines a minute.

    `per_minute` is the rate of its last window (None: that was not heard whole), `above` and `below` how many windows
    in a row were past its limit, or well below it, `above_since` when the first of those past it began, `since` since
    when it rises (None: it does not). `today` is the largest of the present day of listening, `days` are those of the
    days before, the newest last. `at_least`: not all of its last window was read.
    """

    per_minute: float | None = None
    above: int = 0
    below: int = 0
    above_since: Moment | None = None
    since: Moment | None = None
    today: float = 0.0
    days: tuple[float, ...] = ()
    at_least: bool = False


_UNHEARD: Final = ServiceErrors()
_NOTHING_WRITTEN: Final = ServiceErrors(per_minute=0.0)


@slot_by_slot
@dataclass(frozen=True, slots=True)
class ErrorHistory:
    """What is known of error lines. `services` are those that wrote any within the days that are kept.

    `connection` is when the connection to PM2's bus began that is counted on (None: the bus is not heard), `lines` what
    was counted by the last reading, `unread` how many frames were not read. `window_at` is when the open window began,
    and `before` and `unread_before` are the counts as of then. `listened` are the seconds of the present day in which
    the bus was heard, `days` how many such days there were before it, as far as they are kept. `heard_at`: there was a
    whole window.
    """

    connection: float | None = None
    lines: Mapping[str, float] = field(default_factory=dict)
    unread: float = 0.0
    window_at: Moment | None = None
    before: Mapping[str, float] = field(default_factory=dict)
    unread_before: float = 0.0
    heard_at: Moment | None = None
    listened: float = 0.0
    days: int = 0
    services: Mapping[str, ServiceErrors] = field(default_factory=dict)

    def of(self, service: str) -> ServiceErrors:
        """What is known of one service: of one that wrote nothing that it wrote nothing, once that was heard."""
        return self.services.get(service) or (_UNHEARD if self.heard_at is None else _NOTHING_WRITTEN)

    def usual(self, service: str) -> float | None:
        """The most that a service wrote a minute on all days that are kept but one; None before the first is over."""
        if not self.days:
            return None
        known = self.services.get(service)
        days = sorted(() if known is None else known.days[-self.days :])
        days = [*([0.0] * (self.days - len(days))), *days]
        return days[-2] if len(days) > 1 else days[-1]

    def limit(self, service: str, orders: StandingOrders) -> float | None:
        """The lines a minute past which a service's errors rise; None where they are not judged, or not yet."""
        declared = orders.errors_of(service)
        if declared is not None:
            return None if declared == "off" else declared
        usual = self.usual(service)
        return None if usual is None else max(LEAST, TIMES * usual)


def update_errors(
    known: ErrorHistory, reading: Reading, now: float, orders: StandingOrders, services: Mapping[str, object]
) -> ErrorHistory:
    """What is known after one more good reading of PM2, which runs these `services`."""
    connection = reading.number("error_lines_since")
    if connection is None:
        return (
            known if known.connection is None else _unheard(replace(known, connection=None, window_at=None, lines={}))
        )
    lines = dict(_lines(reading, services))
    unread = reading.number("error_lines_unread") or 0.0
    window_at = known.window_at
    late = WINDOW_SECONDS + orders.late_after.total_seconds()
    if connection != known.connection or window_at is None or not 0 <= now - window_at <= late:
        return replace(
            _unheard(known),
            connection=connection,
            lines=lines,
            unread=unread,
            window_at=now,
            before=lines,
            unread_before=unread,
        )
    if lines != known.lines or unread != known.unread:
        known = replace(known, lines=lines, unread=unread)
    return known if now - window_at < WINDOW_SECONDS else _closed(known, window_at, now, orders, services)


def _lines(reading: Reading, services: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    for sample in reading.named("error_lines"):
        service = sample.label("service")
        if service in services and isinstance(sample.value, int | float):
            yield service, sample.value


def _unheard(known: ErrorHistory) -> ErrorHistory:
    services = {
        name: replace(one, per_minute=None, above=0, below=0, above_since=None) for name, one in known.services.items()
    }
    return replace(known, services=services, heard_at=None)


def _closed(
    known: ErrorHistory, began: float, now: float, orders: StandingOrders, services: Mapping[str, object]
) -> ErrorHistory:
    minutes, is_floor = (now - began) / 60.0, known.unread != known.unread_before
    listened = known.listened + now - began
    is_day_over = listened >= DAY_SECONDS
    found: dict[str, ServiceErrors] = {}
    for name in {**known.services, **known.lines}:
        if name not in services:
            continue
        rate = max(0.0, known.lines.get(name, 0.0) - known.before.get(name, 0.0)) / minutes
        one = _with_window(known.of(name), rate, known.limit(name, orders), began, is_floor=is_floor)
        if is_day_over:
            one = replace(one, today=0.0, days=(*one.days, one.today)[-DAYS:])
        if one.since is not None or one.above or one.today or one.per_minute or any(one.days):
            found[name] = one
    return replace(
        known,
        services=found,
        listened=0.0 if is_day_over else listened,
        days=min(DAYS, known.days + is_day_over),
        window_at=now,
        before=known.lines,
        unread_before=known.unread,
        heard_at=now,
    )


def _with_window(
    one: ServiceErrors, rate: float, limit: float | None, began: float, *, is_floor: bool
) -> ServiceErrors:
    one = replace(one, per_minute=round(rate, 1), today=max(one.today, round(rate, 1)), at_least=is_floor)
    if limit is None:
        return replace(one, above=0, below=0, above_since=None, since=None)
    if rate > limit:
        since = one.above_since if one.above_since is not None else began
        above = min(SUCCESSIVE, one.above + 1)
        rises = one.since if one.since is not None else since if above == SUCCESSIVE else None
        return replace(one, above=above, below=0, above_since=since, since=rises)
    if is_floor:  # it may have written more
        return one
    below = min(SUCCESSIVE, one.below + 1) if rate <= limit * OVER_SHARE else 0
    return replace(one, above=0, below=below, above_since=None, since=None if below == SUCCESSIVE else one.since)
