"""What nobody named is watched where it is there or was seen before; what is off is off everywhere."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from monitord.core.alerting.commands import forget, subjects
from monitord.core.codec import decode, encode
from monitord.core.engine import State
from monitord.core.history.defaults import effective, seen
from monitord.core.history.model import History, TableHistory
from monitord.core.orders import SEALS, StandingOrders
from monitord.core.report.builder import RecordedCycle, build_report
from monitord.core.subjects.epochs_report import SEALING_REPORT

from .nights import EVERY, LONG, Night

UNNAMED = frozenset({"tables", "groups", "cemented", "user_facing", "fed_by", "sealed_by"})
SHOP = StandingOrders(services={"shop-api": "online"}, tables=("orders",), unnamed=UNNAMED - {"tables"})


def shop(orders: StandingOrders = SHOP, every: float = EVERY) -> Night:
    """A fleet whose database has no seals."""
    night = Night(orders, services=("shop-api",), every=every)
    night.epochs.fails("missing", "there is no such table")
    return night


def recorded_of(night: Night) -> RecordedCycle:
    return RecordedCycle([look.observation for look in night.looks], night.transitions, night.state)


def test_what_is_off_is_in_no_field_and_is_not_unknown() -> None:
    night = shop()
    night.passes(minutes=10)
    report = night.report
    assert report.status == "ok"
    assert report.as_fields()["probes"]["epochs"] == {"status": "off", "duration_ms": None}
    assert (report.as_fields()["epochs"], report.as_fields()["current_epoch"]) == ({}, None)
    assert set(report.as_fields()["growth"]) == {"orders"}


def test_no_default_of_another_fleet_is_in_the_effective_orders() -> None:
    night = shop()
    night.passes(minutes=1)
    orders = effective(SHOP, night.state.history)
    assert (orders.groups, orders.cemented, orders.sealed_by, orders.fed_by) == ((), (), {}, {})
    assert orders.user_facing == ()
    assert orders.tables == ("orders",)


def test_defaults_of_its_own_hold_where_its_subjects_are() -> None:
    night = Night(StandingOrders(unnamed=UNNAMED))
    night.passes(minutes=1)
    orders = effective(night.orders, night.state.history)
    named = StandingOrders()
    assert replace(orders, unnamed=frozenset()) == named


def test_what_could_not_be_asked_about_is_unknown_and_not_off() -> None:
    night = Night(StandingOrders(unnamed=UNNAMED))
    night.postgres.fails()
    night.epochs.fails()
    night.passes(minutes=5)
    assert night.report.as_fields()["probes"]["epochs"]["status"] == "failed"
    assert night.report.as_fields()["growth"]["user_signals"]["rows"] is None
    assert {group["missed"] for group in night.report.as_fields()["epochs"].values()} == {None}
    assert night.report.status == "critical"


def test_where_other_tables_are_named_no_group_is_meanwhile() -> None:
    night = shop()
    night.postgres.fails()
    night.epochs.fails()
    night.passes(minutes=5)
    assert night.report.as_fields()["probes"]["epochs"]["status"] == "failed"
    assert (night.report.as_fields()["epochs"], set(night.report.as_fields()["growth"])) == ({}, {"orders"})
    assert night.report.status == "critical"


def test_seals_that_are_there_and_cannot_be_read_are_unknown() -> None:
    night = Night(StandingOrders(unnamed=UNNAMED))
    night.epochs.fails("timeout", "no answer within 5 s")
    night.passes(minutes=5)
    assert night.report.as_fields()["probes"]["epochs"]["status"] == "failed"
    assert night.report.status == "unknown"
    assert night.firing() == {("subject_unmeasured", "epochs")}


def test_seals_that_were_seen_before_and_vanish_are_missed_even_across_a_restart() -> None:
    night = Night(StandingOrders(unnamed=UNNAMED))
    night.passes(minutes=5)
    night.state = decode(State, encode(night.state))
    night.epochs.fails("missing", "there is no such table")
    night.passes(minutes=5)
    assert night.firing() == {("subject_unmeasured", "epochs")}
    assert set(night.report.as_fields()["epochs"]) == {"MILO", "CLS"}


def test_a_snapshot_from_before_this_was_kept_remembers_what_it_measured() -> None:
    history = History(tables={"user_signals": TableHistory()}, taken_at={"postgres": 1.0, "epochs": 1.0})
    assert (seen(history, "user_signals"), seen(history, SEALS), seen(History(), SEALS)) == (True, True, None)


def test_the_verdict_over_a_fleet_without_the_defaults_has_no_word_of_them() -> None:
    night = shop(every=80.0)
    begin = night.clock.now
    night.passes(hours=2)
    report = build_report(recorded_of(night), SHOP, begin, night.clock.now)
    assert report.verdict == "GO"
    assert "epochs_sealed" not in {criterion.name for criterion in report.criteria}
    assert (report.of(SEALING_REPORT).groups, report.blind, report.blind_minutes) == ((), (), 0)


def test_seals_that_appear_in_the_night_were_not_blind_before() -> None:
    night = shop(replace(SHOP, services={}, late_after=LONG.late_after), every=240.0)
    begin = night.clock.now
    night.passes(hours=3)
    night.epochs.recovers()
    night.passes(hours=3)
    report = build_report(recorded_of(night), night.orders, begin, night.clock.now)
    assert report.blind_minutes == 0
    assert [(spell.probe, spell.why) for spell in report.blind] == [("epochs", "unrecorded")]


def test_an_impact_speaks_of_sealing_where_epochs_are_watched_only() -> None:
    night = shop()
    night.passes(minutes=5)
    night["shop-api"].stops()
    night.passes(minutes=5)
    (action,) = night.actions
    assert "Impact: not known while it lasts" in action.escalation
    assert not [word for word in ("seal", "claim", "collection", "epoch") if word in action.escalation.lower()]
    night.postgres.fails()
    night.passes(minutes=5)
    (_, away) = night.actions
    assert away.blocking == ""
    assert "growth cannot be judged" in away.escalation


def test_what_is_off_is_no_subject_and_what_was_seen_says_how_to_be_rid_of_it() -> None:
    night = shop()
    night.passes(minutes=5)
    assert not {"MILO", "CLS", "user_signals"} & subjects(night.state, SHOP)
    own = Night(StandingOrders(unnamed=UNNAMED))
    own.passes(minutes=5)
    assert {"MILO", "CLS", "user_signals"} <= subjects(own.state, own.orders)
    with pytest.raises(ValueError, match="it was there and, not being set, MONITORD_POSTGRES__TABLES names it"):
        forget(datetime.now(UTC), "user_signals", own.state, own.orders)
