"""`monitord notify test`: one test message through each channel, at once. Needs no daemon, and writes nothing."""

from __future__ import annotations

import argparse
import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from monitord.cli import COMMANDS, Subparsers, load_settings, note, refused, say, stdout_terminal
from monitord.cli.base import run_once
from monitord.config.loader import Settings, SettingsError
from monitord.core import humanize
from monitord.core.model import Kind
from monitord.notify.channels import channels, heartbeat_sender, unheard
from monitord.notify.channels.base import Channel, SendError
from monitord.notify.channels.heartbeat import DEADLINE_SECONDS, Heartbeat
from monitord.notify.message import Message
from monitord.reporting.terminal import Terminal, cells, clean, clip

HEARTBEAT: Final = "heartbeat"
_CLOSE_SECONDS: Final = 2.0
_NONE: Final = (
    "monitord notify test: no channel is configured; set MONITORD_NOTIFY__URLS, MONITORD_NOTIFY__WEBHOOK_URL, "
    "MONITORD_NOTIFY__ALERTMANAGER_URL, MONITORD_NOTIFY__PAGERDUTY_KEY or MONITORD_NOTIFY__HEARTBEAT_URL"
)


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What became of one test message; `error` is a sentence, "" where it was accepted. `took` is in seconds."""

    channel: str
    took: float
    kind: Kind | None = None
    error: str = ""


def add(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser("notify", help=COMMANDS["notify"])
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    test = actions.add_parser(
        "test",
        help="send one test message through each channel",
        description="Sends one test message through each configured channel, all at once, and reports the outcome. "
        "Of the heartbeat it asks only that a line is logged, which is neither a success nor a failure there. "
        "Exits 0 when all were accepted, 2 when one was not or none is configured.",
    )
    test.add_argument("--channel", metavar="NAME", help="only this one: webhook, alertmanager, heartbeat, tgram, …")
    test.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    test.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    return run_once(_test(load_settings(), arguments.channel, arguments.format))


async def _test(settings: Settings, only: str | None, style: str) -> int:
    known = (*settings.notify.channel_names, *([HEARTBEAT] if settings.notify.heartbeat_url is not None else []))
    if not known:
        note(_NONE)
        return 2
    if only is not None and only not in known:
        note(f"monitord notify test: {clean(only)!r} is not a configured channel; there are {', '.join(known)}")
        return 2
    try:
        configured, heart = channels(settings, remembers=False), heartbeat_sender(settings)
    except SettingsError as error:
        return refused(error.mistakes)
    trials = [_send(channel, settings.instance) for channel in configured if only in (None, channel.name)]
    if heart is not None and only in (None, HEARTBEAT):
        trials.append(_beat(heart, settings.instance))
    try:
        outcomes = await asyncio.gather(*trials)
    finally:
        with suppress(TimeoutError):  # the process ends all the same
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.gather(*(one.close() for one in (*configured, heart) if one is not None))
    gaps = unheard(settings, datetime.now(UTC))
    for gap in gaps:
        note(f"monitord notify test: {gap}.")
    if style == "json":
        found = [_fields(outcome) for outcome in outcomes]
        say(json.dumps({"channels": found, "unheard": list(gaps)}, indent=2, ensure_ascii=False) + "\n")
    else:
        say("".join(f"{line}\n" for line in _table(outcomes, stdout_terminal())))
    return 2 if any(outcome.error for outcome in outcomes) else 0


async def _send(channel: Channel, instance: str) -> TestOutcome:
    now = datetime.now(UTC)
    message = Message(
        id=f"test-{uuid.uuid4()}",
        kind="test",
        at=now,
        severity="info",
        title=f"monitord test from {instance}",
        text=f"This is a test: notifications of monitord on {instance} arrive here. Nothing is wrong.",
    )
    return await _timed(channel.name, lambda: channel.send([message], now), channel.policy.deadline)


async def _beat(heart: Heartbeat, instance: str) -> TestOutcome:
    sentence = f"This is a test: monitord on {instance} can reach this check."
    return await _timed(heart.name, lambda: heart.check(sentence), DEADLINE_SECONDS)


async def _timed(name: str, work: Callable[[], Awaitable[None]], deadline: float) -> TestOutcome:
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        async with asyncio.timeout(deadline):
            await work()
    except SendError as error:
        return TestOutcome(name, clock() - began, error.kind, error.error)
    except TimeoutError:
        return TestOutcome(name, clock() - began, "timeout", f"it was not done within {deadline:g} s")
    except Exception as error:  # noqa: BLE001 - a bug in one channel must not hide what became of the others
        return TestOutcome(name, clock() - began, "internal", f"it failed inside: {type(error).__name__}")
    return TestOutcome(name, clock() - began)


def _fields(outcome: TestOutcome) -> dict[str, object]:
    return {
        "channel": outcome.channel,
        "taken": not outcome.error,
        "duration_ms": round(outcome.took * 1000.0, 3),
        "kind": outcome.kind,
        "error": outcome.error or None,
    }


def _table(outcomes: list[TestOutcome], screen: Terminal) -> list[str]:
    """One row for each, and below it why it failed, as sentences do not fit columns."""
    width = max(cells(clip(outcome.channel, screen.width // 2)) for outcome in outcomes)
    lines = []
    for outcome in outcomes:
        name = clip(outcome.channel, screen.width // 2)
        mark = screen.paint("failed", "critical") if outcome.error else screen.paint("taken", "ok") + " "
        padding = " " * (width - cells(name))
        lines.append(f"{name}{padding}  {mark}  {humanize.duration(outcome.took)}")
        if outcome.error:
            lines += screen.wrapped(f"{outcome.kind}: {outcome.error}.", indent="    ")
    return lines
