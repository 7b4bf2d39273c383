"""Asks who took part in an epoch and was not sealed for it, and which channels of a cemented group live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitord.core.names import distinct
from monitord.postgres import queries
from monitord.postgres.session import Session

_MOST_NAMES = 5
# A group with more channels than this is not cemented, whatever the orders say: it is not read.
_MOST_CHANNELS = 100


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
