"""PM2 as monitord meets it: its sockets, its process list, and the protocol of an app that runs under it."""

from monitord.failures import FailureError


class Pm2Error(FailureError):
    """PM2 could not be queried, or its answer could not be understood.

    The message is a sentence about what happened and never quotes an answer: answers carry the environment,
    secrets included, of every app PM2 runs.

    Attributes:
        kind: `missing`: no such home or socket. `refused`: the socket is there, nobody listens.
            `permission`: it belongs to somebody else. `timeout`: no complete answer in time.
            `protocol`: an answer, but not one PM2 gives.
    """
