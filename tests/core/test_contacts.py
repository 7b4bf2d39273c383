"""What goes with an alert by the operator's orders: a runbook and a contact, by rule or subject."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from monitord.core.alerting.escalation import escalation, most_specific
from monitord.core.alerting.incidents import incidents
from monitord.core.status import alert_fields
from monitord.jsonable import document
from monitord.notify.message import Message, Origin
from monitord.notify.routing import edge_message
from monitord.reporting.incidents import incidents_text
from monitord.reporting.status import verdict_lines
from monitord.reporting.terminal import Terminal
from tests.core.nights import ORDERS, Night

WIKI = "https://wiki.example.com/gateway"


def told(night: Night) -> Message:
    return edge_message(night.transitions[-1], (), Origin("box-1"))


def down(**orders: Mapping[str, str]) -> Night:
    night = Night(replace(ORDERS, **orders))  # type: ignore[arg-type] # the two tables alone
    night["gateway"].stops()
    night.passes(minutes=2)
    return night


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({}, ""),
        ({"web*": "no"}, ""),
        ({"*": "all", "gate*": "those"}, "those"),
        ({"gate*": "those", "gateway": "it"}, "it"),
        ({"service_*": "the rule's", "g*": "short"}, "the rule's"),
        ({"service_down": "the rule's", "gateway": "the subject's"}, "the subject's"),
        ({"service_down": "the rule's", "gatewa?": "pattern"}, "the rule's"),
    ],
)
def test_the_most_specific_of_what_matches_is_said(table: Mapping[str, str], found: str) -> None:
    assert most_specific(table, "service_down", "gateway") == found


def test_they_go_with_the_alert_wherever_it_is_shown() -> None:
    night = down(runbooks={"service_*": WIKI}, contacts={"*": "on-call", "gateway": "the web people"})
    alert = night.fired_once("service_down", "gateway")
    fields = json.loads(document(alert_fields(alert)))
    assert (fields["runbook"], fields["contact"]) == (WIKI, "the web people")
    lines = [f"Runbook: {WIKI}", "Contact: the web people"]
    now = night.looks[-1].decision.at
    found = incidents(night.transitions, night.state.alerts.values())
    texts = {
        "alerts": incidents_text(found, now, now, Terminal(100)),
        "message": told(night).text,
        "check": "\n".join(verdict_lines(night.looks[-1].decision.report, Terminal(100))),
        "escalation": escalation(alert, night.orders, now),
    }
    for where, text in texts.items():
        assert [line.strip() for line in text.splitlines() if line.strip() in lines] == lines, where


def test_what_nobody_ordered_is_not_mentioned() -> None:
    night = down()
    assert not {"runbook", "contact"} & alert_fields(night.fired_once("service_down", "gateway")).keys()
    assert "Runbook" not in told(night).text


def test_an_alert_that_fires_already_has_what_is_ordered_later() -> None:
    night = down()
    night.orders = replace(night.orders, contacts={"gateway": "the web people"})
    night.passes(minutes=1)
    (alert,) = (a for a in night.state.alerts.values() if a.subject == "gateway")
    assert alert.finding.contact == "the web people"
