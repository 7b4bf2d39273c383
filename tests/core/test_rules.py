"""A rule is declared once: what is known of it stands in its declaration (and its name: test_subject_names.py)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from monitord.core.alerting import inhibition
from monitord.core.alerting.escalation import escalation
from monitord.core.alerting.recommendations import blocking, look_at
from monitord.core.engine import now_true
from monitord.core.history.model import History
from monitord.core.model import Alert, Finding
from monitord.core.orders import StandingOrders
from monitord.core.report.criteria import criteria
from monitord.core.status import build_report
from monitord.core.subjects import RULES, catalogue, declared
from monitord.core.subjects.base import MONITOR_RUNBOOK, NOT_KNOWN, Role, Rule
from monitord.core.subjects.registry import SUBJECTS

NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.probe}")


def test_the_registry_holds_every_subjects_rules_once() -> None:
    assert len(set(RULES)) == len(RULES)
    assert {id(rule) for rule in RULES} == {id(rule) for subject in SUBJECTS for rule in subject.rules}
    assert all(rule.probe == subject.name for subject in SUBJECTS for rule in subject.rules)
    places = [(rule.name, rule.probe) for rule in RULES]
    assert len(set(places)) == len(places)


def test_what_explains_comes_before_what_it_may_explain() -> None:
    place = {rule.name: number for number, rule in reversed(list(enumerate(RULES)))}
    for stronger, weaker in (*catalogue().replaces, *catalogue().succeeds):
        assert place[stronger] < place[weaker], f"{stronger} speaks in place of {weaker}, and is judged after it"
    for cause in RULES:
        for rule in RULES:
            if not cause.inhibits.isdisjoint(rule.roles):
                assert place[cause.name] < place[rule.name]
    assert set(catalogue().replaces) >= catalogue().continues


@each_rule
def test_all_is_said_of_a_rule(rule: Rule) -> None:
    assert len(rule.runbook) == 3
    assert rule.severities
    assert rule.recovered is not Rule("", "").recovered
    assert "{}" in rule.target
    if rule.runbook == MONITOR_RUNBOOK:
        assert rule.roles & {"monitor", "unmeasured"}
    if "critical" in rule.severities and not rule.of_server and "unmeasured" not in rule.roles:
        assert rule.impact is not NOT_KNOWN


@each_rule
def test_what_is_said_of_a_rule_is_the_same_whichever_probe_it_judges(rule: Rule) -> None:
    first = catalogue().by_name[rule.name]
    assert (rule.roles, rule.runbook, rule.impact, rule.criterion) == (
        first.roles,
        first.runbook,
        first.impact,
        first.criterion,
    )


def test_a_rules_criterion_is_one_that_the_report_judges() -> None:
    assert {rule.criterion for rule in RULES if rule.criterion} <= {criterion.name for criterion in criteria()}


def test_every_role_is_some_rules() -> None:
    assert {role for rule in RULES for role in rule.roles} == set(get_args(Role))
    assert {role for rule in RULES for role in rule.inhibits} <= set(get_args(Role))


def test_an_alert_of_a_rule_that_is_no_more_is_told_all_the_same() -> None:
    finding = Finding("moon_full", "the moon", "critical", 1, None, "", "The moon is full.")
    alert = Alert("a1", "moon_full", "the moon", "sky", "firing", "critical", NOW, finding)
    orders, history = StandingOrders(), History()
    report = build_report(history, {}, orders, NOW)
    assert declared("moon_full").name == "moon_full"
    assert look_at(alert, orders) == MONITOR_RUNBOOK
    assert blocking(alert, orders) == ""
    assert "Component: the moon\n" in escalation(alert, orders, NOW)
    assert now_true(alert, report, history, orders, NOW) == "the moon is as expected again."
    assert inhibition.companions("sky", "the moon", orders) == ("sky",)
    assert not inhibition.server_away("sky", history, {}, orders)
