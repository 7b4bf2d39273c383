"""The Report: what one cycle knows, in the shape that log, page, metrics and text all render.

What could not be measured is None, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from typing import Any

from monitord.core import humanize
from monitord.core.history.defaults import effective
from monitord.core.history.model import History
from monitord.core.model import RANK, Alert, Status
from monitord.core.orders import StandingOrders
from monitord.core.subjects import declared, servers
from monitord.core.subjects.registry import measured, readings_of, registered, server_of

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """Everything measured and judged as of one cycle, JSON-ready. `sections` are the subjects', by name."""

    status: Status
    probes: Fields
    sections: Fields
    alerts: Fields

    def as_fields(self) -> Fields:
        """The fields by name, as `check_completed` and `--format json` give them."""
        return {"status": self.status, "probes": self.probes, **self.sections, "alerts": self.alerts}

    @property
    def services(self) -> Fields:
        """The services under PM2, by name."""
        return self._section("services")

    @property
    def growth(self) -> Fields:
        """The watched tables, by name."""
        return self._section("growth")

    @property
    def database(self) -> Fields:
        """The database around the watched tables."""
        return self._section("database")

    @property
    def epochs(self) -> Fields:
        """The token groups, by name."""
        return self._section("epochs")

    @property
    def current_epoch(self) -> Fields | None:
        """The epoch that is collected now; None where no epochs are watched."""
        return self._section("current_epoch") or None

    @property
    def redis(self) -> Fields:
        """Redis and the watched queues."""
        return self._section("redis")

    @property
    def host(self) -> Fields:
        """The machine and the watched disks."""
        return self._section("host")

    def _section(self, name: str) -> Fields:
        found: Fields = self.sections[name] or {}
        return found


def field_names() -> tuple[str, ...]:
    """The fields of the status document, in order."""
    return ("status", "probes", *(section.name for subject in registered() for section in subject.status), "alerts")


def build_report(history: History, book: Mapping[str, Alert], orders: StandingOrders, now: datetime) -> FleetStatus:
    """What the history and the alert book amount to at `now`."""
    at = now.timestamp()
    orders = effective(orders, history)
    return FleetStatus(
        status=status(history, book, orders),
        probes={subject.name: _probe(subject.name, history, orders) for subject in measured()},
        sections={
            section.name: _plain(section.build(history, orders, at))
            for subject in registered()
            for section in subject.status
        },
        alerts={state: _alerts(book, state) for state in ("firing", "suppressed")},
    )


def _plain(value: object) -> Any:
    """A status as JSON has it: dataclasses and mappings as objects, tuples as arrays."""
    if value is None or isinstance(value, str | int | float):
        return value
    if is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _alerts(book: Mapping[str, Alert], state: str) -> list[Fields]:
    chosen = [alert for alert in book.values() if alert.state == state]
    ordered = sorted(chosen, key=lambda a: (-RANK[a.severity], a.since, a.rule, a.subject))
    if state == "suppressed":
        return [alert_fields(alert) | {"suppressed_by": _cause_of(alert, book)} for alert in ordered]
    return [alert_fields(alert) for alert in ordered]


def _cause_of(alert: Alert, book: Mapping[str, Alert]) -> str:
    """The id of the silence that a suppressed alert waits for, or of the alert that explains it.

    That is its incident's, which is its own unless it took a place.
    """
    if alert.silenced_by:
        return alert.silenced_by
    firing = (a.id for a in book.values() if _lives(a) and a.incident_id == alert.incident_id)
    return next(firing, alert.incident_id)


def _lives(alert: Alert) -> bool:
    return alert.state == "firing" or bool(alert.silenced_by)


def status(history: History, book: Mapping[str, Alert], orders: StandingOrders) -> Status:
    """The worst of the firing alerts; unknown where a probe could not measure and nothing critical fires for that."""
    worst: Status = "ok"
    for alert in book.values():
        if alert.state == "firing" and RANK[alert.severity] > RANK[worst]:
            worst = alert.severity
    if RANK[worst] < RANK["unknown"] and any(_blind(name, history, book) for name in orders.probes):
        worst = "unknown"
    return worst


def _blind(probe: str, history: History, book: Mapping[str, Alert]) -> bool:
    """Whether a configured probe, or a part of what it looks at, could not be measured and no alert says so yet."""
    last = history.readings.get(probe)
    if last is None:
        return True
    if last.failure is not None:
        server = server_of(probe) or probe
        firing = (a for a in book.values() if a.subject == server and a.state == "firing")
        return all(declared(a.rule).roles.isdisjoint(("unreachable", "refusal")) for a in firing)
    firing = (alert for alert in book.values() if alert.state == "firing")
    told = {alert.subject for alert in firing if "unmeasured" in declared(alert.rule).roles}
    return any(subject not in told for subject, _, _ in servers.troubled(last))


def alert_fields(alert: Alert) -> Fields:
    """An alert as logs, pages and messages carry it."""
    finding = alert.finding
    return {
        "alert_id": alert.id,
        "rule": alert.rule,
        "subject": alert.subject,
        "severity": alert.severity,
        "value": finding.value,
        "limit": finding.limit,
        "unit": finding.unit,
        "since": alert.since,
        "fired_at": alert.fired_at,
        "summary": finding.summary,
        "evidence": dict(finding.evidence),
        "recommendation": finding.recommendation,
        "incident_id": alert.incident_id,
        "acked_at": alert.acked_at,
        "silenced_by": alert.silenced_by or None,
        "flapping": None
        if not alert.flaps
        else {"times": alert.flaps, "since": alert.flapping_since, "calm_after_seconds": round(alert.calm_for, 3)},
    }


def _probe(name: str, history: History, orders: StandingOrders) -> Fields:
    if name not in orders.probes:
        return {"status": "off", "duration_ms": None}
    reading = history.readings.get(name)
    if reading is None:
        return {"status": "failed", "duration_ms": None, "error": "not taken yet"}
    if reading.failure is not None:
        return {
            "status": "failed",
            "duration_ms": reading.duration_ms,
            "kind": reading.failure.kind,
            "error": reading.failure.error,
        }
    unmeasured = {gap.subject: {"kind": gap.kind, "error": gap.error} for gap in reading.gaps}
    return {"status": "ok", "duration_ms": reading.duration_ms} | ({"unmeasured": unmeasured} if unmeasured else {})


def verdict(fields: Fields) -> str:
    """The status in one sentence, without its name."""
    firing = fields["alerts"]["firing"]
    if len(firing) == 1:
        return str(firing[0]["summary"])
    if firing:
        return f"{len(firing)} alerts fire, the worst: {firing[0]['summary']}"
    if fields.get("unasked"):
        return f"{fields['unasked']}."
    failed = [readings_of(name) for name, probe in fields["probes"].items() if _failed(name, probe, fields)]
    if failed:
        return f"{humanize.listed(failed)} could not be measured."
    if fields["status"] == "unknown":
        return "a part of what is watched could not be measured."
    services = fields["services"]
    well = sum(1 for service in services.values() if service["ok"])
    fleet = f"{well} of {len(services)} services are as expected" if services else "no services are watched"
    return f"{'nothing is wrong' if well == len(services) else 'no alert fires'}; {fleet}."


def _failed(name: str, probe: Fields, fields: Fields) -> bool:
    """Whether a probe failed, and of something: while nobody could be asked what is there, the server says it."""
    asks_first = name == "epochs" and not fields["epochs"] and fields["probes"]["postgres"]["status"] == "failed"
    return probe["status"] == "failed" and not asks_first
