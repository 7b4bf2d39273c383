"""What a reading does not tell is never taken for fine: neither a number that is missing nor one that is not known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from monitord.core.history.model import History
from monitord.core.model import Clear, Finding, Judgement, Observation, Sample, Unknown, sample
from monitord.core.subjects.base import Subject
from monitord.core.subjects.chain import CHAIN
from monitord.core.subjects.pipeline import PIPELINE
from monitord.core.subjects.registry import registered

from .nights import ORDERS, Night
from .pipeline import KINDS

WALLET = "nick6zJc6HpW3kfBm4xS2dmbuVRyb5F3AnUvj5ymzR5"
WATCHED = replace(ORDERS, probes=ORDERS.probes | {"pipeline", "chain"}, by_subject={"chain": {"wallets": {WALLET: 1}}})
# Where one of these is left out there is none: no such group sealed, no such slot or account is there.
_ROWS = {"group_unknown", "chain_ring", "chain_latest"}


@pytest.fixture(scope="module")
def night() -> Night:
    """A fleet of which everything is wrong that a reading of the pipeline or the chain tells by itself."""
    night = Night(WATCHED, every=1800)
    night.passes(hours=3)
    pipeline, now = night.pipeline, night.clock.now
    for group, kinds in {"MILO": KINDS[:3], "CLS": KINDS[3:]}.items():
        for kind in kinds:
            pipeline.is_wrong(kind, group, 2)
        pipeline.uncategorised[group], pipeline.took[group] = 2, 10
    pipeline.strangers["NEWS"] = 4
    pipeline.unbuilt = dict.fromkeys(("MILO", "CLS"), now + 7200)
    pipeline.unpublished = pipeline.signal_at = now
    night.instead["chain_balance", (("wallet", WALLET),)] = 0.2
    night.passes(hours=6, seconds=1)
    return night


FOUND = {
    "pipeline": {
        "category_missing",
        "group_membership",
        "participants_dropped",
        "publishing_stalled",
        "root_duplicate",
        "root_empty",
        "root_mismatch",
        "signals_stale",
        "tree_behind",
        "tree_mismatch",
        "tree_too_large",
    },
    "chain": {"wallet_low"},
}


def _judged(subject: Subject, observation: Observation, history: History) -> dict[tuple[str, str], Judgement]:
    return {
        (rule.name, one.subject): one
        for rule in subject.rules
        if rule.probe == subject.name
        for one in rule.evaluate(observation, history, WATCHED)
    }


def _less(samples: tuple[Sample, ...]) -> Iterator[tuple[str, tuple[Sample, ...]]]:
    """The reading without one of its samples, each in turn, and with one that is not known."""
    for number, one in enumerate(samples):
        before, after = samples[:number], samples[number + 1 :]
        yield f"{one.name} {one.labels} is not known", (*before, replace(one, value=None), *after)
        if one.name not in _ROWS:
            yield f"{one.name} {one.labels} is missing", (*before, *after)


@pytest.mark.parametrize("subject", [PIPELINE, CHAIN], ids=lambda subject: subject.name)
def test_what_was_found_is_never_over_for_want_of_a_number(subject: Subject, night: Night) -> None:
    look = next(one for one in reversed(night.looks) if subject.name in one.observation.readings)
    observation, history = look.observation, night.state.history
    reading = observation.readings[subject.name]
    found = {place for place, one in _judged(subject, observation, history).items() if isinstance(one, Finding)}
    assert {rule for rule, _ in found} == FOUND[subject.name]
    for what, samples in _less(reading.samples):
        less = replace(observation, readings={**observation.readings, subject.name: replace(reading, samples=samples)})
        judged = _judged(subject, less, history)
        for place in found:
            assert isinstance(judged.get(place), Finding | Unknown), f"{place}: {what}"


@pytest.mark.parametrize(
    ("probe", "rule", "missing", "other"),
    [
        ("host", "disk_high", "disk_used", "disk_inodes_used"),
        ("postgres", "postgres_lock_waiting", "lock_waits", "sessions_used"),
        ("postgres", "postgres_standby_lagging", "standbys", "sessions_used"),
        ("monitord", "monitor_degraded", "cycle_late", "cycle_took"),
    ],
)
def test_a_number_is_not_known_by_another_that_is_told(
    night: Night, probe: str, rule: str, missing: str, other: str
) -> None:
    look = night.looks[0]
    reading = look.observation.readings[probe]
    assert next(reading.named(other), None) is not None
    (rule_,) = (one for subject in registered() for one in subject.rules if one.name == rule)
    for samples, verdict in (
        (reading.samples, Clear),
        (tuple(one for one in reading.samples if one.name != missing), Unknown),
    ):
        readings = {**look.observation.readings, probe: replace(reading, samples=samples)}
        observation = replace(look.observation, readings=readings)
        (judged,) = rule_.evaluate(observation, look.decision.state.history, WATCHED)
        assert isinstance(judged, verdict)


def test_a_tree_is_judged_by_its_root_alone_where_there_is_nothing_to_count(night: Night) -> None:
    observation, history = night.looks[0].observation, night.looks[0].decision.state.history
    reading = observation.readings["pipeline"]
    untold = tuple(one for one in reading.samples if one.labels != (("group", "MILO"), ("kind", "miscounted")))
    for is_there, verdict in ((1, Unknown), (0, Clear)):
        there = sample("there", is_there, table="sealed_participants")
        kept = tuple(there if one.labels == there.labels else one for one in untold)
        less = replace(observation, readings={**observation.readings, "pipeline": replace(reading, samples=kept)})
        assert isinstance(_judged(PIPELINE, less, history)["tree_mismatch", "MILO"], verdict)
