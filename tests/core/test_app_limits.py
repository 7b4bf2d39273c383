"""Limits of any number that an app tells of itself, by its name: judged, shown everywhere, and tried again."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitord.core.app_numbers import as_word, called, of_each, of_word
from monitord.core.backtest import backtest
from monitord.core.codec import decode, encode
from monitord.core.engine import State, decide
from monitord.core.model import Observation, Reading
from monitord.core.orders import NumberOrders, StandingOrders
from monitord.core.recording import Recorder
from monitord.core.subjects.app_limits import number_statuses
from monitord.core.thresholds import threshold
from monitord.jsonable import document
from monitord.reporting.metric_families import Facts
from monitord.reporting.metrics import exposition
from monitord.reporting.nagios import nagios
from monitord.reporting.sections import StatusView
from monitord.reporting.status import text
from monitord.reporting.terminal import Terminal
from monitord.web.backend import PublishedCycle
from tests.core.nights import ORDERS, Night
from tests.web.made import Source, client, settings_for


def limits(warning: str = "", critical: str = "") -> NumberOrders:
    return NumberOrders(*(threshold(each) if each else None for each in (warning, critical)))


LIMITS = {
    "gateway": {"http p95": limits("> 500", "> 2000"), "Jobs": limits("outside 2..9"), "free slots": limits("< 1")},
    "*": {"jobs": limits("> 100")},
}
ORDERED = replace(ORDERS, number_limits=LIMITS)


def night(orders: StandingOrders = ORDERED) -> Night:
    found = Night(orders)
    found["gateway"].loop_ms = found["tree-builder"].loop_ms = 2.5
    found["gateway"].numbers["free slots"] = "4"
    found.passes(minutes=5)
    return found


@pytest.fixture(scope="module")
def slow() -> Night:
    """The gateway answers slowly, and has told no more of its slots since."""
    found = night()
    found["gateway"].numbers["HTTP P95 Latency"] = "612 ms"
    del found["gateway"].numbers["free slots"]
    found.passes(minutes=3)
    return found


def status_of(found: Night) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(document(found.report.as_fields()))
    return told


def test_a_number_past_its_limit_is_in_the_status_with_its_limits(slow: Night) -> None:
    told = status_of(slow)
    assert told["services"]["gateway"]["limits"] == {
        "http p95": {
            "value": 612.0,
            "unit": "ms",
            "warning": "> 500",
            "critical": "> 2000",
            "status": "warning",
            "reason": None,
        },
        "Jobs": {
            "value": 3.0,
            "unit": "jobs",
            "warning": "outside 2..9",
            "critical": None,
            "status": "ok",
            "reason": None,
        },
        "free slots": {
            "value": None,
            "unit": "",
            "warning": "< 1",
            "critical": None,
            "status": "unknown",
            "reason": "it does not tell PM2 this number",
        },
    }
    assert told["services"]["tree-builder"]["limits"]["jobs"]["status"] == "ok"
    assert told["services"]["cls-worker"]["limits"] == {}
    (alert,) = told["alerts"]["firing"]
    assert (alert["rule"], alert["subject"], alert["value"], alert["limit"], alert["unit"]) == (
        "app_number",
        "gateway",
        612.0,
        500.0,
        "ms",
    )


def test_a_number_that_is_missed_makes_the_whole_unknown_and_not_ok() -> None:
    found = night()
    assert status_of(found)["status"] == "ok"
    del found["gateway"].numbers["free slots"]
    found.passes(minutes=1)
    assert status_of(found)["status"] == "unknown"
    found["gateway"].numbers["free slots"] = "4"
    found.passes(minutes=1)
    assert status_of(found)["status"] == "ok"


def test_it_is_in_the_text(slow: Night) -> None:
    shown = text(StatusView(slow.report, slow.orders, slow.now), "monitord check", Terminal(120))
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "warn gateway http p95 612 ms warning > 500, critical > 2000" in lines
    assert "? gateway free slots unknown: it does not tell PM2 this number warning < 1" in lines


def test_it_is_in_the_nagios_line(slow: Night) -> None:
    line = nagios(slow.report, slow.orders, 3.0)
    assert "'gateway http p95'=612ms;~:500;~:2000" in line
    assert "'gateway Jobs'=3;2:9 " in line
    assert "'gateway free slots'=U" in line


def test_it_is_in_the_metrics(slow: Night) -> None:
    body = exposition(slow.report, Facts(version="1", instance="here"))[0].decode()
    assert 'monitord_service_number_ok{number="http p95",service="gateway"} 0.0' in body
    assert 'monitord_service_number_limited{number="http p95",service="gateway"} 612.0' in body
    assert 'monitord_service_number_warning_limit{number="http p95",service="gateway"} 500.0' in body
    assert 'monitord_service_number_critical_limit{number="http p95",service="gateway"} 2000.0' in body
    assert 'monitord_service_number_ok{number="Jobs",service="gateway"} 1.0' in body
    assert 'monitord_service_number_ok{number="free slots"' not in body  # what could not be measured has no sample
    assert 'monitord_service_number_warning_limit{number="Jobs"' not in body  # a range is not one number


async def test_it_is_on_the_page(slow: Night, tmp_path: Path) -> None:
    source = Source(settings_for(tmp_path))
    source.saw(PublishedCycle(slow.looks[-1].decision, "schedule", 12.5), time.monotonic())
    async with client(source) as page:
        whole, own = (await page.get("/")).text, (await page.get("/service/gateway")).text
    assert "Numbers that apps tell of themselves" in whole
    assert "612 ms, limit warning &gt; 500, critical &gt; 2000" in own


def test_a_recording_is_judged_again_by_other_limits(slow: Night) -> None:
    began = slow.looks[0].observation.now

    def again(**changed: NumberOrders) -> set[tuple[str, str]]:
        orders = replace(ORDERED, number_limits={"gateway": {"http p95": limits("> 500"), **changed}})
        found = backtest((look.observation for look in slow.looks), orders, slow.transitions, began, ORDERED)
        assert found is not None
        return {(alert.rule, alert.subject) for alert in found.alerts}

    assert again() == {("app_number", "gateway")}
    assert again(**{"http p95": limits("> 700")}) == set()


def test_the_worst_instance_counts_by_the_side_of_the_limit() -> None:
    found = Night(replace(ORDERS, number_limits={"gateway": {"Jobs": limits("< 2"), "HTTP p95": limits("> 10")}}))
    found["gateway"].loop_ms = 2.5
    other = found.appears("gateway")
    other.loop_ms = 2.5
    other.numbers = {"Jobs": "1", "HTTP P95 Latency": "5 ms"}
    found.passes(minutes=1)
    numbers = number_statuses(found.state.history, found.orders)["gateway"]
    assert {name: one.value for name, one in numbers.items()} == {"Jobs": 1.0, "HTTP p95": 12.0}


def test_one_that_does_not_run_is_not_judged_and_not_well() -> None:
    found = night()
    found["gateway"].numbers["Jobs"] = "1"
    found.passes(minutes=2)
    found["gateway"].stops()
    found.passes(minutes=5)
    numbers = number_statuses(found.state.history, found.orders)["gateway"]
    assert {one.reason for one in numbers.values()} == {"it does not run"}
    assert {alert.rule for alert in found.state.alerts.values()} == {"app_number", "service_down"}


def as_recorded_before(reading: Reading) -> Reading:
    """The reading as older versions have it: the numbers of each app as one word."""
    values = iter(of_each(str(next((one.value for one in reading.named("app_values")), ""))))
    samples = (
        replace(one, name="service_app", value=as_word(str(one.value), next(values)))
        if one.name == "service_app_form"
        else one
        for one in reading.samples
        if one.name != "app_values"
    )
    return replace(reading, samples=tuple(samples))


def of_pm2(found: Night, looks: int) -> list[Observation]:
    """What PM2 was seen to tell in the last of so many checks."""
    return [
        replace(look.observation, readings={"pm2": look.observation.readings["pm2"]}) for look in found.looks[-looks:]
    ]


def test_what_older_versions_have_recorded_is_judged_alike_also_where_it_goes_on_in_another_form() -> None:
    found = night()
    found["tree-builder"].blocked = True
    found.passes(minutes=3)
    observations = of_pm2(found, 12)
    older = [replace(one, readings={"pm2": as_recorded_before(one.readings["pm2"])}) for one in observations]
    states = []
    for run in (observations, older, [*older[:6], *observations[6:]]):
        state = State()
        for observation in run:
            state = decide(state, observation, ORDERED).state
        states.append(state)
    assert older != observations
    assert states[0].history.services == states[1].history.services == states[2].history.services
    assert states[0].alerts == states[1].alerts == states[2].alerts
    assert "event_loop_blocked" in {one.rule for one in states[0].alerts.values()}


def test_a_state_of_before_has_the_numbers_of_its_apps() -> None:
    found = night()
    kept = json.loads(json.dumps(encode(found.state)))
    for service in kept["history"]["services"].values():
        for process in service["lives"].values():
            if "app_form" in process:
                process["app"] = as_word(process.pop("app_form"), process.pop("app_values"))
    assert "app_form" not in json.dumps(kept)
    assert decode(State, kept) == found.state


def test_values_that_are_those_of_other_apps_are_no_numbers_of_any() -> None:
    found = night()
    (seen,) = of_pm2(found, 1)
    fewer = tuple(one for one in seen.readings["pm2"].samples if one.name != "app_values")
    decision = decide(
        found.state, replace(seen, readings={"pm2": replace(seen.readings["pm2"], samples=fewer)}), ORDERED
    )
    assert decision.faults == ("what is known of PM2 could not be updated (ValueError)",)
    assert decision.state.history.services == found.state.history.services


def test_what_apps_report_anew_is_one_value_of_a_frame_however_many_they_are() -> None:
    recorder = Recorder()
    whole, later = (
        json.loads(json.dumps(recorder.frame(one, whole=not turn)))["readings"]["pm2"]
        for turn, one in enumerate(of_pm2(night(), 2))
    )
    assert len([key for key in whole["set"] if "service_app_form" in key]) == 2
    assert [key for key in later["set"] if "app_" in key] == ['["app_values"]']
    assert "MiB" not in json.dumps(later)


def test_pm2s_own_numbers_may_be_called_for_short_and_in_any_case() -> None:
    word = "HTTP P95 Latency: 612 ms | HTTP: 5 req/min | Event Loop Latency p95: 3 ms | http p99: 7"
    names = ("http p95", "HTTP", "event loop P95", "HTTP p99", "event loop")
    values = {name: called(*of_word(word), name) for name in names}
    assert {name: found and found.value for name, found in values.items()} == {
        "http p95": 612.0,
        "HTTP": 5.0,
        "event loop P95": 3.0,
        "HTTP p99": 7.0,
        "event loop": None,
    }


def test_what_a_service_declares_stands_for_what_holds_for_all_whatever_it_is_called_by() -> None:
    orders = StandingOrders(
        number_limits={"*": {"HTTP P95 Latency": limits("> 1"), "jobs": limits("> 2")}, "web": {"http p95": limits()}}
    )
    assert orders.limits_of_numbers("web") == {"http p95": limits(), "jobs": limits("> 2")}
    assert orders.limits_of_numbers("api") == orders.number_limits["*"]
    assert decode(StandingOrders, json.loads(json.dumps(encode(orders)))) == orders
