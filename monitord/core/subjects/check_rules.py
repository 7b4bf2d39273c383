"""What the rules of all types of checks share: a check as it was last taken, and how a rule is asked about each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final

from monitord.core import humanize
from monitord.core.history.model import History
from monitord.core.latest import latest
from monitord.core.model import (
    RANK,
    Alert,
    Clear,
    Evidence,
    Finding,
    Judgement,
    NotTaken,
    Observation,
    Reading,
    Sample,
    Severity,
    Status,
    Unknown,
    Value,
)
from monitord.core.orders import CheckOrder, StandingOrders
from monitord.core.subjects.base import RecoveryContext, Rule
from monitord.core.thresholds import Threshold

PROBE = "checks"
# The criterion of the report that they are judged by.
MET: Final = "checks_met"
# Of each check: its number, and what that is in (a word: all samples of one name have one unit); and since when its
# result is kept (Unix seconds), None where it ran in this reading.
VALUE, UNIT, KEPT = "check_value", "check_unit", "check_kept"


@dataclass(frozen=True, slots=True)
class JudgedCheck:
    """One check as it was last taken; `now` in Unix seconds. `error` says why it could not be ("": it could).

    `samples` are what was measured of it by name, `labelled` those that differ in further labels.
    """

    name: str
    order: CheckOrder
    now: float
    history: History
    samples: Mapping[str, Sample] = field(default_factory=dict)
    error: str = ""
    labelled: tuple[Sample, ...] = ()

    @property
    def is_taken(self) -> bool:
        return KEPT in self.samples and not self.error

    @property
    def is_fresh(self) -> bool:
        """Whether it ran, or could not, in the last reading of the probe: what was kept confirms nothing."""
        return KEPT in self.samples and self.samples[KEPT].value is None

    @property
    def unit(self) -> str:
        return self.order.unit or self.word(UNIT)

    def number(self, name: str = VALUE) -> float | None:
        value = self.samples[name].value if name in self.samples else None
        return value if isinstance(value, int | float) else None

    def word(self, name: str) -> str:
        value = self.samples[name].value if name in self.samples else None
        return value if isinstance(value, str) else ""

    def finding(
        self,
        rule: str,
        severity: Severity,
        value: Value,
        limit: Value,
        unit: str,
        summary: str,
        evidence: Evidence | None = None,
        recommendation: str = "",
        began: float | None = None,
    ) -> Finding:
        """What a rule finds of it, with what the operator ordered of its alerts."""
        of_order = {
            "type": self.order.type,
            "depends_on": list(self.order.depends_on),
            "user_facing": self.order.user_facing,
        }
        return Finding(
            rule=rule,
            subject=self.name,
            severity="warning" if self.order.severity == "warning" else severity,
            value=value,
            limit=limit,
            unit=unit,
            summary=summary,
            evidence={**(evidence or {}), **{name: text for name, text in of_order.items() if text}},
            recommendation=recommendation,
            began=began,
            runbook=self.order.runbook,
            contact=self.order.contact,
        )

    def past(self) -> tuple[Severity, Threshold, float] | None:
        """How bad its number is by its limits, and by which; None where it is within them, or there is none."""
        value = self.number()
        if value is None:
            return None
        limits: tuple[tuple[Severity, Threshold | None], ...] = (
            ("critical", self.order.critical),
            ("warning", self.order.warning),
        )
        return next(
            ((severity, limit, value) for severity, limit in limits if limit is not None and limit.is_past(value)), None
        )


@dataclass(frozen=True, slots=True)
class CheckNumber:
    """One of the numbers that a plugin prints, in the unit that it is in."""

    value: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """A check as last taken: what was found, by which limits, how long ago, and what is wrong; `text`: a plugin's."""

    type: str
    status: Status
    value: float | None
    unit: str
    warning: str | None
    critical: str | None
    age_seconds: float | None
    error: str | None
    text: str | None
    perfdata: Mapping[str, CheckNumber]


# What a rule finds of one check that ran: nothing, something, or that this is unknown.
Judge = Callable[[JudgedCheck], Finding | Unknown | None]


@dataclass(frozen=True, slots=True)
class CheckRule:
    """A rule about the checks of some types, and how it judges one of them."""

    rule: Rule
    types: frozenset[str]
    judge: Judge


def check_rule(judge: Judge, *types: str, **declared: Any) -> CheckRule:
    """The rule, by the judge's name, about the checks of these types; `declared` is what else is known of it."""

    @wraps(judge)
    def evaluate(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
        reading, now = observation.readings[PROBE], observation.now.timestamp()
        for name, order, samples, error, labelled in _as_read(reading, orders):
            if order.type not in types:
                continue
            check = JudgedCheck(name, order, now, history, samples, error, labelled)
            if not check.is_fresh:  # what did not run again changes nothing
                yield NotTaken(judge.__name__, check.name)
            elif not check.is_taken:
                yield Unknown(judge.__name__, check.name, "it could not be taken")
            else:
                yield judge(check) or Clear(judge.__name__, check.name)

    known: dict[str, Any] = {"severities": ("warning", "critical"), "criterion": MET, **declared}
    return CheckRule(Rule(probe=PROBE, evaluate=evaluate, **known), frozenset(types), judge)


def checks_of(reading: Reading, history: History, orders: StandingOrders, now: float) -> Iterator[JudgedCheck]:
    """Every check that is ordered, as in a reading; what others depend on comes before them."""
    return (
        JudgedCheck(name, order, now, history, samples, error, labelled)
        for name, order, samples, error, labelled in _as_read(reading, orders)
    )


@latest  # each of their rules asks for the same
def _as_read(
    reading: Reading, orders: StandingOrders
) -> list[tuple[str, CheckOrder, Mapping[str, Sample], str, tuple[Sample, ...]]]:
    """Each check in order: its order, its samples, why it could not be taken, and the samples with more labels."""
    samples: dict[str, dict[str, Sample]] = {name: {} for name in orders.checks}
    labelled: dict[str, list[Sample]] = {}
    for sample in reading.samples:
        name = sample.label("check")
        if len(sample.labels) > 1:
            labelled.setdefault(name, []).append(sample)
        elif name in samples:
            samples[name][sample.name] = sample
    errors = {gap.subject: gap.error for gap in reading.gaps}
    return [
        (name, orders.checks[name], samples[name], errors.get(name, ""), tuple(labelled.get(name, ())))
        for name in in_order(orders.checks)
    ]


def in_order(checks: Mapping[str, CheckOrder]) -> tuple[str, ...]:
    """The names of the checks, each after those that it depends on."""
    done: dict[str, None] = {}

    def visit(name: str, above: frozenset[str]) -> None:
        if name in done or name in above:
            return
        for needed in checks[name].depends_on:
            if needed in checks:
                visit(needed, above | {name})
        done[name] = None

    for name in checks:
        visit(name, frozenset())
    return tuple(done)


def status_of(check: JudgedCheck, rules: tuple[CheckRule, ...]) -> Status:
    """The worst that the rules find of a check that ran; unknown where they find nothing and do not know."""
    found = [one.judge(check) for one in rules if check.order.type in one.types]
    severities = [each.severity for each in found if isinstance(each, Finding)]
    if severities:
        return max(severities, key=RANK.__getitem__)
    return "unknown" if any(isinstance(each, Unknown) for each in found) else "ok"


def with_unit(value: float | None, unit: str) -> str:
    if value is None:
        return "unknown"
    match unit:
        case "seconds":
            return humanize.duration(value)
        case "ms":
            return humanize.duration(value / 1000.0)
        case "bytes":
            return humanize.size(value)
        case "percent":
            return f"{value:.4g}%"
        case _:
            number = humanize.count(value) if float(value).is_integer() else f"{value:.6g}"
            return f"{number} {unit}".strip() if unit != "1" else number


def in_words(limit: Threshold, unit: str) -> str:
    return f"{limit.condition} {'..'.join(with_unit(end, unit) for end in limit.ends)}"


def blocks_users(alert: Alert, orders: StandingOrders) -> tuple[str, ...]:
    """Users, where the check is ordered to be of something that they face."""
    check = orders.checks.get(alert.subject)
    return ("users",) if check is not None and check.user_facing else ()


def value_now(alert: Alert, at: RecoveryContext) -> str:
    """Its number as half a sentence, where it has one: ", at 12 ms"."""
    found = at.report.sections.get(PROBE)
    check = found.get(alert.subject) if isinstance(found, Mapping) else None
    return (
        f", at {with_unit(check.value, check.unit)}"
        if isinstance(check, CheckStatus) and check.value is not None
        else ""
    )
