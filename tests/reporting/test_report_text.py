"""The night's report for a terminal: what it says of good, bad, unseen, empty and crowded nights, and how it fits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from monitord.core import humanize
from monitord.core.report.model import RecapBefore, Report, StateStretch
from monitord.core.report.wording import minute
from monitord.core.subjects.epochs_report import SEALING_REPORT
from monitord.core.subjects.pm2_report import SERVICE_REPORTS
from monitord.core.subjects.postgres_report import TABLE_REPORTS
from monitord.reporting.report import report_text
from monitord.reporting.report_json import report_fields
from monitord.reporting.terminal import Terminal, cells

from .sample_nights import HOUR, NIGHTS, SINCE, bad, blind_night, crowded, empty, good, service


def told(night: Report) -> str:
    return report_text(night, Terminal())


def flat(night: Report) -> str:
    """The report without its line breaks."""
    return " ".join(told(night).split())


def digits(text: str) -> set[str]:
    return set(re.findall(r"\d+", text))


def sources(value: object) -> Iterator[str]:
    """Every way in which what a night holds may be said."""
    if isinstance(value, Mapping):
        yield str(sum(part for part in value.values() if type(part) is int and 0 <= part < 1000))
        for key, part in value.items():
            yield str(key)
            yield from sources(part)
    elif isinstance(value, list):
        yield str(len(value))
        for part in value:
            yield from sources(part)
    elif isinstance(value, str):
        yield value
        if re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", value):
            at = datetime.fromisoformat(value).timestamp()
            yield from (minute(at), humanize.clock(at))
    elif isinstance(value, int | float):
        yield from (humanize.size(value), humanize.duration(value), humanize.count(value), f"{value:.1f}", str(value))
        yield from (humanize.duration(value * 60), humanize.duration(value * 86400))
        if 1e9 < value < 1e10:
            yield from (minute(value), humanize.clock(value))


def test_a_good_night_says_go_first_and_every_criterion_met() -> None:
    text = told(good())
    assert text.splitlines()[0].startswith("GO: All five criteria are met")
    assert text.count("\n  met      ") == 5
    assert "NOT MET" not in text
    assert "Incidents\n  None.\n" in text
    assert "The monitor saw all of it." in flat(good())


def test_the_baseline_has_the_tables_of_a_check() -> None:
    now = told(good()).partition("Baseline of now")[2]
    assert re.search(r"ok +gateway +online +– +99 MB +14 h", now)
    assert re.search(r"ok +user_signals +~4,600,837", now)
    assert re.search(r"Keys +125\n", now)
    assert "Monitoring" in now


def test_a_bad_night_tells_its_incidents_in_order_with_what_each_explains() -> None:
    text = flat(bad())
    order = ["1. postgres_unreachable: postgres", "2. service_down: gateway", "3. service_memory_high"]
    assert sorted(order, key=text.index) == order
    assert "First sign 02:14:10 UTC; fired at 02:14:40 UTC" in text
    assert "Ended 02:44 UTC, after 29 min 50 s" in text
    assert "sealing_late: MILO, 02:20 UTC to 02:40 UTC; quiet throughout." in text
    assert "sealing_late: CLS, 02:20 UTC to 02:44 UTC; fired at 02:36 UTC." in text
    assert "(still open)" in text
    assert "not yet: still open, 1 h 57 min 30 s so far" in text or "not yet: still open, 1 h 57 min so far" in text
    assert "| Component: postgres" in text


def test_the_recap_stands_beside_those_of_earlier_windows_and_what_is_gone_is_unknown() -> None:
    night = good()
    (milo, *_) = night.recap or ()
    gone = replace(milo, participant_records=0, unique_viewers=0)
    before = (
        RecapBefore("a day before", night.since - 86400, night.until - 86400, (replace(milo, unique_viewers=80_001),)),
        RecapBefore("a week before", night.since - 604800, night.until - 604800, (gone,)),
    )
    text = flat(replace(night, recap_before=before))
    assert "MILO viewers 86,650 80,001 unknown" in text
    assert "those of its hours cannot be added up, as most watch in several" in text
    assert "CLS viewers 70,089+ unknown unknown" in text


def test_the_sections_come_in_the_order_in_which_they_are_asked_for() -> None:
    lines = [line for line in told(bad()).splitlines() if line and line[0].isalpha()]
    headings = [line for line in lines if not line.endswith(".") and not line.startswith(("NO-GO", "Nov"))]
    assert headings == [
        "Success criteria", "Incidents (3)", "Services", "Database growth", "Epoch sealing", "Two-tier recap",
        "What the monitor could not see", "Baseline of now", "Notes",
    ]  # fmt: skip


def test_a_night_that_nobody_saw_says_unknown_and_never_zero() -> None:
    text = flat(blind_night())
    assert text.startswith("UNKNOWN: ")
    assert "user_signals unknown unknown unknown 100,000" in text
    assert re.search(r"\? gateway unknown – unknown – unknown", text)
    assert "What is usual is unknown" in text
    assert "Nothing is known of 1762286400 (Nov 4, 20:00 UTC)" in text
    assert "Unknown: the database did not answer within 5 s." in text
    assert "Unknown: no check is recorded." in text
    assert not re.search(r"(?<![\d:,.])0(?![\d:,.])", text)


def test_an_empty_night_says_of_each_section_that_there_is_nothing() -> None:
    text = flat(empty())
    said: tuple[str, ...] = (
        "No criteria were judged.",
        "None.",
        "No services were watched.",
        "No spell is recorded.",
    )
    assert [sentence for sentence in said if sentence not in text] == []


def test_labels_that_are_late_missed_or_unusual_are_named() -> None:
    text = flat(bad())
    assert "1762300800 (Nov 5, 00:00 UTC) late, unusual 26 min 14 s 7 of 9" in text
    assert "was not sealed for jasontheween and marlon." in text
    assert "CRIT 1762300800 (Nov 5, 00:00 UTC) missed" in text
    assert "Silent for longer than ever before: jynxzi and fanfan." in text
    assert "too few to know what nearly all come in" in text


def test_spells_that_services_share_are_said_once_and_many_spells_are_summed() -> None:
    text = flat(bad())
    assert text.count("23:10:30 UTC (30 s).") == 1
    assert "gateway was errored 7 times, 6 min 25 s in all" in text
    assert "gateway restarted: 7 automatic, 1 by an operator" in text


def test_restarts_are_said_by_kind_and_a_deviating_memory_limit_by_service() -> None:
    night = good()
    first = replace(night.of(SERVICE_REPORTS)[0], restarts={"deployment": 2, "memory": 1}, memory_limit=800_000_000)
    text = flat(night.having(SERVICE_REPORTS, (first, *night.of(SERVICE_REPORTS)[1:])))
    assert "milo-aggregator restarted: 2 with a deployment, 1 for its memory." in text
    assert "Memory limit: 500 MB a service; milo-aggregator 800 MB." in text


def test_restarts_of_which_not_each_moment_is_known_are_said_to_lie_between_two() -> None:
    stretches = tuple(
        StateStretch(SINCE + n * HOUR, SINCE + n * HOUR + 60, "restarted", "restarted (automatic)") for n in (1, 2)
    )
    found = replace(service("gateway", 99), stretches=stretches, restarts={"automatic": 2})
    assert "gateway restarted: 2 automatic, at Nov 4, 21:00 UTC and Nov 4, 22:00 UTC." in flat(
        good().having(SERVICE_REPORTS, (found,))
    )
    more = good().having(SERVICE_REPORTS, (replace(found, restarts={"automatic": 3}),))
    assert "gateway restarted: 3 automatic, between Nov 4, 21:00 UTC and Nov 4, 22:01 UTC." in flat(more)


@pytest.mark.parametrize("name", NIGHTS)
@pytest.mark.parametrize("width", [60, 80, 132])
def test_no_line_is_wider_than_the_terminal_and_none_commands_it(name: str, width: int) -> None:
    text = report_text(NIGHTS[name], Terminal(width))
    # A table gives way down to the narrowest columns it can have.
    assert max(cells(line) for line in text.splitlines()) <= max(width, 84)
    assert all(line.isprintable() for line in text.splitlines())


def test_the_columns_of_a_table_line_up() -> None:
    lines = told(crowded(12)).splitlines()
    start = next(n for n, line in enumerate(lines) if "PEAK MEMORY" in line)
    ends = {line.index(" MB") + 3 for line in lines[start + 1 : start + 13]}
    assert ends == {lines[start].index("PEAK MEMORY") + len("PEAK MEMORY")}


def test_colour_comes_only_where_it_is_welcome() -> None:
    assert "\x1b" not in told(bad())
    painted = report_text(bad(), Terminal(colour=True))
    assert painted.startswith("\x1b[1;31mNO-GO: ")
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == told(bad())


@pytest.mark.parametrize("name", ["good", "bad", "blind", "empty"])
def test_every_number_that_is_shown_is_in_the_night(name: str) -> None:
    night = NIGHTS[name]
    known: set[str] = {str(n) for n in range(1, len(night.incidents) + 1)}
    for found in sources(report_fields(night)):
        known |= digits(found)
    # Sums and spans that the report makes itself.
    spans = [(part.start, part.end) for one in night.of(SERVICE_REPORTS) for part in one.stretches]
    spans += [(found.start, found.end) for found in night.blind]
    spans += [(hour.start, hour.end) for table in night.of(TABLE_REPORTS) for hour in table.hours]
    spans.append((night.since, night.until))
    sums = [end - start for start, end in spans] + [7 * 55.0]
    for seconds in sums:
        known |= digits(humanize.duration(seconds))
    for group in night.of(SEALING_REPORT).groups:
        for state in ("sealed", "late", "missed", "open", "unknown"):
            known.add(str(sum(1 for seal in group.seals if seal.state == state)))
        known |= {str((seal.participating or 0) - (seal.unsealed or 0)) for seal in group.seals}
        known |= digits("99%")
    known.add(str(sum(sum(one.restarts.values()) for one in night.of(SERVICE_REPORTS))))
    assert digits(told(night)) <= known


def test_fifty_services_each_have_a_row() -> None:
    text = told(crowded())
    assert len(re.findall(r"^  ok    worker-with-a-l", text, re.MULTILINE)) == 50


def test_a_service_that_was_seen_and_not_restarted_has_zero_restarts() -> None:
    night = good().having(SERVICE_REPORTS, (service("gateway", 99),))
    assert re.search(r"gateway\s+online\s+online .* 0$", told(night), re.MULTILINE)


def test_an_incident_that_was_silenced_says_by_what() -> None:
    night = bad()
    (first, *others) = night.incidents
    quiet = replace(first, root=replace(first.root, silenced_by="s12345678"))
    assert "silenced by" not in flat(night)
    assert flat(replace(night, incidents=(quiet, *others))).count("silenced by s12345678") == 1
