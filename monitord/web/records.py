"""What stands behind every page: the source, what was read of the record and is kept, and who listens."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from monitord.core.alerting.incidents import Incident
from monitord.core.blocks import Plot
from monitord.core.report.model import KeptWindow, Report
from monitord.core.subjects.checks_report import CHECK_REPORTS
from monitord.core.subjects.pm2_report import SERVICE_REPORTS
from monitord.reporting.charts.points import thinned
from monitord.web.async_cache import AsyncCache, CacheEntry
from monitord.web.backend import DaemonBackend, PublishedCycle
from monitord.web.context import RenderedPage
from monitord.web.sse import Hub

T = TypeVar("T")

INCIDENTS: Final = timedelta(hours=48)
# Longer than anything is kept.
ALL_KEPT: Final = timedelta(days=3650)
# The first page waits so long for what is being read, and then comes without it.
WAIT_SECONDS: Final = 1.0
_KEEP_SECONDS: Final = 60.0
# Plots and uptimes of less than an hour are made anew when they have grown by such a part, and no sooner than that.
_GROWN: Final = 1 / 60
_KEEP_AT_LEAST_SECONDS: Final = 3.0
_INCIDENTS_KEEP_SECONDS: Final = 20.0
_DAY_KEEP_SECONDS: Final = 20.0
_MOST_SPANS: Final = 4
_POINTS: Final = 480


class Busy(Exception):  # noqa: N818 - it names a state
    """So many different reports are being made already that another has to wait."""


class Records:
    """Keeps what takes long to read. What is read of a span raises Busy where too many others are being made."""

    def __init__(self, source: DaemonBackend) -> None:
        self.source = source
        self.hub = Hub()
        ready = partial(self.hub.publish, "report", {})
        self._recorded = _BySpan(lambda back: AsyncCache(partial(self._draw, back), _lasts, ready, source.fault))
        self._day = AsyncCache(source.last_day, _day_lasts, fault=source.fault)
        self._incidents = _BySpan(
            lambda back: AsyncCache(partial(source.incidents, back), _INCIDENTS_KEEP_SECONDS, fault=source.fault)
        )
        self._reports = _BySpan(
            lambda back: AsyncCache(partial(source.report, back), _KEEP_SECONDS, fault=source.fault)
        )

    def publish(self, seen: PublishedCycle) -> None:
        if seen.decision.transitions:
            for kept in self._incidents.values():
                kept.expire()
        if self.hub.readers:
            self.hub.publish("cycle", {"status": seen.report.status, "at": seen.at.isoformat(timespec="milliseconds")})

    def expire(self) -> None:
        """What is ordered has changed: what was judged by the old orders is to be made anew."""
        for cache in self._caches():
            cache.expire()

    async def close(self) -> None:
        self.hub.close()
        for cache in self._caches():
            await cache.close()

    def _caches(self) -> list[AsyncCache[Any]]:
        return [self._day, *self._recorded.values(), *self._incidents.values(), *self._reports.values()]

    async def recorded(self, back: timedelta, wait: float | None = None) -> CacheEntry[RenderedPage] | None:
        """With its small plots."""
        return await self._recorded.of(back).get(_patience(wait))

    async def day(self, wait: float | None = None) -> CacheEntry[KeptWindow] | None:
        """Made once for all who ask in one cycle."""
        return await self._day.get(_patience(wait))

    async def incidents(
        self, back: timedelta = INCIDENTS, wait: float | None = None
    ) -> CacheEntry[tuple[Incident, ...]] | None:
        return await self._incidents.of(back).get(_patience(wait))

    async def report(self, back: timedelta, wait: float | None = None) -> CacheEntry[Report] | None:
        return await self._reports.of(back).get(_patience(wait))

    async def _draw(self, back: timedelta) -> RenderedPage:
        report = await self.source.recorded(back)
        return await self.source.aside(partial(_drawn, report))


def _patience(wait: float | None) -> float:
    return WAIT_SECONDS if wait is None else wait


class _BySpan(OrderedDict[timedelta, AsyncCache[T]]):
    """A cache for each of a few spans; the one that was asked for longest ago gives way to a new one."""

    def __init__(self, make: Callable[[timedelta], AsyncCache[T]]) -> None:
        super().__init__()
        self._make = make

    def of(self, span: timedelta) -> AsyncCache[T]:
        """Busy where it would be one too many, and all others are being made."""
        if span not in self:
            while len(self) >= _MOST_SPANS:
                idle = next((other for other, cache in self.items() if not cache.busy), None)
                if idle is None:
                    raise Busy
                del self[idle]
            self[span] = self._make(span)
        self.move_to_end(span)
        return self[span]


def _drawn(report: Report) -> RenderedPage:
    from monitord.reporting.charts.report_plots import report_plots

    services = tuple(replace(one, memory=tuple(thinned(one.memory, _POINTS))) for one in report.of(SERVICE_REPORTS))
    thin = report.having(SERVICE_REPORTS, services)
    plot = report_plots(thin)
    small = [Plot("memory_small", one.name) for one in services] + [
        Plot("value_small", one.name) for one in report.of(CHECK_REPORTS)
    ]
    kept = {(it.plot, it.of): plot(it) for it in small}
    return RenderedPage(thin, lambda it: kept.get((it.plot, it.of)) or plot(it))


def _lasts(page: RenderedPage) -> float:
    """Of a monitoring that has just begun not for long."""
    return _grown(page.report.until - page.report.since, _KEEP_SECONDS)


def _day_lasts(kept: KeptWindow) -> float:
    return _grown(max((row.up + row.down + row.blind for row in kept.totals), default=0.0), _DAY_KEEP_SECONDS)


def _grown(span: float, most: float) -> float:
    return min(most, max(_KEEP_AT_LEAST_SECONDS, span * _GROWN))


def now() -> datetime:
    """The one moment of a request."""
    return datetime.now(UTC)
