"""Whether what took part was sealed, and whether who used to take part still does, by the system's own recent past."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from monitord.core.series import Series

# Three days of hourly labels.
KEEP_LABELS = 72
ENOUGH_LABELS = 12
# A silence is at least so many labels, and so unlikely of a channel that comes and goes as this one has.
LEAST_SILENCE = 3
UNLIKELY = 1e-5
# A day, in seconds, and how many of them are compared.
DAY, DAYS = 86_400, 3


@dataclass(frozen=True, slots=True)
class Completeness:
    """Of a group's recent labels how many channels took part, and how many of them were not sealed.

    `at_first` is what was unsealed when the label was first looked at, soon after the grace; `unsealed` what it is by
    now. `channels` are some of the newest label's, by name.
    """

    participating: Series = field(default_factory=Series)
    unsealed: Series = field(default_factory=Series)
    at_first: Series = field(default_factory=Series)
    channels: tuple[str, ...] = ()


def incomplete(seen: Completeness) -> bool | None:
    """Whether more of the newest label is unsealed than the past explains: over twice the largest share of any label.

    The past is compared as it was when first looked at: a group that is habitually a little late is so every time.
    None where it cannot be told: too few labels before, or nothing of the newest is sealed, which is lateness.
    """
    newest = seen.participating.newest
    if newest is None:
        return None
    took, unsealed = seen.participating.get(newest), seen.unsealed.get(newest)
    if took is None or unsealed is None:
        return None
    if unsealed == 0:
        return False
    past = [
        first / many
        for label, first in seen.at_first.items()
        if label < newest and (many := seen.participating.get(label)) and first < many
    ]
    if unsealed >= took or len(past) < ENOUGH_LABELS:
        return None
    return unsealed / took > 2 * max(past)


def silences(took_part: Mapping[str, Collection[int]], newest: int) -> dict[str, int]:
    """Channels of one group that are silent for longer than their past explains, and for how many labels.

    Only labels in which somebody of the group took part count, and there is no silence unless `newest` is one. A
    silence must be longer than any before it, the time before the first sign of life included, and of a length that
    a channel absent as often as this one was before reaches by chance only once in a hundred thousand. In the hours in
    which more of the others are absent day by day, so is each.

    Args:
        took_part: The labels that each channel took part in, within the window looked at.
        newest: The newest label of the window.
    """
    alive = sorted(set().union(*took_part.values()))
    if newest not in alive:
        return {}
    place = {label: number for number, label in enumerate(alive)}
    heard = Counter(label for labels in took_part.values() for label in labels)
    found = {}
    for channel, labels in took_part.items():
        places = sorted(place[label] for label in labels)
        if not places:
            continue
        silent = len(alive) - 1 - places[-1]
        gaps = [after - before - 1 for before, after in pairwise(places)]
        longest = max([places[0], *gaps])
        before = len(alive) - silent
        absent = (before - len(places) + 1) / (before + 2)  # never quite 0 nor 1: the past is short
        if silent < LEAST_SILENCE or silent <= longest or absent**silent >= UNLIKELY:
            continue
        others = {label: heard[label] - (label in labels) for label in alive}
        quiet = _quiet_hours(others, len(took_part) - 1)
        if math.prod(min(1.0, absent * quiet[label]) for label in alive[before:]) < UNLIKELY:
            found[channel] = silent
    return found


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
