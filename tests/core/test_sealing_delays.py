"""What is learned of the past: delays that can be true, honest quantiles, silences that the past does not explain."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime

import pytest

from monitord.core.anomalies import sealing_delays
from monitord.core.anomalies.completeness import KEEP_LABELS, Completeness, falls_short, habit, incomplete, silences
from monitord.core.anomalies.sealing_delays import ENOUGH_SEALS, KEEP_SEALS, delay_of, is_unusual, unusual_past, usual
from monitord.core.anomalies.sealing_habits import SealingHabits, update_epochs
from monitord.core.codec import decode, encode
from monitord.core.history.clocks import without_future
from monitord.core.history.epochs import calendar
from monitord.core.history.label_series import LabelHabit, LabelSeries
from monitord.core.history.model import History
from monitord.core.model import Observation, Reading, Sample, sample
from monitord.core.report.criterion import FoldedCycle, FoldedWindow
from monitord.core.report.model import Usual
from monitord.core.subjects.epochs_tracker import SealTracker
from monitord.core.subjects.participation import channel_silent

from .nights import orders

HOUR = 3600
NOON = 1_762_300_800
LABELS = [NOON - n * HOUR for n in range(1, KEEP_SEALS + 1)]


def series(*numbers: int | None, first: int = NOON - 1000 * HOUR) -> LabelSeries:
    known = {first + n * HOUR: number for n, number in enumerate(numbers) if number is not None}
    return LabelSeries().merged(known, HOUR, 1000)


def past(*delays: int) -> Usual:
    return usual(series(*delays))


# Series


def test_a_series_keeps_the_newest_labels_and_its_holes() -> None:
    kept = series(1, 2, None, None, 5).merged({NOON - 995 * HOUR: 6}, HOUR, 4)
    assert kept.numbers == (5, 6)  # the first of them has a number
    assert [kept.get(NOON - n * HOUR) for n in (997, 996, 995, 994)] == [None, 5, 6, None]
    assert kept.get(NOON - 996 * HOUR + 1) is None
    assert kept.newest == NOON - 995 * HOUR


def test_a_series_of_another_epoch_length_begins_anew() -> None:
    minutes = series(1, 2, 3).merged({NOON: 9, NOON + 7: 1}, 60, 10)
    assert list(minutes.items()) == [(NOON, 9)]


def test_a_series_forgets_the_future() -> None:
    assert series(1, 2, 3, first=NOON).until(NOON + HOUR) == series(1, 2, first=NOON)
    assert series(1, first=NOON).until(NOON - 1).numbers == ()


# Delays


@pytest.mark.parametrize(
    ("sealed_at", "delay"),
    [
        (NOON + 182, 182),
        (NOON + 1574.4, 1574),
        (NOON, 0),
        (NOON - 30, 0),  # the clocks of two machines
        (NOON - 300, None),
        (NOON + 7200, None),  # in the future
        ((NOON + 182) * 1000, None),
        (0, None),
        (None, None),
        (math.nan, None),
        ("soon", None),
    ],
)
def test_a_time_of_sealing_that_cannot_be_teaches_nothing(sealed_at: object, delay: int | None) -> None:
    assert delay_of(NOON - HOUR, sealed_at, NOON + 3000, HOUR) == delay


def test_what_99_of_100_take_is_told_of_a_hundred_seals_and_not_of_fewer() -> None:
    few = past(*range(ENOUGH_SEALS - 1))
    assert (few.count, few.median, few.most) == (99, 49, None)
    assert not is_unusual(1e6, few, HOUR)
    enough = past(*range(ENOUGH_SEALS))
    assert enough == Usual(100, 100 / 24, 49, 98)
    assert past() == Usual(0, 0.0, None, None)


def test_unusual_is_noticeably_later_than_99_of_100() -> None:
    steady = past(*[182] * 100)
    assert unusual_past(steady, HOUR) == 182 + 60
    assert not is_unusual(242, steady, HOUR)
    assert is_unusual(243, steady, HOUR)
    spread = past(*range(0, 2000, 10))
    assert (spread.median, spread.most) == (990, 1970)
    assert not is_unusual(1970 + 490, spread, HOUR)
    assert is_unusual(1970 + 491, spread, HOUR)


def test_a_seal_is_compared_with_those_before_it() -> None:
    delays = series(*[100] * 120, 4000, *[100] * 3)
    judged = delays.first + 120 * HOUR
    assert usual(delays, before=judged) == Usual(120, 5.0, 100, 100)


def test_healthy_delays_are_seldom_unusual() -> None:
    chance = random.Random(5)  # noqa: S311 - a simulation
    alarms = seals = 0
    for _ in range(40):
        delays = [round(chance.lognormvariate(5.5, 0.6)) for _ in range(400)]
        for n in range(KEEP_SEALS, 400, 4):
            seals += 1
            alarms += is_unusual(delays[n], past(*delays[n - KEEP_SEALS : n]), HOUR)
    assert alarms / seals < 0.004


def learned_delays(*delays: int) -> list[int]:
    return [delay for _, delay in sealing_delays.habit(LabelHabit(), series(*delays)).pairs]


def test_the_delay_of_an_incident_is_not_learned_as_a_habit() -> None:
    steady = [182] * ENOUGH_SEALS
    assert learned_delays(*steady, 3000, 182, 3000, 200, 182) == [*steady, 182, 200]
    assert learned_delays(*[182] * 20, 9000, 182, 0) == [182] * 21  # later than the next fell due, and no habit yet


def test_what_has_been_so_for_three_days_is_how_it_is_now() -> None:
    slow = [1500] * 60
    assert learned_delays(*[182] * ENOUGH_SEALS, *slow, 0) == [182] * ENOUGH_SEALS
    assert learned_delays(*[182] * ENOUGH_SEALS, *slow * 2, 0)[-120:] == slow * 2


# Completeness


def seen(*labels: tuple[int, int], now_unsealed: int | None = None) -> Completeness:
    """(participating, unsealed) of labels, the last of them the newest."""
    took, first = series(*(t for t, _ in labels)), series(*(u for _, u in labels))
    assert first.newest is not None
    later = {} if now_unsealed is None else {first.newest: now_unsealed}
    return Completeness(took, first.merged(later, HOUR, 1000), first)


WHOLE = ((54, 0),) * 12


def test_one_channel_left_out_is_unusual_where_none_ever_was() -> None:
    assert incomplete(seen(*WHOLE, (54, 1))) is True
    assert incomplete(seen(*WHOLE, (54, 0))) is False
    assert incomplete(seen(*WHOLE, (54, 1), now_unsealed=0)) is False


def test_a_group_that_leaves_out_some_is_compared_by_share() -> None:
    habit = ((50, 5), *WHOLE)
    assert incomplete(seen(*habit, (160, 32))) is False
    assert incomplete(seen(*habit, (160, 33))) is True


def test_the_past_is_compared_as_it_was_when_first_looked_at() -> None:
    habit = seen(*((54, 5),) * 12, (54, 6))
    sealed_later = Completeness(habit.participating, series(*[0] * 12, 6), habit.at_first)
    assert incomplete(sealed_later) is False


def test_too_short_a_past_or_nothing_sealed_at_all_is_not_told() -> None:
    assert incomplete(seen(*WHOLE[1:], (54, 1))) is None
    assert incomplete(seen(*WHOLE, (54, 54))) is None
    assert incomplete(Completeness()) is None


def test_a_past_label_that_was_not_sealed_at_all_excuses_nothing() -> None:
    assert incomplete(seen(*WHOLE, (54, 54), (54, 3))) is True


def test_a_label_that_was_an_incident_is_not_learned_as_a_habit() -> None:
    half = (54, 27)
    assert incomplete(seen(*WHOLE, half)) is True
    assert incomplete(seen(*WHOLE, *[half] * 60)) is True
    assert incomplete(seen(*WHOLE, half, (54, 0), (54, 1))) is True
    assert incomplete(seen(*WHOLE, half, (54, 0))) is False


def test_an_incident_of_days_does_not_push_the_habit_out() -> None:
    kept = seen(*WHOLE, (54, 0))
    for n in range(100):
        label = NOON - 900 * HOUR + n * HOUR
        kept = Completeness(
            kept.participating.merged({label: 54}, HOUR, KEEP_LABELS),
            kept.unsealed.merged({label: 27}, HOUR, KEEP_LABELS),
            kept.at_first.merged({label: 27}, HOUR, KEEP_LABELS),
            habit=habit(kept),
        )
    assert incomplete(kept) is True
    assert len(kept.habit.pairs) == 12


def test_a_habit_does_not_creep_up_to_half() -> None:
    creeping = [(60, 5), (60, 10), (60, 20), (60, 40)]
    assert incomplete(seen(*[(60, 5)] * 12, *creeping)) is True


def test_a_group_that_has_always_left_out_half_is_as_ever_and_one_bad_label_of_its_first_is_none() -> None:
    assert incomplete(seen(*[(12, 6)] * 13)) is False
    assert incomplete(seen(*WHOLE[:5], (54, 27), *WHOLE, (54, 27))) is True


def test_while_no_habit_is_known_more_than_a_quarter_unsealed_is_not_called_well() -> None:
    nothing = LabelHabit(HOUR)
    assert [falls_short(nothing, 12, unsealed) for unsealed in (0, 3, 4, 12)] == [False, False, None, None]
    assert falls_short(nothing, None, None) is False
    usual_of = habit(seen(*WHOLE, (54, 0)))
    assert [falls_short(usual_of, 12, unsealed) for unsealed in (0, 1)] == [False, True]


def test_a_label_in_which_nobody_took_part_ends_no_incident() -> None:
    assert incomplete(seen(*WHOLE, (54, 27), (0, 0))) is True


# Silence


def lives(*rows: str) -> dict[str, list[int]]:
    """A row a channel, a character a label: `x` where it took part."""
    return {chr(97 + n): [LABELS[-1 - i] for i, c in enumerate(row) if c == "x"] for n, row in enumerate(rows)}


def newest(length: int) -> int:
    return LABELS[-length]


@pytest.mark.parametrize(
    ("row", "silent"),
    [
        ("x" * 69 + "...", 3),
        ("x" * 70 + "..", None),  # too short
        ("x" * 68 + "...x", None),  # back again
        ("x" * 30 + "...." + "x" * 33 + ".....", 5),
        ("x" * 20 + "." * 24 + "x" * 20 + "." * 8, 8),  # one incident is no habit
        ("x" * 12 + "." * 12 + "x" * 18 + "." * 12 + "x" * 10 + "." * 8, None),  # it was away for longer, and twice
        ("xxx." * 16 + "xxx.....", None),  # one that comes and goes
        ("xxx." * 15 + "xxx" + "." * 9, None),  # and may come and go a little less often than was seen
        ("xxx." * 14 + "xxx" + "." * 12, 12),
        ("." * 66 + "xxx...", None),  # new: nobody knows its ways
        ("." * 72, None),
    ],
)
def test_a_silence_is_judged_by_the_channels_own_past(row: str, silent: int | None) -> None:
    found = silences(lives(row, "x" * len(row)), newest(len(row)))
    assert found == ({} if silent is None else {"a": silent})


def test_labels_without_anybody_count_for_nobody() -> None:
    awake = "x" * 60
    assert silences(lives(awake + "." * 12, awake + "." * 12), newest(72)) == {}
    assert silences(lives(awake + "........" + "..xx", awake + "........" + "xxxx"), newest(72)) == {}
    assert silences(lives(awake + "........" + "....", awake + "........" + "xxxx"), newest(72)) == {"a": 4}


def test_channels_that_come_and_go_by_chance_are_hardly_ever_silent() -> None:
    chance = random.Random(7)  # noqa: S311 - a simulation
    rows = ["".join("x" if chance.random() < 0.75 else "." for _ in range(24 * 60)) for _ in range(12)]
    alarms = 0
    for end in range(KEEP_LABELS, 24 * 60):
        alarms += len(silences(lives(*(row[end - KEEP_LABELS : end] for row in rows)), newest(KEEP_LABELS)))
    assert alarms == 0  # in sixty days


def test_a_silence_in_the_hours_in_which_the_others_rest_every_day_is_none() -> None:
    # The labels run back from the newest. By day all take part, and of a night of ten hours every third label at most.
    others = [("x" * 14 + "".join("x" if (h + n) % 3 == 0 else "." for h in range(10))) * 3 for n in range(11)]
    rests = "x" * 14 + "xxxx......" + "x" * 14 + "xx......xx" + "x" * 14 + "." * 10
    found = silences(lives(rests, *others), newest(72))
    assert found == {}
    # Among channels that never rest, as many labels without it are its end.
    assert silences(lives(rests, *["x" * 72] * 11), newest(72)) == {"a": 10}


# What is kept of it


def reading(*samples: Sample) -> Reading:
    return Reading("epochs", samples)


def seal(label: int, at: object, group: str = "MILO") -> tuple[Sample, Sample]:
    labels = {"group": group, "epoch": str(label)}
    return sample("seal_channels", 9, **labels), sample("seal_at", at, "timestamp", **labels)  # type: ignore[arg-type]


def test_a_reading_teaches_delays_and_channels_of_labels_that_are_over() -> None:
    found = update_epochs(
        {},
        reading(*seal(NOON - 2 * HOUR, NOON - HOUR + 182), *seal(NOON - HOUR, None), *seal(NOON, NOON + 5)),
        NOON + 60,
        orders(),
    )
    assert list(found["MILO"].delays.items()) == [(NOON - 2 * HOUR, 182)]
    assert list(found["MILO"].channels.items()) == [(NOON - 2 * HOUR, 9), (NOON - HOUR, 9)]
    assert found["CLS"] == SealingHabits(
        LabelSeries(HOUR),
        LabelSeries(HOUR),
        Completeness(LabelSeries(HOUR), LabelSeries(HOUR), LabelSeries(HOUR)),
        habit=LabelHabit(HOUR),
    )


def test_a_last_channel_sealed_later_makes_the_label_later() -> None:
    first = update_epochs({}, reading(*seal(NOON - HOUR, NOON + 100)), NOON + 200, orders())
    then = update_epochs(first, reading(*seal(NOON - HOUR, NOON + 900)), NOON + 1000, orders())
    assert then["MILO"].delays.get(NOON - HOUR) == 900


def test_a_report_that_is_folded_meanwhile_teaches_the_next_cycle_nothing() -> None:
    class Sealed(float):
        def __eq__(self, other: object) -> bool:
            update_epochs({}, reading(*seal(NOON - HOUR, NOON + 100)), NOON + 200, orders())  # as another thread does
            return float(self) == other

        __hash__ = float.__hash__

    known = update_epochs({}, reading(*seal(NOON - 2 * HOUR, NOON - HOUR + 182)), NOON - HOUR + 200, orders())
    first = update_epochs(known, reading(*seal(NOON - HOUR, Sealed(NOON + 100))), NOON + 200, orders())
    then = update_epochs(first, reading(*seal(NOON - HOUR, NOON + 100)), NOON + 230, orders())
    assert list(then["MILO"].delays.items()) == [(NOON - 2 * HOUR, 182), (NOON - HOUR, 100)]


def test_an_unchanged_reading_changes_nothing() -> None:
    same = reading(*seal(NOON - HOUR, NOON + 100))
    first = update_epochs({}, same, NOON + 200, orders())
    assert update_epochs(first, same, NOON + 230, orders())["MILO"].delays is first["MILO"].delays


def full() -> dict[str, SealingHabits]:
    """A week of two groups, of the largest numbers that a healthy system has."""
    learned: dict[str, SealingHabits] = {}
    for label in reversed(LABELS):
        samples: list[Sample] = []
        for group in ("MILO", "CLS"):
            labels = {"group": group, "epoch": str(label)}
            samples += seal(label, label + HOUR + 1574, group)
            samples += [sample("seal_participating", 160, **labels), sample("seal_unsealed", 12, **labels)]
            samples += [sample("unsealed_channel", 1, channel=f"channel_number_{n}", **labels) for n in range(5)]
            samples.append(sample("channels_known", 12, group=group))
            samples += [sample("channel_silent", 10, group=group, channel=f"channel_number_{n}") for n in range(10)]
        learned = update_epochs(learned, reading(*samples), label + 2 * HOUR, orders())
    return learned


def test_what_is_kept_stays_small_and_survives_its_text() -> None:
    history = History(at=NOON, learned=full())
    text = json.dumps(encode(history)["learned"])
    assert len(text) < 18_000
    assert decode(History, json.loads(json.dumps(encode(history)))) == history
    milo = history.learned["MILO"]
    assert (len(milo.delays.numbers), len(milo.completeness.participating.numbers)) == (KEEP_SEALS, KEEP_LABELS)


def test_a_clock_that_is_set_back_forgets_what_has_not_yet_been() -> None:
    history = History(at=NOON + HOUR, learned=full())
    milo = without_future(history, NOON - 3 * HOUR).learned["MILO"]
    assert milo.delays.newest == milo.completeness.unsealed.newest == NOON - 4 * HOUR
    assert milo.completeness.channels == ()
    assert milo.silence.label is None


def test_silence_is_unknown_while_the_group_itself_is_silent_or_nobody_counts() -> None:
    watched = orders(learned_warnings=True)
    now = NOON + 1000.0
    labels = {"group": "MILO", "epoch": str(NOON - HOUR)}
    silent = sample("channel_silent", 4, group="MILO", channel="fanfan")
    known = sample("channels_known", 12, group="MILO")
    learned = update_epochs({}, reading(sample("seal_participating", 8, **labels), known, silent), now, watched)

    def said(samples: tuple[Sample, ...], learned: dict[str, SealingHabits]) -> list[str]:
        later = now + HOUR
        history = History(learned=update_epochs(learned, reading(*samples), later, watched))
        observation = Observation(datetime.fromtimestamp(later, UTC), {"epochs": reading(*samples)})
        return [type(judgement).__name__ for judgement in channel_silent(observation, history, watched)]

    newer = {"group": "MILO", "epoch": str(NOON)}
    assert said((sample("seal_participating", 8, **newer), known, silent), learned) == ["Finding"]
    assert said((sample("seal_participating", 8, **newer), known), learned) == ["Clear"]
    assert said((sample("seal_participating", 0, **newer), known), learned) == ["Unknown"]
    assert said((), learned) == ["Unknown"]
    assert calendar(watched).expected(now + HOUR) == NOON


# The report


def test_a_time_that_was_told_before_its_seal_is_that_of_the_seal() -> None:
    tracker = SealTracker(orders(), NOON - HOUR, NOON + HOUR)
    channels, at = seal(NOON - HOUR, NOON + 182)
    for number, samples in enumerate([(at,), (channels, at)]):
        when = datetime.fromtimestamp(NOON + 200 + 30 * number, UTC)
        tracker.observe(FoldedCycle(Observation(when, {"epochs": reading(*samples)}), History(), []))
    milo = tracker.result(FoldedWindow(History(), History(), ())).groups[0]
    assert [(one.label, one.delay) for one in milo.seals if one.sealed_at] == [(NOON - HOUR, 182)]
