"""Judgement of sealed roots: empty, one for two seals, not the one remembered, and trees that are not of their seal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from monitord.core import humanize
from monitord.core.history.clocks import judged_at
from monitord.core.history.database import unlike
from monitord.core.history.epochs import window_seconds
from monitord.core.history.model import History
from monitord.core.history.pipeline import adopt_roots
from monitord.core.model import Alert, Finding, Observation, Reading
from monitord.core.orders import StandingOrders
from monitord.core.subjects import base
from monitord.core.subjects.pipeline_settings import NAME

# A channel's account on the chain has room for so many claims of one label.
MOST_CLAIMS: Final = 8192
_MOST_NAMED: Final = 5
_UNREAD: Final = "the seals cannot be read"
_UNTOLD: Final = "the reading does not tell"
# What a trouble is read from beside the seals: each list is enough by itself.
_READ_FROM: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "unlike": (("l2_tree_cache",),),
    "miscounted": (("l2_tree_cache", "sealed_participants"),),
    "oversized": (("l2_tree_cache",), ("sealed_participants",)),
}


def _count(reading: Reading, kind: str, group: str) -> int | str | None:
    """How many seals of a group have this trouble, or why it is not known; None where no table tells it."""
    many = reading.number("trouble", kind=kind, group=group)
    if many is not None:
        return int(many)
    if next(reading.named("trouble"), None) is None:
        return _UNREAD
    there = reading.values("there", "table")
    ways = _READ_FROM.get(kind, ((),))
    is_told_nowhere = all(any(there.get(table) == 0 for table in tables) for tables in ways)
    return None if is_told_nowhere else _UNTOLD


def _seals(reading: Reading, kind: str, group: str) -> list[tuple[int, str]]:
    """The seals by name, (label, channel), the newest first."""
    return [
        (int(one.label("epoch")), one.label("channel"))
        for one in reading.named("trouble_seal")
        if one.label("kind") == kind and one.label("group") == group
    ]


def _named(seals: list[tuple[int, str]], many: int) -> str:
    named = [f"{channel} {humanize.label(label)}" for label, channel in seals]
    return ", ".join(named) + (f" and {humanize.count(many - len(seals))} more" if many > len(seals) else "")


def _of_kind(
    kind: str, reading: Reading, group: str, finding: Callable[[int, list[tuple[int, str]]], Finding]
) -> base.Answer:
    """What is found of the seals that have this trouble: of how many, and those that are known by name."""
    many = _count(reading, kind, group)
    if many is None:
        return base.NOT_JUDGED
    return many if isinstance(many, str) else finding(many, _seals(reading, kind, group)) if many else None


def _evidence(group: str, seals: list[tuple[int, str]]) -> Mapping[str, object]:
    return {
        "group": group,
        "labels": sorted({label for label, _ in seals}),
        "channels": sorted({channel for _, channel in seals}),
        "seals": _places(seals),
    }


def _places(seals: list[tuple[int, str]]) -> list[str]:
    return [f"{label}/{channel}" for label, channel in seals]


def _have(many: int) -> str:
    return "has" if many == 1 else "have"


@base.of_each(lambda orders: orders.groups)
def root_empty(group: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """A seal with participants has no root, or one of zeros."""

    def finding(many: int, seals: list[tuple[int, str]]) -> Finding:
        summary = (
            f"{humanize.plural(many, 'seal')} of {group} with participants {_have(many)} an empty or zero root: "
            f"{_named(seals, many)}."
        )
        advice = f"Have {group} sealed again; do not publish these roots: nobody could claim by them."
        return Finding("root_empty", group, "critical", many, 0, "seals", summary, _evidence(group, seals), advice)

    return _of_kind("empty", observation.readings[NAME], group, finding)


@base.of_each(lambda orders: orders.groups)
def root_duplicate(group: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """Two channels or labels have one root: a leaf holds both, so no two true roots are alike."""

    def finding(many: int, seals: list[tuple[int, str]]) -> Finding:
        summary = (
            f"{humanize.plural(many, 'root')} of {group} {'is' if many == 1 else 'are'} that of several: "
            f"{_named(seals, len(seals))}."
        )
        advice = "Recompute these seals with `monitord verify` and have those that do not match sealed again."
        return Finding("root_duplicate", group, "critical", many, 0, "roots", summary, _evidence(group, seals), advice)

    return _of_kind("duplicate", observation.readings[NAME], group, finding)


@base.of_each(lambda orders: orders.groups)
def root_changed(group: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """The roots of a sealed label are not the ones that were remembered of it, though nothing was sealed later."""
    reading = observation.readings[NAME]
    if next(reading.named("roots"), None) is None and next(reading.named("trouble"), None) is None:
        return _UNREAD
    if unlike(history):
        return "it is another database"
    changed = history.pipeline.changed.get(group, ())
    if not changed:
        return None
    labels = [one.label for one in changed]
    suspects = [(label, channel) for label, channel in _seals(reading, "unlike", group) if label in labels]
    of_which = f": {_named(suspects, len(suspects))} is not the root of its tree" if suspects else ""
    gone = any(_seals_of(one.now) < _seals_of(one.was) for one in changed)
    summary = (
        f"Roots of {group} were rewritten{' or taken away' if gone else ''} after they were sealed, in "
        f"{humanize.listed([humanize.label(label) for label in labels])}{of_which}."
    )
    evidence = {
        "group": group,
        "labels": labels,
        "was": [one.was for one in changed],
        "now": [one.now for one in changed],
        "channels": sorted({channel for _, channel in suspects}),
        "seals": _places(suspects),
    }
    advice = (
        f"Recompute these labels with `monitord verify --group {group} --epoch {labels[-1]}`, and find out who "
        "wrote to sealed_epochs. If the change is meant, acknowledge this alert: the present roots are then "
        "the known ones."
    )
    return Finding("root_changed", group, "critical", len(labels), 0, "labels", summary, evidence, advice)


def _seals_of(word: str) -> int:
    return int(word.partition(":")[0])


# What of a tree may be another than of its seal, by the trouble.
_MISMATCHES: Final = {"unlike": "root", "miscounted": "number of participants"}


@base.of_each(lambda orders: orders.groups)
def tree_mismatch(group: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """A tree has another root, or another number of participants, than its seal."""
    reading = observation.readings[NAME]
    counts = {kind: _count(reading, kind, group) for kind in _MISMATCHES}
    found = {kind: many for kind, many in counts.items() if isinstance(many, int) and many}
    if not found:
        unread = next((many for many in counts.values() if isinstance(many, str)), None)
        return unread if any(many is not None for many in counts.values()) else base.NOT_JUDGED
    parts = [
        f"{humanize.plural(many, 'tree')} of {group} {_have(many)} another {_MISMATCHES[kind]} than the seal: "
        f"{_named(_seals(reading, kind, group), many)}"
        for kind, many in found.items()
    ]
    evidence = _evidence(group, [seal for kind in found for seal in _seals(reading, kind, group)])
    advice = (
        "Recompute these seals with `monitord verify`: it says whether the seal or the tree is wrong. The "
        "publisher takes its root from the tree."
    )
    many, summary = sum(found.values()), f"{'; '.join(parts)}."
    return Finding("tree_mismatch", group, "warning", many, 0, "trees", summary, evidence, advice)


@base.of_each(lambda orders: orders.groups)
def tree_too_large(group: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """A seal has more participants than its channel's account on the chain has room for claims."""

    def finding(many: int, seals: list[tuple[int, str]]) -> Finding:
        summary = (
            f"{humanize.plural(many, 'seal')} of {group} {_have(many)} more than {humanize.count(MOST_CLAIMS)} "
            f"participants: {_named(seals, many)}."
        )
        advice = "They cannot be published whole: have such channels sealed in parts."
        return Finding("tree_too_large", group, "warning", many, 0, "seals", summary, _evidence(group, seals), advice)

    return _of_kind("oversized", observation.readings[NAME], group, finding)


@base.of_each(lambda orders: orders.groups)
def root_mismatch(group: str, observation: Observation, history: History, orders: StandingOrders) -> base.Answer:
    """A seal was recomputed from its participants, twice, and its root is another. What cannot be verified is none."""
    reading, kept = observation.readings[NAME], history.pipeline.mismatched.get(group, ())
    if not kept:
        return None if reading.word("verified", group=group) is not None else base.NOT_JUDGED
    seals = [(int(label), channel) for label, _, channel in (seal.partition("/") for seal in reversed(kept))]
    why = reading.word("mismatch", group=group) or ""
    many = len(seals)
    summary = (
        f"{humanize.plural(many, 'seal')} of {group} {_have(many)} another root than the participants "
        f"give: {_named(seals[:_MOST_NAMED], many)}{f' ({why})' if why else ''}."
    )
    advice = (
        f"Run `monitord verify --group {group} --since 24h` to see which others do not match; publish none of "
        "them, and have them sealed again."
    )
    return Finding("root_mismatch", group, "critical", many, 0, "seals", summary, _evidence(group, seals), advice)


def _same_seals(stronger: Finding, weaker: Finding) -> bool:
    """Whether the stronger finding is about each seal of the weaker one; by their labels where it names none."""
    for what in ("seals", "labels"):
        mine, its = (finding.evidence.get(what) for finding in (stronger, weaker))
        if isinstance(mine, list | tuple) and isinstance(its, list | tuple) and mine and its:
            return set(its) <= set(mine)
    return False


def _left_window(alert: Alert, history: History, orders: StandingOrders) -> str:
    """Why what was wrong is over where nobody put it right: its labels are out of the window that is read."""
    labels = alert.finding.evidence.get("labels")
    oldest = judged_at(history, history.at or 0.0) - window_seconds(orders)
    is_out = (
        isinstance(labels, list | tuple) and bool(labels) and all(isinstance(x, int) and x < oldest for x in labels)
    )
    return base.LEFT_WINDOW if is_out else ""


def _right_now(alert: Alert, at: base.RecoveryContext) -> str:
    if _left_window(alert, at.history, at.orders):
        return f"What was wrong of {alert.subject} has left the window that is looked at, as it was."
    return f"The seals of {alert.subject} in the window are as expected again."


def _wrong_roots(alert: Alert, orders: StandingOrders) -> base.EpochImpact:
    return (
        base.NONE,
        f"seals of {alert.subject} are not to be trusted until they are recomputed",
        "claims by these roots fail, or pay whom they should not",
    )


_RUNBOOK: Final = (
    "monitord verify --group {name}",
    "SELECT epoch, channel, token_group, category, root, to_timestamp(sealed_at), published FROM sealed_epochs "
    "WHERE epoch > extract(epoch FROM now()) - 86400 AND token_group = {literal} ORDER BY sealed_at DESC LIMIT 20",
    "{pm2} logs {sealer} --lines 50 --nostream",
)
_of_root = partial(
    base.Rule,
    probe=NAME,
    severities=("critical",),
    over=_left_window,
    runbook=_RUNBOOK,
    impact=base.Impact("roots of what was sealed are wrong", _wrong_roots),
    blocking=lambda *_: ("claims",),
    recovered=_right_now,
    criterion="pipeline_true",
)
TREE_MISMATCH = _of_root(
    severities=("warning",),
    evaluate=tree_mismatch,
    impact=base.Impact(
        "trees are not those of what was sealed",
        (base.NONE, base.NONE, "what is published is the tree's root: proofs of the seal fail against it"),
    ),
    blocking=lambda *_: (),
)
TREE_TOO_LARGE = _of_root(
    severities=("warning",),
    evaluate=tree_too_large,
    impact=base.Impact(
        "a seal is too large to be claimed whole",
        (base.NONE, base.NONE, f"participants past the first {humanize.count(MOST_CLAIMS)} cannot claim"),
    ),
    blocking=lambda *_: (),
)
ROOT_MISMATCH = _of_root(evaluate=root_mismatch, replaces=(base.Replaces(TREE_MISMATCH, when=_same_seals),))
_SAID_WITH_IT: Final = tuple(base.Replaces(weaker, when=_same_seals) for weaker in (ROOT_MISMATCH, TREE_MISMATCH))
ROOT_CHANGED = _of_root(evaluate=root_changed, adopt=adopt_roots, replaces=_SAID_WITH_IT)
ROOT_EMPTY = _of_root(evaluate=root_empty, replaces=_SAID_WITH_IT)
ROOT_DUPLICATE = _of_root(evaluate=root_duplicate)
RULES = (ROOT_EMPTY, ROOT_DUPLICATE, ROOT_CHANGED, ROOT_MISMATCH, TREE_MISMATCH, TREE_TOO_LARGE)
