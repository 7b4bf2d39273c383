"""What breaks in a package costs that part of it, is said in one sentence, and changes nothing else that is shown."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitord.core.engine import Decision, State, decide
from monitord.core.history.model import History
from monitord.core.model import Clear, Observation, Reading, Sample, Unmeasured, sample
from monitord.core.orders import StandingOrders
from monitord.core.report.builder import RecordedCycle, build_report
from monitord.core.rollups import RunningHour
from monitord.core.series import HOUR, RollupContext
from monitord.core.status import read_status
from monitord.core.subjects.base import MetricGroup, StatusSection, Subject
from monitord.core.subjects.registry import register, unregister
from monitord.jsonable import document
from monitord.logging.logger import JsonLog
from monitord.notify.event_log import EventLog
from monitord.probes.base import Measured, Request, answers, take
from monitord.probes.packaged import AddedProbe
from monitord.reporting.metric_families import Facts
from monitord.reporting.metrics import exposition
from monitord.reporting.nagios import nagios
from monitord.reporting.report import report_text
from monitord.reporting.report_json import report_fields
from monitord.reporting.sections import StatusView
from monitord.reporting.status import text
from monitord.reporting.terminal import Terminal
from monitord.web import openapi
from tests.cli.program import monitord
from tests.support.kiln import FIRINGS, KILN, FiringTracker, KilnProbe, KilnSettings, samples

AT = datetime(2025, 11, 5, 3, 57, tzinfo=UTC)
ORDERS = StandingOrders(probes=frozenset({"host", "kiln"}), confirmations=1)
ROOT = Path(__file__).parents[2]
HOST = Reading("host", (sample("memory_available", 8e9, "bytes"), sample("disk_used", 24.0, "percent", path="/")))
COOL = Reading("kiln", samples(12, {"east": 1100.0}))


class OutOfOrderError(BaseException):
    """What no package should raise, and one may."""


def fails(*_: object) -> Any:
    raise ZeroDivisionError


def ends(*_: object) -> Any:
    raise SystemExit(7)


def odd(*_: object) -> Any:
    raise OutOfOrderError


def nonsense(*_: object) -> Any:
    return object()


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    yield
    unregister("kiln")


def rule(evaluate: Callable[..., Any]) -> Subject:
    return replace(KILN, rules=(replace(KILN.rules[0], evaluate=evaluate, replaces=()), *KILN.rules[1:]))


def metrics(**broken: Any) -> Subject:
    group = KILN.metrics[0]
    families = tuple(replace(one, **{n: v for n, v in broken.items() if n == "value"}) for one in group.metrics)
    return replace(KILN, metrics=(MetricGroup(broken.get("find", group.find), families), *KILN.metrics[1:]))


def built(build: Callable[..., Any]) -> Subject:
    return replace(KILN, status=(StatusSection("kiln", KILN.status[0].shape, build),))


PARTS: Mapping[str, Callable[[Callable[..., Any]], Subject]] = {
    "update": lambda broken: replace(KILN, update=broken),
    "update_for_rules": lambda broken: replace(KILN, update_for_rules=broken),
    "rule": rule,
    "status": built,
    "section": lambda broken: replace(KILN, section=broken),
    "find": lambda broken: metrics(find=broken),
    "value": lambda broken: metrics(value=broken),
    "perfdata": lambda broken: replace(KILN, perfdata=broken),
    "standing": lambda broken: replace(KILN, standing=broken),
    "undetermined": lambda broken: replace(KILN, undetermined=broken),
}


def decided(subject: Subject, times: int = 1) -> list[Decision]:
    """What is decided beside a healthy host of a subject that a package called pottery adds."""
    register(subject, "pottery")
    state, found = State(), []
    for number in range(times):
        now = AT + timedelta(seconds=30 * number)
        found.append(decide(state, Observation(now, {"host": HOST, "kiln": COOL}), ORDERS))
        state = found[-1].state
    return found


def shown(decision: Decision) -> str:
    return text(StatusView(decision.report, ORDERS, AT.timestamp()), "monitord check", Terminal(100))


def others(told: str) -> list[str]:
    """The lines of a check that are not about the kiln: its section is the last before the verdict."""
    return [line for line in told.partition("\nThe kiln\n")[0].splitlines() if "kiln" not in line]


@pytest.mark.parametrize("how", [fails, ends, odd, nonsense], ids=lambda how: how.__name__)
@pytest.mark.parametrize("part", PARTS)
def test_what_breaks_is_unknown_and_said_and_nothing_else_changes(part: str, how: Callable[..., Any]) -> None:
    whole = shown(decided(KILN)[-1])
    assert "Unknown" not in whole
    unregister("kiln")
    decision = decided(PARTS[part](how))[-1]
    report = decision.report
    assert report.status == "unknown"
    assert (report.probes["kiln"].status, report.probes["kiln"].kind) == ("failed", "internal")
    (said,) = report.faults
    assert "the package pottery" in said
    broken = shown(decision)
    assert " ".join(broken.split()).count(said) == 1
    assert others(broken) == others(whole)
    line = nagios(report, ORDERS, 3.0)
    assert line.startswith("MONITORD UNKNOWN - the kiln could not be measured. |")
    body = exposition(report, Facts(version="1", instance="here"))[0].decode()
    assert 'monitord_probe_up{probe="kiln"} 0.0' in body
    assert "monitord_host_memory_available_bytes 8e+09" in body
    fields = json.loads(document({"trigger": "cli", "at": AT, "duration_ms": 3.0} | report.as_fields()))
    assert fields["probes"]["host"]["status"] == "ok"
    assert read_status(fields).probes["kiln"].error == said
    assert "kiln" in openapi.document()["components"]["schemas"]["Status"]["properties"]


@pytest.mark.parametrize("how", [fails, ends, nonsense], ids=lambda how: how.__name__)
def test_a_part_of_the_report_that_breaks_says_so_in_its_place(how: Callable[..., Any]) -> None:
    decisions = decided(replace(KILN, report=how), times=3)
    fields = {"trigger": "cli", "at": AT, "duration_ms": 3.0} | decisions[-1].report.as_fields()
    observations = [Observation(one.at, {"host": HOST, "kiln": COOL}) for one in decisions]
    recorded = RecordedCycle(observations, [], decisions[-1].state, fields, AT.timestamp())
    report = build_report(recorded, ORDERS, AT.timestamp(), decisions[-1].at.timestamp())
    told = " ".join(report_text(report, Terminal(100)).split())
    assert "Unknown: the package pottery: its part of the report failed inside" in told
    assert "Baseline of now" in told


@pytest.mark.parametrize("how", [fails, ends, nonsense], ids=lambda how: how.__name__)
@pytest.mark.parametrize("part", ["judge", "values"])
def test_a_criterion_that_breaks_cannot_be_told(part: str, how: Callable[..., Any]) -> None:
    criterion, level = KILN.criteria[0], KILN.levels[0]
    criteria = (replace(criterion, judge=how) if part == "judge" else criterion,)
    levels = (replace(level, values=how) if part == "values" else level,)
    decisions = decided(replace(KILN, criteria=criteria, levels=levels), times=3)
    observations = [Observation(one.at, {"host": HOST, "kiln": COOL}) for one in decisions]
    recorded = RecordedCycle(observations, [], decisions[-1].state, {}, AT.timestamp())
    report = build_report(recorded, ORDERS, AT.timestamp(), decisions[-1].at.timestamp())
    met = {one.name: one.met for one in report.criteria}
    assert met["ovens_cool"] is None
    assert report.verdict != "GO"
    assert met["host_healthy"] is True


@pytest.mark.parametrize("how", [fails, ends, odd], ids=lambda how: how.__name__)
@pytest.mark.parametrize("step", ["track", "observe", "result", "shown"])
def test_a_part_of_the_report_that_breaks_is_none_and_costs_nothing_else(step: str, how: Callable[..., Any]) -> None:
    class Breaking(FiringTracker):
        pass

    setattr(Breaking, step, how)
    track = how if step == "track" else Breaking
    shown = how if step == "shown" else FIRINGS.shown
    decisions = decided(replace(KILN, report_parts=(replace(FIRINGS, track=track, shown=shown),)))
    observations = [Observation(one.at, {"host": HOST, "kiln": COOL}) for one in decisions]
    recorded = RecordedCycle(observations, [], decisions[-1].state, {}, AT.timestamp())
    fields = report_fields(build_report(recorded, ORDERS, AT.timestamp(), decisions[-1].at.timestamp()))
    assert fields["firings"] is None
    assert fields["services"] == []


@pytest.mark.parametrize("how", [fails, ends, nonsense], ids=lambda how: how.__name__)
def test_a_series_that_breaks_is_not_kept_and_costs_the_hour_nothing(how: Callable[..., Any]) -> None:
    (decision,) = decided(replace(KILN, rollups=(replace(KILN.rollups[0], values=how),)))
    hour = RunningHour()
    context = RollupContext(decision.report, History(), decision.state.history, (), ORDERS)
    assert hour.saw(context, AT.timestamp(), whole=True) == ()
    rows = hour.saw(context, AT.timestamp() + HOUR, whole=True)
    assert hour.fault == ""
    assert "host/available" in {row.series for row in rows}
    assert not any(row.series.startswith("kiln/") for row in rows)


def test_the_other_rules_of_a_package_go_on_where_one_breaks() -> None:
    register(rule(fails), "pottery")
    slow = Observation(AT, {"host": HOST, "kiln": Reading("kiln", samples(1, {"east": 1100.0}))})
    report = decide(State(), slow, ORDERS).report
    assert [alert.rule for alert in report.alerts.firing] == ["kiln_slow"]
    assert report.status == "unknown"


def test_what_a_rule_says_of_its_alerts_may_break_and_the_alert_is_said() -> None:
    broken = replace(
        KILN.rules[2],
        recommend=fails,
        impact=replace(KILN.rules[2].impact, plainly=fails),
        blocking=ends,
        recovered=nonsense,
        dead_services=fails,
        host_may_cause=odd,
        over=fails,
        runbook=("kilnctl {nobody}", "kilnctl log", "kilnctl show"),
    )
    register(replace(KILN, rules=(broken,)), "pottery")
    slow, well = Reading("kiln", samples(1, {"east": 1100.0})), COOL
    state = decide(State(), Observation(AT, {"host": HOST, "kiln": slow}), ORDERS).state
    assert [alert.rule for alert in state.alerts.values() if alert.state == "firing"] == ["kiln_slow"]
    later = decide(state, Observation(AT + timedelta(seconds=30), {"host": HOST, "kiln": well}), ORDERS)
    assert [edge.edge for edge in later.transitions] == ["resolved"]


def test_what_broke_is_well_again_with_the_reading_that_is_judged_whole() -> None:
    (first,) = decided(rule(fails))
    unregister("kiln")
    register(KILN, "pottery")
    now = AT + timedelta(seconds=30)
    only_host = decide(first.state, Observation(now, {"host": HOST}), ORDERS)
    assert only_host.report.status == "unknown"  # nobody has judged the kiln again
    both = decide(only_host.state, Observation(now + timedelta(seconds=30), {"host": HOST, "kiln": COOL}), ORDERS)
    assert (both.report.status, both.report.faults) == ("ok", ())


@pytest.mark.parametrize("part", ["rule", "section"])
def test_the_log_says_it_once_and_again_only_after_it_was_well(part: str) -> None:
    said = io.StringIO()
    lines = JsonLog(said)
    log = EventLog(lines)
    for decision in decided(PARTS[part](fails), times=4):
        log.write(decision, "schedule", 3.0)
    lines.flush()
    assert said.getvalue().count('"internal_error"') == 1


@dataclass
class Odd:
    """A probe that does as it is told."""

    does: Callable[[], Any]
    name: str = "kiln"
    closed: list[str] = field(default_factory=list)

    async def measure(self, request: Request) -> Any:
        return self.does()

    async def close(self) -> None:
        raise ZeroDivisionError


READINGS: Mapping[str, Callable[[], Any]] = {
    "raises": fails,
    "ends": ends,
    "odd": odd,
    "nothing": lambda: None,
    "no samples": lambda: Measured(None),  # type: ignore[arg-type]
    "words": lambda: Measured(("hot",)),  # type: ignore[arg-type]
    "an object": lambda: Measured((Sample("kiln_fired", (), object(), "1"),)),  # type: ignore[arg-type]
    "no number": lambda: Measured((sample("kiln_fired", float("nan")),)),
    "labels": lambda: Measured((Sample("kiln_fired", (("oven", 3),), 1.0, "1"),)),  # type: ignore[arg-type]
    "gaps": lambda: Measured((), (Unmeasured("east", "gone", "it is gone"),)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("does", READINGS)
async def test_a_reading_that_breaks_or_is_none_has_failed_and_says_whose_it_is(does: str) -> None:
    register(KILN, "pottery")
    probe = AddedProbe(replace(KILN, package="pottery"), lambda: Odd(READINGS[does]))
    reading = await take(probe, Request(AT.timestamp(), 5.0))
    assert reading.failure is not None
    assert reading.failure.kind == "internal"
    assert "pottery" in reading.failure.error or "kiln" in reading.failure.error
    await probe.close()


@pytest.mark.parametrize("how", [fails, ends], ids=lambda how: how.__name__)
async def test_a_probe_that_cannot_be_made_has_failed_and_is_made_once_it_can(how: Callable[..., Any]) -> None:
    made: list[Callable[[], Any]] = [how, lambda: KilnProbe(KilnSettings(), ORDERS)]
    probe = AddedProbe(replace(KILN, package="pottery"), lambda: made.pop(0)())
    first = await take(probe, Request(AT.timestamp(), 5.0))
    assert first.failure is not None
    assert first.failure.error.startswith("the package pottery: its probe could not be made (")
    assert (await take(probe, Request(AT.timestamp(), 5.0))).failure is None


class Connected(KilnProbe):
    """One that keeps a connection, and breaks where it is not measured."""

    def listen(self, heard: Callable[[str], None]) -> None:
        heard("the kiln closed the kept connection")
        fails()

    async def ping(self) -> None:
        raise LookupError


async def test_a_probe_of_a_package_hears_and_is_pinged_too_and_what_breaks_at_that_breaks_nothing() -> None:
    probe = AddedProbe(replace(KILN, package="pottery"), lambda: Connected(KilnSettings(), ORDERS))
    signs: list[str] = []
    probe.listen(signs.append)
    assert await answers(probe)  # it is not made yet
    assert (await take(probe, Request(AT.timestamp(), 5.0))).failure is None
    assert signs == ["the kiln closed the kept connection"]
    assert not await answers(probe)
    other = AddedProbe(replace(KILN, package="pottery"), lambda: KilnProbe(KilnSettings(), ORDERS))
    await take(other, Request(AT.timestamp(), 5.0))
    assert await answers(other)  # it has no connection to ask over


IMPORTS = {
    "import": "import a_library_that_nobody_has",
    "exits": "import sys; sys.exit(3)",
    "raises": "1 / 0",
    "no subject": "KILN = object()",
    "no such name": "OVEN = 1",
    "a taken name": "from monitord.core.subjects.redis import REDIS as KILN",
    "a taken rule": (
        "from dataclasses import replace\nfrom tests.support.kiln import KILN\n"
        "from monitord.core.subjects.host import HOST\nKILN = replace(KILN, rules=HOST.rules[:1])"
    ),
    "settings": (
        "from dataclasses import dataclass, replace\nfrom tests.support.kiln import KILN\n"
        "@dataclass\nclass Settings:\n    hottest: float = 1200.0\nKILN = replace(KILN, settings=Settings)"
    ),
    "a setting's check": (
        "from dataclasses import dataclass, replace\nfrom monitord.core.subjects.base import setting\n"
        "from tests.support.kiln import KILN\n"
        "@dataclass(frozen=True)\nclass Settings:\n"
        "    hottest: float = setting(1200.0, 'How hot.', check=lambda value: 1 / 0)\n"
        "KILN = replace(KILN, settings=Settings, needs='')"
    ),
    "a hint": "from dataclasses import replace\nfrom tests.support.kiln import KILN\nKILN = replace(KILN, hint=None)",
    "a metric": (
        "from dataclasses import replace\nfrom tests.support.kiln import KILN\n"
        "group = replace(KILN.metrics[0], metrics=(replace(KILN.metrics[0].metrics[0], name='kiln fired'),))\n"
        "KILN = replace(KILN, metrics=(group,))"
    ),
    "no probe": "from dataclasses import replace\nfrom tests.support.kiln import KILN",
}


@pytest.mark.parametrize("how", IMPORTS)
def test_a_package_that_cannot_be_used_is_unknown_and_costs_no_other_line(tmp_path: Path, how: str) -> None:
    site = tmp_path / "site"
    info = site / "pottery-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pottery\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[monitord.subjects]\nkiln = pottery:KILN\n")
    (site / "pottery.py").write_text(f"{IMPORTS[how]}\n")
    settings = {
        "PYTHONPATH": ":".join([str(site), str(ROOT), *filter(None, sys.path)]),
        "MONITORD_STATE_DIR": str(tmp_path / "state"),
        "MONITORD_PM2__HOME": "",
        "MONITORD_KILN__HOTTEST": "1310",
    }
    done = monitord("check", directory=tmp_path, settings=settings)
    assert (done.returncode, done.stderr) == (3, "")
    assert "the package pottery" in " ".join(done.stdout.split())
    assert re.search(r"^  ok +/ +\d", done.stdout, re.MULTILINE)
    assert "the host                " in done.stdout


def test_a_rule_that_judges_another_by_name_is_refused() -> None:
    def of_another(*_: object) -> Iterator[Clear]:
        yield Clear("disk_high", "/")

    (decision,) = decided(rule(of_another))
    assert decision.faults == ("the rule oven_hot failed inside (TypeError, in the package pottery)",)
