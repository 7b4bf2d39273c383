"""Judgement of any number that an app tells of itself, by the limits that somebody set for it by its name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from monitord.core.app_numbers import AppNumber, called, value_called
from monitord.core.copying import replace
from monitord.core.history.model import History, Measure
from monitord.core.history.process_model import Process
from monitord.core.latest import latest, latest_by
from monitord.core.model import RANK, Alert, Finding, Judgement, Observation, Severity, Unknown
from monitord.core.orders import NumberOrders, StandingOrders
from monitord.core.subjects.app_status import WARM_UP_SECONDS
from monitord.core.subjects.base import Impact, MetricFamily, RecoveryContext
from monitord.core.subjects.check_rules import with_unit
from monitord.core.subjects.fleet import of_service, state_now
from monitord.core.thresholds import threshold, written

# Which numbers a run has shown: of those that are judged of every service, one that was shown before is missed.
_TOLD: Final = "number/"
_STOPPED: Final = "it does not run"
_YOUNG: Final = "it has only just begun"
_UNTOLD: Final = "it does not tell PM2 this number"
# What monitord calls the units in which apps tell of themselves.
_UNITS: Final = {"%": "percent", "B": "bytes", "s": "seconds"}


@dataclass(frozen=True, slots=True)
class NumberStatus:
    """A number with limits: the worst of all instances, in its own unit; `reason`: why it is unknown."""

    value: float | None
    unit: str
    warning: str | None
    critical: str | None
    status: Literal["ok", "warning", "critical", "unknown"]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Limited:
    """One number of a service that is judged: its limits, and where it is kept that it was told.

    `missable`: it is judged of every service, and so of this one where it tells it. `falls`: less of it is worse.
    Between the two of `within` a number is surely past no limit.
    """

    name: str
    limits: NumberOrders
    key: str
    missable: bool
    falls: bool
    within: tuple[float, float]


@latest_by
def _limited(orders: StandingOrders, service: str) -> tuple[_Limited, ...]:
    """The numbers of a service that are judged, and by which limits: asked of each service in each cycle."""
    own = orders.number_limits.get(service, {})
    return tuple(
        _Limited(
            name,
            limits,
            f"{_TOLD}{service}/{name}",
            name not in own,
            any(one is not None and one.condition in ("<", "<=") for one in (limits.warning, limits.critical)),
            _surely_within(limits),
        )
        for name, limits in orders.limits_of_numbers(service).items()
        if limits != NumberOrders()
    )


def _surely_within(limits: NumberOrders) -> tuple[float, float]:
    ranges = [one.surely_kept for one in (limits.warning, limits.critical) if one is not None]
    return max((low for low, _ in ranges), default=-inf), min((high for _, high in ranges), default=inf)


def update_told(history: History, now: float, orders: StandingOrders) -> History:
    """The history after one good reading of PM2: which numbers with limits services have told in their present runs."""
    measures = history.measures
    stay: set[str] = set()
    kept: dict[str, Measure] = {}
    for service, one in history.services.items() if orders.number_limits else ():
        for limited in _limited(orders, service):
            if not limited.missable:
                continue
            measure = measures.get(limited.key)
            if measure is not None and _ran_at(one.lives, measure.since):
                stay.add(limited.key)
            elif _numbers(limited.name, one.lives):
                kept[limited.key] = Measure(since=now)
    gone = {key for key in measures if key.startswith(_TOLD) and key not in stay} if measures else set()
    if not gone and not kept:  # nearly always
        return history
    return replace(history, measures={**{key: one for key, one in measures.items() if key not in gone}, **kept})


def _ran_at(processes: Mapping[str, Process], moment: float) -> bool:
    for process in processes.values():  # noqa: SIM110 - at half the cost, of each service in each cycle
        if process.started_at is not None and process.started_at <= moment:
            return True
    return False


def _numbers(name: str, processes: Mapping[str, Process]) -> list[AppNumber]:
    running = [process for process in processes.values() if process.app_values and process.state == "online"]
    found = (called(process.app_form, process.app_values, name) for process in running)
    return [number for number in found if number is not None]


class _Statuses(Mapping[str, Mapping[str, NumberStatus]]):
    """The numbers that have limits, each service's judged when somebody asks for it."""

    def __init__(self, history: History, orders: StandingOrders) -> None:
        self._history, self._orders = history, orders
        self._found: dict[str, Mapping[str, NumberStatus]] = {}

    def __getitem__(self, service: str) -> Mapping[str, NumberStatus]:
        found = self._found.get(service)
        if found is None:
            found = self._found[service] = _statuses(service, self._history, self._orders)
        if not found:
            raise KeyError(service)
        return found

    def __iter__(self) -> Iterator[str]:
        return (service for service in self._history.services if self.get(service))

    def __len__(self) -> int:
        return sum(1 for _ in self)


@latest
def number_statuses(history: History, orders: StandingOrders) -> Mapping[str, Mapping[str, NumberStatus]]:
    """The numbers that have limits, by service and by the names that the limits have, as of the last cycle."""
    return _Statuses(history, orders) if orders.number_limits else {}


def _statuses(service: str, history: History, orders: StandingOrders) -> Mapping[str, NumberStatus]:
    known = history.services.get(service)
    if known is None or not known.lives:
        return {}
    found: dict[str, NumberStatus] = {}
    for limited in _limited(orders, service):
        if numbers := _numbers(limited.name, known.lives):
            found[limited.name] = _worst([_judged(one, limited.limits) for one in numbers], falls=limited.falls)
        elif not limited.missable or limited.key in history.measures:
            found[limited.name] = _unknown(limited.limits, _why_untold(known.lives, history.at or 0.0))
    return found


def _worst(found: Sequence[NumberStatus], *, falls: bool) -> NumberStatus:
    if len(found) == 1:
        return found[0]
    return max(found, key=lambda one: (RANK[one.status], (one.value or 0.0) * (-1 if falls else 1)))


def _judged(number: AppNumber, limits: NumberOrders) -> NumberStatus:
    return NumberStatus(
        number.value,
        number.unit,
        written(limits.warning),
        written(limits.critical),
        _severity(number.value, limits) or "ok",
    )


def _severity(value: float, limits: NumberOrders) -> Severity | None:
    if limits.critical is not None and limits.critical.is_past(value):
        return "critical"
    return "warning" if limits.warning is not None and limits.warning.is_past(value) else None


def _unknown(limits: NumberOrders, reason: str) -> NumberStatus:
    return NumberStatus(None, "", written(limits.warning), written(limits.critical), "unknown", reason)


def _why_untold(processes: Mapping[str, Process], now: float) -> str:
    running = [process for process in processes.values() if process.state == "online"]
    if not running:
        return _STOPPED
    ages = [now - process.started_at for process in running if process.started_at is not None]
    return _YOUNG if ages and max(ages) < WARM_UP_SECONDS else _UNTOLD


def untold_numbers(history: History, orders: StandingOrders) -> tuple[str, ...]:
    """The services that run and do not tell a number that limits of their own are set for."""
    found = number_statuses(history, orders)
    return tuple(
        service
        for service in orders.number_limits
        if any(one.reason == _UNTOLD for one in found.get(service, {}).values())
    )


def app_number(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A number that an app tells of itself is past the limit that somebody set for it by its name."""
    statuses = number_statuses(history, orders)
    for service, one in history.services.items() if orders.number_limits else ():
        if _is_within(service, one.lives, orders) or not (numbers := statuses.get(service)):
            continue
        past = {name: one for name, one in numbers.items() if one.status in ("warning", "critical")}
        unknown = [f"{name}: {one.reason}" for name, one in numbers.items() if one.reason is not None]
        if past:
            yield _finding(service, past)
        elif unknown:
            yield Unknown("app_number", service, unknown[0])


def _is_within(service: str, processes: Mapping[str, Process], orders: StandingOrders) -> bool:
    """Whether each number of a service that has limits is told, and within them: nearly always."""
    for limited in _limited(orders, service):
        is_told = False
        for process in processes.values():
            if not process.app_values or process.state != "online":
                continue
            value = value_called(process.app_form, process.app_values, limited.name)
            if value is not None:
                low, high = limited.within
                if not low < value < high and _severity(value, limited.limits) is not None:
                    return False
                is_told = True
        if not is_told:
            return False
    return True


def _finding(service: str, past: Mapping[str, NumberStatus]) -> Finding:
    name, worst = max(past.items(), key=lambda item: RANK[item[1].status])
    severity: Severity = "critical" if worst.status == "critical" else "warning"
    limit = threshold((worst.critical if severity == "critical" else worst.warning) or "")
    others = [f"{other} ({_said(one)})" for other, one in past.items() if other != name]
    return Finding(
        rule="app_number",
        subject=service,
        severity=severity,
        value=worst.value,
        limit=limit.value if limit.is_one_sided else str(limit),
        unit=worst.unit,
        summary=(
            f"{name} of {service} is {_said(worst)}; it is {severity} when {limit}."
            + (f" Past their limits, too: {', '.join(others)}." if others else "")
        ),
        evidence={"number": name, "past": {other: one.value for other, one in past.items()}},
        recommendation=f"Look at what {service} does, and at what it counts as {name}.",
    )


def _said(number: NumberStatus) -> str:
    return with_unit(number.value, _UNITS.get(number.unit, number.unit))


def limits_said(number: NumberStatus) -> str:
    given = (("warning", number.warning), ("critical", number.critical))
    return ", ".join(f"{level} {limit}" for level, limit in given if limit is not None)


def value_said(number: NumberStatus) -> str:
    return f"unknown: {number.reason}" if number.value is None else _said(number)


def _within_now(alert: Alert, at: RecoveryContext) -> str | None:
    name = str(alert.finding.evidence.get("number", ""))
    number = number_statuses(at.history, at.orders).get(alert.subject, {}).get(name)
    if number is None or number.value is None:
        return state_now(alert, at)
    return f"{name} of {alert.subject} is {_said(number)} now."


LIMIT_METRICS: Final[tuple[MetricFamily[Mapping[str, NumberStatus]], ...]] = (
    MetricFamily(
        "service_number_ok",
        "Whether a number that a service tells of itself is within the limits that are set for it by its name.",
        lambda numbers: {
            name: None if number.value is None else number.status == "ok" for name, number in numbers.items()
        },
        by="number",
    ),
    MetricFamily(
        "service_number_limited",
        "A number with limits of its own, the worst of a service's instances, in its own unit.",
        lambda numbers: {name: number.value for name, number in numbers.items()},
        by="number",
    ),
    MetricFamily(
        "service_number_warning_limit",
        "Past which a number is worth a warning, where that is one number.",
        lambda numbers: {name: _end(number.warning) for name, number in numbers.items()},
        by="number",
    ),
    MetricFamily(
        "service_number_critical_limit",
        "Past which a number is critical, where that is one number.",
        lambda numbers: {name: _end(number.critical) for name, number in numbers.items()},
        by="number",
    ),
)


def _end(written: str | None) -> float | None:
    limit = None if written is None else threshold(written)
    return limit.value if limit is not None and limit.is_one_sided else None


APP_NUMBER = of_service(
    name="app_number",
    severities=("warning", "critical"),
    evaluate=app_number,
    members=number_statuses,
    runbook=("{pm2} describe {name}", "{pm2} logs {name} --lines 50 --nostream", "monitord check --explain"),
    impact=Impact(lambda alert, _: f"what {alert.subject} counts is past the limit that somebody set for it"),
    recovered=_within_now,
)
