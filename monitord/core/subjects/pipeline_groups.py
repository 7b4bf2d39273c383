"""Judgement of who belongs where: channels of a group whose channels are set, groups that nobody knows, categories."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from monitord.core import humanize
from monitord.core.anomalies.pipeline import ENOUGH, HALF, lacks_categories
from monitord.core.history.model import History
from monitord.core.history.pipeline import adopt_members, members
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import NONE, NOT_JUDGED, Answer, Impact, RecoveryContext, Rule, of_each
from monitord.core.subjects.pipeline_settings import NAME

# Seen in the monitored system beside its two groups; nothing of it is published.
KNOWN_GROUPS: Final = frozenset({"OTHER"})
_MOST_NAMED: Final = 5


def group_membership(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A channel that a cemented group did not have, one that is in another group too, or a group that nobody knows."""
    reading, kept = observation.readings[NAME], history.pipeline
    roster, shared = members(reading)
    for group in kept.roster:
        if group not in orders.groups:
            continue
        if group not in roster:
            yield Unknown("group_membership", group, "its channels cannot be read")
            continue
        new = [channel for channel in roster[group] if channel not in kept.roster[group]]
        twice = [pair for pair in shared.get(group, ()) if pair not in kept.shared.get(group, ())]
        if not new and not twice:
            yield Clear("group_membership", group)
            continue
        parts = [f"{humanize.listed(new)} took part for {group}, whose channels are set"] if new else []
        parts += [
            f"{channel} of {group} took part for {other}, too"
            for channel, _, other in (p.partition(">") for p in twice)
        ][:_MOST_NAMED]
        yield _finding(group, len({*new, *twice}), f"{'; '.join(parts)}.", new + [p.partition(">")[0] for p in twice])
    if kept.strangers is None:
        return
    for group, many in reading.values("group_unknown", "group").items():
        if group in kept.strangers or group in KNOWN_GROUPS:
            continue
        if not isinstance(many, int):
            yield Unknown("group_membership", group, "it is not told how many seals are of it")
            continue
        text = f"{humanize.plural(many, 'seal')} in the window {'is' if many == 1 else 'are'} of a group that nobody"
        yield _finding(group, many, f"{text} watches: {group}.", [])


def _finding(subject: str, value: int, summary: str, channels: list[str]) -> Finding:
    evidence = {"group": subject, "channels": channels[:_MOST_NAMED]}
    advice = "If it is meant, acknowledge this alert: it is then known. Else look at what assigns channels to groups."
    return Finding(
        "group_membership", subject, "warning", value, 0, "channels" if channels else "seals", summary, evidence, advice
    )


@of_each(lambda orders: orders.groups)
def category_missing(group: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """Seals of the newest whole label have no category, or far fewer than usual have one of their own."""
    reading = observation.readings[NAME]
    none = reading.number("uncategorised", group=group)
    share = reading.number("categorised", group=group)
    if reading.number("categorised_label", group=group) is None and none is None and share is None:
        return NOT_JUDGED  # nothing of it is sealed
    if none is None or share is None:
        return "it is not told which seals have a category"
    typical = reading.number("categorised_usual", group=group)
    is_lacking = (
        typical is not None and orders.learned_warnings and lacks_categories(share / 100, (typical / 100,) * ENOUGH)
    )
    if not none and not is_lacking:
        return None
    label = reading.number("categorised_label", group=group)
    of_label = "" if label is None else f" of {humanize.label(label)}"
    text = f"{humanize.plural(none, 'seal')} of {group}{of_label} {'has' if none == 1 else 'have'} no category"
    if not none:
        text = f"{share:g}% of the seals of {group}{of_label} have a category of their own; usual is {typical:g}%"
    evidence = {"group": group, "usual_percent": typical}
    advice = (
        f"Look at what finds the categories of {group}'s channels: what is sealed without one is not in the "
        "root of its category."
    )
    value = int(none) if none else share
    limit = 0 if none or typical is None else round(typical * HALF, 1)
    return Finding(
        "category_missing", group, "warning", value, limit, "seals" if none else "percent", f"{text}.", evidence, advice
    )


def _members_now(alert: Alert, at: RecoveryContext) -> str:
    group = alert.subject
    if group not in at.orders.groups:
        return f"No seal in the window is of the group {group} any more, or it is known."
    many = len(at.history.pipeline.roster.get(group, ()))
    return f"The {humanize.plural(many, 'channel')} of {group} are those that are known."


def _categories_now(alert: Alert, at: RecoveryContext) -> str | None:
    reading = at.history.reading(NAME)
    share = None if reading is None else reading.number("categorised", group=alert.subject)
    if share is None:
        return None
    return (
        f"{share:g}% of the newest whole label's seals of {alert.subject} have a category of their own, none lacks one."
    )


_RUNBOOK: Final = (
    "SELECT token_group, category, count(DISTINCT channel), to_timestamp(max(epoch)) FROM sealed_epochs "
    "WHERE epoch > extract(epoch FROM now()) - 86400 GROUP BY 1, 2 ORDER BY 1, 3 DESC",
    "{pm2} logs {sealer} --lines 50 --nostream",
    "{pm2} status",
)
_rule = partial(Rule, probe=NAME, runbook=_RUNBOOK)
GROUP_MEMBERSHIP = _rule(
    evaluate=group_membership,
    absent="clear",
    adopt=adopt_members,
    impact=Impact(
        "channels are in groups where they were not",
        (NONE, "channels may be sealed for a group that is not theirs", "participants may claim another group's token"),
    ),
    recovered=_members_now,
)
CATEGORY_MISSING = _rule(
    evaluate=category_missing,
    impact=Impact(
        "seals carry no category",
        ("categories are not collected", "channels are not sealed under their category", "category roots lack them"),
    ),
    recovered=_categories_now,
)
RULES = (GROUP_MEMBERSHIP, CATEGORY_MISSING)
