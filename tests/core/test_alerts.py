"""The life of one alert, judgement by judgement."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitord.core.alerting.lifecycle import alert_id, not_watched, step, waiting_seconds
from monitord.core.model import Alert, Clear, Finding, Judgement, Severity, Transition, Unknown
from monitord.core.orders import StandingOrders

NOW = datetime(2025, 11, 5, 3, 57, tzinfo=UTC)
ORDERS = StandingOrders()
BAD = Finding("disk_high", "/", "warning", 71.0, 70.0, "percent", "The disk is full.")
WORSE = replace(BAD, severity="critical", value=81.0, limit=80.0)
GOOD = Clear("disk_high", "/")
DARK = Unknown("disk_high", "/", "it hangs")


def judged(
    *judgements: Judgement, every: float = 5.0, orders: StandingOrders = ORDERS
) -> tuple[Alert | None, list[str]]:
    """The alert after these judgements, so many seconds apart, and the edges crossed."""
    alert: Alert | None = None
    edges: list[str] = []
    for number, judgement in enumerate(judgements):
        alert, transition = step(alert, judgement, "host", NOW + timedelta(seconds=every * number), orders)
        edges.append(transition.edge if transition else "-")
    return alert, edges


@pytest.mark.parametrize(
    ("judgements", "edges", "state"),
    [
        ((GOOD,), ["-"], None),
        ((DARK,), ["-"], None),
        ((BAD,), ["pending"], "pending"),
        ((BAD, BAD), ["pending", "firing"], "firing"),
        ((BAD, BAD, BAD, BAD), ["pending", "firing", "-", "-"], "firing"),
        ((BAD, GOOD), ["pending", "-"], None),
        ((BAD, GOOD, BAD), ["pending", "-", "pending"], "pending"),
        ((BAD, DARK, BAD), ["pending", "-", "-"], "pending"),
        ((BAD, DARK, BAD, BAD), ["pending", "-", "-", "firing"], "firing"),
        ((BAD, BAD, GOOD), ["pending", "firing", "-"], "firing"),
        ((BAD, BAD, GOOD, GOOD), ["pending", "firing", "-", "resolved"], None),
        ((BAD, BAD, GOOD, BAD, GOOD), ["pending", "firing", "-", "-", "-"], "firing"),
        ((BAD, BAD, GOOD, DARK, GOOD), ["pending", "firing", "-", "-", "-"], "firing"),
        ((BAD, BAD, GOOD, DARK, GOOD, GOOD), ["pending", "firing", "-", "-", "-", "resolved"], None),
        ((BAD, BAD, DARK, DARK, DARK), ["pending", "firing", "-", "-", "-"], "firing"),
        ((BAD, BAD, WORSE), ["pending", "firing", "-"], "firing"),
        ((BAD, BAD, WORSE, WORSE), ["pending", "firing", "-", "firing"], "firing"),
        ((BAD, BAD, WORSE, BAD, WORSE), ["pending", "firing", "-", "-", "-"], "firing"),
        ((BAD, BAD, WORSE, DARK, WORSE), ["pending", "firing", "-", "-", "-"], "firing"),
        ((WORSE, WORSE, BAD, BAD), ["pending", "firing", "-", "-"], "firing"),
        ((BAD, WORSE), ["pending", "firing"], "firing"),
    ],
)
def test_the_edges_an_alert_crosses(judgements: tuple[Judgement, ...], edges: list[str], state: str | None) -> None:
    alert, crossed = judged(*judgements)
    assert crossed == edges
    assert (alert.state if alert else None) == state


@pytest.mark.parametrize(
    ("judgements", "severity"),
    [
        ((BAD, BAD, WORSE), "warning"),
        ((BAD, BAD, WORSE, WORSE), "critical"),
        ((WORSE, WORSE, BAD), "critical"),
        ((WORSE, WORSE, BAD, BAD), "warning"),
        ((BAD, WORSE), "critical"),
    ],
)
def test_a_change_of_severity_is_confirmed_like_any_other(
    judgements: tuple[Judgement, ...], severity: Severity
) -> None:
    alert, _ = judged(*judgements)
    assert alert is not None
    assert alert.severity == severity


def test_readings_closer_together_than_ordered_count_once() -> None:
    alert, edges = judged(*[BAD] * 6, every=4.9)
    assert edges == ["pending", "-", "firing", "-", "-", "-"]
    assert alert is not None


def test_one_confirmation_fires_at_once_without_being_pending() -> None:
    assert judged(BAD, GOOD, orders=replace(ORDERS, confirmations=1))[1] == ["firing", "resolved"]


def test_a_finding_that_needs_an_exact_count_waits_for_it() -> None:
    sign = replace(BAD, needs_exact=("user_signals",))
    assert judged(sign, sign, sign, sign)[1] == ["pending", "-", "-", "-"]
    assert judged(sign, sign, sign, BAD)[1] == ["pending", "-", "-", "firing"]
    assert judged(sign, orders=replace(ORDERS, confirmations=1))[1] == ["pending"]


def test_when_the_clock_is_set_back_the_wait_begins_anew() -> None:
    alert, _ = step(None, BAD, "host", NOW, ORDERS)
    for seconds, count in ((-3600, 1), (-3598, 1), (-3595, 2)):
        alert, _ = step(alert, BAD, "host", NOW + timedelta(seconds=seconds), replace(ORDERS, confirmations=3))
        assert alert is not None
        assert alert.count == count


def test_an_id_is_the_same_for_one_incident_and_another_for_the_next() -> None:
    assert alert_id("disk_high", "/", NOW) == alert_id("disk_high", "/", NOW)
    others = [("disk_high", "/var", NOW), ("host_memory_low", "/", NOW), ("disk_high", "/", NOW + timedelta(seconds=1))]
    assert len({alert_id("disk_high", "/", NOW), *(alert_id(*other) for other in others)}) == 4


def test_what_resolves_is_told_as_it_was_when_it_last_was_wrong() -> None:
    alert, _ = judged(BAD, BAD, replace(BAD, value=75.0), GOOD)
    later = NOW + timedelta(minutes=1)
    _, transition = step(alert, GOOD, "host", later, ORDERS)
    assert isinstance(transition, Transition)
    assert (transition.edge, transition.at, transition.alert.finding.value) == ("resolved", later, 75.0)
    assert transition.alert.since == NOW
    assert transition.alert.fired_at == NOW + timedelta(seconds=5)


def test_only_what_fires_ends_aloud_when_it_is_no_longer_watched() -> None:
    pending, _ = judged(BAD)
    firing, _ = judged(BAD, BAD)
    assert pending is not None
    assert firing is not None
    assert not_watched(pending, NOW) is None
    ended = not_watched(firing, NOW)
    assert ended is not None
    assert (ended.edge, ended.reason) == ("resolved", "not_watched")


@pytest.mark.parametrize(
    ("judgements", "after", "seconds"),
    [
        ((BAD,), 0, 5.0),
        ((BAD,), 2, 3.0),
        ((BAD,), 60, 0.0),
        ((BAD, BAD), 0, None),
        ((BAD, BAD, GOOD), 0, 5.0),
        ((BAD, BAD, WORSE), 0, 5.0),
        ((BAD, DARK), 0, None),
        ((BAD, BAD, DARK), 0, None),
    ],
)
def test_how_soon_another_reading_could_count(
    judgements: tuple[Judgement, ...], after: float, seconds: float | None
) -> None:
    alert, _ = judged(*judgements)
    assert alert is not None
    now = NOW + timedelta(seconds=5.0 * (len(judgements) - 1) + after)
    assert waiting_seconds(alert, now, ORDERS) == seconds


def test_an_exact_count_that_does_not_come_is_hurried_once_and_then_waited_for() -> None:
    sign = replace(BAD, needs_exact=("user_signals",))
    waits = []
    for number in range(1, 5):
        alert, _ = judged(*[sign] * number)
        assert alert is not None
        waits.append(waiting_seconds(alert, NOW + timedelta(seconds=5.0 * (number - 1)), ORDERS))
    assert waits == [5.0, 5.0, None, None]
