"""`monitord report`: the verdict of a window, from what was recorded of it. Queries the database for the recap only."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from monitord.cli import CommandSettings, Subparsers, command, find_settings, note, say
from monitord.cli.base import length, over_state, run_once, with_progress
from monitord.core.report.model import Report, Verdict
from monitord.reporting.report_builder import report_from_recording
from monitord.reporting.terminal import clean, terminal

EXIT_CODES: Final[dict[Verdict, int]] = {"GO": 0, "NO-GO": 2, "UNKNOWN": 3}


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "report",
        run,
        "Reports on the recorded window: each success criterion of the standing orders with its evidence, the "
        "incidents, and what the monitor itself could not see. Exits 0 for GO, 2 for NO-GO, 3 for UNKNOWN.",
    )
    parser.add_argument(
        "--since", default="12h", metavar="D", help="how far back: 12h, 90m, 7d, 400d at most (default: 12h)"
    )
    parser.add_argument("--compare", action="store_true", help="beside earlier times: a day and a week before")
    parser.add_argument(
        "--format",
        choices=("text", "markdown", "html", "json"),
        default="text",
        help="default: text; html is one file that needs no other",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it there instead of to stdout")


def run(arguments: argparse.Namespace) -> int:
    back = length(arguments.since)
    found = find_settings()
    work = _report(found, back, arguments.format, arguments.output, compare=arguments.compare)
    return run_once(over_state("report", found.settings.state_dir, work))


async def _report(found: CommandSettings, back: timedelta, style: str, output: Path | None, *, compare: bool) -> int:
    for line in filter(None, (found.word, found.trouble)):
        note(line)
    until = datetime.now(UTC)
    since = until - back
    passing = partial(with_progress, begin=since, end=until, doing="reading")
    report = await report_from_recording(found.settings, found.orders, since, until, passing, compare=compare)
    text = rendered(report, style, is_terminal=output is None and sys.stdout.isatty())
    if output is None:
        say(text)
        return EXIT_CODES[report.verdict]
    try:
        output.write_text(text, encoding="utf-8")  # noqa: ASYNC240 - nothing else goes on in this process any more
    except OSError as error:
        note(f"--output {clean(str(output))}: {error.strerror}")
        return 2
    note(f"{report.verdict}: written to {clean(str(output))}")
    return EXIT_CODES[report.verdict]


def rendered(report: Report, style: str, *, is_terminal: bool) -> str:
    """Only what this format takes is imported."""
    match style:
        case "json":
            from monitord.jsonable import document
            from monitord.reporting.report_json import report_fields

            return document(report_fields(report))
        case "html":
            from monitord.reporting.html import report_html

            return report_html(report)
        case "markdown":
            from monitord.reporting.markdown import report_markdown

            return report_markdown(report)
        case _:
            from monitord.reporting.report import report_text

            return report_text(report, terminal(is_terminal, os.environ))
