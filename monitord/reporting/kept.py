"""The past by the hour in a report: in all, by the day, held against earlier windows and against the last GO."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from monitord.core import humanize
from monitord.core.blocks import Block, FoldedGrid, Grid, Paragraph, Section
from monitord.core.humanize import NOTHING, UNKNOWN, dated, worded
from monitord.core.report.kept import families, uptime
from monitord.core.report.model import KeptPast, KeptWindow, Report
from monitord.core.series import HOUR, Rollup, RollupFamily

# Of more rows than these nobody reads each: the newest are shown, and the JSON form has all.
_ROWS_AT_MOST: Final = 200
# So many are shown unfolded: a week of seven services.
_UNFOLDED: Final = 60
TITLE: Final = "By the hour"


def sections(report: Report) -> Iterator[Section]:
    past = report.kept
    if past is None:
        return
    if past.window is not None:
        blocks = (Paragraph(_about(past, past.window)), *_in_all(past.window), *_by_day(past.window))
        yield Section("kept", TITLE, blocks)
    if past.window is not None and past.compared and past.window.until > past.window.since:
        yield Section("compared", "Compared", tuple(_compared(past.window, past.compared)))
    if past.go is not None:
        yield Section("go", "The last GO and now", tuple(_then_and_now(past.go, past.now)))


def _about(past: KeptPast, window: KeptWindow) -> str:
    if window.until <= window.since:
        return "Unknown: no hour lies whole in the window, and it is whole hours that are kept."
    span = f"{dated(window.since)} to {dated(window.until)}"
    if past.begins is None or not window.days:
        return f"Unknown: nothing is kept of the hours from {span}."
    late = f" Nothing is kept from before {dated(past.begins)}." if past.begins > window.since else ""
    return (
        f"By whole hours, {span}.{late} Uptime is of the time that was seen; the blind time is neither up nor down. "
        "Roll-ups tell of no alerts, and nothing is judged by them."
    )


def _in_all(window: KeptWindow) -> Iterator[Block]:
    for title, member, named in _tables(window.totals):
        header, rows = _columns(named, window.totals)
        if rows:
            yield Grid(
                title,
                (member, *header),
                tuple((None, (name or title, *cells)) for (name, _), cells in rows.items()),
                frozenset(range(1, len(header) + 1)),
            )


def _by_day(window: KeptWindow) -> Iterator[Block]:
    if len({row.start // (24 * HOUR) for row in window.days}) < 2:
        return
    for title, member, named in _tables(window.days):
        header, rows = _columns(named, window.days)
        shown = list(rows.items())
        shown.sort(key=lambda row: (-(row[0][1] // (24 * HOUR)), row[0][0]))
        more = "" if len(shown) <= _ROWS_AT_MOST else f", the newest {_ROWS_AT_MOST} of {len(shown)} rows"
        table = Grid(
            f"{title} by the day (UTC){more}",
            ("Day", member, *header),
            tuple((None, (_day(start), name or title, *cells)) for (name, start), cells in shown[:_ROWS_AT_MOST]),
            frozenset(range(2, len(header) + 2)),
            (1,),
        )
        yield table if len(shown) <= _UNFOLDED else FoldedGrid(f"{title} by the day", table)


def _tables(rows: Iterable[Rollup]) -> Iterator[tuple[str, str, Mapping[str, RollupFamily]]]:
    """Title, what the members are called, families by series. A subject's own series have a table of their own."""
    rows = tuple(rows)
    single = {row.series for row in rows if not row.member}
    for subject, found in families(rows):
        for alone in (False, True):
            named = {series: family for series, family in found.items() if (series in single) is alone}
            if named:
                kind = humanize.capital(subject.title)
                yield (kind if alone else subject.heading), (subject.member.capitalize() or "Of"), named


def _columns(
    named: Mapping[str, RollupFamily], rows: Iterable[Rollup]
) -> tuple[tuple[str, ...], dict[tuple[str, int], tuple[str, ...]]]:
    header = tuple(title for family in named.values() for title in _titles(family))
    found: dict[tuple[str, int], dict[str, Rollup]] = {}
    for row in rows:
        if row.series in named:
            found.setdefault((row.member, row.start), {})[row.series] = row
    cells: dict[tuple[str, int], tuple[str, ...]] = {}
    for place, of in sorted(found.items()):
        cells[place] = tuple(cell for series, family in named.items() for cell in _cells(family, of.get(series)))
    return header, cells


def _titles(family: RollupFamily) -> tuple[str, ...]:
    title = humanize.capital(family.title)
    match family.kind:
        case "state":
            return title, "Down", "Blind"
        case "level":
            return f"{title}: least", "mean", "most"
    return (title,)


def _cells(family: RollupFamily, row: Rollup | None) -> tuple[str, ...]:
    if row is None:
        return (NOTHING,) * len(_titles(family))
    match family.kind:
        case "state":
            return figure(family, row), humanize.duration(row.down), humanize.duration(row.blind)
        case "level":
            return tuple(worded(family.say, value) for value in (row.least, row.mean, row.most))
    return (figure(family, row),)


def figure(family: RollupFamily, row: Rollup | None) -> str:
    if row is None:
        return UNKNOWN
    match family.kind:
        case "state":
            return worded(percent, uptime(row))
        case "level":
            return worded(family.say, row.mean)
    return worded(family.say, None if row.gained is None else max(0.0, row.gained))


def hourly(family: RollupFamily, row: Rollup | None) -> str:
    if row is None or family.kind != "increase" or row.gained is None:
        return figure(family, row)
    return f"{family.say(max(0.0, row.gained) / max(1, row.hours))} an hour"


def _beside(
    title: str,
    named: Mapping[str, RollupFamily],
    window: KeptWindow,
    others: Iterable[KeptWindow | None],
    say: Callable[[RollupFamily, Rollup | None], str],
) -> Iterator[tuple[None, tuple[str, ...]]]:
    """A row for each roll-up of these families: what it is in the window, and in others."""
    for series, family in named.items():
        for row in window.totals:
            if row.series == series:
                found = (row, *(None if other is None else other.of(series, row.member) for other in others))
                yield None, (row.member or title, family.title, *(say(family, one) for one in found))


def _compared(window: KeptWindow, others: tuple[KeptWindow, ...]) -> Iterator[Block]:
    spans = "; ".join(f"{other.name}: {dated(other.since)} to {dated(other.until)}" for other in others)
    yield Paragraph(f"The same whole hours, {spans}. Of a level its mean, of a state its uptime.")
    for title, member, named in _tables(window.totals):
        header = (member, "What", "To date", *(other.name.capitalize() for other in others))
        rows = tuple(_beside(title, named, window, others, figure))
        yield Grid(title, header, rows, frozenset(range(2, len(header))), (0, 1))


def _then_and_now(go: KeptWindow, now: KeptWindow | None) -> Iterator[Block]:
    last = f"now: the hour from {dated(now.since)}" if now is not None else "now: no whole hour of late is kept"
    yield Paragraph(f"The last GO before: {dated(go.since)} to {dated(go.until)}; {last}.")
    for title, member, named in _tables(go.totals):
        levels = {series: family for series, family in named.items() if family.kind != "state"}
        if rows := tuple(_beside(title, levels, go, (now,), hourly)):
            yield Grid(title, (member, "What", "Then", "Now"), rows, frozenset({2, 3}), (0, 1))


def percent(share: float) -> str:
    """`99.93%`: never rounded up to all, nor down to nothing."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return f"{min(99.99, max(0.01, share * 100)):.2f}%"


def _day(start: int) -> str:
    moment = datetime.fromtimestamp(start, UTC)
    return f"{moment:%b} {moment.day}"
