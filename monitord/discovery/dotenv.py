"""What was found beside monitord as a `.env` that would watch it: names only, and no secret, given or not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Final

from monitord.core.model import Failure
from monitord.core.orders import FED_BY, SEALED_BY, Expected
from monitord.core.units import duration_text
from monitord.discovery.endpoints import DiscoveredEndpoint, checks
from monitord.reporting.terminal import clean

HOUR: Final = 3600
# So many services are proposed as a cause, for a person to choose from.
_MOST_PROPOSED: Final = 8
# What turns a part off where that is not to set the variable to nothing.
_OFF: Final = {"MONITORD_EPOCHS__GROUPS": "[]"}
# What JSON may say as it is and .env readers and shells take for something of their own.
_ESCAPED: Final = str.maketrans({c: f"\\u{ord(c):04x}" for c in "'$`"})


@dataclass(frozen=True, slots=True)
class DiscoveredFleet:
    """PM2's services, what each is expected to be, and which are in trouble now.

    `schedules` are those of services that PM2 starts by the clock, in UTC; `pids` the processes of each service.
    """

    home: str
    services: Mapping[str, Expected] = field(default_factory=dict)
    troubled: Sequence[str] = ()
    failure: Failure | None = None
    schedules: Mapping[str, str] = field(default_factory=dict)
    pids: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def line(self) -> str:
        return setting("MONITORD_PM2__HOME", self.home)

    def expected(self) -> dict[str, str]:
        """What each service is expected to be, as it is written."""
        return {
            name: f"{wanted}:{self.schedules[name]}" if name in self.schedules else wanted
            for name, wanted in self.services.items()
        }


@dataclass(frozen=True, slots=True)
class DiscoveredDatabase:
    """What Postgres holds. `line` sets its address, as far as it may be shown.

    `epoch_seconds` is None where the labels do not show it; `sealed` is group -> how many of the newest `labels` it
    has. `tables` are to be watched, `others` are written to as well. `stalls` is, by table, how many seconds without a
    new row are a stall, where the default is too short for it.
    """

    line: str
    tables: Sequence[str] = ()
    others: Sequence[str] = ()
    epoch_seconds: int | None = None
    sealed: Mapping[str, int] = field(default_factory=dict)
    labels: int = 0
    why_no_epochs: str = ""
    failure: Failure | None = None
    stalls: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DiscoveredQueues:
    """What Redis holds. `complete` is False where there are more keys than were read.

    `prefixes` are those that must be written, by the queue's name; `doubles` further queues of the same names, as
    PREFIX:QUEUE; `elsewhere` how many keys other databases of the server hold, by their numbers.
    """

    line: str
    names: Sequence[str] = ()
    complete: bool = True
    why_unknown: str = ""
    failure: Failure | None = None
    prefixes: Mapping[str, str] = field(default_factory=dict)
    doubles: Sequence[str] = ()
    elsewhere: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Discovered:
    """Everything that was found; None for what has no address. `off` are variables that turn a part off."""

    fleet: DiscoveredFleet | None
    database: DiscoveredDatabase | None
    queues: DiscoveredQueues | None
    disks: Sequence[str]
    endpoints: Sequence[DiscoveredEndpoint] = ()
    off: Sequence[str] = ()


_Scanned = DiscoveredFleet | DiscoveredDatabase | DiscoveredQueues


def dotenv(found: Discovered, headline: str) -> str:
    lines = [_comment(headline)]
    for section in (_fleet(found.fleet), _database(found.database), _queues(found.queues, found.fleet)):
        lines += ["", *section]
    lines += _causes(found.fleet, found.database)
    if found.endpoints:
        known = _names("MONITORD_CHECKS", checks(found.endpoints))
        lines += ["", _comment("Ports that services listen on, and that answer."), *known]
    if found.off:
        lines += ["", _comment("Not to be watched."), *(f"{name}={_OFF.get(name, '')}" for name in found.off)]
    disks = _names("MONITORD_HOST__DISKS", found.disks)
    lines += ["", _comment("Disks: one path on each file system to watch."), *disks]
    return "\n".join(lines) + "\n"


def setting(name: str, value: str) -> str:
    """One line that sets a variable to a text, whatever stands in it."""
    if value.isascii() and value.replace("/", "").replace(".", "").replace("-", "").replace("_", "").isalnum():
        return f"{name}={value}"
    # Between single quotes only a quote and a backslash mean anything to those who read .env files.
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{quoted}'" if clean(value) == value else _comment(f"{name} cannot be written on one line.")


def _unscanned(name: str, part: _Scanned | None, unset: str) -> Iterator[str]:
    if part is None or part.failure is None:
        yield _comment(f"{name}: {unset}.")
    else:
        yield _comment(f"{name} could not be scanned ({part.failure.kind}): {part.failure.error}.")
        yield part.line


def _fleet(fleet: DiscoveredFleet | None) -> Iterator[str]:
    if fleet is None or fleet.failure is not None:
        unset = "there is no home at ~/.pm2; set MONITORD_PM2__HOME (or PM2_HOME) to watch one elsewhere"
        yield from _unscanned("PM2", fleet, unset)
        return
    yield _comment("PM2: each service and what it is expected to be: online, stopped, or periodic (either is right).")
    if "periodic" in fleet.services.values():
        yield _comment(
            '"periodic:30m" names how often it is to run, "periodic:0 */2 * * *" when (UTC); else it is learned.'
        )
    yield fleet.line
    if fleet.services:
        yield from _names("MONITORD_ORDERS__SERVICES", fleet.expected())
    else:
        yield _comment("No services are named; without MONITORD_ORDERS__SERVICES what is seen online must stay so.")


def _database(database: DiscoveredDatabase | None) -> Iterator[str]:
    if database is None or database.failure is not None:
        unset = "not scanned; give it as --dsn, MONITORD_POSTGRES__DSN or DATABASE_URL"
        yield from _unscanned("Postgres", database, unset)
        return
    yield _comment("Postgres.")
    yield database.line
    yield _comment("Tables whose growth is judged: a table that is not written to all the time would appear stalled.")
    declared = {name: _stall(database.stalls.get(name)) for name in database.tables}
    if any(declared.values()):
        yield _comment("flow_stall: how long no row may come, by the times of the newest rows.")
    yield from _names("MONITORD_POSTGRES__TABLES", declared if any(declared.values()) else database.tables)
    if database.others:
        yield _comment(f"Also there: {', '.join(database.others)}")
    yield from _epochs(database)


def _stall(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"flow_stall": _seconds(seconds)}


def _causes(fleet: DiscoveredFleet | None, database: DiscoveredDatabase | None) -> Iterator[str]:
    """What explains that no rows come, or that nothing is sealed: what is known to, else a comment to be filled in."""
    if fleet is None or database is None or not fleet.services:
        return
    for name, subjects, known, what in (
        ("MONITORD_ORDERS__FED_BY", [*database.tables, *database.sealed], FED_BY, "no rows of it come"),
        ("MONITORD_ORDERS__SEALED_BY", list(database.sealed), SEALED_BY, "nothing of it is sealed"),
    ):
        declared = {subject: _meant(known.get(subject, ()), fleet.services) for subject in subjects}
        found = {subject: services for subject, services in declared.items() if services}
        if not subjects:
            continue
        yield ""
        yield _comment(f"What explains what: the services whose death means that {what}.")
        if found:
            yield from _names(name, found)
            continue
        online = [service for service, wanted in fleet.services.items() if wanted == "online"]
        yield _comment("Nothing here shows which they are: keep those that are, and uncomment the line.")
        yield from (_comment(line) for line in _names(name, {subjects[0]: online[:_MOST_PROPOSED]}))


def _meant(patterns: Sequence[str], services: Iterable[str]) -> list[str]:
    return [name for name in services if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _epochs(database: DiscoveredDatabase) -> Iterator[str]:
    if not database.sealed:
        if database.why_no_epochs:  # else there is no such table, and nothing to say of it
            yield _comment(f"Epochs: {database.why_no_epochs}.")
        return
    yield _comment(f"Epochs: groups found in the newest {database.labels} labels of sealed_epochs.")
    yield from _names("MONITORD_EPOCHS__GROUPS", list(database.sealed))
    for group, labels in database.sealed.items():
        if labels * 2 < database.labels:
            yield _comment(f"{group} has seals in only {labels} of them: leave it out if that is how it should be.")
    if database.epoch_seconds is None:
        yield _comment(
            "The labels are too few or too uneven to know how long an epoch is; MONITORD_EPOCHS__LENGTH is 1h."
        )
        return
    length = database.epoch_seconds
    yield setting("MONITORD_EPOCHS__LENGTH", _seconds(length))
    if length != HOUR:
        yield _comment("The defaults are for epochs of an hour; these are as much of this length.")
        yield setting("MONITORD_EPOCHS__GRACE", _seconds(length / 4))
        yield setting("MONITORD_ORDERS__SEAL_WARNING", _seconds(2 * length))
        yield setting("MONITORD_ORDERS__SEAL_CRITICAL", _seconds(4 * length))


def _queues(queues: DiscoveredQueues | None, fleet: DiscoveredFleet | None) -> Iterator[str]:
    if queues is None or queues.failure is not None:
        yield from _unscanned("Redis", queues, "not scanned; give it as --redis, MONITORD_REDIS__URL or REDIS_URL")
        return
    yield _comment("Redis, and the BullMQ queues in it.")
    yield queues.line
    if queues.why_unknown:
        yield _comment(f"Queues: {queues.why_unknown}; name them in MONITORD_REDIS__QUEUES.")
        return
    if queues.names:
        declared = {name: _declared(name, queues, fleet) for name in queues.names}
        if any("worker" in each for each in declared.values()):
            yield _comment("worker: the services that work a queue off, by their names; correct it where others do.")
        yield from _names("MONITORD_REDIS__QUEUES", declared if any(declared.values()) else queues.names)
    elif queues.complete:
        yield _comment("There are no BullMQ queues in it.")
        for number, keys in queues.elsewhere.items():
            yield _comment(
                f"Database {number} of this server holds {keys} keys: is the number in the URL the right one?"
            )
    if queues.doubles:
        yield _comment(f"Also there, under names that are taken: {', '.join(queues.doubles)}")
    if not queues.complete:
        yield _comment("There are more keys than were read: name further queues in MONITORD_REDIS__QUEUES.")


def _declared(name: str, queues: DiscoveredQueues, fleet: DiscoveredFleet | None) -> dict[str, object]:
    """What is to be declared of one queue: a prefix that is not the usual one, and the services that bear its name."""
    workers = [service for service in (fleet.services if fleet is not None else ()) if _bears(service, name)]
    prefix = {"prefix": queues.prefixes[name]} if name in queues.prefixes else {}
    return {**prefix, **({"worker": workers[0] if len(workers) == 1 else workers} if workers else {})}


def _bears(service: str, queue: str) -> bool:
    """Whether a service's name holds the queue's, as whole words: `emails`, `emails-worker`, `emails_worker_2`."""
    words, wanted = (f"-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}-" for name in (service, queue))
    return wanted != "--" and wanted in words


def _seconds(seconds: float) -> str:
    return duration_text(timedelta(seconds=seconds))


def _names(name: str, found: Sequence[str] | Mapping[str, object]) -> Iterator[str]:
    """The line that sets a list or map of names; names that no setting takes are left out, and named."""
    fit = [item for item in found if item.strip() == item != "" and item.isprintable()]
    if fit or not found:
        yield _json(name, {item: found[item] for item in fit} if isinstance(found, Mapping) else fit)
    if len(fit) < len(found):
        yield _comment(f"Left out of {name}: {len(found) - len(fit)} with characters that no name should have.")


def _json(name: str, value: object) -> str:
    # A backslash of JSON's own stands before a quote or another one; as \u005c and \u0022 none is left to misread.
    text = json.dumps(value).replace("\\\\", "\\u005c").replace('\\"', "\\u0022")
    return f"{name}='{text.translate(_ESCAPED)}'"


def _comment(text: str) -> str:
    return f"# {clean(text)}"
