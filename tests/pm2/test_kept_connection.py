"""The connection to PM2 is kept between questions, and left as soon as anything is wrong with it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from monitord.pm2 import Pm2Error, wire
from monitord.pm2.client import Pm2Client

from .conftest import DEADLINE, RealPm2
from .test_client import entry, pretender

Turn = Callable[["Pretended", asyncio.StreamWriter, object], object]


class Pretended:
    """A PM2 that answers with its name as the only service, but where `turns` has something else for a question."""

    def __init__(self, name: str = "gateway") -> None:
        self.name = name
        self.connections = 0
        self.questions = 0
        self.turns: dict[int, Turn] = {}
        self.left, self.waits = asyncio.Event(), asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        decoder = wire.Decoder()
        while chunk := await reader.read(65536):
            for frame in decoder.feed(chunk):
                self.questions += 1
                turn = self.turns.get(self.questions, Pretended.answers)
                turn(self, writer, wire.unpack(frame[1]))
        self.left.set()

    def answers(self, writer: asyncio.StreamWriter, call_id: object) -> None:
        writer.write(wire.encode([{"args": [[entry(self.name)]]}, call_id]))

    def is_silent(self, writer: asyncio.StreamWriter, call_id: object) -> None:
        self.waits.set()

    def closes(self, writer: asyncio.StreamWriter, call_id: object) -> None:
        writer.close()

    def closes_in_the_middle(self, writer: asyncio.StreamWriter, call_id: object) -> None:
        writer.write(b"\x12\x00\x00\x00\xffj:{")
        writer.close()

    def answers_another(self, writer: asyncio.StreamWriter, call_id: object) -> None:
        self.answers(writer, "monitord:of another question")

    def answers_twice(self, writer: asyncio.StreamWriter, call_id: object) -> None:
        self.answers(writer, call_id)
        self.answers(writer, call_id)

    def garbage(self, writer: asyncio.StreamWriter, call_id: object) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.fixture
def client(home: Path) -> Iterator[Pm2Client]:
    with closing(Pm2Client(home)) as client:
        yield client


async def names(client: Pm2Client, timeout: float = DEADLINE) -> list[str]:
    return [process.name for process in await client.processes(timeout=timeout)]


async def test_one_question_after_the_other_takes_one_connection(client: Pm2Client, home: Path) -> None:
    async with pretender(home, pm2 := Pretended()):
        assert [await names(client) for _ in range(5)] == [["gateway"]] * 5
        client.close()
        assert (pm2.connections, pm2.questions) == (1, 5)


async def test_a_ping_is_asked_over_the_kept_connection_and_makes_none(client: Pm2Client, home: Path) -> None:
    async with pretender(home, pm2 := Pretended()):
        await client.ping()
        assert pm2.connections == 0
        await names(client)
        await client.ping()
        assert await names(client) == ["gateway"]
        client.close()
        assert (pm2.connections, pm2.questions) == (1, 3)


async def test_a_ping_that_is_not_answered_costs_the_connection(client: Pm2Client, home: Path) -> None:
    async with pretender(home, pm2 := Pretended()):
        pm2.turns = {2: Pretended.is_silent}
        await names(client)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.03):
                await client.ping()
        await client.ping()  # nothing is left to ask over
        assert await names(client) == ["gateway"]
        client.close()
        assert (pm2.connections, pm2.questions) == (2, 3)


async def test_an_answer_that_comes_too_late_is_no_answer_to_the_next_question(client: Pm2Client, home: Path) -> None:
    late: list[tuple[asyncio.StreamWriter, object]] = []

    def keeps(pm2: Pretended, writer: asyncio.StreamWriter, call_id: object) -> None:
        late.append((writer, call_id))

    def first_the_late_one(pm2: Pretended, writer: asyncio.StreamWriter, call_id: object) -> None:
        for old, old_id in late:
            old.write(wire.encode([{"args": [[entry("long-gone")]]}, old_id]))
        pm2.answers(writer, call_id)

    async with pretender(home, pm2 := Pretended()):
        pm2.turns = {2: keeps, 3: first_the_late_one}
        assert await names(client) == ["gateway"]
        with pytest.raises(Pm2Error) as caught:
            await names(client, timeout=0.03)
        assert caught.value.kind == "timeout"
        assert await names(client) == ["gateway"]
        client.close()
        assert pm2.connections == 2


async def test_a_question_that_is_cancelled_takes_its_connection_with_it(client: Pm2Client, home: Path) -> None:
    async with pretender(home, pm2 := Pretended()), asyncio.timeout(DEADLINE):
        pm2.turns = {2: Pretended.is_silent}
        await names(client)
        task = asyncio.create_task(names(client))
        await pm2.waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await pm2.left.wait()
        assert await names(client) == ["gateway"]
        client.close()


@pytest.mark.parametrize(
    "turn",
    [
        Pretended.closes,
        Pretended.closes_in_the_middle,
        Pretended.answers_another,
        Pretended.garbage,
    ],
)
async def test_what_is_wrong_with_a_kept_connection_is_asked_again_over_a_new_one(
    client: Pm2Client, home: Path, turn: Turn
) -> None:
    async with pretender(home, pm2 := Pretended()):
        pm2.turns = {2: turn}
        assert [await names(client) for _ in range(3)] == [["gateway"]] * 3
        client.close()
        assert (pm2.connections, pm2.questions) == (2, 4)


@pytest.mark.parametrize("turn", [Pretended.closes, Pretended.answers_another, Pretended.garbage])
async def test_what_is_wrong_with_a_new_connection_is_said(client: Pm2Client, home: Path, turn: Turn) -> None:
    async with pretender(home, pm2 := Pretended()):
        pm2.turns = {1: turn}
        with pytest.raises(Pm2Error) as caught:
            await names(client)
        assert caught.value.kind == "protocol"
        assert pm2.questions == 1


async def test_a_connection_on_which_more_came_than_was_asked_for_is_left(client: Pm2Client, home: Path) -> None:
    async with pretender(home, pm2 := Pretended()):
        pm2.turns = {1: Pretended.answers_twice}
        assert [await names(client) for _ in range(2)] == [["gateway"]] * 2
        client.close()
        assert pm2.connections == 2


async def test_a_pm2_that_has_begun_anew_is_asked_at_once(client: Pm2Client, home: Path) -> None:
    async with pretender(home, first := Pretended("before")):
        first.turns = {2: Pretended.closes}
        assert await names(client) == ["before"]
        (home / "rpc.sock").unlink()
        async with pretender(home, Pretended("since")):
            assert await names(client) == ["since"]
            client.close()
        client.close()


async def test_a_pm2_that_lives_on_without_its_socket_is_not_the_one_that_is_asked(
    client: Pm2Client, home: Path
) -> None:
    async with pretender(home, Pretended("replaced")):
        assert await names(client) == ["replaced"]
        (home / "rpc.sock").unlink()
        with pytest.raises(Pm2Error) as caught:
            await names(client)
        assert caught.value.kind == "missing"
        (home / "rpc.sock").touch()  # what the pretender removes at its end


async def test_two_questions_at_once_each_have_their_answer(client: Pm2Client, home: Path) -> None:
    async with pretender(home, Pretended()):
        assert await asyncio.gather(*(names(client) for _ in range(3))) == [["gateway"]] * 3
        client.close()


@pytest.mark.servers
async def test_a_real_pm2_answers_over_one_connection_and_ends_no_later_for_it(real_pm2: RealPm2) -> None:
    with closing(Pm2Client(real_pm2.home)) as client:
        for _ in range(3):
            assert await client.processes(timeout=DEADLINE) == ()
        assert client._idle is not None
        real_pm2.freeze()
        with pytest.raises(Pm2Error) as caught:
            await client.processes(timeout=0.2)
        assert caught.value.kind == "timeout"
        real_pm2.thaw()
        assert await client.processes(timeout=DEADLINE) == ()
        real_pm2.run("kill")
        with pytest.raises(Pm2Error) as caught:
            await client.processes(timeout=DEADLINE)
        assert caught.value.kind in ("missing", "refused")
        real_pm2.run("ping")
        assert await client.processes(timeout=DEADLINE) == ()
