"""The example of a package, systemd's units: installed as packages are, and everywhere that built-in subjects are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest

from monitord.core.alerting.commands import silence
from monitord.core.codec import decode, encode
from monitord.core.engine import Decision, State, decide
from monitord.core.model import Answered, Failure, Observation, Reading, Sample, Value
from monitord.core.orders import ServiceOrders, StandingOrders
from monitord.core.report.builder import RecordedCycle, build_report
from monitord.core.subjects import rule_names
from monitord.core.subjects.managers import RULES
from monitord.core.subjects.registry import register, unregister
from monitord.failures import FailureError
from monitord.jsonable import document
from monitord.probes.base import Probe, Request
from monitord.reporting.metric_families import Facts
from monitord.reporting.metrics import exposition
from monitord.reporting.report import report_text
from monitord.reporting.sections import StatusView
from monitord.reporting.status import text
from monitord.reporting.terminal import Terminal
from monitord.web.backend import PublishedCycle
from tests.cli.program import monitord
from tests.web.made import Source, client, settings_for

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "monitord-systemd"
sys.path.append(str(EXAMPLE))  # nobody but this file has it installed
_probe, _subject = import_module("monitord_systemd.probe"), import_module("monitord_systemd.subject")
SYSTEMD, SystemdProbe, SystemdSettings = _subject.SYSTEMD, _probe.SystemdProbe, _subject.SystemdSettings

AT = datetime(2025, 11, 5, 3, 57, tzinfo=UTC)
UNITS = {"nginx.service": ServiceOrders(), "mail.service": ServiceOrders(memory=200_000_000)}
ORDERS = StandingOrders(
    probes=frozenset({"systemd"}),
    by_subject={
        "systemd": encode(
            SystemdSettings(units={**UNITS, "backup.service": ServiceOrders()}, periodic=("backup.service",))
        )
    },
)
# What `systemctl show` of systemd 252 and 255 prints for these properties.
RUNNING = """\
MainPID={pid}
NRestarts={restarts}
ExecMainStartTimestamp={started}
ExecMainCode=0
ExecMainStatus=0
MemoryCurrent={memory}
CPUUsageNSec=5412321000
Id={unit}
Names={unit}
LoadState=loaded
ActiveState=active
SubState=running
"""
FAILED = """\
MainPID=0
NRestarts=5
ExecMainStartTimestamp=Wed 2025-11-05 03:40:00 UTC
ExecMainCode=1
ExecMainStatus=203
MemoryCurrent=[not set]
CPUUsageNSec=[not set]
Id={unit}
Names={unit}
LoadState=loaded
ActiveState=failed
SubState=failed
"""
NOT_FOUND = """\
MainPID=0
NRestarts=0
ExecMainStartTimestamp=
ExecMainCode=0
ExecMainStatus=0
MemoryCurrent=18446744073709551615
CPUUsageNSec=18446744073709551615
Id={unit}
Names={unit}
LoadState=not-found
ActiveState=inactive
SubState=dead
"""


def running(
    unit: str, memory: str = "52428800", restarts: int = 0, started: str = "Wed 2025-11-05 01:00:00 UTC"
) -> str:
    return RUNNING.format(unit=unit, pid=os.getpid(), memory=memory, restarts=restarts, started=started)


@dataclass
class Stub:
    """A systemctl that prints what it is given to."""

    directory: Path

    def says(self, *units: str, code: int = 0) -> None:
        (self.directory / "said").write_text("\n".join(units))
        program = self.directory / "systemctl"
        program.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$*" >> {self.directory}/asked\ncat {self.directory}/said\nexit {code}\n'
        )
        program.chmod(0o755)

    @property
    def asked(self) -> list[str]:
        return (self.directory / "asked").read_text().splitlines()


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    place = tmp_path / "bin"
    place.mkdir()
    return Stub(place)


def probe(stub: Stub) -> Probe:
    found: Probe = SystemdProbe(SystemdSettings(units=UNITS, systemctl=str(stub.directory / "systemctl")), ORDERS)
    return found


REQUEST = Request(AT.timestamp(), 10.0)


async def test_it_asks_once_for_all_units_and_reads_what_systemctl_prints(stub: Stub) -> None:
    stub.says(running("nginx.service", restarts=3), FAILED.format(unit="mail.service"))
    measured = await probe(stub).measure(REQUEST)
    (asked,) = stub.asked
    assert asked.startswith("show --property=Id,Names,LoadState")
    assert asked.endswith("-- nginx.service mail.service")
    reading = Reading("systemd", measured.samples)
    of = {"instance": "main", "service": "nginx.service"}
    assert reading.number("service_restarts", **of) == 3
    assert reading.number("service_memory", **of) == 52_428_800
    assert reading.number("service_cpu_seconds", **of) == 5.412321
    assert reading.number("service_started_at", **of) == datetime(2025, 11, 5, 1, tzinfo=UTC).timestamp()
    failed = {"instance": "main", "service": "mail.service"}
    assert reading.number("service_memory", **failed) is None
    assert reading.number("service_exit_code", **failed) == 203
    assert {s.value for s in measured.samples if s.name == "service_state"} == {"online", "errored"}


async def test_a_unit_that_is_not_there_is_not_in_the_reading_and_one_that_is_not_said_is_unmeasured(
    stub: Stub,
) -> None:
    stub.says(NOT_FOUND.format(unit="nginx.service"))
    measured = await probe(stub).measure(REQUEST)
    assert measured.samples == ()
    assert [(gap.subject, gap.kind) for gap in measured.gaps] == [("mail.service", "protocol")]


async def test_where_there_is_no_systemd_the_reading_fails_with_a_sentence(stub: Stub) -> None:
    with pytest.raises(FailureError, match="cannot be run: there is no such program") as caught:
        await probe(stub).measure(REQUEST)
    assert caught.value.kind == "missing"
    stub.says("System has not been booted with systemd as init system (PID 1). Can't operate.\n", code=1)
    with pytest.raises(FailureError, match="systemctl ended with 1: System has not been booted") as caught:
        await probe(stub).measure(REQUEST)
    assert caught.value.kind == "refused"


async def test_what_says_too_much_is_ended_and_no_reading(stub: Stub) -> None:
    stub.says()
    (stub.directory / "systemctl").write_text("#!/bin/sh\nexec yes Id=nginx.service\n")
    with pytest.raises(FailureError, match="more than 1,000,000 bytes"):
        await probe(stub).measure(REQUEST)


def test_what_systemd_does_not_know_is_nothing_and_never_zero() -> None:
    assert [_probe.number(text) for text in ("[not set]", "18446744073709551615", "infinity", "", None, "0", "12")] == [
        None, None, None, None, None, 0, 12,
    ]  # fmt: skip
    assert [_probe.moment(text) for text in ("", "n/a", None)] == [None] * 3
    assert list(_probe.blocks("")) == []


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="there is no systemctl on this machine")
async def test_a_real_systemctl_is_read_or_fails_with_a_kind() -> None:
    try:
        measured = await SystemdProbe(SystemdSettings(units={"dbus.service": ServiceOrders()}), ORDERS).measure(REQUEST)
    except FailureError as error:
        told = {error.kind}
    else:
        told = {sample.label("service") for sample in measured.samples}
    assert told <= {"dbus.service", "refused", "permission"}


# Its night: a fold of readings, half a minute apart.


def unit(name: str, state: str = "online", **more: float | str | None) -> tuple[Sample, ...]:
    told: dict[str, Value] = {"state": state, "restarts": 0.0, "memory": 5e7, "process": "running"}
    told |= {"started_at": AT.timestamp() - 9000} | more
    return tuple(
        Sample(f"service_{key}", (("instance", "main"), ("service", name)), value, "") for key, value in told.items()
    )


def reading(*units: tuple[Sample, ...]) -> Reading:
    rest = {one[0].label("service") for one in units}
    healthy = [unit(name) for name in UNITS if name not in rest]
    backup = () if "backup.service" in rest else unit("backup.service", "stopped", exit_code=0.0)
    return Reading("systemd", (*(s for one in (*units, *healthy) for s in one), *backup), by=Answered("boot"))


@pytest.fixture
def systemd() -> Iterator[None]:
    register(SYSTEMD, "monitord-systemd")
    yield
    unregister("systemd")


def night(*readings: Reading, orders: StandingOrders = ORDERS, state: State | None = None) -> list[Decision]:
    state, found = state or State(), []
    began = state.history.at or AT.timestamp()
    for place, each in enumerate(readings, 1):
        now = datetime.fromtimestamp(began, UTC) + timedelta(seconds=30 * place)
        found.append(decide(state, Observation(now, {"systemd": each}), orders))
        state = found[-1].state
    return found


def fired(decisions: list[Decision]) -> list[tuple[str, str, str]]:
    return [
        (edge.alert.rule, edge.alert.subject, edge.alert.severity)
        for decision in decisions
        for edge in decision.transitions
        if edge.edge == "firing"
    ]


@pytest.mark.usefixtures("systemd")
def test_every_rule_about_services_is_there_under_a_name_of_its_own() -> None:
    units = {name for name in rule_names() if name.startswith("unit_")}
    assert units == {rule.name.replace("service", "unit") for rule in RULES}
    assert "unit_restart_loop" in units


@pytest.mark.usefixtures("systemd")
def test_a_healthy_night_says_nothing() -> None:
    decisions = night(*[reading()] * 20)
    assert fired(decisions) == []
    assert decisions[-1].report.status == "ok"


@pytest.mark.usefixtures("systemd")
def test_a_unit_that_fails_is_down_in_systemds_words_and_comes_back() -> None:
    down = reading(unit("nginx.service", "errored", exit_code=203.0, memory=None, restarts=5.0))
    decisions = night(reading(), reading(), down, down, down)
    assert fired(decisions) == [("unit_down", "nginx.service", "critical")]
    (edge,) = [edge for decision in decisions for edge in decision.transitions if edge.edge == "firing"]
    assert edge.alert.finding.summary == (
        "nginx.service is errored; it is expected to be online. systemd has given up "
        "restarting it (last exit code 203)."
    )
    (action,) = [action for decision in decisions for action in decision.actions]
    assert action.action == "restart_service"
    assert action.look_at[0] == "systemctl status --no-pager --lines=0 nginx.service"
    back = night(*[reading()] * 3, state=decisions[-1].state)
    (over,) = [edge for decision in back for edge in decision.transitions if edge.edge == "resolved"]
    assert "PM2" not in over.now
    assert over.now.startswith("nginx.service is online again")


@pytest.mark.usefixtures("systemd")
def test_what_restarts_again_and_again_is_a_loop_and_what_somebody_restarts_is_none() -> None:
    def begun(restarts: int, at: int) -> Reading:
        return reading(unit("mail.service", restarts=float(restarts), started_at=AT.timestamp() + 30 * at))

    looping = night(reading(), *[begun(number, number) for number in range(1, 9)])
    assert ("unit_restart_loop", "mail.service", "warning") in fired(looping)
    events = [event for decision in looping for event in decision.events]
    assert {(event.change, event.by) for event in events} == {("crashed", "systemd")}
    assert not [event for event in events if "PM2" in event.detail]
    by_hand = night(reading(), *[begun(0, number) for number in range(1, 9)])
    assert fired(by_hand) == []
    assert {(event.change, event.by) for decision in by_hand for event in decision.events} == {
        ("restarted", "operator")
    }


@pytest.mark.usefixtures("systemd")
def test_limits_are_those_of_the_unit_and_memory_that_rises_is_foretold() -> None:
    past = reading(unit("mail.service", memory=2.1e8), unit("nginx.service", memory=2.1e8))
    assert fired(night(*[past] * 4)) == [("unit_memory_high", "mail.service", "warning")]
    rising = [reading(unit("nginx.service", memory=1e8 + place * 6e5)) for place in range(560)]
    assert ("unit_memory_leak", "nginx.service", "warning") in fired(night(*rising))


@pytest.mark.usefixtures("systemd")
def test_a_stopped_process_is_frozen_a_unit_that_is_gone_missing_and_a_busy_one_busy() -> None:
    assert fired(night(*[reading(unit("nginx.service", process="stopped"))] * 3)) == [
        ("unit_frozen", "nginx.service", "critical")
    ]
    gone = Reading("systemd", (*unit("nginx.service"), *unit("backup.service", "stopped")), by=Answered("boot"))
    assert ("unit_missing", "mail.service", "critical") in fired(night(reading(), gone, gone, gone))
    busy = StandingOrders(
        probes=ORDERS.probes,
        by_subject={"systemd": encode(SystemdSettings(units={"mail.service": ServiceOrders(cpu=50.0)}))},
        busy_for=timedelta(minutes=2),
    )
    used = [Reading("systemd", unit("mail.service", cpu_seconds=27.0 * n), by=Answered("boot")) for n in range(10)]
    decisions = night(*used, orders=busy)
    assert fired(decisions) == [("unit_cpu_high", "mail.service", "warning")]
    assert document(decisions[-1].report.as_fields())
    assert decisions[-1].report.as_fields()["units"]["mail.service"]["cpu_percent"] == 90.0


@pytest.mark.usefixtures("systemd")
def test_what_cannot_be_asked_freezes_and_is_one_alert() -> None:
    down = reading(unit("nginx.service", "errored"))
    away = Reading("systemd", failure=Failure("refused", "systemctl ended with 1: no bus"))
    decisions = night(down, down, away, away, away)
    assert fired(decisions) == [
        ("unit_down", "nginx.service", "critical"),
        ("systemd_unreachable", "systemd", "critical"),
    ]
    assert not [edge for decision in decisions for edge in decision.transitions if edge.edge == "resolved"]
    assert decisions[-1].report.as_fields()["units"]["mail.service"]["state"] is None


@pytest.mark.usefixtures("systemd")
def test_services_under_pm2_of_the_same_names_share_nothing_with_it() -> None:
    both = StandingOrders(probes=frozenset({"systemd", "pm2"}), by_subject=ORDERS.by_subject)
    pm2 = Reading("pm2", unit("nginx.service", "online", memory=9e7), by=Answered("1 since 1"))
    down = reading(unit("nginx.service", "errored"))
    state = State()
    for place in range(1, 5):
        now = AT + timedelta(seconds=30 * place)
        decision = decide(state, Observation(now, {"systemd": down, "pm2": pm2}), both)
        state = decision.state
    assert {alert.rule for alert in state.alerts.values() if alert.state == "firing"} == {"unit_down"}
    fields = decision.report.as_fields()
    assert (fields["services"]["nginx.service"]["state"], fields["units"]["nginx.service"]["state"]) == (
        "online",
        "errored",
    )
    assert set(state.history.services) == {"nginx.service"}
    assert set(state.history.fleets["systemd"].services) == {"nginx.service", "mail.service", "backup.service"}


@pytest.mark.usefixtures("systemd")
def test_what_is_kept_survives_the_snapshot_and_moves_with_the_clock() -> None:
    state = night(*[reading()] * 3)[-1].state
    assert decode(State, json.loads(json.dumps(encode(state)))) == state
    later = Observation(AT + timedelta(seconds=5490), {"systemd": reading()}, lived=120.0)
    before = replace(state, history=replace(state.history, lived=90.0, boot=""))
    moved = decide(before, later, ORDERS).state.history
    since = {name: service.lives["main"].since for name, service in state.history.fleets["systemd"].services.items()}
    ahead = {name: service.lives["main"].since for name, service in moved.fleets["systemd"].services.items()}
    assert moved.moved == pytest.approx(5370.0)
    assert ahead == {name: at + moved.moved for name, at in since.items() if at is not None}


@pytest.mark.usefixtures("systemd")
async def test_it_is_on_the_page_in_the_metrics_and_in_the_report(tmp_path: Path) -> None:
    down = reading(unit("nginx.service", "errored", exit_code=203.0, memory=None))
    decisions = night(reading(), *[down] * 3)
    body = exposition(decisions[-1].report, Facts(version="1", instance="here"))[0].decode()
    assert 'monitord_unit_up{unit="nginx.service"} 0.0' in body
    assert "monitord_unit_up Whether a unit is online." in body
    assert 'monitord_unit_memory_bytes{unit="mail.service"} 5e+07' in body
    shown = text(StatusView(decisions[-1].report, ORDERS, AT.timestamp()), "monitord check", Terminal(100))
    assert "\nUnits\n" in shown
    assert "PM2 " not in shown.partition("\nUnits\n")[2]
    source = Source(settings_for(tmp_path))
    source.saw(PublishedCycle(decisions[-1], "schedule", 12.5), time.monotonic())
    async with client(source) as page:
        body = (await page.get("/")).text
        told = (await page.get("/api/status")).json()
    assert 'id="h-systemd"' in body
    assert "nginx.service is errored" in body
    assert told["units"]["nginx.service"]["ok"] is False
    fields = {"trigger": "cli", "at": AT, "duration_ms": 3.0} | decisions[-1].report.as_fields()
    observations = [Observation(one.at, {"systemd": down}) for one in decisions]
    edges = [edge for decision in decisions for edge in decision.transitions]
    recorded = RecordedCycle(observations, edges, decisions[-1].state, fields, AT.timestamp())
    found = build_report(recorded, ORDERS, AT.timestamp(), decisions[-1].at.timestamp())
    assert found.verdict == "NO-GO"
    assert {one.name: one.met for one in found.criteria}["units_as_expected"] is False
    said = report_text(found, Terminal(100))
    assert "unit_down" in said
    assert "PM2 id" not in said
    assert "Units" in said


@pytest.mark.usefixtures("systemd")
def test_a_silence_covers_a_unit() -> None:
    down = Observation(
        AT, {"systemd": reading(unit("nginx.service", "errored"))}, commands=(silence(AT, "nginx.service"),)
    )
    state = decide(State(), down, ORDERS).state
    decisions = night(*[down.readings["systemd"]] * 3, state=state)
    assert fired(decisions) == []
    assert decisions[-1].report.alerts.suppressed[0].silenced_by


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built and installed into a directory, as packages are."""
    source, site = tmp_path_factory.mktemp("source") / "example", tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--offline", "--no-config", "--no-cache",
         "--no-deps", "--no-build-isolation", "--python", sys.executable, "--target", site, source],
        check=True, timeout=100,
    )  # fmt: skip
    return site


def test_it_is_installed_and_seen_in_every_form_of_a_check(installed: Path, stub: Stub, tmp_path: Path) -> None:
    stub.says(running("nginx.service"), FAILED.format(unit="mail.service"))
    settings: Mapping[str, str] = {
        "PATH": f"{stub.directory}:/usr/bin:/bin",
        "PYTHONPATH": ":".join([str(installed), str(ROOT), *filter(None, sys.path)]).replace(f":{EXAMPLE}", ""),
        "MONITORD_STATE_DIR": str(tmp_path / "state"),
        "MONITORD_PM2__HOME": "",
        "MONITORD_SYSTEMD__UNITS": '{"nginx.service": {"memory": "300MB"}, "mail.service": {}}',
    }
    done = monitord("check", directory=tmp_path, settings=settings)
    assert (done.returncode, done.stderr) == (2, "")
    assert "CRIT  mail.service" in done.stdout
    assert "CRITICAL: mail.service is errored; it is expected to be online." in done.stdout
    read = json.loads(monitord("check", "--format", "json", directory=tmp_path, settings=settings).stdout)
    assert read["units"]["nginx.service"]["memory_bytes"] == 52_428_800
    assert read["units"]["mail.service"]["memory_bytes"] is None
    line = monitord("check", "--format", "nagios", directory=tmp_path, settings=settings)
    assert "'units_ok'=1;;;0;2" in line.stdout
    assert "'nginx.service memory'=52428800B;300000000;;0" in line.stdout
    listed = monitord("config", directory=tmp_path, settings=settings)
    assert '{"nginx.service": {"memory": "300MB"}, "mail.service": {}}' in listed.stdout
