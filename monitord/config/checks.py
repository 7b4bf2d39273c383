"""Checks of one's own as they are held: one class for each type. How they are read is in `check_types.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, get_args
from urllib.parse import urlsplit

from monitord.core.orders import CheckKind, CheckOrder
from monitord.core.thresholds import Threshold, agree
from monitord.masking import parts_of, secrets_in

if TYPE_CHECKING:
    from monitord.config import check_types as c
    from monitord.config import types as t

STATUS: Final = re.compile(r"(\d{3})(?:\s*-\s*(\d{3}))?|(\d)xx", re.IGNORECASE)
# Headers that say nothing secret, and often stand in lines of the log.
_HARMLESS: Final = frozenset({"accept", "accept-language", "cache-control", "content-type", "host", "user-agent"})
_SHORTEST_SECRET: Final = 8
_CERTIFICATE_DAYS: Final = 14


def keys_in(url: str) -> list[str]:
    """The parts of an address that read like keys: what is long, and no word. The longest first."""
    found = (part for part in parts_of(url) if len(part) >= _SHORTEST_SECRET and any(c.isdigit() for c in part))
    return sorted(set(found), key=len, reverse=True)


@dataclass(frozen=True, kw_only=True)
class CheckSettings:
    """What every check may set. `timeout` None: the probe's own."""

    every: t.Length | None = None
    timeout: t.Length | None = None
    service: c.Line = ""
    depends_on: c.Names = ()
    user_facing: t.Flag = False
    severity: c.AlertSeverity | None = None
    runbook: c.Line = ""
    contact: c.Line = ""

    # What it is measured through, beside monitord itself; and whether it is reported to the page.
    server: ClassVar[str] = ""
    is_reported: ClassVar[bool] = False

    @property
    def is_secret(self) -> bool:
        """Whether it cannot be written down whole."""
        return any(True for _ in self.secrets())

    def secrets(self) -> Iterable[str]:
        """The texts in it that must never be shown."""
        return ()

    def order(self) -> CheckOrder:
        kind: CheckKind = self.type  # type: ignore[attr-defined] # each of those below has one
        needed = tuple(name for name in dict.fromkeys((self.service, *self.depends_on, self.server)) if name)
        same = {name: getattr(self, name) for name in ("every", "user_facing", "severity", "runbook", "contact")}
        return CheckOrder(type=kind, depends_on=needed, **same, **self._judged())

    def _judged(self) -> dict[str, Any]:
        """What its type is judged by beside that."""
        return {}


def _not_less(critical: timedelta | None, warning: timedelta | None) -> None:
    if critical is not None and warning is not None and critical < warning:
        raise ValueError("critical is less than warning")


def _longer_than(length: timedelta | None, factor: float = 1.0) -> Threshold | None:
    return None if length is None else Threshold(">", length.total_seconds() * factor)


@dataclass(frozen=True, kw_only=True)
class HttpCheckSettings(CheckSettings):
    """An address answers over HTTP, as it should and in time."""

    type: Literal["http"] = "http"
    url: c.Url
    method: c.Method = "GET"
    status: c.Statuses = ("2xx",)
    headers: c.Headers = field(default_factory=dict)
    contains: c.Contained = ""
    json_: c.Json = field(default_factory=dict)
    warning_latency: t.Length | None = None
    critical_latency: t.Length | None = None
    certificate_days: c.Days = _CERTIFICATE_DAYS
    ca_file: t.File | None = None
    follow: t.Flag = False

    def __post_init__(self) -> None:
        _not_less(self.critical_latency, self.warning_latency)

    @property
    def statuses(self) -> tuple[range, ...]:
        found = []
        for text in self.status:
            match = STATUS.fullmatch(text)
            assert match is not None  # noqa: S101 - it was validated
            low = int(match[3]) * 100 if match[3] else int(match[1])
            found.append(range(low, low + 100 if match[3] else int(match[2] or match[1]) + 1))
        return tuple(found)

    def secrets(self) -> Iterable[str]:
        url = self.url.get_secret_value()
        yield from (*secrets_in(url), *keys_in(url))
        for name, value in self.headers.items():
            text = value.get_secret_value()
            if name.lower() not in _HARMLESS and len(text) >= _SHORTEST_SECRET:
                yield text
                yield from (part for part in text.split() if len(part) >= _SHORTEST_SECRET)

    @property
    def is_secret(self) -> bool:
        return bool(self.headers) or super().is_secret

    def _judged(self) -> dict[str, object]:
        parts = urlsplit(self.url.get_secret_value())
        path = "/" if keys_in(f"http://host{parts.path}") else parts.path
        return {
            "unit": "ms",
            "target": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}",
            "warning": _longer_than(self.warning_latency, 1000.0),
            "critical": _longer_than(self.critical_latency, 1000.0),
            "certificate_days": self.certificate_days,
        }


@dataclass(frozen=True, kw_only=True)
class TcpCheckSettings(CheckSettings):
    """An address accepts connections, over TLS where that is asked for."""

    type: Literal["tcp"] = "tcp"
    address: c.Address
    tls: t.Flag = False
    certificate_days: c.Days = _CERTIFICATE_DAYS
    ca_file: t.File | None = None

    def __post_init__(self) -> None:
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file is given and tls is not: write tls = true")

    def _judged(self) -> dict[str, object]:
        scheme = "https" if self.tls else "telnet"
        days = self.certificate_days if self.tls else 0
        return {"unit": "ms", "target": f"{scheme}://{self.address}", "certificate_days": days}


@dataclass(frozen=True, kw_only=True)
class SqlCheckSettings(CheckSettings):
    """One row of a statement, whose first column is a number."""

    server: ClassVar[str] = "postgres"
    type: Literal["sql"] = "sql"
    query: c.Query
    warning: c.Limit | None = None
    critical: c.Limit | None = None
    unit: c.Line = ""

    def __post_init__(self) -> None:
        agree(self.critical, self.warning)

    def _judged(self) -> dict[str, object]:
        return {"warning": self.warning, "critical": self.critical, "unit": self.unit}


@dataclass(frozen=True, kw_only=True)
class FreshnessCheckSettings(CheckSettings):
    """The newest row of a table is not old."""

    server: ClassVar[str] = "postgres"
    type: Literal["freshness"] = "freshness"
    table: c.Line = ""
    column: c.Line = ""
    query: c.FreshnessQuery = ""
    warning: t.Length | None = None
    critical: t.Length | None = None

    def __post_init__(self) -> None:
        if bool(self.query) == bool(self.table or self.column) or bool(self.table) != bool(self.column):
            raise ValueError("it needs either table and column, or query")
        _not_less(self.critical, self.warning)

    def _judged(self) -> dict[str, object]:
        return {"warning": _longer_than(self.warning), "critical": _longer_than(self.critical), "unit": "seconds"}


@dataclass(frozen=True, kw_only=True)
class CheckinCheckSettings(CheckSettings):
    """A job reports by itself, as often as it should."""

    is_reported: ClassVar[bool] = True
    type: Literal["checkin"] = "checkin"
    period: t.Length | None = None
    schedule: t.Schedule = ""
    grace: t.Duration = timedelta(minutes=5)
    max_runtime: t.Length | None = None

    def __post_init__(self) -> None:
        if (self.period is None) == (not self.schedule):
            raise ValueError("it needs either period or schedule")

    def _judged(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("period", "schedule", "grace", "max_runtime")}


@dataclass(frozen=True, kw_only=True)
class CommandCheckSettings(CheckSettings):
    """A command ends as a Nagios plugin does that finds all well."""

    type: Literal["command"] = "command"
    command: c.Command = field(repr=False)

    def secrets(self) -> Iterable[str]:
        for word in self.command:
            yield from secrets_in(word)


AnyCheck = (
    HttpCheckSettings
    | TcpCheckSettings
    | SqlCheckSettings
    | FreshnessCheckSettings
    | CheckinCheckSettings
    | CommandCheckSettings
)
KINDS: Final[Mapping[str, type[CheckSettings]]] = {kind.type: kind for kind in get_args(AnyCheck)}
