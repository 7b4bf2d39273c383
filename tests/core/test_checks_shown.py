"""Checks of one's own through every form: the text, the JSON, the Nagios line, metrics, the page and the report."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitord.core.alerting.escalation import escalation
from monitord.core.engine import Decision, State, decide
from monitord.core.history.model import History
from monitord.core.model import Finding, Observation, Reading, Recheck, Unmeasured, Value, sample
from monitord.core.orders import CheckOrder
from monitord.core.report.criterion import FoldedCycle, FoldedWindow
from monitord.core.report.model import CheckReport
from monitord.core.subjects.check_rules import KEPT
from monitord.core.subjects.checks import UNMEASURED
from monitord.core.subjects.checks_report import CHECK_REPORTS
from monitord.core.subjects.checks_tracker import CheckTracker
from monitord.core.thresholds import threshold
from monitord.jsonable import document
from monitord.reporting.charts.axes import TimeSpan
from monitord.reporting.charts.plots import value_plot
from monitord.reporting.charts.spark import value_spark
from monitord.reporting.html import report_html
from monitord.reporting.metric_families import Facts
from monitord.reporting.metrics import exposition
from monitord.reporting.nagios import nagios
from monitord.reporting.report import report_text
from monitord.reporting.report_json import report_fields
from monitord.reporting.sections import StatusView
from monitord.reporting.status import text
from monitord.reporting.terminal import Terminal
from monitord.web import openapi
from monitord.web.backend import PublishedCycle
from tests.core.nights import ORDERS, Night
from tests.core.test_report import morning
from tests.web.made import Source, client, settings_for

CHECKS = {
    "shop": CheckOrder(
        "http",
        unit="ms",
        target="https://shop.example.com/health",
        warning=threshold("> 500"),
        critical=threshold("> 2000"),
        user_facing=True,
        runbook="https://wiki.example.com/shop",
        contact="the shop's people",
    ),
    "db": CheckOrder("tcp", every=timedelta(minutes=10), unit="ms"),
    "wiki": CheckOrder("http", unit="ms"),
}


def night(checks: Mapping[str, CheckOrder] = CHECKS) -> Night:
    """A night in which all is well for two minutes."""
    found = Night(replace(ORDERS, probes=ORDERS.probes | {"checks"}, checks=checks))
    found.passes(minutes=2)
    return found


@pytest.fixture(scope="module")
def broken() -> Night:
    """The shop answers 500, nobody can ask the wiki, and the database has answered five minutes ago."""
    found = night()
    found.checks["shop"].answers(500)
    found.checks["wiki"].gap = Unmeasured("wiki", "internal", "wiki cannot be asked", alone=True)
    found.passes(minutes=3)
    return found


def test_in_few_columns_all_is_shown_of_a_check_that_is_not_well(broken: Night) -> None:
    shown = text(view(broken), "monitord check", Terminal(72))
    lines = shown.partition("\nChecks\n")[2].partition("\n\n")[0].splitlines()
    section = " ".join(" ".join(lines).split())
    assert "shop:443 answers 500, not 2xx" in section
    assert "warning > 500 ms, critical > 2 s" in section
    assert max(map(len, lines)) <= 72


def fields(found: Night) -> dict[str, Any]:
    return {
        "trigger": "cli",
        "at": datetime.fromtimestamp(found.now, UTC),
        "duration_ms": 3.0,
    } | found.report.as_fields()


def view(found: Night) -> StatusView:
    return StatusView(found.report, found.orders, found.now)


def firing(found: Night, rule: str) -> Any:
    return next(alert for alert in found.state.alerts.values() if alert.rule == rule)


def test_they_are_in_the_text(broken: Night) -> None:
    shown = text(view(broken), "monitord check", Terminal(100))
    assert "\nChecks\n" in shown
    lines = {line.split()[1]: line.split() for line in shown.partition("\nChecks\n")[2].splitlines()[1:4]}
    assert lines["shop"][0] == "CRIT"
    assert " ".join(lines["shop"]).endswith("answers 500, not 2xx warning > 500 ms, critical > 2 s now")
    assert lines["db"] == ["ok", "db", "tcp", "40", "ms", "5", "min", "ago"]
    assert lines["wiki"] == ["?", "wiki", "unknown"]
    assert "Unknown: wiki cannot be asked." in shown
    assert "CRITICAL: 2 alerts fire, the worst: shop is down" in shown
    assert "\n        Runbook: https://wiki.example.com/shop\n        Contact: the shop's people\n" in shown


def test_they_are_in_the_json_as_the_contract_says(broken: Night) -> None:
    read = json.loads(document(fields(broken)))
    assert read["checks"] == {
        "shop": {
            "type": "http",
            "status": "critical",
            "value": 40.0,
            "unit": "ms",
            "warning": "> 500",
            "critical": "> 2000",
            "age_seconds": 0.0,
            "error": "shop:443 answers 500, not 2xx",
            "text": None,
            "perfdata": {},
        },
        "db": {
            "type": "tcp",
            "status": "ok",
            "value": 40.0,
            "unit": "ms",
            "warning": None,
            "critical": None,
            "age_seconds": 300.0,
            "error": None,
            "text": None,
            "perfdata": {},
        },
        "wiki": None,
    }
    assert read["probes"]["checks"]["unmeasured"] == {"wiki": {"kind": "internal", "error": "wiki cannot be asked"}}


def test_they_are_in_the_nagios_line(broken: Night) -> None:
    line = nagios(broken.report, broken.orders, 3.0)
    assert line.startswith("MONITORD CRITICAL - shop is down")
    assert "'shop'=40ms;~:500;~:2000" in line
    assert "'db'=40ms " in line
    assert "'wiki'=U" in line


def test_they_are_in_the_metrics(broken: Night) -> None:
    body = exposition(broken.report, Facts(version="1", instance="here"))[0].decode()
    assert 'monitord_check_ok{check="shop"} 0.0' in body
    assert 'monitord_check_ok{check="db"} 1.0' in body
    assert 'monitord_check_value{check="db"} 40.0' in body
    assert 'monitord_check_age_seconds{check="db"} 300.0' in body
    assert 'check="wiki"' not in body  # what could not be measured has no sample
    assert 'monitord_alert_firing{rule="endpoint_down",severity="critical",subject="shop"} 1.0' in body


def test_they_are_in_the_document_of_the_api() -> None:
    properties = openapi.document()["components"]["schemas"]["Status"]["properties"]["checks"]
    assert properties["additionalProperties"]["type"] == ["object", "null"]
    assert properties["additionalProperties"]["properties"]["age_seconds"] == {"type": ["number", "null"]}


async def test_they_are_on_the_page(broken: Night, tmp_path: Path) -> None:
    source = Source(settings_for(tmp_path))
    source.saw(PublishedCycle(broken.looks[-1].decision, "schedule", 12.5), time.monotonic())
    async with client(source) as page:
        shown = (await page.get("/")).text
        told = (await page.get("/api/status")).json()
    assert 'id="h-checks"' in shown
    assert "shop:443 answers 500, not 2xx" in shown
    assert told["checks"]["db"]["value"] == 40.0


def test_an_alert_of_one_says_what_to_look_at_and_whom_it_holds_up(broken: Night) -> None:
    (action,) = [a for look in broken.looks for a in look.decision.actions]
    assert (action.target, action.blocking) == ("shop", "users")
    assert action.look_at[0] == "curl -sv -o /dev/null --max-time 10 https://shop.example.com/health"
    assert "Component: check shop" in action.escalation
    assert "users of shop are not served" in escalation(
        firing(broken, "endpoint_down"), replace(broken.orders, groups=()), datetime.fromtimestamp(broken.now, UTC)
    )


def test_what_ends_says_what_is_true_since() -> None:
    found = night()
    found.checks["shop"].answers(500)
    found.passes(minutes=2)
    found.checks["shop"].answers(200)
    found.passes(minutes=2)
    (ended,) = [t for look in found.looks for t in look.decision.transitions if t.edge == "resolved"]
    assert ended.now == "shop answers as it should again, at 40 ms."


def test_without_any_they_are_nowhere() -> None:
    found = Night(ORDERS)
    found.passes(minutes=2)
    told = fields(found)
    assert (told["checks"], told["probes"]["checks"]["status"]) == ({}, "off")
    assert "Checks" not in text(view(found), "monitord check", Terminal(100))
    assert "'shop'" not in nagios(found.report, ORDERS, 3.0)
    assert "monitord_check_" not in exposition(found.report, Facts(version="1", instance="here"))[0].decode()


async def test_without_any_they_are_not_on_the_page(tmp_path: Path) -> None:
    found = Night(ORDERS)
    found.passes(minutes=2)
    source = Source(settings_for(tmp_path))
    source.saw(PublishedCycle(found.looks[-1].decision, "schedule", 12.5), time.monotonic())
    async with client(source) as page:
        shown = (await page.get("/")).text
    assert 'id="h-checks"' not in shown
    assert ">the checks<" not in shown


def test_one_that_is_not_configured_any_more_ends_without_being_well(broken: Night) -> None:
    reading = broken.looks[-1].observation.readings["checks"]
    orders = replace(broken.orders, checks={"db": CHECKS["db"]})
    at = datetime.fromtimestamp(broken.now + 30, UTC)
    decision = decide(broken.state, Observation(at, {"checks": replace(reading, samples=(), gaps=())}), orders)
    ends = {edge.alert.rule: edge.reason for edge in decision.transitions}
    assert ends["endpoint_down"] == "not_watched"


def rechecks(decision: Decision) -> dict[str, Recheck]:
    return {one.probe: one for one in decision.rechecks}


def test_a_check_that_is_to_be_confirmed_is_awaited_with_what_may_explain_it() -> None:
    checks = {
        "shop": CheckOrder("http", every=timedelta(hours=1), depends_on=("gateway", "postgres")),
        "cart": CheckOrder("http", every=timedelta(hours=1)),
    }
    found = night(checks)
    found.checks["shop"].answers(500)
    found.passes(minutes=62)
    pending = next(look.decision for look in found.looks if any(e.edge == "pending" for e in look.decision.transitions))
    asked = rechecks(pending)
    assert asked["checks"].after == 5.0
    assert asked["checks"].awaited == {"shop"}
    assert {"pm2", "postgres"} <= asked.keys()
    assert "redis" not in asked


def test_what_was_kept_from_before_confirms_nothing() -> None:
    found = night({"shop": CheckOrder("http", every=timedelta(hours=1))})
    reading = found.looks[0].observation.readings["checks"]
    says: dict[str, Value] = {
        "check_kept": found.now,
        "check_problem": "refused",
        "check_error": "it refuses",
    }
    kept = replace(
        reading,
        samples=tuple(replace(s, value=says.get(s.name, s.value)) for s in reading.samples),
    )
    state = State()
    for number in range(10):
        at = datetime.fromtimestamp(found.now + 30 * number, UTC)
        decision = decide(state, Observation(at, {"checks": kept}), found.orders)
        state = decision.state
        assert (decision.transitions, decision.state.alerts) == ((), {})


def test_the_numbers_of_a_night_are_kept_with_every_peak_and_gap_in_few_points() -> None:
    found = night({"shop": CheckOrder("http", unit="ms", warning=threshold("> 500")), "db": CheckOrder("tcp")})
    found.orders = replace(found.orders, probes=frozenset({"checks"}))
    for _ in range(6):
        found.passes(minutes=59)
        found.checks["shop"].value = 900.0
        found.passes(minutes=0.5)
        found.checks["shop"].value = 40.0
        found.checks["db"].is_down("refused", "refuses the connection")
        found.passes(minutes=0.5)
        found.checks["db"].answers(200)
    shop, db = morning(found, hours=6).of(CHECK_REPORTS)
    assert (shop.name, shop.type, shop.unit, db.unit) == ("shop", "http", "ms", "ms")
    assert [value for _, value in shop.values].count(900.0) == 6
    assert [value for _, value in db.values].count(None) == 6
    assert len(shop.values) < 600
    assert sorted(shop.values) == list(shop.values)


def test_of_one_moment_the_gap_always_comes_after_the_number() -> None:
    tracker, history = CheckTracker(replace(ORDERS, probes=frozenset({"checks"}), checks=CHECKS), 0.0, 240.0), History()
    for second in range(50):
        at = datetime.fromtimestamp(second, UTC)
        for samples in ((), (sample("check_value", second, check="db"),)):  # the clock was set back in between
            tracker.observe(FoldedCycle(Observation(at, {"checks": Reading("checks", samples)}), history, []))
    (db,) = (one for one in tracker.result(FoldedWindow(history, history, ())) if one.name == "db")
    assert list(db.values) == [point for at in range(50) for point in ((at, at), (at, None))]


def test_they_are_drawn_in_the_report_and_its_numbers_are_in_its_json(broken: Night) -> None:
    report = replace(morning(broken, hours=0.05), baseline=fields(broken), baseline_at=broken.now)
    told = report_html(report)
    assert "shop: its number" in told
    assert "Checks\n" in report_text(report, Terminal(100))
    assert "Between 40 ms and 40 ms. The limits are &gt; 500 and &gt; 2000." in told
    assert "limit 2 s" in told
    (shop, _, wiki) = report_fields(report)["checks"]
    assert (shop["name"], shop["warning"], shop["critical"]) == ("shop", "> 500", "> 2000")
    assert shop["values"][0]["value"] == 40.0
    assert wiki["values"][-1]["value"] is None


def test_a_number_below_nothing_and_one_that_never_was_are_drawn_too() -> None:
    span = TimeSpan(0.0, 60.0)
    limits = {"warning": threshold("< -5"), "critical": threshold("outside -20..20")}
    below = CheckReport("delta", "sql", "rows", **limits, values=((0.0, -10.0), (30.0, None), (60.0, -30.0)))
    drawn = value_plot("a", below, span)
    assert "Between -30 rows and -10 rows." in drawn
    assert "limit -5 rows" in drawn
    assert "NaN" not in drawn
    assert 'aria-label="-30 rows to -10 rows, with gaps"' in value_spark(below, span)
    never = CheckReport("never", "sql", "", values=((0.0, None),))
    assert "no number was measured" in value_plot("b", never, span)
    assert value_spark(never, span) == "–"


def test_the_report_tells_whether_they_were_met(broken: Night) -> None:
    report = morning(broken, hours=0.05)
    (criterion,) = [one for one in report.criteria if one.name == "checks_met"]
    assert (criterion.met, criterion.evidence) == (False, "Not throughout: shop.")
    for told in (report_text(report, Terminal(100)), report_html(report)):
        assert "endpoint_down" in told
        assert "Checks of one" in told


@pytest.mark.parametrize(
    ("kind", "failure", "advice"),
    [
        ("command", "internal", "the kernel's log says whether memory was short"),
        ("command", "protocol", "Run its command by hand"),
        ("sql", "protocol", "It must find one row"),
        ("freshness", "missing", "Nothing is found where it asks"),
        ("tcp", "missing", "What it asks is not there"),
        ("checkin", "internal", "monitord itself failed at it"),
    ],
)
def test_what_to_do_about_a_check_that_could_not_be_taken_is_of_its_type(kind: Any, failure: Any, advice: str) -> None:
    orders = replace(ORDERS, probes=frozenset({"checks"}), checks={"odd": CheckOrder(kind)})
    taken = sample(KEPT, None, "timestamp", check="odd")
    reading = Reading("checks", (taken,), gaps=(Unmeasured("odd", failure, "it is odd", alone=True),))
    observation = Observation(datetime(2026, 11, 27, tzinfo=UTC), {"checks": reading})
    (finding,) = UNMEASURED.evaluate(observation, History(), orders)
    assert isinstance(finding, Finding)
    assert advice in finding.recommendation
    assert "table that is" not in finding.recommendation
