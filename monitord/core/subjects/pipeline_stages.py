"""Judgement of the stages: signals grow old, participants stay away, trees are behind, nothing is published."""

from functools import partial
from typing import Final

from monitord.core import humanize
from monitord.core.anomalies.pipeline import HALF, has_dropped
from monitord.core.dependencies import feeders
from monitord.core.history.clocks import DISAGREE, disagree, judged_at
from monitord.core.history.model import History
from monitord.core.model import Alert, Finding, Observation, Reading
from monitord.core.orders import TABLES, TREES, StandingOrders
from monitord.core.subjects.base import NONE, NOT_JUDGED, Answer, Impact, RecoveryContext, Rule, of_each, of_one
from monitord.core.subjects.pipeline_settings import NAME, builders, publishers, settings
from monitord.core.subjects.tables import fed_by

# The stages that alerts are about; a table's own rules speak of the table.
COLLECTION, TREE_STAGE, PUBLISHING = "collection", "trees", "publishing"
(_SIGNALS,) = TABLES
_STALLED = "publishing_stalled"
_NOT_COUNTED = "it is not known who takes part"
_NOT_COMPARED = "the days before are not read yet"


@of_one(COLLECTION)
def signals_stale(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """The newest signal is old, whatever comes into its table: what arrives is of the past, or nothing does."""
    reading = observation.readings[NAME]
    if reading.number("there", table=_SIGNALS) == 0:
        return NOT_JUDGED
    found, limit = reading.number("newest_signal"), orders.flow_stall.total_seconds()
    if next(reading.named("newest_signal"), None) is None:
        return "the signals cannot be read"
    if disagree(history):
        return DISAGREE
    now, length = judged_at(history, observation.now.timestamp()), orders.epoch_length.total_seconds()
    age = now - found if found is not None else now % length + length  # neither this epoch nor the last has any
    # While Postgres itself was away nothing could be written.
    away = 0.0 if found is None else history.absent_seconds("postgres", found, observation.now.timestamp())
    if age - away <= limit:
        return None
    how_old = humanize.duration(age)
    text = f"The newest signal in {_SIGNALS} was sent {how_old} ago, at {humanize.moment(found or 0.0, now)}."
    summary = text if found is not None else f"No signal in {_SIGNALS} is of this epoch or the last one."
    evidence = {"newest_signal": None if found is None else humanize.clock(found)}
    advice = "Look at what listens to the channels: is it connected, and does what it writes carry the present time?"
    return Finding("signals_stale", COLLECTION, "warning", round(age, 3), limit, "seconds", summary, evidence, advice)


@of_each(lambda orders: orders.groups)
def participants_dropped(group: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """Far fewer took part for a group in the newest whole epoch than at the same hour of the days before."""
    reading = observation.readings[NAME]
    took, least, days = (reading.numbers(name, "group") for name in ("took_part", "took_part_least", "took_part_days"))
    if not orders.learned_warnings:
        return NOT_JUDGED
    now, fewest, many = (of.get(group) for of in (took, least, days))
    if now is None:
        return _NOT_COUNTED
    if many is None or (many and fewest is None):
        return _NOT_COMPARED
    if fewest is None or not has_dropped(int(now), (int(fewest),) * int(many)):
        return None
    summary = (
        f"{humanize.plural(now, 'participant')} took part for {group} in the newest whole epoch; at the same "
        f"hour of the last {many:g} days it was never below {humanize.count(fewest)}."
    )
    evidence = {"fewest_before": int(fewest), "days": int(many), "group": group}
    advice = f"Look at what listens to the channels of {group}, and whether they are on the air."
    limit = round(fewest * HALF)
    return Finding("participants_dropped", group, "warning", int(now), limit, "participants", summary, evidence, advice)


@of_one(TREE_STAGE)
def tree_behind(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """An epoch after they were sealed, the newest labels have no trees, or far fewer than is usual."""
    reading = observation.readings[NAME]
    due = {group: many for group, many in _counts(reading, "trees_due").items() if many}
    if not due:
        if reading.number("there", table="l2_tree_cache") == 1:
            return "nothing that was sealed can be compared with its trees"
        return NOT_JUDGED
    behind = _behind(reading, due, history)
    if not behind and any(_counts(reading, name).keys() != _groups(reading) for name in ("trees_due", "trees_behind")):
        return "it is not told of all groups how many labels lack their trees"
    if not behind:
        return None
    newest = reading.values("trees_label", "group")
    worst = max(behind.values())
    each = [f"{group} for {humanize.plural(many, 'label')}" for group, many in behind.items()]
    channels = sorted({one.label("channel") for one in reading.named("untreed")})
    oldest = min(label for group in behind if isinstance(label := newest.get(group), int))
    summary = (
        f"The tree cache is behind what is sealed: an epoch later there are none of {humanize.listed(each)}, or "
        "far fewer than usual."
    )
    evidence = {"behind": behind, "oldest_label": oldest, "channels": channels}
    advice = "Look at what builds the trees: is it alive, does its queue move, does it log errors?"
    return Finding("tree_behind", TREE_STAGE, "warning", worst, 0, "labels", summary, evidence, advice)


def _behind(reading: Reading, due: dict[str, int], history: History) -> dict[str, int]:
    """By group how many labels lack their trees. A group that has never had any lacks none while another has some."""
    found = _counts(reading, "trees_behind")
    usual = reading.values("trees_usual", "group")
    is_dead = not any(usual.get(group) for group in due)
    behind = {
        group: found.get(group, 0) if usual.get(group) else many
        for group, many in due.items()
        if usual.get(group) or group in history.pipeline.treed or is_dead
    }
    return {group: many for group, many in behind.items() if many}


def _groups(reading: Reading) -> set[str]:
    return {one.label("group") for name in ("trees_due", "trees_behind") for one in reading.named(name)}


def _counts(reading: Reading, name: str) -> dict[str, int]:
    return {group: many for group, many in reading.values(name, "group").items() if isinstance(many, int)}


@of_one(PUBLISHING)
def publishing_stalled(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """There is something to publish (sealed, with a tree, unpublished), and nothing was for too long."""
    reading = observation.readings[NAME]
    eligible = reading.number("eligible")
    if eligible is None:
        if next(reading.named("unpublished"), None) is not None:
            return "what could be published is not known without the trees"
        return NOT_JUDGED
    if disagree(history):
        return DISAGREE
    now, limit = judged_at(history, observation.now.timestamp()), settings(orders).publish_stall.total_seconds()
    last, since = reading.number("published_last"), reading.number("eligible_since")
    if eligible and (since is None or next(reading.named("published_last"), None) is None):
        return "it is not known since when nothing was published"
    waited_from = max(last or 0.0, since if since is not None else now)
    waited = max(0.0, now - waited_from - history.absent_seconds("postgres", waited_from, now))
    if not eligible or waited <= limit:
        is_seen = reading.number("backlog_seen") != 0
        return None if is_seen else "not all seals are looked at yet"
    when = "" if last is None else f"; the last was at {humanize.moment(last, now)}"
    summary = (
        f"{humanize.plural(eligible, 'seal')} {'has' if eligible == 1 else 'have'} a tree and could be published, "
        f"and none was for {humanize.duration(waited)}{when}."
    )
    evidence = {"eligible": int(eligible), "unpublished": reading.number("unpublished")}
    advice = "Look at what publishes: is it alive, has its wallet SOL, does its RPC node answer?"
    return Finding(_STALLED, PUBLISHING, "warning", round(waited, 3), limit, "seconds", summary, evidence, advice)


def _age_now(alert: Alert, at: RecoveryContext) -> str | None:
    reading = at.history.reading(NAME)
    found = None if reading is None else reading.number("newest_signal")
    if found is None:
        return None
    age = humanize.duration(max(0.0, judged_at(at.history, at.now) - found))
    return f"The newest signal was sent {age} ago."


def _took_part_now(alert: Alert, at: RecoveryContext) -> str | None:
    reading = at.history.reading(NAME)
    took = None if reading is None else reading.number("took_part", group=alert.subject)
    if took is None:
        return None
    return f"{humanize.plural(took, 'participant')} took part for {alert.subject} in the newest whole epoch."


def _trees_now(alert: Alert, at: RecoveryContext) -> str | None:
    reading = at.history.reading(NAME)
    shares = {} if reading is None else reading.values("trees_share", "group")
    each = [f"{share:g}% of {group}'s" for group, share in shares.items() if isinstance(share, int | float)]
    return f"Of the newest label that is due, {humanize.listed(each)} seals have their trees." if each else None


def _published_now(alert: Alert, at: RecoveryContext) -> str | None:
    reading = at.history.reading(NAME)
    if reading is None or (eligible := reading.number("eligible")) is None:
        return None
    lately = reading.number("published_lately") or 0
    return (
        f"{humanize.plural(lately, 'seal')} {'was' if lately == 1 else 'were'} published within the last hour; "
        f"{humanize.count(eligible)} could be."
    )


_BUILDER: Final = "{pm2} logs " + TREES + " --lines 50 --nostream"
_LATE_TREES: Final = "trees are built late; what is sealed waits for its proofs"

_rule = partial(Rule, probe=NAME)
SIGNALS_STALE = _rule(
    evaluate=signals_stale,
    roles=frozenset({"flow"}),
    workers=lambda _, orders: (feeders(_SIGNALS, orders),),
    runbook=(
        "{pm2} logs {feeder} --lines 50 --nostream",
        'SELECT epoch, count(*), to_timestamp(max("timestamp")) FROM user_signals '
        "WHERE epoch > extract(epoch FROM now()) - 7200 GROUP BY 1 ORDER BY 1 DESC",
        "{pm2} status",
    ),
    impact=Impact(
        "what is collected is old",
        ("signals of the present are not collected", "epochs will hold fewer participants, or none", NONE),
    ),
    recovered=_age_now,
)
PARTICIPANTS_DROPPED = _rule(
    evaluate=participants_dropped,
    roles=frozenset({"flow"}),
    workers=fed_by,
    runbook=(
        "{pm2} logs {feeder} --lines 50 --nostream",
        "SELECT epoch, to_timestamp(epoch), count(*) FROM channel_participation WHERE epoch > "
        "extract(epoch FROM now()) - 10800 AND token_group = {literal} GROUP BY 1 ORDER BY 1 DESC",
        "{pm2} status",
    ),
    impact=Impact(
        "fewer take part than ever at this hour",
        (
            "a part of the audience may not be collected",
            "epochs hold fewer participants",
            "who is left out cannot claim",
        ),
    ),
    recovered=_took_part_now,
)
TREE_BEHIND = _rule(
    evaluate=tree_behind,
    roles=frozenset({"backlog"}),
    workers=lambda _, orders: (builders(orders),),
    runbook=(
        _BUILDER,
        "SELECT epoch, count(*), to_timestamp(max(built_at)) FROM l2_tree_cache WHERE epoch > "
        "extract(epoch FROM now()) - 86400 GROUP BY 1 ORDER BY 1 DESC LIMIT 10",
        "{pm2} status",
    ),
    impact=Impact(_LATE_TREES, (NONE, NONE, "what has no tree is neither published nor claimed")),
    recovered=_trees_now,
)
PUBLISHING_STALLED = _rule(
    evaluate=publishing_stalled,
    roles=frozenset({"backlog"}),
    workers=lambda _, orders: (publishers(orders),),
    runbook=(
        _BUILDER,
        "SELECT published, count(*), to_timestamp(max(epoch)), max(published_at) FROM sealed_epochs WHERE epoch > "
        "extract(epoch FROM now()) - 86400 GROUP BY 1",
        "{pm2} status",
    ),
    impact=Impact(
        "nothing is published", (NONE, NONE, "what is sealed meanwhile cannot be claimed until it is published")
    ),
    recovered=_published_now,
)
RULES = (SIGNALS_STALE, PARTICIPANTS_DROPPED, TREE_BEHIND, PUBLISHING_STALLED)
