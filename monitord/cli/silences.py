"""`monitord silences`: what is quiet on purpose, until when, and what it covers now."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import datetime
from typing import Any

from monitord.cli.requests import HeldState, look
from monitord.reporting.document import document
from monitord.reporting.silences import covered_by, silence_fields, silences_text
from monitord.reporting.terminal import terminal


def add(subparsers: Any) -> None:
    """Put `silences` on the command line."""
    parser = subparsers.add_parser(
        "silences",
        help="what is quiet on purpose, and until when",
        description="Lists the silences with what they cover now. Exits 0, 2 where no monitord has run, 3 when its "
        "snapshot cannot be read.",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look, say it, and return the exit code."""
    return look("silences", _json if arguments.format == "json" else _text)


def _json(held: HeldState, now: datetime) -> str:
    alerts = held.state.alerts.values()
    return document(
        {
            "silences": [
                silence_fields(one, now)
                | {
                    "heard": one.id in held.state.silences,
                    "covers": [alert.id for alert in covered_by(one, alerts)],
                }
                for one in held.silences.values()
            ]
        }
    )


def _text(held: HeldState, now: datetime) -> str:
    waiting = frozenset(held.silences) - frozenset(held.state.silences)
    screen = terminal(sys.stdout.isatty(), os.environ)
    return silences_text(tuple(held.silences.values()), waiting, held.state.alerts, now, screen)
