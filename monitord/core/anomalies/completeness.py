"""Whether what took part was sealed, and whether who used to take part still does, by the system's own recent past."""

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from monitord.core.copying import slot_by_slot
from monitord.core.history.label_series import LabelHabit, LabelSeries

# Three days of hourly labels.
KEEP_LABELS = 72
ENOUGH_LABELS = 12
# A silence is at least so many labels, and so unlikely of a channel that comes and goes as this one has.
LEAST_SILENCE = 3
UNLIKELY = 1e-5
# A day, in seconds, and how many of them are compared.
DAY, DAYS = 86_400, 3
# Where too little of the past is known, more than this of a label's channels unsealed is too much to be called well;
# and so much is not learned as a habit of a group that has another.
TOO_MUCH = 0.25
_MILLION = 1_000_000


@slot_by_slot
@dataclass(frozen=True, slots=True)
class Completeness:
    """Of a group's recent labels how many channels took part, and how many of them were not sealed.

    `at_first`: when first checked, soon after the grace; `unsealed`: by now. `channels`: some of the newest label's.
    `habit`: the shares (of a million) unsealed at first of the labels that were no incident.
    """

    participating: LabelSeries = field(default_factory=LabelSeries)
    unsealed: LabelSeries = field(default_factory=LabelSeries)
    at_first: LabelSeries = field(default_factory=LabelSeries)
    channels: tuple[str, ...] = ()
    habit: LabelHabit = field(default_factory=LabelHabit)

    @property
    def newest(self) -> int | None:
        return newest_taken(self.participating)


def newest_taken(participating: LabelSeries) -> int | None:
    """The newest label in which anybody took part."""
    for back, took in enumerate(reversed(participating.numbers), 1):
        if took:
            return participating.first + (len(participating.numbers) - back) * participating.length
    return None


def habit(seen: Completeness) -> LabelHabit:
    """The group's habit with every label before the newest in it that was no incident."""
    length, newest = seen.participating.length, seen.participating.newest
    before = seen.habit if seen.habit.length == length else LabelHabit(length)
    if newest is None:
        return before
    pairs, judged = before.pairs, before.judged
    for label, first in seen.at_first.after(judged):
        if label >= newest:
            break
        judged = label
        took = seen.participating.get(label)
        if took and first < took:  # of a label of which nothing was sealed nothing is learned: that is lateness
            pairs = _with(pairs, label, -(-first * _MILLION // took))
    return LabelHabit(length, pairs, judged)


def _with(pairs: tuple[tuple[int, int], ...], label: int, share: int) -> tuple[tuple[int, int], ...]:
    if len(pairs) >= ENOUGH_LABELS:
        most = max(number for _, number in pairs)
        if share > 2 * most or (share > most and share > TOO_MUCH * _MILLION):
            return pairs
        return (*pairs, (label, share))[-KEEP_LABELS:]
    pairs = (*pairs, (label, share))
    if len(pairs) == ENOUGH_LABELS:
        # What follows no habit may have been an incident: where most labels are well, those that are not were one.
        well = tuple(pair for pair in pairs if pair[1] <= TOO_MUCH * _MILLION)
        pairs = well if len(well) * 2 >= len(pairs) else pairs
    return pairs


def incomplete(seen: Completeness) -> bool | None:
    """Whether more of the newest label is unsealed than is the habit: over twice the largest share.

    The past is compared as first checked. None: too few labels before, or none of the newest is sealed (lateness).
    """
    newest = seen.newest
    if newest is None:
        return None
    took, unsealed = seen.participating.get(newest), seen.unsealed.get(newest)
    if took is None or unsealed is None or unsealed >= took:
        return None
    return excess(habit(seen), took, unsealed)


def excess(usual: LabelHabit, took: int, unsealed: int) -> bool | None:
    """Whether so many unsealed of the channels that took part are more than the habit; None: it is not known yet."""
    if not unsealed or not took:
        return False
    if len(usual.pairs) < ENOUGH_LABELS:
        return None
    return unsealed * _MILLION > 2 * took * max(number for _, number in usual.pairs)


def falls_short(usual: LabelHabit, took: int | None, unsealed: int | None) -> bool | None:
    """Whether a label that is sealed lacks more channels than is the habit; while that is not known, a few are well."""
    if not took or not unsealed:
        return False
    more = excess(usual, took, unsealed)
    return None if more is None and unsealed > took * TOO_MUCH else bool(more)


def silences(took_part: Mapping[str, Collection[int]], newest: int) -> dict[str, int]:
    """Channels of one group that are silent for longer than their past explains, and for how many labels.

    `took_part` are each channel's labels within the window, `newest` its newest. Only labels in which somebody of the
    group took part count, and there is no silence unless `newest` is one. It must be longer than any before, the time
    before the first sign of life included, and so long that a channel absent as often as this one reaches it by chance
    once in a hundred thousand. One past silence that was such an incident is not compared with. In the hours in which
    more of the others are absent day by day, so is each.
    """
    alive = sorted(set().union(*took_part.values()))
    if newest not in alive:
        return {}
    place = {label: number for number, label in enumerate(alive)}
    heard: Counter[int] = Counter()
    found = {}
    for channel, labels in took_part.items():
        if not labels:
            continue
        silent = len(alive) - 1 - place[max(labels)]
        if silent < LEAST_SILENCE:  # nearly all
            continue
        places = sorted([place[label] for label in labels])
        gaps = [after - before - 1 for before, after in pairwise(places)]
        more = _longest_known(places[0], gaps)
        longest = max(places[0], *(gap for gap in gaps if gap != more), 0)
        before = len(alive) - silent
        absent = _absent(places[0] + sum(gaps) - more, len(places))
        if silent <= longest or absent**silent >= UNLIKELY:
            continue
        heard = heard or Counter([label for labels in took_part.values() for label in labels])
        others = {label: heard[label] - (label in labels) for label in alive}
        quiet = _quiet_hours(others, len(took_part) - 1)
        if math.prod(min(1.0, absent * quiet[label]) for label in alive[before:]) < UNLIKELY:
            found[channel] = silent
    return found


def _absent(missed: int, present: int) -> float:
    """How often a channel is absent at most: two standard deviations above its short past; never 0 nor 1."""
    labels = missed + present + 2
    return min((missed + 1 + 2 * math.sqrt(missed)) / labels, 1 - 1 / labels)


def _longest_known(first: int, gaps: list[int]) -> int:
    """A past silence that was an incident and no habit: one, and twice as long as any other; 0 where there was none."""
    longest = max(gaps, default=0)
    rest = [first, *gaps]
    if longest < LEAST_SILENCE:
        return 0
    rest.remove(longest)
    others = max(rest, default=0)
    return longest if longest > 2 * others and _absent(sum(rest), len(gaps) + 1) ** longest < UNLIKELY else 0


def _quiet_hours(heard: Mapping[int, int], channels: int) -> dict[int, float]:
    """How many times as many channels as on average are absent in the hour of each label, by the days before it.

    At least 1: a busy hour makes no silence less likely than it is all day. So it is of a label with no day before it.
    """
    absent = {label: 1 - count / channels for label, count in heard.items()} if channels else {}
    average = sum(absent.values()) / len(absent) if absent else 0.0
    quiet = {}
    for label in heard:
        same = [share for day in range(1, DAYS + 1) if (share := absent.get(label - day * DAY)) is not None]
        quiet[label] = max(1.0, sum(same) / len(same) / average) if same and average else 1.0
    return quiet
