"""A job that reports by itself: missed, failed, for too long; and what cannot be told is not said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from monitord.core.codec import decode, encode
from monitord.core.engine import Decision, State, decide
from monitord.core.history import checkins
from monitord.core.model import Observation, Reading, Sample, Transition, sample
from monitord.core.orders import CheckOrder, StandingOrders
from monitord.core.subjects.check_rules import KEPT, PROBE, VALUE

HOUR, DAY = 3600.0, 86400.0
START = datetime(2025, 11, 5, 0, 30, tzinfo=UTC)


@dataclass
class Jobs:
    """One job, and a monitord that reads its reports again and again."""

    order: CheckOrder
    now: float = START.timestamp()
    state: State = field(default_factory=State)
    started: float | None = None
    succeeded: float | None = None
    failed: float | None = None
    code: int | None = None
    said: list[tuple[float, Transition]] = field(default_factory=list)
    last: Decision | None = None
    _orders: StandingOrders = field(default_factory=StandingOrders)
    clock: float = 0.0  # how far the wall clock was set, of which the boot's clock knows nothing

    @property
    def orders(self) -> StandingOrders:
        if self._orders.checks.get("backup") is not self.order:
            self._orders = StandingOrders(
                probes=frozenset({PROBE}), checks={"backup": self.order}, late_after=timedelta(minutes=6)
            )
        return self._orders

    def starts(self) -> None:
        self.started = self.now

    def succeeds(self) -> None:
        self.succeeded, self.code = self.now, 0

    def fails(self, code: int | None = None) -> None:
        self.failed, self.code = self.now, code

    def samples(self) -> Iterable[Sample]:
        ended = max((at for at in (self.succeeded, self.failed) if at is not None), default=None)
        yield sample(VALUE, None if ended is None else self.now - ended, "seconds", check="backup")
        yield sample(KEPT, None, "timestamp", check="backup")
        for name, value in (
            (checkins.STARTED, self.started),
            (checkins.SUCCEEDED, self.succeeded),
            (checkins.FAILED, self.failed),
            (checkins.CODE, self.code),
            (checkins.TOOK, None),
        ):
            yield sample(name, value, "timestamp", check="backup")

    def looks(self) -> None:
        reading = Reading(PROBE, tuple(self.samples()))
        now = datetime.fromtimestamp(self.now, UTC)
        observation = Observation(now, {PROBE: reading}, lived=self.now - self.clock, boot="boot")
        self.last = decide(self.state, observation, self.orders)
        self.state = self.last.state
        self.said += [(self.now, transition) for transition in self.last.transitions]

    def passes(self, hours: float) -> Jobs:
        """A look a minute in the last hour of it, and one in five minutes before."""
        until = self.now + hours * HOUR
        while self.now < until:
            self.looks()
            self.now += 60.0 if until - self.now <= HOUR else 300.0
        self.state = decode(State, encode(self.state))
        return self

    def sleeps(self, hours: float) -> Jobs:
        """monitord does not run, and no report is heard."""
        self.now += hours * HOUR
        return self

    def edges(self, edge: str = "firing") -> list[str]:
        """`rule at HH:MM` of each such edge, in order."""
        return [
            f"{one.alert.rule} at {datetime.fromtimestamp(at, UTC):%d %H:%M}"
            for at, one in self.said
            if one.edge == edge
        ]

    @property
    def status(self) -> str:
        assert self.last is not None
        return str(self.last.report.as_fields()["checks"]["backup"]["status"])

    def summary(self) -> str:
        return [one.alert.finding.summary for _, one in self.said if one.edge == "firing"][-1]


def daily(**more: object) -> Jobs:
    return Jobs(CheckOrder("checkin", period=timedelta(days=1), grace=timedelta(hours=1), **more))  # type: ignore[arg-type]


def nightly(**more: object) -> Jobs:
    return Jobs(CheckOrder("checkin", schedule="0 3 * * *", grace=timedelta(minutes=30), **more))  # type: ignore[arg-type]


def test_a_job_that_reports_in_time_is_as_expected() -> None:
    jobs = daily()
    for _ in range(3):
        jobs.succeeds()
        jobs.passes(24)
    assert (jobs.edges("pending"), jobs.status) == ([], "ok")


def test_one_that_stops_to_report_is_missed_once_its_grace_is_over_and_is_over_with_its_next_report() -> None:
    jobs = daily()
    jobs.succeeds()
    jobs.passes(25.2)
    assert jobs.edges() == ["checkin_missed at 06 01:32"]
    assert jobs.status == "warning"
    assert jobs.summary() == (
        "backup has not reported: it was due at 00:30 UTC; its last report came at Nov 5, 00:30 UTC."
    )
    jobs.passes(2)
    jobs.succeeds()
    jobs.passes(0.2)
    assert jobs.edges("resolved") == ["checkin_missed at 06 03:43"]
    assert jobs.said[-1][1].now == "backup has reported that all went well at 03:42 UTC."


def test_a_job_that_was_just_configured_is_unknown_until_it_has_reported_and_missed_after_its_first_period() -> None:
    jobs = daily().passes(24.9)
    assert (jobs.edges("pending"), jobs.status) == ([], "unknown")
    assert jobs.last is not None
    assert jobs.last.report.status == "unknown"  # what nobody can tell is not OK
    jobs.passes(0.5)
    assert jobs.edges() == ["checkin_missed at 06 01:32"]
    assert "no report of it has ever come" in jobs.summary()
    new = nightly().passes(2.9)  # until 03:24
    assert (new.edges("pending"), new.status) == ([], "unknown")
    new.passes(0.5)
    assert new.edges() == ["checkin_missed at 05 03:31"]


def test_by_a_schedule_it_is_due_at_its_moments_and_at_no_other() -> None:
    jobs = nightly(severity="critical").passes(2.6)
    jobs.succeeds()  # at 03:06
    jobs.passes(24)
    assert jobs.edges("pending") == []
    jobs.passes(0.6)
    assert jobs.edges() == ["checkin_missed at 06 03:31"]
    assert jobs.said[-1][1].alert.severity == "critical"
    assert jobs.status == "critical"


def test_a_report_just_before_its_moment_is_the_one_of_that_moment() -> None:
    jobs = nightly().passes(2.5)
    jobs.now -= 30.0
    jobs.succeeds()  # at 02:59:30
    jobs.passes(23.9)
    assert jobs.edges("pending") == []


def test_a_run_that_failed_is_said_with_its_exit_code_until_one_succeeds() -> None:
    jobs = nightly(user_facing=True).passes(2.6)
    jobs.fails(3)
    jobs.passes(1)
    assert jobs.edges() == ["checkin_failed at 05 03:07"]
    assert jobs.summary() == "backup failed with exit code 3 at 03:06 UTC, as it reports itself."
    assert (jobs.said[-1][1].alert.severity, jobs.status) == ("critical", "critical")
    jobs.starts()
    jobs.passes(0.2)
    assert jobs.edges("resolved") == []
    jobs.succeeds()
    jobs.passes(0.2)
    assert jobs.edges("resolved")[0].startswith("checkin_failed")


def test_a_run_that_takes_too_long_is_one_alert_and_not_missed_beside_it() -> None:
    jobs = nightly(max_runtime=timedelta(hours=2)).passes(2.5)
    jobs.starts()  # at 03:00
    jobs.passes(1.9)
    assert jobs.edges("pending") == []
    jobs.passes(1)
    assert jobs.edges() == ["checkin_overran at 05 05:02"]
    assert "it may take 2 h" in jobs.summary()
    jobs.succeeds()
    jobs.passes(0.1)
    assert jobs.edges("resolved")[0].startswith("checkin_overran")
    assert jobs.status == "ok"


def test_a_run_that_began_late_is_given_its_grace_and_then_missed() -> None:
    jobs = nightly().passes(2.9)
    jobs.starts()  # at 03:24
    jobs.passes(0.4)
    assert jobs.edges("pending") == []
    jobs.passes(0.5)
    assert jobs.edges() == ["checkin_missed at 05 03:56"]
    assert "though it began at 03:24 UTC" in jobs.summary()


def test_what_was_due_while_monitord_was_down_is_unknown_until_it_is_due_again() -> None:
    jobs = nightly().passes(2.0)
    jobs.succeeded = jobs.now - DAY
    jobs.passes(0.2)
    jobs.sleeps(1.0).passes(1.0)  # down from 02:42 to 03:42, and the job got no answer at 03:00
    assert (jobs.edges("pending"), jobs.status) == ([], "unknown")
    jobs.passes(22)
    assert jobs.edges("pending") == []
    jobs.passes(1)  # nor did it come on the next night
    assert jobs.edges() == ["checkin_missed at 06 03:31"]


def test_a_report_that_was_lost_while_monitord_was_down_is_missed_a_period_after_it_came_back() -> None:
    jobs = daily()
    jobs.succeeds()
    jobs.passes(23.0)
    jobs.sleeps(2.0).passes(23.0)
    assert (jobs.edges("pending"), jobs.status) == ([], "unknown")
    jobs.passes(3.0)
    assert jobs.edges() == ["checkin_missed at 07 02:32"]


def test_each_time_in_which_nobody_heard_reports_counts() -> None:
    jobs = nightly().passes(2.0)
    jobs.succeeded = jobs.now - DAY
    jobs.passes(0.2)
    jobs.sleeps(1.0).passes(1.0)  # down at three, when it was due
    jobs.sleeps(0.2).passes(19.0)  # and again, when nothing was due
    assert (jobs.edges("pending"), jobs.status) == ([], "unknown")
    hourly = Jobs(CheckOrder("checkin", period=timedelta(hours=1), grace=timedelta(minutes=5)))
    hourly.succeeds()
    hourly.passes(0.8)
    for _ in range(3):  # each time just before it was due again
        hourly.sleeps(0.3).passes(0.8)
    assert hourly.edges("pending") == []
    hourly.passes(0.5)
    assert [edge.partition(" ")[0] for edge in hourly.edges()] == ["checkin_missed"]


def test_a_downtime_long_before_it_was_due_excuses_nothing() -> None:
    jobs = daily()
    jobs.succeeds()
    jobs.passes(1.0)
    jobs.sleeps(2.0).passes(22.5)
    assert jobs.edges() == ["checkin_missed at 06 01:32"]


def test_the_end_of_a_run_may_have_been_lost_too() -> None:
    jobs = nightly(max_runtime=timedelta(hours=1)).passes(2.5)
    jobs.starts()
    jobs.passes(0.2)
    jobs.sleeps(0.2).passes(3.0)
    assert jobs.edges("pending") == []
    jobs.passes(22)
    jobs.starts()  # the next night it begins again, and this time somebody would have heard its end
    jobs.passes(1.2)
    assert [edge.partition(" ")[0] for edge in jobs.edges()] == ["checkin_overran"]


def test_a_clock_that_is_set_makes_no_job_late() -> None:
    jobs = daily()
    jobs.succeeds()
    jobs.passes(12)
    told = jobs.succeeded
    jobs.now += 14 * HOUR
    jobs.clock += 14 * HOUR
    jobs.passes(11)
    assert (jobs.edges("pending"), jobs.succeeded) == ([], told)


def test_what_was_kept_for_longer_than_the_job_is_let_go() -> None:
    jobs = daily().passes(0.1)
    jobs.order = replace(jobs.order, every=timedelta(minutes=1))
    assert set(jobs.state.history.jobs) == {"backup"}
    reading = Reading(PROBE, ())
    orders = replace(jobs.orders, checks={"other": jobs.order})
    after = decide(jobs.state, Observation(datetime.fromtimestamp(jobs.now, UTC), {PROBE: reading}), orders)
    assert set(after.state.history.jobs) == {"other"}
