"""`monitord silence`: keeps pages away for a while, or by the clock; the watch goes on."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from monitord.cli.requests import HeldState, put
from monitord.core import humanize
from monitord.core.alerting import commands
from monitord.core.alerting.silences import covers, quiet_until
from monitord.core.model import Command
from monitord.reporting.silences import about, covered_by, spell


def add(subparsers: Any) -> None:
    """Put `silence` on the command line."""
    parser = subparsers.add_parser(
        "silence",
        help="keep pages away on purpose, for a while or by the clock",
        description="Keeps alerts of a subject from being told: they are judged and recorded as ever, and fire if they "
        "still stand when the silence ends. With --every it is a maintenance window. Exits 0, 2 for mistakes, 3 when "
        "the snapshot cannot be read or written.",
    )
    parser.add_argument("subject", metavar="SUBJECT", help="a service, table, queue, …; a shell pattern; '*': the host")
    parser.add_argument("--rule", default="", metavar="R", help="only alerts of this rule (default: any)")
    parser.add_argument(
        "--for", dest="lasts", default=commands.DEFAULT_LENGTH, metavar="D", help="how long (default: 2h)"
    )
    parser.add_argument("--every", default="", metavar="CRON", help="from each of these times on (five fields, UTC)")
    parser.add_argument("--reason", default="", metavar="TEXT", help="what for: it stands in the list of silences")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask for it, say it, and return the exit code."""

    def asks(held: HeldState, now: datetime) -> Command:
        if len(held.silences) >= commands.MOST_SILENCES:
            raise ValueError(f"there are {len(held.silences)} silences already; see monitord silences")
        return commands.silence(
            now,
            arguments.subject,
            rule=arguments.rule,
            lasts=arguments.lasts,
            every=arguments.every,
            reason=arguments.reason,
            known=commands.subjects(held.state, held.orders),
        )

    return put("silence", asks, _tells)


def _tells(held: HeldState, command: Command, now: datetime) -> Iterable[str]:
    silence = command.silence
    assert silence is not None  # noqa: S101 - it was just made
    every = f" (every {silence.every})" if silence.every else ""
    yield f"{silence.id}: {about(silence)} is quiet {spell(silence, now)}{every}."
    if covered := [f"{a.rule} {a.subject}" for a in covered_by(silence, held.state.alerts.values())]:
        when = "now" if quiet_until(silence, now) is not None else "when it begins, if it stands"
        yield f"It covers {humanize.listed(covered)} {when}."
    elif not any(covers(silence, silence.rule, subject) for subject in commands.subjects(held.state, held.orders)):
        yield "Nothing that is watched now is called so."
