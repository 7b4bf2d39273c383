"""Log lines for people: what stands in one, which are asked for, and that no line commands a terminal."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitord.logging.logger import JsonLog
from monitord.notify.event_log import EventLog
from monitord.reporting.log_lines import LogEntry, Selection, entry, line_json, line_text
from monitord.reporting.terminal import Terminal
from tests.core.nights import Night

PLAIN = Terminal()
COLOURED = Terminal(colour=True)
ALERT: dict[str, Any] = {
    "alert_id": "f1ea44d943a4",
    "rule": "service_memory_high",
    "subject": "gateway",
    "severity": "warning",
    "value": 612_000_000,
    "limit": 500_000_000,
    "unit": "bytes",
    "evidence": {"instances": {"0": 612_000_000}, "codes": [1, 2]},
}


def line(event: str = "service_event", level: str = "info", message: str = "It is so.", **fields: Any) -> bytes:
    first = {"timestamp": "2025-11-05T03:57:12.345Z", "level": level, "event": event, "message": message}
    return json.dumps(first | fields).encode()


def text(data: bytes, screen: Terminal = PLAIN, *, verbose: bool = False) -> str:
    return line_text(entry(data), screen, verbose=verbose)


def test_a_line_is_its_time_level_event_and_sentence_in_columns() -> None:
    assert text(line(by="pm2")) == "2025-11-05 03:57:12Z  info     service_event       It is so.  by=pm2\n"


def test_an_alert_tells_what_of_whom_how_bad_and_past_what_in_units_for_people() -> None:
    told = text(line("alert_firing", "warning", **ALERT))
    assert 'rule=service_memory_high subject=gateway severity=warning value="612 MB" limit="500 MB"' in told
    assert "alert_id=f1ea44d943a4" in told
    assert "instances" not in told


def test_verbose_unfolds_the_evidence_by_its_paths() -> None:
    told = text(line("alert_firing", "warning", **ALERT), verbose=True)
    assert "\n    evidence.instances.0: 612000000\n" in told
    assert "\n    evidence.codes: 1, 2\n" in told


def test_a_check_is_one_line_whatever_it_holds() -> None:
    services = {"gateway": {"ok": True}, "tree-builder": {"ok": None}}
    alerts: dict[str, Any] = {"firing": [{}], "suppressed": []}
    told = text(line("check_completed", trigger="signal", duration_ms=41.3, services=services, alerts=alerts))
    assert told.endswith('It is so.  trigger=signal took="41 ms" services=1/2 firing=1\n')


def test_what_is_not_json_or_not_of_this_log_is_passed_on_dimmed() -> None:
    for foreign in (b"PM2        | App [gateway:0] online", b'{"level":30,"msg":"pino"}', b"[1, 2]", b"{", b""):
        assert text(foreign) == foreign.decode() + "\n"
        assert text(foreign, COLOURED) == (f"\x1b[2m{foreign.decode()}\x1b[0m\n" if foreign else "\n")


@pytest.mark.parametrize(
    "prefix",
    [b"0|monitord | ", b"\x1b[32m0|monitord  |\x1b[39m ", b"0|monitord | 2025-11-05T03:57:12: ", b"host monitord[7]: "],
)
def test_a_line_is_read_after_the_prefix_that_others_put_before_it(prefix: bytes) -> None:
    assert text(prefix + line()) == text(line())


def test_a_level_has_its_colour_and_what_is_resolved_is_green() -> None:
    assert "\x1b[1;31merror  \x1b[0m" in text(line(level="error"), COLOURED)
    assert "\x1b[32minfo   \x1b[0m" in text(line("alert_resolved"), COLOURED)
    assert "\x1b" not in text(line(level="error"))


def test_of_an_event_nobody_has_heard_of_the_first_short_fields_are_told() -> None:
    told = text(line("notification_failed", "warning", channel="webhook", error="x" * 500, attempt=3, more=[1]))
    assert told.endswith("It is so.  channel=webhook attempt=3\n")


def test_lines_are_chosen_by_level_event_subject_and_time() -> None:
    alert = entry(line("alert_firing", "warning", **ALERT))
    event = entry(line(service="tree-builder"))
    foreign = entry(b"PM2 | hello")
    assert [Selection(level="warning").takes(one) for one in (alert, event, foreign)] == [True, False, False]
    assert [Selection(events=("alert_*",)).takes(one) for one in (alert, event, foreign)] == [True, False, False]
    assert [Selection(subjects=("tree-*",)).takes(one) for one in (alert, event, foreign)] == [False, True, False]
    before, after = datetime(2025, 11, 5, 3, 57, tzinfo=UTC), datetime(2025, 11, 5, 3, 58, tzinfo=UTC)
    assert [Selection(since=when).takes(alert) for when in (before, after)] == [True, False]
    assert all(Selection().takes(one) for one in (alert, event, foreign))


def test_a_level_that_nobody_knows_is_never_left_out_and_a_time_that_is_none_is_not_lately() -> None:
    assert Selection(level="error").takes(entry(line(level="fatal")))
    odd = entry(line().replace(b"2025-11-05T03:57:12.345Z", b"yesterday"))
    assert not Selection(since=datetime(2000, 1, 1, tzinfo=UTC)).takes(odd)


def test_json_passes_a_line_on_as_it_is_and_what_is_not_of_the_log_not_at_all() -> None:
    assert line_json(entry(b"0|monitord | " + line())) == line().decode() + "\n"
    assert line_json(entry(b"PM2 | hello")) == ""


def test_json_holds_no_control_character_and_means_the_same() -> None:
    raw = '{"timestamp":"t",\t"level":"info", "event":"e", "message":"a\x9b31m\u202eb\x7f\U000e0001"}'
    passed = line_json(entry(raw.encode()))
    assert passed.rstrip("\n").isprintable()
    assert json.loads(passed) == json.loads(raw)


def test_a_line_past_what_is_kept_says_how_long_it_was() -> None:
    assert line_text(entry(b"x" * 1000, 9_999_000), PLAIN) == "x" * 60 + "… (10 MB: too long for a line of the log)\n"


def test_every_line_of_a_night_is_one_line_and_of_the_log() -> None:
    heard = io.StringIO()
    log = JsonLog(heard, "debug")
    night = Night()
    night["gateway"].stops()
    night.passes(minutes=3)
    for look in night.looks:
        EventLog(log).write(look.decision, "schedule", 40.0)
    assert log.flush(10)
    lines = heard.getvalue().splitlines()
    assert len(lines) > 4
    for one in lines:
        read = entry(one.encode())
        assert read.fields is not None
        assert line_text(read, PLAIN).count("\n") == 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from([*ALERT, "service", "services", "alerts", "trigger", "duration_ms", "firing", "\x1b]0;x\x07"])
events = st.sampled_from(["check_completed", "alert_firing", "alert_\x1b[2J", "service_event"]) | st.text(max_size=30)


def is_harmless(told: str) -> bool:
    return all(one.isprintable() for one in told.split("\n"))


@given(events, st.text(max_size=40), st.text(max_size=30), st.dictionaries(names, anything, max_size=8), st.booleans())
def test_whatever_the_fields_hold_the_line_is_made_and_commands_nothing(
    event: str, message: str, timestamp: str, fields: dict[str, Any], verbose: bool
) -> None:
    first = {"timestamp": timestamp, "level": event[:9], "event": event, "message": message}
    read = entry(json.dumps(fields | first).encode())
    assert isinstance(read, LogEntry)
    assert read.fields is not None
    assert is_harmless(line_text(read, PLAIN, verbose=verbose))
    assert is_harmless(line_json(read))
    Selection("error", ("a*",), ("b",), datetime(2025, 1, 1, tzinfo=UTC)).takes(read)


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_shown_and_command_nothing(data: bytes) -> None:
    assert is_harmless(text(data.replace(b"\n", b"")))


@pytest.mark.parametrize("data", [b"[" * 200_000, b'{"a":' * 200_000 + b"1" + b"}" * 200_000, b'{"a":' + b"9" * 9_999])
def test_what_is_nested_or_counted_beyond_reason_is_not_read(data: bytes) -> None:
    assert entry(data).fields is None


def test_a_number_without_end_is_told_as_unknown_and_no_escape_of_a_name_comes_through() -> None:
    odd = line("alert_firing", value=0).replace(b'"value": 0', b'"value": 1e999, "unit": "seconds", "\\u001b[2J": 1')
    told = text(odd, verbose=True)
    assert "value=unknown" in told
    assert is_harmless(told)


def test_a_subject_that_is_called_exactly_as_asked_is_no_pattern() -> None:
    bracketed, neighbour = (entry(line(event="service_event", service=name)) for name in ("worker[1]", "worker1"))
    asked = Selection(subjects=("worker[1]",))
    assert [asked.takes(one) for one in (bracketed, neighbour)] == [True, True]  # nothing is known to be called so
    known = asked.after(neighbour).after(bracketed)
    assert [known.takes(one) for one in (bracketed, neighbour)] == [True, False]
    assert known.after(neighbour) is known
