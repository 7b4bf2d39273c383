"""How late a group usually seals, learned from its own seals; and what is later than nearly all of them."""

import math
from collections.abc import Sequence
from functools import partial

from monitord.core.history.label_series import LabelHabit, LabelSeries
from monitord.core.latest import latest_equal
from monitord.core.report.model import Usual

# A week of hourly labels.
KEEP_SEALS = 168
# Of fewer seals nobody can say what 99% of them are.
ENOUGH_SEALS = 100
_MOST = 0.99
# Of an epoch: what is sealed within this is in time, however fast seals were lately.
IN_TIME_SHARE = 0.25
# When nothing has been as ever for so many labels, that is how it is now, and a new habit is learned.
NEW_HABIT = 72


def delay_of(label: int, sealed_at: object, now: float, length: int) -> int | None:
    """Whole seconds from the due time of `label` to its seal; None where `sealed_at` cannot be such a time.

    A time in the future, in milliseconds, or from before the label was due teaches nothing. Clocks of two machines
    may differ a little: a seal up to a sixtieth of an epoch early was in time.
    """
    if not isinstance(sealed_at, (int, float)):
        return None
    due, slack = label + length, max(2.0, length / 60)
    if not due - slack <= sealed_at <= now + slack:
        return None
    return max(0, round(sealed_at - due))


def usual(delays: LabelSeries | LabelHabit, before: float = math.inf) -> Usual:
    """What is usual of a group's sealing delay, by its labels before `before`; quantiles are ones that occurred."""
    return _usual((delays, before))


@partial(latest_equal, most=16)  # a group's seals are the same for an epoch, and asked about in each cycle
def _usual(asked: tuple[LabelSeries | LabelHabit, float]) -> Usual:
    delays, before = asked
    return _usual_of([(label, delay) for label, delay in delays.items() if label < before], delays.length)


def _usual_of(known: Sequence[tuple[int, int]], length: int) -> Usual:
    if not known:
        return Usual(0, 0.0, None, None)
    sorted_delays = sorted([delay for _, delay in known])
    count = len(known)
    return Usual(
        count=count,
        days=(known[-1][0] + length - known[0][0]) / 86_400,
        median=float(_quantile(sorted_delays, 0.5)),
        most=float(_quantile(sorted_delays, _MOST)) if count >= ENOUGH_SEALS else None,
    )


def _quantile(ordered: Sequence[int], share: float) -> int:
    return ordered[math.ceil(share * len(ordered)) - 1]


def unusual_past(past: Usual, length: int) -> float | None:
    """The delay (seconds) past which a seal is unusual; None while there are too few seals.

    One healthy seal in a hundred is later than 99% of those before it. To be worth a word it must be so by half of
    what lies between the median and that, and by a sixtieth of an epoch: a minute of an hour.
    """
    if past.most is None or past.median is None:
        return None
    return past.most + max(length / 60, (past.most - past.median) / 2)


def slow_past(past: Usual, length: int) -> float | None:
    """The delay (seconds) past which a seal is slow: unusual, and not within a quarter of an epoch."""
    limit = unusual_past(past, length)
    return None if limit is None else max(limit, length * IN_TIME_SHARE)


def habit(before: LabelHabit, delays: LabelSeries) -> LabelHabit:
    """The delays of the seals before the newest that were no incident: not slow, and not after the next was due."""
    length, newest = delays.length, delays.newest
    before = before if before.length == length else LabelHabit(length)
    if newest is None or before.judged >= newest - length:
        return before
    pairs, judged = before.pairs, before.judged
    for label, delay in delays.after(judged):
        if label >= newest:
            break
        judged = label
        if pairs and label - pairs[-1][0] > NEW_HABIT * length:
            pairs = tuple(pair for pair in delays.items() if pairs[-1][0] < pair[0] < label)
        if delay <= length * IN_TIME_SHARE or not _is_slow(delay, pairs, length):
            pairs = (*pairs, (label, delay))[-KEEP_SEALS:]
    return LabelHabit(length, pairs, judged)


def _is_slow(delay: int, pairs: Sequence[tuple[int, int]], length: int) -> bool:
    """Whether it was slow by those before it; where too few are known, whether the next was due by then."""
    limit = slow_past(_usual_of(pairs, length), length) if len(pairs) >= ENOUGH_SEALS else None
    return delay > (length if limit is None else limit)


def is_unusual(delay: float, past: Usual, length: int) -> bool:
    """Whether a seal that took `delay` seconds is later than 99% of the past, and noticeably so."""
    limit = unusual_past(past, length)
    return limit is not None and delay > limit
