"""A backtest for people and for programs: what would have fired beside what did, and how far that is known."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from monitord.core import humanize
from monitord.core.backtest import Backtest
from monitord.core.backtest.fired import Fired, Pair
from monitord.core.blocks import Style
from monitord.reporting.terminal import Terminal, table

Changes = Mapping[str, str | None]
NOTHING: Final = "–"
# Nearer than this two firings are the same moment to people.
_SAME_SECONDS: Final = 1.0
# Windows shorter than this are shown to the second.
_SHORT: Final = timedelta(hours=2)


def fields(found: Backtest, changes: Changes) -> dict[str, object]:
    """JSON-ready fields, times as datetimes. `changes` are the settings that were tried."""
    return {
        "since": found.since,
        "until": found.until,
        "cycles": found.cycles,
        "blind_minutes": round(found.blind_seconds / 60, 1),
        "set": dict(changes),
        "alerts": [_alert(alert, found.until) for alert in found.alerts],
        "compared": {
            "same": [_pair(pair) for pair in found.compared.same],
            "only_backtest": [_alert(alert, found.until) for alert in found.compared.only_found],
            "only_recorded": [_alert(alert, found.until) for alert in found.compared.only_recorded],
        },
        "caveats": list(found.caveats),
    }


def _alert(alert: Fired, until: datetime) -> dict[str, object]:
    moments = ("alert_id", "rule", "subject", "severity", "since", "fired_at", "resolved_at")
    return {
        **{name: getattr(alert, name) for name in moments},
        "duration_seconds": round(alert.seconds(until), 3),
        **{name: getattr(alert, name) for name in ("reason", "value", "limit", "unit", "summary")},
        # How it was counted is shown below: the rule did not know which count it went without.
        "evidence": {name: value for name, value in alert.evidence.items() if name != "counted"},
        "counted": alert.counted,
        "at_start": alert.at_start,
    }


def _pair(pair: Pair) -> dict[str, object]:
    return {
        **{name: getattr(pair.found, name) for name in ("rule", "subject", "fired_at", "resolved_at")},
        **{f"recorded_{name}": getattr(pair.recorded, name) for name in ("alert_id", "fired_at", "resolved_at")},
        "later_seconds": pair.later_seconds,
    }


def text(found: Backtest, changes: Changes, screen: Terminal) -> str:
    tried = ", ".join(f"{name}={value if value is not None else ''}" for name, value in changes.items())
    blind = f", {humanize.duration(found.blind_seconds)} of it blind" if found.blind_seconds else ""
    lines = screen.wrapped(
        f"monitord backtest, {_at(found.since, seconds=True)} to {_at(found.until, seconds=True)} UTC, "
        f"{humanize.count(found.cycles)} cycles{blind}",
        indent="",
    )
    lines += screen.wrapped(f"judged by {tried}" if tried else "judged by the settings as they are", indent="")
    if rows := _rows(found):
        header = ("", "SUBJECT", "RULE", "FIRED AT", "FOR", "RECORDED")
        lines += ["", *table(screen, header, rows, flexible=(1, 5, 2))]
    for caveat in found.caveats:
        lines += ["", *screen.wrapped(caveat, indent="")]
    closing = screen.wrapped(_closing(found, tried), indent="")
    return "\n".join([*lines, "", *(screen.paint(line, "bold") for line in closing)]) + "\n"


def _rows(found: Backtest) -> list[tuple[Style | None, list[str]]]:
    until = found.until
    with_seconds = until - found.since < _SHORT
    rows: list[tuple[datetime, Style | None, list[str]]] = [
        (a.fired_at, a.severity, ["new", *_found(a, until, seconds=with_seconds), "did not fire"])
        for a in found.compared.only_found
    ]
    for pair in found.compared.same:
        cells = ["same", *_found(pair.found, until, seconds=with_seconds)]
        rows.append((pair.found.fired_at, None, [*cells, _beside(pair, seconds=with_seconds)]))
    for a in found.compared.only_recorded:
        then = [_at(a.fired_at, seconds=with_seconds), _lasting(a, until)]
        rows.append((a.fired_at, "ok", ["gone", a.subject, a.rule, *then, "only then"]))
    return [(style, cells) for _, style, cells in sorted(rows, key=lambda row: (row[0], row[2]))]


def _found(alert: Fired, until: datetime, *, seconds: bool) -> list[str]:
    estimate = "~" if alert.counted == "by the counters" else ""
    at = "at the start" if alert.at_start else estimate + _at(alert.fired_at, seconds=seconds)
    return [alert.subject, alert.rule, at, _lasting(alert, until)]


def _beside(pair: Pair, *, seconds: bool) -> str:
    """How the recorded alert stands to it, in few words: the table is to fit a terminal."""
    later = pair.later_seconds
    if later is None:
        return _at(pair.recorded.fired_at, seconds=seconds)
    if abs(later) < _SAME_SECONDS:
        return "same time"
    return f"{humanize.duration(abs(later))} {'earlier' if later > 0 else 'later'}"


def _lasting(alert: Fired, until: datetime) -> str:
    return humanize.duration(alert.seconds(until)) + ("" if alert.resolved_at is not None else "+")


def _closing(found: Backtest, tried: str) -> str:
    same, new, gone = (found.compared.same, found.compared.only_found, found.compared.only_recorded)
    did = len({pair.recorded.alert_id for pair in same} | {alert.alert_id for alert in gone})
    whose = "these orders" if tried else "the orders as they are"
    would = len(found.alerts)
    if not would and not did:
        return f"Under {whose} nothing would have fired, and nothing did."
    alerts = f"{would or 'no'} alert{'' if would == 1 else 's'}"
    parts = [f"{len(new)} new"] if new else []
    parts += [f"{would - len(new)} the same"] if would > len(new) else []
    parts += [f"{len(gone)} gone"] if gone else []
    return f"Under {whose} {alerts} would have fired; {did or 'none'} did: {', '.join(parts)}."


def _at(moment: datetime, *, seconds: bool) -> str:
    moment = moment.astimezone(UTC)
    return f"{moment:%b} {moment.day} {moment:{'%H:%M:%S' if seconds else '%H:%M'}}"
