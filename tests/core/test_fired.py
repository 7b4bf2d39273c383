"""Edges to spells of firing, and two accounts of one night beside each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from monitord.core.alerting.lifecycle import alert_id
from monitord.core.backtest.fired import between, compared, fired
from monitord.core.model import Alert, Edge, Finding, Severity, Transition

START = datetime(2025, 11, 5, 3, 57, tzinfo=UTC)


def minute(number: float) -> datetime:
    return START + timedelta(minutes=number)


def edge(
    edge: Edge,
    at: float,
    *,
    began: float = 0,
    fired_at: float | None = None,
    subject: str = "/",
    severity: Severity = "warning",
    reason: str = "",
) -> Transition:
    """An edge of the alert on `subject` that began at minute `began`."""
    since = minute(began)
    finding = Finding("disk_high", subject, severity, 75.0, 70.0, "percent", f"{subject} is {severity}.")
    alert = Alert(
        id=alert_id("disk_high", subject, since),
        rule="disk_high",
        subject=subject,
        probe="host",
        state="firing",
        severity=severity,
        since=since,
        finding=finding,
        fired_at=None if fired_at is None else minute(fired_at),
    )
    return Transition(edge, alert, minute(at), reason)


def test_an_alert_fires_from_its_firing_to_its_end() -> None:
    (spell,) = fired([edge("pending", 0), edge("firing", 1, fired_at=1), edge("resolved", 9, fired_at=1)])
    assert (spell.since, spell.fired_at, spell.resolved_at) == (minute(0), minute(1), minute(9))
    assert spell.seconds(minute(60)) == 480


def test_one_that_still_fires_has_no_end_and_lasts_to_the_end_of_the_night() -> None:
    (spell,) = fired([edge("firing", 1, fired_at=1)])
    assert spell.resolved_at is None
    assert spell.seconds(minute(60)) == 59 * 60


def test_what_never_fired_leaves_nothing() -> None:
    assert fired([edge("pending", 0), edge("suppressed", 1), edge("resolved", 5)]) == ()


def test_a_step_to_critical_is_the_same_alert_at_its_worst() -> None:
    worse = edge("firing", 4, fired_at=1, severity="critical", reason="severity")
    (spell,) = fired([edge("firing", 1, fired_at=1), worse, edge("resolved", 9, fired_at=1)])
    assert (spell.severity, spell.summary, spell.fired_at) == ("critical", "/ is critical.", minute(1))


def test_the_end_alone_tells_when_it_fired() -> None:
    (spell,) = fired([edge("resolved", 9, fired_at=1, reason="not_watched")])
    assert (spell.fired_at, spell.resolved_at, spell.reason) == (minute(1), minute(9), "not_watched")


def test_an_alert_whose_end_was_never_told_lasts_no_longer_than_to_the_next() -> None:
    first, second = fired([edge("firing", 1, fired_at=1), edge("firing", 30, began=29, fired_at=30)])
    assert (first.resolved_at, second.resolved_at) == (minute(30), None)


def test_only_what_fired_in_the_time_that_is_asked_about_counts() -> None:
    early = fired([edge("firing", 1, fired_at=1), edge("resolved", 9, fired_at=1)])
    lasting = fired([edge("firing", 1, fired_at=1, subject="/data")])
    assert between([*early, *lasting], minute(10), minute(60)) == lasting
    assert between([*early, *lasting], minute(5), minute(60)) == (*early, *lasting)
    assert between(early, minute(-60), minute(0)) == ()


def test_two_accounts_are_compared_by_rule_subject_and_overlap() -> None:
    recorded = fired(
        [
            edge("firing", 1, fired_at=1),
            edge("resolved", 9, fired_at=1),
            edge("firing", 31, began=30, fired_at=31),
            edge("resolved", 40, began=30, fired_at=31),
            edge("firing", 1, fired_at=1, subject="/data"),
        ]
    )
    found = fired(
        [
            edge("firing", 3, began=2, fired_at=3),
            edge("resolved", 20, began=2, fired_at=3),
            edge("firing", 51, began=50, fired_at=51),
        ]
    )
    comparison = compared(found, recorded, minute(60))
    (pair,) = comparison.same
    assert (pair.found, pair.recorded, pair.later_seconds) == (found[0], recorded[0], 120)
    assert comparison.only_found == (found[1],)
    assert {(spell.subject, spell.fired_at) for spell in comparison.only_recorded} == {
        ("/", minute(31)),
        ("/data", minute(1)),
    }


def test_one_long_alert_meets_every_short_one_within_it() -> None:
    recorded = fired(
        [
            edge("firing", 1, began=1, fired_at=1),
            edge("resolved", 10, began=1, fired_at=1),
            edge("firing", 30, began=30, fired_at=30),
            edge("resolved", 39, began=30, fired_at=30),
        ]
    )
    found = fired([edge("firing", 1, fired_at=1)])
    comparison = compared(found, recorded, minute(60))
    assert [pair.recorded for pair in comparison.same] == list(recorded)
    assert comparison.only_found == comparison.only_recorded == ()


def test_how_much_later_is_not_known_of_what_was_so_before_the_recording() -> None:
    recorded = fired([edge("firing", 1, fired_at=1)])
    found = [replace(spell, at_start=True, fired_at=minute(5)) for spell in recorded]
    assert compared(found, recorded, minute(60)).same[0].later_seconds is None
