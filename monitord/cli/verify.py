"""`monitord verify`: recomputes sealed roots from the participants that are kept. It reads and writes nothing."""

from __future__ import annotations

import argparse
import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from monitord.cli import Subparsers, command, note
from monitord.cli.base import MISTAKE, Progress, answer, is_label, length, over_seals, run_once, seals_read
from monitord.config.loader import Settings
from monitord.core import humanize
from monitord.core.blocks import Style
from monitord.core.merkle import Hash
from monitord.core.roots import RESULTS, Result, Seal, Verification
from monitord.postgres import seals
from monitord.postgres.seals import SealSelection
from monitord.postgres.session import Session
from monitord.reporting.terminal import Terminal, clean, table

# One transaction holds at most this many seconds of work, and its last seal may take as long again.
_TRANSACTION_SECONDS: Final = 5.0
# Lines of the text: all where there are no more, else what does not match, and of that no more either.
_MOST_LINES: Final = 200
_STYLES: Final[dict[Result, Style]] = {"MATCH": "ok", "MISMATCH": "critical", "UNVERIFIABLE": "unknown"}


def add(subparsers: Subparsers) -> None:
    parser = command(
        subparsers,
        "verify",
        run,
        "Recomputes the merkle roots of sealed epochs from sealed_participants and compares each with the "
        "stored one. Exits 0 when all match, 2 when one does not, 3 when one cannot be verified or there is none.",
        formats=("text", "json"),
    )
    parser.add_argument("--group", metavar="G", help="seals of this token group only")
    parser.add_argument("--channel", metavar="C", help="seals of this channel only")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--epoch", type=int, metavar="E", help="one label, in Unix seconds")
    which.add_argument("--since", metavar="D", help="how far back: 24h, 7d (default: 24h)")
    parser.add_argument("--sample", type=int, metavar="N", help="so many of them, drawn at random")


def run(arguments: argparse.Namespace) -> int:
    back = length(arguments.since or "24h")
    if arguments.sample is not None and arguments.sample < 1:
        note("--sample: it must be at least 1")
        return MISTAKE
    if arguments.epoch is not None and not is_label(arguments.epoch):
        return MISTAKE
    return run_once(over_seals("verify", partial(_verify, arguments, back)))


async def _verify(
    arguments: argparse.Namespace, back: timedelta, _: Settings, session: Session, keccak256: Hash
) -> int:
    now = datetime.now(UTC)
    wanted = _selection(arguments, back, now)
    loop = asyncio.get_running_loop()
    began = loop.time()
    done: list[Verification] = []
    with Progress() as progress:
        async with aclosing(_verified(session, wanted, arguments.sample, keccak256)) as each:
            async for one in each:
                done.append(one)
                progress.show(lambda: _so_far(done, loop.time() - began))
    took = loop.time() - began
    counts = Counter(one.result for one in done)
    answer(
        arguments.format,
        lambda: _fields(done, counts, wanted, now, took),
        lambda screen: _text(done, counts, took, screen),
    )
    return 2 if counts["MISMATCH"] else 3 if counts["UNVERIFIABLE"] or not done else 0


def _selection(arguments: argparse.Namespace, back: timedelta, now: datetime) -> SealSelection:
    if arguments.epoch is not None:
        first = last = arguments.epoch
    else:
        first, last = max(0, int((now - back).timestamp())), int(now.timestamp())
    return SealSelection(first, last, arguments.group, arguments.channel)


async def _verified(
    session: Session, wanted: SealSelection, sample: int | None, keccak256: Hash
) -> AsyncGenerator[Verification, None]:
    """Each seal with its result, the newest first; `sample` of them, where that is given."""
    loop = asyncio.get_running_loop()
    pages = _pages(session, wanted)
    if sample is not None:
        pages = _sampled(pages, sample)
    async with aclosing(pages) as several:
        async for page in several:
            left = list(reversed(page))
            while left:
                ends = loop.time() + _TRANSACTION_SECONDS
                results = []
                async with seals_read(session) as connection:
                    while left and loop.time() < ends:
                        results.append(await seals.verify(connection, left.pop(), keccak256))
                for result in results:
                    yield result


async def _pages(session: Session, wanted: SealSelection) -> AsyncGenerator[list[Seal], None]:
    after: Seal | None = None
    while True:
        async with seals_read(session) as connection:
            page = await seals.seals(connection, wanted, after)
        if page:
            yield page
        if len(page) < seals.PAGE:
            return
        after = page[-1]


async def _sampled(pages: AsyncIterable[list[Seal]], many: int) -> AsyncGenerator[list[Seal], None]:
    """So many seals of all pages, each as likely as another (a reservoir), the newest first."""
    kept: list[tuple[int, Seal]] = []
    seen = 0
    async for page in pages:
        for seal in page:
            if len(kept) < many:
                kept.append((seen, seal))
            elif (place := random.randrange(seen + 1)) < many:  # noqa: S311 - no secret
                kept[place] = (seen, seal)
            seen += 1
    yield [seal for _, seal in sorted(kept, key=lambda each: each[0])]


def _so_far(done: list[Verification], seconds: float) -> str:
    participants = sum(one.participants for one in done)
    return f"{humanize.plural(len(done), 'seal')}, {_rate(participants, seconds)}"


def _rate(participants: int, seconds: float) -> str:
    many = humanize.plural(participants, "participant")
    return many if seconds < 0.01 else f"{many}, {humanize.count(participants / seconds)} a second"


def _fields(
    done: list[Verification], counts: Counter[Result], wanted: SealSelection, now: datetime, took: float
) -> dict[str, object]:
    return {
        "at": now,
        "first_epoch": wanted.first,
        "last_epoch": wanted.last,
        "seals": [_seal_fields(one) for one in done],
        "counts": {result: counts[result] for result in RESULTS},
        "participants": sum(one.participants for one in done),
        "duration_seconds": round(took, 3),
    }


def _seal_fields(one: Verification) -> dict[str, object]:
    seal = one.seal
    fields: dict[str, object] = {
        "group": seal.group,
        "channel": seal.channel,
        "epoch": seal.epoch,
        "result": one.result,
        "participants": one.participants,
    }
    return fields | ({"reason": one.reason} if one.reason else {})


def _text(done: list[Verification], counts: Counter[Result], took: float, screen: Terminal) -> str:
    listed: Iterable[Verification] = done if len(done) <= _MOST_LINES else (one for one in done if one.reason)
    rows = sorted(listed, key=lambda one: RESULTS.index(one.result) if one.reason else len(RESULTS))
    lines: list[str] = []
    if rows:
        cells = [(_STYLES[one.result], (one.result, *_cells(one.seal), f"{one.participants}")) for one in rows]
        header = ("Result", "Group", "Channel", "Epoch", "Began", "Participants")
        lines = table(screen, header, cells[:_MOST_LINES], right=frozenset({3, 5}), flexible=(2,))
        if len(rows) > _MOST_LINES:
            lines.append(f"  and {humanize.count(len(rows) - _MOST_LINES)} more")
        lines += ["", *_reasons(rows, screen)]
    if not done:
        return "UNKNOWN: there is no such seal.\n"
    several = ", ".join(f"{humanize.count(counts[result])} {result}" for result in RESULTS if counts[result])
    participants = sum(one.participants for one in done)
    lines.append(f"{humanize.plural(len(done), 'seal')}: {several} ({_rate(participants, took)}).")
    return "\n".join(lines) + "\n"


def _cells(seal: Seal) -> tuple[str, str, str, str]:
    began = humanize.timestamp(datetime.fromtimestamp(seal.epoch, UTC)) if seal.epoch < 2**36 else "-"
    return seal.group, seal.channel, str(seal.epoch), began


def _reasons(rows: list[Verification], screen: Terminal) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for one in rows:
        if one.reason:
            reasons.setdefault(one.reason, []).append(f"{one.seal.channel} {one.seal.epoch}")
    lines = []
    for reason, where in list(reasons.items())[:_MOST_LINES]:
        lines += screen.wrapped(clean(f"{humanize.listed(where)}: {reason}."))
    return [*lines, ""] if lines else []
