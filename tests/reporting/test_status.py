"""The report as text and as plugin output, made from real judgements of made-up nights."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from monitord.core.engine import State, decide
from monitord.core.model import Failure, Observation, Reading, Sample, Unmeasured, sample
from monitord.core.orders import StandingOrders
from monitord.core.status import FleetStatus, read_status
from monitord.jsonable import document, revived
from monitord.reporting.nagios import nagios
from monitord.reporting.sections import StatusView
from monitord.reporting.status import text
from monitord.reporting.terminal import Terminal, cells, clip, terminal

NOW = datetime(2025, 11, 5, 3, 57, tzinfo=UTC)
LATEST = 1762308000
ORDERS = StandingOrders(
    confirmations=1,
    services={"milo-aggregator": "online", "gateway": "online", "cls-discovery": "periodic"},
    queues=("tree-builder",),
)
# \x1b opens an escape sequence, \u202e turns the line around, \x9b is an escape sequence in one byte.
HOSTILE = "evil\x1b]0;owned\x07\x9b31m\u202e\n| 'rows'=9;9 " + "x" * 180


def service(name: str, state: str, memory: float | None = None, uptime: float = 0.0) -> Iterator[Sample]:
    labels = {"service": name, "instance": name}
    yield sample("service_state", state, "", **labels)
    yield sample("service_memory", memory, "bytes", **labels)
    yield sample("service_restarts", 0, **labels)
    yield sample("service_created_at", 1.0, "timestamp", **labels)
    if state == "online":
        yield sample("service_started_at", NOW.timestamp() - uptime, "timestamp", **labels)


def healthy() -> dict[str, Reading]:
    return {
        "pm2": Reading(
            "pm2",
            (
                *service("milo-aggregator", "online", 158_000_000, 3 * 3600),
                *service("gateway", "online", 99_000_000, 14 * 3600),
                *service("cls-discovery", "stopped"),
            ),
        ),
        "postgres": Reading(
            "postgres",
            (
                sample("response", 3.2, "ms"),
                sample("connections", 12),
                sample("database_size", 2_200_000_000, "bytes"),
                sample("table_rows", 4_096_837, table="user_signals"),
                sample("table_inserted", 5_000_000, table="user_signals"),
                sample("table_size", 1_100_000_000, "bytes", table="user_signals"),
                sample("table_countable", 1, table="user_signals"),
                sample("largest_table", 1_100_000_000, "bytes", table="user_signals"),
            ),
        ),
        "epochs": Reading(
            "epochs",
            tuple(
                sample("seal_channels", 9, group=group, epoch=str(LATEST - back * 3600))
                for group in ("MILO", "CLS")
                for back in range(5)
            ),
        ),
        "redis": Reading(
            "redis",
            (
                sample("redis_keys", 125),
                sample("redis_latency", 0.4, "ms"),
                sample("redis_memory", 1_200_000, "bytes"),
                sample("queue_waiting", 3, queue="tree-builder"),
            ),
        ),
        "host": Reading(
            "host",
            (
                sample("disk_used", 24.0, "percent", path="/"),
                sample("disk_free", 475_000_000_000, "bytes", path="/"),
                sample("memory_available", 12_000_000_000, "bytes"),
                sample("swap", 0.0, "percent"),
                sample("load1", 0.1),
                sample("load5", 0.2),
                sample("load15", 0.3),
            ),
        ),
    }


def judged(readings: dict[str, Reading], orders: StandingOrders = ORDERS) -> FleetStatus:
    return decide(State(), Observation(NOW, readings), orders).report


def fields_of(report: FleetStatus) -> dict[str, Any]:
    return {"trigger": "cli", "at": NOW, "duration_ms": 84.25} | report.as_fields()


def shown(report: FleetStatus, width: int = 80, *, colour: bool = False) -> str:
    return text(StatusView(report, ORDERS, NOW.timestamp()), "monitord check", Terminal(width, colour))


def section(report: str, title: str) -> str:
    return report.partition(f"\n{title}\n")[2].partition("\n\n")[0]


def row(report: str, name: str) -> str:
    """The first line with `name` in it, its columns one space apart."""
    return " ".join(next(line for line in report.splitlines() if name in line).split())


@pytest.mark.parametrize("width", [100, 120, 200])
def test_a_wider_terminal_shows_no_less_than_one_of_eighty_columns(width: int) -> None:
    readings = healthy()
    name = "a-service-with-a-name-that-is-longer-than-its-column-can-be-here"
    services = (*readings["pm2"].samples, *service(name, "errored"))
    for found in (judged(readings), judged(readings | {"pm2": replace(readings["pm2"], samples=services)})):
        narrow, wide = shown(found), shown(found, width)
        assert {word for word in narrow.split() if "…" not in word} <= set(wide.split())


def test_a_healthy_fleet_reads_as_the_baseline_of_the_orders_does() -> None:
    report = shown(judged(healthy()))
    titles = ["Services", "Database growth", "Epoch sealing", "Redis and queues", "Host", "Monitoring"]
    assert [line for line in report.splitlines() if line in titles] == titles
    assert row(report, "milo-aggregator") == "ok milo-aggregator online online 158 MB 3 h 0 –"
    assert row(report, "cls-discovery") == "ok cls-discovery stopped periodic – – 0 –"
    assert "~4,096,837" in row(section(report, "Database growth"), "user_signals")
    assert f"{LATEST} (Nov 5, 02:00 UTC)" in row(report, "MILO")
    assert "57 min" in row(report, "CLS")
    assert row(section(report, "Redis and queues"), "Keys") == "Keys 125"
    assert "1762315200 (Nov 5, 04:00 UTC), in 3 min" in section(report, "Epoch sealing")
    assert row(section(report, "Monitoring"), "Redis") == "ok Redis measured 0.0 ms"
    assert row(section(report, "Host"), "ok") == "ok / 24.0% 475 GB"
    assert report.splitlines()[-1] == "OK: nothing is wrong; 3 of 3 services are as expected."


def test_a_rate_that_waits_for_a_second_reading_is_neither_zero_nor_unknown() -> None:
    table = section(shown(judged(healthy())), "Database growth")
    assert row(table, "user_signals") == "ok user_signals ~4,096,837 not yet not yet 1.1 GB"
    assert "A rate needs two readings" in table


def test_with_postgres_away_nothing_of_it_is_shown_as_a_number() -> None:
    readings = healthy()
    away = Failure("refused", "Postgres at db:5432 refuses the connection")
    readings["postgres"] = Reading("postgres", failure=away)
    readings["epochs"] = Reading("epochs", failure=away)
    report = shown(judged(readings))
    growth, sealing = section(report, "Database growth"), section(report, "Epoch sealing")
    for part in (growth, sealing):
        assert "Unknown (refused): Postgres at db:5432 refuses the connection." in part
    assert row(growth, "user_signals") == "? user_signals unknown unknown unknown unknown"
    assert row(sealing, "MILO") == "? MILO unknown unknown unknown unknown"
    assert report.count("\nCRITICAL: Postgres cannot be measured") == 1


def test_with_pm2_away_every_service_is_unknown_and_none_is_as_ordered() -> None:
    readings = healthy() | {"pm2": Reading("pm2", failure=Failure("timeout", "PM2 did not answer within 5 s"))}
    services = section(shown(judged(readings)), "Services")
    assert row(services, "gateway") == "? gateway unknown online – – – –"
    assert " ok " not in services


def test_a_group_that_sealed_nothing_says_none_and_not_zero_missed() -> None:
    readings = healthy()
    readings["epochs"] = replace(
        readings["epochs"], samples=tuple(s for s in readings["epochs"].samples if s.label("group") == "MILO")
    )
    assert row(section(shown(judged(readings)), "Epoch sealing"), "CLS") == "CRIT CLS none none all none"


def test_missed_labels_are_named_as_integers() -> None:
    readings = healthy()
    hole = str(LATEST - 2 * 3600)
    kept = tuple(s for s in readings["epochs"].samples if s.labels != (("epoch", hole), ("group", "MILO")))
    readings["epochs"] = replace(readings["epochs"], samples=kept)
    assert f"MILO has no seal of {hole} (Nov 5, 00:00 UTC)." in section(shown(judged(readings)), "Epoch sealing")


def test_a_disk_that_hangs_is_unknown_and_says_why() -> None:
    readings = healthy()
    readings["host"] = replace(readings["host"], gaps=(Unmeasured("/mnt/nfs", "timeout", "/mnt/nfs did not answer"),))
    report = shown(judged(readings, replace(ORDERS, disks=("/", "/mnt/nfs"))))
    assert row(report, "/mnt/nfs") == "? /mnt/nfs unknown unknown"
    assert "Unknown: /mnt/nfs did not answer." in report


def test_what_is_not_configured_says_so_once_with_the_variable_that_would_add_it() -> None:
    report = shown(judged({"host": healthy()["host"]}, replace(ORDERS, services={}, probes=frozenset({"host"}))))
    for variable in ("MONITORD_PM2__HOME", "MONITORD_POSTGRES__DSN", "MONITORD_REDIS__URL"):
        assert report.count(variable) == 1
    assert report.splitlines()[-1].startswith("OK: ")


def test_every_alert_is_in_the_verdict_with_its_recommendation_and_the_worst_comes_first() -> None:
    readings = healthy()
    readings["pm2"] = Reading("pm2", (*service("gateway", "errored"), *service("cls-discovery", "online", 600e6, 5)))
    report = judged(readings)
    verdict = " ".join(shown(report).partition("CRITICAL: ")[2].split())
    firing = report.alerts.firing
    assert {alert.rule for alert in firing} == {"service_down", "service_missing", "service_memory_high"}
    for alert in firing:
        assert alert.summary in verdict
        assert alert.recommendation in verdict
    assert verdict.index("errored") < verdict.index("past its limit")
    assert row(shown(report), "gateway").split()[0] == "CRIT"
    assert row(shown(report), "cls-discovery").split()[0] == "warn"


def test_what_another_alert_explains_is_not_shown_as_well() -> None:
    readings = healthy() | {"pm2": Reading("pm2", tuple(service("gateway", "errored")))}
    report = judged(readings)
    (down, *_) = report.alerts.firing
    late = replace(down, rule="sealing_late", subject="MILO", severity="warning", suppressed_by=down.alert_id)
    report = replace(report, alerts=replace(report.alerts, suppressed=(late,)))
    assert row(section(shown(report), "Epoch sealing"), "MILO").split()[0] == "warn"
    assert row(section(shown(report), "Epoch sealing"), "CLS").split()[0] == "ok"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal_whatever_the_names_are(width: int) -> None:
    readings = healthy()
    readings["pm2"] = Reading("pm2", (*service(HOSTILE, "online", 9e9, 9), *service("日本語" * 40, "waiting restart")))
    report = shown(judged(readings), width)
    if width >= 80:
        assert max(cells(line) for line in report.splitlines()) <= width
    assert all(line.isprintable() for line in report.splitlines())


def test_a_hostile_name_cannot_command_the_terminal_even_in_colour() -> None:
    readings = healthy() | {"pm2": Reading("pm2", tuple(service(HOSTILE, "online", 9e9, 9)))}
    report = shown(judged(readings), colour=True)
    assert re.sub(r"\x1b\[[0-9;]+m", "", report).replace("\n", "").isprintable()
    assert "\x1b]" not in report
    assert "\u202e" not in report


def test_colour_changes_nothing_but_the_colour() -> None:
    readings = healthy()
    readings["pm2"] = Reading("pm2", (*service("gateway", "errored"), *service("other", "online", 1e9)))
    report = judged(readings)
    coloured = shown(report, colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]+m", "", coloured) == shown(report)


def test_names_are_cut_by_the_cells_they_take() -> None:
    assert clip("gateway", 7) == "gateway"
    assert clip("gateways", 7) == "gatewa…"
    assert cells(clip("日本語" * 9, 8)) <= 8
    assert len(clip("e" + "\u0301" * 5000, 8)) <= 40


@pytest.mark.parametrize(
    ("is_terminal", "environment", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_is_for_terminals_and_the_environment_has_the_last_word(
    is_terminal: bool, environment: dict[str, str], colour: bool
) -> None:
    assert terminal(is_terminal, environment).colour is colour


# One datum of performance data, by the plugin guidelines.
NUMBER = r"-?\d+(\.\d+)?"
RANGE = rf"({NUMBER}:?)?"
DATUM = re.compile(rf"'[^'=|]+'=(U|{NUMBER}(ms|s|%|B)?)(;{RANGE}(;{RANGE}(;({NUMBER})?(;({NUMBER})?)?)?)?)?")


def perfdata(output: str) -> dict[str, str]:
    first = output.splitlines()[0]
    assert first.count("|") == 1
    text, _, data = first.partition("|")
    assert text.startswith("MONITORD ")
    found = {}
    for datum in re.findall(r"'[^']*'=\S*", data):
        assert DATUM.fullmatch(datum), datum
        found[shlex.split(datum.partition("=")[0])[0]] = datum.rpartition("'=")[2]
    assert " ".join(re.findall(r"'[^']*'=\S*", data)) == data.strip()
    return found


def test_plugin_output_carries_numbers_with_their_limits() -> None:
    output = nagios(judged(healthy()), ORDERS, 84.25)
    assert output.startswith("MONITORD OK - ")
    data = perfdata(output)
    assert data["/ used"] == "24%;70;80;0;100"
    assert data["memory_available"] == "12000000000B;;200000000:;0"
    assert data["user_signals rows"] == "4096837;;;0"
    assert data["MILO seal_age"] == "3420s;7200;14400;0"
    assert data["gateway memory"] == "99000000B;500000000;;0"
    assert data["services_ok"] == "3;;;0;3"


def test_plugin_output_says_u_for_what_was_not_measured() -> None:
    readings = healthy() | {"postgres": Reading("postgres", failure=Failure("refused", "refused"))}
    data = perfdata(nagios(judged(readings), ORDERS, 84.25))
    assert data["user_signals rows"].startswith("U;")
    assert data["user_signals window_rows"].startswith("U;")
    assert data["postgres_response"].startswith("U;")


def test_plugin_output_says_the_worst_first_and_every_alert_after_it() -> None:
    readings = healthy()
    readings["pm2"] = Reading("pm2", (*service("gateway", "errored"), *service("cls-discovery", "online", 600e6, 5)))
    output = nagios(judged(readings), ORDERS, 84.25)
    assert re.match(r"MONITORD CRITICAL - .+ \(and 2 more\) \| ", output)
    long = output.splitlines()[1:]
    assert len(long) == 3
    assert sum("service_memory_high cls-discovery" in line for line in long) == 1


def test_a_hostile_name_breaks_neither_the_line_nor_the_performance_data() -> None:
    readings = healthy() | {"pm2": Reading("pm2", tuple(service(HOSTILE, "online", 9e9, 9)))}
    output = nagios(judged(readings), ORDERS, 84.25)
    data = perfdata(output)
    assert data["services_ok"].startswith("0;")
    assert "rows" not in data
    assert all("|" not in line and line.isprintable() for line in output.splitlines()[1:])


def test_plugin_output_of_hundreds_of_services_stays_within_what_is_read_and_whole() -> None:
    readings = healthy() | {"pm2": Reading("pm2", tuple(s for i in range(300) for s in service(f"w-{i}", "errored")))}
    output = nagios(judged(readings, replace(ORDERS, services={f"w-{i}": "online" for i in range(300)})), ORDERS, 84.25)
    assert len(output.encode()) <= 8192
    perfdata(output)


def test_the_document_has_the_fields_of_check_completed_and_times_as_the_log_has_them() -> None:
    readings = healthy() | {"pm2": Reading("pm2", tuple(service("gateway", "errored")))}
    parsed = json.loads(document(fields_of(judged(readings))))
    assert {"trigger", "status", "duration_ms", "probes", "services", "growth", "database", "epochs"} <= parsed.keys()
    assert parsed["alerts"]["firing"][0]["since"] == "2025-11-05T03:57:00.000Z"
    assert parsed["growth"]["user_signals"]["rows_per_hour"] is None


def test_a_report_kept_as_json_comes_back_with_its_times() -> None:
    readings = healthy() | {"pm2": Reading("pm2", tuple(service("gateway", "errored")))}
    report = judged(readings)
    fields = fields_of(report)
    kept = json.loads(json.dumps(fields, default=datetime.isoformat))
    assert document(revived(kept)) == document(fields)
    assert read_status(kept) == report
