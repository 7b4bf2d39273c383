"""What the database says is published: the newest label of each channel, and the root that should be on chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitord.core.roots import plain
from monitord.failures import FailureError
from monitord.postgres import queries
from monitord.postgres.participation import lower, upper

if TYPE_CHECKING:
    from monitord.postgres.session import Connection

# Seals of a group that are looked at: more than a day of 500 channels.
MOST_SEALS: Final = 15_000
_TABLES: Final = ("sealed_epochs", "l2_tree_cache")


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
