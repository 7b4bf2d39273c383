"""What is learned of each token group from the readings of its epochs: delays, completeness, silences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from monitord.core.anomalies import completeness, sealing_delays
from monitord.core.anomalies.completeness import KEEP_LABELS, Completeness, newest_taken
from monitord.core.anomalies.sealing_delays import KEEP_SEALS, delay_of
from monitord.core.copying import replace, slot_by_slot
from monitord.core.history.epochs import calendar, sealed_labels
from monitord.core.history.label_series import LabelHabit, LabelSeries
from monitord.core.model import Reading, Sample
from monitord.core.orders import StandingOrders

# A probe names no more silent channels of a group than this: of the others it says nothing.
MOST_SILENT = 10
# Of labels older than so many nothing new is learned: it was when they were new.
OPEN_LABELS = 6
_NAMED = ("channels_known", "channel_silent", "unsealed_channel")
_BY_LABEL = ("seal_at", "seal_channels", "seal_participating", "seal_unsealed")


@dataclass(frozen=True, slots=True)
class ChannelSilence:
    """Channels of a cemented group that are silent as of `label`, by the labels missed; `ended` are back since."""

    label: int | None = None
    channels: Mapping[str, int] = field(default_factory=dict)
    ended: tuple[str, ...] = ()


@slot_by_slot
@dataclass(frozen=True, slots=True)
class SealingHabits:
    """One group's past: `delays` in seconds from due to sealed, `channels` sealed; `habit`: without incidents."""

    delays: LabelSeries = field(default_factory=LabelSeries)
    channels: LabelSeries = field(default_factory=LabelSeries)
    completeness: Completeness = field(default_factory=Completeness)
    silence: ChannelSilence = field(default_factory=ChannelSilence)
    habit: LabelHabit = field(default_factory=LabelHabit)

    @property
    def usual(self) -> LabelHabit:
        return sealing_delays.habit(self.habit, self.delays)

    def until(self, now: float) -> SealingHabits:
        last = now - self.delays.length
        seen = self.completeness
        participating = seen.participating.until(last)
        names = seen.channels if participating.newest == seen.participating.newest else ()
        is_future = self.silence.label is not None and self.silence.label > last
        return SealingHabits(
            self.delays.until(last),
            self.channels.until(last),
            Completeness(
                participating, seen.unsealed.until(last), seen.at_first.until(last), names, seen.habit.until(last)
            ),
            ChannelSilence() if is_future else self.silence,
            self.habit.until(last),
        )


_NONE: Final[Mapping[int, int]] = {}
# What was learned last, and of what: of the same nothing more is.
_last: tuple[dict[str, SealingHabits], tuple[tuple[str, ...], int, int, dict[str, list[Sample]]]] | None = None
# Of a group that nothing is known of yet.
NOTHING_LEARNED: Final = SealingHabits()


def update_epochs(
    learned: Mapping[str, SealingHabits], reading: Reading, now: float, orders: StandingOrders
) -> dict[str, SealingHabits]:
    """The past of the groups ordered, with one reading in it; nearly every one is the same until a label ends."""
    global _last
    length = calendar(orders).length
    told = {name: [*reading.named(name)] for name in (*_NAMED, *_BY_LABEL)}
    asked = orders.groups, length, int(now // length), told
    # What is kept may become that of a report, folded on another thread, while it is compared.
    if (known := _last) is not None and known[0] is learned and known[1] == asked:
        return known[0]
    found: dict[str, dict[str, dict[int, int]]] = {name: {} for name in _BY_LABEL}
    named = [s for name in _NAMED for s in told[name]]
    settled = {
        group: past.delays.newest - OPEN_LABELS * length
        for group, past in learned.items()
        if past.delays.newest is not None and past.delays.length == length
    }
    for group, labels in sealed_labels(reading).items():
        since, last = settled.get(group, 0), now - length
        found["seal_channels"][group] = {
            label: count for label, count in labels if since <= label <= last and count is not None
        }
    is_told = True
    for name in ("seal_at", "seal_participating", "seal_unsealed"):
        by_group = found[name]
        for s in told[name]:
            (_, epoch), (_, group) = s.labels  # labels are sorted by name
            label, value = int(epoch), s.value
            if label < settled.get(group, 0):
                continue
            if name == "seal_at":
                # A seal by a clock that is ahead counts once it is no longer in the future.
                is_told = is_told and not (isinstance(value, (int, float)) and value > now)
                value = delay_of(label, value, now, length)
            if isinstance(value, int) and label + length <= now:
                by_group.setdefault(group, {})[label] = value
    out = {}
    for group in orders.groups:
        before = learned.get(group, NOTHING_LEARNED)
        new = {name: found[name].get(group, _NONE) for name in _BY_LABEL}
        mine = [s for s in named if s.label("group") == group]
        delays = before.delays.merged(new["seal_at"], length, KEEP_SEALS)
        out[group] = SealingHabits(
            delays,
            before.channels.merged(new["seal_channels"], length, KEEP_SEALS),
            _completeness(before.completeness, new, mine, length),
            _silence(before.silence, new["seal_participating"], mine, length),
            before.habit if delays is before.delays else sealing_delays.habit(before.habit, delays),
        )
    _last = (out, asked) if is_told else None
    return out


def _completeness(
    before: Completeness, new: Mapping[str, Mapping[int, int]], named: Sequence[Sample], length: int
) -> Completeness:
    took, unsealed = new["seal_participating"], new["seal_unsealed"]
    if not took:
        return (
            before
            if before.participating.length == length
            else Completeness(LabelSeries(length), LabelSeries(length), LabelSeries(length))
        )
    known = before.at_first if before.at_first.length == length else LabelSeries()
    first = {label: number for label, number in unsealed.items() if known.get(label) is None}
    participating = before.participating.merged(took, length, KEEP_LABELS)
    newest = str(newest_taken(participating))
    names = (s.label("channel") for s in named if s.name == "unsealed_channel" and s.label("epoch") == newest)
    seen = Completeness(
        participating,
        before.unsealed.merged(unsealed, length, KEEP_LABELS),
        before.at_first.merged(first, length, KEEP_LABELS),
        tuple(sorted(names)),
        before.habit,
    )
    return replace(seen, habit=completeness.habit(seen))


def _silence(before: ChannelSilence, took: Mapping[int, int], named: Sequence[Sample], length: int) -> ChannelSilence:
    """Who is silent by this reading; as it was, where the reading does not show it or the group itself was silent."""
    newest = max(took, default=None)
    if newest is None or not took[newest] or not any(s.name == "channels_known" and s.value for s in named):
        return before
    now_silent = {s.label("channel"): s.value for s in named if s.name == "channel_silent" and isinstance(s.value, int)}
    ended = set(before.ended) if before.label == newest else set()
    later = 0 if before.label is None else (newest - before.label) // length
    for channel, silent in before.channels.items():
        # Who is named no longer is back; or is out of the window, or out of so many names, and then nobody knows.
        if channel not in now_silent and len(now_silent) < MOST_SILENT and silent + later < KEEP_LABELS:
            ended.add(channel)
    return ChannelSilence(newest, now_silent, tuple(sorted(ended - now_silent.keys())))
