"""A rule is declared once: its name stands in its own file, and what is known of it in its declaration."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
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
from monitord.core.subjects import RULES, base, catalogue, declared
from monitord.core.subjects.base import MONITOR_RUNBOOK, NOT_KNOWN, Role, Rule
from monitord.core.subjects.registry import SUBJECTS
from tests.support.source import PACKAGE, modules, walked

DECLARED_IN = Path(base.__file__).parent
# What the demo breaks on purpose, and what it expects to hear.
DATA = {PACKAGE / "demo" / "scenario.py", PACKAGE / "demo" / "shop" / "scenario.py"}
# A probe's sample of the same name.
SAMPLES = {"channel_silent"}
PARTS = {"startswith", "endswith", "partition", "rpartition", "removeprefix", "removesuffix", "split"}
IN = (ast.In, ast.NotIn)
NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)

each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.probe}")


@functools.cache
def in_the_package() -> tuple[dict[str, set[Path]], dict[str, list[int]]]:
    """Which files spell which rule's name, and the lines at which a rule's name is taken for more, by file."""
    spelled: dict[str, set[Path]] = {name: set() for name in catalogue().by_name}
    taken_apart = {}
    for path, tree in modules():
        nodes = walked(tree)
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "_" in node.value:
                for name in spelled.keys() & re.findall(r"[a-z_]+", node.value):
                    spelled[name].add(path)
        if lines := takes_apart(nodes):
            taken_apart[str(path.relative_to(PACKAGE))] = lines
    return spelled, taken_apart


def takes_apart(nodes: Iterable[ast.AST]) -> list[int]:
    """The lines at which a rule's name is taken for more than a name."""
    return [
        node.lineno
        for node in nodes
        if (isinstance(node, ast.Attribute) and node.attr in PARTS and is_rule(node.value))
        or (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and is_rule(node.value))
        or (isinstance(node, ast.Compare) and isinstance(node.ops[0], IN) and is_rule(node.comparators[0]))
        or (isinstance(node, ast.Call) and any(map(is_rule, node.args)) and ast.unparse(node.func).startswith("re."))
    ]


def is_rule(node: ast.expr) -> bool:
    """Whether an expression is by its own name a rule's name."""
    if isinstance(node, ast.Constant | ast.Call):  # they end in quotes and brackets; most arguments are one of them
        return False
    spelt = node.id if isinstance(node, ast.Name) else ast.unparse(node)
    return spelt == "rule" or spelt.endswith((".rule", "rule.name", "rule_name"))


def test_a_rules_name_stands_in_one_file_of_the_rules_and_in_no_other() -> None:
    spelled, _ = in_the_package()
    for name, files in spelled.items():
        elsewhere = {path for path in files if path.parent != DECLARED_IN} - DATA
        assert name in SAMPLES or not elsewhere, f"{name} is spelled in {sorted(map(str, elsewhere))}"
        own = [path for path in files if path.parent == DECLARED_IN]
        # Whether a server can be measured, and a part of what is measured through it, is judged alike of each.
        assert len(own) <= 1, f"{name} is spelled in {sorted(map(str, own))}"


def test_nothing_branches_on_a_part_of_a_rules_name() -> None:
    _, taken_apart = in_the_package()
    assert taken_apart == {}


@pytest.mark.parametrize(
    "code",
    [
        'alert.rule.startswith("redis_")',
        'rule.name.endswith("_unreachable")',
        'rule.partition("_")',
        'alert.rule[:5] == "redis"',
        'if "redis" in alert.rule: pass',
        'if "redis" not in finding.rule: pass',
        're.match("redis", alert.rule)',
    ],
)
def test_a_part_of_a_rules_name_is_found_however_it_is_taken(code: str) -> None:
    assert takes_apart(ast.walk(ast.parse(code))) == [1]


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
