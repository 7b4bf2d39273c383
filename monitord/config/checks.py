"""Checks of one's own: `[checks.NAME]` in monitord.toml, or MONITORD_CHECKS as JSON. One model for each type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    model_validator,
)

from monitord.config import types as t
from monitord.config.named import agree, read_threshold
from monitord.core.model import Severity
from monitord.core.orders import CheckKind, CheckOrder
from monitord.core.subjects.registry import subject_named
from monitord.core.thresholds import Threshold
from monitord.masking import MASK, mask, parts_of, secrets_in

EXAMPLE: Final = '{"shop": {"type": "http", "url": "https://shop.example.com/health"}}'
_LONGEST_NAME: Final = 100
_STATUS: Final = re.compile(r"(\d{3})(?:\s*-\s*(\d{3}))?|(\d)xx", re.IGNORECASE)
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Headers that say nothing secret, and often stand in lines of the log.
_HARMLESS: Final = frozenset({"accept", "accept-language", "cache-control", "content-type", "host", "user-agent"})
_SHORTEST_SECRET: Final = 8
_CERTIFICATE_DAYS: Final = 14


def _statuses(value: object) -> tuple[str, ...]:
    found = []
    for item in value if isinstance(value, list | tuple) else (value,):
        text = t.text_of(item, '200, "2xx" or [200, "3xx"]')
        if not _STATUS.fullmatch(text):
            raise ValueError(f'{text!r} is no status; write 200, "2xx", "200-299" or [200, "3xx"]')
        found.append(text.lower())
    if not found:
        raise ValueError('it is empty; write 200 or "2xx"')
    return tuple(found)


def _headers(value: object) -> dict[str, SecretStr]:
    found = {}
    for name, item in t.from_json(value, dict, '{"Authorization": "Bearer …"}').items():
        if not _HEADER.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is no name of a header")
        text = item.get_secret_value() if isinstance(item, SecretStr) else item
        # Never quoted: it may be a secret.
        if not isinstance(text, str) or not text.isprintable() or not text.isascii():
            raise ValueError(f"{name} is not one line of ASCII")
        found[name] = SecretStr(text.strip())
    return found


def _address(value: object) -> str:
    text = t.text_of(value, "db.example.com:5432")
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not bare or (":" in bare) != is_bracketed or any(c.isspace() or c in "/@" for c in bare):
        raise ValueError(f"{text!r} is no address; write db.example.com:5432 or [::1]:5432")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} names no port; write db.example.com:5432")
    return text


def _statement(value: object) -> str:
    if not (text := t.text_of(value, "SELECT count(*) FROM orders")):
        raise ValueError("it is empty; write a statement that returns one row, like SELECT count(*) FROM orders")
    return text


def _command(value: object) -> tuple[str, ...]:
    example = '["/usr/lib/nagios/plugins/check_load", "-w", "5"]'
    found = value if isinstance(value, list | tuple) else None
    if not found or not all(isinstance(item, str) and "\x00" not in item for item in found) or not found[0].strip():
        raise ValueError(f"it is no list of a command and its arguments, which no shell reads; write {example}")
    return tuple(found)


def _days(value: object) -> int:
    text = t.text_of(value, "14")
    if not text.isdecimal():
        raise ValueError(f"{value!r} is no number of days; write 14")
    return int(text)


def _url(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    try:
        parts.port  # noqa: B018 - it is looked at when it is asked for
    except ValueError:
        raise ValueError("its port is none") from None
    host = parts.hostname or ""
    with_letters = not host.isascii()
    try:
        host.encode("idna" if with_letters else "ascii")
    except UnicodeError:
        raise ValueError("its host has a name that no host can have") from None
    return url


def _keys(url: str) -> list[str]:
    """The parts of an address that read like keys: what is long, and no word. The longest first."""
    found = (part for part in parts_of(url) if len(part) >= _SHORTEST_SECRET and any(c.isdigit() for c in part))
    return sorted(set(found), key=len, reverse=True)


def _shown(url: str) -> str:
    """An address without what may be a secret in it."""
    text = mask(url)
    for key in _keys(url):
        text = text.replace(key, MASK)
    return text


Line = Annotated[str, BeforeValidator(t.short_line("a short line", 500))]
Names = Annotated[
    tuple[str, ...], BeforeValidator(t.names('it holds something that is no name; write ["gateway", "postgres"]'))
]
Limit = Annotated[Threshold, BeforeValidator(read_threshold), PlainSerializer(str)]
Days = Annotated[int, BeforeValidator(_days)]
Url = Annotated[t.HttpUrl, AfterValidator(_url), PlainSerializer(lambda url: _shown(url.get_secret_value()))]
Headers = Annotated[
    dict[str, SecretStr], BeforeValidator(_headers), PlainSerializer(lambda headers: dict.fromkeys(headers, MASK))
]
Command = Annotated[
    tuple[str, ...], BeforeValidator(_command), PlainSerializer(lambda words: [mask(word) for word in words])
]


class CheckSettings(BaseModel):
    """What every check may set. `timeout` None: the probe's own."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    every: t.Length | None = None
    timeout: t.Length | None = None
    service: Line = ""
    depends_on: Names = ()
    user_facing: t.Flag = False
    severity: Annotated[Severity, BeforeValidator(t.read_severity)] | None = None
    runbook: Line = ""
    contact: Line = ""

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
        """What it is judged by."""
        return CheckOrder(**self._common(), **self._judged())

    def _judged(self) -> dict[str, Any]:
        """What its type is judged by beside that."""
        return {}

    def _common(self) -> dict[str, Any]:
        kind: CheckKind = self.type  # type: ignore[attr-defined] # each of those below has one
        return {
            "type": kind,
            "every": self.every,
            "depends_on": tuple(name for name in dict.fromkeys((self.service, *self.depends_on, self.server)) if name),
            "user_facing": self.user_facing,
            "severity": self.severity,
            "runbook": self.runbook,
            "contact": self.contact,
        }


def _not_less(critical: timedelta | None, warning: timedelta | None) -> None:
    if critical is not None and warning is not None and critical < warning:
        raise ValueError("critical is less than warning")


def _longer_than(length: timedelta | None, factor: float = 1.0) -> Threshold | None:
    return None if length is None else Threshold(">", length.total_seconds() * factor)


class HttpCheckSettings(CheckSettings):
    """An address answers over HTTP, as it should and in time."""

    type: Literal["http"] = "http"
    url: Url
    method: Annotated[str, BeforeValidator(lambda value: t.one_of(*map(str.lower, _METHODS))(value).upper())] = "GET"
    status: Annotated[tuple[str, ...], BeforeValidator(_statuses)] = ("2xx",)
    headers: Headers = Field(default_factory=dict)
    contains: Annotated[str, BeforeValidator(lambda value: t.text_of(value, "ok"))] = ""
    json_: dict[str, object] = Field(default_factory=dict, alias="json")
    warning_latency: t.Length | None = None
    critical_latency: t.Length | None = None
    certificate_days: Days = _CERTIFICATE_DAYS
    ca_file: t.File | None = None
    follow: t.Flag = False

    @model_validator(mode="after")
    def _latencies(self) -> HttpCheckSettings:
        _not_less(self.critical_latency, self.warning_latency)
        return self

    @property
    def statuses(self) -> tuple[range, ...]:
        """The statuses that are as expected."""
        found = []
        for text in self.status:
            match = _STATUS.fullmatch(text)
            assert match is not None  # noqa: S101 - it was validated
            low = int(match[3]) * 100 if match[3] else int(match[1])
            found.append(range(low, low + 100 if match[3] else int(match[2] or match[1]) + 1))
        return tuple(found)

    def secrets(self) -> Iterable[str]:
        url = self.url.get_secret_value()
        yield from (*secrets_in(url), *_keys(url))
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
        path = "/" if _keys(f"http://host{parts.path}") else parts.path
        return {
            "unit": "ms",
            "target": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}",
            "warning": _longer_than(self.warning_latency, 1000.0),
            "critical": _longer_than(self.critical_latency, 1000.0),
            "certificate_days": self.certificate_days,
        }


class TcpCheckSettings(CheckSettings):
    """An address accepts connections, over TLS where that is asked for."""

    type: Literal["tcp"] = "tcp"
    address: Annotated[str, BeforeValidator(_address)]
    tls: t.Flag = False
    certificate_days: Days = _CERTIFICATE_DAYS
    ca_file: t.File | None = None

    @model_validator(mode="after")
    def _encrypted(self) -> TcpCheckSettings:
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file is given and tls is not: write tls = true")
        return self

    def _judged(self) -> dict[str, object]:
        scheme = "https" if self.tls else "telnet"
        days = self.certificate_days if self.tls else 0
        return {"unit": "ms", "target": f"{scheme}://{self.address}", "certificate_days": days}


class SqlCheckSettings(CheckSettings):
    """One row of a statement, whose first column is a number."""

    server: ClassVar[str] = "postgres"
    type: Literal["sql"] = "sql"
    query: Annotated[str, BeforeValidator(_statement)]
    warning: Limit | None = None
    critical: Limit | None = None
    unit: Line = ""

    @model_validator(mode="after")
    def _limits(self) -> SqlCheckSettings:
        agree(self.critical, self.warning)
        return self

    def _judged(self) -> dict[str, object]:
        return {"warning": self.warning, "critical": self.critical, "unit": self.unit}


# What dbt calls the fields of a freshness check, and the units of its ages.
_DBT_FIELDS: Final = {
    "loaded_at_field": "column",
    "loaded_at_query": "query",
    "warn_after": "warning",
    "error_after": "critical",
}
_DBT_PERIODS: Final = {"minute": "m", "hour": "h", "day": "d"}


def _in_own_words(written: Mapping[str, object]) -> dict[str, object]:
    """The fields of a freshness check, of which some may be dbt's."""
    found: dict[str, object] = {}
    for name, value in written.items():
        own = _DBT_FIELDS.get(name, name)
        if own in found or (own != name and own in written):
            raise ValueError(f"{name} and {own} are the same: write one of them")
        found[own] = _dbt_age(name, value) if name in ("warn_after", "error_after") else value
    return found


def _dbt_age(name: str, value: object) -> object:
    """`{"count": 12, "period": "hour"}` as a duration; what is written as one stays as it is."""
    if not isinstance(value, dict):
        return value
    count, period = value.get("count"), value.get("period")
    if set(value) != {"count", "period"} or not isinstance(count, int) or count < 1 or period not in _DBT_PERIODS:
        raise ValueError(
            f'{name}: it is not written like {{"count": 12, "period": "hour"}}; periods are minute, hour, day'
        )
    return f"{count}{_DBT_PERIODS[period]}"


class FreshnessCheckSettings(CheckSettings):
    """The newest row of a table is not old."""

    server: ClassVar[str] = "postgres"
    type: Literal["freshness"] = "freshness"
    table: Line = ""
    column: Line = ""
    query: Annotated[str, BeforeValidator(lambda value: t.text_of(value, "SELECT max(at) FROM orders"))] = ""
    warning: t.Length | None = None
    critical: t.Length | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_dbt(cls, value: object) -> object:
        return _in_own_words(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _is_whole(self) -> FreshnessCheckSettings:
        if bool(self.query) == bool(self.table or self.column) or bool(self.table) != bool(self.column):
            raise ValueError("it needs either table and column, or query")
        _not_less(self.critical, self.warning)
        return self

    def _judged(self) -> dict[str, object]:
        return {"warning": _longer_than(self.warning), "critical": _longer_than(self.critical), "unit": "seconds"}


class CheckinCheckSettings(CheckSettings):
    """A job reports by itself, as often as it should."""

    is_reported: ClassVar[bool] = True
    type: Literal["checkin"] = "checkin"
    period: t.Length | None = None
    schedule: t.Schedule = ""
    grace: t.Duration = timedelta(minutes=5)
    max_runtime: t.Length | None = None

    @model_validator(mode="after")
    def _has_rhythm(self) -> CheckinCheckSettings:
        if (self.period is None) == (not self.schedule):
            raise ValueError("it needs either period or schedule")
        return self

    def _judged(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("period", "schedule", "grace", "max_runtime")}


class CommandCheckSettings(CheckSettings):
    """A command ends as a Nagios plugin does that finds all well."""

    type: Literal["command"] = "command"
    command: Command = Field(repr=False)

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
MODELS: Final[Mapping[str, type[CheckSettings]]] = {
    model.model_fields["type"].default: model for model in get_args(AnyCheck)
}


def _read(value: object) -> object:
    """The map of checks, whose names are names."""
    found = t.from_json(value, dict, EXAMPLE)
    for name in found:
        if not t.is_name(name) or len(name) > _LONGEST_NAME or "/" in name:
            why = f"a name is one line of at most {_LONGEST_NAME} characters without a slash, and not empty"
            raise ValueError(f"of the check {name[:40]!r}, that is no name for one: {why}")
        if subject_named(name) is not None:
            raise ValueError(f"of the check {name}, that is the name of something else that is watched")
    return found


def _written(checks: Mapping[str, CheckSettings]) -> dict[str, object]:
    return {
        name: {"type": check.order().type} | check.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for name, check in checks.items()
    }


def _no_circles(checks: dict[str, CheckSettings]) -> dict[str, CheckSettings]:
    needs = {name: check.order().depends_on for name, check in checks.items()}
    for name in checks:
        path, todo = [name], list(needs[name])
        while todo:
            needed = todo.pop()
            if needed == name:
                raise ValueError(f"of the check {name}, depends_on: it depends on itself in the end")
            if needed in needs and needed not in path:
                path.append(needed)
                todo += needs[needed]
    return checks


Checks = Annotated[
    dict[str, Annotated[AnyCheck, Field(discriminator="type")]],
    BeforeValidator(_read),
    AfterValidator(_no_circles),
    PlainSerializer(_written),
]


def mistake(place: tuple[int | str, ...], problem: Mapping[str, Any]) -> str:
    """A mistake in a check as half a sentence: of which check, in which field, and what would be right.

    `place` is the way to it from the map of the checks on, `problem` one of pydantic's errors.
    """
    check, *rest = map(str, place)
    known = _fields(rest[0]) if rest else ()
    fields = rest[1:2]
    of = f"of the check {check}, {''.join(f'{field}: ' for field in fields)}"
    match problem["type"]:
        case "extra_forbidden":
            return f"{of}there is no such field; the nearest is {_nearest(fields[0], known)}"
        case "missing":
            return f"{of}it must be set"
        case "union_tag_not_found":
            return f"{of}type: it must be set, to one of {', '.join(MODELS)}"
        case "union_tag_invalid":
            tag = str(problem["ctx"]["tag"])[:40]
            return f"{of}type: {tag!r} is not one of {', '.join(MODELS)}; the nearest is {_nearest(tag, MODELS)}"
        case "model_attributes_type" | "model_type" | "dict_type":
            return f"{of}it is not a map" + ("" if fields else f"; write {EXAMPLE}")
        case "value_error":
            return of + str(problem["msg"]).removeprefix("Value error, ")
        case _:
            return of + str(problem["msg"])


def _fields(kind: str) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in MODELS[kind].model_fields.items())


def _nearest(written: str, known: Iterable[str]) -> str:
    import difflib  # for a mistake alone

    return difflib.get_close_matches(written, list(known), n=1, cutoff=0.0)[0]
