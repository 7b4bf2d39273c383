"""Sealed roots are recomputed in the background, beside everything else, and what does not match is said twice sure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from monitord.core.model import Reading
from monitord.core.subjects.pipeline_cases import PreparedCase
from monitord.core.subjects.pipeline_settings import PipelineSettings
from monitord.postgres.sampler import Mode, Sampler
from monitord.postgres.session import Session
from monitord.probes.base import Request
from tests.probes.test_pipeline import NEWEST, NOON, Admin, Watched, hashes, rewrite, root_of, seal, seal_window

HOUR = 3600
LABEL = NEWEST
OLDEST = NEWEST - 24 * HOUR
PATIENCE = 20.0


@pytest.fixture
async def admin(fleet_database: str) -> AsyncIterator[Admin]:
    """A superuser's connection to the test's own database."""
    connection = await asyncpg.connect(fleet_database, timeout=10, command_timeout=PATIENCE)
    yield connection
    await connection.close(timeout=5)


class Sampling:
    """A sampler, and how far it has come."""

    def __init__(self, dsn: str, mode: Mode = "sampled", cases: tuple[PreparedCase, ...] = ()) -> None:
        self.session = Session(dsn)
        self.sampler = Sampler(self.session, mode, ("MILO", "CLS"), HOUR, cases)

    async def runs(self, now: float = NOON + 1200, *, suspects: tuple[tuple[int, str], ...] = ()) -> Any:
        """What it has come to when all that is due now is done."""
        self.sampler.start(now, LABEL, OLDEST, suspects)
        if (task := self.sampler._task) is not None:
            await asyncio.wait({task}, timeout=PATIENCE)
        return self.sampler.found

    async def close(self) -> None:
        await self.sampler.close()
        await self.session.close()


@pytest.fixture
async def sampling(fleet_database: str) -> Any:
    made: list[Sampling] = []

    def make(mode: Mode = "sampled", cases: tuple[PreparedCase, ...] = ()) -> Sampling:
        made.append(Sampling(fleet_database, mode, cases))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def results(found: Any) -> dict[str, str]:
    return {group: verification.result for group, (verification, _) in found.verified.items()}


async def test_one_recent_seal_of_each_group_is_recomputed_each_hour(sampling: Any, admin: Admin) -> None:
    await seal_window(admin, 2)
    one = sampling()
    found = await one.runs()
    assert results(found) == {"MILO": "MATCH", "CLS": "MATCH"}
    assert {verification.seal.epoch for verification, _ in found.verified.values()} == {LABEL}
    await one.runs(NOON + 1230)
    assert {at for _, at in found.verified.values()} == {NOON + 1200}
    await one.runs(NOON + 1200 + HOUR)
    assert {at for _, at in found.verified.values()} == {NOON + 1200 + HOUR}


async def test_all_takes_every_seal_of_a_new_label_once(sampling: Any, admin: Admin) -> None:
    await seal_window(admin, 1)
    await rewrite(admin, "marlon", LABEL)
    one = sampling("all")
    found = await one.runs()
    assert [(seal.channel, seal.epoch) for seal in found.mismatches] == [("marlon", LABEL)]
    at = found.verified["CLS"][1]
    await one.runs(NOON + 1260)
    assert found.verified["CLS"][1] == at


async def test_a_wrong_root_is_a_mismatch_until_it_is_put_right(sampling: Any, admin: Admin) -> None:
    true = await seal(admin, "MILO", "jason", LABEL, root="ab" * 32)
    one = sampling()
    found = await one.runs()
    assert results(found) == {"MILO": "MISMATCH"}
    ((wrong, verification),) = found.mismatches.items()
    assert "abababababab" in verification.reason
    await admin.execute("UPDATE sealed_epochs SET root = $1", true)
    await one.runs(NOON + 1200 + 301)  # what did not match is recomputed twelve times an epoch
    assert (found.mismatches, found.mended) == ({}, {wrong})


async def test_a_suspect_is_recomputed_at_once_whatever_is_drawn(sampling: Any, admin: Admin) -> None:
    await seal_window(admin, 4)
    old = LABEL - 3 * HOUR
    await rewrite(admin, "jynxzi", old)
    found = await sampling().runs(suspects=((old, "jynxzi"),))
    assert [(seal.channel, seal.epoch) for seal in found.mismatches] == [("jynxzi", old)]


async def test_a_channel_of_two_groups_that_share_a_key_is_unverifiable_and_no_mismatch(
    sampling: Any, admin: Admin
) -> None:
    await seal(admin, "MILO", "both", LABEL, many=4)
    await seal(admin, "CLS", "both", LABEL, root=root_of("both", LABEL, hashes("both", 2)))
    found = await sampling("all").runs()
    assert results(found) == {"MILO": "MATCH", "CLS": "UNVERIFIABLE"}
    assert found.mismatches == {}


async def test_while_one_is_under_way_no_other_begins_and_closing_ends_it(sampling: Any, admin: Admin) -> None:
    await seal_window(admin, 1)
    one = sampling()
    one.sampler.start(NOON + 1200, LABEL, OLDEST)
    first = one.sampler._task
    one.sampler.start(NOON + 1200 + HOUR, LABEL, OLDEST)
    assert one.sampler._task is first
    await one.sampler.close()
    assert first.done()


async def test_a_large_seal_is_read_in_pages_and_the_loop_goes_on(sampling: Any, admin: Admin) -> None:
    users = hashes("crowd", 20_000)
    await admin.copy_records_to_table(
        "sealed_participants", records=[(LABEL, "crowd", n, user, None, "CLS", "x") for n, user in enumerate(users)]
    )
    root = root_of("crowd", LABEL, users)
    await admin.execute("INSERT INTO sealed_epochs VALUES ($1, 'crowd', $2, 1, 1, 'CLS', 'x')", LABEL, root)
    one = sampling()
    one.sampler.start(NOON + 1200, LABEL, OLDEST)
    turns = 0
    async with asyncio.timeout(PATIENCE):
        while not one.sampler._task.done():
            await asyncio.sleep(0)
            turns += 1
    verification, _ = one.sampler.found.verified["CLS"]
    assert (verification.result, verification.participants) == ("MATCH", 20_000)
    assert turns > 3


async def test_a_test_case_is_checked_by_its_rows_and_its_participants(sampling: Any, admin: Admin) -> None:
    users = hashes("marlon", 7)
    root = await seal(admin, "MILO", "marlon", LABEL, many=7)
    right = PreparedCase("marlon", LABEL, root, 7, users[3])
    stranger = PreparedCase("marlon", LABEL, root, 7, "ab" * 32)
    other = PreparedCase("marlon", LABEL, "cd" * 32, 7, users[3])
    absent = PreparedCase("nobody", LABEL, root, 7, users[3])
    found = (await sampling("off", (right, stranger, other, absent)).runs()).cases
    assert (found[right].root, found[right].participants, found[right].proof, found[right].published) == (
        True, 7, True, True,
    )  # fmt: skip
    assert (found[stranger].proof, found[stranger].trouble) == (False, "there is no such participant")
    assert (found[other].root, found[other].proof, found[other].published) == (False, False, None)
    assert (found[absent].root, found[absent].proof, found[absent].trouble) == (
        None, None, "none of its participants is kept",
    )  # fmt: skip


async def test_whoever_reads_once_has_the_test_cases_checked_and_nothing_else(
    fleet_database: str, admin: Admin
) -> None:
    users = hashes("jason", 3)
    await seal_window(admin, 2)
    cases = [{"channel": "jason", "epoch": LABEL, "user_hash": users[1], "root": root_of("jason", LABEL, users)}]
    one = Watched(fleet_database, settings=PipelineSettings(test_cases=json.dumps(cases)))
    try:
        measured = await one.probe.measure(Request(NOON + 1200, PATIENCE, once=True))
    finally:
        await one.close()
    reading = Reading("pipeline", measured.samples)
    assert [reading.number(f"case_{name}", case=f"jason/{LABEL}") for name in ("root", "proof", "published")] == [
        1,
        1,
        1,
    ]
    assert next(reading.named("verified"), None) is None


async def test_cases_that_cannot_be_checked_in_time_are_not_told(sampling: Any, admin: Admin) -> None:
    root = await seal(admin, "MILO", "marlon", LABEL, many=7)
    one = sampling("off", (PreparedCase("marlon", LABEL, root, 7, hashes("marlon", 7)[3]),))
    await one.sampler.check_cases(NOON, 0.0)
    assert (one.sampler.found.cases, one.sampler.found.trouble) == ({}, "it took too long")


async def test_the_probe_tells_of_both_and_of_no_participant(fleet_database: str, admin: Admin) -> None:
    users = hashes("jason", 3)
    await seal_window(admin, 2)
    cases = [{"channel": "jason", "epoch": LABEL, "user_hash": users[1], "root": root_of("jason", LABEL, users)}]
    one = Watched(fleet_database, settings=PipelineSettings(test_cases=json.dumps(cases)))
    try:
        await one.look()
        reading = await one.look()
        async with asyncio.timeout(PATIENCE):
            while reading.word("verified", group="CLS") is None:
                await asyncio.sleep(0.02)
                reading = await one.look()
    finally:
        await one.close()
    assert reading.word("verified", group="MILO") == "MATCH"
    assert reading.number("verified_label", group="CLS") == LABEL
    assert reading.number("trouble", kind="mismatch", group="MILO") == 0
    case = f"jason/{LABEL}"
    assert {s.name: s.value for s in reading.samples if s.name.startswith("case_")} == {
        "case_root": 1, "case_participants": 3, "case_proof": 1, "case_published": 1, "case_tree": 1,
        "case_trouble": "", "case_at": NOON + 1200,
    }  # fmt: skip
    assert {s.label("case") for s in reading.named("case_root")} == {case}
    assert not any(user in repr(reading) for user in users)
