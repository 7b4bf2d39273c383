"""The settings: every MONITORD_* variable as one frozen object, or every mistake in them at once. Knows no driver."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any, Final, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from pydantic import SecretStr, ValidationError

from monitord.config.schema import (
    ADDRESSES,
    PATHS,
    PM2_HOME,
    STATE_DIR,
    OrdersSettings,
    Settings,
    section_of,
    variable_of,
)
from monitord.config.sources import RawValues, gather
from monitord.config.types import is_loopback, listen_address
from monitord.core import units
from monitord.core.orders import QueueOrders, StandingOrders
from monitord.core.subjects.registry import added
from monitord.masking import MASK, mask, mask_address

__all__ = [
    "Settings",
    "SettingsError",
    "described",
    "load",
    "load_with_sources",
    "shown",
    "standing_orders",
    "variables",
]

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_LINE: Final = 600
# What it means to set one of these to nothing; for all others, that nothing is set.
_OFF: Final = {variable_of("http", "listen"): "", variable_of("pm2", "home"): None}


class SettingsError(Exception):
    """The settings are wrong. `mistakes` is one line per mistake, naming the variable, never a secret's value."""

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def variables() -> tuple[str, ...]:
    """Every variable there is, in the order of the schema."""
    return tuple(PATHS)


def load(environ: Mapping[str, str], directory: Path) -> Settings:
    """The settings of `environ`, and of `.env` and `monitord.toml` in `directory`.

    Raises:
        SettingsError: with every mistake there is.
    """
    return load_with_sources(environ, directory)[0]


def load_with_sources(environ: Mapping[str, str], directory: Path) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each variable that is set its source: `environment`, `.env` or `monitord.toml`.

    Where the value was set under another name, the source says so: `environment (DATABASE_URL)`.

    Raises:
        SettingsError: with every mistake there is.
    """
    gathered = gather(environ, directory, variables())
    given = {name: raw for name, raw in gathered.values.items() if raw.value != "" or name in _OFF}
    content = _nested(given)
    try:
        settings = Settings(**content)
        wrong: set[str] = set()
    except ValidationError as error:
        wrong = {variable for variable, _ in _problems(error)}
        gathered.mistakes += [f"{_called(given, variable)}: {reason}" for variable, reason in _problems(error)]
        # With the defaults in their place, so that what does not fit together is told with the rest.
        rest = _nested({name: raw for name, raw in given.items() if name not in wrong})
        settings = Settings(**{"state_dir": Path("/"), **rest})
    gathered.mistakes += [
        f"{_called(given, about)}: {reason}"
        for about, also, reason in _misfits(settings)
        if not wrong.intersection((about, also))
    ]
    if gathered.mistakes:
        raise SettingsError(tuple(dict.fromkeys(map(_line, gathered.mistakes))))
    return settings, {
        name: raw.source if raw.variable == name else f"{raw.source} ({raw.variable})" for name, raw in given.items()
    }


def _nested(given: Mapping[str, RawValues]) -> dict[str, Any]:
    """What Settings is made of. Those two defaults that depend on the machine are looked up here."""
    content: dict[str, Any] = {"state_dir": STATE_DIR}
    with suppress(RuntimeError, OSError):  # no home, or none that may be looked into
        if variable_of("pm2", "home") not in given and Path(PM2_HOME).expanduser().is_dir():
            content["pm2"] = {"home": PM2_HOME}
    for variable, raw in given.items():
        *sections, name = PATHS[variable]
        value = _OFF.get(variable) if raw.value == "" else raw.value
        (content.setdefault(sections[0], {}) if sections else content)[name] = value
    return content


def _problems(error: ValidationError) -> Iterator[tuple[str, str]]:
    for problem in error.errors(include_url=False, include_input=False):
        section = section_of(str(problem["loc"][0]))
        variable = variable_of(*map(str, problem["loc"][: 1 if section is None else 2]))
        yield variable, problem["msg"].removeprefix("Value error, ")


# Channels that have a setting of their own -> which.
_ADDRESS_OF: Final = {"webhook": "webhook_url", "alertmanager": "alertmanager_url", "pagerduty": "pagerduty_key"}


def _misfits(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """What no single value can be wrong about: the variable it is reported for, the other one, and half a sentence."""
    for name in ("restarts", "seal", "disk"):
        critical, warning = (variable_of("orders", f"{name}_{level}") for level in ("critical", "warning"))
        high, low = (cast("Any", getattr(settings.orders, f"{name}_{level}")) for level in ("critical", "warning"))
        if high < low:
            reason = f"{shown(settings, critical)} is less than {warning}, {shown(settings, warning)}"
            yield critical, warning, reason
    listen, token = variable_of("http", "listen"), variable_of("http", "token")
    if settings.http.listen and settings.http.token is None:
        host, _ = listen_address(settings.http.listen)
        if not is_loopback(host):
            yield listen, token, f"others can reach {host}, so {token} must be set"
    by_channel, known = variable_of("notify", "severity_by_channel"), settings.notify.channel_names
    for name in settings.notify.severity_by_channel:
        if name not in known:
            # Where the address that would bear the name is wrong itself, that is the mistake.
            also = _ADDRESS_OF.get(name, "urls")
            ways = f"there are {', '.join(known)}" if known else "none is set"
            yield by_channel, variable_of("notify", also), f"{name!r} is not a configured channel; {ways}"


def _called(given: Mapping[str, RawValues], variable: str) -> str:
    """The variable as the operator wrote it, and where."""
    raw = given.get(variable)
    return f"{variable} (default)" if raw is None else f"{raw.variable} ({raw.source})"


def _line(mistake: str) -> str:
    """A mistake as one line that can be read, whatever was quoted in it and however long it is."""
    line = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", mask(mistake))
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE // 2]}…{line[-_LONGEST_LINE // 2 :]}"


def described(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """(variable, its value as it could be written, None where it is not set), with no secret in it."""
    for variable in PATHS:
        yield variable, shown(settings, variable)


def shown(settings: Settings, variable: str) -> str | None:
    """The value of a variable as it could be written, its secrets masked; None where it is not set.

    Raises:
        KeyError: there is no such variable.
    """
    name, *inner = PATHS[variable]
    part = getattr(settings, name) if inner else settings
    field = inner[0] if inner else name
    value = getattr(part, field)
    if value is None or isinstance(value, SecretStr):
        return None if value is None else _hidden(variable, value)
    if isinstance(value, tuple):
        items = [_hidden(variable, item) if isinstance(item, SecretStr) else item for item in value]
        return json.dumps(items, ensure_ascii=False)
    plain = part.model_dump(mode="json", include={field})[field]
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _hidden(variable: str, secret: SecretStr) -> str:
    text = secret.get_secret_value()
    if variable in ADDRESSES:
        return mask(text)
    return mask_address(text) if variable.startswith(variable_of("notify", "")) else MASK


def standing_orders(settings: Settings) -> StandingOrders:
    """What core judges by."""
    rhythms = {name: every for name, wanted in settings.orders.services.items() if (every := wanted.partition(":")[2])}
    named: dict[str, Any] = {
        **{name: getattr(settings.orders, name) for name in OrdersSettings.model_fields},
        "services": {name: wanted.partition(":")[0] for name, wanted in settings.orders.services.items()},
        "rhythms": {name: units.duration(every) for name, every in rhythms.items() if " " not in every},
        "run_schedules": {name: every for name, every in rhythms.items() if " " in every},
        "tables": settings.postgres.tables,
        "groups": settings.epochs.groups,
        "cemented": settings.epochs.cemented,
    }
    configured = {
        "pm2": settings.pm2.home is not None,
        "postgres": settings.postgres.dsn is not None,
        "epochs": settings.postgres.dsn is not None and settings.epochs.groups != (),
        "redis": settings.redis.url is not None,
        "host": True,
        **dict.fromkeys((subject.name for subject in added()), True),
    }
    return StandingOrders(
        **{name: value for name, value in named.items() if value is not None},
        unnamed=frozenset(name for name, value in named.items() if value is None),
        epoch_length=settings.epochs.length,
        epoch_grace=settings.epochs.grace,
        disks=settings.host.disks,
        queues=tuple(settings.redis.queues),
        queue_prefix=settings.redis.prefix,
        queue_by_name={name: queue for name, queue in settings.redis.queues.items() if queue != QueueOrders()},
        remind_every=settings.notify.remind_every,
        late_after=max(3 * settings.check_interval, 2 * settings.probe_timeout),
        probes=frozenset(name for name, is_set in configured.items() if is_set),
        places=places(settings),
    )


_SECRET: Final = ("password", "sslpassword", "passfile")


def places(settings: Settings) -> dict[str, str]:
    """By what is watched: a command for a server, and for PM2 its home where that is not everybody's default."""
    found: dict[str, str] = {}
    if settings.pm2.home is not None and settings.pm2.home != Path(PM2_HOME).expanduser():
        found["pm2"] = str(settings.pm2.home)
    if settings.postgres.dsn is not None:
        found["postgres"] = f"psql {quote(_without_password(settings.postgres.dsn.get_secret_value()))}"
    if settings.redis.url is not None:
        found["redis"] = " ".join(("redis-cli", *_redis(settings.redis.url.get_secret_value())))
    return found


def _without_password(dsn: str) -> str:
    """A connection URI whose password psql asks for, or finds in ~/.pgpass."""
    scheme, _, rest = dsn.partition("://")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    userinfo, at, hosts = authority.rpartition("@")
    user = userinfo.partition(":")[0]
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in _SECRET]
    return f"{scheme}://{user}{at if user else ''}{hosts}{slash}{path}{f'?{urlencode(kept)}' if kept else ''}"


def _redis(url: str) -> Iterator[str]:
    """The arguments of redis-cli, which asks for the password where there is one."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        yield f"-s {quote(unquote(parts.path))}"
        number = dict(parse_qsl(parts.query)).get("db")
        if number:
            yield f"-n {quote(number)}"
    else:
        hosts = parts.netloc.rpartition("@")[2]
        yield f"-u {quote(f'{parts.scheme}://{hosts}{parts.path}')}"
    if parts.password is not None:
        if parts.username:
            yield f"--user {quote(unquote(parts.username))}"
        yield "--askpass"
