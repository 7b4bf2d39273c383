"""Asks who took part in an epoch and was not sealed for it, which cemented channels live, and what is published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitord.core.names import distinct
from monitord.core.roots import plain
from monitord.failures import FailureError
from monitord.postgres import queries
from monitord.postgres.session import Session

if TYPE_CHECKING:
    from monitord.postgres.session import Connection

_MOST_NAMES = 5
# A group with more channels than this is not cemented, whatever the orders say: it is not read.
_MOST_CHANNELS = 100
# Seals of a group that are looked at: more than a day of 500 channels.
MOST_SEALS: Final = 15_000
_TABLES: Final = ("sealed_epochs", "l2_tree_cache")


@dataclass(frozen=True, slots=True)
class Participants:
    """What one group's participation in one label amounts to; `channels` are the first unsealed ones by name."""

    participating: int = 0
    unsealed: int = 0
    channels: tuple[str, ...] = ()


def spellings(groups: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Each group's name as given, in upper and in lower case: of the letters A to Z and no others."""
    return list(groups), [upper(group) for group in groups], [lower(group) for group in groups]


def upper(group: str) -> str:
    """Upper case as Postgres has it under collation C."""
    return "".join(letter.upper() if letter.isascii() else letter for letter in group)


def lower(group: str) -> str:
    return "".join(letter.lower() if letter.isascii() else letter for letter in group)


async def participation(
    session: Session, groups: Sequence[str], labels: Sequence[int], timeout: float
) -> dict[tuple[str, int], Participants]:
    """What each group's participation in each of `labels` amounts to. PostgresError: as the session has it."""
    async with session.read_only(timeout) as connection:
        rows = await connection.fetch(queries.PARTICIPATION, *spellings(groups), list(labels), _MOST_NAMES)
    parts = {(group, label): Participants() for group in groups for label in labels}
    for row in rows:
        names = tuple(distinct(name) for name in row["channels"] or ())
        parts[groups[row["position"] - 1], row["epoch"]] = Participants(row["participating"], row["unsealed"], names)
    return parts


async def lived(session: Session, labels: Sequence[tuple[str, int]], timeout: float) -> dict[tuple[str, int], bool]:
    """Whether anybody took part in each of these labels of a group. PostgresError: as above."""
    cases = spellings([group for group, _ in labels])
    async with session.read_only(timeout) as connection:
        rows = await connection.fetch(queries.TOOK_PART, *cases, [label for _, label in labels])
    took = {row["position"] - 1 for row in rows}
    return {asked: place in took for place, asked in enumerate(labels)}


async def ever_seen(session: Session, groups: Sequence[str], timeout: float) -> frozenset[str]:
    """The groups of which anything was ever sealed or in which anybody ever took part. PostgresError: as above."""
    async with session.read_only(timeout) as connection:
        rows = await connection.fetch(queries.EVER_SEEN, *spellings(groups))
    return frozenset(groups[row["position"] - 1] for row in rows)


async def lives(
    session: Session, groups: Sequence[str], first: int, last: int, length: int, timeout: float
) -> dict[str, dict[str, tuple[int, ...]]]:
    """The labels `first` to `last` that each channel sealed since took part in, by group. PostgresError: as above."""
    async with session.read_only(timeout) as connection:
        rows = await connection.fetch(queries.LIVES, *spellings(groups), first, last, length, _MOST_CHANNELS + 1)
    found: dict[str, dict[str, tuple[int, ...]]] = {group: {} for group in groups}
    for row in rows:
        found[groups[row["position"] - 1]][distinct(row["channel"])] = tuple(row["labels"])
    return {group: channels for group, channels in found.items() if len(channels) <= _MOST_CHANNELS}


@dataclass(frozen=True, slots=True)
class Published:
    """The newest label of a channel that is marked as published, and the root that was built for it."""

    group: str
    channel: str
    epoch: int
    root: str


async def published(
    connection: Connection, groups: Sequence[str], first: int, last: int, before: float
) -> list[Published]:
    """Of each channel of these groups the newest of labels from and to; the root is its tree's, or its seal's.

    What was marked as published after `before` (Unix seconds) is left out. FailureError: there are no seals
    (`missing`).
    """
    there = {row["name"]: row["there"] for row in await connection.fetch(queries.PRESENT, list(_TABLES))}
    if not there["sealed_epochs"]:
        raise FailureError("missing", "there is no table sealed_epochs in this database")
    statement = queries.NEWEST_PUBLISHED if there["l2_tree_cache"] else queries.NEWEST_PUBLISHED_WITHOUT_TREES
    names = {upper(group): group for group in groups}
    rows = await connection.fetch(
        statement, list(names), [lower(name) for name in names], first, last, before, MOST_SEALS
    )
    return [
        Published(names[row["token_group"]], row["channel"], row["epoch"], plain(row["tree"] or row["root"]))
        for row in rows
    ]
