"""Measures a Redis or Valkey server and the BullMQ queues in it: one PING, one pipeline of counts, two about jobs."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from monitord.core.model import Sample, Unmeasured, sample
from monitord.failures import FailureError
from monitord.redis import AbstractConnection, exceptions, info
from monitord.redis.connection import STEP_SECONDS, IdleWatch, Server, renew
from monitord.redis.errors import FULL, code, explain, refusal
from monitord.redis.jobs import KEPT, PARTS, STATES, Jobs, key

from .base import Measured, Request

_SHARE = 0.9  # of the reading's deadline, so that the sentence is ours and not the runner's
_SERVER: Final = (("DBSIZE",), *(("INFO", section) for section in info.SECTIONS))

Command = tuple[str | bytes, ...]
Replies = dict[Command, object]


class RedisProbe:
    """Latency, keys, memory, evictions, queue depths, and whether the next client is served: over one kept connection.

    It asks PING, DBSIZE, INFO, EXISTS, LLEN and ZCARD, AUTH and SELECT where the URL says so, and CONFIG GET where only
    that shows whether a write would be accepted; of jobs LINDEX, ZRANGE, ZREVRANGE, ZCOUNT and HGET, of which a
    user may be refused any: nothing that walks the keys, nothing that writes, no HELLO and no CLIENT, which old servers
    and narrow users refuse.
    """

    name = "redis"

    def __init__(
        self, url: str, queues: Sequence[str], prefixes: Mapping[str, str] | None = None, window: float = 3600.0
    ) -> None:
        """A probe that has not connected yet; failed jobs are counted over `window` seconds.

        `url` is `redis://`, `rediss://` (certificates are verified unless it says `?ssl_cert_reqs=none`) or `unix://`.
        `prefixes` are of queues whose keys do not begin
        with `bull`. ValueError: the URL is none of these; its text is not in the message.
        """
        self._server = Server(url)
        self._where = self._server.where
        self._prefixes = {queue: (prefixes or {}).get(queue, "bull") for queue in queues}
        self._jobs = {queue: Jobs(prefix, queue, window) for queue, prefix in self._prefixes.items()}
        self._connection: AbstractConnection | None = None
        self._heard: Callable[[str], None] | None = None
        self._idle = IdleWatch(self._ended)
        self._turn = asyncio.Lock()

    def listen(self, heard: Callable[[str], None]) -> None:
        self._heard = heard

    async def ping(self) -> None:
        """One PING over the kept connection; whatever is answered, it is an answer."""
        if self._turn.locked():
            return
        async with self._turn:
            try:
                await self._idle.ping()
            except BaseException:
                await self.close()
                raise

    async def measure(self, request: Request) -> Measured:
        """One PING, timed, then every count in one round trip, and what is asked of jobs in two.

        FailureError: with what to read about it. A queue that cannot be counted is a gap instead.
        """
        deadline = asyncio.get_running_loop().time() + request.timeout * _SHARE
        async with self._turn:
            await self._idle.stop()
            return await self._measured(request, deadline)

    async def _measured(self, request: Request, deadline: float) -> Measured:
        settled = False
        try:
            connection, latency, misconf = await self._ping(deadline)
            async with asyncio.timeout_at(_soon(deadline)):
                replies = await self._ask(connection, [*_SERVER, *self._of_queues()])
                fields, config = await self._told(connection, replies, misconf=misconf)
                await self._look_closer(connection, replies)
            settled = True
            answers = await self._of_jobs(connection, request.now, deadline)
        except (exceptions.RedisError, OSError) as error:
            # The sentence never quotes the server, who may echo what it was sent, passwords included.
            kind, what = explain(error)
            raise FailureError(kind, f"{self._where} {what}", full=(kind, what) == FULL) from None
        finally:
            # A cancelled turn leaves answers on the way that the next would take for its own.
            await self._rest(settled=settled)
        gaps: list[Unmeasured] = []
        samples = [
            sample("redis_latency", latency, "ms"),
            *self._of_server(replies, fields, gaps),
            *(
                sample("redis_refusal", refuses, "", why=why)
                for why, refuses in info.refusals(fields, config, misconf=misconf).items()
            ),
        ]
        for queue, jobs in self._jobs.items():
            found = self._queue(queue, replies, gaps)
            samples += found
            if found and answers:
                samples += jobs.samples(answers, request.now)
        return Measured(tuple(samples), tuple(gaps))

    async def _rest(self, *, settled: bool) -> None:
        """The connection is idle from here on, or of no use where it is not in step."""
        if not settled:
            await self.close()
        elif self._heard is not None and self._connection is not None:
            self._idle.begin(self._connection)

    async def _ended(self) -> None:
        if self._heard is not None:
            self._heard(f"{self._where} closed the kept connection")
        await self.close()

    async def close(self) -> None:
        await self._idle.stop()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _ping(self, deadline: float) -> tuple[AbstractConnection, float, bool]:
        """The milliseconds of a PING over the kept connection, or over a new one where that has been closed.

        And whether it was refused with MISCONF: the answer while the server cannot save, and so accepts no writes.
        """
        if self._connection is not None:
            try:
                return self._connection, *await self._ping_over(self._connection, deadline)
            except exceptions.ConnectionError:
                await self.close()  # closed since the last reading: idle too long, or the server was restarted
        try:
            connection = self._connection = self._server.connection(_soon(deadline) - asyncio.get_running_loop().time())
        except (OSError, ValueError):
            raise FailureError("tls", f"{self._where}: the certificate files it is given cannot be loaded") from None
        async with asyncio.timeout_at(_soon(deadline)):
            await connection.connect()  # type: ignore[no-untyped-call]
        return connection, *await self._ping_over(connection, deadline)

    async def _ping_over(self, connection: AbstractConnection, deadline: float) -> tuple[float, bool]:
        began, misconf = time.perf_counter(), False
        async with asyncio.timeout_at(_soon(deadline)):
            renew(connection)
            await connection.send_command("PING", check_health=False)
            try:
                reply = await connection.read_response()
            except exceptions.ResponseError as error:
                if code(error) != "MISCONF":
                    raise
                reply, misconf = b"PONG", True
        if reply != b"PONG":
            raise FailureError("protocol", f"{self._where} answers a PING with something else than PONG")
        return round((time.perf_counter() - began) * 1000.0, 3), misconf

    def _of_queues(self) -> Iterator[tuple[str, ...]]:
        for queue, prefix in self._prefixes.items():
            yield self._exists(queue)
            yield from ((verb, key(prefix, queue, state)) for verb, state in STATES)

    def _exists(self, queue: str) -> tuple[str, ...]:
        return ("EXISTS", *(key(self._prefixes[queue], queue, part) for part in PARTS))

    async def _ask(self, connection: AbstractConnection, commands: Sequence[Command]) -> Replies:
        """The answer to each command; a refusal stands as the error it is."""
        renew(connection)
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        replies: Replies = {}
        for command in commands:
            try:
                reply = await connection.read_response()
            except (exceptions.AskError, exceptions.ClusterDownError):  # and MOVED, and MASTERDOWN: not this server
                raise
            except exceptions.ResponseError as error:
                reply = error
            replies[command] = reply
        return replies

    async def _of_jobs(self, connection: AbstractConnection, now: float, deadline: float) -> Replies:
        """The answers about jobs; nothing where they came late, or do not answer: it costs this and no more."""
        answers: Replies = {}
        settled = not self._jobs
        try:
            async with asyncio.timeout_at(_soon(deadline)):
                if self._jobs:
                    answers = await self._ask(connection, [c for jobs in self._jobs.values() for c in jobs.asked(now)])
                ages = [asked for jobs in self._jobs.values() if (asked := jobs.age_asked(answers)) is not None]
                if ages:
                    answers |= await self._ask(connection, ages)
            settled = True
        except (exceptions.RedisError, OSError):
            return {}
        finally:
            if not settled:
                await self.close()
        return answers

    async def _told(
        self, connection: AbstractConnection, replies: Replies, *, misconf: bool
    ) -> tuple[info.Fields, info.Fields]:
        """The fields of INFO, and of CONFIG what decides here and may be read."""
        fields: dict[str, str] = {}
        for section in info.SECTIONS:
            answer = replies["INFO", section]
            fields |= info.parse(answer) if isinstance(answer, bytes) else {}
        config: dict[str, str] = {}
        if asked := info.wanted(fields, misconf=misconf):
            answers = await self._ask(connection, [("CONFIG", "GET", name) for name in asked])
            for pairs in answers.values():
                if isinstance(pairs, list) and all(isinstance(part, bytes) for part in pairs):
                    texts = [part.decode(errors="replace") for part in pairs]
                    config |= dict(zip(texts[::2], texts[1::2], strict=False))
        return fields, config

    async def _look_closer(self, connection: AbstractConnection, replies: Replies) -> None:
        """Whether an empty queue is there at all, for a user who may not use EXISTS.

        A length of what is no list is refused with WRONGTYPE, and of what is not there it is 0.
        """
        doubtful = [
            queue
            for queue in self._prefixes
            if isinstance(replies[self._exists(queue)], exceptions.ResponseError)
            and all(reply == 0 for reply in self._counts(queue, replies).values())
        ]
        if not doubtful:
            return
        asked = {queue: [("LLEN", key(self._prefixes[queue], queue, part)) for part in KEPT] for queue in doubtful}
        answers = await self._ask(connection, [command for commands in asked.values() for command in commands])
        for queue, commands in asked.items():
            given = [answers[command] for command in commands]
            if any(isinstance(reply, exceptions.ResponseError) and code(reply) == "WRONGTYPE" for reply in given):
                replies[self._exists(queue)] = 1
            elif all(reply == 0 for reply in given):
                replies[self._exists(queue)] = 0

    def _of_server(self, replies: Replies, fields: info.Fields, gaps: list[Unmeasured]) -> Iterator[Sample]:
        refused = {command: reply for command in _SERVER if isinstance(reply := replies[command], Exception)}
        if refused:
            # One cause, one gap: whoever may not ask INFO is refused each of its sections.
            names = " and ".join(dict.fromkeys(command[0] for command in refused))
            kinds = [refusal(reply) for reply in refused.values()]
            kind, why = next((each for each in kinds if each[0] == "permission"), kinds[0])
            lost = [what for command, what in _LOST.items() if command in refused]
            error = f"{self._where} does not answer {names}: {why}; not known are {', '.join(lost)}"
            gaps.append(Unmeasured(self.name, kind, error))
        keys = replies["DBSIZE",]
        yield sample("redis_keys", keys if isinstance(keys, int) else None)
        yield sample("redis_memory", info.number(fields, "used_memory"), "bytes")
        yield sample("redis_memory_limit", info.number(fields, "maxmemory"), "bytes")
        yield sample("redis_policy", fields.get("maxmemory_policy"), "")
        yield sample("redis_evicted", info.number(fields, "evicted_keys"))

    def _counts(self, queue: str, replies: Replies) -> dict[str, object]:
        return {state: replies[verb, key(self._prefixes[queue], queue, state)] for verb, state in STATES}

    def _queue(self, queue: str, replies: Replies, gaps: list[Unmeasured]) -> list[Sample]:
        """The samples of one queue, all of them or, with a gap, none."""
        counts: dict[str, int] = {}
        prefix = self._prefixes[queue]
        for state, reply in self._counts(queue, replies).items():
            if not isinstance(reply, int):
                kind, why = refusal(reply)
                gaps.append(Unmeasured(queue, kind, f"{key(prefix, queue, state)} cannot be counted: {why}"))
                return []
            counts[state] = reply
        if not any(counts.values()) and (gap := self._absent(queue, replies[self._exists(queue)])) is not None:
            gaps.append(gap)
            return []
        waiting = counts["wait"] + counts["prioritized"] + counts["paused"]
        return [
            sample("queue_waiting", waiting, queue=queue),
            *(sample(f"queue_{state}", count, queue=queue) for state, count in counts.items()),
        ]

    def _absent(self, queue: str, exists: object) -> Unmeasured | None:
        """Why nothing is known of a queue without a job: it is not there, or whether it is may not be read."""
        prefix = self._prefixes[queue]
        if isinstance(exists, int):
            if exists:
                return None
            return Unmeasured(
                queue,
                "missing",
                f"there is no such queue: no key {prefix}:{queue}:* of BullMQ's is in database {self._server.database} "
                f"of {self._where}: check its name, its prefix and the number of the database",
            )
        kind, why = refusal(exists)
        return Unmeasured(queue, kind, f"whether {prefix}:{queue} exists cannot be read (EXISTS): {why}")


# What is not known where a command is not answered.
_LOST: Final[Mapping[tuple[str, ...], str]] = {
    ("DBSIZE",): "how many keys there are",
    ("INFO", "memory"): "how much memory it uses and whether that is full",
    ("INFO", "stats"): "how many keys it evicted",
    ("INFO", "clients"): "whether it accepts clients",
    ("INFO", "replication"): "whether it is a replica",
}


def _soon(deadline: float) -> float:
    return min(asyncio.get_running_loop().time() + STEP_SECONDS, deadline)
