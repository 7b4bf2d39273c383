"""How often rows come into tables: by the times of the newest rows, which an index or a small table gives cheaply."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from monitord.core.orders import StandingOrders

if TYPE_CHECKING:
    from monitord.postgres.session import Session

# By table the column that says when a row came; $1: the tables, as they are called in the settings; $2: how many bytes
# a table may have in which there is no index on it.
COLUMNS: Final = """
SELECT DISTINCT ON (found.name) found.name, found.place, quote_ident(a.attname) AS at
FROM (SELECT CASE WHEN n.nspname = 'public' THEN c.relname::text ELSE n.nspname || '.' || c.relname END AS name,
             quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS place, c.oid
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r') found
JOIN pg_attribute a ON a.attrelid = found.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE found.name = ANY($1::text[]) AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
  AND a.attname !~* 'expir|until|due|schedul|delet|updat|modif|publish'
  AND (pg_relation_size(found.oid) <= $2::int8
       OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = found.oid AND i.indisvalid AND i.indpred IS NULL
                  AND i.indkey[0] = a.attnum))
ORDER BY found.name, a.attname ~* 'creat|insert|added|receiv' DESC, a.attnum
"""
SMALL_BYTES: Final = 4_000_000
# The ages of the newest rows of which each came at least a minute before the one after it.
AGES: Final = """
WITH RECURSIVE moments(at, number) AS (
  SELECT (SELECT max({at}) FROM {place} WHERE {at} <= now()), 1
  UNION ALL
  SELECT (SELECT max({at}) FROM {place} WHERE {at} < moments.at - interval '1 minute'), number + 1
  FROM moments WHERE moments.at IS NOT NULL AND number < 25)
SELECT extract(epoch FROM now() - at)::float8 AS age FROM moments WHERE at IS NOT NULL ORDER BY number
"""
LEAST_GAPS: Final = 3
# Rows that come less often than this have no rhythm that a stall could be told by.
RAREST_SECONDS: Final = 86_400.0
# A stall is so many times the longest gap.
_TIMES: Final = 2
_MINUTE, _HOUR = 60, 3600


async def rhythms(session: Session, tables: Sequence[str], timeout: float) -> dict[str, float | None]:
    """By table how long no row may come in seconds, None where the default fits; without those that show no rhythm."""
    from monitord.postgres.errors import PostgresError

    found: dict[str, float | None] = {}
    try:
        async with session.read_only(timeout / 2) as connection:
            columns = await connection.fetch(COLUMNS, tables, SMALL_BYTES)
        for row in columns:
            async with session.read_only(timeout / (2 * len(columns))) as connection:
                ages = await connection.fetch(AGES.format(at=row["at"], place=row["place"]))
            if (stall := stall_of([each["age"] for each in ages])) is not None:
                found[row["name"]] = stall or None
    except PostgresError:
        return found
    return found


def stall_of(ages: Iterable[float]) -> float | None:
    """How many seconds without a row are a stall, by the ages of rows, the newest first.

    0 where the default is enough; None where the rows show no rhythm, or have stopped to come.
    """
    known = list(ages)
    gaps = [older - newer for newer, older in itertools.pairwise(known)]
    if len(gaps) < LEAST_GAPS or max(gaps) > RAREST_SECONDS or known[0] > _TIMES * max(gaps) + _MINUTE:
        return None
    stall = _TIMES * max(gaps)
    if stall <= StandingOrders().flow_stall.total_seconds():
        return 0.0
    unit = 5 * _MINUTE if stall <= _HOUR else 30 * _MINUTE
    return float(math.ceil(round(stall / unit, 2)) * unit)
