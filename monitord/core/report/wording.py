"""How the facts of a report are worded, the same in every form of it. What is not known is put in words."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Protocol

from monitord.core import humanize
from monitord.core.alerting.evidence import evidence_rows
from monitord.core.alerting.incidents import Incident, IncidentPart
from monitord.core.blocks import Style
from monitord.core.humanize import dated, worded
from monitord.core.model import Finding
from monitord.core.report.model import Criterion, Hour, PreparationState, Report, SealReport, ServiceReport, TableReport

# A list longer than this is not read; the JSON form has all of it.
MOST: Final = 12
STYLES: Final[dict[str, Style]] = {"GO": "ok", "NO-GO": "critical", "UNKNOWN": "unknown"}
MET: Final[dict[bool | None, tuple[Style, str]]] = {
    True: ("ok", "met"),
    False: ("critical", "NOT MET"),
    None: ("unknown", "unknown"),
}
PREPARED: Final[dict[PreparationState, Style]] = {
    "done": "ok",
    "not done": "warning",
    "unknown": "unknown",
    "not watched": "unknown",
    "by hand": "unknown",
}
RESTARTS: Final[dict[str, str]] = {
    "automatic": "automatic",
    "operator": "by an operator",
    "schedule": "on schedule",
    "memory": "for its memory",
    "watch": "for changed files",
    "deployment": "with a deployment",
    "reboot": "with a reboot",
    "resurrected": "resurrected by PM2",
    "unknown": "for a reason that is not known",
}
WHY_BLIND: Final[dict[str, str]] = {
    "failed": "its probe failed",
    "away": "the monitor was away",
    "unrecorded": "nothing is recorded of then",
}
SEALS: Final[dict[str, tuple[Style | None, str]]] = {
    "sealed": ("ok", "sealed"),
    "late": ("warning", "late"),
    "missed": ("critical", "missed"),
    "open": (None, "not sealed yet"),
    "nothing": (None, "nothing to seal"),
    "unknown": ("unknown", "unknown"),
}


def style_of(report: Report) -> Style:
    """The style of a verdict: a GO that leaves something open is no plain one."""
    return "warning" if report.headline != report.verdict else STYLES[report.verdict]


class AsOf(Protocol):
    """Whatever holds as of a moment: a report, or a page. `until` is that moment, in Unix seconds."""

    @property
    def until(self) -> float: ...


def at(moment: float | datetime, report: AsOf) -> str:
    """`02:14 UTC`, and `Nov 4, 23:10 UTC` where that is another day than the end."""
    seconds = moment.timestamp() if isinstance(moment, datetime) else moment
    same = datetime.fromtimestamp(seconds, UTC).date() == datetime.fromtimestamp(report.until, UTC).date()
    return humanize.clock(seconds) if same else dated(seconds)


def minute(seconds: float) -> str:
    """`Nov 5 02:14`, for a column that says that it is UTC."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%b} {moment.day} {moment:%H:%M}"


def span(start: float, end: float, report: AsOf) -> str:
    """`from 02:14 UTC to 02:31 UTC (17 min)`."""
    return f"from {at(start, report)} to {at(end, report)} ({humanize.duration(max(0.0, end - start))})"


def length(report: Report) -> str:
    """`Nov 4, 20:00 UTC to Nov 5, 08:00 UTC (12 h)`."""
    return (
        f"{dated(report.since)} to {dated(report.until)} ({humanize.duration(max(0.0, report.until - report.since))})"
    )


def blindness(report: Report) -> str:
    missing = spells((found.start, found.end) for found in report.blind if found.why == "unrecorded")
    rest = sum(end - start for start, end in missing)
    unrecorded = [f"{humanize.duration(rest)} of it are not recorded, of a part at least."] if rest else []
    if report.blind_minutes > 0:
        unrecorded.insert(0, f"The monitor was blind for {humanize.duration(report.blind_minutes * 60.0)} of it.")
    return " ".join(unrecorded) or "The monitor saw all of it."


def met(criterion: Criterion) -> tuple[Style, str]:
    return MET[criterion.met]


def restarts(service: ServiceReport) -> str:
    """`2 automatic, 1 by an operator`, or `none`."""
    parts = [f"{number} {RESTARTS.get(kind, kind)}" for kind, number in service.restarts.items() if number]
    return ", ".join(parts) or "none"


def spell(part: IncidentPart, report: AsOf) -> str:
    start = at(part.alert.since, report)
    end = "still open" if part.ended_at is None else f"to {at(part.ended_at, report)}"
    quiet = f"silenced by {part.silenced_by}" if part.silenced_by else ""
    fired = quiet or "quiet throughout"
    if part.fired_at is not None:
        fired = f"fired at {at(part.fired_at, report)}" + (f", and {quiet} for a time" if quiet else "")
    return f"since {start}, {end}; {fired}" if part.ended_at is None else f"{start} {end}; {fired}"


def ending(incident: Incident, report: AsOf) -> str:
    lasted = humanize.duration(incident.duration_seconds(datetime.fromtimestamp(report.until, UTC)))
    if incident.ended_at is None:
        return f"not yet: still open, {lasted} so far"
    reason = f" ({incident.root.reason})" if incident.root.reason else ""
    return f"{at(incident.ended_at, report)}, after {lasted}{reason}"


def evidence(finding: Finding, report: AsOf) -> list[tuple[str, str]]:
    return evidence_rows(finding, report.until)


def seal_state(seal: SealReport) -> str:
    """`late, unusual`."""
    return SEALS[seal.state][1] + (", unusual" if seal.unusual else "")


def seal_channels(seal: SealReport) -> str:
    """`7 of 9`: the sealed ones of those that took part; `9` where nobody counted who did."""
    if seal.participating is not None and seal.unsealed is not None:
        return f"{seal.participating - seal.unsealed} of {seal.participating}"
    return worded(humanize.count, seal.channels)


def is_ordinary(seal: SealReport) -> bool:
    """Whether there is nothing to say about a seal but that it is there, or that its time has not come."""
    return seal.state in ("sealed", "open", "nothing") and not seal.unusual and not seal.unsealed


def spells(times: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans that touch, as one."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(times):
        if merged and start <= merged[-1][1] + 1.0:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def is_above(hour: Hour, table: TableReport) -> bool:
    """Whether a whole hour gained more than the limit. The ends of the window are parts of one, and show less."""
    whole = max(other.end - other.start for other in table.hours)
    rate = hour.per_hour
    return rate is not None and rate > table.limit and hour.end - hour.start > 0.99 * whole
