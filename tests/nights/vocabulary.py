"""Everything that can happen in a night of the library: each phrase, and what it does to the simulated fleet.

A phrase is a sentence with places in it: `{service} stops`. The list is closed, and README.md explains it to those
who write nights.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from monitord.core import units
from monitord.core.alerting.silences import silence_id
from monitord.core.model import Failure, Kind, ProcessExit, Silence, Unmeasured
from tests.core.fleet import Group, Queue, Server, Service, Table
from tests.core.habits import some, took
from tests.core.nights import Night

from . import pipeline_phrases, words

WEEKS = 14 * 86400
FAILURES: Mapping[str, Failure] = {
    "refuses connections": Failure("refused", "connection refused"),
    "does not answer": Failure("timeout", "no answer within 5 s"),
    "rejects the password": Failure("auth", "password authentication failed"),
    "presents a wrong certificate": Failure("tls", "certificate verify failed: self-signed certificate"),
    "cannot be resolved": Failure("dns", "Name or service not known"),
    "talks nonsense": Failure("protocol", "what answers is not what it should be"),
    "denies permission": Failure("permission", "permission denied"),
    "is not there": Failure("missing", "nothing is there"),
    "breaks the probe": Failure("internal", "KeyError"),
}


def _of(night: Night, kind: str, text: str) -> object:
    """What a place in a phrase stands for. ValueError where it stands for nothing."""
    match kind:
        case "service":
            return _known(text, {s.name: s for s in night.services}, "service in PM2")
        case "group":
            return _known(text, night.groups, "group")
        case "table":
            return _known(text, night.tables, "table that is watched")
        case "subject":
            return _known(text, {**night.tables, **night.queues}, "table or queue that is watched")
        case "queue":
            return _known(text, night.queues, "queue that is watched")
        case "check":
            return _known(text, night.checks, "check of one's own")
        case "server":
            return {
                "PM2": (night.pm2,),
                "Postgres": (night.postgres, night.epochs, night.pipeline_server),
                "Redis": (night.redis,),
                "the seals' query": (night.epochs,),
                "the host": (night.machine,),
            }[text]
        case "kind":
            return words.kind(text)
        case "duration":
            return words.seconds(text)
        case "step":
            return words.signed_seconds(text)
        case "clock":
            return words.clock(text, datetime.fromtimestamp(night.clock.now - 3599, UTC)).timestamp()
        case "past":
            ago = words.clock(text, datetime.fromtimestamp(night.clock.now - 86400, UTC))
            return ago.timestamp()
        case "rate":
            return words.rate(text)
        case "size":
            return units.size(text)
        case "percent":
            return units.percent(text)
        case "count":
            return units.whole(text)
    return text


def _known(name: str, there: Mapping[str, object], what: str) -> object:
    if name not in there:
        raise ValueError(f"there is no {what} called {name!r}; there are {', '.join(there)}")
    return there[name]


_PLACES = {
    "server": "PM2|Postgres|Redis|the seals' query|the host",
    "how": "|".join(FAILURES),
    "words": ".+",
}
# A name, in quotes where there is a space in it.
_NAME = '"[^"]+"|[^ ]+'


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """A template as a pattern: `{queue}` is a place of that kind, `{other:name}` one of the kind `name`."""
    parts = re.split(r"\{(\w+)(?::(\w+))?\}", template)
    pattern = re.escape(parts[0])
    for name, kind, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{_PLACES.get(kind or name, _NAME)})" + re.escape(text)
    return re.compile(pattern)


@functools.cache
def _kinds(template: str) -> Mapping[str, str]:
    return {name: kind or name for name, kind in re.findall(r"\{(\w+)(?::(\w+))?\}", template)}


def matching(phrase: str) -> list[str]:
    """The templates a phrase fits: one, unless it is none of the vocabulary."""
    return [template for template in PHRASES if _pattern(template).fullmatch(phrase)]


@functools.cache
def understood(phrase: str) -> str:
    """The template of a phrase. ValueError, with the nearest that there is, where there is none."""
    found = matching(phrase)
    if len(found) == 1:
        return found[0]
    near = difflib.get_close_matches(phrase, PHRASES, 1, 0.3)
    hint = f"; the nearest is {near[0]!r}" if near else ""
    raise ValueError(f"{phrase!r} is no phrase of the vocabulary{hint}")


def failure(phrase: str) -> Kind | None:
    """The kind of failure that a phrase is about, if it is about one."""
    match = _pattern(understood(phrase)).fullmatch(phrase)
    assert match is not None
    places = match.groupdict()
    if "kind" in places:
        return words.kind(places["kind"])
    return FAILURES[places["how"]].kind if "how" in places else None


def happens(night: Night, phrase: str) -> None:
    """Make it happen. ValueError where a word of the phrase means nothing."""
    template = understood(phrase)
    match = _pattern(template).fullmatch(phrase)
    assert match is not None
    kinds = _kinds(template)
    PHRASES[template](
        night, **{name: _of(night, kinds[name], text.strip('"')) for name, text in match.groupdict().items()}
    )


def _fail(night: Night, server: tuple[Server, ...], how: str) -> None:
    for one in server:
        one.failure = FAILURES[how]


def _recover(night: Night, server: tuple[Server, ...]) -> None:
    for one in server:
        one.recovers()


def _hiccup(night: Night, server: tuple[Server, ...]) -> None:
    for one in server:
        one.hiccups_once()


def _online(night: Night) -> list[Service]:
    return [service for service in night.services if service.state == "online"]


def _everything_restarts(night: Night) -> None:
    for service in _online(night):
        service.is_restarted()


def _everything_dies(night: Night, count: int) -> None:
    for service in _online(night):
        service.crashes(count)


def _crash_with(service: Service, count: int, code: int) -> None:
    service.crashes(count)
    service.exit_code = code


def _becomes(night: Night, service: Service, *names: str) -> None:
    night.vanishes(service.name)
    for name in names:
        night.appears(name, memory=service.memory or 0.0)


def _instances(night: Night, service: Service, count: int) -> None:
    for _ in range(count - sum(1 for s in night.services if s.name == service.name)):
        night.appears(service.name)


def _instance(night: Night, service: Service, number: int) -> Service:
    return [s for s in night.services if s.name == service.name][number - 1]


def _each(night: Night, service: Service, **fields: object) -> None:
    for one in night.services:
        if one.name == service.name:
            _set(one, **fields)


def _delete(night: Night, one: Service) -> None:
    night.services = [service for service in night.services if service is not one]


def _empty(night: Night) -> None:
    night.unlisted, night.services = night.services, []


def _restarted_empty(night: Night) -> None:
    """PM2's daemon dies, and whoever asks for its list starts another one, without a list."""
    night.daemon += "'" if night.daemon else ""
    _empty(night)


def _full(night: Night, without: str = "") -> None:
    """PM2 has its list again, as `pm2 resurrect` makes it: every process anew."""
    night.services, night.unlisted = night.services or night.unlisted, []
    if without:
        _known(without, {s.name: s for s in night.services}, "service in PM2")
        night.vanishes(without)
    for service in night.services:
        service.created_at, service.restarts = night.clock.now, 0
        if service.state == "online":
            service.starts()


def _reboot(night: Night) -> None:
    night.host.boot_at = night.clock.now
    _full(night)


def _dies_by(service: Service, duration: float, signal: str) -> None:
    service.crashes_every(duration)
    service.crash_signal = signal


def _by_cron(night: Night, service: Service) -> None:
    """PM2's own restart by the clock, of a process that is told to be online all the time."""
    service.cron = f"{datetime.fromtimestamp(night.clock.now, UTC):%-M %-H} * * *"
    service.is_restarted()


def _code(night: Night, service: Service, code: int) -> None:
    service.crashes()
    service.exit_code = code
    night.exits.append(ProcessExit(service.name, str(service.pm_id), night.clock.now, code, restarts=service.restarts))


def _both_set(night: Night, step: float) -> None:
    """Postgres runs on monitord's machine: one clock for both."""
    night.clock_steps(seconds=step)
    night.database_error = (night.database_error or 0.0) + step


def _label(group: Group, clock: float) -> int:
    return int(clock) // group.length * group.length


def _skip(group: Group, clock: float) -> None:
    group.skips.add(_label(group, clock))


def _take_part(group: Group, now: float, changed: Callable[[frozenset[str]], frozenset[str]]) -> None:
    """From the epoch that lasts now on, others take part."""
    before, since = group.takes_part, _label(group, now)
    if before is None:
        raise ValueError(f"nobody counts who takes part in {group.name}; give the night a past")
    group.takes_part = lambda label: changed(frozenset(before(label))) if label >= since else before(label)


def _fall_silent(group: Group, now: float) -> None:
    """From the epoch that lasts now on nobody takes part."""
    group.heard = group.takes_part
    _take_part(group, now, lambda took: frozenset())


def _heard_again(group: Group, now: float) -> None:
    heard, silent, since = group.heard or group.takes_part, group.takes_part, _label(group, now)
    if heard is None or silent is None:
        raise ValueError(f"nobody counts who takes part in {group.name}; give the night a past")
    group.takes_part = lambda label: heard(label) if label >= since else silent(label)


def _lonely(group: Group, every: int) -> None:
    """One channel, which takes part in one label of so many, as it always has."""
    group.takes_part = lambda label: frozenset({"lonely"} if label // group.length % every == 0 else ())
    for label in [label for label in group.sealed if not group.takes_part(label)]:
        del group.sealed[label], group.sealed_at[label]


def _come_and_go(night: Night, count: int, group: Group) -> None:
    """Of all that take part now, another few do in each label, before and after."""
    channels = tuple(sorted(took(group, _label(group, night.clock.now))))
    group.takes_part = some(channels, count, count)


def _leave_out(group: Group, count: int, label: int) -> None:
    group.left_out[label] = set(sorted(took(group, label))[:count])


def _keep_leaving_out(group: Group, count: int, first: int) -> None:
    """The same few of each label, from one on."""
    for label in range(first, first + WEEKS, group.length):
        _leave_out(group, count, label)


def _leave_nobody_out(group: Group, first: int) -> None:
    group.left_out = {label: channels for label, channels in group.left_out.items() if label < first}


def _always_leave_out(night: Night, group: Group, count: int) -> None:
    """A different few of each label, from the epoch that lasts now on."""
    for label in range(_label(group, night.clock.now), _label(group, night.clock.now + WEEKS), group.length):
        there = sorted(took(group, label))
        first = label // group.length % len(there)
        group.left_out[label] = set((there + there)[first : first + count])


def _seal_left_out(group: Group) -> None:
    group.left_out = {}
    for label in group.sealed:
        group.sealed[label] = group.channels if group.takes_part is None else len(took(group, label))


def _never(group: Group, now: float) -> None:
    """It goes on, and what it has missed so far stays missed."""
    newest = max(group.sealed, default=0)
    group.skips |= set(range(newest + group.length, int(now) // group.length * group.length, group.length))
    group.sealing = True


def _groups(night: Night, *, sealing: bool) -> None:
    for group in night.groups.values():
        group.sealing = sealing


def _set(thing: object, **fields: object) -> None:
    for name, value in fields.items():
        setattr(thing, name, value)


def _replays(night: Night, *, on: bool) -> None:
    """What the fleet writes meanwhile is not read: as if it were not there."""
    night.replay_stopped = None if on else night.clock.now
    for table in night.tables.values():
        if not on:
            night.unread[table.name] = table.per_second, night.clock.now
            table.per_second = 0.0
        else:
            table.per_second, since = night.unread.pop(table.name, (table.per_second, night.clock.now))
            table.floods(round(table.per_second * (night.clock.now - since)))
    for group in night.groups.values():
        group.sealing = on


def _future_row(table: Table) -> None:
    table.by_label[9_999_999_999] = table.by_label.get(9_999_999_999, 0) + 1
    table.tells_late(1)


def _future_seal(group: Group, now: float) -> None:
    group.careless = True
    group.seals(9_999_999_999, now)


def _prune(table: Table, hours: float, now: float) -> None:
    table.is_pruned(now - hours)


def _drain(queue: Queue) -> None:
    queue.waiting, queue.per_second, queue.taken = 0.0, 0.0, None


def _silence(night: Night, subject: str, seconds: float, every: str = "") -> None:
    at = datetime.fromtimestamp(night.now, UTC)
    until = None if every else at + timedelta(seconds=seconds)
    made = Silence(silence_id(subject, "", every, at), subject, at, until, every=every, lasts=seconds if every else 0.0)
    night.asks("silence", silence=made)


def _daily(night: Night, subject: str, seconds: float, clock: float) -> None:
    _silence(night, subject, seconds, f"{datetime.fromtimestamp(clock, UTC):%-M %-H} * * *")


def _unsilence(night: Night, subject: str) -> None:
    for silence in night.state.silences.values():
        if silence.subject == subject:
            night.asks("unsilence", silence.id)


def _ack(night: Night, subject: str) -> None:
    for alert in night.state.alerts.values():
        if alert.subject == subject:
            night.asks("ack", alert.id)


# Night first, then the places by their names.
PHRASES: Mapping[str, Callable[..., object]] = {
    # Services
    "{service} stops": lambda n, service: service.stops(),
    "{service} stops with exit code {count}": lambda n, service, count: service.stops(count),
    "{service} starts": lambda n, service: service.starts(),
    "{service} crashes": lambda n, service: service.crashes(),
    "{service} crashes {count} times": lambda n, service, count: service.crashes(count),
    "{service} crashes {count} times with exit code {code:count}": (
        lambda n, service, count, code: _crash_with(service, count, code)
    ),
    "{service} is ended by {signal}": lambda n, service, signal: service.is_killed(signal, n.clock.now),
    "{service} ends by itself with exit code {code:count}": lambda n, service, code: _code(n, service, code),
    "{service} dies every {duration}": lambda n, service, duration: service.crashes_every(duration),
    "{service} dies every {duration} by {signal}": (
        lambda n, service, duration, signal: _dies_by(service, duration, signal)
    ),
    "{service} dies no more": lambda n, service: _set(service, crash_every=None),
    "PM2 gives up on {service}": lambda n, service: service.is_given_up(),
    "an operator stops {service}": lambda n, service: service.is_stopped_by_hand(),
    "an operator restarts {service}": lambda n, service: service.is_restarted(),
    "an operator tells {service} to stop, and it takes its time": lambda n, service: service.is_stopping(),
    "PM2 lets {service} take {duration} to stop": lambda n, service, duration: _each(n, service, kill_timeout=duration),
    "PM2 lets {service} take {duration} to be ready": (
        lambda n, service, duration: _each(n, service, listen_timeout=duration)
    ),
    "{service} begins and is not ready yet": lambda n, service: service.is_launching(),
    "instance {count} of {service} is stopping": lambda n, count, service: _instance(n, service, count).is_stopping(),
    "instance {count} of {service} is deleted": lambda n, count, service: _delete(n, _instance(n, service, count)),
    "PM2 restarts {service} by its cron_restart": _by_cron,
    "PM2 restarts {service}, past its max_memory_restart": lambda n, service: service.is_too_big(),
    "PM2 restarts {service} {count} times, past its max_memory_restart": (
        lambda n, service, count: service.is_restarted_by_rule(count, heard=True)
    ),
    "PM2 restarts {service} {count} times, as its files change": (
        lambda n, service, count: service.is_restarted_by_rule(count, heard=True, watch=True)
    ),
    "PM2 restarts {service} {count} times by its rule, and its bus is not heard": (
        lambda n, service, count: service.is_restarted_by_rule(count, heard=False)
    ),
    "PM2 restarts {service} past {size}": lambda n, service, size: _set(service, memory_limit=size),
    "PM2 watches the files of {service}": lambda n, service: _set(service, watch=True),
    "PM2 runs {service} by the clock": lambda n, service: _set(service, schedule="*/15 * * * *"),
    "PM2 does not begin {service} again when it ends": lambda n, service: _set(service, autorestart=False),
    "PM2 leaves {service} stopped when it ends well": lambda n, service: _set(service, may_end=True),
    "PM2 begins {service} again {duration} after each end": (
        lambda n, service, duration: _set(service, restart_delay=duration)
    ),
    "{service} ends with exit code {code:count}": lambda n, service, code: service.ends(code),
    "{service} ends by {signal}": lambda n, service, signal: service.ends(0, signal),
    "{service} begins its next run": lambda n, service: service.begins(),
    "{service} runs for {duration} every {every:duration}": (
        lambda n, service, duration, every: service.runs(duration, every)
    ),
    "{service} runs no more": lambda n, service: service.runs_no_more(),
    "{service} is launching": lambda n, service: _set(service, state="launching"),
    "the counters of {service} are reset": lambda n, service: service.is_reset(),
    "{service} has been restarted {count} times in its life": lambda n, service, count: _set(service, restarts=count),
    "{service} is frozen": lambda n, service: service.is_frozen(),
    "{service} is a zombie": lambda n, service: service.is_frozen("zombie"),
    "{service} runs again": lambda n, service: service.thaws(),
    "the kernel does not tell of {service}": lambda n, service: _set(service, process=None),
    "{service} vanishes from PM2": lambda n, service: n.vanishes(service.name),
    "{name} appears in PM2": lambda n, name: n.appears(name),
    "{name} appears in PM2 as a module of its own": lambda n, name: n.appears(name, module=True),
    "{name} appears in PM2 and is monitord itself": lambda n, name: n.appears(name, own=True),
    "{service} becomes {name}": lambda n, service, name: _becomes(n, service, name),
    "{service} becomes {name} and {other:name}": lambda n, service, name, other: _becomes(n, service, name, other),
    "{service} runs as {count} instances": lambda n, service, count: _instances(n, service, count),
    "instance {count} of {service} stops": lambda n, count, service: _instance(n, service, count).stops(),
    "instance {count} of {service} starts": lambda n, count, service: _instance(n, service, count).starts(),
    "memory of {service} is {size}": (
        lambda n, service, size: _set(service, memory=size, sawtooth=None, memory_per_hour=0.0)
    ),
    "memory of {service} rises by {size} an hour": lambda n, service, size: _set(service, memory_per_hour=size),
    "{service} tells of itself": lambda n, service: _set(service, loop_ms=2.5),
    "the event loop of {service} is {duration} late": (
        lambda n, service, duration: _set(service, loop_ms=duration * 1000)
    ),
    "the event loop of {service} is blocked": lambda n, service: _set(service, blocked=True),
    "the event loop of {service} turns again": lambda n, service: _set(service, blocked=False),
    "{service} tells of {count} {words}": lambda n, service, count, words: service.numbers.update({words: f"{count}"}),
    "{service} tells no {words}": lambda n, service, words: service.numbers.pop(words, None),
    "{service} writes {count} error lines a minute": lambda n, service, count: _set(service, error_rate=float(count)),
    "{service} writes {count} error lines at once": (
        lambda n, service, count: _set(service, error_lines=service.error_lines + count)
    ),
    "PM2's bus is lost": lambda n: n.bus_is_lost(),
    "PM2's bus is heard": lambda n: n.bus_is_heard(),
    "not all that PM2's bus tells can be read": lambda n: _set(n, bus_storms=True),
    "all that PM2's bus tells is read": lambda n: _set(n, bus_storms=False),
    "Node may use {size} of heap for {service}": (
        lambda n, service, size: _set(service, heap_limit=float(size), loop_ms=service.loop_ms or 2.5)
    ),
    "heap of {service} is {size}": lambda n, service, size: _set(service, heap=size / 2**20, heap_sawtooth=None),
    "heap of {service} is a sawtooth from {low:size} to {high:size} every {duration}": (
        lambda n, service, low, high, duration: _set(service, heap_sawtooth=(low / 2**20, high / 2**20, duration))
    ),
    "memory of {service} is a sawtooth from {low:size} to {high:size} every {duration}": (
        lambda n, service, low, high, duration: _set(service, sawtooth=(low, high, duration))
    ),
    "PM2 does not tell the memory of {service}": lambda n, service: _set(service, memory=None),
    "everything is deployed": _everything_restarts,
    "everything dies {count} times": _everything_dies,
    "the host reboots": _reboot,
    "PM2's list is empty": _empty,
    "PM2 is restarted with an empty list": _restarted_empty,
    "PM2's pid file cannot be read": lambda n: _set(n, daemon=""),
    "PM2's pid file can be read": lambda n: _set(n, daemon="1"),
    "PM2 is another daemon": lambda n: _set(n, daemon=n.daemon + "'"),
    "PM2 is resurrected": _full,
    "PM2 is resurrected without {name}": lambda n, name: _full(n, name),
    # Servers
    "{server} {how}": _fail,
    "{server} answers again": _recover,
    "{server} fails one reading": _hiccup,
    # Tables
    "rows come at {rate}": lambda n, rate: _set(n.table, per_second=rate),
    "rows come into {table} at {rate}": lambda n, table, rate: _set(table, per_second=rate),
    "no rows come": lambda n: _set(n.table, per_second=0.0),
    "{count} rows come at once": lambda n, count: n.table.floods(count),
    "{count} rows come at once into {table}": lambda n, count, table: table.floods(count),
    "{count} rows labelled {duration} ago come at once": (
        lambda n, count, duration: n.table.floods(count, late_by=duration)
    ),
    "rows labelled {duration} ago come at {rate}": (
        lambda n, duration, rate: _set(n.table, late_by=duration, per_second=rate)
    ),
    "rows come at {rate}, and twice as many every {duration}": (
        lambda n, rate, duration: _set(n.table, per_second=rate, doubles_every=duration)
    ),
    "rows come at a steady {rate}": lambda n, rate: _set(n.table, per_second=rate, doubles_every=None, rhythm=None),
    "{count} rows come at once every {duration}": lambda n, count, duration: _set(n.table, bulk=(count, duration)),
    "rows come in the rhythm of a day, from {slow:rate} to {busy:rate}": (
        lambda n, slow, busy: _set(n.table, rhythm=(slow, busy))
    ),
    "rows that are deleted at once come at {rate}": lambda n, rate: _set(n.table, fleeting_per_second=rate),
    "the table is analyzed": lambda n: n.table.is_analyzed(),
    "the table is analyzed, and {count} live rows are estimated": lambda n, count: n.table.is_analyzed(float(count)),
    "the table is vacuumed, and {count} live rows are estimated": lambda n, count: n.table.is_vacuumed(float(count)),
    "{table} is counted by its serial key": lambda n, table: _set(table, keyed=True),
    "the counters do not tell of commits": lambda n: _set(n.table, tells_commits=False),
    "{count} rows are inserted and rolled back": lambda n, count: n.table.rolls_back(count),
    "rows are rolled back at {rate}": lambda n, rate: _set(n.table, rolled_back_per_second=rate),
    "the table is truncated": lambda n: n.table.is_truncated(),
    "the statistics are reset": lambda n: n.table.forgets_statistics(),
    "the statistics jump by {count}": lambda n, count: n.counters_jump(count),
    "rows older than {duration} are deleted": lambda n, duration: _prune(n.table, duration, n.clock.now),
    "a row labelled 9999999999 is inserted": lambda n: _future_row(n.table),
    "Postgres is a replica": lambda n: _set(n, replica=True),
    "the replica replays nothing more": lambda n: _replays(n, on=False),
    "the replica has caught up": lambda n: _replays(n, on=True),
    "the replica does not tell how far it is behind": lambda n: _set(n, tells_lag=False),
    "Postgres is a primary": lambda n: _set(n, replica=False),
    "Postgres is another server": lambda n: _set(n, system="7302"),
    "Postgres is the server it was": lambda n: _set(n, system="7301"),
    "nobody may ask which server Postgres is": lambda n: _set(n, system=None),
    "Postgres is another database of the server": lambda n: _set(n, database=("copy", 16_999)),
    "{table} is dropped and made anew": lambda n, table: _set(table, oid=table.oid + 100, inserted=0.0),
    "{table} cannot be counted": lambda n, table: _set(table, countable=False),
    "{table} can be counted": lambda n, table: _set(table, countable=True),
    "no counter sees the rows of {table}": lambda n, table: _set(table, seen=False),
    "the counters see the rows of {table}": lambda n, table: _set(table, seen=True),
    "track_counts is off": lambda n: _set(n.table, counting=False),
    "exact counts do not finish": lambda n: _set(n.table, counts=False),
    "exact counts finish": lambda n: _set(n.table, counts=True),
    "exact counts stop at {count} rows": lambda n, count: _set(n.table, cap=count),
    "{subject} cannot be read: {kind}": (
        lambda n, subject, kind: _set(subject, gap=Unmeasured(subject.name, kind, f"{subject.name} cannot be read"))
    ),
    "{subject} can be read": lambda n, subject: _set(subject, gap=None),
    # Sealing
    "{group} seals nothing more": lambda n, group: _set(group, sealing=False),
    "{group} seals again": lambda n, group: _set(group, sealing=True),
    "{group} seals again, but not what it missed": lambda n, group: _never(group, n.clock.now),
    "nothing is sealed any more": lambda n: _groups(n, sealing=False),
    "all is sealed again": lambda n: _groups(n, sealing=True),
    "{group} has never sealed anything": lambda n, group: _set(group, sealing=False, sealed={}, sealed_at={}),
    "{group} will skip the hour of {clock}": lambda n, group, clock: _skip(group, clock),
    "{group} seals the hour of {past} after all": lambda n, group, past: group.seals(int(past), n.clock.now),
    "{group} takes {duration} to seal": lambda n, group, duration: _set(group, delay=duration, delays={}),
    "{group} will take {duration} to seal the hour of {clock}": (
        lambda n, group, duration, clock: group.delays.update({_label(group, clock): duration})
    ),
    "{group} seals {count} channels": lambda n, group, count: _set(group, channels=count),
    "{count} seals of {group} are labelled {duration} past the hour of {past}": (
        lambda n, count, group, duration, past: group.odd.update({int(past + duration): count})
    ),
    "the labels of {group} are put right": lambda n, group: group.odd.clear(),
    "a seal of {group} labelled 9999999999 is inserted": lambda n, group: _future_seal(group, n.clock.now),
    # Who takes part
    "nobody counts who takes part in {group}": lambda n, group: _set(group, takes_part=None),
    "{channel} of {group} falls silent": (
        lambda n, channel, group: _take_part(group, n.clock.now, lambda took: took - {channel})
    ),
    "{channel} of {group} is heard again": (
        lambda n, channel, group: _take_part(group, n.clock.now, lambda took: took | {channel})
    ),
    "{group} falls silent": lambda n, group: _fall_silent(group, n.clock.now),
    "{group} is heard again": lambda n, group: _heard_again(group, n.clock.now),
    "{group} is one channel that takes part in one hour of {count}": lambda n, group, count: _lonely(group, count),
    "{count} channels of {group} come and go": _come_and_go,
    "{group} will leave {count} channels out of the hour of {clock}": (
        lambda n, group, count, clock: _leave_out(group, count, _label(group, clock))
    ),
    "{group} leaves {count} channels out from the hour of {clock} on": (
        lambda n, group, count, clock: _keep_leaving_out(group, count, _label(group, clock))
    ),
    "{group} leaves nobody out from the hour of {clock} on": (
        lambda n, group, clock: _leave_nobody_out(group, _label(group, clock))
    ),
    "{group} always leaves {count} channels out": _always_leave_out,
    "{group} seals what it left out": lambda n, group: _seal_left_out(group),
    # Operators
    "an operator silences {name} for {duration}": lambda n, name, duration: _silence(n, name, duration),
    "an operator silences {name} for {duration} from every {clock} on": (
        lambda n, name, duration, clock: _daily(n, name, duration, clock)
    ),
    "an operator takes the silence over {name} away": lambda n, name: _unsilence(n, name),
    "an operator acknowledges {name}": lambda n, name: _ack(n, name),
    "an operator forgets {name}": lambda n, name: n.asks("forget", name),
    # Redis
    "{count} jobs wait in {queue}": lambda n, count, queue: _set(queue, waiting=float(count)),
    "jobs pile up in {queue} at {rate}": lambda n, queue, rate: _set(queue, per_second=rate),
    "{count} jobs of {queue} are taken every {duration}": (
        lambda n, count, queue, duration: _set(queue, taken=(count, duration))
    ),
    "Redis holds {count} keys": lambda n, count: _set(n.keyspace, keys=count),
    "Redis gives up {count} keys": lambda n, count: _set(n.keyspace, evicted=n.keyspace.evicted + count),
    "Redis may use {size} of memory": lambda n, size: _set(n.keyspace, limit=size),
    "Redis uses {size} of memory": lambda n, size: _set(n.keyspace, memory=size),
    "Redis is a cache that may be full": lambda n: _set(n.keyspace, policy="allkeys-lru"),
    "Redis begins anew, and counts anew": lambda n: _set(n.keyspace, evicted=0),
    "{queue} is drained": lambda n, queue: _drain(queue),
    "no job of {queue} is taken or finished": lambda n, queue: _set(queue, moves=False),
    "jobs of {queue} are taken and finished again": lambda n, queue: _set(queue, moves=True),
    "{count} jobs of {queue} are active": lambda n, count, queue: _set(queue, active=count),
    "{queue} is paused": lambda n, queue: _set(queue, is_paused=True),
    "{queue} is not paused any more": lambda n, queue: _set(queue, is_paused=False),
    "the next job of {queue} has waited for {duration}": lambda n, queue, duration: _set(queue, oldest=duration),
    "jobs of {queue} fail at {rate}": lambda n, queue, rate: _set(queue, fails_per_second=rate),
    "{count} jobs of {queue} fail": lambda n, count, queue: queue.fails(count),
    "failed jobs of {queue} are removed at once": lambda n, queue: _set(queue, removes_failed=True),
    "failed jobs of {queue} are removed at once, and its workers count them": (
        lambda n, queue: _set(queue, removes_failed=True, counted=True)
    ),
    # Checks of one's own
    "the endpoint {check} answers {count}": lambda n, check, count: check.answers(count),
    "the endpoint {check} refuses connections": lambda n, check: check.is_down("refused", "refuses the connection"),
    "the endpoint {check} does not answer": lambda n, check: check.is_down("timeout", "did not answer in time"),
    "the endpoint {check} takes {duration} to answer": lambda n, check, duration: _set(check, value=duration * 1000.0),
    "the certificate of {check} expires in {duration}": (
        lambda n, check, duration: _set(check, expires=n.clock.now + duration)
    ),
    "the certificate of {check} cannot be trusted": (
        lambda n, check: check.is_down("tls", "shows a certificate that cannot be trusted: it has expired")
    ),
    "the check {check} cannot be taken: {kind}": (
        lambda n, check, kind: _set(
            check, gap=Unmeasured(check.name, kind, f"{check.name} cannot be asked", alone=True)
        )
    ),
    "the statement {check} finds {count}": lambda n, check, count: _set(check, value=float(count), unit="1"),
    "the newest data of {check} is {duration} old": (
        lambda n, check, duration: _set(check, value=duration, unit="seconds")
    ),
    "the newest of all data of {check} is {duration} ahead": (
        lambda n, check, duration: check.samples.update(check_ahead=duration)
    ),
    "the plugin {check} says {state} {words}": (
        lambda n, check, state, words: check.samples.update(check_state=state, check_text=words)
    ),
    "the job {check} begins": lambda n, check: check.samples.update(job_started=n.clock.now),
    "the job {check} ends well": lambda n, check: check.samples.update(job_succeeded=n.clock.now, job_code=0),
    "the job {check} ended well {duration} ago": (
        lambda n, check, duration: check.samples.update(job_succeeded=n.clock.now - duration, job_code=0)
    ),
    "the job {check} fails with exit code {count}": (
        lambda n, check, count: check.samples.update(job_failed=n.clock.now, job_code=count)
    ),
    "the check {check} can be taken": lambda n, check: _set(check, gap=None),
    # The host
    "the disk is {percent} full": lambda n, percent: _set(n.host, disk_used=percent),
    "the disk fills by {percent} an hour": lambda n, percent: _set(n.host, disk_per_hour=percent),
    "the disk fills no more": lambda n: _set(n.host, disk_per_hour=0.0),
    "the disk cannot be measured: {kind}": (
        lambda n, kind: _set(n.host, disk_gap=Unmeasured("/", kind, "the disk at / cannot be measured"))
    ),
    "the disk can be measured": lambda n: _set(n.host, disk_gap=None),
    "available memory is {size}": lambda n, size: _set(n.host, available=size),
    "the kernel does not tell the available memory": lambda n: _set(n.host, available=None),
    # monitord and its clock
    "the clock is set {step}": lambda n, step: n.clock_steps(seconds=step),
    "the clock is right again": lambda n: _set(n, clock_error=0.0),
    "Postgres's clock is wrong by {step}": lambda n, step: _set(n, database_error=step),
    "both clocks are set {step}": lambda n, step: _both_set(n, step),
    "Postgres does not tell its clock": lambda n: _set(n, database_error=None),
    "monitord restarts": lambda n: n.monitord_restarts(),
    "monitord is away for {duration}": lambda n, duration: n.monitord_is_away(seconds=duration),
    "cycles begin {duration} late": lambda n, duration: n.cycles_begin_late(seconds=duration),
    "cycles begin on time": lambda n: n.cycles_begin_late(seconds=0),
    "monitord cannot write its snapshot": (
        lambda n: _set(n, own_gaps=(Unmeasured("snapshot", "internal", "its snapshot cannot be written: disk full"),))
    ),
    "monitord can write its snapshot": lambda n: _set(n, own_gaps=()),
    # The pipeline
    **pipeline_phrases.PHRASES,
}
