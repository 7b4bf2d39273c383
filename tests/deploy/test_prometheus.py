"""What is shipped for Prometheus and Alertmanager, by the judgement of their own tools."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from monitord.reporting.metric_families import families
from tests.deploy.tools import DEPLOY, approves, tool

RULES = (DEPLOY / "prometheus" / "monitord.rules.yml").read_text(encoding="utf-8")
METRIC = re.compile(r"(?<![:\w])monitord_\w+")


@pytest.fixture
def prometheus(tmp_path: Path) -> Path:
    """The directory as an operator has it: with a token beside what is shipped."""
    directory = Path(shutil.copytree(DEPLOY / "prometheus", tmp_path / "prometheus"))
    (directory / "monitord.token").write_text("a-long-random-word\n")
    return directory


def test_promtool_takes_the_scrape_configuration_with_its_rules_and_its_list_of_hosts(prometheus: Path) -> None:
    said = approves(tool("promtool"), "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml", cwd=prometheus)
    assert "1 rule files found" in said


def test_promtool_takes_the_rules(prometheus: Path) -> None:
    approves(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", "monitord.rules.yml", cwd=prometheus)


def test_the_rules_do_what_their_tests_say(prometheus: Path) -> None:
    approves(tool("promtool"), "test", "rules", "monitord.rules.test.yml", cwd=prometheus)


def test_a_rule_that_is_wrong_fails_its_tests(prometheus: Path) -> None:
    wrong = RULES.replace("> 600", "> 6000")
    (prometheus / "monitord.rules.yml").write_text(wrong, encoding="utf-8")
    with pytest.raises(AssertionError, match="MonitordOutboxStuck"):
        approves(tool("promtool"), "test", "rules", "monitord.rules.test.yml", cwd=prometheus)


def test_every_alert_and_recording_of_the_rules_has_a_test() -> None:
    tests = (DEPLOY / "prometheus" / "monitord.rules.test.yml").read_text(encoding="utf-8")
    named = re.findall(r"- (?:alert|record): (\S+)", RULES)
    assert len(named) == 14
    assert [name for name in named if name not in tests] == []


def test_the_rules_ask_for_metrics_that_exist() -> None:
    asked = {name for line in RULES.splitlines() if "- record:" not in line for name in METRIC.findall(line)}
    assert asked
    assert asked <= set(families())


def test_the_rules_alert_on_nothing_that_monitord_says_itself() -> None:
    alerts = re.findall(r"- alert: .*\n +expr: (?:>\n)?((?:.|\n)*?)\n +(?:for|labels):", RULES)
    assert len(alerts) == 6
    asked = {name for expression in alerts for name in METRIC.findall(expression)}
    assert asked == {
        "monitord_last_check_timestamp_seconds", "monitord_outbox_oldest_age_seconds", "monitord_build_info",
    }  # fmt: skip


def test_amtool_takes_the_routing() -> None:
    approves(tool("amtool"), "check-config", "alertmanager.yml", cwd=DEPLOY / "alertmanager")


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "pager"), ("warning", "team"), ("info", "team")])
def test_an_alert_goes_to_the_receiver_of_its_severity(severity: str, receiver: str) -> None:
    labels = ("alertname=postgres_unreachable", "subject=postgres", "fleet=shop", "instance=box-1")
    told = approves(
        tool("amtool"), "config", "routes", "test", "--config.file=alertmanager.yml", *labels, f"severity={severity}",
        cwd=DEPLOY / "alertmanager",
    )  # fmt: skip
    assert told.strip() == receiver
