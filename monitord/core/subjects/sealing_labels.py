"""Judgement of which labels each group seals: with gaps, off the calendar, or behind other groups."""

from collections.abc import Mapping

from monitord.core import humanize
from monitord.core.anomalies.sealing_habits import NOTHING_LEARNED
from monitord.core.copying import replace
from monitord.core.history.clocks import DISAGREE, disagree, judged_at
from monitord.core.history.epochs import calendar, seals, window_seconds
from monitord.core.history.model import History
from monitord.core.model import Alert, Finding, Observation
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import LEFT_WINDOW, NONE, Answer, Impact, RecoveryContext, Rule, of_each, of_one
from monitord.core.subjects.epochs_status import GROUPS
from monitord.core.subjects.participation import not_sealed
from monitord.core.subjects.sealing import RUNBOOK, SEALING_SLOW, groups, of_sealing, sealed_now

# Of the grace: for so long after the first group's seal of a label the others are not behind.
FOLLOW_SHARE = 1 / 3
MOST_LEFT_OUT = 100


@of_each(lambda orders: orders.groups)
def sealing_gap(group: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """A group that left a label out although it sealed a later one."""
    if disagree(history):
        return DISAGREE
    found, _ = groups(history, orders)[group]
    if not found.gaps:
        return None
    labels = [humanize.label_at(label) for label in found.gaps]
    summary = f"{group} never sealed {humanize.listed(labels)}, though later epochs are sealed."
    evidence = {"labels": list(found.gaps), "latest": found.latest, "expected": found.expected}
    advice = f"Have {group} seal the missing labels; their participants cannot claim until then."
    return Finding("sealing_gap", group, "warning", len(found.gaps), 0, "labels", summary, evidence, advice)


def update_left_out(history: History, now: float, orders: StandingOrders) -> History:
    """The history after one good reading of the seals: the labels left out, also those that are out of the window."""
    kept: dict[str, tuple[tuple[int, float | None], ...]] = {}
    at = judged_at(history, now)
    for group in orders.groups:
        gaps = seals(history.sealed, group, at, orders, history.empty).gaps
        before = history.left_out.get(group)
        if not before and not gaps:  # nearly always
            continue
        known = dict(before or ())
        labels = [label for label, _ in history.sealed.get(group, ())]
        oldest = min(labels, default=None)
        gone = {
            label: now if left_at is None else left_at
            for label, left_at in known.items()
            if left_at is not None or oldest is None or label < oldest
        }
        found: dict[int, float | None] = dict.fromkeys(gaps)
        if both := sorted({**gone, **found}.items()):
            kept[group] = tuple(both[-MOST_LEFT_OUT:])
    return history if kept == history.left_out else replace(history, left_out=kept)


def left_unsealed(alert: Alert, history: History) -> tuple[int, ...]:
    """The labels of an alert's group that left the window unsealed while it fired."""
    since = alert.since.timestamp()
    return tuple(
        label for label, left_at in history.left_out.get(alert.subject, ()) if left_at is not None and left_at > since
    )


def gap_over(alert: Alert, history: History, orders: StandingOrders) -> str:
    """Why a gap is over where its labels were not sealed after all."""
    return LEFT_WINDOW if left_unsealed(alert, history) else ""


@of_each(lambda orders: orders.groups)
def labels_unaligned(group: str, observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """A group of which seals in the window carry labels that are no start of an epoch: nobody finds them by theirs."""
    reading, length = observation.readings["epochs"], calendar(orders).length
    many = reading.values("unaligned_seals", "group").get(group)
    if not many or not isinstance(many, int):
        return None
    label = reading.values("unaligned_newest", "group").get(group)
    if not isinstance(label, int):
        return None
    off = label % length
    summary = (
        f"{humanize.plural(many, 'seal')} of {group} {'carries' if many == 1 else 'carry'} a label that is no "
        f"start of an epoch, the newest {humanize.label_at(label)}, {humanize.duration(off)} past one."
    )
    evidence = {"label": label, "seconds_past": off, "epoch_seconds": length}
    advice = (
        f"Check how what seals {group} makes its labels, its clock, and test scripts; if its epochs "
        "are of another length, correct MONITORD_EPOCHS__LENGTH."
    )
    return Finding("labels_unaligned", group, "warning", many, 0, "seals", summary, evidence, advice)


def unaligned_over(alert: Alert, history: History, orders: StandingOrders) -> str:
    """Why seals off the grid are over where nobody put them right: their labels are out of the window."""
    label = alert.finding.evidence.get("label")
    at = judged_at(history, history.at or 0.0)
    return LEFT_WINDOW if isinstance(label, int) and label < at - window_seconds(orders) else ""


@of_one("epochs")
def groups_out_of_sync(observation: Observation, history: History, orders: StandingOrders) -> Answer:
    """Groups whose newest due labels differ: two groups of a healthy system move together.

    In a slow hour each seals a label after the grace, and none in the same moment: the others have a share of the
    grace from the first one's seal on.
    """
    if disagree(history):
        return DISAGREE
    found = [group for group, _ in groups(history, orders).values()]
    newest = {group.group: group.latest_due for group in found}
    if newest and not any(newest.values()):
        return "no group has sealed anything that can be compared"
    if len(set(newest.values())) <= 1 or _follow(newest, observation, history, orders):
        return None
    known = [label for label in newest.values() if label is not None]
    behind = [group for group, label in newest.items() if label is None or label < max(known)]
    ahead = [group for group, label in newest.items() if label == max(known)]
    apart = None if None in newest.values() else (max(known) - min(known)) // calendar(orders).length
    how_far = "" if apart is None else f" by {humanize.plural(apart, 'epoch')}"
    summary = (
        f"{humanize.listed(behind)} {'is' if len(behind) == 1 else 'are'} behind {humanize.listed(ahead)}{how_far}."
    )
    evidence = {"newest_due": newest, "expected": found[0].expected}
    advice = f"Check what seals {humanize.listed(behind)}: the other group shows that the rest works."
    return Finding("groups_out_of_sync", "epochs", "warning", apart, 0, "labels", summary, evidence, advice)


def _follow(
    newest: Mapping[str, int | None], observation: Observation, history: History, orders: StandingOrders
) -> bool:
    """Whether the groups that are behind may yet follow: by one label only, which the first has only just sealed."""
    days = calendar(orders)
    labels = [label for label in newest.values() if label is not None]
    first = max(labels)
    if len(labels) < len(newest) or first - min(labels) > days.length:
        return False
    delays = [
        delay
        for group, label in newest.items()
        if label == first and (delay := history.learned.get(group, NOTHING_LEARNED).delays.get(first)) is not None
    ]
    now = judged_at(history, observation.now.timestamp())
    return bool(delays) and now - days.due_at(first) - min(delays) <= days.grace * FOLLOW_SHARE


def _gap_now(alert: Alert, at: RecoveryContext) -> str | None:
    lost = left_unsealed(alert, at.history)
    if not lost:
        return sealed_now(alert, at)
    labels = humanize.listed([f"{label} ({humanize.moment(label, at.now)})" for label in lost])
    return (
        f"{alert.subject} never sealed {labels}: {'it has' if len(lost) == 1 else 'they have'} left the window that is "
        "checked, unsealed."
    )


def _aligned_now(alert: Alert, at: RecoveryContext) -> str | None:
    if unaligned_over(alert, at.history, at.orders):
        label = alert.finding.evidence["label"]
        return (
            f"The seals of {alert.subject} whose labels are no start of an epoch have left the window that is checked, "
            f"as they were; the newest was {label}."
        )
    return f"Every label of {alert.subject} in the window is the start of an epoch again."


def _in_step_now(alert: Alert, at: RecoveryContext) -> str | None:
    newest = {name: group.latest for name, group in at.report.of(GROUPS).items()}
    if not newest or None in newest.values():
        return None
    each = [f"{name} at {humanize.label_at(label)}" for name, label in newest.items() if label is not None]
    return f"The groups are in step again: {humanize.listed(each)}."


SEALING_GAP = of_sealing(evaluate=sealing_gap, over=gap_over, succeeds=(SEALING_SLOW,), recovered=_gap_now)
LABELS_UNALIGNED = Rule(
    probe="epochs",
    evaluate=labels_unaligned,
    over=unaligned_over,
    runbook=RUNBOOK,
    impact=Impact(
        on_epochs=lambda alert, _: (
            NONE,
            f"seals of {alert.subject} carry labels that nothing reads",
            "what carries such a label may not be claimed",
        )
    ),
    recovered=_aligned_now,
)
GROUPS_OUT_OF_SYNC = of_sealing(
    evaluate=groups_out_of_sync,
    roles=frozenset({"sealing", "behind"}),
    impact=Impact(on_epochs=not_sealed("the group that is behind")),
    recovered=_in_step_now,
)
RULES = (SEALING_GAP, LABELS_UNALIGNED, GROUPS_OUT_OF_SYNC)
