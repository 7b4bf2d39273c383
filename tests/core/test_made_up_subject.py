"""A subject that another package declares is everywhere that monitord's own are, with nothing else touched."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from monitord.config.explanation import explained
from monitord.config.loader import SettingsError, load, load_with_sources, shown, standing_orders
from monitord.config.overrides import tried
from monitord.config.schema import settings_class
from monitord.core.alerting.commands import silence
from monitord.core.alerting.incidents import incidents
from monitord.core.alerting.inhibition import server_away
from monitord.core.codec import decode, encode
from monitord.core.engine import Decision, State, decide
from monitord.core.history.model import History
from monitord.core.model import Command, Failure, Observation, Reading, Recheck
from monitord.core.orders import StandingOrders
from monitord.core.report.builder import RecordedCycle, build_report
from monitord.core.report.kept import window
from monitord.core.report.model import KeptPast, Report
from monitord.core.rollups import RunningHour
from monitord.core.series import HOUR, Rollup, RollupContext
from monitord.core.subjects import declared, rule_names
from monitord.core.subjects.base import Subject, Updated, own_settings
from monitord.core.subjects.registry import register, registered, unregister
from monitord.core.subjects.servers import unreachable
from monitord.jsonable import document, in_json
from monitord.masking import MASK
from monitord.notify.message import Origin
from monitord.notify.routing import edge_message
from monitord.probes import Probes
from monitord.probes.base import Request
from monitord.probes.packaged import AddedProbe
from monitord.reporting.explanation import explanation_fields, explanation_text
from monitord.reporting.fleet import tile_groups
from monitord.reporting.html import report_html
from monitord.reporting.markdown import report_markdown
from monitord.reporting.metric_families import Facts
from monitord.reporting.metrics import exposition
from monitord.reporting.nagios import nagios
from monitord.reporting.report import report_text
from monitord.reporting.report_json import report_fields
from monitord.reporting.sections import StatusView, subject_sections
from monitord.reporting.status import text
from monitord.reporting.terminal import Terminal
from monitord.storage.reader import CheckRun
from monitord.storage.store import CycleRecord, Store
from monitord.web import openapi
from monitord.web.backend import PublishedCycle
from tests.cli.program import PATIENCE, monitord
from tests.support.kiln import FIRINGS, KILN, OVEN_HOT, OVEN_WARM, KilnProbe, KilnSettings, samples
from tests.web.made import Source, client, settings_for

AT = datetime(2025, 11, 5, 3, 57, tzinfo=UTC)
ORDERS = StandingOrders(probes=frozenset({"kiln"}))
HOT = {"east": 1100.0, "west": 1300.0}


@pytest.fixture(autouse=True)
def kiln() -> Iterator[None]:
    register(KILN)
    yield
    unregister("kiln")


def looks(
    *readings: Reading, commands: tuple[Command, ...] = (), orders: StandingOrders = ORDERS, begin: datetime = AT
) -> list[Decision]:
    """What is decided of the kiln's readings, half a minute apart; the commands are given with the first."""
    state, found = State(), []
    for number, reading in enumerate(readings):
        now = begin + timedelta(seconds=30 * number)
        observation = Observation(now, {"kiln": reading}, commands=commands if number == 0 else ())
        found.append(decide(state, observation, orders))
        state = found[-1].state
    return found


def hot(times: int = 3, fired: int = 12) -> list[Decision]:
    return looks(*[Reading("kiln", samples(fired, HOT))] * times)


def view(decision: Decision) -> StatusView:
    return StatusView(decision.report, ORDERS, AT.timestamp())


def fields(decision: Decision) -> dict[str, object]:
    return {"trigger": "cli", "at": AT, "duration_ms": 3.0} | decision.report.as_fields()


def test_its_rules_fire_and_say_what_is_declared_of_them() -> None:
    transitions = [edge for decision in hot(fired=2) for edge in decision.transitions if edge.edge == "firing"]
    fired = {(edge.alert.rule, edge.alert.subject) for edge in transitions}
    assert fired == {
        ("oven_hot", "west"),
        ("kiln_slow", "kiln"),
    }
    assert declared("oven_hot").probe == "kiln"
    assert {"oven_hot", "kiln_slow"} <= set(rule_names())


def test_its_stronger_rule_takes_the_place_of_its_weaker_one() -> None:
    warm, glowing = Reading("kiln", samples(12, {"west": 1180.0})), Reading("kiln", samples(12, HOT))
    decisions = looks(*[warm] * 3, *[glowing] * 3)
    assert [alert["rule"] for alert in decisions[2].report.as_fields()["alerts"]["firing"]] == ["oven_warm"]
    assert [alert["rule"] for alert in decisions[-1].report.as_fields()["alerts"]["firing"]] == ["oven_hot"]


def test_the_recommendation_and_the_escalation_say_it() -> None:
    (action,) = [action for decision in hot() for action in decision.actions]
    assert (action.rule, action.target, action.blocking) == ("oven_hot", "west", "the glazing")
    assert action.look_at[0] == "kilnctl show west"
    assert "oven west" in action.escalation
    assert "Impact: the pots of this oven crack" in action.escalation


def test_it_is_in_the_text_the_json_and_the_nagios_line() -> None:
    decision = hot()[-1]
    shown = text(view(decision), "monitord check", Terminal(100))
    assert "\nThe kiln\n" in shown
    assert "CRIT  west  1300 °C" in shown
    assert "CRITICAL: The oven west is at 1300 °C." in shown
    read = json.loads(document(fields(decision)))
    assert (read["kiln"]["fired"], read["kiln"]["hottest_lately"]) == (12, 1300.0)
    assert read["kiln"]["ovens"] == {"east": {"degrees": 1100.0}, "west": {"degrees": 1300.0}}
    assert read["probes"]["kiln"]["status"] == "ok"
    line = nagios(decision.report, ORDERS, 3.0)
    assert "'kiln_fired'=12;;;0" in line
    assert "'west degrees'=1300;;1200" in line


def test_each_of_its_members_has_a_tile() -> None:
    (group,) = tile_groups(subject_sections(view(hot()[-1])))
    assert (group.subject, group.title) == ("kiln", "The kiln")
    assert [(tile.called, tile.style, tile.words) for tile in group.tiles] == [
        ("east", "ok", ("1100 °C",)),
        ("west", "critical", ("1300 °C",)),
    ]


def test_it_is_in_the_metrics() -> None:
    body = exposition(hot()[-1].report, Facts(version="1", instance="here"))[0].decode()
    assert 'monitord_oven_degrees{oven="west"} 1300.0' in body
    assert "monitord_kiln_fired 12.0" in body
    assert 'monitord_alert_firing{rule="oven_hot",severity="critical",subject="west"} 1.0' in body
    assert 'monitord_series_dropped{family="oven"} 0.0' in body


def test_it_is_in_the_document_of_the_api() -> None:
    schemas = openapi.document()["components"]["schemas"]
    properties = schemas["Status"]["properties"]
    assert {"firings", "services"} <= schemas["Report"]["properties"].keys()
    assert properties["kiln"]["properties"]["fired"] == {"type": ["integer", "null"]}
    assert properties["kiln"]["properties"]["ovens"]["additionalProperties"]["required"] == ["degrees"]


def test_what_is_watched_and_each_of_its_limits_is_explained(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MONITORD_KILN__HOTTEST=1310\nMONITORD_KILN__PASSWORD=planted\n")
    settings, sources = load_with_sources({"MONITORD_STATE_DIR": "/"}, tmp_path)
    subjects = explained(settings, sources, standing_orders(settings), hot()[-1].report, borrowed=False)
    (found,) = [one for one in subjects if one.name == "kiln"]
    assert (found.title, found.watched, found.members) == ("the kiln", True, (("east", "found"), ("west", "found")))
    assert ("oven_hot", ("critical",)) in found.rules
    limits = {one.variable: (one.value, one.source) for one in found.limits}
    assert limits["MONITORD_KILN__HOTTEST"] == ("1310.0", ".env")
    assert limits["MONITORD_KILN__SOCKET"] == ("/run/kiln", "default")
    said = explanation_text(subjects, (), "", Terminal(100))
    assert re.search(r"^  KILN__HOTTEST +1310.0 +.env +\w", said, re.MULTILINE)
    assert "planted" not in said
    assert "planted" not in document(explanation_fields(subjects, (), ""))


def test_why_it_is_not_watched_is_explained(tmp_path: Path) -> None:
    settings = load({"MONITORD_STATE_DIR": "/", "MONITORD_KILN__SOCKET": ""}, tmp_path)
    subjects = explained(settings, {}, standing_orders(settings), hot()[-1].report, borrowed=False)
    (found,) = [one for one in subjects if one.name == "kiln"]
    assert (found.watched, found.why, found.limits) == (False, "MONITORD_KILN__SOCKET is not set.", ())


def test_what_it_declares_of_its_measuring_is_heeded() -> None:
    unregister("kiln")
    warming = replace(KILN, settles=lambda *_: 7.0, exact=lambda *_: frozenset({"west"}), keeps_samples=False)
    register(warming)
    (decision,) = looks(Reading("kiln", samples(12, {"west": 900.0})))
    assert decision.rechecks == (Recheck("kiln", 7.0, frozenset({"west"})),)
    assert decision.state.history.readings["kiln"].samples == ()


def test_its_runbook_has_its_own_words_and_no_others_place() -> None:
    unregister("kiln")
    rule = replace(OVEN_HOT, runbook=("kilnctl -s {socket}", "{pm2} status", "SELECT 1"))
    words = {"socket": "/run/kiln", "pm2": "mine"}
    register(replace(KILN, rules=(rule, OVEN_WARM), runbook_words=lambda *_: words))
    (action,) = [action for decision in hot() for action in decision.actions]
    assert action.look_at == ("kilnctl -s /run/kiln", "pm2 status", "psql -c 'SELECT 1'")


def test_a_silence_covers_it() -> None:
    quiet = silence(AT, "west", rule="oven_hot")
    decisions = looks(*[Reading("kiln", samples(12, HOT))] * 3, commands=(quiet,))
    assert not [edge for decision in decisions for edge in decision.transitions if edge.edge == "firing"]
    (alert,) = decisions[-1].report.as_fields()["alerts"]["suppressed"]
    assert alert["silenced_by"] is not None


def test_it_is_in_the_incidents() -> None:
    decisions = hot()
    edges = [edge for decision in decisions for edge in decision.transitions]
    (found,) = incidents(edges, decisions[-1].state.alerts.values())
    assert (found.cause.rule, found.cause.subject) == ("oven_hot", "west")


def night(decisions: list[Decision], readings: Reading) -> Report:
    """The report of a night in which this was decided of the same reading again and again."""
    observations = [Observation(decision.at, {"kiln": readings}) for decision in decisions]
    edges = [edge for decision in decisions for edge in decision.transitions]
    recorded = RecordedCycle(observations, edges, decisions[-1].state, fields(decisions[-1]), AT.timestamp())
    return build_report(recorded, ORDERS, AT.timestamp(), decisions[-1].at.timestamp())


def test_it_is_in_every_form_of_the_report() -> None:
    found = night(hot(), Reading("kiln", samples(12, HOT)))
    assert found.verdict == "NO-GO"
    for told in (report_text(found, Terminal(100)), report_markdown(found), report_html(found)):
        for said in (
            "oven_hot", "west", "The kiln", "1300 °C", "12 pots", "the pots of this oven crack", "Ovens up to 1200 °C",
            "Not throughout: west.", "The oven east was at 1100 °C at most.",
        ):  # fmt: skip
            assert said in told.replace("\\_", "_"), said
    as_json = json.dumps(in_json(report_fields(found), str))
    assert "oven_hot" in as_json
    assert '"ovens"' in as_json
    (criterion,) = [one for one in json.loads(as_json)["criteria"] if one["name"] == "ovens_cool"]
    assert (criterion["title"], criterion["met"]) == ("Ovens up to 1200 °C", False)
    assert "The oven west was at 1300 °C at most." in criterion["details"]
    assert set(json.loads(as_json)["firings"]) == {12}
    assert found.of(FIRINGS) == tuple(json.loads(as_json)["firings"])


def test_its_series_are_kept_by_the_hour_and_are_in_the_report() -> None:
    hour, before = RunningHour(), History()
    kept: list[Rollup] = []
    for number, decision in enumerate(hot()):
        context = RollupContext(decision.report, before, decision.state.history, decision.events, ORDERS)
        kept += hour.saw(context, AT.timestamp() + number * HOUR, whole=True)
        before = decision.state.history
    assert {(row.series, row.member, row.most) for row in kept} >= {("kiln/degrees", "west", 1300.0)}
    begin = AT.timestamp() // HOUR * HOUR
    past = KeptPast(begin, window("", begin, begin + 2 * HOUR, kept))
    found = replace(night(hot(), Reading("kiln", samples(12, HOT))), kept=past)
    for told in (report_text(found, Terminal(100)), report_markdown(found), report_html(found)):
        assert "Degrees: least" in told or "DEGREES: LEAST" in told
    assert "kiln/degrees" in json.dumps(in_json(report_fields(found), str))


def test_its_criterion_is_met_by_what_its_level_was_at_most() -> None:
    cool = Reading("kiln", samples(12, {"east": 900.0, "west": 1000.0}))
    found = night(looks(*[cool] * 3), cool)
    names = [one.name for one in found.criteria]
    assert names[-2:] == ["ovens_cool", "nothing_critical"]
    (criterion,) = [one for one in found.criteria if one.name == "ovens_cool"]
    assert criterion.met is True
    assert (criterion.evidence, *criterion.details) == (
        "The oven east was at 900 °C at most.",
        "The oven west was at 1000 °C at most.",
    )


def test_its_criterion_cannot_be_told_where_its_level_was_not_measured_for_long() -> None:
    seen, gone = Reading("kiln", samples(12, HOT)), Reading("kiln", samples(12, {"east": 900.0}))
    observations = [Observation(AT + timedelta(seconds=30 * n), {"kiln": seen if n < 2 else gone}) for n in range(12)]
    recorded = RecordedCycle(observations, (), State())
    found = build_report(recorded, ORDERS, AT.timestamp(), observations[-1].now.timestamp())
    (criterion,) = [one for one in found.criteria if one.name == "ovens_cool"]
    assert (criterion.met, criterion.evidence) == (None, "Not measured: the oven west.")


def test_its_criterion_is_not_judged_where_it_is_not_watched() -> None:
    found = build_report(RecordedCycle((), (), State()), StandingOrders(), AT.timestamp(), AT.timestamp() + 60)
    assert "ovens_cool" not in {one.name for one in found.criteria}


async def test_it_is_on_the_page_and_in_its_api(tmp_path: Path) -> None:
    source = Source(settings_for(tmp_path))
    source.saw(PublishedCycle(hot()[-1], "schedule", 12.5), time.monotonic())
    async with client(source) as page:
        shown = (await page.get("/")).text
        told = (await page.get("/api/status")).json()
        fleet = (await page.get("/api/fleet")).json()
        described = (await page.get("/api/openapi.json")).json()
    assert 'id="h-kiln"' in shown
    assert "1300 °C" in shown
    assert re.findall(r'<a href="#p-kiln" class="name" title="(\w+)">', shown) == ["east", "west"]
    assert [(one["name"], one["status"]) for one in fleet["fleet"]] == [("east", "ok"), ("west", "critical")]
    assert "The oven west is at 1300 °C." in shown
    assert told["kiln"]["fired"] == 12
    assert "kiln" in described["components"]["schemas"]["Status"]["properties"]


async def test_the_page_says_why_it_is_unknown(tmp_path: Path) -> None:
    source = Source(settings_for(tmp_path))
    (decision,) = looks(Reading("kiln", failure=Failure("refused", "nobody is at the kiln")))
    source.saw(PublishedCycle(decision, "schedule", 12.5), time.monotonic())
    async with client(source) as page:
        assert "Unknown (refused): nobody is at the kiln." in (await page.get("/")).text


def test_what_cannot_be_measured_is_unknown_and_says_why() -> None:
    (decision,) = looks(Reading("kiln", failure=Failure("refused", "nobody is at the kiln")))
    assert decision.report.status == "unknown"
    shown = text(view(decision), "monitord check", Terminal(100))
    assert "Unknown (refused): nobody is at the kiln." in shown
    assert "UNKNOWN: the kiln could not be measured." in shown
    assert "'kiln_fired'=U" in nagios(decision.report, ORDERS, 3.0)
    assert "monitord_kiln_fired" not in exposition(decision.report, Facts(version="1", instance="here"))[0].decode()


def test_one_that_nobody_could_ask_is_unknown_and_says_so() -> None:
    decision = decide(State(), Observation(AT, {}), ORDERS)
    assert decision.report.status == "unknown"
    assert "Unknown: not run yet." in text(view(decision), "monitord check", Terminal(100))


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="the subject kiln is declared already"):
        register(KILN)
    unregister("host")
    assert [subject.name for subject in registered()][-4:] == ["host", "checks", "monitord", "kiln"]


@pytest.fixture
def installed(tmp_path: Path) -> Mapping[str, str]:
    """A package beside monitord that declares the kiln."""
    package = tmp_path / "site" / "kiln-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: kiln\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[monitord.subjects]\nkiln = tests.support.kiln:KILN\n[monitord.probes]\nkiln = tests.support.kiln:KilnProbe\n"
    )
    path = ":".join([str(package.parent), str(Path(__file__).parents[2]), *filter(None, sys.path)])
    return {"PYTHONPATH": path, "MONITORD_STATE_DIR": str(tmp_path / "state"), "MONITORD_PM2__HOME": ""}


def test_a_package_adds_it_by_being_installed(installed: Mapping[str, str], tmp_path: Path) -> None:
    done = monitord("check", directory=tmp_path, settings=installed)
    assert (done.returncode, done.stderr) == (2, "")
    assert "CRIT  west  1300 °C" in done.stdout
    assert "CRITICAL: The oven west is at 1300 °C." in done.stdout
    listed = monitord("config", directory=tmp_path, settings={**installed, **HOTTER})
    assert re.search(r"^MONITORD_KILN__HOTTEST +environment +1310.0$", listed.stdout, re.MULTILINE)
    assert re.search(r"^MONITORD_KILN__SOCKET +default +/run/kiln$", listed.stdout, re.MULTILINE)
    assert "planted" not in listed.stdout


async def test_its_alert_is_in_the_records_that_commands_and_the_page_read(
    installed: Mapping[str, str], tmp_path: Path
) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=4)
    decisions = looks(*[Reading("kiln", samples(12, HOT))] * 6, begin=begin)
    store = Store(tmp_path / "state")
    await store.load(PATIENCE)
    for decision in decisions:
        observed = Observation(decision.at, {"kiln": Reading("kiln", samples(12, HOT))})
        ran = CheckRun("schedule", decision.at, 1.0, ORDERS)
        await store.save(CycleRecord(decision.state, observed, ran, decision.transitions), PATIENCE)
    await store.close(PATIENCE)
    listed = monitord("alerts", directory=tmp_path, settings=installed)
    assert "oven_hot" in listed.stdout
    assert "The oven west is at 1300 °C." in listed.stdout
    judged = monitord("backtest", "--since", "10m", "--format", "json", directory=tmp_path, settings=installed)
    assert [(one["rule"], one["subject"]) for one in json.loads(judged.stdout)["compared"]["same"]] == [
        ("oven_hot", "west")
    ]
    read = monitord("report", "--since", "10m", "--format", "markdown", directory=tmp_path, settings=installed)
    assert "Ovens up to 1200 °C" in read.stdout
    source = Source(settings_for(tmp_path))
    source.saw(PublishedCycle(decisions[-1], "schedule", 12.5), time.monotonic())
    async with client(source) as page:
        (incident,) = (await page.get("/api/alerts")).json()["incidents"]
        shown = (await page.get("/alerts")).text
    assert (incident["rule"], incident["subject"]) == ("oven_hot", "west")
    assert "The oven west is at 1300 °C." in shown


def test_what_a_channel_sends_of_it_has_its_words_its_advice_and_its_runbook() -> None:
    (decision,) = [each for each in hot() if each.actions]
    (edge,) = [each for each in decision.transitions if each.edge == "firing"]
    message = edge_message(edge, decision.actions, Origin("box-1", "the workshop"))
    assert "The oven west is at 1300 °C" in message.title
    assert "kilnctl show west" in message.text
    assert message.text.startswith("Open the damper.")


def test_a_server_that_was_added_is_away_until_its_return_is_confirmed() -> None:
    runbook = ("boilerctl show", "boilerctl log", "boilerctl valves")
    rule = unreachable("boiler_unreachable", "boiler", "the boiler", blocks=lambda _: "the heat", runbook=runbook)
    register(Subject("boiler", "the boiler", server="boiler", rules=(rule,)))
    try:
        orders = StandingOrders(probes=frozenset({"boiler"}))
        state = State()
        for number in range(3):
            reading = Reading("boiler", failure=Failure("refused", "nobody is there") if number < 2 else None)
            state = decide(state, Observation(AT + timedelta(seconds=30 * number), {"boiler": reading}), orders).state
        assert state.history.readings["boiler"].failure is None
        assert server_away("boiler", state.history, state.alerts, orders)
    finally:
        unregister("boiler")


HOTTER = {"MONITORD_KILN__HOTTEST": "1310", "MONITORD_KILN__PASSWORD": "planted-kiln-5f0c"}


def test_its_settings_are_read_like_monitords_own(tmp_path: Path) -> None:
    (tmp_path / "monitord.toml").write_text('[kiln]\nglazes = ["celadon", "ash"]\n')
    settings = load(HOTTER, tmp_path)
    orders = standing_orders(settings)
    assert "kiln" in orders.probes
    assert own_settings(KilnSettings, "kiln", orders) == KilnSettings(hottest=1310.0, glazes=("celadon", "ash"))
    assert "planted-kiln-5f0c" in settings.secrets()
    assert shown(settings, "MONITORD_KILN__PASSWORD") == MASK
    assert shown(settings, "MONITORD_KILN__PATIENCE") == "2s"
    assert settings.differences(load({}, tmp_path)) == ("MONITORD_KILN__HOTTEST", "MONITORD_KILN__PASSWORD")
    assert "kiln" not in standing_orders(load({"MONITORD_KILN__SOCKET": ""}, tmp_path)).probes
    # What the daemon records of its orders is read again as it was, and holds no secret.
    assert decode(StandingOrders, json.loads(json.dumps(encode(orders)))) == orders
    assert "planted" not in json.dumps(encode(orders))


@pytest.mark.parametrize(
    ("name", "value", "mistake"),
    [
        ("MONITORD_KILN__HOTEST", "1", "there is no such setting; the nearest is MONITORD_KILN__HOTTEST"),
        ("MONITORD_KILN__HOTTEST", "very", "MONITORD_KILN__HOTTEST (environment): 'very' is not a number; write 2.5"),
        ("MONITORD_KILN__HOTTEST", "900", "it must be above 1150, which is warm"),
        ("MONITORD_KILN__PATIENCE", "soon", "MONITORD_KILN__PATIENCE (environment): 'soon'"),
        ("MONITORD_KILN__GLAZES", "celadon", 'it is not JSON; write ["celadon"]'),
    ],
)
def test_a_mistake_in_its_settings_is_told_like_any_other(tmp_path: Path, name: str, value: str, mistake: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: value}, tmp_path)
    (told,) = caught.value.mistakes
    assert mistake in told


def test_its_judgement_goes_by_its_settings(tmp_path: Path) -> None:
    orders = replace(ORDERS, by_subject=standing_orders(load(HOTTER, tmp_path)).by_subject)
    assert not [edge for decision in looks(*[Reading("kiln", samples(12, HOT))] * 3, orders=orders)
                for edge in decision.transitions if edge.alert.rule == "oven_hot"]  # fmt: skip


def test_a_setting_that_it_judges_by_may_be_tried(tmp_path: Path) -> None:
    assert tried(["kiln.hottest=1310"], {}, tmp_path).changes == {"MONITORD_KILN__HOTTEST": "1310.0"}
    with pytest.raises(SettingsError, match="it changes nothing about how what was recorded is judged"):
        tried(["kiln.patience=1s"], {}, tmp_path)


async def test_its_probe_is_made_of_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("kiln", "tests.support.kiln:KilnProbe", "monitord.probes")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: [entry] if group == entry.group else [])
    settings = load(HOTTER, tmp_path)
    every = Probes(settings, standing_orders(settings), frozenset).all
    for probe in every:
        if probe.name == "kiln":
            await probe.measure(Request(AT.timestamp(), 1.0))
    made = [probe.inner for probe in every if isinstance(probe, AddedProbe)]
    assert [probe.settings for probe in made if isinstance(probe, KilnProbe)] == [
        KilnSettings(hottest=1310.0, password="planted-kiln-5f0c")
    ]


def test_a_section_of_monitords_own_cannot_be_declared_again() -> None:
    register(Subject("notify", "the bell", settings=KilnSettings))
    try:
        with pytest.raises(ValueError, match="notify: monitord has settings of this name"):
            settings_class()
    finally:
        unregister("notify")


def test_what_it_keeps_is_in_the_snapshot_and_moves_on() -> None:
    (first,) = looks(Reading("kiln", samples(12, HOT)))
    kept = decode(State, json.loads(json.dumps(encode(first.state))))
    assert kept.history.kept("kiln") == {"hottest": [1300.0]}
    later = Observation(AT + timedelta(seconds=30), {"kiln": Reading("kiln", samples(12, {"west": 900.0}))})
    decision = decide(kept, later, ORDERS)
    assert decision.state.history.kept("kiln") == {"hottest": [1300.0, 900.0]}
    assert fields(decision)["kiln"] == {"fired": 12, "hottest_lately": 1300.0, "ovens": {"west": {"degrees": 900.0}}}


@pytest.mark.parametrize(
    ("keeps", "why"),
    [
        ({"pots": ["x" * 1000] * 70}, "kiln keeps 70,290 bytes; 65,536 are the most"),
        ({"fired": AT}, "what kiln keeps is not JSON"),
        ({"heat": float("nan")}, "what kiln keeps is not JSON"),
    ],
)
def test_what_it_cannot_keep_leaves_the_history_as_it_was_and_is_a_fault(keeps: dict[str, Any], why: str) -> None:
    unregister("kiln")
    register(replace(KILN, update=lambda history, *_: Updated(history.keeping("kiln", keeps))))
    (decision,) = looks(Reading("kiln", samples(12, HOT)))
    assert decision.state.history.kept("kiln") == {}
    assert decision.faults == (f"what is known of the kiln could not be updated ({why})",)


def failing(*_: object) -> Updated:
    raise ZeroDivisionError


def test_an_update_that_fails_costs_nothing_else() -> None:
    unregister("kiln")
    register(replace(KILN, update=failing))
    found = hot()
    assert found[-1].faults == (
        "what is known of the kiln could not be updated (ZeroDivisionError, in the package kiln)",
    )
    assert [alert.subject for alert in found[-1].report.alerts.firing] == ["west"]
