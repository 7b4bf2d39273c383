"""Why something could not be queried: one error with a kind and a sentence, and what errors of the system mean."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final

from monitord.core.model import Kind


class FailureError(Exception):
    """A client could not do its work: a kind to sort by and a sentence for people, free of secrets.

    `full`: the server, or the pool before it, is there and accepts no further client.
    """

    def __init__(self, kind: Kind, error: str, *, full: bool = False) -> None:
        super().__init__(error)
        self.kind: Kind = kind
        self.error = error
        self.full = full


# Of a deadline for a connection over TLS, what its handshake may take: the rest is for saying so.
HANDSHAKE_SHARE: Final = 0.8
# What OpenSSL makes of an answer that is no TLS.
_PLAIN_TEXT: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})

Phrases = Mapping[type[Exception], tuple[Kind, str]]

# The first that fits. `{detail}` is what TLS reports, `{reason}` the same in small words.
PHRASES: Final[Phrases] = {
    ssl.SSLCertVerificationError: ("tls", "shows a certificate that cannot be trusted: {detail}"),
    ssl.SSLError: ("tls", "cannot be talked to over TLS: {detail}"),
    TimeoutError: ("timeout", "did not answer in time"),
    socket.gaierror: ("dns", "has a name that cannot be resolved"),
    FileNotFoundError: ("missing", "has no socket there"),
    PermissionError: ("permission", "has a socket that this user may not use"),
    ConnectionRefusedError: ("refused", "refuses the connection: nothing listens there"),
}


def classify(error: BaseException, phrases: Phrases = PHRASES) -> tuple[Kind, str] | None:
    """The kind and half a sentence of an error of TLS, the resolver, a deadline or a socket; None for any other."""
    if isinstance(error, ConnectionAbortedError | TimeoutError) and "SSL handshake" in str(error):  # asyncio's own
        return "timeout", "did not answer the TLS handshake in time: it hangs, or does not speak TLS"
    if isinstance(error, ssl.SSLError) and error.reason in _PLAIN_TEXT:
        return "tls", "does not speak TLS: it answers the handshake in plain text"
    for error_type, (kind, phrase) in phrases.items():
        if isinstance(error, error_type):
            reason = error.reason if isinstance(error, ssl.SSLError) else None
            detail = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else reason
            what = phrase.replace("{detail}", detail or "the handshake failed")
            return kind, what.replace("{reason}", (reason or "unknown").lower().replace("_", " "))
    return None


def classify_cause(error: BaseException) -> tuple[Kind, str] | None:
    """As `classify`, of the cause that says more than the error above it; None where there is none."""
    telling = (ssl.SSLError, socket.gaierror, ConnectionRefusedError)
    found = (classify(cause) for cause in causes(error) if isinstance(cause, telling))
    return next(filter(None, found), None)


def causes(error: BaseException | None, depth: int = 16) -> Iterator[BaseException]:
    """The error and all that led to it, those of every address of a name included."""
    if error is None or depth == 0:
        return
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from causes(inner, depth - 1)
    yield from causes(error.__cause__ or error.__context__, depth - 1)
