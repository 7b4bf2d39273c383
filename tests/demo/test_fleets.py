"""The fleets of the demonstration: what each is given is right, and what is broken in it has a rule."""

from pathlib import Path

import pytest

from monitord.config.loader import load, standing_orders
from monitord.core.subjects import RULES
from monitord.demo.fleets import NAMES, DemoFleet, Place, fleet_named


@pytest.fixture(params=NAMES)
def fleet(request: pytest.FixtureRequest) -> DemoFleet:
    return fleet_named(request.param)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    dsn = "postgresql://u@localhost/fleet"
    return Place(tmp_path, tmp_path, dsn, dsn, "redis://localhost", 10, port=1001, spare_port=1002, page_port=1003)


def test_every_expected_alert_is_one_that_a_rule_can_give_and_belongs_to_one_fault_only(fleet: DemoFleet) -> None:
    expected = [key for fault in fleet.faults for key in fault.expected]
    assert {rule for rule, _ in expected} <= {rule.name for rule in RULES}
    assert len(expected) == len(set(expected))
    assert all(fault.expected for fault in fleet.faults)


def test_its_settings_are_without_a_mistake_name_every_service_and_never_judge_the_machine(
    fleet: DemoFleet, place: Place, tmp_path: Path
) -> None:
    orders = standing_orders(load({**fleet.settings(place), **fleet.tour}, tmp_path))
    assert set(orders.services) == {app["name"] for app in fleet.ecosystem(place)["apps"]}
    assert orders.disk_warning == orders.disk_critical == 100
    assert orders.host_memory == 0


def test_no_word_of_one_fleet_is_in_the_settings_of_the_other(place: Place) -> None:
    theirs = {name for name in NAMES if name != "shop"}
    words = {app["name"] for name in theirs for app in fleet_named(name).ecosystem(place)["apps"]}
    said = str(fleet_named("shop").settings(place))
    assert [word for word in words if word in said] == []


def test_the_shop_has_checks_of_its_own_and_limits_by_name(place: Place, tmp_path: Path) -> None:
    shop = fleet_named("shop")
    orders = standing_orders(load({**shop.settings(place), **shop.tour}, tmp_path))
    assert {check.type for check in orders.checks.values()} == {"http", "checkin", "freshness", "sql"}
    assert orders.flow_stall_of("orders") != orders.flow_stall_of("page_views")
    assert orders.checks["api"].depends_on == ("shop-api",)
