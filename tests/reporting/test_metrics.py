"""`/metrics`: every sample is a measurement, every name is in the catalogue, and Prometheus's own check passes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitord.core.engine import State, decide
from monitord.core.model import Failure, Observation, Reading, sample
from monitord.core.orders import NumberOrders, ServiceOrders, StandingOrders
from monitord.core.status import FleetStatus
from monitord.core.subjects.check_rules import CheckNumber, CheckStatus
from monitord.core.thresholds import threshold
from monitord.reporting.metric_families import ChannelFigures, Facts, families
from monitord.reporting.metrics import MOST, exposition
from tests.core.nights import Night, orders
from tests.reporting.sample_nights import HOSTILE

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
PROMTOOL = shutil.which("promtool")
AT = datetime(2025, 11, 5, 3, 57, tzinfo=UTC)
FACTS = Facts(
    version="1.2.3",
    instance="box-1",
    fleet="shop",
    at=AT,
    cycle_seconds=0.08,
    whole_age_seconds=3.5,
    bus_connected=True,
    bus_dropped=2,
    outbox={"webhook": ChannelFigures(waiting=1, oldest_age_seconds=12.5, sent=7, failed=3)},
)
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def told(report: FleetStatus, facts: Facts = FACTS) -> Samples:
    """Every sample of an exposition by its name and labels; no two are the same."""
    body, _ = exposition(report, facts)
    samples: Samples = {}
    for family in text_string_to_metric_families(body.decode()):
        assert family.name in families() or f"{family.name}_total" in families()
        for one in family.samples:
            key = (one.name, tuple(sorted(one.labels.items())))
            assert key not in samples
            samples[key] = one.value
    return samples


def values(samples: Samples, name: str) -> dict[str, float]:
    """One family's values by the values of its labels."""
    return {"/".join(v for _, v in labels): value for (n, labels), value in samples.items() if n == name}


@cache
def healthy() -> FleetStatus:
    night = Night()
    night.passes(minutes=30)
    return night.report


@cache
def blind() -> FleetStatus:
    """PM2, Postgres and Redis cannot be reached, and it has been said."""
    away = Failure("refused", "nothing listens there")
    readings = {name: Reading(name, failure=away) for name in ("pm2", "postgres", "epochs", "redis", "host")}
    wanted = StandingOrders(confirmations=1, services={"gateway": "online"}, queues=("tree-builder",))
    return decide(State(), Observation(AT, readings), wanted).report


def fleet_of(names: Mapping[str, str]) -> FleetStatus:
    """Services by name and state, each of which should be online."""
    samples = tuple(
        sample("service_state", state, "", service=name, instance=name) for name, state in sorted(names.items())
    )
    wanted = StandingOrders(confirmations=1, services=dict.fromkeys(names, "online"), probes=frozenset({"pm2"}))
    return decide(State(), Observation(AT, {"pm2": Reading("pm2", samples, duration_ms=20.0)}), wanted).report


@cache
def crowd() -> FleetStatus:
    """5,000 services; the last three by name are down."""
    names = [f"worker-{number:04}" for number in range(5000)]
    return fleet_of(dict.fromkeys(names, "online") | dict.fromkeys(names[-3:], "stopped"))


@cache
def hostile() -> FleetStatus:
    """Names that would break a text format, one that is the same as another once cleaned, and one without end."""
    names = [HOSTILE, 'a"b\\c\nd}', "same\x00", "same\x01", "x" * 5000, "{}", "", " "]
    return fleet_of(dict.fromkeys(names, "stopped") | {"\ud800": "online"})


REPORTS = {"healthy": healthy, "blind": blind, "crowd": crowd, "hostile": hostile}


def test_a_healthy_fleet_is_told_in_base_units() -> None:
    samples = told(healthy())
    assert values(samples, "monitord_status") == {"ok": 1, "warning": 0, "unknown": 0, "critical": 0}
    assert values(samples, "monitord_service_up")["gateway"] == 1
    assert values(samples, "monitord_service_as_ordered")["cls-discovery"] == 1
    assert values(samples, "monitord_service_up")["cls-discovery"] == 0
    assert values(samples, "monitord_disk_used_ratio") == {"/": 0.24}
    assert values(samples, "monitord_probe_duration_seconds")["postgres"] == 0.0015
    assert values(samples, "monitord_table_size_bytes")["user_signals"] == 1_100_000_000
    assert values(samples, "monitord_alerts") == {"firing": 0, "suppressed": 0}
    assert values(samples, "monitord_epoch_missed_labels") == {"MILO": 0, "CLS": 0}
    assert values(samples, "monitord_host_load") == {"1": 0.5, "5": 0.5, "15": 0.5}
    assert values(samples, "monitord_services") == {"true": 7, "false": 0, "unknown": 0}


def test_what_the_watch_says_of_itself_is_told() -> None:
    samples = told(healthy())
    assert values(samples, "monitord_build_info") == {"shop/box-1/1.2.3": 1}
    assert values(samples, "monitord_last_check_timestamp_seconds") == {"": AT.timestamp()}
    assert values(samples, "monitord_whole_cycle_age_seconds") == {"": 3.5}
    assert values(samples, "monitord_bus_connected") == {"": 1}
    assert values(samples, "monitord_outbox_waiting") == {"webhook": 1}
    assert values(samples, "monitord_outbox_oldest_age_seconds") == {"webhook": 12.5}
    assert values(samples, "monitord_notifications_sent_total") == {"webhook": 7}
    assert values(samples, "monitord_notifications_failed_total") == {"webhook": 3}
    assert values(samples, "monitord_bus_dropped_events_total") == {"": 2}


def test_what_cannot_be_measured_has_no_sample() -> None:
    samples = told(blind(), Facts("1.2.3", "box-1"))
    assert values(samples, "monitord_probe_up") == dict.fromkeys(("pm2", "postgres", "epochs", "redis", "host"), 0)
    assert values(samples, "monitord_services") == {"true": 0, "false": 0, "unknown": 1}
    measured = re.compile(
        r"monitord_(service|table|database|redis|queue|disk|host|bus|outbox|notifications|whole|cycle|last)_"
        r"|monitord_epoch_(label|seal|missed|channels)"
    )
    assert {name for name, _ in samples if measured.match(name)} == set()
    assert ("monitord_alert_firing", (("rule", "postgres_unreachable"), ("severity", "critical"), ("subject", "postgres"))) in samples  # fmt: skip # noqa: E501


def test_a_probe_that_is_off_or_was_not_taken_yet_is_neither_up_nor_down() -> None:
    report = decide(State(), Observation(AT, {}), StandingOrders(probes=frozenset({"pm2"}))).report
    assert values(told(report), "monitord_probe_up") == {}
    assert "monitord_services" in {name for name, _ in told(report)}
    report = decide(State(), Observation(AT, {}), StandingOrders(probes=frozenset({"host"}))).report
    assert "monitord_services" not in {name for name, _ in told(report)}


def test_of_five_thousand_services_those_that_are_wrong_are_shown_and_the_rest_counted() -> None:
    samples = told(crowd())
    shown = values(samples, "monitord_service_up")
    assert len(shown) == MOST
    assert {name for name, up in shown.items() if up == 0} == {"worker-4997", "worker-4998", "worker-4999"}
    assert values(samples, "monitord_series_dropped")["service"] == 5000 - MOST
    assert values(samples, "monitord_services") == {"true": 4997, "false": 3, "unknown": 0}


def test_of_very_many_alerts_the_worst_are_shown_and_the_rest_counted() -> None:
    samples = told(fleet_of({f"worker-{number:04}": "stopped" for number in range(MOST + 50)}))
    assert len(values(samples, "monitord_alert_firing")) == MOST
    assert values(samples, "monitord_series_dropped")["alert"] == 50
    assert values(samples, "monitord_alerts")["firing"] == MOST + 50


def test_hostile_names_are_cleaned_cut_and_never_told_twice() -> None:
    samples = told(hostile())
    shown = list(values(samples, "monitord_service_up"))
    assert all(len(name) <= 200 and name.isprintable() for name in shown)
    assert sum(name.startswith("same") for name in shown) == 1
    assert len(shown) + values(samples, "monitord_series_dropped")["service"] == 9


def test_numbers_that_are_none_are_left_out() -> None:
    facts = replace(FACTS, cycle_seconds=float("nan"), whole_age_seconds=float("inf"))
    names = {name for name, _ in told(healthy(), facts)}
    assert {"monitord_cycle_duration_seconds", "monitord_whole_cycle_age_seconds"} & names == set()


def test_a_scrape_is_a_registry_of_its_own() -> None:
    body, kind = exposition(healthy(), FACTS)
    assert kind.startswith("text/plain; version=0.0.4")
    assert b"python_info" not in body
    assert exposition(blind(), FACTS)[0] != body


@pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool here")
@pytest.mark.parametrize("name", REPORTS)
def test_promtool_finds_nothing_to_say(name: str) -> None:
    body, _ = exposition(REPORTS[name](), FACTS)
    assert PROMTOOL is not None
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=body, capture_output=True, timeout=30, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_every_metric_is_in_the_reference_with_its_labels_and_no_other() -> None:
    table = REFERENCE.read_text(encoding="utf-8").split("## Metrics\n", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in table.splitlines() if line.startswith("| `")]
    documented = {name.strip("`"): set(re.findall(r"[a-z_]+", labels)) for name, labels in rows}
    assert documented == {name: set(family.labels) for name, family in families().items()}


def on_chain() -> FleetStatus:
    """A report in which the chain has told all that it can tell."""
    of = {"group": "MILO", "channel": "marlon"}
    samples = (
        sample("chain_slot", 379_000_000),
        sample("chain_latency", 12.0, "ms"),
        sample("chain_node", 379_000_000, node="127.0.0.1:8899"),
        sample("chain_program", "executable", ""),
        sample("chain_deployed", 377_000_000),
        sample("chain_supply", 5000.0, group="MILO"),
        sample("chain_balance", 0.5, "SOL", wallet="wallet"),
        sample("chain_published", 1_762_308_000, **of),
        sample("chain_root", "6f" * 32, "", **of),
        sample("chain_latest", 1_762_308_000, **of),
    )
    own = {"chain": {"wallets": {"wallet": 0.1}}}
    orders = StandingOrders(probes=frozenset({"chain"}), by_subject=own)
    reading = Reading("chain", samples)
    return decide(State(), Observation(datetime(2025, 11, 5, tzinfo=UTC), {"chain": reading}), orders).report


def test_every_metric_of_the_catalogue_is_told_by_some_report() -> None:
    jobs = {"gateway": {"Jobs": NumberOrders(threshold("> 50"), threshold("> 90"))}}
    declared = {"gateway": ServiceOrders(errors=20.0)}
    watched = orders(queues=("tree-builder",), number_limits=jobs, service_by_name=declared)
    night = Night(replace(watched, probes=watched.probes | {"pipeline"}))
    night.pipeline.unpublished = night.clock.now
    night.queues["tree-builder"].moves, night.queues["tree-builder"].oldest = False, 30.0
    night.instead["lock_wait_longest", ()] = 4.0
    night["gateway"].loop_ms, night["gateway"].heap_limit = 3.81, 512 * 2.0**20
    night.passes(minutes=30)
    shop = CheckStatus("command", "ok", 12.0, "ms", None, None, 3.0, None, None, {"load": CheckNumber(0.5, "")})
    checked = replace(night.report, sections={**night.report.sections, "checks": {"shop": shop}})
    told_of = {name for report in (checked, blind(), on_chain()) for name, _ in told(report)}
    assert set(families()) - told_of == set()
