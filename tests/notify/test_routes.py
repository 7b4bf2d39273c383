"""Routes: which channel takes which alert, when its turn comes, and what nobody is notified of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitord.config.loader import Settings, SettingsError, load, shown
from monitord.config.routes import Route, unheard
from monitord.notify.channels import channels
from monitord.notify.channels.base import DeliveryPolicy
from monitord.notify.routing import LATER, still_firing
from tests.core.nights import LONG, watching
from tests.notify.test_routing import BOX, WEBHOOK, Named, RoutingPlans

DAY = datetime(2025, 11, 5, tzinfo=UTC)
RULES: Mapping[str, Any] = {"disk_high": ("warning", "critical"), "service_down": ("critical",)}


def channel(name: str, *routes: Route, **policy: Any) -> Named:
    return Named(name, DeliveryPolicy(routes=routes, **policy))


def test_a_channel_takes_what_one_of_its_routes_takes() -> None:
    shop = channel("shop", Route(rules=("service_*",), subjects=("gate*",)), Route("critical", rules=("disk_*",)))
    night, plans = watching("pm2", "host"), RoutingPlans(WEBHOOK, shop)
    night["gateway"].stops()
    night["tree-builder"].stops()
    night.host.disk_used = 75.0
    night.passes(minutes=5)
    night.host.disk_used = 90.0
    night.passes(minutes=5)
    plans.hears(night)
    assert [(p.message.rule, p.message.subject, p.message.severity) for p in plans.planned if p.channel == "shop"] == [
        ("service_down", "gateway", "critical"),
        ("disk_high", "/", "critical"),
    ]
    assert len(plans.kinds(WEBHOOK)) == 4


def test_an_alert_escalates_once_it_has_fired_so_long_unacknowledged_and_its_end_follows() -> None:
    pager = channel("pager", Route(after=timedelta(minutes=15)))
    night, plans = watching("pm2"), RoutingPlans(WEBHOOK, pager)
    night["gateway"].stops()
    night.passes(minutes=14)
    plans.hears(night)
    assert (plans.kinds(WEBHOOK), plans.kinds(pager)) == (["firing service_down"], [])
    night.passes(minutes=3)
    plans.hears(night)
    assert plans.kinds(pager) == ["firing service_down"]
    night["gateway"].starts()
    night.passes(minutes=5)
    plans.hears(night)
    assert plans.kinds(pager) == ["firing service_down", "resolved service_down"]


def test_what_is_acknowledged_or_over_in_time_does_not_escalate() -> None:
    pager = channel("pager", Route(after=timedelta(minutes=15)))
    night, plans = watching("pm2", orders=LONG), RoutingPlans(WEBHOOK, pager)
    night["gateway"].stops()
    night.passes(minutes=5)
    night.asks("ack", night.fired_once("service_down", "gateway").id)
    night["tree-builder"].stops()
    night.passes(minutes=5)
    night["tree-builder"].starts()
    night.every = 240.0
    night.passes(hours=2)
    plans.hears(night)
    assert plans.kinds(pager) == []
    assert "resolved service_down" in plans.kinds(WEBHOOK)


def test_a_restart_in_between_escalates_neither_twice_nor_never() -> None:
    pager = channel("pager", Route(after=timedelta(minutes=15)))
    night, plans = watching("pm2"), RoutingPlans(pager)
    night["gateway"].stops()
    night.passes(minutes=10)
    night.monitord_restarts()
    night.passes(minutes=10)
    night.monitord_restarts()
    night.passes(minutes=10)
    plans.hears(night)
    assert plans.kinds(pager) == ["firing service_down"]


def test_several_that_escalate_at_once_are_one_digest() -> None:
    pager = channel("pager", Route(after=timedelta(minutes=15)))
    night, plans = watching("pm2"), RoutingPlans(pager)
    night["gateway"].stops()
    night["tree-builder"].stops()
    night.passes(minutes=20)
    plans.hears(night)
    (told,) = plans.planned
    assert (told.message.kind, LATER in told.message.title, len(told.message.parts)) == ("digest", True, 2)


def test_a_channel_with_hours_is_told_when_they_begin_and_of_the_end_at_any_time() -> None:
    office = channel("office", Route(hours="04:30-05:30"))
    night, plans = watching("pm2", orders=LONG), RoutingPlans(WEBHOOK, office)  # it begins at 03:57
    night["gateway"].stops()
    night.until(4, 25)
    plans.hears(night)
    assert plans.kinds(office) == []
    night.until(4, 35)
    plans.hears(night)
    assert plans.kinds(office) == ["firing service_down"]
    night.every = 240.0
    night.until(9, 0)
    plans.hears(night)
    assert plans.kinds(office) == ["firing service_down"]
    assert "reminder service_down" in plans.kinds(WEBHOOK)
    night["gateway"].starts()
    night.passes(minutes=5)
    plans.hears(night)
    assert plans.kinds(office) == ["firing service_down", "resolved service_down"]


def test_what_grows_worse_is_told_whoever_was_told_before_outside_the_hours_too() -> None:
    office = channel("office", Route(hours="03:00-04:10"))
    night, plans = watching("pm2", "host"), RoutingPlans(office)
    night.host.disk_used = 75.0
    night.passes(minutes=5)
    night.until(4, 20)
    night.host.disk_used = 90.0
    night.passes(minutes=5)
    plans.hears(night)
    assert [p.message.severity for p in plans.planned] == ["warning", "critical"]


def test_a_channel_that_is_told_again_and_again_is_told_by_its_routes() -> None:
    night = watching("pm2")
    night["gateway"].stops()
    night.passes(minutes=5)
    decision, identity = night.looks[-1].decision, night.fired_once("service_down", "gateway").id
    level = channel("alertmanager", Route(after=timedelta(hours=1)), resend_every=60.0, coalesces=False, quiet=False)
    assert still_firing(decision, level, BOX, {}) == []
    assert len(still_firing(decision, level, BOX, {identity: ("alertmanager",)})) == 1


# What nobody is notified of


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ([Route()], []),
        ([Route("critical")], ["nobody is notified of disk_high (warning)"]),
        ([Route(rules=("disk_*",))], ["nobody is notified of service_down (critical)"]),
        ([Route(subjects=("shop*",)), Route("critical")], ["of subjects other than shop*, nobody is notified of"]),
        ([Route(hours="22:00-07:00")], ["outside the hours of the routes, nobody is notified of"]),
        ([Route(hours="22:00-07:00"), Route(hours="07:00-22:00")], []),
        ([Route(hours="22:00-07:00"), Route(hours="07:01-22:00")], ["outside the hours"]),
    ],
)
def test_what_no_route_takes_is_said(routes: list[Route], said: list[str]) -> None:
    found = list(unheard(routes, RULES, DAY))
    assert len(found) == len(said)
    assert all(part in sentence for part, sentence in zip(said, found, strict=True))


# As settings


def settings(directory: Path, routes: object, **more: str) -> Settings:
    environ = {"HOME": str(directory), "MONITORD_NOTIFY__WEBHOOK_URL": "http://localhost:9/"}
    return load(environ | {"MONITORD_NOTIFY__ROUTES": json.dumps(routes)} | more, directory)


def test_a_route_is_read_reaches_its_channel_and_is_shown_as_it_could_be_written(tmp_path: Path) -> None:
    given = {"severity": "Critical", "rules": "disk_*", "hours": "22:00-07:00", "after": "15m"}
    found = settings(tmp_path, {"webhook": given})
    (only,) = channels(found, remembers=False)
    (route,) = only.policy.routes
    assert route == Route("critical", ("disk_*",), (), "22:00-07:00", timedelta(minutes=15))
    again = json.loads(shown(found, "MONITORD_NOTIFY__ROUTES") or "")
    assert settings(tmp_path, again).notify.routes == found.notify.routes


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"pager": {}}, "'pager' is not a configured channel; there are webhook"),
        ({"webhook": []}, "neither a route nor a list of them"),
        ({"webhook": "all"}, "neither a route nor a list of them"),
        ({"webhook": {"rule": ["x"]}}, "'rule' is none of severity, rules, subjects, hours, after; did you mean rules"),
        ({"webhook": {"severity": "info"}}, "severity: 'info' is not one of warning, critical"),
        ({"webhook": {"hours": "late"}}, "hours: 'late' is not written like"),
        ({"webhook": {"subjects": [1]}}, "subjects: it is not a list of patterns"),
        ({"webhook": {"after": "soon"}}, "after: "),
    ],
)
def test_a_mistake_in_a_route_is_named(tmp_path: Path, given: object, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, given)
    assert why in str(caught.value.mistakes)
