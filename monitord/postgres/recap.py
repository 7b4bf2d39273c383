"""The recap of each token group, as counts only: no user's name or hash ever leaves the database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from monitord.core.names import distinct
from monitord.core.report.model import Recap
from monitord.postgres import queries
from monitord.postgres.errors import PostgresError
from monitord.postgres.participation import spellings
from monitord.postgres.session import Session

if TYPE_CHECKING:
    import asyncpg

# Where the rows of a group are no longer counted; a night of the fleet has a tenth of it.
MOST_RECORDS = 2_000_000

_PARTS = (queries.RECORDS, queries.VIEWERS, queries.LEADER)


async def recap(
    session: Session, groups: Sequence[str], since: int, until: int, timeout: float, *, cap: int = MOST_RECORDS
) -> tuple[Recap, ...]:
    """Who took part in the labels in [since, until) (Unix seconds), for each group.

    Each part is one bounded query with its share of the seconds that are left; one that does not finish is None. Past
    `cap` rows the counts say "at least" (`capped`), and who leads is not known. PostgresError: not one part could be
    queried.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    left = len(groups) * len(_PARTS)
    failures: list[PostgresError] = []
    recaps = []
    for group, *cases in zip(groups, *spellings(groups), strict=True):
        answers: list[list[asyncpg.Record] | None] = []
        for query in _PARTS:
            share = max(0.0, deadline - loop.time()) / left
            left -= 1
            try:
                async with session.read_only(share) as connection:
                    answers.append(await connection.fetch(query, cases, since, until, cap + 1))
            except PostgresError as error:
                failures.append(error)
                answers.append(None)
        recaps.append(_recap(group, cap, *answers))
    if failures and len(failures) == len(groups) * len(_PARTS):
        raise failures[0]
    return tuple(recaps)


def _recap(
    group: str,
    cap: int,
    records: list[asyncpg.Record] | None,
    viewers: list[asyncpg.Record] | None,
    leader: list[asyncpg.Record] | None,
) -> Recap:
    capped = any(row["records"] > cap for rows in (records, viewers, leader) for row in rows or ())
    first = leader[0] if leader and not capped else None
    return Recap(
        group=group,
        channels=records[0]["channels"] if records else None,
        participant_records=min(records[0]["records"], cap) if records else None,
        unique_viewers=viewers[0]["viewers"] if viewers else None,
        categories=records[0]["categories"] if records else None,
        leader=distinct(first["channel"]) if first else None,
        leader_viewers=first["viewers"] if first else None,
        capped=capped,
    )
