"""Nights as the report gets them, made up: a good one, a bad one, one that nobody saw, an empty one, a big one."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from monitord.core.alerting.incidents import Incident, IncidentPart
from monitord.core.model import Alert, Finding, RestartKind, Severity, Value
from monitord.core.report.model import (
    Blind,
    Criterion,
    GroupReport,
    Hour,
    Recap,
    Report,
    SealingReport,
    SealReport,
    ServiceReport,
    StateStretch,
    TableReport,
    Usual,
)
from monitord.core.subjects.checks_report import CHECK_REPORTS
from monitord.core.subjects.epochs_report import SEALING_REPORT
from monitord.core.subjects.pm2_report import SERVICE_REPORTS
from monitord.core.subjects.postgres_report import TABLE_REPORTS

T = TypeVar("T")

MB = 1_000_000
HOUR = 3600.0
UNTIL = datetime(2025, 11, 5, 8, 0, tzinfo=UTC).timestamp()
SINCE = UNTIL - 12 * HOUR
MEMORY = {
    "milo-aggregator": 158,
    "milo-worker-v2": 85,
    "cls-worker": 88,
    "gateway": 99,
    "stream-listener": 77,
    "tree-builder": 74,
}
TITLES = {
    "services": "All services remain online (except cls-discovery)",
    "sealing": "New epochs sealed every hour",
    "growth": "Database growth steady (<100K rows/hour)",
    "memory": "Memory usage stable (<500 MB per service)",
    "restarts": "No service restarts required",
}
HOSTILE = (
    "<img src=x onerror=alert(1)>\"'`|*_[a](http://evil.example)"
    "\x1b]0;owned\x07\x00\u202e\n# @octocat #1 </title></svg>"
)


def clock(text: str) -> float:
    """`23:10` of the night as Unix seconds."""
    hour, minute, *second = (int(part) for part in text.split(":"))
    at = hour * HOUR + minute * 60 + sum(second)
    return UNTIL - 8 * HOUR + (at if hour < 12 else at - 24 * HOUR)


def moment(text: str) -> datetime:
    return datetime.fromtimestamp(clock(text), UTC)


def parts(
    services: tuple[ServiceReport, ...] = (),
    tables: tuple[TableReport, ...] = (),
    groups: tuple[GroupReport, ...] = (),
) -> Mapping[str, object]:
    """What the subjects declare of a report."""
    return {
        SERVICE_REPORTS.name: services,
        TABLE_REPORTS.name: tables,
        SEALING_REPORT.name: SealingReport(groups, True, UNTIL),
        CHECK_REPORTS.name: (),
    }


@functools.cache
def good() -> Report:
    """Everything as expected."""
    return Report(
        since=SINCE,
        until=UNTIL,
        verdict="GO",
        sentence="All five criteria are met: the system is ready for on-chain testing.",
        blind_minutes=0.0,
        criteria=(
            _criterion("services", True, "All 6 services were online throughout; cls-discovery came and went."),
            _criterion("sealing", True, "All 24 due labels were sealed within the grace, both groups in step."),
            _criterion("growth", True, "user_signals grew by 42,107 rows an hour at most."),
            _criterion("memory", True, "The highest was milo-aggregator with 171 MB at 03:20 UTC."),
            _criterion("restarts", True, "No service was restarted automatically."),
        ),
        results=parts(
            services=(*(service(name, megabytes) for name, megabytes in MEMORY.items()), _scout()),
            tables=(table("user_signals", [41_000 + 300 * (n % 5) for n in range(12)]),),
            groups=(group("MILO", 9), group("CLS", 61)),
        ),
        incidents=(),
        blind=(),
        baseline=baseline(),
        baseline_at=UNTIL - 20.0,
        recap=recap(),
    )


@functools.cache
def bad() -> Report:
    """Postgres away with what hangs on it, a gateway that flaps, a worker too big and still so at the end."""
    night = good()
    postgres = _part(
        "postgres_unreachable", "postgres", "critical", "02:14:10", "02:14:40", "02:31:10",
        "Postgres cannot be reached: connection refused.", {"kind": "refused", "error": "connection refused"},
        recommendation="Look at the connection pool first; restart nothing that only waits for it.",
    )  # fmt: skip
    explained = (
        _part("table_flow_stalled", "user_signals", "warning", "02:18:00", None, "02:33:00",
              "user_signals has no new rows for 15 min.", {"stalled_seconds": 900}),
        _part("sealing_late", "MILO", "warning", "02:20:00", None, "02:40:00", "MILO's newest seal is 2 h 1 min old."),
        _part("sealing_late", "CLS", "warning", "02:20:00", "02:36:00", "02:44:00",
              "CLS's newest seal is 2 h 1 min old."),
    )  # fmt: skip
    flapping = _part(
        "service_down", "gateway", "critical", "04:40:00", "04:40:30", "05:20:30",
        "gateway flaps: it was down 7 times in 40 min.", {"times": 7, "window_seconds": 3600, "exit_code": 1},
        reason="quiet for the whole window", recommendation="Read the last 50 lines of gateway's error log.",
    )  # fmt: skip
    memory = _part(
        "service_memory_high", "milo-worker-v2", "warning", "06:02:30", "06:03:00", None,
        "milo-worker-v2 uses 612 MB, more than 500 MB.",
        {"memory_bytes": 612 * MB, "instances": {"milo-worker-v2": 612 * MB}},
        recommendation="Restart milo-worker-v2 if it keeps growing; it blocks no sealing.",
    )  # fmt: skip
    seals = list(_seals(9))
    seals[5] = replace(
        seals[5], state="late", delay=1574.0, sealed_at=seals[5].due_at + 1574, unusual=True,
        participating=9, unsealed=2, unsealed_channels=("jasontheween", "marlon"),
    )  # fmt: skip
    cls = list(_seals(61))
    cls[5] = replace(cls[5], state="missed", delay=None, sealed_at=None, channels=None, participating=58, unsealed=58)
    cls[3] = replace(cls[3], unusual=True, delay=790.0, sealed_at=cls[3].due_at + 790)
    hours = [41_000.0, 43_000, 40_500, 42_250, 45_000, 133_400, None, 88_000, 52_000, 47_000, 43_000, 42_000]
    return replace(
        night,
        verdict="NO-GO",
        sentence="4 of 5 criteria are not met: services, sealing, growth and memory; 1 cannot be told.",
        blind_minutes=17.5,
        criteria=(
            _criterion("services", False, "gateway was down for 6 min 30 s in all.", "gateway: down 7 times."),
            _criterion(
                "sealing", False, "CLS was never sealed for 1762308000 (Nov 5, 02:00 UTC); 1 label was late.",
                "MILO 1762308000: 26 min 14 s after it was due.", "The groups were out of step for 21 min.",
            ),
            _criterion("growth", False, "user_signals gained 133,400 rows from 01:00 UTC to 02:00 UTC."),
            _criterion("memory", False, "milo-worker-v2 reached 612 MB at 07:59 UTC."),
            _criterion("restarts", None, "7 automatic restarts were seen; 17 min 30 s were not."),
        ),
        results=parts(
            services=(
                service("milo-aggregator", 158, blind=True),
                replace(
                    service("milo-worker-v2", 85, growth=533, blind=True),
                    ok=True,
                ),
                service("cls-worker", 88, blind=True),
                _flapping(),
                *(service(name, MEMORY[name], blind=True) for name in ("stream-listener", "tree-builder")),
                _scout(),
            ),
            tables=(table("user_signals", hours), table("channel_participation", [3_100.0] * 12, limit=1_000_000)),
            groups=(
                GroupReport("MILO", tuple(seals), _usual(), 900.0),
                GroupReport("CLS", tuple(cls), Usual(14, 0.6, 190.0, None), 900.0, silent=("jynxzi", "fanfan")),
            ),
        ),
        incidents=(
            Incident(postgres, explained),
            Incident(flapping),
            Incident(memory),
        ),
        blind=(
            Blind("postgres", clock("02:14"), clock("02:31"), "failed", "connection refused (ECONNREFUSED)"),
            Blind("epochs", clock("02:14"), clock("02:31"), "failed", "connection refused (ECONNREFUSED)"),
            Blind("pm2", clock("23:10"), clock("23:10:30"), "away"),
        ),
        escalations={
            postgres.alert.id: ESCALATION,
            memory.alert.id: "Severity: warning\nComponent: milo-worker-v2\nIssue: memory above 500 MB\n"
            "Duration: 1 h 57 min so far\nImpact: collection none, sealing none, claims none",
        },
        notes=("The history of services is younger than the night: it begins at Nov 4, 20:04 UTC.",),
    )  # fmt: skip


ESCALATION = """\
Severity: critical
Component: postgres
Issue: Postgres cannot be reached: connection refused.
Duration: 17 min (02:14 UTC to 02:31 UTC)
Impact on collection: user_signals stalled
Impact on sealing: MILO and CLS late
Impact on claims: none known

First to look at:
  1. tail -n 50 /var/log/pgbouncer/pgbouncer.log
  2. psql "$DATABASE_URL" -c "SELECT 1"
  3. pm2 logs milo-aggregator --lines 50 --nostream"""


@functools.cache
def blind_night() -> Report:
    """A night of which next to nothing is known."""
    unknown = [SealReport(int(UNTIL - n * HOUR), UNTIL - (n - 1) * HOUR, "unknown") for n in range(12, 1, -1)]
    return replace(
        good(),
        verdict="UNKNOWN",
        sentence="No criterion can be told: nothing was seen of 11 h 55 min.",
        blind_minutes=715.0,
        criteria=tuple(_criterion(name, None, "Nothing was seen from 20:05 UTC on.") for name in TITLES),
        results=parts(
            services=(
                ServiceReport(
                    "gateway", None, "", None, (StateStretch(SINCE, UNTIL, "unknown", ""),), {}, (), None, None,
                    500 * MB,
                ),
                ServiceReport(
                    "cls-worker", "online", "", None, (), {}, tuple((SINCE + n * 300, None) for n in range(144)),
                    None, None, 500 * MB,
                ),
            ),
            tables=(TableReport("user_signals", _hours([None] * 12), None, None, None, 100_000),),
            groups=(GroupReport("MILO", tuple(unknown), Usual(0, 0.0, None, None), 900.0),),
        ),
        blind=(
            Blind("pm2", SINCE + 300, UNTIL, "away"),
            Blind("postgres", SINCE, UNTIL, "unrecorded"),
            Blind("epochs", SINCE, UNTIL, "failed", "timeout"),
        ),
        baseline=None,
        baseline_at=None,
        recap=None,
        recap_error="the database did not answer within 5 s",
    )  # fmt: skip


def empty() -> Report:
    """A night in which nothing was watched at all."""
    return Report(
        since=SINCE, until=UNTIL, verdict="UNKNOWN", sentence="Nothing is recorded of the night.", blind_minutes=720.0,
        criteria=(), results=parts(), incidents=(), blind=(),
    )  # fmt: skip


@functools.cache
def crowded(number: int = 50) -> Report:
    """A good night of many services, each with a reading every half minute."""
    services = tuple(service(f"worker-with-a-long-name-{n:02}", 60 + 7 * n, every=30.0) for n in range(number))
    return good().having(SERVICE_REPORTS, services)


@functools.cache
def hostile() -> Report:
    """A bad night in which every name and text is an attack on whoever reads it."""
    night = bad()
    alert = night.incidents[0].root.alert
    finding = replace(
        alert.finding, summary=HOSTILE, recommendation=HOSTILE, subject=HOSTILE, evidence={HOSTILE: HOSTILE}
    )
    root = replace(night.incidents[0].root, alert=replace(alert, subject=HOSTILE, finding=finding), reason=HOSTILE)
    seals = [
        replace(seal, unsealed=2, unsealed_channels=(HOSTILE, HOSTILE))
        for seal in night.of(SEALING_REPORT).groups[0].seals
    ]
    return replace(
        night,
        sentence=HOSTILE,
        criteria=(Criterion(HOSTILE, HOSTILE, False, HOSTILE, (HOSTILE,)), *night.criteria),
        results=parts(
            services=tuple(
                replace(
                    found,
                    name=f"{HOSTILE}{number}",
                    expected=HOSTILE,
                    word=HOSTILE,
                    stretches=tuple(replace(part, word=HOSTILE) for part in found.stretches),
                )
                for number, found in enumerate(night.of(SERVICE_REPORTS))
            ),
            tables=tuple(
                replace(found, name=f"{HOSTILE}{number}") for number, found in enumerate(night.of(TABLE_REPORTS))
            ),
            groups=(
                replace(night.of(SEALING_REPORT).groups[0], group=HOSTILE, seals=tuple(seals), silent=(HOSTILE,)),
                night.of(SEALING_REPORT).groups[1],
            ),
        ),
        incidents=(Incident(root, night.incidents[0].explained), *night.incidents[1:]),
        blind=(replace(night.blind[0], probe=HOSTILE, error=HOSTILE),),
        escalations={root.alert.id: f"{HOSTILE}\n```\n</pre><script>alert(1)</script>"},
        baseline=baseline()
        | {"services": {HOSTILE: {"state": HOSTILE}}, "host": {"disks": {HOSTILE: {"mount": HOSTILE}}}},
        recap=(Recap(HOSTILE, 1, 2, 3, 4, HOSTILE, 5),),
        notes=(HOSTILE,),
    )


class Made(Mapping[str, T]):
    """What is made of each name, once, and not before it is asked for."""

    def __init__(self, names: Iterable[str], make: Callable[[str], T]) -> None:
        self._names, self._make = tuple(names), functools.cache(make)

    def __getitem__(self, name: str) -> T:
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


_NIGHTS: Mapping[str, Callable[[], Report]] = {
    "good": good,
    "bad": bad,
    "blind": blind_night,
    "empty": empty,
    "crowded": crowded,
    "hostile": hostile,
}
NIGHTS: Mapping[str, Report] = Made(_NIGHTS, lambda name: _NIGHTS[name]())


def service(
    name: str, megabytes: float, *, growth: float = 0.0, blind: bool = False, every: float = 120.0
) -> ServiceReport:
    """A service that was online throughout; `blind`: but for half a minute in which the monitor was away."""
    seed = sum(name.encode())
    points: list[tuple[float, float | None]] = []
    for n in range(int(12 * HOUR / every)):
        at = SINCE + n * every
        grown = growth * max(0.0, (n * every / HOUR - 6) / 6) ** 1.5
        wave = 0.04 * megabytes * (math.sin(n * every / 2600 + seed) + math.sin(n * 1.7 + seed) / 3)
        points.append(
            (at, None if blind and clock("23:10") <= at < clock("23:12") else (megabytes + grown + wave) * MB)
        )
    peak_at, peak = max(
        ((at, value) for at, value in points if value is not None), key=lambda point: point[1], default=(SINCE, 0.0)
    )
    away = (
        (
            StateStretch(SINCE, clock("23:10"), "ok", "online"),
            StateStretch(clock("23:10"), clock("23:10:30"), "unknown", ""),
            StateStretch(clock("23:10:30"), UNTIL, "ok", "online"),
        )
        if blind
        else (StateStretch(SINCE, UNTIL, "ok", "online"),)
    )
    return ServiceReport(name, "online", "online", True, away, {}, tuple(points), peak, peak_at, 500 * MB)


def table(name: str, rows: Sequence[float | None], limit: int = 100_000) -> TableReport:
    known = [float(found) for found in rows if found is not None]
    return TableReport(name, _hours(rows), sum(known), sum(known) / len(known), max(known), limit)


def group(name: str, channels: int) -> GroupReport:
    return GroupReport(name, tuple(_seals(channels)), _usual(), 900.0)


def recap() -> tuple[Recap, ...]:
    return (
        Recap("MILO", 12, 258_239, 86_650, 3, "jasontheween", 64_726),
        Recap("CLS", 160, 86_915, 70_089, 42, "jynxzi", 6_751, capped=True),
    )


def baseline() -> dict[str, Any]:
    """The fields of `check_completed`, as far as a report reads them."""
    return {
        "status": "ok",
        "probes": {
            name: {"status": "ok", "duration_ms": 3.0} for name in ("pm2", "postgres", "epochs", "redis", "host")
        },
        "services": {
            name: {"state": "online", "memory_bytes": megabytes * MB, "uptime_seconds": 50_400, "ok": True}
            for name, megabytes in MEMORY.items()
        }
        | {"cls-discovery": {"state": "stopped", "memory_bytes": None, "uptime_seconds": None, "ok": True}},
        "database": {"bytes": 2_200_000_000, "connections": 40},
        "growth": {"user_signals": {"rows": 4_600_837, "exact": False, "total_bytes": 1_220_000_000}},
        "epochs": {
            name: {"latest": 1762322400, "expected": 1762322400, "missed": [], "seal_age_seconds": 3600.0}
            for name in ("MILO", "CLS")
        },
        "current_epoch": {"epoch": 1762326000, "next": 1762329600, "seconds_until_next": 20.0},
        "redis": {"keys": 125, "queues": {}},
        "host": {"disks": {"/": {"used_percent": 24.1, "free_bytes": 475_000_000_000}}, "memory_available_bytes": None},
        "alerts": {"firing": [], "suppressed": []},
    }


def _criterion(name: str, met: bool | None, evidence: str, *details: str) -> Criterion:
    return Criterion(name, TITLES[name], met, evidence, details)


def _scout() -> ServiceReport:
    """cls-discovery: runs ten minutes in every three hours, and is right to be stopped between."""
    stretches: list[StateStretch] = []
    points: list[tuple[float, float | None]] = []
    for start in (SINCE + n * 3 * HOUR for n in range(4)):
        stretches.append(StateStretch(start, start + 600, "ok", "online"))
        stretches.append(StateStretch(start + 600, start + 3 * HOUR, "ok", "stopped"))
        points += [(start + n * 60, (58 + n / 2) * MB if n < 10 else None) for n in range(180)]
    return ServiceReport(
        "cls-discovery",
        "periodic",
        "stopped",
        True,
        tuple(stretches),
        {},
        tuple(points),
        62.5 * MB,
        SINCE + 540,
        500 * MB,
    )


def _flapping() -> ServiceReport:
    steady = service("gateway", 99)
    stretches = [StateStretch(SINCE, clock("04:40"), "ok", "online")]
    for n in range(7):
        start = clock("04:40") + n * 360
        stretches.append(StateStretch(start, start + 55, "wrong", "errored"))
        stretches.append(StateStretch(start + 55, start + 60, "restarted", "restarted"))
        stretches.append(StateStretch(start + 60, start + 360, "ok", "online"))
    stretches.append(StateStretch(clock("04:40") + 7 * 360, UNTIL, "ok", "online"))
    restarts: dict[RestartKind, int] = {"automatic": 7, "operator": 1}
    points = tuple(
        (at, None if clock("04:40") <= at < clock("05:22") and at % 360 < 130 else value) for at, value in steady.memory
    )
    return replace(steady, stretches=tuple(stretches), restarts=restarts, memory=points)


def _hours(rows: Sequence[float | None]) -> tuple[Hour, ...]:
    return tuple(Hour(SINCE + n * HOUR, SINCE + (n + 1) * HOUR, found) for n, found in enumerate(rows))


def _seals(channels: int) -> list[SealReport]:
    found = []
    for n in range(12):
        label = int(SINCE + (n - 1) * HOUR)
        due, delay = label + HOUR, 182.0 + 37 * (n % 4)
        found.append(SealReport(label, due, "sealed", due + delay, delay, channels, participating=channels, unsealed=0))
    newest = int(UNTIL - HOUR)
    return [*found, SealReport(newest, UNTIL, "open")]


def _usual() -> Usual:
    return Usual(168, 7.0, 201.0, 540.0)


def _part(
    rule: str,
    subject: str,
    severity: Severity,
    since: str,
    fired: str | None,
    ended: str | None,
    summary: str,
    evidence: Mapping[str, object] | None = None,
    *,
    reason: str = "",
    recommendation: str = "",
) -> IncidentPart:
    value: Value = None
    unit = "bytes" if "memory" in rule else ""
    finding = Finding(rule, subject, severity, value, None, unit, summary, evidence or {}, recommendation)
    fired_at = moment(fired) if fired else None
    alert = Alert(
        f"{rule}-{subject}-1", rule, subject, "pm2", "firing", severity, moment(since), finding, fired_at=fired_at
    )
    return IncidentPart(alert, fired_at, None if fired else moment(since), moment(ended) if ended else None, reason)
