"""PM2 as monitord meets it: its sockets, its process list, and the protocol of an app that runs under it."""

from monitord.failures import FailureError


class Pm2Error(FailureError):
    """PM2 could not be queried, or its answer could not be understood.

    The message never quotes an answer: these carry the environment, secrets included, of every app. Its kind is
    `missing` (no such home or socket), `refused` (nobody listens there), `permission` (it is somebody else's),
    `timeout` (no complete answer) or `protocol` (an answer that is not one of PM2's).
    """
