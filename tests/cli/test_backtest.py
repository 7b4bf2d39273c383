"""`monitord backtest` on state directories as the daemon leaves them."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitord.cli.base import with_progress
from monitord.core.model import Observation
from tests.core.fleet import MB
from tests.core.nights import ORDERS, Night

from .program import PATIENCE, monitord
from .recorded import SETTINGS, leave

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)


def eventful() -> Night:
    """Two hours that end now: the gateway holds 350 MB from minute 20 to 30, and is stopped from minute 40 to 50."""
    night = Night(start=BEGAN, every=60)
    night.passes(minutes=20)
    night["gateway"].memory = 350.0 * MB
    night.passes(minutes=10)
    night["gateway"].memory = 99.0 * MB
    night.passes(minutes=10)
    night["gateway"].stops()
    night.passes(minutes=10)
    night["gateway"].starts()
    night.passes(minutes=60)
    return night


def uncounted() -> Night:
    """400,000 rows at once in minute 20, in a night in which no count came to an end."""
    night = Night(start=BEGAN)
    night.table.counts = False
    night.passes(minutes=20)
    night.table.floods(400_000)
    night.passes(minutes=20)
    return night


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("backtest")
    asyncio.run(leave(directory / "state", eventful()))
    return directory


@pytest.fixture(scope="module")
def unconfirmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unconfirmed")
    asyncio.run(leave(directory / "state", uncounted()))
    return directory


def backtest(directory: Path, *arguments: str) -> tuple[int, str, str]:
    settings = SETTINGS | {"MONITORD_STATE_DIR": str(directory / "state")}
    done = monitord("backtest", *arguments, directory=directory, settings=settings)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def fields_of(directory: Path, *arguments: str) -> dict[str, Any]:
    code, out, err = backtest(directory, *arguments, "--format", "json")
    assert (code, err) == (0, "")
    fields: dict[str, Any] = json.loads(out)
    return fields


def minutes(text: str) -> float:
    return (datetime.fromisoformat(text) - BEGAN).total_seconds() / 60


def test_under_the_same_orders_what_fired_fires_and_nothing_else(recorded: Path) -> None:
    fields = fields_of(recorded)
    (alert,) = fields["alerts"]
    assert (alert["rule"], alert["subject"], alert["severity"]) == ("service_down", "gateway", "critical")
    assert alert["duration_seconds"] == pytest.approx(600, abs=60)
    (same,) = fields["compared"]["same"]
    assert same["later_seconds"] == 0
    assert same["recorded_alert_id"] == alert["alert_id"]
    assert fields["compared"]["only_backtest"] == fields["compared"]["only_recorded"] == []
    assert fields["set"] == {}
    assert fields["cycles"] > 100
    assert fields["blind_minutes"] == 0


def test_a_lower_memory_limit_fires_when_it_was_passed_and_for_so_long(recorded: Path) -> None:
    fields = fields_of(recorded, "--set", "orders.service_memory=300MB")
    assert fields["set"] == {"MONITORD_ORDERS__SERVICE_MEMORY": "300MB"}
    (new,) = fields["compared"]["only_backtest"]
    assert (new["rule"], new["subject"], new["value"], new["limit"]) == (
        "service_memory_high",
        "gateway",
        350_000_000,
        300_000_000,
    )
    assert 20 <= minutes(new["fired_at"]) <= 22
    assert 30 <= minutes(new["resolved_at"]) <= 32
    assert new["fired_at"].endswith("Z")
    assert new in fields["alerts"]


def test_it_is_told_as_a_table_with_what_was_recorded_beside(recorded: Path) -> None:
    code, out, err = backtest(recorded, "--set", "MONITORD_ORDERS__SERVICE_MEMORY=300MB")
    assert (code, err) == (0, "")
    new = next(line for line in out.splitlines() if line.startswith("  new "))
    same = next(line for line in out.splitlines() if line.startswith("  same "))
    assert "gateway" in new
    assert "did not fire" in new
    assert "same time" in same
    assert "judged by MONITORD_ORDERS__SERVICE_MEMORY=300MB" in out
    assert out.splitlines()[-1] == "Under these orders 2 alerts would have fired; 1 did: 1 new, 1 the same."
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_orders_that_are_content_with_less_let_the_recorded_alert_go(recorded: Path) -> None:
    roster = dict(ORDERS.services) | {"gateway": "periodic"}
    fields = fields_of(recorded, "--set", f"orders.services={json.dumps(roster)}")
    assert fields["alerts"] == []
    (gone,) = fields["compared"]["only_recorded"]
    assert (gone["rule"], gone["subject"]) == ("service_down", "gateway")
    code, out, _ = backtest(recorded, "--set", f"orders.services={json.dumps(roster)}")
    assert code == 0
    assert any(line.startswith("  gone  gateway") for line in out.splitlines())
    assert out.splitlines()[-1] == "Under these orders no alerts would have fired; 1 did: 1 gone."


def test_only_what_fired_in_the_time_asked_about_is_told(recorded: Path) -> None:
    fields = fields_of(recorded, "--since", "60m", "--set", "orders.service_memory=300MB")
    assert fields["alerts"] == []
    code, out, _ = backtest(recorded, "--since", "60m")
    assert code == 0
    assert out.splitlines()[-1] == "Under the orders as they are nothing would have fired, and nothing did."


def test_an_alert_that_no_exact_count_confirms_is_told_to_rest_on_the_counters(unconfirmed: Path) -> None:
    assert fields_of(unconfirmed)["alerts"] == []
    fields = fields_of(unconfirmed, "--set", "orders.growth_limit=300000")
    (alert,) = fields["alerts"]
    assert (alert["rule"], alert["counted"], alert["resolved_at"]) == ("table_growth_high", "by the counters", None)
    assert any("not counted exactly then" in caveat for caveat in fields["caveats"])
    _, out, _ = backtest(unconfirmed, "--set", "orders.growth_limit=300000")
    assert "~" in next(line for line in out.splitlines() if line.startswith("  new "))


def test_reading_leaves_the_recording_as_it_is(recorded: Path) -> None:
    before = (recorded / "state" / "snapshot.db").read_bytes()
    assert backtest(recorded)[0] == 0
    assert (recorded / "state" / "snapshot.db").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "--since: 'yesterday' is no duration"),
        (("--since", "0"), "--since: it must be longer than nothing"),
        (("--since", "5m"), "--since 5m: nothing is recorded of that time; the recording ends "),
        (("--set", "orders.service_memry=1GB"), "the nearest is MONITORD_ORDERS__SERVICE_MEMORY"),
        (("--set", "log_level=debug"), "--set log_level: it changes nothing"),
        (("--set", "orders.service_memory=much"), "MONITORD_ORDERS__SERVICE_MEMORY (--set): 'much' is no size"),
        (("--set", "orders.service_memory"), "write NAME=VALUE"),
        (("--set", "\x1b[31m=1"), "there is no such setting"),
        (("--format", "html"), "invalid choice: 'html'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(recorded: Path, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = backtest(recorded, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert "\x1b" not in err


@pytest.mark.parametrize("style", ["text", "json"])
def test_where_nothing_is_recorded_it_says_so_in_one_line(tmp_path: Path, style: str) -> None:
    code, out, err = backtest(tmp_path, "--format", style)
    assert (code, out) == (2, "")
    assert err == f"monitord backtest: nothing is recorded in {tmp_path / 'state'} yet; monitord run records\n"
    assert not (tmp_path / "state").exists()


def _nonsense(path: Path) -> None:
    path.write_bytes(b"no database, and rather long for a joke" * 200)


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [_nonsense, _half])
def test_a_recording_that_cannot_be_read_is_one_sentence_and_exit_3(
    unconfirmed: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    shutil.copytree(unconfirmed / "state", tmp_path / "state")
    damage(tmp_path / "state" / "snapshot.db")
    code, out, err = backtest(tmp_path, "--format", "json")
    assert (code, out) == (3, "")
    assert "cannot be read" in err
    assert "it is damaged: monitord, when it is started, keeps it" in err
    assert len(err.splitlines()) == 1


def test_on_a_terminal_it_says_how_far_it_has_come_and_takes_that_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal, os.fdopen(theirs, "w", encoding="utf-8") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        most = range(int(PATIENCE * 100))

        def until_it_says_so() -> Iterator[Observation]:
            for minutes in most:
                yield Observation(BEGAN + timedelta(minutes=minutes), {})
                if select.select([terminal], [], [], 0.01)[0]:
                    return

        end = BEGAN + timedelta(minutes=len(most))
        passed = sum(1 for _ in with_progress(until_it_says_so(), BEGAN, end, "judging"))
        assert 1 < passed < len(most)
        said = b""
        while said.count(b"\r") < 3:
            said += terminal.read(4096)
    _, line, blank, after = said.decode().split("\r")
    assert re.fullmatch(r"judging \d+ min of 4 d 4 h *", line)
    assert (blank.strip(), len(blank), after) == ("", len(line), "")
