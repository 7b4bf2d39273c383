"""Who is spoken of at once, who together with others, and that everybody is counted."""

import asyncio
from dataclasses import replace

import pytest

from monitord.core.history.process_model import Process, ServiceHistory
from monitord.core.model import OperatorAction, ProcessExit, ServiceEvent
from monitord.pm2.announcer import MAX_SERVICES, ExitAnnouncer

from .conftest import DEADLINE

DEAD = ProcessExit("worker", "3", 1762315020.5, code=0, signal="SIGKILL", began=1762315020.0)
FLEET = ServiceHistory(lives={"3": Process("online")})


class Ear:
    """All that a crier has said."""

    def __init__(self) -> None:
        self.events: list[ServiceEvent] = []
        self.news = asyncio.Event()

    def hear(self, event: ServiceEvent) -> None:
        self.events.append(event)
        self.news.set()

    def details(self, service: str = "worker") -> list[str]:
        return [event.detail for event in self.events if event.service == service]

    async def events_are(self, number: int) -> None:
        async with asyncio.timeout(DEADLINE):
            while len(self.events) < number:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def crier(ear: Ear) -> ExitAnnouncer:
    return ExitAnnouncer(lambda name: None if name == "stranger" else FLEET, ear.hear, pace=0.02)


async def test_an_end_is_said_before_anything_else_happens_and_marked_as_said(crier: ExitAnnouncer, ear: Ear) -> None:
    assert crier.hear([DEAD]) == (replace(DEAD, said=1),)
    assert ear.details() == ["ended by SIGKILL after 500 ms"]


async def test_ends_that_follow_within_the_second_are_said_together_and_all_are_counted(
    crier: ExitAnnouncer, ear: Ear
) -> None:
    marked = crier.hear([DEAD] * 1000)
    assert sum(told.said for told in marked) == 1000
    assert len(ear.events) == 1
    await ear.events_are(2)
    assert ear.details()[1] == "ended 999 times more, the last time by SIGKILL after 500 ms"
    assert sum(event.restarts for event in ear.events) == 1000


async def test_other_services_do_not_wait_for_one_that_dies_all_the_time(crier: ExitAnnouncer, ear: Ear) -> None:
    crier.hear([DEAD] * 50)
    crier.hear([replace(DEAD, service="gateway")])
    assert ear.details("gateway") == ["ended by SIGKILL after 500 ms"]


async def test_what_nobody_is_to_be_told_of_is_left_as_it_is(crier: ExitAnnouncer, ear: Ear) -> None:
    others = (replace(DEAD, manually=True), replace(DEAD, memory=True), replace(DEAD, service="stranger"))
    assert crier.hear(others) == others
    assert ear.events == []


async def test_names_without_end_are_left_to_the_next_look(crier: ExitAnnouncer, ear: Ear) -> None:
    many = [replace(DEAD, service=f"worker-{number}") for number in range(2 * MAX_SERVICES)]
    marked = crier.hear(many)
    assert [told.said for told in marked] == [1] * MAX_SERVICES + [0] * MAX_SERVICES
    assert len(ear.events) == MAX_SERVICES


async def test_what_was_to_be_said_later_is_said_at_the_end(crier: ExitAnnouncer, ear: Ear) -> None:
    crier.hear([DEAD] * 3)
    crier.close()
    assert ear.details()[1:] == ["ended 2 times more, the last time by SIGKILL after 500 ms"]
    crier.close()
    assert len(ear.events) == 2


async def test_after_its_second_a_service_is_spoken_of_at_once_again(crier: ExitAnnouncer, ear: Ear) -> None:
    crier.hear([DEAD, DEAD])
    await ear.events_are(2)
    crier.hear([replace(DEAD, service="other")])  # its second ends after that of the first's second word
    crier.hear([DEAD])
    await ear.events_are(4)
    assert ear.details()[2] == "ended once more by SIGKILL after 500 ms"
    # Nothing has followed that, and by then nothing is remembered of it.
    async with asyncio.timeout(DEADLINE):
        while crier.busy:  # noqa: ASYNC110 - it forgets in silence
            await asyncio.sleep(0.005)
    crier.hear([DEAD])
    assert ear.details()[3] == "ended by SIGKILL after 500 ms"


async def test_a_restart_of_what_was_just_said_to_be_stopped_is_a_start(crier: ExitAnnouncer, ear: Ear) -> None:
    assert crier.hear_act(OperatorAction("gateway", "3", 10.0, "stop", created_at=5.0))
    assert crier.hear_act(OperatorAction("gateway", "3", 11.0, "restart", created_at=11.0))
    assert [event.change for event in ear.events] == ["stopped", "started"]
