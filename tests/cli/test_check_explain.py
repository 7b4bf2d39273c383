"""`monitord check --explain`: what is watched, what is not and why, and where each limit comes from."""

import json
from pathlib import Path
from typing import Any

import pytest

from monitord.config.reading import read
from monitord.config.record import write_record
from monitord.config.sections import names_of
from monitord.config.settings import OrdersSettings
from monitord.core.subjects.registry import SUBJECTS
from monitord.testing.servers.postgres import PostgresServer

from .program import monitord

SECRET = "hunter2-and-more"
SETTINGS = {
    "MONITORD_STATE_DIR": "state",
    "MONITORD_PM2__HOME": "",
    "MONITORD_POSTGRES__DSN": f"postgres://u:{SECRET}@127.0.0.1:1/db",
    "MONITORD_ORDERS__HOST_CPU": "90%",
}
FILE = """
MONITORD_POSTGRES__TABLES={"orders": {"growth_limit": 10000, "flow_stall": {"00-06": "3h", "*": "15m"}}, "users": {}}
MONITORD_CHECKS={"shop": {"type": "http", "url": "http://127.0.0.1:1/", "headers": {"A": "hunter2-and-more"}}}
MONITORD_ORDERS__SERVICE_MEMORY_BY_NAME={"gateway": "800MB"}
"""


def explain(directory: Path, *arguments: str, settings: dict[str, str]) -> tuple[int, str, str]:
    done = monitord("check", "--explain", *arguments, directory=directory, settings=settings)
    return done.returncode, done.stdout, done.stderr


def subjects(directory: Path, settings: dict[str, str]) -> dict[str, Any]:
    _, out, _ = explain(directory, "--format", "json", settings=settings)
    return {one["name"]: one for one in json.loads(out)["subjects"]}


def limits(subject: Any) -> dict[tuple[str, str, str], tuple[str | None, str]]:
    return {
        (limit["variable"].removeprefix("MONITORD_"), limit["member"], limit["key"]): (limit["value"], limit["source"])
        for limit in subject["limits"]
    }


def test_each_limit_says_what_it_is_and_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(FILE)
    (tmp_path / "monitord.toml").write_text("[orders]\ngrowth_limit = 5000\n")
    found = subjects(tmp_path, SETTINGS)
    assert [one["name"] for one in found.values()] == [subject.name for subject in SUBJECTS]
    tables, host = limits(found["postgres"]), limits(found["host"])
    assert tables["ORDERS__GROWTH_LIMIT", "", ""] == ("5000", "monitord.toml")
    assert tables["POSTGRES__TABLES", "orders", "growth_limit"] == ("10000", ".env")
    assert tables["POSTGRES__TABLES", "orders", "flow_stall"] == ("00-06: 3h, *: 15m", ".env")
    assert tables["ORDERS__FLOW_STALL", "", ""] == ("15m", "default")
    assert host["ORDERS__HOST_CPU", "", ""] == ("90%", "environment")
    assert host["ORDERS__HOST_LOAD", "", ""] == (None, "default")
    assert found["postgres"]["members"] == [
        {"name": "orders", "source": ".env"},
        {"name": "users", "source": ".env"},
    ]
    (growth,) = [one for one in found["postgres"]["limits"] if one["key"] == "growth_limit"]
    assert growth["means"] == "the most rows a table may gain within the window"
    assert all(limit["means"] for subject in found.values() for limit in subject["limits"])


def test_what_is_not_watched_says_why_and_what_cannot_be_measured_does_too(tmp_path: Path) -> None:
    found = subjects(tmp_path, SETTINGS)
    assert (found["pm2"]["watched"], found["redis"]["watched"], found["checks"]["watched"]) == (False, False, False)
    assert found["pm2"]["why"] == "There is no PM2 home. MONITORD_PM2__HOME (or PM2_HOME) would add it."
    assert found["redis"]["why"] == "MONITORD_REDIS__URL (or REDIS_URL) would add it."
    assert found["checks"]["why"] == "MONITORD_CHECKS is empty."
    assert found["postgres"]["watched"] is True
    assert "refused" in found["postgres"]["why"]
    off = subjects(tmp_path, SETTINGS | {"MONITORD_POSTGRES__DSN": ""})
    assert off["epochs"]["why"] == "It needs Postgres, which is not watched."


def test_a_table_that_is_named_and_is_not_there_is_absent(tmp_path: Path, postgres: PostgresServer) -> None:
    settings = SETTINGS | {"MONITORD_POSTGRES__DSN": postgres.dsn(), "MONITORD_POSTGRES__TABLES": '["nowhere"]'}
    found = subjects(tmp_path, settings)
    assert "nowhere" in [one["name"] for one in found["postgres"]["absent"]]
    assert found["epochs"]["watched"] is False
    assert found["epochs"]["why"] == "There is none, and MONITORD_EPOCHS__GROUPS names none."


def test_what_stood_in_the_environment_of_the_daemon_comes_from_its_record(tmp_path: Path) -> None:
    there, here, state = tmp_path / "there", tmp_path / "here", tmp_path / "state"
    for place in (there, here, state):
        place.mkdir()
    (there / ".env").write_text("MONITORD_ORDERS__HOST_LOAD=4\n")
    own = {"MONITORD_STATE_DIR": str(state), "MONITORD_PM2__HOME": "", "MONITORD_ORDERS__HOST_CPU": "80%"}
    settings, record = read(own, there, "1.0")
    write_record(record, settings.state_dir)
    host = limits(subjects(here, {"MONITORD_STATE_DIR": str(state)})["host"])
    assert host["ORDERS__HOST_CPU", "", ""] == ("80%", "daemon's record")
    assert host["ORDERS__HOST_LOAD", "", ""] == ("4.0", ".env")


@pytest.mark.parametrize("width", [80, 120])
def test_its_text_lines_up_at_every_width_and_cuts_nothing_off(tmp_path: Path, width: int) -> None:
    (tmp_path / ".env").write_text(FILE)
    code, out, _ = explain(tmp_path, settings=SETTINGS | {"COLUMNS": str(width)})
    lines = out.splitlines()
    assert code == 2
    assert max(map(len, lines)) <= width
    assert "…" not in out
    headings = [n for n, line in enumerate(lines) if line.startswith("  Setting ")]
    assert len(headings) >= 4
    for heading in headings:
        at = lines[heading].index("From")
        rows = iter(lines[heading + 1 :])
        for row in rows:
            if not row:
                break
            if row.startswith("  ") and row[2].isupper() and row[2:].split()[0].isupper() and "__" in row:
                assert row[at - 2 : at] == "  ", row
                assert row[at] != " ", row


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(FILE)
    for style in ("text", "json"):
        _, out, err = explain(tmp_path, "--format", style, settings=SETTINGS)
        assert "***" in out
        assert SECRET not in out + err


def test_for_nagios_there_is_no_such_form(tmp_path: Path) -> None:
    code, out, err = explain(tmp_path, "--format", "nagios", settings=SETTINGS)
    assert (code, out) == (2, "")
    assert err == "--explain has no form for Nagios: --format is text or json\n"


def test_every_limit_of_the_orders_is_one_of_a_subject() -> None:
    known = {name for subject in SUBJECTS for name in subject.limits}
    assert known == set(names_of(OrdersSettings))
