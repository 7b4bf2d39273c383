"""The faults of the tour: how they are asked for, and that monitord and its settings know what they speak of."""

from pathlib import Path

import pytest

from monitord.config.loader import load, standing_orders
from monitord.core.subjects import RULES
from monitord.demo import fleet
from monitord.demo.fleets import Place
from monitord.demo.scenario import FAULTS, SETTINGS, FaultError, chosen


def place(directory: Path) -> Place:
    return Place(
        directory=directory,
        pm2_home=directory,
        dsn="postgresql://u@localhost/fleet",
        watcher_dsn="postgresql://u@localhost/fleet",
        redis_url="redis://localhost",
        epoch_seconds=10,
        port=1001,
        spare_port=1002,
        page_port=1003,
    )


NAMES = [fault.name for fault in FAULTS]


def names(*words: str) -> list[str]:
    return [fault.name for fault in chosen(words)]


def test_without_a_wish_the_whole_tour_is_chosen() -> None:
    assert names() == NAMES == ["service", "crash", "postgres", "redis", "sealing", "flood", "publishing", "root"]


def test_faults_are_chosen_by_name_in_lists_or_one_by_one_and_each_once() -> None:
    assert names("redis,service", " crash ", "redis") == ["service", "crash", "redis"]
    assert names("flood,") == ["flood"]


@pytest.mark.parametrize("wish", ["everything", "service,Redis", "", ","])
def test_a_wish_that_cannot_be_met_is_one_line_with_every_name_there_is(wish: str) -> None:
    with pytest.raises(FaultError) as caught:
        chosen([wish])
    assert all(name in str(caught.value) for name in NAMES)
    assert "\n" not in str(caught.value)


def test_every_expected_alert_is_one_that_a_rule_can_give_and_belongs_to_one_fault_only() -> None:
    rules = {rule.name for rule in RULES}
    expected = [key for fault in FAULTS for key in fault.expected]
    assert {rule for rule, _ in expected} <= rules
    assert len(expected) == len(set(expected))
    assert all(fault.expected for fault in FAULTS)


def test_the_tours_orders_are_settings_without_a_mistake_and_never_judge_the_machine(tmp_path: Path) -> None:
    given = fleet.settings(place(tmp_path))
    orders = standing_orders(load(given | SETTINGS, tmp_path))
    assert orders.disk_warning == orders.disk_critical == 100
    assert orders.host_memory == 0
    # A healthy newest seal is nearly an epoch and a settling old before the next one is there.
    assert orders.seal_warning > orders.epoch_length + orders.epoch_grace
