"""What an error of the server, the driver or the network means: a kind to sort by and half a sentence for people.

The server is never quoted: it may echo what it was sent, passwords included.
"""

from __future__ import annotations

import re

from redis import exceptions

from monitord.core.model import Kind
from monitord.failures import causes, classify


class ReplyTooLarge(exceptions.InvalidResponse):
    """An answer is larger, or nested deeper, than any answer to what is asked can be."""


FULL = ("refused", "has reached its maximum number of clients")


def code(error: Exception) -> str:
    """The word a Redis error begins with, such as NOAUTH or WRONGTYPE."""
    word = getattr(error, "status_code", None) or str(error).partition(" ")[0]
    return word if re.fullmatch(r"[A-Z]{2,20}", word) else "ERR"


def refusal(reply: object) -> tuple[Kind, str]:
    if not isinstance(reply, exceptions.ResponseError):
        return "protocol", "the answer is no number"
    word = code(reply)
    if word == "NOPERM":
        return "permission", "the user is not allowed to"
    return "protocol", "the key holds something else" if word == "WRONGTYPE" else f"the server says {word}"


def explain(error: Exception) -> tuple[Kind, str]:
    for cause in causes(error):
        if (known := classify(cause)) is not None:
            return known
        match cause:
            case ReplyTooLarge():
                return "protocol", "answers with more than any answer can be"
            case exceptions.TimeoutError():
                return "timeout", "did not answer in time"
            case exceptions.AuthenticationError() if code(cause) == "NOAUTH":
                return "auth", "wants a password and was given none"
            case exceptions.AuthenticationError() | exceptions.ExternalAuthProviderError():
                return "auth", "refuses the user or password it was given"
            case exceptions.BusyLoadingError():
                return "refused", "is still loading its data and answers nothing yet"
            case exceptions.MasterDownError():
                return "refused", "is a replica without its primary and does not serve old data"
            case exceptions.AskError() | exceptions.ClusterDownError():
                return "protocol", f"is a node of a cluster and does not hold all keys ({code(cause)})"
            case exceptions.NoPermissionError():
                return "permission", "does not allow this user to ask"
            case exceptions.ResponseError() if code(cause) == "DENIED":
                return "refused", "is in protected mode and talks to its own machine only"
            case exceptions.ResponseError() if "DB index" in str(cause):
                return "missing", "has no database of the number that its URL names"
            case exceptions.ResponseError():
                return "protocol", f"answers with an error ({code(cause)})"
            case exceptions.InvalidResponse() | RecursionError():
                return "protocol", "does not answer in the Redis protocol"
            case exceptions.ConnectionError() if "max number of clients" in str(cause):
                return "refused", FULL[1]
            case OSError():
                return "refused", f"cannot be reached: {cause.strerror or 'no address of it answers'}"
            case _:
                pass  # redis-py's ConnectionError over the error that says more
    return "refused", "closed the connection without an answer"
