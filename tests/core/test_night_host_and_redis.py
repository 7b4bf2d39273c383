"""Nights of the machine and of its queues."""

import pytest

from monitord.core.model import Failure, Severity, Unmeasured

from .fleet import MB
from .nights import LONG, Night, orders, watching

QUEUE = "tree-builder"


@pytest.mark.parametrize(
    ("used", "severity", "limit"), [(70.01, "warning", 70), (80.0, "warning", 70), (80.01, "critical", 80)]
)
def test_a_disk_past_its_limits(used: float, severity: Severity, limit: float) -> None:
    night = watching("host")
    night.passes(minutes=1)
    night.host.disk_used = used
    night.passes(minutes=1)
    alert = night.fired_once("disk_high", "/")
    assert (alert.severity, alert.finding.value, alert.finding.limit, alert.finding.unit) == (
        severity,
        used,
        limit,
        "percent",
    )
    night.host.disk_used = 70.0
    night.passes(minutes=1)
    night.resolved_once("disk_high", "/")


@pytest.mark.parametrize("used", [24.0, 70.0, 70.004])
def test_a_disk_at_its_limit_is_silent(used: float) -> None:
    night = watching("host")
    night.host.disk_used = used
    night.passes(minutes=10)
    night.is_silent()


def test_a_disk_that_fills_is_a_warning_first_and_critical_later_under_one_id_and_recommended_once() -> None:
    night = watching("host", every=120)
    night.host.disk_used, night.host.disk_per_hour = 68.0, 5.0
    night.passes(hours=3)
    warning, critical = night.of("firing", "disk_high", "/")
    assert (warning.alert.severity, critical.alert.severity) == ("warning", "critical")
    assert warning.alert.id == critical.alert.id
    assert [(action.action, action.target) for action in night.actions] == [("free_disk", "/")]
    assert night.actions[0].blocking


def test_a_disk_that_gets_better_by_half_stays_an_alert_and_is_not_said_again() -> None:
    night = Night()
    night.host.disk_used = 85.0
    night.passes(minutes=1)
    night.host.disk_used = 75.0
    night.passes(minutes=10)
    night.fired_once("disk_high", "/")
    (alert,) = night.state.alerts.values()
    assert (alert.severity, alert.finding.limit) == ("warning", 70)
    assert night.status == "warning"


@pytest.mark.parametrize(
    ("inodes", "severity", "limit"),
    [(70.01, "warning", 70), (99.0, "critical", 80), (None, None, None), (70.0, None, None)],
)
def test_a_disk_that_runs_out_of_inodes_is_as_full_as_one_without_space(
    inodes: float | None, severity: Severity | None, limit: float | None
) -> None:
    night = watching("host")
    night.host.inodes_used = inodes
    night.passes(minutes=1)
    assert night.report.as_fields()["host"]["disks"]["/"]["inodes_used_percent"] == inodes
    if severity is None:
        night.is_silent()
        return
    alert = night.fired_once("disk_high", "/")
    assert (alert.severity, alert.finding.value, alert.finding.limit) == (severity, inodes, limit)
    assert "inodes" in alert.finding.summary
    night.host.inodes_used, night.host.disk_used = 10.0, 24.0
    night.passes(minutes=1)
    night.resolved_once("disk_high", "/")


def test_of_space_and_inodes_the_worse_is_said() -> None:
    night = watching("host")
    night.host.inodes_used, night.host.disk_used = 71.0, 90.0
    night.passes(minutes=1)
    alert = night.fired_once("disk_high", "/")
    assert alert.finding.value == 90.0
    assert alert.finding.evidence["full_of"] == "space"


def test_a_disk_that_is_unmounted_is_missing_until_it_is_back_and_its_parent_is_not_accused() -> None:
    night = Night(orders(disks=("/", "/data")))
    night.host.data_used = 75.0
    night.passes(minutes=2)
    night.fired_once("disk_high", "/data")
    night.host.data_mounted, night.host.disk_used = False, 24.0
    night.passes(minutes=10)
    disks = night.report.as_fields()["host"]["disks"]
    assert (disks["/data"]["used_percent"], disks["/"]["used_percent"]) == (None, 24.0)
    # What was known of it stays as it was, and its being gone is said.
    assert night.firing() == {("disk_high", "/data"), ("subject_unmeasured", "/data")}
    assert (
        "no longer a file system of its own"
        in night.fired_once("subject_unmeasured", "/data", alone=False).finding.summary
    )
    assert night.status != "ok"
    night.monitord_restarts()
    night.passes(minutes=2)
    assert night.firing() == {("disk_high", "/data"), ("subject_unmeasured", "/data")}
    night.host.data_mounted = True
    night.passes(minutes=2)
    night.resolved_once("subject_unmeasured", "/data")
    night.host.data_used = 20.0
    night.passes(minutes=2)
    assert night.firing() == set()


def test_a_path_that_never_was_a_disk_of_its_own_is_measured_as_what_it_lies_on() -> None:
    night = watching("host", orders=orders(disks=("/", "/data")))
    night.host.data_used, night.host.data_mounted = 20.0, False
    night.passes(minutes=10)
    night.is_silent()
    assert night.report.as_fields()["host"]["disks"]["/data"]["mount"] == "/"


def test_a_disk_that_was_taken_away_for_good_can_be_forgotten() -> None:
    night = watching("host", orders=orders(disks=("/", "/data")))
    night.host.data_used = 20.0
    night.passes(minutes=2)
    night.host.data_mounted = False
    night.passes(minutes=2)
    night.asks("forget", "/data")
    night.passes(minutes=2)
    assert night.firing() == set()
    assert night.report.as_fields()["host"]["disks"]["/data"]["used_percent"] == 24.0


def test_a_disk_that_cannot_be_measured_is_unknown_and_said() -> None:
    night = watching("host")
    night.host.disk_used = 85.0
    night.passes(minutes=1)
    night.host.disk_gap = Unmeasured("/", "timeout", "statvfs did not answer within 2 s")
    night.passes(minutes=10)
    assert night.firing() == {("disk_high", "/"), ("subject_unmeasured", "/")}
    assert set(night.report.as_fields()["host"]["disks"]["/"].values()) == {None}
    night.host.disk_gap, night.host.disk_used = None, 24.0
    night.passes(minutes=1)
    assert night.firing() == set()


def test_two_hundred_megabytes_available_are_silent_and_less_is_critical() -> None:
    night = watching("pm2", "host")
    night.host.available = 200.0 * MB
    night.passes(minutes=10)
    night.is_silent()
    night.host.available = 200.0 * MB - 1
    night.passes(minutes=1)
    alert = night.fired_once("host_memory_low", "host")
    assert (alert.severity, alert.finding.value, alert.finding.limit, alert.finding.unit) == (
        "critical",
        199_999_999,
        200_000_000,
        "bytes",
    )
    assert "milo-aggregator" in str(alert.finding.evidence["largest_services"])
    night.host.available = 6000.0 * MB
    night.passes(minutes=1)
    night.resolved_once("host_memory_low", "host")


def test_memory_the_kernel_does_not_tell_is_unknown() -> None:
    night = watching("host")
    night.host.available = None
    night.passes(minutes=10)
    night.is_silent()
    assert night.report.as_fields()["host"]["memory_available_bytes"] is None


def test_five_thousand_waiting_jobs_are_silent_and_one_more_is_a_warning() -> None:
    night = watching("redis")
    night.queues[QUEUE].waiting = 5000
    night.passes(minutes=10)
    night.is_silent()
    night.queues[QUEUE].waiting = 5001
    night.passes(minutes=1)
    alert = night.fired_once("redis_queue_backlog", QUEUE)
    assert (alert.severity, alert.finding.value, alert.finding.limit, alert.finding.unit) == (
        "warning",
        5001,
        5000,
        "jobs",
    )
    night.queues[QUEUE].waiting = 10
    night.passes(minutes=1)
    night.resolved_once("redis_queue_backlog", QUEUE)


def test_what_waits_in_a_paused_queue_is_not_blamed_on_its_worker() -> None:
    night = watching("redis")
    night.queues[QUEUE].waiting, night.queues[QUEUE].is_paused = 5001, True
    night.passes(minutes=1)
    alert = night.fired_once("redis_queue_backlog", QUEUE)
    assert alert.finding.recommendation.startswith(f"{QUEUE} is paused, so that no worker takes its jobs")


def test_a_queue_that_only_rises_is_a_backlog_before_it_is_deep() -> None:
    night = watching("redis")
    night.passes(minutes=10)
    night.queues[QUEUE].per_second = 1
    night.passes(minutes=14)
    assert night.said() == []
    night.passes(minutes=3)
    alert = night.fired_once("redis_queue_backlog", QUEUE)
    assert "which rose by 9" in alert.finding.summary
    assert "and has not been drained for 15 min" in alert.finding.summary
    night.queues[QUEUE].per_second = -1
    night.passes(minutes=1)
    night.resolved_once("redis_queue_backlog", QUEUE)


def test_a_queue_that_jumps_and_then_stands_still_is_not_drained_and_not_said_to_rise() -> None:
    night = watching("redis")
    night.passes(minutes=10)
    night.queues[QUEUE].waiting = 900
    night.passes(minutes=14)
    night.is_silent()
    night.passes(minutes=2)
    alert = night.fired_once("redis_queue_backlog", QUEUE)
    assert "900 jobs wait in the queue tree-builder, which rose by 897 and has not been drained for" in (
        alert.finding.summary
    )
    night.queues[QUEUE].waiting = 899
    night.passes(minutes=1)
    night.resolved_once("redis_queue_backlog", QUEUE)


def test_a_burst_into_a_queue_that_was_long_at_rest_is_no_backlog() -> None:
    night = watching("redis", every=120)
    night.passes(hours=2)
    night.queues[QUEUE].waiting += 2000
    night.passes(minutes=5)
    night.queues[QUEUE].per_second = -1
    night.passes(minutes=30)
    assert night.said() == []
    assert night.transitions == []


def test_a_queue_that_rises_and_falls_is_drained() -> None:
    night = watching("redis")
    for _ in range(8):
        night.queues[QUEUE].per_second = 2
        night.passes(minutes=10)
        night.queues[QUEUE].per_second = -4
        night.passes(minutes=5)
    assert night.said() == []


@pytest.mark.parametrize(("period", "share"), [(620.5, 0.89), (905.0, 0.9), (1210.0, 0.6)])
def test_a_queue_that_is_filled_and_drained_is_none_though_the_looks_at_it_drift(period: float, share: float) -> None:
    night = watching("redis", orders=LONG, every=300)
    for _ in range(12 * 12):
        # Readings nearly as far apart as the swings drift slowly up one side of them.
        night.queues[QUEUE].waiting = 3000 * max(0.0, 1 - (night.clock.now % period) / (period * share))
        night.passes(minutes=5)
    assert night.said() == []


def test_a_rise_of_a_few_jobs_is_not_worth_a_word_however_long_it_lasts() -> None:
    night = watching("redis", every=120)
    night.queues[QUEUE].per_second = 0.02
    night.passes(hours=4)
    night.is_silent()


def test_time_in_which_redis_could_not_be_read_counts_towards_no_rise() -> None:
    night = watching("redis")
    night.passes(minutes=1)
    night.queues[QUEUE].per_second = 1
    night.passes(minutes=2)
    night.redis.fails()
    night.passes(minutes=20)
    night.redis.recovers()
    night.passes(minutes=5)
    night.fired_once("redis_unreachable", "redis")


def test_a_queue_of_the_wrong_type_is_unknown_and_said_and_redis_is_not_unreachable() -> None:
    night = watching("redis")
    night.queues[QUEUE].gap = Unmeasured(QUEUE, "protocol", "bull:tree-builder:wait is a string")
    night.passes(minutes=10)
    assert night.fired_once("subject_unmeasured", QUEUE).severity == "warning"
    assert night.report.as_fields()["redis"]["queues"][QUEUE]["waiting"] is None
    night.queues[QUEUE].gap = None
    night.passes(minutes=1)
    night.resolved_once("subject_unmeasured", QUEUE)


def test_privileges_that_one_user_lacks_are_one_finding_that_names_them_all_and_what_is_missing_is_its_own() -> None:
    night = watching("redis", orders=orders(queues=("mails", "pdfs", "gone")))
    for name in ("mails", "pdfs"):
        night.queues[name].gap = Unmeasured(name, "permission", f"bull:{name}:wait cannot be counted: not allowed")
    night.queues["gone"].gap = Unmeasured("gone", "missing", "there is no such queue")
    night.passes(minutes=10)
    assert night.firing() == {("subject_unmeasured", "redis"), ("subject_unmeasured", "gone")}
    summary = night.fired_once("subject_unmeasured", "redis", alone=False).finding.summary
    assert "bull:mails:wait" in summary
    assert "bull:pdfs:wait" in summary


def test_a_server_that_accepts_no_further_client_is_full_and_not_unreachable() -> None:
    night = watching("redis")
    night.passes(minutes=1)
    night.redis.failure = Failure("refused", "Redis has reached its maximum number of clients", full=True)
    night.passes(minutes=2)
    assert night.firing() == {("redis_not_writable", "redis")}
    night.redis.recovers()
    night.passes(minutes=2)
    assert night.firing() == set()
