"""How a person's shell gets to a server that the settings name: a command that holds no password."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

_SECRET: Final = ("password", "sslpassword", "passfile")


def psql(dsn: str) -> str:
    """A command with a connection URI: psql asks for the password, or finds it in ~/.pgpass."""
    scheme, _, rest = dsn.partition("://")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    who = f"{user}@" if (user := userinfo.partition(":")[0]) else ""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in _SECRET]
    address = f"{scheme}://{who}{hosts}{slash}{path}{f'?{urlencode(kept)}' if kept else ''}"
    return f"psql {quote(address)}"


def redis_cli(url: str) -> str:
    """A command with an address: redis-cli asks for the password where there is one."""
    return " ".join(("redis-cli", *_arguments(url)))


def _arguments(url: str) -> Iterator[str]:
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
