"""What may be asked of monitord: each mistake is one sentence, and what is right is a command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from monitord.core.alerting import commands
from monitord.core.engine import State
from monitord.core.model import Command, Silence
from tests.core.nights import Night, orders

NOW = datetime(2025, 11, 5, 12, tzinfo=UTC)


def silence(subject: str = "gateway", **asked: str) -> Silence:
    made = commands.silence(NOW, subject, **asked).silence
    assert made is not None
    return made


def test_a_silence_lasts_two_hours_unless_told_otherwise() -> None:
    made = silence()
    assert (made.subject, made.rule, made.since, made.until) == ("gateway", "", NOW, NOW + timedelta(hours=2))
    assert silence(lasts="90m").until == NOW + timedelta(minutes=90)
    assert made.id == silence().id != silence("gateway2").id
    assert made.id.startswith("s")


def test_a_window_has_no_end_of_its_own() -> None:
    made = silence("*", every=" 0 2  * * SUN ", lasts="90m", reason=" new\n disk ")
    assert (made.every, made.lasts, made.until, made.reason) == ("0 2 * * SUN", 5400.0, None, "new disk")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"subject": " "}, "SUBJECT is empty"),
        ({"subject": "x" * 201}, "SUBJECT is longer than 200 characters"),
        ({"subject": "gate\x1b[2Jway"}, "cannot be shown"),
        ({"reason": "x" * 201}, "--reason is longer"),
        ({"rule": "servce_down"}, "--rule: 'servce_down' is no rule; the nearest is service_down"),
        ({"lasts": "2"}, "--for: '2' has no unit"),
        ({"lasts": "0s"}, "--for: it must be longer than nothing"),
        ({"lasts": "366d"}, "--for: '366d' is longer than 365 days"),
        ({"lasts": "soon"}, "--for: 'soon' is no duration"),
        ({"every": "hourly"}, "--every: 'hourly' is no cron schedule"),
        ({"every": "0 0 31 2 *"}, "it never comes"),
        ({"every": "*/5 * * * *", "lasts": "10m"}, "--for: 10m is no shorter than what lies between two times of"),
        ({"every": "0 2 * * *", "lasts": "1d"}, "it would never end"),
    ],
)
def test_what_cannot_be_silenced_so(asked: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")) as error:
        silence(**{"subject": "gateway", **asked})
    assert "\n" not in str(error.value)


def test_a_silence_is_named_by_its_id_or_its_beginning() -> None:
    made = {name: Silence(name, "*", NOW, NOW) for name in ("s1aa", "s1ab", "s2aa")}
    assert commands.unsilence(NOW, "s2", made) == Command("unsilence", NOW, "s2aa")
    assert commands.unsilence(NOW, "s1ab", made).target == "s1ab"
    for prefix, said in (
        ("s1", "may be any of s1aa, s1ab"),
        ("s9", "there is no silence"),
        ("", "there is no silence"),
    ):
        with pytest.raises(ValueError, match=said):
            commands.unsilence(NOW, prefix, made)


def test_an_alert_is_acknowledged_once_and_only_when_it_is_confirmed() -> None:
    night = Night()
    night["gateway"].stops()
    night.look()
    (alert,) = night.state.alerts.values()
    with pytest.raises(ValueError, match="is not confirmed yet"):
        commands.ack(NOW, alert.id, night.state.alerts.values())
    night.passes(minutes=1)
    command = commands.ack(NOW, alert.id[:4], night.state.alerts.values())
    assert command == Command("ack", NOW, alert.id)
    for prefix, said in ((alert.id[:3], "at least 4 characters"), ("nothing", "there is no alert that lives")):
        with pytest.raises(ValueError, match=said):
            commands.ack(NOW, prefix, night.state.alerts.values())
    night.asks("ack", alert.id)
    night.passes(minutes=1)
    with pytest.raises(ValueError, match="acknowledged already, at 2025-11-05"):
        commands.ack(NOW, alert.id, night.state.alerts.values())


def test_only_what_was_learned_can_be_forgotten() -> None:
    night = Night(orders(services={}))
    night.passes(minutes=1)
    assert commands.forget(NOW, "gateway", night.state, night.orders) == Command("forget", NOW, "gateway")
    for name, said in (
        ("gatewy", "no service called 'gatewy' is expected: there is nothing to forget; the nearest is gateway"),
        ("user_signals", "MONITORD_POSTGRES__TABLES names it"),
        ("tree", "there is nothing to forget"),
        ("MILO", "MONITORD_EPOCHS__GROUPS names it"),
        ("/", "MONITORD_HOST__DISKS names it"),
    ):
        with pytest.raises(ValueError, match=said):
            commands.forget(NOW, name, night.state, night.orders)


def test_what_the_settings_name_is_taken_out_there() -> None:
    night = Night()
    night.passes(minutes=1)
    with pytest.raises(ValueError, match="MONITORD_ORDERS__SERVICES names it"):
        commands.forget(NOW, "gateway", night.state, night.orders)
    with pytest.raises(ValueError, match="MONITORD_ORDERS__SERVICES says what is expected"):
        commands.forget(NOW, "other", night.state, night.orders)


def test_what_waits_to_be_heard_counts_as_if_it_were() -> None:
    first, second = silence("a"), silence("b")
    waiting = (Command("silence", NOW, silence=second), Command("unsilence", NOW, first.id), Command("ack", NOW, "x"))
    assert commands.awaited({first.id: first}, waiting) == {second.id: second}


def test_the_names_that_an_alert_may_be_about() -> None:
    night = Night()
    night.passes(minutes=1)
    known = commands.subjects(night.state, night.orders)
    assert {"gateway", "user_signals", "tree-builder", "MILO", "/", "postgres", "host", "epochs", "monitord"} <= known
    assert "nothing" not in known
    assert "redis" not in commands.subjects(State(), orders(probes=frozenset({"host"})))
