"""Asks Postgres what the operator wrote: a number, or how old the newest of something is."""

from dataclasses import dataclass

from monitord.core.model import sample
from monitord.core.subjects.values import AHEAD
from monitord.postgres import statements
from monitord.postgres.shared import SharedSessions
from monitord.probes.checks.base import CheckResult, result


@dataclass(frozen=True, slots=True)
class SqlCheck:
    name: str
    sessions: SharedSessions
    statement: str
    unit: str
    timeout: float

    async def run(self) -> CheckResult:
        async with self.sessions.borrowed(self.name, self.timeout) as (session, left):
            value = await statements.number(session, self.name, self.statement, left)
        return result(self.name, value, self.unit)


@dataclass(frozen=True, slots=True)
class FreshnessCheck:
    """How long ago the newest moment was: of a column of a table, or of what a statement finds."""

    name: str
    sessions: SharedSessions
    table: str
    column: str
    statement: str
    timeout: float

    async def run(self) -> CheckResult:
        async with self.sessions.borrowed(self.name, self.timeout) as (session, left):
            if self.statement:
                newest = await statements.newest_by_statement(session, self.name, self.statement, left)
            else:
                newest = await statements.newest_in_table(session, self.table, self.column, left)
        ahead = round(newest.ahead, 3) if newest.ahead is not None else None
        return result(self.name, round(newest.age, 3), "seconds", sample(AHEAD, ahead, "seconds", check=self.name))
