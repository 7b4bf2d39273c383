"""The morning's report: what the daemon and the command wait for, and what they do without."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from monitord.config.loader import load_with_sources, standing_orders
from monitord.runtime.report_builder import report_from_recording


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
