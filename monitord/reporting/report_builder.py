"""The report: what was recorded of the window, folded, with the recap that only the database can give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from monitord.config.settings import Settings
from monitord.core.engine import State
from monitord.core.history.defaults import effective, seen
from monitord.core.history.epochs import calendar
from monitord.core.model import Observation
from monitord.core.orders import SEALS, StandingOrders
from monitord.core.report.builder import RecordedCycle, build_report
from monitord.core.report.kept import earlier, whole_hours, window
from monitord.core.report.model import KeptPast, KeptWindow, Recap, RecapBefore, Report
from monitord.core.series import HOUR
from monitord.jsonable import moment, revived
from monitord.storage.go_windows import last_go, remember_go
from monitord.storage.reader import read_history, read_snapshot, read_transitions
from monitord.storage.rollups import first_hour, read_rollups
from monitord.storage.schema import KEEP_HISTORY
from monitord.threads import WorkerThread

# 48 h of a fleet of fifty take some ten seconds; what takes longer than this is a disk that hangs.
LOOK_SECONDS: Final = 120.0
RECAP_SECONDS: Final = 8.0
# The recap is asked for while the record is read. Of a database that answers it is there by then, or soon after.
RECAP_MORE_SECONDS: Final = 3.0
_CLOSE_SECONDS: Final = 1.0

Passing = Callable[[Iterable[Observation]], Iterable[Observation]]


async def report_from_recording(
    settings: Settings,
    orders: StandingOrders,
    since: datetime,
    until: datetime,
    passing: Passing = iter,
    *,
    recap_more: float = RECAP_MORE_SECONDS,
    compare: bool = False,
) -> Report:
    """The report of the time from `since` to `until`. `passing` sees the recorded observations go by.

    The database's recap is waited for until `recap_more` seconds after all else is known, and missing after that.
    `compare`: the hourly roll-ups and the recap are held against earlier times, which takes longer. UnusableSnapshot
    where the snapshot cannot be read, TimeoutError where the state directory does not answer.
    """
    worker, directory = WorkerThread("the recording"), settings.state_dir
    try:
        asked = await worker.run(_asked_about, directory, orders, timeout=LOOK_SECONDS)
    except BaseException:
        worker.close()
        raise
    recapping = asyncio.create_task(_recap(settings, asked, since, until))
    before: tuple[RecapBefore, ...] = ()
    try:
        report: Report = await worker.run(_look, directory, orders, since, until, passing, timeout=LOOK_SECONDS)
        if report.verdict == "GO":
            await worker.run(remember_go, directory, since.timestamp(), until.timestamp(), timeout=LOOK_SECONDS)
        kept = await worker.run(_kept, directory, since, until, compare, timeout=LOOK_SECONDS)
        await asyncio.wait({recapping}, timeout=recap_more)
        recap, error = recapping.result() if recapping.done() else (None, "the database has not answered in time")
        if compare and recap:
            before = await _recaps_before(settings, asked, since, until)
    finally:
        worker.close()
        recapping.cancel()
        with suppress(asyncio.CancelledError):
            await recapping
    return replace(report, recap=recap, recap_error=error, recap_before=before, kept=kept)


def _asked_about(directory: Path, orders: StandingOrders) -> StandingOrders:
    """The orders for what there may be, as far as the daemon has found out."""
    snapshot = read_snapshot(directory) if orders.unnamed else None
    if snapshot is None or seen(snapshot.state.history, SEALS) is None:
        return orders
    return effective(orders, snapshot.state.history)


def recorded_cycles(directory: Path, orders: StandingOrders, since: datetime) -> RecordedCycle:
    """What the daemon on `directory` has kept from `since` on. The observations are read as they are used."""
    snapshot = read_snapshot(directory)
    report, at = None, None
    # A report of another shape, as another version left it, is no reason to know nothing of the window.
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        if snapshot is not None and (kept := snapshot.report()) is not None:
            at = moment(kept["at"])
            report = revived(kept)
    return RecordedCycle(
        observations=read_history(directory, since - orders.late_after),
        transitions=read_transitions(directory, since),
        state=snapshot.state if snapshot is not None else State(),
        report=report,
        reported_at=at.timestamp() if at is not None else None,
    )


def _look(directory: Path, orders: StandingOrders, since: datetime, until: datetime, passing: Passing) -> Report:
    recorded = recorded_cycles(directory, orders, since)
    recorded = replace(recorded, observations=passing(recorded.observations))
    return build_report(recorded, orders, since.timestamp(), until.timestamp())


def _kept(directory: Path, since: datetime, until: datetime, compare: bool) -> KeptPast | None:
    """What the roll-ups add: to a window beyond the recorded cycles, one to be compared, one after a GO; else None."""
    begin, end = whole_hours(since.timestamp(), until.timestamp())
    is_beyond = compare or until - since > KEEP_HISTORY
    go = last_go(directory, since.timestamp(), until.timestamp())
    if not is_beyond and go is None:
        return None
    others = earlier(begin, end) if compare else ()
    last_hour = rolled_up(directory, "now", end - HOUR, end)
    return KeptPast(
        begins=first_hour(directory),
        window=rolled_up(directory, "", begin, end) if is_beyond else None,
        compared=tuple(rolled_up(directory, name, begin - by, end - by) for name, by in others),
        go=None if go is None else rolled_up(directory, "the last GO", *whole_hours(*go)),
        now=last_hour if last_hour.days else None,
    )


def rolled_up(directory: Path, name: str, begin: float, end: float) -> KeptWindow:
    """The whole hours from `begin` to `end` (Unix seconds) as they are kept."""
    first, last = (datetime.fromtimestamp(at, UTC) for at in (begin, end))
    return window(name, begin, end, read_rollups(directory, first, last))


async def _recaps_before(
    settings: Settings, orders: StandingOrders, since: datetime, until: datetime
) -> tuple[RecapBefore, ...]:
    """The recap of the same hours a day (or as long) and a week before: one after the other, each in its own time."""
    found = []
    for name, by in earlier(since.timestamp(), until.timestamp()):
        first, last = since - timedelta(seconds=by), until - timedelta(seconds=by)
        recap, error = await _recap(settings, orders, first, last)
        found.append(RecapBefore(name, first.timestamp(), last.timestamp(), recap, error))
    return tuple(found)


async def _recap(
    settings: Settings, orders: StandingOrders, since: datetime, until: datetime
) -> tuple[tuple[Recap, ...] | None, str]:
    """The tiers' recap from the database, or None and why not."""
    if settings.postgres.dsn is None or not orders.groups:
        return None, ""
    from monitord.postgres.dsn import DsnError
    from monitord.postgres.errors import PostgresError
    from monitord.postgres.recap import recap
    from monitord.postgres.session import Session

    days = calendar(orders)
    first, last = days.current(since.timestamp()), days.current(until.timestamp()) + days.length
    try:
        session = Session(settings.postgres.dsn.get_secret_value(), settings.postgres.ca_file)
    except DsnError as error:
        return None, str(error)
    try:
        return await recap(session, orders.groups, first, last, RECAP_SECONDS), ""
    except PostgresError as error:
        return None, error.error
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await session.close()
