"""Turns what asyncpg, the kernel, TLS, Postgres or a PgBouncer say into a kind and one sentence without secrets."""

import socket
import ssl

import asyncpg

from monitord.core.model import Kind
from monitord.failures import PHRASES, FailureError, Phrases, classify

UNDEFINED_TABLE, UNDEFINED_COLUMN, NO_PRIVILEGE = "42P01", "42703", "42501"
LOCK_TIMED_OUT, CANCELLED = "55P03", "57014"

TOO_MANY, NONE_FREE = "has too many connections already", "had no server connection free in time"
_ENCRYPTED = ("require", "verify-ca", "verify-full")
# By SQLSTATE: the whole of it, or its class. The words are ours: a server's own may be in any language.
_BY_STATE: dict[str, tuple[Kind, str]] = {
    "28": ("auth", "rejects this user, password or way of connecting"),
    "3D000": ("missing", "has no such database"),
    UNDEFINED_TABLE: ("missing", "has no such table"),
    UNDEFINED_COLUMN: ("missing", "has the table, but not its expected columns"),
    "3F000": ("missing", "has no such schema"),
    NO_PRIVILEGE: ("permission", "does not give this role the privilege"),
    "53300": ("refused", TOO_MANY),
    "57P01": ("refused", "ended this session: it is shutting down, or somebody terminated the session"),
    "57P02": ("refused", "crashed and is restarting"),
    "57P03": ("refused", "is starting up or shutting down"),
    "57P04": ("missing", "has had this database dropped"),
    "57P05": ("refused", "ended a session that was idle for too long"),
    "25P03": ("timeout", "ended a transaction that was idle for too long"),
    CANCELLED: ("timeout", "did not finish the query in time"),
    LOCK_TIMED_OUT: ("timeout", "could not get past another session's lock in time"),
}
# PgBouncer has one SQLSTATE, 08P01, for nearly everything it has to say, and says it in English.
_BY_WORDS: tuple[tuple[str, Kind, str], ...] = (
    ("no such database", "missing", "has no such database"),
    ("no such user", "auth", "rejects this user, password or way of connecting"),
    ("authentication failed", "auth", "rejects this user, password or way of connecting"),
    ("login rejected", "auth", "rejects this user, password or way of connecting"),
    ("wrong password type", "auth", "cannot log in to the server behind it"),
    ("ssl required", "tls", "takes no unencrypted connections"),
    ("server refused ssl", "tls", "finds no TLS at the server behind it"),
    ("login_retry", "refused", "cannot log in to the server behind it, and tries again later"),
    ("server login failed", "refused", "cannot log in to the server behind it"),
    ("query_wait_timeout", "timeout", NONE_FREE),
    ("server down", "refused", "finds the server behind it down"),
    ("login_timeout", "timeout", "did not finish the login in time"),
    ("connect timeout", "timeout", "could not reach the server behind it in time"),
    ("query timeout", "timeout", "did not finish the query in time"),
    ("no more connections", "refused", TOO_MANY),
    ("too many", "refused", TOO_MANY),
    ("shutting down", "refused", "is shutting down"),
    ("server conn crashed", "refused", "lost the connection to the server behind it"),
    ("connection closed", "refused", "lost the connection to the server behind it"),
    ("unsupported startup parameter", "protocol", "does not accept a start-up parameter"),
)

# What differs in a sentence about Postgres.
_OF_SYSTEM: Phrases = {
    **PHRASES,
    ssl.SSLCertVerificationError: ("tls", "has a certificate that was not accepted: {detail}"),
    ssl.SSLError: ("tls", "could not agree with us on an encrypted connection: {reason}"),
    socket.gaierror: ("dns", "has a name that could not be resolved"),
    FileNotFoundError: ("refused", "has no socket there"),
    PermissionError: ("permission", "has a socket that this user may not open"),
    ConnectionRefusedError: ("refused", "refused the connection"),
}


class PostgresError(FailureError):
    """The session could not do its work; `state` is the SQLSTATE of a failed statement, "" for all else."""

    def __init__(self, kind: Kind, error: str, state: str = "", *, full: bool = False) -> None:
        super().__init__(kind, error, full=full)
        self.state = state


def explain(error: BaseException, where: str, sslmode: str, secret: str | None, *, connecting: bool) -> PostgresError:
    """What an error of asking `where` means, by `sslmode` if TLS was refused; the `secret` is not repeated."""
    if isinstance(error, PostgresError):
        return error
    state = ""
    if isinstance(error, asyncpg.PostgresError):
        kind, words = _of_server(error, secret)
        state = "" if connecting else error.sqlstate or ""
    elif isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        kind, words = "refused", "is not the kind of server that target_session_attrs asks for"
    elif isinstance(error, TimeoutError) and connecting and sslmode in _ENCRYPTED:
        kind, words = "timeout", f"did not answer in time with the encryption that sslmode={sslmode} asks for"
    elif isinstance(error, OSError):
        kind, words = _of_system(error, sslmode)
    elif isinstance(error, UnicodeError):
        kind, words = "dns", "has a name that cannot be one"
    elif isinstance(error, asyncpg.InternalClientError):
        login = "authentication" in str(error)
        kind, words = (
            ("auth" if login else "protocol"),
            ("asks for a login that failed on our side (is there a password?)" if login else "is no Postgres"),
        )
    else:
        kind, words = "internal", f"was asked in a way that failed inside: {type(error).__name__}"
    # A limit of monitord's own role says nothing about the fleet's connections.
    full = words in (TOO_MANY, NONE_FREE) and "for role" not in str(error)
    return PostgresError(kind, f"Postgres at {where} {words}", state, full=full)


def _of_server(error: asyncpg.PostgresError, secret: str | None) -> tuple[Kind, str]:
    cause = error.__cause__
    if isinstance(error, asyncpg.ConnectionDoesNotExistError):
        if isinstance(cause, asyncpg.PostgresError):  # its last words before it closed
            return _of_server(cause, secret)
        return "protocol", "closed the connection at once without a word of Postgres's protocol"
    state, message = error.sqlstate or "", str(error.args[0]) if error.args else ""
    if state != "08P01":
        known = _BY_STATE.get(state) or _BY_STATE.get(state[:2])
        if known is not None:
            return known
    for words, kind, sentence in _BY_WORDS:
        if words in message.lower():
            return kind, sentence
    if secret and secret in message:
        message = "(a message that repeats the password)"
    return ("refused" if state.startswith(("08", "53", "57")) else "internal"), (
        f"answered with error {state}: {message[:200]}"
    )


def _of_system(error: OSError, sslmode: str) -> tuple[Kind, str]:
    if (known := classify(error, _OF_SYSTEM)) is not None:
        return known
    message = str(error)
    if "rejected SSL upgrade" in message:
        if sslmode in _ENCRYPTED:
            return "tls", f"offers no encryption, which sslmode={sslmode} asks for"
        return "protocol", "answered with something that is not Postgres's protocol"
    if "error response during SSL" in message:
        return "refused", "turned the connection away before it began (too many connections, or starting up)"
    if isinstance(error, ConnectionError):
        return "refused", "closed the connection"
    return "refused", f"cannot be reached: {error.strerror or 'every address refused the connection'}"
