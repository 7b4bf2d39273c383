"""The one encoder: a value of any kind as JSON has it, times as RFC 3339; a kept report read back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence, Set, ValuesView
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from monitord.masking import MASK

_DEEPEST: Final = 16
# Where a report that comes from a snapshot carries its times as text.
_TIMES: Final = ("since", "fired_at", "acked_at")
_SECRET_NAME: Final = re.compile(r"(?:password|passwd|secret|token|api[_-]?key|dsn|authorization)\Z", re.IGNORECASE)


def in_json(value: object, masked: Callable[[str], str], name: str = "", depth: int = 0) -> Any:
    """A value as JSON has it: no NaN, times as RFC 3339, durations in seconds.

    Texts go through `masked`; those of a field whose `name` is that of a secret are not shown at all.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and not isinstance(value, Enum):
        return MASK if value and _SECRET_NAME.search(name) else masked(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, Enum):
        number = int(value) if isinstance(value, int) else float(value)
        return number if number - number == 0 else None
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if depth >= _DEEPEST:  # most likely inside itself
        return "…"
    if isinstance(value, Enum):
        return in_json(value.value, masked, name, depth + 1)
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields_of(value)}
    if isinstance(value, Mapping):
        return {masked(str(key)): in_json(item, masked, str(key), depth + 1) for key, item in value.items()}
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"  # not text, so not known to be free of secrets
    if isinstance(value, Set):
        value = sorted(value, key=str)
    if isinstance(value, Sequence | ValuesView):
        return [in_json(item, masked, name, depth + 1) for item in value]
    if isinstance(value, BaseException):
        return masked(named(value))
    return masked(value.isoformat() if isinstance(value, date) else str(value))


def named(error: BaseException | None) -> str:
    """An error's type and the first line of what it says."""
    if error is None:
        return "unknown"
    line = first_line(error)
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def first_line(text: object) -> str:
    lines = str(text).strip().splitlines()
    return lines[0].strip() if lines else ""


def rfc3339(value: datetime) -> str:
    """A time in UTC with milliseconds and a Z; one without a zone is in UTC."""
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def document(fields: Mapping[str, object]) -> str:
    """The JSON text of a report, ending in a newline."""
    # ASCII, so that a stdout of any encoding can carry it.
    return json.dumps(dict(fields), indent=2, default=_time, allow_nan=False) + "\n"


def revived(report: Mapping[str, Any]) -> dict[str, object]:
    """The fields of a report that was kept as JSON, its times as datetimes again."""
    alerts = {state: [_revived_alert(alert) for alert in found] for state, found in report["alerts"].items()}
    return {**report, "alerts": alerts} | ({"at": moment(report["at"])} if "at" in report else {})


def _revived_alert(alert: Mapping[str, Any]) -> dict[str, Any]:
    flapping = alert.get("flapping")
    times = {name: moment(alert[name]) for name in _TIMES if name in alert}
    return {**alert, **times} | ({"flapping": flapping | {"since": moment(flapping["since"])}} if flapping else {})


def moment(value: object) -> datetime | None:
    """A time as it was kept; None where there was none. Raises ValueError: it is no time."""
    if value is None or isinstance(value, datetime):
        return value
    found = datetime.fromisoformat(str(value))
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")
