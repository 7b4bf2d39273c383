"""Checks of one's own as they are written: `[checks.NAME]` in monitord.toml, or MONITORD_CHECKS as JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, GetPydanticSchema, PlainSerializer

from monitord.config import types as t
from monitord.config.checks import KINDS, STATUS, AnyCheck, keys_in
from monitord.config.declared import model_of
from monitord.config.named import read_threshold
from monitord.core.model import Severity
from monitord.core.names import nearest
from monitord.core.subjects.registry import subject_named
from monitord.core.thresholds import Threshold
from monitord.masking import MASK, Secret, mask

EXAMPLE: Final = '{"shop": {"type": "http", "url": "https://shop.example.com/health"}}'
_LONGEST_NAME: Final = 100
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _statuses(value: object) -> tuple[str, ...]:
    found = []
    for item in value if isinstance(value, list | tuple) else (value,):
        text = t.text_of(item, '200, "2xx" or [200, "3xx"]')
        if not STATUS.fullmatch(text):
            raise ValueError(f'{text!r} is no status; write 200, "2xx", "200-299" or [200, "3xx"]')
        found.append(text.lower())
    if not found:
        raise ValueError('it is empty; write 200 or "2xx"')
    return tuple(found)


def _headers(value: object) -> dict[str, Secret]:
    found = {}
    for name, item in t.from_json(value, dict, '{"Authorization": "Bearer …"}').items():
        if not _HEADER.fullmatch(name):
            raise ValueError(f"{name[:40]!r} is no name of a header")
        text = item.get_secret_value() if isinstance(item, Secret) else item
        # Never quoted: it may be a secret.
        if not isinstance(text, str) or not text.isprintable() or not text.isascii():
            raise ValueError(f"{name} is not one line of ASCII")
        found[name] = Secret(text.strip())
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


def _url(url: Secret) -> Secret:
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


def _shown(url: str) -> str:
    """An address without what may be a secret in it."""
    text = mask(url)
    for key in keys_in(url):
        text = text.replace(key, MASK)
    return text


Line = Annotated[str, BeforeValidator(t.short_line("a short line", 500))]
Names = Annotated[
    tuple[str, ...], BeforeValidator(t.names('it holds something that is no name; write ["gateway", "postgres"]'))
]
Limit = Annotated[Threshold, BeforeValidator(read_threshold), PlainSerializer(str)]
Days = Annotated[int, BeforeValidator(_days)]
Url = Annotated[t.HttpUrl, AfterValidator(_url), PlainSerializer(lambda url: _shown(url.get_secret_value()))]
Method = Annotated[str, BeforeValidator(lambda value: t.one_of(*map(str.lower, _METHODS))(value).upper())]
Statuses = Annotated[tuple[str, ...], BeforeValidator(_statuses)]
Contained = Annotated[str, BeforeValidator(lambda value: t.text_of(value, "ok"))]
Json = Annotated[dict[str, object], Field(alias="json")]
Address = Annotated[str, BeforeValidator(_address)]
Query = Annotated[str, BeforeValidator(_statement)]
FreshnessQuery = Annotated[str, BeforeValidator(lambda value: t.text_of(value, "SELECT max(at) FROM orders"))]
AlertSeverity = Annotated[Severity, BeforeValidator(t.read_severity)]
Headers = Annotated[
    dict[str, Secret], BeforeValidator(_headers), PlainSerializer(lambda headers: dict.fromkeys(headers, MASK))
]
Command = Annotated[
    tuple[str, ...], BeforeValidator(_command), PlainSerializer(lambda words: [mask(word) for word in words])
]


# What dbt calls the fields of a freshness check, and the units of its ages.
_DBT_FIELDS: Final = {
    "loaded_at_field": "column",
    "loaded_at_query": "query",
    "warn_after": "warning",
    "error_after": "critical",
}
_DBT_PERIODS: Final = {"minute": "m", "hour": "h", "day": "d"}


def _in_own_words(written: Any) -> Any:
    """The fields of a freshness check, of which some may be dbt's."""
    if not isinstance(written, dict):
        return written
    found: dict[str, Any] = {}
    for name, value in written.items():
        own: Any = _DBT_FIELDS.get(name, name)
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


def _read(value: object) -> object:
    found = t.from_json(value, dict, EXAMPLE)
    for name in found:
        if not t.is_name(name) or len(name) > _LONGEST_NAME or "/" in name:
            why = f"a name is one line of at most {_LONGEST_NAME} characters without a slash, and not empty"
            raise ValueError(f"of the check {name[:40]!r}, that is no name for one: {why}")
        if subject_named(name) is not None:
            raise ValueError(f"of the check {name}, that is the name of something else that is watched")
    return found


def _written(checks: Mapping[str, AnyCheck]) -> dict[str, object]:
    return {
        name: {"type": check.order().type}
        | MODELS[check.type].of(check).model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for name, check in checks.items()
    }


def _no_circles(checks: dict[str, AnyCheck]) -> dict[str, AnyCheck]:
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


# How each type is read; a freshness check may be written in dbt's words.
MODELS: Final = {kind: model_of(found, {"t": t, "c": sys.modules[__name__]}) for kind, found in KINDS.items()}
_WORDS: Final[Mapping[str, Any]] = {"freshness": BeforeValidator(_in_own_words)}
_ANY: Final[Any] = reduce(
    or_,
    (
        Annotated[model, AfterValidator(model.plain), *filter(None, (_WORDS.get(kind),))]
        for kind, model in MODELS.items()
    ),
)
Checks = Annotated[
    dict[str, AnyCheck],
    GetPydanticSchema(lambda _, handler: handler(dict[str, Annotated[_ANY, Field(discriminator="type")]])),
    BeforeValidator(_read),
    AfterValidator(_no_circles),
    PlainSerializer(_written),
]


def mistake(place: tuple[int | str, ...], problem: Mapping[str, Any]) -> str:
    """One of pydantic's errors as half a sentence: of which check, in which field, and what would be right."""
    check, *rest = map(str, place)
    known = _fields(rest[0]) if rest else ()
    fields = rest[1:2]
    of = f"of the check {check}, {''.join(f'{field}: ' for field in fields)}"
    match problem["type"]:
        case "extra_forbidden":
            return f"{of}there is no such field; the nearest is {nearest(fields[0], known)}"
        case "missing":
            return f"{of}it must be set"
        case "union_tag_not_found":
            return f"{of}type: it must be set, to one of {', '.join(MODELS)}"
        case "union_tag_invalid":
            tag = str(problem["ctx"]["tag"])[:40]
            return f"{of}type: {tag!r} is not one of {', '.join(MODELS)}; the nearest is {nearest(tag, MODELS)}"
        case "model_attributes_type" | "model_type" | "dict_type":
            return f"{of}it is not a map" + ("" if fields else f"; write {EXAMPLE}")
        case "value_error":
            return of + str(problem["msg"]).removeprefix("Value error, ")
        case _:
            return of + str(problem["msg"])


def _fields(kind: str) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in MODELS[kind].model_fields.items())
