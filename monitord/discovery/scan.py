"""Scans once for what could be watched: services, tables, groups, queues, disks. Only reads, and not much."""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from monitord.core.cron import schedule
from monitord.core.history.mounts import shared
from monitord.core.history.process_model import Process
from monitord.core.history.process_states import WAITING, expectation
from monitord.core.model import Failure
from monitord.core.orders import SEALS as SEALED
from monitord.core.orders import TABLES as OWN_TABLES
from monitord.core.orders import Expected
from monitord.discovery.dotenv import DiscoveredDatabase, DiscoveredFleet, DiscoveredQueues, setting
from monitord.discovery.rhythms import rhythms
from monitord.pm2 import Pm2Error, client
from monitord.pm2.process_list import ListedProcess
from monitord.reporting.terminal import clean
from monitord.storage.lock import holder
from monitord.threads import run_once

OTHERS_AT_MOST: Final = 8
LABELS: Final = 24
# A seal is a row per channel: enough rows for 24 labels of some hundred channels in each group.
SEALS_AT_MOST: Final = 10_000

# Tables of this database that may be read, the most written first; `epochs` says that an exact count could be bounded.
TABLES: Final = """
SELECT CASE WHEN n.nspname = 'public' THEN c.relname::text ELSE n.nspname || '.' || c.relname END AS name,
       EXISTS (SELECT FROM pg_attribute a
               WHERE a.attrelid = c.oid AND a.attname = 'epoch' AND a.attnum > 0 AND NOT a.attisdropped) AS epochs,
       pg_stat_get_tuples_inserted(c.oid) AS inserted
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
ORDER BY pg_stat_get_tuples_inserted(c.oid) DESC, 1
LIMIT 200
"""

# $1: now; $2: how many of the newest seals to read. Labels of the future are somebody's test.
SEALS: Final = """
SELECT upper(newest.token_group) AS name, newest.epoch::int8 AS epoch
FROM (SELECT token_group, epoch FROM sealed_epochs WHERE epoch <= $1::int8 ORDER BY epoch DESC LIMIT $2::int8) newest
WHERE newest.token_group IS NOT NULL
GROUP BY 1, 2
"""


async def fleet(home: Path | None, state_dir: Path, timeout: float) -> DiscoveredFleet | None:
    """The services of the PM2 in `home`, without the daemon that may run on `state_dir` already."""
    if home is None:
        return None
    try:
        own = await run_once("state directory", holder, state_dir, timeout=timeout / 2)
    except OSError:
        own = None
    try:
        processes = await client.processes(home, timeout=timeout / 2)
    except Pm2Error as error:
        return DiscoveredFleet(str(home), failure=Failure(error.kind, str(error)))
    theirs = [p for p in processes if not p.module and (not own or p.pid != own)]
    wanted = expectations(theirs)
    ended = {p.name for p in theirs if p.status in WAITING and wanted[p.name] != "periodic"}
    troubled = sorted({p.name for p in theirs if p.status == "errored"} | ended)
    pids: dict[str, list[int]] = {}
    for process in theirs:
        if process.pid:
            pids.setdefault(process.name, []).append(process.pid)
    offset = time.localtime().tm_gmtoff
    schedules = {
        p.name: p.cron_restart
        for p in theirs
        if p.cron_restart and not p.autorestart and wanted[p.name] == "periodic" and is_in_utc(p.cron_restart, offset)
    }
    return DiscoveredFleet(str(home), wanted, tuple(troubled), schedules=schedules, pids=pids)


def is_in_utc(written: str, offset: int) -> bool:
    """Whether a schedule of PM2's, which is of the machine's time zone (seconds east of UTC), is the same in UTC."""
    try:
        schedule(written)
    except ValueError:
        return False
    return not offset or (written.split()[1:] == ["*"] * 4 and offset % 3600 == 0)


def expectations(processes: Sequence[ListedProcess]) -> dict[str, Expected]:
    """What each service is to be expected to be, by what it is now and by how PM2 is configured to keep it."""
    instances: dict[str, list[Process]] = {}
    for listed in processes:
        process = Process(
            state=listed.status,
            exit_code=listed.exit_code,
            schedule=None if listed.autorestart else listed.cron_restart,
            autorestart=listed.autorestart,
            restart_delay=listed.restart_delay,
            may_end=listed.may_end,
        )
        instances.setdefault(listed.name, []).append(process)
    return {name: expectation(instances[name]) for name in sorted(instances)}


async def database(
    given: str | None, configured: str | None, ca_file: Path | None, timeout: float
) -> DiscoveredDatabase | None:
    """What is in the database at `given` (from the command line) or else `configured`, within `timeout` seconds."""
    dsn = given or configured
    if dsn is None:
        return None
    # Only whoever has a database pays for its driver.
    from monitord.postgres import queries as statements
    from monitord.postgres.dsn import DsnError
    from monitord.postgres.dsn import parse as parse_dsn
    from monitord.postgres.errors import PostgresError
    from monitord.postgres.session import Session

    try:
        address = parse_dsn(dsn, ca_file, os.environ)
        session = Session(dsn, ca_file)
    except DsnError as error:
        return DiscoveredDatabase("# MONITORD_POSTGRES__DSN=postgresql://...", failure=Failure("protocol", str(error)))
    secret = address.password is not None or address.tls.key_password is not None
    places = ",".join(str(host) for host in address.hosts if host.name is not None and not host.name.startswith("/"))
    shown = f"postgresql://{address.user or ''}:...@{places}/{address.database or ''}"
    line = _address("MONITORD_POSTGRES__DSN", "DATABASE_URL", given, shown if secret else None)
    try:
        async with session.read_only(timeout / 2) as connection:
            tables = {row["name"]: row["epochs"] for row in await connection.fetch(TABLES)}
        watched, others = watchable(tables)
        stalls: dict[str, float | None] = await rhythms(session, [*watched, *others], timeout / 2)
        watched = (*watched, *(name for name in others if name in stalls))
        others = tuple(name for name in others if name not in stalls)
        longer = {name: stall for name, stall in stalls.items() if stall is not None}
        try:
            async with session.read_only(timeout / 2) as connection:
                if not any(row["there"] for row in await connection.fetch(statements.PRESENT, [SEALED])):
                    return DiscoveredDatabase(line, watched, others, stalls=longer)
                seals = [
                    (r["name"], r["epoch"]) for r in await connection.fetch(SEALS, int(time.time()), SEALS_AT_MOST)
                ]
        except PostgresError as error:
            why = f"{SEALED} cannot be read: {error.error}"
            return DiscoveredDatabase(line, watched, others, why_no_epochs=why, stalls=longer)
    except PostgresError as error:
        return DiscoveredDatabase(line, failure=Failure(error.kind, error.error))
    finally:
        await session.close()
    labels = sorted({epoch for _, epoch in seals}, reverse=True)[:LABELS]
    groups = Counter(name for name, epoch in seals if epoch in set(labels))
    why = "" if groups else f"no seals were found in {SEALED}"
    return DiscoveredDatabase(
        line, watched, others, epoch_seconds(labels), dict(sorted(groups.items())), len(labels), why, stalls=longer
    )


def watchable(tables: Mapping[str, bool]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The table to watch, and others there are. `tables` is name -> has an epoch column, the most written first.

    Only one: a table whose rhythm is not known may appear stalled for most of the time.
    """
    own = [name for name in tables if name in OWN_TABLES]
    with_epochs = [name for name, epochs in tables.items() if epochs]
    first = next(iter(own or with_epochs or tables), None)
    others = [name for name in tables if name != first]
    return (() if first is None else (first,)), tuple(others[:OTHERS_AT_MOST])


def epoch_seconds(labels: Sequence[int]) -> int | None:
    """How long an epoch is, by the most frequent distance between labels; None where they do not show it."""
    ordered = sorted(labels)
    distances = Counter(later - earlier for earlier, later in itertools.pairwise(ordered))
    if not distances:
        return None
    length, times = max(distances.items(), key=lambda item: (item[1], -item[0]))
    aligned = sum(1 for label in ordered if label % length == 0)
    return length if times * 2 > len(ordered) - 1 and aligned * 2 > len(ordered) else None


async def queues(
    given: str | None, configured: str | None, timeout: float, prefix: str = "bull"
) -> DiscoveredQueues | None:
    """The BullMQ queues in the Redis at `given` (from the command line) or else `configured`; `prefix`: the usual."""
    url = given or configured
    if url is None:
        return None
    from monitord.probes.base import Request, take
    from monitord.probes.redis import RedisProbe
    from monitord.redis.connection import Server
    from monitord.redis.scan import scan

    try:
        server, probe = Server(url), RedisProbe(url, ())
        line = _address("MONITORD_REDIS__URL", "REDIS_URL", given, _redis_without_password(url))
    except ValueError as error:
        return DiscoveredQueues("# MONITORD_REDIS__URL=redis://...", failure=Failure("protocol", str(error)))
    # The probe finds the words for whatever keeps it from being reached.
    reading = await take(probe, Request(time.time(), timeout / 2))
    await probe.close()
    if reading.failure is not None:
        return DiscoveredQueues(line, failure=reading.failure)
    found = await scan(server, tuple(dict.fromkeys((prefix, "bull"))), timeout / 2)
    return DiscoveredQueues(
        line,
        tuple(found.queues),
        complete=found.complete,
        why_unknown="" if found.allowed else "the keys cannot be scanned",
        prefixes={name: of_queue for name, of_queue in found.queues.items() if of_queue != prefix},
        doubles=found.doubles,
        elsewhere=found.elsewhere,
    )


async def disks(home: Path | None, dsn: str | None, timeout: float) -> tuple[str, ...]:
    """`/` and the mount points of PM2's home and of Postgres's socket, if that is on this machine."""
    places = [] if home is None else [home]
    if dsn is not None:
        from monitord.postgres.dsn import DsnError
        from monitord.postgres.dsn import parse as parse_dsn

        try:
            hosts = parse_dsn(dsn, None, os.environ).hosts
        except DsnError:
            hosts = ()
        places += [Path(host.name) for host in hosts if host.name is not None and host.name.startswith("/")]
    return tuple(dict.fromkeys(["/", *(await _points(places, timeout)).values()]))


async def no_mounts(paths: Sequence[str], timeout: float) -> tuple[str, ...]:
    """A sentence for each of these watched paths that is no mount point: what is measured there is another's."""
    points = await _points([Path(path) for path in paths], timeout)
    return tuple(shared(str(path), point) for path, point in points.items() if str(path) != point)


async def _points(places: Sequence[Path], timeout: float) -> dict[Path, str]:
    """On which mount point each place lies; without those that hang, or are not there."""
    found: dict[Path, str] = {}
    for place in places:
        with suppress(OSError):
            each = timeout / (2 * len(places))
            found[place] = await run_once(f"mount point of {place}", _mount_point, place, timeout=each)
    return found


def _mount_point(path: Path) -> str:
    path = path.resolve(strict=True)
    while not path.is_mount():
        path = path.parent
    return str(path)


def _address(name: str, alias: str, given: str | None, masked: str | None) -> str:
    """The line that sets a server's address: itself where it is no secret, else a comment that says what to do."""
    if given is None:
        return f"# {name} or {alias} is taken from where it is set already: the environment, .env or monitord.toml."
    return setting(name, given) if masked is None else f"# {name}={clean(masked)}  (fill in the password)"


def _redis_without_password(url: str) -> str | None:
    """A Redis URL as it may be shown, or None where it holds no secret. Raises ValueError: it cannot be taken apart."""
    parts = urlsplit(url)
    if "@" not in url and "password" not in url:
        return None
    if url.count("@") != 1 or "@" not in parts.netloc:  # a password that is not percent-encoded reaches past its place
        return f"{parts.scheme}://..."
    userinfo, _, place = parts.netloc.partition("@")
    return f"{parts.scheme}://{userinfo.partition(':')[0]}:...@{place}{parts.path}"
