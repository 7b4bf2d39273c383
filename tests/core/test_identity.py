"""Which database it is: what makes it another one, and what does not."""

from dataclasses import replace

import pytest

from monitord.core.alerting.silences import unhushed
from monitord.core.identity import Identity, differences, made_anew, vanished

from .nights import LONG, Night, fold, restored

KNOWN = Identity(
    "fleet", 16_384, "7301", {"user_signals": 16_400, "sealed_epochs": 16_410}, {"MILO": 7200, "CLS": 7200}
)


@pytest.mark.parametrize(
    ("found", "changed"),
    [
        (KNOWN, False),
        (replace(KNOWN, system="7302"), True),
        (replace(KNOWN, oid=17_000), True),
        (replace(KNOWN, database="renamed"), False),  # the same database of the same cluster
        (replace(KNOWN, tables={"user_signals": 1, "sealed_epochs": 2}), False),  # made anew, in the same database
        (replace(KNOWN, system=None), False),
        (replace(KNOWN, system=None, database="other"), True),
        (replace(KNOWN, system=None, oid=17_000), True),
        (replace(KNOWN, system=None, tables={"user_signals": 1, "sealed_epochs": 16_410}), False),
        (replace(KNOWN, system=None, tables={"user_signals": 1, "sealed_epochs": 2}), True),
        (replace(KNOWN, system=None, tables={}), False),
    ],
)
def test_an_identity_differs_in_what_identifies(found: Identity, changed: bool) -> None:
    assert bool(differences(KNOWN, found)) is changed


def test_a_table_with_another_oid_was_made_anew() -> None:
    assert made_anew(KNOWN, replace(KNOWN, tables={"user_signals": 1, "orders": 5})) == ("user_signals",)


@pytest.mark.parametrize(
    ("labels", "oldest", "gone"),
    [
        ({"MILO": {3600}, "CLS": {3600}}, 0, True),
        ({"MILO": set(), "CLS": set()}, 0, True),
        ({"MILO": {7200}, "CLS": set()}, 0, False),  # one seal was taken back
        ({"MILO": {7200, 10_800}, "CLS": {7200}}, 0, False),
        ({"MILO": set(), "CLS": set()}, 7201, False),  # too old to be read
        ({}, 0, False),
    ],
)
def test_a_history_has_vanished_when_no_group_has_its_newest_seal(
    labels: dict[str, set[int]], oldest: int, gone: bool
) -> None:
    found = {group: frozenset(of_group) for group, of_group in labels.items()}
    assert bool(vanished(KNOWN, found, oldest)) is gone


def test_a_copy_of_yesterday_with_the_same_identifiers_lacks_the_newest_seals() -> None:
    night = Night(LONG, every=240)
    night.passes(hours=3)
    night.every = 30.0
    for group in night.groups.values():
        for label in sorted(group.sealed)[-2:]:
            group.skips.add(label)
            del group.sealed[label]
    night.passes(minutes=5)
    alert = night.fired_once("database_changed", "postgres", alone=False)
    assert "gone" in alert.finding.summary
    night.asks("forget", "postgres")
    night.passes(minutes=1)
    night.resolved_once("database_changed", "postgres", reason="forgotten")
    night.every = 240.0
    night.passes(hours=2)
    assert len(night.of("firing", "database_changed", "postgres")) == 1


def test_another_database_is_known_after_a_restart_of_monitord() -> None:
    night = Night()
    night.passes(minutes=10)
    night.system = "7302"
    night.monitord_is_away(hours=1)
    night.passes(minutes=1)
    assert night.fired_once("database_changed", "postgres", alone=False).severity == "critical"


def test_it_ends_when_the_pool_leads_back() -> None:
    night = Night()
    night.passes(minutes=10)
    night.system = "7302"
    night.passes(minutes=10)
    night.system = "7301"
    night.passes(minutes=1)
    night.resolved_once("database_changed", "postgres")


def test_a_snapshot_without_an_identity_takes_the_one_it_finds() -> None:
    night = Night(LONG, every=120)
    night.passes(minutes=10)
    night.state = replace(
        restored(night.state), history=replace(night.state.history, identity=None, present=None, vanished=())
    )
    night.system = "7302"
    night.passes(hours=1)
    night.is_silent()
    assert night.state.history.identity is not None
    assert night.state.history.identity.system == "7302"


def test_counters_of_another_server_raise_no_alarm_of_growth() -> None:
    night = Night(LONG, every=120)
    night.table.countable = False  # nothing but the counters tells
    night.passes(hours=1)
    night.system = "7302"
    night.table.inserted += 80_000_000
    night.passes(hours=3)
    assert night.firing() == {("database_changed", "postgres")}
    assert not night.of("pending", "table_growth_high", "user_signals")


def test_a_night_that_is_judged_again_knows_what_was_acknowledged() -> None:
    night = Night()
    night.passes(minutes=10)
    night.system = "7302"
    night.passes(minutes=2)
    night.asks("ack", night.state.alerts["database_changed/postgres"].id)
    night.passes(minutes=2)
    state, edges = fold([unhushed(look.observation) for look in night.looks], night.orders)
    assert dict(state.alerts) == {}
    assert [edge.edge for _, edge in edges] == ["pending", "firing", "resolved"]
