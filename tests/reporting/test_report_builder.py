"""The morning's report: what the daemon and the command wait for, and what they do without."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from monitord.config.loader import load_with_sources, standing_orders
from monitord.reporting.report_builder import report_from_recording


async def test_a_database_that_never_answers_is_not_waited_for_once_the_night_is_known(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:  # it takes calls, and never speaks
        dsn = f"postgresql://watch@127.0.0.1:{frozen.getsockname()[1]}/night?sslmode=disable"
        settings, _ = load_with_sources({"MONITORD_STATE_DIR": str(tmp_path), "MONITORD_POSTGRES__DSN": dsn}, tmp_path)
        now = datetime.now(UTC)
        night = await report_from_recording(
            settings, standing_orders(settings), now - timedelta(hours=12), now, recap_more=0.01
        )
    assert night.verdict == "UNKNOWN"
    assert (night.recap, night.recap_error) == (None, "the database has not answered in time")


@pytest.mark.servers
async def test_the_recap_is_held_against_the_same_hours_of_a_day_and_a_week_before(
    fleet_database: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    label = int(now.timestamp()) // 3600 * 3600 - 3600
    yesterday = label - 24 * 3600
    rows = [(label, channel, f"u{n}", label, "MILO", "x") for channel in ("marlon", "jason") for n in range(5)]
    rows += [(at, "marlon", f"u{n}", at, "MILO", "x") for at in (yesterday, yesterday - 3600) for n in range(3)]
    connection: Any = await asyncpg.connect(fleet_database, timeout=10)
    await connection.copy_records_to_table("channel_participation", records=rows)
    await connection.close(timeout=5)
    settings, _ = load_with_sources(
        {"MONITORD_STATE_DIR": str(tmp_path), "MONITORD_POSTGRES__DSN": fleet_database}, tmp_path
    )
    orders = standing_orders(settings)
    night = await report_from_recording(settings, orders, now - timedelta(hours=12), now, recap_more=30, compare=True)
    assert night.recap is not None
    found = {one.name: one.recap for one in night.recap_before}
    counts = [
        (tier.participant_records, tier.unique_viewers)
        for recap in (night.recap, found["a day before"], found["a week before"])
        for tier in recap or ()
        if tier.group == "MILO"
    ]
    # Whoever took part in two hours is one viewer of both.
    assert counts == [(10, 5), (6, 3), (0, 0)]
