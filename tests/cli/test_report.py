"""`monitord report` and `monitord alerts` on state directories as the daemon leaves them."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import zlib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from monitord.storage.schema import FILE
from tests.core.nights import Night

from .program import monitord
from .recorded import SETTINGS, leave

HOURS = timedelta(hours=2)
SECRET = "hunter2"
# The database is watched in these nights and cannot be asked for its recap: nothing listens there.
WATCHED = {
    "MONITORD_POSTGRES__DSN": f"postgresql://monitord:{SECRET}@127.0.0.1:1/fleet",
    "MONITORD_REDIS__URL": "redis://127.0.0.1:1",
}


def began() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - HOURS


def healthy() -> Night:
    """Two hours that end now, and nothing happens."""
    night = Night(start=began(), every=60)
    night.passes(seconds=HOURS.total_seconds())
    return night


def eventful() -> Night:
    """Two hours that end now: a listener is stopped at minute 30, no rows come; both are mended at minute 60."""
    night = Night(start=began(), every=60)
    night.passes(minutes=30)
    night["stream-listener"].stops()
    night.table.per_second = 0
    night.passes(minutes=30)
    night["stream-listener"].starts()
    night.table.per_second = 12
    night.passes(minutes=58)
    night["gateway"].stops()
    night.passes(minutes=2)
    return night


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("good")
    asyncio.run(leave(directory / "state", healthy()))
    return directory


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bad")
    asyncio.run(leave(directory / "state", eventful()))
    return directory


def run(directory: Path, *arguments: str) -> tuple[int, str, str]:
    (directory / "pm2").mkdir(exist_ok=True)
    settings = SETTINGS | WATCHED | {"MONITORD_STATE_DIR": str(directory / "state")}
    settings["MONITORD_PM2__HOME"] = str(directory / "pm2")
    done = monitord(*arguments, directory=directory, settings=settings)
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def fields_of(directory: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = run(directory, *arguments, "--format", "json")
    fields: dict[str, Any] = json.loads(out)
    return code, fields


def test_a_healthy_night_is_a_go_and_exits_0(good: Path) -> None:
    code, fields = fields_of(good, "report", "--since", "110m")
    assert (code, fields["verdict"]) == (0, "GO")
    assert [criterion["met"] for criterion in fields["criteria"]] == [True] * 8
    assert all(criterion["evidence"] for criterion in fields["criteria"])
    assert (fields["blind_minutes"], fields["incidents"]) == (0, [])
    assert fields["baseline"]["status"] == "ok"
    assert fields["recap"] is None
    assert "refused" in fields["recap_error"] or "nothing listens" in fields["recap_error"]


def test_a_bad_night_is_a_no_go_and_exits_2_with_its_incidents(bad: Path) -> None:
    code, fields = fields_of(bad, "report", "--since", "110m")
    assert (code, fields["verdict"]) == (2, "NO-GO")
    first, second = fields["incidents"]
    assert (first["rule"], first["subject"], first["open"]) == ("service_down", "stream-listener", False)
    assert [part["rule"] for part in first["explains"]] == ["table_flow_stalled"]
    assert first["explains"][0]["fired_at"] is None
    assert (second["subject"], second["open"], second["ended_at"]) == ("gateway", True, None)
    unmet = {criterion["name"] for criterion in fields["criteria"] if criterion["met"] is False}
    assert unmet == {"services_online", "growth_steady", "nothing_critical"}
    assert "Impact on claims: people cannot reach it" in fields["escalations"][second["incident_id"]]


def test_a_night_longer_than_what_is_recorded_is_unknown_and_exits_3(good: Path) -> None:
    code, fields = fields_of(good, "report")
    assert (code, fields["verdict"]) == (3, "UNKNOWN")
    assert fields["blind_minutes"] == 0  # monitord began then: what was not yet recorded is not blind time
    assert {spell["why"] for spell in fields["blind"]} == {"unrecorded"}


def test_nothing_recorded_is_unknown_in_every_form(tmp_path: Path) -> None:
    for style in ("text", "markdown", "html", "json"):
        code, out, err = run(tmp_path, "report", "--format", style)
        assert (code, err) == (3, "")
        assert "UNKNOWN" in out
    assert not (tmp_path / "state" / FILE).exists()


def test_a_last_report_of_another_shape_costs_the_baseline_and_not_the_verdict(good: Path, tmp_path: Path) -> None:
    shutil.copytree(good / "state", tmp_path / "state")
    with closing(sqlite3.connect(tmp_path / "state" / FILE)) as connection, connection:
        (body,) = connection.execute("SELECT body FROM whole_state").fetchone()
        written = json.dumps(json.loads(zlib.decompress(body)) | {"report": {"alerts": 7}})
        connection.execute("UPDATE whole_state SET body = ?", (zlib.compress(written.encode()),))
    code, fields = fields_of(tmp_path, "report", "--since", "110m")
    assert (code, fields["verdict"], fields["baseline"]) == (0, "GO", None)


def test_text_and_markdown_tell_the_verdict_first_and_then_why(bad: Path) -> None:
    for style, begins in (("text", "NO-GO: "), ("markdown", "# ")):
        code, out, _ = run(bad, "report", "--since", "110m", "--format", style)
        assert code == 2
        assert out.startswith(begins)
        assert "NO-GO" in out.splitlines()[0]
        assert "stream-listener" in out
        assert "All services remain online" in out


def test_html_is_one_file_that_needs_no_other(bad: Path, tmp_path: Path) -> None:
    code, out, err = run(bad, "report", "--since", "110m", "--format", "html", "--output", str(tmp_path / "night.html"))
    assert (code, out) == (2, "")
    assert err.startswith("NO-GO: written to ")
    page = (tmp_path / "night.html").read_text(encoding="utf-8")
    HTMLParser().feed(page)
    assert page.startswith("<!doctype html>")
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in page


def test_a_file_that_cannot_be_written_is_one_line(good: Path, tmp_path: Path) -> None:
    code, _, err = run(good, "report", "--since", "1h", "--output", str(tmp_path / "nowhere" / "night.txt"))
    assert code == 2
    assert err.startswith("--output ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", ["report", "alerts"])
@pytest.mark.parametrize("since", ["yesterday", "0s", "-3h"])
def test_a_length_that_is_none_is_one_line_and_exits_2(good: Path, command: str, since: str) -> None:
    code, out, err = run(good, command, f"--since={since}")
    assert (code, out) == (2, "")
    assert err.startswith("--since: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", ["report", "alerts"])
def test_a_record_that_cannot_be_read_is_a_sentence_and_exits_3(tmp_path: Path, command: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_bytes(b"this is no database, and long enough to be looked at" * 100)
    code, out, err = run(tmp_path, command)
    assert (code, out) == (3, "")
    assert "cannot be read" in err
    assert "it is damaged: monitord, when it is started, keeps it" in err


def test_alerts_lists_incidents_the_open_ones_first(bad: Path) -> None:
    code, out, _ = run(bad, "alerts")
    assert code == 0
    assert out.index("gateway is stopped") < out.index("stream-listener is stopped")
    assert "explained by it: No new row has come into user_signals" in out
    assert out.rstrip().endswith("2 incidents, 1 of them open.")


def test_alerts_as_json_has_both_and_only_those_that_lived_since(bad: Path) -> None:
    code, fields = fields_of(bad, "alerts")
    assert code == 0
    assert [incident["subject"] for incident in fields["incidents"]] == ["stream-listener", "gateway"]
    _, lately = fields_of(bad, "alerts", "--since", "20m")
    assert [incident["subject"] for incident in lately["incidents"]] == ["gateway"]


def test_alerts_of_a_quiet_night_are_none(good: Path) -> None:
    code, out, _ = run(good, "alerts")
    assert code == 0
    assert "None." in out


def test_neither_writes_anything(good: Path) -> None:
    def rows() -> list[tuple[int, int]]:
        with closing(sqlite3.connect(good / "state" / FILE)) as connection:
            return connection.execute("SELECT count(*), max(seq) FROM frames").fetchall()

    before = rows()
    run(good, "report", "--since", "1h")
    run(good, "alerts")
    assert rows() == before
