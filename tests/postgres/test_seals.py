"""Sealed roots recomputed from a real Postgres: what matches, what does not, and what cannot be verified."""

from __future__ import annotations

import json
from collections.abc import Iterable

import asyncpg
import pytest
from Crypto.Hash import keccak

from monitord.core import merkle
from monitord.core.roots import Seal, Verification
from monitord.keccak import load_keccak256
from monitord.postgres import seals
from monitord.postgres.seals import SealSelection
from monitord.postgres.session import Session

EPOCH = 1762902000
FANFAN = "313434c0aab0ac57da4d3e71b704566177874d3ce19c1a2294d91b852006b0b0"
FANFAN_ROOT = "2cbb399c2010efb2471c3815bb133ecc7c0a5564f8a119e5b48c325a7da5fdd3"
OTHER_ROOT = "838c71140bd8d403f6add64ab44f77ee40601fb8b55ff505328e0c332420a9f5"


def second_keccak256(data: bytes) -> bytes:
    """Another implementation than the one under test."""
    return keccak.new(digest_bits=256, data=data).digest()


def users(many: int) -> list[str]:
    return [second_keccak256(f"viewer {number}".encode()).hex() for number in range(many)]


def root_of(channel: str, hashes: Iterable[str], epoch: int = EPOCH) -> str:
    leaves = [merkle.leaf(bytes.fromhex(user), channel, epoch, second_keccak256) for user in hashes]
    return merkle.root(leaves, second_keccak256).hex()


async def sealed(
    dsn: str, channel: str, root: str, hashes: Iterable[str], *, group: str = "MILO", first: int = 0, epoch: int = EPOCH
) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(
            "INSERT INTO sealed_epochs (epoch, channel, root, token_group) VALUES ($1, $2, $3, $4)",
            epoch, channel, root, group, timeout=10,
        )  # fmt: skip
        await connection.executemany(
            "INSERT INTO sealed_participants (epoch, channel, idx, user_hash, token_group) VALUES ($1, $2, $3, $4, $5)",
            [(epoch, channel, index, user, group) for index, user in enumerate(hashes, first)],
            timeout=30,
        )
    finally:
        await connection.close(timeout=5)


async def run(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=10)
    finally:
        await connection.close(timeout=5)


async def verified(dsn: str, group: str | None = None) -> dict[str, Verification]:
    session = Session(dsn)
    try:
        async with session.read_only(30) as connection:
            found = await seals.seals(connection, SealSelection(0, EPOCH, group))
            return {seal.channel: await seals.verify(connection, seal, load_keccak256()) for seal in found}
    finally:
        await session.close()


async def test_the_published_seal_matches_and_another_root_for_it_does_not(fleet_database: str) -> None:
    await sealed(fleet_database, "fanfan", "0x" + FANFAN_ROOT.upper(), [FANFAN])
    await sealed(fleet_database, "marlon", OTHER_ROOT, users(3))
    found = await verified(fleet_database)
    assert (found["fanfan"].result, found["fanfan"].participants, found["fanfan"].reason) == ("MATCH", 1, "")
    assert found["marlon"].result == "MISMATCH"
    theirs = root_of("marlon", users(3))[:12]
    assert found["marlon"].reason == f"the stored root is {OTHER_ROOT[:12]}…, its 3 participants give {theirs}…"


@pytest.mark.parametrize("many", [8192, 8193, 20001])
async def test_a_seal_of_many_pages_has_the_root_of_the_whole_tree(fleet_database: str, many: int) -> None:
    hashes = users(many)
    await sealed(fleet_database, "marlon", root_of("marlon", hashes), hashes)
    assert (await verified(fleet_database))["marlon"] == Verification(
        Seal(EPOCH, "marlon", "MILO", "default", root_of("marlon", hashes)), "MATCH", many
    )


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DELETE FROM sealed_participants", "none of its participants is kept"),
        ("DELETE FROM sealed_participants WHERE idx = 0", "participants are missing between index 0 and 3"),
        ("DELETE FROM sealed_participants WHERE idx = 2", "participants are missing between index 0 and 3"),
        (
            "DELETE FROM sealed_participants WHERE idx = 3; "
            "INSERT INTO l2_tree_cache VALUES (1762902000, 'marlon', 'x', '', 4)",
            "participants are missing: 3 are kept, and its tree has 4",
        ),
        ("UPDATE sealed_participants SET user_hash = 'marlon'", "not every participant from index 0 to 3 is a hash"),
        (
            "UPDATE sealed_participants SET user_hash = repeat(' ', 2) || left(user_hash, 62)",
            "not every participant from index 0 to 3 is a hash",
        ),
        (
            "INSERT INTO sealed_epochs (epoch, channel, root, token_group) VALUES (1762902000, 'marlon', 'ab', 'cls'); "
            "UPDATE sealed_participants SET user_hash = repeat('0', 64) WHERE idx = 1",
            "it is sealed for CLS and MILO, which share the key of its participants: "
            "those that are kept may be another's",
        ),
    ],
)
async def test_what_is_not_all_there_or_may_be_anothers_cannot_be_verified(
    fleet_database: str, statement: str, reason: str
) -> None:
    await sealed(fleet_database, "marlon", root_of("marlon", users(4)), users(4))
    await run(fleet_database, statement)
    found = (await verified(fleet_database))["marlon"]
    assert (found.result, found.reason) == ("UNVERIFIABLE", reason)


async def test_a_channel_of_two_groups_matches_where_its_participants_give_its_root(fleet_database: str) -> None:
    await sealed(fleet_database, "marlon", root_of("marlon", users(4)), users(4))
    await sealed(fleet_database, "marlon", OTHER_ROOT, [], group="CLS")
    assert (await verified(fleet_database, "milo"))["marlon"].result == "MATCH"
    assert (await verified(fleet_database, "cls"))["marlon"].result == "UNVERIFIABLE"


@pytest.mark.parametrize(
    ("cached", "whose"),
    [("stored", "the stored one"), ("recomputed", "the recomputed one"), ("ee" * 32, "eeeeeeeeeeee…")],
)
async def test_a_mismatch_says_which_of_both_the_tree_has(fleet_database: str, cached: str, whose: str) -> None:
    await sealed(fleet_database, "marlon", OTHER_ROOT, users(2))
    root = {"stored": OTHER_ROOT, "recomputed": root_of("marlon", users(2))}.get(cached, cached)
    levels = json.dumps([])
    await run(fleet_database, f"INSERT INTO l2_tree_cache VALUES ({EPOCH}, 'marlon', '{root}', '{levels}', 2)")  # noqa: S608
    found = (await verified(fleet_database))["marlon"]
    assert found.result == "MISMATCH"
    assert found.reason.endswith(f"; the root in the tree cache is {whose}")


async def test_an_empty_root_is_a_mismatch_and_a_fleet_without_a_tree_cache_is_asked_nothing_of_it(
    fleet_database: str,
) -> None:
    await sealed(fleet_database, "marlon", "", users(1))
    await run(fleet_database, "DROP TABLE l2_tree_cache")
    found = (await verified(fleet_database))["marlon"]
    assert (found.result, found.reason[:25]) == ("MISMATCH", "the stored root is empty,")


async def test_seals_come_newest_first_page_by_page_without_those_of_the_future(fleet_database: str) -> None:
    for hour, epoch in enumerate((EPOCH - 3600, EPOCH, 9999999999)):
        for channel in ("a", "b"):
            await sealed(fleet_database, channel, f"{hour}", [], epoch=epoch)
    session = Session(fleet_database)
    try:
        async with session.read_only(10) as connection:
            pages = [await seals.seals(connection, SealSelection(0, EPOCH), limit=3)]
            pages.append(await seals.seals(connection, SealSelection(0, EPOCH), pages[0][-1], limit=3))
    finally:
        await session.close()
    assert [(one.epoch, one.channel) for page in pages for one in page] == [
        (EPOCH, "b"), (EPOCH, "a"), (EPOCH - 3600, "b"), (EPOCH - 3600, "a"),
    ]  # fmt: skip
    assert [len(page) for page in pages] == [3, 1]
