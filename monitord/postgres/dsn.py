"""Reads a libpq URI into the explicit arguments that asyncpg is to connect with, TLS included.

asyncpg reads URIs itself, but it forwards every parameter it does not know to the server as a start-up parameter,
where a PgBouncer (or Postgres) refuses the connection for it; it lets the URI's authority win over its query, where
libpq has it the other way round; and it has no place for a CA file that comes from elsewhere. So the URI is taken
apart here, and asyncpg never sees it.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

_SCHEMES = ("postgresql://", "postgres://")
_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SESSION_ATTRIBUTES = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
# asyncpg arguments of the same name, handed over as they are.
_PASSED_ON = ("service", "passfile", "krbsrvname", "gsslib")
_SEARCH_PATH_OPTION = re.compile(r"(?:-c\s*|--)search[_-]path=((?:\\.|\S)+)")


class DsnError(ValueError):
    """The URI cannot be read; the sentence names what is wrong with it and never quotes a password."""


@dataclass(frozen=True, slots=True)
class DsnHost:
    """One place to try: a name, an address or a socket directory; None leaves it to libpq's defaults."""

    name: str | None
    port: int | None

    def __str__(self) -> str:
        if self.name is None:
            return "the local socket" if self.port is None else f"the local socket, port {self.port}"
        if self.name.startswith("/"):
            return f"{self.name}/.s.PGSQL.{self.port or 5432}"
        return f"{self.name}:{self.port or 5432}"


@dataclass(frozen=True, slots=True)
class Tls:
    """How the connection is to be encrypted. `unverified`: encryption was demanded, but nobody checks with whom."""

    mode: str
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    crl_file: str | None = None
    minimum: str | None = None
    maximum: str | None = None
    direct: bool = False

    @property
    def unverified(self) -> bool:
        return self.ca_file is None if self.mode == "require" else False

    def argument(self) -> ssl.SSLContext | str | bool:
        """The `ssl` for asyncpg, of the files as they are now. OSError, so ssl.SSLError: a file cannot be used."""
        if self.mode == "disable":
            return False
        if self.mode in ("allow", "prefer"):
            return self.mode  # asyncpg encrypts without verification and falls back, as libpq does
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.mode == "verify-full"
        if self.unverified:
            context.verify_mode = ssl.CERT_NONE
        elif self.ca_file in (None, "system"):
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(cafile=self.ca_file)
        if self.crl_file:
            context.load_verify_locations(cafile=self.crl_file)
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
        if self.cert_file:
            # A password is always given: without one OpenSSL would ask the terminal and wait.
            context.load_cert_chain(self.cert_file, self.key_file, password=self.key_password or "")
        context.minimum_version = _version(self.minimum or "TLSv1.2")
        if self.maximum:
            context.maximum_version = _version(self.maximum)
        if ssl.HAS_ALPN:
            context.set_alpn_protocols(["postgresql"])
        return context


@dataclass(frozen=True, slots=True)
class Address:
    """A URI, understood. `connect_timeout` is seconds per host, None for no limit of its own."""

    hosts: tuple[DsnHost, ...]
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    tls: Tls
    application_name: str
    target_session_attrs: str
    connect_timeout: float | None
    search_path: tuple[str, ...]
    passed_on: Mapping[str, str]

    def arguments(self, host: DsnHost) -> dict[str, object]:
        """The keyword arguments of asyncpg.connect() for one of the hosts, TLS, attributes and timeouts apart."""
        return {
            "host": host.name,
            "port": host.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "server_settings": {"application_name": self.application_name},
            **self.passed_on,
        }


def parse(dsn: str, ca_file: Path | None, environment: Mapping[str, str]) -> Address:
    """A libpq URI as an Address. DsnError: it is none.

    `ca_file` wins over the URI's sslrootcert; a CA without any sslmode is taken as the wish to have it used (as
    `require` with a CA: the chain is verified). `environment` stands in for sslmode and sslrootcert, under libpq's own
    names. Parameters without a meaning here (pgbouncer=true, connection_limit, channel_binding, keepalives…) are
    dropped; of `options` only a search_path is kept, and set per transaction.
    """
    for scheme in _SCHEMES:
        if dsn.startswith(scheme):
            rest = dsn.removeprefix(scheme)
            break
    else:
        raise DsnError("the DSN does not begin with postgresql:// or postgres://")
    userinfo, authority, path, query = _split(rest)
    user, _, password = userinfo.partition(":")
    given = {"user": unquote(user), "password": unquote(password), "dbname": unquote(path)}
    given.update(_parameters(query))
    given = {name: value for name, value in given.items() if value}
    return Address(
        hosts=_hosts(authority, given),
        user=given.get("user"),
        password=given.get("password"),
        database=given.get("dbname") or given.get("database"),
        tls=_tls(given, ca_file, environment),
        application_name=given.get("application_name", "monitord"),
        target_session_attrs=_one_of(
            "target_session_attrs", given.get("target_session_attrs", "any"), _SESSION_ATTRIBUTES
        ),
        connect_timeout=_connect_timeout(given.get("connect_timeout")),
        search_path=_search_path(given),
        passed_on={name: given[name] for name in _PASSED_ON if name in given},
    )


def _split(rest: str) -> tuple[str, str, str, str]:
    """User information, hosts, path and query; a password may hold an unescaped ?, # or @, as in practice they do."""
    userinfo = ""
    first = rest.find("@")
    if first >= 0 and "/" not in rest[:first]:
        slash = rest.find("/", first)
        question = rest.find("?", first)
        ends = [end for end in (slash, question) if end >= 0]
        last = rest.rfind("@", 0, min(ends) if ends else len(rest))
        userinfo, rest = rest[:last], rest[last + 1 :]
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    return userinfo, authority, path, query


def _parameters(query: str) -> dict[str, str]:
    """The query's parameters; the last of a name counts. A + is a plus: libpq has no form encoding."""
    found: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise DsnError("a parameter of the DSN has no value")
        found[unquote(name)] = unquote(value)
    return found


def _hosts(authority: str, given: Mapping[str, str]) -> tuple[DsnHost, ...]:
    places: list[DsnHost] = []
    for place in authority.split(","):
        bracketed = re.fullmatch(r"\[([^]]*)](?::(.*))?", place)
        name, port = (
            (bracketed[1], bracketed[2] or "") if bracketed else (place.partition(":")[0], place.partition(":")[2])
        )
        places.append(DsnHost(unquote(name) or None, _port(unquote(port))))
    if "host" in given or "hostaddr" in given:
        names = given.get("host", given.get("hostaddr", "")).split(",")
        known = places if len(places) == len(names) else [places[0]] * len(names)
        places = [DsnHost(name or None, place.port) for name, place in zip(names, known, strict=True)]
    if "port" in given:
        ports = given["port"].split(",")
        if len(ports) not in (1, len(places)):
            raise DsnError("the DSN names another number of ports than of hosts")
        ports = ports * len(places) if len(ports) == 1 else ports
        places = [DsnHost(place.name, _port(port)) for place, port in zip(places, ports, strict=True)]
    return tuple(places)


def _port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        # What stands there may be the tail of an unescaped password: it is not repeated.
        raise DsnError("the port in the DSN is not a number from 1 to 65535 (is the password percent-encoded?)")
    return int(text)


def _tls(given: Mapping[str, str], ca_file: Path | None, environment: Mapping[str, str]) -> Tls:
    ca = str(ca_file) if ca_file is not None else given.get("sslrootcert") or environment.get("PGSSLROOTCERT")
    mode = given.get("sslmode") or environment.get("PGSSLMODE")
    if mode is None and given.get("ssl") in ("true", "1", "require"):
        mode = "require"  # libpq accepts ssl=true for the sake of JDBC's URIs
    elif mode == "no-verify":
        mode = "require"  # node-postgres's word for it, and what it shares a DATABASE_URL with
    elif mode is None:
        mode = "require" if ca_file is not None else "prefer"
    _one_of("sslmode", mode, _MODES)
    if ca is None and mode in ("require", "verify-ca", "verify-full"):
        ca = _home_file("root.crt")
    if ca == "system":
        mode = "verify-full"  # a public CA vouches for anybody: only the host name makes its word worth something
    if mode == "verify-ca" and ca is None:
        raise DsnError("sslmode=verify-ca needs a CA file")
    direct = _one_of("sslnegotiation", given.get("sslnegotiation", "postgres"), ("postgres", "direct")) == "direct"
    if direct and mode not in ("require", "verify-ca", "verify-full"):
        raise DsnError("sslnegotiation=direct needs sslmode=require, verify-ca or verify-full")
    for name in ("ssl_min_protocol_version", "ssl_max_protocol_version"):
        if name in given:
            _one_of(name, given[name], ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"))
    cert = given.get("sslcert") or _home_file("postgresql.crt")
    return Tls(
        mode=mode,
        ca_file=ca,
        cert_file=cert,
        key_file=(given.get("sslkey") or _home_file("postgresql.key")) if cert else None,
        key_password=given.get("sslpassword"),
        crl_file=given.get("sslcrl"),
        minimum=given.get("ssl_min_protocol_version"),
        maximum=given.get("ssl_max_protocol_version"),
        direct=direct,
    )


def _version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[name.replace(".", "_")]


def _home_file(name: str) -> str | None:
    try:
        path = Path.home() / ".postgresql" / name
        return str(path) if path.is_file() else None
    except (OSError, RuntimeError):
        return None  # no home, or none that may be read


def _connect_timeout(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = int(text)
    except ValueError:
        raise DsnError("connect_timeout in the DSN is not a whole number of seconds") from None
    return float(seconds) if seconds > 0 else None  # libpq: zero or less waits without a limit of its own


def _search_path(given: Mapping[str, str]) -> tuple[str, ...]:
    """The schemas that an ORM's `schema` or libpq's `options=-c search_path=…` put in front."""
    if "schema" in given:
        return (given["schema"],)
    option = _SEARCH_PATH_OPTION.search(given.get("options", ""))
    if option is None:
        return ()
    names = re.sub(r"\\(.)", r"\1", option[1]).split(",")
    return tuple(name.strip().strip('"') for name in names if name.strip().strip('"'))


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise DsnError(f"{name} in the DSN is not one of {', '.join(allowed)}")
    return value
