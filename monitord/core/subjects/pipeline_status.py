"""How the pipeline stands, stage by stage: the status, and what is shown and counted of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitord.core import humanize
from monitord.core.anomalies.sealing_habits import NOTHING_LEARNED
from monitord.core.blocks import Block, Bullets, FactTable, Paragraph, Style
from monitord.core.history.clocks import judged_at, server_now
from monitord.core.history.epochs import calendar
from monitord.core.history.model import History
from monitord.core.history.pipeline import took_part_late
from monitord.core.humanize import UNKNOWN, label, worded
from monitord.core.model import Reading, Severity
from monitord.core.orders import TABLES, TREES, StandingOrders
from monitord.core.series import RollupContext, RollupFamily, metric
from monitord.core.subjects import base, epochs_status, postgres_status, redis_status
from monitord.core.subjects.pipeline_cases import PreparedCase, asks_chain, flag, on_chain, shown, truths
from monitord.core.subjects.pipeline_settings import NAME, prepared, settings
from monitord.core.subjects.pipeline_stages import COLLECTION, PUBLISHING, TREE_STAGE

(_SIGNALS,) = TABLES
SEALING, ROOTS, QUEUE, CLAIMS = "sealing", "recomputed roots", "queue", "claims"
STAGES: Final = (COLLECTION, SEALING, ROOTS, TREE_STAGE, PUBLISHING, QUEUE, CLAIMS)
# Tables without which a stage is not watched.
_TABLE_OF: Final = {COLLECTION: _SIGNALS, TREE_STAGE: "l2_tree_cache", PUBLISHING: "sealed_epochs"}


@dataclass(frozen=True, slots=True)
class GroupPipeline:
    """What each stage has come to for a group.

    `joined` have taken part in the running epoch so far, `joined_usual` usually had by then on the days before;
    `took_part` in the newest whole epoch, each channel for itself, and `viewers` are the users among them.
    `sealing_delay_seconds` is that of the newest label, `unsealed_channels` how many took part in it and are not
    sealed. `trees_behind` are labels, the percentages those of a label's seals that have a tree. `wrong` are seals by
    what is wrong with them. `latest` are the channels sealed last and their labels.
    """

    joined: int | None = None
    joined_usual: int | None = None
    took_part: int | None = None
    viewers: int | None = None
    sealing_delay_seconds: float | None = None
    unsealed_channels: int | None = None
    trees_behind: int | None = None
    trees_percent: float | None = None
    trees_usual_percent: float | None = None
    uncategorised: int | None = None
    wrong: Mapping[str, int] | None = None
    latest: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class RecomputedSeal:
    """The seal of a group that was recomputed last: MATCH, MISMATCH or UNVERIFIABLE, and when (Unix seconds)."""

    result: str
    channel: str
    epoch: int
    at: float


@dataclass(frozen=True, slots=True)
class CaseStatus:
    """What is true of a test case; None: that is not known. `ready`: all of it; `summary` says it in a sentence."""

    root: bool | None
    participants: bool | None
    proof: bool | None
    published: bool | None
    chain: bool | None
    ready: bool | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """The stages. `not_watched` says of each that is not why; what could not be measured is None.

    `backlog_at_least`: there may be more that is unpublished or eligible, not all seals were looked at yet.
    `signed_age_seconds` is how long ago the roots and trees of all of the window were looked at,
    `published_age_seconds` how old what is unpublished, eligible and published is.
    """

    groups: Mapping[str, GroupPipeline]
    signals_per_hour: float | None
    newest_signal_age_seconds: float | None
    unpublished: int | None
    eligible: int | None
    published_last_hour: int | None
    publishing_eta_seconds: float | None
    oldest_eligible_seconds: float | None
    queue_waiting: int | None
    recomputed: Mapping[str, RecomputedSeal]
    test_cases: Mapping[str, CaseStatus]
    not_watched: Mapping[str, str]
    signed_age_seconds: float | None = None
    published_age_seconds: float | None = None
    backlog_at_least: bool | None = None


def _status(history: History, orders: StandingOrders, now: float) -> PipelineStatus | None:
    if NAME not in orders.probes:
        return None
    reading = base.asked(NAME, history, orders)
    found = reading or Reading(NAME)
    at = judged_at(history, now)
    newest, since = found.number("newest_signal"), found.number("eligible_since")
    eligible, lately = found.number("eligible"), found.number("published_lately")
    table = postgres_status.GROWTH.build(history, orders, now).get(_SIGNALS)
    queues = redis_status.STATUS.build(history, orders, now).queues
    return PipelineStatus(
        groups={group: _group(group, found, history, orders) for group in orders.groups},
        signals_per_hour=None if table is None else table.rows_per_hour,
        newest_signal_age_seconds=None if newest is None else round(max(0.0, at - newest), 3),
        unpublished=base.whole(found.number("unpublished")),
        eligible=base.whole(eligible),
        published_last_hour=base.whole(lately),
        publishing_eta_seconds=round(eligible / lately * 3600, 1)
        if eligible and lately
        else 0.0
        if eligible == 0
        else None,
        oldest_eligible_seconds=None if since is None or not eligible else round(max(0.0, at - since), 3),
        queue_waiting=queues[TREES].waiting if TREES in queues else None,
        recomputed={group: one for group in orders.groups if (one := _recomputed(group, found)) is not None},
        test_cases={case.name: _case(case, found, on_chain(case, history, orders)) for case in prepared(orders)},
        not_watched={} if reading is None else _not_watched(found, orders, TREES in queues),
        signed_age_seconds=base.age(found.number("signed"), server_now(history, now)),
        published_age_seconds=base.age(found.number("published_read"), server_now(history, now)),
        backlog_at_least=flag(found.number("unpublished_capped")),
    )


def _recomputed(group: str, reading: Reading) -> RecomputedSeal | None:
    result, channel = reading.word("verified", group=group), reading.word("verified_channel", group=group)
    epoch, at = reading.number("verified_label", group=group), reading.number("verified_at", group=group)
    if result is None or channel is None or epoch is None or at is None:
        return None
    return RecomputedSeal(result, channel, int(epoch), round(at, 3))


def _case(case: PreparedCase, reading: Reading, there: base.RootOnChain) -> CaseStatus:
    ready, summary = shown(case, reading, there)
    return CaseStatus(**truths(case, reading, there), ready=ready, summary=summary)


def _not_watched(reading: Reading, orders: StandingOrders, queue: bool) -> Mapping[str, str]:
    """Why a stage is not watched. A table that was there before and is gone is missed: another rule says so."""
    there = reading.values("there", "table")
    absent = {stage: f"there is no table {name}" for stage, name in _TABLE_OF.items() if not there.get(name)}
    if not queue:
        absent[QUEUE] = f"no queue {TREES} is watched"
    if settings(orders).verify == "off":
        absent[ROOTS] = "MONITORD_PIPELINE__VERIFY is off"
    elif trouble := reading.word("verify_trouble"):
        absent[ROOTS] = trouble
    return absent if asks_chain(orders) else {**absent, CLAIMS: "nothing is asked of the chain"}


def _group(group: str, reading: Reading, history: History, orders: StandingOrders) -> GroupPipeline:
    def number(name: str) -> float | None:
        return reading.number(name, group=group)

    learned = history.learned.get(group, NOTHING_LEARNED)
    newest = max((one for one, _ in history.sealed.get(group, ())), default=None)
    seen = learned.completeness
    wrong = {
        one.label("kind"): one.value
        for one in reading.named("trouble")
        if one.label("group") == group and isinstance(one.value, int)
    }
    latest = {
        one.label("channel"): one.value
        for one in reading.named("channel_latest")
        if one.label("group") == group and isinstance(one.value, int)
    }
    return GroupPipeline(
        joined=base.whole(number("joined")),
        joined_usual=base.whole(number("joined_usual")),
        took_part=base.whole(number("took_part")),
        viewers=base.whole(number("viewers")),
        sealing_delay_seconds=None if newest is None else learned.delays.get(newest),
        unsealed_channels=None if seen.newest is None else seen.unsealed.get(seen.newest),
        trees_behind=base.whole(number("trees_behind")),
        trees_percent=number("trees_share"),
        trees_usual_percent=number("trees_usual"),
        uncategorised=base.whole(number("uncategorised")),
        wrong=wrong or None,
        latest=latest or None,
    )


STATUS: Final[base.StatusSection[PipelineStatus | None]] = base.StatusSection(NAME, PipelineStatus | None, _status)


METRICS: Final[tuple[base.MetricGroup[Any], ...]] = (
    base.metric_group(
        PipelineStatus,
        base.where_watched(STATUS, lambda found: {"": found}),
        ("pipeline_newest_signal_age_seconds", "How long ago the newest signal was sent.", "newest_signal_age_seconds"),
        ("pipeline_unpublished_seals", "Seals that are not published.", "unpublished"),
        ("pipeline_eligible_seals", "Seals that are unpublished and have a tree: they could be published.", "eligible"),
        ("pipeline_published_last_hour", "Seals that were published within the last hour.", "published_last_hour"),
        (
            "pipeline_oldest_eligible_seconds",
            "How long the oldest seal that could be published has waited.",
            "oldest_eligible_seconds",
        ),
    ),
    base.metric_group(
        GroupPipeline,
        base.where_watched(STATUS, lambda found: found.groups),
        ("pipeline_participants", "Who took part in the newest whole epoch.", "took_part"),
        ("pipeline_viewers", "The different users who took part in the newest whole epoch.", "viewers"),
        ("pipeline_joined", "Who has taken part in the running epoch so far.", "joined"),
        (
            "pipeline_sealing_delay_seconds",
            "How long after it fell due the newest label was sealed.",
            "sealing_delay_seconds",
        ),
        ("pipeline_trees_behind_labels", "Labels without their trees an epoch after they were sealed.", "trees_behind"),
        (
            "pipeline_trees_ratio",
            "The share of the seals of the newest label that is due that have a tree.",
            "trees_percent",
            base.ratio,
        ),
        base.MetricFamily(
            "pipeline_wrong_seals",
            "Seals in the window that something is wrong with, by what it is.",
            lambda one: one.wrong,
            by="kind",
        ),
        label="group",
    ),
)


def _took_part(context: RollupContext) -> Mapping[str, float | None]:
    """Those who took part in a label, each channel for itself, once it is the newest whole one, or is read late."""
    reading = context.history.reading(NAME) or Reading(NAME)
    before, now = context.before.pipeline.newest, context.history.pipeline.newest
    missed, late = context.before.pipeline.missed, took_part_late(reading)
    found: dict[str, float | None] = {}
    for group in set(context.orders.groups) & now.keys():
        is_new = group in before and now[group] > before[group]
        newest = reading.number("took_part", group=group) if is_new else 0.0
        since = sum(late.get((group, label), 0) for label in missed.get(group, ()))
        found[group] = newest if newest is None else newest + since
    return found


ROLLUPS: Final[tuple[RollupFamily, ...]] = (
    RollupFamily("participants", "participants of an epoch", "level", metric(METRICS, "pipeline_participants")),
    RollupFamily("took_part", "participants", "increase", _took_part),
    RollupFamily("viewers", "unique viewers of an epoch", "level", metric(METRICS, "pipeline_viewers")),
    RollupFamily("unpublished", "unpublished seals", "level", metric(METRICS, "pipeline_unpublished_seals")),
)


def section(context: base.SectionContext) -> Iterator[Block]:
    found = context.report.of(STATUS)
    if found is None:
        return
    cases = tuple(
        (_READY[case.ready], f"test case: {case.summary[:1].lower()}{case.summary[1:]}{_JUDGED[case.ready]}")
        for case in found.test_cases.values()
    )
    if context.report.probes[NAME].status != "ok":
        if cases:
            yield Bullets(cases)
        return
    yield Bullets((*(_line(stage, found, context) for stage in STAGES), *cases))
    if context.history is not None and context.history.pipeline.names:
        yield Paragraph("sealed_participants holds user names beside the hashes; monitord reads none of them.", "dim")
    latest = tuple((f"{group} sealed last", _latest(one.latest)) for group, one in found.groups.items() if one.latest)
    if latest:
        yield FactTable(latest)


def _latest(channels: Mapping[str, int]) -> str:
    by_label: dict[int, list[str]] = {}
    for channel, at in channels.items():
        by_label.setdefault(at, []).append(channel)
    return "; ".join(f"{label(at)}: {', '.join(names)}" for at, names in by_label.items())


def _line(stage: str, found: PipelineStatus, context: base.SectionContext) -> tuple[Style | None, str]:
    if why := found.not_watched.get(stage):
        return None, f"{stage}: not watched, {why}"
    words, style = _WORDS[stage](found, context), _style(stage, found, context)
    if stage == CLAIMS:  # how it is, is in the chain's own section
        return None, f"{stage}: {words}"
    return ("unknown" if style == "ok" and UNKNOWN in words else style), f"{stage}: {words}"


def _style(stage: str, found: PipelineStatus, context: base.SectionContext) -> Style:
    """The worst that is confirmed of a stage; what is confirmed of the seals of a group is with the sealing."""
    members = found.groups if stage == SEALING else (stage,)
    marks: list[Severity] = [mark for member in members if (mark := context.severity(member)) is not None]
    return "critical" if "critical" in marks else "warning" if marks else "ok"


def _collection(found: PipelineStatus, context: base.SectionContext) -> str:
    rate = worded(humanize.count, found.signals_per_hour)
    parts = [f"{rate} signals an hour, the newest {worded(humanize.duration, found.newest_signal_age_seconds)} old"]
    now = [
        f"{group} {humanize.count(one.joined)}{_usual(one)}"
        for group, one in found.groups.items()
        if one.joined is not None
    ]
    took, viewers = _of_each(found, lambda one: one.took_part), _of_each(found, lambda one: one.viewers)
    if now:
        parts.append(f"participants so far: {', '.join(now)}")
    elif took:
        parts.append(f"participants of the last epoch: {took}")
    if viewers:
        parts.append(f"unique viewers of the last epoch: {viewers}")
    return "; ".join(parts)


def _of_each(found: PipelineStatus, many: Callable[[GroupPipeline], int | None]) -> str:
    known = {group: number for group, one in found.groups.items() if (number := many(one)) is not None}
    return ", ".join(f"{group} {humanize.count(number)}" for group, number in known.items())


def _usual(one: GroupPipeline) -> str:
    return "" if one.joined_usual is None else f" (usually {humanize.count(one.joined_usual)})"


def _sealing(found: PipelineStatus, context: base.SectionContext) -> str:
    sealed = context.report.of(epochs_status.GROUPS)
    expected = calendar(context.orders).expected(context.now)
    parts, wrong = [], []
    for group, one in found.groups.items():
        newest = sealed[group].latest if group in sealed else None
        after = "" if one.sealing_delay_seconds is None else f" after {humanize.duration(one.sealing_delay_seconds)}"
        late = "" if newest is None or newest >= expected else " (behind)"
        lacking = f", {humanize.plural(one.unsealed_channels, 'channel')} unsealed" if one.unsealed_channels else ""
        parts.append(f"{group} {worded(humanize.clock, newest)}{after}{late}{lacking}")
        wrong += [f"{many} of {group} {_KINDS.get(kind, kind)}" for kind, many in (one.wrong or {}).items() if many]
    return "; ".join([", ".join(parts), *wrong])


_READY: Final[Mapping[bool | None, Style]] = {True: "ok", False: "warning", None: "unknown"}
# What a test case that is not ready comes to: nothing is wrong with what runs.
_IN_REPORT: Final = " It counts in the report; it is no alert."
_JUDGED: Final[Mapping[bool | None, str]] = {True: "", False: _IN_REPORT, None: _IN_REPORT}
# What is wrong with seals, in a few words.
_KINDS: Final = {
    "empty": "without a root",
    "duplicate": "with another's root",
    "unlike": "unlike the tree",
    "miscounted": "counted otherwise by the tree",
    "oversized": "too large to be claimed",
    "mismatch": "recomputed to another root",
}


def _roots(found: PipelineStatus, context: base.SectionContext) -> str:
    each = [
        f"{group} {one.result} ({one.channel} {label(one.epoch)}, at {humanize.clock(one.at)})"
        for group, one in found.recomputed.items()
    ]
    return ", ".join(each) or f"{UNKNOWN}, none was recomputed yet"


def _trees(found: PipelineStatus, context: base.SectionContext) -> str:
    shares = [f"{group} {worded('{:g}%'.format, one.trees_percent)}" for group, one in found.groups.items()]
    behind = [
        f"{group} is {humanize.plural(one.trees_behind, 'label')} behind"
        for group, one in found.groups.items()
        if one.trees_behind
    ]
    return "; ".join([f"built of the newest label that is due: {', '.join(shares)}", *behind])


def _publishing(found: PipelineStatus, context: base.SectionContext) -> str:
    eligible, unpublished = worded(humanize.count, found.eligible), worded(humanize.count, found.unpublished)
    at_least = "at least " if found.backlog_at_least else ""
    parts = [
        f"{at_least}{eligible} of {unpublished} unpublished could be published",
        f"{worded(humanize.count, found.published_last_hour)} were in the last hour",
    ]
    if found.oldest_eligible_seconds is not None:
        parts.append(f"the oldest waits for {humanize.duration(found.oldest_eligible_seconds)}")
    if found.eligible and found.publishing_eta_seconds is not None:
        parts.append(f"done in {humanize.duration(found.publishing_eta_seconds)} at this rate")
    return "; ".join(parts)


def _queue(found: PipelineStatus, context: base.SectionContext) -> str:
    return f"{worded(humanize.count, found.queue_waiting)} waiting in {TREES}"


_WORDS: Final = {
    COLLECTION: _collection,
    SEALING: _sealing,
    ROOTS: _roots,
    TREE_STAGE: _trees,
    PUBLISHING: _publishing,
    QUEUE: _queue,
    CLAIMS: lambda *_: "published roots are held against the chain, which has a section of its own",
}
