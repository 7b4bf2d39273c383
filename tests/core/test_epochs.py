"""The epoch calendar at its boundaries, and what a reading says about a group."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitord.core.history.epochs import Calendar, calendar, sealed_labels, seals, window_seconds
from monitord.core.history.model import History
from monitord.core.model import Reading, sample
from monitord.core.orders import StandingOrders
from monitord.core.subjects.epochs_status import GROUPS

HOURLY = calendar(StandingOrders())
NOON = 1762344000  # 12:00 UTC


@pytest.mark.parametrize(
    ("now", "current", "expected"),
    [
        (NOON, NOON, NOON - 7200),
        (NOON - 0.001, NOON - 3600, NOON - 7200),
        (NOON + 899.999, NOON, NOON - 7200),
        (NOON + 900, NOON, NOON - 3600),
        (NOON + 3599.999, NOON, NOON - 3600),
        (NOON + 3600, NOON + 3600, NOON - 3600),
        (NOON + 4500, NOON + 3600, NOON),
    ],
)
def test_the_hour_turns_at_once_and_the_expected_label_after_the_grace(now: float, current: int, expected: int) -> None:
    assert HOURLY.current(now) == current
    assert HOURLY.expected(now) == expected


@given(st.floats(0, 4e9), st.integers(1, 100_000), st.floats(0, 200_000))
def test_expected_is_the_newest_label_whose_end_and_grace_are_over(now: float, length: int, grace: float) -> None:
    days = Calendar(length, grace)
    label = days.expected(now)
    assert label % length == 0
    assert label + length <= now - grace < label + 2 * length


def test_a_label_is_due_when_its_epoch_ends() -> None:
    assert HOURLY.due_at(NOON) == NOON + 3600


@pytest.mark.parametrize(
    ("length", "critical", "seconds"),
    [(3600, 4 * 3600, 24 * 3600), (3600, 48 * 3600, 50 * 3600), (10, 40, 240), (10, 4 * 3600, 4 * 3600 + 20)],
)
def test_the_window_is_the_larger_of_24_labels_and_the_critical_age_plus_two(
    length: int, critical: int, seconds: float
) -> None:
    orders = StandingOrders(epoch_length=timedelta(seconds=length), seal_critical=timedelta(seconds=critical))
    assert window_seconds(orders) == seconds


def sealed(*labels: int, group: str = "MILO", channels: int = 9) -> dict[str, tuple[tuple[int, int | None], ...]]:
    return dict(sealed_labels(reading(*labels, group=group, channels=channels)))


def reading(*labels: int, group: str = "MILO", channels: int = 9) -> Reading:
    return Reading("epochs", tuple(sample("seal_channels", channels, group=group, epoch=str(at)) for at in labels))


def test_labels_missed_are_those_up_to_expected_and_after_the_oldest_seal() -> None:
    hour = 3600
    found = seals(sealed(NOON - 6 * hour, NOON - 5 * hour, NOON - 3 * hour), "MILO", NOON + 1000, StandingOrders())
    assert found.expected == NOON - hour
    assert found.missed == (NOON - 4 * hour, NOON - 2 * hour, NOON - hour)
    assert found.gaps == (NOON - 4 * hour,)
    assert found.latest == found.latest_due == NOON - 3 * hour
    assert found.age_seconds == 2 * hour + 1000


def test_a_label_sealed_within_the_grace_is_latest_and_not_yet_due() -> None:
    found = seals(sealed(NOON - 7200, NOON - 3600), "MILO", NOON + 200, StandingOrders())
    assert (found.latest, found.latest_due, found.missed, found.age_seconds) == (NOON - 3600, NOON - 7200, (), 200)


def test_a_gap_right_before_the_newest_label_is_seen_even_within_its_grace() -> None:
    found = seals(sealed(NOON - 10800, NOON - 3600), "MILO", NOON + 200, StandingOrders())
    assert found.gaps == (NOON - 7200,)


def test_another_groups_seals_and_labels_of_the_future_are_nobodys() -> None:
    both = sealed(NOON - 3600, group="CLS") | sealed(NOON - 7200, 9_999_997_200)
    found = seals(both, "MILO", NOON + 200, StandingOrders())
    assert (found.latest, found.channels_sealed) == (NOON - 7200, 9)


def test_a_group_without_a_seal_has_no_age_and_not_an_age_of_zero() -> None:
    found = seals(sealed(), "MILO", NOON, StandingOrders())
    assert (found.latest, found.age_seconds, found.channels_sealed, found.missed) == (None, None, None, ())


def test_a_label_sealed_before_its_epoch_is_over_is_of_age_zero() -> None:
    assert seals(sealed(NOON), "MILO", NOON + 60, StandingOrders()).age_seconds == 0.0


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(0, 40).map(lambda half: half * 1800), unique=True, max_size=12),
    st.lists(st.integers(0, 30).map(lambda hour: hour * 3600), unique=True, max_size=4),
    st.lists(st.floats(0, 100_000), min_size=1, max_size=12),
)
def test_what_is_known_of_seals_from_the_moment_before_changes_nothing(
    labels: list[int], nobodys: list[int], moments: list[float]
) -> None:
    """Some labels are no start of an epoch, some are yet to come, and the clock may be set back."""
    of, empty = {"MILO": tuple((label, 9) for label in sorted(labels))}, {"MILO": tuple(sorted(nobodys))}
    orders = StandingOrders()
    known = [seals(of, "MILO", now, orders, empty) for now in moments]
    assert known == [seals(dict(of), "MILO", now, orders, dict(empty)) for now in moments]


def test_a_group_that_nobody_took_part_for_is_idle_and_one_without_seals_is_not() -> None:
    orders = replace(StandingOrders(), groups=("MILO", "TYPO"))
    labels = tuple(range(NOON - 25 * 3600, NOON, 3600))
    history = History(
        readings={"epochs": Reading("epochs")}, taken_at={"epochs": NOON}, sealed={}, empty={"TYPO": labels}
    )
    found = GROUPS.build(history, orders, NOON)
    assert {name: (group.idle, group.latest) for name, group in found.items()} == {
        "MILO": (False, None),
        "TYPO": (True, None),
    }
