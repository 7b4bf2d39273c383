"""Where what is watched is, as the beginning of a command that a person can paste: without any secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from monitord.config.schema import PM2_HOME, Settings

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
