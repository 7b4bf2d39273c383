"""Every night of the library is judged as its file says: in one go, in pieces, and as its recording gives it back."""

from __future__ import annotations

import typing
from collections.abc import Iterable
from pathlib import Path

import pytest

from monitord.core.engine import BY_READING
from monitord.core.model import Kind
from monitord.core.subjects import RULES, declared

from .files import known
from .playing import Played, comes_back, complaints, cuts, judged, play, through_frames, transcript
from .vocabulary import failure

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.toml"), key=lambda path: int(path.stem.partition("-")[0]))
# So many of a night's snapshots are read back, and so many of its observations recorded; some nights are judged again.
MOST_CUTS, RECORDED = 2, 12
IN_PIECES = frozenset(path.stem for path in FILES[::20])

# What has fooled, or could fool, a watch of this fleet; each is a night, or several.
TRAPS = (
    "rolled-back inserts",
    "TRUNCATE",
    "statistics reset",
    "bulk delete",
    "labels of the far future",
    "hour boundary",
    "slow sealing",
    "dead group beside a living one",
    "skipped hour",
    "lifetime restart counter",
    "crashing while online",
    "operator's restart",
    "cron restart",
    "deployment",
    "exit code 0 of a killed process",
    "empty list of a dying PM2",
    "renamed service",
    "the Scout",
    "database down",
    "PM2 unreachable",
    "resurrected without one",
    "zero growth",
    "gap in the readings",
    "clock set back",
    "clock set forward",
    "late readings",
    "monitord away",
    "monitord restarted",
    "unknown in between",
    "flapping",
    "learned roster",
    "orders changed",
    "reboot",
    "max_memory_restart",
    "a cause that explains",
    "a cause that nobody declared",
    "a default that is not there",
    "a cause that is outlived",
    "a past that is too short",
)


# A night is played once for all that is asked of it, and then let go. What fails says by its function what was asked.
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_night_is_judged_as_its_file_says_across_snapshots_and_from_its_recording(path: Path) -> None:
    night = play(known(path))
    _covers_what_it_claims(night)
    _is_judged_as_its_file_says(night)
    _finds_what_its_rules_declare(night)
    _ends_nothing_as_something_no_better_of_its_subject_begins(night)
    _is_judged_the_same_across_snapshots(night)
    _comes_back_from_its_recording_as_it_was(night)


def _covers_what_it_claims(night: Played) -> None:
    story = night.story
    fires = {f"{said.rule}:fires" for said in story.said if said.edge == "firing"}
    silent = {f"{place.partition('/')[0]}:silent" for place in (*story.never, *story.suspected)}
    assert story.covers, "it claims nothing"
    assert set(story.covers) <= fires | silent
    assert set(story.traps) <= set(TRAPS)


def _is_judged_as_its_file_says(night: Played) -> None:
    told = complaints(night)
    assert not told, "\n".join([f"{night.story.name}.toml", *told, "-- what was said:", transcript(night)])


def _is_judged_the_same_across_snapshots(night: Played) -> None:
    # What a snapshot gives back as it was, in the same order, is judged on as it would have been.
    for number in _some(cuts(night), MOST_CUTS):
        comes_back(night.night.looks[number].decision.state)
    if night.story.name in IN_PIECES:
        assert judged(night.observations, night.orders, cuts(night)) == (night.night.state, night.transitions)


def _some(places: list[int], most: int) -> list[int]:
    """So many of these places at most, evenly spread, and the last: of the first nothing has happened yet."""
    return places if len(places) <= most else [places[(n + 1) * len(places) // most - 1] for n in range(most)]


def _finds_what_its_rules_declare(night: Played) -> None:
    for alert in (edge.alert for edge in night.transitions):
        rule = declared(alert.rule, alert.probe)
        assert (rule.name, rule.probe) == (alert.rule, alert.probe)
        assert alert.finding.severity in rule.severities


# Ends that go with a beginning of the same subject, each true by itself: why.
TRUE_ENDS = {
    ("sealing_late", "sealing_gap"): "it seals again, and the end names how many labels are missing",
}


def _ends_nothing_as_something_no_better_of_its_subject_begins(night: Played) -> None:
    # Such an end is no good news, and must say so: its reason is what takes its place.
    looks = [look.decision.transitions for look in night.night.looks]
    ends = [(n, t) for n, edges in enumerate(looks) for t in edges if t.edge == "resolved" and t.reason in BY_READING]
    contradicted = [
        (end.alert.rule, edge.alert.rule, end.alert.subject)
        for n, end in ends
        for edge in (edge for edges in looks[max(0, n - 1) : n + 2] for edge in edges)
        if edge.edge == "firing"
        and (edge.alert.subject, edge.alert.rule != end.alert.rule) == (end.alert.subject, True)
        and (edge.alert.severity == "critical" or end.alert.severity == "warning")
        and (end.alert.rule, edge.alert.rule) not in TRUE_ENDS
    ]
    assert contradicted == []


def _comes_back_from_its_recording_as_it_was(night: Played) -> None:
    # What is equal is judged equally: it need not be folded once more. Around what happens first, frames differ most.
    looks = night.night.looks
    first = next((n for n, look in enumerate(looks) if look.decision.transitions or look.decision.events), 0)
    some = night.observations[max(0, first - RECORDED // 4) :][:RECORDED]
    assert list(through_frames(some)) == some


def _claims() -> Iterable[str]:
    return (claim for path in FILES for claim in known(path).covers)


def test_there_are_at_least_forty_nights_and_their_numbers_are_in_order() -> None:
    assert len(FILES) >= 40
    numbers = [int(path.stem.partition("-")[0]) for path in FILES]
    assert sorted(set(numbers)) == numbers


def test_every_rule_is_covered_from_both_sides() -> None:
    wanted = {f"{rule.name}:{side}" for rule in RULES for side in ("fires", "silent")}
    assert sorted(wanted - set(_claims())) == []


def test_every_trap_is_in_some_night() -> None:
    assert sorted(set(TRAPS) - {trap for path in FILES for trap in known(path).traps}) == []


def test_every_kind_of_failure_is_met() -> None:
    met = {failure(phrase) for path in FILES for step in known(path).steps for phrase in step.what}
    assert sorted(set(typing.get_args(Kind)) - met) == []
