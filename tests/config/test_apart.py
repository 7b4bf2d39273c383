"""The settings of a daemon, read by a process of its own: the same, or the same mistakes, and nothing in between."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from monitord.config import apart
from monitord.config.apart import SettingsReader
from monitord.config.loader import load, standing_orders
from monitord.config.record import read_record
from monitord.config.settings import Settings, SettingsError
from tests.test_env_example import EXAMPLE, LINE

SECRET = "planted-secret-9c1e"
CHECKS = {
    "shop": {"type": "http", "url": f"https://u:{SECRET}@shop/h", "headers": {"X-Key": SECRET}, "json": {"ok": True}},
    "backup": {"type": "checkin", "schedule": "0 3 * * *"},
    "orders": {"type": "freshness", "table": "orders", "column": "created_at", "warn_after": "1h"},
}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every setting is set."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    lines = [match[1] for line in EXAMPLE.read_text("utf-8").splitlines() if (match := LINE.fullmatch(line))]
    (tmp_path / ".env").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def environ(directory: Path) -> dict[str, str]:
    return {
        "HOME": str(directory),
        "MONITORD_STATE_DIR": str(directory / "state"),
        "MONITORD_HTTP__TOKEN": SECRET,
        "MONITORD_POSTGRES__DSN": f"postgresql://u:{SECRET}@h/db",
        "MONITORD_CHECKS": json.dumps(CHECKS),
    }


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing is read in this process."""

    def read(*_: object) -> None:
        raise AssertionError("it was read in this process")

    monkeypatch.setattr("monitord.config.reading.read", read)


def test_they_are_what_this_process_would_have_read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = load(environ(directory), directory)
    elsewhere(monkeypatch)
    reader = SettingsReader(environ(directory), directory, "1")
    there = reader.load()
    assert there == here
    assert there.differences(here) == ()
    assert there.secrets() == here.secrets()
    assert standing_orders(there) == standing_orders(here)
    assert SECRET in there.secrets()
    assert SECRET not in repr(there)
    (directory / "state").mkdir()
    reader.record()
    record = read_record(directory / "state")
    assert record is not None
    assert record.orders == standing_orders(here)
    assert set(record.withheld) == {"MONITORD_CHECKS", "MONITORD_HTTP__TOKEN", "MONITORD_POSTGRES__DSN"}


def test_mistakes_are_the_same_and_as_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "MONITORD_CHECK_INTERVAL": "soon",
        "MONITORD_HTTP__LISTEN": "0.0.0.0:8844",
        "MONITORD_CHEKS": "{}",
        "MONITORD_CHECKS": '{"a": {"type": "sql", "query": "SELECT 1", "warning": "> 5", "critical": "> 3"}}',
        "MONITORD_HTTP__TOKEN": f"{SECRET} with a space",
    }
    with pytest.raises(SettingsError) as here:
        load(wrong, tmp_path)
    elsewhere(monkeypatch)
    with pytest.raises(SettingsError) as there:
        SettingsReader(wrong, tmp_path, "1").load()
    assert there.value.mistakes == here.value.mistakes
    assert len(here.value.mistakes) == 4
    assert SECRET not in str(there.value)


@pytest.mark.parametrize("program", ["there-is-none", "exit 3"])
def test_where_no_process_can_be_had_they_are_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(sys, "executable", stub(tmp_path, program))
    found = SettingsReader({"MONITORD_LOG_LEVEL": "debug"}, tmp_path, "1").load()
    assert (isinstance(found, Settings), found.log_level) == (True, "debug")


def test_they_are_read_anew_each_time_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "asked"
    monkeypatch.setattr(sys, "executable", stub(tmp_path, f"echo asked >> {asked}; exit 3"))
    reader = SettingsReader({}, tmp_path, "1")
    assert reader.load().log_level == "info"
    (tmp_path / ".env").write_text("MONITORD_LOG_LEVEL=debug\n")
    assert reader.load().log_level == "debug"
    assert asked.read_text() == "asked\nasked\n"


def test_a_process_that_does_not_end_is_ended_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", stub(tmp_path, "exec sleep 600"))
    monkeypatch.setattr(apart, "READ_SECONDS", 0.02)
    with pytest.raises(SettingsError, match=r"the settings could not be read within 0\.02 s"):
        SettingsReader({}, tmp_path, "1").load()


def test_nothing_of_them_is_on_a_command_line_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    monkeypatch.setattr(sys, "executable", stub(tmp_path, f'echo "$0 $@" > {told}; env >> {told}; exit 3'))
    SettingsReader({"MONITORD_HTTP__TOKEN": SECRET}, tmp_path, "1").load()
    assert "monitord.config.apart_child" in told.read_text()
    assert SECRET not in told.read_text()


def stub(directory: Path, program: str) -> str:
    """A program in place of Python; none where it is there-is-none."""
    path = directory / "python"
    if program != "there-is-none":
        path.write_text(f"#!/bin/sh\n{program}\n")
        path.chmod(0o755)
    return os.fspath(path)
