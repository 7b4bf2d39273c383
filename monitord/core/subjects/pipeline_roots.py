"""Judgement of sealed roots: empty, one for two seals, not the one remembered, and trees that are not of their seal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from monitord.core import humanize
from monitord.core.copying import replace
from monitord.core.history.clocks import judged_at
from monitord.core.history.database import unlike
from monitord.core.history.epochs import window_seconds
from monitord.core.history.model import History
from monitord.core.history.pipeline import adopt_roots
from monitord.core.model import Alert, Clear, Finding, Judgement, Observation, Reading, Severity, Unknown
from monitord.core.orders import StandingOrders
from monitord.core.subjects.base import NONE, EpochImpact, Impact, RecoveryContext, Replaces, Rule, judged_each
from monitord.core.subjects.pipeline_settings import NAME
from monitord.core.subjects.sealing_labels import LEFT_WINDOW

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


def _count(rule: str, reading: Reading, kind: str, group: str) -> int | Unknown | None:
    """How many seals of a group have this trouble; None where there is no table to read it from.

    Where there is one and no number, it could not be read.
    """
    many = reading.number("trouble", kind=kind, group=group)
    if many is not None:
        return int(many)
    if next(reading.named("trouble"), None) is None:
        return Unknown(rule, group, _UNREAD)
    there = reading.values("there", "table")
    ways = _READ_FROM.get(kind, ((),))
    if all(any(there.get(table) == 0 for table in tables) for tables in ways):
        return None
    return Unknown(rule, group, _UNTOLD)


def _troubles(rule: str, reading: Reading, kind: str, orders: StandingOrders) -> Iterator[tuple[str, int | Unknown]]:
    """Each group, and how many seals of it have this trouble; of none where there is nothing to read it from."""
    for group in orders.groups:
        many = _count(rule, reading, kind, group)
        if many is not None:
            yield group, many


def _seals(reading: Reading, kind: str, group: str) -> list[tuple[int, str]]:
    """The seals by name, (label, channel), the newest first."""
    return [
        (int(one.label("epoch")), one.label("channel"))
        for one in reading.named("trouble_seal")
        if one.label("kind") == kind and one.label("group") == group
    ]


def _named(seals: list[tuple[int, str]], many: int) -> str:
    said = [f"{channel} {humanize.label(label)}" for label, channel in seals]
    return ", ".join(said) + (f" and {humanize.count(many - len(seals))} more" if many > len(seals) else "")


def _finding(
    rule: str,
    group: str,
    seals: list[tuple[int, str]],
    value: int,
    unit: str,
    summary: str,
    recommendation: str,
    severity: Severity = "critical",
) -> Finding:
    """What is wrong with so many of a group's seals, or of what belongs to them; `seals` are those known by name."""
    return Finding(rule, group, severity, value, 0, unit, summary, _evidence(group, seals), recommendation)


def _evidence(group: str, seals: list[tuple[int, str]]) -> Mapping[str, object]:
    return {
        "group": group,
        "labels": sorted({label for label, _ in seals}),
        "channels": sorted({channel for _, channel in seals}),
        "seals": _places(seals),
    }


def _places(seals: list[tuple[int, str]]) -> list[str]:
    return [f"{label}/{channel}" for label, channel in seals]


def root_empty(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A seal with participants has no root, or one of zeros."""
    reading = observation.readings[NAME]

    def finding(group: str, many: int) -> Finding:
        seals = _seals(reading, "empty", group)
        return _finding(
            "root_empty",
            group,
            seals,
            many,
            "seals",
            f"{humanize.plural(many, 'seal')} of {group} with participants {_have(many)} an empty or zero root: "
            f"{_named(seals, many)}.",
            f"Have {group} sealed again; do not publish these roots: nobody could claim by them.",
        )

    return judged_each("root_empty", _troubles("root_empty", reading, "empty", orders), finding)


def _have(many: int) -> str:
    return "has" if many == 1 else "have"


def root_duplicate(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """Two channels or labels have one root: a leaf holds both, so no two true roots are alike."""
    reading = observation.readings[NAME]

    def finding(group: str, many: int) -> Finding:
        seals = _seals(reading, "duplicate", group)
        return _finding(
            "root_duplicate",
            group,
            seals,
            many,
            "roots",
            f"{humanize.plural(many, 'root')} of {group} {'is' if many == 1 else 'are'} that of several: "
            f"{_named(seals, len(seals))}.",
            "Recompute these seals with `monitord verify` and have those that do not match sealed again.",
        )

    return judged_each("root_duplicate", _troubles("root_duplicate", reading, "duplicate", orders), finding)


def root_changed(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """The roots of a sealed label are not the ones that were remembered of it, though nothing was sealed later."""
    reading = observation.readings[NAME]
    if next(reading.named("roots"), None) is None and next(reading.named("trouble"), None) is None:
        yield from (Unknown("root_changed", group, _UNREAD) for group in orders.groups)
        return
    if unlike(history):
        yield from (Unknown("root_changed", group, "it is another database") for group in orders.groups)
        return
    for group in orders.groups:
        changed = history.pipeline.changed.get(group, ())
        if not changed:
            yield Clear("root_changed", group)
            continue
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
        yield Finding("root_changed", group, "critical", len(labels), 0, "labels", summary, evidence, advice)


def _seals_of(word: str) -> int:
    return int(word.partition(":")[0])


# What of a tree may be another than of its seal, by the trouble.
_MISMATCHES: Final = {"unlike": "root", "miscounted": "number of participants"}


def tree_mismatch(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A tree has another root, or another number of participants, than its seal."""
    reading = observation.readings[NAME]

    def each() -> Iterator[tuple[str, dict[str, int] | Unknown]]:
        for group in orders.groups:
            counts = {kind: _count("tree_mismatch", reading, kind, group) for kind in _MISMATCHES}
            found = {kind: many for kind, many in counts.items() if isinstance(many, int) and many}
            unread = next((many for many in counts.values() if isinstance(many, Unknown)), None)
            if found or (unread is None and any(many is not None for many in counts.values())):
                yield group, found
            elif unread is not None:
                yield group, unread

    def finding(group: str, found: dict[str, int]) -> Finding:
        parts = [
            f"{humanize.plural(many, 'tree')} of {group} {_have(many)} another {_MISMATCHES[kind]} than the seal: "
            f"{_named(_seals(reading, kind, group), many)}"
            for kind, many in found.items()
        ]
        return _finding(
            "tree_mismatch",
            group,
            [seal for kind in found for seal in _seals(reading, kind, group)],
            sum(found.values()),
            "trees",
            f"{'; '.join(parts)}.",
            "Recompute these seals with `monitord verify`: it says whether the seal or the tree is wrong. The "
            "publisher takes its root from the tree.",
            "warning",
        )

    return judged_each("tree_mismatch", each(), finding)


def tree_too_large(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A seal has more participants than its channel's account on the chain has room for claims."""
    reading = observation.readings[NAME]

    def finding(group: str, many: int) -> Finding:
        seals = _seals(reading, "oversized", group)
        return _finding(
            "tree_too_large",
            group,
            seals,
            many,
            "seals",
            f"{humanize.plural(many, 'seal')} of {group} {_have(many)} more than {humanize.count(MOST_CLAIMS)} "
            f"participants: {_named(seals, many)}.",
            "They cannot be published whole: have such channels sealed in parts.",
            "warning",
        )

    return judged_each("tree_too_large", _troubles("tree_too_large", reading, "oversized", orders), finding)


def root_mismatch(observation: Observation, history: History, orders: StandingOrders) -> Iterator[Judgement]:
    """A seal was recomputed from its participants, twice, and its root is another. What cannot be verified is none."""
    reading = observation.readings[NAME]
    for group in orders.groups:
        kept = history.pipeline.mismatched.get(group, ())
        if not kept:
            if reading.word("verified", group=group) is not None:
                yield Clear("root_mismatch", group)
            continue
        seals = [(int(label), channel) for label, _, channel in (seal.partition("/") for seal in reversed(kept))]
        why = reading.word("mismatch", group=group) or ""
        yield _finding(
            "root_mismatch",
            group,
            seals,
            len(seals),
            "seals",
            f"{humanize.plural(len(seals), 'seal')} of {group} {_have(len(seals))} another root than the participants "
            f"give: {_named(seals[:_MOST_NAMED], len(seals))}{f' ({why})' if why else ''}.",
            f"Run `monitord verify --group {group} --since 24h` to see which others do not match; publish none of "
            "them, and have them sealed again.",
        )


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
    return LEFT_WINDOW if is_out else ""


def _right_now(alert: Alert, at: RecoveryContext) -> str:
    if _left_window(alert, at.history, at.orders):
        return f"What was wrong of {alert.subject} has left the window that is looked at, as it was."
    return f"The seals of {alert.subject} in the window are as expected again."


def _wrong_roots(alert: Alert, orders: StandingOrders) -> EpochImpact:
    return (
        NONE,
        f"seals of {alert.subject} are not to be trusted until they are recomputed",
        "claims by these roots fail, or pay whom they should not",
    )


_RUNBOOK: Final = (
    "monitord verify --group {name}",
    "SELECT epoch, channel, token_group, category, root, to_timestamp(sealed_at), published FROM sealed_epochs "
    "WHERE epoch > extract(epoch FROM now()) - 86400 AND token_group = {literal} ORDER BY sealed_at DESC LIMIT 20",
    "{pm2} logs {sealer} --lines 50 --nostream",
)
_ROOT: Final = Rule(
    name="",
    probe=NAME,
    severities=("critical",),
    over=_left_window,
    runbook=_RUNBOOK,
    impact=Impact("roots of what was sealed are wrong", _wrong_roots),
    blocking=lambda *_: ("claims",),
    recovered=_right_now,
    criterion="pipeline_true",
)
TREE_MISMATCH = replace(
    _ROOT,
    name="tree_mismatch",
    severities=("warning",),
    evaluate=tree_mismatch,
    impact=Impact(
        "trees are not those of what was sealed",
        (NONE, NONE, "what is published is the tree's root: proofs of the seal fail against it"),
    ),
    blocking=lambda *_: (),
)
TREE_TOO_LARGE = replace(
    _ROOT,
    name="tree_too_large",
    severities=("warning",),
    evaluate=tree_too_large,
    impact=Impact(
        "a seal is too large to be claimed whole",
        (NONE, NONE, f"participants past the first {humanize.count(MOST_CLAIMS)} cannot claim"),
    ),
    blocking=lambda *_: (),
)
ROOT_MISMATCH = replace(
    _ROOT, name="root_mismatch", evaluate=root_mismatch, replaces=(Replaces(TREE_MISMATCH, when=_same_seals),)
)
_SAID_WITH_IT: Final = tuple(Replaces(weaker, when=_same_seals) for weaker in (ROOT_MISMATCH, TREE_MISMATCH))
ROOT_CHANGED = replace(_ROOT, name="root_changed", evaluate=root_changed, adopt=adopt_roots, replaces=_SAID_WITH_IT)
ROOT_EMPTY = replace(_ROOT, name="root_empty", evaluate=root_empty, replaces=_SAID_WITH_IT)
ROOT_DUPLICATE = replace(_ROOT, name="root_duplicate", evaluate=root_duplicate)
RULES = (ROOT_EMPTY, ROOT_DUPLICATE, ROOT_CHANGED, ROOT_MISMATCH, TREE_MISMATCH, TREE_TOO_LARGE)
