"""The chain's subject beside its nights: what is kept between cycles, and what it tells others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from monitord.core.codec import decode, encode
from monitord.core.engine import Decision, State, decide
from monitord.core.model import Failure, NotTaken, Observation, Reading, Sample, sample
from monitord.core.orders import StandingOrders
from monitord.core.subjects.chain import CHAIN
from monitord.core.subjects.chain_facts import kept_accounts, remembered, standing
from monitord.core.subjects.chain_status import STATUS

AT = datetime(2025, 11, 5, 4, 0, tzinfo=UTC)
LABEL = 1_762_308_000
ROOT = "6fce67da"
ORDERS = StandingOrders(probes=frozenset({"chain"}), groups=())


def channel(name: str, published: int, latest: int | None, root: str = ROOT, group: str = "MILO") -> list[Sample]:
    of = {"group": group, "channel": name}
    facts = [sample("chain_published", published, **of), sample("chain_root", ROOT, "", **of)]
    facts.append(sample("chain_account", "account", "", **of))
    if latest is not None:
        facts += [sample("chain_latest", latest, **of), sample("chain_ring", root, "", epoch=str(latest), **of)]
    return facts


def fold(*readings: Iterable[Sample] | Failure, every: timedelta = timedelta(minutes=5)) -> list[Decision]:
    state, decisions = State(), []
    for number, given in enumerate(readings):
        failed = given if isinstance(given, Failure) else None
        samples = () if isinstance(given, Failure) else (sample("chain_slot", 379_000_000), *given)
        observation = Observation(AT + number * every, {"chain": Reading("chain", samples, failed)})
        decisions.append(decide(state, observation, ORDERS))
        state = decisions[-1].state
    return decisions


def test_a_channel_that_is_not_among_the_next_stays_as_it_was_found() -> None:
    bad, other = channel("marlon", LABEL, LABEL - 3600), channel("lacy", LABEL, LABEL)
    last = fold(bad, other, other, other)[-1]
    assert remembered(last.state.history)["MILO/marlon"]["state"] == "BEHIND"
    assert [(alert.rule, alert.subject) for alert in last.report.alerts.firing] == [("chain_behind", "MILO")]
    assert remembered(fold(bad, other, channel("marlon", LABEL, LABEL))[-1].state.history) == {}


def test_what_nobody_has_asked_about_for_a_day_is_forgotten() -> None:
    bad, other = channel("marlon", LABEL, LABEL - 3600), channel("lacy", LABEL, LABEL)
    assert remembered(fold(bad, other, every=timedelta(hours=25))[-1].state.history) == {}


def test_what_is_kept_stays_small_however_many_channels_there_are() -> None:
    many = [one for number in range(300) for one in channel(f"channel-{number:03}", LABEL, None)]
    assert len(remembered(fold(many)[-1].state.history)) == 200


def test_a_reading_that_tells_what_was_found_before_changes_nothing() -> None:
    bad = channel("marlon", LABEL, LABEL - 3600)
    kept = [*bad, sample("chain_kept", AT.timestamp(), "timestamp")]
    found = fold(bad, kept)
    assert [edge.edge for edge in found[0].transitions] == ["pending"]
    assert found[1].transitions == ()
    observation = Observation(AT, {"chain": Reading("chain", tuple(kept))})
    rules = [rule for rule in CHAIN.rules if not rule.of_server]
    judged = [one for rule in rules for one in rule.evaluate(observation, found[0].state.history, ORDERS)]
    assert judged
    assert all(isinstance(one, NotTaken) for one in judged)


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        (channel("marlon", LABEL, LABEL), "OK"),
        (channel("marlon", LABEL, LABEL, root="other"), "DIFFERENT"),
        (channel("marlon", LABEL + 3600, LABEL + 3600), "SUPERSEDED"),
        (channel("marlon", LABEL, LABEL - 3600), "BEHIND"),
        (channel("marlon", LABEL, None), "MISSING"),
        (channel("lacy", LABEL, LABEL), "UNKNOWN"),
        # In both groups, and published in one of them.
        (channel("marlon", LABEL, None, group="CLS") + channel("marlon", LABEL, LABEL), "OK"),
        (Failure("refused", "nobody is there"), "UNKNOWN"),
    ],
)
def test_whoever_asks_for_one_seal_is_told_how_it_stands(facts: list[Sample] | Failure, known: str) -> None:
    assert standing(fold(facts)[-1].state.history, ORDERS, "marlon", LABEL, ROOT).state == known


def test_an_account_that_is_read_though_nothing_of_it_was_published_of_late_tells_of_a_seal() -> None:
    facts = [one for one in channel("marlon", 0, LABEL) if one.name not in ("chain_published", "chain_root")]
    history = fold(facts)[-1].state.history
    assert standing(history, ORDERS, "marlon", LABEL, ROOT).state == "OK"
    assert standing(history, ORDERS, "marlon", LABEL - 90_000, ROOT).state == "SUPERSEDED"


def test_the_status_says_what_was_found_and_since_when() -> None:
    facts = [*channel("marlon", LABEL, LABEL), sample("chain_kept", (AT - timedelta(minutes=2)).timestamp())]
    chain = fold(facts)[-1].report.of(STATUS)
    assert chain is not None
    assert (chain.slot, chain.age_seconds, chain.uncompared) == (379_000_000, 120.0, None)
    assert chain.channels["MILO/marlon"].state == "OK"
    assert chain.program.executable is None
    assert chain.supply == {"MILO": None, "CLS": None}


@pytest.mark.parametrize(
    ("latest", "holds"), [(LABEL, True), (LABEL - 3600, False), (LABEL + 3600, False), (None, False)]
)
def test_a_root_is_held_while_it_can_be_claimed(latest: int | None, holds: bool) -> None:
    history = fold(channel("marlon", LABEL, latest))[-1].state.history
    assert CHAIN.holds_root is not None
    assert CHAIN.holds_root(history, ORDERS, "marlon", LABEL, ROOT).held is holds
    assert CHAIN.holds_root(history, ORDERS, "lacy", LABEL, ROOT).held is None


def test_an_account_that_was_not_in_the_last_round_tells_for_an_epoch_and_how_old_that_is() -> None:
    own, other = channel("marlon", LABEL, LABEL), channel("lacy", LABEL, LABEL)
    assert CHAIN.holds_root is not None
    later = CHAIN.holds_root(fold(own, other, other)[-1].state.history, ORDERS, "marlon", LABEL, ROOT)
    assert (later.held, later.why) == (True, "its account was read 10 min ago")
    too_late = fold(own, *[other] * 13)[-1].state.history
    told = CHAIN.holds_root(too_late, ORDERS, "marlon", LABEL, ROOT)
    assert (told.held, told.why) == (None, "its account was read 1 h 5 min ago, which is too long")
    # What was superseded stays so.
    assert standing(too_late, ORDERS, "marlon", LABEL - 90_000, ROOT).state == "SUPERSEDED"


def test_an_account_that_was_not_read_for_an_epoch_may_have_what_the_other_group_s_has_not() -> None:
    milo, cls = channel("marlon", LABEL, LABEL), channel("marlon", LABEL, None, group="CLS")
    assert standing(fold(milo, *[cls] * 13)[-1].state.history, ORDERS, "marlon", LABEL, ROOT).state == "UNKNOWN"
    assert standing(fold(cls, *[milo] * 13)[-1].state.history, ORDERS, "marlon", LABEL, ROOT).state == "OK"


def test_the_accounts_that_are_kept_are_few_and_survive_a_restart() -> None:
    many = [one for number in range(300) for one in channel(f"channel-{number:03}", LABEL + 3600, LABEL, root=ROOT * 8)]
    many += [
        sample("chain_ring", ROOT * 8, "", epoch=str(LABEL - slot), group="MILO", channel=f"channel-{number:03}")
        for number in range(300)
        for slot in range(1, 9)
    ]
    state = fold(many)[-1].state
    assert len(remembered(state.history)) == 200
    assert len(json.dumps(state.history.kept("chain"))) < 56 << 10
    again = decode(State, json.loads(json.dumps(encode(state))))
    assert len(list(kept_accounts(again.history))) == 64
    assert standing(again.history, ORDERS, "channel-299", LABEL, ROOT * 8).state == "OK"


def test_a_deployment_that_was_not_read_is_not_known_to_be_another() -> None:
    told = [sample("chain_program", "executable", ""), sample("chain_authority", "key", "")]
    whole = [*told, sample("chain_deployed", 377_000_000)]
    last = fold(whole, told, whole[:1] + whole[2:])[-1]
    assert [one for one in last.state.alerts.values() if one.rule == "program_changed"] == []
    assert last.state.history.kept("chain")["program"] == {"deployed": 377_000_000, "authority": "key"}
