"""The rules about services, for processes that another manager than PM2 keeps: its own history, words and limits.

The rules, the history and the status are those of the services under PM2, and are written once. For another manager
they are asked of a view, in which its processes and limits stand where those under PM2 do, and what they say is put
into its words. Neither its history nor its rules share a name with PM2's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from monitord.core.anomalies.forecasts import update_memory
from monitord.core.blocks import Block, Grid, Member, Paragraph
from monitord.core.copying import replace
from monitord.core.history.model import Fleet, History
from monitord.core.history.processes import by_service, update_fleet
from monitord.core.latest import LazyMapping, latest
from monitord.core.model import Alert, Finding, Judgement, Observation, Reading, Sample, Unknown
from monitord.core.orders import Expected, ServiceOrders, StandingOrders
from monitord.core.report.criterion import SuccessCriterion
from monitord.core.series import RollupContext, RollupFamily, Values
from monitord.core.subjects import apps, base, pm2_status, services
from monitord.core.subjects.app_limits import APP_NUMBER
from monitord.core.subjects.app_status import APP_METRICS
from monitord.core.subjects.busy import update_services
from monitord.core.subjects.errors import ERRORS_RISING
from monitord.core.subjects.pm2 import PM2
from monitord.core.subjects.servers import unreachable

if TYPE_CHECKING:
    from monitord.core.status import FleetStatus

T = TypeVar("T")
# What an app tells PM2 of itself, and writes to its bus, nobody tells another manager.
RULES: Final = tuple(rule for rule in services.RULES if rule not in (*apps.RULES, APP_NUMBER, ERRORS_RISING))
_SERVICES: Final = PM2.members


@dataclass(frozen=True, slots=True)
class ProcessManager:
    """What keeps processes, as PM2 does: its name, what it calls one of them, and what to look at for one.

    `roster` is which processes it is to keep, in which state, and by which limits, by the standing orders. `words` are
    those of the sentences about PM2 that are other ones of it, beside its name.
    """

    name: str
    title: str
    member: str
    roster: Callable[[StandingOrders], Mapping[str, tuple[Expected, ServiceOrders]]]
    runbook: tuple[str, str, str]
    words: Mapping[str, str]

    @property
    def members(self) -> str:
        """What its processes are called together: their section of the status."""
        return f"{self.member}s"

    @property
    def criterion(self) -> str:
        """The criterion of the report that its processes are judged by."""
        return f"{self.members}_as_expected"

    def named(self, name: str) -> str:
        """The name of a rule or a metric about services, for its own."""
        return name.replace(PM2.member, self.member, 1)

    def said(self, text: str, name: str = "") -> str:
        """A sentence about PM2 and its services in words of its own; the name in it stays as it is."""
        words = {**self.words, PM2.title: self.title, f"{PM2.member}s": self.members}
        kept = [re.escape(name)] if name else []
        pattern = [rf"\b{re.escape(word)}\b" for word in sorted(words, key=len, reverse=True)]
        return re.sub("|".join(kept + pattern), lambda match: words.get(match[0], match[0]), text)


def subject(manager: ProcessManager, **more: Any) -> base.Subject:
    """The subject of a manager's processes, judged by every rule about services; `more` is what it declares besides.

    Its probe tells of each process what that of PM2 does (samples service_state, service_restarts, … by `service` and
    `instance`), of CPU time service_cpu_seconds in all, and who answers. What it does not know it leaves out.
    """
    status = base.StatusSection(manager.members, pm2_status.STATUS.shape, partial(_status, manager))
    away = unreachable(
        f"{manager.name}_unreachable",
        manager.name,
        manager.title,
        blocks=lambda _: f"the {manager.members}",
        runbook=manager.runbook,
    )
    return base.Subject(
        manager.name,
        manager.title,
        server=manager.name,
        rules=(away, *_rules(manager)),
        update=partial(_update, manager),
        member=manager.member,
        readings=f"the {manager.members} under {manager.title}",
        status=(status,),
        rollups=tuple(_rollup(manager, family) for family in pm2_status.ROLLUPS),
        metrics=tuple(_metrics(manager, group) for group in pm2_status.METRICS if group.metrics is not APP_METRICS),
        perfdata=partial(_perfdata, manager),
        section=partial(_section, manager),
        standing=partial(_standing, manager),
        heading=manager.members.capitalize(),
        criteria=(
            SuccessCriterion(
                manager.criterion,
                lambda _: f"All {manager.members} remain as expected",
                f"No critical alert was about a {manager.member}, and {manager.title} could be asked.",
            ),
        ),
        **more,
    )


def _view(manager: ProcessManager, history: History, orders: StandingOrders) -> tuple[History, StandingOrders]:
    """The history and the orders in which a manager's processes stand where those under PM2 do."""
    return _VIEWS.setdefault(manager.name, latest(partial(_made, manager)))(history, orders)


_VIEWS: Final[dict[str, Callable[[History, StandingOrders], tuple[History, StandingOrders]]]] = {}


def _made(manager: ProcessManager, history: History, orders: StandingOrders) -> tuple[History, StandingOrders]:
    roster = manager.roster(orders)
    fleet = history.fleets.get(manager.name, Fleet())
    name = PM2.name

    def moved(of: Mapping[str, T]) -> dict[str, T]:
        rest = {key: value for key, value in of.items() if key not in (name, manager.name)}
        return {**rest, name: of[manager.name]} if manager.name in of else rest

    seen = replace(
        history,
        services=fleet.services,
        roster=fleet.roster,
        fleet_restart=fleet.fleet_restart,
        daemon=fleet.daemon,
        trends=fleet.trends,
        measures=fleet.measures,
        readings=moved(history.readings),
        taken_at=moved(history.taken_at),
        blind=moved(history.blind),
    )
    probes = orders.probes - {name}
    judged = replace(
        orders,
        probes=probes | {name} if manager.name in probes else probes,
        services={unit: wanted for unit, (wanted, _) in roster.items()},
        service_by_name={unit: limits for unit, (_, limits) in roster.items()},
    )
    return seen, judged


def _update(
    manager: ProcessManager,
    history: History,
    reading: Reading,
    before: float | None,
    now: float,
    orders: StandingOrders,
) -> base.Updated:
    view, judged = _view(manager, history, orders)
    fleet = history.fleets.get(manager.name, Fleet())
    reading, used = _derived(reading, fleet, before, now)
    after, events = update_fleet(view, reading, before if view.services else None, now, judged)
    after = update_services(update_memory(after, now, judged), now, judged)
    last = after.fleet_restart
    if last is not None:  # a manager loses no list: what is missing of it is missing by itself
        last = replace(last, left_behind=(), is_empty=False)
    kept = Fleet(after.services, after.roster, last, after.daemon, after.trends, after.measures, used)
    reported = tuple(
        replace(
            event,
            by=manager.name if event.by == PM2.name else event.by,
            detail=manager.said(event.detail, event.service),
        )
        for event in events
    )
    return base.Updated(replace(history, fleets={**history.fleets, manager.name: kept}), reported)


def _derived(reading: Reading, fleet: Fleet, before: float | None, now: float) -> tuple[Reading, Mapping[str, float]]:
    """The reading with what follows from the one before: which processes somebody began anew, and how busy each is.

    A manager that counts only the restarts it made itself has begun again by hand what began without being counted.
    """
    added: list[Sample] = []
    used: dict[str, float] = {}
    for name, processes in by_service(reading).items():
        for instance, process in processes.items():
            labels = (("instance", instance), ("service", name))
            was = fleet.services[name].lives.get(instance) if name in fleet.services else None
            if process.created_at is None and process.started_at is not None:
                created = process.started_at if was is None or was.created_at is None else was.created_at
                if was is not None and was.started_at not in (None, process.started_at):
                    counted = (process.restarts or 0) > (was.restarts or 0)
                    created = created if counted else process.started_at
                added.append(Sample("service_created_at", labels, created, "timestamp"))
            seconds = reading.number("service_cpu_seconds", instance=instance, service=name)
            if seconds is None:
                continue
            key = f"{name}/{instance}"
            used[key] = seconds
            last = fleet.used.get(key)
            if last is not None and before is not None and now > before and seconds >= last:
                percent = round((seconds - last) / (now - before) * 100, 1)
                added.append(Sample("service_cpu", labels, percent, "percent"))
    return replace(reading, samples=(*reading.samples, *added)), used


def _rules(manager: ProcessManager) -> tuple[base.Rule, ...]:
    """The rules about services, as they judge this manager's, with those that they replace among them."""
    made: dict[str, base.Rule] = {}

    def of(rule: base.Rule) -> base.Rule:
        if rule.name not in made:
            made[rule.name] = replace(
                rule,
                name=manager.named(rule.name),
                probe=manager.name,
                evaluate=partial(_evaluated, manager, rule),
                members=None if rule.members is None else partial(_members, manager, rule.members),
                recovered=partial(_recovered, manager, rule),
                replaces=tuple(
                    base.Replaces(of(one.rule), one.when, one.continues) for one in rule.replaces if one.rule in RULES
                ),
                succeeds=tuple(of(one) for one in rule.succeeds if one in RULES),
                runbook=manager.runbook,
                criterion=manager.criterion,
            )
        return made[rule.name]

    return tuple(of(rule) for rule in RULES)


def _evaluated(
    manager: ProcessManager, rule: base.Rule, observation: Observation, history: History, orders: StandingOrders
) -> Iterator[Judgement]:
    name = manager.named(rule.name)
    for judgement in rule.evaluate(observation, *_view(manager, history, orders)):
        if isinstance(judgement, Finding):
            yield replace(
                judgement,
                rule=name,
                summary=manager.said(judgement.summary, judgement.subject),
                recommendation=manager.said(judgement.recommendation, judgement.subject),
                evidence={key.replace(PM2.name, manager.name): item for key, item in judgement.evidence.items()},
            )
        elif isinstance(judgement, Unknown):
            yield replace(judgement, rule=name, reason=manager.said(judgement.reason, judgement.subject))
        else:
            yield replace(judgement, rule=name)


def _members(
    manager: ProcessManager,
    members: Callable[[History, StandingOrders], Container[str]],
    history: History,
    orders: StandingOrders,
) -> Container[str]:
    return members(*_view(manager, history, orders))


def _recovered(manager: ProcessManager, rule: base.Rule, alert: Alert, at: base.RecoveryContext) -> str | None:
    sentence = rule.recovered(
        alert, base.RecoveryContext(_as_services(manager, at.report), *_view(manager, at.history, at.orders), at.now)
    )
    return None if sentence is None else manager.said(sentence, alert.subject)


def _status(manager: ProcessManager, history: History, orders: StandingOrders, now: float) -> object:
    return pm2_status.STATUS.build(*_view(manager, history, orders), now)


def _as_services(manager: ProcessManager, report: FleetStatus) -> FleetStatus:
    """The status in which a manager's processes stand where those under PM2 do."""
    return replace(
        report,
        sections=LazyMapping(
            {
                **{name: partial(report.sections.__getitem__, name) for name in report.sections},
                _SERVICES: partial(report.sections.get, manager.members),
            }
        ),
        probes={**report.probes, PM2.name: report.probes[manager.name]},
    )


def _metrics(manager: ProcessManager, group: base.MetricGroup[Any]) -> base.MetricGroup[object]:
    return base.MetricGroup(
        lambda report: group.find(_as_services(manager, report)),
        tuple(
            base.MetricFamily(
                manager.named(one.name),
                manager.said(one.help).replace(PM2.member, manager.member),
                one.value,
                one.by,
                one.kind,
                one.line,
            )
            for one in group.metrics
        ),
        manager.member if group.label else "",
    )


def _rollup(manager: ProcessManager, family: RollupFamily) -> RollupFamily:
    """A series of the services under PM2, of this manager's; the restarts are those that it made."""

    def values(context: RollupContext) -> Values:
        events = tuple(
            replace(event, by=PM2.name if event.by == manager.name else manager.name) for event in context.events
        )
        history, orders = _view(manager, context.history, context.orders)
        report = _as_services(manager, context.report)
        return family.values(replace(context, report=report, history=history, orders=orders, events=events))

    return replace(family, values=values)


def _perfdata(manager: ProcessManager, report: FleetStatus, orders: StandingOrders) -> Iterator[base.PerfDatum]:
    _, judged = _view(manager, History(), orders)
    for datum in pm2_status.perfdata(_as_services(manager, report), judged):
        yield replace(datum, label=datum.label if " " in datum.label else manager.named(datum.label))


def _section(manager: ProcessManager, context: base.SectionContext) -> Iterator[Block]:
    history, judged = _view(manager, context.history or History(), context.orders)
    of = replace(context, report=_as_services(manager, context.report), orders=judged, history=history)
    for block in pm2_status.section(of):
        if isinstance(block, Grid):
            header = tuple(manager.member.capitalize() if n == 0 else name for n, name in enumerate(block.header))
            rows = tuple((style, tuple(map(_plain, row))) for style, row in block.rows)
            yield replace(block, header=header, rows=rows).without_plots()
        elif isinstance(block, Paragraph):
            yield replace(block, text=manager.said(block.text))


def _plain(cell: object) -> Any:
    """A cell without a link to a page that only the services under PM2 have."""
    return f"{cell.name}{cell.remark}" if isinstance(cell, Member) else cell


def _standing(manager: ProcessManager, report: FleetStatus) -> base.Standing | None:
    found = pm2_status.standing_of(_as_services(manager, report))
    return replace(found, words=manager.said(found.words))
