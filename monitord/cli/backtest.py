"""`monitord backtest`: what other thresholds would have fired on the recording. Reads the history, writes nothing."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from monitord.cli import Subparsers, command, note, noted_settings, refused
from monitord.cli.base import answer, in_state_directory, length, over_state, run_once, with_progress
from monitord.config.loader import SettingsError, standing_orders
from monitord.config.overrides import TriedSettings, tried
from monitord.core import humanize
from monitord.core.backtest import Backtest, backtest, warm_up
from monitord.reporting.backtest import fields, text
from monitord.storage.reader import read_history, read_transitions, recorded_span

_SPAN_SECONDS: Final = 10.0
# 48 h of a fleet of fifty take some twenty seconds; what takes longer than this is a disk that hangs.
_JUDGE_SECONDS: Final = 600.0


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "backtest",
        run,
        "Judges the recorded history again under other settings, and says what would have fired, when "
        "and for how long, beside what did fire. Without --set: under the settings as they are. "
        "Exits 0, 2 for mistakes and where nothing is recorded, 3 when the recording cannot be read.",
        formats=("text", "json"),
    )
    parser.add_argument("--since", default="48h", metavar="D", help="how far back: 12h, 30m, 2d (default: 48h)")
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting to try, as in .env; may be repeated: --set ORDERS__SERVICE_MEMORY=300MB",
    )


def run(arguments: argparse.Namespace) -> int:
    back = length(arguments.since)
    try:
        found = noted_settings()
        trial = tried(arguments.changes, found.environ, found.directory)
    except SettingsError as error:
        return refused(error.mistakes)
    work = _backtest(trial, datetime.now(UTC) - back, arguments)
    return run_once(over_state("backtest", trial.present.state_dir, work))


async def _backtest(trial: TriedSettings, since: datetime, arguments: argparse.Namespace) -> int:
    directory = trial.present.state_dir
    span = await in_state_directory(recorded_span, directory, timeout=_SPAN_SECONDS)
    if span is None:
        note(f"monitord backtest: nothing is recorded in {directory} yet; monitord run records")
        return 2
    first, last = span
    ends = humanize.timestamp(last)
    unrecorded = f"--since {arguments.since}: nothing is recorded of that time; the recording ends {ends}"
    if last < since:
        note(unrecorded)
        return 2
    orders = standing_orders(trial.settings)
    begin = since - warm_up(orders)
    present = standing_orders(trial.present)

    def judged(directory: Path) -> Backtest | None:
        observations = with_progress(read_history(directory, begin), max(first, begin), last, "judging")
        return backtest(observations, orders, read_transitions(directory, begin), since, present)

    found = await in_state_directory(judged, directory, timeout=_JUDGE_SECONDS)
    if found is None:
        note(unrecorded)
        return 2
    return answer(
        arguments.format, lambda: fields(found, trial.changes), lambda screen: text(found, trial.changes, screen)
    )
