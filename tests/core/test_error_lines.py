"""Error lines: rates by windows that were heard whole, a past of days of listening, and what is shown of both."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from monitord.core.backtest import backtest
from monitord.core.codec import decode, encode
from monitord.core.history.error_lines import DAYS, LEAST, ErrorHistory, update_errors
from monitord.core.model import Reading, sample
from monitord.core.orders import ServiceOrders, StandingOrders
from monitord.core.subjects.errors import errors_status
from monitord.core.subjects.pm2_report import SERVICE_REPORTS
from monitord.reporting.metric_families import Facts
from monitord.reporting.metrics import exposition
from monitord.web.backend import PublishedCycle
from tests.core.nights import ORDERS, Night, watching
from tests.core.test_report import morning
from tests.web.made import Source, client, night, recorded, settings_for

DAY = 86_400
NOTHING = StandingOrders()


class Bus:
    """What is known of one service `api`, as windows pass; `since` is the connection that is counted on."""

    def __init__(self, orders: StandingOrders = NOTHING) -> None:
        self.known, self.orders, self.services = ErrorHistory(), orders, {"api": None}
        self.now, self.since, self.lines, self.unread = 1000.0, 7.0, 0.0, 0
        self.read()

    def read(self, *, heard: bool = True) -> None:
        samples = [sample("error_lines_since", self.since, "timestamp"), sample("error_lines_unread", self.unread)]
        samples += [sample("error_lines", self.lines, service="api")] if self.lines else []
        reading = Reading("pm2", tuple(samples) if heard else ())
        self.known = update_errors(self.known, reading, self.now, self.orders, self.services)

    def windows(self, count: int, per_minute: float, *, seconds: float = 120.0) -> None:
        for _ in range(count):
            self.now += seconds
            self.lines += per_minute * seconds / 60
            self.read()

    def rises(self) -> bool:
        return self.known.of("api").since is not None

    def rate(self) -> float | None:
        return self.known.of("api").per_minute


@pytest.fixture
def listened() -> Bus:
    """A day of 20 lines a minute, of which the limit is 40."""
    bus = Bus()
    bus.windows(720, 20)
    assert bus.known.limit("api", bus.orders) == 40
    return bus


def test_a_rate_is_known_when_a_window_is_over_and_not_before() -> None:
    bus = Bus()
    assert bus.rate() is None
    bus.windows(1, 30, seconds=90)
    assert bus.rate() is None
    bus.windows(1, 30, seconds=60)
    assert bus.rate() == 30
    assert bus.known.of("silent").per_minute == 0


def test_before_a_day_of_listening_nothing_is_a_rise() -> None:
    bus = Bus()
    bus.windows(719, 5000)
    assert bus.known.limit("api", bus.orders) is None
    assert not bus.rises()


def test_three_windows_in_a_row_are_a_rise_and_two_are_none(listened: Bus) -> None:
    began = listened.now
    listened.windows(2, 50)
    assert not listened.rises()
    listened.windows(1, 20)
    listened.windows(2, 50)
    assert not listened.rises()
    listened.windows(1, 50)
    assert listened.known.of("api").since == began + 3 * 120


def test_a_rise_is_over_after_three_windows_well_below_its_limit(listened: Bus) -> None:
    listened.windows(3, 50)
    listened.windows(10, 35)  # below the limit, and not well below
    listened.windows(2, 20)
    assert listened.rises()
    listened.windows(1, 20)
    assert not listened.rises()


def test_few_lines_are_no_rise_however_quiet_it_was() -> None:
    bus = Bus()
    bus.windows(720, 0)
    assert bus.known.limit("api", bus.orders) == LEAST
    bus.windows(10, 9)
    assert not bus.rises()
    bus.windows(3, 11)
    assert bus.rises()


def test_one_bad_day_does_not_hide_the_next_and_a_second_one_is_the_new_usual(listened: Bus) -> None:
    for _ in range(3):
        listened.windows(720, 20)
    listened.windows(720, 500)
    assert listened.known.limit("api", listened.orders) == 40
    listened.windows(720, 500)
    assert listened.known.limit("api", listened.orders) == 1000


def test_at_most_a_week_is_kept(listened: Bus) -> None:
    for _ in range(9):
        listened.windows(720, 20)
    assert (len(listened.known.of("api").days), listened.known.days) == (DAYS, DAYS)
    listened.services = {}
    listened.windows(1, 20)
    assert listened.known.services == {}


@pytest.mark.parametrize("how", ["another connection", "a lost bus", "a restart", "a gap in the readings"])
def test_a_window_that_was_not_heard_whole_is_unknown_and_neither_begins_nor_ends_a_rise(
    listened: Bus, how: str
) -> None:
    def happens() -> None:
        if how == "another connection":
            listened.since += 1
            listened.windows(1, 0)
        elif how == "a lost bus":
            listened.now += 60
            listened.read(heard=False)
            listened.windows(1, 0)
        elif how == "a restart":
            listened.known = decode(ErrorHistory, json.loads(json.dumps(encode(listened.known))))
            listened.since, listened.lines = listened.since + 1, 0.0
            listened.windows(1, 0)
        else:
            listened.windows(1, 0, seconds=3600)

    listened.windows(2, 50)
    happens()
    assert listened.rate() is None
    listened.windows(2, 50)
    assert not listened.rises()
    listened.windows(1, 50)
    assert listened.rises()
    listened.windows(2, 20)
    happens()
    listened.windows(2, 20)
    assert listened.rises()
    listened.windows(1, 20)
    assert not listened.rises()


def test_only_what_was_heard_is_a_day() -> None:
    bus = Bus()
    bus.windows(700, 20)
    bus.now += 10 * DAY
    bus.read()
    bus.windows(19, 20)
    assert bus.known.limit("api", bus.orders) is None
    bus.windows(2, 20)
    assert bus.known.limit("api", bus.orders) == 40


def test_what_was_not_read_whole_proves_a_rise_and_no_calm(listened: Bus) -> None:
    listened.unread = 5
    listened.windows(1, 50)
    assert listened.known.of("api").at_least
    for _ in range(5):  # it may have written more
        listened.unread += 1
        listened.windows(1, 3)
    listened.unread += 1
    listened.windows(2, 50)
    assert listened.rises()
    for _ in range(5):
        listened.unread += 1
        listened.windows(1, 3)
    assert listened.rises()
    listened.windows(3, 3)
    assert not listened.rises()


def test_a_limit_of_its_own_is_judged_at_once_and_off_is_not_judged() -> None:
    for declared, rises in ((50.0, True), (5000.0, False), ("off", False)):
        bus = Bus(StandingOrders(service_by_name={"api": ServiceOrders(errors=declared)}))  # type: ignore[arg-type]
        bus.windows(3, 60)
        assert bus.rises() is rises


def fleet(made: Night) -> None:
    made["gateway"].error_rate = 60.0


LIMITED = {"gateway": ServiceOrders(errors=20.0)}


def test_the_status_and_the_metrics_have_counts_and_no_words() -> None:
    made = Night(replace(ORDERS, service_by_name=LIMITED))
    fleet(made)
    made.passes(minutes=12)
    errors = made.report.as_fields()["services"]["gateway"]["errors"]
    assert (errors["limit"], errors["at_least"]) == (20.0, False)
    assert 40 < errors["per_minute"] < 80
    assert errors["lines"] > 500
    assert made.report.as_fields()["services"]["cls-worker"]["errors"] == {
        "lines": 0,
        "per_minute": 0.0,
        "limit": None,
        "at_least": False,
    }
    body = exposition(made.report, Facts(version="1", instance="here"))[0].decode()
    assert f'monitord_service_error_lines_total{{service="gateway"}} {errors["lines"]:.1f}' in body
    assert 'monitord_service_error_lines_limit{service="gateway"} 20.0' in body
    assert {alert.rule for alert in made.state.alerts.values()} == {"errors_rising"}
    made.bus_is_lost()
    made.passes(minutes=5)
    assert made.report.as_fields()["services"]["gateway"]["errors"] is None
    assert "error_lines" not in exposition(made.report, Facts(version="1", instance="here"))[0].decode()
    assert errors_status("gateway", made.state.history, made.orders) is None
    assert {alert.state for alert in made.state.alerts.values()} == {"firing"}


async def test_the_page_of_a_service_has_its_rate_its_limit_and_a_plot(tmp_path: Path) -> None:
    source = await recorded(tmp_path, night(0.5, begun=fleet, service_by_name=LIMITED))
    async with client(source) as page:
        noisy, quiet = (await page.get("/service/gateway")).text, (await page.get("/service/tree-builder")).text
    assert "a minute, limit 20" in noisy
    assert "gateway: error lines a minute" in noisy
    assert "errors_rising" in noisy
    assert "error lines a minute" not in quiet


async def test_the_overview_has_the_rate_of_each_service(tmp_path: Path) -> None:
    made = watching("pm2")
    fleet(made)
    made.passes(minutes=6)
    source = Source(settings_for(tmp_path))
    source.saw(PublishedCycle(made.looks[-1].decision, "schedule", 12.5), time.monotonic())
    async with client(source) as page:
        assert "Lines that services write to stderr" in (await page.get("/")).text


def test_the_report_has_the_rate_as_it_was() -> None:
    made = Night(ORDERS)
    fleet(made)
    made.passes(minutes=60)
    services = {service.name: service for service in morning(made, 1).of(SERVICE_REPORTS)}
    rates = [value for _, value in services["gateway"].errors if value]
    assert rates
    assert all(40 < rate < 80 for rate in rates)
    assert not any(value for _, value in services["cls-worker"].errors)


def test_a_recording_is_judged_again_by_other_limits() -> None:
    made = watching("pm2")
    fleet(made)
    made.passes(minutes=30)
    began = made.looks[0].observation.now

    def again(limit: float) -> set[tuple[str, str]]:
        orders = replace(ORDERS, service_by_name={"gateway": ServiceOrders(errors=limit)})
        found = backtest((look.observation for look in made.looks), orders, made.transitions, began, ORDERS)
        assert found is not None
        return {(alert.rule, alert.subject) for alert in found.alerts}

    assert (again(20.0), again(200.0)) == ({("errors_rising", "gateway")}, set())
