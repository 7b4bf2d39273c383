"""A sign makes a check due at once; many of them, or such as come to nothing, make no more than there need be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from monitord.core.engine import Decision, ProbeEdge, State, decide
from monitord.core.model import Observation
from monitord.core.orders import StandingOrders
from monitord.runtime.signs import CALM_SECONDS, MOST_IN_VAIN, PACE_SECONDS, SETTLE_SECONDS, Sign, Signs

NOTHING = decide(State(), Observation(datetime.now(UTC), {}), StandingOrders(probes=frozenset()))
NEWS = replace(NOTHING, probe_edges=(ProbeEdge("redis", "refused", "it refuses"),))
CLOSED = Sign("redis", "Redis closed the kept connection")
EVERY = 30.0


@pytest.fixture
def signs() -> Signs:
    signs = Signs()
    signs.every = EVERY
    return signs


def checks(signs: Signs, sign: Sign, seconds: float, outcome: Decision, since: float = 1000.0) -> list[float]:
    """When checks are made of signs that come all the time for so long."""
    now, made = since, []
    while now < since + seconds:
        signs.hear(sign, now)
        (due,) = signs.times()
        now = due
        made.append(now)
        assert signs.due(now) == frozenset({sign.probe})
        signs.begin({sign.probe}, now)
        signs.end(outcome)
    return made


def test_the_first_sign_makes_a_check_due_at_once_and_those_that_follow_before_it_no_other(signs: Signs) -> None:
    assert signs.hear(CLOSED, 100.0)
    assert not signs.hear(CLOSED, 100.01)
    assert signs.due(100.0) is None
    assert signs.due(100.0 + SETTLE_SECONDS) == frozenset({"redis"})
    signs.begin({"redis"}, 100.1)
    assert signs.due(200.0) is None


def test_a_check_of_something_else_leaves_a_sign_as_it_is_and_a_whole_cycle_serves_it(signs: Signs) -> None:
    signs.hear(CLOSED, 100.0)
    signs.begin({"pm2"}, 100.2)
    assert signs.due(100.2) == frozenset({"redis"})
    signs.begin(None, 100.3)
    assert signs.due(200.0) is None


def test_signs_of_several_are_due_together(signs: Signs) -> None:
    signs.hear(CLOSED, 100.0)
    signs.hear(Sign("pm2", "the connection to PM2's bus ended"), 100.0)
    assert signs.due(101.0) == frozenset({"pm2", "redis"})


def test_a_sign_of_one_member_is_served_when_that_member_is_taken(signs: Signs) -> None:
    signs.hear(Sign("checks", "backup reported that it failed", "backup"), 100.0)
    assert signs.due(101.0) == frozenset({"checks"})
    assert signs.begin({"checks"}, 101.0) == frozenset({"backup"})
    assert signs.begin({"checks"}, 102.0) == frozenset()


def test_what_only_is_to_be_decided_is_due_without_any_probe(signs: Signs) -> None:
    signs.hear(Sign("", "an operator left a command"), 100.0)
    assert signs.due(101.0) == frozenset()
    signs.begin({"redis"}, 101.0)
    assert signs.due(102.0) is None


def test_signs_that_come_to_something_are_followed_once_a_second(signs: Signs) -> None:
    made = checks(signs, CLOSED, 60.0, NEWS)
    assert 59 <= len(made) <= 61
    assert all(later - before >= PACE_SECONDS for before, later in pairwise(made))


def test_a_connection_that_is_closed_again_and_again_makes_no_more_checks_than_there_are_cycles(signs: Signs) -> None:
    made = checks(signs, CLOSED, 3600.0, NOTHING)
    at_once = [at for at in made if at < made[0] + EVERY]
    assert len(made) <= 3600.0 / EVERY + len(at_once)
    assert MOST_IN_VAIN <= len(at_once) <= MOST_IN_VAIN + 6
    assert made[-1] - made[-2] >= EVERY


def test_a_check_that_fails_inside_is_one_in_vain(signs: Signs) -> None:
    for number in range(MOST_IN_VAIN + 1):
        signs.hear(CLOSED, 100.0 * number)
        signs.begin({"redis"}, 100.0 * number + 1)
        signs.end(None)
    now = 100.0 * MOST_IN_VAIN + 1
    signs.hear(CLOSED, now)
    assert signs.due(now + PACE_SECONDS) is None
    assert signs.due(now + 2 * PACE_SECONDS) == frozenset({"redis"})


def test_what_came_to_nothing_is_forgotten_once_something_is_found_or_it_has_been_calm(signs: Signs) -> None:
    last = checks(signs, CLOSED, 3600.0, NOTHING)[-1]
    signs.hear(CLOSED, last + CALM_SECONDS)
    assert signs.due(last + CALM_SECONDS + SETTLE_SECONDS) == frozenset({"redis"})
    signs.begin({"redis"}, last + CALM_SECONDS + 1)
    signs.end(NOTHING)
    last = checks(signs, CLOSED, 3600.0, NOTHING, since=last + 2 * CALM_SECONDS)[-1]
    signs.hear(CLOSED, last)
    signs.begin({"redis"}, last + EVERY)
    signs.end(NEWS)
    signs.hear(CLOSED, last + EVERY)
    assert signs.due(last + EVERY + PACE_SECONDS) == frozenset({"redis"})


def test_where_cycles_are_a_second_apart_signs_wait_no_longer_than_that(signs: Signs) -> None:
    signs.every = 0.2
    made = checks(signs, CLOSED, 60.0, NOTHING)
    assert made[-1] - made[-2] < PACE_SECONDS + 2 * SETTLE_SECONDS
