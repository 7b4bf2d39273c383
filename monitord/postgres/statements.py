"""Statements of the operator's own: one that finds a number, and the newest moment of a column.

Each is asked in the read-only transaction of a Session, and at most two rows of one column come back, of a type that
is known before anything is run.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from monitord.core.model import Kind
from monitord.failures import FailureError
from monitord.postgres import queries
from monitord.postgres.errors import (
    CANCELLED,
    LOCK_TIMED_OUT,
    NO_PRIVILEGE,
    UNDEFINED_COLUMN,
    UNDEFINED_TABLE,
    PostgresError,
)

if TYPE_CHECKING:
    from monitord.postgres.session import Connection, Session

_WHOLE: Final = ("int2", "int4", "int8")
_NUMBERS: Final = (*_WHOLE, "numeric", "float4", "float8", "bool")
_MOMENTS: Final = (*_NUMBERS[:-1], "timestamptz", "timestamp", "date")
# Whole numbers from so many on are milli-, micro- and nanoseconds: of seconds they would be the year 5138.
_PER_SECOND: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
# What is so little ahead of the server's clock is as of now: a writer's clock may differ.
AHEAD_SECONDS: Final = 60.0
# A calendar day has begun elsewhere when it has not in UTC.
_AHEAD_DATES: Final = 86400.0
# How often a column is asked for what is not of the future; a column may hold numbers of several units.
_LOOKS: Final = 3

# By SQLSTATE, or its class. A server's own words are never repeated: they may quote what stands in a row.
_BY_STATE: Final[dict[str, tuple[Kind, str]]] = {
    UNDEFINED_TABLE: ("missing", "names a table that is not there"),
    UNDEFINED_COLUMN: ("missing", "names a column that is not there"),
    "42883": ("missing", "names a function or an operator that is not there"),
    "3F000": ("missing", "names a schema that is not there"),
    NO_PRIVILEGE: ("permission", "asks for what this role may not read"),
    "25006": ("protocol", "would write, and monitord only reads"),
    "0A000": ("protocol", "asks for what Postgres does not do"),
    "42601": ("protocol", "is not one statement that Postgres understands"),
    "42": ("protocol", "is not one that Postgres can run (error {state})"),
    "22012": ("protocol", "divides by zero"),
    "22": ("protocol", "comes upon a value that it cannot compute with (error {state})"),
    CANCELLED: ("timeout", "was not done in time"),
    LOCK_TIMED_OUT: ("timeout", "waits behind another session's lock"),
}


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest moment not of the future, as its age (seconds); `ahead`: how far off the newest of all is."""

    age: float
    ahead: float | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What stands in the first column of the first row, by the type of the column; or why nothing does."""

    value: object = None
    type: str = ""
    wrong: tuple[Kind, str] | None = None


async def number(session: Session, called: str, statement: str, timeout: float) -> float:
    """The number in the first column of a statement's only row. FailureError: there is none, or no answer."""
    async with _asking(session, timeout, lambda error: _explained(error, f"the statement of {called}")) as connection:
        found = await _first(connection, statement, _NUMBERS, "a number")
    value = _number(found.value) if found.wrong is None else None
    if value is None:
        kind, why = found.wrong or ("protocol", "finds what is no number (NaN, or without an end)")
        raise FailureError(kind, f"the statement of {called} {why}")
    return value


async def newest_by_statement(session: Session, called: str, statement: str, timeout: float) -> Newest:
    """The age of the moment in a statement's only row. FailureError: there is none, or one of the future."""
    async with _asking(session, timeout, lambda error: _explained(error, f"the statement of {called}")) as connection:
        found = await _first(connection, statement, _MOMENTS, "a moment")
        clock = await connection.fetchval(queries.CLOCK)
    at = _moment(found.value) if found.wrong is None else None
    if at is None:
        kind, why = found.wrong or ("protocol", "finds what is no moment")
        raise FailureError(kind, f"the statement of {called} {why}")
    if at > clock + _tolerated(found.type):
        raise FailureError("protocol", f"the statement of {called} finds a moment of the future ({_day(at)})")
    return Newest(max(0.0, clock - at))


async def newest_in_table(session: Session, table: str, column: str, timeout: float) -> Newest:
    """The age of the newest moment in a column, future ones passed over, and named. FailureError: there is none.

    `table` may be `schema.table`, each part quoted; the column is of a type for moments or days, or whole Unix time.
    """
    source, field = queries.quoted(table), queries.quoted(column, parts=1)
    async with _asking(session, timeout, lambda error: _of_column(error, table, column)) as connection:
        clock = await connection.fetchval(queries.CLOCK)
        found = top = await _first(connection, queries.newest(source, field), _MOMENTS, "a moment")
        for _ in range(_LOOKS):
            at = _moment(found.value)
            if at is None or at <= clock + _tolerated(found.type):
                break
            bound = _bound(found, clock)
            found = await _first(connection, queries.newest(source, field, until=bound), _MOMENTS, "a moment")
    if found.wrong is not None:
        raise FailureError(found.wrong[0], f"{column} of {table} {found.wrong[1]}")
    at, latest = _moment(found.value), _moment(top.value)
    if at is None or latest is None or at > clock + _tolerated(found.type):
        raise FailureError("protocol", f"{column} of {table} holds no moment that is not of the future")
    ahead = latest - clock if latest > clock + _tolerated(top.type) else None
    return Newest(max(0.0, clock - at), ahead)


@asynccontextmanager
async def _asking(
    session: Session, timeout: float, explained: Callable[[PostgresError], FailureError]
) -> AsyncIterator[Connection]:
    """A transaction whose errors become what `explained` makes of them, whichever deadline ends it."""
    has_begun = False
    try:
        async with session.read_only(timeout) as connection:
            has_begun = True
            yield connection
    except PostgresError as error:
        if has_begun and error.kind == "timeout" and not error.state:
            raise explained(PostgresError(error.kind, error.error, CANCELLED)) from error
        raise explained(error) from error


async def _first(connection: Connection, statement: str, types: tuple[str, ...], what: str) -> _Found:
    """The first column of the only row, once it is known to be of one of these types.

    The statement is prepared without a name: behind a transaction pool a named one would be left to others.
    """
    prepared = await connection.prepare(statement, name="")
    columns = prepared.get_attributes()
    if not columns:
        return _Found(wrong=("protocol", "returns nothing: it is no SELECT"))
    kind = columns[0].type.name
    if kind not in types:
        return _Found(wrong=("protocol", f"finds {kind}, which is not {what}"))
    if len(columns) > 1:  # of a wide row only its first column comes over the wire
        prepared = await connection.prepare(queries.first_column(statement), name="")
    cursor = await prepared.cursor()
    rows = await cursor.fetch(2)
    if len(rows) != 1:
        return _Found(wrong=("missing", "returns no row") if not rows else ("protocol", "returns more than one row"))
    if rows[0][0] is None:
        return _Found(wrong=("missing", "finds no value (NULL)"))
    return _Found(rows[0][0], kind)


def _explained(error: PostgresError, what: str) -> FailureError:
    """In the words of whoever wrote the statement, where the server has refused it; else the session's own."""
    known = _BY_STATE.get(error.state) or _BY_STATE.get(error.state[:2])
    if not error.state or error.state.startswith(("08", "28", "57P", "53")):
        return error
    if known is None:
        return FailureError("protocol", f"{what} failed in Postgres (error {error.state})")
    return FailureError(known[0], f"{what} {known[1].format(state=error.state)}")


def _of_column(error: PostgresError, table: str, column: str) -> FailureError:
    known: dict[str, tuple[Kind, str]] = {
        UNDEFINED_TABLE: ("missing", f"there is no table {table} in this database"),
        "3F000": ("missing", f"there is no table {table} in this database: its schema is not there"),
        UNDEFINED_COLUMN: ("missing", f"{table} has no column {column}"),
        NO_PRIVILEGE: ("permission", f"this role has no SELECT privilege on {column} of {table}"),
        "42883": ("protocol", f"{column} of {table} is of a type that has no newest value"),
        CANCELLED: ("timeout", f"the newest {column} of {table} was not found in time; is there an index on it?"),
        LOCK_TIMED_OUT: ("timeout", f"{table} waits behind another session's lock"),
    }
    if error.state in known:
        return FailureError(*known[error.state])
    return _explained(error, f"the newest {column} of {table}")


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _moment(value: object) -> float | None:
    """Unix seconds. What has no time zone is UTC; a day is when it begins."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return aware.timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    found = _number(value)
    return None if found is None else found / _per_second(found)


def _per_second(number: float) -> float:
    return next((factor for least, factor in _PER_SECOND if number >= least), 1.0)


def _tolerated(kind: str) -> float:
    return _AHEAD_DATES if kind == "date" else AHEAD_SECONDS


def _bound(found: _Found, clock: float) -> str:
    """The last moment that is not of the future, as the column writes it."""
    if found.type not in _NUMBERS:
        return queries.moment(found.type, clock + _tolerated(found.type))
    number = _number(found.value) or 0.0
    return str(int((clock + AHEAD_SECONDS) * _per_second(number)))


def _day(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return "beyond all calendars"
