"""A report as one JSON document: the fields of `check_completed` at top level, times as the log writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

# Where a report that comes from a snapshot carries its times as text.
_TIMES: Final = ("since", "fired_at", "acked_at")


def document(fields: Mapping[str, Any]) -> str:
    """The JSON text of a report, ending in a newline. Times are RFC 3339 in UTC with milliseconds and a Z."""
    # ASCII, so that a stdout of any encoding can carry it.
    return json.dumps(dict(fields), indent=2, default=_plain, allow_nan=False) + "\n"


def revived(report: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a report that was kept as JSON, its times as datetimes again."""
    alerts = {state: [_revived_alert(alert) for alert in found] for state, found in report["alerts"].items()}
    return {**report, "alerts": alerts} | ({"at": moment(report["at"])} if "at" in report else {})


def _revived_alert(alert: Mapping[str, Any]) -> dict[str, Any]:
    flapping = alert.get("flapping")
    times = {name: moment(alert[name]) for name in _TIMES if name in alert}
    return {**alert, **times} | ({"flapping": flapping | {"since": moment(flapping["since"])}} if flapping else {})


def moment(value: object) -> datetime | None:
    """A time as it was kept; None where there was none.

    Raises:
        ValueError: it is no time.
    """
    if value is None or isinstance(value, datetime):
        return value
    found = datetime.fromisoformat(str(value))
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    raise TypeError(f"no JSON form for {type(value).__name__}")
