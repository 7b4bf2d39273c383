"""How the epochs stand: the status, what is shown and counted of it, and the labels of a group as a line of boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from monitord.core import humanize
from monitord.core.anomalies.sealing_habits import NOTHING_LEARNED
from monitord.core.blocks import Block, Box, Bullets, FactTable, Grid, Style, Timeline
from monitord.core.history.clocks import server_now
from monitord.core.history.epochs import calendar, seals, window_seconds
from monitord.core.history.model import History
from monitord.core.humanize import UNKNOWN, dated, worded
from monitord.core.orders import StandingOrders
from monitord.core.series import RollupContext, RollupFamily, Values, metric
from monitord.core.subjects import base

if TYPE_CHECKING:
    from monitord.core.status import FleetStatus

LABELS: Final = 24
_HOUR_EVERY: Final = 4

Fate = Literal["soon", "slow", "late", "sealed", "missed", "due", "nothing", "unknown", "running"]
_GLYPHS: Final[dict[Fate, str]] = {
    "sealed": "✓",
    "missed": "✕",
    "due": "…",
    "nothing": "–",
    "unknown": "?",
    "running": "now",
}


@dataclass(frozen=True, slots=True)
class EpochLabel:
    """One label of one group. `soon`, `slow` and `late` are sealed: within half the grace, within it, after it."""

    label: int
    fate: Fate
    delay: float | None = None
    channels: int | None = None


def labels(group: str, history: History, orders: StandingOrders, at: float) -> list[EpochLabel]:
    """The last labels of one group, the oldest first; the last is the epoch that is running at `at`."""
    days = calendar(orders)
    current, expected = days.current(at), days.expected(at)
    is_known = history.reading("epochs") is not None
    known = dict(history.sealed.get(group, ()))
    past = history.learned.get(group, NOTHING_LEARNED)
    first = min(known, default=None)
    found: list[EpochLabel] = []
    for label in range(current - (LABELS - 1) * days.length, current + 1, days.length):
        channels = known.get(label, past.channels.get(label))
        delay = past.delays.get(label) if past.delays.length == days.length else None
        fate: Fate
        if label in known or delay is not None:
            fate = "sealed" if delay is None else _fate(delay, days.grace)
        elif label == current:
            fate = "running"
        elif is_known and label in history.empty.get(group, ()):
            fate = "nothing"
        elif not is_known or (first is not None and label < first):
            fate = "unknown"
        else:
            fate = "missed" if label <= expected else "due"
        found.append(EpochLabel(label, fate, delay, channels))
    return found


def _fate(delay: float, grace: float) -> Fate:
    if delay > grace:
        return "late"
    return "soon" if delay <= grace / 2 else "slow"


def boxes(found: list[EpochLabel]) -> Iterator[Box]:
    for n, one in enumerate(found):
        glyph = _GLYPHS.get(one.fate) or short(one.delay or 0.0)
        hour = dated(one.label).partition(", ")[2].removesuffix(" UTC")
        yield Box(one.fate, _words(one), glyph, hour if n % _HOUR_EVERY == 0 else "")


def _words(one: EpochLabel) -> str:
    fate = {
        "missed": "missed",
        "due": "due, not sealed yet",
        "nothing": "nobody took part, nothing to seal",
        "unknown": UNKNOWN,
        "running": "running",
        "sealed": "sealed",
    }.get(one.fate)
    if fate is None:
        fate = f"sealed after {humanize.duration(one.delay or 0.0)}" + (", late" if one.fate == "late" else "")
    channels = f", {humanize.plural(one.channels, 'channel')}" if one.channels is not None else ""
    return f"{dated(one.label)}: {fate}{channels}"


def short(seconds: float) -> str:
    """A delay in a box: `45s`, `3m`, `2h`."""
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.0f}s"


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """What is sealed of a group; `read_age_seconds`: of all the window; `idle`: nobody took part, nothing is missed."""

    latest: int | None
    expected: int
    missed: tuple[int, ...] | None
    seal_age_seconds: float | None
    channels_sealed: int | None
    read_age_seconds: float | None = None
    idle: bool = False


@dataclass(frozen=True, slots=True)
class CurrentEpoch:
    epoch: int
    next: int
    seconds_until_next: float


def _groups(history: History, orders: StandingOrders, now: float) -> Mapping[str, GroupStatus]:
    if "epochs" not in orders.probes:
        return {}
    now = server_now(history, now)
    return {group: _group(group, history, orders, now) for group in orders.groups}


def _group(group: str, history: History, orders: StandingOrders, now: float) -> GroupStatus:
    reading = history.reading("epochs")
    found = seals(history.sealed, group, now, orders, history.empty) if reading is not None else None
    seal_age = found.age_seconds if found else None
    return GroupStatus(
        latest=found.latest if found else None,
        expected=calendar(orders).expected(now),
        missed=tuple(found.missed) if found else None,
        seal_age_seconds=None if seal_age is None else round(seal_age, 3),
        channels_sealed=found.channels_sealed if found else None,
        read_age_seconds=base.age(reading.number("seals_read"), now) if reading is not None else None,
        idle=found is not None and found.latest is None and found.judged_seconds is not None,
    )


def _current(history: History, orders: StandingOrders, now: float) -> CurrentEpoch | None:
    if "epochs" not in orders.probes:
        return None
    days = calendar(orders)
    epoch = days.current(now)
    return CurrentEpoch(epoch, epoch + days.length, round(epoch + days.length - now, 3))


GROUPS: Final = base.StatusSection("epochs", Mapping[str, GroupStatus], _groups)
CURRENT: Final = base.StatusSection("current_epoch", CurrentEpoch | None, _current)

METRICS: Final = (
    base.metric_group(
        GroupStatus,
        lambda report: report.of(GROUPS),
        ("epoch_label_timestamp_seconds", "The newest sealed label of a group.", "latest"),
        ("epoch_expected_label_timestamp_seconds", "The newest label that is due.", "expected"),
        base.MetricFamily(
            "epoch_seal_age_seconds",
            "How long ago the newest sealed label of a group ended.",
            lambda group: group.seal_age_seconds,
            line=base.MetricLine("Seal age", "min", 60.0, 1),
        ),
        base.MetricFamily(
            "epoch_missed_labels",
            "Labels that are due and absent.",
            lambda group: None if group.missed is None else len(group.missed),
        ),
        ("epoch_channels_sealed", "Channels sealed for the newest label of a group.", "channels_sealed"),
        label="group",
    ),
)


def _sealed(context: RollupContext) -> Values:
    """The seals, one a channel and label, that a cycle has found for the first time."""
    before, now = context.before.sealed, context.history.sealed
    is_known = context.history.reading("epochs") is not None
    found: dict[str, float | None] = dict.fromkeys(context.orders.groups, 0.0 if is_known else None)
    if now is before or not is_known:
        return found
    for group in context.orders.groups:
        if group not in before:  # what was sealed before it was first read is not counted
            continue
        was = dict(before[group])
        oldest = min(was, default=0)
        found[group] = sum(
            max(0, (channels or 0) - (was.get(label) or 0)) for label, channels in now.get(group, ()) if label >= oldest
        )
    return found


ROLLUPS: Final = (
    RollupFamily("seals", "seals", "increase", _sealed),
    RollupFamily("seal_age", "seal age", "level", metric(METRICS, "epoch_seal_age_seconds"), humanize.duration),
)


def perfdata(report: FleetStatus, orders: StandingOrders) -> Iterator[base.PerfDatum]:
    limits = f"{orders.seal_warning.total_seconds():g};{orders.seal_critical.total_seconds():g}"
    for name, group in report.of(GROUPS).items():
        yield base.PerfDatum(f"{name} seal_age", group.seal_age_seconds, "s", limits, "0")
        known = group.missed is not None and group.latest is not None
        yield base.PerfDatum(f"{name} missed", len(group.missed or ()) if known else None, minimum="0")


def section(context: base.SectionContext) -> Iterator[Block]:
    groups, current = context.report.of(GROUPS), context.report.of(CURRENT)
    is_measured = context.report.probes["epochs"].status == "ok"
    absent = "none" if is_measured else UNKNOWN
    styles: dict[str, Style] = {
        name: context.severity(name) or context.severity("epochs") or ("ok" if is_measured else "unknown")
        for name in groups
    }
    idle = tuple(name for name, group in groups.items() if group.idle)
    rows = tuple(
        (
            styles[name],
            (
                name,
                worded(humanize.label, group.latest, absent),
                worded(humanize.duration, group.seal_age_seconds, absent),
                UNKNOWN
                if group.missed is None
                else "all"
                if group.latest is None and name not in idle
                else str(len(group.missed)),
                worded(humanize.count, group.channels_sealed, absent),
            ),
        )
        for name, group in groups.items()
    )
    if rows:
        header = ("Group", "Newest sealed epoch", "Seal age", "Missed", "Channels")
        yield Grid("What is sealed of each group", header, rows, frozenset({2, 3, 4}), (0, 1))
    missing = tuple(
        (styles[name], f"{name} has no seal of {humanize.listed([humanize.label(one) for one in group.missed])}.")
        for name, group in groups.items()
        if group.missed
    )
    if missing:
        yield Bullets(missing)
    if idle:
        span = humanize.duration(window_seconds(context.orders))
        yield Bullets(
            tuple(
                ("unknown", f"{name}: nothing is sealed, and nobody took part, in the last {span}. Is its name right?")
                for name in idle
            )
        )
    if current is not None:
        left = humanize.duration(max(0.0, round(current.next - context.now)))
        yield FactTable(
            (("Now", humanize.label(current.epoch)), ("Next", f"{humanize.label(current.next)}, in {left}"))
        )
    if context.history is not None:
        found = {name: labels(name, context.history, context.orders, context.now) for name in groups}
        grace = humanize.duration(context.orders.epoch_grace.total_seconds())
        yield Timeline(
            tuple((styles[name], name, tuple(boxes(its))) for name, its in found.items()),
            f"Each box is a label: how long after it fell due it was sealed (late: after {grace}). "
            "✕ missed, … due, – nobody took part, ? unknown.",
        )
