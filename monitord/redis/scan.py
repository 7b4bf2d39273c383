"""Which BullMQ queues there are, whatever their prefix: a bounded walk over the keys, for `init` alone."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from . import info
from .connection import Server, renew
from .jobs import KEPT, PARTS, PARTS_BY_TYPE

SCAN_ROUNDS: Final = 100
SCAN_COUNT: Final = 1000
# Every key of a queue but its jobs ends in one of these letters, and most jobs in a number: they stay with the server.
_MATCH: Final = f"*:*[{''.join(sorted({part[-1] for part in PARTS}))}]"
_MOST_KEYS: Final = 2000
_BATCH: Final = 500
_TYPE_OF: Final = {part: kind for kind, parts in PARTS_BY_TYPE.items() for part in parts}


@dataclass(frozen=True, slots=True)
class Scanned:
    """Queue -> the prefix of its keys; `doubles` are further queues of the same names, as PREFIX:QUEUE.

    `complete` is False where there are more keys than were read, `allowed` where the user may not read them.
    `elsewhere` is how many keys the other databases of this server hold, by their numbers.
    """

    queues: Mapping[str, str] = field(default_factory=dict)
    doubles: Sequence[str] = ()
    complete: bool = True
    allowed: bool = True
    elsewhere: Mapping[int, int] = field(default_factory=dict)


async def scan(server: Server, prefixes: Sequence[str], timeout: float) -> Scanned:
    """The queues in the server's database. Those whose keys begin with one of `prefixes` are known by less."""
    connection = server.connection(timeout)
    parts: dict[str, set[str]] = defaultdict(set)
    complete = True
    try:
        async with asyncio.timeout(timeout):
            await connection.connect()  # type: ignore[no-untyped-call]
            complete = await _collect(connection, parts)
            confirmed = await _confirmed(connection, parts, prefixes)
            elsewhere = await _elsewhere(connection, server.database)
    except (exceptions.RedisError, OSError):
        known = {base: found for base, found in parts.items() if _split(base, prefixes)[0] in prefixes}
        queues, doubles = _by_name(known, prefixes)
        return Scanned(queues, doubles, complete=False, allowed=False)
    finally:
        await connection.disconnect(nowait=True)
    queues, doubles = _by_name(confirmed, prefixes)
    return Scanned(queues, doubles, complete=complete, elsewhere=elsewhere)


async def _collect(connection: AbstractConnection, parts: dict[str, set[str]]) -> bool:
    """What is under each PREFIX:QUEUE that any key suggests; False where there is more than was read."""
    cursor: bytes | str = "0"
    for _ in range(SCAN_ROUNDS):
        reply = await _ask(connection, ("SCAN", cursor, "MATCH", _MATCH, "COUNT", str(SCAN_COUNT)))
        if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
            raise exceptions.InvalidResponse
        cursor, keys = reply
        for key in keys:
            base, _, part = key.decode(errors="replace").rpartition(":")
            if base.strip(":") and part in _TYPE_OF:
                if base not in parts and len(parts) >= _MOST_KEYS:
                    return False
                parts[base].add(part)
        if cursor == b"0":
            return True
    return False


async def _confirmed(
    connection: AbstractConnection, parts: Mapping[str, Iterable[str]], prefixes: Sequence[str]
) -> dict[str, set[str]]:
    """Those whose keys are of the types BullMQ gives them, and enough of them to be no other program's."""
    found: dict[str, set[str]] = {}
    keys = [(base, part) for base, named in parts.items() for part in named]
    types: dict[tuple[str, str], str] = {}
    for batch in (keys[begin : begin + _BATCH] for begin in range(0, len(keys), _BATCH)):
        types |= dict(zip(batch, await _types_of(connection, batch), strict=True))
    for base, named in parts.items():
        fit = {part for part in named if types[base, part] == _TYPE_OF[part]}
        if _split(base, prefixes)[0] in prefixes:
            is_queue = bool(fit)
        elif ":" in base:
            stated = fit - set(KEPT)  # others keep a `meta` and an `id`, too
            is_queue = "wait" in stated or (len(fit) > 1 and bool(stated))
            is_queue = is_queue or ("meta" in fit and await _is_bullmq(connection, base))
        else:
            is_queue = False
        if is_queue:
            found[base] = fit
    return found


async def _types_of(connection: AbstractConnection, keys: Sequence[tuple[str, str]]) -> list[str]:
    renew(connection)
    commands = [("TYPE", f"{base}:{part}") for base, part in keys]
    await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    replies = [await connection.read_response() for _ in commands]
    return [reply.decode(errors="replace") if isinstance(reply, bytes) else "" for reply in replies]


async def _is_bullmq(connection: AbstractConnection, base: str) -> bool:
    """Whether a hash called `meta` is what BullMQ writes when a queue is made."""
    reply = await _ask(connection, ("HMGET", f"{base}:meta", "version", "opts.maxLenEvents"))
    version, events = reply if isinstance(reply, list) and len(reply) == 2 else (None, None)
    return events is not None or (isinstance(version, bytes) and version.startswith(b"bullmq"))


async def _elsewhere(connection: AbstractConnection, database: int) -> dict[int, int]:
    try:
        reply = await _ask(connection, ("INFO", "keyspace"))
    except exceptions.ResponseError:
        return {}
    fields = info.parse(reply) if isinstance(reply, bytes) else {}
    held = {name: re.match(r"keys=(\d{1,18})", value) for name, value in fields.items() if re.fullmatch(r"db\d+", name)}
    counts = {int(name[2:]): int(keys[1]) for name, keys in held.items() if keys is not None}
    return {number: keys for number, keys in counts.items() if number != database and keys}


def _by_name(found: Mapping[str, object], prefixes: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    queues: dict[str, str] = {}
    doubles: list[str] = []
    for prefix, name in sorted(_split(base, prefixes) for base in found):
        if name in queues:
            doubles.append(f"{prefix}:{name}")
        else:
            queues[name] = prefix
    return dict(sorted(queues.items())), doubles


def _split(base: str, prefixes: Sequence[str]) -> tuple[str, str]:
    """Prefix and name. A name holds no colon, but for the queues of old Bulls, whose prefix is one of the known."""
    for prefix in prefixes:
        if base.startswith(f"{prefix}:") and len(base) > len(prefix) + 1:
            return prefix, base[len(prefix) + 1 :]
    prefix, _, name = base.rpartition(":")
    return prefix, name


async def _ask(connection: AbstractConnection, command: Sequence[bytes | str]) -> object:
    renew(connection)
    await connection.send_command(*command, check_health=False)
    return await connection.read_response()
