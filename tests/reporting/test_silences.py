"""Silences as they are listed: by when they are in force, what they cover, and whether anybody has heard of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from monitord.core.alerting.incidents import incidents
from monitord.core.model import Silence
from monitord.reporting.incidents import incidents_text
from monitord.reporting.silences import about, in_force_line, silence_fields, silences_text, spell
from monitord.reporting.terminal import Terminal, cells
from tests.core.nights import Night
from tests.core.test_silences import silenced

NOW = datetime(2025, 11, 5, 12, tzinfo=UTC)
SHORT = Silence("s1", "gateway", NOW, NOW + timedelta(hours=2), rule="service_down", reason="new cable")
WINDOW = Silence("s2", "*", NOW, None, every="0 2 * * sun", lasts=5400.0)


def test_a_silence_says_until_when_and_a_window_when_next() -> None:
    assert (about(SHORT), spell(SHORT, NOW)) == ("service_down of gateway", "until 14:00 UTC")
    assert spell(SHORT, NOW + timedelta(hours=2)) == "over"
    assert (about(WINDOW), spell(WINDOW, NOW)) == ("everything on this host", "from Nov 9, 02:00 UTC for 1 h 30 min")
    assert spell(WINDOW, datetime(2025, 11, 9, 3, tzinfo=UTC)) == "until 03:30 UTC"


def test_the_fields_of_a_silence_are_null_where_it_has_none() -> None:
    short, window = silence_fields(SHORT, NOW), silence_fields(WINDOW, NOW)
    assert (short["in_force"], short["quiet_until"], short["next"], short["every"]) == (True, SHORT.until, None, None)
    assert (window["in_force"], window["quiet_until"], window["until"]) == (False, None, None)
    assert window["next"] == datetime(2025, 11, 9, 2, tzinfo=UTC)


def test_only_what_is_in_force_is_in_the_status() -> None:
    assert in_force_line((SHORT, WINDOW), NOW) == ("Silenced: service_down of gateway until 14:00 UTC (s1: new cable).")
    assert in_force_line((WINDOW,), NOW) == ""


def test_the_list_fits_a_narrow_screen_and_commands_no_terminal() -> None:
    odd = Silence("s3", "gate\x1b[2Jway" * 9, NOW, NOW + timedelta(days=300), reason="r" * 200)
    text = silences_text((SHORT, WINDOW, odd), frozenset({"s2"}), {}, NOW, Terminal(60))
    assert "\x1b" not in text
    assert all(cells(line) <= 60 for line in text.splitlines())
    assert "Not applied by the daemon yet." in " ".join(text.split())


def test_an_incident_is_told_to_be_silenced_and_later_to_have_been() -> None:
    night = Night()
    name = silenced(night, "gateway", hours=1)
    night["gateway"].stops()
    night.passes(minutes=5)

    def listed() -> str:
        found = incidents(night.transitions, night.state.alerts.values())
        now = datetime.fromtimestamp(night.now, UTC)
        return " ".join(incidents_text(found, now - timedelta(hours=9), now, Terminal()).split())

    assert f"It is silenced by {name}." in listed()
    night["gateway"].starts()
    night.passes(minutes=5)
    assert f"It was silenced by {name}." in listed()
