"""What a database's catalogue says: asked whole now and then, and in between only for what moves.

Sizes, columns, indexes and rights are dear to ask for and hardly change. What moves (counters, sessions, the clock) is
asked for in each reading, with what shows that the rest has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from monitord.postgres import queries
from monitord.postgres.relations import Relation

if TYPE_CHECKING:
    import asyncpg

    from monitord.postgres.session import Connection

# What of a relation must be as it was for the rest to be.
_SAME: Final = ("name", "kind", "parent")
_OF_COUNTERS: Final = (
    *("pages_then", "rows_then", "inserted", "deleted", "updated", "live", "dead", "changed", "vacuums", "analyses"),
)


@dataclass(frozen=True, slots=True)
class Now:
    """A row of queries.now, and when it was asked for and answered (the loop's time)."""

    row: asyncpg.Record
    asked: float
    answered: float


@dataclass(slots=True)
class Catalogue:
    """The catalogue as of `read_at` (Unix seconds), with the last counters; `system` None: not to be asked for."""

    read_at: float
    server: asyncpg.Record
    system: str | None
    relations: list[Relation]
    present: dict[str, bool]
    standbys: asyncpg.Record
    children: int
    last: Now

    @property
    def now(self) -> asyncpg.Record:
        return self.last.row

    @property
    def most(self) -> int:
        """How many connections the server accepts from others than its superusers."""
        return int(self.now["most"]) - int(self.now["reserved"]) - int(self.now["reserved_more"] or 0)

    @property
    def watched(self) -> list[Relation]:
        return [relation for relation in self.relations if relation["positions"]]

    @property
    def sized(self) -> list[int]:
        return [relation["oid"] for relation in self.watched if relation["stored"]]

    def moved_on(self, now: Now, counters: Mapping[int, asyncpg.Record]) -> bool:
        """Take in what moves, by rows of queries.now and COUNTERS. False where the catalogue must be read anew."""
        was = self.now
        if any(now.row[name] != was[name] for name in ("started", "replica", "counting", "there")):
            return False
        for relation in self.watched:
            row = counters.get(relation["oid"])
            if row is None or any(row[name] != relation[name] for name in _SAME):
                return False
            relation.update({name: row[name] for name in _OF_COUNTERS})
            relation["surveyed"] = row["vacuums"] + row["analyses"] > 0
            if row["heap_bytes"] is not None:
                relation["pages"] = row["heap_bytes"] // self.server["block_size"]
        self.last = now
        return True


async def whole(
    connection: Connection, names: Sequence[tuple[str | None, str]], defaults: Sequence[str], at: float, *, sized: bool
) -> Catalogue:
    """The catalogue of a database, with tables of these `names` (schema, name) in it, in a transaction.

    Of `defaults` it is asked whether they are there, `at` Unix seconds. `sized`: sizes are measured, for which locks
    are taken.
    """
    server = await connection.fetchrow(queries.SERVER)
    assert server is not None  # noqa: S101 - a database that is being talked to is in pg_database
    system = await connection.fetchval(queries.SYSTEM) if server["identifiable"] else None
    schemas, tables = [schema for schema, _ in names], [name for _, name in names]
    relations: list[Relation] = [dict(row) for row in await connection.fetch(queries.RELATIONS, schemas, tables, sized)]
    present = await connection.fetch(queries.PRESENT, list(defaults)) if defaults else []
    found = Catalogue(
        at,
        server,
        system,
        relations,
        {row["name"]: row["there"] for row in present},
        await standbys(connection),
        0,
        await now(connection, server["database_oid"], defaults),
    )
    found.children = await children(connection, found)
    return found


async def children(connection: Connection, found: Catalogue) -> int:
    """How many parts the watched tables have, all together; without a statement where none has had any."""
    parents = [relation["oid"] for relation in found.watched if relation["parent"]]
    return int(await connection.fetchval(queries.CHILDREN, parents)) if parents else 0


async def now(connection: Connection, database_oid: int, defaults: Sequence[str]) -> Now:
    loop = asyncio.get_running_loop()
    asked = loop.time()
    names = ['"' + name.replace('"', '""') + '"' for name in defaults]
    row = await connection.fetchrow(queries.now(len(names)), database_oid, *names)
    assert row is not None  # noqa: S101 - it has no table that could be empty
    return Now(row, asked, loop.time())


async def standbys(connection: Connection) -> asyncpg.Record:
    row = await connection.fetchrow(queries.STANDBYS)
    assert row is not None  # noqa: S101 - it aggregates
    return row
