"""The status: what one cycle knows, typed, as all forms render it. What could not be measured is None, never 0."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, TypeVar, cast

from monitord.core import humanize
from monitord.core.codec import decode
from monitord.core.copying import replace
from monitord.core.history.defaults import effective
from monitord.core.history.model import History
from monitord.core.latest import LazyMapping
from monitord.core.model import RANK, Alert, Kind, Severity, Status, Value
from monitord.core.orders import StandingOrders
from monitord.core.subjects import declared, servers
from monitord.core.subjects.base import StatusSection, Subject
from monitord.core.subjects.guard import failing
from monitord.core.subjects.registry import added, measured, registered, server_of

Fields = dict[str, Any]
# The fields of an alert that are there only where they say something.
OPTIONAL: Final = ("suppressed_by", "runbook", "contact")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Trouble:
    kind: Kind
    error: str


@dataclass(frozen=True, slots=True)
class ProbeStatus:
    """One probe: why it failed, and what it could not measure though its server answered."""

    status: Literal["ok", "failed", "off"]
    duration_ms: float | None
    kind: Kind | None = None
    error: str | None = None
    unmeasured: Mapping[str, Trouble] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flapping:
    """That an alert came and went: how often, and for how long it must be calm to be over."""

    times: int
    since: datetime | None
    calm_after_seconds: float


@dataclass(frozen=True, slots=True)
class AlertStatus:
    """An alert as logs, pages and messages carry it. `suppressed_by`: an alert's id, or a silence's ("": none)."""

    alert_id: str
    rule: str
    subject: str
    severity: Severity
    value: Value
    limit: Value
    unit: str
    since: datetime
    fired_at: datetime | None
    summary: str
    evidence: Mapping[str, object]
    recommendation: str
    incident_id: str
    acked_at: datetime | None
    silenced_by: str | None
    flapping: Flapping | None
    suppressed_by: str = ""
    runbook: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class AlertStatuses:
    """The confirmed alerts, the worst first: those that fire, and those that something explains or silences."""

    firing: tuple[AlertStatus, ...] = ()
    suppressed: tuple[AlertStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """Everything measured and judged as of one cycle. `sections` are the subjects', by name, each made when asked for.

    `unasked` is why a check cannot say OK though all that it asked is well, half a sentence. `faults` are what failed
    inside monitord or a package, a sentence each: what it is about is unknown.
    """

    status: Status
    probes: Mapping[str, ProbeStatus]
    sections: Mapping[str, object]
    alerts: AlertStatuses
    unasked: str = ""
    faults: tuple[str, ...] = ()

    def of(self, section: StatusSection[T]) -> T:
        """What stands in a section. KeyError: an older monitord has saved this status, and did not know it."""
        return cast("T", self.sections[section.name])

    def as_fields(self) -> Fields:
        """The fields by name, as `check_completed` and `--format json` give them."""
        return {
            "status": self.status,
            "probes": {name: _brief(probe, "kind", "error", "unmeasured") for name, probe in self.probes.items()},
            **{name: _plain(section) for name, section in self.sections.items()},
            "alerts": {
                "firing": [_brief(alert, *OPTIONAL) for alert in self.alerts.firing],
                "suppressed": [_brief(alert, *OPTIONAL) for alert in self.alerts.suppressed],
            },
        }


def read_status(fields: Mapping[str, object]) -> FleetStatus:
    """The status of its fields as JSON has them. ValueError, TypeError, KeyError: they are of another shape."""
    return FleetStatus(
        _decode(Status, fields["status"]),
        _decode(Mapping[str, ProbeStatus], fields["probes"]),
        {
            section.name: _section(subject, section, fields[section.name])
            for subject in registered()
            for section in subject.status
            if section.name in fields
        },
        decode(AlertStatuses, fields["alerts"]),
    )


def _section(subject: Subject, section: StatusSection[object], value: object) -> object:
    """A section as it was saved; a package's is None where it was not made, or was made by another version."""
    try:
        return _decode(section.shape, value)
    except (ValueError, TypeError, KeyError):
        if not subject.package:
            raise
        return None


def _decode(shape: object, value: object) -> Any:
    return decode(cast("type[object]", shape), value)


_BUILT: Final = ("status", "probes")


def field_names() -> tuple[str, ...]:
    return (*_BUILT, *(section.name for subject in registered() for section in subject.status), "alerts")


def build_report(history: History, book: Mapping[str, Alert], orders: StandingOrders, now: datetime) -> FleetStatus:
    at = now.timestamp()
    orders = effective(orders, history)
    report = FleetStatus(
        status=status(history, book, orders),
        probes={subject.name: _probe(subject.name, history, orders) for subject in measured()},
        sections=LazyMapping(
            {
                section.name: partial(section.build, history, orders, at)
                for subject in registered()
                for section in subject.status
            }
        ),
        alerts=AlertStatuses(_alerts(book, "firing"), _alerts(book, "suppressed")),
        faults=known_faults(history, orders),
    )
    for subject in added() if shows_packages(orders) else ():
        if subject.name in orders.probes and (why := "; ".join(failing(subject, report, history, orders, at))):
            report = _without(subject.name, why, report)
    return report


def known_faults(history: History, orders: StandingOrders) -> tuple[str, ...]:
    """What failed inside while it was judged, a sentence each."""
    return tuple(fault for name, fault in history.broken.items() if name in orders.probes)


def shows_packages(orders: StandingOrders) -> bool:
    """Whether something is watched whose part of the status a package makes, and may fail to."""
    return any(subject.name in orders.probes for subject in added())


def _without(name: str, why: str, report: FleetStatus) -> FleetStatus:
    worse: Status = "unknown" if RANK[report.status] < RANK["unknown"] else report.status
    before = report.probes[name]
    why = "; ".join(filter(None, (before.error if before.status == "failed" else "", why)))
    probe = ProbeStatus("failed", before.duration_ms, before.kind or "internal", why, before.unmeasured)
    return replace(report, status=worse, probes={**report.probes, name: probe}, faults=(*report.faults, why))


_AS_IT_IS = frozenset({str, int, float, bool, type(None)})


def _plain(value: object) -> Any:
    """A status in objects and arrays; its times, and what a rule has found, are left to who writes the JSON."""
    if value.__class__ in _AS_IT_IS:
        return value
    kind: object = value.__class__
    if (names := _field_names(kind)) is not None:
        return {name: item if (item := getattr(value, name)).__class__ in _AS_IT_IS else _plain(item) for name in names}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return value


def _brief(value: ProbeStatus | AlertStatus, *optional: str) -> Fields:
    return {name: item for name, item in _plain(value).items() if item or name not in optional}


@functools.cache
def _field_names(kind: object) -> tuple[str, ...] | None:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else None


def _alerts(book: Mapping[str, Alert], state: Literal["firing", "suppressed"]) -> tuple[AlertStatus, ...]:
    chosen = [alert for alert in book.values() if alert.state == state]
    return tuple(
        alert_status(alert, _cause_of(alert, book) if state == "suppressed" else "") for alert in worst_first(chosen)
    )


def worst_first(alerts: Iterable[Alert]) -> list[Alert]:
    """In the order in which alerts are shown: of one severity the oldest first."""
    return sorted(alerts, key=lambda alert: (-RANK[alert.severity], alert.since, alert.rule, alert.subject))


def _cause_of(alert: Alert, book: Mapping[str, Alert]) -> str:
    """The id of the silence that a suppressed alert waits for, or of its incident, which explains it."""
    if alert.silenced_by:
        return alert.silenced_by
    firing = (
        a.id for a in book.values() if a.incident_id == alert.incident_id and (a.silenced_by or a.state == "firing")
    )
    return next(firing, alert.incident_id)


def status(history: History, book: Mapping[str, Alert], orders: StandingOrders) -> Status:
    """The worst of the firing alerts; unknown where a probe could not measure and nothing critical fires for that."""
    worst: Status = "ok"
    for alert in book.values():
        if alert.state == "firing" and RANK[alert.severity] > RANK[worst]:
            worst = alert.severity
    if RANK[worst] < RANK["unknown"] and (
        not orders.probes.isdisjoint(history.broken)
        or any(_blind(name, history, book) for name in orders.probes)
        or _undetermined(history, orders)
    ):
        worst = "unknown"
    return worst


def _undetermined(history: History, orders: StandingOrders) -> bool:
    """Whether something was measured, and it is not known from it yet how it is."""
    now = history.at or 0.0
    return any(subject.undetermined(history, orders, now) for subject in registered() if subject.name in orders.probes)


def _blind(probe: str, history: History, book: Mapping[str, Alert]) -> bool:
    """Whether a configured probe, or a part of what it measures, could not be measured and no alert is about it yet."""
    last = history.readings.get(probe)
    if last is None:
        return True
    if last.failure is not None:
        server = server_of(probe) or probe
        firing = (a for a in book.values() if a.subject == server and a.state == "firing")
        return all(declared(a.rule).roles.isdisjoint(("unreachable", "refusal")) for a in firing)
    firing = (alert for alert in book.values() if alert.state == "firing")
    announced = {alert.subject for alert in firing if "unmeasured" in declared(alert.rule).roles}
    return any(subject not in announced for subject, _, _ in servers.troubled(last))


def alert_status(alert: Alert, suppressed_by: str = "") -> AlertStatus:
    finding = alert.finding
    flapping = Flapping(alert.flaps, alert.flapping_since, round(alert.calm_for, 3)) if alert.flaps else None
    return AlertStatus(
        alert_id=alert.id,
        rule=alert.rule,
        subject=alert.subject,
        severity=alert.severity,
        value=finding.value,
        limit=finding.limit,
        unit=finding.unit,
        since=alert.since,
        fired_at=alert.fired_at,
        summary=finding.summary,
        evidence=finding.evidence,
        recommendation=finding.recommendation,
        incident_id=alert.incident_id,
        acked_at=alert.acked_at,
        silenced_by=alert.silenced_by or None,
        flapping=flapping,
        suppressed_by=suppressed_by,
        runbook=finding.runbook,
        contact=finding.contact,
    )


def alert_fields(alert: Alert) -> Fields:
    return _brief(alert_status(alert), *OPTIONAL)


def _probe(name: str, history: History, orders: StandingOrders) -> ProbeStatus:
    if name not in orders.probes:
        return ProbeStatus("off", None)
    reading = history.readings.get(name)
    if reading is None:
        return ProbeStatus("failed", None, error="not run yet")
    if reading.failure is not None:
        return ProbeStatus("failed", reading.duration_ms, reading.failure.kind, reading.failure.error)
    if name in history.broken:
        return ProbeStatus("failed", reading.duration_ms, "internal", history.broken[name])
    unmeasured = {gap.subject: Trouble(gap.kind, gap.error) for gap in reading.gaps}
    return ProbeStatus("ok", reading.duration_ms, unmeasured=unmeasured)


def verdict(report: FleetStatus) -> str:
    """The status in one sentence, without its name."""
    firing = report.alerts.firing
    if len(firing) == 1:
        return firing[0].summary
    if firing:
        return f"{len(firing)} alerts fire, the worst: {firing[0].summary}"
    if report.unasked:
        return f"{report.unasked}."
    failed = [s.readings for s in registered() if s.name in report.probes and _failed(s, report)]
    if failed:
        return f"{humanize.listed(failed)} could not be measured."
    if report.status == "unknown":
        return "a part of what is watched could not be measured."
    found = [standing for subject in registered() if (standing := subject.standing(report)) is not None]
    well = all(standing.well == standing.of for standing in found)
    return "; ".join(["nothing is wrong" if well else "no alert fires", *(one.words for one in found)]) + "."


def _failed(subject: Subject, report: FleetStatus) -> bool:
    return report.probes[subject.name].status == "failed" and not is_behind_server(subject, report)


def is_behind_server(subject: Subject, report: FleetStatus) -> bool:
    """Whether what there is of a subject could not be read: that its server cannot be measured covers it."""
    if not subject.server or subject.is_server or report.sections.get(subject.members_section):
        return False
    return report.probes[subject.server].status == "failed"
