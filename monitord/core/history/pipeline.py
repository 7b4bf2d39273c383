"""What is remembered of the pipeline: the roots of each sealed label, who belongs to which group, what was there."""

from typing import Final

from monitord.core.copying import replace
from monitord.core.history.database import unlike
from monitord.core.history.epochs import window_seconds
from monitord.core.history.model import ChangedRoots, History, PipelineHistory
from monitord.core.model import Reading
from monitord.core.orders import StandingOrders

# Channels of a group, and labels, that are kept at most.
_MOST: Final = 400


def update_pipeline(history: History, reading: Reading, now: float, orders: StandingOrders) -> History:
    """The history after one good reading of the pipeline. What another database says is not taken for this one's."""
    if unlike(history):
        return history
    kept = history.pipeline
    there = {str(name) for name, is_there in reading.values("there", "table").items() if is_there}
    found = replace(
        kept,
        tables=tuple(sorted({*kept.tables, *there})),
        treed=tuple(
            sorted({*kept.treed, *(g for g, share in reading.values("trees_usual", "group").items() if share)})
        ),
        names=kept.names or bool(reading.number("names_kept")),
    )
    found = _with_members(found, reading, orders)
    oldest = int(now + (history.ahead or 0.0) - window_seconds(orders))
    found = _with_participants(found, reading, oldest, max(1, int(orders.epoch_length.total_seconds())))
    found = _with_mismatches(_with_roots(found, reading, oldest), reading, oldest)
    return history if found == kept else replace(history, pipeline=found)


def _with_participants(kept: PipelineHistory, reading: Reading, oldest: int, length: int) -> PipelineHistory:
    """The newest label of each group whose participants were read, and those before it that were not."""
    newest, missed = dict(kept.newest), dict(kept.missed)
    late = took_part_late(reading)
    for group, label in reading.values("took_part_label", "group").items():
        if not isinstance(label, int):
            continue
        known = newest.get(group, label)
        newest[group] = max(label, known)
        skipped = range(max(known + length, label - _MOST * length), label, length)
        left = [one for one in (*missed.get(group, ()), *skipped) if one >= oldest and (group, one) not in late]
        missed[group] = tuple(dict.fromkeys(left))
    return replace(kept, newest=newest, missed={group: labels for group, labels in missed.items() if labels})


def took_part_late(reading: Reading) -> dict[tuple[str, int], int]:
    """How many took part in labels that were not read when they fell due, by group and label."""
    return {
        (one.label("group"), int(one.label("epoch"))): one.value
        for one in reading.named("took_part_late")
        if isinstance(one.value, int)
    }


def _with_members(kept: PipelineHistory, reading: Reading, orders: StandingOrders) -> PipelineHistory:
    """Who belongs to a group is what is there first. A group of no name that was given is a stranger."""
    roster, shared = members(reading)
    strangers = kept.strangers
    if strangers is None and next(reading.named("roots"), None) is not None:
        # Where nobody has named the groups, they are the fleet's own, and there is no other.
        named = "groups" not in orders.unnamed
        strangers = tuple(reading.values("group_unknown", "group")) if named else ()
    return replace(
        kept,
        roster={**roster, **kept.roster},
        shared={**{group: shared.get(group, ()) for group in roster}, **kept.shared},
        strangers=strangers,
    )


def members(reading: Reading) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """The channels of each group whose channels are set, and those of them that are in another group (`channel>B`)."""
    roster: dict[str, tuple[str, ...]] = {}
    shared: dict[str, tuple[str, ...]] = {}
    for one in reading.named("roster"):
        group = one.label("group")
        roster[group] = (*roster.get(group, ()), one.label("channel"))[:_MOST]
    for one in reading.named("shared"):
        group = one.label("group")
        shared[group] = (*shared.get(group, ()), f"{one.label('channel')}>{one.label('other')}")[:_MOST]
    return roster, shared


def _with_roots(kept: PipelineHistory, reading: Reading, oldest: int) -> PipelineHistory:
    """The roots of each label: remembered when it is first whole, then compared. One that has more seals has grown."""
    read: dict[str, dict[str, str]] = {}
    for one in reading.named("roots"):
        if isinstance(one.value, str):
            read.setdefault(one.label("group"), {})[one.label("epoch")] = one.value
    roots, changed = dict(kept.roots), dict(kept.changed)
    for group in {*read, *roots, *changed}:
        labels = {label: word for label, word in roots.get(group, {}).items() if int(label) >= oldest}
        differing = {one.label: one for one in changed.get(group, ()) if one.label >= oldest}
        for label, word in read.get(group, {}).items():
            was = labels.get(label)
            if was is None or (_count(word) > _count(was) and int(label) not in differing):
                labels[label] = word
            elif was == word:
                differing.pop(int(label), None)
            else:
                differing[int(label)] = ChangedRoots(int(label), was, word)
        roots[group] = labels if labels != roots.get(group) else roots[group]
        changed[group] = tuple(differing[label] for label in sorted(differing))
    changed = {group: found for group, found in changed.items() if found}
    return replace(kept, roots=roots, changed=changed)


def _with_mismatches(kept: PipelineHistory, reading: Reading, oldest: int) -> PipelineHistory:
    """The seals that do not match, until they are recomputed to their root: the sampler forgets when monitord ends."""
    found = {group: dict.fromkeys(seals) for group, seals in kept.mismatched.items()}
    for one in reading.named("trouble_seal"):
        if one.label("kind") == "mismatch":
            found.setdefault(one.label("group"), {})[f"{one.label('epoch')}/{one.label('channel')}"] = None
    for one in reading.named("mended"):
        found.get(one.label("group"), {}).pop(f"{one.label('epoch')}/{one.label('channel')}", None)
    left = {
        group: tuple(seal for seal in seals if int(seal.partition("/")[0]) >= oldest) for group, seals in found.items()
    }
    return replace(kept, mismatched={group: seals[-_MOST:] for group, seals in left.items() if seals})


def _count(word: str) -> int:
    return int(word.partition(":")[0])


def adopt_roots(history: History, group: str) -> History:
    kept = history.pipeline
    now = {str(one.label): one.now for one in kept.changed.get(group, ())}
    return replace(
        history,
        pipeline=replace(
            kept,
            roots={**kept.roots, group: {**kept.roots.get(group, {}), **now}},
            changed={name: found for name, found in kept.changed.items() if name != group},
        ),
    )


def adopt_members(history: History, group: str) -> History:
    """The history with a group's present channels, or with a group that nobody watches, as the ones that are known."""
    reading, kept = history.reading("pipeline"), history.pipeline
    if reading is None:
        return history
    roster, shared = members(reading)
    if group in roster:
        found = replace(
            kept, roster={**kept.roster, group: roster[group]}, shared={**kept.shared, group: shared.get(group, ())}
        )
    else:
        found = replace(kept, strangers=tuple(sorted({*(kept.strangers or ()), group})))
    return replace(history, pipeline=found)
