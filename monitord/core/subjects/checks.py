"""Checks of one's own: what the operator has declared beside what monitord knows of, each judged by its type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from shlex import quote
from typing import TYPE_CHECKING, Final

from monitord.core import humanize
from monitord.core.blocks import Block, Cell, Grid, Plot, Style
from monitord.core.copying import replace
from monitord.core.history.checkins import update_jobs
from monitord.core.history.model import History
from monitord.core.model import Alert, Kind, Reading
from monitord.core.orders import StandingOrders
from monitord.core.series import RollupContext, RollupFamily, Values, metric
from monitord.core.subjects import base, check_rules, checks_report, endpoints, jobs, values
from monitord.core.subjects.servers import unmeasured
from monitord.core.thresholds import threshold, written

if TYPE_CHECKING:
    from monitord.core.status import FleetStatus

# How the checks of each type are judged.
RULES: Final = (*endpoints.RULES, *values.RULES, *jobs.RULES, values.COMMAND_FAILED)


def _is_fresh(reading: Reading, name: str) -> bool:
    """Whether a reading has taken a check again, or tried to; of the probe itself it says so always."""
    if reading.failure is not None:
        return True
    kept = next((s for s in reading.named(check_rules.KEPT) if s.label("check") == name), None)
    return kept is not None and kept.value is None


def _update(
    history: History, reading: Reading, before: float | None, now: float, orders: StandingOrders
) -> base.Updated:
    """The history with what jobs have reported; a report may be lost while monitord does not run."""
    names = [name for name, order in orders.checks.items() if order.type in jobs.TYPES]
    away = next((span for span in reversed(history.blind.get(check_rules.PROBE, ())) if span.why == "away"), None)
    lost = None if away is None or away.end is None else (away.start, away.end)
    known = update_jobs(history.jobs, names, reading, now, lost)
    return base.Updated(history if known == history.jobs else replace(history, jobs=known))


# What to do about a check that could not be taken, where its type says so itself.
_ADVICE: Final[Mapping[str, Mapping[Kind, str]]] = {
    **dict.fromkeys(values.TYPES, values.ADVICE),
    **dict.fromkeys(values.PLUGINS, values.PLUGIN_ADVICE),
}


def _advise(orders: StandingOrders, name: str, kind: Kind) -> str:
    return _ADVICE.get(orders.checks[name].type, {}).get(kind, "") if name in orders.checks else ""


UNMEASURED = unmeasured(
    check_rules.PROBE,
    "the checks",
    "What it asks is not there: correct it in MONITORD_CHECKS, or in its table of monitord.toml.",
    judges_failure=True,
    is_fresh=_is_fresh,
    advise=_advise,
)


def _status(history: History, orders: StandingOrders, now: float) -> Mapping[str, check_rules.CheckStatus | None]:
    reading = base.asked(check_rules.PROBE, history, orders) or Reading(check_rules.PROBE)
    at = history.taken_at.get(check_rules.PROBE, now)
    found = {check.name: check for check in check_rules.checks_of(reading, history, orders, now)}
    return {name: _check(found[name], at) if found[name].is_taken else None for name in orders.checks}


def _undetermined(history: History, orders: StandingOrders, now: float) -> tuple[str, ...]:
    reading = base.asked(check_rules.PROBE, history, orders)
    if reading is None:
        return ()
    checks = (check for check in check_rules.checks_of(reading, history, orders, now) if check.is_taken)
    return tuple(check.name for check in checks if check_rules.status_of(check, RULES) == "unknown")


def _check(check: check_rules.JudgedCheck, read_at: float) -> check_rules.CheckStatus:
    kept = check.number(check_rules.KEPT)
    return check_rules.CheckStatus(
        type=check.order.type,
        status=check_rules.status_of(check, RULES),
        value=check.number(),
        unit=check.unit,
        warning=written(check.order.warning),
        critical=written(check.order.critical),
        age_seconds=round(max(0.0, check.now - (read_at if kept is None else kept)), 3),
        error=check.word(endpoints.ERROR) or None,
        text=check.word(values.TEXT) or None,
        perfdata={
            one.label("label"): check_rules.CheckNumber(
                one.value if isinstance(one.value, int | float) else None, one.label("uom")
            )
            for one in check.labelled
            if one.name == values.PERFDATA
        },
    )


STATUS: Final = base.StatusSection("checks", Mapping[str, check_rules.CheckStatus | None], _status)

METRICS: Final = (
    base.MetricGroup[check_rules.CheckStatus](
        lambda report: {name: check for name, check in report.of(STATUS).items() if check is not None},
        (
            base.MetricFamily(
                "check_ok", "Whether a check of one's own is as expected.", lambda check: float(check.status == "ok")
            ),
            base.MetricFamily(
                "check_perfdata",
                "A number of a plugin's performance data, in its own unit.",
                lambda check: {label: number.value for label, number in check.perfdata.items()},
                by="label",
            ),
            base.MetricFamily("check_value", "The number of a check, in its own unit.", lambda check: check.value),
            base.MetricFamily(
                "check_age_seconds", "How long ago a check was last taken.", lambda check: check.age_seconds
            ),
        ),
        label="check",
    ),
)


def _as_expected(context: RollupContext) -> Values:
    found = context.report.of(STATUS)
    return {
        name: None if check is None or check.status == "unknown" else float(check.status == "ok")
        for name, check in found.items()
    }


ROLLUPS: Final = (
    RollupFamily("as_expected", "uptime", "state", _as_expected),
    RollupFamily("value", "value", "level", metric(METRICS, "check_value")),
)
# What is measured in units that Nagios knows keeps them: 4 KB are not 4.
_NAGIOS_UNITS: Final = {
    **{unit: unit for unit in ("us", "ms", "KB", "MB", "GB", "TB")},
    "seconds": "s",
    "bytes": "B",
    "percent": "%",
}


def _perfdata(report: FleetStatus, orders: StandingOrders) -> Iterator[base.PerfDatum]:
    for name, check in report.of(STATUS).items():
        order = orders.checks.get(name)
        limits = () if order is None else (order.warning, order.critical)
        ranges = ";".join("" if limit is None else limit.range for limit in limits) or ";"
        value, unit = (None, "") if check is None else (check.value, check.unit)
        if check is None or value is not None:
            yield base.PerfDatum(name, value, _NAGIOS_UNITS.get(unit, ""), limits=ranges)
        for label, number in {}.items() if check is None else check.perfdata.items():
            yield base.PerfDatum(f"{name} {label}", number.value, _NAGIOS_UNITS.get(number.unit, ""))


def _section(context: base.SectionContext) -> Iterator[Block]:
    checks = context.report.of(STATUS)
    rows = tuple(_row(name, check, context.severity(name) or "ok") for name, check in checks.items())
    if rows:
        header = ("Check", "Type", "Value", "Of late", "Limits", "Taken")
        yield Grid("Each check as it was last taken", header, rows, flexible=(4, 0, 2), brief=(2,))


def _row(name: str, check: check_rules.CheckStatus | None, confirmed: Style) -> tuple[Style, tuple[Cell, ...]]:
    if check is None:
        return ("unknown" if confirmed == "ok" else confirmed), (name, "", "unknown", _plot(name), "", "")
    value = check.error or check.text or ("" if check.value is None else check_rules.with_unit(check.value, check.unit))
    given = (("warning", check.warning), ("critical", check.critical))
    limits = [f"{level} {check_rules.in_words(threshold(limit), check.unit)}" for level, limit in given if limit]
    age = check.age_seconds or 0.0
    style = check.status if confirmed == "ok" else confirmed
    taken = "now" if age < 1 else f"{humanize.duration(age)} ago"
    return style, (name, check.type, value, _plot(name), ", ".join(limits), taken)


def _plot(name: str) -> Plot:
    return Plot("value_small", name, "dotted is a time in which there was no number")


def _runbook_words(alert: Alert, orders: StandingOrders) -> Mapping[str, str]:
    return {"target": quote(orders.checks[alert.subject].target) if alert.subject in orders.checks else ""}


CHECKS = base.Subject(
    check_rules.PROBE,
    "checks",
    rules=(*(one.rule for one in RULES), UNMEASURED),
    update=_update,
    members="checks",
    member="check",
    readings="the checks",
    noun="the checks",
    member_sample=(check_rules.VALUE, "check"),
    depends_on=lambda name, orders: orders.checks[name].depends_on if name in orders.checks else (),
    undetermined=_undetermined,
    status=(STATUS,),
    metrics=METRICS,
    perfdata=_perfdata,
    section=_section,
    report=checks_report.checks,
    report_parts=(checks_report.CHECK_REPORTS,),
    runbook_words=_runbook_words,
    criteria=(checks_report.CHECKS_MET,),
    levels=checks_report.LEVELS,
    rollups=ROLLUPS,
)
