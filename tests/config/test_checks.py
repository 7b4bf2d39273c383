"""Checks of one's own as they are written: each mistake in a line that names the check and the field."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitord.config import reading
from monitord.config.check_types import EXAMPLE as OWN_EXAMPLE
from monitord.config.loader import Settings, SettingsError, described, load, standing_orders
from monitord.config.overrides import tried
from monitord.config.record import read_record, write_record
from monitord.core.codec import decode, encode
from monitord.core.orders import CheckOrder, StandingOrders
from monitord.core.thresholds import EXAMPLE, Threshold

SECRET = "planted-secret-9c1e"
EACH: dict[str, dict[str, Any]] = {
    "http": {"url": "https://shop.example.com/health"},
    "tcp": {"address": "db.example.com:5432"},
    "sql": {"query": "SELECT count(*) FROM orders", "warning": "> 50", "critical": ">= 100"},
    "freshness": {"table": "orders", "column": "created_at", "warning": "1h"},
    "checkin": {"period": "1d", "grace": "1h"},
    "command": {"command": ["/usr/lib/nagios/plugins/check_load", "-w", "5"]},
}


DATABASE = {"MONITORD_POSTGRES__DSN": "postgresql://db/shop"}


def of(tmp_path: Path, **checks: Any) -> Settings:
    return load({**DATABASE, "MONITORD_CHECKS": json.dumps(checks)}, tmp_path)


def mistakes(tmp_path: Path, **checks: Any) -> list[str]:
    """What is said of these checks, without the variable and its source."""
    with pytest.raises(SettingsError) as caught:
        of(tmp_path, **checks)
    assert all(line.startswith("MONITORD_CHECKS (environment): ") for line in caught.value.mistakes)
    return [line.removeprefix("MONITORD_CHECKS (environment): ") for line in caught.value.mistakes]


def test_none_are_configured_unless_they_are(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    assert settings.checks == {}
    assert "checks" not in standing_orders(settings).probes
    assert "checks" in standing_orders(of(tmp_path, shop={"type": "tcp", "address": "a:1"})).probes


@pytest.mark.parametrize("kind", EACH)
def test_a_check_of_each_type_is_written_again_as_it_was(tmp_path: Path, kind: str) -> None:
    settings = of(tmp_path, shop={"type": kind, **EACH[kind]})
    text = dict(described(settings))["MONITORD_CHECKS"]
    assert text is not None
    again = load({**DATABASE, "MONITORD_CHECKS": text}, tmp_path)
    assert again.checks == settings.checks
    assert settings.differences(again) == ()
    assert set(json.loads(text)["shop"]) == {"type", *EACH[kind]}


@pytest.mark.parametrize(
    ("check", "mistake"),
    [
        (5, f"of the check shop, it is not a map; write {OWN_EXAMPLE}"),
        ({"type": "http", "url": "http://h/", "json": 5}, "of the check shop, json: it is not a map"),
        ({"type": "sql", "query": " "}, "of the check shop, query: it is empty; write a statement that"),
    ],
)
def test_what_is_no_check_or_asks_nothing_is_said_in_the_operators_words(
    tmp_path: Path, check: Any, mistake: str
) -> None:
    (said,) = mistakes(tmp_path, shop=check)
    assert said.startswith(mistake)


def test_a_table_of_monitord_toml_is_the_same_as_json(tmp_path: Path) -> None:
    (tmp_path / "monitord.toml").write_text(
        '[checks.shop]\ntype = "http"\nurl = "https://shop.example.com/"\nevery = "1m"\n'
        '[checks.shop.headers]\nX-Token = "t"\n[checks."the DB"]\ntype = "tcp"\naddress = "[::1]:5432"\n'
    )
    settings = load({}, tmp_path)
    assert list(settings.checks) == ["shop", "the DB"]
    assert settings.checks["shop"].every == timedelta(minutes=1)
    assert list(load({"MONITORD_CHECKS": "{}"}, tmp_path).checks) == []  # the environment wins


def test_judgement_gets_what_it_needs_and_nothing_secret(tmp_path: Path) -> None:
    shop = {
        "type": "http",
        "url": f"https://me:{SECRET}@shop.example.com/health?token={SECRET}",
        "headers": {"X-Token": SECRET},
        "every": "5m",
        "service": "gateway",
        "depends_on": ["postgres", "gateway"],
        "warning_latency": "500ms",
        "critical_latency": "2s",
        "user_facing": True,
        "runbook": "https://wiki.example.com",
        "contact": "shop@example.com",
    }
    orders = standing_orders(of(tmp_path, shop=shop))
    assert orders.checks["shop"] == CheckOrder(
        "http",
        every=timedelta(minutes=5),
        depends_on=("gateway", "postgres"),
        user_facing=True,
        runbook="https://wiki.example.com",
        contact="shop@example.com",
        target="https://shop.example.com/health",
        unit="ms",
        warning=Threshold(">", 500.0),
        critical=Threshold(">", 2000.0),
        certificate_days=14,
    )
    assert decode(StandingOrders, json.loads(json.dumps(encode(orders)))) == orders


def test_secrets_are_masked_wherever_settings_are_shown(tmp_path: Path) -> None:
    settings = of(
        tmp_path,
        shop={"type": "http", "url": f"https://me:{SECRET}@shop/", "headers": {"Authorization": f"Bearer {SECRET}"}},
        load={"type": "command", "command": ["check_pg", f"--password={SECRET}"]},
    )
    text = dict(described(settings))["MONITORD_CHECKS"]
    assert text is not None
    assert SECRET not in text
    assert json.loads(text)["shop"]["headers"] == {"Authorization": "***"}
    assert SECRET in settings.secrets()
    assert SECRET not in repr(settings)
    assert SECRET not in repr(standing_orders(settings))


@pytest.mark.parametrize(
    ("url", "shown", "target"),
    [
        (f"https://me:{SECRET}@shop/a", "https://me:***@shop/a", "https://shop/a"),
        ("https://me:x@shop/extra", "https://me:***@shop/extra", "https://shop/extra"),
        (f"https://{SECRET}@shop/a", "https://***@shop/a", "https://shop/a"),
        (f"https://shop/hooks/{SECRET}/a", "https://shop/hooks/***/a", "https://shop/"),
        (f"https://shop/a?key={SECRET}", "https://shop/a?key=***", "https://shop/a"),
        ("https://shop/a?token=short", "https://shop/a?token=***", "https://shop/a"),
        ("https://shop/health/availability-check", None, "https://shop/health/availability-check"),
    ],
)
def test_of_an_address_what_may_be_a_secret_is_not_shown(
    tmp_path: Path, url: str, shown: str | None, target: str
) -> None:
    settings = of(tmp_path, shop={"type": "http", "url": url})
    assert json.loads(dict(described(settings))["MONITORD_CHECKS"] or "")["shop"]["url"] == (shown or url)
    assert standing_orders(settings).checks["shop"].target == target
    assert (SECRET in settings.secrets()) == (SECRET in url)


def test_what_the_daemon_records_holds_no_secret_and_says_that_it_withholds(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    for check, is_withheld in (
        ({"type": "http", "url": "https://shop/", "headers": {"X-Token": SECRET}}, True),
        ({"type": "http", "url": f"https://me:{SECRET}@shop/"}, True),
        ({"type": "http", "url": f"https://{SECRET}@shop/"}, True),
        ({"type": "http", "url": f"https://shop/hooks/{SECRET}"}, True),
        ({"type": "http", "url": f"https://shop/health?key={SECRET}"}, True),
        ({"type": "http", "url": "https://shop/health/availability-check?v=2"}, False),
    ):
        environ = {"MONITORD_STATE_DIR": str(state), "MONITORD_CHECKS": json.dumps({"shop": check})}
        write_record(reading.read(environ, tmp_path, "1")[1], state)
        assert SECRET not in (state / "daemon.json").read_text()
        record = read_record(state)
        assert record is not None
        assert ("MONITORD_CHECKS" in record.withheld, "MONITORD_CHECKS" in record.environment) == (
            is_withheld,
            not is_withheld,
        )
        assert list(record.orders.checks) == ["shop"]


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ({}, "type: it must be set, to one of http, tcp, sql, freshness, checkin, command"),
        (
            {"type": "htpp", "url": "http://a"},
            "type: 'htpp' is not one of http, tcp, sql, freshness, checkin, command; the nearest is http",
        ),
        ({"type": "http"}, "url: it must be set"),
        ({"type": "http", "url": "shop.example.com"}, "url: it does not begin with http:// or https://"),
        ({"type": "http", "url": "http://shop:99999/"}, "url: its port is none"),
        ({"type": "http", "url": "http://" + "ü" * 70 + ".com"}, "url: its host has a name that no host can have"),
        ({"type": "http", "url": "http://a", "uri": "x"}, "uri: there is no such field; the nearest is url"),
        ({"type": "http", "url": "http://a", "jsn": {}}, "jsn: there is no such field; the nearest is json"),
        (
            {"type": "http", "url": "http://a", "method": "FETCH"},
            "method: 'FETCH' is not one of get, head, post, put, patch, delete, options",
        ),
        (
            {"type": "http", "url": "http://a", "status": "2x"},
            """status: '2x' is no status; write 200, "2xx", "200-299" or [200, "3xx"]""",
        ),
        ({"type": "http", "url": "http://a", "headers": {"a b": "x"}}, "headers: 'a b' is no name of a header"),
        (
            {"type": "http", "url": "http://a", "headers": {"X": f"{SECRET}\n"}},
            "headers: X is not one line of ASCII",
        ),
        (
            {"type": "http", "url": "http://a", "warning_latency": "500"},
            "warning_latency: '500' has no unit; write 500s, 500m or 500h",
        ),
        (
            {"type": "http", "url": "http://a", "warning_latency": "2s", "critical_latency": "1s"},
            "critical is less than warning",
        ),
        (
            {"type": "http", "url": "http://a", "certificate_days": "soon"},
            "certificate_days: 'soon' is no number of days; write 14",
        ),
        ({"type": "tcp", "address": "db"}, "address: 'db' is no address; write db.example.com:5432 or [::1]:5432"),
        (
            {"type": "tcp", "address": "::1:5432"},
            "address: '::1:5432' is no address; write db.example.com:5432 or [::1]:5432",
        ),
        ({"type": "tcp", "address": "db:0"}, "address: 'db:0' names no port; write db.example.com:5432"),
        ({"type": "tcp", "address": "a:1", "every": "0s"}, "every: it must be longer than nothing"),
        ({"type": "tcp", "address": "a:1", "severity": "high"}, "severity: 'high' is not one of warning, critical"),
        (
            {"type": "tcp", "address": "a:1", "depends_on": [1]},
            'depends_on: it holds something that is no name; write ["gateway", "postgres"]',
        ),
        (
            {"type": "sql", "query": "SELECT 1", "warning": "50"},
            "warning: '50' does not say which side of it is wrong; write > 50 or < 50",
        ),
        (
            {"type": "sql", "query": "SELECT 1", "warning": 50},
            f"warning: it is no limit; write {EXAMPLE}",
        ),
        (
            {"type": "sql", "query": "SELECT 1", "warning": "> 50", "critical": "> 40"},
            "critical, > 40, is reached before warning, > 50",
        ),
        ({"type": "freshness", "table": "orders"}, "it needs either table and column, or query"),
        ({"type": "checkin"}, "it needs either period or schedule"),
        (
            {"type": "command", "command": "check_load -w 5"},
            "command: it is no list of a command and its arguments, which no shell reads; "
            'write ["/usr/lib/nagios/plugins/check_load", "-w", "5"]',
        ),
    ],
)
def test_a_mistake_names_the_check_and_the_field(tmp_path: Path, check: dict[str, Any], expected: str) -> None:
    (said,) = mistakes(tmp_path, shop=check)
    assert said == f"of the check shop, {expected}"
    assert SECRET not in said


def test_every_mistake_is_a_line_of_its_own(tmp_path: Path) -> None:
    said = mistakes(tmp_path, a={"type": "tcp", "adress": "x"}, b={"type": "http", "url": 1, "follow": "maybe"})
    assert said == [
        "of the check a, address: it must be set",
        "of the check a, adress: there is no such field; the nearest is address",
        "of the check b, url: it does not begin with http:// or https://",
        "of the check b, follow: 'maybe' is neither true nor false",
    ]


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\nb", "x" * 101, "postgres"])
def test_a_name_is_one_that_can_be_said(tmp_path: Path, name: str) -> None:
    (said,) = mistakes(tmp_path, **{name: {"type": "tcp", "address": "a:1"}})
    assert said.startswith("of the check ")


def test_what_is_no_map_is_said_to_be_none(tmp_path: Path) -> None:
    for text in ("[]", "{", "3"):
        with pytest.raises(SettingsError, match=r'write \{"shop": \{"type": "http"'):
            load({"MONITORD_CHECKS": text}, tmp_path)


def test_checks_cannot_depend_on_themselves(tmp_path: Path) -> None:
    tcp = {"type": "tcp", "address": "a:1"}
    (said,) = mistakes(
        tmp_path, a={**tcp, "depends_on": ["b"]}, b={**tcp, "service": "c"}, c={**tcp, "depends_on": ["a"]}
    )
    assert said == "of the check a, depends_on: it depends on itself in the end"
    assert of(tmp_path, a={**tcp, "depends_on": ["b", "c"]}, b={**tcp, "depends_on": ["c"]}, c=tcp).checks


def test_other_limits_of_a_check_can_be_tried_on_the_past(tmp_path: Path) -> None:
    shop = {"type": "http", "url": "http://a", "warning_latency": "1s"}
    environ = {"MONITORD_CHECKS": json.dumps({"shop": shop})}
    found = tried([f"CHECKS={json.dumps({'shop': {**shop, 'warning_latency': '2s'}})}"], environ, tmp_path)
    limits = [standing_orders(each).checks["shop"].warning for each in (found.present, found.settings)]
    assert limits == [Threshold(">", 1000.0), Threshold(">", 2000.0)]


def test_the_example_in_the_documents_is_valid_and_has_a_check_of_each_type(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "docs" / "monitord.toml"
    (tmp_path / "monitord.toml").write_bytes(example.read_bytes())
    settings = load({}, tmp_path)
    assert {check.order().type for check in settings.checks.values()} == set(EACH)
    assert "not-a-real-token" not in str(dict(described(settings)))
