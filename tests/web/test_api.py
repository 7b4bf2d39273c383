"""The API: the commands' JSON over HTTP, described by its own document, and what may be asked through it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitord.core.model import Silence
from monitord.core.subjects import rule_names
from monitord.web.app import Page
from monitord.web.openapi import document
from monitord.web.params import ParameterError, back, silence
from monitord.web.records import Records
from tests.cli.program import monitord
from tests.cli.recorded import SETTINGS
from tests.conftest import finish
from tests.core.nights import Night
from tests.web.made import TOKEN, Source, client, night, publish, recorded, settings_for

BEARER = f"Bearer {TOKEN}"
NOW = datetime(2025, 11, 5, 4, 0, tzinfo=UTC)
DOCUMENT = document()


def trouble(made: Night) -> None:
    made.passes(minutes=4)
    made["gateway"].stops()
    made.passes(minutes=4)
    made.postgres.fails()
    made.epochs.fails()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Source:
    source = finish(recorded(tmp_path_factory.mktemp("page"), night(0.2, begun=trouble)))
    now = datetime.now(UTC)
    source.quiet = [
        Silence("s1", "gateway", now, now + timedelta(hours=1), "service_down", "being moved"),
        Silence("s2", "*", now - timedelta(days=2), now - timedelta(days=1)),
        Silence("s3", "*", now, None, every="0 4 * * 1", lasts=1800.0),
    ]
    return source


@pytest.fixture
def source(kept: Source) -> Source:
    kept.forget()
    return kept


async def test_the_status_is_what_the_command_says(source: Source) -> None:
    async with client(source) as page:
        told = (await page.get("/api/status")).json()
    state = source.settings.state_dir
    said = json.loads(
        monitord(
            "status", "--format", "json", directory=state.parent, settings=SETTINGS | {"MONITORD_STATE_DIR": str(state)}
        ).stdout
    )

    assert told.keys() == said.keys() - {"error"}
    for name in said.keys() - {"error", "age_seconds", "pid", "status", "duration_ms", "silences"}:
        assert told[name] == said[name], name
    assert told["status"] == "critical"
    assert [alert["rule"] for alert in told["alerts"]["firing"]] == ["service_down", "postgres_unreachable"]


@pytest.mark.parametrize("command", ["report", "alerts"])
async def test_what_looks_back_is_what_the_command_says(source: Source, command: str) -> None:
    async with client(source) as page:
        told = (await page.get(f"/api/{command}?since=10m")).json()
    state = source.settings.state_dir
    said = json.loads(
        monitord(
            command, "--since", "10m", "--format", "json",
            directory=state.parent, settings=SETTINGS | {"MONITORD_STATE_DIR": str(state)},
        ).stdout
    )  # fmt: skip

    assert told.keys() == said.keys()
    assert [one["incident_id"] for one in told["incidents"]] == [one["incident_id"] for one in said["incidents"]]
    assert [one["cause"] for one in told["incidents"]] == [one["cause"] for one in said["incidents"]]
    assert told.get("verdict") == said.get("verdict")


@pytest.mark.parametrize("since", ["0", "-1h", "49h", "soon", "1", "9" * 400 + "h", "<script>"])
async def test_a_length_that_is_none_is_a_mistake_in_a_sentence(source: Source, since: str) -> None:
    async with client(source) as page:
        for path in ("/api/report", "/api/alerts", "/report", "/alerts"):
            answer = await page.get(path, params={"since": since})
            assert answer.status_code == 400
            assert "since: " in answer.text
            assert "<script>" not in answer.text or path.startswith("/api")


async def test_silences_that_are_over_are_not_told(source: Source) -> None:
    async with client(source) as page:
        told = (await page.get("/api/silences")).json()["silences"]
    assert [one["silence_id"] for one in told] == ["s1", "s3"]
    assert told[1]["until"] is None
    assert (told[1]["every"], told[1]["lasts_seconds"]) == ("0 4 * * 1", 1800.0)


async def test_a_silence_is_left_for_the_watch(source: Source) -> None:
    async with client(source, authorization=BEARER) as page:
        answer = await page.post(
            "/api/silences",
            json={"subject": "gateway*", "rule": "service_down", "for": "90m", "reason": "a new release"},
        )
    assert answer.status_code == 202
    told = answer.json()["silence"]
    (command,) = source.left
    assert command.kind == "silence"
    assert command.silence is not None
    assert command.silence.until == command.silence.since + timedelta(minutes=90)
    assert (told["silence_id"], told["subject"], told["reason"]) == (command.silence.id, "gateway*", "a new release")


async def test_a_silence_is_ended_and_an_alert_acknowledged_by_their_ids(source: Source) -> None:
    async with client(source, authorization=BEARER) as page:
        alert = (await page.get("/api/status")).json()["alerts"]["firing"][0]
        ended = await page.delete("/api/silences/s1")
        acked = await page.post(f"/api/alerts/{alert['alert_id']}/ack")
        unknown = [await page.delete("/api/silences/none"), await page.post("/api/alerts/none/ack")]
    assert (ended.status_code, acked.status_code) == (202, 202)
    assert [answer.status_code for answer in unknown] == [404, 404]
    assert [(command.kind, command.target) for command in source.left] == [
        ("unsilence", "s1"),
        ("ack", alert["alert_id"]),
    ]


async def test_a_check_is_asked_for_with_the_token_where_there_is_one(source: Source) -> None:
    async with client(source) as page:
        assert (await page.post("/api/check")).status_code == 401
        assert source.checks == []
        assert (await page.post("/api/check", headers={"authorization": BEARER})).status_code == 202
    async with client(source, token=None) as page:
        assert (await page.post("/api/check")).status_code == 202
    assert source.checks == ["http", "http"]


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense", b"[]", b"null", b"\xff", b'{"subject": 1}', b"{}", b'{"subject": ""}', b'{"subject": "a\\nb"}',
        b'{"subject": "x", "rule": "nothing"}', b'{"subject": "x", "for": "for ever"}',
        b'{"subject": "x", "for": "366d"}',
        b'{"subject": "x", "for": "0s"}', b'{"subject": "x", "every": "at dawn"}', b'{"subject": "x", "until": "1h"}',
        b'{"subject": "' + b"x" * 201 + b'"}', b"[" * 30_000,
    ],
)  # fmt: skip
async def test_a_body_that_says_nothing_silences_nothing(source: Source, body: bytes) -> None:
    async with client(source, authorization=BEARER) as page:
        answer = await page.post("/api/silences", content=body)
    assert answer.status_code == 400
    assert len(answer.json()["error"]) < 400
    assert source.left == []


def test_a_window_comes_again_and_again_and_has_no_end() -> None:
    command = silence({"subject": "*", "every": "0 4 * * mon", "for": "30m"}, NOW)
    assert command.silence is not None
    assert (command.silence.until, command.silence.every, command.silence.lasts) == (None, "0 4 * * mon", 1800.0)


def test_every_rule_may_be_silenced() -> None:
    assert all(silence({"subject": "*", "rule": rule}, NOW).silence for rule in rule_names())


def test_how_far_back_has_a_default() -> None:
    assert back(None, timedelta(hours=12)) == timedelta(hours=12)
    with pytest.raises(ParameterError):
        back("3d", timedelta(hours=12))


async def test_health_is_that_of_the_watch_and_says_no_names(tmp_path: Path) -> None:
    made = night(0.1)
    source = await recorded(tmp_path, made)
    async with client(source) as page:
        fresh = await page.get("/healthz")
        source.saw(publish(source, made), 0.0)  # the last whole cycle was when this machine was started
        stale = await page.get("/healthz")
    assert (fresh.status_code, fresh.json()["status"]) == (200, "ok")
    assert (stale.status_code, stale.json()["status"]) == (503, "stale")
    assert fresh.json().keys() == stale.json().keys() == {"status", "age_seconds"}


async def test_before_the_first_cycle_nothing_is_known_and_that_is_said(tmp_path: Path) -> None:
    source = await recorded(tmp_path, night(0.1))
    source.seen = source._whole_at = None
    async with client(source) as page:
        answers = {path: (await page.get(path)).status_code for path in ("/", "/api/status", "/healthz")}
    assert answers == {"/": 503, "/api/status": 503, "/healthz": 503}


async def test_a_record_that_cannot_be_read_costs_what_looks_back_and_no_more(tmp_path: Path) -> None:
    source = await recorded(tmp_path, night(0.1))
    (source.settings.state_dir / "snapshot.db").write_bytes(b"not a database" * 100)
    async with client(source) as page:
        answers = {path: await page.get(path) for path in ("/", "/alerts", "/report", "/api/report", "/api/status")}
    assert {path: answer.status_code for path, answer in answers.items()} == {
        "/": 200, "/alerts": 200, "/report": 503, "/api/report": 503, "/api/status": 200,
    }  # fmt: skip
    assert "cannot be read" in answers["/"].text
    assert "cannot be read" in answers["/api/report"].json()["error"]


# The document


def test_every_route_for_programs_is_described_and_no_other(source: Source) -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    page = Page(Records(source), "127.0.0.1", TOKEN)
    routes = {
        (method, route.path)
        for route in page.routes
        for method in (route.methods or set()) - {"HEAD"}
        if route.path.startswith(("/api", "/healthz", "/metrics", "/events", "/ping"))
    }
    assert routes == described


def test_every_reference_in_the_document_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= DOCUMENT["components"]["schemas"].keys()


async def test_every_answer_has_the_fields_that_are_described(source: Source) -> None:
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/api/status", {}),
        ("GET", "/api/fleet", {}),
        ("GET", "/api/report", {}),
        ("GET", "/api/alerts", {}),
        ("GET", "/api/silences", {}),
        ("POST", "/api/silences", {"json": {"subject": "x"}}),
        ("DELETE", "/api/silences/{id}", {"id": "s1"}),
        ("DELETE", "/api/silences/{id}", {"id": "none"}),
        ("POST", "/api/alerts/{id}/ack", {"id": "none"}),
        ("POST", "/api/check", {}),
        ("GET", "/api/openapi.json", {}),
        ("GET", "/healthz", {}),
    ]
    async with client(source, authorization=BEARER) as page:
        for method, path, more in asked:
            answer = await page.request(method, path.replace("{id}", more.pop("id", "")), **more)
            responses = DOCUMENT["paths"][path][method.lower()]["responses"]
            content = responses[str(answer.status_code)]["content"]["application/json"]
            assert list(differences(answer.json(), content["schema"], path)) == []


def differences(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    """In what a value is not as its schema says."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    for part in schema.get("allOf", ()):
        if isinstance(value, dict) and (known := _properties(schema)):
            yield from differences(
                {k: v for k, v in value.items() if k in _properties(part) and k in known}, part, where
            )
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    types: dict[str, tuple[type, ...]] = {
        "object": (dict,), "array": (list,), "string": (str,), "number": (int, float), "integer": (int,),
        "boolean": (bool,), "null": (type(None),),
    }  # fmt: skip
    if kinds and not isinstance(value, tuple(kind for name in kinds for kind in types[name])):
        yield f"{where}: {value!r} is no {kinds}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        if missing := set(schema.get("required", ())) - value.keys():
            yield f"{where}: without {missing}"
        if properties and (more := value.keys() - properties.keys() - {"error", "kind", "unmeasured"}):
            yield f"{where}: {more} are not described"
        for name, found in value.items():
            within = properties.get(name, schema.get("additionalProperties"))
            if isinstance(within, Mapping):
                yield from differences(found, within, f"{where}.{name}")
    if isinstance(value, list):
        for found in value:
            yield from differences(found, schema.get("items", {}), where + "[]")


def _properties(schema: Mapping[str, Any]) -> set[str]:
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return set(schema.get("properties", ())).union(*(_properties(part) for part in schema.get("allOf", ())))


def test_differences_are_found() -> None:
    schema = DOCUMENT["components"]["schemas"]["Health"]
    assert list(differences({"status": "ok", "age_seconds": 1.0}, schema, "")) == []
    assert list(differences({"status": "well", "age_seconds": "1"}, schema, ""))
    assert list(differences({"status": "ok"}, schema, ""))
    assert list(differences({"status": "ok", "age_seconds": 1, "name": "x"}, schema, ""))


async def test_metrics_are_those_of_the_last_report(source: Source) -> None:
    async with client(source) as page:
        answer = await page.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'monitord_service_up{service="gateway"} 0.0' in answer.text
    assert 'monitord_build_info{fleet="",host="box-1"' in answer.text
    assert "monitord_cycle_duration_seconds 0.0125" in answer.text


async def test_before_the_first_check_is_over_there_are_no_metrics(tmp_path: Path) -> None:
    async with client(Source(settings_for(tmp_path))) as page:
        assert (await page.get("/metrics")).status_code == 503
