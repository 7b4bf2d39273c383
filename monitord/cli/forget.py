"""`monitord forget`: a service that was retired on purpose is not expected any more."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from monitord.cli.requests import HeldState, put
from monitord.core.alerting import commands
from monitord.core.alerting.silences import DATABASE
from monitord.core.model import Command
from monitord.core.subjects import declared


def add(subparsers: Any) -> None:
    """Put `forget` on the command line."""
    parser = subparsers.add_parser(
        "forget",
        help="a service was retired on purpose: expect it no more",
        description="Takes a service out of the roster that monitord has learned, and ends its alerts. What "
        "MONITORD_ORDERS__SERVICES names is expected all the same. `postgres` forgets which database it was: the one "
        "that is read next is the known one. Exits 0, 2 for mistakes, 3 when the snapshot cannot be read or written.",
    )
    parser.add_argument("subject", metavar="SUBJECT", help="the service's name in PM2, or postgres")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask for it, say it, and return the exit code."""
    name = arguments.subject
    return put("forget", lambda held, now: commands.forget(now, name, held.state, held.orders), _tells)


def _tells(held: HeldState, command: Command, _: datetime) -> Iterable[str]:
    name = command.target
    if name == DATABASE:
        yield "The database that is read next is the known one from then on."
        return
    ending = [a.rule for a in held.state.alerts.values() if a.subject == name and "service" in declared(a.rule).roles]
    yield f"{name} is not expected any more" + (f"; {', '.join(ending)} ends." if ending else ".")
    service = held.state.history.services.get(name)
    if service is not None and any(life.state == "online" for life in service.lives.values()):
        yield f"It was online when monitord last looked: while PM2 runs it, it is learned again (pm2 delete {name})."
