"""How soon each rule speaks: the table of docs/reference.md has every rule, its reasons, and figures that hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.detection import BEGIN, EDGE, END, HOUR, QUIET_SECONDS, REFERENCE, SEALS_AT, SELDOM, delay, heading, rows
from bench.faults import AT_ONCE, CLOSED, CYCLE, DEADLINES, FAULTS, Fault
from monitord.core.subjects import RULES
from tests.core.nights import EVERY

from .files import known
from .probes import judging
from .vocabulary import understood

HERE = Path(__file__).parent
NOTHING_TO_WAIT_FOR = {CYCLE, AT_ONCE, CLOSED, DEADLINES}
# What takes an hour is looked at less often until a quarter of an hour before the soonest that it may be told of, and
# what takes three seldom. Not so what is counted between two looks: it is counted otherwise where these are far apart.
LONG_WAIT, SELDOM_WAIT, AT_THE_END = 3600.0, 3 * 3600.0, 900.0
LESS_OFTEN = 3 * EVERY
COUNTED = {"service_unstable"}
# A fast rise is one by the readings of an hour or two: fewer of them find it later.
BY_EACH_READING = {"disk_filling"}
# What takes so long is found at one phase only.
LONG = 1200.0
TABLE = REFERENCE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
ROWS = {place: cells[2:] for place, cells in rows(TABLE).items()}


def row(fault: Fault) -> list[str]:
    return ROWS[heading(fault), fault.title]


def told(text: str) -> float:
    """`35 s`, `16 min` or `1 h 58 min` in seconds."""
    return sum(int(n) * {"s": 1, "min": 60, "h": 3600}[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", text))


def about(seconds: float) -> float:
    """By how much what is written may differ from what it was written of: it is rounded, and not every phase tried."""
    return 1.0 if seconds < 120 else 60.0


def test_every_rule_is_in_the_table_and_no_other() -> None:
    assert {fault.rule for fault in FAULTS} == {rule.name for rule in RULES}
    assert ROWS.keys() == {(heading(fault), fault.title) for fault in FAULTS}
    assert len(FAULTS) == len(ROWS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.rule}, {fault.title}")
def test_a_fault_is_one_of_a_recorded_night(fault: Fault) -> None:
    (path,) = HERE.glob(f"{fault.night:02}-*.toml")
    night = known(path)
    recorded = {understood(phrase) for step in night.steps for phrase in step.what}
    assert {understood(phrase.format(hour="03:00")) for phrase in (*fault.before, *fault.happens)} <= recorded
    assert any(said.edge == "firing" and said.rule == fault.rule for said in night.said)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.rule}, {fault.title}")
def test_what_takes_longer_than_a_minute_has_its_reason_beside_it(fault: Fault) -> None:
    soonest, median, latest, why = row(fault)
    assert why == fault.why
    assert 0 < told(soonest) <= told(median) <= told(latest)
    assert told(latest) <= 60 or why not in NOTHING_TO_WAIT_FOR


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.rule}, {fault.title}")
def test_the_figures_hold(fault: Fault) -> None:
    soonest, _, latest = (told(cell) for cell in row(fault)[:3])
    edges = (EDGE, EVERY - EDGE) if fault.over == "cycle" else (SEALS_AT + EDGE, SEALS_AT - EDGE)
    # One phase must do for what takes hours.
    is_seldom = latest >= SELDOM_WAIT and fault.rule not in COUNTED
    is_less = latest >= LONG_WAIT and fault.rule not in BY_EACH_READING
    waits = 0.9 * soonest // EVERY * EVERY if is_seldom or is_less else 0.0
    waits = max(0.0, waits + HOUR * fault.from_end - AT_THE_END)
    seldom = SELDOM if is_seldom else LESS_OFTEN
    # What is told soon, and by nothing that was before it, is told as soon after a minute of quiet as after ten.
    quiet = QUIET_SECONDS if fault.before or latest >= LONG else 2 * EVERY
    probes = judging(fault.rule)
    found = [delay(fault, phase, waits, seldom, quiet, probes) for phase in edges[: 2 if latest < LONG else 1]]
    assert min(found) >= soonest - about(soonest)
    assert max(found) <= latest + about(latest)
    if fault.why in NOTHING_TO_WAIT_FOR and len(found) == 2:
        assert min(found) == pytest.approx(soonest, abs=1)
        assert max(found) == pytest.approx(latest, abs=1)


# What the orders ask for, and how soon a fault of theirs must be told at the latest.
ORDERED = {
    ("`service_down`", "gateway stops"): 60,
    ("`service_restart_loop`", "gateway dies every 3s"): 60,
    ("`service_memory_high`", "memory of gateway is 501MB"): 60,
    ("`disk_high` (critical)", "the disk is 98.5% full"): 60,
    ("`table_growth_high`", "five million rows come within a minute"): 60,
    # A million rows in two hours, and no new epoch for two and for four.
    ("`table_growth_high`", "rows come at 600_000/h"): 2 * 3600,
    ("`sealing_late`", "nothing is sealed any more"): 2 * 3600,
    ("`sealing_stuck`", "nothing is sealed any more"): 4 * 3600,
}


@pytest.mark.parametrize("place", ORDERED, ids=lambda place: f"{place[0]}, {place[1]}")
def test_nothing_is_slower_than_the_orders_ask(place: tuple[str, str]) -> None:
    assert told(ROWS[place][2]) <= ORDERED[place]
