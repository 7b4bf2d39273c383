"""Measures a Postgres database: how large it is, how its watched tables grow, and on demand exactly how much."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

from monitord.core.model import Kind, Sample, Unmeasured, sample
from monitord.postgres import catalogue, queries, sessions
from monitord.postgres.errors import LOCK_TIMED_OUT, PostgresError
from monitord.postgres.relations import (
    FOREIGN,
    MATERIALIZED,
    NO_TABLE,
    Relation,
    TableReading,
    largest,
    samples_of,
    why_uncounted,
    why_unseen,
)
from monitord.postgres.session import Session
from monitord.probes.base import Measured, Request, server_clock

if TYPE_CHECKING:
    import asyncpg

    from monitord.postgres.session import Connection

T = TypeVar("T")
_SHARE = 0.9  # of the reading's deadline, so that the sentence is ours and not the runner's
_COUNT_SHARE = 0.5  # of what is left of it, for one exact count
_KEYS_MOVE_AFTER = 100_000  # rows counted after one key
# The catalogue is read again so many times an epoch, and at once where it shows to have changed.
_AGAIN_PER_EPOCH = 12
# What cannot be measured for one of these reasons is looked for in each reading.
_PASSING: Final[frozenset[Kind]] = frozenset({"missing", "permission", "timeout"})


@dataclass(frozen=True)
class CountBounds:
    """How far a table is counted: at least `window` seconds of labels back, to `cap` rows: "at least so many"."""

    window: float = 7200.0
    cap: int = 5_000_000


class PostgresProbe:
    """Size, connections and table counters from the catalogue and the statistics, at a cost that no row adds to."""

    name = "postgres"

    def __init__(
        self,
        session: Session,
        tables: Sequence[str],
        epoch_length: float,
        window: float = CountBounds.window,
        cap: int = CountBounds.cap,
        defaults: Sequence[str] = (),
        bounds: Mapping[str, CountBounds] | None = None,
    ) -> None:
        """A probe over a session that somebody else closes.

        `tables` are `table` or `schema.table`, as people write them and the samples are labelled. Exact counts begin at
        a label, a multiple of `epoch_length` (seconds), with `bounds` by table, or `window` and `cap`. Of `defaults`,
        which nobody named, it is asked every time whether they are there.
        """
        self._session = session
        self._tables = tuple(dict.fromkeys(tables))
        self._names = [_name(table) for table in self._tables]
        self._length = max(1, int(epoch_length))
        self._bounds = {table: (bounds or {}).get(table, CountBounds(window, cap)) for table in self._tables}
        # The key after which what comes into a table is counted, by label, with the table's oid.
        self._keys: dict[str, tuple[int, int]] = {}
        self._defaults = list(dict.fromkeys(defaults))
        self._catalogue: catalogue.Catalogue | None = None

    async def measure(self, request: Request) -> Measured:
        """One transaction for everything cheap, one more for the exact counts when any are due.

        The catalogue, and sizes with it (`sizes_read`: when), is read twelve times an epoch, and when it has changed.
        PostgresError: it could not be queried. A table that cannot be measured is a gap instead.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        deadline = began + request.timeout * _SHARE
        server, relations = await self._look(request, began, deadline)
        samples, gaps = list(server), []
        due: list[tuple[str, str]] = []
        arriving: list[tuple[str, Relation]] = []
        uncounted: set[str] = set()  # of these no counter shows how many rows come, only the exact counts do
        replica, counting = (any(s.name == name and s.value == 1 for s in server) for name in ("replica", "counting"))
        for position, label in enumerate(self._tables, start=1):
            root = next((row for row in relations if position in row["root_of"]), None)
            if root is None:
                near = await self._near(self._names[position - 1][1], deadline)
                gaps.append(Unmeasured(label, "missing", f"there is no table {label} in this database{near}"))
                continue
            samples.append(sample("table_oid", root["oid"], table=label))
            if root["kind"] in NO_TABLE:
                gaps.append(Unmeasured(label, "protocol", f"{label} {NO_TABLE[root['kind']]}"))
                continue
            if not root["readable"]:
                gaps.append(Unmeasured(label, "permission", f"this role has no SELECT privilege on {label}"))
                continue
            if replica and root["unlogged"]:
                gaps.append(Unmeasured(label, "protocol", f"{label} is unlogged: a replica has none of its rows"))
                continue
            members = [TableReading.of(row) for row in relations if position in row["positions"]]
            if not counting:  # what was counted before it was switched off is no estimate of what is there now
                members = [replace(member, live=0, dead=0, surveyed=False) for member in members]
            seen = counting and all(member.kind != FOREIGN for member in members)
            indexed = all(member.indexed for member in members)
            serial = len(members) == 1 and root["serial"] is not None
            if replica or not seen:
                uncounted.add(label)
            if any(member.barred or (member.stored and member.bytes is None) for member in members):
                gaps.append(Unmeasured(label, "timeout", f"the size of {label} waits behind another session's lock"))
            elif root["kind"] == MATERIALIZED:
                why = "is a materialized view: its rows come when it is refreshed, and are not followed"
                gaps.append(Unmeasured(label, "protocol", f"{label} {why}"))
            elif not indexed and serial:
                if label in request.exact or replica or not seen:
                    arriving.append((label, root))
            elif not indexed and not seen:
                gaps.append(Unmeasured(label, "protocol", why_unseen(label, counting=counting)))
            elif indexed and (label in request.exact or replica or not seen):
                due.append((label, root["quoted"]))
            samples += samples_of(label, members, replica=replica, seen=seen, countable=indexed or serial)
        if replica:
            samples.append(sample("replica_lag", await self._lag(deadline), "seconds"))
        samples += largest(relations)
        now = request.now + request.database_ahead
        counted = [(label, await self._count(label, quoted, now, deadline)) for label, quoted in due]
        counted += [(label, await self._arrived(label, root, deadline)) for label, root in arriving]
        for label, found in counted:
            samples += found
            if label in uncounted and all(one.value is None for one in found):
                gaps.append(Unmeasured(label, "timeout", why_uncounted(label, replica=replica, counting=counting)))
        if any(gap.kind in _PASSING for gap in gaps):
            self._catalogue = None
        return Measured(tuple(samples), tuple(gaps))

    async def _arrived(self, label: str, root: Relation, deadline: float) -> list[Sample]:
        """Rows that came after a key, for a table whose key is drawn from a sequence.

        The key stays for many counts, so that what is committed late is counted; then two counts share the next one.
        """
        quoted, serial, cap = root["quoted"], root["serial"], self._bounds[label].cap
        oid, after = self._keys.get(label, (None, 0))

        async def counted(connection: Connection) -> asyncpg.Record | None:
            nonlocal after
            newest = await connection.fetchval(queries.newest_key(quoted, serial)) or 0
            if oid != root["oid"] or newest < after:  # the first count, or the sequence was begun anew
                after = newest
            return await connection.fetchrow(queries.arrived(quoted, serial), after, cap)

        row = await self._beside(deadline, counted)
        if row is None:
            return [sample("table_recent", None, table=label, since=str(after))]
        self._keys[label] = (root["oid"], after)
        is_capped = row["rows"] >= cap
        found = [sample("table_arrived", row["rows"], table=label, since=str(after), capped=str(int(is_capped)))]
        if row["rows"] >= min(_KEYS_MOVE_AFTER, cap):
            # What is beyond a cap is counted from where the count stopped.
            self._keys[label] = (root["oid"], row["top"])
            if not is_capped:
                found.append(sample("table_arrived", 0, table=label, since=str(row["top"]), capped="0"))
        return found

    async def _beside(self, deadline: float, ask: Callable[[Connection], Awaitable[T]]) -> T | None:
        """What the reading can do without, asked in its share of what is left; None where that cannot be had."""
        left = deadline - asyncio.get_running_loop().time()
        try:
            async with self._session.read_only(left * _COUNT_SHARE) as connection:
                return await ask(connection)
        except PostgresError:
            return None

    async def _lag(self, deadline: float) -> float | None:
        """Seconds a standby is behind its primary; None where it does not show it (some that are managed do not)."""
        lag = await self._beside(deadline, lambda connection: connection.fetchval(queries.LAG))
        return None if lag is None else round(float(lag), 3)

    async def _near(self, name: str, deadline: float) -> str:
        """What else a name that was not found may have meant, to end a sentence."""
        rows = await self._beside(deadline, lambda connection: connection.fetch(queries.NEAR, name))
        found = [row["label"] for row in rows or ()]
        return f"; there is {' and '.join(found)}" if found else ""

    def listen(self, heard: Callable[[str], None]) -> None:
        self._session.listen(heard)

    async def ping(self) -> None:
        await self._session.ping()

    async def close(self) -> None:
        """Nothing to let go of: the session belongs to whoever made it."""

    async def _look(self, request: Request, began: float, deadline: float) -> tuple[list[Sample], list[Relation]]:
        """The server's own samples, and what is known of each relation.

        A lock that was taken between looking for locks and measuring fails the statement. The second check sees it
        and goes around it; the third measures no sizes at all.
        """
        for _ in range(2):
            try:
                return await self._look_once(request, began, deadline, sized=True)
            except PostgresError as error:
                self._catalogue = None
                if error.state != LOCK_TIMED_OUT:
                    raise
        return await self._look_once(request, began, deadline, sized=False)

    async def _look_once(
        self, request: Request, began: float, deadline: float, *, sized: bool
    ) -> tuple[list[Sample], list[Relation]]:
        loop = asyncio.get_running_loop()
        known = self._catalogue
        if known is not None and not 0 <= request.now - known.read_at < self._length / _AGAIN_PER_EPOCH:
            known = None
        async with self._session.read_only(deadline - loop.time()) as connection:
            response = self._session.opened_in_ms
            if known is not None and not await self._moved_on(connection, known):
                known = None
            if known is None:
                known = await catalogue.whole(connection, self._names, self._defaults, request.now, sized=sized)
            pid_told = connection.get_server_pid()
            doing = sessions.summed(await connection.fetch(queries.SESSIONS, known.server["database_oid"]))
            is_read_only = known.now["read_only"] == "on"
            source = await connection.fetchval(queries.SOURCE_OF_READ_ONLY) if is_read_only else None
            waiting = await sessions.waits(connection, doing)
        self._catalogue, server, now = known, known.server, known.now
        refusals = await sessions.refusals(
            known, doing, source, pid_told, lambda: self._session.accepted(deadline - loop.time())
        )
        return [
            sample("response", round(response, 3), "ms"),
            sample("connections", now["connections"]),
            sample("database_size", server["bytes"], "bytes"),
            sample("replica", int(now["replica"])),
            sample("server_version", server["version"]),
            server_clock(now["clock"], began, known.last.asked, known.last.answered),
            sample("counting", int(now["counting"] == "on")),
            sample("server_started", now["started"], "timestamp"),
            sample("system_identifier", known.system, ""),
            sample("database_oid", server["database_oid"], database=server["database"]),
            sample("sizes_read", known.read_at, "timestamp"),
            *(sample("there", int(there), table=name) for name, there in known.present.items()),
            *refusals,
            *sessions.samples(doing, known.most, server["xid_used"]),
            *sessions.standbys(known.standbys),
            *waiting,
        ], known.relations

    async def _moved_on(self, connection: asyncpg.Connection[asyncpg.Record], known: catalogue.Catalogue) -> bool:
        """Bring what moves up to date. False where the catalogue must be read anew."""
        now = await catalogue.now(connection, known.server["database_oid"], self._defaults)
        counters: dict[int, asyncpg.Record] = {}
        if known.watched:
            oids = [relation["oid"] for relation in known.watched]
            await self._session.counted(connection, known.sized, sized=True)
            counters |= await self._session.counted(connection, oids)
        if known.standbys["standbys"]:
            known.standbys = await catalogue.standbys(connection)
        return known.moved_on(now, counters) and await catalogue.children(connection, known) == known.children

    async def _count(self, label: str, quoted: str, now: float, deadline: float) -> list[Sample]:
        """Rows from a label on, and from the next: counts before and after the turn of an epoch share a bound.

        A count without a value when it did not finish in time, which is no failure of the reading.
        """
        bounds = self._bounds[label]
        since = int((now - bounds.window) // self._length) * self._length
        row = await self._counted(quoted, since, bounds.cap, deadline)
        if row is None:
            return [sample("table_recent", None, table=label, since=str(since))]
        found = [sample("table_recent", row["rows"], table=label, since=str(since))]
        if row["rows"] < bounds.cap:  # else the later bound's share of the rows is anybody's guess
            found.insert(0, sample("table_recent", row["later_rows"], table=label, since=str(since + self._length)))
            return found
        # So many that the window cannot be counted; the present epoch may be, and shares its bound with the next count.
        newest = int(now // self._length) * self._length
        row = await self._counted(quoted, newest, bounds.cap, deadline) if newest > since else None
        if row is not None and row["rows"] < bounds.cap:
            found.append(sample("table_newest", row["rows"], table=label, since=str(newest)))
        return found

    async def _counted(self, quoted: str, since: int, cap: int, deadline: float) -> asyncpg.Record | None:
        bounds = since, since + self._length, cap
        return await self._beside(deadline, lambda connection: connection.fetchrow(queries.recent(quoted), *bounds))


def _name(configured: str) -> tuple[str | None, str]:
    *schema, table = queries.name_parts(configured) or ("",)
    return (schema[0] if schema else None), table
